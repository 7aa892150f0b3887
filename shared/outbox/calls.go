package outbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/pg"
	"lms/shared/work"
)

const (
	callTimeout = 10 * time.Second
	mailTimeout = 70 * time.Second // a session with a slow mail server
	callPoll    = time.Second
	callBatch   = 256 // per destination and poll
	callLease   = 30 * time.Second
	perDest     = 16 // calls in flight per destination
	maxBackoff  = time.Minute
	// A mail server's refusal cannot be told from its absence behind a binding.
	// So mail is tried less often, and given up when nobody waits for it any more.
	mailBackoff  = 15 * time.Minute
	mailGiveUp   = 48 * time.Hour
	firstBackoff = 250 * time.Millisecond
	maxQueued    = 2048 // calls per destination that wait in memory
)

// lane is the queue to one destination.
type lane struct {
	slots  chan struct{}
	queued atomic.Int64
}

const (
	// Each destination has its share: one that is away, with much that waits,
	// holds up no other.
	claimCallsSQL = `
update outbox_call c set next_attempt_at = $1::timestamptz + $2::interval
from (
  select due.id from (select distinct destination from outbox_call where done_at is null and parked_at is null) d
  cross join lateral (
    select id from outbox_call
    where destination = d.destination and done_at is null and parked_at is null and next_attempt_at <= $1
    order by next_attempt_at, ord limit $3 for update skip locked
  ) due
) due
where c.id = due.id
returning c.id, c.destination, c.name, c.key, c.seq, c.tenant_id, coalesce(c.body, 'null'::json) as body, c.traceparent, c.created_at, c.next_attempt_at as lease_until`

	// One try needs the lease to its end. Who has waited longer than that takes
	// it again, and leaves the call to whoever has it since.
	renewCallSQL = `
update outbox_call set next_attempt_at = $3
where id = $1 and next_attempt_at = $2 and done_at is null and parked_at is null`

	callDoneSQL = `
update outbox_call set done_at = $2, reply = $3, attempts = attempts + 1, last_error = '',
  body = case when destination like 'binding:%' then null else body end
where id = $1 and done_at is null`
	callRetrySQL = `
update outbox_call set attempts = attempts + 1, last_error = $2,
  next_attempt_at = $3::timestamptz + make_interval(secs => least($4::float8, $5::float8 * 2 ^ least(attempts, 20)) * $6::float8)
where id = $1 and done_at is null and parked_at is null`
	callParkSQL = `
update outbox_call set attempts = attempts + 1, last_error = $2, parked_at = $3,
  body = case when destination like 'binding:%' then null else body end
where id = $1 and done_at is null and parked_at is null`
	unparkSQL = `
update outbox_call set parked_at = null, next_attempt_at = $2 where id = $1 and parked_at is not null and body is not null`
)

// Unpark makes a parked call due again. Mail cannot be unparked: its body is
// erased.
func Unpark(ctx context.Context, q pg.Querier, id uuid.UUID, now time.Time) error {
	n, err := pg.Exec(ctx, q, unparkSQL, id, now)
	if err == nil && n == 0 {
		return apperr.NotFound("parked call")
	}
	return err
}

// CallEnvelope is the body of POST /internal/calls/<name>.
type CallEnvelope struct {
	CallID   uuid.UUID       `json:"call_id"`
	Source   string          `json:"source"`
	Key      string          `json:"key"`
	Seq      int64           `json:"seq"`
	TenantID uuid.UUID       `json:"tenant_id"`
	Time     time.Time       `json:"time"`
	Data     json.RawMessage `json:"data"`
}

// CallPath is where a reliable call of a name is received.
func CallPath(name string) string { return "/internal/calls/" + name }

