package enrollment

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/enrollment/internal/progress"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/page"
	"lms/shared/work"
)

// Store opens transactions.
type Store interface {
	InTx(ctx context.Context, sc work.Scope, fn func(context.Context, Tx) error) error
	Read(ctx context.Context, sc work.Scope, fn func(context.Context, Tx) error) error
	// Look and Mine are what is read most: each is one round trip.
	Look(ctx context.Context, sc work.Scope, course, user uuid.UUID) (Look, error)
	Mine(ctx context.Context, sc work.Scope, f MineFilter, p page.Request) (page.Page[Listed], error)
}

// Look is a course as one person stands to it.
type Look struct {
	Course Course
	Role   string // in the staff, "" for none
	Person *Person
	// Learner is nil for who has no enrollment.
	Learner *Learner
}

// Tx is what a transaction can do: the kit's verbs and this service's rows.
type Tx interface {
	work.Unit
	CourseTx
	EnrollmentTx
	LearningTx
	RightsTx
	PeopleTx
	ListTx
}

// CourseTx is the copy of courses, and their seats.
type CourseTx interface {
	// Course reads a course and the role that a person has in its staff, "" for
	// none.
	Course(ctx context.Context, id, person uuid.UUID) (Course, string, error)
	// UpsertCourses stores snapshots with their staff where they are newer. It gives
	// the copies before, by id, of those that were: nil for a course that is new.
	UpsertCourses(ctx context.Context, snapshots []CourseSnapshot, now time.Time) (map[uuid.UUID]*Course, error)
	// InsertCurricula stores versions of curricula; the newest of a course becomes
	// the current one. It says for which courses that changed.
	InsertCurricula(ctx context.Context, docs []CurriculumSnapshot) ([]uuid.UUID, error)
	// Curriculum reads one version.
	Curriculum(ctx context.Context, course uuid.UUID, seq int64) (events.CurriculumState, error)
	// PruneCurricula deletes versions that no progress was made under any more.
	PruneCurricula(ctx context.Context, limit int) (int64, error)
	// LockSeats locks the row of a limited course and counts its seats.
	LockSeats(ctx context.Context, course uuid.UUID, now time.Time) (Seats, error)
	// DrawNumber gives the next number of the waiting list, under the row's lock.
	DrawNumber(ctx context.Context, course uuid.UUID) (int64, error)
	SetSeatsState(ctx context.Context, course uuid.UUID, state string) error
	// SetPriced notes whether payment has a price for a course, which need not be known
	// yet.
	SetPriced(ctx context.Context, course, tenant uuid.UUID, priced bool, now time.Time) error
	// CoursesToPromote are courses with a waiting list and, as far as can be seen
	// without a lock, a free seat.
	CoursesToPromote(ctx context.Context, now time.Time, skip []uuid.UUID, limit int) ([]uuid.UUID, error)
	// FindCourses finds a tenant's courses by code, or by external id of a source.
	FindCourses(ctx context.Context, tenant uuid.UUID, code, source, externalID string) ([]Course, error)
}

// EnrollmentTx is the rows of enrollments.
type EnrollmentTx interface {
	// Standing locks the row of a limited course, then the person's enrollment, and
	// reads all else that decides whether the person gets in.
	Standing(ctx context.Context, course, user uuid.UUID, now time.Time) (Standing, error)
	// StandingOf is Standing of an enrollment; NotFound for none.
	StandingOf(ctx context.Context, id uuid.UUID, now time.Time) (Standing, error)
	InsertEnrollment(ctx context.Context, e Enrollment) error
	// UpdateEnrollment writes all but identity, and raises the version.
	UpdateEnrollment(ctx context.Context, e *Enrollment) error
	// Waiting are those of a waiting list behind a number, in order (rule 32).
	Waiting(ctx context.Context, course uuid.UUID, after int64, limit int) ([]Waiter, error)
	// DueEnrollments are ids of enrollments whose date came: access ended, answer
	// overdue. What a sweep finds leaves skip out.
	DueEnrollments(ctx context.Context, now time.Time, skip []uuid.UUID, limit int) ([]uuid.UUID, error)
	// ExpiringSoon are ids of active enrollments that end before a time and whose
	// people were not told.
	ExpiringSoon(ctx context.Context, now, until time.Time, skip []uuid.UUID, limit int) ([]uuid.UUID, error)
	EnrollmentsOf(ctx context.Context, user uuid.UUID) ([]Enrollment, error)
	// LiveEnrollments pages through a course's enrollments that have not ended.
	LiveEnrollments(ctx context.Context, course, after uuid.UUID, limit int) ([]uuid.UUID, error)
}

