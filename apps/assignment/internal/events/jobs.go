package events

import (
	"context"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/coursework"
	"lms/shared/jobs"
)

// judged is how far a job that judges has come.
type judged struct {
	Last uuid.UUID `json:"last"`
	N    int64     `json:"n"`
}

// Jobs registers the background jobs that need no files.
func Jobs(r *jobs.Runner, s *coursework.Service) {
	gradebookJobs(r, s)
	jobs.Handle(r, coursework.JobJudge, func(ctx context.Context, run *jobs.Run, in coursework.Judging) (any, error) {
		var at judged
		if _, err := run.Cursor(&at); err != nil {
			return nil, err
		}
		err := s.JudgeAll(ctx, in, at.Last, func(ctx context.Context, last uuid.UUID, n int) error {
			at.Last, at.N = last, at.N+int64(n)
			run.Progress(at.N, 0)
			return run.SaveCursor(ctx, at)
		})
		return map[string]int64{"grades": at.N}, err
	})
	jobs.Handle(r, coursework.JobDeleteObjects, func(ctx context.Context, _ *jobs.Run, in coursework.Objects) (any, error) {
		return map[string]int{"objects": len(in.Keys)}, s.DeleteObjects(ctx, in)
	})
}
