package inbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/apperr"
	"lms/shared/inbox"
	"lms/shared/outbox"
	"lms/shared/pg"
	"lms/shared/testkit"
)

// producer is a Producers that keeps events by their number.
type producer struct {
	mu     sync.Mutex
	kept   map[string]map[int64]json.RawMessage
	oldest int64 // stated; 1 if zero
	head   int64 // stated, if above what is kept
}

func (p *producer) keep(stream string, n int64, raw json.RawMessage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept == nil {
		p.kept = map[string]map[int64]json.RawMessage{}
	}
	if p.kept[stream] == nil {
		p.kept[stream] = map[int64]json.RawMessage{}
	}
	p.kept[stream][n] = raw
}

func (p *producer) Heads(context.Context, string) ([]outbox.Head, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var heads []outbox.Head
	for stream, ns := range p.kept {
		h := outbox.Head{Stream: stream, Oldest: max(p.oldest, 1), Head: p.head}
		for n := range ns {
			h.Head = max(h.Head, n)
		}
		heads = append(heads, h)
	}
	return heads, nil
}

func (p *producer) Kept(_ context.Context, _, stream string, from, to int64, limit int) ([]json.RawMessage, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []json.RawMessage
	for n := from; n <= to && len(out) < limit; n++ {
		if raw, ok := p.kept[stream][n]; ok {
			out = append(out, raw)
		}
	}
	return out, nil
}

const topic = "course.events"

type payload struct {
	Value int `json:"value"`
}

// event is a CloudEvent as the outbox publishes it.
func event(kind string, aggregate uuid.UUID, seq, n int64, value any) json.RawMessage {
	raw, err := json.Marshal(map[string]any{
		"specversion": "1.0", "id": uuid.New(), "type": kind, "source": "/lms/course", "subject": aggregate, "time": time.Now().UTC(),
		"seq": fmt.Sprint(seq), "stream": topic + "/1", "streamn": fmt.Sprint(n), "tenantid": uuid.New(), "data": map[string]any{"value": value},
	})
	if err != nil {
		panic(err)
	}
	return raw
}

type fixture struct {
	db *pg.DB
	in *inbox.Inbox
	p  *producer
	h  http.Handler
}

func setup(t *testing.T, register func(in *inbox.Inbox)) *fixture {
	t.Helper()
	f := &fixture{db: pg.From(testkit.DB(t, "kit"), pg.Options{Service: "enrollment"}), p: &producer{}}
	f.in = inbox.New(inbox.Options{DB: f.db, Producers: f.p, HoleAge: time.Millisecond})
	register(f.in)
	r := chi.NewRouter()
	f.in.Routes(r)
	f.h = r
	return f
}

// deliver posts a bulk as daprd does and returns the status of each entry.
func (f *fixture) deliver(t *testing.T, events ...json.RawMessage) []string {
	t.Helper()
	var entries []map[string]any
	for i, e := range events {
		entries = append(entries, map[string]any{"entryId": fmt.Sprint(i), "event": e, "contentType": "application/cloudevents+json"})
	}
	body, err := json.Marshal(map[string]any{"id": uuid.New(), "entries": entries})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	f.h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/events/"+topic, bytes.NewReader(body)))
	require.Equal(t, http.StatusOK, w.Code)
	var answer struct {
		Statuses []struct{ EntryID, Status string }
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
	var out []string
	for _, s := range answer.Statuses {
		out = append(out, s.Status)
	}
	return out
}

func allAre(t *testing.T, want string, got []string) {
	t.Helper()
	for _, s := range got {
		require.Equal(t, want, s)
	}
}

// sum is a fact handler whose effect is a row per event in a table of its own.
const effectTable = `create table effect (handler text not null, value int not null)`

func withEffects(t *testing.T, f *fixture) {
	t.Helper()
	_, err := testkit.OwnerDB(t, f.db.Pool).Exec(t.Context(), effectTable)
	require.NoError(t, err)
}

func record(handler string) inbox.BatchFunc {
	return func(ctx context.Context, u *pg.Unit, batch []inbox.Event) error {
		for _, e := range batch {
			p, err := inbox.Decode[payload](e)
			if err != nil {
				return err
			}
			if _, err := u.Exec(ctx, `insert into effect (handler, value) values ($1, $2)`, handler, p.Value); err != nil {
				return err
			}
		}
		return nil
	}
}

func effects(t *testing.T, f *fixture, handler string) []int32 {
	t.Helper()
	out, err := pg.Column[int32](t.Context(), f.db.Pool, `select value from effect where handler = $1 order by value`, handler)
	require.NoError(t, err)
	return out
}

func deadLetters(t *testing.T, f *fixture) []inbox.DeadLetter {
	t.Helper()
	out, err := inbox.DeadLetters(t.Context(), f.db.Pool, 100)
	require.NoError(t, err)
	return out
}

func TestTheSameEventAHundredTimesHasOneEffect(t *testing.T) {
	t.Parallel()
	f := setup(t, func(in *inbox.Inbox) {
		in.Fact("facts", topic, []string{"a"}, record("facts"))
		in.State("states", topic, []string{"a"}, record("states"))
	})
	withEffects(t, f)
	e := event("a", uuid.New(), 1, 1, 7)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 5 {
				allAre(t, "SUCCESS", f.deliver(t, e, e))
			}
		})
	}
	wg.Wait()
	require.Equal(t, []int32{7}, effects(t, f, "facts"))
	require.Equal(t, []int32{7}, effects(t, f, "states"))
}

