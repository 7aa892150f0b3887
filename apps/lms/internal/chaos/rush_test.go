//go:build chaos

package chaos_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/e2e"
	"lms/apps/lms/internal/system"
)

// TestRush is about very many who want to buy the same few things at once.
func TestRush(t *testing.T) {
	t.Setenv("LMS_GATEWAY_SIGN_IN_RATE", "100000") // all buyers share one address
	t.Setenv("LMS_GATEWAY_ADDRESS_RATE", "1000000")
	s := start(t)
	t.Run("money under kills", s.rush)
}

const (
	rushBuyers  = 1000
	rushSeats   = 20
	rushCoupons = 10
	rushPrice   = 10000 // minor units; the coupon takes half
	// rushKills is how often each of the victims is killed: all but once while seats
	// are asked for, once more while the last ones pay.
	rushKills = 3
)

// rush lets 1,000 people buy one course at the same time: there are 20 seats, and a
// coupon that may be used 10 times. Everybody asks with the coupon first and without
// it when it is used up; who holds a seat without the discount asks for it once more
// before paying, so that the coupon is wanted to its last use. Meanwhile payment,
// enrollment and their sidecars are killed at random moments. It fails when not
// exactly 20 are in the course, not exactly 10 have the discount, when invoices have a
// gap, the ledger does not sum to zero, money came twice, or any book differs.
func (s *school) rush(t *testing.T) {
	r := s.newRush(t)
	r.signIn(t)
	since, chance := time.Now(), seeded(t)

	struck := r.killing(t, chance, rushKills-1)
	each(rushBuyers, rushBuyers, func(i int) {
		b := &r.buyers[i]
		if r.checkout(t, b, r.coupon) && b.discount > 0 {
			r.pay(t, b)
		}
	})
	struck()
	asked := time.Since(since)
	struck = r.killing(t, chance, 1)
	each(rushBuyers, rushBuyers, func(i int) {
		b := &r.buyers[i]
		if b.session == "" || b.paid {
			return
		}
		r.checkout(t, b, r.coupon) // a refusal leaves the session that stands
		<-time.After(time.Duration(rand.IntN(10)) * time.Second)
		r.pay(t, b)
	})
	took := time.Since(since)
	struck()
	t.Logf("answers: %v, %d requests without one", r.answers, r.unsure.Load())
	require.Empty(t, r.wrong, "every buyer had an answer")

	s.AwaitReady(t)
	s.again(t)
	await(t, 3*time.Minute, "who has paid is in the course", func() bool { return s.states(t, r.course)["active"] >= rushSeats })
	s.quiet(t)
	r.judge(t, since, asked, took)
}

// rush is the sale.
type rush struct {
	*school
	course, plan, coupon, couponID string

	buyers []buyer
	kills  atomic.Int64
	unsure atomic.Int64 // requests without an answer, or a 5xx

	mu      sync.Mutex
	answers map[string]int
	wrong   []string // what no buyer should meet
}

// buyer is one of the thousand.
type buyer struct {
	email    string
	api      *system.API
	session  string // that holds a seat
	page     string
	discount int64
	paid     bool
}

func (s *school) newRush(t *testing.T) *rush {
	r := &rush{school: s, coupon: coupon(), buyers: make([]buyer, rushBuyers)}
	r.answers = map[string]int{}
	r.course = s.courses(t, 1, map[string]any{"capacity": rushSeats})[0]
	entity := made(t, s.Admin, "/api/v1/legal-entities", map[string]any{"org_unit_id": s.Org, "name": "Seller", "address": "Quay 1", "country": "DE"})
	r.plan = made(t, s.Admin, "/api/v1/plans", map[string]any{
		"org_unit_id": s.Org, "name": "A rush", "kind": "one_off", "course_ids": []string{r.course}, "legal_entity_id": entity,
		"prices": []any{map[string]any{"currency": "EUR", "amount": rushPrice}},
	})
	r.couponID = made(t, s.Admin, "/api/v1/coupons", map[string]any{"org_unit_id": s.Org, "code": r.coupon, "percent": "50", "max_uses": rushCoupons})
	run := uuid.NewString()[:8]
	each(rushBuyers, lanes, func(i int) {
		r.buyers[i].email = fmt.Sprintf("b%d.%s@example.test", i, run)
		must(t, s.Admin, http.MethodPost, "/api/v1/users", map[string]any{
			"email": r.buyers[i].email, "name": fmt.Sprintf("Buyer %d", i), "org_unit_id": s.Unit, "password": e2e.Password, "email_verified": true,
		})
	})
	require.False(t, t.Failed(), "buyers are made")
	return r
}

