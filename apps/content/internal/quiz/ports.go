package quiz

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/content/internal/quiz/marking"
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
	BankTx
	QuizTx
	AttemptTx
	ResultTx
	PersonTx
}

// BankTx is banks and questions.
type BankTx interface {
	InsertBank(ctx context.Context, b Bank) error
	// EnsureBank inserts a bank unless it is there, deleted or not.
	EnsureBank(ctx context.Context, b Bank) error
	UpdateBank(ctx context.Context, b Bank) error
	DeleteBank(ctx context.Context, b Bank, at time.Time) error
	Bank(ctx context.Context, id uuid.UUID) (Bank, error)
	// LockBank also keeps questions from being added or deleted meanwhile.
	LockBank(ctx context.Context, id uuid.UUID) (Bank, error)
	ListBanks(ctx context.Context, f BankFilter, p page.Request) (page.Page[Bank], error)

	InsertQuestion(ctx context.Context, q Question) error
	UpdateQuestion(ctx context.Context, q Question) error
	DeleteQuestion(ctx context.Context, q Question, at time.Time) error
	InsertQuestionVersion(ctx context.Context, v QuestionVersion) error
	// Question reads it with its current version.
	Question(ctx context.Context, id uuid.UUID) (Question, error)
	LockQuestion(ctx context.Context, id uuid.UUID) (Question, error)
	QuestionVersions(ctx context.Context, id uuid.UUID, p page.Request) (page.Page[QuestionVersion], error)
	ListQuestions(ctx context.Context, f QuestionFilter, p page.Request) (page.Page[Question], error)
	// Imported finds a question by what an import calls it; NotFound for none.
	Imported(ctx context.Context, bank uuid.UUID, externalID string) (Question, error)

	// BankNeed is what quizzes take from a bank.
	BankNeed(ctx context.Context, bank uuid.UUID) (Need, error)
	// PinnedBy are the quizzes that name a question.
	PinnedBy(ctx context.Context, question uuid.UUID) ([]uuid.UUID, error)
	// Drawable are all questions of the banks.
	Drawable(ctx context.Context, banks []uuid.UUID) ([]Drawable, error)
	// Versions are definitions of questions, also of those that are deleted.
	Versions(ctx context.Context, keys []VersionKey) (map[VersionKey]marking.Definition, error)
	// Titles are the titles of questions, also of those that are deleted.
	Titles(ctx context.Context, keys []VersionKey) (map[uuid.UUID]string, error)
	// LockBanks keeps the banks' questions as they are, against deletion.
	LockBanks(ctx context.Context, banks []uuid.UUID) ([]Bank, error)

	InsertUpload(ctx context.Context, u Upload) error
	Upload(ctx context.Context, id uuid.UUID) (Upload, error)
	DeleteUpload(ctx context.Context, id uuid.UUID) error
	OldUploads(ctx context.Context, before time.Time, limit int) ([]Upload, error)
}

// Need is how many questions of a bank quizzes rely on.
type Need struct {
	Questions int // that are there
	// Draws is the most that one quiz draws, with the questions of the bank that it
	// pins besides.
	Draws  int
	Pinned int // slots that name a question of the bank
}

