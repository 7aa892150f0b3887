// Package jobs runs what takes longer than a request: imports, copies,
// recalculations. A job is a row, written in the transaction that asks for it;
// any replica may run it, under a lease. A job whose process died is taken up
// again and goes on from its cursor, so handlers must be repeatable.
package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
	"lms/shared/pg"
	"lms/shared/work"
)

const (
	lease       = 30 * time.Second
	renewEvery  = 5 * time.Second
	pollEvery   = 500 * time.Millisecond
	maxAttempts = 5
	// keep is how long a finished job and its rows can be read.
	keep = 30 * 24 * time.Hour
)

// Options of a runner.
type Options struct {
	DB  *pg.DB
	Log *slog.Logger
	// Parallel is how many jobs run at once in this process; default 2.
	Parallel int
	// Standing says what a person or client may do now, for Run.Principal: 404 for
	// who is gone. Without it they may what they might when they asked.
	Standing Standing
}

// Standing asks how somebody stands.
type Standing func(ctx context.Context, id uuid.UUID) (internalapi.ActorStanding, error)

// Runner takes due jobs and runs them.
type Runner struct {
	o        Options
	handlers map[string]handler
}

type handler func(ctx context.Context, run *Run, input json.RawMessage) (json.RawMessage, error)

// New makes a runner.
func New(o Options) *Runner {
	if o.Parallel <= 0 {
		o.Parallel = 2
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Runner{o: o, handlers: map[string]handler{}}
}

// Handle registers what runs jobs of a kind. It is called before Run.
// What fn returns becomes the job's result; an *apperr.Error fails the job
// with its message, any other error is tried again up to five times.
func Handle[In any](r *Runner, kind string, fn func(ctx context.Context, run *Run, in In) (result any, err error)) {
	r.handlers[kind] = func(ctx context.Context, run *Run, raw json.RawMessage) (json.RawMessage, error) {
		var in In
		if err := json.Unmarshal(raw, &in); err != nil {
			return nil, apperr.Malformed("job_unreadable", "The job's input cannot be read.").With(err)
		}
		result, err := fn(ctx, run, in)
		if err != nil {
			return nil, err
		}
		return json.Marshal(result)
	}
}

const (
	claimSQL = `
update job set state = 'running', lease_until = $1::timestamptz + $2::interval, attempts = attempts + 1, claim = $4,
  started_at = coalesce(started_at, $1)
where id = (
  select id from job
  where kind = any ($3) and (state = 'queued' and run_at <= $1 or state = 'running' and lease_until < $1)
  order by run_at, id limit 1 for update skip locked
)
returning id, kind, tenant_id, input, cursor, done, total, attempts, cancel_requested, actor`
	// What follows is for the present claim alone: a process that was away for
	// longer than its lease finds that another has gone on.
	renewSQL = `
update job set lease_until = $2, done = $3, total = $4 where id = $1 and state = 'running' and claim = $5 returning cancel_requested`
	cursorSQL = `
update job set cursor = $2, done = $3, total = $4 where id = $1 and state = 'running' and claim = $5`
	finishSQL = `
update job set state = $2, result = $3, error = $4, done = $5, total = $6, finished_at = $7, lease_until = null
where id = $1 and state = 'running' and claim = $8`
	againSQL = `
update job set state = 'queued', run_at = $2, error = $3, lease_until = null where id = $1 and state = 'running' and claim = $4`
	releaseSQL = `
update job set state = 'queued', run_at = $2, attempts = attempts - 1, done = $3, total = $4, lease_until = null
where id = $1 and state = 'running' and claim = $5`
	rowSQL = `
insert into job_row (job_id, n, status, code, message, ref) values ($1, $2, $3, $4, $5, $6)
on conflict (job_id, n) do update set status = excluded.status, code = excluded.code, message = excluded.message, ref = excluded.ref`
	purgeSQL = `delete from job where id in (select id from job where finished_at < $1 limit $2)`
)

type claimed struct {
	ID              uuid.UUID
	Kind            string
	TenantID        uuid.UUID
	Input           []byte
	Cursor          []byte
	Done            int64
	Total           int64
	Attempts        int
	CancelRequested bool
	Actor           []byte
}

// Run runs jobs until ctx ends. A running job then stops at its next look at
// its context and is given back, for another process to go on.
func (r *Runner) Run(ctx context.Context) error {
	kinds := slices.Sorted(maps.Keys(r.handlers))
	if len(kinds) == 0 {
		return nil
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	// One looks for all, so that an idle runner uses one connection.
	slots := make(chan struct{}, r.o.Parallel)
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case slots <- struct{}{}:
		}
		job, claim, err := r.claim(ctx, kinds)
		if job != nil {
			wg.Go(func() {
				defer func() { <-slots }()
				r.warn(ctx, r.run(ctx, *job, claim))
			})
			continue
		}
		<-slots
		r.warn(ctx, err)
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

func (r *Runner) warn(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		r.o.Log.Warn("jobs not read", "error", err)
	}
}

// claim takes the next job that is due; nil for none.
func (r *Runner) claim(ctx context.Context, kinds []string) (*claimed, uuid.UUID, error) {
	var jobs []claimed
	now, claim := r.o.DB.Now(), r.o.DB.NewID()
	err := r.o.DB.InTx(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) (err error) {
		jobs, err = pg.Many[claimed](ctx, u, claimSQL, now, lease, kinds, claim)
		return err
	})
	if err != nil || len(jobs) == 0 {
		return nil, claim, err
	}
	return &jobs[0], claim, nil
}

