package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/coursework"
	"lms/apps/assignment/internal/grading"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/web"
)

func (a *API) policyRoutes(r *web.Router) {
	op := operation("Grading")
	reads, edits := web.NeedsInCourse(authz.GradeRead), web.NeedsInCourse(authz.GradeEdit)
	web.Register(r, op(http.MethodGet, "/api/v1/grading-schemes", "list-grading-schemes", "List the grading schemes that a course may use, or that an org unit and those above it have", reads), a.listSchemes)
	web.Register(r, created(op(http.MethodPost, "/api/v1/grading-schemes", "create-grading-scheme", "Make a grading scheme, of a course or of an org unit; it never changes", edits)), a.createScheme)
	web.Register(r, op(http.MethodGet, "/api/v1/grading-schemes/{id}", "get-grading-scheme", "Get a grading scheme", web.SignedIn()), a.getScheme)
	web.Register(r, op(http.MethodGet, course+"/grading-settings", "get-grading-settings", "See how a course counts", web.SignedIn()), a.gradingSettings)
	web.Register(r, op(http.MethodPut, course+"/grading-settings", "put-grading-settings", "Set how a course counts", edits), a.putGradingSettings)
	web.Register(r, op(http.MethodGet, course+"/late-policy", "get-late-policy", "See what late and missing work costs", web.SignedIn()), a.latePolicy)
	web.Register(r, op(http.MethodPut, course+"/late-policy", "put-late-policy", "Set what late and missing work costs; a job applies it to all work", edits), a.putLatePolicy)
	web.Register(r, op(http.MethodGet, course+"/final-grades/{user_id}", "get-final-grade", "See a person's final grade, what was set instead, and its history", reads), a.finalGrade)
	web.Register(r, op(http.MethodPut, course+"/final-grades/{user_id}", "put-final-grade", "Set a person's final grade instead of the computed one", edits), a.putFinalGrade)
}

// SchemeGrade is a step of a grading scheme.
type SchemeGrade struct {
	Name   string   `json:"name" minLength:"1" maxLength:"40"`
	From   *Decimal `json:"from" doc:"The least percent that gets it"`
	Points *Decimal `json:"points,omitempty" doc:"Grade points (GPA)"`
}

// GradingScheme turns percents into letters.
type GradingScheme struct {
	ID        uuid.UUID     `json:"id"`
	CourseID  *uuid.UUID    `json:"course_id,omitempty" doc:"Absent: for all courses in and below the org unit"`
	OrgUnitID uuid.UUID     `json:"org_unit_id"`
	Name      string        `json:"name"`
	Grades    []SchemeGrade `json:"grades"`
	CreatedAt time.Time     `json:"created_at"`
}

func showScheme(s coursework.Scheme) GradingScheme {
	out := GradingScheme{ID: s.ID, CourseID: s.CourseID, OrgUnitID: s.OrgUnitID, Name: s.Name, CreatedAt: s.CreatedAt, Grades: []SchemeGrade{}}
	for _, g := range s.Grades {
		out.Grades = append(out.Grades, SchemeGrade{Name: g.Name, From: decimal(&g.From), Points: decimal(g.Points)})
	}
	return out
}

type listSchemesInput struct {
	web.Page
	CourseID  uuid.UUID `query:"course_id" doc:"Those that the course may use"`
	OrgUnitID uuid.UUID `query:"org_unit_id" doc:"Those of the org unit and above"`
}

func (a *API) listSchemes(ctx context.Context, in *listSchemesInput) (*web.List[GradingScheme], error) {
	if (in.CourseID == uuid.Nil) == (in.OrgUnitID == uuid.Nil) {
		return nil, apperr.Invalid(apperr.Field{Path: "query.course_id", Code: "pair", Message: "Either course_id or org_unit_id."})
	}
	p, err := a.Service.Schemes(ctx, web.Actor(ctx), optional(in.CourseID), in.OrgUnitID, in.Request())
	if err != nil {
		return nil, err
	}
	return web.ListOf(p, showScheme), nil
}

type createSchemeInput struct {
	Body struct {
		CourseID  *uuid.UUID    `json:"course_id,omitempty"`
		OrgUnitID *uuid.UUID    `json:"org_unit_id,omitempty"`
		Name      string        `json:"name" maxLength:"255"`
		Grades    []SchemeGrade `json:"grades" minItems:"1" maxItems:"50"`
	}
}