// work makes calls: those that this process has just committed at once, from
// memory, and those whose time has come from the table. One destination that
// hangs holds up only its own.
func (ob *Outbox) work(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	lanes := map[string]*lane{}
	start := func(c pg.PendingCall) {
		l := lanes[c.Destination]
		if l == nil {
			l = &lane{slots: make(chan struct{}, perDest)}
			lanes[c.Destination] = l
		}
		if l.queued.Load() >= maxQueued {
			ob.settle(c.ID, false) // it stays in the table and is due after its lease
			return
		}
		l.queued.Add(1)
		wg.Go(func() {
			defer l.queued.Add(-1)
			select {
			case l.slots <- struct{}{}:
				defer func() { <-l.slots }()
				ob.try(ctx, c)
			case <-ctx.Done():
				ob.settle(c.ID, false)
			}
		})
	}
	poll := time.NewTicker(callPoll)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case calls := <-ob.called:
			for _, c := range calls {
				start(c)
			}
		case <-poll.C:
			due, err := ob.claim(ctx)
			if err != nil && ctx.Err() == nil {
				ob.o.Log.Warn("reliable calls not read", "error", err)
			}
			for _, c := range due {
				start(c)
			}
		}
	}
}

func (ob *Outbox) claim(ctx context.Context) (due []pg.PendingCall, err error) {
	err = ob.o.DB.InTx(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		due, err = pg.Many[pg.PendingCall](ctx, u, claimCallsSQL, ob.o.DB.Now(), callLease, callBatch)
		return err
	})
	return due, err
}

func (ob *Outbox) try(ctx context.Context, c pg.PendingCall) {
	// A call in flight at shutdown is finished, not broken off.
	ctx = context.WithoutCancel(ctx)
	ok := false
	defer func() { ob.settle(c.ID, ok) }()
	if mine, err := ob.lease(ctx, &c); err != nil || !mine {
		return // the row is due when its lease ends
	}
	reply, err := ob.attempt(ctx, c)
	if f := ob.o.Metrics.CallDone; f != nil {
		f(c.Destination, c.Name, err == nil)
	}
	// What came of it is noted in a time of its own: a call that used up its
	// time must count as tried.
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	if err != nil {
		err = ob.failed(ctx, c, err)
	} else if err = ob.done(ctx, c, reply); err != nil {
		// The answer could not be used. The receiver knows the call and answers
		// the same again.
		err = ob.later(ctx, c, fmt.Errorf("answer not used: %w", err))
	} else {
		ok = true
	}
	if err != nil {
		ob.o.Log.Warn("reliable call not recorded", "call", c.Name, "to", c.Destination, "id", c.ID, "error", err)
	}
}

func timeoutOf(c pg.PendingCall) time.Duration {
	if c.Destination == pg.MailDestination {
		return mailTimeout
	}
	return callTimeout
}

// lease makes sure that nobody else tries the call meanwhile.
func (ob *Outbox) lease(ctx context.Context, c *pg.PendingCall) (bool, error) {
	now := ob.o.DB.Now()
	need := timeoutOf(*c) + recordTimeout
	if c.LeaseUntil.Sub(now) >= need {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	until := now.Add(need + callLease).Truncate(time.Microsecond)
	var n int64
	err := ob.o.DB.InTx(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) (err error) {
		n, err = pg.Exec(ctx, u, renewCallSQL, c.ID, c.LeaseUntil, until)
		return err
	})
	c.LeaseUntil = until
	return n > 0, err
}

// attempt delivers once. A panic, of a composer or a transport, is a failure of
// this call and not of the process.
func (ob *Outbox) attempt(ctx context.Context, c pg.PendingCall) (reply []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeoutOf(c))
	defer cancel()
	err = guard(func() error { reply, err = ob.deliver(withTraceparent(ctx, c.Traceparent), c); return err })
	return reply, err
}

func guard(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return fn()
}

