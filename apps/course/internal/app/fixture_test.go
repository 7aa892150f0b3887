package app

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"lms/apps/course/internal/catalog"
	"lms/apps/course/internal/events"
	"lms/apps/course/internal/httpapi"
	"lms/apps/course/internal/postgres"
	"lms/apps/course/internal/transfer"
	"lms/shared/authz"
	"lms/shared/clock"
	contract "lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/inbox"
	"lms/shared/jobs"
	"lms/shared/objects"
	"lms/shared/outbox"
	"lms/shared/page"
	"lms/shared/pg"
	"lms/shared/richtext"
	"lms/shared/testkit"
	"lms/shared/web"
	"lms/shared/work"
)

// world is the service on a database of its own, with neighbours that answer what
// a test tells them to.
type world struct {
	t       testing.TB
	service *catalog.Service
	router  *web.Router
	client  *testkit.Client
	db      *pg.DB
	pool    *pgxpool.Pool
	inbox   *inbox.Inbox
	jobs    *jobs.Runner
	objects *objects.Store
	outbox  *outbox.Outbox
	parts   *partOwners
	clock   *clock.Manual

	background *transfer.Jobs
	friends    *neighbours

	tenant, unit, other                       uuid.UUID
	admin, teacher, assistant, student, alien authz.Principal
	calls                                     int64
}

// Custom roles: two of the tenant, of which a teacher could give the first alone,
// and one of another tenant.
const (
	roleReader    = "0198c0de-0000-7000-8000-000000000001"
	roleRegistrar = "0198c0de-0000-7000-8000-000000000002"
	roleForeign   = "0198c0de-0000-7000-8000-000000000003"
)

// neighbours stand for user and enrollment.
type neighbours struct {
	mu       sync.Mutex
	people   map[uuid.UUID]catalog.Person
	verdicts map[uuid.UUID]catalog.Verdict // by person; nobody else is enrolled
	items    map[uuid.UUID]catalog.Verdict // by item, for who is enrolled
	courses  map[uuid.UUID][]uuid.UUID
}

func (n *neighbours) Cards(_ context.Context, ids []uuid.UUID) (map[uuid.UUID]catalog.Person, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := map[uuid.UUID]catalog.Person{}
	for _, id := range ids {
		if p, ok := n.people[id]; ok {
			out[id] = p
		}
	}
	return out, nil
}

func (n *neighbours) May(_ context.Context, user, _ uuid.UUID, item *uuid.UUID) (catalog.Verdict, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	v := n.verdicts[user]
	if item != nil && v.Allowed {
		if locked, ok := n.items[*item]; ok {
			return locked, nil
		}
	}
	return v, nil
}

func (n *neighbours) CoursesOf(_ context.Context, user uuid.UUID) ([]uuid.UUID, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.courses[user], nil
}

