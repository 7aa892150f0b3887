package httpapi

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/course/internal/catalog"
	"lms/shared/patch"
	"lms/shared/web"
)

// Category is a node of an organisation's tree of subjects.
type Category struct {
	ID        uuid.UUID  `json:"id"`
	TenantID  uuid.UUID  `json:"tenant_id"`
	ParentID  *uuid.UUID `json:"parent_id,omitempty"`
	Name      string     `json:"name"`
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
}

func showCategory(c catalog.Category) Category {
	return Category{ID: c.ID, TenantID: c.TenantID, ParentID: c.ParentID, Name: c.Name, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt}
}

type listCategoriesInput struct {
	web.Page
	Query    string    `query:"q" maxLength:"200"`
	ParentID uuid.UUID `query:"parent_id" doc:"Only those directly below"`
	Roots    bool      `query:"roots" doc:"Only those at the top"`
	TenantID uuid.UUID `query:"tenant_id" doc:"For callers who see several organisations"`
}

func (a *API) listCategories(ctx context.Context, in *listCategoriesInput) (*web.List[Category], error) {
	f := catalog.ShelfFilter{Query: in.Query, ParentID: optional(in.ParentID), Roots: in.Roots, Tenant: optional(in.TenantID)}
	p, err := a.Service.Categories(ctx, web.Actor(ctx), f, in.Request())
	return web.ListOf(p, showCategory), err
}

type createCategoryInput struct {
	Body struct {
		Name     string     `json:"name" maxLength:"100"`
		ParentID *uuid.UUID `json:"parent_id,omitempty"`
		TenantID *uuid.UUID `json:"tenant_id,omitempty" doc:"Absent: the caller's organisation"`
	}
}

func (a *API) createCategory(ctx context.Context, in *createCategoryInput) (*web.Resource[Category], error) {
	c, err := a.Service.CreateCategory(ctx, web.Actor(ctx), in.Body.TenantID, in.Body.Name, in.Body.ParentID)
	if err != nil {
		return nil, err
	}
	return web.Created(showCategory(c), c.Version, "/api/v1/categories/"+c.ID.String()), nil
}

