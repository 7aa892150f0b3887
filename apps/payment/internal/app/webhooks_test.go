package app

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/payment/internal/httpapi"
	"lms/apps/payment/internal/mockgateway"
)

const hook = "/api/v1/payments/webhooks/mock"

// sent are the bodies of webhooks that the gateway has written, in order.
func (w *world) sent() (bodies []string) {
	w.t.Helper()
	w.scan(&bodies, `select coalesce(array_agg(body order by id), '{}') from mock_deliveries`)
	return bodies
}

// post sends a webhook of our own making.
func (w *world) post(raw, header string) int {
	return w.client.With(mockgateway.SignatureHeader, header).POST(hook, raw).Status
}

// paidPage is a session whose page was paid at and whose webhook nobody has sent yet.
func (w *world) paidPage() (httpapi.Checkout, string) {
	w.t.Helper()
	w.seller()
	c := w.checkout(w.student, w.plan([]uuid.UUID{w.course(0)}))
	w.press(c.URL, "pay", pays)
	all := w.sent()
	return c, all[len(all)-1]
}

func TestSignaturesOfWebhooks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, raw := w.paidPage()
	now := w.clock.Now()
	for name, header := range map[string]string{
		"signature_missing": "", "signature_invalid": sign("whsec_other", now, []byte(raw)),
		"signature_expired": sign("whsec_new", now.Add(-301*time.Second), []byte(raw)),
	} {
		w.client.With(mockgateway.SignatureHeader, header).POST(hook, raw).Expect(400).Code(name)
	}
	w.client.With(mockgateway.SignatureHeader, sign("whsec_new", now, []byte(raw))).POST(hook, raw+" ").Expect(400).Code("signature_invalid")
	w.client.With(mockgateway.SignatureHeader, sign("whsec_new", now, []byte("{}"))).POST(hook, "{}").Expect(400).Code("webhook_unreadable")
	w.client.With(mockgateway.SignatureHeader, sign("whsec_new", now, []byte(raw))).POST("/api/v1/payments/webhooks/stripe", raw).Expect(404)
	require.Equal(t, "pending", w.orderOf(w.student, c).State, "nothing came of it")
	// The secret of before counts until it is taken away.
	w.client.With(mockgateway.SignatureHeader, sign("whsec_old", now, []byte(raw))).POST(hook, raw).Expect(200)
	require.Equal(t, "paid", w.orderOf(w.student, c).State)
}

// TestReplaysAndParallelDeliveries: 100 deliveries of one event, 20 at a time, have one
// effect.
func TestReplaysAndParallelDeliveries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, raw := w.paidPage()
	var wg sync.WaitGroup
	outcomes := make(chan int, 100)
	for range 20 {
		wg.Go(func() {
			for range 5 {
				outcomes <- w.post(raw, sign("whsec_new", w.clock.Now(), []byte(raw)))
			}
		})
	}
	wg.Wait()
	close(outcomes)
	for status := range outcomes {
		require.Equal(t, 200, status)
	}
	w.settled()
	o := w.orderOf(w.student, c)
	require.Equal(t, []int64{11900, 11900}, []int64{o.Total, o.Paid})
	require.Len(t, list[httpapi.Invoice](w, w.student, "/api/v1/invoices"), 1)
	require.Len(t, list[httpapi.Entitlement](w, w.student, "/api/v1/entitlements"), 1)
	require.Equal(t, []string{"order_created", "invoice_issued", "payment_succeeded"}, w.told(o.ID))
	w.balanced()
}

// forge changes a webhook and gives it an id of its own, signed as it should be.
func (w *world) forge(raw string, change func(map[string]any)) (string, string) {
	w.t.Helper()
	var e map[string]any
	require.NoError(w.t, json.Unmarshal([]byte(raw), &e))
	e["id"] = "evt_" + uuid.NewString()
	change(e["data"].(map[string]any))
	out, err := json.Marshal(e)
	require.NoError(w.t, err)
	return string(out), sign("whsec_new", w.clock.Now(), out)
}