// signIn signs all buyers in: their tokens are good for a quarter of an hour.
func (r *rush) signIn(t *testing.T) {
	began := time.Now()
	each(rushBuyers, 4, func(i int) { // as many as the service hashes at once
		b := &r.buyers[i]
		out := must(t, r.API(), http.MethodPost, "/api/v1/auth/login", map[string]any{"email": b.email, "password": e2e.Password})
		token, _ := out["access_token"].(string)
		b.api = r.API().As(token)
	})
	require.False(t, t.Failed(), "buyers are signed in")
	t.Logf("%d buyers signed in after %s", rushBuyers, time.Since(began).Round(time.Second))
}

// killing kills each victim some times, in a random order and at random moments. The
// returned function waits until that is done.
func (r *rush) killing(t *testing.T, chance *rand.Rand, rounds int) (done func()) {
	victims := [][2]string{{"payment", "service"}, {"enrollment", "service"}, {"payment", "sidecar"}, {"enrollment", "sidecar"}}
	failed := make(chan error, 1)
	go func() {
		for range rounds {
			chance.Shuffle(len(victims), func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })
			for _, v := range victims {
				<-time.After(time.Duration(chance.IntN(5000)) * time.Millisecond)
				if err := r.TryKill(v[0], v[1]); err != nil {
					failed <- err
					return
				}
				r.kills.Add(1)
			}
		}
		failed <- nil
	}()
	return func() { require.NoError(t, <-failed) }
}

// rushLimit is how long one buyer goes on trying.
const rushLimit = 4 * time.Minute

// noAnswer pauses after a request that got none. Everybody waits another time, as
// clients should.
func (r *rush) noAnswer() {
	r.unsure.Add(1)
	<-time.After(time.Duration(200+rand.IntN(800)) * time.Millisecond)
}

func (r *rush) count(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers[what]++
}

func (r *rush) complain(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wrong = append(r.wrong, fmt.Sprintf(format, args...)); len(r.wrong) > 10 {
		r.wrong = r.wrong[:10]
	}
}

// checkout starts a session under one key, as often as it takes, and waits until its
// seat is held. False: the buyer was refused.
func (r *rush) checkout(t *testing.T, b *buyer, code string) bool {
	key := uuid.NewString()
	for end := time.Now().Add(rushLimit); time.Now().Before(end); {
		body := map[string]any{"plan_id": r.plan}
		if code != "" {
			body["coupon"] = code
		}
		ans, err := b.api.Try(http.MethodPost, "/api/v1/checkout-sessions", body, "Idempotency-Key", key)
		switch {
		case err != nil || ans.Status >= 500 || ans.Status == http.StatusTooManyRequests || strings.Contains(string(ans.Body), "idempotency_in_progress"):
			r.noAnswer()
		case ans.Status == http.StatusCreated:
			var c session
			if err := json.Unmarshal(ans.Body, &c); err != nil {
				r.complain("%v", err)
				return false
			}
			return r.held(t, b, c.ID, end)
		case ans.Status == http.StatusConflict && codeOf(ans) == "coupon_used_up" && b.session == "":
			r.count("coupon_used_up")
			code, key = "", uuid.NewString()
		case ans.Status == http.StatusConflict && slices.Contains([]string{"course_full", "coupon_used_up"}, codeOf(ans)):
			r.count(codeOf(ans))
			return false
		default:
			r.complain("checkout: %d %s", ans.Status, ans.Body)
			return false
		}
	}
	r.complain("checkout: no answer within %s", rushLimit)
	return false
}

// session is a checkout session.
type session struct {
	ID, State, Refusal, URL string
	Quote                   struct{ Discount int64 }
}

func codeOf(ans system.Answer) string {
	var p struct{ Code string }
	_ = json.Unmarshal(ans.Body, &p) // no document has no code
	return p.Code
}

// held waits until a session has its page, or its refusal.
func (r *rush) held(t *testing.T, b *buyer, id string, end time.Time) bool {
	for ; time.Now().Before(end); <-time.After(200 * time.Millisecond) {
		ans, err := b.api.Try(http.MethodGet, "/api/v1/checkout-sessions/"+id, nil)
		var c session
		if err != nil || ans.Status != http.StatusOK || json.Unmarshal(ans.Body, &c) != nil {
			r.noAnswer()
			continue
		}
		switch c.State {
		case "open":
			r.count("held")
			b.session, b.page, b.discount = c.ID, c.URL, c.Quote.Discount
			return true
		case "refused":
			r.count(c.Refusal)
			if c.Refusal != "course_full" {
				r.complain("session refused: %+v", c)
			}
			return false
		case "preparing":
		default:
			r.complain("session is %+v", c)
			return false
		}
	}
	r.complain("session %s is still being prepared", id)
	return false
}

// pay presses the button until the page says that it is paid.
func (r *rush) pay(t *testing.T, b *buyer) {
	for end := time.Now().Add(rushLimit); time.Now().Before(end); r.noAnswer() {
		if e2e.TryPress(t, b.page, "pay", "4242424242424242") {
			b.paid = true
			return
		}
	}
	r.complain("session %s could not be paid", b.session)
}

var digits = regexp.MustCompile(`\d+$`)

