package outbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lms/shared/pg"
)

const (
	relayBatch     = 500
	leastShare     = 100              // of a shard in a batch
	relayTimeout   = 15 * time.Second // of one publication
	recordTimeout  = 5 * time.Second  // of a statement around it
	relayLockClass = 0x4c4d53         // "LMS": the first key of the shards' advisory locks
	// maxPublish keeps one bulk below the sidecar's limit of 4 MiB, in bytes with
	// perMessage for what surrounds each event.
	maxPublish = 3 << 20
	perMessage = 256
	// aggregateHold is how long the later events of an aggregate wait after
	// one of its events failed.
	aggregateHold = time.Second
)

const (
	lockShardSQL = `select pg_try_advisory_lock($1, $2)`

	// Numbers are given when an event is about to be published, and committed
	// before it is, so that a crash in between publishes it again under the
	// same number.
	numberSQL = `
with batch as (
  select o.id, o.shard, row_number() over (partition by o.shard order by o.ord) as k
  from unnest($1::smallint[]) as held (shard)
  cross join lateral (
    select id, shard, ord from outbox where shard = held.shard and n is null order by ord limit $2
  ) o
), heads as (
  update outbox_stream s set head = s.head + c.count
  from (select shard, count(*) from batch group by shard) c
  where s.shard = c.shard
  returning s.shard, s.head - c.count as base
)
update outbox o set n = h.base + b.k
from batch b join heads h on h.shard = b.shard
where o.id = b.id`

	// Each shard has its share of a batch: a busy one does not starve the rest.
	unpublishedSQL = `
select o.id, o.shard, o.aggregate_id, o.seq, o.n, o.event, o.created_at
from unnest($1::smallint[]) as held (shard)
cross join lateral (
  select id, shard, aggregate_id, seq, n, event, created_at from outbox
  where shard = held.shard and published_at is null and n is not null and aggregate_id <> all ($3::uuid[])
  order by n limit $2
) o
order by row_number() over (partition by o.shard order by o.n), o.shard`

	markPublishedSQL = `update outbox set published_at = $2 where id = any ($1)`
	forgetSQL        = `delete from outbox where id = any ($1)`

	// Each half has a partial index.
	pendingSQL = `
select exists (select 1 from outbox where shard = any ($1::smallint[]) and n is null)
  or exists (select 1 from outbox where shard = any ($1::smallint[]) and published_at is null and n is not null)`
)

type outRow struct {
	ID          uuid.UUID
	Shard       int16
	AggregateID uuid.UUID
	Seq         int64
	N           int64
	Event       []byte
	CreatedAt   time.Time
}

// relay owns the shards whose locks it gets, on one connection of its own: if
// the process or the connection dies, the locks go to another replica.
func (ob *Outbox) relay(ctx context.Context) {
	for ctx.Err() == nil {
		if err := ob.relaySession(ctx); err != nil && ctx.Err() == nil {
			ob.o.Log.Warn("relay interrupted", "error", err)
			pause(ctx, time.Second)
		}
	}
}

func (ob *Outbox) relaySession(ctx context.Context) error {
	conn, err := ob.o.DB.Pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connection: %w", err)
	}
	// The locks live as long as the session, so that the connection must not go
	// back to the pool with them.
	raw := conn.Hijack()
	defer func() {
		cctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = raw.Close(cctx) // the session ends with the process at the latest
	}()
	s := &session{ob: ob, conn: raw, held: map[uuid.UUID]time.Time{}}
	poll := time.NewTicker(ob.o.Poll)
	defer poll.Stop()
	for {
		if err := s.lockFreeShards(ctx); err != nil {
			return err
		}
		if err := s.drain(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ob.emitted:
		case <-poll.C:
		}
	}
}

type session struct {
	ob       *Outbox
	conn     *pgx.Conn
	shards   []int16
	nextLock time.Time
	held     map[uuid.UUID]time.Time // aggregates after a failed entry
}

// lockFreeShards takes shards that no replica holds, looking every second
// while it does not hold all.
func (s *session) lockFreeShards(ctx context.Context) error {
	now := time.Now()
	if len(s.shards) == pg.Shards || now.Before(s.nextLock) {
		return nil
	}
	s.nextLock = now.Add(time.Second)
	for shard := int16(0); shard < pg.Shards; shard++ {
		if slices.Contains(s.shards, shard) {
			continue
		}
		var ok bool
		if err := s.conn.QueryRow(ctx, lockShardSQL, relayLockClass, int32(shard)).Scan(&ok); err != nil {
			return fmt.Errorf("shard lock: %w", err)
		}
		if ok {
			s.shards = append(s.shards, shard)
		}
	}
	return nil
}

// drain publishes until nothing is left. It uses the session's connection
// alone, so that losing the locks is noticed at the next statement.
func (s *session) drain(ctx context.Context) error {
	if len(s.shards) == 0 {
		return nil
	}
	for ctx.Err() == nil {
		if pending, err := s.pending(ctx); err != nil || !pending {
			return err
		}
		n, err := s.publishBatch(ctx)
		if err != nil {
			return err
		}
		if n == 0 {
			return nil // what is left is held back; the next poll tries again
		}
	}
	return nil
}

func (s *session) pending(ctx context.Context) (pending bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	if err := s.conn.QueryRow(ctx, pendingSQL, s.shards).Scan(&pending); err != nil {
		return false, fmt.Errorf("pending events: %w", err)
	}
	return pending, nil
}

