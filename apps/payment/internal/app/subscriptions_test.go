package app

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/payment/internal/httpapi"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
)

// subscribed buys a subscription on the hosted page.
func (w *world) subscribed(p authz.Principal, plan httpapi.Plan, card string) httpapi.Subscription {
	w.t.Helper()
	c := w.checkout(p, plan)
	w.press(c.URL, "pay", card)
	w.deliver()
	w.settled()
	subs := list[httpapi.Subscription](w, p, "/api/v1/subscriptions")
	require.NotEmpty(w.t, subs)
	return subs[0]
}

func (w *world) sub(p authz.Principal, id uuid.UUID) (s httpapi.Subscription) {
	w.t.Helper()
	w.as(p).GET("/api/v1/subscriptions/" + id.String()).Expect(200).JSON(&s)
	return s
}

func (w *world) total(kind string) (n int) {
	w.t.Helper()
	w.scan(&n, `select count(*) from orders where kind = $1 and state = 'paid'`, kind)
	return n
}

func TestASubscriptionRenewsAndIsCancelled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seller()
	course := w.course(0)
	plan := w.plan([]uuid.UUID{course}, monthly(1000))
	s := w.subscribed(w.student, plan, pays)
	require.Equal(t, "active", s.State)
	require.True(t, w.enrolled(w.student, course))
	w.keyed(w.student).POST("/api/v1/checkout-sessions", body{"plan_id": plan.ID}).Expect(409).Code("already_subscribed")

	for n := 1; n <= 2; n++ {
		w.clock.Set(w.sub(w.student, s.ID).PeriodEnd)
		w.pass(time.Microsecond)
		require.Equal(t, n, w.total("renewal"))
		require.NoError(t, w.service.Sweep(t.Context()))
		require.Equal(t, n, w.total("renewal"), "once a period")
	}
	require.Len(t, list[httpapi.Invoice](w, w.student, "/api/v1/invoices"), 3)
	now := w.sub(w.student, s.ID)
	require.Equal(t, "active", now.State)
	w.as(w.student).POST("/api/v1/subscriptions/"+s.ID.String()+"/cancel", nil).Expect(200).JSON(&now)
	require.True(t, now.CancelAtPeriodEnd)
	w.as(w.student).POST("/api/v1/subscriptions/"+s.ID.String()+"/resume", nil).Expect(200).JSON(&now)
	require.False(t, now.CancelAtPeriodEnd)
	w.as(w.student).POST("/api/v1/subscriptions/"+s.ID.String()+"/cancel", nil).Expect(200)
	require.True(t, w.enrolled(w.student, course), "to the end of what was paid")
	w.clock.Set(now.PeriodEnd)
	w.pass(time.Microsecond)
	now = w.sub(w.student, s.ID)
	require.Equal(t, []string{"ended", "cancelled"}, []string{now.State, now.EndReason})
	require.False(t, w.enrolled(w.student, course))
	require.Equal(t, 2, w.total("renewal"))
	require.Equal(t, []string{
		"subscription_started", "subscription_renewed", "subscription_renewed", "subscription_cancelled", "subscription_resumed",
		"subscription_cancelled", "subscription_ended",
	}, w.told(s.ID))
	w.as(w.student).POST("/api/v1/subscriptions/"+s.ID.String()+"/resume", nil).Expect(409).Code("already_ended")
	w.as(w.alien).GET("/api/v1/subscriptions/" + s.ID.String()).Expect(404)
	w.balanced()
}

// TestThePageSaysWhatBecomesOfTheCard: that it is kept for later, and in 3-D Secure what
// is confirmed.
func TestThePageSaysWhatBecomesOfTheCard(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seller()
	const saved, pay = "The card is saved, and charged whenever", "confirm the payment of 119.00 EUR"
	shown := func(url string) string {
		return string(w.client.GET(strings.TrimPrefix(url, "https://lms.test")).Expect(200).Body)
	}
	once := w.checkout(w.student, w.plan([]uuid.UUID{w.course(0)}))
	require.NotContains(t, shown(once.URL), saved)
	w.press(once.URL, "pay", challenges)
	require.Contains(t, shown(once.URL), pay)
	month := w.checkout(w.student, w.plan([]uuid.UUID{w.course(0)}, monthly(1000)))
	require.Contains(t, shown(month.URL), saved)
	var page httpapi.SetupPage
	w.as(w.student).POST("/api/v1/payment-methods", nil).Expect(201).JSON(&page)
	require.Contains(t, shown(page.URL), saved)
	w.press(page.URL, "pay", challenges)
	require.Contains(t, shown(page.URL), "confirm that your card may be saved")
}

