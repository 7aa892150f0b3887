package app

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/payment/internal/httpapi"
	"lms/apps/payment/internal/provider"
	"lms/shared/pg"
	"lms/shared/sweep"
	"lms/shared/work"
)

// TestBuyingACourse is the whole path: hold, page, webhook, order, invoice,
// enrollment, ledger.
func TestBuyingACourse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seller()
	course := w.course(1)
	plan := w.plan([]uuid.UUID{course})
	w.settled()
	require.EqualValues(t, 10000, w.school.prices[course].Price.Amount, "course is told the price")

	c := w.checkout(w.student, plan, body{"billing": body{"company": "Ω GmbH", "country": "DE"}, "success_url": "https://shop.test/thanks"})
	require.Equal(t, "open", c.State)
	require.EqualValues(t, 11900, c.Quote.Total, "19 % on top")
	require.Contains(t, c.URL, "https://lms.test/mock-gateway/mgs_")
	require.Equal(t, "pending", w.orderOf(w.student, c).State)

	w.press(c.URL, "pay", pays)
	w.deliver()
	w.settled()
	order := w.orderOf(w.student, c)
	require.Equal(t, "paid", order.State)
	require.Equal(t, []int64{11900, 1900, 11900}, []int64{order.Total, order.Tax, order.Paid})
	require.True(t, w.enrolled(w.student, course))
	require.Equal(t, []string{"order_created", "invoice_issued", "payment_succeeded"}, w.told(order.ID))
	require.Equal(t, []string{"checkout_started"}, w.told(c.ID))

	invoices := list[httpapi.Invoice](w, w.student, "/api/v1/invoices")
	require.Len(t, invoices, 1)
	require.Equal(t, "INV-000001", invoices[0].Number)
	require.Equal(t, []string{"Hochschule", "Ω GmbH", "Person " + w.student.UserID.String()[:8]}, []string{invoices[0].Seller.Name, invoices[0].Buyer.Company, invoices[0].Buyer.Name})
	pdf := w.as(w.student).With("Accept", "application/pdf").GET("/api/v1/invoices/" + invoices[0].ID.String()).Expect(200)
	require.True(t, bytes.HasPrefix(pdf.Body, []byte("%PDF-")))
	require.Equal(t, `attachment; filename="INV-000001.pdf"`, pdf.Header.Get("Content-Disposition"))
	w.as(w.alien).GET("/api/v1/invoices/" + invoices[0].ID.String()).Expect(404)
	w.as(w.learner()).GET("/api/v1/orders/" + order.ID.String()).Expect(404)
	w.as(w.chief).GET("/api/v1/orders/" + order.ID.String()).Expect(200)

	rights := list[httpapi.Entitlement](w, w.student, "/api/v1/entitlements")
	require.Len(t, rights, 1)
	require.True(t, rights[0].Enrolled)
	require.Equal(t, []string{"entitlement_granted"}, w.told(rights[0].ID))
	require.Empty(t, list[httpapi.Order](w, w.learner(), "/api/v1/orders"))
	w.as(w.student).GET("/api/v1/orders?everyone=true").Expect(403)
	require.Len(t, list[httpapi.Order](w, w.chief, "/api/v1/orders?everyone=true&state=paid"), 1)
	w.balanced()

	var balance httpapi.Balances
	w.as(w.admin).GET("/api/v1/ledger/balance").Expect(200).JSON(&balance)
	require.Equal(t, map[string]int64{"EUR": 0}, balance.Sums)
	w.as(w.student).GET("/api/v1/ledger/balance").Expect(403)

	// The course is full, and who has it cannot buy it again.
	w.keyed(w.learner()).POST("/api/v1/checkout-sessions", body{"plan_id": plan.ID}).Expect(409).Code("course_full")
	w.keyed(w.student).POST("/api/v1/checkout-sessions", body{"plan_id": plan.ID}).Expect(409).Code("already_entitled")
}

func TestWhatACheckoutRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seller()
	plan := w.plan([]uuid.UUID{w.course(0)})
	start := func(b body, status int, code string) {
		t.Helper()
		if b["plan_id"] == nil {
			b["plan_id"] = plan.ID
		}
		w.keyed(w.student).POST("/api/v1/checkout-sessions", b).Expect(status).Code(code)
	}
	w.as(w.student).POST("/api/v1/checkout-sessions", body{"plan_id": plan.ID}).Expect(400).Code("idempotency_key_required")
	w.as(w.student).With("Idempotency-Key", "gateway:1").POST("/api/v1/checkout-sessions", body{"plan_id": plan.ID}).Expect(400).Code("idempotency_key_required")
	start(body{"plan_id": uuid.New()}, 404, "not_found")
	start(body{"currency": "USD"}, 422, "validation_failed")
	start(body{"success_url": "https://evil.test/"}, 422, "validation_failed")
	start(body{"success_url": "javascript:alert(1)"}, 422, "validation_failed")
	start(body{"coupon": "NOPE"}, 422, "validation_failed")
	start(body{"expected_total": 1}, 409, "price_changed")
	start(body{"total": 1}, 422, "validation_failed")
	w.keyed(w.alien).POST("/api/v1/checkout-sessions", body{"plan_id": plan.ID}).Expect(404)
	w.as(w.student).PATCH("/api/v1/plans/"+plan.ID.String(), body{"state": "archived"}).Expect(403)
	w.as(w.admin).With("If-Match", `"v1"`).PATCH("/api/v1/plans/"+plan.ID.String(), body{"state": "archived"}).Expect(200)
	start(body{}, 404, "not_found")
	w.as(w.student).GET("/api/v1/plans/" + plan.ID.String()).Expect(404)
	w.settled()
	for _, p := range w.school.prices {
		require.Nil(t, p.Price, "course is told that there is no price any more")
	}
}

func TestCurrenciesWithOtherExponents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seller()
	plan := w.plan([]uuid.UUID{w.course(0)})
	for currency, want := range map[string][2]int64{"JPY": {285, 1785}, "KWD": {1900, 11901}} {
		var q httpapi.Quote
		w.as(w.student).POST("/api/v1/price-quotes", body{"plan_id": plan.ID, "currency": currency}).Expect(200).JSON(&q)
		require.Equal(t, want, [2]int64{q.Tax, q.Total}, currency)
	}
	c := w.checkout(w.student, plan, body{"currency": "JPY"})
	page := w.client.GET(c.URL[len("https://lms.test"):]).Expect(200)
	require.Contains(t, string(page.Body), "1785 JPY")
}

func TestDeclinedChallengedAndAbandoned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seller()
	course := w.course(1)
	plan := w.plan([]uuid.UUID{course})

	c := w.checkout(w.student, plan)
	w.press(c.URL, "pay", declines)
	w.deliver()
	page := w.client.GET(c.URL[len("https://lms.test"):]).Expect(200)
	require.Contains(t, string(page.Body), "The card was declined")
	require.Equal(t, []string{"order_created", "payment_failed"}, w.told(w.orderOf(w.student, c).ID))
	w.press(c.URL, "pay", challenges)
	page = w.client.GET(c.URL[len("https://lms.test"):]).Expect(200)
	require.Contains(t, string(page.Body), "3-D Secure")
	w.press(c.URL, "fail", "")
	w.press(c.URL, "pay", challenges)
	w.press(c.URL, "confirm", "")
	w.deliver()
	w.settled()
	require.Equal(t, "paid", w.orderOf(w.student, c).State)
	require.True(t, w.enrolled(w.student, course))

	// Giving up frees the seat at once.
	other := w.course(1)
	plan = w.plan([]uuid.UUID{other})
	first, second := w.learner(), w.learner()
	c = w.checkout(first, plan)
	w.keyed(second).POST("/api/v1/checkout-sessions", body{"plan_id": plan.ID}).Expect(409).Code("course_full")
	w.press(c.URL, "abandon", "")
	w.deliver()
	w.settled()
	var now httpapi.Checkout
	w.as(first).GET("/api/v1/checkout-sessions/" + c.ID.String()).Expect(200).JSON(&now)
	require.Equal(t, []string{"expired", ""}, []string{now.State, now.URL})
	require.Equal(t, []string{"checkout_started", "checkout_expired"}, w.told(c.ID))
	require.Equal(t, "canceled", w.orderOf(first, c).State)
	w.buy(second, plan)
	require.True(t, w.enrolled(second, other))
	w.balanced()
}

// TestThePageRefusesForms that were made elsewhere, or of a state that is over.
func TestThePageRefusesForms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seller()
	c := w.checkout(w.student, w.plan([]uuid.UUID{w.course(0)}))
	path := c.URL[len("https://lms.test"):]
	send := func(token string) int {
		return w.client.With("Content-Type", formMedia).POST(path, "action=pay&card="+pays+"&token="+token).Status
	}
	require.Equal(t, 403, send(""))
	require.Equal(t, 403, send("forged"))
	old := formToken(t, w.client.GET(path).Body)
	require.Equal(t, 303, send(old))
	require.Equal(t, 403, send(old), "a form of before cannot pay twice")
	w.client.POST(path, body{"action": "pay"}).Expect(415)
	w.client.GET("/mock-gateway/mgs_unknown").Expect(404)
	page := w.client.GET(path)
	require.Contains(t, page.Header.Get("Content-Security-Policy"), "form-action 'self'")
	require.NotContains(t, string(page.Body), "<script")
	var n int
	w.scan(&n, `select count(*) from mock_payments`)
	require.Equal(t, 1, n)
}

func TestARepeatedCheckoutIsOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seller()
	plan := w.plan([]uuid.UUID{w.course(0)})
	client := w.keyed(w.student)
	var a, b httpapi.Checkout
	client.POST("/api/v1/checkout-sessions", body{"plan_id": plan.ID}).Expect(201).JSON(&a)
	client.POST("/api/v1/checkout-sessions", body{"plan_id": plan.ID}).Expect(201).JSON(&b)
	require.Equal(t, a, b)
	client.POST("/api/v1/checkout-sessions", body{"plan_id": plan.ID, "coupon": "X12"}).Expect(422).Code("idempotency_key_reused")
	// A new checkout takes the place of the one before.
	next := w.checkout(w.student, plan)
	require.NotEqual(t, a.ID, next.ID)
	w.as(w.student).GET("/api/v1/checkout-sessions/" + a.ID.String()).Expect(200).JSON(&a)
	require.Equal(t, "expired", a.State)
}

// TestEnrollmentAway: the session waits as preparing, and goes on when enrollment is
// back.
func TestEnrollmentAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seller()
	course := w.course(0)
	plan := w.plan([]uuid.UUID{course})
	w.service.Settings.WaitFor = 10 * time.Millisecond
	w.school.mu.Lock()
	w.school.away = true
	w.school.mu.Unlock()
	c := w.checkout(w.student, plan)
	require.Equal(t, []string{"preparing", ""}, []string{c.State, c.URL})
	w.school.mu.Lock()
	w.school.away = false
	w.school.mu.Unlock()
	w.clock.Advance(2 * time.Minute) // the call is due again
	w.settled()
	require.NoError(t, w.service.Sweep(t.Context()))
	w.as(w.student).GET("/api/v1/checkout-sessions/" + c.ID.String()).Expect(200).JSON(&c)
	require.Equal(t, "open", c.State)
	w.press(c.URL, "pay", pays)
	w.deliver()
	w.settled()
	require.True(t, w.enrolled(w.student, course))
	w.balanced()
}

// TestAFreePlanNeedsNoPage: a coupon of 100 % completes at once, with an invoice.
func TestAFreePlanNeedsNoPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seller()
	course := w.course(0)
	plan := w.plan([]uuid.UUID{course})
	w.as(w.admin).POST("/api/v1/coupons", body{"org_unit_id": w.tenant, "code": "free", "percent": "100"}).Expect(201)
	c := w.checkout(w.student, plan, body{"coupon": "FREE"})
	require.Equal(t, "completed", c.State)
	w.settled()
	require.True(t, w.enrolled(w.student, course))
	require.Equal(t, "paid", w.orderOf(w.student, c).State)
	require.Len(t, list[httpapi.Invoice](w, w.student, "/api/v1/invoices"), 1)
	w.balanced()
}

// Who checks out once more keeps the seat: it is never free for a racer in between.
func TestASecondCheckoutKeepsTheSeat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seller()
	course := w.course(1)
	plan := w.plan([]uuid.UUID{course})
	first := w.checkout(w.student, plan)
	second := w.checkout(w.student, plan)
	w.settled()
	var released int
	w.scan(&released, `select count(*) from outbox_call where name = 'seat-release'`)
	require.Zero(t, released, "the newer hold replaces the older one")
	w.keyed(w.learner()).POST("/api/v1/checkout-sessions", body{"plan_id": plan.ID}).Expect(409).Code("course_full")
	w.as(w.student).GET("/api/v1/checkout-sessions/" + first.ID.String()).Expect(200).JSON(&first)
	require.Equal(t, "expired", first.State)
	w.as(w.student).POST("/api/v1/checkout-sessions/"+second.ID.String()+"/expire", nil).Expect(200)
	w.settled()
	w.checkout(w.learner(), plan)
	w.balanced()
}

// More sessions than a sweep takes at a time wait for enrollment, which is away: one
// behind them, whose webhooks got lost, is asked for all the same.
func TestWhatIsStuckKeepsNoPaymentWaiting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seller()
	course := w.course(0)
	plan := w.plan([]uuid.UUID{course})
	patience := w.service.Settings.WaitFor
	w.service.Settings.WaitFor = time.Millisecond
	w.school.mu.Lock()
	w.school.away = true
	w.school.mu.Unlock()
	stuck := w.checkout(w.learner(), plan)
	w.service.Settings.WaitFor = patience
	require.Equal(t, "preparing", stuck.State)
	w.copied(stuck.ID, sweep.Batch+50)
	w.school.mu.Lock()
	w.school.away = false
	w.school.mu.Unlock()
	w.clock.Advance(time.Second) // the ones before expire first
	c := w.checkout(w.student, plan)
	w.press(c.URL, "pay", pays)
	w.clock.Advance(2 * time.Minute)
	require.NoError(t, w.service.Sweep(t.Context()))
	w.as(w.student).GET("/api/v1/checkout-sessions/" + c.ID.String()).Expect(200).JSON(&c)
	require.Equal(t, "completed", c.State)
}

