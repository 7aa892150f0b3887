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
	uploadRows
	captionRows
	watchRows
	personRows
}

type contentRows interface {
	InsertContent(ctx context.Context, c Content) error
	UpdateContent(ctx context.Context, c Content) error
	// Content is one that is not deleted.
	Content(ctx context.Context, id uuid.UUID) (Content, error)
	// AnyContent is one that may be deleted.
	AnyContent(ctx context.Context, id uuid.UUID) (Content, error)
	// ContentsAfter are contents by id for indexing, deleted ones included.
	ContentsAfter(ctx context.Context, after uuid.UUID, since *time.Time, limit int) ([]Content, error)
	EventSeq(ctx context.Context, aggregate uuid.UUID) (int64, error)
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

type uploadRows interface {
	InsertUpload(ctx context.Context, u Upload) error
	UpdateUpload(ctx context.Context, u Upload) error
	Upload(ctx context.Context, id uuid.UUID) (Upload, error)
	// LockUpload reads and locks; after the content, where both are locked.
	LockUpload(ctx context.Context, id uuid.UUID) (Upload, error)
	// SetUploadToken keeps the store's token, if none is kept, and gives the one
	// that is.
	SetUploadToken(ctx context.Context, id uuid.UUID, token string) (string, error)
	// OpenUploads is how many uploads of a person are not over.
	OpenUploads(ctx context.Context, owner uuid.UUID) (int, error)
	// ExpiredUploads reads and locks uploads whose time has passed and that nobody
	// verifies.
	ExpiredUploads(ctx context.Context, now time.Time, limit int) ([]Upload, error)
	// ForgetUploads deletes those that were over before a time.
	ForgetUploads(ctx context.Context, before time.Time) error

	// Discard notes objects that must go.
	Discard(ctx context.Context, list ...Discarded) error
	// DiscardContent notes all objects of a content.
	DiscardContent(ctx context.Context, content uuid.UUID, due, until time.Time) error
	DiscardedObjects(ctx context.Context, now time.Time, limit int) ([]Discarded, error)
	PostponeDiscarded(ctx context.Context, key string, due time.Time) error
	ForgetDiscarded(ctx context.Context, key string) error
	// UnknownKeys are those of the given keys that no row refers to.
	UnknownKeys(ctx context.Context, keys []string) ([]string, error)

	// PutRendition gives the key of the object that it replaces, "" for none.
	PutRendition(ctx context.Context, r Rendition) (replaced string, err error)
	Rendition(ctx context.Context, content uuid.UUID, number int, label string) (Rendition, error)
	Renditions(ctx context.Context, content uuid.UUID, number int) ([]Rendition, error)
}

type captionRows interface {
	PutCaption(ctx context.Context, c Caption) error
	DeleteCaption(ctx context.Context, content uuid.UUID, language string) error
	Caption(ctx context.Context, content uuid.UUID, language string) (Caption, error)
	// Captions are those of a content by language, without what is shown of them.
	Captions(ctx context.Context, content uuid.UUID) ([]Caption, error)
}

type watchRows interface {
	// InsertOpening notes the first opening; false if there was one.
	InsertOpening(ctx context.Context, o Opening) (first bool, err error)
	// Opening is the first one of the person, content and course.
	Opening(ctx context.Context, o Opening) (Opening, error)
	// Watch and LockWatch give nil where there is none.
	Watch(ctx context.Context, user, content uuid.UUID) (*Watch, error)
	LockWatch(ctx context.Context, user, content uuid.UUID) (*Watch, error)
	// PutWatch writes a row, or makes it; one that came meanwhile stays.
	PutWatch(ctx context.Context, w Watch) error
	// PendingWatches reads and locks rows with something to tell.
	PendingWatches(ctx context.Context, before time.Time, limit int) ([]Watch, error)
}

type personRows interface {
	MergePerson(ctx context.Context, user, heir uuid.UUID) error
	// ForgetPerson replaces the person by the pseudonym where something must stay,
	// and deletes the rest. It gives back how many rows were kept.
	ForgetPerson(ctx context.Context, user, pseudonym uuid.UUID) (kept int64, err error)
	ContentsBy(ctx context.Context, user uuid.UUID, limit int) ([]Content, error)
	UploadsOf(ctx context.Context, user uuid.UUID) ([]Upload, error)
	OpeningsOf(ctx context.Context, user uuid.UUID, limit int) ([]Opening, error)
	WatchesOf(ctx context.Context, user uuid.UUID, limit int) ([]Watch, error)
}

// Files is the object store, and what looks into files.
type Files interface {
	PresignPut(ctx context.Context, key string, size int64, mediaType, sha256 string, life time.Duration) (Link, error)
	PresignGet(ctx context.Context, key, filename, mediaType string, inline bool, life time.Duration) (Link, error)
	StartParts(ctx context.Context, key, mediaType string) (token string, err error)
	PresignPart(ctx context.Context, key, token string, number int, size int64, life time.Duration) (Link, error)
	// ListParts are the sizes of the parts that are there, by number.
	ListParts(ctx context.Context, key, token string) (map[int]int64, error)
	JoinParts(ctx context.Context, key, token string, count int, mediaType string) error
	AbortParts(ctx context.Context, key, token string) error
	// Has says whether there is an object.
	Has(ctx context.Context, key string) (bool, error)
	Move(ctx context.Context, from, to string) error
	Delete(ctx context.Context, key string) error
	// Verify reads an object as a whole and gives the media type that its bytes show.
	// Invalid with the code `size_mismatch` or `checksum_mismatch` if it is another.
	Verify(ctx context.Context, key string, size int64, sha256 string) (shown string, err error)
	// Archive looks into an archive: what kind of document it is; ErrUnsafeArchive.
	Archive(ctx context.Context, key string) (mediaType string, err error)
	// Look says what the bytes of a file of a type tell.
	Look(ctx context.Context, key, mediaType string) (Found, error)
	// Each visits the keys of a kind that were last written before a time.
	Each(ctx context.Context, kind string, before time.Time, fn func(key string) error) error
	// SweepUnfinished removes what uploads that were broken off left in the store.
	SweepUnfinished(ctx context.Context, before time.Time) error
}

// Calls knows what became of reliable calls.
type Calls interface {
	// Settled waits until a call was answered, at most for d.
	Settled(ctx context.Context, id uuid.UUID, d time.Duration) bool
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
