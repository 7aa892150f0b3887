package app

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/payment/internal/httpapi"
	"lms/shared/authz"
)

// racers is how many people want the same thing at once; less in a short run.
func racers(t testing.TB) int {
	if testing.Short() {
		return 200
	}
	return 1000
}

// TestAThousandCheckouts race for 20 seats and a coupon that may be used 10 times:
// exactly 10 discounts and 20 learners, the ledger sums to zero, invoices have no gap.
func TestAThousandCheckouts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.service.Settings.WaitFor = time.Minute
	w.seller()
	const seats, uses = 20, 10
	course := w.course(seats)
	plan := w.plan([]uuid.UUID{course})
	w.as(w.admin).POST("/api/v1/coupons", body{"org_unit_id": w.tenant, "code": "RACE", "percent": "50", "max_uses": uses}).Expect(201)
	people := make([]authz.Principal, racers(t))
	for i := range people {
		people[i] = w.learner()
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	var mu sync.Mutex
	answers := map[string]int{}
	for range 32 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(people); i = int(next.Add(1)) - 1 {
				p := people[i]
				b := body{"plan_id": plan.ID, "coupon": "RACE"}
				res := w.keyed(p).POST("/api/v1/checkout-sessions", b)
				if res.Status == http.StatusConflict && res.Problem().Code == "coupon_used_up" {
					delete(b, "coupon")
					res = w.keyed(p).POST("/api/v1/checkout-sessions", b)
				}
				outcome := "bought"
				if res.Status == http.StatusCreated {
					var c httpapi.Checkout
					res.JSON(&c)
					w.press(c.URL, "pay", pays)
				} else {
					outcome = res.Problem().Code
				}
				mu.Lock()
				answers[outcome]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	w.deliver()
	w.settled()
	require.Equal(t, map[string]int{"bought": seats, "course_full": len(people) - seats}, answers)
	require.Equal(t, seats, w.learners(course))
	var discounted, invoices, highest, used int
	w.scan(&discounted, `select count(*) from orders where discount > 0 and state = 'paid'`)
	w.scan(&invoices, `select count(*) from invoices`)
	w.scan(&highest, `select max(n) from invoices`)
	w.scan(&used, `select uses from coupons`)
	require.LessOrEqual(t, discounted, uses)
	require.Equal(t, discounted, used, "what was refused gave its use back")
	require.Equal(t, []int{seats, seats}, []int{invoices, highest})
	w.balanced()
}

// TestCouponRacers: of a hundred who buy with a coupon for 10, exactly 10 get it; and
// one person no more often than allowed.
func TestCouponRacers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seller()
	plan := w.plan([]uuid.UUID{w.course(0)})
	w.as(w.admin).POST("/api/v1/coupons", body{"org_unit_id": w.tenant, "code": "TEN", "amount": 1000, "currency": "EUR", "max_uses": 10, "max_uses_per_user": 1}).Expect(201)
	var wg sync.WaitGroup
	statuses := make(chan int, 100)
	for range 100 {
		client := w.keyed(w.learner())
		wg.Go(func() {
			statuses <- client.POST("/api/v1/checkout-sessions", body{"plan_id": plan.ID, "coupon": "ten"}).Status
		})
	}
	wg.Wait()
	close(statuses)
	got := map[int]int{}
	for s := range statuses {
		got[s]++
	}
	require.Equal(t, map[int]int{201: 10, 409: 90}, got)
	w.as(w.admin).POST("/api/v1/coupons", body{"org_unit_id": w.tenant, "code": "ONCE", "percent": "10", "max_uses_per_user": 1}).Expect(201)
	other := w.plan([]uuid.UUID{w.course(0)})
	w.buy(w.student, plan, body{"coupon": "ONCE"})
	w.keyed(w.student).POST("/api/v1/checkout-sessions", body{"plan_id": other.ID, "coupon": "ONCE"}).Expect(409).Code("coupon_used")
}