func TestWebhooksThatDoNotFit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, raw := w.paidPage()
	for code, change := range map[string]func(map[string]any){
		"session_unknown":   func(d map[string]any) { d["session"].(map[string]any)["id"] = "mgs_unknown" },
		"amount_mismatch":   func(d map[string]any) { d["payment"].(map[string]any)["amount"] = 11901 },
		"currency_mismatch": func(d map[string]any) { d["payment"].(map[string]any)["currency"] = "USD" },
	} {
		forged, header := w.forge(raw, change)
		status := map[string]int{"session_unknown": 404}[code]
		if status == 0 {
			status = 422
		}
		w.client.With(mockgateway.SignatureHeader, header).POST(hook, forged).Expect(status).Code(code)
	}
	missing, header := w.forge(raw, func(d map[string]any) { delete(d, "payment") })
	w.client.With(mockgateway.SignatureHeader, header).POST(hook, missing).Expect(422).Code("amount_mismatch")
	ignored, _ := w.forge(raw, func(map[string]any) {})
	ignored = strings.Replace(ignored, "checkout.completed", "something.new", 1)
	require.Equal(t, 200, w.post(ignored, sign("whsec_new", w.clock.Now(), []byte(ignored))))
	require.Equal(t, "pending", w.orderOf(w.student, c).State)
	w.deliver()
	require.Equal(t, "paid", w.orderOf(w.student, c).State, "the genuine one counts afterwards")

	// A second payment for the same session is kept as surplus and goes back.
	var n int
	w.scan(&n, `select count(*) from mock_payments`)
	require.Equal(t, 1, n)
	twice, header := w.forge(raw, func(d map[string]any) { d["payment"].(map[string]any)["id"] = "mgp_twice" })
	_, err := w.pool.Exec(t.Context(), `insert into mock_payments (id, key, reference, amount, currency, state, metadata, created_at)
		select 'mgp_twice', 'twice', reference, amount, currency, state, metadata, created_at from mock_payments`)
	require.NoError(t, err)
	require.Equal(t, 200, w.post(twice, header))
	w.settled()
	w.work()
	var refunded int64
	w.scan(&refunded, `select refunded from mock_payments where id = 'mgp_twice'`)
	require.EqualValues(t, 11900, refunded)
	require.EqualValues(t, 11900, w.orderOf(w.student, c).Paid)
	w.balanced()
}

// TestWebhooksLateTwiceShuffledOrNever: whatever becomes of its webhooks, each purchase
// is complete in the end, once.
func TestWebhooksLateTwiceShuffledOrNever(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string]mockgateway.Faults{
		"late":     {Delay: 10 * time.Minute},
		"twice":    {Twice: 1},
		"shuffled": {Jitter: 10 * time.Minute, Twice: 0.5},
		"never":    {Never: 1},
		"half":     {Never: 0.5, Twice: 0.5, Jitter: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(1, 2))
			var mu sync.Mutex
			w := newWorld(t, func(o *mockgateway.Options) {
				o.Faults = faults
				o.Faults.Retries = []time.Duration{time.Second}
				o.Float = func() float64 { mu.Lock(); defer mu.Unlock(); return random.Float64() }
			})
			w.seller()
			course := w.course(0)
			plan := w.plan([]uuid.UUID{course})
			const n = 10
			for range n {
				p := w.learner()
				c := w.checkout(p, plan)
				w.press(c.URL, "pay", declines)
				w.press(c.URL, "pay", pays)
				w.deliver()
			}
			for range 4 {
				w.pass(5 * time.Minute)
			}
			require.Equal(t, n, w.learners(course))
			var invoices, paid int
			w.scan(&invoices, `select count(*) from invoices`)
			w.scan(&paid, `select count(*) from orders where state = 'paid' and paid = 11900`)
			require.Equal(t, []int{n, n}, []int{invoices, paid})
			w.balanced()
		})
	}
}

// TestWebhooksAreRepeatedUntilTheyAreTaken: with growing pauses, and given up after the
// last.
func TestWebhooksAreRepeatedUntilTheyAreTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.pool.Exec(t.Context(), `insert into mock_deliveries (event_id, body, due_at, created_at) values ('e', $2, $1, $1)`,
		w.clock.Now(), `{"id":"e","type":"checkout.completed","data":{"session":{"id":"mgs_gone"}}}`)
	require.NoError(t, err)
	deliver := func() int {
		n, err := w.gateway.Deliver(t.Context())
		require.NoError(t, err)
		return n
	}
	require.Equal(t, 1, deliver())
	for _, pause := range []time.Duration{time.Second, time.Minute} {
		w.clock.Advance(pause - time.Microsecond)
		require.Zero(t, deliver(), "before %s", pause)
		w.clock.Advance(time.Microsecond)
		require.Equal(t, 1, deliver(), "after %s", pause)
	}
	w.clock.Advance(time.Hour)
	require.Zero(t, deliver(), "given up")
	var got []int
	w.scan(&got, `select array[attempts, status] from mock_deliveries`)
	require.Equal(t, []int{3, 404}, got)
}
