package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/payment/internal/billing"
	"lms/shared/apperr"
	"lms/shared/page"
	"lms/shared/pg"
)

const (
	orderColumns = `
id, tenant_id, org_unit_id, legal_entity_id, user_id, plan_id, session_id, subscription_id, for_org_unit_id, kind, description, quantity,
currency, unit_amount, subtotal, discount, credit, tax, tax_inclusive, tax_lines, total, paid, refunded, coupon_id, billing, period_start,
period_end, state, paid_at, created_at, updated_at, version `

	insertOrderSQL = `
insert into orders (id, tenant_id, org_unit_id, legal_entity_id, user_id, plan_id, session_id, subscription_id, for_org_unit_id, kind,
  description, quantity, currency, unit_amount, subtotal, discount, credit, tax, tax_inclusive, tax_lines, total, coupon_id, billing,
  period_start, period_end, state, created_at, updated_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29)`
	updateOrderSQL = `
update orders set state = $2, paid_at = $3, subscription_id = $4, period_start = $5, period_end = $6, updated_at = $7, version = version + 1
where id = $1`
	orderSQL          = `select` + orderColumns + `from orders where id = $1`
	lockOrderSQL      = `select` + orderColumns + `from orders where id = $1 for no key update`
	orderOfSessionSQL = `select` + orderColumns + `from orders where session_id = $1 for no key update`
	renewalOrderSQL   = `select` + orderColumns + `from orders where subscription_id = $1 and period_start = $2 and kind = 'renewal' for no key update`
	lastPaidOrderSQL  = `
select` + orderColumns + `from orders where subscription_id = $1 and paid_at is not null order by paid_at desc, id desc limit 1 for no key update`
	stuckChangesSQL = `select id from orders where kind = 'change' and state = 'pending' and updated_at < $1 and id <> all ($2) order by id limit $3`
	ordersSQL       = `
select` + orderColumns + `from orders
where ` + seen + ` and ($4::text is null or state = $4) and ($5::text is null or kind = $5) and ($6::uuid is null or plan_id = $6)
  and ($7::uuid is null or subscription_id = $7) and ($8::uuid is null or id < $8)
order by id desc limit $9`
)

// InsertOrder implements billing.OrderTx.
func (t tx) InsertOrder(ctx context.Context, o billing.Order) error {
	return exec(ctx, t, insertOrderSQL, o.ID, o.TenantID, o.OrgUnitID, o.LegalEntityID, o.UserID, o.PlanID, o.SessionID, o.SubscriptionID, o.ForOrgUnitID, o.Kind,
		o.Description, o.Quantity, o.Currency, o.UnitAmount, o.Subtotal, o.Discount, o.Credit, o.Tax, o.TaxInclusive, list(o.TaxLines), o.Total, o.CouponID,
		o.Billing, o.PeriodStart, o.PeriodEnd, o.State, o.CreatedAt, o.UpdatedAt, o.Version)
}

// UpdateOrder implements billing.OrderTx.
func (t tx) UpdateOrder(ctx context.Context, o *billing.Order) error {
	o.Version++
	return exec(ctx, t, updateOrderSQL, o.ID, o.State, o.PaidAt, o.SubscriptionID, o.PeriodStart, o.PeriodEnd, o.UpdatedAt)
}

// Order implements billing.OrderTx.
func (t tx) Order(ctx context.Context, id uuid.UUID) (billing.Order, error) {
	return pg.One[billing.Order](ctx, t, "order", orderSQL, id)
}

// LockOrder implements billing.OrderTx.
func (t tx) LockOrder(ctx context.Context, id uuid.UUID) (billing.Order, error) {
	return pg.One[billing.Order](ctx, t, "order", lockOrderSQL, id)
}

// OrderOfSession implements billing.OrderTx.
func (t tx) OrderOfSession(ctx context.Context, session uuid.UUID) (*billing.Order, error) {
	return none(pg.One[billing.Order](ctx, t, "order", orderOfSessionSQL, session))
}

// RenewalOrder implements billing.OrderTx.
func (t tx) RenewalOrder(ctx context.Context, subscription uuid.UUID, start time.Time) (*billing.Order, error) {
	return none(pg.One[billing.Order](ctx, t, "order", renewalOrderSQL, subscription, start))
}

// LastPaidOrder implements billing.OrderTx.
func (t tx) LastPaidOrder(ctx context.Context, subscription uuid.UUID) (*billing.Order, error) {
	return none(pg.One[billing.Order](ctx, t, "order", lastPaidOrderSQL, subscription))
}

// StuckChanges implements billing.OrderTx.
func (t tx) StuckChanges(ctx context.Context, before time.Time, skip []uuid.UUID, limit int) ([]uuid.UUID, error) {
	return pg.Column[uuid.UUID](ctx, t, stuckChangesSQL, before, skip, limit)
}

