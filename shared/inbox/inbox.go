// Package inbox receives events and reliable calls so that each has its effect
// once. A handler is a *state* handler (the event carries the whole snapshot:
// applied if and only if it is newer than what was applied) or a *fact*
// handler (every event id counts once, in any order); one that keeps the events
// themselves remembers by itself (Own). Memory and effect are one transaction.
// What can never succeed goes to the service's own dead_letter table; all else is
// retried by the broker. Numbers that are missing from a stream are fetched from
// the producer's outbox.
package inbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/outbox"
	"lms/shared/pg"
)

// Event is one received event.
type Event struct {
	ID          uuid.UUID
	Type        string
	Time        time.Time
	AggregateID uuid.UUID
	Seq         int64
	TenantID    uuid.UUID
	OrgUnitID   uuid.UUID
	CourseID    uuid.UUID
	ActorID     uuid.UUID
	Correlation string
	Traceparent string
	Stream      string
	N           int64
	Data        json.RawMessage

	raw []byte
}

// Raw is the event as it came, a CloudEvent.
func (e Event) Raw() json.RawMessage { return e.raw }

// Decode reads the data of an event. Fields it does not know are ignored; data
// that does not parse is a permanent failure.
func Decode[T any](e Event) (T, error) {
	var v T
	if err := json.Unmarshal(e.Data, &v); err != nil {
		return v, Permanent(fmt.Errorf("%s %s: %w", e.Type, e.ID, err))
	}
	return v, nil
}

// BatchFunc applies a batch in the transaction of u.
type BatchFunc func(ctx context.Context, u *pg.Unit, batch []Event) error

type handler struct {
	name  string
	topic string
	types []string
	state bool
	own   bool // remembers by itself what it has had
	fn    BatchFunc
}

// Producers is what the inbox asks of the services that publish.
type Producers interface {
	Heads(ctx context.Context, app string) ([]outbox.Head, error)
	Kept(ctx context.Context, app, stream string, from, to int64, limit int) ([]json.RawMessage, error)
}

// Metrics is what the inbox reports; all fields may be nil.
type Metrics struct {
	Handled    func(handler string, n int)
	Duplicates func(handler string, n int)
	DeadLetter func(handler string)
	Repaired   func(stream string, n int)
	Lost       func(stream string, n int)
	Latency    func(handler string, sinceEvent time.Duration)
}

// Options of an inbox.
type Options struct {
	DB        *pg.DB
	Producers Producers
	Log       *slog.Logger
	Metrics   Metrics
	// HoleAge is how old a hole must be before it is fetched; default 10 s, as
	// the broker may just be reordering.
	HoleAge time.Duration
	// Wait is how long the sidecar may gather events; see Subscriber.
	Wait time.Duration
	// Without is for tests only.
	Without Without
}

// Without switches guarantees off, so that a test of the whole can show what each
// of them is for, and that it would see it missing.
type Without struct {
	Memory   bool // facts count as often as they are delivered
	Sequence bool // snapshots are applied in the order in which they come
	Repair   bool // what the broker does not bring is not fetched
}

// Inbox dispatches to handlers. Handlers are registered before it serves.
type Inbox struct {
	o        Options
	handlers []handler
	calls    map[string]receiver
	repairer Repairer

	mu       sync.Mutex
	failures map[string]int // attempts per handler and event that failed by themselves
}

