package jobs

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/page"
	"lms/shared/pg"
	"lms/shared/work"
)

const (
	getJobSQL = `
select id, kind, state, done, total, error, created_at, started_at, finished_at from job
where id = $1 and ($2::uuid is null or owner_id = $2)`
	listJobsSQL = `
select id, kind, state, done, total, error, created_at, started_at, finished_at from job
where owner_id = $1 and ($2::timestamptz is null or (created_at, id) < ($2, $3))
order by created_at desc, id desc limit $4`
	listJobsOldestFirstSQL = `
select id, kind, state, done, total, error, created_at, started_at, finished_at from job
where owner_id = $1 and ($2::timestamptz is null or (created_at, id) > ($2, $3))
order by created_at, id limit $4`
	cancelJobSQL = `
update job set cancel_requested = true,
  state = case when state = 'queued' then 'canceled' else state end,
  finished_at = case when state = 'queued' then $3 else finished_at end
where id = $1 and ($2::uuid is null or owner_id = $2) and state in ('queued', 'running')`
	resultSQL  = `select result from job where id = $1 and ($2::uuid is null or owner_id = $2) and state = 'succeeded'`
	jobRowsSQL = `
select n, status, code, message, ref from job_row where job_id = $1 and n > $2 and ($3 = '' or status = $3) order by n limit $4`
)

// Get reads a job of an owner; uuid.Nil as owner reads anybody's.
func (r *Runner) Get(ctx context.Context, id, owner uuid.UUID) (j work.Job, err error) {
	err = r.o.DB.Read(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		j, err = pg.One[work.Job](ctx, u, "job", getJobSQL, id, ownerArg(owner))
		return err
	})
	return j, err
}

// List reads an owner's jobs, the newest first unless asked otherwise.
func (r *Runner) List(ctx context.Context, owner uuid.UUID, q page.Request) (p page.Page[work.Job], err error) {
	var last *time.Time
	var id uuid.UUID
	if _, err := page.Decode(q.Cursor, &last, &id); err != nil {
		return p, err
	}
	sql := listJobsSQL
	if q.OldestFirst {
		sql = listJobsOldestFirstSQL
	}
	err = r.o.DB.Read(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		rows, err := pg.Many[work.Job](ctx, u, sql, owner, last, id, q.Size()+1)
		p = page.Cut(rows, q.Size(), func(j work.Job) string { return page.Encode(j.CreatedAt, j.ID) })
		return err
	})
	return p, err
}

// Cancel asks a job to stop: at once when it has not begun, else within
// seconds.
func (r *Runner) Cancel(ctx context.Context, id, owner uuid.UUID) (work.Job, error) {
	err := r.o.DB.InTx(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		_, err := pg.Exec(ctx, u, cancelJobSQL, id, ownerArg(owner), u.Now())
		return err
	})
	if err != nil {
		return work.Job{}, err
	}
	return r.Get(ctx, id, owner)
}

// Result reads what a job that succeeded returned.
func (r *Runner) Result(ctx context.Context, id, owner uuid.UUID) (raw json.RawMessage, err error) {
	j, err := r.Get(ctx, id, owner)
	if err != nil {
		return nil, err
	}
	if j.State != work.JobSucceeded {
		return nil, apperr.Conflict("job_not_finished", "The job has no result: it is "+string(j.State)+".")
	}
	err = r.o.DB.Read(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		raw, err = pg.Scalar[[]byte](ctx, u, "job", resultSQL, id, ownerArg(owner))
		return err
	})
	return raw, err
}

// Rows reads a job's report in order; status "" is all.
func (r *Runner) Rows(ctx context.Context, id, owner uuid.UUID, status string, q page.Request) (p page.Page[Row], err error) {
	if _, err := r.Get(ctx, id, owner); err != nil {
		return p, err
	}
	var after int64
	if seen, err := page.Decode(q.Cursor, &after); err != nil {
		return p, err
	} else if !seen {
		after = -1
	}
	err = r.o.DB.Read(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		rows, err := pg.Many[Row](ctx, u, jobRowsSQL, id, after, status, q.Size()+1)
		p = page.Cut(rows, q.Size(), func(row Row) string { return page.Encode(row.N) })
		return err
	})
	return p, err
}

func ownerArg(owner uuid.UUID) *uuid.UUID {
	if owner == uuid.Nil {
		return nil
	}
	return &owner
}