func (ob *Outbox) deliver(ctx context.Context, c pg.PendingCall) ([]byte, error) {
	if c.Destination == pg.MailDestination {
		data, metadata, err := ob.o.Compose(c.ID, c)
		if err != nil {
			return nil, apperr.Invalid(apperr.Field{Path: "mail", Code: "invalid", Message: err.Error()}).With(err)
		}
		return nil, ob.o.Transport.Send(ctx, "email", data, metadata)
	}
	body, err := json.Marshal(CallEnvelope{
		CallID: c.ID, Source: ob.o.DB.Service, Key: c.Key, Seq: c.Seq, TenantID: c.TenantID, Time: c.CreatedAt, Data: c.Body,
	})
	if err != nil {
		return nil, fmt.Errorf("call body: %w", err)
	}
	return ob.o.Transport.Call(ctx, c.Destination, CallPath(c.Name), body)
}

func (ob *Outbox) done(ctx context.Context, c pg.PendingCall, reply []byte) error {
	return ob.o.DB.InTx(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		if len(reply) == 0 || !json.Valid(reply) {
			reply = nil
		}
		n, err := pg.Exec(ctx, u, callDoneSQL, c.ID, ob.o.DB.Now(), reply)
		if err != nil || n == 0 {
			return err // n == 0: another replica was first, its hook has run
		}
		return ob.hook(ctx, u, c, reply, "")
	})
}

func (ob *Outbox) hook(ctx context.Context, u *pg.Unit, c pg.PendingCall, reply []byte, failure string) error {
	hook, ok := ob.replies[c.Name]
	if !ok {
		return nil
	}
	return guard(func() error {
		return hook(ctx, u, DoneCall{
			ID: c.ID, To: c.Destination, Name: c.Name, Key: c.Key, Seq: c.Seq, TenantID: c.TenantID, Parked: failure != "", Error: failure,
			Superseded: failure == "" && (len(reply) == 0 || string(bytes.TrimSpace(reply)) == "null"),
		}, reply)
	})
}

// failed parks a call that can never succeed, and plans the next try of any
// other.
func (ob *Outbox) failed(ctx context.Context, c pg.PendingCall, cause error) error {
	if !permanent(cause) && !ob.outlived(c) {
		return ob.later(ctx, c, cause)
	}
	text := pg.Text(cause.Error(), maxErrorText)
	var parked bool
	err := ob.o.DB.InTx(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		n, err := pg.Exec(ctx, u, callParkSQL, c.ID, text, ob.o.DB.Now())
		if parked = n > 0; err != nil || !parked {
			return err // another try of it was first, its hook has run
		}
		return ob.hook(ctx, u, c, nil, text)
	})
	if err != nil {
		return ob.later(ctx, c, fmt.Errorf("refusal not used: %w", errors.Join(err, cause)))
	}
	if parked {
		ob.o.Log.Error("reliable call parked", "call", c.Name, "to", c.Destination, "id", c.ID, "error", text)
		if f := ob.o.Metrics.Parked; f != nil {
			f(c.Destination, c.Name)
		}
	}
	return nil
}

func (ob *Outbox) outlived(c pg.PendingCall) bool {
	return c.Destination == pg.MailDestination && ob.o.DB.Now().Sub(c.CreatedAt) > mailGiveUp
}

// later plans the next try: the pause doubles each time up to a minute (mail: a
// quarter of an hour), with jitter.
func (ob *Outbox) later(ctx context.Context, c pg.PendingCall, cause error) error {
	text := pg.Text(cause.Error(), maxErrorText)
	longest := maxBackoff
	if c.Destination == pg.MailDestination {
		longest = mailBackoff
	}
	ob.o.Log.Info("reliable call will be repeated", "call", c.Name, "to", c.Destination, "id", c.ID, "error", text)
	return ob.o.DB.InTx(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		_, err := pg.Exec(ctx, u, callRetrySQL, c.ID, text, ob.o.DB.Now(), longest.Seconds(), firstBackoff.Seconds(), 0.75+rand.Float64()/2)
		return err
	})
}

// maxErrorText is how much of an error is kept, in bytes.
const maxErrorText = 500

// permanent: a 4xx other than 408, 409, 425 and 429. A 401 is
// ours to heal (a new service token) and repeated.
func permanent(err error) bool { return apperr.Deterministic(err) }
