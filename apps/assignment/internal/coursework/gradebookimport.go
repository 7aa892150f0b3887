package coursework

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/work"
)

// JobImport enters the grades of a CSV.
const JobImport = "import-gradebook"

// ImportGradebook is the input of JobImport. A dry run only says what would change.
type ImportGradebook struct {
	CourseID uuid.UUID `json:"course_id"`
	CSV      string    `json:"csv"`
	DryRun   bool      `json:"dry_run,omitempty"`
}

// StartImport reads the head of the file, checks the caller and starts the job.
func (s *Service) StartImport(ctx context.Context, actor authz.Principal, in ImportGradebook) (work.Job, error) {
	if _, err := readSheet(in.CSV); err != nil {
		return work.Job{}, err
	}
	st, err := s.inCourse(ctx, actor, in.CourseID, authz.GradeEdit)
	if err != nil {
		return work.Job{}, err
	}
	if err := s.grades(ctx, actor, in.CourseID); err != nil {
		return work.Job{}, err
	}
	return inTx(ctx, s, work.Tenant(st.TenantID), func(ctx context.Context, tx Tx) (work.Job, error) {
		job, err := tx.Enqueue(ctx, JobImport, in, work.JobOptions{TenantID: st.TenantID})
		if err != nil {
			return job, err
		}
		return job, tx.Audit(ctx, work.AuditEntry{
			Action: "gradebook.import", ResourceType: "course", ResourceID: in.CourseID, TenantID: st.TenantID, OrgUnitID: st.OrgUnitID,
			Changes: map[string]work.Change{"dry_run": {To: in.DryRun}, "job_id": {To: job.ID}},
		})
	})
}

// What becomes of a cell of an import; in a dry run the first says what would.
const (
	ImportChanged   = "changed"
	ImportUnchanged = "unchanged" // counted, not listed
	ImportConflict  = "conflict"  // changed by somebody since the export
	ImportFailed    = "failed"
	ImportUnknown   = "unknown" // a line or a column that is not in the gradebook
	wouldChange     = "would_be_changed"
)

// ImportedCell says what became of a cell.
type ImportedCell struct {
	N       int64
	Status  string
	Code    string
	Message string
	Ref     ImportRef
}

// ImportRef says which cell it is, what is in it and what was to be.
type ImportRef struct {
	UserID   *uuid.UUID `json:"user_id,omitempty"`
	ColumnID *uuid.UUID `json:"column_id,omitempty"`
	Column   string     `json:"column,omitempty"`
	From     string     `json:"from"`
	To       string     `json:"to"`
}

// RunImport takes one line after the other, each in one transaction per cell that
// changes, and can be repeated: what was entered is unchanged then. lines before
// from are done. report is told of each line, with its cells but the unchanged.
func (s *Service) RunImport(ctx context.Context, actor authz.Principal, in ImportGradebook, from int, report func(ctx context.Context, line, lines, unchanged int, cells []ImportedCell) error) error {
	file, err := readSheet(in.CSV)
	if err != nil {
		return err
	}
	st, err := s.inCourse(ctx, actor, in.CourseID, authz.GradeEdit)
	if err != nil {
		return err
	}
	run := &importing{s: s, actor: actor, in: in, file: file, tenant: st.TenantID, done: map[uuid.UUID]bool{}}
	if err := run.look(ctx); err != nil {
		return err
	}
	if from == 0 {
		if err := report(ctx, 0, len(file.lines), 0, run.unknownColumns()); err != nil {
			return err
		}
	}
	for i, line := range file.lines {
		if i+1 <= from {
			continue
		}
		cells, unchanged, err := run.line(ctx, i+1, line)
		if err != nil {
			return err
		}
		if err := report(ctx, i+1, len(file.lines), unchanged, cells); err != nil {
			return err
		}
	}
	return nil
}

type importing struct {
	s      *Service
	actor  authz.Principal
	in     ImportGradebook
	file   sheet
	tenant uuid.UUID
	counts Counting
	column map[uuid.UUID]int // in counts.Columns
	people map[uuid.UUID]Card
	done   map[uuid.UUID]bool // people of earlier lines
}

// look reads what the gradebook is like.
func (r *importing) look(ctx context.Context) error {
	graded, err := read(ctx, r.s, work.Tenant(r.tenant), func(ctx context.Context, tx Tx) (ids []uuid.UUID, err error) {
		if r.counts, _, err = tx.Counting(ctx, r.in.CourseID, nil); err != nil {
			return nil, err
		}
		return tx.GradedPeople(ctx, r.in.CourseID)
	})
	if err != nil {
		return err
	}
	persons, err := r.s.roster(ctx, r.in.CourseID, graded)
	if err != nil {
		return err
	}
	r.people = make(map[uuid.UUID]Card, len(persons))
	for _, p := range persons {
		r.people[p.ID] = p
	}
	r.column = make(map[uuid.UUID]int, len(r.counts.Columns))
	for i, c := range r.counts.Columns {
		r.column[c.ID] = i
	}
	return nil
}

// number of a cell in the report: the same each time the line is taken.
func number(line, column int) int64 { return int64(line)*(MaxImportColumns+1) + int64(column) }

// unknownColumns are those that are not in the gradebook; what is said to be only
// for reading is not looked at.
func (r *importing) unknownColumns() []ImportedCell {
	var out []ImportedCell
	for _, h := range r.file.heads {
		if _, known := r.column[h.id]; !known && !h.readOnly {
			out = append(out, ImportedCell{
				N: number(0, h.at), Status: ImportUnknown, Code: "unknown_column", Message: "There is no such column in the gradebook.",
				Ref: ImportRef{Column: h.text},
			})
		}
	}
	return out
}

