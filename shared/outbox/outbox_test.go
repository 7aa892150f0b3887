package outbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/apperr"
	"lms/shared/contracts/events"
	"lms/shared/outbox"
	"lms/shared/pg"
	"lms/shared/testkit"
	"lms/shared/work"
)

// broker is a Transport that keeps what it is given and fails as told.
type broker struct {
	mu        sync.Mutex
	events    []map[string]any
	calls     []outbox.CallEnvelope
	mails     [][]byte
	largest   int // bytes of the largest bulk
	failEvent func(id string) bool
	publish   error
	call      func(outbox.CallEnvelope) ([]byte, error)
}

func (b *broker) PublishBulk(_ context.Context, _, _ string, ms []outbox.Message) (failed []string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.publish != nil {
		return nil, b.publish
	}
	size := 0
	for _, m := range ms {
		size += len(m.Body)
	}
	b.largest = max(b.largest, size)
	for _, m := range ms {
		if b.failEvent != nil && b.failEvent(m.ID) {
			failed = append(failed, m.ID)
			continue
		}
		var e map[string]any
		if err := json.Unmarshal(m.Body, &e); err != nil {
			return nil, err
		}
		b.events = append(b.events, e)
	}
	if len(failed) > 0 {
		return failed, errors.New("some failed")
	}
	return nil, nil
}

func (b *broker) Call(_ context.Context, _, _ string, body []byte) ([]byte, error) {
	var env outbox.CallEnvelope
	if err := json.Unmarshal(body, &env); err != nil {
		return nil, err
	}
	b.mu.Lock()
	b.calls = append(b.calls, env)
	answer := b.call
	b.mu.Unlock()
	if answer == nil {
		return []byte(`{"ok":true}`), nil
	}
	return answer(env)
}

func (b *broker) Send(_ context.Context, _ string, data []byte, _ map[string]string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mails = append(b.mails, data)
	return b.publish
}

func (b *broker) published() []map[string]any {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.events)
}

func (b *broker) set(fn func()) { b.mu.Lock(); defer b.mu.Unlock(); fn() }

func start(t *testing.T, b *broker) (*pg.DB, *outbox.Outbox) {
	t.Helper()
	db := pg.From(testkit.DB(t, "kit"), pg.Options{Service: "course"})
	ob := outbox.New(outbox.Options{DB: db, Transport: b, Compose: func(_ uuid.UUID, row pg.PendingCall) ([]byte, map[string]string, error) {
		return row.Body, nil, nil
	}})
	run(t, ob)
	return db, ob
}

// run runs an outbox until the test ends, and waits for its end.
func run(t *testing.T, ob *outbox.Outbox) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = ob.Run(ctx) })
	stop = func() { cancel(); wg.Wait() }
	t.Cleanup(stop)
	return stop
}

func emit(t *testing.T, db *pg.DB, course uuid.UUID) {
	t.Helper()
	require.NoError(t, db.InTx(t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		return u.Emit(ctx, events.CourseViewed{CourseID: course}, work.Meta{})
	}))
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, 15*time.Second, 20*time.Millisecond, what)
}

// requireGapFree: every stream is numbered 1..n without a gap, and seq of each
// aggregate rises with n.
func requireGapFree(t *testing.T, got []map[string]any) {
	t.Helper()
	numbers := map[string]map[int]bool{}
	for _, e := range got {
		stream := e["stream"].(string)
		if numbers[stream] == nil {
			numbers[stream] = map[int]bool{}
		}
		var n int
		_, err := fmt.Sscan(e["streamn"].(string), &n)
		require.NoError(t, err)
		numbers[stream][n] = true
	}
	for stream, ns := range numbers {
		require.Equal(t, len(ns), slices.Max(slices.Collect(maps.Keys(ns))), "stream %s has a gap", stream)
	}
}

