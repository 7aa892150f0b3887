package coursework

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/grading"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/work"
)

// QuizColumn is a quiz as content tells it, and where it stands in the gradebook.
type QuizColumn struct {
	QuizID            uuid.UUID
	TenantID          uuid.UUID
	OrgUnitID         uuid.UUID
	CourseID          uuid.UUID
	GroupID           *uuid.UUID
	Position          int
	OmitFromFinal     bool
	Title             string
	Points            Points
	DueAt             *time.Time
	Published         bool
	Deleted           bool
	MissingCheckedFor *time.Time
	CreatedAt         time.Time
	UpdatedAt         time.Time
	Version           int64
}

// ToldColumn is what content says about a quiz.
type ToldColumn struct {
	QuizID    uuid.UUID
	TenantID  uuid.UUID
	OrgUnitID uuid.UUID
	CourseID  uuid.UUID
	Title     string
	Points    Points
	DueAt     *time.Time
	Published bool
	Deleted   bool
}

// TakeQuizColumn stores what content says about a quiz; where it stands in the
// gradebook stays. Other points or another due time judge its scores anew, in the
// background.
func (s *Service) TakeQuizColumn(ctx context.Context, tx Tx, in ToldColumn) error {
	var bad apperr.Fields
	bad.Require(in.QuizID != uuid.Nil, "quiz_id", "required", "is needed")
	bad.Require(in.CourseID != uuid.Nil, "course_id", "required", "is needed")
	bad.Require(in.Points >= 0 && in.Points <= MaxPoints, "points", "range", "From 0 to 1,000,000.")
	if err := bad.Err(); err != nil {
		return err
	}
	now := s.Now()
	was, err := tx.LockQuizColumn(ctx, in.QuizID)
	if err != nil {
		return err
	}
	c := QuizColumn{QuizID: in.QuizID, CreatedAt: now}
	if was != nil {
		c = *was
	}
	c.TenantID, c.OrgUnitID, c.CourseID = in.TenantID, in.OrgUnitID, in.CourseID
	c.Title, c.Points, c.DueAt, c.Published, c.Deleted = in.Title, in.Points, in.DueAt, in.Published, in.Deleted
	c.UpdatedAt = now
	c.Version++
	if err := tx.SaveQuizColumn(ctx, c); err != nil {
		return err
	}
	if was == nil || was.Points == c.Points && sameTime(was.DueAt, c.DueAt) && was.Published == c.Published {
		return nil
	}
	_, err = tx.Enqueue(ctx, JobJudgeQuiz, JudgingQuiz{QuizID: c.QuizID}, work.JobOptions{TenantID: c.TenantID})
	return err
}

// PlaceColumn puts a quiz into a group of the gradebook, or out of all, and says
// whether it counts. Everything else of it is content's.
func (s *Service) PlaceColumn(ctx context.Context, actor authz.Principal, course, quiz uuid.UUID, version int64, edit func(group **uuid.UUID, position *int, omit *bool)) (QuizColumn, error) {
	st, err := s.inCourse(ctx, actor, course, authz.AssignmentEdit)
	if err != nil {
		return QuizColumn{}, err
	}
	return inTx(ctx, s, work.Tenant(st.TenantID), func(ctx context.Context, tx Tx) (QuizColumn, error) {
		c, err := tx.LockQuizColumn(ctx, quiz)
		if err != nil {
			return QuizColumn{}, err
		}
		if c == nil || c.CourseID != course || c.Deleted {
			return QuizColumn{}, apperr.NotFound("quiz")
		}
		if version != c.Version {
			return QuizColumn{}, apperr.VersionMismatch()
		}
		was := *c
		edit(&c.GroupID, &c.Position, &c.OmitFromFinal)
		changes := map[string]work.Change{}
		note(changes, "group_id", idText(was.GroupID), idText(c.GroupID))
		note(changes, "position", was.Position, c.Position)
		note(changes, "omit_from_final", was.OmitFromFinal, c.OmitFromFinal)
		if len(changes) == 0 {
			return was, nil
		}
		c.Version++
		c.UpdatedAt = s.Now()
		if err := tx.SaveQuizColumn(ctx, *c); err != nil {
			return QuizColumn{}, err
		}
		return *c, tx.Audit(ctx, work.AuditEntry{
			Action: "gradebook_column.update", ResourceType: "quiz", ResourceID: quiz, TenantID: st.TenantID, OrgUnitID: st.OrgUnitID, Changes: changes,
		})
	})
}

