package inbox_test

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/apperr"
	"lms/shared/inbox"
	"lms/shared/pg"
)

const stream1 = topic + "/1"

func seen(t *testing.T, f *fixture) string {
	t.Helper()
	out, err := pg.Column[string](t.Context(), f.db.Pool, `select seen::text from stream_position where stream = $1`, stream1)
	require.NoError(t, err)
	if len(out) == 0 {
		return ""
	}
	return out[0]
}

func TestWhatIsNoLongerKeptIsToldOnceAndNotLookedForAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		arrived, kept []int64
		oldest, head  int64
		seen          string
		lost          []string
	}{
		"a hole below what is kept":          {[]int64{1, 2, 10}, []int64{8, 9, 10}, 8, 10, "{[1,11)}", []string{stream1 + " 3..7"}},
		"a hole within what is kept":         {[]int64{1, 6}, []int64{1, 2, 4, 6}, 1, 6, "{[1,7)}", []string{stream1 + " 3..3", stream1 + " 5..5"}},
		"a head of which nothing is kept":    {[]int64{1}, nil, 5, 4, "{[1,5)}", []string{stream1 + " 2..4"}},
		"history from before a new consumer": {nil, []int64{8, 9}, 8, 9, "{[1,10)}", nil},
		"the same after its first event":     {[]int64{9}, []int64{8, 9}, 8, 9, "{[1,10)}", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t, func(in *inbox.Inbox) { in.Fact("facts", topic, []string{"a"}, record("facts")) })
			withEffects(t, f)
			f.p.keep(stream1, 0, nil) // a stream that the producer states
			delete(f.p.kept[stream1], 0)
			f.p.oldest, f.p.head = c.oldest, c.head
			byN := map[int64]json.RawMessage{}
			for n := int64(1); n <= 10; n++ {
				byN[n] = event("a", uuid.New(), 1, n, n)
			}
			for _, n := range c.kept {
				f.p.keep(stream1, n, byN[n])
			}
			for _, n := range c.arrived {
				allAre(t, "SUCCESS", f.deliver(t, byN[n]))
			}
			require.Eventually(t, func() bool {
				require.NoError(t, f.in.Repair(t.Context()))
				return seen(t, f) == c.seen
			}, 5*time.Second, 5*time.Millisecond, "seen")
			for range 3 {
				require.NoError(t, f.in.Repair(t.Context()))
			}
			var lost []string
			for _, d := range deadLetters(t, f) {
				require.Equal(t, "events_lost", d.Code)
				lost = append(lost, d.Payload)
			}
			require.ElementsMatch(t, c.lost, lost)
		})
	}
}

// One handler has had an event, the other has failed, and the broker forgets
// it: its number must still count as missing.
func TestAnEventThatOneHandlerStillWantsIsFetched(t *testing.T) {
	t.Parallel()
	var away atomic.Bool
	away.Store(true)
	f := setup(t, func(in *inbox.Inbox) {
		in.Fact("first", topic, []string{"a"}, record("first"))
		in.Fact("second", topic, []string{"a"}, func(ctx context.Context, u *pg.Unit, batch []inbox.Event) error {
			if away.Load() {
				return apperr.Unavailable("neighbour_away", "Away.")
			}
			return record("second")(ctx, u, batch)
		})
	})
	withEffects(t, f)
	e := event("a", uuid.New(), 1, 1, 7)
	f.p.keep(stream1, 1, e)
	require.Equal(t, []string{"RETRY"}, f.deliver(t, e))
	require.Equal(t, []int32{7}, effects(t, f, "first"))
	require.Empty(t, seen(t, f))
	away.Store(false)
	require.Eventually(t, func() bool {
		require.NoError(t, f.in.Repair(t.Context()))
		return len(effects(t, f, "second")) == 1
	}, 5*time.Second, 5*time.Millisecond)
	require.Equal(t, []int32{7}, effects(t, f, "first"))
}

func TestANeighbourThatIsAwayHoldsUpOnlyWhoNeedsIt(t *testing.T) {
	t.Parallel()
	f := setup(t, func(in *inbox.Inbox) {
		in.Fact("needs", topic, []string{"a"}, func(context.Context, *pg.Unit, []inbox.Event) error {
			return apperr.Unavailable("neighbour_away", "Away.")
		})
		in.Fact("free", topic, []string{"b"}, record("free"))
	})
	withEffects(t, f)
	a, b := event("a", uuid.New(), 1, 1, 1), event("b", uuid.New(), 1, 2, 2)
	require.Equal(t, []string{"RETRY", "SUCCESS"}, f.deliver(t, a, b))
	require.Equal(t, []int32{2}, effects(t, f, "free"))

	// The same in what is fetched: the hole behind the one that fails is filled.
	f.p.keep(stream1, 1, a)
	f.p.keep(stream1, 2, b)
	f.p.keep(stream1, 3, event("b", uuid.New(), 1, 3, 3))
	require.Eventually(t, func() bool {
		_ = f.in.Repair(t.Context())
		return len(effects(t, f, "free")) == 2
	}, 5*time.Second, 5*time.Millisecond)
	require.Equal(t, "{[2,4)}", seen(t, f))
}

func TestWhatCannotBeReadIsBuriedWhateverItsBytes(t *testing.T) {
	t.Parallel()
	f := setup(t, func(in *inbox.Inbox) { in.Fact("facts", topic, []string{"a"}, record("facts")) })
	require.Equal(t, []string{"SUCCESS"}, f.deliver(t, json.RawMessage(`"a\u0000b"`)))
	require.Len(t, deadLetters(t, f), 1)
}
