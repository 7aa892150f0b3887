package coursework

import (
	"time"

	"github.com/google/uuid"

	"lms/shared/contracts/events"
)

// Points are whole hundredths, exactly.
type Points = events.Hundredths

// Kinds of grading.
const (
	GradePoints    = "points"
	GradePercent   = "percent"
	GradeLetter    = "letter"
	GradePassFail  = "pass_fail"
	GradeGPA       = "gpa"
	GradeNotGraded = "not_graded"
)

// Kinds of what may be handed in; several may be allowed together.
const (
	SubmitText = "text"
	SubmitFile = "file"
	SubmitLink = "link"
)

// Posting policies (rule 25).
const (
	PostAutomatic = "automatic"
	PostManual    = "manual"
)

// Manual statuses of a grade: they override the clock (rule 18).
const (
	StatusLate    = "late"
	StatusMissing = "missing"
	StatusNone    = "none"
)

// AssignmentFields are what staff set.
type AssignmentFields struct {
	GroupID         *uuid.UUID `json:"group_id"` // of assignment_groups
	Position        int        `json:"position"`
	Title           string     `json:"title"`
	Description     string     `json:"description"` // sanitised HTML
	GradingType     string     `json:"grading_type"`
	SchemeID        *uuid.UUID `json:"scheme_id"` // nil: the course's
	Points          Points     `json:"points"`
	ExtraPoints     Points     `json:"extra_points"`    // by so much a score may be above Points
	OmitFromFinal   bool       `json:"omit_from_final"` // rule 24
	DueAt           *time.Time `json:"due_at"`
	AvailableFrom   *time.Time `json:"available_from"`
	CutoffAt        *time.Time `json:"cutoff_at"`
	LockAt          *time.Time `json:"lock_at"`
	SubmissionTypes []string   `json:"submission_types"` // none: nothing is handed in here
	FileExtensions  []string   `json:"file_extensions"`  // lower case, without the dot; none: any
	MaxFiles        int        `json:"max_files"`
	MaxFileBytes    int64      `json:"max_file_bytes"`
	Attempts        *int       `json:"attempts"`     // nil: unlimited
	GroupSetID      *uuid.UUID `json:"group_set_id"` // group work: one submission per group of the set
	Anonymous       bool       `json:"anonymous"`
	Posting         string     `json:"posting"`
	RubricID        *uuid.UUID `json:"rubric_id"`
	RubricRevision  *int       `json:"rubric_revision"` // of RubricID
}

// Expects says whether something is to be handed in here.
func (f AssignmentFields) Expects() bool { return len(f.SubmissionTypes) > 0 }

// Assignment is a piece of work that a course asks for.
type Assignment struct {
	ID        uuid.UUID
	TenantID  uuid.UUID
	OrgUnitID uuid.UUID
	CourseID  uuid.UUID
	AssignmentFields
	Published        bool
	PublishedAt      *time.Time // first
	DueSoonToldFor   *time.Time
	DueSoonSweptAt   *time.Time
	MissingCheckedAt *time.Time
	DeletedAt        *time.Time
	CreatedBy        *uuid.UUID
	CreatedAt        time.Time
	UpdatedAt        time.Time
	Version          int64
}

// Subjects of an override.
const (
	OverrideUser  = "user"
	OverrideGroup = "group" // a group or a cohort
)

// Override is other dates for a person or a group; what is nil is not overridden
// (rule 21).
type Override struct {
	AssignmentID      uuid.UUID
	Kind              string
	SubjectID         uuid.UUID
	TenantID          uuid.UUID
	DueAt             *time.Time
	AvailableFrom     *time.Time
	CutoffAt          *time.Time
	Attempts          *int
	UnlimitedAttempts bool
	Reason            string
	CreatedBy         *uuid.UUID
	CreatedAt         time.Time
	UpdatedAt         time.Time
	Version           int64
}

// Submission is one attempt; it counts for its members.
type Submission struct {
	ID           uuid.UUID
	TenantID     uuid.UUID
	OrgUnitID    uuid.UUID
	CourseID     uuid.UUID
	AssignmentID uuid.UUID
	UserID       uuid.UUID // who handed it in
	GroupID      *uuid.UUID
	MemberIDs    []uuid.UUID
	Attempt      int
	Body         string // sanitised HTML
	Links        []string
	SubmittedAt  time.Time // the server's receipt time
	DueAt        *time.Time
	SecondsLate  int64
	WithdrawnAt  *time.Time
	WithdrawnBy  *uuid.UUID
	Version      int64
}

// File is a file on its way in (SubmissionID nil) or handed in.
type File struct {
	ID           uuid.UUID
	TenantID     uuid.UUID
	CourseID     uuid.UUID
	AssignmentID uuid.UUID
	UserID       uuid.UUID
	SubmissionID *uuid.UUID
	Position     int
	Filename     string
	DeclaredType string
	MediaType    string // what the stored bytes show; "" until verified
	Size         int64
	SHA256       string
	ObjectKey    string
	CreatedAt    time.Time
	CompletedAt  *time.Time
	ExpiresAt    time.Time
}

// FirstVersion is the version of a grade that has no row yet.
const FirstVersion = 1