// Waiter is a place on a waiting list.
type Waiter struct {
	ID     uuid.UUID
	Number int64
}

// LearningTx is progress.
type LearningTx interface {
	// LockLearner locks a person's enrollment and reads the record of progress.
	LockLearner(ctx context.Context, course, user uuid.UUID) (Learner, error)
	// Learner reads the same without a lock; see also Store.Look.
	Learner(ctx context.Context, course, user uuid.UUID) (Learner, error)
	// LockLearners does so for many enrollments at once, in the order of their ids.
	LockLearners(ctx context.Context, ids []uuid.UUID) ([]Learner, error)
	// BehindLearners are enrollments of a course whose progress was stored under an
	// older curriculum.
	BehindLearners(ctx context.Context, course uuid.UUID, seq int64, after uuid.UUID, limit int) ([]uuid.UUID, error)
	// DueLearners are enrollments where time alone may have opened something.
	DueLearners(ctx context.Context, now time.Time, skip []uuid.UUID, limit int) ([]uuid.UUID, error)
	// JudgedLearners pages through all enrollments that have progress.
	JudgedLearners(ctx context.Context, after uuid.UUID, limit int) ([]uuid.UUID, error)
	SaveProgress(ctx context.Context, saves []ProgressSave) error
	// ClearProgress deletes all progress of an enrollment.
	ClearProgress(ctx context.Context, enrollment uuid.UUID) error
}

// Learner is an enrollment with what is stored of its progress.
type Learner struct {
	Enrollment Enrollment
	Course     Course
	Record     progress.Record
	Modules    map[uuid.UUID]ModuleRow
	// Subjects are the stored item rows, to see what has changed.
	Subjects map[uuid.UUID]SubjectRow
	Person   *Person

	seen *progress.View // the view that was made already, at the same moment
}

// ModuleRow is a stored row of a module, derived but for what is kept (rule 8).
type ModuleRow struct {
	EnrollmentID uuid.UUID
	ModuleID     uuid.UUID
	TenantID     uuid.UUID
	State        string
	Needed, Met  int
	UnlockedAt   *time.Time
	CompletedAt  *time.Time
	KeptAt       *time.Time
	KeptItems    []uuid.UUID
	UpdatedAt    time.Time
}

// SubjectRow is a stored row of a subject: facts, and the places that are
// completed with their times, one to one.
type SubjectRow struct {
	EnrollmentID   uuid.UUID
	SubjectID      uuid.UUID
	TenantID       uuid.UUID
	ViewedAt       *time.Time
	DoneAt         *time.Time
	SubmittedAt    *time.Time
	Watched        int
	Score          *events.Hundredths
	Possible       *events.Hundredths
	GradedAt       *time.Time
	ExcusedAt      *time.Time
	CompletedItems []uuid.UUID
	CompletedTimes []time.Time
	UpdatedAt      time.Time
}

// ProgressSave is what changed of one learner.
type ProgressSave struct {
	Owner uuid.UUID // the enrollment's id
	// Enrollment is nil where its row is written by itself.
	Enrollment  *Enrollment
	Subjects    []SubjectRow
	Modules     []ModuleRow
	GoneModules []uuid.UUID
}

// RightsTx is holds, entitlements, join codes and certificates.
type RightsTx interface {
	Hold(ctx context.Context, id uuid.UUID) (*Hold, error)
	SaveHold(ctx context.Context, h Hold) error
	// LapsedHolds are ids of held ones whose time is over.
	LapsedHolds(ctx context.Context, now time.Time, skip []uuid.UUID, limit int) ([]uuid.UUID, error)
	SaveEntitlement(ctx context.Context, e Entitlement) error
	// Entitlements of a person in a course, the longest lasting first.
	Entitlements(ctx context.Context, course, user uuid.UUID) ([]Entitlement, error)

	InsertJoinCode(ctx context.Context, c JoinCode) error
	JoinCodes(ctx context.Context, course uuid.UUID, p page.Request) (page.Page[JoinCode], error)
	JoinCode(ctx context.Context, id uuid.UUID) (JoinCode, error)
	JoinCodeByText(ctx context.Context, code string) (JoinCode, error)
	// UseJoinCode counts a use; false when there is none left or it is over.
	UseJoinCode(ctx context.Context, id uuid.UUID, now time.Time) (bool, error)
	RevokeJoinCode(ctx context.Context, id uuid.UUID, now time.Time) error

	InsertCertificate(ctx context.Context, c Certificate) error
	Certificate(ctx context.Context, id uuid.UUID) (Certificate, error)
	CertificateOf(ctx context.Context, enrollment uuid.UUID) (*Certificate, error)
	CertificateByCode(ctx context.Context, code string) (Certificate, error)
	RevokeCertificate(ctx context.Context, c Certificate) error
	Certificates(ctx context.Context, f CertificateFilter, p page.Request) (page.Page[Certificate], error)
	Allowlist(ctx context.Context, course uuid.UUID, p page.Request) (page.Page[Allowed], error)
	IsAllowed(ctx context.Context, course, user uuid.UUID) (bool, error)
	// Allow adds a person; false when the person was there already.
	Allow(ctx context.Context, a Allowed) (bool, error)
	Disallow(ctx context.Context, course, user uuid.UUID) (bool, error)

	SetCalendarToken(ctx context.Context, user, tenant uuid.UUID, hash []byte, now time.Time) error
	DeleteCalendarToken(ctx context.Context, user uuid.UUID) (bool, error)
	CalendarOwner(ctx context.Context, hash []byte) (user, tenant uuid.UUID, err error)
}