// TestPaidAfterTheHoldLapsed is rule 35: a seat if one is free, else all goes back by
// itself.
func TestPaidAfterTheHoldLapsed(t *testing.T) {
	t.Parallel()
	for _, free := range []bool{true, false} {
		w := newWorld(t)
		w.seller()
		course := w.course(1)
		plan := w.plan([]uuid.UUID{course})
		c := w.checkout(w.student, plan)
		w.press(c.URL, "pay", pays)
		raw := w.sent()[0]
		// The provider says nothing until the session and its seat are gone.
		_, err := w.pool.Exec(t.Context(), `update mock_deliveries set done_at = $1`, w.clock.Now())
		require.NoError(t, err)
		_, err = w.pool.Exec(t.Context(), `update mock_sessions set state = 'expired', payment_id = ''`)
		require.NoError(t, err)
		w.pass(40 * time.Minute)
		var now httpapi.Checkout
		w.as(w.student).GET("/api/v1/checkout-sessions/" + c.ID.String()).Expect(200).JSON(&now)
		require.Equal(t, "expired", now.State)
		other := w.learner()
		if !free {
			w.buy(other, plan)
		}
		require.Equal(t, 200, w.post(raw, sign("whsec_new", w.clock.Now(), []byte(raw))))
		w.settled()
		w.clock.Advance(time.Minute)
		w.work()
		w.settled()
		o := w.orderOf(w.student, c)
		require.Equal(t, free, w.enrolled(w.student, course))
		require.Equal(t, map[bool]string{true: "paid", false: "refunded"}[free], o.State)
		w.balanced()
	}
}

// TestSeatsOfAnOrgUnit: bought once, given to no more people than there are seats.
func TestSeatsOfAnOrgUnit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seller()
	course := w.course(0)
	plan := w.plan([]uuid.UUID{course})
	pools := "/api/v1/org-units/" + w.unit.String() + "/seat-pools"
	w.keyed(w.student).POST(pools, body{"plan_id": plan.ID, "seats": 3}).Expect(403)
	w.keyed(w.alien).POST(pools, body{"plan_id": plan.ID, "seats": 3}).Expect(404)
	var c httpapi.Checkout
	w.keyed(w.chief).POST(pools, body{"plan_id": plan.ID, "seats": 3}).Expect(201).JSON(&c)
	require.EqualValues(t, 35700, c.Quote.Total)
	w.press(c.URL, "pay", pays)
	w.deliver()
	pool := list[httpapi.SeatPool](w, w.chief, pools)[0]
	require.Equal(t, []int{3, 0}, []int{pool.Seats, pool.Used})
	seat := func(p authz.Principal) string {
		return "/api/v1/seat-pools/" + pool.ID.String() + "/seats/" + p.UserID.String()
	}
	var wg sync.WaitGroup
	var given atomic.Int64
	people := []authz.Principal{w.student}
	for range 9 {
		people = append(people, w.learner())
	}
	for _, p := range people {
		wg.Go(func() {
			if w.as(w.chief).PUT(seat(p), nil).Status == http.StatusOK {
				given.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 3, given.Load())
	w.settled()
	require.Equal(t, 3, w.learners(course))
	w.as(w.chief).PUT(seat(w.learner()), nil).Expect(409).Code("no_seats_left")
	w.as(w.chief).PUT(seat(w.alien), nil).Expect(404)
	for _, p := range people {
		if w.enrolled(p, course) {
			w.as(w.chief).PUT(seat(p), nil).Expect(200)
			w.as(w.chief).DELETE(seat(p)).Expect(204)
			w.as(w.chief).DELETE(seat(p)).Expect(404)
			break
		}
	}
	w.settled()
	require.Equal(t, 2, w.learners(course))
	w.balanced()
	o := w.orderOf(w.chief, c)
	w.refund(w.chief, o)
	require.Zero(t, w.learners(course), "refunded seats are nobody's")
	w.balanced()
}
