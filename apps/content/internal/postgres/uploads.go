package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/content/internal/library"
	"lms/shared/pg"
)

const (
	uploadColumns = `id, tenant_id, content_id, owner_id, rendition, filename, media_type, size, sha256, inbox_key, key, part_size, token, state,
  leased_until, code, found, number, created_at, expires_at, finished_at, transfer_id, publish`
	insertUploadSQL = `
insert into uploads (` + uploadColumns + `)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)`
	updateUploadSQL   = `update uploads set state = $2, leased_until = $3, code = $4, found = $5, number = $6, finished_at = $7 where id = $1`
	uploadSQL         = `select ` + uploadColumns + ` from uploads where id = $1`
	lockUploadSQL     = uploadSQL + ` for update`
	setUploadTokenSQL = `update uploads set token = case when token = '' then $2 else token end where id = $1 returning token`
	openUploadsSQL    = `select count(*) from uploads where owner_id = $1 and state in ('open', 'verifying')`
	expiredUploadsSQL = `
select ` + uploadColumns + ` from uploads
where state in ('open', 'verifying') and expires_at <= $1 and (leased_until is null or leased_until <= $1)
order by expires_at limit $2 for update skip locked`
	forgetUploadsSQL = `delete from uploads where finished_at < $1`
	uploadsOfSQL     = `select ` + uploadColumns + ` from uploads where owner_id = $1 order by created_at, id limit 2000`
)

// InsertUpload implements library.Tx.
func (t libraryTx) InsertUpload(ctx context.Context, u library.Upload) error {
	_, err := pg.Exec(ctx, t, insertUploadSQL, u.ID, u.TenantID, u.ContentID, u.OwnerID, u.Rendition, u.Filename, u.MediaType, u.Size, u.SHA256,
		u.InboxKey, u.Key, u.PartSize, u.Token, u.State, u.LeasedUntil, u.Code, u.Found, u.Number, u.CreatedAt, u.ExpiresAt, u.FinishedAt,
		u.TransferID, u.Publish)
	return err
}

// UpdateUpload implements library.Tx. The row is locked by the caller.
func (t libraryTx) UpdateUpload(ctx context.Context, u library.Upload) error {
	return pg.ExecVersioned(ctx, t, updateUploadSQL, u.ID, u.State, u.LeasedUntil, u.Code, u.Found, u.Number, u.FinishedAt)
}

// Upload implements library.Tx.
func (t libraryTx) Upload(ctx context.Context, id uuid.UUID) (library.Upload, error) {
	return pg.One[library.Upload](ctx, t, "upload", uploadSQL, id)
}

// LockUpload implements library.Tx.
func (t libraryTx) LockUpload(ctx context.Context, id uuid.UUID) (library.Upload, error) {
	return pg.One[library.Upload](ctx, t, "upload", lockUploadSQL, id)
}

// SetUploadToken implements library.Tx.
func (t libraryTx) SetUploadToken(ctx context.Context, id uuid.UUID, token string) (string, error) {
	return pg.Scalar[string](ctx, t, "upload", setUploadTokenSQL, id, token)
}

// OpenUploads implements library.Tx.
func (t libraryTx) OpenUploads(ctx context.Context, owner uuid.UUID) (int, error) {
	return pg.Scalar[int](ctx, t, "upload", openUploadsSQL, owner)
}

// ExpiredUploads implements library.Tx.
func (t libraryTx) ExpiredUploads(ctx context.Context, now time.Time, limit int) ([]library.Upload, error) {
	return pg.Many[library.Upload](ctx, t, expiredUploadsSQL, now, limit)
}

// ForgetUploads implements library.Tx.
func (t libraryTx) ForgetUploads(ctx context.Context, before time.Time) error {
	_, err := pg.Exec(ctx, t, forgetUploadsSQL, before)
	return err
}

// UploadsOf implements library.Tx.
func (t libraryTx) UploadsOf(ctx context.Context, user uuid.UUID) ([]library.Upload, error) {
	return pg.Many[library.Upload](ctx, t, uploadsOfSQL, user)
}

