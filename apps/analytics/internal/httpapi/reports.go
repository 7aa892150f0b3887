package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lms/apps/analytics/internal/analytics"
	"lms/apps/analytics/internal/period"
	"lms/apps/analytics/internal/report"
	"lms/shared/apperr"
	"lms/shared/web"
)

// ColumnBody is a column of a report.
type ColumnBody struct {
	Key     string `json:"key"`
	Title   string `json:"title"`
	Kind    string `json:"kind" enum:"text,id,time,bucket,count,share,seconds,money,texts" doc:"share: 0 to 1; money: minor units of the row's currency; bucket: a part of the period by its label"`
	Meaning string `json:"meaning,omitempty"`
}

// CatalogueEntry is a report that can be asked for.
type CatalogueEntry struct {
	Name        string       `json:"name"`
	Title       string       `json:"title"`
	Definition  string       `json:"definition" doc:"What the numbers mean"`
	About       string       `json:"about" enum:"learning,money,searches"`
	Time        string       `json:"time" enum:"now,within,buckets,at_end" doc:"now: how things stand; within: what happened in the period; buckets: for each part of it; at_end: how things stood at the end of each part"`
	Interval    string       `json:"interval,omitempty" doc:"If the request names none"`
	NeedsCourse bool         `json:"needs_course"`
	Cohort      bool         `json:"cohort" doc:"It can be limited to a group"`
	Columns     []ColumnBody `json:"columns"`
}

func columnsOf(r report.Report) []ColumnBody {
	out := make([]ColumnBody, len(r.Columns))
	for i, c := range r.Columns {
		out[i] = ColumnBody{c.Key, c.Title, string(c.Kind), c.Meaning}
	}
	return out
}

type catalogueBody struct {
	Body web.Items[CatalogueEntry]
}

func (a *API) catalogue(ctx context.Context, _ *web.Empty) (*catalogueBody, error) {
	list, err := a.Service.Catalogue(ctx, web.Actor(ctx))
	if err != nil {
		return nil, err
	}
	out := &catalogueBody{Body: web.Items[CatalogueEntry]{Items: make([]CatalogueEntry, len(list))}}
	for i, r := range list {
		out.Body.Items[i] = CatalogueEntry{
			Name: string(r.Name), Title: r.Title, Definition: r.Definition, About: string(r.About), Time: string(r.Time), Interval: string(r.Interval),
			NeedsCourse: r.NeedsCourse, Cohort: r.Cohort, Columns: columnsOf(r),
		}
	}
	return out, nil
}

// Filter is what a request asks of a report.
type Filter struct {
	From      string    `query:"from" maxLength:"40" doc:"A time (RFC 3339) or a date; thirty days before the end if absent"`
	To        string    `query:"to" maxLength:"40" doc:"A time (RFC 3339), not included, or a date, included; now if absent"`
	TimeZone  string    `query:"time_zone" maxLength:"64" default:"UTC" doc:"IANA name: where days, weeks and months begin"`
	Interval  string    `query:"interval" enum:"day,week,month,quarter,year"`
	OrgUnitID uuid.UUID `query:"org_unit_id" doc:"Only courses, or orders, of this org unit and those below it"`
	CourseID  uuid.UUID `query:"course_id"`
	CohortID  uuid.UUID `query:"cohort_id" doc:"Only people of this group"`
}

func given(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

func (f Filter) query() (report.Query, error) {
	from, to, err := report.Bounds(f.From, f.To, f.TimeZone)
	return report.Query{
		From: from, To: to, Interval: period.Interval(f.Interval), TimeZone: f.TimeZone,
		OrgUnitID: given(f.OrgUnitID), CourseID: given(f.CourseID), CohortID: given(f.CohortID),
	}, err
}

type reportInput struct {
	Filter
	Name   string `path:"name" maxLength:"64"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"1000" doc:"Rows"`
	Format string `query:"format" enum:"json,csv,ndjson" doc:"Instead of Accept"`
}

// Row is a row of a report: its fields are the report's columns, in their order.
type Row struct {
	columns []report.Column
	values  []any
}

// MarshalJSON implements json.Marshaler.
func (r Row) MarshalJSON() ([]byte, error) { return report.Object(r.columns, r.values) }

// Schema implements huma.SchemaProvider.
func (Row) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true, Description: "The fields are the report's columns"}
}

