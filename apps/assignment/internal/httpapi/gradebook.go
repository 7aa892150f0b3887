package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"lms/apps/assignment/internal/coursework"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/web"
)

func (a *API) gradebookRoutes(r *web.Router) {
	op := operation("Gradebook")
	book := op(http.MethodGet, course+"/gradebook", "get-gradebook", "The gradebook of a course as one document: every person, every assignment and quiz, totals", web.NeedsInCourse(authz.GradeRead))
	book.Produces = []string{"application/json", typeCSV}
	book.Timeout, book.Long = gradebookTimeout, true
	web.Stream(r, book, a.gradebook)
	describe[Gradebook](r, course+"/gradebook", "Gradebook")
	in := accepted(op(http.MethodPost, course+"/gradebook/import", "import-gradebook", "Enter the grades of a CSV in the background", web.NeedsInCourse(authz.GradeEdit)))
	in.Description = "The report of the job lists, cell by cell, what was or would be changed, what was changed by somebody since the export, and what is not in the gradebook. Empty cells say nothing; EX excuses, CLEAR takes a grade back."
	in.Accepts = []string{typeCSV}
	in.Params = []*huma.Param{{Name: "dry_run", In: "query", Description: "Only say what would change", Schema: &huma.Schema{Type: huma.TypeBoolean}}}
	web.Raw(r, in, a.importGradebook)
	web.Register(r, op(http.MethodGet, course+"/grades", "get-my-grades", "See my grades in a course: what is posted, and my totals of it", web.SignedIn()), a.myGrades)
}

// gradebookTimeout bounds a document that grows with the course.
const gradebookTimeout = time.Minute

// Gradebook is all grades of a course.
type Gradebook struct {
	CourseID   uuid.UUID         `json:"course_id"`
	At         time.Time         `json:"at"`
	Weighted   bool              `json:"weighted"`
	ShowTotals bool              `json:"show_totals"`
	Groups     []AssignmentGroup `json:"groups"`
	Columns    []GradebookColumn `json:"columns"`
	People     []GradebookPerson `json:"people" doc:"By name"`
}

// GradebookColumn is an assignment or a quiz that is published.
type GradebookColumn struct {
	ID            uuid.UUID  `json:"id"`
	Kind          string     `json:"kind" enum:"assignment,quiz" doc:"Columns of quizzes are read-only"`
	Title         string     `json:"title"`
	GroupID       *uuid.UUID `json:"group_id,omitempty"`
	GradingType   string     `json:"grading_type"`
	Points        *Decimal   `json:"points"`
	DueAt         *time.Time `json:"due_at,omitempty"`
	OmitFromFinal bool       `json:"omit_from_final,omitempty"`
	Anonymous     bool       `json:"anonymous,omitempty"`
}

// GradebookPerson is one line.
type GradebookPerson struct {
	UserID uuid.UUID `json:"user_id"`
	Name   string    `json:"name,omitempty" doc:"Absent for who is not known any more"`
	Totals Totals    `json:"totals"`
	// Grades are in the order of the columns; null where nothing happened.
	Grades []*GradebookCell `json:"grades" doc:"In the order of the columns; null where nothing happened yet"`
}

// Totals of a person, in percent; null where nothing counts.
type Totals struct {
	Current    *Decimal      `json:"current" doc:"Ignores what is ungraded"`
	Final      *Decimal      `json:"final" doc:"Counts what is ungraded as 0"`
	Letter     string        `json:"letter,omitempty" doc:"Of final"`
	Overridden bool          `json:"overridden,omitempty" doc:"final is what staff set"`
	Posted     *PostedTotals `json:"posted,omitempty" doc:"What the person sees"`
}

// PostedTotals are what the person sees.
type PostedTotals struct {
	Current *Decimal `json:"current"`
	Final   *Decimal `json:"final"`
	Letter  string   `json:"letter,omitempty"`
}

