package app

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"lms/apps/analytics/internal/analytics"
	"lms/apps/analytics/internal/dashboard"
	"lms/apps/analytics/internal/events"
	"lms/apps/analytics/internal/export"
	"lms/apps/analytics/internal/history"
	"lms/apps/analytics/internal/httpapi"
	"lms/apps/analytics/internal/postgres"
	"lms/apps/analytics/internal/xapi"
	"lms/shared/authz"
	"lms/shared/clock"
	contract "lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/inbox"
	"lms/shared/jobs"
	"lms/shared/objects"
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
	service *analytics.Service
	router  *web.Router
	client  *testkit.Client
	db      *pg.DB
	pool    *pgxpool.Pool
	inbox   *inbox.Inbox
	jobs    *jobs.Runner
	objects *objects.Store
	clock   *clock.Manual
	friends *neighbours

	tenant, unit, below, other                     uuid.UUID
	root, admin, head, teacher, learner, alienated authz.Principal
	seqs                                           map[uuid.UUID]int64
	calls                                          int64
}

// neighbours stand for enrollment and user.
type neighbours struct {
	mu     sync.Mutex
	taught map[uuid.UUID]map[uuid.UUID]string
	names  map[uuid.UUID]string
}

func (n *neighbours) Taught(_ context.Context, actor authz.Principal) (map[uuid.UUID]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.taught[actor.UserID], nil
}

func (n *neighbours) Names(_ context.Context, ids []uuid.UUID) (map[uuid.UUID]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := map[uuid.UUID]string{}
	for _, id := range ids {
		if name, ok := n.names[id]; ok {
			out[id] = name
		}
	}
	return out, nil
}

func newWorld(t testing.TB) *world {
	t.Helper()
	tenant := uuid.New()
	return newWorldIn(t, tenant, []uuid.UUID{tenant, uuid.New(), uuid.New()})
}

// newWorldIn is a world with a tenant of three units, each below the one before.
func newWorldIn(t testing.TB, tenant uuid.UUID, units []uuid.UUID) *world {
	t.Helper()
	w := &world{
		t: t, tenant: tenant, unit: units[1], below: units[2], other: uuid.New(),
		clock: clock.NewManual(time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)), seqs: map[uuid.UUID]int64{},
		friends: &neighbours{taught: map[uuid.UUID]map[uuid.UUID]string{}, names: map[uuid.UUID]string{}},
	}
	w.pool = testkit.DB(t, "analytics")
	w.db = pg.From(w.pool, pg.Options{Service: "analytics", Now: w.clock.Now})
	policy := authz.Fixed{P: authz.NewPolicy(authz.Snapshot{
		Version: "1", Roles: authz.BuiltinRoles(),
		OrgUnits: []authz.OrgUnit{
			{ID: w.tenant, TenantID: w.tenant},
			{ID: w.unit, ParentID: w.tenant, TenantID: w.tenant},
			{ID: w.below, ParentID: w.unit, TenantID: w.tenant},
			{ID: w.other, TenantID: w.other},
		},
	})}
	granted := func(tenant uuid.UUID, role string, kind authz.ScopeKind, unit uuid.UUID) authz.Principal {
		p := testkit.User(tenant)
		if role != "" {
			p.Grants = []authz.Grant{{Role: role, Scope: authz.Scope{Kind: kind, ID: unit}}}
		}
		return p
	}
	w.root = granted(w.tenant, authz.RolePlatformAdmin, authz.ScopePlatform, uuid.Nil)
	w.admin = granted(w.tenant, authz.RoleOrgAdmin, authz.ScopeOrgUnit, w.tenant)
	w.head = granted(w.tenant, authz.RoleOrgAdmin, authz.ScopeOrgUnit, w.unit)
	w.teacher = granted(w.tenant, "", "", uuid.Nil)
	w.learner = granted(w.tenant, "", "", uuid.Nil)
	w.alienated = granted(w.other, authz.RoleOrgAdmin, authz.ScopeOrgUnit, w.other)

	var err error
	w.objects, err = objects.Open(t.Context(), "mem://", objects.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.objects.Close()) })
	w.service = analytics.New(analytics.Service{
		Store: postgres.NewStore(w.db), Archive: history.NewArchive(), Authz: policy, Courses: w.friends, People: w.friends, Now: w.clock.Now, NewID: clock.NewID,
	})
	tokens := testkit.NewTokens(t)
	w.router = web.NewRouter(web.Options{Service: "analytics", Verifier: tokens.Verifier(), Authz: policy})
	page, err := dashboard.NewPage()
	require.NoError(t, err)
	(&httpapi.API{Service: w.service, Page: page, Statements: xapi.Writer{Home: "https://lms.test"}}).Mount(w.router)
	w.inbox = inbox.New(inbox.Options{DB: w.db})
	events.Receivers{Service: w.service, Wrap: postgres.NewTx, People: events.NewPeople(nil, w.clock.Now), Objects: w.objects}.Register(w.inbox)
	w.jobs = jobs.New(jobs.Options{DB: w.db})
	(&export.Jobs{Service: w.service, Objects: w.objects}).Handle(w.jobs)
	w.client = testkit.Server(t, w.router, tokens)
	return w
}

