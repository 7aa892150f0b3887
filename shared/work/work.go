// Package work says what a service layer may do inside a transaction besides
// its own rows: publish, call another service reliably, send mail, write the
// audit trail, start a job, and answer an idempotency key. Package pg does it.
package work

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/shared/authz"
	"lms/shared/contracts/events"
)

// Unit is one transaction.
type Unit interface {
	// Emit writes an event to the outbox. The kit adds id, time, seq, actor,
	// and cause. An event above 256 KiB is refused (422 `event_too_large`).
	Emit(ctx context.Context, e events.Event, m Meta) error
	// Call writes a reliable call and returns its id. It is made at once after
	// the commit and again until the other side has answered.
	Call(ctx context.Context, c Call) (uuid.UUID, error)
	// Mail writes an outgoing e-mail; it is sent after the commit through the
	// `email` binding and its body is erased once sent.
	Mail(ctx context.Context, m Mail) error
	// Audit notes who did what; actor, address and request id come from ctx.
	Audit(ctx context.Context, a AuditEntry) error
	// Enqueue writes a background job.
	Enqueue(ctx context.Context, kind string, input any, o JobOptions) (Job, error)
	// Once runs fn once per idempotency key of ctx: *out is kept as JSON with
	// the transaction and given again to a repeated request. Without a key it
	// runs fn. The same key with another body is 422 `idempotency_key_reused`,
	// one that is still being worked on 409 `idempotency_in_progress`.
	Once(ctx context.Context, out any, fn func() error) error
	// AfterCommit runs fn when, and only when, the transaction was committed.
	AfterCommit(fn func())
}

// Meta places an event: the tenant (a root org unit), the org unit, and the
// course where there is one.
type Meta struct {
	TenantID  uuid.UUID
	OrgUnitID uuid.UUID
	CourseID  uuid.UUID
}

// Call is a reliable call. Calls with one Key to one destination and name are
// applied in the order of Seq; the receiver keeps the highest and ignores what
// is older. Seq 0 takes the next number of the key.
type Call struct {
	To       string // app id
	Name     string // "progress-report": POST /internal/calls/progress-report
	Key      string // the source aggregate
	Seq      int64
	TenantID uuid.UUID
	Body     any
}

// Mail is one e-mail in text and, if given, HTML. Kind names it in logs and
// metrics, which never carry the address.
type Mail struct {
	Kind     string
	TenantID uuid.UUID
	To       string
	Subject  string
	Text     string
	HTML     string
}

// Change is one field before and after.
type Change struct {
	From any `json:"from"`
	To   any `json:"to"`
}

// AuditEntry is one act of a person. Action is "course.publish".
type AuditEntry struct {
	Action       string
	ResourceType string
	ResourceID   uuid.UUID
	TenantID     uuid.UUID
	OrgUnitID    uuid.UUID
	Changes      map[string]Change
}

// JobOptions are optional.
type JobOptions struct {
	TenantID uuid.UUID
	// Key makes the job unique among the unfinished ones of its kind: a second
	// Enqueue with the key returns the first job.
	Key string
	// RunAt delays it.
	RunAt time.Time
}

// JobState is where a job stands: queued → running → succeeded | failed |
// canceled. A running job whose process died is queued again.
type JobState string

// The states of a job.
const (
	JobQueued    JobState = "queued"
	JobRunning   JobState = "running"
	JobSucceeded JobState = "succeeded"
	JobFailed    JobState = "failed"
	JobCanceled  JobState = "canceled"
)

// Job is a background job as its owner sees it.
type Job struct {
	ID         uuid.UUID  `json:"id"`
	Kind       string     `json:"kind"`
	State      JobState   `json:"state"`
	Done       int64      `json:"done"`
	Total      int64      `json:"total"`
	Error      string     `json:"error,omitempty"`
	CreatedAt  time.Time  `json:"created_at"`
	StartedAt  *time.Time `json:"started_at,omitempty"`
	FinishedAt *time.Time `json:"finished_at,omitempty"`
}

// Scope is what rows a transaction may see: one tenant's, or all. The zero
// Scope sees none: an id that somebody forgot to set must not open everything.
type Scope struct {
	tenant uuid.UUID
	all    bool
}

// Tenant limits a transaction to the rows of one tenant.
func Tenant(id uuid.UUID) Scope { return Scope{tenant: id} }

// AllTenants is for work that belongs to no tenant: relays, sweeps, platform
// administration, a login by e-mail address.
func AllTenants() Scope { return Scope{all: true} }

// TenantID is the tenant, and false for all.
func (s Scope) TenantID() (uuid.UUID, bool) { return s.tenant, !s.all }

// ScopeOf is the scope of a caller: all tenants for a holder of any platform
// grant, for services, and for visitors, who are shown what is public in any;
// else the caller's own. A user without a tenant sees nothing.
func ScopeOf(p authz.Principal) Scope {
	if p.Service != "" || p.HasPlatformGrant() || p.Anonymous() {
		return AllTenants()
	}
	return Tenant(p.TenantID)
}

type ctxKey int

const (
	actorKey ctxKey = iota
	causeKey
	idempotencyKey
)

// Actor is who is behind a request.
type Actor struct {
	Principal authz.Principal
	IP        string
	UserAgent string
	RequestID string
}

// WithActor puts the actor into ctx.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey, a)
}

// ActorFrom is the actor of ctx; the zero Actor is the system itself.
func ActorFrom(ctx context.Context) Actor {
	a, _ := ctx.Value(actorKey).(Actor)
	return a
}

// Cause says what led to a change: the correlation id of the whole chain and
// the id of the request, event or call right before it.
type Cause struct{ Correlation, Causation string }

// WithCause puts the cause into ctx.
func WithCause(ctx context.Context, c Cause) context.Context {
	return context.WithValue(ctx, causeKey, c)
}

// CauseFrom is the cause of ctx; without one, the request itself.
func CauseFrom(ctx context.Context) Cause {
	if c, ok := ctx.Value(causeKey).(Cause); ok {
		return c
	}
	id := ActorFrom(ctx).RequestID
	return Cause{Correlation: id, Causation: id}
}

// Idempotency is the Idempotency-Key of a request with its scope.
type Idempotency struct {
	Caller   string // user or service
	Route    string // method and pattern
	Key      string
	BodyHash [32]byte
}

// WithIdempotency puts a key into ctx.
func WithIdempotency(ctx context.Context, k Idempotency) context.Context {
	return context.WithValue(ctx, idempotencyKey, k)
}

// IdempotencyFrom is the key of ctx, if there is one.
func IdempotencyFrom(ctx context.Context) (Idempotency, bool) {
	k, ok := ctx.Value(idempotencyKey).(Idempotency)
	return k, ok
}
