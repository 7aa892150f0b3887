package billing

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"lms/apps/payment/internal/provider"
	"lms/shared/authz"
	"lms/shared/page"
	"lms/shared/work"
)

// Reconciliation is one comparison of provider, orders, documents, ledger and
// enrollments. Its differences are the rows of its job.
type Reconciliation struct {
	ID          uuid.UUID // of the job too
	TenantID    uuid.UUID
	Everywhere  bool // all tenants
	State       string
	Checked     map[string]int64
	Differences int
	StartedAt   time.Time
	FinishedAt  *time.Time
	RequestedBy *uuid.UUID
}

// ReconcileJob asks for a comparison. Tenant is nil for all.
type ReconcileJob struct {
	ID       uuid.UUID  `json:"id"`
	TenantID *uuid.UUID `json:"tenant_id"`
}

// Difference is one thing that does not fit.
type Difference struct {
	Code     string
	Ref      string
	Expected string
	Actual   string
}

func (d Difference) String() string {
	return fmt.Sprintf("%s: expected %s, is %s", d.Ref, d.Expected, d.Actual)
}

// StartReconciliation asks for a comparison in the background: of the caller's tenant,
// or of all for who may read every ledger.
func (s *Service) StartReconciliation(ctx context.Context, actor authz.Principal) (job work.Job, err error) {
	policy, err := s.policy(ctx, actor, uuid.Nil)
	if err != nil {
		return job, err
	}
	everywhere := policy.AllowsPlatform(actor, authz.LedgerRead)
	err = s.Store.InTx(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &job, func() error {
			in := ReconcileJob{ID: s.NewID()}
			if !everywhere {
				in.TenantID = &actor.TenantID
			}
			r := Reconciliation{
				ID: in.ID, TenantID: actor.TenantID, Everywhere: everywhere, State: "running", Checked: map[string]int64{},
				StartedAt: s.Now(), RequestedBy: &actor.UserID,
			}
			if err := tx.InsertReconciliation(ctx, r); err != nil {
				return err
			}
			job, err = tx.Enqueue(ctx, JobReconcile, in, work.JobOptions{TenantID: actor.TenantID})
			return err
		})
	})
	return job, err
}

// Reconciliations lists them, the newest first.
func (s *Service) Reconciliations(ctx context.Context, actor authz.Principal, p page.Request) (out page.Page[Reconciliation], err error) {
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		out, err = tx.Reconciliations(ctx, p)
		return err
	})
	return out, err
}

// comparison is a reconciliation at work.
type comparison struct {
	s       *Service
	scope   work.Scope
	checked map[string]int64
	found   func(context.Context, Difference) error
	n       int
}

func (c *comparison) differ(ctx context.Context, code, ref string, expected, actual any) error {
	c.n++
	return c.found(ctx, Difference{Code: code, Ref: ref, Expected: fmt.Sprint(expected), Actual: fmt.Sprint(actual)})
}

// inFlight is how young a thing may be to be still on its way from one book to the
// other: it is left to the next comparison.
const inFlight = 2 * time.Minute

// Reconcile compares everything and reports every difference.
func (s *Service) Reconcile(ctx context.Context, in ReconcileJob, found func(context.Context, Difference) error) (map[string]int64, int, error) {
	c := &comparison{s: s, scope: work.AllTenants(), checked: map[string]int64{}, found: found}
	if in.TenantID != nil {
		c.scope = work.Tenant(*in.TenantID)
	}
	for _, step := range []func(context.Context) error{c.providerPayments, c.providerRefunds, c.ourPayments, c.orders, c.counters, c.rights} {
		if err := step(ctx); err != nil {
			return nil, 0, err
		}
	}
	err := s.system(ctx, func(ctx context.Context, tx Tx) error {
		now := s.Now()
		return tx.UpdateReconciliation(ctx, Reconciliation{ID: in.ID, State: "finished", Checked: c.checked, Differences: c.n, FinishedAt: &now})
	})
	return c.checked, c.n, err
}

func (c *comparison) read(ctx context.Context, fn func(context.Context, Tx) error) error {
	return c.s.Store.Read(ctx, c.scope, fn)
}

// mine says whether something of the provider belongs to what is compared.
func (c *comparison) mine(m provider.Metadata) bool {
	tenant, ok := c.scope.TenantID()
	return !ok || m.TenantID == tenant.String()
}

