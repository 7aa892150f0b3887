package httpapi

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/coursework"
	"lms/apps/assignment/internal/grading"
	"lms/shared/apperr"
	"lms/shared/web"
)

// Grade is where a person stands in an assignment. A learner sees nothing of what
// was entered until it is posted; who grades anonymously sees an alias instead of
// the person.
type Grade struct {
	AssignmentID  uuid.UUID   `json:"assignment_id"`
	CourseID      uuid.UUID   `json:"course_id"`
	UserID        *uuid.UUID  `json:"user_id,omitempty"`
	Alias         *uuid.UUID  `json:"alias,omitempty" doc:"Instead of the person, where names are hidden"`
	SubmissionID  *uuid.UUID  `json:"submission_id,omitempty" doc:"What counts: the newest that was not withdrawn"`
	SubmittedAt   *time.Time  `json:"submitted_at,omitempty"`
	AttemptsUsed  int         `json:"attempts_used"`
	DueAt         *time.Time  `json:"due_at,omitempty" doc:"The person's own (rule 21)"`
	Possible      *Decimal    `json:"possible"`
	Grade         string      `json:"grade,omitempty" doc:"As it was typed"`
	EnteredScore  *Decimal    `json:"entered_score,omitempty" doc:"Before anything was taken off"`
	Deduction     *Decimal    `json:"deduction,omitempty" doc:"What lateness takes"`
	Score         *Decimal    `json:"score,omitempty" doc:"What counts"`
	Imputed       bool        `json:"imputed,omitempty" doc:"The score is what missing work gets; nobody gave it"`
	Excused       bool        `json:"excused,omitempty"`
	Status        string      `json:"status,omitempty" enum:"late,missing,none" doc:"Set by hand; absent: by the clock"`
	StatusSeconds *int64      `json:"status_seconds,omitempty"`
	Late          bool        `json:"late"`
	Missing       bool        `json:"missing"`
	SecondsLate   int64       `json:"seconds_late"`
	Individual    bool        `json:"individual,omitempty" doc:"Group work: graded apart from the group"`
	GradedAt      *time.Time  `json:"graded_at,omitempty"`
	GraderID      *uuid.UUID  `json:"grader_id,omitempty"`
	GradedAttempt *uuid.UUID  `json:"graded_submission_id,omitempty" doc:"What the grader had seen"`
	NeedsGrading  *bool       `json:"needs_grading,omitempty" doc:"For staff"`
	Rubric        *Assessment `json:"rubric,omitempty"`
	PostedAt      *time.Time  `json:"posted_at,omitempty" doc:"Since when the learner sees the grade"`
	UpdatedAt     *time.Time  `json:"updated_at,omitempty"`
	Pending       bool        `json:"progress_pending,omitempty" doc:"Progress shows it in a moment, and not yet"`
}

// Assessment is how a grade was reached by a rubric.
type Assessment struct {
	RubricID uuid.UUID `json:"rubric_id"`
	Revision int       `json:"revision"`
	Points   *Decimal  `json:"points"`
	Ratings  []Rating  `json:"ratings"`
}

// Rating is what somebody got in a criterion.
type Rating struct {
	CriterionID uuid.UUID  `json:"criterion_id"`
	LevelID     *uuid.UUID `json:"level_id,omitempty"`
	Points      *Decimal   `json:"points,omitempty" doc:"Absent: the level's"`
	Comment     string     `json:"comment,omitempty" maxLength:"5000"`
}

func (a *API) showGrade(g coursework.GradeSeen) Grade {
	out := Grade{
		AssignmentID: g.AssignmentID, CourseID: g.CourseID, UserID: &g.UserID, SubmissionID: g.SubmissionID, SubmittedAt: g.SubmittedAt,
		AttemptsUsed: g.AttemptsUsed, DueAt: g.DueAt, Possible: decimal(&g.Assignment.Points), Pending: g.Pending,
	}
	if g.Veiled() {
		out.UserID, out.DueAt, out.Alias = nil, nil, &g.Alias
	}
	if !g.Shown() {
		// The clock alone: what a grader made of it is hidden.
		out.SecondsLate, out.Late = g.SecondsLate, g.SecondsLate > 0
		return out
	}
	status, by := g.Standing(g.Assignment, a.Now())
	out.Late, out.Missing, out.SecondsLate = status == grading.Late, status == grading.Missing, by
	out.Grade, out.EnteredScore, out.Score, out.Excused = g.EnteredGrade, decimal(g.EnteredScore), decimal(g.Counts()), g.ExcusedAt != nil
	if g.EnteredScore != nil {
		out.Deduction = decimal(&g.Deduction)
	}
	out.Imputed, out.StatusSeconds, out.Individual = g.MissingScore != nil, g.StatusSeconds, g.Individual
	if g.Status != nil {
		out.Status = *g.Status
	}
	out.GradedAt, out.GraderID, out.GradedAttempt, out.PostedAt = g.GradedAt, g.GraderID, g.GradedSubmission, g.PostedAt
	if g.Version > coursework.FirstVersion {
		out.UpdatedAt = &g.UpdatedAt
	}
	if x := g.Assessment; x != nil {
		out.Rubric = &Assessment{RubricID: x.RubricID, Revision: x.Revision, Points: decimal(&x.Points), Ratings: showRatings(x.Ratings)}
	}
	if !g.Own {
		needs := g.SubmissionID != nil && g.ExcusedAt == nil && (g.GradedSubmission == nil || *g.GradedSubmission != *g.SubmissionID)
		out.NeedsGrading = &needs
	}
	return out
}