// GradebookCell is where a person stands in a column.
type GradebookCell struct {
	Version     int64      `json:"version,omitempty"`
	Entered     *Decimal   `json:"entered,omitempty" doc:"As it was given"`
	Deduction   *Decimal   `json:"deduction,omitempty" doc:"What lateness took"`
	Score       *Decimal   `json:"score,omitempty" doc:"What counts: entered less the deduction, or what missing work gets"`
	Grade       string     `json:"grade,omitempty" doc:"As it was typed"`
	Excused     bool       `json:"excused,omitempty"`
	Status      string     `json:"status,omitempty" enum:"late,missing"`
	SecondsLate int64      `json:"seconds_late,omitempty"`
	SubmittedAt *time.Time `json:"submitted_at,omitempty"`
	Waiting     bool       `json:"waiting,omitempty" doc:"A grader has not seen what was handed in"`
	Posted      bool       `json:"posted,omitempty"`
	Anonymous   bool       `json:"anonymous,omitempty" doc:"Nothing is told while whose it is must not be known"`
}

func showGradebookColumn(c coursework.Column) GradebookColumn {
	return GradebookColumn{
		ID: c.ID, Kind: c.Kind, Title: c.Title, GroupID: c.GroupID, GradingType: c.GradingType, Points: decimal(&c.Points), DueAt: c.DueAt,
		OmitFromFinal: c.OmitFromFinal, Anonymous: c.Anonymous,
	}
}

func showTotals(t coursework.CourseTotal) Totals {
	return Totals{
		Current: decimal(t.Current), Final: decimal(t.Effective(t.Final)), Letter: t.Letter, Overridden: t.OverridePercent != nil,
		Posted: showPostedTotals(t),
	}
}

func showPostedTotals(t coursework.CourseTotal) *PostedTotals {
	return &PostedTotals{Current: decimal(t.PostedCurrent), Final: decimal(t.Effective(t.PostedFinal)), Letter: t.PostedLetter}
}

type gradebookInput struct {
	web.ByID
	FormatQuery
}

func (a *API) gradebook(ctx context.Context, in *gradebookInput, w http.ResponseWriter, req *http.Request) error {
	if in.wants(req, typeCSV) {
		return a.gradebookCSV(ctx, in.ID, w)
	}
	return a.gradebookJSON(ctx, in.ID, w)
}

// jsonGradebook writes the document as it is read: a chunk of people is in memory
// at a time.
type jsonGradebook struct {
	w       *bufio.Writer
	columns []coursework.Column
	buf     []byte
	lines   int
}

func (a *API) gradebookJSON(ctx context.Context, id uuid.UUID, w http.ResponseWriter) error {
	out := &jsonGradebook{w: bufio.NewWriterSize(w, 64<<10)}
	err := a.Service.ReadGradebook(ctx, web.Actor(ctx), id, func(g coursework.Gradebook) error {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Add("Vary", "Accept")
		return out.begin(g)
	}, out.person)
	if err != nil {
		return err
	}
	return out.end()
}

func (j *jsonGradebook) begin(g coursework.Gradebook) error {
	j.columns = g.Columns
	head := Gradebook{
		CourseID: g.CourseID, At: g.At, Weighted: g.Grading.Weighted, ShowTotals: g.Grading.ShowTotals,
		Groups: []AssignmentGroup{}, Columns: []GradebookColumn{}, People: []GradebookPerson{},
	}
	for _, x := range g.Groups {
		head.Groups = append(head.Groups, showGroup(x))
	}
	for _, c := range g.Columns {
		head.Columns = append(head.Columns, showGradebookColumn(c))
	}
	raw, err := json.Marshal(head)
	if err != nil {
		return apperr.Internal(err)
	}
	_, err = j.w.Write(raw[:len(raw)-len("]}")]) // people come one by one
	return err
}

func (j *jsonGradebook) person(r *coursework.Row) error {
	line := struct {
		UserID uuid.UUID `json:"user_id"`
		Name   string    `json:"name,omitempty"`
		Totals Totals    `json:"totals"`
	}{r.Person.ID, r.Person.Name, showTotals(r.Total)}
	raw, err := json.Marshal(line)
	if err != nil {
		return apperr.Internal(err)
	}
	j.buf = j.buf[:0]
	if j.lines++; j.lines > 1 {
		j.buf = append(j.buf, ',')
	}
	j.buf = append(append(j.buf, raw[:len(raw)-1]...), `,"grades":[`...)
	for i, cell := range r.Cells {
		if i > 0 {
			j.buf = append(j.buf, ',')
		}
		j.buf = appendCell(j.buf, &j.columns[i], cell, r.At)
	}
	j.buf = append(j.buf, "]}"...)
	_, err = j.w.Write(j.buf)
	return err
}