// providerPayments: each payment of the provider is here, with its amount.
func (c *comparison) providerPayments(ctx context.Context) error {
	cursor := ""
	for {
		list, next, err := c.s.Provider.Payments(ctx, time.Time{}, cursor)
		if err != nil {
			return err
		}
		ids := make([]string, len(list))
		for i, p := range list {
			ids[i] = p.ID
		}
		var rows []Payment
		if err := c.read(ctx, func(ctx context.Context, tx Tx) (err error) {
			rows, err = tx.PaymentsByProvider(ctx, c.s.Provider.Name(), ids)
			return err
		}); err != nil {
			return err
		}
		known := map[string]Payment{}
		for _, r := range rows {
			known[r.ProviderPayment] = r
		}
		for _, p := range list {
			if err := c.providerPayment(ctx, p, known); err != nil {
				return err
			}
		}
		if cursor = next; cursor == "" {
			return nil
		}
	}
}

func (c *comparison) providerPayment(ctx context.Context, p provider.Payment, known map[string]Payment) error {
	if !c.mine(p.Metadata) || p.State != provider.PaymentSucceeded || c.s.Now().Sub(p.CreatedAt) < inFlight {
		return nil
	}
	c.checked["provider_payments"]++
	r, ok := known[p.ID]
	switch {
	case !ok:
		return c.differ(ctx, "payment_unknown_here", p.ID, fmt.Sprintf("%d %s", p.Amount, p.Currency), "nothing")
	case r.Amount != p.Amount || r.Currency != p.Currency:
		return c.differ(ctx, "payment_amount", p.ID, fmt.Sprintf("%d %s", p.Amount, p.Currency), fmt.Sprintf("%d %s", r.Amount, r.Currency))
	case r.State == PaymentFailed:
		return c.differ(ctx, "payment_state", p.ID, p.State, r.State)
	}
	return nil
}

// providerRefunds: each refund of the provider is here.
func (c *comparison) providerRefunds(ctx context.Context) error {
	cursor := ""
	for {
		list, next, err := c.s.Provider.Refunds(ctx, time.Time{}, cursor)
		if err != nil {
			return err
		}
		ids := make([]string, len(list))
		for i, r := range list {
			ids[i] = r.ID
		}
		var parts []RefundPart
		if err := c.read(ctx, func(ctx context.Context, tx Tx) (err error) {
			parts, err = tx.RefundPartsByProvider(ctx, ids)
			return err
		}); err != nil {
			return err
		}
		known := map[string]int64{}
		for _, p := range parts {
			known[p.ProviderRefund] = p.Amount
		}
		for _, r := range list {
			if !c.mine(r.Metadata) || c.s.Now().Sub(r.CreatedAt) < inFlight {
				continue
			}
			c.checked["provider_refunds"]++
			amount, ok := known[r.ID]
			if !ok {
				ok, amount, err = c.returned(ctx, r)
				if err != nil {
					return err
				}
			}
			if !ok || amount != r.Amount {
				if err := c.differ(ctx, "refund_unknown_here", r.ID, r.Amount, amount); err != nil {
					return err
				}
			}
		}
		if cursor = next; cursor == "" {
			return nil
		}
	}
}

// returned: a surplus payment that went back is no refund of an order.
func (c *comparison) returned(ctx context.Context, r provider.Refund) (bool, int64, error) {
	id, err := uuid.Parse(r.Key)
	if err != nil {
		return false, 0, nil //nolint:nilerr // not one of our keys
	}
	var p Payment
	err = c.read(ctx, func(ctx context.Context, tx Tx) (err error) {
		p, err = tx.Payment(ctx, id)
		return err
	})
	if err != nil {
		return false, 0, nil //nolint:nilerr // no such payment
	}
	return p.State == PaymentSurplus, p.Refunded, nil
}

const reconcileBatch = 500

