package jobs_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/clock"
	"lms/shared/jobs"
	"lms/shared/page"
	"lms/shared/pg"
	"lms/shared/testkit"
	"lms/shared/work"
)

type input struct{ N int }

type fixture struct {
	db    *pg.DB
	clock *clock.Manual
	owner uuid.UUID
	r     *jobs.Runner
}

func setup(t *testing.T, fn func(ctx context.Context, run *jobs.Run, in input) (any, error)) *fixture {
	t.Helper()
	f := &fixture{clock: clock.NewManual(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), owner: uuid.New()}
	f.db = pg.From(testkit.DB(t, "kit"), pg.Options{Service: "course", Now: f.clock.Now})
	f.r = jobs.New(jobs.Options{DB: f.db})
	jobs.Handle(f.r, "count", fn)
	return f
}

func (f *fixture) run(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = f.r.Run(ctx) })
	stop = func() { cancel(); wg.Wait() }
	t.Cleanup(stop)
	return stop
}

func (f *fixture) enqueue(t *testing.T, key string, n int) work.Job {
	t.Helper()
	ctx := work.WithActor(t.Context(), work.Actor{Principal: authz.Principal{UserID: f.owner, TenantID: uuid.New()}})
	var j work.Job
	require.NoError(t, f.db.InTx(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) (err error) {
		j, err = u.Enqueue(ctx, "count", input{n}, work.JobOptions{Key: key})
		return err
	}))
	return j
}

func (f *fixture) until(t *testing.T, id uuid.UUID, want work.JobState) work.Job {
	t.Helper()
	var j work.Job
	require.Eventually(t, func() bool {
		var err error
		j, err = f.r.Get(context.Background(), id, f.owner)
		f.clock.Advance(time.Second)
		return err == nil && j.State == want
	}, 15*time.Second, 20*time.Millisecond, "state %s", want)
	return j
}

func TestAJobRunsReportsAndGivesItsResult(t *testing.T) {
	t.Parallel()
	f := setup(t, func(ctx context.Context, run *jobs.Run, in input) (any, error) {
		for i := range in.N {
			if err := run.Row(ctx, int64(i), "created", "", "", map[string]int{"i": i}); err != nil {
				return nil, err
			}
		}
		run.Progress(int64(in.N), int64(in.N))
		return map[string]int{"made": in.N}, nil
	})
	f.run(t)
	j := f.until(t, f.enqueue(t, "", 5).ID, work.JobSucceeded)
	require.EqualValues(t, 5, j.Done)
	result, err := f.r.Result(t.Context(), j.ID, f.owner)
	require.NoError(t, err)
	require.JSONEq(t, `{"made":5}`, string(result))
	rows, err := f.r.Rows(t.Context(), j.ID, f.owner, "", page.Request{Limit: 3})
	require.NoError(t, err)
	require.Len(t, rows.Items, 3)
	rows, err = f.r.Rows(t.Context(), j.ID, f.owner, "", page.Request{Limit: 3, Cursor: rows.NextCursor})
	require.NoError(t, err)
	require.Len(t, rows.Items, 2)
	_, err = f.r.Get(t.Context(), j.ID, uuid.New())
	require.True(t, apperr.IsKind(err, apperr.KindNotFound), "another's job is not there")
}

func TestJobsAreListedFromEitherEnd(t *testing.T) {
	t.Parallel()
	f := setup(t, func(context.Context, *jobs.Run, input) (any, error) { return nil, nil }) // nobody runs it
	var want []uuid.UUID
	for i := range 5 {
		if i%2 == 0 { // some at the same moment
			f.clock.Advance(time.Minute)
		}
		want = append(want, f.enqueue(t, "", i).ID)
	}
	list := func(oldestFirst bool) (ids []uuid.UUID) {
		q := page.Request{Limit: 2, OldestFirst: oldestFirst}
		for {
			p, err := f.r.List(t.Context(), f.owner, q)
			require.NoError(t, err)
			for _, j := range p.Items {
				ids = append(ids, j.ID)
			}
			if q.Cursor = p.NextCursor; q.Cursor == "" {
				return ids
			}
		}
	}
	newest, oldest := list(false), list(true)
	require.ElementsMatch(t, want, newest)
	require.Equal(t, want[4], newest[0])
	slices.Reverse(newest)
	require.Equal(t, newest, oldest)
}

func TestAJobThatWaitsForOthersIsNotTriedInVain(t *testing.T) {
	t.Parallel()
	var looks atomic.Int64
	f := setup(t, func(_ context.Context, run *jobs.Run, in input) (any, error) {
		if n := looks.Add(1); n < 10 {
			run.Progress(n, 10)
			return nil, jobs.Later(time.Second)
		}
		return map[string]int{"looks": 10}, nil
	})
	f.run(t)
	j := f.until(t, f.enqueue(t, "", 1).ID, work.JobSucceeded)
	require.EqualValues(t, 10, looks.Load(), "twice as often as a fault would be tried")
	require.EqualValues(t, 10, j.Total)
}

