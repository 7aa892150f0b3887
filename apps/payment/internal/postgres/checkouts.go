package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/payment/internal/billing"
	"lms/shared/page"
	"lms/shared/pg"
)

const (
	checkoutColumns = `
id, tenant_id, org_unit_id, user_id, plan_id, for_org_unit_id, mode, quote, currency, total, due_now, coupon_id, billing, state, refusal,
missing, provider, provider_session, url, success_url, cancel_url, expires_at, completed_at, created_at, updated_at, version `

	insertCheckoutSQL = `
insert into checkout_sessions (id, tenant_id, org_unit_id, user_id, plan_id, for_org_unit_id, mode, quote, currency, total, due_now,
  coupon_id, billing, state, refusal, missing, provider, provider_session, url, success_url, cancel_url, expires_at, completed_at,
  created_at, updated_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26)`
	updateCheckoutSQL = `
update checkout_sessions set state = $2, refusal = $3, missing = $4, provider_session = $5, url = $6, completed_at = $7, updated_at = $8,
  version = version + 1
where id = $1`
	checkoutSQL           = `select` + checkoutColumns + `from checkout_sessions where id = $1`
	lockCheckoutSQL       = `select` + checkoutColumns + `from checkout_sessions where id = $1 for no key update`
	checkoutOfProviderSQL = `select` + checkoutColumns + `from checkout_sessions where provider = $1 and provider_session = $2 and provider_session <> ''`
	runningCheckoutsSQL   = `
select` + checkoutColumns + `from checkout_sessions
where user_id = $1 and plan_id = $2 and state in ('preparing', 'open') and for_org_unit_id is null order by id for no key update`
	dueCheckoutsSQL = `
select id from checkout_sessions
where state in ('preparing', 'open') and (expires_at <= $1 or updated_at <= $2) and id <> all ($3) order by expires_at limit $4`

	holdColumns   = ` id, session_id, course_id, tenant_id, user_id, state, expires_at, updated_at `
	insertHoldSQL = `
insert into checkout_holds (id, session_id, course_id, tenant_id, user_id, state, expires_at, updated_at) values ($1, $2, $3, $4, $5, $6, $7, $8)`
	updateHoldSQL = `update checkout_holds set state = $2, expires_at = $3, updated_at = $4 where id = $1`
	holdSQL       = `select` + holdColumns + `from checkout_holds where id = $1`
	holdsSQL      = `select` + holdColumns + `from checkout_holds where session_id = $1 order by id`
)

// InsertCheckout implements billing.CheckoutTx.
func (t tx) InsertCheckout(ctx context.Context, c billing.Checkout) error {
	return exec(ctx, t, insertCheckoutSQL, c.ID, c.TenantID, c.OrgUnitID, c.UserID, c.PlanID, c.ForOrgUnitID, c.Mode, c.Quote, c.Currency, c.Total, c.DueNow,
		c.CouponID, c.Billing, c.State, c.Refusal, list(c.Missing), c.Provider, c.ProviderSession, c.URL, c.SuccessURL, c.CancelURL, c.ExpiresAt,
		c.CompletedAt, c.CreatedAt, c.UpdatedAt, c.Version)
}

// UpdateCheckout implements billing.CheckoutTx.
func (t tx) UpdateCheckout(ctx context.Context, c *billing.Checkout) error {
	c.Version++
	return exec(ctx, t, updateCheckoutSQL, c.ID, c.State, c.Refusal, list(c.Missing), c.ProviderSession, c.URL, c.CompletedAt, c.UpdatedAt)
}

// Checkout implements billing.CheckoutTx.
func (t tx) Checkout(ctx context.Context, id uuid.UUID) (billing.Checkout, error) {
	return pg.One[billing.Checkout](ctx, t, "checkout session", checkoutSQL, id)
}

// LockCheckout implements billing.CheckoutTx.
func (t tx) LockCheckout(ctx context.Context, id uuid.UUID) (billing.Checkout, error) {
	return pg.One[billing.Checkout](ctx, t, "checkout session", lockCheckoutSQL, id)
}

// CheckoutOfProvider implements billing.CheckoutTx.
func (t tx) CheckoutOfProvider(ctx context.Context, provider, session string) (billing.Checkout, error) {
	return pg.One[billing.Checkout](ctx, t, "checkout session", checkoutOfProviderSQL, provider, session)
}

// RunningCheckouts implements billing.CheckoutTx.
func (t tx) RunningCheckouts(ctx context.Context, user, plan uuid.UUID) ([]billing.Checkout, error) {
	return pg.Many[billing.Checkout](ctx, t, runningCheckoutsSQL, user, plan)
}

// DueCheckouts implements billing.CheckoutTx.
func (t tx) DueCheckouts(ctx context.Context, now, untouched time.Time, skip []uuid.UUID, limit int) ([]uuid.UUID, error) {
	return pg.Column[uuid.UUID](ctx, t, dueCheckoutsSQL, now, untouched, skip, limit)
}

// InsertHold implements billing.CheckoutTx.
func (t tx) InsertHold(ctx context.Context, h billing.Hold) error {
	return exec(ctx, t, insertHoldSQL, h.ID, h.SessionID, h.CourseID, h.TenantID, h.UserID, h.State, h.ExpiresAt, h.UpdatedAt)
}