// line enters what differs in a line.
func (r *importing) line(ctx context.Context, n int, line []string) (out []ImportedCell, unchanged int, err error) {
	user, err := uuid.Parse(strings.TrimSpace(line[r.file.user]))
	person, known := r.people[user]
	code := ""
	switch {
	case err != nil || !known:
		code = "unknown_user"
	case r.done[user]:
		code = "duplicate_user"
	}
	if code != "" {
		return []ImportedCell{{
			N: number(n, r.file.user), Status: ImportUnknown, Code: code, Message: "No such person in the gradebook, or one that was there already.",
			Ref: ImportRef{To: line[r.file.user]},
		}}, 0, nil
	}
	r.done[user] = true
	row, err := r.row(ctx, person)
	if err != nil {
		return nil, 0, err
	}
	var mark *exportMark
	if r.file.export >= 0 {
		if m, ok := parseMark(line[r.file.export]); ok {
			mark = &m
		}
	}
	for _, h := range r.file.heads {
		i, shown := r.column[h.id]
		if !shown || h.readOnly && r.counts.Columns[i].Kind != ColumnQuiz {
			continue
		}
		cell := r.plan(row, i, mark, line[h.at])
		if cell.Status == ImportUnchanged {
			unchanged++
			continue
		}
		cell.N = number(n, h.at)
		if cell.Status == ImportChanged {
			if err := r.enter(ctx, &cell, row, i); err != nil {
				return nil, 0, err
			}
		}
		out = append(out, cell)
	}
	return out, unchanged, nil
}

func (r *importing) row(ctx context.Context, p Card) (*Row, error) {
	return read(ctx, r.s, work.Tenant(r.tenant), func(ctx context.Context, tx Tx) (*Row, error) {
		rows, err := r.s.gradebookRows(ctx, tx, r.counts, r.in.CourseID, []Card{p})
		if err != nil {
			return nil, err
		}
		return rows[0], nil
	})
}

// plan compares a cell with the grade as it is.
func (r *importing) plan(row *Row, i int, mark *exportMark, text string) ImportedCell {
	col, cell := r.counts.Columns[i], row.Cells[i]
	have, want := col.CSVText(cell), cellText(text)
	out := ImportedCell{
		Status: ImportUnchanged,
		Ref:    ImportRef{UserID: &row.Person.ID, ColumnID: &col.ID, Column: col.Title, From: have, To: want},
	}
	refuse := func(status, code, message string) ImportedCell {
		out.Status, out.Code, out.Message = status, code, message
		return out
	}
	switch {
	case want == "" || sameCell(have, want), strings.EqualFold(want, CSVClear) && have == "":
		return out
	case col.Kind == ColumnQuiz:
		return refuse(ImportFailed, "read_only", "Scores of quizzes come from the quiz.")
	case cell != nil && col.Veils(cell), cell == nil && col.Anonymous:
		return refuse(ImportFailed, "anonymous", "The assignment is graded anonymously.")
	case mark != nil && mark.changed(row, cell):
		return refuse(ImportConflict, "changed_since_export", "The grade was changed after the export.")
	}
	out.Status = ImportChanged
	return out
}

// sameCell: numbers are equal however they are written.
func sameCell(have, want string) bool {
	if strings.EqualFold(have, want) {
		return true
	}
	var a, b Points
	return a.UnmarshalJSON([]byte(have)) == nil && b.UnmarshalJSON([]byte(want)) == nil && a == b
}

// enter enters a cell, or tries whether it could be. Who changed the grade in
// between makes it a conflict.
func (r *importing) enter(ctx context.Context, cell *ImportedCell, row *Row, i int) error {
	col := r.counts.Columns[i]
	version := int64(FirstVersion)
	e := Entry{Individual: col.GroupWork, Note: "import of a gradebook"}
	if old := row.Cells[i]; old != nil {
		version = old.Version
		e.Status, e.StatusSeconds = old.Status, old.StatusLate
	}
	cause := CauseImport
	switch {
	case strings.EqualFold(cell.Ref.To, CSVExcused):
		e.Excused, e.Status, e.StatusSeconds = true, nil, nil
	case strings.EqualFold(cell.Ref.To, CSVClear):
		cause = CauseDeleted
	default:
		e.Grade = cell.Ref.To
	}
	var err error
	if r.in.DryRun {
		err = r.s.tryEntry(ctx, r.tenant, col.ID, e)
	} else {
		_, err = r.s.enterOne(ctx, r.actor, col.ID, row.Person.ID, version, e, cause)
	}
	switch {
	case err == nil && r.in.DryRun:
		cell.Status = wouldChange
	case err == nil:
	case apperr.IsKind(err, apperr.KindPreconditionFailed):
		cell.Status, cell.Code, cell.Message = ImportConflict, "changed_since_export", "The grade was changed just now."
	case apperr.Deterministic(err) || apperr.IsKind(err, apperr.KindConflict):
		failed := apperr.From(err)
		cell.Status, cell.Code, cell.Message = ImportFailed, failed.Code, failed.Message
		if len(failed.Fields) > 0 {
			cell.Code, cell.Message = failed.Fields[0].Code, failed.Fields[0].Message
		}
	default:
		return err
	}
	return nil
}

// tryEntry checks an entry without writing anything.
func (s *Service) tryEntry(ctx context.Context, tenant, assignment uuid.UUID, e Entry) error {
	return s.Store.Read(ctx, work.Tenant(tenant), func(ctx context.Context, tx Tx) error {
		a, err := tx.Assignment(ctx, assignment)
		if err != nil {
			return err
		}
		r, err := s.rulesNow(ctx, tx, a)
		if err != nil {
			return err
		}
		_, _, err = e.settle(a, r, "")
		return err
	})
}
