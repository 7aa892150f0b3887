package once_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/shared/apperr"
	"lms/shared/clock"
	"lms/shared/once"
	"lms/shared/record/recordtest"
	"lms/shared/work"
)

type made struct {
	ID string `json:"id"`
}

func setup(t *testing.T) (*clock.Manual, *recordtest.Memory) {
	c := clock.NewManual(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC))
	return c, recordtest.New(t, c.Now)
}

func keyed(ctx context.Context, caller, key string, body byte) context.Context {
	return work.WithIdempotency(ctx, work.Idempotency{Caller: caller, Route: "POST /x", Key: key, BodyHash: [32]byte{body}})
}

func TestFiftyRepetitionsAtOnceActOnce(t *testing.T) {
	t.Parallel()
	c, store := setup(t)
	replicas := []*once.Keys{once.New(store, c.Now), once.New(store, c.Now)}
	var acted, repeatedly atomic.Int64
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			got, repeated, err := once.Do(keyed(context.Background(), "ada", "k1", 1), replicas[i%2], func() (made, error) {
				acted.Add(1)
				return made{ID: "first"}, nil
			})
			require.NoError(t, err)
			require.Equal(t, "first", got.ID)
			if repeated {
				repeatedly.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, acted.Load())
	require.EqualValues(t, 49, repeatedly.Load())
}

func TestTheKeyIsScopedAndBound(t *testing.T) {
	t.Parallel()
	c, store := setup(t)
	k := once.New(store, c.Now)
	n := 0
	act := func() (made, error) { n++; return made{}, nil }
	do := func(ctx context.Context) error { _, _, err := once.Do(ctx, k, act); return err }
	require.NoError(t, do(keyed(t.Context(), "ada", "k", 1)))
	require.NoError(t, do(keyed(t.Context(), "ada", "k", 1)))
	require.Equal(t, 1, n)
	require.NoError(t, do(keyed(t.Context(), "bob", "k", 1)), "another caller")
	require.Equal(t, 2, n)
	err := do(keyed(t.Context(), "ada", "k", 2))
	require.Equal(t, "idempotency_key_reused", apperr.Code(err))
	require.NoError(t, do(t.Context()))
	require.NoError(t, do(t.Context()), "without a key, each time")
	require.Equal(t, 4, n)
	c.Advance(23*time.Hour + 59*time.Minute)
	require.NoError(t, do(keyed(t.Context(), "ada", "k", 1)))
	require.Equal(t, 4, n, "kept for a day")
	c.Advance(time.Minute)
	require.NoError(t, do(keyed(t.Context(), "ada", "k", 1)))
	require.Equal(t, 5, n)
}

func TestRefusalsAreKeptAndFailuresAreNot(t *testing.T) {
	t.Parallel()
	c, store := setup(t)
	k := once.New(store, c.Now)
	cases := []struct {
		name string
		err  error
		kept bool
	}{
		{"422", apperr.Invalid(apperr.Field{Path: "name", Code: "required"}), true},
		{"403", apperr.Forbidden("no"), true},
		{"503", apperr.Unavailable("away", "away"), false},
		{"429", apperr.New(apperr.KindRateLimited, "slow", "slow"), false},
		{"500", errors.New("boom"), false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			n := 0
			for range 3 {
				_, _, err := once.Do(keyed(t.Context(), "ada", tc.name, 1), k, func() (made, error) { n++; return made{}, tc.err })
				require.Equal(t, apperr.Code(tc.err), apperr.Code(err))
				require.Equal(t, apperr.From(tc.err).Fields, apperr.From(err).Fields)
			}
			require.Equal(t, tc.kept, n == 1)
		})
	}
}

func TestALeaseOfWhoCrashedEnds(t *testing.T) {
	t.Parallel()
	c, store := setup(t)
	k := once.New(store, c.Now)
	func() {
		defer func() { require.NotNil(t, recover()) }()
		_, _, _ = once.Do(keyed(t.Context(), "ada", "k", 1), k, func() (made, error) { panic("crash") })
	}()
	ctx, cancel := context.WithTimeout(keyed(t.Context(), "ada", "k", 1), 150*time.Millisecond)
	defer cancel()
	_, _, err := once.Do(ctx, k, func() (made, error) { return made{}, nil })
	require.ErrorIs(t, err, context.DeadlineExceeded, "it is still leased")
	c.Advance(30 * time.Second)
	got, repeated, err := once.Do(keyed(t.Context(), "ada", "k", 1), k, func() (made, error) { return made{ID: "later"}, nil })
	require.NoError(t, err)
	require.False(t, repeated)
	require.Equal(t, "later", got.ID)
}

func TestWaitingForTheFirstEndsInAConflict(t *testing.T) {
	t.Parallel()
	c, store := setup(t)
	k := once.New(store, c.Now)
	entered, leave := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		_, _, err := once.Do(keyed(context.Background(), "ada", "k", 1), k, func() (made, error) {
			close(entered)
			<-leave
			return made{ID: "slow"}, nil
		})
		done <- err
	}()
	<-entered
	asked := 0
	store.Before(func(op, _ string) {
		if op == "get" {
			asked++
			c.Advance(2 * time.Second)
		}
	})
	_, _, err := once.Do(keyed(t.Context(), "ada", "k", 1), k, func() (made, error) { return made{}, errors.New("must not run") })
	require.Equal(t, "idempotency_in_progress", apperr.Code(err))
	store.Before(nil)
	close(leave)
	require.NoError(t, <-done)
}
