package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/analytics/internal/analytics"
	"lms/shared/pg"
)

const (
	placeSQL    = `select ord, updated_at from tally_place`
	setPlaceSQL = `update tally_place set ord = $1, updated_at = $2`

	inRebuildSQL = `set local search_path to rebuild, public`
	inPlaceSQL   = `set local search_path to public`

	emptyRebuildSQL = `select rebuild_begin($1)`
	beginRebuildSQL = `
insert into rebuild_run (id, upto, started_at) values ($1, $2, $3)
on conflict (one) do update set id = excluded.id, upto = excluded.upto, started_at = excluded.started_at`
	theRebuildSQL  = `select id, upto, started_at from rebuild_run`
	endRebuildSQL  = `delete from rebuild_run`
	indexSQL       = `select rebuild_index()`
	swapSQL        = `select rebuild_swap()`
	analyzeSQL     = `select tally_analyze()`
	differencesSQL = `select tbl, stored::text::bytea as stored, computed::text::bytea as computed from tally_differences($1)`
)

// Place implements analytics.Tx.
func (t tx) Place(ctx context.Context) (ord int64, at time.Time, err error) {
	err = t.QueryRow(ctx, placeSQL).Scan(&ord, &at)
	return ord, at, err
}

// SetPlace implements analytics.Tx.
func (t tx) SetPlace(ctx context.Context, ord int64, at time.Time) error {
	_, err := pg.Exec(ctx, t, setPlaceSQL, ord, at)
	return err
}

// InRebuild implements analytics.Tx.
func (t tx) InRebuild(ctx context.Context) error { return t.lock(ctx, inRebuildSQL) }

// InPlace implements analytics.Tx.
func (t tx) InPlace(ctx context.Context) error { return t.lock(ctx, inPlaceSQL) }

// BeginRebuild implements analytics.Tx.
func (t tx) BeginRebuild(ctx context.Context, r analytics.Rebuild) error {
	if _, err := pg.Exec(ctx, t, emptyRebuildSQL, r.StartedAt); err != nil {
		return err
	}
	_, err := pg.Exec(ctx, t, beginRebuildSQL, r.ID, r.Upto, r.StartedAt)
	return err
}

// TheRebuild implements analytics.Tx.
func (t tx) TheRebuild(ctx context.Context) (analytics.Rebuild, error) {
	return pg.One[analytics.Rebuild](ctx, t, "rebuild", theRebuildSQL)
}

// EndRebuild implements analytics.Tx.
func (t tx) EndRebuild(ctx context.Context) error { return t.lock(ctx, endRebuildSQL) }

// IndexRebuild implements analytics.Tx.
func (t tx) IndexRebuild(ctx context.Context) error { return t.lock(ctx, indexSQL) }

// Swap implements analytics.Tx.
func (t tx) Swap(ctx context.Context) error { return t.lock(ctx, swapSQL) }

// Analyze implements analytics.Tx.
func (t tx) Analyze(ctx context.Context) error { return t.lock(ctx, analyzeSQL) }

// Differences implements analytics.Tx.
func (t tx) Differences(ctx context.Context, limit int) ([]analytics.RowDifference, error) {
	return pg.Many[analytics.RowDifference](ctx, t, differencesSQL, limit)
}

const (
	renameMemberSQL   = `update cohort_members set user_id = $2 where user_id = $1`
	renamePersonSQL   = `update people set user_id = $2 where user_id = $1`
	renameLearnerSQL  = `update learners set user_id = $2 where user_id = $1`
	renameItemSQL     = `update learner_items set user_id = $2 where user_id = $1`
	renameActivitySQL = `update activities set user_id = $2 where user_id = $1`
	renameAttemptSQL  = `update attempts set user_id = $2 where user_id = $1`
	renameWorkSQL     = `update works set user_id = $2 where user_id = $1`
	renameGraderSQL   = `update works set grader_id = $2 where grader_id = $1`
	renamePaymentSQL  = `update payments set user_id = $2 where user_id = $1`
	renameChangeSQL   = `update subscription_changes set user_id = $2 where user_id = $1`
	renameStaffSQL    = `
update courses set staff = replace(staff::text, $1::uuid::text, $2::uuid::text)::jsonb
where staff @> jsonb_build_array(jsonb_build_object('user_id', $1::uuid))`
)

// Rename implements analytics.Tx.
func (t tx) Rename(ctx context.Context, user, pseudonym uuid.UUID) error {
	for _, sql := range []string{
		renameMemberSQL, renamePersonSQL, renameLearnerSQL, renameItemSQL, renameActivitySQL, renameAttemptSQL, renameWorkSQL, renameGraderSQL,
		renamePaymentSQL, renameChangeSQL, renameStaffSQL,
	} {
		if _, err := pg.Exec(ctx, t, sql, user, pseudonym); err != nil {
			return err
		}
	}
	return nil
}

const personSectionsSQL = `
select section, coalesce(json_agg(data order by data::text), '[]')::text::bytea as data from (
  select 'courses' as section, to_jsonb(l) as data from learners l where l.user_id = $1
  union all select 'items', to_jsonb(i) from learner_items i where i.user_id = $1
  union all select 'activity_days', to_jsonb(a) from activities a where a.user_id = $1
  union all select 'quiz_attempts', to_jsonb(a) from attempts a where a.user_id = $1
  union all select 'work', to_jsonb(w) from works w where w.user_id = $1
  union all select 'payments', to_jsonb(p) from payments p where p.user_id = $1
) x group by section`

// PersonSections implements analytics.Tx.
func (t tx) PersonSections(ctx context.Context, user uuid.UUID) (map[string][]byte, error) {
	type row struct {
		Section string
		Data    []byte
	}
	rows, err := pg.Many[row](ctx, t, personSectionsSQL, user)
	out := make(map[string][]byte, len(rows))
	for _, r := range rows {
		out[r.Section] = r.Data
	}
	return out, err
}