// UpdateHold implements billing.CheckoutTx.
func (t tx) UpdateHold(ctx context.Context, h billing.Hold) error {
	return exec(ctx, t, updateHoldSQL, h.ID, h.State, h.ExpiresAt, h.UpdatedAt)
}

// Hold implements billing.CheckoutTx.
func (t tx) Hold(ctx context.Context, id uuid.UUID) (billing.Hold, error) {
	return pg.One[billing.Hold](ctx, t, "hold", holdSQL, id)
}

// Holds implements billing.CheckoutTx.
func (t tx) Holds(ctx context.Context, session uuid.UUID) ([]billing.Hold, error) {
	return pg.Many[billing.Hold](ctx, t, holdsSQL, session)
}

const (
	methodColumns   = ` id, tenant_id, user_id, provider, provider_method, brand, last4, preferred, removed_at, created_at `
	insertMethodSQL = `
insert into payment_methods (id, tenant_id, user_id, provider, provider_method, brand, last4, created_at) values ($1, $2, $3, $4, $5, $6, $7, $8)`
	lockMethodsSQL      = `select id from payment_methods where user_id = $1 order by id for no key update`
	dislikeMethodsSQL   = `update payment_methods set preferred = false where user_id = $1 and preferred and id <> $2`
	preferMethodSQL     = `update payment_methods set preferred = true where id = $2 and user_id = $1 and removed_at is null`
	methodSQL           = `select` + methodColumns + `from payment_methods where id = $1 for no key update`
	methodOfProviderSQL = `select` + methodColumns + `from payment_methods where provider = $1 and provider_method = $2`
	methodToChargeSQL   = `
select` + methodColumns + `from payment_methods where user_id = $1 and removed_at is null order by preferred desc, id desc limit 1`
	methodsSQL = `
select` + methodColumns + `from payment_methods
where user_id = $1 and removed_at is null and ($2::uuid is null or id < $2) order by id desc limit $3`
	removeMethodSQL = `update payment_methods set removed_at = $2, preferred = false where id = $1`

	noteWebhookSQL = `
insert into webhook_events (provider, event_id, tenant_id, type, outcome, received_at) values ($1, $2, $3, $4, $5, $6)
on conflict (provider, event_id) do nothing`
	purgeWebhooksSQL = `
delete from webhook_events where ctid in (select ctid from webhook_events where received_at < $1 limit $2)`
)

// InsertMethod implements billing.CheckoutTx.
func (t tx) InsertMethod(ctx context.Context, m billing.PaymentMethod) error {
	return exec(ctx, t, insertMethodSQL, m.ID, m.TenantID, m.UserID, m.Provider, m.ProviderMethod, m.Brand, m.Last4, m.CreatedAt)
}

// PreferMethod implements billing.CheckoutTx.
func (t tx) PreferMethod(ctx context.Context, user, id uuid.UUID) error {
	for _, step := range []struct {
		sql  string
		args []any
	}{{lockMethodsSQL, []any{user}}, {dislikeMethodsSQL, []any{user, id}}, {preferMethodSQL, []any{user, id}}} {
		if err := exec(ctx, t, step.sql, step.args...); err != nil {
			return err
		}
	}
	return nil
}

// Method implements billing.CheckoutTx.
func (t tx) Method(ctx context.Context, id uuid.UUID) (billing.PaymentMethod, error) {
	return pg.One[billing.PaymentMethod](ctx, t, "payment method", methodSQL, id)
}

// MethodOfProvider implements billing.CheckoutTx.
func (t tx) MethodOfProvider(ctx context.Context, provider, method string) (*billing.PaymentMethod, error) {
	return none(pg.One[billing.PaymentMethod](ctx, t, "payment method", methodOfProviderSQL, provider, method))
}

// MethodToCharge implements billing.CheckoutTx.
func (t tx) MethodToCharge(ctx context.Context, user uuid.UUID) (*billing.PaymentMethod, error) {
	return none(pg.One[billing.PaymentMethod](ctx, t, "payment method", methodToChargeSQL, user))
}

// Methods implements billing.CheckoutTx.
func (t tx) Methods(ctx context.Context, user uuid.UUID, p page.Request) (page.Page[billing.PaymentMethod], error) {
	return listed(ctx, t, p, func(m billing.PaymentMethod) uuid.UUID { return m.ID }, methodsSQL, user)
}

// RemoveMethod implements billing.CheckoutTx.
func (t tx) RemoveMethod(ctx context.Context, id uuid.UUID, now time.Time) error {
	return exec(ctx, t, removeMethodSQL, id, now)
}

// NoteWebhook implements billing.CheckoutTx.
func (t tx) NoteWebhook(ctx context.Context, provider, event, eventType, outcome string, tenant *uuid.UUID, now time.Time) (bool, error) {
	n, err := pg.Exec(ctx, t, noteWebhookSQL, provider, event, tenant, eventType, outcome, now)
	return n > 0, err
}

// PurgeWebhooks implements billing.CheckoutTx.
func (t tx) PurgeWebhooks(ctx context.Context, before time.Time, limit int) error {
	return exec(ctx, t, purgeWebhooksSQL, before, limit)
}
