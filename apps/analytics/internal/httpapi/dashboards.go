package httpapi

import (
	"context"
	"net/http"

	"lms/apps/analytics/internal/dashboard"
	"lms/shared/web"
)

type dashboardInput struct {
	Filter
	Name   string `path:"name" maxLength:"64"`
	Format string `query:"format" enum:"json,html" doc:"Instead of Accept"`
}

// SeriesBody is a line or a group of bars.
type SeriesBody struct {
	Name   string    `json:"name"`
	Values []float64 `json:"values" doc:"One for each label"`
}

// ChartBody is what a chart is drawn from.
type ChartBody struct {
	Shape  string       `json:"shape" enum:"bars,lines,table"`
	Labels []string     `json:"labels"`
	Series []SeriesBody `json:"series"`
}

// PanelBody is a report on a dashboard: its chart, and the rows behind it.
type PanelBody struct {
	Report
	Chart ChartBody `json:"chart"`
}

// Dashboard is some reports side by side.
type Dashboard struct {
	Name   string      `json:"name"`
	Title  string      `json:"title"`
	Panels []PanelBody `json:"panels"`
}

func showDashboard(name string, v dashboard.View) Dashboard {
	out := Dashboard{Name: name, Title: v.Title, Panels: make([]PanelBody, len(v.Panels))}
	for i, p := range v.Panels {
		b := PanelBody{
			Report: Report{
				Name: string(p.Report.Name), Title: p.Report.Title, Definition: p.Report.Definition, UpdatedAt: p.UpdatedAt, Columns: columnsOf(p.Report),
				Rows: make([]Row, len(p.Rows)), Truncated: p.Truncated,
			},
			Chart: ChartBody{Shape: string(p.Shape), Labels: append([]string{}, p.Chart.Labels...), Series: []SeriesBody{}},
		}
		if p.Period != nil {
			b.From, b.To, b.TimeZone, b.Interval = &p.Period.From, &p.Period.To, p.Period.TimeZone, string(p.Period.Interval)
		}
		for n, values := range p.Rows {
			b.Rows[n] = Row{p.Columns, values}
		}
		for _, s := range p.Chart.Series {
			b.Chart.Series = append(b.Chart.Series, SeriesBody(s))
		}
		out.Panels[i] = b
	}
	return out
}

func (a *API) dashboard(ctx context.Context, in *dashboardInput, w http.ResponseWriter, req *http.Request) error {
	q, err := in.query()
	if err != nil {
		return err
	}
	v, err := a.Service.Dashboard(ctx, web.Actor(ctx), dashboard.Name(in.Name), q)
	if err != nil {
		return err
	}
	if wanted(req, in.Format) != typeHTML {
		return writeJSON(w, showDashboard(in.Name, v))
	}
	w.Header().Set("Content-Type", typeHTML+"; charset=utf-8")
	w.Header().Set("Content-Security-Policy", dashboard.Policy)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Add("Vary", "Accept")
	return a.Page.Write(w, v)
}
