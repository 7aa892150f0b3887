package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/content/internal/library"
	"lms/shared/pg"
)

const (
	anyContentSQL    = `select ` + contentColumns + ` from contents c where c.id = $1`
	contentsAfterSQL = `
select ` + contentColumns + ` from contents c
where c.id > $1 and ($2::timestamptz is null or c.updated_at >= $2) order by c.id limit $3`
	contentsBySQL = `select ` + contentColumns + ` from contents c where c.created_by = $1 order by c.created_at, c.id limit $2`
	eventSeqSQL   = `select coalesce((select seq from aggregate_seq where aggregate_id = $1), 0)`
)

// AnyContent implements library.Tx.
func (t libraryTx) AnyContent(ctx context.Context, id uuid.UUID) (library.Content, error) {
	return pg.One[library.Content](ctx, t, "content", anyContentSQL, id)
}

// ContentsAfter implements library.Tx.
func (t libraryTx) ContentsAfter(ctx context.Context, after uuid.UUID, since *time.Time, limit int) ([]library.Content, error) {
	return pg.Many[library.Content](ctx, t, contentsAfterSQL, after, since, limit)
}

// ContentsBy implements library.Tx.
func (t libraryTx) ContentsBy(ctx context.Context, user uuid.UUID, limit int) ([]library.Content, error) {
	return pg.Many[library.Content](ctx, t, contentsBySQL, user, limit)
}

// EventSeq implements library.Tx.
func (t libraryTx) EventSeq(ctx context.Context, aggregate uuid.UUID) (int64, error) {
	return pg.Scalar[int64](ctx, t, "content", eventSeqSQL, aggregate)
}

// What one person made or watched becomes another's; where both have a row, the
// other's stays.
const (
	mergeContentsSQL   = `update contents set created_by = $2 where created_by = $1`
	mergeVersionsSQL   = `update content_versions set created_by = $2 where created_by = $1`
	mergeRenditionsSQL = `update renditions set created_by = $2 where created_by = $1`
	mergeCaptionsSQL   = `update captions set created_by = $2 where created_by = $1`
	mergeUploadsSQL    = `update uploads set owner_id = $2 where owner_id = $1`
	mergeViewsSQL      = `
update content_views v set user_id = $2 where v.user_id = $1
  and not exists (select 1 from content_views h where h.user_id = $2 and h.content_id = v.content_id and h.course_id = v.course_id)`
	mergeWatchesSQL = `
update watches w set user_id = $2 where w.user_id = $1
  and not exists (select 1 from watches h where h.user_id = $2 and h.content_id = w.content_id)`
	forgetViewsSQL   = `delete from content_views where user_id = $1`
	forgetWatchesSQL = `delete from watches where user_id = $1`
)

// MergePerson implements library.Tx.
func (t libraryTx) MergePerson(ctx context.Context, user, heir uuid.UUID) error {
	for _, sql := range []string{mergeContentsSQL, mergeVersionsSQL, mergeRenditionsSQL, mergeCaptionsSQL, mergeUploadsSQL, mergeViewsSQL, mergeWatchesSQL} {
		if _, err := pg.Exec(ctx, t, sql, user, heir); err != nil {
			return err
		}
	}
	return t.forgetWatching(ctx, user)
}

func (t libraryTx) forgetWatching(ctx context.Context, user uuid.UUID) error {
	for _, sql := range []string{forgetViewsSQL, forgetWatchesSQL} {
		if _, err := pg.Exec(ctx, t, sql, user); err != nil {
			return err
		}
	}
	return nil
}

// ForgetPerson implements library.Tx.
func (t libraryTx) ForgetPerson(ctx context.Context, user, pseudonym uuid.UUID) (kept int64, err error) {
	if err := t.forgetWatching(ctx, user); err != nil {
		return 0, err
	}
	for _, sql := range []string{mergeContentsSQL, mergeVersionsSQL, mergeRenditionsSQL, mergeCaptionsSQL, mergeUploadsSQL} {
		n, err := pg.Exec(ctx, t, sql, user, pseudonym)
		if err != nil {
			return 0, err
		}
		kept += n
	}
	return kept, nil
}
