package app

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"lms/apps/enrollment/internal/enrollment"
	"lms/apps/enrollment/internal/events"
	"lms/apps/enrollment/internal/httpapi"
	"lms/apps/enrollment/internal/postgres"
	"lms/apps/enrollment/internal/printed"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/clock"
	contract "lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/inbox"
	"lms/shared/jobs"
	"lms/shared/outbox"
	"lms/shared/pg"
	"lms/shared/testkit"
	"lms/shared/web"
	"lms/shared/work"
)

// world is the service on a database of its own, with neighbours that answer what
// a test tells them to.
type world struct {
	t       testing.TB
	service *enrollment.Service
	router  *web.Router
	client  *testkit.Client
	db      *pg.DB
	pool    *pgxpool.Pool
	inbox   *inbox.Inbox
	jobs    *jobs.Runner
	clock   *clock.Manual
	friends *neighbours

	tenant, unit, other            uuid.UUID
	admin, teacher, student, alien authz.Principal
	seq                            int64
	calls                          int64
}

// neighbours stand for user and course.
type neighbours struct {
	mu      sync.Mutex
	people  map[uuid.UUID]enrollment.Card
	groups  map[uuid.UUID][]uuid.UUID
	courses map[uuid.UUID]enrollment.CourseSnapshot
	asked   int

	away    bool          // course does not answer
	answer  chan struct{} // what course waits for, if not nil
	waiting atomic.Int32
}

func (n *neighbours) Cards(_ context.Context, ids []uuid.UUID) (map[uuid.UUID]enrollment.Card, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := map[uuid.UUID]enrollment.Card{}
	for _, id := range ids {
		if c, ok := n.people[id]; ok {
			out[id] = c
		}
	}
	return out, nil
}

func (n *neighbours) GroupMembers(ctx context.Context, actor uuid.UUID, groups []uuid.UUID) ([]uuid.UUID, error) {
	if err := n.SeesGroups(ctx, actor, groups); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []uuid.UUID
	for _, g := range groups {
		out = append(out, n.groups[g]...)
	}
	return out, nil
}

// SeesGroups knows no groups but those of groups.
func (n *neighbours) SeesGroups(_ context.Context, _ uuid.UUID, groups []uuid.UUID) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, g := range groups {
		if _, ok := n.groups[g]; !ok {
			return apperr.Invalid(apperr.Field{Path: "group_ids", Code: "unknown", Message: "No such group."})
		}
	}
	return nil
}

func (n *neighbours) Course(_ context.Context, id uuid.UUID) (*enrollment.CourseSnapshot, *enrollment.CurriculumSnapshot, error) {
	if n.answer != nil {
		n.waiting.Add(1)
		<-n.answer
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	if n.away {
		return nil, nil, apperr.Unavailable("service_unavailable", "The course service cannot be reached. Try again.")
	}
	if c, ok := n.courses[id]; ok {
		return &c, nil, nil
	}
	return nil, nil, nil
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, tenant: uuid.New(), unit: uuid.New(), other: uuid.New(), clock: clock.NewManual(time.Now())}
	w.pool = testkit.DB(t, "enrollment")
	w.db = pg.From(w.pool, pg.Options{Service: "enrollment", Now: w.clock.Now})
	policy := authz.Fixed{P: authz.NewPolicy(authz.Snapshot{
		Version: "1", Roles: authz.BuiltinRoles(),
		OrgUnits: []authz.OrgUnit{
			{ID: w.tenant, TenantID: w.tenant}, {ID: w.unit, ParentID: w.tenant, TenantID: w.tenant}, {ID: w.other, TenantID: w.other},
		},
	})}
	w.friends = &neighbours{people: map[uuid.UUID]enrollment.Card{}, groups: map[uuid.UUID][]uuid.UUID{}, courses: map[uuid.UUID]enrollment.CourseSnapshot{}}
	w.admin = w.person(w.tenant, authz.RoleOrgAdmin, w.tenant)
	w.teacher = w.person(w.tenant, "", uuid.Nil)
	w.student = w.person(w.tenant, "", uuid.Nil)
	w.alien = w.person(w.other, authz.RoleOrgAdmin, w.other)

	w.service = &enrollment.Service{
		Store: postgres.NewStore(w.db), Authz: policy, Courses: w.friends, People: w.friends, Curricula: enrollment.NewCurricula(1000),
		Settings: enrollment.Settings{
			PublicURL: "https://lms.test", CheckoutURL: "https://lms.test/checkout", OfferFor: 48 * time.Hour, InviteFor: 720 * time.Hour,
			HoldFor: time.Hour, NoticeBefore: 168 * time.Hour,
		},
		Now: w.clock.Now, NewID: clock.NewID, Random: rand.Reader,
	}
	printer, err := printed.New()
	require.NoError(t, err)
	tokens := testkit.NewTokens(t)
	w.router = web.NewRouter(web.Options{Service: "enrollment", Verifier: tokens.Verifier(), Authz: policy})
	(&httpapi.API{Service: w.service, Printer: printer, Now: w.clock.Now}).Mount(w.router)
	w.inbox = inbox.New(inbox.Options{DB: w.db})
	events.Receivers{Service: w.service, Wrap: postgres.NewTx, People: events.NewPeople(nil, w.clock.Now), Now: w.clock.Now}.Register(w.inbox)
	w.jobs = jobs.New(jobs.Options{DB: w.db})
	events.Jobs(w.jobs, w.service)
	w.client = testkit.Server(t, w.router, tokens)
	return w
}

