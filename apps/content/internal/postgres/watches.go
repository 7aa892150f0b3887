package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/content/internal/library"
	"lms/shared/pg"
)

const (
	captionHead   = `content_id, tenant_id, language, '' as vtt, text, cues, created_by, created_at, updated_at, version`
	captionSQL    = `select content_id, tenant_id, language, vtt, text, cues, created_by, created_at, updated_at, version from captions where content_id = $1 and language = $2`
	captionsSQL   = `select ` + captionHead + ` from captions where content_id = $1 order by language`
	putCaptionSQL = `
insert into captions (content_id, tenant_id, language, vtt, text, cues, created_by, created_at, updated_at, version) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (content_id, language) do update set vtt = excluded.vtt, text = excluded.text, cues = excluded.cues, created_by = excluded.created_by,
  updated_at = excluded.updated_at, version = excluded.version`
	deleteCaptionSQL = `delete from captions where content_id = $1 and language = $2`
)

// PutCaption implements library.Tx. The content's row is locked by the caller.
func (t libraryTx) PutCaption(ctx context.Context, c library.Caption) error {
	_, err := pg.Exec(ctx, t, putCaptionSQL, c.ContentID, c.TenantID, c.Language, c.VTT, c.Text, c.Cues, c.CreatedBy, c.CreatedAt, c.UpdatedAt, c.Version)
	return err
}

// DeleteCaption implements library.Tx.
func (t libraryTx) DeleteCaption(ctx context.Context, content uuid.UUID, language string) error {
	_, err := pg.Exec(ctx, t, deleteCaptionSQL, content, language)
	return err
}

// Caption implements library.Tx.
func (t libraryTx) Caption(ctx context.Context, content uuid.UUID, language string) (library.Caption, error) {
	return pg.One[library.Caption](ctx, t, "captions", captionSQL, content, language)
}

// Captions implements library.Tx.
func (t libraryTx) Captions(ctx context.Context, content uuid.UUID) ([]library.Caption, error) {
	return pg.Many[library.Caption](ctx, t, captionsSQL, content)
}

const (
	openingColumns   = `user_id, content_id, course_id, tenant_id, viewed_at`
	insertOpeningSQL = `insert into content_views (` + openingColumns + `) values ($1, $2, $3, $4, $5) on conflict do nothing`
	openingSQL       = `select ` + openingColumns + ` from content_views where user_id = $1 and content_id = $2 and course_id = $3`
	openingsOfSQL    = `select ` + openingColumns + ` from content_views where user_id = $1 order by viewed_at, content_id limit $2`
)

// InsertOpening implements library.Tx.
func (t libraryTx) InsertOpening(ctx context.Context, o library.Opening) (bool, error) {
	n, err := pg.Exec(ctx, t, insertOpeningSQL, o.UserID, o.ContentID, o.CourseID, o.TenantID, o.ViewedAt)
	return n > 0, err
}

// Opening implements library.Tx.
func (t libraryTx) Opening(ctx context.Context, o library.Opening) (library.Opening, error) {
	return pg.One[library.Opening](ctx, t, "view", openingSQL, o.UserID, o.ContentID, o.CourseID)
}

// OpeningsOf implements library.Tx.
func (t libraryTx) OpeningsOf(ctx context.Context, user uuid.UUID, limit int) ([]library.Opening, error) {
	return pg.Many[library.Opening](ctx, t, openingsOfSQL, user, limit)
}

const (
	watchColumns = `user_id, content_id, tenant_id, number, intervals, watched_ms, position_ms, percent, percent_at, pending, pending_course, pending_since, reported_at`
	watchSQL     = `select ` + watchColumns + ` from watches where user_id = $1 and content_id = $2`
	lockWatchSQL = watchSQL + ` for update`
	// Whoever has locked the row changes it; who found none makes it, unless
	// another was faster.
	updateWatchSQL = `
update watches set number = $3, intervals = $4, watched_ms = $5, position_ms = $6, percent = $7, percent_at = $8, pending = $9, pending_course = $10,
  pending_since = $11, reported_at = $12
where user_id = $1 and content_id = $2`
	insertWatchSQL = `
insert into watches (` + watchColumns + `) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
on conflict (user_id, content_id) do nothing`
	pendingWatchesSQL = `select ` + watchColumns + ` from watches where pending_since <= $1 order by pending_since limit $2 for update skip locked`
	watchesOfSQL      = `select ` + watchColumns + ` from watches where user_id = $1 order by reported_at, content_id limit $2`
)

// Watch implements library.Tx.
func (t libraryTx) Watch(ctx context.Context, user, content uuid.UUID) (*library.Watch, error) {
	return first(pg.Many[library.Watch](ctx, t, watchSQL, user, content))
}

// LockWatch implements library.Tx.
func (t libraryTx) LockWatch(ctx context.Context, user, content uuid.UUID) (*library.Watch, error) {
	return first(pg.Many[library.Watch](ctx, t, lockWatchSQL, user, content))
}

func first[T any](rows []T, err error) (*T, error) {
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return &rows[0], nil
}

// PutWatch implements library.Tx.
func (t libraryTx) PutWatch(ctx context.Context, w library.Watch) error {
	n, err := pg.Exec(ctx, t, updateWatchSQL, w.UserID, w.ContentID, w.Number, w.Intervals, w.WatchedMS, w.PositionMS, w.Percent, w.PercentAt,
		w.Pending, w.PendingCourse, w.PendingSince, w.ReportedAt)
	if err != nil || n > 0 {
		return err
	}
	_, err = pg.Exec(ctx, t, insertWatchSQL, w.UserID, w.ContentID, w.TenantID, w.Number, w.Intervals, w.WatchedMS, w.PositionMS, w.Percent, w.PercentAt,
		w.Pending, w.PendingCourse, w.PendingSince, w.ReportedAt)
	return err
}

// PendingWatches implements library.Tx.
func (t libraryTx) PendingWatches(ctx context.Context, before time.Time, limit int) ([]library.Watch, error) {
	return pg.Many[library.Watch](ctx, t, pendingWatchesSQL, before, limit)
}

// WatchesOf implements library.Tx.
func (t libraryTx) WatchesOf(ctx context.Context, user uuid.UUID, limit int) ([]library.Watch, error) {
	return pg.Many[library.Watch](ctx, t, watchesOfSQL, user, limit)
}
