package app

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/notification/internal/catalog"
	"lms/apps/notification/internal/events"
	"lms/apps/notification/internal/httpapi"
	"lms/apps/notification/internal/notification"
	"lms/apps/notification/internal/webhook"
	"lms/shared/authz"
	"lms/shared/clock"
	contract "lms/shared/contracts/events"
	"lms/shared/inbox"
	"lms/shared/once"
	"lms/shared/outbox"
	"lms/shared/record"
	"lms/shared/record/recordtest"
	"lms/shared/service"
	"lms/shared/testkit"
	"lms/shared/web"
)

// world is notification with its routes, on a store, with doubles of the others.
type world struct {
	t        *testing.T
	store    record.Store
	people   *directory
	post     *letters
	sender   *integrator
	tenant   uuid.UUID
	tokens   *testkit.Tokens
	now      func() time.Time
	built    *built
	router   *web.Router
	draining chan struct{}
	*testkit.Client
}

type directory struct {
	mu    sync.Mutex
	cards map[uuid.UUID]notification.Card
}

func (d *directory) Cards(_ context.Context, ids []uuid.UUID) (map[uuid.UUID]notification.Card, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := map[uuid.UUID]notification.Card{}
	for _, id := range ids {
		if c, ok := d.cards[id]; ok {
			out[id] = c
		}
	}
	return out, nil
}

func (d *directory) Forget(uuid.UUID) {}

type nobody struct{}

func (nobody) Learners(context.Context, uuid.UUID, string, int) ([]uuid.UUID, string, error) {
	return nil, "", nil
}

func (nobody) Course(context.Context, uuid.UUID) (*notification.CourseSnapshot, error) {
	return nil, nil
}

func (nobody) Heads(context.Context, string) ([]outbox.Head, error) { return nil, nil }

func (nobody) Kept(context.Context, string, string, int64, int64, int) ([]json.RawMessage, error) {
	return nil, nil
}

type letters struct {
	mu   sync.Mutex
	sent []notification.Letter
	more chan struct{}
}

func (l *letters) Send(_ context.Context, letter notification.Letter) error {
	l.mu.Lock()
	l.sent = append(l.sent, letter)
	l.mu.Unlock()
	l.more <- struct{}{}
	return nil
}

func (l *letters) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.sent)
}

type integrator struct{}

func (integrator) Check(u *url.URL) error {
	if u.Hostname() == "localhost" {
		return errors.New("is not a public name")
	}
	return nil
}

func (integrator) Post(context.Context, string, map[string]string, []byte) (webhook.Answer, error) {
	return webhook.Answer{Status: 204}, nil
}

func newWorld(t *testing.T) *world {
	t.Helper()
	c := clock.NewManual(time.Now())
	return worldOn(t, recordtest.New(t, c.Now), c.Now)
}

func worldOn(t *testing.T, store record.Store, now func() time.Time) *world {
	t.Helper()
	w := &world{
		t: t, store: store, now: now, people: &directory{cards: map[uuid.UUID]notification.Card{}}, post: &letters{more: make(chan struct{}, 10_000)},
		sender: &integrator{}, tenant: uuid.New(), tokens: testkit.NewTokens(t), draining: make(chan struct{}),
	}
	w.built, w.router = w.replica(store)
	w.Client = testkit.Server(t, w.router, w.tokens)
	return w
}

// replica is a process on a store.
func (w *world) replica(store record.Store) (*built, *web.Router) {
	w.t.Helper()
	policy := testkit.Policy(w.tenant)
	k := &service.Kit{Authz: policy, Now: w.now, NewID: clock.NewID, Log: slog.New(slog.DiscardHandler), Config: service.Config{PublicURL: "https://lms.example/"}}
	b, err := build(k, Config{ListSize: 1000, LookBack: time.Hour}, outside{
		store: store, people: w.people, roster: nobody{}, courses: nobody{}, post: w.post, sender: w.sender, producers: nobody{},
	})
	require.NoError(w.t, err)
	require.NoError(w.t, b.keys.Use([]byte("a sealing key of a test, long enough")))
	r := web.NewRouter(web.Options{Service: "notification", Verifier: w.tokens.Verifier(), Authz: policy})
	httpapi.Mount(r, httpapi.Options{
		Service: b.service, Webhooks: b.webhooks, Links: b.keys, Once: once.New(store, w.now), Consumer: b.consumer, Draining: w.draining,
	})
	events.MountCalls(r, b.service)
	return b, r
}

func (w *world) person(locale string) authz.Principal {
	p := testkit.User(w.tenant)
	w.people.mu.Lock()
	defer w.people.mu.Unlock()
	w.people.cards[p.UserID] = notification.Card{
		ID: p.UserID, TenantID: w.tenant, Name: "Ada", Email: "ada@example.test", EmailVerified: true, Locale: locale, TimeZone: "Europe/Berlin", Status: "active",
	}
	return p
}

func (w *world) enrolled(who authz.Principal) inbox.Event {
	w.t.Helper()
	data, err := json.Marshal(contract.EnrollmentActivated{EnrollmentState: contract.EnrollmentState{
		EnrollmentID: uuid.New(), TenantID: w.tenant, CourseID: uuid.New(), CourseTitle: "Biology", CourseCode: "B", UserID: who.UserID,
	}})
	require.NoError(w.t, err)
	return inbox.Event{ID: uuid.New(), Type: contract.TypeEnrollmentActivated, Time: w.now(), Seq: 1, TenantID: w.tenant, Data: data}
}

func (w *world) consume(b *built, batch ...inbox.Event) {
	w.t.Helper()
	for _, err := range b.consumer.Apply(w.t.Context(), batch) {
		require.NoError(w.t, err)
	}
}

func mustKind(t *testing.T, b *built) catalog.Kind {
	t.Helper()
	k, ok := b.texts.Kind("account.reactivated")
	require.True(t, ok)
	return k
}