func (j *jsonGradebook) end() error {
	if _, err := j.w.WriteString("]}\n"); err != nil {
		return err
	}
	return j.w.Flush()
}

func (a *API) importGradebook(w http.ResponseWriter, req *http.Request) error {
	id, err := uuid.Parse(web.PathParam(req, "id"))
	if err != nil {
		return apperr.NotFound("course")
	}
	dry := false
	switch req.URL.Query().Get("dry_run") {
	case "", "false":
	case "true":
		dry = true
	default:
		return apperr.Invalid(apperr.Field{Path: "query.dry_run", Code: "boolean", Message: "is true or false"})
	}
	ctx := req.Context()
	job, err := a.Service.StartImport(ctx, web.Actor(ctx), coursework.ImportGradebook{CourseID: id, CSV: string(web.RawBody(ctx)), DryRun: dry})
	if err != nil {
		return err
	}
	raw, err := json.Marshal(job)
	if err != nil {
		return apperr.Internal(err)
	}
	w.Header().Set("Location", "/api/v1/jobs/assignment/"+job.ID.String())
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, err = w.Write(raw)
	return err
}

// MyGrades are a learner's own grades in a course.
type MyGrades struct {
	CourseID uuid.UUID     `json:"course_id"`
	Totals   *PostedTotals `json:"totals,omitempty" doc:"Absent where the course shows none"`
	Groups   []MyGroup     `json:"groups"`
	Items    []MyGrade     `json:"items"`
}

// MyGroup is a group with what I have in it.
type MyGroup struct {
	ID      uuid.UUID `json:"id"`
	Name    string    `json:"name"`
	Weight  *Decimal  `json:"weight"`
	Percent *Decimal  `json:"percent" doc:"Of what is graded; null where nothing is, or the course shows no totals"`
}

// MyGrade is where I stand in an assignment or a quiz.
type MyGrade struct {
	GradebookColumn
	Score       *Decimal   `json:"score,omitempty" doc:"What counts"`
	Entered     *Decimal   `json:"entered,omitempty" doc:"Before lateness took something"`
	Deduction   *Decimal   `json:"deduction,omitempty"`
	Grade       string     `json:"grade,omitempty" doc:"As the kind of grading shows it"`
	Excused     bool       `json:"excused,omitempty"`
	Status      string     `json:"status,omitempty" enum:"late,missing"`
	SecondsLate int64      `json:"seconds_late,omitempty"`
	SubmittedAt *time.Time `json:"submitted_at,omitempty"`
	Dropped     bool       `json:"dropped,omitempty" doc:"Left out of the current total by the group's rules"`
}

func (a *API) myGrades(ctx context.Context, in *web.ByID) (*web.Resource[MyGrades], error) {
	own, err := a.Service.OwnGrades(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	out := MyGrades{CourseID: in.ID, Groups: []MyGroup{}, Items: []MyGrade{}}
	if own.Total != nil {
		out.Totals = showPostedTotals(*own.Total)
	}
	current := own.Counted.Posted.Current
	for _, g := range own.Counting.Groups {
		shown := MyGroup{ID: g.ID, Name: g.Name, Weight: decimal(&g.Weight)}
		if t, ok := current.Groups[g.ID]; ok && own.Total != nil {
			shown.Percent = decimal(t.Percent())
		}
		out.Groups = append(out.Groups, shown)
	}
	for _, c := range own.Counting.Columns {
		cell := own.Cells[c.ID]
		cell.ColumnID = c.ID
		item := MyGrade{
			GradebookColumn: showGradebookColumn(c), Score: decimal(cell.Score), Entered: decimal(cell.Entered), Excused: cell.Excused,
			SubmittedAt: cell.SubmittedAt, Dropped: own.Total != nil && current.Dropped[c.ID],
		}
		if cell.DueAt != nil {
			item.DueAt = cell.DueAt // my own
		}
		if cell.Deduction != 0 {
			item.Deduction = decimal(&cell.Deduction)
		}
		if item.Status, item.SecondsLate = cell.Standing(&c, a.Now()); item.Status == "none" {
			item.Status = ""
		}
		if cell.Score != nil && !cell.Excused {
			item.Grade = own.Counting.Text(c, *cell.Score)
		}
		out.Items = append(out.Items, item)
	}
	return web.Res(out, 0), nil
}
