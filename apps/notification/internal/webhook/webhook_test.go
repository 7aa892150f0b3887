package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/notification/internal/audited"
	"lms/apps/notification/internal/catalog"
	"lms/apps/notification/internal/sealing"
	"lms/apps/notification/internal/webhook"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/clock"
	"lms/shared/journal/acts"
	"lms/shared/page"
	"lms/shared/record/recordtest"
)

type request struct {
	url    string
	header map[string]string
	body   []byte
}

type sender struct {
	mu     sync.Mutex
	got    []request
	answer func(url string) (webhook.Answer, error)
}

func (s *sender) Check(u *url.URL) error {
	if u.Hostname() == "10.0.0.1" {
		return errors.New("is not a public address")
	}
	return nil
}

func (s *sender) Post(_ context.Context, url string, header map[string]string, body []byte) (webhook.Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, request{url, header, body})
	if s.answer != nil {
		return s.answer(url)
	}
	return webhook.Answer{Status: 204}, nil
}

func (s *sender) requests() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]request(nil), s.got...)
}

type world struct {
	t        *testing.T
	clock    *clock.Manual
	store    *recordtest.Memory
	sender   *sender
	tenant   uuid.UUID
	admin    authz.Principal
	disabled []string
	s        *webhook.Service
}

func newWorld(t *testing.T) *world {
	t.Helper()
	c := clock.NewManual(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	w := &world{t: t, clock: c, store: recordtest.New(t, c.Now), sender: &sender{}, tenant: uuid.New()}
	w.admin = w.principal(authz.RoleOrgAdmin)
	w.s = w.replica()
	return w
}

func (w *world) principal(role string) authz.Principal {
	return authz.Principal{UserID: uuid.New(), TenantID: w.tenant, Grants: []authz.Grant{{Role: role, Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: w.tenant}}}}
}

func (w *world) replica() *webhook.Service {
	w.t.Helper()
	keys := &sealing.Keys{}
	require.NoError(w.t, keys.Use([]byte("a sealing key of a test, long enough")))
	policy := authz.Fixed{P: authz.NewPolicy(authz.Snapshot{Roles: authz.BuiltinRoles(), OrgUnits: []authz.OrgUnit{{ID: w.tenant, TenantID: w.tenant}}})}
	return webhook.New(webhook.Options{
		Store: w.store, Sender: w.sender, Sealer: keys, Now: w.clock.Now, NewID: uuid.New, Policy: policy,
		Trail: audited.New(w.store, acts.New(w.store, policy, w.clock.Now, uuid.New), w.clock.Now, uuid.New, slog.New(slog.DiscardHandler)),
		Disabled: func(_ context.Context, e webhook.Endpoint, _ time.Time) error {
			w.disabled = append(w.disabled, e.URL)
			return nil
		},
	})
}

func (w *world) create(d webhook.Draft) webhook.Endpoint {
	w.t.Helper()
	d.Enabled = true
	e, err := w.s.Create(w.t.Context(), w.admin, d)
	require.NoError(w.t, err)
	return e
}

func (w *world) event(eventType string) catalog.Event {
	raw, err := json.Marshal(map[string]string{"type": eventType})
	require.NoError(w.t, err)
	return catalog.Event{ID: uuid.New(), Type: eventType, TenantID: w.tenant, Raw: raw, Time: w.clock.Now()}
}

func (w *world) offer(s *webhook.Service, events ...catalog.Event) {
	w.t.Helper()
	for _, err := range s.Offer(w.t.Context(), events) {
		require.NoError(w.t, err)
	}
}

func (w *world) deliver(s *webhook.Service) {
	w.t.Helper()
	for range 60 {
		n := 0
		for shard := range s.Queue().Shards() {
			claims, _, err := s.Queue().Claim(w.t.Context(), shard, 10, s.Lease())
			require.NoError(w.t, err)
			n += len(claims)
			require.NoError(w.t, s.Queue().Done(w.t.Context(), shard, s.Serve(w.t.Context(), claims)))
		}
		if n == 0 {
			return
		}
	}
	require.Fail(w.t, "the queue never becomes empty")
}

func (w *world) deliveries(e webhook.Endpoint) []webhook.Delivery {
	w.t.Helper()
	p, err := w.s.Deliveries(w.t.Context(), w.admin, e.ID, "", page.Request{Limit: 200})
	require.NoError(w.t, err)
	return p.Items
}

func TestAnEventIsDeliveredOnceAndSigned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.create(webhook.Draft{URL: "https://a.example/x", Types: []string{"lms.course.*"}})
	secret, err := w.s.Secret(e)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(secret, "whsec_"))
	other := w.replica()
	ev := w.event("lms.course.published.v1")
	for range 3 {
		w.offer(w.s, ev)
		w.offer(other, ev, w.event("lms.user.created.v1"))
		w.deliver(w.s)
	}
	got := w.sender.requests()
	require.Len(t, got, 1)
	require.JSONEq(t, `{"type":"lms.course.published.v1"}`, string(got[0].body))
	require.Equal(t, webhook.Sign([]string{secret}, w.clock.Now(), got[0].body), got[0].header[webhook.SignatureHeader])
	require.NotContains(t, string(mustGet(t, w.store, "webhooks."+w.tenant.String())), secret, "sealed where it is stored")
	require.Equal(t, webhook.Delivered, w.deliveries(e)[0].State)
}

func mustGet(t *testing.T, s *recordtest.Memory, key string) []byte {
	t.Helper()
	e, err := s.Get(t.Context(), key)
	require.NoError(t, err)
	return e.Value
}

