package postgres

import (
	"cmp"
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/content/internal/library"
	"lms/shared/page"
	"lms/shared/pg"
)

const (
	contentColumns = `c.id, c.tenant_id, c.org_unit_id, c.org_unit_path, c.course_id, c.kind, c.title, c.description, c.language, c.tags,
  c.licence, c.attribution, c.status, coalesce(c.current, 0) as current, c.created_by, c.created_at, c.updated_at, c.published_at, c.deleted_at, c.version`
	insertContentSQL = `
insert into contents (id, tenant_id, org_unit_id, org_unit_path, course_id, kind, title, description, language, tags, licence, attribution,
  status, current, created_by, created_at, updated_at, published_at, deleted_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, nullif($14, 0), $15, $16, $17, $18, $19, $20)`
	updateContentSQL = `
update contents set org_unit_path = $2, title = $3, description = $4, language = $5, tags = $6, licence = $7, attribution = $8, status = $9,
  current = nullif($10, 0), updated_at = $11, published_at = $12, deleted_at = $13, version = $14
where id = $1`
	contentSQL     = `select ` + contentColumns + ` from contents c where c.id = $1 and c.deleted_at is null`
	lockContentSQL = contentSQL + ` for no key update`
)

// InsertContent implements library.Tx.
func (t libraryTx) InsertContent(ctx context.Context, c library.Content) error {
	_, err := pg.Exec(ctx, t, insertContentSQL, c.ID, c.TenantID, c.OrgUnitID, c.OrgUnitPath, c.CourseID, c.Kind, c.Title, c.Description, c.Language,
		c.Tags, c.Licence, c.Attribution, c.Status, c.Current, c.CreatedBy, c.CreatedAt, c.UpdatedAt, c.PublishedAt, c.DeletedAt, c.Version)
	return err
}

// UpdateContent implements library.Tx. The row is locked by the caller.
func (t libraryTx) UpdateContent(ctx context.Context, c library.Content) error {
	return pg.ExecVersioned(ctx, t, updateContentSQL, c.ID, c.OrgUnitPath, c.Title, c.Description, c.Language, c.Tags, c.Licence, c.Attribution,
		c.Status, c.Current, c.UpdatedAt, c.PublishedAt, c.DeletedAt, c.Version)
}

// Content implements library.Tx.
func (t libraryTx) Content(ctx context.Context, id uuid.UUID) (library.Content, error) {
	return pg.One[library.Content](ctx, t, "content", contentSQL, id)
}

// LockContent implements library.Tx.
func (t libraryTx) LockContent(ctx context.Context, id uuid.UUID) (library.Content, error) {
	return pg.One[library.Content](ctx, t, "content", lockContentSQL, id)
}

// listContentsBase is what all sorts share: $1–$11 are filters. After it, $12 says
// "first page", $13 and $14 are the last row seen, $15 is the limit. What the
// caller may see is part of the statement, so that pages are never thinned out
// afterwards.
const listContentsBase = `select ` + contentColumns + ` from contents c
where c.deleted_at is null
  and ($1 = '' or lower(c.title) like $1 or lower(c.description) like $1)
  and ($2 = '' or c.kind = $2)
  and ($3 = '' or c.status = $3)
  and ($4 = '' or c.tags @> array[$4])
  and ($5 = '' or c.language = $5)
  and ($6 = '' or c.licence = $6)
  and ($7::uuid[] is null or c.org_unit_id = any($7))
  and ($8::uuid is null or c.course_id = $8)
  and ($9::timestamptz is null or c.updated_at >= $9)
  and ($10::boolean or c.org_unit_id = any($11::uuid[]))`

const (
	contentsByCreatedSQL     = listContentsBase + ` and ($12 or (c.created_at, c.id) > ($13::timestamptz, $14::uuid)) order by c.created_at, c.id limit $15`
	contentsByCreatedDescSQL = listContentsBase + ` and ($12 or (c.created_at, c.id) < ($13::timestamptz, $14::uuid)) order by c.created_at desc, c.id desc limit $15`
	contentsByUpdatedSQL     = listContentsBase + ` and ($12 or (c.updated_at, c.id) > ($13::timestamptz, $14::uuid)) order by c.updated_at, c.id limit $15`
	contentsByUpdatedDescSQL = listContentsBase + ` and ($12 or (c.updated_at, c.id) < ($13::timestamptz, $14::uuid)) order by c.updated_at desc, c.id desc limit $15`
	contentsByTitleSQL       = listContentsBase + ` and ($12 or (lower(c.title), c.id) > (lower($13::text), $14::uuid)) order by lower(c.title), c.id limit $15`
	contentsByTitleDescSQL   = listContentsBase + ` and ($12 or (lower(c.title), c.id) < (lower($13::text), $14::uuid)) order by lower(c.title) desc, c.id desc limit $15`
)

func contentSorts() pg.Sorts[library.Content] {
	return pg.Sorts[library.Content]{
		"created_at": pg.SortBy(contentsByCreatedSQL, contentsByCreatedDescSQL, func(c library.Content) time.Time { return c.CreatedAt }),
		"updated_at": pg.SortBy(contentsByUpdatedSQL, contentsByUpdatedDescSQL, func(c library.Content) time.Time { return c.UpdatedAt }),
		"title":      pg.SortBy(contentsByTitleSQL, contentsByTitleDescSQL, func(c library.Content) string { return c.Title }),
	}
}

// ListContents implements library.Tx.
func (t libraryTx) ListContents(ctx context.Context, f library.Filter, p page.Request) (page.Page[library.Content], error) {
	return pg.ListSorted(ctx, t, contentSorts(), cmp.Or(f.Sort, "-created_at"), func(c library.Content) uuid.UUID { return c.ID }, p,
		like(f.Query), f.Kind, f.Status, f.Tag, f.Language, f.Licence, f.OrgUnits, f.CourseID, f.UpdatedSince, f.Reach.All, f.Reach.OrgUnits)
}