// QuizTx is quizzes with their slots and overrides.
type QuizTx interface {
	InsertQuiz(ctx context.Context, q Quiz) error
	UpdateQuiz(ctx context.Context, q Quiz) error
	Quiz(ctx context.Context, id uuid.UUID) (Quiz, error)
	// LockQuiz is for a change; ShareQuiz keeps it as it is.
	LockQuiz(ctx context.Context, id uuid.UUID) (Quiz, error)
	ShareQuiz(ctx context.Context, id uuid.UUID) (Quiz, error)
	// AnyQuiz reads also what is deleted.
	AnyQuiz(ctx context.Context, id uuid.UUID) (Quiz, error)
	ListQuizzes(ctx context.Context, f QuizFilter, p page.Request) (page.Page[Quiz], error)
	DueSoon(ctx context.Context, now, until time.Time, limit int) ([]Quiz, error)
	ToldDueSoon(ctx context.Context, quiz uuid.UUID, due time.Time) error

	Slots(ctx context.Context, quiz uuid.UUID) ([]Slot, error)
	SaveSlots(ctx context.Context, q Quiz, slots []Slot) error

	ListOverrides(ctx context.Context, quiz uuid.UUID, p page.Request) (page.Page[Override], error)
	// Override is nil for none.
	Override(ctx context.Context, quiz, user uuid.UUID) (*Override, error)
	PutOverride(ctx context.Context, o Override) error
	DeleteOverride(ctx context.Context, quiz, user uuid.UUID) error
	OverridesOf(ctx context.Context, quiz uuid.UUID, users []uuid.UUID) (map[uuid.UUID]Override, error)
}

// AttemptTx is attempts.
type AttemptTx interface {
	InsertAttempt(ctx context.Context, a Attempt, questions []Taken) error
	Attempt(ctx context.Context, id uuid.UUID) (Attempt, error)
	LockAttempt(ctx context.Context, id uuid.UUID) (Attempt, error)
	// SaveAttempt writes all but identity, and raises the version; 412 if it is not
	// the one that was read.
	SaveAttempt(ctx context.Context, a *Attempt) error
	// Taken are the questions of an attempt in order, with their definitions.
	Taken(ctx context.Context, attempt uuid.UUID) ([]Taken, error)
	SaveMarks(ctx context.Context, questions []Taken) error
	// Sheet is what an autosave needs to know.
	Sheet(ctx context.Context, attempt, question uuid.UUID) (Sheet, error)
	// SaveAnswer writes an answer if the attempt runs until a time and nothing newer
	// was saved.
	SaveAnswer(ctx context.Context, s Save) (Saved, error)

	// Used counts a person's attempts; Running locks the one in progress, if any.
	Used(ctx context.Context, quiz, user uuid.UUID, preview bool) (int, error)
	Running(ctx context.Context, quiz, user uuid.UUID, preview bool) (*Attempt, error)
	HasAttempts(ctx context.Context, quiz uuid.UUID) (bool, error)
	// RegradeNeeded says whether a finished attempt was marked by other points or
	// another version than a regrade would take now.
	RegradeNeeded(ctx context.Context, quiz uuid.UUID) (bool, error)
	// RunningOf are the attempts of a quiz that are in progress, of one person or
	// all (nil).
	RunningOf(ctx context.Context, quiz uuid.UUID, user *uuid.UUID) ([]Attempt, error)
	SetEnds(ctx context.Context, ends map[uuid.UUID]*time.Time) error
	ListAttempts(ctx context.Context, f AttemptFilter, p page.Request) (page.Page[Attempt], error)
	Overdue(ctx context.Context, before time.Time, skip []uuid.UUID, limit int) ([]uuid.UUID, error)
	// AttemptsAfter pages through finished attempts of a quiz, or of all (nil).
	AttemptsAfter(ctx context.Context, quiz *uuid.UUID, after uuid.UUID, limit int) ([]uuid.UUID, error)
	// Samples are what statistics are made of.
	Samples(ctx context.Context, quiz uuid.UUID, first bool, limit int) ([]Sample, error)
}

// VersionKey names a version of a question.
type VersionKey struct {
	QuestionID uuid.UUID
	Number     int
}

// Sheet is one question of an attempt, to be answered.
type Sheet struct {
	Attempt
	QuestionID uuid.UUID
	AnswerSeq  int64
	Answer     *marking.Answer
	AnsweredAt *time.Time
	Definition marking.Definition
}

// Save is an answer on its way to the database.
type Save struct {
	AttemptID, QuestionID uuid.UUID
	Seq                   int64
	Answer                *marking.Answer
	At                    time.Time
	// Latest is the earliest end that an attempt may have to still take it.
	Latest time.Time
}

