package keyed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"lms/shared/inbox"
	"lms/shared/record"
)

// positions are the numbers of a topic's streams that were had.
type positions struct {
	Streams map[string][]inbox.Span `json:"streams"`
}

// Places remembers positions in the state block, one document per topic. Numbers
// are gathered in memory and written every second: a crash in between loses the
// memory of having had an event, never an event; it is fetched again and tells
// nobody twice.
type Places struct {
	book    *record.Book[positions]
	first   *record.Book[beginning]
	now     func() time.Time
	letters *Letters

	mu    sync.Mutex
	noted map[string]map[string][]inbox.Span // topic → stream
	began *time.Time                         // nil: not asked yet
}

var _ inbox.Positions = (*Places)(nil)

// NewPlaces makes them.
func NewPlaces(store record.Store, now func() time.Time, letters *Letters) *Places {
	return &Places{
		book: record.Durable[positions](store, now, nil), first: record.Durable[beginning](store, now, nil), now: now, letters: letters,
		noted: map[string]map[string][]inbox.Span{},
	}
}

// beginning is when a store was first looked at and held no position.
type beginning struct {
	At time.Time `json:"at,omitzero"` // zero: it held some before anybody noted when it began
}

const beginningKey = "began"

// Began is when this store came into use: when it was first asked for, with no
// position in it. What happened before has perhaps had its effect on the memory of
// another store. Zero for one that had positions before this was noted. It has to be
// asked for before an event is applied.
func (p *Places) Began(ctx context.Context, topics []string) (time.Time, error) {
	p.mu.Lock()
	known := p.began
	p.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	b, err := p.first.Get(ctx, beginningKey)
	if err == nil && b == nil {
		b, err = p.begin(ctx, topics)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("beginning of the store: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.began = &b.At
	return b.At, nil
}

// begin notes the beginning. Of two replicas the first one's counts, which also has
// seen no position of the other's.
func (p *Places) begin(ctx context.Context, topics []string) (*beginning, error) {
	at := p.now()
	for _, topic := range topics {
		d, err := p.book.Get(ctx, placesKey(topic))
		if err != nil {
			return nil, err
		}
		if d != nil && len(d.Streams) > 0 {
			at = time.Time{}
		}
	}
	return p.first.Update(ctx, beginningKey, func(b *beginning) (*beginning, error) {
		if b != nil {
			return b, record.ErrKeep
		}
		return &beginning{At: at}, nil
	})
}

func placesKey(topic string) string { return "positions." + topic }

// Note remembers that an event was handled.
func (p *Places) Note(e inbox.Event) {
	topic, _, ok := strings.Cut(e.Stream, "/")
	if e.N <= 0 || !ok {
		return
	}
	p.note(topic, e.Stream, inbox.Span{From: e.N, To: e.N})
}

func (p *Places) note(topic, stream string, s inbox.Span) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.noted[topic] == nil {
		p.noted[topic] = map[string][]inbox.Span{}
	}
	p.noted[topic][stream] = union(append(p.noted[topic][stream], s))
}

// union puts spans in order and joins those that touch.
func union(spans []inbox.Span) []inbox.Span {
	slices.SortFunc(spans, func(a, b inbox.Span) int { return cmp.Compare(a.From, b.From) })
	out := spans[:0]
	for _, s := range spans {
		if n := len(out); n > 0 && s.From <= out[n-1].To+1 {
			out[n-1].To = max(out[n-1].To, s.To)
			continue
		}
		out = append(out, s)
	}
	return out
}

// Flush writes what was gathered.
func (p *Places) Flush(ctx context.Context) error {
	p.mu.Lock()
	noted := p.noted
	p.noted = map[string]map[string][]inbox.Span{}
	p.mu.Unlock()
	var errs []error
	for topic, streams := range noted {
		_, err := p.book.Update(ctx, placesKey(topic), func(d *positions) (*positions, error) {
			if d == nil || d.Streams == nil {
				d = &positions{Streams: map[string][]inbox.Span{}}
			}
			for stream, spans := range streams {
				d.Streams[stream] = union(append(slices.Clone(d.Streams[stream]), spans...))
			}
			return d, nil
		})
		if err == nil {
			continue
		}
		errs = append(errs, fmt.Errorf("positions of %s: %w", topic, err))
		for stream, spans := range streams {
			for _, s := range spans {
				p.note(topic, stream, s) // the next flush writes them
			}
		}
	}
	return errors.Join(errs...)
}

// Seen implements inbox.Positions.
func (p *Places) Seen(ctx context.Context, topic string) (map[string][]inbox.Span, error) {
	d, err := p.book.Get(ctx, placesKey(topic))
	if err != nil {
		return nil, err
	}
	out := map[string][]inbox.Span{}
	if d != nil {
		for stream, spans := range d.Streams {
			out[stream] = spans
		}
	}
	// What this replica had a moment ago is no hole.
	p.mu.Lock()
	defer p.mu.Unlock()
	for stream, spans := range p.noted[topic] {
		out[stream] = union(append(slices.Clone(out[stream]), spans...))
	}
	return out, nil
}

// GiveUp implements inbox.Positions. The dead letter is known by what it says, so
// that a loss is told once although it and the position are two writes.
func (p *Places) GiveUp(ctx context.Context, stream string, gap inbox.Span, lost bool) error {
	if lost {
		if err := p.letters.Lost(ctx, stream, gap); err != nil {
			return err
		}
	}
	topic, _, _ := strings.Cut(stream, "/")
	p.note(topic, stream, gap)
	return p.Flush(ctx)
}
