package dashboard

import (
	"bytes"
	_ "embed" // the page
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/analytics/internal/report"
)

// View is a dashboard with its numbers.
type View struct {
	Title    string
	Subtitle string
	Panels   []PanelView
}

// PanelView is a panel with its numbers.
type PanelView struct {
	Panel
	Report    report.Report
	Period    *report.Period // nil: how things stand now
	UpdatedAt time.Time
	Columns   []report.Column
	Rows      [][]any
	Chart     Chart
	Truncated bool
}

//go:embed page.html
var pageHTML string

// Page writes dashboards as HTML.
type Page struct{ t *template.Template }

// NewPage reads the page's template.
func NewPage() (*Page, error) {
	t, err := template.New("dashboard").Parse(pageHTML)
	if err != nil {
		return nil, fmt.Errorf("dashboard page: %w", err)
	}
	return &Page{t}, nil
}

// Policy is the Content-Security-Policy of the page: it loads nothing, runs
// nothing, and its charts are images within it.
const Policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

type shownPanel struct {
	Title, Definition, Period, UpdatedAt, Alt string
	Image                                     template.URL // ours, in base64
	Head                                      []shownColumn
	Rows                                      [][]string
	Truncated, Folded                         bool
}

type shownColumn struct {
	Title, Meaning string
	Number         bool
}

// Write writes a page. An empty panel says so.
func (p *Page) Write(w io.Writer, v View) error {
	shown := struct {
		Title, Subtitle string
		Panels          []shownPanel
	}{Title: v.Title, Subtitle: v.Subtitle}
	for _, panel := range v.Panels {
		s, err := show(panel)
		if err != nil {
			return err
		}
		shown.Panels = append(shown.Panels, s)
	}
	var b bytes.Buffer
	if err := p.t.Execute(&b, shown); err != nil {
		return fmt.Errorf("dashboard page: %w", err)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func show(p PanelView) (shownPanel, error) {
	s := shownPanel{Title: p.Report.Title, Definition: p.Report.Definition, UpdatedAt: p.UpdatedAt.UTC().Format("2006-01-02 15:04:05 UTC"), Truncated: p.Truncated}
	if p.Period != nil {
		zone, err := time.LoadLocation(p.Period.TimeZone)
		if err != nil {
			zone = time.UTC
		}
		s.Period = p.Period.From.In(zone).Format("2006-01-02 15:04") + " – " + p.Period.To.In(zone).Format("2006-01-02 15:04") + " " + p.Period.TimeZone
	} else {
		s.Period = "as things stand now"
	}
	if p.Shape != Table && len(p.Rows) > 0 {
		svg, err := Draw(p.Shape, p.Chart)
		if err != nil {
			return s, err
		}
		s.Image = template.URL("data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString(svg)) //nolint:gosec // drawn by us, and an image runs nothing
		s.Alt = "Chart of " + p.Report.Title + "; its numbers are in the table below"
		s.Folded = true
	}
	var at []int
	for i, c := range p.Columns {
		if c.Kind == report.KindID {
			continue // nobody reads ids
		}
		at = append(at, i)
		s.Head = append(s.Head, shownColumn{c.Title, c.Meaning, isNumber(c.Kind)})
	}
	for _, row := range p.Rows {
		cells := make([]string, len(at))
		for i, n := range at {
			cells[i] = cell(p.Columns[n].Kind, row[n])
		}
		s.Rows = append(s.Rows, cells)
	}
	return s, nil
}

func isNumber(k report.Kind) bool {
	switch k {
	case report.KindCount, report.KindShare, report.KindSeconds, report.KindMoney:
		return true
	case report.KindText, report.KindID, report.KindTime, report.KindBucket, report.KindTexts:
	}
	return false
}

func cell(k report.Kind, v any) string {
	switch x := v.(type) {
	case nil:
		return "–"
	case string:
		return x
	case []string:
		return strings.Join(x, " ")
	case uuid.UUID:
		return x.String()
	case time.Time:
		return x.UTC().Format("2006-01-02 15:04")
	case float64:
		if k == report.KindShare {
			return strconv.FormatFloat(x*100, 'f', 1, 64) + " %"
		}
		return strconv.FormatFloat(x, 'f', -1, 64)
	case int64:
		if k == report.KindSeconds {
			return span(x)
		}
		return grouped(strconv.FormatInt(x, 10))
	}
	return fmt.Sprint(v)
}

// span is a duration for people.
func span(seconds int64) string {
	switch d := time.Duration(seconds) * time.Second; {
	case d >= 48*time.Hour:
		return strconv.FormatFloat(d.Hours()/24, 'f', 1, 64) + " days"
	case d >= 2*time.Hour:
		return strconv.FormatFloat(d.Hours(), 'f', 1, 64) + " hours"
	default:
		return strconv.FormatFloat(d.Minutes(), 'f', 0, 64) + " min"
	}
}
