package events

import (
	"time"

	"github.com/google/uuid"
)

// Event types of quizzes on the topic content.events. The aggregate is the
// question, the quiz, or the attempt.
const (
	TypeQuestionChanged  = "lms.content.question_changed.v1"
	TypeQuizCreated      = "lms.content.quiz_created.v1"
	TypeQuizUpdated      = "lms.content.quiz_updated.v1"
	TypeQuizPublished    = "lms.content.quiz_published.v1"
	TypeQuizUnpublished  = "lms.content.quiz_unpublished.v1"
	TypeQuizDeleted      = "lms.content.quiz_deleted.v1"
	TypeQuizDueSoon      = "lms.content.quiz_due_soon.v1"
	TypeAttemptStarted   = "lms.content.attempt_started.v1"
	TypeAttemptSubmitted = "lms.content.attempt_submitted.v1"
	TypeAttemptClosed    = "lms.content.attempt_closed.v1"
	TypeQuizGraded       = "lms.content.quiz_graded.v1"
	TypeQuizRegraded     = "lms.content.quiz_regraded.v1"
)

// QuestionChanged: a question was written, got a new version or was deleted. What
// is right is no part of it.
type QuestionChanged struct {
	QuestionID uuid.UUID `json:"question_id"`
	BankID     uuid.UUID `json:"bank_id"`
	TenantID   uuid.UUID `json:"tenant_id"`
	OrgUnitID  uuid.UUID `json:"org_unit_id"`
	Kind       string    `json:"kind"`
	Title      string    `json:"title"`
	Tags       []string  `json:"tags"`
	// Number is that of the version.
	Number  int       `json:"number"`
	Deleted bool      `json:"deleted,omitempty"`
	At      time.Time `json:"at"`
}

// AggregateID is the question.
func (e QuestionChanged) AggregateID() uuid.UUID { return e.QuestionID }

// QuizState is a quiz as it stands after the event.
type QuizState struct {
	QuizID    uuid.UUID  `json:"quiz_id"`
	TenantID  uuid.UUID  `json:"tenant_id"`
	OrgUnitID uuid.UUID  `json:"org_unit_id"`
	CourseID  uuid.UUID  `json:"course_id"`
	Title     string     `json:"title"`
	Published bool       `json:"published"`
	Deleted   bool       `json:"deleted,omitempty"`
	Points    Hundredths `json:"points"`
	Questions int        `json:"questions"`
	// AttemptsAllowed is nil for unlimited (rule 27).
	AttemptsAllowed *int `json:"attempts_allowed,omitempty"`
	// Keep is highest, latest, first or average (rule 26).
	Keep             string     `json:"keep"`
	TimeLimitSeconds int64      `json:"time_limit_seconds,omitempty"`
	AvailableFrom    *time.Time `json:"available_from,omitempty"`
	AvailableUntil   *time.Time `json:"available_until,omitempty"`
	DueAt            *time.Time `json:"due_at,omitempty"`
	CutoffAt         *time.Time `json:"cutoff_at,omitempty"`
	UpdatedAt        time.Time  `json:"updated_at"`
	Version          int64      `json:"version"`
}

// AggregateID is the quiz.
func (s QuizState) AggregateID() uuid.UUID { return s.QuizID }

// QuizCreated: a quiz was made, not yet published.
type QuizCreated struct{ QuizState }

// QuizUpdated: settings or slots changed; Changed names the fields.
type QuizUpdated struct {
	QuizState
	Changed []string `json:"changed"`
}

// QuizPublished: learners may take the quiz.
type QuizPublished struct{ QuizState }

// QuizUnpublished: learners may no longer take the quiz.
type QuizUnpublished struct{ QuizState }

// QuizDeleted: the quiz is gone; its attempts are kept.
type QuizDeleted struct{ QuizState }

// QuizDueSoon: the quiz is due within a day, said once per due time.
type QuizDueSoon struct{ QuizState }