func TestEveryCommittedEventIsPublishedNumberedWithoutGaps(t *testing.T) {
	t.Parallel()
	b := &broker{}
	db, _ := start(t, b)
	courses := []uuid.UUID{uuid.New(), uuid.New(), uuid.New(), uuid.New()}
	var wg sync.WaitGroup
	for _, c := range courses {
		wg.Go(func() {
			for range 50 {
				emit(t, db, c)
			}
		})
	}
	wg.Wait()
	eventually(t, "200 events", func() bool { return len(b.published()) == 200 })
	requireGapFree(t, b.published())
	last := map[string]int{}
	for _, e := range b.published() {
		var seq int
		_, err := fmt.Sscan(e["seq"].(string), &seq)
		require.NoError(t, err)
		require.Equal(t, last[e["subject"].(string)]+1, seq, "events of an aggregate go out in order")
		last[e["subject"].(string)] = seq
	}
}

func TestABrokerThatIsAwayGetsTheSameNumbersLater(t *testing.T) {
	t.Parallel()
	b := &broker{publish: errors.New("broker down")}
	db, ob := start(t, b)
	require.NoError(t, ob.Refused())
	course := uuid.New()
	for range 20 {
		emit(t, db, course)
	}
	eventually(t, "told", func() bool { return ob.Refused() != nil && ob.Refused().Error() == "broker down" })
	eventually(t, "numbered", func() bool {
		n, err := pg.Scalar[int64](t.Context(), db.Pool, "count", `select count(*) from outbox where n is not null`)
		return err == nil && n == 20
	})
	b.set(func() { b.publish = nil })
	eventually(t, "20 events", func() bool { return len(b.published()) == 20 })
	requireGapFree(t, b.published())
	eventually(t, "no longer told", func() bool { return ob.Refused() == nil })
}

func TestAFailedEntryHoldsBackOnlyItsAggregate(t *testing.T) {
	t.Parallel()
	b := &broker{}
	db, _ := start(t, b)
	bad, good := uuid.New(), uuid.New()
	var first string
	b.set(func() { b.failEvent = func(id string) bool { return id == first } })
	require.NoError(t, db.InTx(t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		return u.Emit(ctx, events.CourseViewed{CourseID: bad}, work.Meta{})
	}))
	// The id is known only after the write, so the first event may have gone:
	// the second one of the same aggregate is the one that fails then.
	eventually(t, "first out", func() bool { return len(b.published()) == 1 })
	b.set(func() { b.failEvent = func(string) bool { return true } })
	emit(t, db, bad)
	eventually(t, "refused once", func() bool {
		n, err := pg.Scalar[int64](t.Context(), db.Pool, "count", `select count(*) from outbox where n is not null and published_at is null`)
		return err == nil && n == 1
	})
	b.set(func() { b.failEvent = nil })
	emit(t, db, good)
	eventually(t, "all out in the end", func() bool { return len(b.published()) == 3 })
	requireGapFree(t, b.published())
}

func TestTwoReplicasShareTheShardsAndOneTakesOver(t *testing.T) {
	t.Parallel()
	b := &broker{}
	db := pg.From(testkit.DB(t, "kit"), pg.Options{Service: "course"})
	stopFirst := run(t, outbox.New(outbox.Options{DB: db, Transport: b}))
	emit(t, db, uuid.New())
	eventually(t, "one", func() bool { return len(b.published()) == 1 })
	other := pg.From(db.Pool, pg.Options{Service: "course"})
	run(t, outbox.New(outbox.Options{DB: other, Transport: b}))
	stopFirst()
	for range 30 {
		emit(t, other, uuid.New())
	}
	eventually(t, "taken over", func() bool { return len(b.published()) == 31 })
	requireGapFree(t, b.published())
}

func TestABulkFitsIntoOneRequestToTheSidecar(t *testing.T) {
	t.Parallel()
	b := &broker{}
	db := pg.From(testkit.DB(t, "kit"), pg.Options{Service: "course"})
	for range 20 {
		require.NoError(t, db.InTx(t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
			return u.Emit(ctx, events.AnnouncementPublished{CourseID: uuid.New(), Text: strings.Repeat("x", 250<<10)}, work.Meta{})
		}))
	}
	run(t, outbox.New(outbox.Options{DB: db, Transport: b}))
	eventually(t, "20 events", func() bool { return len(b.published()) == 20 })
	b.set(func() { require.Less(t, b.largest, 4<<20) })
}

