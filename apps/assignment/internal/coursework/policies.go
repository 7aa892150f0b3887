package coursework

import (
	"context"
	"strconv"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/work"
)

// JobReapply brings a changed late policy to all work of a course (rule 19).
const JobReapply = "reapply-late-policy"

// Reapplying is the input of JobReapply.
type Reapplying struct {
	CourseID uuid.UUID `json:"course_id"`
}

// LatePolicyFields are what staff set; rates and the floor are percents.
type LatePolicyFields struct {
	Late         bool
	LateRate     Points
	LateInterval string
	LateFloor    Points
	Missing      bool
	MissingRate  Points
}

// SetPolicy is a late policy after a change, with the job that brings it to all
// work; none if nothing changed.
type SetPolicy struct {
	Grading Grading
	Job     *work.Job
}

func (in LatePolicyFields) check() error {
	var bad apperr.Fields
	percent := func(p Points, path string) { bad.Require(p >= 0 && p <= 100_00, path, "range", "From 0 to 100.") }
	percent(in.LateRate, "late.rate")
	percent(in.LateFloor, "late.floor")
	percent(in.MissingRate, "missing.rate")
	bad.Require(in.LateInterval == IntervalHour || in.LateInterval == IntervalDay, "late.interval", "enum", "One of: hour, day.")
	return bad.Err()
}

// PutLatePolicy sets a course's late policy. A job applies it to all work that is
// late, missing, or was; totals follow, and history keeps both numbers with who
// and why (rule 19).
func (s *Service) PutLatePolicy(ctx context.Context, actor authz.Principal, course uuid.UUID, version int64, in LatePolicyFields) (SetPolicy, error) {
	return s.changeGrading(ctx, actor, course, func(ctx context.Context, tx Tx, g *Grading, out *SetPolicy) (map[string]work.Change, error) {
		if err := in.check(); err != nil {
			return nil, err
		}
		if version != g.PolicyVersion {
			return nil, apperr.VersionMismatch()
		}
		changes := map[string]work.Change{}
		note(changes, "late.enabled", g.Late, in.Late)
		note(changes, "late.rate", g.LateRate, in.LateRate)
		note(changes, "late.interval", g.LateInterval, in.LateInterval)
		note(changes, "late.floor", g.LateFloor, in.LateFloor)
		note(changes, "missing.enabled", g.Missing, in.Missing)
		note(changes, "missing.rate", g.MissingRate, in.MissingRate)
		if len(changes) == 0 {
			return nil, nil
		}
		g.Late, g.LateRate, g.LateInterval, g.LateFloor = in.Late, in.LateRate, in.LateInterval, in.LateFloor
		g.Missing, g.MissingRate = in.Missing, in.MissingRate
		g.PolicyVersion++
		// A job of its own for each version: one that runs has perhaps read what was
		// before.
		key := course.String() + "/" + strconv.FormatInt(g.PolicyVersion, 10)
		job, err := tx.Enqueue(ctx, JobReapply, Reapplying{CourseID: course}, work.JobOptions{TenantID: g.TenantID, Key: key})
		out.Job = &job
		return changes, err
	}, "late_policy.update")
}

// ReappliedTo is where a job that reapplies a policy stands.
type ReappliedTo struct {
	// Column is the assignment or quiz, and After the last person in it.
	Column uuid.UUID `json:"column"`
	After  uuid.UUID `json:"after"`
	N      int64     `json:"n"`
}

// Reapply judges all work of a course by the policy as it is now. It goes on where
// at stands, and can be repeated: what is judged already is unchanged.
func (s *Service) Reapply(ctx context.Context, in Reapplying, at ReappliedTo, save func(context.Context, ReappliedTo) error) error {
	assignments, err := read(ctx, s, work.AllTenants(), func(ctx context.Context, tx Tx) ([]uuid.UUID, error) {
		return tx.AssignmentsOf(ctx, in.CourseID)
	})
	if err != nil {
		return err
	}
	quizzes, err := read(ctx, s, work.AllTenants(), func(ctx context.Context, tx Tx) ([]QuizColumn, error) {
		return tx.QuizzesOf(ctx, in.CourseID)
	})
	if err != nil {
		return err
	}
	each := func(id uuid.UUID, judge func(after uuid.UUID, note func(context.Context, uuid.UUID, int) error) error) error {
		if compareIDs(id, at.Column) < 0 {
			return nil // done before
		}
		if id != at.Column {
			at.Column, at.After = id, uuid.Nil
		}
		return judge(at.After, func(ctx context.Context, last uuid.UUID, n int) error {
			at.After, at.N = last, at.N+int64(n)
			return save(ctx, at)
		})
	}
	columns := make([]uuid.UUID, 0, len(assignments)+len(quizzes))
	columns = append(columns, assignments...)
	byID := make(map[uuid.UUID]QuizColumn, len(quizzes))
	for _, q := range quizzes {
		columns = append(columns, q.QuizID)
		byID[q.QuizID] = q
	}
	sortIDs(columns)
	for _, id := range columns {
		err := each(id, func(after uuid.UUID, note func(context.Context, uuid.UUID, int) error) error {
			if q, ok := byID[id]; ok {
				return s.judgeQuiz(ctx, q, after, quizPolicy, note)
			}
			return s.JudgeAll(ctx, Judging{AssignmentID: id, Cause: CausePolicy}, after, note)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
