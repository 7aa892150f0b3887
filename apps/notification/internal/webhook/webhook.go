// Package webhook tells integrators of events: signed requests to endpoints that an
// organisation has registered, at least once, in no order, repeated with growing
// pauses. An endpoint's queue is one document; the bodies are documents of their
// own, written once; what was attempted is a journal.
package webhook

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"lms/apps/notification/internal/audited"
	"lms/apps/notification/internal/catalog"
	"lms/apps/notification/internal/due"
	"lms/apps/notification/internal/person"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/journal"
	"lms/shared/journal/acts"
	"lms/shared/record"
	"lms/shared/work"
)

// Limits.
const (
	MaxEndpoints = 50 // of an organisation
	maxPending   = 1000
	maxFilters   = 100
	// SecretOverlap is how long the secret before still signs after a rotation.
	SecretOverlap = 24 * time.Hour
	// disableAfter is how long an endpoint may fail without a single success.
	disableAfter = 5 * 24 * time.Hour
	kept         = 30 * 24 * time.Hour
	bodyKept     = 32 * 24 * time.Hour
	shards       = 4
	endpointsFor = 2 * time.Second // an endpoint's change counts in all replicas after that
)

// Statuses of an endpoint.
const (
	Enabled  = "enabled"
	Disabled = "disabled" // by a person
	Failing  = "failing"  // switched off, since nothing got through for days
)

// Secret signs. Sealed is how it is stored.
type Secret struct {
	Sealed []byte    `json:"sealed"`
	Until  time.Time `json:"until,omitzero"` // of one that was replaced
}

// Endpoint is where an organisation wants to hear of events.
type Endpoint struct {
	ID          uuid.UUID   `json:"id"`
	TenantID    uuid.UUID   `json:"tenant_id"`
	URL         string      `json:"url"`
	Description string      `json:"description,omitempty"`
	Types       []string    `json:"types"` // "lms.course.*", "lms.user.created.v1"; empty: all
	Courses     []uuid.UUID `json:"courses,omitempty"`
	Status      string      `json:"status"`
	Secrets     []Secret    `json:"secrets"` // the newest first
	CreatedBy   uuid.UUID   `json:"created_by"`
	CreatedAt   time.Time   `json:"created_at"`
	UpdatedAt   time.Time   `json:"updated_at"`
	Version     int64       `json:"version"`
}

// Wants says whether an endpoint is to hear of an event.
func (e Endpoint) Wants(ev catalog.Event) bool {
	if e.Status != Enabled || ev.TenantID != e.TenantID {
		return false
	}
	if len(e.Courses) > 0 && !slices.Contains(e.Courses, ev.CourseID) {
		return false
	}
	return len(e.Types) == 0 || slices.ContainsFunc(e.Types, func(pattern string) bool { return matches(pattern, ev.Type) })
}

func matches(pattern, eventType string) bool {
	prefix, wild := strings.CutSuffix(pattern, "*")
	if wild {
		return strings.HasPrefix(eventType, prefix)
	}
	return pattern == eventType
}

type endpoints struct {
	Items []Endpoint `json:"items"`
	Acts  acts.Lines `json:"acts,omitempty"`
}

// State is where a delivery stands.
type State string

// The states of a delivery.
const (
	Pending   State = "pending"
	Delivered State = "delivered"
	Failed    State = "failed"
)

// Delivery is one event on its way to one endpoint.
type Delivery struct {
	ID         uuid.UUID `json:"id"`
	EventID    uuid.UUID `json:"event_id"`
	Type       string    `json:"type"`
	State      State     `json:"state"`
	Attempts   int       `json:"attempts"`
	StatusCode int       `json:"status_code,omitempty"`
	Error      string    `json:"error,omitempty"`
	CreatedAt  time.Time `json:"created_at"`
	LastAt     time.Time `json:"last_at,omitzero"`
	NextAt     time.Time `json:"next_at,omitzero"`
	LoggedAt   time.Time `json:"logged_at,omitzero"`
}

