package coursework

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"lms/shared/page"
	"lms/shared/work"
)

// Store opens transactions.
type Store interface {
	InTx(ctx context.Context, sc work.Scope, fn func(context.Context, Tx) error) error
	Read(ctx context.Context, sc work.Scope, fn func(context.Context, Tx) error) error
}

// Tx is what a transaction can do: the kit's verbs and this service's rows.
type Tx interface {
	work.Unit
	AssignmentTx
	SubmissionTx
	GradeTx
	RubricTx
	SweepTx
	PeopleTx
	GradebookTx
}

// AssignmentTx is the rows of assignments and their overrides.
type AssignmentTx interface {
	InsertAssignment(ctx context.Context, a Assignment) error
	// UpdateAssignment writes all but identity where the version is one less.
	UpdateAssignment(ctx context.Context, a Assignment) error
	// Assignment reads one that is not deleted; NotFound for none.
	Assignment(ctx context.Context, id uuid.UUID) (Assignment, error)
	// HasAssignment says whether there is or was one.
	HasAssignment(ctx context.Context, id uuid.UUID) (bool, error)
	// LockAssignment is Assignment for a change, ShareAssignment keeps it as it is
	// until the commit.
	LockAssignment(ctx context.Context, id uuid.UUID) (Assignment, error)
	ShareAssignment(ctx context.Context, id uuid.UUID) (Assignment, error)
	ListAssignments(ctx context.Context, f AssignmentFilter, p page.Request) (page.Page[Assignment], error)
	// HasWork says whether anybody handed something in or has a grade.
	HasWork(ctx context.Context, assignment uuid.UUID) (bool, error)

	Overrides(ctx context.Context, assignment uuid.UUID) ([]Override, error)
	// LockOverride reads one for a change; nil for none.
	LockOverride(ctx context.Context, assignment uuid.UUID, kind string, subject uuid.UUID) (*Override, error)
	// SaveOverride writes one, new where its version is 1: a race for that is a
	// VersionMismatch.
	SaveOverride(ctx context.Context, o Override) error
	DeleteOverride(ctx context.Context, o Override) error
}

// SubmissionTx is the rows of submissions, their files and comments.
type SubmissionTx interface {
	// LockGroup makes what a group hands in come one after the other.
	LockGroup(ctx context.Context, assignment, group uuid.UUID) error
	// Attempts are how often a person or group handed in: the last number, and how
	// many were not withdrawn.
	Attempts(ctx context.Context, assignment, owner uuid.UUID) (last, used int, err error)
	InsertSubmission(ctx context.Context, sub Submission) error
	// WithdrawSubmission stores the withdrawal.
	WithdrawSubmission(ctx context.Context, sub Submission) error
	Submission(ctx context.Context, id uuid.UUID) (Submission, error)
	// NewestSubmission is the newest of an owner that was not withdrawn; nil for none.
	NewestSubmission(ctx context.Context, assignment, owner uuid.UUID) (*Submission, error)
	ListSubmissions(ctx context.Context, f SubmissionFilter, p page.Request) (page.Page[Submission], error)

	InsertFile(ctx context.Context, f File) error
	File(ctx context.Context, id uuid.UUID) (File, error)
	LockFile(ctx context.Context, id uuid.UUID) (File, error)
	CompleteFile(ctx context.Context, f File) error
	DeleteFile(ctx context.Context, id uuid.UUID) error
	// WaitingFiles counts a person's files that wait to be handed in.
	WaitingFiles(ctx context.Context, assignment, user uuid.UUID) (int, error)
	// AttachFiles hands in files of a person that are verified and not handed in
	// yet, in the order given; it gives those that it found.
	AttachFiles(ctx context.Context, submission, assignment, user uuid.UUID, ids []uuid.UUID) ([]File, error)
	FilesOf(ctx context.Context, submissions []uuid.UUID) (map[uuid.UUID][]File, error)
	ExpiredFiles(ctx context.Context, now time.Time, limit int) ([]File, error)

	InsertComment(ctx context.Context, c Comment) error
	Comments(ctx context.Context, submission uuid.UUID, staffToo bool, p page.Request) (page.Page[Comment], error)
}

// GradeTx is the rows of grades and their history.
type GradeTx interface {
	// Grade reads a person's grade; nil for none.
	Grade(ctx context.Context, assignment, user uuid.UUID) (*Grade, error)
	// GradeByAlias reads by the name that anonymous graders see; nil for none.
	GradeByAlias(ctx context.Context, assignment, alias uuid.UUID) (*Grade, error)
	// GradesIn are the grades of some people.
	GradesIn(ctx context.Context, assignment uuid.UUID, users []uuid.UUID) (map[uuid.UUID]Grade, error)
	// LockGrades locks the grades of some people, in one order.
	LockGrades(ctx context.Context, assignment uuid.UUID, users []uuid.UUID) (map[uuid.UUID]Grade, error)
	// EnsureGrades makes rows for those who have none, and locks all.
	EnsureGrades(ctx context.Context, fresh []Grade) (map[uuid.UUID]Grade, error)
	InsertGrade(ctx context.Context, g Grade) error
	// UpdateGrade writes all but identity where the version is one less.
	UpdateGrade(ctx context.Context, g Grade) error
	ListGrades(ctx context.Context, f GradeFilter, p page.Request) (page.Page[Grade], error)
	// GradesAfter pages through an assignment's grades by user, for a sweep.
	GradesAfter(ctx context.Context, assignment, after uuid.UUID, limit int) ([]uuid.UUID, error)
	InsertHistory(ctx context.Context, h Change) error
	// History of a grade, the newest first; attempts leaves only what was handed in
	// and taken back.
	History(ctx context.Context, grade uuid.UUID, attempts bool, p page.Request) (page.Page[Change], error)
	// Waiting counts what waits for a grader, by assignment of some courses.
	Waiting(ctx context.Context, courses []uuid.UUID, p page.Request) (page.Page[Waiting], error)
}

