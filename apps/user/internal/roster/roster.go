// Package roster reads files of people: plain CSV, and OneRoster 1.1 and 1.2
// packages of CSV files. It knows nothing of accounts: what is read is what
// the file says, row by row, with what is wrong in it.
package roster

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"lms/shared/apperr"
)

// Limits of a file.
const (
	MaxRows       = 200_000
	maxUnpacked   = 512 << 20 // bytes of all files of a package
	maxCell       = 4096      // characters
	maxColumns    = 100
	maxOrgs       = 10_000
	maxRoles      = 20
	attributeMark = "attributes."
)

// Roles as they are called here.
const (
	RoleOrgAdmin   = "org_admin"
	RoleInstructor = "instructor"
	RoleAssistant  = "teaching_assistant"
	RoleStudent    = "student"
)

// File is a read file.
type File struct {
	Format string // "csv", "oneroster_1.1", "oneroster_1.2"
	Orgs   []Org  // parents before their children
	People []Person
}

// Org is an org unit of a OneRoster package.
type Org struct {
	Line     int
	ID       string // sourcedId
	ParentID string
	Name     string
	Kind     string // as org units are called here
	Code     string
	Deleted  bool
	Problems []Problem
}

// Person is one row about a person.
type Person struct {
	Line       int
	ID         string // external id: the source's own
	Email      string
	Name       string
	GivenName  string
	FamilyName string
	Locale     string
	TimeZone   string
	// OrgRef is where the person belongs: an id, code or external id of an org
	// unit; empty for the unit that is imported into.
	OrgRef string
	// MoreOrgs are further units that the person is a member of.
	MoreOrgs   []string
	Roles      []Role
	Inactive   bool // is not to be able to use the account
	Deleted    bool // has left
	Attributes map[string]string
	Problems   []Problem
}

// Role is a role in an org unit; OrgRef "" is the person's own.
type Role struct {
	Role   string
	OrgRef string
}

// Problem is what is wrong with a row.
type Problem struct {
	Field   string
	Code    string
	Message string
}

func unreadable(code, message string) *apperr.Error {
	return apperr.Malformed(code, message)
}

// table is a CSV file with a header.
type table struct {
	name   string
	reader *csv.Reader
	column map[string]int
	header []string
	line   int
}

// openTable reads the header. Names are compared without regard to case.
func openTable(name string, r io.Reader) (*table, error) {
	c := csv.NewReader(skipBOM(r))
	c.FieldsPerRecord = -1
	c.ReuseRecord = true
	c.TrimLeadingSpace = true
	head, err := c.Read()
	if errors.Is(err, io.EOF) {
		return nil, unreadable("file_empty", name+" is empty.")
	}
	if err != nil {
		return nil, unreadable("file_unreadable", name+" is not CSV.").With(err)
	}
	if len(head) > maxColumns {
		return nil, unreadable("too_many_columns", name+" has more than 100 columns.")
	}
	t := &table{name: name, reader: c, column: map[string]int{}, line: 1}
	for i, h := range head {
		h = strings.TrimSpace(h)
		key := strings.ToLower(h)
		if _, twice := t.column[key]; twice {
			return nil, unreadable("column_twice", name+" has the column "+h+" twice.")
		}
		t.column[key] = i
		t.header = append(t.header, h)
	}
	return t, nil
}

func skipBOM(r io.Reader) io.Reader {
	head := make([]byte, 3)
	n, err := io.ReadFull(r, head)
	if err == nil && bytes.Equal(head, []byte("\xef\xbb\xbf")) {
		return r
	}
	return io.MultiReader(bytes.NewReader(head[:n]), r)
}

func (t *table) has(name string) bool {
	_, ok := t.column[strings.ToLower(name)]
	return ok
}

// row is one line of a table.
type row struct {
	t      *table
	line   int
	cells  []string
	broken bool
}

// next reads a line; false at the end. A line that is not CSV is a broken row,
// and the lines behind it are still read.
func (t *table) next() (row, bool, error) {
	cells, err := t.reader.Read()
	if errors.Is(err, io.EOF) {
		return row{}, false, nil
	}
	t.line++
	r := row{t: t, line: t.line, cells: cells}
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		r.line, r.broken = parse.StartLine, true
		return r, true, nil
	}
	if err != nil {
		return row{}, false, unreadable("file_unreadable", t.name+" cannot be read.").With(err)
	}
	if line, _ := t.reader.FieldPos(0); line > 0 {
		r.line = line
		t.line = line
	}
	return r, true, nil
}

func (r row) empty() bool {
	for _, c := range r.cells {
		if strings.TrimSpace(c) != "" {
			return false
		}
	}
	return !r.broken
}

