package coursework

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/grading"
	"lms/shared/page"
)

// GradebookTx is the rows by which a course counts, and its totals.
type GradebookTx interface {
	// Grading reads how a course counts: the default where nobody set anything.
	Grading(ctx context.Context, course uuid.UUID) (Grading, error)
	// ShareGrading reads it so that it stays until the commit; it makes the row.
	ShareGrading(ctx context.Context, in Grading) (Grading, error)
	// LockGrading reads it for a change; it makes the row.
	LockGrading(ctx context.Context, in Grading) (Grading, error)
	SaveGrading(ctx context.Context, g Grading) error

	InsertScheme(ctx context.Context, s Scheme) error
	Scheme(ctx context.Context, id uuid.UUID) (Scheme, error)
	// ListSchemes lists those of org units and, if one is given, of a course.
	ListSchemes(ctx context.Context, f SchemeFilter, p page.Request) (page.Page[Scheme], error)

	InsertGroup(ctx context.Context, g Group) error
	Group(ctx context.Context, id uuid.UUID) (Group, error)
	LockGroupRow(ctx context.Context, id uuid.UUID) (Group, error)
	UpdateGroup(ctx context.Context, g Group) error
	DeleteGroup(ctx context.Context, id uuid.UUID) error
	// MoveGroup puts what is in a group into another, or none, and gives the
	// assignments among it.
	MoveGroup(ctx context.Context, from uuid.UUID, to *uuid.UUID, now time.Time) ([]Assignment, error)
	Groups(ctx context.Context, course uuid.UUID) ([]Group, error)

	// QuizColumn reads one; nil for none.
	QuizColumn(ctx context.Context, id uuid.UUID) (*QuizColumn, error)
	LockQuizColumn(ctx context.Context, id uuid.UUID) (*QuizColumn, error)
	SaveQuizColumn(ctx context.Context, c QuizColumn) error
	QuizzesDue(ctx context.Context, before time.Time, limit int) ([]QuizColumn, error)
	// OwnDue are people whose own due time lies in a span, who have nothing and are
	// not said to miss it.
	OwnDue(ctx context.Context, from, to time.Time, limit int) ([]OwnDue, error)
	SetQuizChecked(ctx context.Context, id uuid.UUID, due time.Time) error
	// EnsureQuizScores makes rows for those who have none, and locks all.
	EnsureQuizScores(ctx context.Context, fresh []QuizScore) ([]QuizScore, error)
	// LockQuizScores locks the next ones of a quiz in the order of users.
	LockQuizScores(ctx context.Context, quiz, after uuid.UUID, limit int) ([]QuizScore, error)
	SaveQuizScore(ctx context.Context, q QuizScore) error
	InsertQuizChange(ctx context.Context, h QuizChange) error
	QuizzesOf(ctx context.Context, course uuid.UUID) ([]QuizColumn, error)
	AssignmentsOf(ctx context.Context, course uuid.UUID) ([]uuid.UUID, error)

	// Counting reads how a course counts, and the scores of some people.
	Counting(ctx context.Context, course uuid.UUID, users []uuid.UUID) (Counting, []ScoredItem, error)
	// LockTotals makes rows for those who have none, and locks all in one order.
	LockTotals(ctx context.Context, fresh []CourseTotal) ([]CourseTotal, error)
	SaveTotals(ctx context.Context, list []CourseTotal) error
	// TotalsOf reads those of some people.
	TotalsOf(ctx context.Context, course uuid.UUID, users []uuid.UUID) ([]CourseTotal, error)
	TotalsAfter(ctx context.Context, after uuid.UUID, limit int) ([]CourseTotal, error)
	// CoursesBehind are courses in which some totals are older than what they
	// depend on; TotalsBehind are the people.
	CoursesBehind(ctx context.Context, limit int) ([]Grading, error)
	TotalsBehind(ctx context.Context, course uuid.UUID, revision int64, limit int) ([]uuid.UUID, error)
	SetCounted(ctx context.Context, course uuid.UUID, revision int64) error
	InsertFinalChange(ctx context.Context, h FinalChange) error
	FinalHistory(ctx context.Context, total uuid.UUID) ([]FinalChange, error)

	// Cells calls fn for each cell of some people.
	Cells(ctx context.Context, course uuid.UUID, users []uuid.UUID, fn func(*Cell)) error
	// Deducted are the columns in which lateness has taken something.
	Deducted(ctx context.Context, course uuid.UUID) ([]uuid.UUID, error)
	// GradedPeople are all who have anything in a course.
	GradedPeople(ctx context.Context, course uuid.UUID) ([]uuid.UUID, error)
	// GradesToCheck and QuizScoresToCheck page through everything by id.
	GradesToCheck(ctx context.Context, after uuid.UUID, limit int) ([]Grade, error)
	QuizScoresToCheck(ctx context.Context, after uuid.UUID, limit int) ([]QuizScore, error)

	// EraseGradebook puts a pseudonym in a person's place.
	EraseGradebook(ctx context.Context, user, pseudonym uuid.UUID) error
	ReassignQuizScores(ctx context.Context, from, to uuid.UUID) error
	// CountedIn are the courses in which a person has totals.
	CountedIn(ctx context.Context, user uuid.UUID) ([]Place, error)
	GradebookData(ctx context.Context, user uuid.UUID) (map[string]json.RawMessage, error)
}

// Scheme is a grading scheme: of an org unit for all courses in and below it, or of
// one course.
type Scheme struct {
	ID        uuid.UUID
	TenantID  uuid.UUID
	OrgUnitID uuid.UUID
	CourseID  *uuid.UUID
	Name      string
	Grades    grading.Scheme
	CreatedBy *uuid.UUID
	CreatedAt time.Time
}

// SchemeFilter selects schemes.
type SchemeFilter struct {
	OrgUnits []uuid.UUID // whose schemes are seen
	CourseID *uuid.UUID
}

// Group is a group of assignments and quizzes (rules 22, 23).
type Group struct {
	ID          uuid.UUID
	TenantID    uuid.UUID
	OrgUnitID   uuid.UUID
	CourseID    uuid.UUID
	Name        string
	Position    int
	Weight      Points // percent
	DropLowest  int
	DropHighest int
	NeverDrop   []uuid.UUID
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Version     int64
}

// FinalChange is one entry of the history of a final grade that staff set.
type FinalChange struct {
	ID       uuid.UUID
	TenantID uuid.UUID
	TotalID  uuid.UUID
	At       time.Time
	ActorID  *uuid.UUID
	Note     string
	Before   *Points
	After    *Points
}

// Cell is where one person stands in one column.
type Cell struct {
	UserID       uuid.UUID
	ColumnID     uuid.UUID
	EnteredGrade string
	Entered      *Points
	Deduction    Points
	Score        *Points
	Excused      bool
	Status       *string
	StatusLate   *int64
	SubmittedAt  *time.Time
	DueAt        *time.Time
	Waiting      bool // handed in, and no grader has seen it; a quiz that awaits one
	Posted       bool
	UpdatedAt    time.Time
	Version      int64
}