// Grade is where one person stands in one assignment. Entered score and deduction
// are kept apart (rule 20).
type Grade struct {
	ID           uuid.UUID
	TenantID     uuid.UUID
	OrgUnitID    uuid.UUID
	CourseID     uuid.UUID
	AssignmentID uuid.UUID
	UserID       uuid.UUID
	Alias        uuid.UUID // whom anonymous graders see

	SubmissionID *uuid.UUID // the newest that was not withdrawn
	GroupID      *uuid.UUID
	SubmittedAt  *time.Time
	Attempts     int // numbered so far
	AttemptsUsed int // not withdrawn
	DueAt        *time.Time
	SecondsLate  int64 // by the clock

	EnteredGrade     string
	EnteredScore     *Points
	Status           *string
	StatusSeconds    *int64
	ExcusedAt        *time.Time
	Individual       bool // group work: graded apart from the group
	GradedAt         *time.Time
	GraderID         *uuid.UUID
	GradedSubmission *uuid.UUID

	Deduction    Points     // rule 16
	MissingScore *Points    // rule 18
	MissingAt    *time.Time // missing since, as it was told
	Score        *Points    // derived: entered − deduction, or the missing score

	PostedAt  *time.Time // rule 25
	Hidden    bool       // taken back by staff
	CreatedAt time.Time
	UpdatedAt time.Time
	Version   int64
}

// Causes of a change in the history of a grade.
const (
	CauseSubmitted  = "submitted"
	CauseWithdrawn  = "withdrawn"
	CauseGraded     = "graded"
	CauseBulk       = "bulk"
	CauseImport     = "import"
	CauseDeleted    = "deleted"
	CausePosted     = "posted"
	CauseHidden     = "hidden"
	CauseOverride   = "override"
	CauseDates      = "dates"
	CausePolicy     = "policy"
	CauseMissing    = "missing"
	CauseMerged     = "merged"
	CauseRecomputed = "recomputed"
)

// Person is what user said of somebody who may not act, or is forgotten.
type Person struct {
	UserID    uuid.UUID
	TenantID  uuid.UUID
	Status    string
	UpdatedAt time.Time
}

// Statuses of a Person.
const (
	PersonActive      = "active"
	PersonDeactivated = "deactivated"
	PersonDeleted     = "deleted"
	PersonMerged      = "merged"
	PersonErased      = "erased"
)

// Comment is what somebody wrote about a submission.
type Comment struct {
	ID           uuid.UUID
	TenantID     uuid.UUID
	CourseID     uuid.UUID
	AssignmentID uuid.UUID
	SubmissionID uuid.UUID
	AuthorID     uuid.UUID
	ByStaff      bool
	Body         string
	CreatedAt    time.Time
}

// Change is one entry of the history of a grade.
type Change struct {
	ID           uuid.UUID
	TenantID     uuid.UUID
	CourseID     uuid.UUID
	AssignmentID uuid.UUID
	GradeID      uuid.UUID
	UserID       uuid.UUID
	At           time.Time
	ActorID      *uuid.UUID // nil: a rule of the system
	Cause        string
	Note         string
	Before       *Snapshot
	After        Snapshot
}

// Snapshot is a grade as its history keeps it: enough to compute the numbers again.
type Snapshot struct {
	SubmissionID  *uuid.UUID `json:"submission_id,omitempty"`
	SubmittedAt   *time.Time `json:"submitted_at,omitempty"`
	Attempts      int        `json:"attempts,omitempty"`
	DueAt         *time.Time `json:"due_at,omitempty"`
	SecondsLate   int64      `json:"seconds_late,omitempty"`
	Possible      Points     `json:"possible"`
	EnteredGrade  string     `json:"entered_grade,omitempty"`
	EnteredScore  *Points    `json:"entered_score,omitempty"`
	Status        *string    `json:"status,omitempty"`
	StatusSeconds *int64     `json:"status_seconds,omitempty"`
	ExcusedAt     *time.Time `json:"excused_at,omitempty"`
	GradedAt      *time.Time `json:"graded_at,omitempty"`
	Deduction     Points     `json:"deduction,omitempty"`
	MissingScore  *Points    `json:"missing_score,omitempty"`
	Score         *Points    `json:"score,omitempty"`
	PostedAt      *time.Time `json:"posted_at,omitempty"`
	Hidden        bool       `json:"hidden,omitempty"`
	Individual    bool       `json:"individual,omitempty"`
	Ratings       []Rating   `json:"ratings,omitempty"`
}

// snapshot is the grade as its history keeps it.
func (g Grade) snapshot(a Assignment, ratings []Rating) Snapshot {
	return Snapshot{
		SubmissionID: g.SubmissionID, SubmittedAt: g.SubmittedAt, Attempts: g.Attempts, DueAt: g.DueAt, SecondsLate: g.SecondsLate,
		Possible: a.Points, EnteredGrade: g.EnteredGrade, EnteredScore: g.EnteredScore, Status: g.Status, StatusSeconds: g.StatusSeconds,
		ExcusedAt: g.ExcusedAt, GradedAt: g.GradedAt, Deduction: g.Deduction, MissingScore: g.MissingScore, Score: g.Score,
		PostedAt: g.PostedAt, Hidden: g.Hidden, Individual: g.Individual, Ratings: ratings,
	}
}