func TestShuffledEventsEndInTheNewestState(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	state := map[uuid.UUID]int{}
	f := setup(t, func(in *inbox.Inbox) {
		in.State("states", topic, []string{"a"}, func(_ context.Context, u *pg.Unit, batch []inbox.Event) error {
			u.AfterCommit(func() {
				mu.Lock()
				defer mu.Unlock()
				for _, e := range batch {
					p, _ := inbox.Decode[payload](e)
					state[e.AggregateID] = p.Value
				}
			})
			return nil
		})
	})
	var all []json.RawMessage
	aggregates := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
	n := int64(0)
	for _, a := range aggregates {
		for seq := int64(1); seq <= 40; seq++ {
			n++
			all = append(all, event("a", a, seq, n, seq))
		}
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for i := 0; i < len(all); i += 7 {
		allAre(t, "SUCCESS", f.deliver(t, all[i:min(i+7, len(all))]...))
	}
	for _, a := range aggregates {
		require.Equal(t, 40, state[a])
	}
}

func TestAPoisonMessageIsBuriedAndDelaysNoOther(t *testing.T) {
	t.Parallel()
	f := setup(t, func(in *inbox.Inbox) { in.Fact("facts", topic, []string{"a"}, record("facts")) })
	withEffects(t, f)
	poison := event("a", uuid.New(), 1, 2, "not a number")
	statuses := f.deliver(t, event("a", uuid.New(), 1, 1, 1), poison, event("a", uuid.New(), 1, 3, 3), json.RawMessage(`"no event"`))
	require.Equal(t, []string{"SUCCESS", "SUCCESS", "SUCCESS", "SUCCESS"}, statuses)
	require.Equal(t, []int32{1, 3}, effects(t, f, "facts"))
	dead := deadLetters(t, f)
	require.Len(t, dead, 2)
	handlers := []string{dead[0].Handler, dead[1].Handler}
	require.ElementsMatch(t, []string{"facts", "unreadable"}, handlers)
}

func TestAPanicIsDeliveredAgain(t *testing.T) {
	t.Parallel()
	var tries atomic.Int64
	f := setup(t, func(in *inbox.Inbox) {
		in.Fact("facts", topic, []string{"a"}, func(context.Context, *pg.Unit, []inbox.Event) error {
			if tries.Add(1) < 3 { // once in the batch, once alone
				panic("out of cheese")
			}
			return nil
		})
	})
	e := event("a", uuid.New(), 1, 1, 1)
	require.Equal(t, []string{"RETRY"}, f.deliver(t, e))
	require.Equal(t, []string{"SUCCESS"}, f.deliver(t, e))
	require.Empty(t, deadLetters(t, f))
}

func TestADefectThatNeverHealsBecomesADeadLetter(t *testing.T) {
	t.Parallel()
	f := setup(t, func(in *inbox.Inbox) {
		in.Fact("facts", topic, []string{"a"}, func(context.Context, *pg.Unit, []inbox.Event) error { return errors.New("a defect") })
	})
	e := event("a", uuid.New(), 1, 1, 1)
	var statuses []string
	for range 10 {
		statuses = append(statuses, f.deliver(t, e)...)
	}
	require.Equal(t, "RETRY", statuses[0])
	require.Equal(t, "SUCCESS", statuses[9])
	require.Len(t, deadLetters(t, f), 1)
}

func TestAnOutageBuriesNothingHoweverLong(t *testing.T) {
	t.Parallel()
	away := true
	f := setup(t, func(in *inbox.Inbox) {
		in.Fact("facts", topic, []string{"a"}, func(context.Context, *pg.Unit, []inbox.Event) error {
			if away {
				return apperr.Unavailable("database_unavailable", "Away.")
			}
			return nil
		})
	})
	e := event("a", uuid.New(), 1, 1, 1)
	for range 200 {
		require.Equal(t, []string{"RETRY"}, f.deliver(t, e))
	}
	require.Empty(t, deadLetters(t, f))
	away = false
	require.Equal(t, []string{"SUCCESS"}, f.deliver(t, e))
}

func TestARedrivenDeadLetterReachesItsOneHandler(t *testing.T) {
	t.Parallel()
	broken := true
	f := setup(t, func(in *inbox.Inbox) {
		in.Fact("healthy", topic, []string{"a"}, record("healthy"))
		in.Fact("broken", topic, []string{"a"}, func(ctx context.Context, u *pg.Unit, batch []inbox.Event) error {
			if broken {
				return inbox.Permanent(errors.New("cannot be"))
			}
			return record("broken")(ctx, u, batch)
		})
	})
	withEffects(t, f)
	allAre(t, "SUCCESS", f.deliver(t, event("a", uuid.New(), 1, 1, 5)))
	require.Equal(t, []int32{5}, effects(t, f, "healthy"))
	dead := deadLetters(t, f)
	require.Len(t, dead, 1)
	require.Error(t, f.in.Redrive(t.Context(), dead[0].ID))
	broken = false
	require.NoError(t, f.in.Redrive(t.Context(), dead[0].ID))
	require.Equal(t, []int32{5}, effects(t, f, "healthy"))
	require.Equal(t, []int32{5}, effects(t, f, "broken"))
	require.Empty(t, deadLetters(t, f))
}

func TestWhatTheBrokerDroppedIsFoundAndFetched(t *testing.T) {
	t.Parallel()
	f := setup(t, func(in *inbox.Inbox) { in.Fact("facts", topic, []string{"a"}, record("facts")) })
	withEffects(t, f)
	// The broker drops 3 and 4 in the middle and 9 and 10 at the end.
	for n := int64(1); n <= 10; n++ {
		e := event("a", uuid.New(), 1, n, n)
		f.p.keep(topic+"/1", n, e)
		if n != 3 && n != 4 && n < 9 {
			allAre(t, "SUCCESS", f.deliver(t, e))
		}
	}
	require.Len(t, effects(t, f, "facts"), 6)
	require.Eventually(t, func() bool {
		require.NoError(t, f.in.Repair(t.Context()))
		return len(effects(t, f, "facts")) == 10
	}, 5*time.Second, 5*time.Millisecond)
	require.Equal(t, []int32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, effects(t, f, "facts"))
}

func TestANewConsumerGetsAllThatIsKept(t *testing.T) {
	t.Parallel()
	f := setup(t, func(in *inbox.Inbox) { in.Fact("facts", topic, []string{"a"}, record("facts")) })
	withEffects(t, f)
	for n := int64(1); n <= 700; n++ {
		f.p.keep(topic+"/1", n, event("a", uuid.New(), 1, n, n))
	}
	require.Eventually(t, func() bool {
		require.NoError(t, f.in.Repair(t.Context()))
		return len(effects(t, f, "facts")) == 700
	}, 10*time.Second, 5*time.Millisecond)
}

func TestReplayGivesOneHandlerItsHistoryAgain(t *testing.T) {
	t.Parallel()
	f := setup(t, func(in *inbox.Inbox) {
		in.Fact("one", topic, []string{"a"}, record("one"))
		in.State("two", topic, []string{"a"}, record("two"))
	})
	withEffects(t, f)
	a := uuid.New()
	for n := int64(1); n <= 3; n++ {
		e := event("a", a, n, n, n)
		f.p.keep(topic+"/1", n, e)
		allAre(t, "SUCCESS", f.deliver(t, e))
	}
	n, err := f.in.Replay(t.Context(), "one", time.Time{})
	require.NoError(t, err)
	require.Equal(t, 3, n)
	require.Equal(t, []int32{1, 1, 2, 2, 3, 3}, effects(t, f, "one"))
	_, err = f.in.Replay(t.Context(), "two", time.Time{})
	require.NoError(t, err)
	require.Equal(t, []int32{1, 2, 3, 3}, effects(t, f, "two"), "only the newest state is applied again")
}

func TestReliableCallsAreAppliedOnceAndInOrder(t *testing.T) {
	t.Parallel()
	type score struct{ Score int }
	type kept struct{ Score int }
	var applied []int
	f := setup(t, func(in *inbox.Inbox) {
		inbox.Receive(in, "progress-report", []string{"content"}, func(_ context.Context, u *pg.Unit, m inbox.CallMeta, s score) (kept, error) {
			if s.Score < 0 {
				return kept{}, apperr.Invalid(apperr.Field{Path: "score", Code: "negative", Message: "Negative."})
			}
			u.AfterCommit(func() { applied = append(applied, s.Score) })
			return kept(s), nil
		})
	})
	send := func(caller string, id uuid.UUID, seq int64, value int) (string, error) {
		data, err := json.Marshal(score{value})
		require.NoError(t, err)
		reply, err := f.in.ReceiveCall(t.Context(), "progress-report", caller,
			outbox.CallEnvelope{CallID: id, Source: "content", Key: "attempt", Seq: seq, Data: data})
		return string(reply), err
	}
	first, second := uuid.New(), uuid.New()
	reply, err := send("content", second, 2, 60)
	require.NoError(t, err)
	require.JSONEq(t, `{"Score":60}`, reply)
	reply, err = send("content", first, 1, 80)
	require.NoError(t, err)
	require.Empty(t, reply, "a late old score changes nothing")
	reply, err = send("content", second, 2, 60)
	require.NoError(t, err)
	require.JSONEq(t, `{"Score":60}`, reply, "a repeated call gets its reply again")
	require.Equal(t, []int{60}, applied)

	_, err = send("assignment", uuid.New(), 3, 1)
	require.True(t, apperr.IsKind(err, apperr.KindForbidden), "another service may not call in its name")
	_, err = send("content", uuid.New(), 4, -1)
	require.True(t, apperr.IsKind(err, apperr.KindInvalid))
	_, err = send("content", uuid.New(), 4, 70)
	require.NoError(t, err, "a refused call does not use up its number")
	require.Equal(t, []int{60, 70}, applied)
}

func TestSubscriptionsAreInBulk(t *testing.T) {
	t.Parallel()
	f := setup(t, func(in *inbox.Inbox) { in.Fact("facts", topic, []string{"a"}, record("facts")) })
	w := httptest.NewRecorder()
	f.h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/dapr/subscribe", nil))
	require.JSONEq(t, `[{"pubsubname":"events-course","topic":"course.events","route":"/events/course.events",
	  "bulkSubscribe":{"enabled":true,"maxMessagesCount":200,"maxAwaitDurationMs":20},"metadata":{"rawPayload":"true"}}]`, w.Body.String())
}

// TestAHandlerThatRemembersByItself is given what comes again, and costs no second
// memory; numbers are watched for it as for all others.
func TestAHandlerThatRemembersByItself(t *testing.T) {
	t.Parallel()
	f := setup(t, func(in *inbox.Inbox) { in.Own("keeps", topic, []string{"lms.course.viewed.v1"}, record("keeps")) })
	withEffects(t, f)
	e := event("lms.course.viewed.v1", uuid.New(), 1, 1, 7)
	allAre(t, "SUCCESS", f.deliver(t, e))
	allAre(t, "SUCCESS", f.deliver(t, e))
	var given, remembered, streams int
	require.NoError(t, f.db.Pool.QueryRow(t.Context(), `select (select count(*) from effect), (select count(*) from inbox), (select count(*) from stream_position)`).
		Scan(&given, &remembered, &streams))
	require.Equal(t, []int{2, 0, 1}, []int{given, remembered, streams})
}
