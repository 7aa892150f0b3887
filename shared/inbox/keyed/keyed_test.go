package keyed_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/apperr"
	"lms/shared/clock"
	"lms/shared/contracts"
	"lms/shared/inbox"
	"lms/shared/inbox/keyed"
	"lms/shared/outbox"
	"lms/shared/record/recordtest"
)

const topic = "course.events"

// applier counts each event, and fails as it is told.
type applier struct {
	mu      sync.Mutex
	applied map[uuid.UUID]int
	fail    func(inbox.Event) error
}

func (a *applier) Apply(_ context.Context, batch []inbox.Event) []error {
	a.mu.Lock()
	defer a.mu.Unlock()
	errs := make([]error, len(batch))
	for i, e := range batch {
		if a.fail != nil {
			errs[i] = a.fail(e)
		}
		if errs[i] == nil {
			a.applied[e.ID]++
		}
	}
	return errs
}

func (a *applier) count(id uuid.UUID) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.applied[id]
}

func topics() []string {
	var out []string
	for _, t := range contracts.Topics() {
		out = append(out, t.Name)
	}
	return out
}

// producers keep the events of one stream.
type producers struct {
	mu     sync.Mutex
	kept   map[int64]json.RawMessage
	oldest int64
	head   int64
	asked  int
}

func (p *producers) Heads(_ context.Context, app string) ([]outbox.Head, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if app != "course" {
		return nil, apperr.Unavailable("service_unavailable", app+" is away")
	}
	return []outbox.Head{{Stream: topic + "/1", Oldest: p.oldest, Head: p.head}}, nil
}

func (p *producers) Kept(_ context.Context, _, _ string, from, to int64, limit int) (out []json.RawMessage, _ error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	for n := from; n <= to && len(out) < limit; n++ {
		if raw, ok := p.kept[n]; ok {
			out = append(out, raw)
		}
	}
	return out, nil
}

type world struct {
	t     *testing.T
	clock *clock.Manual
	store *recordtest.Memory
	a     *applier
	p     *producers
	c     *keyed.Consumer
	http  http.Handler
}

func newWorld(t *testing.T) *world {
	t.Helper()
	c := clock.NewManual(time.Now())
	w := &world{
		t: t, clock: c, store: recordtest.New(t, c.Now), a: &applier{applied: map[uuid.UUID]int{}},
		p: &producers{kept: map[int64]json.RawMessage{}, oldest: 1},
	}
	w.c = w.replica()
	r := chi.NewRouter()
	w.c.Subscriber().Routes(r)
	w.http = r
	return w
}

func (w *world) replica() *keyed.Consumer {
	return keyed.New(keyed.Options{Handler: "notification", Topics: topics(), Store: w.store, Apply: w.a.Apply, Producers: w.p, Now: w.clock.Now, NewID: uuid.New, HoleAge: time.Nanosecond})
}

func (w *world) event(n int64) (uuid.UUID, json.RawMessage) {
	id := uuid.New()
	raw, err := json.Marshal(map[string]any{
		"specversion": "1.0", "id": id, "type": "lms.course.viewed.v1", "source": "course", "subject": uuid.New(), "seq": "1",
		"stream": topic + "/1", "streamn": fmt.Sprint(n), "time": w.clock.Now(), "data": map[string]string{},
	})
	require.NoError(w.t, err)
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	w.p.kept[n], w.p.head = raw, max(w.p.head, n)
	return id, raw
}