// queue is what waits for an endpoint.
type queue struct {
	EndpointID   uuid.UUID     `json:"endpoint_id"`
	TenantID     uuid.UUID     `json:"tenant_id"`
	Pending      []Delivery    `json:"pending"`
	Told         person.Memory `json:"told"`
	FailingSince time.Time     `json:"failing_since,omitzero"`
	Acts         acts.Lines    `json:"acts,omitempty"`
}

type body struct {
	Raw  json.RawMessage `json:"raw"`
	Ends time.Time       `json:"exp"`
}

// Answer is how an endpoint answered; an error says that it did not.
type Answer struct{ Status int }

// Sender posts to an address that integrators gave, and only to public ones.
type Sender interface {
	Post(ctx context.Context, url string, header map[string]string, body []byte) (Answer, error)
	// Check refuses an address that nothing may ever be sent to.
	Check(u *url.URL) error
}

// Sealer keeps secrets unreadable in the state store.
type Sealer interface {
	Seal(plain []byte, purpose string) ([]byte, error)
	Open(sealed []byte, purpose string) ([]byte, error)
}

// Options of the service.
type Options struct {
	Store  record.Store
	Sender Sender
	Sealer Sealer
	Policy authz.Source
	Now    func() time.Time
	NewID  func() uuid.UUID
	Log    *slog.Logger
	// Disabled hears of an endpoint that was switched off; may be nil.
	Disabled func(ctx context.Context, e Endpoint, since time.Time) error
	// Attempted reports; may be nil.
	Attempted func(s State)
	Trail     *audited.Trail
}

// Service is the webhooks of all organisations.
type Service struct {
	Options
	endpoints *record.Book[endpoints]
	queues    *record.Book[queue]
	bodies    *record.Book[body]
	due       *due.Queue
	log       *journal.Journal[Delivery]
	audited   struct { // what people change, with a line in the audit trail
		endpoints *audited.Documents[endpoints]
		queues    *audited.Documents[queue]
	}

	mu     sync.Mutex
	cached map[uuid.UUID]cachedEndpoints
}

type cachedEndpoints struct {
	items []Endpoint
	until time.Time
}

// New makes the service.
func New(o Options) *Service {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{
		Options:   o,
		endpoints: record.Durable[endpoints](o.Store, o.Now, nil),
		queues:    record.Durable[queue](o.Store, o.Now, nil),
		bodies:    record.Durable(o.Store, o.Now, func(b *body) time.Time { return b.Ends }),
		due:       due.New(o.Store, "webhook", shards, o.Now, o.NewID),
		log:       journal.New[Delivery](o.Store, "webhookdeliveries", 50, kept, o.Now),
		cached:    map[uuid.UUID]cachedEndpoints{},
	}
	s.audited.endpoints = audited.Of(o.Trail, s.endpoints, endpointsKey, func(e *endpoints) *acts.Lines { return &e.Acts })
	s.audited.queues = audited.Of(o.Trail, s.queues, queueKey, func(q *queue) *acts.Lines { return &q.Acts })
	return s
}

func act(action string, e Endpoint) acts.Act {
	return acts.Act{
		Action: action, ResourceType: "webhook_endpoint", ResourceID: e.ID, TenantID: e.TenantID,
		Changes: map[string]work.Change{"url": {To: e.URL}, "status": {To: e.Status}},
	}
}

func endpointsKey(tenant uuid.UUID) string { return "webhooks." + tenant.String() }
func queueKey(endpoint uuid.UUID) string   { return "webhookqueue." + endpoint.String() }
func bodyKey(event uuid.UUID) string       { return "webhookevent." + event.String() }

// allowed is the organisation whose endpoints the actor manages. It is nobody
// else's: an event carries personal data of the whole organisation.
func (s *Service) allowed(ctx context.Context, actor authz.Principal) (uuid.UUID, error) {
	policy, err := authz.Knowing(ctx, s.Policy, actor, uuid.Nil)
	if err != nil {
		return uuid.Nil, err
	}
	if !policy.Allows(actor, authz.WebhookManage, actor.TenantID) {
		return uuid.Nil, apperr.Forbidden("You may manage the webhooks of a whole organisation only.")
	}
	return actor.TenantID, nil
}

