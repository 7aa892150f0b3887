package postgres

import (
	"cmp"
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/course/internal/catalog"
	"lms/shared/apperr"
	"lms/shared/page"
	"lms/shared/pg"
)

const (
	categoryColumns   = `id, tenant_id, parent_id, name, created_at, updated_at, version`
	insertCategorySQL = `insert into categories (id, tenant_id, parent_id, name, created_at, updated_at, version) values ($1, $2, $3, $4, $5, $6, $7)`
	updateCategorySQL = `update categories set parent_id = $2, name = $3, updated_at = $4, version = $5 where id = $1 and version = $5 - 1`
	deleteCategorySQL = `delete from categories where id = $1`
	categorySQL       = `select ` + categoryColumns + ` from categories where id = $1`
	categoryPathSQL   = `
with recursive up as (
  select c.*, 1 as n from categories c where c.id = $1
  union all
  select p.*, up.n + 1 from categories p join up on p.id = up.parent_id where up.n < 64
)
select ` + categoryColumns + ` from up order by n`
	categoryUseSQL = `
select (select count(*) from courses where category_id = $1 and deleted_at is null) as courses,
  (select count(*) from categories where parent_id = $1) as children`
	categoryHeightSQL = `
with recursive down as (
  select id, 0 as n from categories where id = $1
  union all
  select c.id, down.n + 1 from categories c join down on c.parent_id = down.id where down.n < 64
)
select coalesce(max(n), 0)::int from down`
	listCategoriesSQL = `
select ` + categoryColumns + ` from categories
where ($1::uuid is null or tenant_id = $1) and ($2::uuid is null or parent_id = $2) and (not $3 or parent_id is null)
  and ($4 = '' or lower(name) like $4) and ($5 or (lower(name), id) > (lower($6), $7::uuid))
order by lower(name), id limit $8`
	detachCategorySQL = `update courses set category_id = null where category_id = $1 and deleted_at is not null`
)

// InsertCategory implements catalog.Tx.
func (t tx) InsertCategory(ctx context.Context, c catalog.Category) error {
	_, err := pg.Exec(ctx, t, insertCategorySQL, c.ID, c.TenantID, c.ParentID, c.Name, c.CreatedAt, c.UpdatedAt, c.Version)
	return categoryError(err)
}

// UpdateCategory implements catalog.Tx.
func (t tx) UpdateCategory(ctx context.Context, c catalog.Category) error {
	return categoryError(pg.ExecVersioned(ctx, t, updateCategorySQL, c.ID, c.ParentID, c.Name, c.UpdatedAt, c.Version))
}

func categoryError(err error) error {
	if pg.Violates(err, "categories_sibling_name") {
		return apperr.Conflict("name_taken", "There is a category of this name in the same place.").With(err)
	}
	return err
}

// DeleteCategory implements catalog.Tx. Tombstones of courses let go of it.
func (t tx) DeleteCategory(ctx context.Context, id uuid.UUID) error {
	if _, err := pg.Exec(ctx, t, detachCategorySQL, id); err != nil {
		return err
	}
	_, err := pg.Exec(ctx, t, deleteCategorySQL, id)
	if pg.Violates(err, "courses_category_id_fkey") || pg.Violates(err, "categories_parent_id_fkey") {
		return apperr.Conflict("in_use", "The category still has courses or categories.").With(err)
	}
	return err
}

// Category implements catalog.Tx.
func (t tx) Category(ctx context.Context, id uuid.UUID) (catalog.Category, error) {
	return pg.One[catalog.Category](ctx, t, "category", categorySQL, id)
}

// CategoryPath implements catalog.Tx.
func (t tx) CategoryPath(ctx context.Context, id uuid.UUID) ([]catalog.Category, error) {
	return pg.Many[catalog.Category](ctx, t, categoryPathSQL, id)
}

// CategoryUse implements catalog.Tx.
func (t tx) CategoryUse(ctx context.Context, id uuid.UUID) (courses, children int, err error) {
	type row struct{ Courses, Children int }
	r, err := pg.One[row](ctx, t, "category", categoryUseSQL, id)
	return r.Courses, r.Children, err
}

// CategoryHeight implements catalog.Tx.
func (t tx) CategoryHeight(ctx context.Context, id uuid.UUID) (int, error) {
	return pg.Scalar[int](ctx, t, "category", categoryHeightSQL, id)
}