// New makes an inbox.
func New(o Options) *Inbox {
	if o.HoleAge <= 0 {
		o.HoleAge = 10 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	in := &Inbox{o: o, calls: map[string]receiver{}, failures: map[string]int{}}
	in.repairer = Repairer{
		Producers: o.Producers, Positions: positions{in}, Apply: in.Apply, Unreadable: in.buryUnreadable,
		Log: o.Log, Metrics: o.Metrics, HoleAge: o.HoleAge,
	}
	return in
}

// State registers a handler of snapshots: it gets, per aggregate, the newest
// event of a batch, and only if its seq is above what was applied.
func (in *Inbox) State(name, topic string, types []string, fn BatchFunc) {
	in.handlers = append(in.handlers, handler{name: name, topic: topic, types: types, state: true, fn: fn})
}

// Fact registers a handler that gets every event once, in no order.
func (in *Inbox) Fact(name, topic string, types []string, fn BatchFunc) {
	in.handlers = append(in.handlers, handler{name: name, topic: topic, types: types, fn: fn})
}

// Own registers a handler that remembers by itself which events it has had: it is
// given every event as often as it comes, in no order. For a service that keeps
// the events themselves, where a second memory of their ids would only cost.
func (in *Inbox) Own(name, topic string, types []string, fn BatchFunc) {
	in.handlers = append(in.handlers, handler{name: name, topic: topic, types: types, own: true, fn: fn})
}

// Gather says how long the sidecar may gather events before it delivers them; see
// Subscriber. Before serving only.
func (in *Inbox) Gather(wait time.Duration) { in.o.Wait = wait }

// Topics are the topics that have handlers, in order.
func (in *Inbox) Topics() []string {
	var out []string
	for _, h := range in.handlers {
		if !slices.Contains(out, h.topic) {
			out = append(out, h.topic)
		}
	}
	slices.Sort(out)
	return out
}

// Consumes are the types consumed from a topic, for the check against the
// contracts.
func (in *Inbox) Consumes(topic string) []string {
	var out []string
	for _, h := range in.handlers {
		if h.topic == topic {
			out = append(out, h.types...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Permanent marks a failure that no repetition can heal.
func Permanent(err error) error {
	return apperr.New(apperr.KindInvalid, "permanent_failure", "It can never be applied.").With(err)
}

// isPermanent: a rule that the event breaks, or data the database refuses for
// what it is (class 22: data exception, class 23: constraint).
func isPermanent(err error) bool {
	if apperr.Deterministic(err) {
		return true
	}
	var pe interface{ SQLState() string }
	if errors.As(err, &pe) {
		s := pe.SQLState()
		return len(s) == 5 && (s[:2] == "22" || s[:2] == "23")
	}
	return false
}

type wireEvent struct {
	ID            uuid.UUID       `json:"id"`
	Type          string          `json:"type"`
	Time          time.Time       `json:"time"`
	Subject       uuid.UUID       `json:"subject"`
	Seq           string          `json:"seq"`
	Stream        string          `json:"stream"`
	StreamN       string          `json:"streamn"`
	TenantID      uuid.UUID       `json:"tenantid"`
	OrgUnitID     uuid.UUID       `json:"orgunitid"`
	CourseID      uuid.UUID       `json:"courseid"`
	ActorID       uuid.UUID       `json:"actorid"`
	CorrelationID string          `json:"correlationid"`
	Traceparent   string          `json:"traceparent"`
	Data          json.RawMessage `json:"data"`
}

// Parse reads a CloudEvent as the outbox publishes it.
func Parse(raw []byte) (Event, error) {
	var w wireEvent
	if err := json.Unmarshal(raw, &w); err != nil {
		return Event{}, Permanent(fmt.Errorf("cloud event: %w", err))
	}
	seq, err := strconv.ParseInt(w.Seq, 10, 64)
	if err != nil || w.ID == uuid.Nil || w.Type == "" {
		return Event{}, Permanent(fmt.Errorf("cloud event %s: id, type or seq missing", w.ID))
	}
	n, _ := strconv.ParseInt(w.StreamN, 10, 64) // 0: not numbered, so not watched for holes
	return Event{
		ID: w.ID, Type: w.Type, Time: w.Time, AggregateID: w.Subject, Seq: seq, TenantID: w.TenantID, OrgUnitID: w.OrgUnitID,
		CourseID: w.CourseID, ActorID: w.ActorID, Correlation: w.CorrelationID, Traceparent: w.Traceparent, Stream: w.Stream, N: n,
		Data: w.Data, raw: raw,
	}, nil
}

const purgeInboxSQL = `
delete from inbox where (handler, event_id) in (select handler, event_id from inbox where received_at < $1 limit $2)`

// Purge forgets fact handlers' event ids after Keep: no producer can send
// those again.
func (in *Inbox) Purge(ctx context.Context) error {
	return in.o.DB.Purge(ctx, purgeInboxSQL, in.o.DB.Now().Add(-outbox.Keep-24*time.Hour))
}