// ourPayments: each payment that we think was taken, the provider has too.
func (c *comparison) ourPayments(ctx context.Context) error {
	theirs := map[string]int64{}
	cursor := ""
	for {
		list, next, err := c.s.Provider.Payments(ctx, time.Time{}, cursor)
		if err != nil {
			return err
		}
		for _, p := range list {
			if p.State == provider.PaymentSucceeded {
				theirs[p.ID] = p.Amount
			}
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	var after uuid.UUID
	for {
		var rows []Payment
		if err := c.read(ctx, func(ctx context.Context, tx Tx) (err error) {
			rows, err = tx.PaymentsSince(ctx, c.s.Provider.Name(), after, reconcileBatch)
			return err
		}); err != nil {
			return err
		}
		for _, r := range rows {
			after = r.ID
			c.checked["payments"]++
			if amount, ok := theirs[r.ProviderPayment]; !ok || amount != r.Amount {
				if err := c.differ(ctx, "payment_unknown_there", r.ProviderPayment, r.Amount, amount); err != nil {
					return err
				}
			}
		}
		if len(rows) < reconcileBatch {
			return nil
		}
	}
}

// orders: what an order says of itself is what its payments, refunds, documents and
// the ledger say.
func (c *comparison) orders(ctx context.Context) error {
	var after uuid.UUID
	for {
		var rows []OrderSum
		if err := c.read(ctx, func(ctx context.Context, tx Tx) (err error) {
			rows, err = tx.OrderSums(ctx, after, reconcileBatch)
			return err
		}); err != nil {
			return err
		}
		for _, o := range rows {
			after = o.ID
			c.checked["orders"]++
			if err := c.order(ctx, o); err != nil {
				return err
			}
		}
		if len(rows) < reconcileBatch {
			return nil
		}
	}
}

func (c *comparison) order(ctx context.Context, o OrderSum) error {
	was := o.State != string(OrderPending) && o.State != string(OrderCanceled)
	invoiced, owed := int64(0), int64(0)
	if was {
		invoiced = o.Total
		owed = o.Total - o.Paid - o.WrittenOff
	}
	for _, x := range []struct {
		code             string
		expected, actual int64
	}{
		{"order_paid", o.PaymentsTotal, o.Paid},
		{"ledger_clearing", o.Paid - o.RefundsSucceeded, o.Clearing},
		{"ledger_receivable", owed, o.Receivable},
		{"invoice_total", invoiced, o.Invoiced},
		{"credit_notes", o.RefundsSucceeded, o.CreditNotes},
	} {
		if x.expected != x.actual {
			if err := c.differ(ctx, x.code, o.ID.String(), x.expected, x.actual); err != nil {
				return err
			}
		}
	}
	return nil
}

// counters: coupons and pools count what is there, numbers of documents have no gap.
func (c *comparison) counters(ctx context.Context) error {
	var off []CounterSum
	if err := c.read(ctx, func(ctx context.Context, tx Tx) error {
		sums, err := tx.CounterSums(ctx)
		if err != nil {
			return err
		}
		gaps, err := tx.NumberGaps(ctx)
		off = slices.Concat(sums, gaps)
		return err
	}); err != nil {
		return err
	}
	for _, x := range off {
		if err := c.differ(ctx, x.Kind, x.ID.String(), strconv.FormatInt(x.Expected, 10), strconv.FormatInt(x.Actual, 10)); err != nil {
			return err
		}
	}
	return nil
}

// rights: enrollment has each entitlement as we have it, and whoever was enrolled by
// one is there.
func (c *comparison) rights(ctx context.Context) error {
	var after uuid.UUID
	for {
		var rows []Entitlement
		if err := c.read(ctx, func(ctx context.Context, tx Tx) (err error) {
			rows, err = tx.EntitlementsAfter(ctx, after, reconcileBatch)
			return err
		}); err != nil {
			return err
		}
		ids := make([]uuid.UUID, len(rows))
		for i, e := range rows {
			ids[i] = e.ID
		}
		if len(ids) > 0 {
			there, err := c.s.Facts.Standings(ctx, ids)
			if err != nil {
				return err
			}
			for _, e := range rows {
				after = e.ID
				if err := c.right(ctx, e, there); err != nil {
					return err
				}
			}
		}
		if len(rows) < reconcileBatch {
			return nil
		}
	}
}

func (c *comparison) right(ctx context.Context, e Entitlement, there map[uuid.UUID]Standing) error {
	if c.s.Now().Sub(e.UpdatedAt) < inFlight {
		return nil
	}
	c.checked["entitlements"]++
	x, ok := there[e.ID]
	switch {
	case e.Told == ToldPending:
		return c.differ(ctx, "entitlement_not_answered", e.ID.String(), "an answer of enrollment", "none")
	case !ok && e.Told == ToldRefused:
		return nil
	case !ok:
		return c.differ(ctx, "entitlement_unknown_there", e.ID.String(), string(e.State.At()), "nothing")
	case x.State != string(e.State.At()):
		return c.differ(ctx, "entitlement_state", e.ID.String(), string(e.State.At()), x.State)
	case e.State.Is(EntitlementGranted) && e.Told == ToldEnrolled && x.EnrollmentState == "":
		return c.differ(ctx, "enrollment_missing", e.ID.String(), "an enrollment", "none")
	}
	return nil
}
