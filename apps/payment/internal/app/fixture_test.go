package app

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"lms/apps/payment/internal/billing"
	"lms/apps/payment/internal/events"
	"lms/apps/payment/internal/httpapi"
	"lms/apps/payment/internal/mockgateway"
	"lms/apps/payment/internal/postgres"
	"lms/apps/payment/internal/printed"
	"lms/apps/payment/internal/provider"
	"lms/shared/authz"
	"lms/shared/clock"
	"lms/shared/contracts/internalapi"
	"lms/shared/inbox"
	"lms/shared/jobs"
	"lms/shared/outbox"
	"lms/shared/pg"
	"lms/shared/testkit"
	"lms/shared/web"
	"lms/shared/work"
)

// world is the service on a database of its own, with the real outbox and the real
// mock gateway, whose webhooks come in through the router, and with neighbours that
// behave as the real ones do.
type world struct {
	t       testing.TB
	service *billing.Service
	gateway *mockgateway.Gateway
	router  *web.Router
	client  *testkit.Client
	db      *pg.DB
	pool    *pgxpool.Pool
	inbox   *inbox.Inbox
	outbox  *outbox.Outbox
	jobs    *jobs.Runner
	clock   *clock.Manual
	school  *school
	secrets []string

	tenant, unit, other          uuid.UUID
	admin, student, alien, chief authz.Principal // admin sells, chief has an org unit's seats
	calls                        int64
}

func newWorld(t testing.TB, change ...func(*mockgateway.Options)) *world {
	t.Helper()
	w := &world{t: t, tenant: uuid.New(), unit: uuid.New(), other: uuid.New(), clock: clock.NewManual(time.Now()), secrets: []string{"whsec_new", "whsec_old"}}
	w.pool = testkit.DB(t, "payment")
	w.db = pg.From(w.pool, pg.Options{Service: "payment", Now: w.clock.Now})
	policy := authz.Fixed{P: authz.NewPolicy(authz.Snapshot{
		Version: "1", Roles: authz.BuiltinRoles(),
		OrgUnits: []authz.OrgUnit{
			{ID: w.tenant, TenantID: w.tenant}, {ID: w.unit, ParentID: w.tenant, TenantID: w.tenant}, {ID: w.other, TenantID: w.other},
		},
	})}
	w.school = &school{
		now: w.clock.Now, people: map[uuid.UUID]billing.Card{}, courses: map[uuid.UUID]*lecture{}, entitlements: map[uuid.UUID]internalapi.Entitlement{},
		prices: map[uuid.UUID]internalapi.PriceSummary{}, newest: map[string]int64{}, priced: map[uuid.UUID]bool{},
	}
	w.admin = testkit.PlatformAdmin()
	w.admin.TenantID, w.admin.OrgUnitID = w.tenant, w.tenant
	w.chief, w.student, w.alien = w.person(w.tenant, authz.RoleOrgAdmin, w.unit), w.learner(), w.person(w.other, authz.RoleOrgAdmin, w.other)

	o := mockgateway.Options{
		DB: w.db, PublicURL: "https://lms.test", Secrets: func(context.Context) ([]string, error) { return w.secrets, nil }, Now: w.clock.Now,
		Float: func() float64 { return 0.5 }, Post: w.receive, Faults: mockgateway.Faults{Retries: []time.Duration{time.Second, time.Minute}},
	}
	for _, f := range change {
		f(&o)
	}
	w.gateway = mockgateway.New(o)
	w.outbox = outbox.New(outbox.Options{DB: w.db, Transport: w.school})
	w.service = &billing.Service{
		Store: postgres.NewStore(w.db), Authz: policy, Courses: w.school, People: w.school, Facts: w.school, Provider: w.gateway, Calls: w.outbox,
		Settings: billing.Settings{
			PublicURL: "https://lms.test", ReturnOrigins: []string{"https://shop.test"}, SessionFor: 30 * time.Minute, HoldGrace: 5 * time.Minute,
			WaitFor: 20 * time.Second, Dunning: []time.Duration{24 * time.Hour, 72 * time.Hour}, TrialNotice: 72 * time.Hour,
		},
		Now: w.clock.Now, NewID: clock.NewID,
	}
	tokens := testkit.NewTokens(t)
	w.router = web.NewRouter(web.Options{Service: "payment", Verifier: tokens.Verifier(), Authz: policy})
	(&httpapi.API{Service: w.service, Printer: printed.Printer{}, Now: w.clock.Now}).Mount(w.router)
	pages, err := mockgateway.NewPages(w.gateway)
	require.NoError(t, err)
	pages.Mount(w.router)
	w.inbox = inbox.New(inbox.Options{DB: w.db})
	receivers := events.Receivers{Service: w.service, Wrap: postgres.NewTx}
	receivers.Register(w.inbox)
	receivers.Answers(w.outbox)
	w.jobs = jobs.New(jobs.Options{DB: w.db})
	events.Jobs(w.jobs, w.service)
	w.client = testkit.Server(t, w.router, tokens)
	w.background(w.outbox.Run)
	return w
}