func TestKeptEventsAreServedAsTheyWerePublished(t *testing.T) {
	t.Parallel()
	b := &broker{}
	db, ob := start(t, b)
	course := uuid.New()
	for range 5 {
		emit(t, db, course)
	}
	eventually(t, "5 events", func() bool { return len(b.published()) == 5 })
	stream := outbox.StreamName("course.events", pg.ShardOf(course))
	kept, err := ob.Kept(t.Context(), stream, 2, 4, 100)
	require.NoError(t, err)
	require.Len(t, kept, 3)
	var e map[string]any
	require.NoError(t, json.Unmarshal(kept[0], &e))
	require.Equal(t, b.published()[1], e)
	heads, err := ob.Heads(t.Context())
	require.NoError(t, err)
	require.Contains(t, heads, outbox.Head{Stream: stream, Oldest: 1, Head: 5})
	_, err = ob.Kept(t.Context(), "user.events/1", 1, 2, 10)
	require.True(t, apperr.IsKind(err, apperr.KindNotFound))
}

func call(t *testing.T, db *pg.DB, c work.Call) (id uuid.UUID) {
	t.Helper()
	require.NoError(t, db.InTx(t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) (err error) {
		id, err = u.Call(ctx, c)
		return err
	}))
	return id
}

func TestAReliableCallIsMadeAtOnceAndItsReplyHandled(t *testing.T) {
	t.Parallel()
	b := &broker{}
	db := pg.From(testkit.DB(t, "kit"), pg.Options{Service: "course"})
	ob := outbox.New(outbox.Options{DB: db, Transport: b})
	replies := make(chan outbox.DoneCall, 10)
	outbox.OnReply(ob, "seats", func(_ context.Context, u *pg.Unit, c outbox.DoneCall, reply struct{ OK bool }) error {
		if !reply.OK {
			return errors.New("reply lost")
		}
		u.AfterCommit(func() { replies <- c })
		return nil
	})
	run(t, ob)
	for want := int64(1); want <= 3; want++ {
		id := call(t, db, work.Call{To: "enrollment", Name: "seats", Key: "k", Body: map[string]int{"n": 1}})
		require.True(t, ob.Settled(t.Context(), id, 5*time.Second))
		done := <-replies
		require.Equal(t, id, done.ID)
		require.Equal(t, want, done.Seq, "calls of a key are numbered")
	}
}

func TestACallIsRepeatedUntilItWorksAndParkedWhenItNeverCan(t *testing.T) {
	t.Parallel()
	b := &broker{}
	tries := 0
	b.call = func(env outbox.CallEnvelope) ([]byte, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if env.Key == "never" {
			return nil, apperr.Invalid(apperr.Field{Path: "x", Code: "bad", Message: "Bad."})
		}
		if tries++; tries < 3 {
			return nil, apperr.Unavailable("away", "Away.")
		}
		return nil, nil
	}
	db, ob := start(t, b)
	late := call(t, db, work.Call{To: "enrollment", Name: "seats", Key: "late", Body: 1})
	never := call(t, db, work.Call{To: "enrollment", Name: "seats", Key: "never", Body: 1})
	require.False(t, ob.Settled(t.Context(), never, 5*time.Second))
	var s outbox.Status
	eventually(t, "one done, one parked", func() bool {
		var err error
		s, err = outbox.ReadStatus(t.Context(), db.Pool)
		return err == nil && s.PendingCalls == 0 && len(s.Parked) == 1
	})
	require.Equal(t, never, s.Parked[0].ID)
	attempts, err := pg.Scalar[int32](t.Context(), db.Pool, "call", `select attempts from outbox_call where id = $1`, late)
	require.NoError(t, err)
	require.EqualValues(t, 3, attempts)
}

func TestMailIsSentAndItsBodyErased(t *testing.T) {
	t.Parallel()
	b := &broker{}
	db, _ := start(t, b)
	require.NoError(t, db.InTx(t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		return u.Mail(ctx, work.Mail{Kind: "verification", To: "a@example.org", Subject: "Hello", Text: "secret link"})
	}))
	eventually(t, "sent and erased", func() bool {
		n, err := pg.Scalar[int64](t.Context(), db.Pool, "count", `select count(*) from outbox_call where done_at is not null and body is null`)
		return err == nil && n == 1
	})
	b.set(func() { require.Len(t, b.mails, 1) })
}
