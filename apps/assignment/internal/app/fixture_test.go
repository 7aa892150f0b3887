package app

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"lms/apps/assignment/internal/archive"
	"lms/apps/assignment/internal/coursework"
	"lms/apps/assignment/internal/events"
	"lms/apps/assignment/internal/httpapi"
	"lms/apps/assignment/internal/postgres"
	"lms/shared/authz"
	"lms/shared/clock"
	"lms/shared/contracts/internalapi"
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

type body = map[string]any

// world is the service on a database of its own, with neighbours that answer what
// a test tells them to.
type world struct {
	t       testing.TB
	service *coursework.Service
	router  *web.Router
	client  *testkit.Client
	db      *pg.DB
	pool    *pgxpool.Pool
	inbox   *inbox.Inbox
	jobs    *jobs.Runner
	objects *objects.Store
	clock   *clock.Manual
	friends *neighbours

	tenant, unit, other, course                         uuid.UUID
	admin, teacher, assistant, student, stranger, alien authz.Principal
	calls                                               int64
}

// neighbours stand for enrollment, course and user.
type neighbours struct {
	mu       sync.Mutex
	tenant   uuid.UUID
	unit     uuid.UUID
	course   uuid.UUID
	away     bool        // enrollment takes no calls
	waited   []uuid.UUID // calls that an answer waited for
	policy   *authz.Policy
	staff    map[uuid.UUID]string                   // role in the course
	learners map[uuid.UUID]bool                     // true: may change things
	locked   map[uuid.UUID]any                      // reasons, by assignment
	placed   map[uuid.UUID]bool                     // shown by the curriculum
	cards    map[uuid.UUID]coursework.Card          //
	groups   map[uuid.UUID][]uuid.UUID              // groups and cohorts
	sets     map[uuid.UUID][]coursework.CourseGroup // by course
	asked    []coursework.Ask
}

// May implements coursework.Access as enrollment judges.
func (n *neighbours) May(_ context.Context, ask coursework.Ask) (coursework.Verdict, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, ask)
	v := coursework.Verdict{TenantID: n.tenant, OrgUnitID: n.unit}
	perm := map[coursework.Action]authz.Permission{coursework.See: authz.CourseRead, coursework.Submit: authz.CourseRead, coursework.Grades: authz.GradeEdit}[ask.Action]
	role := n.staff[ask.UserID]
	writes, enrolled := n.learners[ask.UserID]
	switch {
	case role != "" && n.policy.RoleHas(role, perm):
		v.Allowed, v.Staff, v.Role = true, true, role
	case n.policy.Allows(ask.Actor, perm, n.unit):
		v.Allowed, v.Staff = true, true
	case !enrolled:
		v.Code = coursework.DeniedUnknown
	case ask.Action == coursework.Grades:
		v.Code = "forbidden"
	case ask.Action == coursework.Submit && !writes:
		v.Code = "read_only"
	case ask.ResourceID != nil && n.locked[*ask.ResourceID] != nil:
		v.Code, v.Reasons = coursework.DeniedItemLocked, n.locked[*ask.ResourceID]
	case ask.ResourceID != nil && !n.placed[*ask.ResourceID]:
		v.Code = coursework.DeniedUnknown
	default:
		v.Allowed, v.ReadOnly = true, !writes
	}
	return v, nil
}

func (n *neighbours) Teaches(_ context.Context, user uuid.UUID) (map[uuid.UUID]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if role, ok := n.staff[user]; ok {
		return map[uuid.UUID]string{n.course: role}, nil
	}
	return nil, nil
}

// Settled implements coursework.Calls: every call is answered at once, unless
// enrollment is away.
func (n *neighbours) Settled(_ context.Context, call uuid.UUID, _ time.Duration) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.waited = append(n.waited, call)
	return !n.away
}

func (n *neighbours) Placed(_ context.Context, assignment uuid.UUID) (bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.placed[assignment] || n.locked[assignment] != nil, nil
}

