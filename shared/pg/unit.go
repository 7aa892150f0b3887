package pg

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/propagation"

	"lms/shared/apperr"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// Shards is the number of streams that each service's events are spread over.
const Shards = 8

// MaxEventBytes is the size above which an event is refused at the write.
const MaxEventBytes = 256 << 10

// Destination of mail in outbox_call; app ids have no colon.
const MailDestination = "binding:email"

// creatorLease is how long a call belongs to the process that wrote it before
// others may try it: longer than one try takes.
const creatorLease = 20 * time.Second

// Unit is one transaction: the pgx transaction for the service's own rows, and
// package work's verbs, whose rows are sent in one batch right before the
// commit.
type Unit struct {
	pgx.Tx
	db    *DB
	scope work.Scope

	statements []statement
	emitted    bool
	calls      []PendingCall
	after      []func()
	once       *onceState
}

var _ work.Unit = (*Unit)(nil)

// Now is the service's clock.
func (u *Unit) Now() time.Time { return u.db.Now() }

// NewID is a new id.
func (u *Unit) NewID() uuid.UUID { return u.db.NewID() }

// Scope is what the transaction may see.
func (u *Unit) Scope() work.Scope { return u.scope }

// AfterCommit runs fn when, and only when, the transaction was committed.
func (u *Unit) AfterCommit(fn func()) { u.after = append(u.after, fn) }

const insertEventSQL = `
with s as (
  insert into aggregate_seq (aggregate_id, seq) values ($1, 1)
  on conflict (aggregate_id) do update set seq = aggregate_seq.seq + 1
  returning seq
)
insert into outbox (id, shard, type, aggregate_id, seq, tenant_id, event, created_at)
select $2, $3, $4, $1, s.seq, $5, $6, $7 from s`

// Envelope is the CloudEvents 1.0 envelope as it is kept in the outbox;
// LMSSeq, stream and number are added when it is published.
type Envelope struct {
	SpecVersion     string          `json:"specversion"`
	ID              uuid.UUID       `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         uuid.UUID       `json:"subject"`
	Time            time.Time       `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	TenantID        uuid.UUID       `json:"tenantid"`
	OrgUnitID       *uuid.UUID      `json:"orgunitid,omitempty"`
	CourseID        *uuid.UUID      `json:"courseid,omitempty"`
	ActorID         *uuid.UUID      `json:"actorid,omitempty"`
	CorrelationID   string          `json:"correlationid,omitempty"`
	CausationID     string          `json:"causationid,omitempty"`
	Traceparent     string          `json:"traceparent,omitempty"`
	Data            json.RawMessage `json:"data"`
}

// Emit implements work.Unit.
func (u *Unit) Emit(ctx context.Context, e events.Event, m work.Meta) error {
	if u.db.topics[e.EventType()] != u.db.Topic {
		return fmt.Errorf("event %s does not belong to topic %s", e.EventType(), u.db.Topic)
	}
	if m.TenantID == uuid.Nil {
		m.TenantID, _ = u.scope.TenantID()
	}
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("event %s: %w", e.EventType(), err)
	}
	actor, cause := work.ActorFrom(ctx), work.CauseFrom(ctx)
	env := Envelope{
		SpecVersion: "1.0", ID: u.db.NewID(), Source: "/lms/" + u.db.Service, Type: e.EventType(), Subject: e.AggregateID(),
		Time: u.db.Now(), DataContentType: "application/json", TenantID: m.TenantID,
		OrgUnitID: optional(m.OrgUnitID), CourseID: optional(m.CourseID), ActorID: optional(actor.Principal.UserID),
		CorrelationID: cause.Correlation, CausationID: cause.Causation, Traceparent: traceparent(ctx), Data: data,
	}
	raw, err := json.Marshal(env)
	if err != nil {
		return fmt.Errorf("event %s: %w", e.EventType(), err)
	}
	if len(raw) > MaxEventBytes {
		return apperr.New(apperr.KindInvalid, "event_too_large", "The change is too large to be told to other services: at most 256 KiB.")
	}
	u.queue(env.Subject.String(), func(b *pgx.Batch) {
		b.Queue(insertEventSQL, env.Subject, env.ID, ShardOf(env.Subject), env.Type, m.TenantID, raw, env.Time)
	})
	u.emitted = true
	return nil
}

