package record_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/shared/apperr"
	"lms/shared/clock"
	"lms/shared/record"
	"lms/shared/record/recordtest"
)

type note struct {
	Text string    `json:"text"`
	Ends time.Time `json:"exp"`
}

func setup() (*clock.Manual, *recordtest.Memory, *record.Book[note]) {
	c := clock.NewManual(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC))
	store := recordtest.NewMemory(c.Now)
	return c, store, record.NewBook(store, c.Now, func(n *note) time.Time { return n.Ends })
}

func TestAValueEndsByItselfWhereTheStoreForgetsToEndIt(t *testing.T) {
	t.Parallel()
	c, store, book := setup()
	require.NoError(t, book.Create(t.Context(), "k", &note{Text: "a", Ends: c.Now().Add(time.Minute)}))
	store.Now = func() time.Time { return time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC) } // the store's clock stands still
	c.Advance(time.Minute)
	n, err := book.Get(t.Context(), "k")
	require.NoError(t, err)
	require.Nil(t, n)
	got, err := book.Update(t.Context(), "k", func(current *note) (*note, error) {
		require.Nil(t, current)
		return &note{Text: "b", Ends: c.Now().Add(time.Minute)}, nil
	})
	require.NoError(t, err)
	require.Equal(t, "b", got.Text)
}

func TestWhatEndedIsNotBroughtBackByASlowWriter(t *testing.T) {
	t.Parallel()
	c, store, book := setup()
	other := record.NewBook(store, c.Now, func(n *note) time.Time { return n.Ends })
	ends := c.Now().Add(time.Hour)
	require.NoError(t, book.Create(t.Context(), "k", &note{Text: "a", Ends: ends}))
	first := true
	_, err := book.Update(t.Context(), "k", func(current *note) (*note, error) {
		if first {
			first = false
			_, err := other.Update(context.Background(), "k", func(*note) (*note, error) { return nil, nil }) //nolint:nilnil // nil ends it
			require.NoError(t, err)
		}
		if current == nil {
			return nil, errors.New("it has ended")
		}
		return &note{Text: "late", Ends: ends}, nil
	})
	require.EqualError(t, err, "it has ended")
	e, err := store.Get(t.Context(), "k")
	require.NoError(t, err)
	require.NotEmpty(t, e.ETag, "a mark stays, so that an old tag never fits again")
}

func TestAValueThatNobodyCanReadIsLost(t *testing.T) {
	t.Parallel()
	c, store, book := setup()
	for _, raw := range []string{`nonsense`, `{"text":5}`, `[]`, `{"gone":true}`} {
		require.NoError(t, store.Put(t.Context(), "k"+raw, []byte(raw), record.Write{TTL: time.Minute}))
		n, err := book.Get(t.Context(), "k"+raw)
		require.NoError(t, err)
		require.Nil(t, n, raw)
		_, err = book.Update(t.Context(), "k"+raw, func(*note) (*note, error) { return &note{Ends: c.Now().Add(time.Minute)}, nil })
		require.NoError(t, err)
	}
}

func TestAnUpdateGivesUp(t *testing.T) {
	t.Parallel()
	c, store, book := setup()
	other := record.NewBook(store, c.Now, func(n *note) time.Time { return n.Ends })
	set := func(b *record.Book[note], text string, before func()) error {
		_, err := b.Update(t.Context(), "k", func(*note) (*note, error) {
			before()
			return &note{Text: text, Ends: c.Now().Add(time.Hour)}, nil
		})
		return err
	}
	tries := 0
	err := set(book, "mine", func() {
		tries++
		require.NoError(t, set(other, "theirs", func() {}))
	})
	require.Equal(t, "state_busy", apperr.Code(err))
	require.Equal(t, 24, tries)
	n, err := book.Get(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, "theirs", n.Text)
}

func TestWaitingForAKeyEndsWithTheRequest(t *testing.T) {
	t.Parallel()
	_, _, book := setup()
	entered, leave := make(chan struct{}), make(chan struct{})
	go func() {
		_, _ = book.Update(context.Background(), "k", func(*note) (*note, error) {
			close(entered)
			<-leave
			return nil, record.ErrKeep
		})
	}()
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := book.Update(ctx, "k", func(*note) (*note, error) { return nil, record.ErrKeep })
	require.ErrorIs(t, err, context.Canceled)
	close(leave)
}