// AttemptState is an attempt as it stands after the event.
type AttemptState struct {
	AttemptID  uuid.UUID  `json:"attempt_id"`
	TenantID   uuid.UUID  `json:"tenant_id"`
	OrgUnitID  uuid.UUID  `json:"org_unit_id"`
	CourseID   uuid.UUID  `json:"course_id"`
	QuizID     uuid.UUID  `json:"quiz_id"`
	QuizTitle  string     `json:"quiz_title"`
	UserID     uuid.UUID  `json:"user_id" x-personal:"true"`
	Number     int        `json:"number"`
	State      string     `json:"state"` // in_progress, submitted, graded
	StartedAt  time.Time  `json:"started_at"`
	EndsAt     *time.Time `json:"ends_at,omitempty"`
	FinishedAt *time.Time `json:"finished_at,omitempty"`
}

// AggregateID is the attempt.
func (s AttemptState) AggregateID() uuid.UUID { return s.AttemptID }

// AttemptStarted: a person began an attempt; a started one is used (rule 27).
type AttemptStarted struct{ AttemptState }

// AttemptSubmitted: the person, or staff for them, handed the attempt in.
type AttemptSubmitted struct {
	AttemptState
	By string `json:"by"` // learner, staff
	// DueAt is the person's own due time.
	DueAt *time.Time `json:"due_at,omitempty"`
}

// AttemptClosed: the server ended the attempt, since its time was over (rule 28).
type AttemptClosed struct {
	AttemptState
	DueAt *time.Time `json:"due_at,omitempty"`
}

// QuestionGrade is what one answer earned.
type QuestionGrade struct {
	QuestionID uuid.UUID `json:"question_id"`
	Version    int       `json:"version"`
	// Points are nil while a person has to say.
	Points   *Hundredths `json:"points"`
	Possible Hundredths  `json:"possible"`
	// Class is blank, wrong, partial, correct or manual.
	Class string `json:"class"`
	// Picked are ids of choices and the like, at most five.
	Picked []string `json:"picked"`
}

// GradedState is an attempt's score with what counts for the person.
type GradedState struct {
	AttemptState
	Score    *Hundredths `json:"score"`
	Possible Hundredths  `json:"possible"`
	// Kept is the score that counts in the quiz (rule 26).
	Kept      *Hundredths     `json:"kept"`
	Posted    bool            `json:"posted"`
	Questions []QuestionGrade `json:"questions"`
}

// QuizGraded: an attempt was graded as a whole, for the first time or again by a
// person.
type QuizGraded struct{ GradedState }

// QuizRegraded: a regrade changed what an attempt is worth.
type QuizRegraded struct {
	GradedState
	OldScore    *Hundredths `json:"old_score"`
	OldPossible Hundredths  `json:"old_possible"`
}

// EventType names the event.
func (QuestionChanged) EventType() string { return TypeQuestionChanged }

// EventType names the event.
func (QuizCreated) EventType() string { return TypeQuizCreated }

// EventType names the event.
func (QuizUpdated) EventType() string { return TypeQuizUpdated }

// EventType names the event.
func (QuizPublished) EventType() string { return TypeQuizPublished }

// EventType names the event.
func (QuizUnpublished) EventType() string { return TypeQuizUnpublished }

// EventType names the event.
func (QuizDeleted) EventType() string { return TypeQuizDeleted }

// EventType names the event.
func (QuizDueSoon) EventType() string { return TypeQuizDueSoon }

// EventType names the event.
func (AttemptStarted) EventType() string { return TypeAttemptStarted }

// EventType names the event.
func (AttemptSubmitted) EventType() string { return TypeAttemptSubmitted }

// EventType names the event.
func (AttemptClosed) EventType() string { return TypeAttemptClosed }

// EventType names the event.
func (QuizGraded) EventType() string { return TypeQuizGraded }

// EventType names the event.
func (QuizRegraded) EventType() string { return TypeQuizRegraded }
