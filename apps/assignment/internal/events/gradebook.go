package events

import (
	"context"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/coursework"
	"lms/shared/contracts/internalapi"
	"lms/shared/inbox"
	"lms/shared/jobs"
	"lms/shared/pg"
)

// quizReceivers register what content tells of quizzes.
func (r Receivers) quizReceivers(in *inbox.Inbox) {
	inbox.Receive(in, internalapi.CallQuizColumn, []string{"content"}, r.quizColumn)
	inbox.Receive(in, internalapi.CallQuizScore, []string{"content"}, r.quizScore)
}

func (r Receivers) quizColumn(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.QuizColumn) (internalapi.Done, error) {
	return internalapi.Done{}, r.Service.TakeQuizColumn(ctx, r.Wrap(u), coursework.ToldColumn{
		QuizID: in.QuizID, TenantID: in.TenantID, OrgUnitID: in.OrgUnitID, CourseID: in.CourseID, Title: in.Title, Points: in.Points,
		DueAt: in.DueAt, Published: in.Published, Deleted: in.Deleted,
	})
}

func (r Receivers) quizScore(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.QuizScore) (internalapi.Done, error) {
	return internalapi.Done{}, r.Service.TakeQuizScore(ctx, r.Wrap(u), coursework.ToldScore{
		QuizID: in.QuizID, TenantID: in.TenantID, CourseID: in.CourseID, UserID: in.UserID, Score: in.Score, Pending: in.Pending,
		Posted: in.Posted, ExcusedAt: in.ExcusedAt, SubmittedAt: in.SubmittedAt, DueAt: in.DueAt, GradedAt: in.GradedAt,
	})
}

// importCursor is where an import stands.
type importCursor struct {
	Lines int            `json:"lines"`
	Tally map[string]int `json:"tally"`
}

// gradebookJobs registers the background jobs of policies and imports.
func gradebookJobs(r *jobs.Runner, s *coursework.Service) {
	jobs.Handle(r, coursework.JobReapply, func(ctx context.Context, run *jobs.Run, in coursework.Reapplying) (any, error) {
		var at coursework.ReappliedTo
		if _, err := run.Cursor(&at); err != nil {
			return nil, err
		}
		err := s.Reapply(ctx, in, at, func(ctx context.Context, now coursework.ReappliedTo) error {
			at = now
			run.Progress(at.N, 0)
			return run.SaveCursor(ctx, at)
		})
		return map[string]int64{"judged": at.N}, err
	})
	jobs.Handle(r, coursework.JobJudgeQuiz, func(ctx context.Context, run *jobs.Run, in coursework.JudgingQuiz) (any, error) {
		var last uuid.UUID
		if _, err := run.Cursor(&last); err != nil {
			return nil, err
		}
		judged := 0
		err := s.JudgeQuiz(ctx, in, last, func(ctx context.Context, to uuid.UUID, n int) error {
			judged += n
			return run.SaveCursor(ctx, to)
		})
		return map[string]int{"judged": judged}, err
	})
	jobs.Handle(r, coursework.JobImport, func(ctx context.Context, run *jobs.Run, in coursework.ImportGradebook) (any, error) {
		at := importCursor{Tally: map[string]int{}}
		resumed, err := run.Cursor(&at)
		if err != nil {
			return nil, err
		}
		from := 0
		if resumed {
			from = at.Lines
		}
		actor, err := run.Principal(ctx)
		if err != nil {
			return nil, err
		}
		err = s.RunImport(ctx, actor, in, from, func(ctx context.Context, line, lines, unchanged int, cells []coursework.ImportedCell) error {
			for _, c := range cells {
				if err := run.Row(ctx, c.N, c.Status, c.Code, c.Message, c.Ref); err != nil {
					return err
				}
				at.Tally[c.Status]++
			}
			if unchanged > 0 {
				at.Tally[coursework.ImportUnchanged] += unchanged
			}
			at.Lines = line
			run.Progress(int64(line), int64(lines))
			return run.SaveCursor(ctx, at)
		})
		return at.Tally, err
	})
}
