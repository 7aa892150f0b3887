package quiz

import (
	"time"

	"github.com/google/uuid"

	"lms/apps/content/internal/quiz/marking"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// States of an attempt: in_progress → submitted → graded. One that needs nobody
// passes submitted at once. Staff may reopen: back to in_progress.
const (
	InProgress = "in_progress"
	// Submitted waits to be graded by hand.
	Submitted = "submitted"
	Graded    = "graded"
)

// Who ended an attempt.
const (
	ByLearner = "learner"
	ByServer  = "server" // its time was over
	ByStaff   = "staff"
)

// Attempt is one try of a person at a quiz.
type Attempt struct {
	ID        uuid.UUID
	TenantID  uuid.UUID
	OrgUnitID uuid.UUID
	QuizID    uuid.UUID
	CourseID  uuid.UUID
	UserID    uuid.UUID
	Number    int
	// Preview is a try of staff that counts for nothing.
	Preview   bool
	State     string
	StartedAt time.Time
	// AccessUntil is when the person's access to the course ends, as it was known.
	AccessUntil *time.Time
	// EndsAt is when it ends by itself (rule 28), nil for never.
	EndsAt     *time.Time
	FinishedAt *time.Time
	EndedBy    *string
	// SubmittedAt is when it was last finished; reopening leaves it.
	SubmittedAt *time.Time
	// Score is the last complete one: while an attempt that had one is graded anew
	// the value stays (rule 26).
	Score    *Points
	Possible Points
	GradedAt *time.Time
	// ErasedAt: its answers are gone, so that it cannot be marked again.
	ErasedAt *time.Time
	Version  int64
}

// Taken is a question of an attempt with what was answered and what it earned.
type Taken struct {
	AttemptID       uuid.UUID
	QuestionID      uuid.UUID
	QuestionVersion int
	SlotID          uuid.UUID
	Position        int
	Points          Points
	ChoiceOrder     []string
	Answer          *marking.Answer
	AnswerSeq       int64
	AnsweredAt      *time.Time
	AutoPoints      *Points // nil while only a person can say
	ManualPoints    *Points
	Comment         string
	GradedBy        *uuid.UUID
	GradedAt        *time.Time

	Definition marking.Definition
}

// Earned is what the answer earned, nil while nobody can say: what a person gave
// goes before what was computed.
func (t Taken) Earned() *Points {
	if t.ManualPoints != nil {
		return t.ManualPoints
	}
	return t.AutoPoints
}

// mark computes the points. A grade that a person gave for an answer that was
// changed since is dropped: it was for another answer.
func (t *Taken) mark() {
	r := marking.Mark(t.Definition, t.Answer)
	t.AutoPoints = nil
	if !r.Manual {
		p := r.Credit.Points(t.Points)
		t.AutoPoints = &p
	}
	if t.GradedAt != nil && t.AnsweredAt != nil && t.AnsweredAt.After(*t.GradedAt) {
		t.ManualPoints, t.Comment, t.GradedBy, t.GradedAt = nil, "", nil, nil
	}
	if t.ManualPoints != nil && *t.ManualPoints > t.Points {
		most := t.Points // its points were lowered since
		t.ManualPoints = &most
	}
}

// sum is the score and the possible points of questions; no score while one of
// them waits for a person.
func sum(questions []Taken) (score *Points, possible Points) {
	var total Points
	complete := true
	for _, t := range questions {
		possible += t.Points
		if p := t.Earned(); p != nil {
			total += *p
		} else {
			complete = false
		}
	}
	if complete {
		score = &total
	}
	return score, possible
}

// Finish ends an attempt: every answer is marked, and finished_at is never after
// its end (rule 28).
func (a *Attempt) Finish(questions []Taken, now time.Time, by string) {
	at := now
	if a.EndsAt != nil && at.After(*a.EndsAt) {
		at = *a.EndsAt
	}
	a.FinishedAt, a.SubmittedAt, a.EndedBy = &at, &at, &by
	for i := range questions {
		questions[i].mark()
	}
	a.settle(questions, now)
}

// settle says what the marks make of a finished attempt. GradedAt moves only with
// the score.
func (a *Attempt) settle(questions []Taken, now time.Time) {
	score, possible := sum(questions)
	if score == nil {
		a.State = Submitted
		return
	}
	if a.Score == nil || *a.Score != *score || a.Possible != possible || a.State == InProgress {
		a.GradedAt = &now
	}
	a.State, a.Score, a.Possible = Graded, score, possible
}

// overdue says that the attempt should have been closed by itself.
func (a Attempt) overdue(now time.Time, grace time.Duration) bool {
	return a.State == InProgress && a.EndsAt != nil && now.After(a.EndsAt.Add(grace))
}

func (a Attempt) meta() work.Meta {
	return work.Meta{TenantID: a.TenantID, OrgUnitID: a.OrgUnitID, CourseID: a.CourseID}
}

func (a Attempt) audit(action string, changes map[string]work.Change) work.AuditEntry {
	return work.AuditEntry{
		Action: action, ResourceType: "attempt", ResourceID: a.ID, TenantID: a.TenantID, OrgUnitID: a.OrgUnitID, Changes: changes,
	}
}

func (a Attempt) state(q Quiz) events.AttemptState {
	return events.AttemptState{
		AttemptID: a.ID, TenantID: a.TenantID, OrgUnitID: a.OrgUnitID, CourseID: a.CourseID, QuizID: a.QuizID, QuizTitle: q.Title,
		UserID: a.UserID, Number: a.Number, State: a.State, StartedAt: a.StartedAt, EndsAt: a.EndsAt, FinishedAt: a.FinishedAt,
	}
}

// grades are the questions as an event tells them.
func grades(questions []Taken) []events.QuestionGrade {
	out := make([]events.QuestionGrade, len(questions))
	for i, t := range questions {
		r := marking.Mark(t.Definition, t.Answer)
		out[i] = events.QuestionGrade{
			QuestionID: t.QuestionID, Version: t.QuestionVersion, Points: t.Earned(), Possible: t.Points, Class: classOf(t, r), Picked: picked(r.Picked),
		}
	}
	return out
}

// maxPicked keeps an event of the longest quiz below what an event may carry.
const maxPicked = 5

func picked(ids []string) []string {
	if len(ids) > maxPicked {
		ids = ids[:maxPicked]
	}
	if ids == nil {
		return []string{}
	}
	return ids
}

// classOf is the class of an answer, by the points where a person gave them.
func classOf(t Taken, r marking.Result) string {
	if t.ManualPoints == nil || r.Class == marking.ClassBlank {
		return r.Class
	}
	switch {
	case *t.ManualPoints <= 0:
		return marking.ClassWrong
	case *t.ManualPoints >= t.Points:
		return marking.ClassCorrect
	}
	return marking.ClassPartial
}
