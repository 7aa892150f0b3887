package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/pg"
	"lms/shared/work"
)

// Head is where a stream of this producer stands.
type Head struct {
	Stream string `json:"stream"`
	Oldest int64  `json:"oldest"` // the lowest number still kept; behind Head if none is
	Head   int64  `json:"head"`   // the highest number given
}

const (
	headsSQL = `
select s.shard, s.head, coalesce((select min(o.n) from outbox o where o.shard = s.shard), s.head + 1) as oldest
from outbox_stream s order by s.shard`

	keptSQL = `
select id, shard, aggregate_id, seq, n, event, created_at from outbox
where shard = $1 and n >= $2 and n <= $3 order by n limit $4`

	purgePublishedSQL = `
delete from outbox where id in (select id from outbox where published_at < $1 order by published_at limit $2)`
	purgeCallsSQL = `
delete from outbox_call where id in (select id from outbox_call where done_at < $1 order by done_at limit $2)`
)

// Heads says where the streams stand.
func (ob *Outbox) Heads(ctx context.Context) ([]Head, error) {
	type row struct {
		Shard  int16
		Head   int64
		Oldest int64
	}
	var heads []Head
	err := ob.o.DB.Read(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		rows, err := pg.Many[row](ctx, u, headsSQL)
		for _, r := range rows {
			heads = append(heads, Head{Stream: StreamName(ob.topic, r.Shard), Head: r.Head, Oldest: r.Oldest})
		}
		return err
	})
	return heads, err
}

// Kept gives the events of a stream from..to, at most limit, as they were
// published.
func (ob *Outbox) Kept(ctx context.Context, stream string, from, to int64, limit int) ([]json.RawMessage, error) {
	topic, s, ok := strings.Cut(stream, "/")
	shard, err := strconv.ParseInt(s, 10, 16)
	if !ok || err != nil || topic != ob.topic || shard < 0 || shard >= pg.Shards {
		return nil, apperr.NotFound("stream")
	}
	if limit <= 0 || limit > relayBatch {
		limit = relayBatch
	}
	var out []json.RawMessage
	err = ob.o.DB.Read(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		rows, err := pg.Many[outRow](ctx, u, keptSQL, shard, from, to, limit)
		size := 0
		for _, r := range rows {
			// An answer stays below the sidecar's 4 MiB.
			if size += len(r.Event) + 128; size > 3<<20 && len(out) > 0 {
				break
			}
			out = append(out, ob.envelope(r))
		}
		return err
	})
	return out, err
}

// Purge deletes what is older than Keep. Numbers go on where they stood.
func (ob *Outbox) Purge(ctx context.Context) error {
	before := ob.o.DB.Now().Add(-Keep)
	if err := ob.o.DB.Purge(ctx, purgePublishedSQL, before); err != nil {
		return fmt.Errorf("purge events: %w", err)
	}
	if err := ob.o.DB.Purge(ctx, purgeCallsSQL, before); err != nil {
		return fmt.Errorf("purge calls: %w", err)
	}
	return nil
}

// Status is the outbox as an operator sees it.
type Status struct {
	Unpublished  int64        `json:"unpublished"`
	OldestEvent  *time.Time   `json:"oldest_event,omitempty"`
	PendingCalls int64        `json:"pending_calls"`
	OldestCall   *time.Time   `json:"oldest_call,omitempty"`
	Parked       []ParkedCall `json:"parked"`
	DeadLetters  int64        `json:"dead_letters"`
}

// ParkedCall is a call that failed for good.
type ParkedCall struct {
	ID          uuid.UUID `json:"id"`
	Destination string    `json:"destination"`
	Name        string    `json:"name"`
	Key         string    `json:"key"`
	LastError   string    `json:"last_error"`
	ParkedAt    time.Time `json:"parked_at"`
}

const (
	statusSQL = `
select
  (select count(*) from outbox where n is null)
    + (select count(*) from outbox where published_at is null and n is not null) as unpublished,
  least((select min(created_at) from outbox where n is null),
    (select min(created_at) from outbox where published_at is null and n is not null)) as oldest_event,
  (select count(*) from outbox_call where done_at is null and parked_at is null) as pending_calls,
  (select min(created_at) from outbox_call where done_at is null and parked_at is null) as oldest_call,
  (select count(*) from dead_letter where redriven_at is null) as dead_letters`
	parkedSQL = `
select id, destination, name, key, last_error, parked_at from outbox_call
where parked_at is not null order by parked_at desc limit 100`
)

// ReadStatus reads the outbox's state through any connection to the
// database.
func ReadStatus(ctx context.Context, q pg.Querier) (Status, error) {
	type counts struct {
		Unpublished  int64
		OldestEvent  *time.Time
		PendingCalls int64
		OldestCall   *time.Time
		DeadLetters  int64
	}
	c, err := pg.One[counts](ctx, q, "outbox", statusSQL)
	if err != nil {
		return Status{}, fmt.Errorf("outbox status: %w", err)
	}
	parked, err := pg.Many[ParkedCall](ctx, q, parkedSQL)
	if err != nil {
		return Status{}, fmt.Errorf("parked calls: %w", err)
	}
	return Status{
		Unpublished: c.Unpublished, OldestEvent: c.OldestEvent, PendingCalls: c.PendingCalls, OldestCall: c.OldestCall,
		Parked: parked, DeadLetters: c.DeadLetters,
	}, nil
}