// Orders implements billing.OrderTx.
func (t tx) Orders(ctx context.Context, f billing.OrderFilter, p page.Request) (page.Page[billing.Order], error) {
	user, all, units := reached(f.Reach)
	return listed(ctx, t, p, func(o billing.Order) uuid.UUID { return o.ID }, ordersSQL, user, all, units, optional(f.State), optional(f.Kind), f.PlanID, f.SubscriptionID)
}

const (
	instalmentColumns   = ` order_id, n, tenant_id, amount, due_at, state, attempts, next_try_at, paid_at `
	insertInstalmentSQL = `
insert into instalments (order_id, n, tenant_id, amount, due_at, state) values ($1, $2, $3, $4, $5, $6)`
	updateInstalmentSQL = `update instalments set state = $3, attempts = $4, next_try_at = $5, paid_at = $6 where order_id = $1 and n = $2`
	instalmentsSQL      = `select` + instalmentColumns + `from instalments where order_id = $1 order by n`
	dueInstalmentsSQL   = `
select order_id from instalments where next_try_at <= $1 and order_id <> all ($2) group by order_id order by min(next_try_at) limit $3`
)

// InsertInstalments implements billing.OrderTx.
func (t tx) InsertInstalments(ctx context.Context, all []billing.Instalment) error {
	for _, i := range all {
		if err := exec(ctx, t, insertInstalmentSQL, i.OrderID, i.N, i.TenantID, i.Amount, i.DueAt, i.State); err != nil {
			return err
		}
	}
	return nil
}

// UpdateInstalment implements billing.OrderTx.
func (t tx) UpdateInstalment(ctx context.Context, i billing.Instalment) error {
	return exec(ctx, t, updateInstalmentSQL, i.OrderID, i.N, i.State, i.Attempts, i.NextTryAt, i.PaidAt)
}

// Instalments implements billing.OrderTx.
func (t tx) Instalments(ctx context.Context, order uuid.UUID) ([]billing.Instalment, error) {
	return pg.Many[billing.Instalment](ctx, t, instalmentsSQL, order)
}

// DueInstalments implements billing.OrderTx.
func (t tx) DueInstalments(ctx context.Context, now time.Time, skip []uuid.UUID, limit int) ([]uuid.UUID, error) {
	return pg.Column[uuid.UUID](ctx, t, dueInstalmentsSQL, now, skip, limit)
}

const (
	paymentColumns = ` id, tenant_id, order_id, provider, provider_payment, instalment, amount, currency, state, failure, refunded, created_at `

	insertPaymentSQL = `
insert into payments (id, tenant_id, order_id, provider, provider_payment, instalment, amount, currency, state, failure, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
on conflict on constraint payments_once do nothing`
	markReturnedSQL       = `update payments set refunded = amount where id = $1 and state = 'surplus' and refunded = 0`
	paymentSQL            = `select` + paymentColumns + `from payments where id = $1`
	paymentsSQL           = `select` + paymentColumns + `from payments where order_id = $1 order by id`
	paymentsByProviderSQL = `select` + paymentColumns + `from payments where provider = $1 and provider_payment = any ($2)`
	paymentsSinceSQL      = `
select` + paymentColumns + `from payments
where provider = $1 and state in ('succeeded', 'surplus') and amount > 0 and id > $2 order by id limit $3`

	refundColumns = `
id, tenant_id, org_unit_id, order_id, user_id, kind, amount, tax, currency, reason, note, end_access, requested_by, state, failure,
completed_at, created_at, updated_at, version `
	insertRefundSQL = `
insert into refunds (id, tenant_id, org_unit_id, order_id, user_id, kind, amount, tax, currency, reason, note, end_access, requested_by,
  state, created_at, updated_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`
	updateRefundSQL   = `update refunds set state = $2, failure = $3, completed_at = $4, updated_at = $5, version = version + 1 where id = $1`
	refundSQL         = `select` + refundColumns + `from refunds where id = $1`
	lockRefundSQL     = `select` + refundColumns + `from refunds where id = $1 for no key update`
	refundsSQL        = `select` + refundColumns + `from refunds where order_id = $1 and ($2::uuid is null or id < $2) order by id desc limit $3`
	refundsOfSQL      = `select` + refundColumns + `from refunds where order_id = $1 order by id`
	pendingRefundsSQL = `select id from refunds where state = 'pending' and created_at < $1 and id <> all ($2) order by created_at limit $3`

	partColumns        = ` id, refund_id, payment_id, tenant_id, amount, provider_refund `
	insertPartSQL      = `insert into refund_parts (id, refund_id, payment_id, tenant_id, amount) values ($1, $2, $3, $4, $5)`
	setPartSQL         = `update refund_parts set provider_refund = $2 where id = $1`
	partsSQL           = `select` + partColumns + `from refund_parts where refund_id = $1 order by id`
	partsByProviderSQL = `select` + partColumns + `from refund_parts where provider_refund = any ($1)`
)