func (n *neighbours) Learners(_ context.Context, _ uuid.UUID, _ string) ([]uuid.UUID, string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []uuid.UUID
	for id := range n.learners {
		out = append(out, id)
	}
	return out, "", nil
}

func (n *neighbours) Cards(_ context.Context, ids []uuid.UUID) (map[uuid.UUID]coursework.Card, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := map[uuid.UUID]coursework.Card{}
	for _, id := range ids {
		if c, ok := n.cards[id]; ok {
			out[id] = c
		}
	}
	return out, nil
}

func (n *neighbours) GroupMembers(_ context.Context, groups []uuid.UUID) (map[uuid.UUID][]uuid.UUID, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := map[uuid.UUID][]uuid.UUID{}
	for _, g := range groups {
		out[g] = n.groups[g]
	}
	return out, nil
}

func (n *neighbours) CourseGroups(_ context.Context, course uuid.UUID) ([]coursework.CourseGroup, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sets[course], nil
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, tenant: uuid.New(), unit: uuid.New(), other: uuid.New(), course: uuid.New(), clock: clock.NewManual(time.Now())}
	w.pool = testkit.DB(t, "assignment")
	w.db = pg.From(w.pool, pg.Options{Service: "assignment", Now: w.clock.Now})
	policy := authz.NewPolicy(authz.Snapshot{
		Version: "1", Roles: authz.BuiltinRoles(),
		OrgUnits: []authz.OrgUnit{
			{ID: w.tenant, TenantID: w.tenant}, {ID: w.unit, ParentID: w.tenant, TenantID: w.tenant}, {ID: w.other, TenantID: w.other},
		},
	})
	w.friends = &neighbours{
		tenant: w.tenant, unit: w.unit, course: w.course, policy: policy, staff: map[uuid.UUID]string{}, learners: map[uuid.UUID]bool{},
		locked: map[uuid.UUID]any{}, placed: map[uuid.UUID]bool{}, cards: map[uuid.UUID]coursework.Card{},
		groups: map[uuid.UUID][]uuid.UUID{}, sets: map[uuid.UUID][]coursework.CourseGroup{},
	}
	w.admin = w.person(w.tenant, authz.RoleOrgAdmin, w.tenant)
	w.teacher, w.assistant = w.person(w.tenant, "", uuid.Nil), w.person(w.tenant, "", uuid.Nil)
	w.friends.staff[w.teacher.UserID], w.friends.staff[w.assistant.UserID] = authz.RoleInstructor, authz.RoleTeachingAssistant
	w.student, w.stranger = w.learner(), w.person(w.tenant, "", uuid.Nil)
	w.alien = w.person(w.other, authz.RoleOrgAdmin, w.other)
	w.build(t, authz.Fixed{P: policy})
	return w
}

// build wires the service as app.Build does.
func (w *world) build(t testing.TB, source authz.Source) {
	t.Helper()
	w.service = &coursework.Service{
		Store: postgres.NewStore(w.db), Authz: source, Access: w.friends, People: w.friends, Text: richtext.New(), Calls: w.friends,
		Settings: coursework.Settings{DueSoonBefore: 24 * time.Hour, MaxFileBytes: 1 << 30, UploadFor: 24 * time.Hour},
		Now:      w.clock.Now, NewID: clock.NewID, NewAlias: uuid.New,
	}
	var err error
	w.objects, err = objects.Open(t.Context(), "file://"+t.TempDir(), objects.Options{
		PublicURL: "http://lms.test", Now: w.clock.Now, SigningKey: func(context.Context) ([]byte, error) { return make([]byte, 32), nil },
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.objects.Close()) })
	w.service.Files = w.objects
	tokens := testkit.NewTokens(t)
	w.router = web.NewRouter(web.Options{Service: "assignment", Verifier: tokens.Verifier(), Authz: source})
	(&httpapi.API{Service: w.service, Files: w.objects, Now: w.clock.Now}).Mount(w.router)
	w.inbox = inbox.New(inbox.Options{DB: w.db})
	events.Receivers{Service: w.service, Wrap: postgres.NewTx, People: events.NewPeople(nil, w.clock.Now)}.Register(w.inbox)
	w.jobs = jobs.New(jobs.Options{DB: w.db})
	events.Jobs(w.jobs, w.service)
	(&archive.Jobs{Service: w.service, Objects: w.objects}).Handle(w.jobs)
	w.client = testkit.Server(t, w.router, tokens)
}

