package app

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"lms/apps/content/internal/events"
	"lms/apps/content/internal/files"
	"lms/apps/content/internal/httpapi"
	"lms/apps/content/internal/library"
	"lms/apps/content/internal/postgres"
	"lms/shared/authz"
	"lms/shared/clock"
	contract "lms/shared/contracts/events"
	"lms/shared/inbox"
	"lms/shared/jobs"
	"lms/shared/objects"
	"lms/shared/outbox"
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
	library *library.Service
	router  *web.Router
	client  *testkit.Client
	db      *pg.DB
	pool    *pgxpool.Pool
	inbox   *inbox.Inbox
	jobs    *jobs.Runner
	clock   *clock.Manual
	friends *neighbours
	objects *objects.Store
	quizzes *quizFriends
	tokens  *testkit.Tokens

	tenant, unit, other                       uuid.UUID
	admin, teacher, assistant, student, alien authz.Principal
	calls                                     int64
}

// neighbours stand for enrollment and course.
type neighbours struct {
	mu       sync.Mutex
	verdicts map[[2]uuid.UUID]library.Verdict // by person and course; nobody else may see it
	contents map[[2]uuid.UUID]library.Verdict // by person and content: instead of the course's
	courses  map[uuid.UUID][]uuid.UUID
	usages   map[uuid.UUID][]library.Usage
	asked    int
	fresh    bool // the last question was not to be answered from memory
	away     error
	slow     bool
	waited   []uuid.UUID // calls that an answer waited for
}

func (n *neighbours) May(_ context.Context, actor authz.Principal, course uuid.UUID, content *uuid.UUID, fresh bool) (library.Verdict, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	n.fresh = fresh
	if n.away != nil {
		return library.Verdict{}, n.away
	}
	v, ok := n.verdicts[[2]uuid.UUID{actor.UserID, course}]
	if !ok {
		return library.Verdict{Code: library.DeniedUnknown}, nil
	}
	if content != nil && v.As == library.AsLearner {
		if special, ok := n.contents[[2]uuid.UUID{actor.UserID, *content}]; ok {
			return special, nil
		}
		for _, u := range n.usages[*content] {
			if u.CourseID == course {
				return v, nil
			}
		}
		return library.Verdict{Code: library.DeniedUnknown}, nil
	}
	return v, nil
}

func (n *neighbours) CoursesOf(_ context.Context, user uuid.UUID) ([]uuid.UUID, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.courses[user], n.away
}

func (n *neighbours) Usages(_ context.Context, content uuid.UUID) ([]library.Usage, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.usages[content], n.away
}

// Settled implements library.Calls: enrollment is always fast here, unless it is away.
func (n *neighbours) Settled(_ context.Context, call uuid.UUID, _ time.Duration) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.waited = append(n.waited, call)
	return n.away == nil && !n.slow
}

func noFiles() files.Files { return files.Files{} }

// enroll makes a person a learner of a course.
func (w *world) enroll(p authz.Principal, course uuid.UUID) {
	w.join(p, course, library.Verdict{Allowed: true, As: library.AsLearner, TenantID: w.tenant, OrgUnitID: w.unit})
}

// staff gives a person a role in a course.
func (w *world) staff(p authz.Principal, course uuid.UUID, role string) {
	w.join(p, course, library.Verdict{Allowed: true, As: library.AsStaff, Role: role, TenantID: w.tenant, OrgUnitID: w.unit})
}

func (w *world) join(p authz.Principal, course uuid.UUID, v library.Verdict) {
	w.friends.mu.Lock()
	defer w.friends.mu.Unlock()
	w.friends.verdicts[[2]uuid.UUID{p.UserID, course}] = v
	w.friends.courses[p.UserID] = append(w.friends.courses[p.UserID], course)
}

// place puts a content into a course.
func (w *world) place(content, course uuid.UUID) {
	w.friends.mu.Lock()
	defer w.friends.mu.Unlock()
	w.friends.usages[content] = append(w.friends.usages[content], library.Usage{
		CourseID: course, CourseTitle: "A course", CourseStatus: contract.CoursePublished, ModuleID: uuid.New(), ItemID: uuid.New(), ItemTitle: "An item", PlacedAt: w.clock.Now(),
	})
}

// newWorld keeps files in a folder, behind a server as the gateway's.
func newWorld(t testing.TB) *world {
	t.Helper()
	mux := http.NewServeMux()
	gateway := httptest.NewServer(mux)
	t.Cleanup(gateway.Close)
	store, err := objects.Open(t.Context(), "file://"+t.TempDir(), objects.Options{
		PublicURL: gateway.URL, SigningKey: func(context.Context) ([]byte, error) { return make([]byte, 32), nil },
	})
	require.NoError(t, err)
	mux.Handle("/objects/", objects.FileHandler(store))
	return newWorldWith(t, store)
}