// person is somebody of a tenant, with a role in a unit of it or none.
func (w *world) person(tenant uuid.UUID, role string, unit uuid.UUID) authz.Principal {
	p := testkit.User(tenant)
	if role != "" {
		p.Grants = []authz.Grant{{Role: role, Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: unit}}}
	}
	w.friends.mu.Lock()
	defer w.friends.mu.Unlock()
	w.friends.people[p.UserID] = enrollment.Card{ID: p.UserID, TenantID: tenant, Name: "Person " + p.UserID.String()[:8]}
	return p
}

func (w *world) learner() authz.Principal { return w.person(w.tenant, "", uuid.Nil) }

// as is the API as somebody sees it.
func (w *world) as(p authz.Principal) *testkit.Client { return w.client.As(p) }

// state is a published course of the tenant, taught by the teacher.
func (w *world) state(change ...func(*contract.CourseState)) contract.CourseState {
	c := contract.CourseState{
		ID: uuid.New(), TenantID: w.tenant, OrgUnitID: w.unit, Code: "C-" + uuid.NewString()[:6], Title: "A course", Language: "en",
		Status: contract.CoursePublished, Visibility: contract.VisibilityOrganisation, EnrollmentMode: contract.EnrollmentSelf,
		WaitlistEnabled: true, Pacing: "self", PrerequisiteCourses: []uuid.UUID{}, Seats: contract.SeatsOpen,
		Staff:      []contract.CourseStaff{{UserID: w.teacher.UserID, Role: authz.RoleInstructor, Active: true}},
		Completion: contract.CompletionSettings{Mode: contract.CompleteModules, Certificate: contract.CertificateSettings{Enabled: true}},
	}
	for _, f := range change {
		f(&c)
	}
	return c
}

func (w *world) course(change ...func(*contract.CourseState)) contract.CourseState {
	w.t.Helper()
	c := w.state(change...)
	w.tell(contract.TypeCoursePublished, c.ID, c)
	return c
}

func seats(n int) func(*contract.CourseState) {
	return func(c *contract.CourseState) { c.Capacity = &n }
}

func priced(c *contract.CourseState) { c.RequiresEntitlement = true }

// tell delivers an event of course.
func (w *world) tell(eventType string, aggregate uuid.UUID, data any) {
	w.t.Helper()
	w.seq++
	for _, err := range w.inbox.Apply(w.t.Context(), []inbox.Event{w.event(eventType, aggregate, w.seq, data)}) {
		require.NoError(w.t, err)
	}
}

func (w *world) event(eventType string, aggregate uuid.UUID, seq int64, data any) inbox.Event {
	raw, err := json.Marshal(data)
	require.NoError(w.t, err)
	return inbox.Event{ID: uuid.New(), Type: eventType, Time: w.clock.Now(), AggregateID: aggregate, Seq: seq, TenantID: w.tenant, Data: raw}
}

// part is a module with items that each have one requirement.
func part(title string, items ...contract.CurriculumItem) contract.CurriculumPart {
	return contract.CurriculumPart{ID: uuid.New(), Title: title, Published: true, Items: items}
}

func needs(kind string) contract.CurriculumItem {
	it := contract.CurriculumItem{ID: uuid.New(), Kind: contract.ItemPage, Title: kind, Published: true, Visible: true}
	if kind != "" {
		it.Requirement = &contract.ItemRequirement{Kind: kind}
	}
	return it
}

func quiz(minimum contract.Hundredths) contract.CurriculumItem {
	it := needs(contract.RequireMinScore)
	id := uuid.New()
	it.Kind, it.ResourceID = contract.ItemQuiz, &id
	it.Requirement.MinScore, it.Requirement.Unit = &minimum, contract.ScorePercent
	return it
}