func TestFilters(t *testing.T) {
	t.Parallel()
	course := uuid.New()
	e := webhook.Endpoint{TenantID: uuid.New(), Status: webhook.Enabled, Types: []string{"lms.course.*", "lms.user.created.v1"}}
	for name, c := range map[string]struct {
		change func(*webhook.Endpoint)
		event  catalog.Event
		want   bool
	}{
		"a pattern":            {nil, catalog.Event{Type: "lms.course.updated.v1"}, true},
		"exactly":              {nil, catalog.Event{Type: "lms.user.created.v1"}, true},
		"another":              {nil, catalog.Event{Type: "lms.user.updated.v1"}, false},
		"none given is all":    {func(e *webhook.Endpoint) { e.Types = nil }, catalog.Event{Type: "lms.user.updated.v1"}, true},
		"another organisation": {nil, catalog.Event{Type: "lms.course.updated.v1", TenantID: uuid.New()}, false},
		"switched off":         {func(e *webhook.Endpoint) { e.Status = webhook.Disabled }, catalog.Event{Type: "lms.course.updated.v1"}, false},
		"of a course":          {func(e *webhook.Endpoint) { e.Courses = []uuid.UUID{course} }, catalog.Event{Type: "lms.course.updated.v1", CourseID: course}, true},
		"of another course":    {func(e *webhook.Endpoint) { e.Courses = []uuid.UUID{course} }, catalog.Event{Type: "lms.course.updated.v1"}, false},
	} {
		x := e
		if c.change != nil {
			c.change(&x)
		}
		if c.event.TenantID == uuid.Nil {
			c.event.TenantID = e.TenantID
		}
		require.Equal(t, c.want, x.Wants(c.event), name)
	}
}

func TestRetriesThenFailureAndRedelivery(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bad, good := w.create(webhook.Draft{URL: "https://bad.example/x"}), w.create(webhook.Draft{URL: "https://good.example/x"})
	fails := true
	w.sender.answer = func(url string) (webhook.Answer, error) {
		if fails && strings.Contains(url, "bad") {
			return webhook.Answer{Status: 500}, nil
		}
		return webhook.Answer{Status: 200}, nil
	}
	w.offer(w.s, w.event("lms.course.published.v1"))
	w.deliver(w.s)
	require.Equal(t, webhook.Delivered, w.deliveries(good)[0].State, "one that fails holds up no other")
	d := w.deliveries(bad)[0]
	require.Equal(t, webhook.Pending, d.State)
	require.Equal(t, 500, d.StatusCode)
	require.Equal(t, w.clock.Now().Add(10*time.Second), d.NextAt)
	for range 9 {
		w.clock.Advance(25 * time.Hour)
		if len(w.disabled) > 0 {
			break
		}
		w.deliver(w.s)
	}
	require.Equal(t, []string{"https://bad.example/x"}, w.disabled, "five days without an answer")
	e, err := w.s.Get(t.Context(), w.admin, bad.ID)
	require.NoError(t, err)
	require.Equal(t, webhook.Failing, e.Status)
	_, err = w.s.Redeliver(t.Context(), w.admin, bad.ID, d.ID)
	require.Equal(t, "endpoint_disabled", apperr.Code(err))

	fails = false
	_, err = w.s.Update(t.Context(), w.admin, bad.ID, e.Version, func(d *webhook.Draft) { d.Enabled = true })
	require.NoError(t, err)
	_, err = w.s.Redeliver(t.Context(), w.admin, bad.ID, d.ID)
	require.NoError(t, err)
	w.deliver(w.s)
	require.Equal(t, webhook.Delivered, w.deliveries(bad)[0].State)
	_, err = w.s.Redeliver(t.Context(), w.admin, bad.ID, uuid.New())
	require.True(t, apperr.IsKind(err, apperr.KindNotFound))
}

func TestRotationSignsWithBothForADay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.create(webhook.Draft{URL: "https://a.example/x"})
	old, err := w.s.Secret(e)
	require.NoError(t, err)
	e, err = w.s.Rotate(t.Context(), w.admin, e.ID)
	require.NoError(t, err)
	now, err := w.s.Secret(e)
	require.NoError(t, err)
	require.NotEqual(t, old, now)
	signed := func() string {
		w.offer(w.s, w.event("lms.course.published.v1"))
		w.deliver(w.s)
		got := w.sender.requests()
		return got[len(got)-1].header[webhook.SignatureHeader]
	}
	require.Equal(t, 2, strings.Count(signed(), "v1="))
	w.clock.Advance(webhook.SecretOverlap)
	require.Equal(t, 1, strings.Count(signed(), "v1="))
}

func TestWhoMayManageWebhooks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.create(webhook.Draft{URL: "https://a.example/x"})
	_, err := w.s.Create(t.Context(), w.principal(authz.RoleInstructor), webhook.Draft{URL: "https://a.example/x"})
	require.True(t, apperr.IsKind(err, apperr.KindForbidden))
	stranger := w.admin
	stranger.TenantID = uuid.New()
	_, err = w.s.Get(t.Context(), stranger, e.ID)
	require.True(t, apperr.IsKind(err, apperr.KindForbidden), "an administrator of another organisation")
	for _, bad := range []string{"ftp://a.example", "https://", "https://u:p@a.example/", "https://10.0.0.1/x", "https://a.example/#x", "not an address"} {
		_, err := w.s.Create(t.Context(), w.admin, webhook.Draft{URL: bad})
		require.True(t, apperr.IsKind(err, apperr.KindInvalid), bad)
	}
	_, err = w.s.Update(t.Context(), w.admin, e.ID, e.Version+1, func(*webhook.Draft) {})
	require.Equal(t, "version_mismatch", apperr.Code(err))
	require.NoError(t, w.s.Delete(t.Context(), w.admin, e.ID, e.Version))
	w.offer(w.replica(), w.event("lms.course.published.v1"))
	w.deliver(w.s)
	require.Empty(t, w.sender.requests())
}
