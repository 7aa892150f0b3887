package app

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/payment/internal/billing"
	"lms/apps/payment/internal/httpapi"
	"lms/apps/payment/internal/mockgateway"
	"lms/shared/testkit"
)

// codes are what kinds of differences were found, each once.
func codes(found []billing.Difference) (out []string) {
	seen := map[string]bool{}
	for _, d := range found {
		if !seen[d.Code] {
			seen[d.Code] = true
			out = append(out, d.Code)
		}
	}
	return out
}

// plant changes a table behind the back of the service, as its owner, and without the
// triggers that would refuse it.
func (w *world) plant(table, change string, args ...any) {
	w.t.Helper()
	ctx := w.t.Context()
	tx, err := testkit.OwnerDB(w.t, w.pool).Begin(ctx)
	require.NoError(w.t, err)
	defer func() { _ = tx.Rollback(ctx) }()
	_, err = tx.Exec(ctx, `select set_config('lms.tenant', '*', true)`)
	require.NoError(w.t, err)
	_, err = tx.Exec(ctx, `alter table `+table+` disable trigger user`)
	require.NoError(w.t, err)
	tag, err := tx.Exec(ctx, change, args...)
	require.NoError(w.t, err, change)
	require.NotZero(w.t, tag.RowsAffected(), change)
	require.NoError(w.t, tx.Commit(ctx))
}

// TestReconciliationFindsWhatARefusedWebhookTold: the provider took another sum than was
// due. Its webhook changes nothing, asking it changes nothing, the session ends in its
// time, and the money is found.
func TestReconciliationFindsWhatARefusedWebhookTold(t *testing.T) {
	t.Parallel()
	for code, c := range map[string]struct {
		amount   int64
		currency string
	}{
		"amount_mismatch":   {11901, "EUR"},
		"currency_mismatch": {11900, "USD"},
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			session, raw := w.paidPage()
			w.plant("mock_payments", `update mock_payments set amount = $1, currency = $2`, c.amount, c.currency)
			w.plant("mock_deliveries", `delete from mock_deliveries`)
			forged, header := w.forge(raw, func(d map[string]any) {
				d["payment"].(map[string]any)["amount"], d["payment"].(map[string]any)["currency"] = c.amount, c.currency
			})
			w.client.With(mockgateway.SignatureHeader, header).POST(hook, forged).Expect(422).Code(code)
			w.pass(2 * time.Minute)
			require.Equal(t, "pending", w.orderOf(w.student, session).State, "the provider was asked, and refused as well")
			w.pass(time.Hour)
			require.Equal(t, "canceled", w.orderOf(w.student, session).State)
			require.Empty(t, list[httpapi.Invoice](w, w.student, "/api/v1/invoices"))

			var payment string
			w.scan(&payment, `select id from mock_payments`)
			require.Equal(t, []billing.Difference{
				{Code: "payment_unknown_here", Ref: payment, Expected: fmt.Sprintf("%d %s", c.amount, c.currency), Actual: "nothing"},
			}, w.reconcile())
		})
	}
}

