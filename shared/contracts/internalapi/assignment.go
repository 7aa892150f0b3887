package internalapi

import (
	"time"

	"github.com/google/uuid"

	"lms/shared/contracts/events"
)

// Call names that the assignment service serves. Its gradebook holds every grade
// of a course; those of quizzes are columns that only content changes.
const (
	CallQuizColumn = "quiz-column" // content; key: the quiz's id
	CallQuizScore  = "quiz-score"  // content; key: "<user>/<quiz>"
)

// QuizColumn is what content says about a quiz, from its creation on.
type QuizColumn struct {
	QuizID    uuid.UUID `json:"quiz_id"`
	TenantID  uuid.UUID `json:"tenant_id"`
	OrgUnitID uuid.UUID `json:"org_unit_id"`
	CourseID  uuid.UUID `json:"course_id"`
	Title     string    `json:"title"`
	Published bool      `json:"published"`
	// Deleted takes the column out of the gradebook; its scores are kept.
	Deleted bool `json:"deleted,omitempty"`
	// Points are the possible points.
	Points events.Hundredths `json:"points"`
	// DueAt is when the quiz is due for everybody who has no override.
	DueAt *time.Time `json:"due_at,omitempty"`
}

// QuizScore is all that content knows of a person's result in a quiz: a later
// one replaces it whole.
type QuizScore struct {
	QuizID   uuid.UUID `json:"quiz_id"`
	TenantID uuid.UUID `json:"tenant_id"`
	CourseID uuid.UUID `json:"course_id"`
	UserID   uuid.UUID `json:"user_id"`
	// Score is the kept score (rule 26); nil is no grade yet.
	Score *events.Hundredths `json:"score"`
	// Pending: an attempt that would count waits for a person to grade it (rule 29).
	Pending bool `json:"pending,omitempty"`
	// Posted: the learner may see the score by the quiz's feedback policy.
	Posted bool `json:"posted"`
	// ExcusedAt is set while the person is excused (rule 4).
	ExcusedAt *time.Time `json:"excused_at,omitempty"`
	// SubmittedAt is the end of the attempt that counts; nil while there is none.
	SubmittedAt *time.Time `json:"submitted_at,omitempty"`
	// DueAt is the person's own due time, nil where there is none (rule 21).
	DueAt *time.Time `json:"due_at,omitempty"`
	// GradedAt is when Score came to be.
	GradedAt *time.Time `json:"graded_at,omitempty"`
}
