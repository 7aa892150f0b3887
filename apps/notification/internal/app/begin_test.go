package app

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/notification/internal/notification"
	"lms/shared/apperr"
	"lms/shared/clock"
	"lms/shared/inbox"
	"lms/shared/page"
	"lms/shared/record/recordtest"
)

// An operator changes the component `state`: the publishers' kept events are all read
// again, by a service that remembers nothing.
func TestOnAnEmptyStoreOldEventsAreListedAndNotMailed(t *testing.T) {
	t.Parallel()
	ages := []time.Duration{30 * 24 * time.Hour, 25 * time.Hour, time.Hour + time.Second, time.Hour, time.Minute, 0}
	for name, tc := range map[string]struct {
		before func(w *world) // what happened to the store
		wait   time.Duration  // since the store came into use
		mails  int
	}{
		"an empty store": {mails: 3},
		"one that came into use while the broker was away": {before: began, wait: 24 * time.Hour, mails: 5},
		"one that is older than the oldest event":          {before: began, wait: 31 * 24 * time.Hour, mails: len(ages)},
		"one that had positions before the beginning was noted": {before: func(w *world) {
			e := w.enrolled(w.person("en"))
			e.Stream, e.N = "enrollment.events/1", 1
			w.consume(w.built, e)
			require.NoError(w.t, w.built.consumer.Flush(w.t.Context()))
			w.store.(*recordtest.Memory).Forget("began")
		}, mails: len(ages) + 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := clock.NewManual(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
			w := worldOn(t, recordtest.New(t, c.Now), c.Now)
			if tc.before != nil {
				tc.before(w)
			}
			c.Advance(tc.wait)
			b, _ := w.replica(w.store)
			who := w.person("en")
			batch := make([]inbox.Event, len(ages))
			for i, age := range ages {
				batch[i] = w.enrolled(who)
				batch[i].Time = c.Now().Add(-age)
			}
			w.consume(b, batch...)
			w.consume(b, batch...) // whatever comes again
			listed, _, err := b.service.Messages(t.Context(), who, notification.Filter{}, page.Request{Limit: 200})
			require.NoError(t, err)
			require.Len(t, listed.Items, len(ages), "nothing is lost")
			require.Equal(t, tc.mails, w.waiting(b))
		})
	}
}

// began is what a running service does at once.
func began(w *world) {
	_, err := w.built.consumer.Began(w.t.Context())
	require.NoError(w.t, err)
}

// While it cannot be known since when the store is in use, nothing is decided.
func TestWhileTheStoreIsAwayEventsComeAgain(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	store := recordtest.New(t, c.Now)
	w := worldOn(t, store, c.Now)
	e := w.enrolled(w.person("en"))
	store.SetFail(true)
	require.True(t, apperr.IsKind(w.built.consumer.Apply(t.Context(), []inbox.Event{e})[0], apperr.KindUnavailable))
	store.SetFail(false)
	w.consume(w.built, e)
	require.Equal(t, 1, w.waiting(w.built))
}

// waiting is how many mails wait, for everybody together.
func (w *world) waiting(b *built) (n int) {
	w.t.Helper()
	w.people.mu.Lock()
	defer w.people.mu.Unlock()
	for id, card := range w.people.cards {
		kept, err := b.service.Export(w.t.Context(), id, card.TenantID)
		require.NoError(w.t, err)
		var mails []json.RawMessage
		require.NoError(w.t, json.Unmarshal(kept["notification_mails"], &mails))
		n += len(mails)
	}
	return n
}