// background runs a loop until the test ends, and waits for it.
func (w *world) background(loop func(context.Context) error) {
	ctx, stop := context.WithCancel(context.WithoutCancel(w.t.Context()))
	done := make(chan struct{})
	go func() { defer close(done); _ = loop(ctx) }()
	w.t.Cleanup(func() { stop(); <-done })
}

// receive is the way of a webhook: through the router, as raw bytes.
func (w *world) receive(ctx context.Context, target string, header map[string]string, body []byte) (int, error) {
	u, err := url.Parse(target)
	if err != nil {
		return 0, err
	}
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, u.Path, strings.NewReader(string(body)))
	for name, value := range header {
		req.Header.Set(name, value)
	}
	rec := httptest.NewRecorder()
	w.router.ServeHTTP(rec, req)
	return rec.Code, nil
}

func (w *world) person(tenant uuid.UUID, role string, unit uuid.UUID) authz.Principal {
	p := testkit.User(tenant)
	if role != "" {
		p.Grants = []authz.Grant{{Role: role, Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: unit}}}
	}
	w.school.mu.Lock()
	defer w.school.mu.Unlock()
	w.school.people[p.UserID] = billing.Card{ID: p.UserID, TenantID: tenant, Name: "Person " + p.UserID.String()[:8], Active: true}
	return p
}

func (w *world) learner() authz.Principal { return w.person(w.tenant, "", uuid.Nil) }

func (w *world) as(p authz.Principal) *testkit.Client { return w.client.As(p) }

// keyed is somebody's client with an Idempotency-Key of its own.
func (w *world) keyed(p authz.Principal) *testkit.Client {
	return w.as(p).With("Idempotency-Key", uuid.NewString())
}

type body = map[string]any

// seller is a legal entity with German tax.
func (w *world) seller() {
	w.t.Helper()
	w.as(w.admin).POST("/api/v1/legal-entities", body{"org_unit_id": w.tenant, "name": "Hochschule", "address": "Kai 1", "country": "DE"}).Expect(201)
	w.as(w.admin).POST("/api/v1/tax-rules", body{"country": "DE", "components": []body{{"name": "VAT", "percent": "19"}}}).Expect(201)
}

// plan makes a plan over courses; a one-off one at 100 EUR unless changed.
func (w *world) plan(courses []uuid.UUID, change ...body) httpapi.Plan {
	w.t.Helper()
	b := body{
		"org_unit_id": w.unit, "name": "A course", "kind": "one_off", "course_ids": courses,
		"prices": []body{{"currency": "EUR", "amount": 10000}, {"currency": "JPY", "amount": 1500}, {"currency": "KWD", "amount": 10001}},
	}
	for _, c := range change {
		for k, v := range c {
			b[k] = v
		}
	}
	var p httpapi.Plan
	w.as(w.admin).POST("/api/v1/plans", b).Expect(201).JSON(&p)
	return p
}

// course is a course with a number of seats; 0 is unlimited.
func (w *world) course(seats int) uuid.UUID {
	w.school.mu.Lock()
	defer w.school.mu.Unlock()
	id := uuid.New()
	w.school.courses[id] = &lecture{
		Course: billing.Course{ID: id, TenantID: w.tenant, OrgUnitID: w.unit, Title: "Biology"}, seats: seats,
		in: map[uuid.UUID]uuid.UUID{}, holds: map[uuid.UUID]*hold{},
	}
	return id
}

func monthly(amount int64, more ...body) body {
	b := body{"kind": "subscription", "period": body{"unit": "month", "count": 1}, "prices": []body{{"currency": "EUR", "amount": amount}}}
	for _, m := range more {
		for k, v := range m {
			b[k] = v
		}
	}
	return b
}

// checkout starts a checkout of a plan.
func (w *world) checkout(p authz.Principal, plan httpapi.Plan, change ...body) httpapi.Checkout {
	w.t.Helper()
	b := body{"plan_id": plan.ID}
	for _, c := range change {
		for k, v := range c {
			b[k] = v
		}
	}
	var c httpapi.Checkout
	w.keyed(p).POST("/api/v1/checkout-sessions", b).Expect(201).JSON(&c)
	return c
}

// Test cards of the hosted page.
const (
	pays         = "4242424242424242"
	challenges   = "4000002760003184"
	declines     = "4000000000000002"
	failsLater   = "4000000000000341"
	formMedia    = "application/x-www-form-urlencoded"
	startOfToken = `name="token" value="`
)

// press does what a person does on the hosted page: reads it, and sends its form.
func (w *world) press(address, action, card string) {
	w.t.Helper()
	path := strings.TrimPrefix(address, "https://lms.test")
	page := w.client.GET(path).Expect(200)
	w.client.With("Content-Type", formMedia).POST(path, url.Values{"token": {formToken(w.t, page.Body)}, "action": {action}, "card": {card}}.Encode()).Expect(303)
}

var tokenPattern = regexp.MustCompile(startOfToken + `([^"]+)"`)

func formToken(t testing.TB, page []byte) string {
	t.Helper()
	m := tokenPattern.FindSubmatch(page)
	require.NotNil(t, m, "%s", page)
	return string(m[1])
}

