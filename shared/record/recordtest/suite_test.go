package recordtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/record"
)

// suite checks what auth needs of a store. pass lets time go by for the store.
func suite(t *testing.T, store record.Store, pass func(d time.Duration)) {
	t.Helper()
	key := func(name string) string { return "suite." + name + "." + uuid.NewString() }
	value := func(s string) []byte { return []byte(`{"v":"` + s + `","exp":"2026-03-01T08:00:00.123456Z"}`) }
	get := func(t *testing.T, k string) record.Entry {
		t.Helper()
		e, err := store.Get(t.Context(), k)
		require.NoError(t, err)
		return e
	}
	put := func(t *testing.T, k, v string, w record.Write) error {
		t.Helper()
		return store.Put(t.Context(), k, value(v), w)
	}

	t.Run("a missing key has no value and no tag", func(t *testing.T) {
		e := get(t, key("missing"))
		require.Empty(t, e.Value)
		require.Empty(t, e.ETag)
	})
	t.Run("what is written is read, byte for byte as JSON", func(t *testing.T) {
		k := key("read")
		require.NoError(t, put(t, k, "a", record.Write{TTL: time.Minute}))
		e := get(t, k)
		require.JSONEq(t, string(value("a")), string(e.Value))
		require.NotEmpty(t, e.ETag)
	})
	t.Run("a first write happens once", func(t *testing.T) {
		k := key("first")
		require.NoError(t, put(t, k, "a", record.Write{TTL: time.Minute}))
		require.ErrorIs(t, put(t, k, "b", record.Write{TTL: time.Minute}), record.ErrConflict)
		require.JSONEq(t, string(value("a")), string(get(t, k).Value))
	})
	t.Run("of first writes of the same value one happens", func(t *testing.T) {
		k := key("same")
		done := make(chan error, 8)
		for range cap(done) {
			go func() { done <- store.Put(context.Background(), k, value("a"), record.Write{TTL: time.Minute}) }()
		}
		won := 0
		for range cap(done) {
			err := <-done
			if err == nil {
				won++
				continue
			}
			require.ErrorIs(t, err, record.ErrConflict)
		}
		require.Equal(t, 1, won)
		require.JSONEq(t, string(value("a")), string(get(t, k).Value))
	})
	t.Run("a write needs the current tag", func(t *testing.T) {
		k := key("tag")
		require.NoError(t, put(t, k, "a", record.Write{TTL: time.Minute}))
		old := get(t, k)
		require.NoError(t, put(t, k, "b", record.Write{ETag: old.ETag, TTL: time.Minute}))
		now := get(t, k)
		require.NotEqual(t, old.ETag, now.ETag)
		require.ErrorIs(t, put(t, k, "c", record.Write{ETag: old.ETag, TTL: time.Minute}), record.ErrConflict)
		require.JSONEq(t, string(value("b")), string(get(t, k).Value))
	})
	t.Run("a value ends with its time to live, and the key is free again", func(t *testing.T) {
		k := key("ttl")
		require.NoError(t, put(t, k, "a", record.Write{TTL: time.Second}))
		require.NotEmpty(t, get(t, k).Value)
		pass(2100 * time.Millisecond)
		require.Empty(t, get(t, k).Value)
		require.NoError(t, put(t, k, "b", record.Write{TTL: time.Minute}))
		require.JSONEq(t, string(value("b")), string(get(t, k).Value))
	})
	t.Run("a later write sets the life anew", func(t *testing.T) {
		k := key("extend")
		require.NoError(t, put(t, k, "a", record.Write{TTL: time.Second}))
		require.NoError(t, put(t, k, "b", record.Write{ETag: get(t, k).ETag, TTL: time.Minute}))
		pass(2100 * time.Millisecond)
		require.JSONEq(t, string(value("b")), string(get(t, k).Value))
	})
	t.Run("without a time to live a value stays", func(t *testing.T) {
		k := key("stay")
		require.NoError(t, put(t, k, "a", record.Write{}))
		pass(2100 * time.Millisecond)
		require.NotEmpty(t, get(t, k).Value)
	})
	t.Run("of many changes at once none is lost", func(t *testing.T) { counts(t, store, key("count")) })
	t.Run("only one takes", func(t *testing.T) { takes(t, store, key("take")) })
}

// counter is a record for tests.
type counter struct {
	N    int       `json:"n"`
	Ends time.Time `json:"exp"`
}

func book(store record.Store) *record.Book[counter] {
	return record.NewBook(store, time.Now, func(c *counter) time.Time { return c.Ends })
}

// counts lets two replicas, each with a book of its own, change one record.
func counts(t *testing.T, store record.Store, key string) {
	const each = 20
	books := []*record.Book[counter]{book(store), book(store)}
	ends := time.Now().Add(time.Minute)
	failed := make(chan error, 2*each)
	for _, b := range books {
		for range each {
			go func() {
				_, err := b.Update(context.Background(), key, func(c *counter) (*counter, error) {
					next := counter{N: 1, Ends: ends}
					if c != nil {
						next.N = c.N + 1
					}
					return &next, nil
				})
				failed <- err
			}()
		}
	}
	for range 2 * each {
		require.NoError(t, <-failed)
	}
	c, err := books[0].Get(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, 2*each, c.N)
}

func takes(t *testing.T, store record.Store, key string) {
	books := []*record.Book[counter]{book(store), book(store), book(store)}
	require.NoError(t, books[0].Create(t.Context(), key, &counter{N: 7, Ends: time.Now().Add(time.Minute)}))
	got := make(chan *counter, 12)
	failed := make(chan error, 12)
	for i := range 12 {
		go func() {
			c, err := books[i%3].Take(context.Background(), key)
			got <- c
			failed <- err
		}()
	}
	taken := 0
	for range 12 {
		require.NoError(t, <-failed)
		if c := <-got; c != nil {
			require.Equal(t, 7, c.N)
			taken++
		}
	}
	require.Equal(t, 1, taken)
	err := books[1].Create(t.Context(), key, &counter{N: 8, Ends: time.Now().Add(time.Minute)})
	require.ErrorIs(t, err, record.ErrConflict, "what was taken does not come back under its key")
}