func (r *Runner) run(ctx context.Context, j claimed, claim uuid.UUID) error {
	var actor work.Actor
	if err := json.Unmarshal(j.Actor, &actor); err != nil {
		return fmt.Errorf("job %s: actor: %w", j.ID, err)
	}
	ctx, cancel := context.WithCancelCause(work.WithCause(work.WithActor(ctx, actor), work.Cause{Correlation: j.ID.String(), Causation: j.ID.String()}))
	defer cancel(nil)
	run := &Run{ID: j.ID, TenantID: j.TenantID, Actor: actor, runner: r, claim: claim, cursor: j.Cursor, done: j.Done, total: j.Total}
	if j.CancelRequested {
		return r.finish(ctx, run, work.JobCanceled, nil, "")
	}
	if j.Attempts > maxAttempts {
		// Attempts that ended by themselves are counted where they end: those
		// before took their process with them.
		r.o.Log.Error("job failed", "job", j.ID, "kind", j.Kind, "error", "its processes died")
		return r.finish(ctx, run, work.JobFailed, nil, "It failed repeatedly.")
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() { run.keepLease(ctx, cancel, stop) })
	result, err := guard(func() (json.RawMessage, error) { return r.handlers[j.Kind](ctx, run, j.Input) })
	close(stop)
	wg.Wait()
	return r.conclude(ctx, j, run, result, err)
}

func (r *Runner) conclude(ctx context.Context, j claimed, run *Run, result json.RawMessage, err error) error {
	var wait notYet
	switch {
	case errors.Is(context.Cause(ctx), errLeaseLost):
		r.o.Log.Warn("job was taken over by another process", "job", j.ID, "kind", j.Kind)
		return nil
	case err == nil:
		return r.finish(ctx, run, work.JobSucceeded, result, "")
	case errors.Is(context.Cause(ctx), errCanceled):
		return r.finish(ctx, run, work.JobCanceled, nil, "")
	case errors.Is(context.Cause(ctx), errStandingChanged):
		return r.release(ctx, run, 0) // it goes on with what may be done now
	case errors.Is(err, errStandingUnknown):
		return r.release(ctx, run, renewEvery)
	case ctx.Err() != nil:
		return r.release(ctx, run, 0) // shutting down: another takes it up at once
	case errors.As(err, &wait):
		return r.release(ctx, run, wait.pause)
	case apperr.Deterministic(err) || apperr.IsKind(err, apperr.KindConflict):
		return r.finish(ctx, run, work.JobFailed, nil, apperr.From(err).Message)
	case j.Attempts >= maxAttempts:
		r.o.Log.Error("job failed", "job", j.ID, "kind", j.Kind, "error", err)
		return r.finish(ctx, run, work.JobFailed, nil, "It failed repeatedly: "+apperr.From(err).Message)
	}
	r.o.Log.Warn("job will be tried again", "job", j.ID, "kind", j.Kind, "attempt", j.Attempts, "error", err)
	return r.o.DB.InTx(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		_, err := pg.Exec(ctx, u, againSQL, j.ID, u.Now().Add(time.Duration(j.Attempts)*2*time.Second), pg.Text(apperr.From(err).Message, maxErrorText), run.claim)
		return err
	})
}

// maxErrorText is how much of an error its owner is shown, in bytes.
const maxErrorText = 2000

func (r *Runner) finish(ctx context.Context, run *Run, state work.JobState, result json.RawMessage, message string) error {
	done, total := run.progress()
	return r.end(ctx, run, func(ctx context.Context, u *pg.Unit) (int64, error) {
		return pg.Exec(ctx, u, finishSQL, run.ID, state, []byte(result), pg.Text(message, maxErrorText), done, total, u.Now(), run.claim)
	})
}

// notYet is what Later gives.
type notYet struct{ pause time.Duration }

func (notYet) Error() string { return "the job waits for others" }

// Later is what a handler returns that waits for others: the job gives its place
// to another, and runs again after a pause, as if it had not been tried before.
// How long it waits in all is for the handler to bound.
func Later(pause time.Duration) error { return notYet{pause} }

// release gives the job back as if it had not been tried, to be taken up after a
// pause.
func (r *Runner) release(ctx context.Context, run *Run, pause time.Duration) error {
	done, total := run.progress()
	return r.end(ctx, run, func(ctx context.Context, u *pg.Unit) (int64, error) {
		return pg.Exec(ctx, u, releaseSQL, run.ID, u.Now().Add(pause), done, total, run.claim)
	})
}

func (r *Runner) end(ctx context.Context, run *Run, fn func(context.Context, *pg.Unit) (int64, error)) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return r.o.DB.InTx(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		n, err := fn(ctx, u)
		if err == nil && n == 0 {
			r.o.Log.Warn("job was taken over by another process", "job", run.ID)
		}
		return err
	})
}

// Purge deletes jobs that ended more than 30 days ago.
func (r *Runner) Purge(ctx context.Context) error {
	return r.o.DB.Purge(ctx, purgeSQL, r.o.DB.Now().Add(-keep))
}

func guard(fn func() (json.RawMessage, error)) (out json.RawMessage, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return fn()
}