// QuizColumnOf reads a quiz's column, for staff.
func (s *Service) QuizColumnOf(ctx context.Context, actor authz.Principal, course, quiz uuid.UUID) (QuizColumn, error) {
	st, err := s.inCourse(ctx, actor, course, authz.GradeRead)
	if err != nil {
		return QuizColumn{}, err
	}
	c, err := read(ctx, s, work.Tenant(st.TenantID), func(ctx context.Context, tx Tx) (*QuizColumn, error) { return tx.QuizColumn(ctx, quiz) })
	if err != nil {
		return QuizColumn{}, err
	}
	if c == nil || c.CourseID != course || c.Deleted {
		return QuizColumn{}, apperr.NotFound("quiz")
	}
	return *c, nil
}

// QuizScore is a person's result in a quiz: what content said, and what the late
// policy makes of it.
type QuizScore struct {
	ID           uuid.UUID
	TenantID     uuid.UUID
	CourseID     uuid.UUID
	QuizID       uuid.UUID
	UserID       uuid.UUID
	Score        *Points // as content keeps it (rule 26)
	Pending      bool    // an attempt awaits a grader (rule 29)
	Posted       bool
	ExcusedAt    *time.Time
	SubmittedAt  *time.Time
	DueAt        *time.Time // the person's own, once content told of the person
	Told         bool
	GradedAt     *time.Time
	SecondsLate  int64
	Deduction    Points
	MissingScore *Points
	MissingAt    *time.Time
	Counted      *Points // what counts
	CreatedAt    time.Time
	UpdatedAt    time.Time
	Version      int64
}

// QuizChange is one entry of the history of a quiz score.
type QuizChange struct {
	ID       uuid.UUID
	TenantID uuid.UUID
	ScoreID  uuid.UUID
	At       time.Time
	ActorID  *uuid.UUID
	Cause    string
	Before   *QuizSnapshot
	After    QuizSnapshot
}

// QuizSnapshot is a quiz score as its history keeps it.
type QuizSnapshot struct {
	Score        *Points    `json:"score,omitempty"`
	Possible     Points     `json:"possible"`
	Pending      bool       `json:"pending,omitempty"`
	Posted       bool       `json:"posted,omitempty"`
	ExcusedAt    *time.Time `json:"excused_at,omitempty"`
	SubmittedAt  *time.Time `json:"submitted_at,omitempty"`
	DueAt        *time.Time `json:"due_at,omitempty"`
	SecondsLate  int64      `json:"seconds_late,omitempty"`
	Deduction    Points     `json:"deduction,omitempty"`
	MissingScore *Points    `json:"missing_score,omitempty"`
	Counted      *Points    `json:"counted,omitempty"`
}

// Causes of a change of a quiz score.
const (
	quizTold       = "told"
	quizPolicy     = "policy"
	quizMissing    = "missing"
	quizDates      = "dates"
	quizRecomputed = "recomputed"
)

func (q QuizScore) snapshot(c QuizColumn) QuizSnapshot {
	return QuizSnapshot{
		Score: q.Score, Possible: c.Points, Pending: q.Pending, Posted: q.Posted, ExcusedAt: q.ExcusedAt, SubmittedAt: q.SubmittedAt, DueAt: q.DueAt,
		SecondsLate: q.SecondsLate, Deduction: q.Deduction, MissingScore: q.MissingScore, Counted: q.Counted,
	}
}

func (c QuizColumn) task() grading.Task {
	return grading.Task{Kind: grading.Points, Possible: c.Points, Quiz: true, Expected: c.Published && !c.Deleted}
}

func (q QuizScore) work(c QuizColumn) grading.Work {
	w := grading.Work{Due: q.DueAt, SubmittedAt: q.SubmittedAt, Entered: q.Score, Excused: q.ExcusedAt != nil}
	if !q.Told {
		w.Due = c.DueAt
	}
	return w
}

// judged is the score as the rules make it of what content said (16 to 18). An
// attempt that awaits its grader is no missing work.
func (q QuizScore) judged(c QuizColumn, p grading.LatePolicy, now time.Time) QuizScore {
	task := c.task()
	task.Expected = task.Expected && !q.Pending
	res := p.Apply(task, q.work(c), now)
	q.SecondsLate, q.Deduction, q.MissingScore = wholeSeconds(res.Late), res.Deduction, nil
	if res.Imputed {
		q.MissingScore = res.Score
	}
	switch {
	case res.Status != grading.Missing:
		q.MissingAt = nil
	case q.MissingAt == nil:
		q.MissingAt = &now
	}
	q.Counted = res.Score
	if q.ExcusedAt != nil {
		q.Counted = q.Score
	}
	return q
}

// Counts is the score that counts: none while the person is excused.
func (q QuizScore) Counts() *Points {
	if q.ExcusedAt != nil {
		return nil
	}
	return q.Counted
}

// Visible says whether the person sees what counts (rule 25). What the policy gives
// missing work is no secret of the quiz's answers.
func (q QuizScore) Visible() bool { return q.Posted || q.MissingScore != nil }