// PeopleTx is what concerns persons as such.
type PeopleTx interface {
	SavePerson(ctx context.Context, p Person) error
	Person(ctx context.Context, user uuid.UUID) (*Person, error)
	// ErasePerson deletes or pseudonymises every row of a person.
	ErasePerson(ctx context.Context, user, pseudonym uuid.UUID) error
	// MoveRights gives entitlements, certificates, places on allowlists and seats
	// held for a checkout to another person. It names the held ones that stay, since
	// the other holds a seat in that course already.
	MoveRights(ctx context.Context, from, to uuid.UUID) (held []uuid.UUID, err error)
	// ReassignEnrollment gives a row to another person, who has none in the course.
	ReassignEnrollment(ctx context.Context, id, to uuid.UUID) error
	// SwapEnrollments gives from's row in a course to to, and to's to from.
	SwapEnrollments(ctx context.Context, froms, tos, from, to uuid.UUID) error
	// MoveBelongings gives a row's certificate, and its external id, to another row
	// that has none.
	MoveBelongings(ctx context.Context, row, to uuid.UUID) error
	// PersonalData is every section of a person's data as JSON arrays.
	PersonalData(ctx context.Context, user uuid.UUID) (map[string][]byte, error)
}

// ListTx is the lists that people read.
type ListTx interface {
	Roster(ctx context.Context, f RosterFilter, p page.Request) (page.Page[Listed], error)
	Mine(ctx context.Context, f MineFilter, p page.Request) (page.Page[Listed], error)
	Get(ctx context.Context, id, viewer uuid.UUID) (Listed, error)
	Waitlist(ctx context.Context, course uuid.UUID, p page.Request) (page.Page[Listed], error)
	Summary(ctx context.Context, course uuid.UUID) (Summary, error)
	Members(ctx context.Context, course uuid.UUID, states []State, staff bool, after uuid.UUID, limit int) ([]Member, error)
	CoursesOf(ctx context.Context, user uuid.UUID) ([]Belonging, error)
	RefundFacts(ctx context.Context, course, user uuid.UUID) (ever bool, starts *time.Time, err error)
	// EntitlementStandings are those of the ids that are known.
	EntitlementStandings(ctx context.Context, ids []uuid.UUID) ([]EntitlementStanding, error)
}

// CourseSnapshot is a course as course tells it.
type CourseSnapshot struct {
	State events.CourseState
	Seq   int64
}

// CurriculumSnapshot is a curriculum as course tells it.
type CurriculumSnapshot struct {
	State events.CurriculumState
	Seq   int64
}

// CourseSource asks course; the answer is nil for a course that never was.
type CourseSource interface {
	Course(ctx context.Context, id uuid.UUID) (*CourseSnapshot, *CurriculumSnapshot, error)
}

// Card is what may be shown of a person.
type Card struct {
	ID        uuid.UUID
	TenantID  uuid.UUID
	Name      string
	SortName  string
	AvatarURL string
	Status    string
}

// Directory asks user.
type Directory interface {
	// Cards of people; who is not known or erased is not in the map.
	Cards(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]Card, error)
	// GroupMembers are all members of the groups; 422 for a group that actor may not
	// see.
	GroupMembers(ctx context.Context, actor uuid.UUID, groups []uuid.UUID) ([]uuid.UUID, error)
	// SeesGroups is nil when actor may see the groups, 422 otherwise.
	SeesGroups(ctx context.Context, actor uuid.UUID, groups []uuid.UUID) error
}

// Scope of a caller's rows.
func scopeOf(p authz.Principal) work.Scope { return work.ScopeOf(p) }
