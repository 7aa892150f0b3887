package inbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"lms/shared/outbox"
	"lms/shared/pg"
	"lms/shared/work"
)

const (
	headsEvery  = 10 * time.Second
	repairLimit = 500
)

const positionsSQL = `select stream, seen from stream_position where stream like $1 || '/%'`

type span struct{ from, to int64 } // both included

// Repair looks once for numbers that are missing: holes between what arrived,
// and a head that the producer states and the broker never brought. What is
// missing for longer than HoleAge is fetched from the producer's outbox and
// handled as if the broker had delivered it. What the producer no longer keeps
// is told once, in the log and as a dead letter, and not looked for again. One
// topic, stream or event that fails holds up no other. It is called every few
// seconds, by one replica at a time.
func (in *Inbox) Repair(ctx context.Context) error {
	askHeads := time.Since(in.headsAt) >= headsEvery
	if askHeads {
		in.headsAt = time.Now()
	}
	var errs []error
	for _, topic := range in.Topics() {
		if err := in.repairTopic(ctx, topic, askHeads); err != nil {
			errs = append(errs, fmt.Errorf("repair %s: %w", topic, err))
		}
	}
	return errors.Join(errs...)
}

func (in *Inbox) repairTopic(ctx context.Context, topic string, askHeads bool) error {
	producer, _, _ := strings.Cut(topic, ".")
	var stated []outbox.Head
	if askHeads {
		heads, err := in.o.Producers.Heads(ctx, producer)
		if err != nil {
			// The producer is away: holes can wait, the next look asks again.
			in.o.Log.Info("heads not known", "producer", producer, "error", err)
		}
		stated = heads
	}
	seen, err := in.positions(ctx, topic)
	if err != nil {
		return err
	}
	for _, h := range stated {
		in.heads[h.Stream] = h
	}
	for stream := range in.heads {
		if _, known := seen[stream]; !known && strings.HasPrefix(stream, topic+"/") {
			seen[stream] = nil // nothing of it has ever arrived
		}
	}
	var errs []error
	for stream, spans := range seen {
		head, known := in.heads[stream]
		if !known {
			continue // the producer has not said yet what it keeps
		}
		if err := in.tellLost(ctx, stream, spans, head.Oldest); err != nil {
			errs = append(errs, err)
		}
		for _, hole := range in.oldHoles(stream, missing(spans, head.Oldest, head.Head)) {
			if err := in.fetch(ctx, producer, stream, hole); err != nil {
				errs = append(errs, fmt.Errorf("stream %s: %w", stream, err))
			}
		}
	}
	return errors.Join(errs...)
}

// tellLost deals with what is missing below the oldest number that the
// producer keeps. In front of all that ever arrived it is history from before
// this consumer's time; behind that it is a loss.
func (in *Inbox) tellLost(ctx context.Context, stream string, spans []span, oldest int64) error {
	for _, gap := range missing(spans, 1, oldest-1) {
		gap.to = min(gap.to, oldest-1)
		if gap.from > gap.to {
			continue
		}
		before := len(spans) == 0 || gap.to < spans[0].from
		if err := in.giveUp(ctx, stream, gap, before); err != nil {
			return err
		}
	}
	return nil
}

const markSeenSQL = `
insert into stream_position (stream, seen, updated_at)
values ($1, int8multirange(int8range($2, $3, '[]')), $4)
on conflict (stream) do update set seen = stream_position.seen + excluded.seen, updated_at = excluded.updated_at`

// giveUp marks numbers that nobody has any more, in the transaction that says
// so: they are told once.
func (in *Inbox) giveUp(ctx context.Context, stream string, gap span, before bool) error {
	err := in.inTx(ctx, func(ctx context.Context, u *pg.Unit) error {
		if _, err := pg.Exec(ctx, u, markSeenSQL, stream, gap.from, gap.to, u.Now()); err != nil || before {
			return err
		}
		_, err := pg.Exec(ctx, u, burySQL, u.NewID(), "lost", nil, nil, fmt.Sprintf("%s %d..%d", stream, gap.from, gap.to), "events_lost",
			"The broker did not bring them, and the producer no longer keeps them.", u.Now())
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("lost events: %w", err)
	case before:
		in.o.Log.Info("history is no longer kept", "stream", stream, "from", gap.from, "to", gap.to)
		return nil
	}
	in.o.Log.Error("events are lost", "stream", stream, "from", gap.from, "to", gap.to)
	if f := in.o.Metrics.Lost; f != nil {
		f(stream, int(gap.to-gap.from+1))
	}
	return nil
}

func (in *Inbox) positions(ctx context.Context, topic string) (map[string][]span, error) {
	type row struct {
		Stream string
		Seen   pgtype.Multirange[pgtype.Range[int64]]
	}
	out := map[string][]span{}
	err := in.o.DB.Read(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		rows, err := pg.Many[row](ctx, u, positionsSQL, topic)
		for _, r := range rows {
			out[r.Stream] = []span{}
			for _, s := range r.Seen {
				out[r.Stream] = append(out[r.Stream], span{s.Lower, s.Upper - 1})
			}
		}
		return err
	})
	return out, err
}

// missing are the gaps below and between the spans, and up to the head. A
// consumer that is new wants all that is kept, from oldest on.
func missing(spans []span, oldest, head int64) []span {
	var out []span
	next := max(oldest, 1)
	for _, s := range spans {
		if s.from > next {
			out = append(out, span{next, s.from - 1})
		}
		next = max(next, s.to+1)
	}
	if head >= next {
		out = append(out, span{next, head})
	}
	return out
}