func showRatings(list []coursework.Rating) []Rating {
	out := make([]Rating, len(list))
	for i, r := range list {
		out[i] = Rating{CriterionID: r.CriterionID, LevelID: r.LevelID, Points: decimal(r.Points), Comment: r.Comment}
	}
	return out
}

// gradeTag is the version, which a learner does not see before anything is posted:
// it would tell that something happened.
func gradeTag(g coursework.GradeSeen) int64 {
	if !g.Shown() {
		return 0
	}
	return g.Version
}

// GradeOf names whose grade in which assignment.
type GradeOf struct {
	web.ByID
	UserID uuid.UUID `path:"user_id" doc:"The person, or the alias where names are hidden"`
}

func (a *API) getGrade(ctx context.Context, in *GradeOf) (*web.Resource[Grade], error) {
	g, err := a.Service.GradeOf(ctx, web.Actor(ctx), in.ID, in.UserID)
	if err != nil {
		return nil, err
	}
	return web.Res(a.showGrade(g), gradeTag(g)), nil
}

type listGradesInput struct {
	web.ByID
	web.Page
	UserID       uuid.UUID `query:"user_id"`
	Posted       string    `query:"posted" enum:"true,false"`
	NeedsGrading bool      `query:"needs_grading"`
}

func (a *API) listGrades(ctx context.Context, in *listGradesInput) (*web.List[Grade], error) {
	p, err := a.Service.GradesOfAssignment(ctx, web.Actor(ctx), coursework.GradeFilter{
		AssignmentID: in.ID, UserID: optional(in.UserID), Posted: flag(in.Posted), Waiting: in.NeedsGrading,
	}, in.Request())
	return web.ListOf(p, a.showGrade), err
}

// EntryBody replaces what was entered. At most one of score and grade; with a
// rubric and neither, the score is the sum of its points.
type EntryBody struct {
	Score         *Decimal   `json:"score,omitempty"`
	Grade         string     `json:"grade,omitempty" maxLength:"50" doc:"As the kind of grading shows it: 87.5, 87.5%, B+, pass"`
	Rubric        []Rating   `json:"rubric,omitempty" maxItems:"50"`
	Excused       bool       `json:"excused,omitempty"`
	Status        *string    `json:"status,omitempty" enum:"late,missing,none" doc:"Overrides the clock; absent: the clock decides"`
	StatusSeconds *int64     `json:"status_seconds,omitempty" doc:"With late: by how much; absent: 0"`
	SubmissionID  *uuid.UUID `json:"submission_id,omitempty" doc:"The attempt that was looked at; absent: the one that counts"`
	Individual    bool       `json:"individual,omitempty" doc:"Group work: for this person alone"`
	Comment       string     `json:"comment,omitempty" maxLength:"20000" doc:"Written to the submission as well"`
	Note          string     `json:"note,omitempty" maxLength:"500" doc:"Why, for the history"`
}

func (b EntryBody) entry(bad *apperr.Fields, path string) coursework.Entry {
	e := coursework.Entry{
		Score: b.Score.Value(bad, path+"score"), Grade: b.Grade, Excused: b.Excused, Status: b.Status, StatusSeconds: b.StatusSeconds,
		SubmissionID: b.SubmissionID, Individual: b.Individual, Comment: b.Comment, Note: b.Note,
	}
	for i, r := range b.Rubric {
		e.Ratings = append(e.Ratings, coursework.Rating{
			CriterionID: r.CriterionID, LevelID: r.LevelID, Points: r.Points.Value(bad, path+indexed("rubric", i)+".points"), Comment: r.Comment,
		})
	}
	return e
}

type putGradeInput struct {
	GradeOf
	web.IfMatch
	Body EntryBody
}

func (a *API) putGrade(ctx context.Context, in *putGradeInput) (*web.Resource[Grade], error) {
	var bad apperr.Fields
	e := in.Body.entry(&bad, "")
	if err := bad.Err(); err != nil {
		return nil, err
	}
	g, err := a.Service.PutGrade(ctx, web.Actor(ctx), in.ID, in.UserID, in.Version(), e)
	if err != nil {
		return nil, err
	}
	return web.Res(a.showGrade(g), g.Version), nil
}

type deleteGradeInput struct {
	GradeOf
	web.IfMatch
}