// Report is a report with its rows.
type Report struct {
	Name       string       `json:"name"`
	Title      string       `json:"title"`
	Definition string       `json:"definition"`
	From       *time.Time   `json:"from,omitempty"`
	To         *time.Time   `json:"to,omitempty"`
	TimeZone   string       `json:"time_zone,omitempty"`
	Interval   string       `json:"interval,omitempty"`
	UpdatedAt  time.Time    `json:"updated_at" doc:"When events were last added up"`
	Columns    []ColumnBody `json:"columns"`
	Rows       []Row        `json:"rows"`
	Truncated  bool         `json:"truncated" doc:"There are more rows; an export has them"`
}

func show(r analytics.Result) Report {
	out := Report{
		Name: string(r.Report.Name), Title: r.Report.Title, Definition: r.Report.Definition, UpdatedAt: r.UpdatedAt, Columns: columnsOf(r.Report),
		Rows: make([]Row, len(r.Rows)), Truncated: r.Truncated,
	}
	if r.Report.Time != report.Now {
		out.From, out.To, out.TimeZone, out.Interval = &r.Period.From, &r.Period.To, r.Period.TimeZone, string(r.Period.Interval)
	}
	for i, values := range r.Rows {
		out.Rows[i] = Row{r.Report.Columns, values}
	}
	return out
}

func (a *API) report(ctx context.Context, in *reportInput, w http.ResponseWriter, req *http.Request) error {
	q, err := in.query()
	if err != nil {
		return err
	}
	q.Limit = in.Limit
	r, err := a.Service.Read(ctx, web.Actor(ctx), report.Name(in.Name), q)
	if err != nil {
		return err
	}
	switch wanted(req, in.Format) {
	case typeCSV:
		return writeRows(w, report.CSV, r)
	case typeNDJSON:
		return writeRows(w, report.NDJSON, r)
	}
	return writeJSON(w, show(r))
}

// wanted is the media type that the caller wants: by the query, or the first one
// that Accept names; JSON else.
func wanted(req *http.Request, format string) string {
	if format != "" {
		return map[string]string{"csv": typeCSV, "ndjson": typeNDJSON, "html": typeHTML}[format]
	}
	for _, part := range strings.Split(strings.Join(req.Header.Values("Accept"), ","), ",") {
		kind, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		switch kind = strings.TrimSpace(kind); kind {
		case typeCSV, typeNDJSON, typeHTML:
			return kind
		case typeJSON, "*/*", "application/*":
			return typeJSON
		}
	}
	return typeJSON
}

func writeRows(w http.ResponseWriter, f report.Format, r analytics.Result) error {
	w.Header().Set("Content-Type", f.MediaType()+"; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="`+string(r.Report.Name)+"."+string(f)+`"`)
	w.Header().Add("Vary", "Accept")
	out, err := report.NewWriter(w, f, r.Report.Columns)
	if err != nil {
		return err
	}
	for _, row := range r.Rows {
		if err := out.Row(row); err != nil {
			return err
		}
	}
	return out.Close()
}

func writeJSON(w http.ResponseWriter, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return apperr.Internal(err)
	}
	w.Header().Set("Content-Type", typeJSON)
	w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
	w.Header().Add("Vary", "Accept")
	_, err = w.Write(raw)
	return err
}

type exportInput struct {
	Name string `path:"name" maxLength:"64"`
	Body struct {
		Format    string     `json:"format" enum:"csv,ndjson"`
		From      string     `json:"from,omitempty" maxLength:"40"`
		To        string     `json:"to,omitempty" maxLength:"40"`
		TimeZone  string     `json:"time_zone,omitempty" maxLength:"64" default:"UTC"`
		Interval  string     `json:"interval,omitempty" enum:"day,week,month,quarter,year"`
		OrgUnitID *uuid.UUID `json:"org_unit_id,omitempty"`
		CourseID  *uuid.UUID `json:"course_id,omitempty"`
		CohortID  *uuid.UUID `json:"cohort_id,omitempty"`
	}
}

func (a *API) export(ctx context.Context, in *exportInput) (*web.JobAccepted, error) {
	b := in.Body
	from, to, err := report.Bounds(b.From, b.To, b.TimeZone)
	if err != nil {
		return nil, err
	}
	job, err := a.Service.StartExport(ctx, web.Actor(ctx), analytics.Exporting{
		Report: report.Name(in.Name), Format: report.Format(b.Format),
		Query: report.Query{
			From: from, To: to, Interval: period.Interval(b.Interval), TimeZone: b.TimeZone, OrgUnitID: b.OrgUnitID, CourseID: b.CourseID, CohortID: b.CohortID,
		},
	})
	if err != nil {
		return nil, err
	}
	return web.Accepted(job), nil
}