const (
	discardSQL = `
insert into discarded_objects (key, tenant_id, token, due_at, until) values ($1, $2, $3, $4, $5)
on conflict (key) do update set due_at = least(discarded_objects.due_at, excluded.due_at), until = greatest(discarded_objects.until, excluded.until)`
	discardContentSQL = `
insert into discarded_objects (key, tenant_id, token, due_at, until)
select o.key, o.tenant_id, '', $2, $3 from (
  select key, tenant_id from content_versions where content_id = $1 and key is not null
  union all select key, tenant_id from renditions where content_id = $1
) o
on conflict (key) do nothing`
	discardedSQL   = `select key, tenant_id, token, due_at, until from discarded_objects where due_at <= $1 order by due_at limit $2`
	postponeSQL    = `update discarded_objects set due_at = $2 where key = $1`
	forgetSQL      = `delete from discarded_objects where key = $1`
	unknownKeysSQL = `
select k from unnest($1::text[]) k
where not exists (select 1 from content_versions v where v.key = k)
  and not exists (select 1 from renditions r where r.key = k)
  and not exists (select 1 from uploads u where u.inbox_key = k or u.key = k or k like replace(u.key, '/f-', '/parts-f-') || '/%')`
)

// Discard implements library.Tx.
func (t libraryTx) Discard(ctx context.Context, list ...library.Discarded) error {
	for _, d := range list {
		if _, err := pg.Exec(ctx, t, discardSQL, d.Key, d.TenantID, d.Token, d.DueAt, d.Until); err != nil {
			return err
		}
	}
	return nil
}

// DiscardContent implements library.Tx.
func (t libraryTx) DiscardContent(ctx context.Context, content uuid.UUID, due, until time.Time) error {
	_, err := pg.Exec(ctx, t, discardContentSQL, content, due, until)
	return err
}

// DiscardedObjects implements library.Tx.
func (t libraryTx) DiscardedObjects(ctx context.Context, now time.Time, limit int) ([]library.Discarded, error) {
	return pg.Many[library.Discarded](ctx, t, discardedSQL, now, limit)
}

// PostponeDiscarded implements library.Tx.
func (t libraryTx) PostponeDiscarded(ctx context.Context, key string, due time.Time) error {
	_, err := pg.Exec(ctx, t, postponeSQL, key, due)
	return err
}

// ForgetDiscarded implements library.Tx.
func (t libraryTx) ForgetDiscarded(ctx context.Context, key string) error {
	_, err := pg.Exec(ctx, t, forgetSQL, key)
	return err
}

// UnknownKeys implements library.Tx.
func (t libraryTx) UnknownKeys(ctx context.Context, keys []string) ([]string, error) {
	return pg.Column[string](ctx, t, unknownKeysSQL, keys)
}

const (
	renditionColumns = `content_id, tenant_id, number, label, key, filename, media_type, size, sha256, width, height, duration_ms, created_by, created_at`
	// The old row is read before it is replaced: both see the same snapshot.
	putRenditionSQL = `
with old as (select key from renditions where content_id = $1 and number = $3 and label = $4)
insert into renditions (` + renditionColumns + `) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
on conflict (content_id, number, label) do update set key = excluded.key, filename = excluded.filename, media_type = excluded.media_type, size = excluded.size,
  sha256 = excluded.sha256, width = excluded.width, height = excluded.height, duration_ms = excluded.duration_ms, created_by = excluded.created_by, created_at = excluded.created_at
returning coalesce((select key from old), '')`
	renditionSQL  = `select ` + renditionColumns + ` from renditions where content_id = $1 and number = $2 and label = $3`
	renditionsSQL = `select ` + renditionColumns + ` from renditions where content_id = $1 and number = $2 order by label`
)

// PutRendition implements library.Tx. The content's row is locked by the caller.
func (t libraryTx) PutRendition(ctx context.Context, r library.Rendition) (string, error) {
	return pg.Scalar[string](ctx, t, "rendition", putRenditionSQL, r.ContentID, r.TenantID, r.Number, r.Label, r.Key, r.Filename, r.MediaType, r.Size,
		r.SHA256, r.Width, r.Height, r.DurationMS, r.CreatedBy, r.CreatedAt)
}

// Rendition implements library.Tx.
func (t libraryTx) Rendition(ctx context.Context, content uuid.UUID, number int, label string) (library.Rendition, error) {
	return pg.One[library.Rendition](ctx, t, "rendition", renditionSQL, content, number, label)
}

// Renditions implements library.Tx.
func (t libraryTx) Renditions(ctx context.Context, content uuid.UUID, number int) ([]library.Rendition, error) {
	return pg.Many[library.Rendition](ctx, t, renditionsSQL, content, number)
}