// person is somebody of a tenant, with a role in a unit of it or none.
func (w *world) person(tenant uuid.UUID, role string, unit uuid.UUID) authz.Principal {
	p := testkit.User(tenant)
	if role != "" {
		p.Grants = []authz.Grant{{Role: role, Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: unit}}}
	}
	w.friends.mu.Lock()
	defer w.friends.mu.Unlock()
	w.friends.cards[p.UserID] = coursework.Card{ID: p.UserID, Name: "Person " + p.UserID.String()[:8], SortName: p.UserID.String()[:8]}
	return p
}

// learner is somebody who learns in the course.
func (w *world) learner() authz.Principal {
	p := w.person(w.tenant, "", uuid.Nil)
	w.friends.mu.Lock()
	defer w.friends.mu.Unlock()
	w.friends.learners[p.UserID] = true
	return p
}

// as is the API as somebody sees it.
func (w *world) as(p authz.Principal) *testkit.Client { return w.client.As(p) }

// draft is an assignment that the teacher made, with what differs from the usual.
func (w *world) draft(more body) httpapi.Assignment {
	w.t.Helper()
	b := body{"title": "Essay", "points": 20}
	maps.Copy(b, more)
	var a httpapi.Assignment
	w.as(w.teacher).POST(path("courses", w.course, "assignments"), b).Expect(201).JSON(&a)
	return a
}

// published is a draft that learners see.
func (w *world) published(more body) httpapi.Assignment {
	w.t.Helper()
	a := w.draft(more)
	w.as(w.teacher).POST(path("assignments", a.ID, "publish"), nil).Expect(200).JSON(&a)
	return a
}

// submit hands a text in.
func (w *world) submit(p authz.Principal, a httpapi.Assignment) httpapi.Submission {
	w.t.Helper()
	var s httpapi.Submission
	w.as(p).POST(path("assignments", a.ID, "submissions"), body{"text": "<p>My work.</p>"}).Expect(201).JSON(&s)
	return s
}

// upload sends a file as a learner does: announced, put to the signed address,
// completed.
func (w *world) upload(p authz.Principal, a httpapi.Assignment, name string, content []byte) uuid.UUID {
	w.t.Helper()
	up := w.announce(p, a, name, content)
	w.send(up, content)
	w.as(p).POST(path("assignments", a.ID, "uploads", up.ID, "complete"), nil).Expect(200)
	return up.ID
}

func (w *world) announce(p authz.Principal, a httpapi.Assignment, name string, content []byte) httpapi.Upload {
	w.t.Helper()
	var up httpapi.Upload
	w.as(p).POST(path("assignments", a.ID, "uploads"), announced(name, content)).Expect(201).JSON(&up)
	return up
}

func announced(name string, content []byte) body {
	sum := sha256.Sum256(content)
	return body{"filename": name, "size": len(content), "sha256": hex.EncodeToString(sum[:])}
}

// send makes the signed request, which the gateway serves for local files.
func (w *world) send(up httpapi.Upload, content []byte) {
	w.t.Helper()
	u, err := url.Parse(up.Upload.URL)
	require.NoError(w.t, err)
	req := httptest.NewRequestWithContext(w.t.Context(), up.Upload.Method, u.RequestURI(), bytes.NewReader(content))
	for name, value := range up.Upload.Headers {
		req.Header.Set(name, value)
	}
	rec := httptest.NewRecorder()
	objects.FileHandler(w.objects).ServeHTTP(rec, req)
	require.Less(w.t, rec.Code, 300, rec.Body.String())
}

