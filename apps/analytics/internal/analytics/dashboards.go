package analytics

import (
	"context"

	"lms/apps/analytics/internal/dashboard"
	"lms/apps/analytics/internal/report"
	"lms/shared/apperr"
	"lms/shared/authz"
)

// Dashboard is a dashboard with its numbers. Panels whose report the caller may not
// read are left out; without any it is forbidden.
func (s *Service) Dashboard(ctx context.Context, actor authz.Principal, name dashboard.Name, q report.Query) (dashboard.View, error) {
	var v dashboard.View
	d, ok := dashboard.Find(name)
	if !ok {
		return v, apperr.NotFound("dashboard")
	}
	var f apperr.Fields
	f.Require(!d.NeedsCourse || q.CourseID != nil, "course_id", "required", "this dashboard is of one course")
	f.Require(!d.NeedsOrgUnit || q.OrgUnitID != nil, "org_unit_id", "required", "this dashboard is of one org unit")
	if err := f.Err(); err != nil {
		return v, err
	}
	v.Title, v.Subtitle = d.Title, "Every number is defined below its panel, and can be had as a report."
	var denied error
	for _, p := range d.Panels {
		shown, err := s.panel(ctx, actor, p, q)
		if apperr.IsKind(err, apperr.KindForbidden) {
			denied = err
			continue
		}
		if err != nil {
			return v, err
		}
		v.Panels = append(v.Panels, shown)
	}
	if len(v.Panels) == 0 {
		return v, denied
	}
	return v, nil
}

func (s *Service) panel(ctx context.Context, actor authz.Principal, p dashboard.Panel, q report.Query) (out dashboard.PanelView, err error) {
	r, ok := report.Find(p.Report)
	if !ok {
		return out, errUnknownReport
	}
	q.Limit = p.Limit
	switch r.Time {
	case report.Now:
		q.From, q.To, q.Interval = nil, nil, ""
	case report.Within:
		q.Interval = ""
	case report.Buckets, report.AtTheEnd:
		if q.Interval == "" {
			q.Interval = p.Interval
		}
	}
	if !r.Cohort {
		q.CohortID = nil
	}
	res, err := s.Read(ctx, actor, p.Report, q)
	if err != nil {
		return out, err
	}
	out = dashboard.PanelView{
		Panel: p, Report: r, UpdatedAt: res.UpdatedAt, Columns: r.Columns, Rows: res.Rows, Truncated: res.Truncated, Chart: dashboard.ChartOf(p, r.Columns, res.Rows),
	}
	if r.Time != report.Now {
		out.Period = &res.Period
	}
	return out, nil
}
