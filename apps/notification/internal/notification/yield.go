package notification

import (
	"context"
	"sync/atomic"
)

// How many documents mail changes at once, in all shards together: few while events
// are applied, of which a batch changes up to `writers`. A store that takes one write
// after the other (SQLite syncs each) serves everybody alike: without a bound, events
// would get what the senders of all shards leave, 128 of them.
const (
	mailWrites   = 16
	besideEvents = 4
)

// yielding lets mail write beside events without holding them up. Mail never stands
// still: it always has besideEvents turns.
type yielding struct {
	events atomic.Int64 // batches that are being applied
	all    chan struct{}
	beside chan struct{}
}

func newYielding() *yielding {
	return &yielding{all: make(chan struct{}, mailWrites), beside: make(chan struct{}, besideEvents)}
}

// apply says that a batch of events is being applied, until done is called.
func (y *yielding) apply() (done func()) {
	y.events.Add(1)
	return func() { y.events.Add(-1) }
}

// turn waits until mail may change one document.
func (y *yielding) turn(ctx context.Context) (done func(), err error) {
	if y.events.Load() > 0 {
		if err := enter(ctx, y.beside); err != nil {
			return nil, err
		}
		if err := enter(ctx, y.all); err != nil {
			<-y.beside
			return nil, err
		}
		return func() { <-y.all; <-y.beside }, nil
	}
	return func() { <-y.all }, enter(ctx, y.all)
}

func enter(ctx context.Context, room chan struct{}) error {
	select {
	case room <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