// TestReconciliationFindsEachDifference that is planted after a purchase, a refund in
// part and a coupon.
func TestReconciliationFindsEachDifference(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		plant func(*world)
		found []string
	}{
		"nothing": {func(*world) {}, nil},
		"a payment that only the provider knows": {func(w *world) {
			w.plant("mock_payments", `insert into mock_payments (id, key, reference, amount, currency, state, metadata, created_at)
				select 'mgp_other', 'other', reference, amount, currency, state, metadata, created_at from mock_payments`)
		}, []string{"payment_unknown_here"}},
		"a payment that the provider does not know": {func(w *world) { w.plant("payments", `update payments set provider_payment = 'mgp_gone'`) }, []string{"payment_unknown_here", "payment_unknown_there"}},
		"another amount at the provider":            {func(w *world) { w.plant("mock_payments", `update mock_payments set amount = amount + 1`) }, []string{"payment_amount", "payment_unknown_there"}},
		"another currency at the provider":          {func(w *world) { w.plant("mock_payments", `update mock_payments set currency = 'USD'`) }, []string{"payment_amount"}},
		"a refund that only the provider knows": {func(w *world) {
			w.plant("mock_refunds", `insert into mock_refunds (id, key, payment_id, amount, currency, metadata, created_at) select 'mgr_other', 'other', payment_id, 7, currency, metadata, created_at from mock_refunds`)
		}, []string{"refund_unknown_here"}},
		"an order that says it was paid less": {func(w *world) { w.plant("orders", `update orders set paid = paid - 1`) }, []string{"order_paid", "ledger_clearing", "ledger_receivable"}},
		"an invoice over another sum":         {func(w *world) { w.plant("invoices", `update invoices set total = total + 1`) }, []string{"invoice_total"}},
		"a credit note over another sum":      {func(w *world) { w.plant("credit_notes", `update credit_notes set total = total + 1`) }, []string{"credit_notes"}},
		"a booking of another sum": {func(w *world) {
			w.plant("ledger_entries", `update ledger_entries set amount = amount + 1 where account = 'clearing' and amount > 0`)
		}, []string{"ledger_clearing"}},
		"a coupon that counts wrong": {func(w *world) { w.plant("coupons", `update coupons set uses = uses + 1`) }, []string{"coupon_uses"}},
		"an invoice whose number is missing": {func(w *world) {
			w.plant("document_counters", `update document_counters set last = last + 1 where kind = 'invoice'`)
		}, []string{"invoice_numbers"}},
		"a right that enrollment never heard of": {func(w *world) {
			w.school.mu.Lock()
			defer w.school.mu.Unlock()
			clear(w.school.entitlements)
		}, []string{"entitlement_unknown_there"}},
		"a right that stands otherwise in enrollment": {func(w *world) {
			w.school.mu.Lock()
			defer w.school.mu.Unlock()
			for id, e := range w.school.entitlements {
				e.State = "revoked"
				w.school.entitlements[id] = e
			}
		}, []string{"entitlement_state"}},
		"somebody with a right who is not in the course": {func(w *world) {
			w.school.mu.Lock()
			defer w.school.mu.Unlock()
			for _, l := range w.school.courses {
				clear(l.in)
			}
		}, []string{"enrollment_missing"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.seller()
			plan := w.plan([]uuid.UUID{w.course(0)})
			w.as(w.admin).POST("/api/v1/coupons", body{"org_unit_id": w.unit, "code": "HALF", "percent": "50"}).Expect(201)
			_, o := w.buy(w.student, plan, body{"coupon": "HALF"})
			w.refund(w.chief, o, body{"amount": 100})
			c.plant(w)
			require.Equal(t, c.found, codes(w.reconcile()))
		})
	}
}

// TestAReconciliationIsFollowedAsAJob, whose rows are the differences.
func TestAReconciliationIsFollowedAsAJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seller()
	w.buy(w.student, w.plan([]uuid.UUID{w.course(0)}))
	w.plant("mock_payments", `update mock_payments set amount = amount + 1`)
	w.clock.Advance(3 * time.Minute)
	w.keyed(w.student).POST("/api/v1/reconciliations", nil).Expect(403)
	w.keyed(w.admin).POST("/api/v1/reconciliations", nil).Expect(202)
	w.work()
	all := list[httpapi.Reconciliation](w, w.admin, "/api/v1/reconciliations")
	require.Len(t, all, 1)
	require.Equal(t, []any{"finished", 2, true}, []any{all[0].State, all[0].Differences, all[0].Everywhere})
	require.EqualValues(t, 1, all[0].Checked["provider_payments"])
	var rows []string
	w.scan(&rows, `select array_agg(code order by n) from job_row`)
	require.Equal(t, []string{"payment_amount", "payment_unknown_there"}, rows)
}
