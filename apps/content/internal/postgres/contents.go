package postgres

import (
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

// contentOrder is one order of the list: its statement, and the value of a content
// that a cursor keeps besides the id.
type contentOrder struct {
	sql   string
	value func(library.Content) any
	text  bool
}

func contentOrderOf(name string) contentOrder {
	created := func(c library.Content) any { return c.CreatedAt }
	changed := func(c library.Content) any { return c.UpdatedAt }
	title := func(c library.Content) any { return c.Title }
	switch name {
	case "created_at":
		return contentOrder{sql: contentsByCreatedSQL, value: created}
	case "updated_at":
		return contentOrder{sql: contentsByUpdatedSQL, value: changed}
	case "-updated_at":
		return contentOrder{sql: contentsByUpdatedDescSQL, value: changed}
	case "title":
		return contentOrder{sql: contentsByTitleSQL, value: title, text: true}
	case "-title":
		return contentOrder{sql: contentsByTitleDescSQL, value: title, text: true}
	default:
		return contentOrder{sql: contentsByCreatedDescSQL, value: created}
	}
}

// ListContents implements library.Tx.
func (t libraryTx) ListContents(ctx context.Context, f library.Filter, p page.Request) (page.Page[library.Content], error) {
	order := contentOrderOf(f.Sort)
	var at time.Time
	var text string
	var last uuid.UUID
	var value any = &at
	if order.text {
		value = &text
	}
	more, err := page.Decode(p.Cursor, value, &last)
	if err != nil {
		return page.Page[library.Content]{}, err
	}
	var behind any = at
	if order.text {
		behind = text
	}
	rows, err := pg.Many[library.Content](ctx, t, order.sql, like(f.Query), f.Kind, f.Status, f.Tag, f.Language, f.Licence, f.OrgUnits, f.CourseID,
		f.UpdatedSince, f.Reach.All, f.Reach.OrgUnits, !more, behind, last, p.Size()+1)
	return page.Cut(rows, p.Size(), func(c library.Content) string { return page.Encode(order.value(c), c.ID) }), err
}