// copied makes n sessions that wait as this one does.
func (w *world) copied(session uuid.UUID, n int) {
	w.t.Helper()
	require.NoError(w.t, w.db.InTx(w.t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		if _, err := pg.Exec(ctx, u, `
insert into checkout_sessions
select (jsonb_populate_record(c, jsonb_build_object('id', gen_random_uuid()))).*
from checkout_sessions c, generate_series(1, $2) where c.id = $1`, session, n); err != nil {
			return err
		}
		_, err := pg.Exec(ctx, u, `
insert into checkout_holds (id, session_id, course_id, tenant_id, user_id, state, updated_at)
select gen_random_uuid(), c.id, h.course_id, h.tenant_id, h.user_id, h.state, h.updated_at
from checkout_holds h, checkout_sessions c where h.session_id = $1 and c.id <> $1`, session)
		return err
	}))
}

// A price counts once enrollment lets nobody in without it: the answer that a plan was
// made waits for that, and while enrollment is away the plan is not on sale.
func TestAPlanIsOnSaleOnceEnrollmentKnowsOfIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seller()
	first, second := w.course(0), w.course(0)
	closed := func(course uuid.UUID) bool {
		w.school.mu.Lock()
		defer w.school.mu.Unlock()
		return w.school.priced[course]
	}
	away := func(is bool) {
		w.school.mu.Lock()
		defer w.school.mu.Unlock()
		w.school.away = is
	}
	read := func(p httpapi.Plan) (httpapi.Plan, string) {
		res := w.as(w.admin).GET("/api/v1/plans/" + p.ID.String()).Expect(200)
		res.JSON(&p)
		return p, res.ETag()
	}
	change := func(p httpapi.Plan, b body) httpapi.Plan {
		_, tag := read(p)
		w.as(w.admin).With("If-Match", tag).PATCH("/api/v1/plans/"+p.ID.String(), b).Expect(200).JSON(&p)
		return p
	}
	plan := w.plan([]uuid.UUID{first})
	require.True(t, plan.OnSale)
	require.True(t, closed(first))

	w.service.Settings.WaitFor = 10 * time.Millisecond
	away(true)
	require.True(t, w.plan([]uuid.UUID{first}).OnSale, "enrollment knows of the course")
	both := w.plan([]uuid.UUID{first, second})
	require.False(t, both.OnSale)
	w.keyed(w.student).POST("/api/v1/checkout-sessions", body{"plan_id": both.ID}).Expect(409).Code("plan_preparing")
	away(false)
	require.Eventually(t, func() bool { // each failed try makes the call due later
		w.clock.Advance(2 * time.Minute)
		both, _ = read(both)
		return both.OnSale
	}, 30*time.Second, 50*time.Millisecond)
	w.settled()
	require.True(t, both.OnSale)
	require.True(t, closed(second))
	w.checkout(w.student, both)

	both = change(both, body{"state": "archived"})
	require.False(t, both.OnSale)
	w.settled()
	require.False(t, closed(second), "nothing sells it any more")
	require.True(t, closed(first), "another plan does")
	w.service.Settings.WaitFor = time.Minute
	both = change(both, body{"state": "active"})
	require.True(t, both.OnSale)
	require.True(t, closed(second))
}

// TestWithoutAProvider is an installation that takes no money: it gives away what is
// free, and holds no seat for what costs.
func TestWithoutAProvider(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.service.Provider = provider.None{}
	w.seller()
	course, gift := w.course(1), w.course(1)
	plan := w.plan([]uuid.UUID{course})
	trial := w.plan([]uuid.UUID{course}, monthly(1000, body{"trial_days": 14}))
	free := w.plan([]uuid.UUID{gift}, body{"prices": []body{{"currency": "EUR", "amount": 0}}})
	w.settled()

	for _, costs := range []uuid.UUID{plan.ID, trial.ID} {
		w.keyed(w.student).POST("/api/v1/checkout-sessions", body{"plan_id": costs}).Expect(409).Code("payments_unavailable")
	}
	require.Empty(t, w.school.courses[course].holds, "no seat waits for what cannot be paid")
	w.as(w.student).POST("/api/v1/payment-methods", nil).Expect(409).Code("payments_unavailable")

	c := w.checkout(w.student, free, body{})
	require.Equal(t, "completed", c.State)
	w.settled()
	require.True(t, w.enrolled(w.student, gift))
	status, err := w.receive(t.Context(), "https://lms.test/api/v1/payments/webhooks/mock", map[string]string{"Content-Type": "application/json"}, []byte("{}"))
	require.NoError(t, err)
	require.Equal(t, 404, status, "nobody is expected to call")
}
