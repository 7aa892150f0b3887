package inbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"lms/shared/outbox"
)

const (
	headsEvery  = 10 * time.Second
	repairLimit = 500
)

// Span is a range of numbers of a stream, both included.
type Span struct{ From, To int64 }

// Positions is where a consumer remembers which numbers of a stream it has had.
type Positions interface {
	// Seen are the numbers of each stream of a topic that were had, in order and
	// without overlap.
	Seen(ctx context.Context, topic string) (map[string][]Span, error)
	// GiveUp marks numbers as had that nobody keeps any more. Lost says that they
	// are told as lost, once; otherwise they are history from before this
	// consumer's time.
	GiveUp(ctx context.Context, stream string, gap Span, lost bool) error
}

// Repairer finds what a broker did not bring and fetches it from the producers.
type Repairer struct {
	Topics    []string
	Producers Producers
	Positions Positions
	// Apply handles fetched events as if they had been delivered.
	Apply      func(ctx context.Context, batch []Event) []error
	Unreadable func(ctx context.Context, raw []byte, cause error) error
	Log        *slog.Logger
	Metrics    Metrics
	// HoleAge is how old a hole must be before it is fetched.
	HoleAge time.Duration

	holes   map[string]time.Time
	headsAt time.Time
	heads   map[string]outbox.Head
}

// Repair looks once for numbers that are missing: holes between what arrived,
// and a head that the producer states and the broker never brought. What is
// missing for longer than HoleAge is fetched from the producer's outbox and
// handled as if the broker had delivered it. What the producer no longer keeps
// is told once, in the log and as a dead letter, and not looked for again. One
// topic, stream or event that fails holds up no other. It is called every few
// seconds, by one replica at a time.
func (in *Inbox) Repair(ctx context.Context) error {
	if in.o.Without.Repair {
		return nil
	}
	in.repairer.Topics = in.Topics()
	return in.repairer.Repair(ctx)
}

// Repair looks once; see Inbox.Repair. It is not safe for concurrent use.
func (r *Repairer) Repair(ctx context.Context) error {
	if r.heads == nil {
		r.heads, r.holes = map[string]outbox.Head{}, map[string]time.Time{}
	}
	askHeads := time.Since(r.headsAt) >= headsEvery
	if askHeads {
		r.headsAt = time.Now()
	}
	var errs []error
	for _, topic := range r.Topics {
		if err := r.repairTopic(ctx, topic, askHeads); err != nil {
			errs = append(errs, fmt.Errorf("repair %s: %w", topic, err))
		}
	}
	return errors.Join(errs...)
}

func (r *Repairer) repairTopic(ctx context.Context, topic string, askHeads bool) error {
	producer, _, _ := strings.Cut(topic, ".")
	var stated []outbox.Head
	if askHeads {
		heads, err := r.Producers.Heads(ctx, producer)
		if err != nil {
			// The producer is away: holes can wait, the next look asks again.
			r.Log.Info("heads not known", "producer", producer, "error", err)
		}
		stated = heads
	}
	seen, err := r.Positions.Seen(ctx, topic)
	if err != nil {
		return err
	}
	for _, h := range stated {
		r.heads[h.Stream] = h
	}
	for stream := range r.heads {
		if _, known := seen[stream]; !known && strings.HasPrefix(stream, topic+"/") {
			seen[stream] = nil // nothing of it has ever arrived
		}
	}
	var errs []error
	for stream, spans := range seen {
		head, known := r.heads[stream]
		if !known {
			continue // the producer has not said yet what it keeps
		}
		if err := r.tellLost(ctx, stream, spans, head.Oldest); err != nil {
			errs = append(errs, err)
		}
		for _, hole := range r.oldHoles(stream, missing(spans, head.Oldest, head.Head)) {
			if err := r.fetch(ctx, producer, stream, hole); err != nil {
				errs = append(errs, fmt.Errorf("stream %s: %w", stream, err))
			}
		}
	}
	return errors.Join(errs...)
}