// Draft is what a person says of an endpoint.
type Draft struct {
	URL         string
	Description string
	Types       []string
	Courses     []uuid.UUID
	Enabled     bool
}

func (s *Service) check(d Draft) error {
	var f apperr.Fields
	u, err := url.Parse(d.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		f.Add("url", "invalid", "is no https address")
	case u.User != nil || u.Fragment != "":
		f.Add("url", "invalid", "has no user and no fragment")
	default:
		if err := s.Sender.Check(u); err != nil {
			f.Add("url", "address_not_allowed", err.Error())
		}
	}
	f.Require(len(d.Types) <= maxFilters && len(d.Courses) <= maxFilters, "types", "too_many", "at most 100")
	for _, t := range d.Types {
		if !strings.HasPrefix(t, "lms.") || strings.Contains(strings.TrimSuffix(t, "*"), "*") {
			f.Add("types", "invalid", "a type of events, such as lms.course.published.v1 or lms.course.*")
		}
	}
	return f.Err()
}

// newSecret is 256 random bits as integrators get them.
func (s *Service) newSecret(endpoint uuid.UUID) (plain string, sealed []byte, err error) {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails since Go 1.24
	plain = "whsec_" + base64.RawURLEncoding.EncodeToString(raw)
	sealed, err = s.Sealer.Seal([]byte(plain), "webhook/"+endpoint.String())
	return plain, sealed, err
}

// Secret is the newest secret of an endpoint.
func (s *Service) Secret(e Endpoint) (string, error) {
	raw, err := s.Sealer.Open(e.Secrets[0].Sealed, "webhook/"+e.ID.String())
	if err != nil {
		return "", apperr.Internal(err)
	}
	return string(raw), nil
}

// Create registers an endpoint.
func (s *Service) Create(ctx context.Context, actor authz.Principal, d Draft) (Endpoint, error) {
	tenant, err := s.allowed(ctx, actor)
	if err != nil {
		return Endpoint{}, err
	}
	if err := s.check(d); err != nil {
		return Endpoint{}, err
	}
	now := s.Now()
	e := Endpoint{ID: s.NewID(), TenantID: tenant, Status: Enabled, CreatedBy: actor.UserID, CreatedAt: now, UpdatedAt: now, Version: 1}
	e.take(d)
	_, sealed, err := s.newSecret(e.ID)
	if err != nil {
		return Endpoint{}, err
	}
	e.Secrets = []Secret{{Sealed: sealed}}
	err = s.act(ctx, tenant, "webhook_endpoint.create", &e, func(all *endpoints) error {
		if len(all.Items) >= MaxEndpoints {
			return apperr.Conflict("too_many_endpoints", "An organisation has at most 50 endpoints.")
		}
		all.Items = append(all.Items, e)
		return nil
	})
	if err != nil {
		return Endpoint{}, err
	}
	return e, nil
}

func (e *Endpoint) take(d Draft) {
	e.URL, e.Description, e.Types, e.Courses = d.URL, d.Description, d.Types, d.Courses
	if e.Types == nil {
		e.Types = []string{}
	}
	if d.Enabled {
		e.Status = Enabled
	} else if e.Status == Enabled {
		e.Status = Disabled
	}
}

func changing(fn func(*endpoints) error) func(*endpoints) (*endpoints, error) {
	return func(all *endpoints) (*endpoints, error) {
		if all == nil {
			all = &endpoints{}
		}
		return all, fn(all)
	}
}

// change is one that nobody asked for.
func (s *Service) change(ctx context.Context, tenant uuid.UUID, fn func(*endpoints) error) error {
	all, err := s.endpoints.Update(ctx, endpointsKey(tenant), changing(fn))
	if err == nil {
		s.remember(tenant, all.Items)
	}
	return err
}

// act is what a person does to an endpoint, which fn leaves as it is after that.
func (s *Service) act(ctx context.Context, tenant uuid.UUID, action string, e *Endpoint, fn func(*endpoints) error) error {
	all, err := s.audited.endpoints.Update(ctx, tenant, func() acts.Act { return act(action, *e) }, changing(fn))
	if err == nil {
		s.remember(tenant, all.Items)
	}
	return err
}