func (w *world) curriculum(c contract.CourseState, parts ...contract.CurriculumPart) {
	w.t.Helper()
	w.tell(contract.TypeCurriculumChanged, c.ID, contract.CurriculumChanged{CurriculumState: contract.CurriculumState{
		CourseID: c.ID, TenantID: c.TenantID, OrgUnitID: c.OrgUnitID, Version: w.seq + 1, ChangedAt: w.clock.Now(), Modules: parts,
	}})
}

// call makes a reliable call to the service and reads its reply.
func call[Out any](w *world, name, caller, key string, body any) Out {
	w.t.Helper()
	w.calls++
	return callAt[Out](w, name, caller, key, w.calls, body)
}

func callAt[Out any](w *world, name, caller, key string, seq int64, body any) (out Out) {
	w.t.Helper()
	raw, err := json.Marshal(body)
	require.NoError(w.t, err)
	reply, err := w.inbox.ReceiveCall(w.t.Context(), name, caller, outbox.CallEnvelope{
		CallID: uuid.New(), Source: caller, Key: key, Seq: seq, TenantID: w.tenant, Time: w.clock.Now(), Data: raw,
	})
	require.NoError(w.t, err)
	if len(reply) > 0 {
		require.NoError(w.t, json.Unmarshal(reply, &out))
	}
	return out
}

// enroll enrolls somebody alone and gives the enrollment.
func (w *world) enroll(p authz.Principal, c contract.CourseState) httpapi.Enrollment {
	w.t.Helper()
	var e httpapi.Enrollment
	w.as(p).POST("/api/v1/courses/"+c.ID.String()+"/enrollments", map[string]any{}).Expect(201).JSON(&e)
	return e
}

func (w *world) read(p authz.Principal, id uuid.UUID) httpapi.Enrollment {
	w.t.Helper()
	var e httpapi.Enrollment
	w.as(p).GET("/api/v1/enrollments/" + id.String()).Expect(200).JSON(&e)
	return e
}

// report tells a section of progress as content or assignment would.
func (w *world) report(p authz.Principal, c contract.CourseState, it contract.CurriculumItem, change func(*internalapi.ProgressReport)) internalapi.ProgressReply {
	w.t.Helper()
	r := internalapi.ProgressReport{UserID: p.UserID, CourseID: c.ID, ResourceID: it.ResourceID}
	if it.ResourceID == nil {
		r.ItemID = &it.ID
	}
	change(&r)
	return call[internalapi.ProgressReply](w, internalapi.CallProgressReport, "content", p.UserID.String()+"/"+it.ID.String(), r)
}

func scored(points, possible contract.Hundredths, at time.Time) func(*internalapi.ProgressReport) {
	return func(r *internalapi.ProgressReport) {
		r.Submission = &internalapi.SubmissionSection{SubmittedAt: &at}
		r.Grade = &internalapi.GradeSection{Score: &points, Possible: &possible, GradedAt: &at}
	}
}

// begin begins a transaction of all tenants that locks one row.
func (w *world) begin(lock string, id uuid.UUID) pgx.Tx {
	w.t.Helper()
	tx, err := w.pool.Begin(w.t.Context())
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(w.t.Context())) })
	_, err = tx.Exec(w.t.Context(), `select set_config('lms.tenant', '*', true)`)
	require.NoError(w.t, err)
	tag, err := tx.Exec(w.t.Context(), lock, id)
	require.NoError(w.t, err)
	require.EqualValues(w.t, 1, tag.RowsAffected())
	return tx
}

// blocked waits until somebody waits for a lock.
func (w *world) blocked() {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		var n int
		w.scan(&n, `select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`)
		return n > 0
	}, 20*time.Second, 10*time.Millisecond)
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

func (w *world) scan(into any, sql string, args ...any) {
	w.t.Helper()
	require.NoError(w.t, w.db.Read(w.t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		return u.QueryRow(ctx, sql, args...).Scan(into)
	}))
}

// told are the types of the events of an enrollment, in order.
func (w *world) told(enrollment uuid.UUID) []string {
	w.t.Helper()
	var types []string
	w.scan(&types, `select coalesce(array_agg(replace(replace(type, 'lms.enrollment.', ''), '.v1', '') order by seq), '{}') from outbox where aggregate_id = $1`, enrollment)
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
		case int:
			out += "/" + strconv.Itoa(v)
		}
	}
	return out
}

func TestRoutesAreDeclared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	testkit.CheckRoutes(t, w.router)
	testkit.CheckCalls(t, "enrollment", w.inbox.CallNames())
}
