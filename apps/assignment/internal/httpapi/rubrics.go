package httpapi

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/coursework"
	"lms/shared/apperr"
	"lms/shared/patch"
	"lms/shared/web"
)

// indexed is the JSON path of an element of a list.
func indexed(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }

// Rubric is a revision of a course's rubric.
type Rubric struct {
	ID             uuid.UUID   `json:"id"`
	CourseID       uuid.UUID   `json:"course_id"`
	Title          string      `json:"title"`
	Revision       int         `json:"revision"`
	LatestRevision int         `json:"latest_revision"`
	Points         *Decimal    `json:"points" doc:"The most that can be got"`
	Criteria       []Criterion `json:"criteria"`
	CreatedAt      time.Time   `json:"created_at"`
	UpdatedAt      time.Time   `json:"updated_at"`
}

// Criterion is what is looked at.
type Criterion struct {
	ID          uuid.UUID `json:"id,omitzero" doc:"Of one that is there already; absent: a new one"`
	Title       string    `json:"title" maxLength:"255"`
	Description string    `json:"description,omitempty" maxLength:"2000"`
	Points      *Decimal  `json:"points,omitempty" readOnly:"true" doc:"The most that a level gives; what is sent is ignored"`
	Levels      []Level   `json:"levels" minItems:"1" maxItems:"20"`
}

// Level says how well a criterion is met.
type Level struct {
	ID          uuid.UUID `json:"id,omitzero" doc:"Of one that is there already; absent: a new one"`
	Title       string    `json:"title" maxLength:"255"`
	Description string    `json:"description,omitempty" maxLength:"2000"`
	Points      *Decimal  `json:"points"`
}

func showRubric(r coursework.Rubric) Rubric {
	out := Rubric{
		ID: r.ID, CourseID: r.CourseID, Title: r.Title, Revision: r.Revision, LatestRevision: r.Latest, Points: decimal(&r.Points),
		Criteria: make([]Criterion, len(r.Criteria)), CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
	for i, c := range r.Criteria {
		shown := Criterion{ID: c.ID, Title: c.Title, Description: c.Description, Points: decimal(&c.Points), Levels: make([]Level, len(c.Levels))}
		for j, l := range c.Levels {
			shown.Levels[j] = Level{ID: l.ID, Title: l.Title, Description: l.Description, Points: decimal(&l.Points)}
		}
		out.Criteria[i] = shown
	}
	return out
}

func criteriaOf(in []Criterion, bad *apperr.Fields) []coursework.Criterion {
	out := make([]coursework.Criterion, len(in))
	for i, c := range in {
		out[i] = coursework.Criterion{ID: c.ID, Title: c.Title, Description: c.Description, Levels: make([]coursework.Level, len(c.Levels))}
		for j, l := range c.Levels {
			out[i].Levels[j] = coursework.Level{ID: l.ID, Title: l.Title, Description: l.Description}
			set(&out[i].Levels[j].Points, l.Points.Value(bad, indexed("criteria", i)+"."+indexed("levels", j)+".points"))
		}
	}
	return out
}

type listRubricsInput struct {
	web.Page
	CourseID uuid.UUID `query:"course_id" required:"true"`
	Sort     string    `query:"sort" enum:"created_at,-created_at,title,-title" default:"created_at"`
}

func (a *API) listRubrics(ctx context.Context, in *listRubricsInput) (*web.List[Rubric], error) {
	p, err := a.Service.Rubrics(ctx, web.Actor(ctx), in.CourseID, in.Sort, in.Request())
	return web.ListOf(p, showRubric), err
}

type createRubricInput struct {
	Body struct {
		CourseID uuid.UUID   `json:"course_id"`
		Title    string      `json:"title" maxLength:"255"`
		Criteria []Criterion `json:"criteria" minItems:"1" maxItems:"50"`
	}
}

func (a *API) createRubric(ctx context.Context, in *createRubricInput) (*web.Resource[Rubric], error) {
	var bad apperr.Fields
	f := coursework.RubricFields{Title: in.Body.Title, Criteria: criteriaOf(in.Body.Criteria, &bad)}
	if err := bad.Err(); err != nil {
		return nil, err
	}
	r, err := a.Service.CreateRubric(ctx, web.Actor(ctx), in.Body.CourseID, f)
	if err != nil {
		return nil, err
	}
	return web.Created(showRubric(r), r.Version, "/api/v1/rubrics/"+r.ID.String()), nil
}

type getRubricInput struct {
	web.ByID
	Revision int `query:"revision" minimum:"1" doc:"Absent: the newest"`
}

func (a *API) getRubric(ctx context.Context, in *getRubricInput) (*web.Resource[Rubric], error) {
	r, err := a.Service.Rubric(ctx, web.Actor(ctx), in.ID, in.Revision)
	if err != nil {
		return nil, err
	}
	return web.Res(showRubric(r), r.Version), nil
}

type updateRubricInput struct {
	web.ByID
	web.IfMatch
	Body struct {
		Title    patch.Field[string]      `json:"title,omitzero"`
		Criteria patch.Field[[]Criterion] `json:"criteria,omitzero" doc:"All of them: those with known ids keep their identity"`
	}
}

func (a *API) updateRubric(ctx context.Context, in *updateRubricInput) (*web.Resource[Rubric], error) {
	var bad apperr.Fields
	var title *string
	var criteria *[]coursework.Criterion
	if in.Body.Title.Set {
		title = &in.Body.Title.Value
	}
	if in.Body.Criteria.Set {
		all := criteriaOf(in.Body.Criteria.Value, &bad)
		criteria = &all
	}
	if err := bad.Err(); err != nil {
		return nil, err
	}
	r, err := a.Service.UpdateRubric(ctx, web.Actor(ctx), in.ID, in.Version(), title, criteria)
	if err != nil {
		return nil, err
	}
	return web.Res(showRubric(r), r.Version), nil
}

type deleteInput struct {
	web.ByID
	web.IfMatch
}

func (a *API) deleteRubric(ctx context.Context, in *deleteInput) (*web.Empty, error) {
	return nil, a.Service.DeleteRubric(ctx, web.Actor(ctx), in.ID, in.Version())
}
