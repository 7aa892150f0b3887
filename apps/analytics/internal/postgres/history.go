package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/analytics/internal/analytics"
	"lms/apps/analytics/internal/history"
	"lms/shared/page"
	"lms/shared/pg"
)

// Locks of the database that are held until a transaction ends.
const (
	shareIntakeSQL = `select pg_advisory_xact_lock_shared(hashtext('analytics intake'))`
	stopIntakeSQL  = `select pg_advisory_xact_lock(hashtext('analytics intake'))`
	holdTalliesSQL = `select pg_advisory_xact_lock(hashtext('analytics tallies'))`
	holdRebuildSQL = `select pg_advisory_xact_lock(hashtext('analytics rebuild'))`
)

const (
	arrivedSQL   = `select case when is_called then last_value else 0 end from raw_events_ord`
	makeMonthSQL = `select make_month(m) from unnest($1::date[]) as t (m) order by m`

	// A row per event; lists of people come as texts, since lists of lists cannot
	// have different lengths.
	appendSQL = `
insert into raw_events (
  occurred_at, event_id, type, aggregate_id, seq, tenant_id, org_unit_id, course_id, actor_id, user_id, others, data, received_at
)
select occurred_at, event_id, type, aggregate_id, seq, tenant_id, org_unit_id, course_id, actor_id, user_id, others::uuid[], data::json, $13
from unnest($1::timestamptz[], $2::uuid[], $3::text[], $4::uuid[], $5::bigint[], $6::uuid[], $7::uuid[], $8::uuid[], $9::uuid[], $10::uuid[],
  $11::text[], $12::text[]) as t (occurred_at, event_id, type, aggregate_id, seq, tenant_id, org_unit_id, course_id, actor_id, user_id, others, data)
on conflict (occurred_at, event_id) do nothing`

	rewriteSQL = `
update raw_events e set aggregate_id = t.aggregate_id, actor_id = t.actor_id, user_id = t.user_id, others = t.others::uuid[], data = t.data::json
from unnest($1::timestamptz[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[])
  as t (occurred_at, event_id, aggregate_id, actor_id, user_id, others, data)
where e.occurred_at = t.occurred_at and e.event_id = t.event_id`

	// What adding up needs, and no more.
	arrivalsSQL = `
select ord, event_id as id, type, seq, tenant_id, data from raw_events where ord > $1 and ord <= $2 order by ord limit $3`

	eventColumns = `ord, event_id, occurred_at, type, aggregate_id, seq, tenant_id, org_unit_id, course_id, actor_id, user_id, data`

	ofPersonSQL = `
select ` + eventColumns + ` from raw_events where user_id = $1 or others @> array[$1::uuid] limit $2`

	listedWhere = ` from raw_events
where ($1::text[] is null or type = any ($1)) and ($2::uuid is null or user_id = $2)
  and ($3::timestamptz is null or occurred_at >= $3) and ($4::timestamptz is null or occurred_at < $4)
  and ($5::uuid[] is null and $6::uuid[] is null or course_id = any ($5) or course_id is null and org_unit_id = any ($6))
`
	listedSQL = `select ` + eventColumns + listedWhere + `  and ($7::timestamptz is null or (occurred_at, event_id) < ($7, $8::uuid))
order by occurred_at desc, event_id desc limit $9`
	listedAscendingSQL = `select ` + eventColumns + listedWhere + `  and ($7::timestamptz is null or (occurred_at, event_id) > ($7, $8::uuid))
order by occurred_at, event_id limit $9`

	pseudonymsSQL = `select digest, pseudonym from forgotten where digest = any ($1::bytea[])`
	forgetSQL     = `
insert into forgotten (digest, pseudonym, at) values ($1, $2, $3)
on conflict (digest) do update set pseudonym = excluded.pseudonym`
)

func (t tx) lock(ctx context.Context, sql string) error {
	_, err := t.Exec(ctx, sql)
	return err
}

// ShareIntake implements analytics.Tx.
func (t tx) ShareIntake(ctx context.Context) error { return t.lock(ctx, shareIntakeSQL) }

// StopIntake implements analytics.Tx.
func (t tx) StopIntake(ctx context.Context) error { return t.lock(ctx, stopIntakeSQL) }

// HoldTallies implements analytics.Tx.
func (t tx) HoldTallies(ctx context.Context) error { return t.lock(ctx, holdTalliesSQL) }

// HoldRebuild implements analytics.Tx.
func (t tx) HoldRebuild(ctx context.Context) error { return t.lock(ctx, holdRebuildSQL) }

// Arrived implements analytics.Tx.
func (t tx) Arrived(ctx context.Context) (int64, error) {
	return pg.Scalar[int64](ctx, t, "place", arrivedSQL)
}

// MakeMonths implements analytics.Tx.
func (t tx) MakeMonths(ctx context.Context, months []time.Time) error {
	_, err := pg.Exec(ctx, t, makeMonthSQL, months)
	return err
}

// lists are events as columns.
type lists struct {
	times                            []time.Time
	ids, aggregates, tenants         []uuid.UUID
	orgUnits, courses, actors, users []*uuid.UUID
	types                            []string
	others                           []*string
	data                             []string
	seqs                             []int64
}

