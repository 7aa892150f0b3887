package catalog

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/shared/authz"
	"lms/shared/page"
	"lms/shared/work"
)

// Store gives transactions. The two hot reads have methods of their own, since
// they must be one round trip.
type Store interface {
	InTx(ctx context.Context, sc work.Scope, fn func(context.Context, Tx) error) error
	Read(ctx context.Context, sc work.Scope, fn func(context.Context, Tx) error) error
	// CourseFor is the course and the active role that the person has in it.
	// A course that is not there or deleted is NotFound.
	CourseFor(ctx context.Context, id, user uuid.UUID) (Course, string, error)
	// DocumentFor is CourseFor reduced to what a decision needs, with one of the
	// curriculum's ready documents: the published one, and the full one when the
	// person has an active role or full is set. Neither is read when the version is
	// the known one.
	DocumentFor(ctx context.Context, id, user uuid.UUID, full bool, known int64) (Head, Documents, error)
}

// Tx is what a transaction offers the domain.
type Tx interface {
	work.Unit
	courseRows
	curriculumRows
	shelfRows
	partRows
	personRows
}

type courseRows interface {
	InsertCourse(ctx context.Context, c Course) error
	UpdateCourse(ctx context.Context, c Course) error
	// LockCourse reads and locks; with the person's active role.
	LockCourse(ctx context.Context, id, user uuid.UUID) (Course, string, error)
	Head(ctx context.Context, id, user uuid.UUID) (Head, error)
	// AnyCourse reads also what is deleted.
	AnyCourse(ctx context.Context, id uuid.UUID) (Course, error)
	ListCourses(ctx context.Context, f CourseFilter, p page.Request) (page.Page[Course], error)
	// CoursesAfter are courses by id for indexing, deleted ones included.
	CoursesAfter(ctx context.Context, after uuid.UUID, since *time.Time, limit int) ([]Course, error)
	// LockPrerequisites makes changes of prerequisites in a tenant one after the other.
	LockPrerequisites(ctx context.Context, tenant uuid.UUID) error
	// Prerequisites are those of all given courses, directly.
	Prerequisites(ctx context.Context, courses []uuid.UUID) (map[uuid.UUID][]uuid.UUID, error)
	// Dependants are courses that name the course as a prerequisite.
	Dependants(ctx context.Context, id uuid.UUID) ([]uuid.UUID, error)
	EventSeq(ctx context.Context, aggregate uuid.UUID) (int64, error)

	Staff(ctx context.Context, course uuid.UUID) ([]StaffMember, error)
	PutStaff(ctx context.Context, m StaffMember) error
	DeleteStaff(ctx context.Context, course, user uuid.UUID) error
}

type curriculumRows interface {
	// Curriculum reads modules and items with what is known of their resources.
	Curriculum(ctx context.Context, course uuid.UUID) (Curriculum, error)
	// SaveCurriculum writes the difference between two curricula and the documents.
	SaveCurriculum(ctx context.Context, c Course, before, after Curriculum, docs Documents) error
	Documents(ctx context.Context, course uuid.UUID) (Documents, error)
	// ShareResources reads resources and keeps them as they are until the commit.
	ShareResources(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]Resource, error)
	// LockResource reads a resource that is about to change; false for a new one.
	LockResource(ctx context.Context, id uuid.UUID) (Resource, bool, error)
	PutResource(ctx context.Context, r Resource, at time.Time) error
	// ResourcesOf are the quizzes and assignments that belong to a course.
	ResourcesOf(ctx context.Context, course uuid.UUID) ([]Resource, error)
	// CoursesWith are the courses in which a resource is placed.
	CoursesWith(ctx context.Context, resource uuid.UUID) ([]uuid.UUID, error)
	Usages(ctx context.Context, resource uuid.UUID) ([]Usage, error)
	// Bodies are the texts of all pages of a course, by item.
	Bodies(ctx context.Context, course uuid.UUID) (map[uuid.UUID]string, error)
	Body(ctx context.Context, item uuid.UUID) (string, error)
	// BodyBytes is the size of the texts of all pages of a course.
	BodyBytes(ctx context.Context, course uuid.UUID) (int64, error)

	InsertVersion(ctx context.Context, v CurriculumVersion) error
	Versions(ctx context.Context, course uuid.UUID, p page.Request) (page.Page[CurriculumVersion], error)
	Version(ctx context.Context, course uuid.UUID, number int64) (CurriculumVersion, error)
}