// judge compares everything that the API shows, and what was told.
func (r *rush) judge(t *testing.T, since time.Time, asked, took time.Duration) {
	type order struct {
		ID, State                       string
		UserID                          string `json:"user_id"`
		Discount, Total, Paid, Refunded int64
	}
	orders := map[string]int{}
	discounted := 0
	for _, o := range list[order](t, r.Admin, "/api/v1/orders?everyone=true&plan_id="+r.plan) {
		orders[o.State]++
		if o.State == "paid" && o.Discount > 0 {
			discounted++
		}
	}
	active := r.states(t, r.course)["active"]
	measured(t, "1,000 checkouts under kills: seats and discounts", "exactly 20 in the course, 20 paid, 10 discounts",
		active == rushSeats && orders["paid"] == rushSeats && discounted == rushCoupons && orders["refunded"]+orders["paying"]+orders["partially_refunded"] == 0,
		"%d in the course, orders %v, %d discounts; %d kills, %d requests without answer; asked in %s, sold in %s",
		active, orders, discounted, r.kills.Load(), r.unsure.Load(), asked.Round(time.Second), took.Round(time.Second))
	require.EqualValues(t, 4*rushKills, r.kills.Load())

	var uses struct{ Uses int }
	r.Admin.Read(t, "/api/v1/coupons/"+r.couponID).JSON(t, &uses)
	var numbers []int
	for _, i := range list[struct{ Number string }](t, r.Admin, "/api/v1/invoices?everyone=true") {
		n, err := strconv.Atoi(digits.FindString(i.Number))
		require.NoError(t, err, i.Number)
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	gapless := len(numbers) == rushSeats
	for i, n := range numbers {
		gapless = gapless && n == i+1
	}
	var balance struct{ Sums map[string]int64 }
	r.Admin.Read(t, "/api/v1/ledger/balance").JSON(t, &balance)
	told := r.told(t, since)
	measured(t, "1,000 checkouts under kills: the books", "20 invoices without a gap, ledger 0, each told once",
		gapless && maps.Equal(balance.Sums, map[string]int64{"EUR": 0}) && uses.Uses == rushCoupons && told["invoice_issued"] == rushSeats &&
			told["payment_succeeded"] == rushSeats && told["entitlement_granted"] == rushSeats && told["activated"] == rushSeats,
		"%d invoices, numbers %v, ledger %v, coupon used %d times, told %v", len(numbers), numbers, balance.Sums, uses.Uses, told)

	r.Lms(t, "clock", "advance", "3m") // what is younger is left to the next comparison
	r.again(t)
	clean := r.reconciled(t)
	spoil := r.spoil(t, 1)
	planted := r.reconciled(t)
	r.spoil(t, -1)
	t.Logf("a counter spoilt in %d row is found: %+v", spoil, planted)
	measured(t, "1,000 checkouts under kills: reconciliation", "0 differences; a planted one is found",
		clean.Differences == 0 && clean.Checked["provider_payments"] == rushSeats && clean.Checked["entitlements"] == rushSeats && planted.Differences == 1,
		"%d differences in %v; with a spoilt counter %d", clean.Differences, clean.Checked, planted.Differences)
}

// told counts the events of the sale by type.
func (r *rush) told(t *testing.T, since time.Time) map[string]int {
	out := map[string]int{}
	for _, topic := range []string{"payment.events", "enrollment.events"} {
		for _, e := range r.events(t, topic, "--since", (time.Since(since) + time.Minute).String()) {
			var d struct {
				CourseID string `json:"course_id"`
			}
			require.NoError(t, json.Unmarshal(e.Data, &d))
			if topic == "enrollment.events" && d.CourseID != r.course {
				continue
			}
			parts := strings.Split(e.Type, ".")
			out[parts[2]]++
		}
	}
	return out
}

type reconciliation struct {
	ID          string
	State       string
	Differences int
	Checked     map[string]int
}

// reconciled asks payment to compare all books.
func (r *rush) reconciled(t *testing.T) (out reconciliation) {
	t.Helper()
	before := len(list[reconciliation](t, r.Admin, "/api/v1/reconciliations"))
	must(t, r.Admin, http.MethodPost, "/api/v1/reconciliations", map[string]any{})
	await(t, time.Minute, "the books are compared", func() bool {
		all := list[reconciliation](t, r.Admin, "/api/v1/reconciliations")
		if len(all) <= before || all[0].State != "finished" {
			return false
		}
		out = all[0]
		return true
	})
	return out
}

// spoil adds to the coupon's count of uses past the service.
func (r *rush) spoil(t *testing.T, by int) int64 {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), r.setting(t, "payment", "LMS_DATABASE_URL"))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "set local lms.tenant = '*'")
	require.NoError(t, err)
	tag, err := tx.Exec(t.Context(), "update coupons set max_uses = max_uses + $2, uses = uses + $2 where id = $1", r.couponID, by)
	require.NoError(t, err)
	require.NoError(t, tx.Commit(t.Context()))
	return tag.RowsAffected()
}
