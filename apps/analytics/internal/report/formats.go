package report

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
)

// Format is how a report is written as a file.
type Format string

// The formats.
const (
	CSV    Format = "csv"
	NDJSON Format = "ndjson" // a JSON object per line
)

// MediaType is that of a file of the format.
func (f Format) MediaType() string {
	if f == CSV {
		return "text/csv"
	}
	return "application/x-ndjson"
}

// Writer writes rows as they come.
type Writer interface {
	Row(values []any) error
	// Close writes what is left. It does not close what is beneath.
	Close() error
}

// NewWriter writes rows of a report to w; what stands above them is written at once.
func NewWriter(w io.Writer, f Format, columns []Column) (Writer, error) {
	if f == NDJSON {
		return &lines{w: w, columns: columns}, nil
	}
	t := &table{w: csv.NewWriter(w)}
	head := make([]string, len(columns))
	for i, c := range columns {
		head[i] = c.Key
	}
	if err := t.w.Write(head); err != nil {
		return nil, fmt.Errorf("csv: %w", err)
	}
	return t, nil
}

// table is CSV that no spreadsheet takes for formulas.
type table struct{ w *csv.Writer }

func (t *table) Row(values []any) error {
	cells := make([]string, len(values))
	for i, v := range values {
		cells[i] = cell(v)
	}
	return t.w.Write(cells)
}

func (t *table) Close() error {
	t.w.Flush()
	return t.w.Error()
}

func cell(v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case string:
		return Harmless(x)
	case []string:
		return Harmless(strings.Join(x, " "))
	case int64:
		return strconv.FormatInt(x, 10)
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	case time.Time:
		return x.UTC().Format(time.RFC3339)
	case uuid.UUID:
		return x.String()
	}
	return Harmless(fmt.Sprint(v))
}

// Harmless puts an apostrophe before what a spreadsheet would compute. Numbers of
// ours are written as numbers and never come here.
func Harmless(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r\n|%", rune(s[0])) {
		return "'" + s
	}
	return s
}

type lines struct {
	w       io.Writer
	columns []Column
}

func (l *lines) Row(values []any) error {
	raw, err := Object(l.columns, values)
	if err != nil {
		return err
	}
	_, err = l.w.Write(append(raw, '\n'))
	return err
}

func (*lines) Close() error { return nil }

// Object is a row as a JSON object, in the order of its columns.
func Object(columns []Column, values []any) ([]byte, error) {
	out := []byte{'{'}
	for i, c := range columns {
		if i > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendQuote(out, c.Key)
		out = append(out, ':')
		raw, err := json.Marshal(values[i])
		if err != nil {
			return nil, apperr.Internal(err)
		}
		out = append(out, raw...)
	}
	return append(out, '}'), nil
}