type shelfRows interface {
	InsertCategory(ctx context.Context, c Category) error
	UpdateCategory(ctx context.Context, c Category) error
	DeleteCategory(ctx context.Context, id uuid.UUID) error
	Category(ctx context.Context, id uuid.UUID) (Category, error)
	// LockCategories makes changes of a tenant's tree one after the other.
	LockCategories(ctx context.Context, tenant uuid.UUID) error
	// CategoryPath is the category and all above it.
	CategoryPath(ctx context.Context, id uuid.UUID) ([]Category, error)
	CategoryUse(ctx context.Context, id uuid.UUID) (courses, children int, err error)
	// CategoryHeight is the number of levels below the category.
	CategoryHeight(ctx context.Context, id uuid.UUID) (int, error)
	ListCategories(ctx context.Context, f ShelfFilter, p page.Request) (page.Page[Category], error)

	InsertTerm(ctx context.Context, t Term) error
	UpdateTerm(ctx context.Context, t Term) error
	DeleteTerm(ctx context.Context, id uuid.UUID) error
	Term(ctx context.Context, id uuid.UUID) (Term, error)
	TermUse(ctx context.Context, id uuid.UUID) (int, error)
	ListTerms(ctx context.Context, f ShelfFilter, p page.Request) (page.Page[Term], error)

	InsertTemplate(ctx context.Context, t Template) error
	DeleteTemplate(ctx context.Context, id uuid.UUID) error
	Template(ctx context.Context, id uuid.UUID) (Template, error)
	ListTemplates(ctx context.Context, f ShelfFilter, p page.Request) (page.Page[Template], error)

	InsertAnnouncement(ctx context.Context, a Announcement) error
	UpdateAnnouncement(ctx context.Context, a Announcement) error
	DeleteAnnouncement(ctx context.Context, id uuid.UUID) error
	Announcement(ctx context.Context, id uuid.UUID) (Announcement, error)
	LockAnnouncement(ctx context.Context, id uuid.UUID) (Announcement, error)
	ListAnnouncements(ctx context.Context, course uuid.UUID, all bool, p page.Request) (page.Page[Announcement], error)
	DueAnnouncements(ctx context.Context, now time.Time, limit int) ([]Announcement, error)

	InsertUpload(ctx context.Context, u Upload) error
	Upload(ctx context.Context, id uuid.UUID) (Upload, error)
	DeleteUpload(ctx context.Context, id uuid.UUID) error
	OldUploads(ctx context.Context, before time.Time, limit int) ([]Upload, error)
}

type partRows interface {
	// InsertPart notes a part; one that is noted already stays as it is.
	InsertPart(ctx context.Context, p Part) error
	LockPart(ctx context.Context, transfer, resource uuid.UUID) (Part, error)
	UpdatePart(ctx context.Context, p Part) error
	// Parts are those of a transfer in the order in which they were asked for.
	Parts(ctx context.Context, transfer uuid.UUID) ([]Part, error)
	PurgeParts(ctx context.Context, before time.Time) error
}

type personRows interface {
	// StaffOf are the staff rows of a person.
	StaffOf(ctx context.Context, user uuid.UUID) ([]StaffMember, error)
	AnnouncementsBy(ctx context.Context, user uuid.UUID) ([]Announcement, error)
	ViewsBy(ctx context.Context, user uuid.UUID) ([]View, error)
	// Forget replaces the person by the pseudonym where something must stay, and
	// deletes the rest. It gives back how many rows were kept under the pseudonym.
	Forget(ctx context.Context, user, pseudonym uuid.UUID) (kept int64, err error)
	// InsertViews notes views and gives back those that were new for their day.
	InsertViews(ctx context.Context, views []View) ([]View, error)
	PurgeViews(ctx context.Context, before time.Time) error
}

