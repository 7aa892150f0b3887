// Package outbox carries what a transaction wrote to the outside: events to
// the service's topic, reliable calls to other services, mail to the `email`
// binding. The rows are the guarantee; the broker and the network only make it
// fast. Published events are kept and served to consumers that missed some.
package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"lms/shared/pg"
)

// Message is one event for the broker.
type Message struct {
	ID   string
	Key  string // partition key: the aggregate
	Body []byte // a CloudEvent in structured JSON
}

// Transport is what the outbox needs of the sidecar.
type Transport interface {
	// PublishBulk publishes and names the ids that failed. An error without
	// failed ids means that none is known to be published.
	PublishBulk(ctx context.Context, component, topic string, messages []Message) (failed []string, err error)
	// Call posts a reliable call and returns the answer's body. A refusal by
	// the other side is an *apperr.Error.
	Call(ctx context.Context, app, path string, body []byte) ([]byte, error)
	// Send gives a message to an output binding.
	Send(ctx context.Context, binding string, data []byte, metadata map[string]string) error
}

// Composer turns a mail's row into what the binding is given.
type Composer func(id uuid.UUID, row pg.PendingCall) (data []byte, metadata map[string]string, err error)

// Keep is how long published events, done calls and sent mail are kept.
const Keep = 30 * 24 * time.Hour

// Metrics is what the outbox reports; all fields may be nil.
type Metrics struct {
	Published func(n int)
	Lag       func(oldest time.Duration)
	CallDone  func(to, name string, ok bool)
	Parked    func(to, name string)
}

// Options of an outbox.
type Options struct {
	DB        *pg.DB
	Transport Transport
	Compose   Composer // required where Mail is used
	Log       *slog.Logger
	Metrics   Metrics
	// Poll is how often the table is looked at for what other processes
	// committed; default 100 ms.
	Poll time.Duration
	// Unkept is for tests only: events are forgotten before they are published,
	// and published once, so that a test of the whole can show what the outbox is
	// for, and that it would see it missing.
	Unkept bool
}

// Outbox owns the relay and the call worker of one process.
type Outbox struct {
	o         Options
	component string
	topic     string

	emitted chan struct{}
	called  chan []pg.PendingCall

	// refused is why the last publication failed; nil if it did not.
	refused atomic.Pointer[error]

	mu      sync.Mutex
	waiting map[uuid.UUID]chan struct{}
	settled map[uuid.UUID]time.Time
	replies map[string]replyHook
}

type replyHook func(ctx context.Context, u *pg.Unit, c DoneCall, reply []byte) error

// DoneCall is a reliable call that was answered, or parked because it fails
// for good.
type DoneCall struct {
	ID       uuid.UUID
	To       string
	Name     string
	Key      string
	Seq      int64
	TenantID uuid.UUID
	Parked   bool
	Error    string
	// Superseded: a newer call of the key was applied before this one arrived,
	// which therefore had no effect and no answer of its own.
	Superseded bool
}

// New makes the outbox of a database and hooks it to its commits. Run starts
// it.
func New(o Options) *Outbox {
	if o.Poll <= 0 {
		o.Poll = 100 * time.Millisecond
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	ob := &Outbox{
		o: o, component: "events-" + o.DB.Service, topic: o.DB.Topic,
		emitted: make(chan struct{}, 1), called: make(chan []pg.PendingCall, 1024),
		waiting: map[uuid.UUID]chan struct{}{}, settled: map[uuid.UUID]time.Time{}, replies: map[string]replyHook{},
	}
	o.DB.Notify(ob)
	return ob
}

// Refused is why the last publication failed, nil if it did not.
func (ob *Outbox) Refused() error {
	if err := ob.refused.Load(); err != nil {
		return *err
	}
	return nil
}

// Emitted implements pg.Committed.
func (ob *Outbox) Emitted() {
	select {
	case ob.emitted <- struct{}{}:
	default: // already awake
	}
}

// Called implements pg.Committed. When the worker is swamped the calls stay in
// the table and are found there.
func (ob *Outbox) Called(calls []pg.PendingCall) {
	ob.mu.Lock()
	for _, c := range calls {
		ob.waiting[c.ID] = make(chan struct{})
	}
	ob.mu.Unlock()
	select {
	case ob.called <- calls:
	default:
		ob.forget(calls)
	}
}

// OnReply registers what to do, in the transaction that marks a call as done,
// with the answer to calls of a name. It is called before Run.
func OnReply[Out any](ob *Outbox, name string, fn func(ctx context.Context, u *pg.Unit, c DoneCall, reply Out) error) {
	ob.replies[name] = func(ctx context.Context, u *pg.Unit, c DoneCall, raw []byte) error {
		var reply Out
		if len(raw) > 0 {
			if err := json.Unmarshal(raw, &reply); err != nil {
				return fmt.Errorf("reply to %s: %w", name, err)
			}
		}
		return fn(ctx, u, c, reply)
	}
}

// Run relays and calls until ctx ends, then finishes what is in flight.
func (ob *Outbox) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, loop := range []func(context.Context){ob.relay, ob.work} {
		wg.Go(func() { loop(ctx) })
	}
	wg.Wait()
	return nil
}

// Settled waits until a call that this process has just committed was
// answered, at most for d. False means that it is still pending: the caller's
// answer then says so.
func (ob *Outbox) Settled(ctx context.Context, id uuid.UUID, d time.Duration) bool {
	ob.mu.Lock()
	ch, ok := ob.waiting[id]
	_, done := ob.settled[id]
	ob.mu.Unlock()
	if !ok {
		return done
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ch:
		ob.mu.Lock()
		defer ob.mu.Unlock()
		_, done := ob.settled[id]
		return done
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

func (ob *Outbox) settle(id uuid.UUID, ok bool) {
	ob.mu.Lock()
	defer ob.mu.Unlock()
	now := time.Now()
	if ok {
		ob.settled[id] = now
	}
	if ch, waiting := ob.waiting[id]; waiting {
		close(ch)
		delete(ob.waiting, id)
	}
	if len(ob.settled) > 4096 {
		for k, at := range ob.settled {
			if now.Sub(at) > 10*time.Second {
				delete(ob.settled, k)
			}
		}
	}
}

func (ob *Outbox) forget(calls []pg.PendingCall) {
	for _, c := range calls {
		ob.settle(c.ID, false)
	}
}
