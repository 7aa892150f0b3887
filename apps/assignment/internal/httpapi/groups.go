package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/coursework"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/patch"
	"lms/shared/web"
)

const (
	groupPath  = "/api/v1/assignment-groups/{id}"
	columnPath = course + "/gradebook/columns/{column_id}"
)

func (a *API) groupRoutes(r *web.Router) {
	op := operation("Grading")
	edits := web.NeedsInCourse(authz.AssignmentEdit)
	web.Register(r, op(http.MethodGet, course+"/assignment-groups", "list-assignment-groups", "List a course's assignment groups in their order", web.SignedIn()), a.listGroups)
	web.Register(r, created(op(http.MethodPost, course+"/assignment-groups", "create-assignment-group", "Make an assignment group", edits)), a.createGroup)
	web.Register(r, op(http.MethodGet, groupPath, "get-assignment-group", "Get an assignment group", web.SignedIn()), a.getGroup)
	web.Register(r, op(http.MethodPatch, groupPath, "update-assignment-group", "Change an assignment group: everybody's totals follow", edits), a.updateGroup)
	web.Register(r, op(http.MethodDelete, groupPath, "delete-assignment-group", "Delete an assignment group", edits), a.deleteGroup)
	web.Register(r, op(http.MethodGet, columnPath, "get-gradebook-column", "See where a quiz stands in the gradebook", web.NeedsInCourse(authz.GradeRead)), a.getColumn)
	web.Register(r, op(http.MethodPatch, columnPath, "update-gradebook-column", "Put a quiz into a group of the gradebook", edits), a.updateColumn)
}

func itoa(i int) string { return strconv.Itoa(i) }

// AssignmentGroup is a group of assignments and quizzes.
type AssignmentGroup struct {
	ID          uuid.UUID   `json:"id"`
	CourseID    uuid.UUID   `json:"course_id"`
	Name        string      `json:"name"`
	Position    int         `json:"position"`
	Weight      *Decimal    `json:"weight" doc:"Percent; counts in a weighted course"`
	DropLowest  int         `json:"drop_lowest" doc:"How many scores are left out so that the rest is the best"`
	DropHighest int         `json:"drop_highest" doc:"And then so that the rest is the worst"`
	NeverDrop   []uuid.UUID `json:"never_drop" doc:"Assignments and quizzes that always count"`
	CreatedAt   time.Time   `json:"created_at"`
	UpdatedAt   time.Time   `json:"updated_at"`
}

func showGroup(g coursework.Group) AssignmentGroup {
	return AssignmentGroup{
		ID: g.ID, CourseID: g.CourseID, Name: g.Name, Position: g.Position, Weight: decimal(&g.Weight), DropLowest: g.DropLowest,
		DropHighest: g.DropHighest, NeverDrop: list(g.NeverDrop), CreatedAt: g.CreatedAt, UpdatedAt: g.UpdatedAt,
	}
}

// Groups are all of a course: they are few.
type Groups struct {
	Items []AssignmentGroup `json:"items"`
}