// RubricTx is the rows of rubrics and of what was assessed by them.
type RubricTx interface {
	InsertRubric(ctx context.Context, r Rubric) error
	UpdateRubric(ctx context.Context, r Rubric) error
	DeleteRubric(ctx context.Context, id uuid.UUID) error
	InsertRevision(ctx context.Context, r Rubric) error
	// Rubric reads a revision; the newest for 0.
	Rubric(ctx context.Context, id uuid.UUID, revision int) (Rubric, error)
	LockRubric(ctx context.Context, id uuid.UUID) (Rubric, error)
	ListRubrics(ctx context.Context, course uuid.UUID, sort string, p page.Request) (page.Page[Rubric], error)
	// RubricUse says how many assignments have the rubric, how many grades were
	// given by it, and whether one that is published has it.
	RubricUse(ctx context.Context, id uuid.UUID) (RubricUse, error)

	SaveAssessment(ctx context.Context, x Assessment) error
	DeleteAssessment(ctx context.Context, grade uuid.UUID) error
	Assessments(ctx context.Context, grades []uuid.UUID) (map[uuid.UUID]Assessment, error)
}

// SweepTx finds what time alone changes.
type SweepTx interface {
	// DueSoon are published assignments of which a due time lies in the span: their
	// own, if it was not told of yet or last looked at before swept, or an override's.
	// They come in the order of ids.
	DueSoon(ctx context.Context, from, to, swept time.Time, after uuid.UUID, limit int) ([]uuid.UUID, error)
	// PastDue are those whose own due time was not looked at since, or an override's.
	PastDue(ctx context.Context, from, to time.Time, after uuid.UUID, limit int) ([]uuid.UUID, error)
	// NoteDue notes that people are told of a due time; it gives those who were not.
	NoteDue(ctx context.Context, a Assignment, notices []DueNotice, now time.Time) ([]DueNotice, error)
	// Submitted are those of some people who handed something in.
	Submitted(ctx context.Context, assignment uuid.UUID, users []uuid.UUID) (map[uuid.UUID]bool, error)
	// SetSwept notes how far the sweeps have come with an assignment.
	SetSwept(ctx context.Context, a Assignment) error
	PruneNotices(ctx context.Context, before time.Time, limit int) error
}

// PeopleTx is what is known of people.
type PeopleTx interface {
	Person(ctx context.Context, user uuid.UUID) (*Person, error)
	SavePerson(ctx context.Context, p Person) error
	GradesOf(ctx context.Context, user uuid.UUID) ([]Grade, error)
	// ReassignGrade gives a grade with its history to another person.
	ReassignGrade(ctx context.Context, grade, from, to uuid.UUID) error
	// ReassignWork gives submissions, files, comments and overrides to another.
	ReassignWork(ctx context.Context, from, to uuid.UUID) error
	// ErasePerson puts a pseudonym in the person's place and takes out what they
	// wrote; the objects of their files are to be deleted.
	ErasePerson(ctx context.Context, user, pseudonym uuid.UUID) (objects []string, err error)
	PersonalData(ctx context.Context, user uuid.UUID) (map[string]json.RawMessage, error)
}

// AssignmentFilter selects assignments of a course.
type AssignmentFilter struct {
	CourseID uuid.UUID
	Query    string     // in the title
	GroupID  *uuid.UUID // of assignment_groups
	// Published: true leaves out drafts, false published ones; nil is both.
	Published *bool
	Sort      string
}

// Sorts of a list of assignments, with "-" in front for descending.
const (
	SortPosition = "position"
	SortDue      = "due_at"
	SortTitle    = "title"
	SortCreated  = "created_at"
)

// SubmissionFilter selects submissions of an assignment.
type SubmissionFilter struct {
	AssignmentID uuid.UUID
	// UserID leaves what counts for the person.
	UserID  *uuid.UUID
	GroupID *uuid.UUID
	// Current leaves what counts: the newest that was not withdrawn.
	Current bool
	// Waiting leaves what no grader has seen.
	Waiting bool
	Late    *bool
	// Newest first.
	Descending bool
}

// GradeFilter selects grades of an assignment.
type GradeFilter struct {
	AssignmentID uuid.UUID
	UserID       *uuid.UUID
	// Posted: true leaves out what is hidden, false what is posted.
	Posted *bool
	// Waiting leaves those whose work no grader has seen.
	Waiting bool
	// ByAlias sorts by alias, since the order of ids would tell who is who.
	ByAlias bool
}

// Waiting is an assignment with work that waits for a grader.
type Waiting struct {
	AssignmentID uuid.UUID
	CourseID     uuid.UUID
	Title        string
	DueAt        *time.Time
	Count        int
	Oldest       time.Time
}

// DueNotice says that a person's work is due soon.
type DueNotice struct {
	UserID uuid.UUID
	DueAt  time.Time
}