// ListCategories implements catalog.Tx.
func (t tx) ListCategories(ctx context.Context, f catalog.ShelfFilter, p page.Request) (page.Page[catalog.Category], error) {
	var name string
	var last uuid.UUID
	more, err := page.Decode(p.Cursor, &name, &last)
	if err != nil {
		return page.Page[catalog.Category]{}, err
	}
	rows, err := pg.Many[catalog.Category](ctx, t, listCategoriesSQL, f.Tenant, f.ParentID, f.Roots, like(f.Query), !more, name, last, p.Size()+1)
	return page.Cut(rows, p.Size(), func(c catalog.Category) string { return page.Encode(c.Name, c.ID) }), err
}

const (
	termColumns   = `id, tenant_id, org_unit_id, code, name, starts_at, ends_at, created_at, updated_at, version`
	insertTermSQL = `insert into terms (id, tenant_id, org_unit_id, code, name, starts_at, ends_at, created_at, updated_at, version) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`
	updateTermSQL = `update terms set code = $2, name = $3, starts_at = $4, ends_at = $5, updated_at = $6, version = $7 where id = $1 and version = $7 - 1`
	deleteTermSQL = `delete from terms where id = $1`
	detachTermSQL = `update courses set term_id = null where term_id = $1 and deleted_at is not null`
	termSQL       = `select ` + termColumns + ` from terms where id = $1`
	termUseSQL    = `select count(*)::int from courses where term_id = $1 and deleted_at is null`
	listTermsBase = `select ` + termColumns + ` from terms
where ($1::uuid is null or tenant_id = $1) and ($2::uuid[] is null or org_unit_id = any($2)) and ($3 = '' or lower(name) like $3 or lower(code) like $3)`
	termsByStartsSQL     = listTermsBase + ` and ($4 or (coalesce(starts_at, 'infinity'), id) > (coalesce($5::timestamptz, 'infinity'), $6::uuid)) order by coalesce(starts_at, 'infinity'), id limit $7`
	termsByStartsDescSQL = listTermsBase + ` and ($4 or (coalesce(starts_at, 'infinity'), id) < (coalesce($5::timestamptz, 'infinity'), $6::uuid)) order by coalesce(starts_at, 'infinity') desc, id desc limit $7`
	termsByNameSQL       = listTermsBase + ` and ($4 or (lower(name), id) > (lower($5::text), $6::uuid)) order by lower(name), id limit $7`
	termsByNameDescSQL   = listTermsBase + ` and ($4 or (lower(name), id) < (lower($5::text), $6::uuid)) order by lower(name) desc, id desc limit $7`
	termsByCodeSQL       = listTermsBase + ` and ($4 or (lower(code), id) > (lower($5::text), $6::uuid)) order by lower(code), id limit $7`
	termsByCodeDescSQL   = listTermsBase + ` and ($4 or (lower(code), id) < (lower($5::text), $6::uuid)) order by lower(code) desc, id desc limit $7`
)

// A term without a start is the latest.
func termSorts() pg.Sorts[catalog.Term] {
	return pg.Sorts[catalog.Term]{
		"starts_at": pg.SortBy(termsByStartsSQL, termsByStartsDescSQL, func(x catalog.Term) *time.Time { return x.StartsAt }),
		"name":      pg.SortBy(termsByNameSQL, termsByNameDescSQL, func(x catalog.Term) string { return x.Name }),
		"code":      pg.SortBy(termsByCodeSQL, termsByCodeDescSQL, func(x catalog.Term) string { return x.Code }),
	}
}

// InsertTerm implements catalog.Tx.
func (t tx) InsertTerm(ctx context.Context, x catalog.Term) error {
	_, err := pg.Exec(ctx, t, insertTermSQL, x.ID, x.TenantID, x.OrgUnitID, x.Code, x.Name, x.StartsAt, x.EndsAt, x.CreatedAt, x.UpdatedAt, x.Version)
	return termError(err)
}

// UpdateTerm implements catalog.Tx.
func (t tx) UpdateTerm(ctx context.Context, x catalog.Term) error {
	return termError(pg.ExecVersioned(ctx, t, updateTermSQL, x.ID, x.Code, x.Name, x.StartsAt, x.EndsAt, x.UpdatedAt, x.Version))
}

func termError(err error) error {
	if pg.Violates(err, "terms_code") {
		return apperr.Conflict("code_taken", "Another term of the organisation has this code.").With(err)
	}
	return err
}