// ShardOf is the shard of an aggregate.
func ShardOf(aggregate uuid.UUID) int16 {
	h := fnv.New32a()
	h.Write(aggregate[:])
	return int16(h.Sum32() % Shards)
}

const insertCallSQL = `
with s as (
  insert into call_seq (destination, name, key, seq) values ($2, $3, $4, greatest($5::bigint, 1))
  on conflict (destination, name, key) do update
    set seq = case when $5 = 0 then call_seq.seq + 1 else greatest(call_seq.seq, $5) end
  returning seq
)
insert into outbox_call (id, destination, name, key, seq, tenant_id, body, traceparent, created_at, next_attempt_at)
select $1, $2, $3, $4, case when $5 = 0 then s.seq else $5 end, $6, $7, $8, $9, $10 from s
returning seq`

// A mail is a key of its own: a line in call_seq for each would stay for ever.
const insertMailSQL = `
insert into outbox_call (id, destination, name, key, seq, tenant_id, body, traceparent, created_at, next_attempt_at)
values ($1, $2, $3, $4, 1, $5, $6, $7, $8, $9)`

// Call implements work.Unit.
func (u *Unit) Call(ctx context.Context, c work.Call) (uuid.UUID, error) {
	body, err := json.Marshal(c.Body)
	if err != nil {
		return uuid.Nil, fmt.Errorf("call %s to %s: %w", c.Name, c.To, err)
	}
	return u.queueCall(ctx, c, body), nil
}

func (u *Unit) queueCall(ctx context.Context, c work.Call, body []byte) uuid.UUID {
	p := u.pending(ctx, c, body)
	i := len(u.calls)
	u.calls = append(u.calls, p)
	u.queue(p.Destination+"/"+p.Name+"/"+p.Key, func(b *pgx.Batch) {
		b.Queue(insertCallSQL, p.ID, p.Destination, p.Name, p.Key, c.Seq, p.TenantID, p.Body, p.Traceparent, p.CreatedAt, p.LeaseUntil).
			QueryRow(func(row pgx.Row) error { return row.Scan(&u.calls[i].Seq) })
	})
	return p.ID
}

func (u *Unit) pending(ctx context.Context, c work.Call, body []byte) PendingCall {
	now := u.db.Now()
	if c.TenantID == uuid.Nil {
		c.TenantID, _ = u.scope.TenantID()
	}
	return PendingCall{
		ID: u.db.NewID(), Destination: c.To, Name: c.Name, Key: c.Key, Seq: c.Seq, TenantID: c.TenantID,
		Body: body, Traceparent: traceparent(ctx), CreatedAt: now, LeaseUntil: now.Add(creatorLease).Truncate(time.Microsecond),
	}
}

// Mail implements work.Unit.
func (u *Unit) Mail(ctx context.Context, m work.Mail) error {
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("mail %s: %w", m.Kind, err)
	}
	p := u.pending(ctx, work.Call{To: MailDestination, Name: m.Kind, Seq: 1, TenantID: m.TenantID}, body)
	p.Key = p.ID.String()
	u.calls = append(u.calls, p)
	u.queue("", func(b *pgx.Batch) {
		b.Queue(insertMailSQL, p.ID, p.Destination, p.Name, p.Key, p.TenantID, p.Body, p.Traceparent, p.CreatedAt, p.LeaseUntil)
	})
	return nil
}

const insertAuditSQL = `
insert into audit (id, at, tenant_id, org_unit_id, actor_id, impersonator_id, service, action, resource_type, resource_id, ip, user_agent, request_id, changes)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`

