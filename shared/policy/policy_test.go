package policy_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/clock"
	"lms/shared/policy"
)

type user struct {
	asked atomic.Int64
	mu    sync.Mutex
	down  error
	ver   string
	etags []string
}

func (u *user) fetch(_ context.Context, etag string) (policy.Answer, error) {
	u.asked.Add(1)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.etags = append(u.etags, etag)
	if u.down != nil {
		return policy.Answer{}, u.down
	}
	if etag == u.ver {
		return policy.Answer{NotModified: true}, nil
	}
	return policy.Answer{ETag: u.ver, Snapshot: authz.Snapshot{Version: u.ver}}, nil
}

func (u *user) set(ver string, down error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ver, u.down = ver, down
}

func start() (*user, *clock.Manual, *policy.Cache) {
	u := &user{ver: "1"}
	c := clock.NewManual(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	return u, c, policy.New(u.fetch, c.Now)
}

func version(t *testing.T, c *policy.Cache) string {
	t.Helper()
	p, err := c.Policy(t.Context())
	require.NoError(t, err)
	return p.Version
}

func TestPolicyIsAskedForOncePerFiveSeconds(t *testing.T) {
	t.Parallel()
	u, now, c := start()
	require.Equal(t, "1", version(t, c))
	u.set("2", nil)
	now.Advance(4900 * time.Millisecond)
	require.Equal(t, "1", version(t, c))
	require.EqualValues(t, 1, u.asked.Load())
	now.Advance(100 * time.Millisecond)
	require.Equal(t, "2", version(t, c))
	require.EqualValues(t, 2, u.asked.Load())
	require.Equal(t, []string{"", "1"}, u.etags)
}

func TestNotModifiedRenewsTheAge(t *testing.T) {
	t.Parallel()
	u, now, c := start()
	for range 30 {
		require.Equal(t, "1", version(t, c))
		now.Advance(5 * time.Second)
	}
	require.EqualValues(t, 30, u.asked.Load())
}

func TestStaleServesForAMinuteThenFailsClosed(t *testing.T) {
	t.Parallel()
	u, now, c := start()
	require.Equal(t, "1", version(t, c))
	u.set("1", errors.New("connection refused"))
	now.Advance(59 * time.Second)
	require.Equal(t, "1", version(t, c))
	require.NoError(t, c.Ready())
	now.Advance(time.Second)
	_, err := c.Policy(t.Context())
	require.Equal(t, "policy_unavailable", apperr.Code(err))
	require.True(t, apperr.IsKind(err, apperr.KindUnavailable))
	require.ErrorContains(t, err, "connection refused")
	require.Error(t, c.Ready())
	u.set("3", nil)
	now.Advance(time.Second)
	require.Equal(t, "3", version(t, c))
}

func TestFailuresAreNotAskedForAgainAtOnce(t *testing.T) {
	t.Parallel()
	u, now, c := start()
	u.set("1", errors.New("down"))
	for range 10 {
		_, err := c.Policy(t.Context())
		require.Error(t, err)
	}
	require.EqualValues(t, 1, u.asked.Load())
	now.Advance(time.Second)
	_, err := c.Policy(t.Context())
	require.Error(t, err)
	require.EqualValues(t, 2, u.asked.Load())
}

func TestManyCallersAskOnce(t *testing.T) {
	t.Parallel()
	u, _, c := start()
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			_, err := c.Policy(context.Background())
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, u.asked.Load())
}

func TestACallersHangUpDoesNotEndTheQuestion(t *testing.T) {
	t.Parallel()
	c := policy.New(func(ctx context.Context, _ string) (policy.Answer, error) {
		return policy.Answer{ETag: "1"}, ctx.Err()
	}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Policy(ctx)
	require.NoError(t, err)
}

func TestRunRefreshesUntilItsContextEnds(t *testing.T) {
	t.Parallel()
	u, _, c := start()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	require.Eventually(t, func() bool { return c.Ready() == nil }, 5*time.Second, 5*time.Millisecond)
	cancel()
	require.NoError(t, <-done)
	require.GreaterOrEqual(t, u.asked.Load(), int64(1))
}

func TestWhoAsksRightAfterTheStartWaitsForTheFirstPolicy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := &user{ver: "1"}
		u.set("1", errors.New("the sidecar is not there yet"))
		c := policy.New(u.fetch, nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = c.Run(ctx) }()
		time.AfterFunc(700*time.Millisecond, func() { u.set("1", nil) })
		synctest.Wait()
		began := time.Now()
		require.Equal(t, "1", version(t, c))
		require.Less(t, time.Since(began), time.Second)
	})
	synctest.Test(t, func(t *testing.T) {
		u := &user{ver: "1"}
		u.set("1", errors.New("down"))
		c := policy.New(u.fetch, nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = c.Run(ctx) }()
		synctest.Wait()
		began := time.Now()
		_, err := c.Policy(t.Context())
		require.Equal(t, "policy_unavailable", apperr.Code(err))
		require.Equal(t, 5*time.Second, time.Since(began), "but not for ever")
		_, err = c.Policy(t.Context())
		require.Error(t, err)
		require.Equal(t, 5*time.Second, time.Since(began), "and not again")
	})
}

func TestWhatIsNotKnownYetIsAskedForAtOnce(t *testing.T) {
	t.Parallel()
	unit := uuid.New()
	asked := 0
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := policy.New(func(context.Context, string) (policy.Answer, error) {
		asked++
		s := authz.Snapshot{Version: fmt.Sprint(asked)}
		if asked > 1 {
			s.OrgUnits = []authz.OrgUnit{{ID: unit, TenantID: unit}}
		}
		return policy.Answer{ETag: s.Version, Snapshot: s}, nil
	}, func() time.Time { return now })
	_, err := c.Policy(t.Context())
	require.NoError(t, err)
	now = now.Add(time.Second) // still fresh, but of before the unit
	p, err := authz.Knowing(t.Context(), c, authz.Principal{}, unit)
	require.NoError(t, err)
	require.True(t, p.Knows(authz.Principal{}, unit))
	for range 100 { // names that nobody knows do not become a flood of questions
		_, err = authz.Knowing(t.Context(), c, authz.Principal{}, uuid.New())
		require.NoError(t, err)
	}
	require.Equal(t, 2, asked)
}

func TestNotKnowingIsNotTheSameAsNotThere(t *testing.T) {
	t.Parallel()
	u, now, c := start()
	require.Equal(t, "1", version(t, c))
	u.set("1", errors.New("connection refused"))
	now.Advance(time.Second)
	_, err := authz.Knowing(t.Context(), c, authz.Principal{}, uuid.New())
	require.Equal(t, "policy_unavailable", apperr.Code(err), "user cannot say whether there is such a unit")
	require.Equal(t, "1", version(t, c), "what is known goes on")
}

func TestAnAnswerOfBeforeTheQuestionIsNotEnough(t *testing.T) {
	t.Parallel()
	u := &user{ver: "1"}
	c := policy.New(u.fetch, nil)
	require.Equal(t, "1", version(t, c))
	u.set("2", nil) // made a moment after the policy was asked for
	p, err := c.Renew(t.Context())
	require.NoError(t, err)
	require.Equal(t, "2", p.Version)
}

func TestCallersAtOnceShareOneQuestion(t *testing.T) {
	t.Parallel()
	u := &user{ver: "1"}
	c := policy.New(u.fetch, nil)
	require.Equal(t, "1", version(t, c))
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			_, err := c.Renew(context.Background())
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, u.asked.Load(), int64(10), "five a second, however many ask")
}