// deliver posts a bulk as daprd does, and returns the status of each entry.
func (w *world) deliver(raws ...json.RawMessage) []string {
	w.t.Helper()
	type entry struct {
		EntryID string `json:"entryId"`
		Event   string `json:"event"`
	}
	body := struct {
		Entries []entry `json:"entries"`
	}{}
	for i, raw := range raws {
		body.Entries = append(body.Entries, entry{fmt.Sprint(i), base64.StdEncoding.EncodeToString(raw)})
	}
	data, err := json.Marshal(body)
	require.NoError(w.t, err)
	rec := httptest.NewRecorder()
	w.http.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/events/"+topic, bytes.NewReader(data)))
	require.Equal(w.t, http.StatusOK, rec.Code)
	var out struct {
		Statuses []struct {
			EntryID string `json:"entryId"`
			Status  string `json:"status"`
		} `json:"statuses"`
	}
	require.NoError(w.t, json.Unmarshal(rec.Body.Bytes(), &out))
	var statuses []string
	for _, s := range out.Statuses {
		statuses = append(statuses, s.Status)
	}
	return statuses
}

func (w *world) letters() []inbox.DeadLetter {
	w.t.Helper()
	ls, err := w.c.Letters().List(w.t.Context(), 100)
	require.NoError(w.t, err)
	return ls
}

func TestEveryTopicIsSubscribedInBulk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rec := httptest.NewRecorder()
	w.http.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/dapr/subscribe", nil))
	var subs []struct {
		PubsubName    string `json:"pubsubname"`
		Topic         string `json:"topic"`
		BulkSubscribe struct {
			Enabled bool `json:"enabled"`
		} `json:"bulkSubscribe"`
	}
	require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &subs))
	require.Len(t, subs, len(contracts.Topics()))
	for _, s := range subs {
		require.True(t, contracts.MayConsume("notification", s.Topic))
		require.True(t, s.BulkSubscribe.Enabled)
	}
}

func TestAPoisonousEventHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good, goodRaw := w.event(1)
	bad, badRaw := w.event(2)
	away, awayRaw := w.event(3)
	w.a.fail = func(e inbox.Event) error {
		switch e.ID {
		case bad:
			return apperr.New(apperr.KindInvalid, "event_unreadable", "It cannot be read.")
		case away:
			return errors.Join(errors.New("x"), apperr.Unavailable("service_unavailable", "user is away"))
		}
		return nil
	}
	require.Equal(t, []string{"SUCCESS", "SUCCESS", "RETRY", "SUCCESS"}, w.deliver(goodRaw, badRaw, awayRaw, json.RawMessage(`no event`)))
	require.Equal(t, 1, w.a.count(good))
	letters := w.letters()
	require.Len(t, letters, 2)
	require.ElementsMatch(t, []string{"event_unreadable", "permanent_failure"}, []string{letters[0].Code, letters[1].Code})
	for range 20 {
		require.Equal(t, []string{"RETRY"}, w.deliver(awayRaw), "what is away says nothing about the event")
	}
	require.Len(t, w.letters(), 2)
}

func TestAnEventThatFailsByItselfEndsAsADeadLetter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, raw := w.event(1)
	w.a.fail = func(inbox.Event) error { return errors.New("a defect") }
	for range 9 {
		require.Equal(t, []string{"RETRY"}, w.deliver(raw))
	}
	require.Equal(t, []string{"SUCCESS"}, w.deliver(raw))
	letters := w.letters()
	require.Len(t, letters, 1)
	require.Equal(t, id, *letters[0].EventID)
	require.Error(t, w.c.Redrive(t.Context(), letters[0].ID))
	require.Equal(t, 2, w.letters()[0].Attempts)
	w.a.fail = nil
	require.NoError(t, w.c.Redrive(t.Context(), letters[0].ID))
	require.Equal(t, 1, w.a.count(id))
	require.Empty(t, w.letters())
	require.True(t, apperr.IsKind(w.c.Redrive(t.Context(), uuid.New()), apperr.KindNotFound))
}