// Audit implements work.Unit.
func (u *Unit) Audit(ctx context.Context, a work.AuditEntry) error {
	actor := work.ActorFrom(ctx)
	if a.TenantID == uuid.Nil {
		a.TenantID, _ = u.scope.TenantID()
	}
	if a.Changes == nil {
		a.Changes = map[string]work.Change{}
	}
	changes, err := json.Marshal(a.Changes)
	if err != nil {
		return fmt.Errorf("audit %s: %w", a.Action, err)
	}
	p := actor.Principal
	id, now := u.db.NewID(), u.db.Now()
	u.queue("", func(b *pgx.Batch) {
		b.Queue(insertAuditSQL, id, now, a.TenantID, optional(a.OrgUnitID), optional(p.UserID), optional(p.Impersonator),
			p.Service, a.Action, a.ResourceType, a.ResourceID, actor.IP, actor.UserAgent, actor.RequestID, changes)
	})
	return nil
}

const (
	insertJobSQL = `
insert into job (id, kind, key, tenant_id, owner_id, state, input, actor, created_at, run_at)
values ($1, $2, $3, $4, $5, 'queued', $6, $7, $8, $9)
on conflict (kind, key) where key <> '' and state in ('queued', 'running') do nothing`
	unfinishedJobSQL = `
select id, kind, state, done, total, error, created_at, started_at, finished_at from job
where kind = $1 and key = $2 and state in ('queued', 'running')`
)

// Enqueue implements work.Unit.
func (u *Unit) Enqueue(ctx context.Context, kind string, input any, o work.JobOptions) (work.Job, error) {
	raw, err := json.Marshal(input)
	if err != nil {
		return work.Job{}, fmt.Errorf("job %s: %w", kind, err)
	}
	actor := work.ActorFrom(ctx)
	who, err := json.Marshal(actor)
	if err != nil {
		return work.Job{}, fmt.Errorf("job %s: %w", kind, err)
	}
	if o.TenantID == uuid.Nil {
		o.TenantID, _ = u.scope.TenantID()
		if o.TenantID == uuid.Nil {
			o.TenantID = actor.Principal.TenantID
		}
	}
	j := work.Job{ID: u.db.NewID(), Kind: kind, State: work.JobQueued, CreatedAt: u.db.Now()}
	if o.RunAt.IsZero() {
		o.RunAt = j.CreatedAt
	}
	for range enqueueTries {
		n, err := Exec(ctx, u, insertJobSQL, j.ID, kind, o.Key, o.TenantID, optional(actor.Principal.UserID), raw, who, j.CreatedAt, o.RunAt)
		if err != nil {
			return work.Job{}, fmt.Errorf("job %s: %w", kind, err)
		}
		if n > 0 {
			return j, nil
		}
		same, err := One[work.Job](ctx, u, "job", unfinishedJobSQL, kind, o.Key)
		if !apperr.IsKind(err, apperr.KindNotFound) {
			return same, err
		}
		// It ended between the two statements: there is room for a new one.
	}
	return work.Job{}, apperr.Conflict("job_exists", "Another job of this kind is at work on it.")
}

// enqueueTries is how often a job with a key is tried that another one, which
// ends in the same moment, was in the way of.
const enqueueTries = 3

// statement is one that waits for the commit. lock names the row that it locks,
// "" for none.
type statement struct {
	lock  string
	queue func(*pgx.Batch)
}

func (u *Unit) queue(lock string, fn func(*pgx.Batch)) {
	u.statements = append(u.statements, statement{lock, fn})
}

// flush sends what waits for the commit. Everybody takes the locks in the same
// order, so that two transactions that speak of the same two aggregates do not
// deadlock; what speaks of one stays in the order in which it was said.
func (u *Unit) flush(ctx context.Context) error {
	if err := u.queueOnce(); err != nil {
		return err
	}
	if len(u.statements) == 0 {
		return nil
	}
	slices.SortStableFunc(u.statements, func(a, b statement) int { return strings.Compare(a.lock, b.lock) })
	var batch pgx.Batch
	for _, s := range u.statements {
		s.queue(&batch)
	}
	return u.SendBatch(ctx, &batch).Close()
}

func (u *Unit) committed() {
	if c := u.db.committed; c != nil {
		if u.emitted {
			c.Emitted()
		}
		if len(u.calls) > 0 {
			c.Called(u.calls)
		}
	}
	for _, fn := range u.after {
		fn()
	}
}

func optional(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

func traceparent(ctx context.Context) string {
	c := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, c)
	return c["traceparent"]
}
