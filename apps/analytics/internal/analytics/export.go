package analytics

import (
	"context"

	"lms/apps/analytics/internal/report"
	"lms/shared/authz"
	"lms/shared/work"
)

// Kinds of background jobs.
const (
	JobExport  = "report-export"
	JobRebuild = "analytics-rebuild"
)

// Exporting is what an export job writes.
type Exporting struct {
	Report report.Name   `json:"report"`
	Format report.Format `json:"format"`
	Query  report.Query  `json:"query"`
}

// StartExport begins to write all rows of a report into a file. The period is
// settled now: it does not move while the job waits.
func (s *Service) StartExport(ctx context.Context, actor authz.Principal, in Exporting) (job work.Job, err error) {
	r, ok := report.Find(in.Report)
	if !ok {
		return job, errUnknownReport
	}
	p, err := r.Ask(in.Query, s.Now())
	if err != nil {
		return job, err
	}
	if r.Time != report.Now {
		in.Query.From, in.Query.To = &p.From, &p.To
	}
	at, err := s.reachOf(ctx, actor, permissionFor(r.About))
	if err != nil {
		return job, err
	}
	err = s.Store.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &job, func() error {
			if _, err := s.limit(ctx, tx, actor, r, in.Query, at); err != nil {
				return err
			}
			if err := tx.Audit(ctx, work.AuditEntry{Action: "report.export", ResourceType: "report", ResourceID: actor.TenantID, TenantID: actor.TenantID, Changes: map[string]work.Change{
				"report": {To: in.Report}, "format": {To: in.Format}, "course_id": {To: in.Query.CourseID}, "org_unit_id": {To: in.Query.OrgUnitID},
			}}); err != nil {
				return err
			}
			job, err = tx.Enqueue(ctx, JobExport, in, work.JobOptions{TenantID: actor.TenantID})
			return err
		})
	})
	return job, err
}

// named is for how many rows names are asked for at once.
const named = 500

// Export gives all rows of a report, one by one; what is held in memory does not
// grow with them.
func (s *Service) Export(ctx context.Context, actor authz.Principal, in Exporting, head func(report.Report) error, row func([]any) error) error {
	var r report.Report
	var held [][]any
	flush := func() error {
		if err := s.nameRows(ctx, r, held); err != nil {
			return err
		}
		for _, values := range held {
			if err := row(values); err != nil {
				return err
			}
		}
		held = held[:0]
		return nil
	}
	in.Query.Limit = 0
	err := s.stream(ctx, actor, in.Report, in.Query, func(h Head) error {
		r, held = h.Report, held[:0]
		return head(h.Report)
	}, func(values []any) error {
		if held = append(held, values); len(held) == named {
			return flush()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}
