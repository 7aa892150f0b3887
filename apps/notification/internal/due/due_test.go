package due_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lms/apps/notification/internal/due"
	"lms/shared/apperr"
	"lms/shared/clock"
	"lms/shared/dapr"
	"lms/shared/record"
	"lms/shared/record/recordtest"
	"lms/shared/testkit/sidecartest"
)

func start() time.Time { return time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC) }

func claimAll(t require.TestingT, q *due.Queue, limit int) (out []due.Claim, shards []int) {
	for shard := range q.Shards() {
		claims, _, err := q.Claim(context.Background(), shard, limit, time.Minute)
		require.NoError(t, err)
		for _, c := range claims {
			out, shards = append(out, c), append(shards, shard)
		}
	}
	return out, shards
}

func TestWhatIsDueIsClaimedOnce(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(start())
	q := due.New(recordtest.New(t, c.Now), "q", 1, c.Now, uuid.New)
	a, b := uuid.New(), uuid.New()
	require.NoError(t, q.Add(t.Context(), due.Item{Key: a, Due: c.Now()}, due.Item{Key: b, Due: c.Now().Add(10 * time.Minute)}))
	require.NoError(t, q.Add(t.Context(), due.Item{Key: a, Due: c.Now().Add(time.Minute)}), "it is due earlier already")
	claims, next, err := q.Claim(t.Context(), 0, 10, time.Minute)
	require.NoError(t, err)
	require.Len(t, claims, 1)
	require.Equal(t, a, claims[0].Key)
	require.Equal(t, c.Now().Add(10*time.Minute), next.UTC())
	again, _, err := q.Claim(t.Context(), 0, 10, time.Minute)
	require.NoError(t, err)
	require.Empty(t, again)
	require.NoError(t, q.Done(t.Context(), 0, []due.Result{{Claim: claims[0]}}))
	total, _, err := q.Waiting(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, 1, total)
}

func TestAClaimThatRanOutGoesToAnother(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(start())
	q := due.New(recordtest.New(t, c.Now), "q", 1, c.Now, uuid.New)
	a := uuid.New()
	require.NoError(t, q.Add(t.Context(), due.Item{Key: a, Due: c.Now()}))
	first, _ := claimAll(t, q, 1)
	c.Advance(time.Minute)
	second, _ := claimAll(t, q, 1)
	require.Len(t, second, 1)
	require.NoError(t, q.Done(t.Context(), 0, []due.Result{{Claim: first[0]}}), "the first comes too late")
	total, _, err := q.Waiting(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, 1, total, "and ends nothing")
	require.NoError(t, q.Done(t.Context(), 0, []due.Result{{Claim: second[0]}}))
	total, _, err = q.Waiting(t.Context(), 0)
	require.NoError(t, err)
	require.Zero(t, total)
}

// The race that loses wake-ups elsewhere: work is added after the worker has read
// the thing and before it says that it is done.
func TestWhatIsAddedWhileClaimedIsDueAgain(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(start())
	q := due.New(recordtest.New(t, c.Now), "q", 1, c.Now, uuid.New)
	a := uuid.New()
	require.NoError(t, q.Add(t.Context(), due.Item{Key: a, Due: c.Now()}))
	claims, _ := claimAll(t, q, 1)
	require.NoError(t, q.Add(t.Context(), due.Item{Key: a, Due: c.Now()}))
	require.NoError(t, q.Done(t.Context(), 0, []due.Result{{Claim: claims[0], Next: c.Now().Add(48 * time.Hour)}}))
	claims, _ = claimAll(t, q, 1)
	require.Len(t, claims, 1)
}

func TestAFullQueueSaysSo(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(start())
	q := due.New(recordtest.New(t, c.Now), "q", 1, c.Now, uuid.New)
	items := make([]due.Item, due.MaxHot)
	for i := range items {
		items[i] = due.Item{Key: uuid.New(), Due: c.Now()}
	}
	require.NoError(t, q.Add(t.Context(), items...))
	require.Equal(t, "queue_full", apperr.Code(q.Add(t.Context(), due.Item{Key: uuid.New(), Due: c.Now()})))
	require.NoError(t, q.Add(t.Context(), items[0]), "what is in it already is no addition")
	require.NoError(t, q.Add(t.Context(), due.Item{Key: uuid.New(), Due: c.Now().Add(3 * time.Hour)}), "a later hour is another document")
}

// Who was away for a month, or was told so by a moved clock, comes to what is due
// without a write for each hour.
func TestAMonthAwayIsMovedByFewWrites(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(start())
	store := &counted{Store: recordtest.New(t, c.Now), keys: map[string]bool{}}
	q := due.New(store, "q", 1, c.Now, uuid.New)
	want := map[uuid.UUID]bool{}
	for _, day := range []int{0, 1, 7, 29} {
		key := uuid.New()
		want[key] = true
		require.NoError(t, q.Add(t.Context(), due.Item{Key: key, Due: c.Now().Add(time.Duration(day) * 24 * time.Hour)}))
	}
	c.Advance(30 * 24 * time.Hour)
	before := store.writes
	claims, _ := claimAll(t, q, 10)
	got := map[uuid.UUID]bool{}
	for _, cl := range claims {
		got[cl.Key] = true
	}
	require.Equal(t, want, got)
	require.Less(t, store.writes-before, 20)
}