func (r row) get(name string) string {
	i, ok := r.t.column[strings.ToLower(name)]
	if !ok || i >= len(r.cells) {
		return ""
	}
	return strings.TrimSpace(r.cells[i])
}

// problems are those that any row can have.
func (r row) problems() []Problem {
	switch {
	case r.broken:
		return []Problem{{Code: "row_unreadable", Message: "The line is not CSV."}}
	case len(r.cells) > len(r.t.header):
		return []Problem{{Code: "too_many_cells", Message: "The line has more cells than the header."}}
	}
	for i, c := range r.cells {
		if !utf8.ValidString(c) {
			return []Problem{{Field: r.t.header[i], Code: "not_utf8", Message: "The text is not UTF-8."}}
		}
		if utf8.RuneCountInString(c) > maxCell {
			return []Problem{{Field: r.t.header[i], Code: "too_long", Message: "A cell has at most 4096 characters."}}
		}
	}
	return nil
}

// csvColumns are what a plain CSV may have, besides attributes.<name>.
var csvColumns = []string{
	"email", "name", "given_name", "family_name", "external_id", "org_unit", "role", "locale", "time_zone", "status",
}

// ReadCSV reads plain CSV: a header of csvColumns and attributes.<name>, in any
// order; email or external_id is required in each row. Statuses are active,
// inactive and deleted.
func ReadCSV(r io.Reader) (File, error) {
	t, err := openTable("The file", r)
	if err != nil {
		return File{}, err
	}
	for _, h := range t.header {
		key := strings.ToLower(h)
		if !contains(csvColumns, key) && !(strings.HasPrefix(key, attributeMark) && len(key) > len(attributeMark)) {
			return File{}, unreadable("column_unknown", "There is no column "+strconv.Quote(h)+": "+strings.Join(csvColumns, ", ")+" and attributes.<name> are known.")
		}
	}
	if !t.has("email") && !t.has("external_id") {
		return File{}, unreadable("column_missing", "The column email or external_id is missing.")
	}
	out := File{Format: "csv"}
	for {
		r, ok, err := t.next()
		if err != nil {
			return File{}, err
		}
		if !ok {
			break
		}
		if r.empty() {
			continue
		}
		if len(out.People) >= MaxRows {
			return File{}, unreadable("too_many_rows", "A file has at most 200000 rows.")
		}
		out.People = append(out.People, csvPerson(t, r))
	}
	markDuplicates(out.People)
	return out, nil
}

func csvPerson(t *table, r row) Person {
	p := Person{
		Line: r.line, ID: r.get("external_id"), Email: r.get("email"), Name: r.get("name"), GivenName: r.get("given_name"), FamilyName: r.get("family_name"),
		Locale: r.get("locale"), TimeZone: r.get("time_zone"), OrgRef: r.get("org_unit"), Attributes: map[string]string{}, Problems: r.problems(),
	}
	for _, h := range t.header {
		if name, ok := strings.CutPrefix(strings.ToLower(h), attributeMark); ok {
			if v := r.get(h); v != "" {
				p.Attributes[name] = v
			}
		}
	}
	switch strings.ToLower(r.get("status")) {
	case "", "active":
	case "inactive":
		p.Inactive = true
	case "deleted":
		p.Deleted = true
	default:
		p.Problems = append(p.Problems, Problem{Field: "status", Code: "invalid", Message: "Must be active, inactive or deleted."})
	}
	for word := range strings.FieldsFuncSeq(r.get("role"), func(c rune) bool { return c == ';' || c == ',' || c == ' ' }) {
		p.Roles = append(p.Roles, Role{Role: word})
	}
	if len(p.Roles) > maxRoles {
		p.Problems = append(p.Problems, Problem{Field: "role", Code: "too_many", Message: "At most 20 roles."})
	}
	if p.Email == "" && p.ID == "" && !r.broken {
		p.Problems = append(p.Problems, Problem{Field: "email", Code: "required", Message: "email or external_id is needed."})
	}
	return p
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

// markDuplicates notes rows that speak of a person of an earlier row.
func markDuplicates(people []Person) {
	ids, emails := map[string]int{}, map[string]int{}
	for i := range people {
		p := &people[i]
		twice := func(seen map[string]int, key, field string) {
			if key == "" {
				return
			}
			if line, dup := seen[key]; dup {
				p.Problems = append(p.Problems, Problem{Field: field, Code: "duplicate", Message: "The same as in line " + strconv.Itoa(line) + "."})
				return
			}
			seen[key] = p.Line
		}
		twice(ids, p.ID, "external_id")
		twice(emails, strings.ToLower(p.Email), "email")
	}
}
