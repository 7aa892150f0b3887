package app

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/payment/internal/httpapi"
	"lms/shared/authz"
	"lms/shared/pg"
)

func (w *world) refund(p authz.Principal, o httpapi.Order, change ...body) (r httpapi.Refund) {
	w.t.Helper()
	b := body{"reason": "changed_mind"}
	for _, c := range change {
		for k, v := range c {
			b[k] = v
		}
	}
	w.keyed(p).POST("/api/v1/orders/"+o.ID.String()+"/refunds", b).Expect(201).JSON(&r)
	w.settled()
	return r
}

func (w *world) noRefund(p authz.Principal, o httpapi.Order, b body, status int, code string) {
	w.t.Helper()
	b["reason"] = "x"
	w.keyed(p).POST("/api/v1/orders/"+o.ID.String()+"/refunds", b).Expect(status).Code(code)
}

// TestSelfServiceRefund is rule 33 for the buyer, at its boundaries.
func TestSelfServiceRefund(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seller()
	course := w.course(0)
	plan := w.plan([]uuid.UUID{course})
	_, o := w.buy(w.student, plan)
	w.as(w.student).POST("/api/v1/orders/"+o.ID.String()+"/refunds", body{"reason": "x"}).Expect(400).Code("idempotency_key_required")
	w.noRefund(w.student, o, body{"amount": 100}, 403, "forbidden")
	w.noRefund(w.student, o, body{"ends_access": false}, 403, "forbidden")
	w.noRefund(w.learner(), o, body{}, 404, "not_found")
	w.school.certified = true
	w.noRefund(w.student, o, body{}, 409, "refund_certified")
	w.school.certified = false

	// The window runs from the payment, or from the course's start if that is later.
	w.clock.Set(o.PaidAt.AddDate(0, 0, 14).Add(time.Microsecond))
	w.noRefund(w.student, o, body{}, 409, "refund_window_closed")
	starts := o.PaidAt.AddDate(0, 0, 5)
	w.school.startsAt = &starts
	r := w.refund(w.student, o)
	require.Equal(t, []any{"succeeded", int64(11900), int64(1900), true, "self_service"}, []any{r.State, r.Amount, r.Tax, r.EndsAccess, r.Kind})
	require.False(t, w.enrolled(w.student, course))
	w.as(w.student).GET("/api/v1/orders/" + o.ID.String()).Expect(200).JSON(&o)
	require.Equal(t, "refunded", o.State)
	require.Equal(t, []string{"order_created", "invoice_issued", "payment_succeeded", "credit_note_issued", "refunded"}, w.told(o.ID))
	notes := list[httpapi.CreditNote](w, w.student, "/api/v1/credit-notes")
	require.Equal(t, []string{"CN-000001", "INV-000001"}, []string{notes[0].Number, notes[0].InvoiceNumber})
	w.as(w.student).GET("/api/v1/credit-notes/" + notes[0].ID.String() + "?format=pdf").Expect(200)
	w.noRefund(w.student, o, body{}, 409, "refund_exceeds_paid")
	w.noRefund(w.chief, o, body{}, 409, "refund_exceeds_paid")
	w.balanced()
}

// TestStaffRefundParts: parts add up, also their tax; access ends with the last one.
func TestStaffRefundParts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seller()
	course := w.course(0)
	_, o := w.buy(w.student, w.plan([]uuid.UUID{course}))
	var tax int64
	for _, amount := range []int64{1, 3333, 33} {
		r := w.refund(w.chief, o, body{"amount": amount})
		require.Equal(t, []any{"staff", false}, []any{r.Kind, r.EndsAccess})
		tax += r.Tax
		require.True(t, w.enrolled(w.student, course))
	}
	w.noRefund(w.chief, o, body{"amount": 8534}, 409, "refund_exceeds_paid")
	r := w.refund(w.chief, o)
	require.EqualValues(t, 8533, r.Amount)
	require.EqualValues(t, 1900, tax+r.Tax, "the tax of the parts is the tax of the order")
	require.False(t, w.enrolled(w.student, course))
	require.Len(t, list[httpapi.CreditNote](w, w.student, "/api/v1/credit-notes"), 4)
	w.balanced()
}