// Against a plain model: in any order of adding, working and waiting, by two
// replicas, nothing is worked on before its time, and everything is in the end.
func TestTheQueueAgainstAModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		c := clock.NewManual(start())
		store := recordtest.New(rt, c.Now)
		replicas := []*due.Queue{due.New(store, "q", 2, c.Now, uuid.New), due.New(store, "q", 2, c.Now, uuid.New)}
		wanted := map[uuid.UUID]time.Time{} // the earliest time at which there is work
		keys := make([]uuid.UUID, 6)
		for i := range keys {
			keys[i] = uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, i))
		}
		work := func(q *due.Queue) {
			claims, shards := claimAll(rt, q, rapid.IntRange(1, 3).Draw(rt, "limit"))
			for i, cl := range claims {
				at, ok := wanted[cl.Key]
				if ok && !at.After(c.Now()) {
					delete(wanted, cl.Key)
					ok = false
				}
				var next time.Time
				if ok {
					next = at // it has work later
				}
				require.NoError(rt, q.Done(context.Background(), shards[i], []due.Result{{Claim: cl, Next: next}}))
			}
		}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			q := replicas[rapid.IntRange(0, 1).Draw(rt, "replica")]
			switch rapid.IntRange(0, 2).Draw(rt, "what") {
			case 0:
				key := rapid.SampledFrom(keys).Draw(rt, "key")
				at := c.Now().Add(time.Duration(rapid.IntRange(0, 500).Draw(rt, "minutes")) * time.Minute)
				if old, ok := wanted[key]; !ok || at.Before(old) {
					wanted[key] = at
				}
				require.NoError(rt, q.Add(context.Background(), due.Item{Key: key, Due: at}))
			case 1:
				work(q)
			case 2:
				c.Advance(time.Duration(rapid.IntRange(1, 400).Draw(rt, "pause")) * time.Minute)
			}
		}
		for range 12 {
			c.Advance(time.Hour)
			for range 4 {
				work(replicas[0])
			}
		}
		require.Empty(rt, wanted, "all work was done")
		for shard := range 2 {
			total, _, err := replicas[0].Waiting(context.Background(), shard)
			require.NoError(rt, err)
			require.Zero(rt, total)
		}
	})
}

// counted is a store that knows which keys were used, and how often one was written.
type counted struct {
	record.Store
	mu     sync.Mutex
	keys   map[string]bool
	writes int
}

func (c *counted) Put(ctx context.Context, key string, value []byte, w record.Write) error {
	c.mu.Lock()
	c.keys[key] = true
	c.writes++
	c.mu.Unlock()
	return c.Store.Put(ctx, key, value, w)
}

// On the real block: two replicas add and work at the same time, and every addition
// is worked on.
func TestTwoReplicasOnTheStateBlock(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	var stores []*counted
	for range 2 {
		s := sidecartest.Start(t, sidecartest.Options{App: "notification", Home: home, Components: []string{"state.yaml"}})
		c, err := dapr.New(dapr.Options{HTTP: s.HTTP, GRPC: s.GRPC, APIToken: sidecartest.APIToken})
		require.NoError(t, err)
		t.Cleanup(c.Close)
		away := apperr.Unavailable("state_unavailable", "Away.")
		stores = append(stores, &counted{Store: dapr.Records{Sidecar: c, Component: "state", Timeout: 10 * time.Second, Away: away}, keys: map[string]bool{}})
	}
	now := func() time.Time { return time.Now().UTC() }
	queues := []*due.Queue{due.New(stores[0], "q", 4, now, uuid.New), due.New(stores[1], "q", 4, now, uuid.New)}
	const each = 60
	var wg sync.WaitGroup
	var mu sync.Mutex
	left := map[uuid.UUID]bool{}
	for _, q := range queues {
		for range each {
			key := uuid.New()
			left[key] = true
			wg.Go(func() {
				require.NoError(t, q.Add(t.Context(), due.Item{Key: key, Due: now()}))
			})
		}
	}
	done := func() bool { mu.Lock(); defer mu.Unlock(); return len(left) == 0 }
	for _, q := range queues {
		wg.Go(func() {
			for limit := time.Now().Add(30 * time.Second); !done() && time.Now().Before(limit); {
				for shard := range q.Shards() {
					claims, _, err := q.Claim(t.Context(), shard, 5, time.Minute)
					require.NoError(t, err)
					var results []due.Result
					for _, c := range claims {
						mu.Lock()
						delete(left, c.Key)
						mu.Unlock()
						results = append(results, due.Result{Claim: c})
					}
					require.NoError(t, q.Done(t.Context(), shard, results))
				}
			}
		})
	}
	wg.Wait()
	require.Empty(t, left)
	for key := range stores[0].keys {
		require.NotContains(t, key, "||", "illegal in keys of the state block")
	}
}