// DeleteTerm implements catalog.Tx. Tombstones of courses let go of it.
func (t tx) DeleteTerm(ctx context.Context, id uuid.UUID) error {
	if _, err := pg.Exec(ctx, t, detachTermSQL, id); err != nil {
		return err
	}
	_, err := pg.Exec(ctx, t, deleteTermSQL, id)
	if pg.Violates(err, "courses_term_id_fkey") {
		return apperr.Conflict("in_use", "Courses name this term.").With(err)
	}
	return err
}

// Term implements catalog.Tx.
func (t tx) Term(ctx context.Context, id uuid.UUID) (catalog.Term, error) {
	return pg.One[catalog.Term](ctx, t, "term", termSQL, id)
}

// TermUse implements catalog.Tx.
func (t tx) TermUse(ctx context.Context, id uuid.UUID) (int, error) {
	return pg.Scalar[int](ctx, t, "term", termUseSQL, id)
}

// ListTerms implements catalog.Tx.
func (t tx) ListTerms(ctx context.Context, f catalog.ShelfFilter, p page.Request) (page.Page[catalog.Term], error) {
	return pg.ListSorted(ctx, t, termSorts(), cmp.Or(f.Sort, "-starts_at"), func(x catalog.Term) uuid.UUID { return x.ID }, p,
		f.Tenant, f.OrgUnits, like(f.Query))
}

const (
	templateColumns   = `id, tenant_id, org_unit_id, name, description, modules, items, created_by, created_at, version`
	insertTemplateSQL = `insert into course_templates (id, tenant_id, org_unit_id, name, description, package, modules, items, created_by, created_at, version) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`
	deleteTemplateSQL = `delete from course_templates where id = $1`
	templateSQL       = `select ` + templateColumns + `, package from course_templates where id = $1`
	listTemplatesBase = `select ` + templateColumns + `, '{}'::jsonb as package from course_templates
where ($1::uuid[] is null or org_unit_id = any($1)) and ($2 = '' or lower(name) like $2)`
	templatesByNameSQL        = listTemplatesBase + ` and ($3 or (lower(name), id) > (lower($4::text), $5::uuid)) order by lower(name), id limit $6`
	templatesByNameDescSQL    = listTemplatesBase + ` and ($3 or (lower(name), id) < (lower($4::text), $5::uuid)) order by lower(name) desc, id desc limit $6`
	templatesByCreatedSQL     = listTemplatesBase + ` and ($3 or (created_at, id) > ($4::timestamptz, $5::uuid)) order by created_at, id limit $6`
	templatesByCreatedDescSQL = listTemplatesBase + ` and ($3 or (created_at, id) < ($4::timestamptz, $5::uuid)) order by created_at desc, id desc limit $6`
)

func templateSorts() pg.Sorts[catalog.Template] {
	return pg.Sorts[catalog.Template]{
		"name":       pg.SortBy(templatesByNameSQL, templatesByNameDescSQL, func(x catalog.Template) string { return x.Name }),
		"created_at": pg.SortBy(templatesByCreatedSQL, templatesByCreatedDescSQL, func(x catalog.Template) time.Time { return x.CreatedAt }),
	}
}

// InsertTemplate implements catalog.Tx.
func (t tx) InsertTemplate(ctx context.Context, x catalog.Template) error {
	_, err := pg.Exec(ctx, t, insertTemplateSQL, x.ID, x.TenantID, x.OrgUnitID, x.Name, x.Description, x.Package, x.Modules, x.Items, x.CreatedBy, x.CreatedAt, x.Version)
	if pg.Violates(err, "course_templates_name") {
		return apperr.Conflict("name_taken", "There is a template of this name in the org unit.").With(err)
	}
	return err
}

// DeleteTemplate implements catalog.Tx.
func (t tx) DeleteTemplate(ctx context.Context, id uuid.UUID) error {
	_, err := pg.Exec(ctx, t, deleteTemplateSQL, id)
	return err
}

// Template implements catalog.Tx.
func (t tx) Template(ctx context.Context, id uuid.UUID) (catalog.Template, error) {
	return pg.One[catalog.Template](ctx, t, "course template", templateSQL, id)
}

// ListTemplates implements catalog.Tx.
func (t tx) ListTemplates(ctx context.Context, f catalog.ShelfFilter, p page.Request) (page.Page[catalog.Template], error) {
	return pg.ListSorted(ctx, t, templateSorts(), cmp.Or(f.Sort, "name"), func(x catalog.Template) uuid.UUID { return x.ID }, p,
		f.OrgUnits, like(f.Query))
}