func newWorldWith(t testing.TB, store *objects.Store) *world {
	t.Helper()
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	w := &world{t: t, objects: store, tenant: uuid.New(), unit: uuid.New(), other: uuid.New(), clock: clock.NewManual(time.Now())}
	w.pool = testkit.DB(t, "content")
	w.db = pg.From(w.pool, pg.Options{Service: "content", Now: w.clock.Now})
	policy := authz.NewPolicy(authz.Snapshot{
		Version: "1", Roles: authz.BuiltinRoles(),
		OrgUnits: []authz.OrgUnit{
			{ID: w.tenant, TenantID: w.tenant}, {ID: w.unit, ParentID: w.tenant, TenantID: w.tenant}, {ID: w.other, TenantID: w.other},
		},
	})
	w.friends = &neighbours{
		verdicts: map[[2]uuid.UUID]library.Verdict{}, contents: map[[2]uuid.UUID]library.Verdict{},
		courses: map[uuid.UUID][]uuid.UUID{}, usages: map[uuid.UUID][]library.Usage{},
	}
	w.admin = w.person(w.tenant, authz.RoleOrgAdmin, w.tenant)
	w.teacher = w.person(w.tenant, authz.RoleInstructor, w.unit)
	w.assistant = w.person(w.tenant, authz.RoleTeachingAssistant, w.unit)
	w.student = w.person(w.tenant, "", uuid.Nil)
	w.alien = w.person(w.other, authz.RoleOrgAdmin, w.other)

	source := authz.Fixed{P: policy}
	w.library = &library.Service{
		Store: postgres.NewLibrary(w.db), Authz: source, Members: w.friends, Placements: w.friends, Text: richtext.New(),
		Files: files.Files{Store: store}, Calls: w.friends, Opened: library.NewOpenings(1000), Now: w.clock.Now, NewID: clock.NewID,
	}
	w.tokens = testkit.NewTokens(t)
	w.router = web.NewRouter(web.Options{Service: "content", Verifier: w.tokens.Verifier(), Authz: source})
	(&httpapi.API{Library: w.library}).Mount(w.router)
	w.inbox = inbox.New(inbox.Options{DB: w.db})
	w.jobs = jobs.New(jobs.Options{DB: w.db})
	quizzes := w.withQuizzes(source)
	events.Receivers(w.inbox, store, events.Library{Service: w.library, Wrap: postgres.NewLibraryTx}, quizzes)
	events.Parts{Library: w.library, Quizzes: w.quizzes.service, WrapLibrary: postgres.NewLibraryTx, WrapQuiz: postgres.NewQuizTx}.Register(w.inbox)
	events.LibraryJobs(w.jobs, w.library)
	w.client = testkit.Server(t, w.router, w.tokens)
	return w
}

func (w *world) person(tenant uuid.UUID, role string, scope uuid.UUID) authz.Principal {
	p := authz.Principal{UserID: uuid.New(), SessionID: uuid.New(), TenantID: tenant, OrgUnitID: tenant}
	if role != "" {
		p.Grants = []authz.Grant{{Role: role, Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: scope}}}
	}
	return p
}

func (w *world) as(p authz.Principal) *testkit.Client { return w.client.As(p) }

type body = map[string]any

// made is a content as the API gives it, with its ETag.
type made struct {
	httpapi.Content
	tag string
}

func (m made) path(more string) string { return "/api/v1/contents/" + m.ID.String() + more }

// content is a new draft in the teacher's org unit.
func (w *world) content(kind string, more body) made {
	w.t.Helper()
	b := body{"org_unit_id": w.unit, "kind": kind, "title": "A " + kind}
	for k, v := range more {
		b[k] = v
	}
	r := w.as(w.teacher).POST("/api/v1/contents", b).Expect(http.StatusCreated)
	var c httpapi.Content
	r.JSON(&c)
	return made{Content: c, tag: r.ETag()}
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

type saidCall struct {
	Destination, Name, Key string
	Seq                    int64
	Body                   json.RawMessage
}

const saidSQL = `select destination, name, key, seq, body from outbox_call where name = $1 order by ord`

// said are the reliable calls of a name in order.
func said[T any](w *world, name string) []T {
	w.t.Helper()
	var rows []saidCall
	require.NoError(w.t, w.db.Read(w.t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) (err error) {
		rows, err = pg.Many[saidCall](ctx, u, saidSQL, name)
		return err
	}))
	out := make([]T, len(rows))
	for i, r := range rows {
		require.NoError(w.t, json.Unmarshal(r.Body, &out[i]))
	}
	return out
}

// called are the ids of the reliable calls of a name in order.
func (w *world) called(name string) []uuid.UUID {
	w.t.Helper()
	var out []uuid.UUID
	require.NoError(w.t, w.db.Read(w.t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) (err error) {
		out, err = pg.Column[uuid.UUID](ctx, u, `select id from outbox_call where name = $1 order by ord`, name)
		return err
	}))
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
	defer func() {
		cancel()
		require.NoError(w.t, <-done)
	}()
	var j work.Job
	require.Eventually(w.t, func() bool {
		var err error
		j, err = w.jobs.Get(w.t.Context(), id, owner.UserID)
		return err == nil && j.FinishedAt != nil
	}, 60*time.Second, 10*time.Millisecond)
	return j
}
