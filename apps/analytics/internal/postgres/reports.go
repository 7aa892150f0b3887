package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lms/apps/analytics/internal/analytics"
	"lms/apps/analytics/internal/report"
	"lms/shared/pg"
)

// statement is how a report is asked for.
type statement struct {
	sql  string
	args func(report.Arguments) []any
}

func now(a report.Arguments) []any     { return []any{a.Courses, a.Users, a.Limit} }
func within(a report.Arguments) []any  { return []any{a.Courses, a.Users, a.From, a.To, a.Limit} }
func bounded(a report.Arguments) []any { return []any{a.Courses, a.Users, a.Bounds(), a.Limit} }

func spanned(a report.Arguments, more ...any) []any {
	days, am, pm, b := make([]time.Time, len(a.Spans)), make([]int64, len(a.Spans)), make([]int64, len(a.Spans)), make([]int32, len(a.Spans))
	for i, s := range a.Spans {
		days[i], am[i], pm[i], b[i] = s.Day, s.AM, s.PM, int32(s.Bucket)
	}
	return append([]any{a.Courses, a.Users, days, am, pm, b}, more...)
}

func money(a report.Arguments, more ...any) []any {
	return append(append([]any{a.Courses, a.OrgUnits, a.Users}, more...), a.Limit)
}

func statementOf(name report.Name) (statement, bool) {
	s, ok := map[report.Name]statement{
		report.CourseFunnel:         {courseFunnelSQL, within},
		report.FunnelOverTime:       {funnelOverTimeSQL, bounded},
		report.ProgressDistribution: {progressDistributionSQL, now},
		report.TimeToComplete:       {timeToCompleteSQL, within},
		report.ActiveLearners:       {activeLearnersSQL, func(a report.Arguments) []any { return spanned(a, len(a.Buckets), a.Limit) }},
		report.Retention:            {retentionSQL, func(a report.Arguments) []any { return spanned(a, a.Bounds(), a.Limit) }},
		report.Cohorts: {cohortsSQL, func(a report.Arguments) []any {
			return []any{a.Courses, a.Users, a.From.UTC(), a.To.Add(-time.Nanosecond).UTC(), a.OrgUnits, a.Limit}
		}},
		report.ItemDifficulty:     {itemDifficultySQL, within},
		report.QuestionDifficulty: {questionDifficultySQL, within},
		report.GradeDistribution:  {gradeDistributionSQL, now},
		report.LateWork:           {lateWorkSQL, within},
		report.AtRisk: {atRiskSQL, func(a report.Arguments) []any {
			return []any{
				a.Courses, a.Users, a.Now, a.Limit, a.Now.Add(-report.RiskInactive), a.Now.Add(-report.RiskNotBegun), report.RiskLowGrade, report.RiskBehind,
			}
		}},
		report.InstructorLoad: {instructorLoadSQL, within},
		report.Revenue:        {revenueSQL, func(a report.Arguments) []any { return money(a, a.Bounds()) }},
		report.RevenueByPlan:  {revenueByPlanSQL, func(a report.Arguments) []any { return money(a, a.From, a.To) }},
		report.MRR:            {mrrSQL, func(a report.Arguments) []any { return money(a, a.Bounds()[1:]) }},
		report.SearchTerms:    {searchTermsSQL, func(a report.Arguments) []any { return []any{a.From, a.To, a.Limit} }},
	}[name]
	return s, ok
}

// Report implements analytics.Tx.
func (t tx) Report(ctx context.Context, name report.Name, a report.Arguments, fn func(row []any) error) error {
	s, ok := statementOf(name)
	if !ok {
		return fmt.Errorf("report %s has no statement", name)
	}
	// Each request has limits of its own: a plan made for all would suit none.
	rows, err := t.Query(ctx, s.sql, append([]any{pgx.QueryExecModeCacheDescribe}, s.args(a)...)...)
	if err != nil {
		return fmt.Errorf("report %s: %w", name, err)
	}
	defer rows.Close()
	for rows.Next() {
		row, err := rows.Values()
		if err != nil {
			return fmt.Errorf("report %s: %w", name, err)
		}
		if err := fn(row); err != nil {
			return err
		}
	}
	return rows.Err()
}

const (
	coursesSQL = `
select course_id from courses
where ($1 or org_unit_id = any ($2::uuid[]) or course_id = any ($3::uuid[])) and ($4::uuid[] is null or org_unit_id = any ($4)) order by course_id`

	cohortSQL = `
select tenant_id, org_unit_id, course_id,
  coalesce((select array_agg(user_id) from cohort_members m where m.group_id = g.group_id and m.member), '{}') as members
from cohorts g where group_id = $1 and not deleted`
)

// Courses implements analytics.Tx.
func (t tx) Courses(ctx context.Context, f analytics.CourseFilter) ([]uuid.UUID, error) {
	ids, err := pg.Column[uuid.UUID](ctx, t, coursesSQL, f.All, f.OrgUnits, f.Courses, f.Within)
	if ids == nil {
		ids = []uuid.UUID{}
	}
	return ids, err
}

// CohortMembers implements analytics.Tx.
func (t tx) CohortMembers(ctx context.Context, group uuid.UUID) (analytics.Cohort, error) {
	return pg.One[analytics.Cohort](ctx, t, "cohort", cohortSQL, group)
}
