package coursework

import (
	"encoding/csv"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
)

// The CSV of a gradebook: a line per person, a column per assignment or quiz. Its
// head names each by title and id; the last id in a head counts. Columns that only
// tell something end in "(read only)".
const (
	CSVUser     = "user_id"
	CSVName     = "name"
	CSVExport   = "export"
	CSVReadOnly = "(read only)"
	// CSVExcused is the cell of an excused person, CSVClear takes a grade back. An
	// empty cell says nothing.
	CSVExcused = "EX"
	CSVClear   = "CLEAR"
)

// Limits of an import.
const (
	MaxImportRows    = 5000
	MaxImportColumns = 1000
)

// CSVHead is the head of a column.
func (c Column) CSVHead() string {
	head := c.Title + " [" + c.ID.String() + "]"
	if c.Kind == ColumnQuiz {
		head += " " + CSVReadOnly
	}
	return head
}

// CSVText is a cell as it is exported, and as it can be entered again: what was
// entered, before any deduction (rule 20).
func (c Column) CSVText(cell *Cell) string {
	switch {
	case cell == nil || c.Veils(cell):
		return ""
	case cell.Excused:
		return CSVExcused
	case cell.EnteredGrade != "":
		return cell.EnteredGrade
	case cell.Entered != nil:
		return cell.Entered.String()
	}
	return ""
}

// ExportMark says as of when a line was exported, and of which versions: the sum
// of the versions of all its cells only grows, so that an equal one says that
// nothing has changed since.
func (r *Row) ExportMark() string {
	return "g" + strconv.FormatInt(r.versions(), 10) + "@" + r.At.UTC().Format(time.RFC3339Nano)
}

func (r *Row) versions() (sum int64) {
	for _, c := range r.Cells {
		if c != nil {
			sum += c.Version
		}
	}
	return sum
}

type exportMark struct {
	versions int64
	at       time.Time
}

func parseMark(text string) (exportMark, bool) {
	sum, at, ok := strings.Cut(strings.TrimPrefix(text, "g"), "@")
	if !ok || !strings.HasPrefix(text, "g") {
		return exportMark{}, false
	}
	n, err := strconv.ParseInt(sum, 10, 64)
	if err != nil {
		return exportMark{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, at)
	return exportMark{n, t.UTC()}, err == nil
}

// commitLag is by how much a change may be seen later than the time it bears.
const commitLag = 2 * time.Second

// changed says whether a cell has changed since the export.
func (m exportMark) changed(r *Row, cell *Cell) bool {
	return r.versions() != m.versions && cell != nil && cell.UpdatedAt.After(m.at.Add(-commitLag))
}

// sheet is a CSV that was read: its columns by their heads, and its lines.
type sheet struct {
	user, export int
	heads        []sheetHead
	lines        [][]string
}

type sheetHead struct {
	at       int
	text     string
	id       uuid.UUID // Nil: not a column of the gradebook
	readOnly bool
}

func readSheet(text string) (sheet, error) {
	refuse := func(code, message string) error {
		return apperr.Invalid(apperr.Field{Path: "body", Code: code, Message: message})
	}
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "\ufeff")))
	head, err := r.Read()
	if err != nil {
		return sheet{}, refuse("csv_head", "The first line must name the columns.")
	}
	if len(head) > MaxImportColumns {
		return sheet{}, refuse("too_many", "At most "+strconv.Itoa(MaxImportColumns)+" columns.")
	}
	s := sheet{user: -1, export: -1}
	seen := map[uuid.UUID]bool{}
	for i, h := range head {
		h = strings.TrimSpace(h)
		switch strings.ToLower(h) {
		case CSVUser:
			s.user = i
			continue
		case CSVExport:
			s.export = i
			continue
		case CSVName:
			continue
		}
		x := sheetHead{at: i, text: h, readOnly: strings.HasSuffix(h, CSVReadOnly), id: idIn(h)}
		if x.id != uuid.Nil && seen[x.id] && !x.readOnly {
			return sheet{}, refuse("csv_column", "A column is there twice: "+strconv.Quote(h)+".")
		}
		seen[x.id] = true
		s.heads = append(s.heads, x)
	}
	if s.user < 0 {
		return sheet{}, refuse("csv_column", "The column user_id is missing.")
	}
	for {
		line, err := r.Read()
		if errors.Is(err, io.EOF) {
			return s, nil
		}
		if err != nil {
			return sheet{}, refuse("csv_line", "Line "+strconv.Itoa(len(s.lines)+2)+" cannot be read.")
		}
		if len(s.lines) == MaxImportRows {
			return sheet{}, refuse("too_many", "At most "+strconv.Itoa(MaxImportRows)+" lines.")
		}
		s.lines = append(s.lines, line)
	}
}

// idIn is the last id in brackets of a head; titles may have brackets of their own.
func idIn(head string) uuid.UUID {
	from := strings.LastIndex(head, "[")
	if from < 0 {
		return uuid.Nil
	}
	text, _, ok := strings.Cut(head[from+1:], "]")
	id, err := uuid.Parse(text)
	if !ok || err != nil {
		return uuid.Nil
	}
	return id
}

// cellText undoes what an export does to cells that a spreadsheet would compute.
func cellText(text string) string {
	text = strings.TrimSpace(text)
	if rest, ok := strings.CutPrefix(text, "'"); ok && rest != "" && strings.ContainsRune("=+-@\t\r\n|%", rune(rest[0])) {
		return rest
	}
	return text
}
