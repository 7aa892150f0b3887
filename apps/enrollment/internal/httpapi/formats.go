package httpapi

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lms/shared/apperr"
	"lms/shared/contracts/events"
	"lms/shared/web"
)

// Media types besides JSON.
const (
	typeCSV      = "text/csv"
	typePDF      = "application/pdf"
	typeHTML     = "text/html"
	typeCalendar = "text/calendar"
)

type param = huma.Param

func boolParam(name, doc string) *param {
	return &param{Name: name, In: "query", Description: doc, Schema: &huma.Schema{Type: huma.TypeBoolean}}
}

// describe gives the schema of its JSON answer to a GET that writes the answer
// itself.
func describe[T any](r *web.Router, path, name string) {
	doc := r.OpenAPI()
	ok := doc.Paths[path].Get.Responses[strconv.Itoa(http.StatusOK)]
	ok.Content["application/json"].Schema = doc.Components.Schemas.Schema(reflect.TypeFor[T](), true, name)
}

// FormatQuery is embedded where an answer has several formats.
type FormatQuery struct {
	Format string `query:"format" enum:"json,csv,pdf,html,ics" doc:"Instead of Accept"`
}

var formats = map[string]string{"csv": typeCSV, "pdf": typePDF, "html": typeHTML, "ics": typeCalendar} //nolint:gochecknoglobals // immutable

// wants says whether the caller wants the other format rather than JSON: by the
// query, or by naming it in Accept before JSON or anything.
func (f FormatQuery) wants(req *http.Request, media string) bool {
	if f.Format != "" {
		return formats[f.Format] == media
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

func writeJSON(w http.ResponseWriter, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return apperr.Internal(err)
	}
	return write(w, "application/json", raw)
}

func write(w http.ResponseWriter, media string, raw []byte) error {
	w.Header().Set("Content-Type", media)
	w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
	w.Header().Add("Vary", "Accept")
	_, err := w.Write(raw)
	return err
}

// table writes CSV that no spreadsheet takes for formulas.
type table struct {
	w *csv.Writer
}

func newTable(w http.ResponseWriter, filename string, head ...string) (*table, error) {
	w.Header().Set("Content-Type", typeCSV+"; charset=utf-8; header=present")
	w.Header().Set("Content-Disposition", `attachment; filename="`+filename+`"`)
	w.Header().Add("Vary", "Accept")
	t := &table{w: csv.NewWriter(w)}
	return t, t.w.Write(head)
}

func (t *table) row(cells ...string) error {
	for i, c := range cells {
		cells[i] = harmless(c)
	}
	return t.w.Write(cells)
}

func (t *table) end() error {
	t.w.Flush()
	return t.w.Error()
}

// harmless puts an apostrophe before what a spreadsheet would compute.
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r\n|%", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

func text(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// decimal is an exact number with two places as JSON clients read it.
func decimal(h *events.Hundredths) *float64 {
	if h == nil {
		return nil
	}
	v := float64(*h) / 100
	return &v
}
