package coursework

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/work"
)

// JobJudgeQuiz judges all scores of a quiz again.
const JobJudgeQuiz = "judge-quiz"

// JudgingQuiz is the input of JobJudgeQuiz.
type JudgingQuiz struct {
	QuizID uuid.UUID `json:"quiz_id"`
}

// ToldScore is all that content knows of a person's result in a quiz.
type ToldScore struct {
	QuizID      uuid.UUID
	TenantID    uuid.UUID
	CourseID    uuid.UUID
	UserID      uuid.UUID
	Score       *Points
	Pending     bool
	Posted      bool
	ExcusedAt   *time.Time
	SubmittedAt *time.Time
	DueAt       *time.Time
	GradedAt    *time.Time
}

// TakeQuizScore stores what content says of a person's result; totals follow in the
// same transaction. A score of a quiz that is not known yet is told again later.
func (s *Service) TakeQuizScore(ctx context.Context, tx Tx, in ToldScore) error {
	c, err := tx.QuizColumn(ctx, in.QuizID)
	if err != nil {
		return err
	}
	if c == nil {
		return apperr.Unavailable("quiz_unknown", "The quiz is not known here yet.")
	}
	if p, err := tx.Person(ctx, in.UserID); err != nil || p != nil && p.Status == PersonErased {
		return err // forgotten for good
	}
	rules, err := tx.ShareGrading(ctx, c.grading())
	if err != nil {
		return err
	}
	now := s.Now()
	rows, err := tx.EnsureQuizScores(ctx, []QuizScore{s.freshQuizScore(*c, in.UserID, now)})
	if err != nil {
		return err
	}
	was := rows[0]
	q := was
	q.Score, q.Pending, q.Posted, q.ExcusedAt, q.SubmittedAt, q.DueAt, q.GradedAt, q.Told = in.Score, in.Pending, in.Posted, in.ExcusedAt, in.SubmittedAt, in.DueAt, in.GradedAt, true
	moved, err := s.saveQuizScore(ctx, tx, *c, was, q.judged(*c, rules.Policy(), now), quizTold, now)
	if err != nil || !moved {
		return err
	}
	return s.retotal(ctx, tx, c.place(), []uuid.UUID{in.UserID})
}

func (c QuizColumn) place() Place { return Place{c.TenantID, c.OrgUnitID, c.CourseID} }

func (c QuizColumn) grading() Grading {
	g := DefaultGrading(c.CourseID)
	g.TenantID, g.OrgUnitID = c.TenantID, c.OrgUnitID
	return g
}

func (s *Service) freshQuizScore(c QuizColumn, user uuid.UUID, now time.Time) QuizScore {
	return QuizScore{ID: s.NewID(), TenantID: c.TenantID, CourseID: c.CourseID, QuizID: c.QuizID, UserID: user, CreatedAt: now, UpdatedAt: now, Version: 1}
}

func sameQuizScore(a, b QuizScore) bool {
	return equal(a.Score, b.Score) && a.Pending == b.Pending && a.Posted == b.Posted && sameTime(a.ExcusedAt, b.ExcusedAt) &&
		sameTime(a.SubmittedAt, b.SubmittedAt) && sameTime(a.DueAt, b.DueAt) && a.Told == b.Told && sameTime(a.GradedAt, b.GradedAt) &&
		a.SecondsLate == b.SecondsLate && a.Deduction == b.Deduction && equal(a.MissingScore, b.MissingScore) && sameTime(a.MissingAt, b.MissingAt)
}

// saveQuizScore writes a score that differs, with its history, and says whether it
// moves totals.
func (s *Service) saveQuizScore(ctx context.Context, tx Tx, c QuizColumn, was, q QuizScore, cause string, now time.Time) (bool, error) {
	if sameQuizScore(was, q) {
		return false, nil
	}
	q.Version++
	q.UpdatedAt = now
	if err := tx.SaveQuizScore(ctx, q); err != nil {
		return false, err
	}
	before := was.snapshot(c)
	err := tx.InsertQuizChange(ctx, QuizChange{
		ID: s.NewID(), TenantID: c.TenantID, ScoreID: q.ID, At: now, ActorID: optionalID(work.ActorFrom(ctx).Principal.UserID),
		Cause: cause, Before: &before, After: q.snapshot(c),
	})
	return !equal(was.Counts(), q.Counts()) || (was.ExcusedAt == nil) != (q.ExcusedAt == nil) || was.Visible() != q.Visible(), err
}

// JudgeQuiz judges all scores of a quiz by the rules as they are now.
func (s *Service) JudgeQuiz(ctx context.Context, in JudgingQuiz, after uuid.UUID, save func(context.Context, uuid.UUID, int) error) error {
	c, err := read(ctx, s, work.AllTenants(), func(ctx context.Context, tx Tx) (*QuizColumn, error) { return tx.QuizColumn(ctx, in.QuizID) })
	if err != nil || c == nil {
		return err
	}
	return s.judgeQuiz(ctx, *c, after, quizDates, save)
}