func (s *Service) remember(tenant uuid.UUID, items []Endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.cached) > 10_000 {
		clear(s.cached)
	}
	s.cached[tenant] = cachedEndpoints{items: items, until: s.Now().Add(endpointsFor)}
}

// List is every endpoint of the actor's organisation, in the order of their making.
func (s *Service) List(ctx context.Context, actor authz.Principal) ([]Endpoint, error) {
	tenant, err := s.allowed(ctx, actor)
	if err != nil {
		return nil, err
	}
	all, err := s.endpoints.Get(ctx, endpointsKey(tenant))
	if err != nil || all == nil {
		return nil, err
	}
	return all.Items, nil
}

// Get is one endpoint.
func (s *Service) Get(ctx context.Context, actor authz.Principal, id uuid.UUID) (Endpoint, error) {
	items, err := s.List(ctx, actor)
	if err != nil {
		return Endpoint{}, err
	}
	for _, e := range items {
		if e.ID == id {
			return e, nil
		}
	}
	return Endpoint{}, apperr.NotFound("webhook endpoint")
}

// Update changes an endpoint; fn changes the draft that it was made from.
func (s *Service) Update(ctx context.Context, actor authz.Principal, id uuid.UUID, version int64, fn func(*Draft)) (out Endpoint, err error) {
	return s.edit(ctx, actor, id, &version, "webhook_endpoint.update", func(e *Endpoint) error {
		d := Draft{URL: e.URL, Description: e.Description, Types: e.Types, Courses: e.Courses, Enabled: e.Status == Enabled}
		fn(&d)
		if err := s.check(d); err != nil {
			return err
		}
		e.take(d)
		return nil
	})
}

// Rotate gives an endpoint a new secret. The one before signs as well for a day.
func (s *Service) Rotate(ctx context.Context, actor authz.Principal, id uuid.UUID) (Endpoint, error) {
	return s.edit(ctx, actor, id, nil, "webhook_endpoint.rotate_secret", func(e *Endpoint) error {
		_, sealed, err := s.newSecret(e.ID)
		if err != nil {
			return err
		}
		e.Secrets[0].Until = s.Now().Add(SecretOverlap)
		e.Secrets = append([]Secret{{Sealed: sealed}}, e.Secrets[0])
		return nil
	})
}

func (s *Service) edit(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64, action string, fn func(*Endpoint) error) (out Endpoint, err error) {
	tenant, err := s.allowed(ctx, actor)
	if err != nil {
		return out, err
	}
	err = s.act(ctx, tenant, action, &out, func(all *endpoints) error {
		i := slices.IndexFunc(all.Items, func(e Endpoint) bool { return e.ID == id })
		if i < 0 {
			return apperr.NotFound("webhook endpoint")
		}
		e := &all.Items[i]
		if version != nil && e.Version != *version {
			return apperr.VersionMismatch()
		}
		if err := fn(e); err != nil {
			return err
		}
		e.Version++
		e.UpdatedAt = s.Now()
		out = *e
		return nil
	})
	if err != nil {
		return out, err
	}
	if out.Status == Enabled {
		// It may have been switched off with things waiting.
		if err := s.due.Add(ctx, due.Item{Key: id, Due: s.Now()}); err != nil {
			return out, err
		}
	}
	return out, nil
}

// Delete removes an endpoint; what waits for it is dropped.
func (s *Service) Delete(ctx context.Context, actor authz.Principal, id uuid.UUID, version int64) error {
	tenant, err := s.allowed(ctx, actor)
	if err != nil {
		return err
	}
	var gone Endpoint
	return s.act(ctx, tenant, "webhook_endpoint.delete", &gone, func(all *endpoints) error {
		i := slices.IndexFunc(all.Items, func(e Endpoint) bool { return e.ID == id })
		if i < 0 {
			return apperr.NotFound("webhook endpoint")
		}
		if gone = all.Items[i]; gone.Version != version {
			return apperr.VersionMismatch()
		}
		all.Items = slices.Delete(slices.Clone(all.Items), i, i+1)
		return nil
	})
}
