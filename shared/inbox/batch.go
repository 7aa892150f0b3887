package inbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/pg"
	"lms/shared/work"
)

const (
	// batchTimeout bounds one transaction.
	batchTimeout = 20 * time.Second
	// aloneTimeout bounds a whole batch, so that the sidecar has its answer before
	// the server's time for it is over.
	aloneTimeout = 45 * time.Second
)

const (
	// Rows are locked in the order of the key, so that two batches never
	// deadlock.
	applyStateSQL = `
insert into inbox_position (handler, aggregate_id, seq)
select $1, a, s from unnest($2::uuid[], $3::bigint[]) as t (a, s) order by a
on conflict (handler, aggregate_id) do update set seq = excluded.seq where inbox_position.seq < excluded.seq
returning aggregate_id`

	applyFactSQL = `
insert into inbox (handler, event_id, received_at)
select $1, e, $3 from unnest($2::uuid[]) as t (e) order by e
on conflict (handler, event_id) do nothing
returning event_id`

	seenSQL = `
insert into stream_position (stream, seen, updated_at)
select s, range_agg(int8range(n, n + 1)), $3 from unnest($1::text[], $2::bigint[]) as t (s, n) group by s order by s
on conflict (stream) do update set seen = stream_position.seen + excluded.seen, updated_at = excluded.updated_at`
)

// Apply gives events to all handlers that want them: first all in one
// transaction, and if that fails each on its own, so that one bad event holds
// up no other. Permanent failures become dead letters and count as success.
// When the database is away, or the time for the batch is over, what is left
// fails as it is.
func (in *Inbox) Apply(ctx context.Context, batch []Event) []error {
	errs := make([]error, len(batch))
	ctx, cancel := context.WithTimeout(ctx, aloneTimeout)
	defer cancel()
	err := in.applyTogether(ctx, in.handlers, batch)
	if err == nil {
		return errs
	}
	for i, e := range batch {
		if cerr := ctx.Err(); cerr != nil {
			errs[i] = cerr
			continue
		}
		if !dbAway(err) {
			err = in.applyAlone(ctx, e)
		}
		errs[i] = err
	}
	return errs
}

// dbAway says that the next event would fail as this one did.
func dbAway(err error) bool { return apperr.Code(err) == pg.CodeAway }

// applyAlone isolates an event: its handlers run one by one, each in its own
// transaction, so that a poisonous handler does not undo the others. That its
// number was seen is noted only when no handler wants it again: from then on
// nobody looks for it.
func (in *Inbox) applyAlone(ctx context.Context, e Event) error {
	var again error
	for _, h := range in.handlers {
		if !slices.Contains(h.types, e.Type) {
			continue
		}
		err := in.inTx(ctx, func(ctx context.Context, u *pg.Unit) error { return in.applyOne(ctx, u, h, []Event{e}) })
		if err == nil {
			in.healed(h.name, e.ID)
			continue
		}
		err = fmt.Errorf("handler %s: %w", h.name, err)
		if isOutage(err) || !isPermanent(err) && !in.exhausted(h.name, e.ID) {
			again = errors.Join(again, err) // the broker delivers it again
			if ctx.Err() != nil || dbAway(err) {
				return again
			}
			continue
		}
		if err := in.bury(ctx, h.name, e, err); err != nil {
			return err
		}
	}
	if again != nil {
		return again
	}
	return in.applyTogether(ctx, nil, []Event{e})
}

func (in *Inbox) inTx(ctx context.Context, fn func(context.Context, *pg.Unit) error) error {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	return in.o.DB.InTx(ctx, work.AllTenants(), fn)
}

func (in *Inbox) applyTogether(ctx context.Context, handlers []handler, batch []Event) error {
	return in.inTx(ctx, func(ctx context.Context, u *pg.Unit) error {
		for _, h := range handlers {
			if err := in.applyOne(ctx, u, h, batch); err != nil {
				return fmt.Errorf("handler %s: %w", h.name, err)
			}
		}
		return in.noteSeen(ctx, u, batch)
	})
}

func (in *Inbox) applyOne(ctx context.Context, u *pg.Unit, h handler, batch []Event) error {
	var mine []Event
	for _, e := range batch {
		if slices.Contains(h.types, e.Type) {
			mine = append(mine, e)
		}
	}
	if len(mine) == 0 {
		return nil
	}
	fresh, err := in.fresh(ctx, u, h, mine)
	if err != nil {
		return err
	}
	if d := len(mine) - len(fresh); d > 0 && in.o.Metrics.Duplicates != nil {
		u.AfterCommit(func() { in.o.Metrics.Duplicates(h.name, d) })
	}
	if len(fresh) == 0 {
		return nil
	}
	u.AfterCommit(func() { in.handled(h.name, fresh) })
	return guard(func() error { return h.fn(withEvent(ctx, fresh), u, fresh) })
}

