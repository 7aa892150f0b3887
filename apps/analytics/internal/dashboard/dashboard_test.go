package dashboard_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/analytics/internal/dashboard"
	"lms/apps/analytics/internal/report"
)

func TestPanelsNameReportsAndColumnsThatThereAre(t *testing.T) {
	t.Parallel()
	for _, name := range []dashboard.Name{dashboard.Platform, dashboard.OrgUnit, dashboard.Course} {
		d, ok := dashboard.Find(name)
		require.True(t, ok)
		for _, p := range d.Panels {
			r, ok := report.Find(p.Report)
			require.True(t, ok, p.Report)
			keys := map[string]bool{"": true}
			for _, c := range r.Columns {
				keys[c.Key] = true
			}
			for _, k := range append([]string{p.X, p.By}, p.Y...) {
				require.True(t, keys[k], "%s: %s", p.Report, k)
			}
			require.Equal(t, p.Shape == dashboard.Table, p.X == "", p.Report)
		}
	}
}

func TestSeriesAreSplitAndNotAddedUp(t *testing.T) {
	t.Parallel()
	p := dashboard.Panel{Shape: dashboard.Lines, X: "bucket", Y: []string{"net"}, By: "currency"}
	columns := []report.Column{{Key: "bucket"}, {Key: "currency"}, {Key: "net", Title: "Left"}}
	c := dashboard.ChartOf(p, columns, [][]any{{"2026-01", "EUR", int64(5)}, {"2026-01", "USD", int64(7)}, {"2026-02", "USD", int64(1)}, {"2026-03", "GBP", int64(2)}})
	require.Equal(t, dashboard.Chart{Labels: []string{"2026-01", "2026-02", "2026-03"}, Series: []dashboard.Series{
		{Name: "EUR", Values: []float64{5, 0, 0}}, {Name: "USD", Values: []float64{7, 1, 0}}, {Name: "GBP", Values: []float64{0, 0, 2}},
	}}, c)
	// Two courses of one name are two groups of bars.
	p = dashboard.Panel{Shape: dashboard.Bars, X: "title", Y: []string{"n"}}
	c = dashboard.ChartOf(p, []report.Column{{Key: "title"}, {Key: "n", Title: "N"}}, [][]any{{"Same", int64(1)}, {"Same", int64(2)}})
	require.Equal(t, []string{"Same", "Same"}, c.Labels)
	require.Equal(t, []float64{1, 2}, c.Series[0].Values)
}

// TestAPageShowsWhatPeopleWroteAsText, and the numbers as people read them.
func TestAPageShowsWhatPeopleWroteAsText(t *testing.T) {
	t.Parallel()
	page, err := dashboard.NewPage()
	require.NoError(t, err)
	columns := []report.Column{{Key: "title", Title: "Title"}, {Key: "n", Title: "Count", Kind: report.KindCount}, {Key: "s", Title: "Share", Kind: report.KindShare}, {Key: "t", Title: "Time", Kind: report.KindSeconds}}
	rows := [][]any{{`<script>alert(1)</script>`, int64(1234567), 0.8333, int64(3 * 86400)}}
	p := dashboard.Panel{Shape: dashboard.Bars, X: "title", Y: []string{"n"}}
	var b bytes.Buffer
	require.NoError(t, page.Write(&b, dashboard.View{Title: "T", Panels: []dashboard.PanelView{
		{Panel: p, Report: report.Report{Title: "A <b>", Definition: "D"}, UpdatedAt: time.Now(), Columns: columns, Rows: rows, Chart: dashboard.ChartOf(p, columns, rows)},
		{Panel: dashboard.Panel{Shape: dashboard.Table}, Report: report.Report{Title: "Empty"}},
	}}))
	out := b.String()
	require.NotContains(t, out, "<script")
	require.Contains(t, out, "&lt;script&gt;alert(1)&lt;/script&gt;")
	for _, want := range []string{"1 234 567", "83.3 %", "3.0 days", "Nothing to show.", "xml;base64,"} {
		require.Contains(t, out, want)
	}
	require.Equal(t, 1, strings.Count(out, "<img "))
}