func (s *Service) judgeQuiz(ctx context.Context, c QuizColumn, after uuid.UUID, cause string, save func(context.Context, uuid.UUID, int) error) error {
	for {
		var last uuid.UUID
		var n int
		err := s.Store.InTx(ctx, work.Tenant(c.TenantID), func(ctx context.Context, tx Tx) error {
			// What content says of the quiz now: of two jobs at once neither judges by what
			// was before.
			now, err := tx.LockQuizColumn(ctx, c.QuizID)
			if err != nil || now == nil {
				return err
			}
			c := *now
			rules, err := tx.ShareGrading(ctx, c.grading())
			if err != nil {
				return err
			}
			rows, err := tx.LockQuizScores(ctx, c.QuizID, after, judgeBatch)
			if n = len(rows); err != nil || n == 0 {
				return err
			}
			last = rows[n-1].UserID
			return s.judgeScores(ctx, tx, c, rows, rules, cause)
		})
		if err != nil || n == 0 {
			return err
		}
		after = last
		if err := save(ctx, last, n); err != nil {
			return err
		}
	}
}

func (s *Service) judgeScores(ctx context.Context, tx Tx, c QuizColumn, rows []QuizScore, rules Grading, cause string) error {
	now := s.Now()
	var moved []uuid.UUID
	for _, was := range rows {
		changed, err := s.saveQuizScore(ctx, tx, c, was, was.judged(c, rules.Policy(), now), cause, now)
		if err != nil {
			return err
		}
		if changed {
			moved = append(moved, was.UserID)
		}
	}
	return s.retotal(ctx, tx, c.place(), moved)
}

// SweepQuizzes makes missing what nobody began by the due time of a quiz, or by
// one's own, and gives it what the policy says (rule 18). A quiz that cannot be swept
// does not hold up the others.
func (s *Service) SweepQuizzes(ctx context.Context) error {
	before := s.Now().Add(-missingGrace)
	due, err := read(ctx, s, work.AllTenants(), func(ctx context.Context, tx Tx) ([]QuizColumn, error) {
		return tx.QuizzesDue(ctx, before, sweepAssignments)
	})
	if err != nil {
		return err
	}
	var failed []error
	for _, c := range due {
		if err := s.sweepQuiz(ctx, c); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(append(failed, s.sweepOwnDue(ctx, before))...)
}

func (s *Service) sweepQuiz(ctx context.Context, c QuizColumn) error {
	err := s.eachLearners(ctx, c.CourseID, func(ids []uuid.UUID) error {
		return inBatches(ids, func(some []uuid.UUID) error { return s.missedQuiz(ctx, c, some) })
	})
	if err != nil && !apperr.IsKind(err, apperr.KindNotFound) { // else the course is gone
		return err
	}
	return s.Store.InTx(ctx, work.Tenant(c.TenantID), func(ctx context.Context, tx Tx) error { return tx.SetQuizChecked(ctx, c.QuizID, *c.DueAt) })
}

// OwnDue is somebody whose own due time for a quiz has passed.
type OwnDue struct{ QuizID, UserID uuid.UUID }

// sweepOwnDue looks at people of whom content told a due time of their own: the
// quiz's was swept without them.
func (s *Service) sweepOwnDue(ctx context.Context, before time.Time) error {
	due, err := read(ctx, s, work.AllTenants(), func(ctx context.Context, tx Tx) ([]OwnDue, error) {
		return tx.OwnDue(ctx, before.Add(-missingSpan), before, sweepBatch)
	})
	if err != nil {
		return err
	}
	users := map[uuid.UUID][]uuid.UUID{}
	for _, d := range due {
		users[d.QuizID] = append(users[d.QuizID], d.UserID)
	}
	var failed []error
	for id, some := range users {
		c, err := read(ctx, s, work.AllTenants(), func(ctx context.Context, tx Tx) (*QuizColumn, error) { return tx.QuizColumn(ctx, id) })
		if err == nil && c != nil {
			err = s.missedQuiz(ctx, *c, some)
		}
		if err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// missingGrace is how long after the due time of a quiz missing work is looked for:
// its grace, and a moment for what content still has to tell.
const missingGrace = 90 * time.Second

func (s *Service) missedQuiz(ctx context.Context, c QuizColumn, users []uuid.UUID) error {
	return s.Store.InTx(ctx, work.Tenant(c.TenantID), func(ctx context.Context, tx Tx) error {
		rules, err := tx.ShareGrading(ctx, c.grading())
		if err != nil {
			return err
		}
		now := s.Now()
		fresh := make([]QuizScore, len(users))
		for i, user := range users {
			fresh[i] = s.freshQuizScore(c, user, now)
		}
		rows, err := tx.EnsureQuizScores(ctx, fresh)
		if err != nil {
			return err
		}
		return s.judgeScores(ctx, tx, c, rows, rules, quizMissing)
	})
}