func (in *Inbox) handled(name string, fresh []Event) {
	if f := in.o.Metrics.Handled; f != nil {
		f(name, len(fresh))
	}
	if f := in.o.Metrics.Latency; f != nil {
		now := in.o.DB.Now()
		for _, e := range fresh {
			f(name, now.Sub(e.Time))
		}
	}
}

func (in *Inbox) fresh(ctx context.Context, u *pg.Unit, h handler, mine []Event) ([]Event, error) {
	if h.own || h.state && in.o.Without.Sequence || !h.state && in.o.Without.Memory {
		return mine, nil
	}
	if h.state {
		return in.freshState(ctx, u, h, mine)
	}
	byID := map[uuid.UUID]Event{}
	ids := []uuid.UUID{}
	for _, e := range mine {
		if _, twice := byID[e.ID]; !twice {
			ids = append(ids, e.ID)
		}
		byID[e.ID] = e
	}
	news, err := pg.Column[uuid.UUID](ctx, u, applyFactSQL, h.name, ids, u.Now())
	if err != nil {
		return nil, err
	}
	return inOrder(mine, news, func(e Event) uuid.UUID { return e.ID }), nil
}

func (in *Inbox) freshState(ctx context.Context, u *pg.Unit, h handler, mine []Event) ([]Event, error) {
	newest := map[uuid.UUID]Event{}
	for _, e := range mine {
		if old, ok := newest[e.AggregateID]; !ok || e.Seq > old.Seq {
			newest[e.AggregateID] = e
		}
	}
	aggregates := make([]uuid.UUID, 0, len(newest))
	seqs := make([]int64, 0, len(newest))
	latest := make([]Event, 0, len(newest))
	for id, e := range newest {
		aggregates, seqs, latest = append(aggregates, id), append(seqs, e.Seq), append(latest, e)
	}
	slices.SortFunc(latest, func(a, b Event) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	news, err := pg.Column[uuid.UUID](ctx, u, applyStateSQL, h.name, aggregates, seqs)
	if err != nil {
		return nil, err
	}
	return inOrder(latest, news, func(e Event) uuid.UUID { return e.AggregateID }), nil
}

func inOrder(events []Event, wanted []uuid.UUID, key func(Event) uuid.UUID) []Event {
	left := make(map[uuid.UUID]bool, len(wanted))
	for _, id := range wanted {
		left[id] = true
	}
	var out []Event
	for _, e := range events {
		if left[key(e)] {
			left[key(e)] = false
			out = append(out, e)
		}
	}
	return out
}

func (in *Inbox) noteSeen(ctx context.Context, u *pg.Unit, batch []Event) error {
	var streams []string
	var numbers []int64
	for _, e := range batch {
		if e.N > 0 && e.Stream != "" {
			streams, numbers = append(streams, e.Stream), append(numbers, e.N)
		}
	}
	if len(streams) == 0 {
		return nil
	}
	_, err := pg.Exec(ctx, u, seenSQL, streams, numbers, u.Now())
	return err
}

type panicError struct{ value any }

func (p panicError) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// isOutage: something that the handler needs is away. It says nothing about
// the event, which is tried again for as long as it takes.
func isOutage(err error) bool {
	return apperr.IsKind(err, apperr.KindUnavailable) || errors.Is(err, context.Canceled)
}

// maxFailures is how often an event may fail by itself, through a panic or a
// defect, before it counts as permanent and stops holding up its partition.
const maxFailures = 10

func (in *Inbox) exhausted(handler string, id uuid.UUID) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	key := handler + "/" + id.String()
	if in.failures[key]++; in.failures[key] < maxFailures {
		return false
	}
	delete(in.failures, key)
	return true
}

// maxCounted bounds the memory for failures; another replica may have applied
// what this one counts.
const maxCounted = 10_000

func (in *Inbox) healed(handler string, id uuid.UUID) {
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.failures, handler+"/"+id.String())
	if len(in.failures) > maxCounted {
		clear(in.failures)
	}
}

// guard turns a handler's panic into an error: the event is delivered again,
// never acknowledged.
func guard(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w\n%s", panicError{p}, debug.Stack())
		}
	}()
	return fn()
}

// withEvent makes what a handler writes the consequence of the event. For a
// batch the first stands for all.
func withEvent(ctx context.Context, batch []Event) context.Context {
	e := batch[0]
	return work.WithCause(ctx, work.Cause{Correlation: e.Correlation, Causation: e.ID.String()})
}