// tellLost deals with what is missing below the oldest number that the
// producer keeps. In front of all that ever arrived it is history from before
// this consumer's time; behind that it is a loss.
func (r *Repairer) tellLost(ctx context.Context, stream string, spans []Span, oldest int64) error {
	for _, gap := range missing(spans, 1, oldest-1) {
		gap.To = min(gap.To, oldest-1)
		if gap.From > gap.To {
			continue
		}
		before := len(spans) == 0 || gap.To < spans[0].From
		if err := r.giveUp(ctx, stream, gap, before); err != nil {
			return err
		}
	}
	return nil
}

// giveUp marks numbers that nobody has any more.
func (r *Repairer) giveUp(ctx context.Context, stream string, gap Span, before bool) error {
	if err := r.Positions.GiveUp(ctx, stream, gap, !before); err != nil {
		return fmt.Errorf("lost events: %w", err)
	}
	if before {
		r.Log.Info("history is no longer kept", "stream", stream, "from", gap.From, "to", gap.To)
		return nil
	}
	r.Log.Error("events are lost", "stream", stream, "from", gap.From, "to", gap.To)
	if f := r.Metrics.Lost; f != nil {
		f(stream, int(gap.To-gap.From+1))
	}
	return nil
}

// missing are the gaps below and between the spans, and up to the head. A
// consumer that is new wants all that is kept, from oldest on.
func missing(spans []Span, oldest, head int64) []Span {
	var out []Span
	next := max(oldest, 1)
	for _, s := range spans {
		if s.From > next {
			out = append(out, Span{next, s.From - 1})
		}
		next = max(next, s.To+1)
	}
	if head >= next {
		out = append(out, Span{next, head})
	}
	return out
}

// oldHoles are those known for longer than HoleAge. A hole is remembered by
// its upper end: it may be filling from below.
func (r *Repairer) oldHoles(stream string, holes []Span) []Span {
	var old []Span
	now := time.Now()
	open := map[string]bool{}
	for _, h := range holes {
		key := fmt.Sprintf("%s@%d", stream, h.To)
		open[key] = true
		since, known := r.holes[key]
		if !known {
			r.holes[key] = now
			since = now
		}
		if now.Sub(since) >= r.HoleAge {
			old = append(old, h)
		}
	}
	for key := range r.holes {
		if strings.HasPrefix(key, stream+"@") && !open[key] {
			delete(r.holes, key)
		}
	}
	return old
}

// fetch gets a hole from the producer. All of its numbers were given, since
// the head is at or above them: one that is not in the answer is not there.
func (r *Repairer) fetch(ctx context.Context, producer, stream string, hole Span) error {
	for from := hole.From; from <= hole.To; {
		raws, err := r.Producers.Kept(ctx, producer, stream, from, hole.To, repairLimit)
		if err != nil {
			return err
		}
		next, absent, err := r.applyKept(ctx, raws, Span{from, hole.To})
		if err != nil {
			return err // what was applied is noted: the next look goes on behind it
		}
		for _, gap := range absent {
			if err := r.giveUp(ctx, stream, gap, false); err != nil {
				return err
			}
		}
		if len(raws) > 0 {
			r.Log.Warn("events that the broker did not bring were fetched", "stream", stream, "from", from, "to", next-1, "events", len(raws))
			if f := r.Metrics.Repaired; f != nil {
				f(stream, len(raws))
			}
		}
		from = next
	}
	return nil
}

// applyKept applies an answer to the question for want. It says what to ask for
// next, and which numbers the producer left out. What fails stays a hole.
func (r *Repairer) applyKept(ctx context.Context, raws []json.RawMessage, want Span) (next int64, absent []Span, err error) {
	batch := make([]Event, 0, len(raws))
	next = want.From
	for _, raw := range raws {
		e, err := Parse(raw)
		if err != nil {
			if err := r.Unreadable(ctx, raw, err); err != nil {
				return next, nil, err
			}
			continue
		}
		if e.N > next {
			absent = append(absent, Span{next, e.N - 1})
		}
		batch, next = append(batch, e), e.N+1
	}
	if len(batch) == 0 {
		return want.To + 1, []Span{want}, nil
	}
	return next, absent, errors.Join(r.Apply(ctx, batch)...)
}