// People is what course asks user.
type People interface {
	Cards(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]Person, error)
}

// Person is what others may see of a person.
type Person struct {
	ID        uuid.UUID
	TenantID  uuid.UUID
	Name      string
	AvatarURL string
	Active    bool
}

// Membership is what course asks enrollment.
type Membership interface {
	// May says whether the person may see the course, or with an item that item.
	May(ctx context.Context, user, course uuid.UUID, item *uuid.UUID) (Verdict, error)
	// CoursesOf are the courses in which the person is enrolled.
	CoursesOf(ctx context.Context, user uuid.UUID) ([]uuid.UUID, error)
}

// Verdict is the answer to May. Reasons are enrollment's, passed on as they are
// (rule 11).
type Verdict struct {
	Allowed  bool
	Enrolled bool
	Reasons  any
}

// Text turns what people write into what is safe to show.
type Text interface {
	// HTML keeps only harmless markup.
	HTML(raw string) string
	// Plain is the text without any markup.
	Plain(raw string) string
}

// Head is what a decision about a course needs.
type Head struct {
	ID                uuid.UUID
	TenantID          uuid.UUID
	OrgUnitID         uuid.UUID
	Status            string
	Visibility        string
	Title             string
	Version           int64
	CurriculumVersion int64
	// StaffRole is the caller's active role in the course, or "".
	StaffRole string
}

// View is one look of a person at a course on a day.
type View struct {
	CourseID  uuid.UUID
	TenantID  uuid.UUID
	OrgUnitID uuid.UUID
	UserID    uuid.UUID
	Day       time.Time
	ViewedAt  time.Time
}

// Usage is one place of a resource.
type Usage struct {
	CourseID     uuid.UUID
	CourseTitle  string
	CourseStatus string
	ModuleID     uuid.UUID
	ItemID       uuid.UUID
	ItemTitle    string
	PlacedAt     time.Time
}

// ShelfFilter limits lists of categories, terms and templates. A nil Tenant is
// every tenant.
type ShelfFilter struct {
	Tenant   *uuid.UUID
	OrgUnits []uuid.UUID
	Query    string
	ParentID *uuid.UUID
	Roots    bool
	Sort     string // of terms and templates; "" is the usual order
}

// Sorts of a list of courses; a leading "-" turns them round.
var Sorts = []string{"-created_at", "created_at", "title", "-title", "-updated_at", "updated_at", "starts_at", "-starts_at", "code", "-code"}

// CourseFilter limits a list of courses. Empty fields do not limit.
type CourseFilter struct {
	Query          string
	Status         string
	Visibility     string
	CategoryID     *uuid.UUID
	TermID         *uuid.UUID
	Tag            string
	Language       string
	Level          string
	OrgUnits       []uuid.UUID
	ExternalSource string
	ExternalID     string
	StaffUser      *uuid.UUID
	UpdatedSince   *time.Time
	Sort           string

	// What the caller may see; filled by the service layer.
	Tenant   *uuid.UUID
	Reach    authz.Reach
	Viewer   uuid.UUID
	Enrolled []uuid.UUID
}

func (c Course) head(role string) Head {
	return Head{
		ID: c.ID, TenantID: c.TenantID, OrgUnitID: c.OrgUnitID, Status: c.Status, Visibility: c.Visibility, Title: c.Title,
		Version: c.Version, CurriculumVersion: c.CurriculumVersion, StaffRole: role,
	}
}

func (c Course) meta() work.Meta {
	return work.Meta{TenantID: c.TenantID, OrgUnitID: c.OrgUnitID, CourseID: c.ID}
}

func (c Course) audit(action string, changes map[string]work.Change) work.AuditEntry {
	return work.AuditEntry{
		Action: action, ResourceType: "course", ResourceID: c.ID, TenantID: c.TenantID, OrgUnitID: c.OrgUnitID, Changes: changes,
	}
}
