package outbox_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/apperr"
	"lms/shared/clock"
	"lms/shared/contracts/events"
	"lms/shared/outbox"
	"lms/shared/pg"
	"lms/shared/testkit"
	"lms/shared/work"
)

func TestAHookThatPanicsIsRepeatedAndHarmsNobodyElse(t *testing.T) {
	t.Parallel()
	db := pg.From(testkit.DB(t, "kit"), pg.Options{Service: "course"})
	ob := outbox.New(outbox.Options{DB: db, Transport: &broker{}})
	var ran atomic.Int64
	outbox.OnReply(ob, "seats", func(context.Context, *pg.Unit, outbox.DoneCall, struct{}) error {
		if ran.Add(1) < 3 {
			panic("defect")
		}
		return nil
	})
	run(t, ob)
	id := call(t, db, work.Call{To: "enrollment", Name: "seats", Key: "k", Body: 1})
	require.False(t, ob.Settled(t.Context(), id, 5*time.Second), "an answer that could not be used is not settled")
	eventually(t, "done at the third try", func() bool {
		n, err := pg.Scalar[int32](t.Context(), db.Pool, "call", `select attempts from outbox_call where id = $1 and done_at is not null`, id)
		return err == nil && n == 3
	})
	require.EqualValues(t, 3, ran.Load())
}

func TestARefusalIsParkedWhateverItsWords(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]error{
		"not found":             apperr.NotFound("course"),
		"cut inside a rune":     apperr.Forbidden("xy" + strings.Repeat("é", 400)),
		"characters not stored": apperr.Forbidden("a\x00b\xff"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &broker{call: func(outbox.CallEnvelope) ([]byte, error) { return nil, refusal }}
			db, ob := start(t, b)
			id := call(t, db, work.Call{To: "enrollment", Name: "seats", Key: "k", Body: 1})
			require.False(t, ob.Settled(t.Context(), id, 5*time.Second))
			s, err := outbox.ReadStatus(t.Context(), db.Pool)
			require.NoError(t, err)
			require.Len(t, s.Parked, 1)
		})
	}
}

// slowMail holds every mail until it is let go.
type slowMail struct {
	broker
	gate chan struct{}
	sent sync.Map
	n    atomic.Int64
	busy atomic.Int64
}

func (s *slowMail) Send(_ context.Context, _ string, data []byte, _ map[string]string) error {
	s.busy.Add(1)
	<-s.gate
	s.n.Add(1)
	s.sent.Store(string(data), true)
	return nil
}

func TestMailThatWaitsLongerThanItsLeaseIsSentOnce(t *testing.T) {
	t.Parallel()
	const mails, inFlight = 40, 16
	now := clock.NewManual(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	db := pg.From(testkit.DB(t, "kit"), pg.Options{Service: "course", Now: now.Now})
	s := &slowMail{gate: make(chan struct{})}
	run(t, outbox.New(outbox.Options{DB: db, Transport: s, Compose: func(id uuid.UUID, _ pg.PendingCall) ([]byte, map[string]string, error) {
		return []byte(id.String()), nil, nil
	}}))
	require.NoError(t, db.InTx(t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		for range mails {
			if err := u.Mail(ctx, work.Mail{Kind: "k", To: "a@example.org"}); err != nil {
				return err
			}
		}
		return nil
	}))
	eventually(t, "all slots taken", func() bool { return s.busy.Load() == inFlight })
	now.Advance(25 * time.Second) // the leases of all have run out
	eventually(t, "claimed again", func() bool {
		n, err := pg.Scalar[int64](t.Context(), db.Pool, "count", `select count(*) from outbox_call where next_attempt_at > $1`, now.Now())
		return err == nil && n == mails
	})
	close(s.gate)
	eventually(t, "all sent", func() bool {
		n, err := pg.Scalar[int64](t.Context(), db.Pool, "count", `select count(*) from outbox_call where done_at is not null`)
		return err == nil && n == mails
	})
	require.LessOrEqual(t, s.n.Load(), int64(mails+inFlight), "only what was being sent when the clock jumped went out twice")
}

