package events

import (
	"context"

	"github.com/google/uuid"

	"lms/apps/enrollment/internal/enrollment"
	"lms/shared/authz"
	"lms/shared/jobs"
)

// Jobs registers the background jobs.
func Jobs(r *jobs.Runner, s *enrollment.Service) {
	jobs.Handle(r, enrollment.JobIssueCertificate, func(ctx context.Context, _ *jobs.Run, in enrollment.IssueCertificate) (any, error) {
		return struct{}{}, s.IssueCertificate(ctx, in.EnrollmentID)
	})
	jobs.Handle(r, enrollment.JobPromote, func(ctx context.Context, _ *jobs.Run, in enrollment.CourseJob) (any, error) {
		n, err := s.Promote(ctx, in.CourseID)
		return map[string]int{"promoted": n}, err
	})
	jobs.Handle(r, enrollment.JobCloseCourse, func(ctx context.Context, _ *jobs.Run, in enrollment.CourseJob) (any, error) {
		return struct{}{}, s.CloseCourse(ctx, in)
	})
	jobs.Handle(r, enrollment.JobRecalculate, func(ctx context.Context, run *jobs.Run, in enrollment.CourseJob) (any, error) {
		var at recalculated
		if _, err := run.Cursor(&at); err != nil {
			return nil, err
		}
		err := s.Recalculate(ctx, in, at.Last, func(ctx context.Context, last uuid.UUID, n int) error {
			at.Last, at.N = last, at.N+int64(n)
			run.Progress(at.N, 0)
			return run.SaveCursor(ctx, at)
		})
		return map[string]int64{"learners": at.N}, err
	})
	jobs.Handle(r, enrollment.JobBulkEnroll, func(ctx context.Context, run *jobs.Run, in enrollment.Bulk) (any, error) {
		return listed(ctx, run, func(actor authz.Principal, from int64, report reporter) error {
			return s.RunBulk(ctx, actor, in, from, report)
		})
	})
	jobs.Handle(r, enrollment.JobImport, func(ctx context.Context, run *jobs.Run, in enrollment.Import) (any, error) {
		return listed(ctx, run, func(actor authz.Principal, from int64, report reporter) error {
			return s.RunImport(ctx, actor, in, from, report)
		})
	})
}

type recalculated struct {
	Last uuid.UUID `json:"last"`
	N    int64     `json:"n"`
}

// lineCursor is where a job of lines stands.
type lineCursor struct {
	N     int64            `json:"n"`
	Tally enrollment.Tally `json:"tally"`
}

// cursorEvery bounds what a job that is taken up again does twice; a line done
// twice changes nothing.
const cursorEvery = 50

// reporter takes a line that is done, and how many there are.
type reporter = func(ctx context.Context, row enrollment.Row, total int) error

func listed(ctx context.Context, run *jobs.Run, work func(actor authz.Principal, from int64, report reporter) error) (any, error) {
	at := lineCursor{Tally: enrollment.Tally{}}
	if _, err := run.Cursor(&at); err != nil {
		return nil, err
	}
	actor, err := run.Principal(ctx)
	if err != nil {
		return nil, err
	}
	err = work(actor, at.N, func(ctx context.Context, row enrollment.Row, total int) error {
		if err := run.Row(ctx, row.N, row.Status, row.Code, row.Message, row.Ref); err != nil {
			return err
		}
		at.N = row.N
		at.Tally[row.Status]++
		run.Progress(at.N, int64(total))
		if at.N%cursorEvery == 0 {
			return run.SaveCursor(ctx, at)
		}
		return nil
	})
	return at.Tally, err
}
