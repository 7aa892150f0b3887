package inbox

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/outbox"
	"lms/shared/pg"
	"lms/shared/work"
)

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
	if h.own {
		return nil // it knows best what it has had
	}
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