// TestDunning: past due, tried again, and over after the last try; or saved by another
// card.
func TestDunning(t *testing.T) {
	t.Parallel()
	for _, saved := range []bool{false, true} {
		w := newWorld(t)
		w.seller()
		course := w.course(0)
		s := w.subscribed(w.student, w.plan([]uuid.UUID{course}, monthly(1000)), failsLater)
		w.clock.Set(s.PeriodEnd)
		w.pass(time.Microsecond)
		now := w.sub(w.student, s.ID)
		require.Equal(t, []any{"past_due", 1}, []any{now.State, now.Attempts})
		require.True(t, w.enrolled(w.student, course), "access lasts through it")
		w.pass(23 * time.Hour)
		require.Equal(t, 1, w.sub(w.student, s.ID).Attempts, "not before its time")
		if saved {
			var page httpapi.SetupPage
			w.as(w.student).POST("/api/v1/payment-methods", nil).Expect(201).JSON(&page)
			w.press(page.URL, "pay", pays)
			w.deliver()
			require.Len(t, list[httpapi.PaymentMethod](w, w.student, "/api/v1/payment-methods"), 2)
		}
		w.pass(time.Hour)
		now = w.sub(w.student, s.ID)
		if saved {
			require.Equal(t, []any{"active", 0}, []any{now.State, now.Attempts})
			require.Equal(t, s.PeriodEnd, now.PeriodStart, "the period begins where the last one ended")
			require.Equal(t, []string{"subscription_started", "subscription_past_due", "subscription_renewed"}, w.told(s.ID))
			w.balanced()
			continue
		}
		require.Equal(t, 2, now.Attempts)
		w.pass(72 * time.Hour)
		now = w.sub(w.student, s.ID)
		require.Equal(t, []string{"ended", "unpaid"}, []string{now.State, now.EndReason})
		require.False(t, w.enrolled(w.student, course))
		require.Equal(t, []string{"subscription_started", "subscription_past_due", "subscription_past_due", "subscription_ended"}, w.told(s.ID))
		w.balanced()
	}
}

func TestATrialIsToldToEndAndThenCharged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seller()
	course := w.course(0)
	s := w.subscribed(w.student, w.plan([]uuid.UUID{course}, monthly(1000, body{"trial_days": 14})), pays)
	require.Equal(t, "trialing", s.State)
	require.True(t, w.enrolled(w.student, course))
	require.Empty(t, list[httpapi.Order](w, w.student, "/api/v1/orders"))
	w.pass(11 * 24 * time.Hour)
	require.Equal(t, []string{"subscription_started", "subscription_trial_ending"}, w.told(s.ID))
	w.pass(3 * 24 * time.Hour)
	now := w.sub(w.student, s.ID)
	require.Equal(t, "active", now.State)
	require.Equal(t, s.PeriodEnd, now.PeriodStart)
	require.Equal(t, 1, w.total("renewal"))
	w.balanced()
}

// TestChangingThePlan: what it costs is charged at once, what it saves is credit.
func TestChangingThePlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seller()
	small, large := w.course(0), w.course(0)
	basic := w.plan([]uuid.UUID{small}, monthly(1000))
	pro := w.plan([]uuid.UUID{small, large}, monthly(3000))
	s := w.subscribed(w.student, basic, pays)
	change := func(to httpapi.Plan) httpapi.Subscription {
		var out httpapi.Subscription
		w.keyed(w.student).POST("/api/v1/subscriptions/"+s.ID.String()+"/change", body{"plan_id": to.ID}).Expect(200).JSON(&out)
		w.settled()
		return out
	}
	w.clock.Set(s.PeriodStart.Add(s.PeriodEnd.Sub(s.PeriodStart) / 2))
	up := change(pro)
	require.Equal(t, pro.ID, up.PlanID)
	require.Equal(t, s.PeriodEnd, up.PeriodEnd)
	require.True(t, w.enrolled(w.student, large))
	var o httpapi.Order
	for _, x := range list[httpapi.Order](w, w.student, "/api/v1/orders?kind=change") {
		o = x
	}
	require.Equal(t, []int64{1500, 500, 1190}, []int64{o.Subtotal, o.Credit, o.Total}, "half of 30.00 less half of 10.00, and tax")
	down := change(basic)
	require.EqualValues(t, 1000, down.Credit)
	require.False(t, w.enrolled(w.student, large))
	require.True(t, w.enrolled(w.student, small))
	w.clock.Set(s.PeriodEnd)
	w.pass(time.Microsecond)
	require.Zero(t, w.sub(w.student, s.ID).Credit, "set off against the next period")
	w.keyed(w.student).POST("/api/v1/subscriptions/"+s.ID.String()+"/change", body{"plan_id": basic.ID}).Expect(409).Code("same_plan")
	w.balanced()
}

func TestAChangeThatIsNotPaidChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seller()
	course := w.course(0)
	basic, pro := w.plan([]uuid.UUID{course}, monthly(1000)), w.plan([]uuid.UUID{course}, monthly(3000))
	s := w.subscribed(w.student, basic, failsLater)
	w.keyed(w.student).POST("/api/v1/subscriptions/"+s.ID.String()+"/change", body{"plan_id": pro.ID}).Expect(402).Code("payment_failed")
	require.Equal(t, basic.ID, w.sub(w.student, s.ID).PlanID)
	w.balanced()
}

// TestPeople: deactivated ones pause, deleted ones end, erased ones leave books under a
// pseudonym.
func TestPeople(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seller()
	course := w.course(0)
	s := w.subscribed(w.student, w.plan([]uuid.UUID{course}, monthly(1000)), pays)
	w.setPerson(w.student, internalapi.PersonDeactivated, nil)
	require.Equal(t, "paused", w.sub(w.student, s.ID).State)
	w.pass(60 * 24 * time.Hour)
	require.Zero(t, w.total("renewal"))
	w.setPerson(w.student, internalapi.PersonActive, nil)
	now := w.sub(w.student, s.ID)
	require.Equal(t, "active", now.State)
	require.Equal(t, s.PeriodEnd.Add(60*24*time.Hour), now.PeriodEnd, "the pause is added")

	data := call[internalapi.ExportPersonReply](w, internalapi.CallExportPerson, w.student.UserID.String(), internalapi.ExportPerson{UserID: w.student.UserID, TenantID: w.tenant})
	require.Contains(t, string(data.Sections["invoices"]), "INV-000001")
	pseudonym := uuid.New()
	done := call[internalapi.ErasePersonReply](w, internalapi.CallErasePerson, w.student.UserID.String(), internalapi.ErasePerson{UserID: w.student.UserID, TenantID: w.tenant, Pseudonym: pseudonym})
	require.Contains(t, done.Kept[0].Reason, "tax law")
	var left int
	w.scan(&left, `select (select count(*) from orders where user_id = $1) + (select count(*) from invoices where user_id = $1 or buyer::text like '%Person%')
		+ (select count(*) from payment_methods) + (select count(*) from subscriptions where user_id = $1 or state <> 'ended')`, w.student.UserID)
	require.Zero(t, left)
	var total int64
	w.scan(&total, `select total from invoices where user_id = $1`, pseudonym)
	require.EqualValues(t, 1190, total)
	w.settled()
	w.balanced()
}

// TestInstalments: access with the first one, the parts add up, and the last failed try
// ends in a default that is written off.
func TestInstalments(t *testing.T) {
	t.Parallel()
	for card, state := range map[string]string{pays: "paid", failsLater: "defaulted"} {
		w := newWorld(t)
		w.seller()
		course := w.course(0)
		plan := w.plan([]uuid.UUID{course}, body{"kind": "instalments", "instalments": 3, "period": body{"unit": "month", "count": 1}})
		c := w.checkout(w.student, plan)
		require.EqualValues(t, 3967, c.Quote.DueNow)
		w.press(c.URL, "pay", card)
		w.deliver()
		w.settled()
		o := w.orderOf(w.student, c)
		require.Equal(t, "paying", o.State)
		require.True(t, w.enrolled(w.student, course))
		for range 4 {
			w.pass(31 * 24 * time.Hour)
		}
		require.Equal(t, state, w.orderOf(w.student, c).State)
		require.Equal(t, state == "paid", w.enrolled(w.student, course))
		due := list[httpapi.Due](w, w.student, "/api/v1/orders/"+o.ID.String()+"/schedule")
		require.Len(t, due, 3)
		require.EqualValues(t, 11900, due[0].Amount+due[1].Amount+due[2].Amount)
		w.balanced()
	}
}
