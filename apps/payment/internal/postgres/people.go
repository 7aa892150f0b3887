package postgres

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"

	"lms/shared/pg"
)

// A pseudonym takes the person's place wherever the law asks to keep the document;
// what only names the person goes.
const (
	eraseCheckoutsSQL = `
update checkout_sessions set user_id = $2, billing = '{"name": "", "country": ""}', success_url = '', cancel_url = '' where user_id = $1`
	eraseHoldsSQL  = `update checkout_holds set user_id = $2 where user_id = $1`
	eraseOrdersSQL = `
update orders set user_id = $2, billing = jsonb_build_object('name', '', 'country', billing ->> 'country') where user_id = $1`
	eraseSubscriptionsSQL = `
update subscriptions set user_id = $2, billing = jsonb_build_object('name', '', 'country', billing ->> 'country') where user_id = $1`
	eraseRefundsSQL      = `update refunds set user_id = $2, note = '' where user_id = $1`
	eraseRequestersSQL   = `update refunds set requested_by = $2 where requested_by = $1`
	eraseEntitlementsSQL = `update entitlements set user_id = $2 where user_id = $1`
	eraseSeatsSQL        = `update pool_seats set user_id = $2 where user_id = $1`
	eraseAssignersSQL    = `update pool_seats set assigned_by = null where assigned_by = $1`
	eraseUsesSQL         = `update coupon_uses set user_id = $2 where user_id = $1`
	eraseMethodsSQL      = `delete from payment_methods where user_id = $1`
	eraseInvoicesSQL     = `
update invoices set user_id = $2, buyer = jsonb_build_object('name', $2::uuid::text, 'country', buyer ->> 'country') where user_id = $1`
	eraseCreditNotesSQL = `
update credit_notes set user_id = $2, buyer = jsonb_build_object('name', $2::uuid::text, 'country', buyer ->> 'country') where user_id = $1`
	eraseReconcilersSQL = `update reconciliations set requested_by = null where requested_by = $1`
)

// ErasePerson implements billing.PeopleTx.
func (t tx) ErasePerson(ctx context.Context, user, pseudonym uuid.UUID) error {
	for _, sql := range []string{
		eraseCheckoutsSQL, eraseHoldsSQL, eraseOrdersSQL, eraseSubscriptionsSQL, eraseRefundsSQL, eraseRequestersSQL, eraseEntitlementsSQL,
		eraseSeatsSQL, eraseUsesSQL, eraseInvoicesSQL, eraseCreditNotesSQL,
	} {
		if err := exec(ctx, t, sql, user, pseudonym); err != nil {
			return err
		}
	}
	for _, sql := range []string{eraseMethodsSQL, eraseAssignersSQL, eraseReconcilersSQL} {
		if err := exec(ctx, t, sql, user); err != nil {
			return err
		}
	}
	return nil
}

// What two people have of the same, such as a running subscription of one plan or a
// seat of one pool, stays with each. Documents name whom they were made out to.
const (
	mergeCheckoutsSQL     = `update checkout_sessions set user_id = $2 where user_id = $1`
	mergeHoldsSQL         = `update checkout_holds set user_id = $2 where user_id = $1`
	mergeOrdersSQL        = `update orders set user_id = $2 where user_id = $1`
	mergeSubscriptionsSQL = `
update subscriptions s set user_id = $2
where user_id = $1 and not (state <> 'ended'
  and exists (select 1 from subscriptions o where o.user_id = $2 and o.plan_id = s.plan_id and o.state <> 'ended'))`
	mergeRefundsSQL      = `update refunds set user_id = $2 where user_id = $1`
	mergeEntitlementsSQL = `update entitlements set user_id = $2 where user_id = $1`
	mergeSeatsSQL        = `
update pool_seats s set user_id = $2
where user_id = $1 and not (state = 'assigned'
  and exists (select 1 from pool_seats o where o.user_id = $2 and o.pool_id = s.pool_id and o.state = 'assigned'))`
	mergeMethodsSQL     = `update payment_methods set user_id = $2, preferred = false where user_id = $1`
	mergeInvoicesSQL    = `update invoices set user_id = $2 where user_id = $1`
	mergeCreditNotesSQL = `update credit_notes set user_id = $2 where user_id = $1`
)

// MergePerson implements billing.PeopleTx.
func (t tx) MergePerson(ctx context.Context, from, to uuid.UUID) error {
	for _, sql := range []string{
		mergeCheckoutsSQL, mergeHoldsSQL, mergeOrdersSQL, mergeSubscriptionsSQL, mergeRefundsSQL, mergeEntitlementsSQL, mergeSeatsSQL, mergeMethodsSQL,
		mergeInvoicesSQL, mergeCreditNotesSQL,
	} {
		if err := exec(ctx, t, sql, from, to); err != nil {
			return err
		}
	}
	return nil
}

const (
	exportOrdersSQL = `
select coalesce(json_agg(x order by x.created_at), '[]')::text from (
  select id, kind, description, quantity, currency, total, tax, paid, refunded, state, billing, paid_at, created_at from orders where user_id = $1) x`
	exportInvoicesSQL = `
select coalesce(json_agg(x order by x.issued_at), '[]')::text from (
  select number, order_id, seller, buyer, lines, currency, subtotal, discount, tax, total, issued_at from invoices where user_id = $1) x`
	exportCreditNotesSQL = `
select coalesce(json_agg(x order by x.issued_at), '[]')::text from (
  select number, invoice_number, order_id, buyer, reason, currency, tax, total, issued_at from credit_notes where user_id = $1) x`
	exportRefundsSQL = `
select coalesce(json_agg(x order by x.created_at), '[]')::text from (
  select id, order_id, kind, amount, currency, reason, note, state, created_at, completed_at from refunds where user_id = $1) x`
	exportSubscriptionsSQL = `
select coalesce(json_agg(x order by x.created_at), '[]')::text from (
  select s.id, p.name as plan, s.state, s.currency, s.billing, s.period_start, s.period_end, s.cancel_at_period_end, s.ended_at, s.created_at
  from subscriptions s join plans p on p.id = s.plan_id where s.user_id = $1) x`
	exportEntitlementsSQL = `
select coalesce(json_agg(x order by x.created_at), '[]')::text from (
  select id, course_id, state, reason, valid_from, valid_until, created_at from entitlements where user_id = $1) x`
	exportMethodsSQL = `
select coalesce(json_agg(x order by x.created_at), '[]')::text from (
  select brand, last4, created_at, removed_at from payment_methods where user_id = $1) x`
	exportCheckoutsSQL = `
select coalesce(json_agg(x order by x.created_at), '[]')::text from (
  select id, plan_id, currency, total, state, billing, created_at, completed_at from checkout_sessions where user_id = $1) x`
)

// PersonalData implements billing.PeopleTx.
func (t tx) PersonalData(ctx context.Context, user uuid.UUID) (map[string]json.RawMessage, error) {
	out := map[string]json.RawMessage{}
	for section, sql := range map[string]string{
		"orders": exportOrdersSQL, "invoices": exportInvoicesSQL, "credit_notes": exportCreditNotesSQL, "refunds": exportRefundsSQL,
		"subscriptions": exportSubscriptionsSQL, "entitlements": exportEntitlementsSQL, "payment_methods": exportMethodsSQL, "checkouts": exportCheckoutsSQL,
	} {
		text, err := pg.Scalar[string](ctx, t, "person", sql, user)
		if err != nil {
			return nil, err
		}
		out[section] = json.RawMessage(text)
	}
	return out, nil
}