func (a *API) createScheme(ctx context.Context, in *createSchemeInput) (*web.Resource[GradingScheme], error) {
	var bad apperr.Fields
	grades := make([]grading.Grade, len(in.Body.Grades))
	for i, g := range in.Body.Grades {
		path := "grades[" + itoa(i) + "]."
		grades[i].Name = g.Name
		if from := g.From.Value(&bad, path+"from"); from != nil {
			grades[i].From = *from
		}
		grades[i].Points = g.Points.Value(&bad, path+"points")
	}
	if err := bad.Err(); err != nil {
		return nil, err
	}
	made, err := a.Service.CreateScheme(ctx, web.Actor(ctx), coursework.NewScheme{CourseID: in.Body.CourseID, OrgUnitID: in.Body.OrgUnitID, Name: in.Body.Name, Grades: grades})
	if err != nil {
		return nil, err
	}
	return web.Created(showScheme(made), 0, "/api/v1/grading-schemes/"+made.ID.String()), nil
}

func (a *API) getScheme(ctx context.Context, in *web.ByID) (*web.Resource[GradingScheme], error) {
	s, err := a.Service.SchemeByID(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return web.Res(showScheme(s), 1), nil
}

// GradingSettings are how a course counts.
type GradingSettings struct {
	Weighted   bool       `json:"weighted" doc:"Groups count by their weights; else all points are added up"`
	SchemeID   *uuid.UUID `json:"scheme_id" doc:"null: the standard scheme"`
	ShowTotals bool       `json:"show_totals" doc:"To learners"`
}

func showSettings(g coursework.Grading) GradingSettings {
	return GradingSettings{Weighted: g.Weighted, SchemeID: g.SchemeID, ShowTotals: g.ShowTotals}
}

func (a *API) gradingSettings(ctx context.Context, in *web.ByID) (*web.Resource[GradingSettings], error) {
	g, err := a.Service.GradingSettings(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return web.Res(showSettings(g), g.SettingsVersion), nil
}

type putSettingsInput struct {
	web.ByID
	web.IfMatch
	Body GradingSettings
}

func (a *API) putGradingSettings(ctx context.Context, in *putSettingsInput) (*web.Resource[GradingSettings], error) {
	g, err := a.Service.PutGradingSettings(ctx, web.Actor(ctx), in.ID, in.Version(), coursework.GradingSettingsFields{
		Weighted: in.Body.Weighted, SchemeID: in.Body.SchemeID, ShowTotals: in.Body.ShowTotals,
	})
	if err != nil {
		return nil, err
	}
	return web.Res(showSettings(g), g.SettingsVersion), nil
}

// LatePolicy is what late and missing work costs in a course.
type LatePolicy struct {
	Late    LateWork    `json:"late"`
	Missing MissingWork `json:"missing"`
	JobID   *uuid.UUID  `json:"job_id,omitempty" readOnly:"true" doc:"The job that applies the change to all work"`
}

// LateWork loses rate percent of the possible points per interval that has begun.
type LateWork struct {
	Enabled  bool     `json:"enabled"`
	Rate     *Decimal `json:"rate" doc:"Percent of the possible points, 0 to 100"`
	Interval string   `json:"interval" enum:"hour,day"`
	Floor    *Decimal `json:"floor" doc:"Percent below which lateness takes nothing, 0 to 100"`
}

// MissingWork gets what is left of the possible points.
type MissingWork struct {
	Enabled bool     `json:"enabled"`
	Rate    *Decimal `json:"rate" doc:"Percent of the possible points that missing work loses, 0 to 100"`
}

func showPolicy(g coursework.Grading) LatePolicy {
	return LatePolicy{
		Late:    LateWork{Enabled: g.Late, Rate: decimal(&g.LateRate), Interval: g.LateInterval, Floor: decimal(&g.LateFloor)},
		Missing: MissingWork{Enabled: g.Missing, Rate: decimal(&g.MissingRate)},
	}
}

func (a *API) latePolicy(ctx context.Context, in *web.ByID) (*web.Resource[LatePolicy], error) {
	g, err := a.Service.GradingSettings(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return web.Res(showPolicy(g), g.PolicyVersion), nil
}

type putPolicyInput struct {
	web.ByID
	web.IfMatch
	Body struct {
		Late    LateWork    `json:"late"`
		Missing MissingWork `json:"missing"`
	}
}

func (a *API) putLatePolicy(ctx context.Context, in *putPolicyInput) (*web.Resource[LatePolicy], error) {
	var bad apperr.Fields
	b := in.Body
	f := coursework.LatePolicyFields{
		Late: b.Late.Enabled, LateRate: whole(b.Late.Rate, &bad, "late.rate"), LateInterval: b.Late.Interval,
		LateFloor: whole(b.Late.Floor, &bad, "late.floor"), Missing: b.Missing.Enabled, MissingRate: whole(b.Missing.Rate, &bad, "missing.rate"),
	}
	if err := bad.Err(); err != nil {
		return nil, err
	}
	set, err := a.Service.PutLatePolicy(ctx, web.Actor(ctx), in.ID, in.Version(), f)
	if err != nil {
		return nil, err
	}
	out := showPolicy(set.Grading)
	if set.Job != nil {
		out.JobID = &set.Job.ID
	}
	return web.Res(out, set.Grading.PolicyVersion), nil
}

// whole is a number that must be there.
func whole(d *Decimal, bad *apperr.Fields, path string) events.Hundredths {
	v := d.Value(bad, path)
	if v == nil {
		return 0
	}
	return *v
}

// FinalGrade is a person's final grade in a course.
type FinalGrade struct {
	UserID   uuid.UUID     `json:"user_id"`
	Percent  *Decimal      `json:"percent" doc:"What was set; null: the computed one holds"`
	Computed *Decimal      `json:"computed" doc:"As staff see it; null where nothing counts"`
	Final    *Decimal      `json:"final" doc:"What holds"`
	Letter   string        `json:"letter,omitempty"`
	History  []FinalChange `json:"history" doc:"The newest first"`
}

// FinalChange is one change of what was set.
type FinalChange struct {
	At     time.Time  `json:"at"`
	UserID *uuid.UUID `json:"user_id,omitempty" doc:"Who"`
	Reason string     `json:"reason"`
	From   *Decimal   `json:"from"`
	To     *Decimal   `json:"to"`
}

func showFinal(f coursework.FinalGrade) FinalGrade {
	t := f.Total
	out := FinalGrade{
		UserID: t.UserID, Percent: decimal(t.OverridePercent), Computed: decimal(t.Final), Final: decimal(t.Effective(t.Final)), Letter: t.Letter,
		History: []FinalChange{},
	}
	for _, h := range f.History {
		out.History = append(out.History, FinalChange{At: h.At, UserID: h.ActorID, Reason: h.Note, From: decimal(h.Before), To: decimal(h.After)})
	}
	return out
}

type finalInput struct {
	ID     uuid.UUID `path:"id"`
	UserID uuid.UUID `path:"user_id"`
}

func (a *API) finalGrade(ctx context.Context, in *finalInput) (*web.Resource[FinalGrade], error) {
	f, err := a.Service.FinalGradeOf(ctx, web.Actor(ctx), in.ID, in.UserID)
	if err != nil {
		return nil, err
	}
	return web.Res(showFinal(f), f.Total.OverrideVersion), nil
}

type putFinalInput struct {
	ID     uuid.UUID `path:"id"`
	UserID uuid.UUID `path:"user_id"`
	web.IfMatch
	Body struct {
		Percent *Decimal `json:"percent" nullable:"true" doc:"null: the computed one holds again"`
		Reason  string   `json:"reason" maxLength:"500"`
	}
}

func (a *API) putFinalGrade(ctx context.Context, in *putFinalInput) (*web.Resource[FinalGrade], error) {
	var bad apperr.Fields
	percent := in.Body.Percent.Value(&bad, "percent")
	if err := bad.Err(); err != nil {
		return nil, err
	}
	f, err := a.Service.PutFinalGrade(ctx, web.Actor(ctx), in.ID, in.UserID, in.Version(), percent, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return web.Res(showFinal(f), f.Total.OverrideVersion), nil
}