func (n *neighbours) enroll(user, course uuid.UUID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.verdicts[user] = catalog.Verdict{Allowed: true, Enrolled: true}
	n.courses[user] = append(n.courses[user], course)
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, tenant: uuid.New(), unit: uuid.New(), other: uuid.New(), clock: clock.NewManual(time.Now())}
	w.pool = testkit.DB(t, "course")
	w.db = pg.From(w.pool, pg.Options{Service: "course", Now: w.clock.Now})
	policy := authz.NewPolicy(authz.Snapshot{
		Version: "1", Roles: append(authz.BuiltinRoles(),
			authz.Role{Key: roleReader, Name: "Reader", TenantID: w.tenant, Permissions: []authz.Permission{authz.CourseRead}},
			authz.Role{Key: roleRegistrar, Name: "Registrar", TenantID: w.tenant, Permissions: []authz.Permission{authz.CourseRead, authz.UserMerge}},
			authz.Role{Key: roleForeign, Name: "Reader elsewhere", TenantID: w.other, Permissions: []authz.Permission{authz.CourseRead}},
		),
		OrgUnits: []authz.OrgUnit{
			{ID: w.tenant, TenantID: w.tenant}, {ID: w.unit, ParentID: w.tenant, TenantID: w.tenant}, {ID: w.other, TenantID: w.other},
		},
	})
	w.friends = &neighbours{
		people: map[uuid.UUID]catalog.Person{}, verdicts: map[uuid.UUID]catalog.Verdict{}, items: map[uuid.UUID]catalog.Verdict{}, courses: map[uuid.UUID][]uuid.UUID{},
	}
	w.admin = w.person(w.tenant, authz.RoleOrgAdmin, w.tenant)
	w.teacher = w.person(w.tenant, authz.RoleInstructor, w.unit)
	w.assistant = w.person(w.tenant, "", uuid.Nil)
	w.student = w.person(w.tenant, "", uuid.Nil)
	w.alien = w.person(w.other, authz.RoleOrgAdmin, w.other)

	source := authz.Fixed{P: policy}
	w.service = &catalog.Service{
		Store: postgres.NewStore(w.db), Authz: source, People: w.friends, Membership: w.friends, Text: richtext.New(),
		Views: catalog.NewViews(100), Now: w.clock.Now, NewID: clock.NewID,
	}
	tokens := testkit.NewTokens(t)
	w.router = web.NewRouter(web.Options{Service: "course", Verifier: tokens.Verifier(), Authz: source})
	var err error
	w.objects, err = objects.Open(t.Context(), "file://"+t.TempDir(), objects.Options{PublicURL: "http://lms.test", SigningKey: func(context.Context) ([]byte, error) { return make([]byte, 32), nil }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.objects.Close()) })
	(&httpapi.API{Service: w.service, Uploads: w.objects}).Mount(w.router)
	w.inbox = inbox.New(inbox.Options{DB: w.db})
	events.Receivers(w.inbox, w.service, postgres.NewTx)
	w.parts = &partOwners{replies: map[string]func(json.RawMessage) internalapi.PartReply{}}
	w.outbox = outbox.New(outbox.Options{DB: w.db, Transport: w.parts, Poll: 10 * time.Millisecond})
	events.Parts(w.outbox, w.inbox, w.service, postgres.NewTx)
	w.jobs = jobs.New(jobs.Options{DB: w.db})
	w.background = &transfer.Jobs{Service: w.service, Objects: w.objects, Log: slog.New(slog.DiscardHandler), Folder: t.TempDir()}
	w.background.Handle(w.jobs)
	w.client = testkit.Server(t, w.router, tokens)
	return w
}

// newWorldOn is another replica of the same service.
func newWorldOn(w *world) *world {
	r := *w
	svc := *w.service
	svc.Views = catalog.NewViews(100)
	r.service = &svc
	tokens := testkit.NewTokens(w.t)
	r.router = web.NewRouter(web.Options{Service: "course", Verifier: tokens.Verifier(), Authz: svc.Authz})
	(&httpapi.API{Service: &svc, Uploads: w.objects}).Mount(r.router)
	r.client = testkit.Server(w.t, r.router, tokens)
	return &r
}

func (w *world) person(tenant uuid.UUID, role string, scope uuid.UUID) authz.Principal {
	p := authz.Principal{UserID: uuid.New(), SessionID: uuid.New(), TenantID: tenant, OrgUnitID: tenant}
	if role != "" {
		p.Grants = []authz.Grant{{Role: role, Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: scope}}}
	}
	w.friends.people[p.UserID] = catalog.Person{ID: p.UserID, TenantID: tenant, Name: "Person " + p.UserID.String()[:4], Active: true}
	return p
}

func (w *world) as(p authz.Principal) *testkit.Client { return w.client.As(p) }

type body = map[string]any

// made is a course as the API gives it, with its ETag.
type made struct {
	httpapi.Course
	tag string
}

func (m made) path(more string) string { return "/api/v1/courses/" + m.ID.String() + more }

func (w *world) course(p authz.Principal, more body) made {
	w.t.Helper()
	b := body{"org_unit_id": w.unit, "code": "C-" + uuid.NewString()[:8], "title": "A course", "visibility": "organisation"}
	for k, v := range more {
		b[k] = v
	}
	r := w.as(p).POST("/api/v1/courses", b).Expect(http.StatusCreated)
	var c httpapi.Course
	r.JSON(&c)
	return made{Course: c, tag: r.ETag()}
}

