package notification_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/notification/internal/audited"
	"lms/apps/notification/internal/catalog"
	"lms/apps/notification/internal/notification"
	"lms/apps/notification/internal/texts"
	"lms/shared/authz"
	"lms/shared/clock"
	contract "lms/shared/contracts/events"
	"lms/shared/journal/acts"
	"lms/shared/page"
	"lms/shared/record"
	"lms/shared/record/recordtest"
)

// world is the service with the others as doubles.
type world struct {
	t      *testing.T
	clock  *clock.Manual
	store  *recordtest.Memory
	people *directory
	roster *roster
	source *courses
	post   *post
	tenant uuid.UUID
	s      *notification.Service
}

type directory struct {
	mu    sync.Mutex
	cards map[uuid.UUID]notification.Card
	err   error
	asked int
}

func (d *directory) Cards(_ context.Context, ids []uuid.UUID) (map[uuid.UUID]notification.Card, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	out := map[uuid.UUID]notification.Card{}
	for _, id := range ids {
		if c, ok := d.cards[id]; ok {
			out[id] = c
		}
	}
	return out, d.err
}

func (d *directory) Forget(uuid.UUID) {}

func (d *directory) set(c notification.Card) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cards[c.ID] = c
}

type roster struct {
	mu       sync.Mutex
	learners map[uuid.UUID][]uuid.UUID
	fail     int // pages before a failure; negative: none
	pages    int
}

func (r *roster) Learners(_ context.Context, course uuid.UUID, cursor string, limit int) ([]uuid.UUID, string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail == 0 {
		return nil, "", errors.New("enrollment is away")
	}
	r.fail--
	r.pages++
	ids := slices.Clone(r.learners[course])
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return strings.Compare(a.String(), b.String()) })
	from := 0
	for from < len(ids) && ids[from].String() <= cursor {
		from++
	}
	ids = ids[from:]
	if len(ids) <= limit {
		return ids, "", nil
	}
	return ids[:limit], ids[limit-1].String(), nil
}

type courses struct {
	known map[uuid.UUID]*notification.CourseSnapshot
}

func (c *courses) Course(_ context.Context, id uuid.UUID) (*notification.CourseSnapshot, error) {
	return c.known[id], nil
}

type post struct {
	mu   sync.Mutex
	sent []notification.Letter
	fail func(notification.Letter) error
	hook func(notification.Letter)
}

func (p *post) Send(_ context.Context, l notification.Letter) error {
	p.mu.Lock()
	fail, hook := p.fail, p.hook
	p.mu.Unlock()
	if hook != nil {
		hook(l)
	}
	if fail != nil {
		if err := fail(l); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, l)
	return nil
}

func (p *post) letters() []notification.Letter {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.sent)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	c := clock.NewManual(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	w := &world{
		t: t, clock: c, store: recordtest.New(t, c.Now), people: &directory{cards: map[uuid.UUID]notification.Card{}},
		roster: &roster{learners: map[uuid.UUID][]uuid.UUID{}, fail: -1}, source: &courses{known: map[uuid.UUID]*notification.CourseSnapshot{}},
		post: &post{}, tenant: uuid.New(),
	}
	w.s = w.replica(w.store)
	return w
}

// replica is another process on the same state.
func (w *world) replica(store record.Store) *notification.Service {
	w.t.Helper()
	table := catalog.New()
	x, err := texts.New(table)
	require.NoError(w.t, err)
	policy := authz.Fixed{P: authz.NewPolicy(authz.Snapshot{Roles: authz.BuiltinRoles(), OrgUnits: []authz.OrgUnit{{ID: w.tenant, TenantID: w.tenant}}})}
	return notification.New(notification.Options{
		Store: store, Catalog: table, Texts: x, People: w.people, Roster: w.roster, Courses: w.source, Post: w.post, Policy: policy,
		Trail: audited.New(store, acts.New(store, policy, w.clock.Now, uuid.New), w.clock.Now, uuid.New, slog.New(slog.DiscardHandler)),
		Now:   w.clock.Now, NewID: uuid.New, LinkBase: "https://learn.example",
		Unsubscribe: func(to uuid.UUID, kind string) (string, error) { return "https://learn.example/u/" + kind, nil },
	})
}

func (w *world) person(locale, zone string) notification.Card {
	c := notification.Card{
		ID: uuid.New(), TenantID: w.tenant, Name: "Ada Lovelace", Email: uuid.NewString()[:8] + "@example.test", EmailVerified: true,
		Locale: locale, TimeZone: zone, Status: "active",
	}
	w.people.set(c)
	return c
}

func (w *world) event(id uuid.UUID, data contract.Event, course uuid.UUID) catalog.Event {
	w.t.Helper()
	raw, err := json.Marshal(data)
	require.NoError(w.t, err)
	return catalog.Event{ID: id, Type: data.EventType(), Time: w.clock.Now(), Seq: 1, TenantID: w.tenant, CourseID: course, Data: raw, Raw: raw}
}

func (w *world) activated(who uuid.UUID, course uuid.UUID) catalog.Event {
	return w.event(uuid.New(), contract.EnrollmentActivated{EnrollmentState: contract.EnrollmentState{
		EnrollmentID: uuid.New(), TenantID: w.tenant, CourseID: course, CourseCode: "BIO-101", CourseTitle: "Biology", UserID: who, State: "active", At: w.clock.Now(),
	}}, course)
}

func (w *world) apply(s *notification.Service, batch ...catalog.Event) {
	w.t.Helper()
	for _, err := range s.Apply(w.t.Context(), batch) {
		require.NoError(w.t, err)
	}
}

func as(c notification.Card) authz.Principal {
	return authz.Principal{UserID: c.ID, TenantID: c.TenantID, OrgUnitID: c.TenantID}
}

type line struct{ Kind, Title, Text string }

func (w *world) list(c notification.Card) (out []line) {
	w.t.Helper()
	p, _, err := w.s.Messages(w.t.Context(), as(c), notification.Filter{}, page.Request{Limit: 200})
	require.NoError(w.t, err)
	for _, m := range p.Items {
		out = append(out, line{m.Kind, m.Title, m.Text})
	}
	return out
}

// deliver lets all shards work until nothing is due, as the loops do.
func (w *world) deliver(s *notification.Service) {
	w.t.Helper()
	mail, spread := s.Queues()
	for range 50 {
		n := 0
		for shard := range spread.Shards() {
			n += w.turn(func() (int, error) { return s.FanoutTurn(w.t.Context(), shard) })
		}
		for shard := range mail.Shards() {
			n += w.turn(func() (int, error) { return s.MailTurn(w.t.Context(), shard) })
		}
		if n == 0 {
			return
		}
	}
	require.Fail(w.t, "the queues never become empty")
}

func (w *world) turn(fn func() (int, error)) int {
	n, err := fn()
	require.NoError(w.t, err)
	return n
}
