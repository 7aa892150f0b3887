package journal_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lms/shared/clock"
	"lms/shared/journal"
	"lms/shared/record"
	"lms/shared/record/recordtest"
)

func day(d, h int) time.Time { return time.Date(2026, 3, d, h, 0, 0, 0, time.UTC) }

// all is the whole journal, the newest first; read from the other end it is the same.
func all(t require.TestingT, j *journal.Journal[string], limit int) []string {
	read := func(list func(context.Context, string, *journal.Place, int, func(journal.Entry[string]) bool) ([]journal.Listed[string], *journal.Place, error)) (out []string) {
		var after *journal.Place
		for {
			page, next, err := list(context.Background(), "s", after, limit, nil)
			require.NoError(t, err)
			for _, e := range page {
				out = append(out, e.Body)
			}
			if after = next; next == nil {
				return out
			}
		}
	}
	newest, oldest := read(j.List), read(j.Oldest)
	slices.Reverse(oldest)
	require.Equal(t, newest, oldest)
	return newest
}

func TestEntriesAreListedAgainstTheOrderOfWriting(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		c := clock.NewManual(day(10, 0))
		j := journal.New[string](recordtest.New(rt, c.Now), "j", rapid.IntRange(1, 4).Draw(rt, "size"), 30*24*time.Hour, c.Now)
		var model []string
		at := map[string]time.Time{}
		for range rapid.IntRange(0, 25).Draw(rt, "steps") {
			if rapid.IntRange(0, 3).Draw(rt, "what") == 0 {
				c.Advance(17 * time.Hour)
			}
			if len(model) > 0 && rapid.IntRange(0, 3).Draw(rt, "again") == 0 {
				body := rapid.SampledFrom(model).Draw(rt, "entry")
				require.NoError(rt, j.Put(context.Background(), "s", journal.Entry[string]{ID: uuid.NewSHA1(uuid.NameSpaceOID, []byte(body)), At: at[body], Body: body}))
				continue
			}
			body := fmt.Sprint(len(model))
			at[body] = c.Now()
			model = append(model, body)
			require.NoError(rt, j.Put(context.Background(), "s", journal.Entry[string]{ID: uuid.NewSHA1(uuid.NameSpaceOID, []byte(body)), At: c.Now(), Body: body}))
		}
		var want []string
		for i := len(model) - 1; i >= 0; i-- {
			want = append(want, model[i])
		}
		require.Equal(rt, want, all(rt, j, rapid.IntRange(1, 7).Draw(rt, "limit")))
	})
}

// A page that finds nothing in many documents ends early, and says where to go on.
func TestAPageReadsNoMoreThanSoManyDocuments(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(day(10, 0))
	store := recordtest.New(t, c.Now)
	j := journal.New[string](store, "j", 1, 30*24*time.Hour, c.Now)
	const entries = 100
	for i := range entries {
		if i == entries/2 {
			c.Advance(24 * time.Hour)
		}
		require.NoError(t, j.Put(t.Context(), "s", journal.Entry[string]{ID: uuid.New(), At: c.Now(), Body: fmt.Sprint(i)}))
	}
	for name, tc := range map[string]struct {
		list func(context.Context, string, *journal.Place, int, func(journal.Entry[string]) bool) ([]journal.Listed[string], *journal.Place, error)
		last string
	}{
		"the newest first": {j.List, "0"},
		"the oldest first": {j.Oldest, fmt.Sprint(entries - 1)},
	} {
		t.Run(name, func(t *testing.T) {
			var found []string
			pages, looked := 0, map[string]int{}
			for after := (*journal.Place)(nil); pages == 0 || after != nil; pages++ {
				listed, next, err := tc.list(t.Context(), "s", after, 5, func(e journal.Entry[string]) bool {
					looked[e.Body]++
					return e.Body == tc.last
				})
				require.NoError(t, err)
				for _, l := range listed {
					found = append(found, l.Body)
				}
				after = next
			}
			require.Equal(t, []string{tc.last}, found)
			require.Equal(t, 3, pages, "40 documents each")
			require.Len(t, looked, entries)
			for body, times := range looked {
				require.Equal(t, 1, times, body)
			}
		})
	}
}

func TestAnEntryIsReplacedWhereItStands(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(day(10, 0))
	j := journal.New[string](recordtest.New(t, c.Now), "j", 2, 30*24*time.Hour, c.Now)
	ids := make([]uuid.UUID, 5)
	for i := range ids {
		ids[i] = uuid.New()
		require.NoError(t, j.Put(t.Context(), "s", journal.Entry[string]{ID: ids[i], At: c.Now(), Body: fmt.Sprint(i)}))
	}
	require.NoError(t, j.Put(t.Context(), "s", journal.Entry[string]{ID: ids[0], At: c.Now(), Body: "new"}))
	require.Equal(t, []string{"4", "3", "2", "1", "new"}, all(t, j, 2))
	e, err := j.Find(t.Context(), "s", ids[3])
	require.NoError(t, err)
	require.Equal(t, "3", e.Body)
	e, err = j.Find(t.Context(), "s", uuid.New())
	require.NoError(t, err)
	require.Nil(t, e)
}

func TestOldDaysAreNotListed(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(day(1, 0))
	j := journal.New[string](recordtest.New(t, c.Now), "j", 2, 5*24*time.Hour, c.Now)
	require.NoError(t, j.Put(t.Context(), "s", journal.Entry[string]{ID: uuid.New(), At: c.Now(), Body: "old"}))
	c.Set(day(6, 12))
	require.Equal(t, []string{"old"}, all(t, j, 10))
	c.Set(day(8, 0))
	require.Empty(t, all(t, j, 10))
}

func TestWritersAtOnceLoseNothing(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(day(10, 0))
	store := recordtest.New(t, c.Now)
	replicas := []*journal.Journal[string]{
		journal.New[string](store, "j", 3, 30*24*time.Hour, c.Now), journal.New[string](store, "j", 3, 30*24*time.Hour, c.Now),
	}
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			e := journal.Entry[string]{ID: uuid.New(), At: c.Now(), Body: fmt.Sprint(i)}
			for range 2 { // the second replaces the first
				require.NoError(t, replicas[i%2].Put(t.Context(), "s", e))
			}
		})
	}
	wg.Wait()
	got := all(t, replicas[0], 7)
	require.Len(t, got, 60)
	seen := map[string]bool{}
	for _, b := range got {
		require.False(t, seen[b], "%s is there twice", b)
		seen[b] = true
	}
}

// counted counts what a store is asked.
type counted struct {
	record.Store
	reads atomic.Int64
}

func (c *counted) Get(ctx context.Context, key string) (record.Entry, error) {
	c.reads.Add(1)
	return c.Store.Get(ctx, key)
}

func TestAFullPartIsReadOnceForAllEntriesThatComeLater(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(day(10, 0))
	store := &counted{Store: recordtest.New(t, c.Now)}
	j := journal.New[string](store, "j", 5, 30*24*time.Hour, c.Now)
	put := func(n int) int64 {
		before := store.reads.Load()
		for range n {
			require.NoError(t, j.Put(t.Context(), "s", journal.Entry[string]{ID: uuid.New(), At: c.Now(), Body: "x"}))
		}
		return store.reads.Load() - before
	}
	first := put(100)
	put(400)
	require.Less(t, put(100), first+first/10, "an entry of a long day costs what one of a short day does")
}