// published is a published course with two modules: a page with a link, and a page.
func (w *world) published(more body) (made, httpapi.Curriculum) {
	w.t.Helper()
	c := w.course(w.teacher, more)
	cur := w.put(c, `"v1"`, body{"modules": []body{
		{"key": "a", "title": "A", "items": []body{
			{"kind": "page", "title": "Read", "body": "<p>text</p>", "requirement": body{"kind": "view"}},
			{"kind": "link", "title": "Look", "url": "https://example.org/x"},
		}},
		{"title": "B", "prerequisites": []string{"a"}, "items": []body{{"kind": "page", "title": "More", "requirement": body{"kind": "done"}}}},
	}})
	w.as(w.teacher).POST(c.path("/publish"), nil).Expect(http.StatusOK)
	return c, cur
}

func (w *world) put(c made, tag string, b body) httpapi.Curriculum {
	w.t.Helper()
	var cur httpapi.Curriculum
	w.as(w.teacher).With("If-Match", tag).PUT(c.path("/curriculum"), b).Expect(http.StatusOK).JSON(&cur)
	return cur
}

type told struct {
	Type string
	Seq  int64
	Data json.RawMessage
}

const toldSQL = `select type, seq, event->'data' as data from outbox where aggregate_id = $1 order by seq`

// events are those of an aggregate in order.
func (w *world) events(aggregate uuid.UUID) []told {
	w.t.Helper()
	var out []told
	require.NoError(w.t, w.db.Read(w.t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) (err error) {
		out, err = pg.Many[told](ctx, u, toldSQL, aggregate)
		return err
	}))
	return out
}

func (w *world) types(aggregate uuid.UUID) []string {
	w.t.Helper()
	var out []string
	for _, e := range w.events(aggregate) {
		out = append(out, e.Type)
	}
	return out
}

// last decodes the newest event of a type.
func last[T contract.Event](w *world, aggregate uuid.UUID) T {
	w.t.Helper()
	var out T
	found := false
	for _, e := range w.events(aggregate) {
		if e.Type == out.EventType() {
			found = true
			var v T
			require.NoError(w.t, json.Unmarshal(e.Data, &v))
			out = v
		}
	}
	require.True(w.t, found, "no %s in %v", out.EventType(), w.types(aggregate))
	return out
}

const auditedSQL = `select action from audit where resource_id = $1 order by at, id`

func (w *world) audited(resource uuid.UUID) []string {
	w.t.Helper()
	var out []string
	require.NoError(w.t, w.db.Read(w.t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) (err error) {
		out, err = pg.Column[string](ctx, u, auditedSQL, resource)
		return err
	}))
	return out
}

// call makes a reliable call as another service.
func (w *world) call(from, name, key string, in any) (json.RawMessage, error) {
	w.t.Helper()
	raw, err := json.Marshal(in)
	require.NoError(w.t, err)
	w.calls++
	return w.inbox.ReceiveCall(w.t.Context(), name, from, outbox.CallEnvelope{
		CallID: uuid.New(), Source: from, Key: key, Seq: w.calls, TenantID: w.tenant, Time: w.clock.Now(), Data: raw,
	})
}

// finished runs jobs until the given one has ended.
func (w *world) finished(owner authz.Principal, id uuid.UUID) work.Job {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- w.jobs.Run(ctx) }()
	calls := make(chan error, 1)
	go func() { calls <- w.outbox.Run(ctx) }()
	defer func() {
		cancel()
		require.NoError(w.t, errors.Join(<-done, <-calls))
	}()
	var j work.Job
	require.Eventually(w.t, func() bool {
		var err error
		j, err = w.jobs.Get(w.t.Context(), id, owner.UserID)
		w.clock.Advance(100 * time.Millisecond) // a job that waits for others looks again
		return err == nil && j.FinishedAt != nil
	}, 20*time.Second, 10*time.Millisecond)
	return j
}

func (w *world) rows(owner authz.Principal, id uuid.UUID) map[string]string {
	w.t.Helper()
	p, err := w.jobs.Rows(w.t.Context(), id, owner.UserID, "", pageOf(200))
	require.NoError(w.t, err)
	out := map[string]string{}
	for _, r := range p.Items {
		out[r.Code] = r.Status
	}
	return out
}

func pageOf(limit int) page.Request { return page.Request{Limit: limit} }
