package library

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/shared/authz"
	"lms/shared/page"
	"lms/shared/work"
)

// Store gives transactions.
type Store interface {
	InTx(ctx context.Context, sc work.Scope, fn func(context.Context, Tx) error) error
	Read(ctx context.Context, sc work.Scope, fn func(context.Context, Tx) error) error
}

// Tx is what a transaction offers the domain.
type Tx interface {
	work.Unit
	contentRows
}

type contentRows interface {
	InsertContent(ctx context.Context, c Content) error
	UpdateContent(ctx context.Context, c Content) error
	// Content is one that is not deleted.
	Content(ctx context.Context, id uuid.UUID) (Content, error)
	// LockContent reads and locks.
	LockContent(ctx context.Context, id uuid.UUID) (Content, error)
	ListContents(ctx context.Context, f Filter, p page.Request) (page.Page[Content], error)
	InsertVersion(ctx context.Context, v Version) error
	Version(ctx context.Context, content uuid.UUID, number int) (Version, error)
	// CurrentVersions are those of the given contents, by content, without their
	// texts.
	CurrentVersions(ctx context.Context, contents []uuid.UUID) (map[uuid.UUID]Version, error)
	Versions(ctx context.Context, content uuid.UUID, p page.Request) (page.Page[Version], error)
	// LastVersion is the highest number given so far, 0 for none.
	LastVersion(ctx context.Context, content uuid.UUID) (int, error)
}

// Text turns what people write into what is safe to show.
type Text interface {
	// HTML keeps only harmless markup.
	HTML(raw string) string
	// Plain is the text without any markup.
	Plain(raw string) string
}

// Ways to stand to a course.
const (
	AsLearner = "learner"
	AsStaff   = "staff"
	AsAdmin   = "admin"
)

// Members is what the library asks enrollment.
type Members interface {
	// May says whether the person may see the course, or with a content that
	// content in it. fresh asks in any case; else an answer that allows may be two
	// seconds old.
	May(ctx context.Context, actor authz.Principal, course uuid.UUID, content *uuid.UUID, fresh bool) (Verdict, error)
	// CoursesOf are the courses in which the person learns or teaches now.
	CoursesOf(ctx context.Context, user uuid.UUID) ([]uuid.UUID, error)
}

// Codes of a verdict that the library looks at.
const (
	DeniedLocked    = "item_locked"
	DeniedUnknown   = "not_found"
	DeniedSuspended = "suspended"
)

// Verdict is the answer to May. Reasons are enrollment's, passed on as they are
// (rule 11).
type Verdict struct {
	Allowed   bool
	Code      string
	Reasons   any
	As        string // learner, staff, admin
	Role      string // of staff
	TenantID  uuid.UUID
	OrgUnitID uuid.UUID
	ReadOnly  bool
}

// Placements is what the library asks course.
type Placements interface {
	Usages(ctx context.Context, content uuid.UUID) ([]Usage, error)
}

// Usage is one place of a content in a curriculum.
type Usage struct {
	CourseID     uuid.UUID
	CourseTitle  string
	CourseStatus string
	ModuleID     uuid.UUID
	ItemID       uuid.UUID
	ItemTitle    string
	PlacedAt     time.Time
}

// Sorts of a list of contents; a leading "-" turns them round.
var Sorts = []string{"-created_at", "created_at", "title", "-title", "-updated_at", "updated_at"} //nolint:gochecknoglobals // constant

// Filter limits a list of contents. Empty fields do not limit.
type Filter struct {
	Query        string
	Kind         string
	Status       string
	Tag          string
	Language     string
	Licence      string
	OrgUnits     []uuid.UUID
	CourseID     *uuid.UUID
	UpdatedSince *time.Time
	Sort         string

	// Reach is what the caller may see; filled by the service layer.
	Reach authz.Reach
}