// oldHoles are those known for longer than HoleAge. A hole is remembered by
// its upper end: it may be filling from below.
func (in *Inbox) oldHoles(stream string, holes []span) []span {
	var old []span
	now := time.Now()
	open := map[string]bool{}
	for _, h := range holes {
		key := fmt.Sprintf("%s@%d", stream, h.to)
		open[key] = true
		since, known := in.holes[key]
		if !known {
			in.holes[key] = now
			since = now
		}
		if now.Sub(since) >= in.o.HoleAge {
			old = append(old, h)
		}
	}
	for key := range in.holes {
		if strings.HasPrefix(key, stream+"@") && !open[key] {
			delete(in.holes, key)
		}
	}
	return old
}

// fetch gets a hole from the producer. All of its numbers were given, since
// the head is at or above them: one that is not in the answer is not there.
func (in *Inbox) fetch(ctx context.Context, producer, stream string, hole span) error {
	for from := hole.from; from <= hole.to; {
		raws, err := in.o.Producers.Kept(ctx, producer, stream, from, hole.to, repairLimit)
		if err != nil {
			return err
		}
		next, absent, err := in.applyKept(ctx, raws, span{from, hole.to})
		if err != nil {
			return err // what was applied is noted: the next look goes on behind it
		}
		for _, gap := range absent {
			if err := in.giveUp(ctx, stream, gap, false); err != nil {
				return err
			}
		}
		if len(raws) > 0 {
			in.o.Log.Warn("events that the broker did not bring were fetched", "stream", stream, "from", from, "to", next-1, "events", len(raws))
			if f := in.o.Metrics.Repaired; f != nil {
				f(stream, len(raws))
			}
		}
		from = next
	}
	return nil
}

// applyKept applies an answer to the question for want. It says what to ask for
// next, and which numbers the producer left out. What fails stays a hole.
func (in *Inbox) applyKept(ctx context.Context, raws []json.RawMessage, want span) (next int64, absent []span, err error) {
	batch := make([]Event, 0, len(raws))
	next = want.from
	for _, raw := range raws {
		e, err := Parse(raw)
		if err != nil {
			if err := in.insertDead(ctx, "unreadable", nil, nil, pg.Text(string(raw), 64<<10), err); err != nil {
				return next, nil, err
			}
			continue
		}
		if e.N > next {
			absent = append(absent, span{next, e.N - 1})
		}
		batch, next = append(batch, e), e.N+1
	}
	if len(batch) == 0 {
		return want.to + 1, []span{want}, nil
	}
	return next, absent, errors.Join(in.Apply(ctx, batch)...)
}

const (
	forgetFactsSQL = `delete from inbox where handler = $1 and event_id = any ($2)`
	// Only what is not newer than the replayed event is forgotten, so that the
	// state never goes back.
	forgetStateSQL = `
delete from inbox_position p using unnest($2::uuid[], $3::bigint[]) as t (a, s)
where p.handler = $1 and p.aggregate_id = t.a and p.seq <= t.s`
)

// Replay gives all that a producer has kept since a time to one handler
// again, as if it had never seen it. It reports the number of events.
func (in *Inbox) Replay(ctx context.Context, name string, since time.Time) (int, error) {
	h, ok := in.handler(name)
	if !ok {
		return 0, fmt.Errorf("no handler %q", name)
	}
	producer, _, _ := strings.Cut(h.topic, ".")
	heads, err := in.o.Producers.Heads(ctx, producer)
	if err != nil {
		return 0, err
	}
	total := 0
	for _, head := range heads {
		n, err := in.replayStream(ctx, h, producer, head, since)
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, nil
}

func (in *Inbox) replayStream(ctx context.Context, h handler, producer string, head outbox.Head, since time.Time) (int, error) {
	total := 0
	for from := max(head.Oldest, 1); from <= head.Head; {
		raws, err := in.o.Producers.Kept(ctx, producer, head.Stream, from, head.Head, repairLimit)
		if err != nil || len(raws) == 0 {
			return total, err
		}
		var batch []Event
		for _, raw := range raws {
			e, err := Parse(raw)
			if err != nil {
				return total, err
			}
			if from = e.N + 1; !e.Time.Before(since) {
				batch = append(batch, e)
			}
		}
		if err := in.replayBatch(ctx, h, batch); err != nil {
			return total, err
		}
		total += len(batch)
	}
	return total, nil
}

func (in *Inbox) replayBatch(ctx context.Context, h handler, batch []Event) error {
	if len(batch) == 0 {
		return nil
	}
	return in.o.DB.InTx(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		if err := forget(ctx, u, h, batch); err != nil {
			return fmt.Errorf("forget: %w", err)
		}
		return in.applyOne(ctx, u, h, batch)
	})
}

func forget(ctx context.Context, u *pg.Unit, h handler, batch []Event) error {
	var ids, aggregates []uuid.UUID
	var seqs []int64
	for _, e := range batch {
		ids, aggregates, seqs = append(ids, e.ID), append(aggregates, e.AggregateID), append(seqs, e.Seq)
	}
	if !h.state {
		_, err := pg.Exec(ctx, u, forgetFactsSQL, h.name, ids)
		return err
	}
	_, err := pg.Exec(ctx, u, forgetStateSQL, h.name, aggregates, seqs)
	return err
}