// InsertPayment implements billing.OrderTx.
func (t tx) InsertPayment(ctx context.Context, p billing.Payment) (bool, error) {
	n, err := pg.Exec(ctx, t, insertPaymentSQL, p.ID, p.TenantID, p.OrderID, p.Provider, p.ProviderPayment, p.Instalment, p.Amount, p.Currency, p.State, p.Failure, p.CreatedAt)
	return n > 0, err
}

// MarkReturned implements billing.OrderTx.
func (t tx) MarkReturned(ctx context.Context, id uuid.UUID) (bool, error) {
	n, err := pg.Exec(ctx, t, markReturnedSQL, id)
	return n > 0, err
}

// Payment implements billing.OrderTx.
func (t tx) Payment(ctx context.Context, id uuid.UUID) (billing.Payment, error) {
	return pg.One[billing.Payment](ctx, t, "payment", paymentSQL, id)
}

// Payments implements billing.OrderTx.
func (t tx) Payments(ctx context.Context, order uuid.UUID) ([]billing.Payment, error) {
	return pg.Many[billing.Payment](ctx, t, paymentsSQL, order)
}

// PaymentsByProvider implements billing.BooksTx.
func (t tx) PaymentsByProvider(ctx context.Context, provider string, ids []string) ([]billing.Payment, error) {
	return pg.Many[billing.Payment](ctx, t, paymentsByProviderSQL, provider, list(ids))
}

// PaymentsSince implements billing.BooksTx.
func (t tx) PaymentsSince(ctx context.Context, provider string, after uuid.UUID, limit int) ([]billing.Payment, error) {
	return pg.Many[billing.Payment](ctx, t, paymentsSinceSQL, provider, after, limit)
}

// InsertRefund implements billing.OrderTx.
func (t tx) InsertRefund(ctx context.Context, r billing.Refund) error {
	err := exec(ctx, t, insertRefundSQL, r.ID, r.TenantID, r.OrgUnitID, r.OrderID, r.UserID, r.Kind, r.Amount, r.Tax, r.Currency, r.Reason, r.Note, r.EndAccess,
		r.RequestedBy, r.State, r.CreatedAt, r.UpdatedAt, r.Version)
	if pg.Violates(err, "orders_refunds_within_paid") {
		return apperr.Conflict("refund_exceeds_paid", "That is more than is left of what was paid.").With(err)
	}
	return err
}

// UpdateRefund implements billing.OrderTx.
func (t tx) UpdateRefund(ctx context.Context, r *billing.Refund) error {
	r.Version++
	return exec(ctx, t, updateRefundSQL, r.ID, r.State, r.Failure, r.CompletedAt, r.UpdatedAt)
}

// Refund implements billing.OrderTx.
func (t tx) Refund(ctx context.Context, id uuid.UUID) (billing.Refund, error) {
	return pg.One[billing.Refund](ctx, t, "refund", refundSQL, id)
}

// LockRefund implements billing.OrderTx.
func (t tx) LockRefund(ctx context.Context, id uuid.UUID) (billing.Refund, error) {
	return pg.One[billing.Refund](ctx, t, "refund", lockRefundSQL, id)
}

// Refunds implements billing.OrderTx.
func (t tx) Refunds(ctx context.Context, order uuid.UUID, p page.Request) (page.Page[billing.Refund], error) {
	return listed(ctx, t, p, func(r billing.Refund) uuid.UUID { return r.ID }, refundsSQL, order)
}

// RefundsOf implements billing.OrderTx.
func (t tx) RefundsOf(ctx context.Context, order uuid.UUID) ([]billing.Refund, error) {
	return pg.Many[billing.Refund](ctx, t, refundsOfSQL, order)
}

// PendingRefunds implements billing.OrderTx.
func (t tx) PendingRefunds(ctx context.Context, before time.Time, skip []uuid.UUID, limit int) ([]uuid.UUID, error) {
	return pg.Column[uuid.UUID](ctx, t, pendingRefundsSQL, before, skip, limit)
}

// InsertRefundPart implements billing.OrderTx.
func (t tx) InsertRefundPart(ctx context.Context, p billing.RefundPart) error {
	return exec(ctx, t, insertPartSQL, p.ID, p.RefundID, p.PaymentID, p.TenantID, p.Amount)
}

// SetProviderRefund implements billing.OrderTx.
func (t tx) SetProviderRefund(ctx context.Context, part uuid.UUID, id string) error {
	return exec(ctx, t, setPartSQL, part, id)
}

// RefundParts implements billing.OrderTx.
func (t tx) RefundParts(ctx context.Context, refund uuid.UUID) ([]billing.RefundPart, error) {
	return pg.Many[billing.RefundPart](ctx, t, partsSQL, refund)
}

// RefundPartsByProvider implements billing.BooksTx.
func (t tx) RefundPartsByProvider(ctx context.Context, ids []string) ([]billing.RefundPart, error) {
	return pg.Many[billing.RefundPart](ctx, t, partsByProviderSQL, list(ids))
}
