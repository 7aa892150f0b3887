package httpapi

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/coursework"
	"lms/shared/contracts/events"
	"lms/shared/web"
)

const typeCSV = "text/csv"

// describe gives the schema of its JSON answer to a GET that writes the answer
// itself.
func describe[T any](r *web.Router, path, name string) {
	doc := r.OpenAPI()
	ok := doc.Paths[path].Get.Responses[strconv.Itoa(http.StatusOK)]
	ok.Content["application/json"].Schema = doc.Components.Schemas.Schema(reflect.TypeFor[T](), true, name)
}

// FormatQuery is embedded where an answer has several formats.
type FormatQuery struct {
	Format string `query:"format" enum:"json,csv" doc:"Instead of Accept"`
}

// wants says whether the caller wants the other format rather than JSON: by the
// query, or by naming it in Accept before JSON or anything.
func (f FormatQuery) wants(req *http.Request, media string) bool {
	if f.Format != "" {
		return f.Format == "csv" && media == typeCSV
	}
	for _, part := range strings.Split(strings.Join(req.Header.Values("Accept"), ","), ",") {
		kind, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		switch strings.TrimSpace(kind) {
		case media:
			return true
		case "application/json", "*/*", "application/*":
			return false
		}
	}
	return false
}

// appendCell writes a GradebookCell, as encoding/json would and without its
// reflection: there are a hundred thousand in a large course.
func appendCell(b []byte, col *coursework.Column, cell *coursework.Cell, now time.Time) []byte {
	if cell == nil {
		return append(b, "null"...)
	}
	if col.Veils(cell) {
		return append(b, `{"anonymous":true}`...)
	}
	b = strconv.AppendInt(append(b, `{"version":`...), cell.Version, 10)
	b = appendPoints(b, `,"entered":`, cell.Entered)
	if cell.Deduction != 0 {
		b = appendPoints(b, `,"deduction":`, &cell.Deduction)
	}
	b = appendPoints(b, `,"score":`, cell.Score)
	if cell.EnteredGrade != "" {
		text, _ := json.Marshal(cell.EnteredGrade) //nolint:errchkjson // a string
		b = append(append(b, `,"grade":`...), text...)
	}
	b = appendFlag(b, `,"excused":true`, cell.Excused)
	if status, seconds := cell.Standing(col, now); status != "none" {
		b = append(append(append(b, `,"status":"`...), status...), '"')
		if seconds > 0 {
			b = strconv.AppendInt(append(b, `,"seconds_late":`...), seconds, 10)
		}
	}
	if cell.SubmittedAt != nil {
		b = append(cell.SubmittedAt.AppendFormat(append(b, `,"submitted_at":"`...), time.RFC3339Nano), '"')
	}
	b = appendFlag(b, `,"waiting":true`, cell.Waiting)
	b = appendFlag(b, `,"posted":true`, cell.Posted)
	return append(b, '}')
}

func appendFlag(b []byte, text string, set bool) []byte {
	if !set {
		return b
	}
	return append(b, text...)
}

func appendPoints(b []byte, name string, p *events.Hundredths) []byte {
	if p == nil {
		return b
	}
	return p.Append(append(b, name...))
}

// csvGradebook writes CSV that no spreadsheet takes for formulas.
type csvGradebook struct {
	w        *csv.Writer
	book     coursework.Gradebook
	deducted []int // columns with what lateness took beside them
	cells    []string
}

func (a *API) gradebookCSV(ctx context.Context, id uuid.UUID, w http.ResponseWriter) error {
	out := &csvGradebook{w: csv.NewWriter(w)}
	err := a.Service.ReadGradebook(ctx, web.Actor(ctx), id, func(g coursework.Gradebook) error {
		w.Header().Set("Content-Type", typeCSV+"; charset=utf-8; header=present")
		w.Header().Set("Content-Disposition", `attachment; filename="gradebook-`+id.String()+`.csv"`)
		w.Header().Add("Vary", "Accept")
		return out.begin(g)
	}, out.person)
	if err != nil {
		return err
	}
	out.w.Flush()
	return out.w.Error()
}

var csvTotals = [...]string{"current", "final", "letter", "posted current", "posted final", "posted letter"}

func (c *csvGradebook) begin(g coursework.Gradebook) error {
	c.book = g
	c.cells = append(c.cells[:0], coursework.CSVUser, coursework.CSVName, coursework.CSVExport)
	for i, col := range g.Columns {
		c.add(col.CSVHead())
		if g.Deducted[col.ID] {
			c.deducted = append(c.deducted, i)
		}
	}
	for _, i := range c.deducted {
		c.add(g.Columns[i].Title + ": late deduction " + coursework.CSVReadOnly)
	}
	for _, name := range csvTotals {
		c.add(name + " " + coursework.CSVReadOnly)
	}
	return c.w.Write(c.cells)
}

func (c *csvGradebook) person(r *coursework.Row) error {
	c.cells = append(c.cells[:0], r.Person.ID.String())
	c.add(r.Person.Name)
	c.add(r.ExportMark())
	for i, cell := range r.Cells {
		c.add(c.book.Columns[i].CSVText(cell))
	}
	for _, i := range c.deducted {
		text := ""
		if cell := r.Cells[i]; cell != nil && cell.Deduction != 0 && !c.book.Columns[i].Veils(cell) {
			text = cell.Deduction.String()
		}
		c.add(text)
	}
	t := r.Total
	for _, p := range []*events.Hundredths{t.Current, t.Effective(t.Final)} {
		c.number(p)
	}
	c.add(t.Letter)
	for _, p := range []*events.Hundredths{t.PostedCurrent, t.Effective(t.PostedFinal)} {
		c.number(p)
	}
	c.add(t.PostedLetter)
	return c.w.Write(c.cells)
}

func (c *csvGradebook) number(p *events.Hundredths) {
	if p == nil {
		c.add("")
		return
	}
	c.add(p.String())
}

func (c *csvGradebook) add(cell string) { c.cells = append(c.cells, harmless(cell)) }

// harmless puts an apostrophe before what a spreadsheet would compute. A number is
// no formula, negative or not.
func harmless(cell string) string {
	if cell == "" || !strings.ContainsRune("=+-@\t\r\n|%", rune(cell[0])) {
		return cell
	}
	var number events.Hundredths
	if number.UnmarshalJSON([]byte(cell)) == nil {
		return cell
	}
	return "'" + cell
}
