// Package dashboard puts reports side by side and draws them: each as a chart and
// as the table behind it, on a page that loads nothing and runs nothing.
package dashboard

import (
	"lms/apps/analytics/internal/period"
	"lms/apps/analytics/internal/report"
)

// Name is a dashboard's name in the API.
type Name string

// The dashboards.
const (
	Platform Name = "platform"
	OrgUnit  Name = "org-unit"
	Course   Name = "course"
)

// Shape is how a panel is drawn.
type Shape string

// The shapes.
const (
	Bars  Shape = "bars"
	Lines Shape = "lines"
	Table Shape = "table" // of what no chart would show better
)

// Panel is one report on a dashboard.
type Panel struct {
	Report   report.Name
	Interval period.Interval
	Shape    Shape
	// X names the column of the categories, Y those of the series. By splits the
	// series by a further column: currencies are not added up.
	X  string
	Y  []string
	By string
	// Limit is how many rows are shown.
	Limit int
}

// Dashboard is some panels.
type Dashboard struct {
	Name  Name
	Title string
	// Needs says what the request must name.
	NeedsOrgUnit, NeedsCourse bool
	Panels                    []Panel
}

// Find is a dashboard by its name.
func Find(name Name) (Dashboard, bool) {
	d, ok := map[Name]Dashboard{
		Platform: {Name: Platform, Title: "All courses", Panels: append(overview(), commerce()...)},
		OrgUnit:  {Name: OrgUnit, Title: "Org unit", NeedsOrgUnit: true, Panels: append(overview(), commerce()...)},
		Course:   {Name: Course, Title: "Course", NeedsCourse: true, Panels: course()},
	}[name]
	return d, ok
}

var steps = []string{"viewed", "enrolled", "started", "completed"} //nolint:gochecknoglobals // immutable

func overview() []Panel {
	return []Panel{
		{Report: report.ActiveLearners, Interval: period.Day, Shape: Lines, X: "bucket", Y: []string{"learners"}},
		{Report: report.FunnelOverTime, Interval: period.Week, Shape: Lines, X: "bucket", Y: steps},
		{Report: report.CourseFunnel, Shape: Bars, X: "course_code", Y: steps, Limit: 12},
		{Report: report.ProgressDistribution, Shape: Bars, X: "band", Y: []string{"learners"}},
		{Report: report.GradeDistribution, Shape: Bars, X: "band", Y: []string{"final", "current"}},
		{Report: report.LateWork, Shape: Bars, X: "title", Y: []string{"on_time", "late", "missing"}, Limit: 12},
		{Report: report.InstructorLoad, Shape: Bars, X: "name", Y: []string{"learners", "waiting", "graded"}, Limit: 12},
		{Report: report.AtRisk, Shape: Table, Limit: 25},
		{Report: report.SearchTerms, Shape: Table, Limit: 15},
	}
}

func commerce() []Panel {
	return []Panel{
		{Report: report.Revenue, Interval: period.Month, Shape: Bars, X: "bucket", Y: []string{"net"}, By: "currency"},
		{Report: report.MRR, Interval: period.Month, Shape: Lines, X: "bucket", Y: []string{"mrr"}, By: "currency"},
		{Report: report.RevenueByPlan, Shape: Table, Limit: 15},
	}
}

func course() []Panel {
	return []Panel{
		{Report: report.ActiveLearners, Interval: period.Day, Shape: Lines, X: "bucket", Y: []string{"learners"}},
		{Report: report.FunnelOverTime, Interval: period.Week, Shape: Lines, X: "bucket", Y: steps},
		{Report: report.ProgressDistribution, Shape: Bars, X: "band", Y: []string{"learners"}},
		{Report: report.ItemDifficulty, Shape: Bars, X: "title", Y: []string{"learners", "completed"}, Limit: 20},
		{Report: report.QuestionDifficulty, Shape: Bars, X: "title", Y: []string{"correct", "partial", "wrong", "blank"}, Limit: 15},
		{Report: report.GradeDistribution, Shape: Bars, X: "band", Y: []string{"final", "current"}},
		{Report: report.LateWork, Shape: Bars, X: "title", Y: []string{"on_time", "late", "missing"}, Limit: 12},
		{Report: report.Retention, Interval: period.Week, Shape: Table, Limit: 60},
		{Report: report.AtRisk, Shape: Table, Limit: 25},
	}
}

// Chart is a panel's numbers as a chart needs them.
type Chart struct {
	Labels []string
	Series []Series
}

// Series is a line or a group of bars; a value for each label.
type Series struct {
	Name   string
	Values []float64
}

// ChartOf takes the numbers of a panel out of its rows.
func ChartOf(p Panel, columns []report.Column, rows [][]any) Chart {
	var c Chart
	x, by := place(columns, p.X), place(columns, p.By)
	if x < 0 {
		return c
	}
	at := map[string]int{} // label → place
	lines := map[string]int{}
	key := func(row []any) string {
		if p.Shape == Bars && p.By == "" {
			return "" // each row has bars of its own, also where two have one name
		}
		return text(row[x])
	}
	for _, row := range rows {
		k := key(row)
		i, known := at[k]
		if !known || k == "" {
			i = len(c.Labels)
			at[k] = i
			c.Labels = append(c.Labels, text(row[x]))
			for s := range c.Series {
				c.Series[s].Values = append(c.Series[s].Values, 0)
			}
		}
		for _, y := range p.Y {
			n := place(columns, y)
			if n < 0 {
				continue
			}
			name := columns[n].Title
			if by >= 0 {
				name = text(row[by])
				if len(p.Y) > 1 {
					name = columns[n].Title + " " + name
				}
			}
			s, known := lines[name]
			if !known {
				s = len(c.Series)
				lines[name] = s
				c.Series = append(c.Series, Series{Name: name, Values: make([]float64, len(c.Labels))})
			}
			c.Series[s].Values[i] += number(row[n])
		}
	}
	return c
}

func place(columns []report.Column, key string) int {
	for i, c := range columns {
		if c.Key == key && key != "" {
			return i
		}
	}
	return -1
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

func number(v any) float64 {
	switch n := v.(type) {
	case int64:
		return float64(n)
	case float64:
		return n
	}
	return 0
}