func (a *API) deleteGrade(ctx context.Context, in *deleteGradeInput) (*web.Empty, error) {
	return nil, a.Service.DeleteGrade(ctx, web.Actor(ctx), in.ID, in.UserID, in.Version(), "")
}

type bulkRow struct {
	UserID  uuid.UUID `json:"user_id" doc:"The person, or the alias where names are hidden"`
	Version int64     `json:"version,omitempty" doc:"The number of the ETag that was read; absent: any"`
	EntryBody
}

type bulkInput struct {
	web.ByID
	Body struct {
		Mode   string    `json:"mode,omitempty" enum:"all,each" doc:"all: one refused row refuses all (422); each: rows by themselves; absent: all"`
		Grades []bulkRow `json:"grades" minItems:"1" maxItems:"500"`
	}
}

// BulkResult says what became of one row.
type BulkResult struct {
	UserID  uuid.UUID      `json:"user_id"`
	Status  string         `json:"status" enum:"graded,refused"`
	Code    string         `json:"code,omitempty"`
	Message string         `json:"message,omitempty"`
	Errors  []apperr.Field `json:"errors,omitempty"`
	Version int64          `json:"version,omitempty"`
	Score   *Decimal       `json:"score,omitempty"`
}

// BulkResults are those of all rows, in their order.
type BulkResults struct {
	Graded  int          `json:"graded"`
	Refused int          `json:"refused"`
	Results []BulkResult `json:"results"`
}

func (a *API) bulkGrade(ctx context.Context, in *bulkInput) (*web.Resource[BulkResults], error) {
	var bad apperr.Fields
	rows := make([]coursework.BulkRow, len(in.Body.Grades))
	for i, r := range in.Body.Grades {
		rows[i] = coursework.BulkRow{Who: r.UserID, Entry: r.entry(&bad, indexed("grades", i)+".")}
		if r.Version != 0 {
			rows[i].Version = &r.Version
		}
	}
	if err := bad.Err(); err != nil {
		return nil, err
	}
	done, err := a.Service.BulkGrade(ctx, web.Actor(ctx), in.ID, rows, in.Body.Mode != "each")
	if err != nil {
		return nil, err
	}
	out := BulkResults{Results: make([]BulkResult, len(done))}
	for i, r := range done {
		out.Results[i] = BulkResult{UserID: r.Who, Status: "graded", Code: r.Code, Message: r.Message, Errors: r.Fields, Version: r.Version, Score: decimal(r.Score)}
		if r.Code != "" {
			out.Results[i].Status = "refused"
			out.Refused++
			continue
		}
		out.Graded++
	}
	return web.Res(out, 0), nil
}

type postInput struct {
	web.ByID
	Body *struct {
		UserIDs []uuid.UUID `json:"user_ids,omitempty" maxItems:"500" doc:"Absent: everybody"`
	}
}

// Posted says how many grades changed.
type Posted struct {
	Changed int `json:"changed"`
	Grades  int `json:"grades" doc:"Looked at"`
}

func (a *API) setPosted(do func(context.Context, uuid.UUID, []uuid.UUID) (coursework.Posted, error)) func(context.Context, *postInput) (*web.Resource[Posted], error) {
	return func(ctx context.Context, in *postInput) (*web.Resource[Posted], error) {
		var who []uuid.UUID
		if in.Body != nil {
			who = in.Body.UserIDs
		}
		done, err := do(ctx, in.ID, who)
		if err != nil {
			return nil, err
		}
		return web.Res(Posted{Changed: done.Changed, Grades: done.Total}, 0), nil
	}
}

func (a *API) postGrades(ctx context.Context, id uuid.UUID, who []uuid.UUID) (coursework.Posted, error) {
	return a.Service.PostGrades(ctx, web.Actor(ctx), id, who)
}

func (a *API) hideGrades(ctx context.Context, id uuid.UUID, who []uuid.UUID) (coursework.Posted, error) {
	return a.Service.HideGrades(ctx, web.Actor(ctx), id, who)
}

// Waiting is an assignment with work that waits for a grader.
type Waiting struct {
	AssignmentID uuid.UUID  `json:"assignment_id"`
	CourseID     uuid.UUID  `json:"course_id"`
	Title        string     `json:"title"`
	DueAt        *time.Time `json:"due_at,omitempty"`
	Submissions  int        `json:"submissions"`
	Oldest       time.Time  `json:"oldest"`
}

type toGradeInput struct{ web.Page }

func (a *API) toGrade(ctx context.Context, in *toGradeInput) (*web.List[Waiting], error) {
	p, err := a.Service.ToGrade(ctx, web.Actor(ctx), in.Request())
	return web.ListOf(p, func(w coursework.Waiting) Waiting {
		return Waiting{AssignmentID: w.AssignmentID, CourseID: w.CourseID, Title: w.Title, DueAt: w.DueAt, Submissions: w.Count, Oldest: w.Oldest}
	}), err
}