func TestHolesAreFetchedByOneReplica(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var ids []uuid.UUID
	var raws []json.RawMessage
	for n := int64(1); n <= 9; n++ {
		id, raw := w.event(n)
		ids, raws = append(ids, id), append(raws, raw)
	}
	w.deliver(raws[0], raws[1], raws[4], raws[8])
	require.NoError(t, w.c.Flush(t.Context()))
	for range 3 { // the first look finds the holes, the next ones see that they are old
		_ = w.c.Repair(t.Context()) // the other producers are away, which is no error
	}
	for _, id := range ids {
		require.Equal(t, 1, w.a.count(id))
	}
	other := w.replica()
	asked := w.p.asked
	require.NoError(t, other.Repair(t.Context()), "another replica has the lease")
	require.Equal(t, asked, w.p.asked)
	w.clock.Advance(time.Minute)
	for range 3 {
		require.NoError(t, other.Repair(t.Context()))
	}
	require.Equal(t, asked, w.p.asked, "nothing is missing")
}

func TestWhatNobodyKeepsIsToldOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, first := w.event(1)
	_, last := w.event(9)
	w.deliver(first, last)
	w.p.oldest = 9
	for range 3 {
		require.NoError(t, w.c.Repair(t.Context()))
	}
	letters := w.letters()
	require.Len(t, letters, 1)
	require.Equal(t, inbox.CodeLost, letters[0].Code)
	require.Equal(t, topic+"/1 2..8", letters[0].Payload)
}

// The process dies after the effect and before it has noted the number: the event is
// fetched again, which the person's document knows how to take.
func TestANumberThatWasNotNotedIsFetchedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, raw := w.event(1)
	w.deliver(raw)
	again := w.replica()
	for range 3 {
		require.NoError(t, again.Repair(t.Context()))
	}
	require.Equal(t, 2, w.a.count(id))
}

func TestAStoreKnowsSinceWhenItIsInUse(t *testing.T) {
	t.Parallel()
	t.Run("since it was first looked at and held nothing", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		began := w.clock.Now()
		for range 3 {
			at, err := w.replica().Began(t.Context())
			require.NoError(t, err)
			require.True(t, at.Equal(began), "%s, not %s", at, began)
			_, raw := w.event(1)
			w.deliver(raw)
			require.NoError(t, w.c.Flush(t.Context()))
			w.clock.Advance(time.Hour)
		}
	})
	t.Run("of two replicas that look at once the first counts", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		began := w.clock.Now()
		var once sync.Once
		w.store.Before(func(op, key string) {
			if op == "put" && key == "began" {
				once.Do(func() {
					w.store.Before(nil)
					_, err := w.replica().Began(t.Context())
					require.NoError(t, err)
				})
			}
		})
		w.clock.Advance(time.Hour)
		at, err := w.c.Began(t.Context())
		require.NoError(t, err)
		again, err := w.replica().Began(t.Context())
		require.NoError(t, err)
		require.True(t, at.Equal(again))
		require.True(t, at.Equal(began.Add(time.Hour)))
	})
	t.Run("always, where it held positions before this was noted", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		_, raw := w.event(1)
		w.deliver(raw)
		require.NoError(t, w.c.Flush(t.Context()))
		at, err := w.replica().Began(t.Context())
		require.NoError(t, err)
		require.Zero(t, at)
	})
	t.Run("unknown while it is away", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.store.SetFail(true)
		_, err := w.c.Began(t.Context())
		require.True(t, apperr.IsKind(err, apperr.KindUnavailable))
		w.store.SetFail(false)
		_, err = w.c.Began(t.Context())
		require.NoError(t, err)
	})
}

func TestReplayBringsWhatIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old, _ := w.event(1)
	since := w.clock.Advance(time.Hour)
	recent, _ := w.event(2)
	n, err := w.c.Replay(t.Context(), topic, since)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Zero(t, w.a.count(old))
	require.Equal(t, 1, w.a.count(recent))
	n, err = w.c.Replay(t.Context(), "notification", time.Time{})
	require.Error(t, err, "the other producers are away")
	require.Equal(t, 2, n, "which holds up no other")
	_, err = w.c.Replay(t.Context(), "nonsense", since)
	require.True(t, apperr.IsKind(err, apperr.KindNotFound))
}