// Saved is what became of it.
type Saved struct{ Open, Stored bool }

// ResultTx is what counts per person.
type ResultTx interface {
	// LockResult locks the row of a person in a quiz, which it makes if there is
	// none. It is taken before any attempt's row.
	LockResult(ctx context.Context, r Result) (Result, error)
	// Result is nil for none.
	Result(ctx context.Context, quiz, user uuid.UUID) (*Result, error)
	SaveResult(ctx context.Context, r *Result) error
	// Finished are the attempts that Keep looks at.
	Finished(ctx context.Context, quiz, user uuid.UUID) ([]Scored, error)
	// DueToPost are results that became visible by time.
	DueToPost(ctx context.Context, now time.Time, limit int) ([]Result, error)
	// ResultsAfter pages through the results of a quiz, or of all (nil).
	ResultsAfter(ctx context.Context, quiz *uuid.UUID, after ResultKey, limit int) ([]Result, error)
}

// ResultKey orders results.
type ResultKey struct{ QuizID, UserID uuid.UUID }

// PersonTx is what is kept of people.
type PersonTx interface {
	AttemptsBy(ctx context.Context, user uuid.UUID) ([]Attempt, error)
	ResultsBy(ctx context.Context, user uuid.UUID) ([]Result, error)
	OverridesFor(ctx context.Context, user uuid.UUID) ([]Override, error)
	// MoveOverrides gives a person's overrides to another; where both have one the
	// other's stays.
	MoveOverrides(ctx context.Context, from, to uuid.UUID) error
	// MoveAttempts gives a person's attempts at a quiz to another, numbered after
	// theirs.
	MoveAttempts(ctx context.Context, quiz, from, to uuid.UUID) error
	DeleteResult(ctx context.Context, quiz, user uuid.UUID) error
	// Forget puts the pseudonym in a person's place and deletes what they wrote; it
	// gives back the number of attempts that stay.
	Forget(ctx context.Context, user, pseudonym uuid.UUID, at time.Time) (int64, error)
}

// Members is what quizzes ask enrollment.
type Members interface {
	// May says whether the person may do something in a course, or with a quiz in
	// it. fresh asks in any case; else an answer that allows may be two seconds old.
	May(ctx context.Context, actor authz.Principal, ask Ask) (Verdict, error)
}

// Ask is a question about access.
type Ask struct {
	CourseID uuid.UUID
	QuizID   *uuid.UUID
	Action   string
	Fresh    bool
}

// Verdict is the answer. Reasons are enrollment's, passed on as they are (rule 11).
type Verdict struct {
	Allowed   bool
	Code      string
	Reasons   any
	As        string // learner, staff, admin
	Role      string // of staff
	TenantID  uuid.UUID
	OrgUnitID uuid.UUID
	Until     *time.Time
}

// Placements is what quizzes ask course.
type Placements interface {
	// Placed is in how many places of curricula a quiz is.
	Placed(ctx context.Context, quiz uuid.UUID) (int, error)
}

// BankFilter limits a list of banks. Empty fields do not limit.
type BankFilter struct {
	Query string
	// OrgUnits and Courses are what the caller may see; nil OrgUnits are all.
	OrgUnits []uuid.UUID
	All      bool
	CourseID *uuid.UUID
	UnitID   *uuid.UUID
	Sort     string // "" is by title
}

// QuestionFilter limits a list of questions.
type QuestionFilter struct {
	BankID uuid.UUID
	Query  string
	Kind   string
	Tag    string
	Sort   string // "" is by title
}

// QuizFilter limits a list of quizzes.
type QuizFilter struct {
	CourseID  uuid.UUID
	Published *bool
	Query     string
}

// AttemptFilter limits a list of attempts.
type AttemptFilter struct {
	QuizID  uuid.UUID
	UserID  *uuid.UUID
	State   string
	Preview bool
}