// deliver sends the webhooks that are due.
func (w *world) deliver() {
	w.t.Helper()
	for {
		n, err := w.gateway.Deliver(w.t.Context())
		require.NoError(w.t, err)
		if n == 0 {
			return
		}
	}
}

// buy is a whole purchase; it waits until enrollment has answered.
func (w *world) buy(p authz.Principal, plan httpapi.Plan, change ...body) (httpapi.Checkout, httpapi.Order) {
	w.t.Helper()
	c := w.checkout(p, plan, change...)
	w.press(c.URL, "pay", pays)
	w.deliver()
	w.settled()
	return c, w.orderOf(p, c)
}

func (w *world) orderOf(p authz.Principal, c httpapi.Checkout) (o httpapi.Order) {
	w.t.Helper()
	for _, x := range list[httpapi.Order](w, p, "/api/v1/orders") {
		if x.SessionID != nil && *x.SessionID == c.ID {
			return x
		}
	}
	require.Fail(w.t, "the session has no order")
	return o
}

func list[T any](w *world, p authz.Principal, path string) []T {
	w.t.Helper()
	var out struct{ Items []T }
	w.as(p).GET(path).Expect(200).JSON(&out)
	return out.Items
}

// settled waits until every reliable call was answered.
func (w *world) settled() {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		var open int
		w.scan(&open, `select count(*) from outbox_call where done_at is null and parked_at is null`)
		return open == 0
	}, 30*time.Second, 5*time.Millisecond)
	var parked []string
	w.scan(&parked, `select coalesce(array_agg(name || ': ' || last_error), '{}') from outbox_call where parked_at is not null`)
	require.Empty(w.t, parked)
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
	}, 30*time.Second, 10*time.Millisecond)
	cancel()
	<-done
	var failed []string
	w.scan(&failed, `select coalesce(array_agg(kind || ': ' || error), '{}') from job where state = 'failed'`)
	require.Empty(w.t, failed)
}

// pass lets time go by and does what it asks for.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	w.clock.Advance(d)
	require.NoError(w.t, w.service.Sweep(w.t.Context()))
	w.deliver()
	w.settled()
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
	w.scan(&types, `select coalesce(array_agg(replace(replace(type, 'lms.payment.', ''), '.v1', '') order by seq), '{}') from outbox where aggregate_id = $1`, aggregate)
	return types
}

// reconcile compares all books a while later and gives the differences.
func (w *world) reconcile() (found []billing.Difference) {
	w.t.Helper()
	w.clock.Advance(3 * time.Minute)
	_, _, err := w.service.Reconcile(w.t.Context(), billing.ReconcileJob{ID: uuid.New()}, func(_ context.Context, d billing.Difference) error {
		found = append(found, d)
		return nil
	})
	require.NoError(w.t, err)
	return found
}

// balanced requires that the ledger sums to zero, and that every book agrees.
func (w *world) balanced() {
	w.t.Helper()
	var off []string
	w.scan(&off, `select coalesce(array_agg(currency || ' ' || sum), '{}') from (select currency, sum(amount) from ledger_entries group by currency having sum(amount) <> 0) t`)
	require.Empty(w.t, off)
	require.Empty(w.t, w.reconcile())
}

// call makes a reliable call to the service and reads its reply.
func call[Out any](w *world, name, key string, in any) (out Out) {
	w.t.Helper()
	w.calls++
	raw, err := json.Marshal(in)
	require.NoError(w.t, err)
	reply, err := w.inbox.ReceiveCall(w.t.Context(), name, "user", outbox.CallEnvelope{
		CallID: uuid.New(), Source: "user", Key: key, Seq: w.calls, TenantID: w.tenant, Time: w.clock.Now(), Data: raw,
	})
	require.NoError(w.t, err)
	require.NoError(w.t, json.Unmarshal(reply, &out))
	return out
}

func (w *world) setPerson(p authz.Principal, status string, into *uuid.UUID) {
	w.t.Helper()
	call[internalapi.Done](w, internalapi.CallPersonStatus, p.UserID.String(), internalapi.PersonStatus{
		UserID: p.UserID, TenantID: w.tenant, Status: status, MergedInto: into, At: w.clock.Now(),
	})
	w.settled()
}

// enrolled says whether somebody is in a course.
func (w *world) enrolled(p authz.Principal, course uuid.UUID) bool {
	w.school.mu.Lock()
	defer w.school.mu.Unlock()
	_, ok := w.school.courses[course].in[p.UserID]
	return ok
}

func (w *world) learners(course uuid.UUID) int {
	w.school.mu.Lock()
	defer w.school.mu.Unlock()
	return len(w.school.courses[course].in)
}

// Sign is a webhook's signature by a secret at a time.
func sign(secret string, at time.Time, raw []byte) string {
	return provider.Sign([]string{secret}, at, raw)
}

func TestRoutesAreDeclared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	testkit.CheckRoutes(t, w.router)
	testkit.CheckCalls(t, "payment", w.inbox.CallNames())
}