func (a *API) getCategory(ctx context.Context, in *web.ByID) (*web.Resource[Category], error) {
	c, err := a.Service.Category(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return web.Res(showCategory(c), c.Version), nil
}

type updateCategoryInput struct {
	web.ByID
	web.IfMatch
	Body struct {
		Name     patch.Field[string]    `json:"name"`
		ParentID patch.Field[uuid.UUID] `json:"parent_id" doc:"null: to the top"`
	}
}

func (a *API) updateCategory(ctx context.Context, in *updateCategoryInput) (*web.Resource[Category], error) {
	c, err := a.Service.UpdateCategory(ctx, web.Actor(ctx), in.ID, required(&in.IfMatch), func(name *string, parent **uuid.UUID) {
		in.Body.Name.Apply(name)
		in.Body.ParentID.ApplyPtr(parent)
	})
	if err != nil {
		return nil, err
	}
	return web.Res(showCategory(c), c.Version), nil
}

func (a *API) deleteCategory(ctx context.Context, in *deleteInput) (*web.Empty, error) {
	return nil, a.Service.DeleteCategory(ctx, web.Actor(ctx), in.ID, required(&in.IfMatch))
}

// Term is a period in which courses run.
type Term struct {
	ID        uuid.UUID  `json:"id"`
	TenantID  uuid.UUID  `json:"tenant_id"`
	OrgUnitID uuid.UUID  `json:"org_unit_id"`
	Code      string     `json:"code"`
	Name      string     `json:"name"`
	StartsAt  *time.Time `json:"starts_at,omitempty"`
	EndsAt    *time.Time `json:"ends_at,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
}

func showTerm(t catalog.Term) Term {
	return Term{
		ID: t.ID, TenantID: t.TenantID, OrgUnitID: t.OrgUnitID, Code: t.Code, Name: t.Name, StartsAt: t.StartsAt, EndsAt: t.EndsAt,
		CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt,
	}
}

type listTermsInput struct {
	web.Page
	Query     string    `query:"q" maxLength:"200"`
	OrgUnitID uuid.UUID `query:"org_unit_id"`
	Sort      string    `query:"sort" enum:"-starts_at,starts_at,name,-name,code,-code" default:"-starts_at"`
}

func (a *API) listTerms(ctx context.Context, in *listTermsInput) (*web.List[Term], error) {
	f := catalog.ShelfFilter{Query: in.Query, Sort: in.Sort}
	if in.OrgUnitID != uuid.Nil {
		f.OrgUnits = []uuid.UUID{in.OrgUnitID}
	}
	p, err := a.Service.Terms(ctx, web.Actor(ctx), f, in.Request())
	return web.ListOf(p, showTerm), err
}

type createTermInput struct {
	Body struct {
		OrgUnitID uuid.UUID  `json:"org_unit_id"`
		Code      string     `json:"code" maxLength:"64" doc:"Unique in the organisation"`
		Name      string     `json:"name" maxLength:"255"`
		StartsAt  *time.Time `json:"starts_at,omitempty"`
		EndsAt    *time.Time `json:"ends_at,omitempty"`
	}
}

func (a *API) createTerm(ctx context.Context, in *createTermInput) (*web.Resource[Term], error) {
	b := in.Body
	t, err := a.Service.CreateTerm(ctx, web.Actor(ctx), b.OrgUnitID, catalog.TermFields{Code: b.Code, Name: b.Name, StartsAt: b.StartsAt, EndsAt: b.EndsAt})
	if err != nil {
		return nil, err
	}
	return web.Created(showTerm(t), t.Version, "/api/v1/terms/"+t.ID.String()), nil
}

func (a *API) getTerm(ctx context.Context, in *web.ByID) (*web.Resource[Term], error) {
	t, err := a.Service.Term(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return web.Res(showTerm(t), t.Version), nil
}

type updateTermInput struct {
	web.ByID
	web.IfMatch
	Body struct {
		Code     patch.Field[string]    `json:"code"`
		Name     patch.Field[string]    `json:"name"`
		StartsAt patch.Field[time.Time] `json:"starts_at"`
		EndsAt   patch.Field[time.Time] `json:"ends_at"`
	}
}

func (a *API) updateTerm(ctx context.Context, in *updateTermInput) (*web.Resource[Term], error) {
	t, err := a.Service.UpdateTerm(ctx, web.Actor(ctx), in.ID, required(&in.IfMatch), func(f *catalog.TermFields) {
		in.Body.Code.Apply(&f.Code)
		in.Body.Name.Apply(&f.Name)
		in.Body.StartsAt.ApplyPtr(&f.StartsAt)
		in.Body.EndsAt.ApplyPtr(&f.EndsAt)
	})
	if err != nil {
		return nil, err
	}
	return web.Res(showTerm(t), t.Version), nil
}

func (a *API) deleteTerm(ctx context.Context, in *deleteInput) (*web.Empty, error) {
	return nil, a.Service.DeleteTerm(ctx, web.Actor(ctx), in.ID, required(&in.IfMatch))
}

// Template is a course kept to make others from.
type Template struct {
	ID          uuid.UUID               `json:"id"`
	TenantID    uuid.UUID               `json:"tenant_id"`
	OrgUnitID   uuid.UUID               `json:"org_unit_id"`
	Name        string                  `json:"name"`
	Description string                  `json:"description,omitempty"`
	Modules     int                     `json:"modules"`
	Items       int                     `json:"items"`
	CreatedAt   time.Time               `json:"created_at"`
	Outline     []catalog.PackageModule `json:"outline,omitempty" doc:"Only when a single template is read"`
}

func showTemplate(t catalog.Template) Template {
	return Template{
		ID: t.ID, TenantID: t.TenantID, OrgUnitID: t.OrgUnitID, Name: t.Name, Description: t.Description,
		Modules: t.Modules, Items: t.Items, CreatedAt: t.CreatedAt,
	}
}

type listTemplatesInput struct {
	web.Page
	Query string `query:"q" maxLength:"200"`
	Sort  string `query:"sort" enum:"name,-name,created_at,-created_at" default:"name"`
}

func (a *API) listTemplates(ctx context.Context, in *listTemplatesInput) (*web.List[Template], error) {
	p, err := a.Service.Templates(ctx, web.Actor(ctx), catalog.ShelfFilter{Query: in.Query, Sort: in.Sort}, in.Request())
	return web.ListOf(p, showTemplate), err
}

type createTemplateInput struct {
	Body struct {
		CourseID    uuid.UUID `json:"course_id" doc:"The course to keep as it is now"`
		Name        string    `json:"name" maxLength:"255"`
		Description string    `json:"description,omitempty" maxLength:"2000"`
	}
}

func (a *API) createTemplate(ctx context.Context, in *createTemplateInput) (*web.Resource[Template], error) {
	t, err := a.Service.CreateTemplate(ctx, web.Actor(ctx), in.Body.CourseID, in.Body.Name, in.Body.Description)
	if err != nil {
		return nil, err
	}
	return web.Created(showTemplate(t), t.Version, "/api/v1/course-templates/"+t.ID.String()), nil
}

func (a *API) getTemplate(ctx context.Context, in *web.ByID) (*web.Resource[Template], error) {
	t, err := a.Service.Template(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	out := showTemplate(t)
	out.Outline = t.Package.Modules
	return web.Res(out, t.Version), nil
}

func (a *API) deleteTemplate(ctx context.Context, in *deleteInput) (*web.Empty, error) {
	return nil, a.Service.DeleteTemplate(ctx, web.Actor(ctx), in.ID, required(&in.IfMatch))
}