func (a *API) listGroups(ctx context.Context, in *web.ByID) (*web.Resource[Groups], error) {
	all, err := a.Service.Groups(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	out := Groups{Items: []AssignmentGroup{}}
	for _, g := range all {
		out.Items = append(out.Items, showGroup(g))
	}
	return web.Res(out, 0), nil
}

type createGroupInput struct {
	web.ByID
	Body struct {
		Name        string      `json:"name" maxLength:"255"`
		Position    *int        `json:"position,omitempty" doc:"Absent: the last"`
		Weight      *Decimal    `json:"weight,omitempty" doc:"Percent; absent: 0"`
		DropLowest  int         `json:"drop_lowest,omitempty"`
		DropHighest int         `json:"drop_highest,omitempty"`
		NeverDrop   []uuid.UUID `json:"never_drop,omitempty" maxItems:"500"`
	}
}

func (a *API) createGroup(ctx context.Context, in *createGroupInput) (*web.Resource[AssignmentGroup], error) {
	var bad apperr.Fields
	b := in.Body
	f := coursework.GroupFields{Name: b.Name, Weight: whole(b.Weight, &bad, "weight"), DropLowest: b.DropLowest, DropHighest: b.DropHighest, NeverDrop: b.NeverDrop}
	if err := bad.Err(); err != nil {
		return nil, err
	}
	set(&f.Position, b.Position)
	g, err := a.Service.CreateGroup(ctx, web.Actor(ctx), in.ID, f, b.Position == nil)
	if err != nil {
		return nil, err
	}
	return web.Created(showGroup(g), g.Version, "/api/v1/assignment-groups/"+g.ID.String()), nil
}

func (a *API) getGroup(ctx context.Context, in *web.ByID) (*web.Resource[AssignmentGroup], error) {
	g, err := a.Service.GroupByID(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return web.Res(showGroup(g), g.Version), nil
}

type updateGroupInput struct {
	web.ByID
	web.IfMatch
	Body struct {
		Name        patch.Field[string]      `json:"name,omitzero" maxLength:"255"`
		Position    patch.Field[int]         `json:"position,omitzero"`
		Weight      patch.Field[Decimal]     `json:"weight,omitzero"`
		DropLowest  patch.Field[int]         `json:"drop_lowest,omitzero"`
		DropHighest patch.Field[int]         `json:"drop_highest,omitzero"`
		NeverDrop   patch.Field[[]uuid.UUID] `json:"never_drop,omitzero"`
	}
}

func (a *API) updateGroup(ctx context.Context, in *updateGroupInput) (*web.Resource[AssignmentGroup], error) {
	var bad apperr.Fields
	b := in.Body
	weight := b.Weight.Value.Value(&bad, "weight")
	if err := bad.Err(); err != nil {
		return nil, err
	}
	g, err := a.Service.UpdateGroup(ctx, web.Actor(ctx), in.ID, in.Version(), func(f *coursework.GroupFields) {
		b.Name.Apply(&f.Name)
		b.Position.Apply(&f.Position)
		b.DropLowest.Apply(&f.DropLowest)
		b.DropHighest.Apply(&f.DropHighest)
		b.NeverDrop.Apply(&f.NeverDrop)
		if b.Weight.Set {
			f.Weight = *weight
		}
	})
	if err != nil {
		return nil, err
	}
	return web.Res(showGroup(g), g.Version), nil
}

type deleteGroupInput struct {
	web.ByID
	web.IfMatch
	MoveTo uuid.UUID `query:"move_to" doc:"The group that what is in it goes to; without it a group that is not empty stays (409)"`
}

func (a *API) deleteGroup(ctx context.Context, in *deleteGroupInput) (*web.Empty, error) {
	return nil, a.Service.DeleteGroup(ctx, web.Actor(ctx), in.ID, in.Version(), optional(in.MoveTo))
}

// GradebookQuiz is where a quiz stands in the gradebook.
type GradebookQuiz struct {
	QuizID        uuid.UUID  `json:"quiz_id"`
	Title         string     `json:"title"`
	Points        *Decimal   `json:"points"`
	DueAt         *time.Time `json:"due_at,omitempty"`
	Published     bool       `json:"published"`
	GroupID       *uuid.UUID `json:"group_id"`
	Position      int        `json:"position"`
	OmitFromFinal bool       `json:"omit_from_final"`
}

func showColumn(c coursework.QuizColumn) GradebookQuiz {
	return GradebookQuiz{
		QuizID: c.QuizID, Title: c.Title, Points: decimal(&c.Points), DueAt: c.DueAt, Published: c.Published, GroupID: c.GroupID,
		Position: c.Position, OmitFromFinal: c.OmitFromFinal,
	}
}

type columnInput struct {
	ID       uuid.UUID `path:"id"`
	ColumnID uuid.UUID `path:"column_id"`
}

func (a *API) getColumn(ctx context.Context, in *columnInput) (*web.Resource[GradebookQuiz], error) {
	c, err := a.Service.QuizColumnOf(ctx, web.Actor(ctx), in.ID, in.ColumnID)
	if err != nil {
		return nil, err
	}
	return web.Res(showColumn(c), c.Version), nil
}

type updateColumnInput struct {
	ID       uuid.UUID `path:"id"`
	ColumnID uuid.UUID `path:"column_id"`
	web.IfMatch
	Body struct {
		GroupID       patch.Field[uuid.UUID] `json:"group_id,omitzero" doc:"null: in no group"`
		Position      patch.Field[int]       `json:"position,omitzero" minimum:"0"`
		OmitFromFinal patch.Field[bool]      `json:"omit_from_final,omitzero"`
	}
}

func (a *API) updateColumn(ctx context.Context, in *updateColumnInput) (*web.Resource[GradebookQuiz], error) {
	b := in.Body
	if b.Position.Value < 0 {
		return nil, apperr.Invalid(apperr.Field{Path: "position", Code: "range", Message: "Not negative."})
	}
	c, err := a.Service.PlaceColumn(ctx, web.Actor(ctx), in.ID, in.ColumnID, in.Version(), func(group **uuid.UUID, position *int, omit *bool) {
		b.GroupID.ApplyPtr(group)
		b.Position.Apply(position)
		b.OmitFromFinal.Apply(omit)
	})
	if err != nil {
		return nil, err
	}
	return web.Res(showColumn(c), c.Version), nil
}