func columnsOf(events []history.Event) lists {
	var l lists
	for _, e := range events {
		l.times, l.ids, l.aggregates, l.tenants = append(l.times, e.Time), append(l.ids, e.ID), append(l.aggregates, e.AggregateID), append(l.tenants, e.TenantID)
		l.orgUnits, l.courses = append(l.orgUnits, optional(e.OrgUnitID)), append(l.courses, optional(e.CourseID))
		l.actors, l.users = append(l.actors, optional(e.ActorID)), append(l.users, optional(e.UserID))
		l.types, l.seqs, l.data = append(l.types, e.Type), append(l.seqs, e.Seq), append(l.data, string(e.Data))
		l.others = append(l.others, arrayText(e.Others))
	}
	return l
}

// arrayText is PostgreSQL's text of a list of ids, nil for none.
func arrayText(ids []uuid.UUID) *string {
	if len(ids) == 0 {
		return nil
	}
	parts := make([]string, len(ids))
	for i, id := range ids {
		parts[i] = id.String()
	}
	s := "{" + strings.Join(parts, ",") + "}"
	return &s
}

func optional(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

func orNil(id *uuid.UUID) uuid.UUID {
	if id == nil {
		return uuid.Nil
	}
	return *id
}

// Append implements analytics.Tx.
func (t tx) Append(ctx context.Context, events []history.Event, at time.Time) error {
	l := columnsOf(events)
	_, err := pg.Exec(ctx, t, appendSQL, l.times, l.ids, l.types, l.aggregates, l.seqs, l.tenants, l.orgUnits, l.courses, l.actors, l.users, l.others, l.data, at)
	return err
}

// Rewrite implements analytics.Tx.
func (t tx) Rewrite(ctx context.Context, events []history.Event) error {
	l := columnsOf(events)
	_, err := pg.Exec(ctx, t, rewriteSQL, l.times, l.ids, l.aggregates, l.actors, l.users, l.others, l.data)
	return err
}

// Arrivals implements analytics.Tx.
func (t tx) Arrivals(ctx context.Context, after, upto int64, limit int) ([]history.Event, error) {
	rows, err := t.Query(ctx, arrivalsSQL, after, upto, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make([]history.Event, 0, min(limit, 10_000))
	for rows.Next() {
		var e history.Event
		if err := rows.Scan(&e.Ord, &e.ID, &e.Type, &e.Seq, &e.TenantID, (*[]byte)(&e.Data)); err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, rows.Err()
}

type eventRow struct {
	Ord         int64
	EventID     uuid.UUID
	OccurredAt  time.Time
	Type        string
	AggregateID uuid.UUID
	Seq         int64
	TenantID    uuid.UUID
	OrgUnitID   *uuid.UUID
	CourseID    *uuid.UUID
	ActorID     *uuid.UUID
	UserID      *uuid.UUID
	Data        json.RawMessage
}

func (r eventRow) event() history.Event {
	return history.Event{
		ID: r.EventID, Type: r.Type, Time: r.OccurredAt, AggregateID: r.AggregateID, Seq: r.Seq, TenantID: r.TenantID, OrgUnitID: orNil(r.OrgUnitID),
		CourseID: orNil(r.CourseID), ActorID: orNil(r.ActorID), UserID: orNil(r.UserID), Data: r.Data, Ord: r.Ord,
	}
}

func eventsOf(rows []eventRow) []history.Event {
	out := make([]history.Event, len(rows))
	for i, r := range rows {
		out[i] = r.event()
	}
	return out
}

// OfPerson implements analytics.Tx.
func (t tx) OfPerson(ctx context.Context, user uuid.UUID, limit int) ([]history.Event, error) {
	rows, err := pg.Many[eventRow](ctx, t, ofPersonSQL, user, limit)
	return eventsOf(rows), err
}

// Listed implements analytics.Tx.
func (t tx) Listed(ctx context.Context, f analytics.EventFilter, q page.Request) (page.Page[history.Event], error) {
	var p page.Page[history.Event]
	var at *time.Time
	var id uuid.UUID
	if _, err := page.Decode(q.Cursor, &at, &id); err != nil {
		return p, err
	}
	sql := listedSQL
	if f.Ascending {
		sql = listedAscendingSQL
	}
	rows, err := pg.Many[eventRow](ctx, t, sql, f.Types, f.UserID, f.From, f.To, f.Courses, f.OrgUnits, at, id, q.Size()+1)
	if err != nil {
		return p, err
	}
	return page.Cut(eventsOf(rows), q.Size(), func(e history.Event) string { return page.Encode(e.Time, e.ID) }), nil
}

func digest(id uuid.UUID) []byte {
	sum := sha256.Sum256(id[:])
	return sum[:]
}

// Pseudonyms implements analytics.Tx.
func (t tx) Pseudonyms(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]uuid.UUID, error) {
	digests := make([][]byte, len(ids))
	by := make(map[[32]byte]uuid.UUID, len(ids))
	for i, id := range ids {
		digests[i] = digest(id)
		by[[32]byte(digests[i])] = id
	}
	type row struct {
		Digest    []byte
		Pseudonym uuid.UUID
	}
	rows, err := pg.Many[row](ctx, t, pseudonymsSQL, digests)
	if err != nil {
		return nil, err
	}
	out := make(map[uuid.UUID]uuid.UUID, len(rows))
	for _, r := range rows {
		out[by[[32]byte(r.Digest)]] = r.Pseudonym
	}
	return out, nil
}

// Forget implements analytics.Tx.
func (t tx) Forget(ctx context.Context, user, pseudonym uuid.UUID, at time.Time) error {
	_, err := pg.Exec(ctx, t, forgetSQL, digest(user), pseudonym, at)
	return err
}