func TestNumbersGoOnAfterAPurge(t *testing.T) {
	t.Parallel()
	now := clock.NewManual(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	db := pg.From(testkit.DB(t, "kit"), pg.Options{Service: "course", Now: now.Now})
	b := &broker{}
	ob := outbox.New(outbox.Options{DB: db, Transport: b})
	run(t, ob)
	course := uuid.New()
	stream := outbox.StreamName(db.Topic, pg.ShardOf(course))
	emit(t, db, course)
	marked := func() bool {
		s, err := outbox.ReadStatus(t.Context(), db.Pool)
		return err == nil && s.Unpublished == 0
	}
	eventually(t, "published", marked)
	now.Advance(outbox.Keep + time.Hour)
	require.NoError(t, ob.Purge(t.Context()))
	heads, err := ob.Heads(t.Context())
	require.NoError(t, err)
	require.Contains(t, heads, outbox.Head{Stream: stream, Oldest: 2, Head: 1}, "none is kept")
	emit(t, db, course)
	eventually(t, "the second", marked)
	require.Equal(t, "2", b.published()[1]["streamn"])
	require.Equal(t, "2", b.published()[1]["seq"])
}

func TestABusyShardAndOneThatFailsLeaveRoomForOthers(t *testing.T) {
	t.Parallel()
	b := &broker{publish: errors.New("broker down")}
	db, _ := start(t, b)
	busy, quiet := uuid.New(), uuid.New()
	for pg.ShardOf(quiet) <= pg.ShardOf(busy) {
		busy, quiet = uuid.New(), uuid.New()
	}
	require.NoError(t, db.InTx(t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		for range 1500 {
			if err := u.Emit(ctx, events.CourseViewed{CourseID: busy}, work.Meta{}); err != nil {
				return err
			}
		}
		return u.Emit(ctx, events.CourseViewed{CourseID: quiet}, work.Meta{})
	}))
	b.set(func() { b.publish = nil })
	eventually(t, "the quiet one is out", func() bool {
		for i, e := range b.published() {
			if e["subject"] == quiet.String() {
				return i < 500
			}
		}
		return false
	})
	eventually(t, "all", func() bool { return len(b.published()) == 1501 })
	requireGapFree(t, b.published())
}

func TestMailThatNobodyTakesIsGivenUpInTheEnd(t *testing.T) {
	t.Parallel()
	now := clock.NewManual(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	db := pg.From(testkit.DB(t, "kit"), pg.Options{Service: "course", Now: now.Now})
	run(t, outbox.New(outbox.Options{
		DB: db, Transport: &broker{publish: errors.New("550 no such mailbox")},
		Compose: func(_ uuid.UUID, row pg.PendingCall) ([]byte, map[string]string, error) { return row.Body, nil, nil },
	}))
	require.NoError(t, db.InTx(t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		return u.Mail(ctx, work.Mail{Kind: "verification", To: "nobody@example.org", Text: "secret link"})
	}))
	var s outbox.Status
	status := func(parked int) func() bool {
		return func() (ok bool) {
			now.Advance(20 * time.Minute)
			var err error
			s, err = outbox.ReadStatus(t.Context(), db.Pool)
			return err == nil && len(s.Parked) == parked
		}
	}
	eventually(t, "parked", status(1))
	require.True(t, s.Parked[0].ParkedAt.After(time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)))
	kept, err := pg.Scalar[int64](t.Context(), db.Pool, "count", `select count(*) from outbox_call where body is not null`)
	require.NoError(t, err)
	require.Zero(t, kept, "the body is erased")
}

func TestAHookIsToldThatANewerCallWasFirst(t *testing.T) {
	t.Parallel()
	for reply, superseded := range map[string]bool{"": true, "null\n": true, "{}": false, `{"ok":false}`: false} {
		db := pg.From(testkit.DB(t, "kit"), pg.Options{Service: "course"})
		ob := outbox.New(outbox.Options{DB: db, Transport: &broker{call: func(outbox.CallEnvelope) ([]byte, error) { return []byte(reply), nil }}})
		told := make(chan outbox.DoneCall, 1)
		outbox.OnReply(ob, "seats", func(_ context.Context, _ *pg.Unit, c outbox.DoneCall, _ struct{ OK bool }) error {
			told <- c
			return nil
		})
		run(t, ob)
		call(t, db, work.Call{To: "enrollment", Name: "seats", Key: "k", Body: 1})
		require.Equal(t, superseded, (<-told).Superseded, "%q", reply)
	}
}