// number numbers what is new and reads what is to be published.
func (s *session) number(ctx context.Context) ([]outRow, error) {
	ctx, cancel := context.WithTimeout(ctx, relayTimeout)
	defer cancel()
	share := max(relayBatch/len(s.shards), leastShare)
	if _, err := s.conn.Exec(ctx, numberSQL, s.shards, share); err != nil {
		return nil, fmt.Errorf("number events: %w", err)
	}
	rows, err := s.conn.Query(ctx, unpublishedSQL, s.shards, share, s.holding())
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	batch, err := pgx.CollectRows(rows, pgx.RowToStructByName[outRow])
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return batch, nil
}

func (s *session) publishBatch(ctx context.Context) (int, error) {
	batch, err := s.number(ctx)
	if err != nil {
		return 0, err
	}
	if len(batch) == 0 {
		return 0, nil
	}
	batch, messages := s.ob.fitting(batch)
	if s.ob.o.Unkept {
		if err := s.forget(ctx, batch); err != nil {
			return 0, err
		}
	}
	pctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), relayTimeout)
	defer cancel()
	failed, perr := s.ob.o.Transport.PublishBulk(pctx, s.ob.component, s.ob.topic, messages)
	if perr != nil && len(failed) == 0 {
		// Nothing is known to have gone: the same rows under the same numbers
		// go again.
		s.ob.refused.Store(&perr)
		s.ob.report(batch[0].CreatedAt)
		s.ob.o.Log.Warn("publish failed", "topic", s.ob.topic, "events", len(batch), "error", perr)
		pause(ctx, 500*time.Millisecond)
		return 0, nil
	}
	if len(failed) == len(batch) {
		s.ob.refused.Store(&errNoneTaken)
	} else {
		s.ob.refused.Store(nil)
	}
	return s.mark(ctx, batch, failed)
}

// errNoneTaken: the broker answered, and took none of a batch.
var errNoneTaken = errors.New("it answers, and refuses them")

// forget removes events that were not published yet; see Options.Unkept.
func (s *session) forget(ctx context.Context, batch []outRow) error {
	ids := make([]uuid.UUID, len(batch))
	for i, r := range batch {
		ids[i] = r.ID
	}
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	if _, err := s.conn.Exec(ctx, forgetSQL, ids); err != nil {
		return fmt.Errorf("forget events: %w", err)
	}
	return nil
}

// fitting cuts a batch to what one request to the sidecar may carry, but never
// below one event.
func (ob *Outbox) fitting(batch []outRow) ([]outRow, []Message) {
	messages := make([]Message, 0, len(batch))
	size := 0
	for _, r := range batch {
		m := Message{ID: r.ID.String(), Key: r.AggregateID.String(), Body: ob.envelope(r)}
		if size += len(m.Body) + perMessage; size > maxPublish && len(messages) > 0 {
			break
		}
		messages = append(messages, m)
	}
	return batch[:len(messages)], messages
}

func (s *session) mark(ctx context.Context, batch []outRow, failed []string) (int, error) {
	done := make([]uuid.UUID, 0, len(batch))
	until := time.Now().Add(aggregateHold)
	for _, r := range batch {
		if slices.Contains(failed, r.ID.String()) {
			s.held[r.AggregateID] = until
			continue
		}
		done = append(done, r.ID)
	}
	if len(failed) > 0 {
		s.ob.o.Log.Warn("events not accepted by the broker", "topic", s.ob.topic, "events", len(failed))
	}
	// A time of its own, also at shutdown: what a slow broker took and nobody
	// noted would be published again, and slowly again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if _, err := s.conn.Exec(ctx, markPublishedSQL, done, s.ob.o.DB.Now()); err != nil {
		return 0, fmt.Errorf("mark events: %w", err)
	}
	if f := s.ob.o.Metrics.Published; f != nil {
		f(len(done))
	}
	s.ob.report(batch[0].CreatedAt)
	return len(done), nil
}

func (ob *Outbox) report(oldest time.Time) {
	if f := ob.o.Metrics.Lag; f != nil {
		f(ob.o.DB.Now().Sub(oldest))
	}
}

// holding are the aggregates that wait after a failure.
func (s *session) holding() []uuid.UUID {
	out := []uuid.UUID{}
	now := time.Now()
	for id, until := range s.held {
		if now.After(until) {
			delete(s.held, id)
			continue
		}
		out = append(out, id)
	}
	return out
}

// envelope adds the numbers to the kept CloudEvent. They are strings, since a
// CloudEvents integer has 32 bits.
func (ob *Outbox) envelope(r outRow) []byte {
	body := bytes.TrimRight(r.Event, " \n\r\t")
	body = bytes.TrimSuffix(body, []byte("}"))
	out := make([]byte, 0, len(body)+96)
	out = append(out, body...)
	out = append(out, `,"seq":"`...)
	out = strconv.AppendInt(out, r.Seq, 10)
	out = append(out, `","stream":"`...)
	out = append(out, StreamName(ob.topic, r.Shard)...)
	out = append(out, `","streamn":"`...)
	out = strconv.AppendInt(out, r.N, 10)
	return append(out, `"}`...)
}

// StreamName is "course.events/3".
func StreamName(topic string, shard int16) string {
	return topic + "/" + strconv.Itoa(int(shard))
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