func (w *world) as(p authz.Principal) *testkit.Client { return w.client.As(p) }

// event is an event as a producer makes it, the next one of its aggregate.
func (w *world) event(tenant uuid.UUID, at time.Time, data contract.Event) inbox.Event {
	w.t.Helper()
	raw, err := json.Marshal(data)
	require.NoError(w.t, err)
	id := data.AggregateID()
	w.seqs[id]++
	return w.cloud(inbox.Event{ID: uuid.New(), Type: data.EventType(), Time: at, AggregateID: id, Seq: w.seqs[id], TenantID: tenant, Data: raw})
}

// cloud is an event as the broker brings it.
func (w *world) cloud(e inbox.Event) inbox.Event {
	w.t.Helper()
	raw, err := json.Marshal(map[string]any{
		"specversion": "1.0", "id": e.ID, "type": e.Type, "time": e.Time, "subject": e.AggregateID, "seq": strconv.FormatInt(e.Seq, 10),
		"tenantid": e.TenantID, "orgunitid": e.OrgUnitID, "courseid": e.CourseID, "actorid": e.ActorID, "data": e.Data,
	})
	require.NoError(w.t, err)
	out, err := inbox.Parse(raw)
	require.NoError(w.t, err)
	return out
}

// deliver gives events to the service as its sidecar would.
func (w *world) deliver(batch ...inbox.Event) {
	w.t.Helper()
	for _, err := range w.inbox.Apply(w.t.Context(), batch) {
		require.NoError(w.t, err)
	}
}

// searched brings an event of a search as search would: by a batch whose first it is.
func (w *world) searched(e history.Event) {
	w.t.Helper()
	var s internalapi.SearchPerformed
	require.NoError(w.t, json.Unmarshal(e.Data, &s))
	require.NoError(w.t, w.service.Searched(w.t.Context(), internalapi.SearchBatch{BatchID: e.AggregateID, Searches: []internalapi.SearchPerformed{s}}))
}

// tell delivers an event that was made just now, and adds it up.
func (w *world) tell(data contract.Event) {
	w.t.Helper()
	w.deliver(w.event(w.tenant, w.clock.Now(), data))
	w.addUp()
}

func (w *world) addUp() {
	w.t.Helper()
	require.NoError(w.t, w.service.AddUpAll(w.t.Context()))
}

// recompute adds everything up anew and gives the differences.
func (w *world) recompute(repair bool) (checked int64, found []internalapi.Difference) {
	w.t.Helper()
	in := internalapi.RecomputeRequest{Repair: repair}
	for {
		out, err := w.service.Recompute(w.t.Context(), in)
		require.NoError(w.t, err)
		checked += out.Checked
		found = append(found, out.Differences...)
		if in.Cursor = out.NextCursor; in.Cursor == "" {
			return checked, found
		}
	}
}

// call makes a reliable call to the service and reads its reply.
func call[Out any](w *world, name, caller, key string, body any) (out Out) {
	w.t.Helper()
	w.calls++
	raw, err := json.Marshal(body)
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

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	require.NoError(w.t, w.db.InTx(w.t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		_, err := u.Exec(ctx, sql, args...)
		return err
	}))
}

func (w *world) scan(into any, sql string, args ...any) {
	w.t.Helper()
	require.NoError(w.t, w.db.Read(w.t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		return u.QueryRow(ctx, sql, args...).Scan(into)
	}))
}

func TestRoutesAreDeclared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	testkit.CheckRoutes(t, w.router)
	testkit.CheckCalls(t, "analytics", w.inbox.CallNames())
}
