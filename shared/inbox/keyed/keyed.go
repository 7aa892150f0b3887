// Package keyed is the inbox of a service without a database: positions and dead
// letters are documents of a state block, changed one at a time by compare-and-set.
// What is applied must be harmless when it is applied again: the memory of having
// had an event is written a moment after its effect.
package keyed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/inbox"
	"lms/shared/outbox"
	"lms/shared/record"
)

// Consumer takes events from the broker and, where it did not bring them, from the
// producers.
type Consumer struct {
	name    string
	topics  []string
	apply   func(ctx context.Context, batch []inbox.Event) []error
	letters *Letters
	places  *Places
	repair  *inbox.Repairer
	lease   *record.Book[lease]
	gather  time.Duration
	log     *slog.Logger
	metrics inbox.Metrics
	now     func() time.Time
	self    uuid.UUID

	mu       sync.Mutex
	failures map[uuid.UUID]int
}

// Options of a consumer.
type Options struct {
	// Handler is the name of the one handler of all events.
	Handler string
	Topics  []string
	Store   record.Store
	// Apply handles events; an error of its own per event.
	Apply     func(ctx context.Context, batch []inbox.Event) []error
	Producers inbox.Producers
	Log       *slog.Logger
	Metrics   inbox.Metrics
	Now       func() time.Time
	NewID     func() uuid.UUID
	// HoleAge is how old a hole must be before it is fetched; 10 s if zero.
	HoleAge time.Duration
	// Gather is how long the sidecar may gather events; see inbox.Subscriber.
	Gather time.Duration
}

// New makes a consumer.
func New(o Options) *Consumer {
	if o.HoleAge <= 0 {
		o.HoleAge = 10 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Consumer{
		name: o.Handler, topics: o.Topics, apply: o.Apply, letters: NewLetters(o.Store, o.Now, o.NewID), gather: o.Gather, log: o.Log, metrics: o.Metrics, now: o.Now, self: o.NewID(),
		lease:    record.NewBook(o.Store, o.Now, func(l *lease) time.Time { return l.Ends }),
		failures: map[uuid.UUID]int{},
	}
	c.places = NewPlaces(o.Store, o.Now, c.letters)
	c.repair = &inbox.Repairer{
		Topics: o.Topics, Producers: o.Producers, Positions: c.places, Apply: c.Apply, Unreadable: c.Unreadable,
		Log: o.Log, Metrics: o.Metrics, HoleAge: o.HoleAge,
	}
	return c
}

// Subscriber is what the sidecar delivers to.
func (c *Consumer) Subscriber() *inbox.Subscriber {
	return &inbox.Subscriber{Topics: c.topics, Apply: c.Apply, Unreadable: c.Unreadable, Wait: c.gather, Log: c.log}
}

// applyTimeout bounds a batch, so that the sidecar has its answer before the
// server's time for it is over.
const applyTimeout = 45 * time.Second

// Apply handles a batch. What can never succeed becomes a dead letter and counts as
// handled; what failed because something is away has to come again.
func (c *Consumer) Apply(ctx context.Context, batch []inbox.Event) []error {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	errs := c.apply(ctx, batch)
	handled := 0
	for i, err := range errs {
		if err != nil {
			errs[i] = c.judge(ctx, batch[i], err)
		}
		if errs[i] != nil {
			continue
		}
		handled++
		c.healed(batch[i].ID)
		// A number counts as had only now: before, a crash would leave nobody looking
		// for it.
		c.places.Note(batch[i])
		if f := c.metrics.Latency; f != nil {
			f(c.name, c.now().Sub(batch[i].Time))
		}
	}
	if f := c.metrics.Handled; f != nil && handled > 0 {
		f(c.name, handled)
	}
	return errs
}

// judge says whether a failed event has to come again; if it never can succeed it is
// kept as a dead letter.
func (c *Consumer) judge(ctx context.Context, e inbox.Event, err error) error {
	if transient(err) || !apperr.Deterministic(err) && !c.exhausted(e.ID) {
		return err
	}
	return c.bury(ctx, e, err)
}

func (c *Consumer) bury(ctx context.Context, e inbox.Event, cause error) error {
	c.log.ErrorContext(ctx, "event goes to the dead letters", "event", e.ID, "type", e.Type, "reason", cause)
	if f := c.metrics.DeadLetter; f != nil {
		f(c.name)
	}
	return c.letters.Bury(ctx, c.name, e.ID, e.Raw(), "", cause)
}

// Unreadable keeps what is no event of ours.
func (c *Consumer) Unreadable(ctx context.Context, raw []byte, cause error) error {
	c.log.ErrorContext(ctx, "what is no event goes to the dead letters", "reason", cause)
	if f := c.metrics.DeadLetter; f != nil {
		f(inbox.Unreadable)
	}
	return c.letters.Bury(ctx, inbox.Unreadable, uuid.NewSHA1(uuid.NameSpaceOID, raw), nil, string(raw), cause)
}

// transient: something that is needed is away. It says nothing about the event,
// which is tried again for as long as it takes.
func transient(err error) bool {
	if err == nil {
		return false
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			if transient(e) {
				return true
			}
		}
		return false
	}
	var e *apperr.Error
	if errors.As(err, &e) {
		return e.Kind == apperr.KindUnavailable || e.Kind == apperr.KindConflict || e.Kind == apperr.KindRateLimited
	}
	return transient(errors.Unwrap(err))
}