// TestStaffChooseWhetherAccessEnds (rule 33).
func TestStaffChooseWhetherAccessEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		certified bool
		choice    body
		stays     bool
	}{
		"by default it ends":                    {false, body{}, false},
		"not once certified":                    {true, body{}, true},
		"staff end it although certified":       {true, body{"ends_access": true}, false},
		"staff let a person stay":               {false, body{"ends_access": false}, true},
		"staff end it although a part was kept": {false, body{"ends_access": true, "amount": 100}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.seller()
			course := w.course(0)
			_, o := w.buy(w.student, w.plan([]uuid.UUID{course}))
			w.school.mu.Lock()
			w.school.certified = c.certified
			w.school.mu.Unlock()
			w.refund(w.chief, o, c.choice)
			require.Equal(t, c.stays, w.enrolled(w.student, course))
			w.balanced()
		})
	}
}

// TestParallelRefunds: whoever asks at once, no more goes back than was paid.
func TestParallelRefunds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seller()
	_, o := w.buy(w.student, w.plan([]uuid.UUID{w.course(0)}))
	var wg sync.WaitGroup
	statuses := make(chan int, 40)
	for range 40 {
		client := w.keyed(w.chief)
		wg.Go(func() {
			statuses <- client.POST("/api/v1/orders/"+o.ID.String()+"/refunds", body{"reason": "x", "amount": 1000}).Status
		})
	}
	wg.Wait()
	close(statuses)
	got := map[int]int{}
	for s := range statuses {
		got[s]++
	}
	require.Equal(t, map[int]int{201: 11, 409: 29}, got, "11 × 10.00 of 119.00")
	w.settled()
	w.clock.Advance(time.Minute) // the jobs that look after them
	w.work()
	w.as(w.student).GET("/api/v1/orders/" + o.ID.String()).Expect(200).JSON(&o)
	require.EqualValues(t, 11000, o.Refunded)
	w.balanced()

	// The same refund asked for again is the same one.
	client := w.keyed(w.chief)
	path := "/api/v1/orders/" + o.ID.String() + "/refunds"
	var a, b httpapi.Refund
	client.POST(path, body{"reason": "x", "amount": 500}).Expect(201).JSON(&a)
	client.POST(path, body{"reason": "x", "amount": 500}).Expect(201).JSON(&b)
	require.Equal(t, a.ID, b.ID)
}

// TestTheDatabaseHoldsTheSums, whatever the code does.
func TestTheDatabaseHoldsTheSums(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seller()
	_, o := w.buy(w.student, w.plan([]uuid.UUID{w.course(0)}))
	refuse := func(constraint, sql string, args ...any) {
		t.Helper()
		tx, err := w.pool.Begin(t.Context())
		require.NoError(t, err)
		defer func() { _ = tx.Rollback(t.Context()) }()
		_, err = tx.Exec(t.Context(), `select set_config('lms.tenant', '*', true)`)
		require.NoError(t, err)
		if _, err = tx.Exec(t.Context(), sql, args...); err == nil {
			err = tx.Commit(t.Context())
		}
		require.True(t, pg.Violates(err, constraint), "%s: %v", sql, err)
	}
	refuse("orders_refunds_within_paid", `insert into refunds (id, tenant_id, org_unit_id, order_id, user_id, kind, amount, currency, reason, end_access, state, created_at, updated_at)
		values ($1, $2, $2, $3, $2, 'staff', 11901, 'EUR', 'x', false, 'pending', now(), now())`, uuid.New(), w.tenant, o.ID)
	refuse("order_moves", `update orders set state = 'pending' where id = $1`, o.ID)
	refuse("order_moves", `insert into orders select * from jsonb_populate_record(null::orders, (select to_jsonb(o) || jsonb_build_object('id', $2::text, 'session_id', null) from orders o where id = $1))`, o.ID, uuid.NewString())
	refuse("invoices_append_only", `update invoices set total = 1`)
	refuse("invoices_append_only", `delete from invoices`)
	refuse("ledger_entries_append_only", `update ledger_entries set amount = 1`)
	refuse("ledger_entries_append_only", `delete from ledger_entries`)
	refuse("ledger_balances", `insert into ledger_entries (id, transaction_id, tenant_id, account, currency, amount, at) select $1, id, tenant_id, 'revenue', 'EUR', -1, now() from ledger_transactions limit 1`, uuid.New())
	refuse("ledger_transactions_kind_reference_id_key", `insert into ledger_transactions select * from jsonb_populate_record(null::ledger_transactions, (select to_jsonb(t) || jsonb_build_object('id', $1::text) from ledger_transactions t limit 1))`, uuid.NewString())
	refuse("invoice_numbers", `insert into invoices select * from jsonb_populate_record(null::invoices, (select to_jsonb(i) || jsonb_build_object('id', $1::text, 'order_id', $1::text, 'n', 3, 'number', 'INV-000003') from invoices i limit 1))`, uuid.NewString())
}