// gradeOf reads where a person stands, with its ETag.
func (w *world) gradeOf(as authz.Principal, a httpapi.Assignment, who uuid.UUID) (httpapi.Grade, string) {
	w.t.Helper()
	var g httpapi.Grade
	r := w.as(as).GET(path("assignments", a.ID, "grades", who)).Expect(200).JSON(&g)
	return g, r.Header.Get("ETag")
}

// grade enters a grade as the teacher.
func (w *world) grade(a httpapi.Assignment, who uuid.UUID, entry body) httpapi.Grade {
	w.t.Helper()
	_, tag := w.gradeOf(w.teacher, a, who)
	var g httpapi.Grade
	w.as(w.teacher).With("If-Match", tag).PUT(path("assignments", a.ID, "grades", who), entry).Expect(200).JSON(&g)
	return g
}

// work runs all queued jobs to their end.
func (w *world) work() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.jobs.Run(ctx) }()
	require.Eventually(w.t, func() bool {
		var n int
		w.scan(&n, `select count(*) from job where state in ('queued', 'running')`)
		return n == 0
	}, 20*time.Second, 10*time.Millisecond)
	cancel()
	<-done
	var failed []string
	w.scan(&failed, `select coalesce(array_agg(kind || ': ' || error), '{}') from job where state = 'failed'`)
	require.Empty(w.t, failed)
}

// report is the newest progress report about a person.
func (w *world) report(user uuid.UUID) internalapi.ProgressReport {
	w.t.Helper()
	var raw string
	w.scan(&raw, `select body::text from outbox_call where name = 'progress-report' and key like $1 order by ord desc limit 1`, user.String()+"/%")
	var out internalapi.ProgressReport
	require.NoError(w.t, json.Unmarshal([]byte(raw), &out))
	return out
}

// call makes a reliable call to the service and reads its reply.
func call[Out any](w *world, name, caller, key string, in any) (out Out) {
	w.t.Helper()
	w.calls++
	raw, err := json.Marshal(in)
	require.NoError(w.t, err)
	reply, err := w.inbox.ReceiveCall(w.t.Context(), name, caller, outbox.CallEnvelope{
		CallID: uuid.New(), Source: caller, Key: key, Seq: w.calls, TenantID: w.tenant, Time: w.clock.Now(), Data: raw,
	})
	require.NoError(w.t, err)
	if len(reply) > 0 {
		require.NoError(w.t, json.Unmarshal(reply, &out))
	}
	return out
}

func (w *world) scan(into any, sql string, args ...any) {
	w.t.Helper()
	require.NoError(w.t, w.db.Read(w.t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		return u.QueryRow(ctx, sql, args...).Scan(into)
	}))
}

// told are the types of the events of an aggregate, in order.
func (w *world) told(aggregate uuid.UUID) []string {
	w.t.Helper()
	var types []string
	w.scan(&types, `select coalesce(array_agg(replace(replace(type, 'lms.assignment.', ''), '.v1', '') order by seq), '{}') from outbox where aggregate_id = $1`, aggregate)
	return types
}

// callsOf are the bodies of reliable calls of a name, in order.
func (w *world) callsOf(name string) []map[string]any {
	w.t.Helper()
	var raw []string
	w.scan(&raw, `select coalesce(array_agg(body::text order by ord), '{}') from outbox_call where name = $1`, name)
	out := make([]map[string]any, len(raw))
	for i, r := range raw {
		require.NoError(w.t, json.Unmarshal([]byte(r), &out[i]))
	}
	return out
}

func path(parts ...any) string {
	out := "/api/v1"
	for _, p := range parts {
		switch v := p.(type) {
		case string:
			out += "/" + v
		case uuid.UUID:
			out += "/" + v.String()
		}
	}
	return out
}

func TestRoutesAreDeclared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	testkit.CheckRoutes(t, w.router)
	testkit.CheckCalls(t, "assignment", w.inbox.CallNames())
}
