package analytics

import (
	"context"

	"github.com/google/uuid"

	"lms/apps/analytics/internal/history"
	"lms/apps/analytics/internal/report"
	"lms/shared/authz"
	"lms/shared/page"
	"lms/shared/work"
)

// Events is a page of events that a caller may see: those of courses in reach, and
// those of org units in reach that are of no course.
func (s *Service) Events(ctx context.Context, actor authz.Principal, f EventFilter, course *uuid.UUID, q page.Request) (p page.Page[history.Event], err error) {
	at, err := s.reachOf(ctx, actor, authz.ReportRead)
	if err != nil {
		return p, err
	}
	if at.none() {
		return p, forbidden(authz.ReportRead)
	}
	if len(f.Types) == 0 {
		f.Types = nil
	}
	err = s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		if f.Courses, err = s.courses(ctx, tx, report.Query{CourseID: course}, at, nil); err != nil {
			return err
		}
		if course == nil {
			f.OrgUnits = overlap(at.units, nil)
		}
		p, err = tx.Listed(ctx, f, q)
		return err
	})
	return p, err
}
