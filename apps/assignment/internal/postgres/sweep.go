package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/coursework"
	"lms/shared/pg"
)

const (
	sweptBase = `
select a.id from assignments a
where a.published and a.deleted_at is null and cardinality(a.submission_types) > 0 and a.id > $3 and a.id in (
  select o.assignment_id from assignment_overrides o where o.due_at > $1 and o.due_at <= $2
  union select id from assignments where published and due_at > $1 and due_at <= $2 and `
	dueSoonSQL = sweptBase + `(due_soon_told_for is distinct from due_at or due_soon_swept_at < $5)) order by a.id limit $4`
	pastDueSQL = sweptBase + `(missing_checked_at is null or missing_checked_at < due_at)) order by a.id limit $4`
	noteDueSQL = `
insert into due_notices (assignment_id, user_id, due_at, tenant_id, told_at)
select $1, n.user_id, n.due_at, $4, $5 from unnest($2::uuid[], $3::timestamptz[]) as n (user_id, due_at)
on conflict (assignment_id, user_id, due_at) do nothing returning user_id, due_at`
	submittedSQL = `select user_id from grades where assignment_id = $1 and user_id = any ($2) and submission_id is not null`
	setSweptSQL  = `
update assignments set due_soon_told_for = $2, missing_checked_at = $3, due_soon_swept_at = $5 where id = $1 and due_at is not distinct from $4`
	pruneNoticesSQL = `
delete from due_notices where (assignment_id, user_id, due_at) in (select assignment_id, user_id, due_at from due_notices where told_at < $1 limit $2)`
)

// DueSoon implements coursework.SweepTx.
func (t tx) DueSoon(ctx context.Context, from, to, swept time.Time, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	return pg.Column[uuid.UUID](ctx, t, dueSoonSQL, from, to, after, limit, swept)
}

// PastDue implements coursework.SweepTx.
func (t tx) PastDue(ctx context.Context, from, to time.Time, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	return pg.Column[uuid.UUID](ctx, t, pastDueSQL, from, to, after, limit)
}

// NoteDue implements coursework.SweepTx.
func (t tx) NoteDue(ctx context.Context, a coursework.Assignment, notices []coursework.DueNotice, now time.Time) ([]coursework.DueNotice, error) {
	users, dues := make([]uuid.UUID, len(notices)), make([]time.Time, len(notices))
	for i, n := range notices {
		users[i], dues[i] = n.UserID, n.DueAt
	}
	return pg.Many[coursework.DueNotice](ctx, t, noteDueSQL, a.ID, users, dues, a.TenantID, now)
}

// Submitted implements coursework.SweepTx.
func (t tx) Submitted(ctx context.Context, assignment uuid.UUID, users []uuid.UUID) (map[uuid.UUID]bool, error) {
	ids, err := pg.Column[uuid.UUID](ctx, t, submittedSQL, assignment, users)
	out := make(map[uuid.UUID]bool, len(ids))
	for _, id := range ids {
		out[id] = true
	}
	return out, err
}

// SetSwept implements coursework.SweepTx: not if the due time moved meanwhile.
func (t tx) SetSwept(ctx context.Context, a coursework.Assignment) error {
	_, err := pg.Exec(ctx, t, setSweptSQL, a.ID, a.DueSoonToldFor, a.MissingCheckedAt, a.DueAt, a.DueSoonSweptAt)
	return err
}

// PruneNotices implements coursework.SweepTx.
func (t tx) PruneNotices(ctx context.Context, before time.Time, limit int) error {
	_, err := pg.Exec(ctx, t, pruneNoticesSQL, before, limit)
	return err
}
