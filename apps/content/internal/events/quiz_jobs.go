package events

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"lms/apps/content/internal/quiz"
	"lms/shared/jobs"
)

// regradeCursor is where a regrade stands.
type regradeCursor struct {
	Last    uuid.UUID `json:"last"`
	N       int64     `json:"n"`
	Changed int64     `json:"changed"`
}

// QuizJobs registers the background jobs of quizzes.
func QuizJobs(r *jobs.Runner, s *quiz.Service) {
	jobs.Handle(r, quiz.JobRegrade, func(ctx context.Context, run *jobs.Run, in quiz.QuizJob) (any, error) {
		var at regradeCursor
		if _, err := run.Cursor(&at); err != nil {
			return nil, err
		}
		err := s.Regrade(ctx, in.QuizID, at.Last, func(ctx context.Context, last uuid.UUID, changed *quiz.Regraded) error {
			at.Last, at.N = last, at.N+1
			run.Progress(at.N, 0)
			if changed == nil {
				return nil
			}
			at.Changed++
			if err := run.Row(ctx, at.Changed, "changed", "", describe(*changed), changed); err != nil {
				return err
			}
			return run.SaveCursor(ctx, at)
		})
		return map[string]int64{"attempts": at.N, "changed": at.Changed}, err
	})
	jobs.Handle(r, quiz.JobRejudge, func(ctx context.Context, run *jobs.Run, in quiz.QuizJob) (any, error) {
		var at regradeCursor
		if _, err := run.Cursor(&at); err != nil {
			return nil, err
		}
		err := s.Rejudge(ctx, in.QuizID, at.Last, func(ctx context.Context, last uuid.UUID, n int) error {
			at.Last, at.N = last, at.N+int64(n)
			run.Progress(at.N, 0)
			return run.SaveCursor(ctx, at)
		})
		return map[string]int64{"people": at.N}, err
	})
}

func describe(c quiz.Regraded) string {
	score := func(p *quiz.Points) string {
		if p == nil {
			return "none"
		}
		return p.String()
	}
	return fmt.Sprintf("Attempt %d: %s of %s before, %s of %s now.", c.Number, score(c.OldScore), c.OldPossible, score(c.Score), c.Possible)
}