func TestAFaultIsTriedAgainAndARefusalIsNot(t *testing.T) {
	t.Parallel()
	var tries atomic.Int64
	f := setup(t, func(_ context.Context, _ *jobs.Run, in input) (any, error) {
		if in.N < 0 {
			return nil, apperr.Invalid(apperr.Field{Path: "n", Code: "negative", Message: "Negative."})
		}
		if tries.Add(1) < 3 {
			return nil, errors.New("a hiccup")
		}
		return nil, nil
	})
	f.run(t)
	f.until(t, f.enqueue(t, "", 1).ID, work.JobSucceeded)
	require.EqualValues(t, 3, tries.Load())
	j := f.until(t, f.enqueue(t, "", -1).ID, work.JobFailed)
	require.NotEmpty(t, j.Error)
}

func TestAJobWhoseProcessDiedGoesOnFromItsCursor(t *testing.T) {
	t.Parallel()
	started := make(chan struct{}, 2)
	f := setup(t, func(ctx context.Context, run *jobs.Run, _ input) (any, error) {
		var at int
		resumed, err := run.Cursor(&at)
		if err != nil || resumed {
			return at, err
		}
		if err := run.SaveCursor(ctx, 42); err != nil {
			return nil, err
		}
		started <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	stop := f.run(t)
	j := f.enqueue(t, "", 1)
	<-started
	stop()
	f.run(t)
	f.until(t, j.ID, work.JobSucceeded)
	result, err := f.r.Result(t.Context(), j.ID, f.owner)
	require.NoError(t, err)
	require.JSONEq(t, `42`, string(result))
}

func TestOneUnfinishedJobPerKeyAndAQueuedOneCanBeCanceled(t *testing.T) {
	t.Parallel()
	f := setup(t, func(context.Context, *jobs.Run, input) (any, error) { return nil, nil })
	a, b := f.enqueue(t, "same", 1), f.enqueue(t, "same", 2)
	require.Equal(t, a.ID, b.ID)
	_, err := f.r.Cancel(t.Context(), a.ID, uuid.New())
	require.Error(t, err, "another's job cannot be canceled")
	j, err := f.r.Cancel(t.Context(), a.ID, f.owner)
	require.NoError(t, err)
	require.Equal(t, work.JobCanceled, j.State)
	require.NotEqual(t, a.ID, f.enqueue(t, "same", 3).ID)
}

func TestAProcessThatLostItsLeaseWritesNothing(t *testing.T) {
	t.Parallel()
	var runs atomic.Int64
	first := make(chan struct{})
	let := make(chan struct{})
	saved := make(chan error, 1)
	f := setup(t, func(ctx context.Context, run *jobs.Run, _ input) (any, error) {
		if runs.Add(1) > 1 {
			return "second", nil
		}
		close(first)
		<-let
		saved <- run.SaveCursor(context.WithoutCancel(ctx), 1)
		return "first", nil
	})
	stop := f.run(t)
	j := f.enqueue(t, "", 1)
	<-first
	f.clock.Advance(time.Minute) // the lease runs out while the first is away
	f.until(t, j.ID, work.JobSucceeded)
	close(let)
	require.Error(t, <-saved)
	stop()
	raw, err := f.r.Result(t.Context(), j.ID, f.owner)
	require.NoError(t, err)
	require.JSONEq(t, `"second"`, string(raw))
}

func TestAJobThatIsStoppedGoesOnAtOnceAndHasNotFailed(t *testing.T) {
	t.Parallel()
	var runs atomic.Int64
	started := make(chan struct{}, 10)
	f := setup(t, func(ctx context.Context, _ *jobs.Run, _ input) (any, error) {
		started <- struct{}{}
		if runs.Add(1) <= 7 { // more often than a job may fail
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return "done", nil
	})
	j := f.enqueue(t, "", 1)
	for range 7 {
		stop := f.run(t)
		<-started
		stop()
	}
	f.run(t)
	f.until(t, j.ID, work.JobSucceeded)
}

func TestAJobThatKillsItsProcessIsGivenUp(t *testing.T) {
	t.Parallel()
	f := setup(t, func(context.Context, *jobs.Run, input) (any, error) { return "done", nil })
	j := f.enqueue(t, "", 1)
	require.NoError(t, f.db.InTx(t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		_, err := u.Exec(ctx, `update job set state = 'running', attempts = 5, lease_until = $1`, f.clock.Now())
		return err
	}))
	f.run(t)
	require.Equal(t, "It failed repeatedly.", f.until(t, j.ID, work.JobFailed).Error)
}