// maxFailures is how often an event may fail by itself, through a panic or a defect,
// before it stops holding up its partition.
const maxFailures = 10

// maxCounted bounds the memory for failures.
const maxCounted = 10_000

func (c *Consumer) exhausted(id uuid.UUID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failures[id]++; c.failures[id] < maxFailures {
		if len(c.failures) > maxCounted {
			clear(c.failures)
		}
		return false
	}
	delete(c.failures, id)
	return true
}

func (c *Consumer) healed(id uuid.UUID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.failures, id)
}

// lease lets one replica do what one is enough for.
type lease struct {
	Holder uuid.UUID `json:"holder"`
	Ends   time.Time `json:"exp"`
}

const leaseFor = 15 * time.Second

// alone says whether this replica may do the round. Two at once would only do the
// same twice.
func (c *Consumer) alone(ctx context.Context, name string) (mine bool, err error) {
	_, err = c.lease.Update(ctx, "lease."+name, func(l *lease) (*lease, error) {
		mine = l == nil || l.Holder == c.self
		if !mine || l != nil && l.Ends.Sub(c.now()) > leaseFor*2/3 {
			return l, record.ErrKeep
		}
		return &lease{Holder: c.self, Ends: c.now().Add(leaseFor)}, nil
	})
	return mine, err
}

// Repair looks once for events that the broker did not bring.
func (c *Consumer) Repair(ctx context.Context) error {
	mine, err := c.alone(ctx, "repair")
	if err != nil || !mine {
		return err
	}
	if err := c.places.Flush(ctx); err != nil {
		return err
	}
	return c.repair.Repair(ctx)
}

// Began is when the store came into use; see Places.Began.
func (c *Consumer) Began(ctx context.Context) (time.Time, error) {
	return c.places.Began(ctx, c.topics)
}

// Flush writes the positions.
func (c *Consumer) Flush(ctx context.Context) error { return c.places.Flush(ctx) }

// Letters are the dead letters.
func (c *Consumer) Letters() *Letters { return c.letters }

// Redrive gives a dead letter to the handler again.
func (c *Consumer) Redrive(ctx context.Context, id uuid.UUID) error {
	l, err := c.letters.Get(ctx, id)
	if err != nil {
		return err
	}
	if l.Handler != c.name || len(l.Event) == 0 {
		return apperr.Conflict("not_redrivable", "No handler can take it: "+l.Handler+".")
	}
	e, err := inbox.Parse(l.Event)
	if err != nil {
		return err
	}
	if err := c.apply(ctx, []inbox.Event{e})[0]; err != nil {
		if !transient(err) {
			err = errors.Join(err, c.bury(ctx, e, err))
		}
		return fmt.Errorf("redrive: %w", err)
	}
	return c.letters.Redriven(ctx, id)
}

const replayPage = 500

// Replay gives the handler all that the producers have kept since a time. What had
// its effect has none again: a replay brings what is missing. name is a topic, or the
// handler for all topics; a producer that is away holds up no other.
func (c *Consumer) Replay(ctx context.Context, name string, since time.Time) (total int, err error) {
	if name != c.name && !slices.Contains(c.topics, name) {
		return 0, apperr.NotFound("handler")
	}
	var errs []error
	for _, topic := range c.topics {
		if name != c.name && name != topic {
			continue
		}
		publisher, _, _ := strings.Cut(topic, ".")
		n, err := c.replayTopic(ctx, publisher, since)
		if total += n; err != nil {
			errs = append(errs, fmt.Errorf("replay %s: %w", topic, err))
		}
	}
	return total, errors.Join(errs...)
}

func (c *Consumer) replayTopic(ctx context.Context, producer string, since time.Time) (total int, err error) {
	heads, err := c.repair.Producers.Heads(ctx, producer)
	if err != nil {
		return 0, err
	}
	for _, h := range heads {
		n, err := c.replayStream(ctx, producer, h, since)
		if total += n; err != nil {
			return total, fmt.Errorf("%s: %w", h.Stream, err)
		}
	}
	return total, nil
}

func (c *Consumer) replayStream(ctx context.Context, producer string, head outbox.Head, since time.Time) (total int, err error) {
	for from := max(head.Oldest, 1); from <= head.Head; {
		raws, err := c.repair.Producers.Kept(ctx, producer, head.Stream, from, head.Head, replayPage)
		if err != nil || len(raws) == 0 {
			return total, err
		}
		var batch []inbox.Event
		for _, raw := range raws {
			e, err := inbox.Parse(raw)
			if err != nil {
				return total, err
			}
			if from = e.N + 1; !e.Time.Before(since) {
				batch = append(batch, e)
			}
		}
		if err := errors.Join(c.Apply(ctx, batch)...); err != nil {
			return total, err
		}
		total += len(batch)
	}
	return total, nil
}
