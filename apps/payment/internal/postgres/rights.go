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
	entitlementColumns = `
id, tenant_id, org_unit_id, user_id, course_id, plan_id, order_id, subscription_id, seat_id, hold_id, state, reason, keep_access, valid_from,
valid_until, told, refusal, enrollment_id, certified, created_at, updated_at, version `

	insertEntitlementSQL = `
insert into entitlements (id, tenant_id, org_unit_id, user_id, course_id, plan_id, order_id, subscription_id, seat_id, hold_id, state,
  valid_from, valid_until, told, created_at, updated_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`
	updateEntitlementSQL = `
update entitlements set state = $2, reason = $3, keep_access = $4, valid_until = $5, told = $6, refusal = $7, enrollment_id = $8,
  certified = $9, updated_at = $10, version = version + 1
where id = $1`
	entitlementSQL     = `select` + entitlementColumns + `from entitlements where id = $1`
	lockEntitlementSQL = `select` + entitlementColumns + `from entitlements where id = $1 for no key update`
	ofOrderSQL         = `
select` + entitlementColumns + `from entitlements where order_id = $1 and subscription_id is null order by id for no key update`
	ofSubscriptionSQL = `select` + entitlementColumns + `from entitlements where subscription_id = $1 order by id for no key update`
	ofSeatSQL         = `select` + entitlementColumns + `from entitlements where seat_id = $1 order by id for no key update`
	entitledSQL       = `
select distinct course_id from entitlements
where user_id = $1 and course_id = any ($2) and state = 'granted' and told <> 'refused' and (valid_until is null or valid_until >= $3)`
	entitlementsSQL = `
select` + entitlementColumns + `from entitlements
where ` + seen + ` and ($4::uuid is null or course_id = $4) and ($5::text is null or state = $5) and ($6::uuid is null or id < $6)
order by id desc limit $7`
	entitlementsAfterSQL = `select` + entitlementColumns + `from entitlements where id > $1 order by id limit $2`
)

// InsertEntitlement implements billing.RightsTx.
func (t tx) InsertEntitlement(ctx context.Context, e billing.Entitlement) error {
	return exec(ctx, t, insertEntitlementSQL, e.ID, e.TenantID, e.OrgUnitID, e.UserID, e.CourseID, e.PlanID, e.OrderID, e.SubscriptionID, e.SeatID, e.HoldID,
		e.State, e.ValidFrom, e.ValidUntil, e.Told, e.CreatedAt, e.UpdatedAt, e.Version)
}

// UpdateEntitlement implements billing.RightsTx.
func (t tx) UpdateEntitlement(ctx context.Context, e *billing.Entitlement) error {
	e.Version++
	return exec(ctx, t, updateEntitlementSQL, e.ID, e.State, e.Reason, e.KeepAccess, e.ValidUntil, e.Told, e.Refusal, e.EnrollmentID, e.Certified, e.UpdatedAt)
}

// Entitlement implements billing.RightsTx.
func (t tx) Entitlement(ctx context.Context, id uuid.UUID) (billing.Entitlement, error) {
	return pg.One[billing.Entitlement](ctx, t, "entitlement", entitlementSQL, id)
}

// LockEntitlement implements billing.RightsTx.
func (t tx) LockEntitlement(ctx context.Context, id uuid.UUID) (billing.Entitlement, error) {
	return pg.One[billing.Entitlement](ctx, t, "entitlement", lockEntitlementSQL, id)
}

// EntitlementsOfOrder implements billing.RightsTx.
func (t tx) EntitlementsOfOrder(ctx context.Context, order uuid.UUID) ([]billing.Entitlement, error) {
	return pg.Many[billing.Entitlement](ctx, t, ofOrderSQL, order)
}

// EntitlementsOfSubscription implements billing.RightsTx.
func (t tx) EntitlementsOfSubscription(ctx context.Context, subscription uuid.UUID) ([]billing.Entitlement, error) {
	all, err := pg.Many[billing.Entitlement](ctx, t, ofSubscriptionSQL, subscription)
	live := all[:0]
	for _, e := range all {
		if e.State.Is(billing.EntitlementGranted) {
			live = append(live, e)
		}
	}
	return live, err
}

// EntitlementsOfSeat implements billing.RightsTx.
func (t tx) EntitlementsOfSeat(ctx context.Context, seat uuid.UUID) ([]billing.Entitlement, error) {
	return pg.Many[billing.Entitlement](ctx, t, ofSeatSQL, seat)
}

// Entitled implements billing.RightsTx.
func (t tx) Entitled(ctx context.Context, user uuid.UUID, courses []uuid.UUID, now time.Time) ([]uuid.UUID, error) {
	return pg.Column[uuid.UUID](ctx, t, entitledSQL, user, courses, now)
}

// Entitlements implements billing.RightsTx.
func (t tx) Entitlements(ctx context.Context, f billing.EntitlementFilter, p page.Request) (page.Page[billing.Entitlement], error) {
	user, all, units := reached(f.Reach)
	return listed(ctx, t, p, func(e billing.Entitlement) uuid.UUID { return e.ID }, entitlementsSQL, user, all, units, f.CourseID, optional(f.State))
}

// EntitlementsAfter implements billing.BooksTx.
func (t tx) EntitlementsAfter(ctx context.Context, after uuid.UUID, limit int) ([]billing.Entitlement, error) {
	return pg.Many[billing.Entitlement](ctx, t, entitlementsAfterSQL, after, limit)
}

const (
	subscriptionColumns = `
id, tenant_id, org_unit_id, user_id, plan_id, price_id, state, currency, coupon_id, coupon_periods_left, billing, anchor_at, period_n,
period_start, period_end, trial_told_at, cancel_at_period_end, canceled_at, ended_at, end_reason, paused_at, credit, attempts,
next_action_at, created_at, updated_at, version `

	insertSubscriptionSQL = `
insert into subscriptions (id, tenant_id, org_unit_id, user_id, plan_id, price_id, state, currency, coupon_id, coupon_periods_left, billing,
  anchor_at, period_n, period_start, period_end, next_action_at, created_at, updated_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)`
	updateSubscriptionSQL = `
update subscriptions set plan_id = $2, price_id = $3, state = $4, coupon_periods_left = $5, anchor_at = $6, period_n = $7, period_start = $8,
  period_end = $9, trial_told_at = $10, cancel_at_period_end = $11, canceled_at = $12, ended_at = $13, end_reason = $14, paused_at = $15,
  credit = $16, attempts = $17, next_action_at = $18, updated_at = $19, version = version + 1
where id = $1`
	subscriptionSQL        = `select` + subscriptionColumns + `from subscriptions where id = $1`
	lockSubscriptionSQL    = `select` + subscriptionColumns + `from subscriptions where id = $1 for no key update`
	runningSubscriptionSQL = `select` + subscriptionColumns + `from subscriptions where user_id = $1 and plan_id = $2 and state <> 'ended'`
	subscriptionsOfSQL     = `select` + subscriptionColumns + `from subscriptions where user_id = $1 and state <> 'ended' order by id for no key update`
	dueSubscriptionsSQL    = `select id from subscriptions where next_action_at <= $1 and id <> all ($2) order by next_action_at limit $3`
	subscriptionsSQL       = `
select` + subscriptionColumns + `from subscriptions
where ` + seen + ` and ($4::text is null or state = $4) and ($5::uuid is null or id < $5)
order by id desc limit $6`
)

// InsertSubscription implements billing.RightsTx.
func (t tx) InsertSubscription(ctx context.Context, s billing.Subscription) error {
	err := exec(ctx, t, insertSubscriptionSQL, s.ID, s.TenantID, s.OrgUnitID, s.UserID, s.PlanID, s.PriceID, s.State, s.Currency, s.CouponID, s.CouponPeriodsLeft,
		s.Billing, s.AnchorAt, s.PeriodN, s.PeriodStart, s.PeriodEnd, s.NextActionAt, s.CreatedAt, s.UpdatedAt, s.Version)
	return taken(err, "subscriptions_one", "already_subscribed", "You have this subscription already.")
}

// UpdateSubscription implements billing.RightsTx.
func (t tx) UpdateSubscription(ctx context.Context, s *billing.Subscription) error {
	s.Version++
	err := exec(ctx, t, updateSubscriptionSQL, s.ID, s.PlanID, s.PriceID, s.State, s.CouponPeriodsLeft, s.AnchorAt, s.PeriodN, s.PeriodStart, s.PeriodEnd, s.TrialToldAt,
		s.CancelAtPeriodEnd, s.CanceledAt, s.EndedAt, s.EndReason, s.PausedAt, s.Credit, s.Attempts, s.NextActionAt, s.UpdatedAt)
	return taken(err, "subscriptions_one", "already_subscribed", "There is a subscription of this plan already.")
}

// Subscription implements billing.RightsTx.
func (t tx) Subscription(ctx context.Context, id uuid.UUID) (billing.Subscription, error) {
	return pg.One[billing.Subscription](ctx, t, "subscription", subscriptionSQL, id)
}

// LockSubscription implements billing.RightsTx.
func (t tx) LockSubscription(ctx context.Context, id uuid.UUID) (billing.Subscription, error) {
	return pg.One[billing.Subscription](ctx, t, "subscription", lockSubscriptionSQL, id)
}

// RunningSubscription implements billing.RightsTx.
func (t tx) RunningSubscription(ctx context.Context, user, plan uuid.UUID) (*billing.Subscription, error) {
	return none(pg.One[billing.Subscription](ctx, t, "subscription", runningSubscriptionSQL, user, plan))
}

// SubscriptionsOf implements billing.RightsTx.
func (t tx) SubscriptionsOf(ctx context.Context, user uuid.UUID) ([]billing.Subscription, error) {
	return pg.Many[billing.Subscription](ctx, t, subscriptionsOfSQL, user)
}

// DueSubscriptions implements billing.RightsTx.
func (t tx) DueSubscriptions(ctx context.Context, now time.Time, skip []uuid.UUID, limit int) ([]uuid.UUID, error) {
	return pg.Column[uuid.UUID](ctx, t, dueSubscriptionsSQL, now, skip, limit)
}

// Subscriptions implements billing.RightsTx.
func (t tx) Subscriptions(ctx context.Context, f billing.SubscriptionFilter, p page.Request) (page.Page[billing.Subscription], error) {
	user, all, units := reached(f.Reach)
	return listed(ctx, t, p, func(s billing.Subscription) uuid.UUID { return s.ID }, subscriptionsSQL, user, all, units, optional(f.State))
}

const (
	poolColumns   = ` id, tenant_id, org_unit_id, plan_id, order_id, seats, used, state, valid_until, created_at, updated_at, version `
	insertPoolSQL = `
insert into seat_pools (id, tenant_id, org_unit_id, plan_id, order_id, seats, state, valid_until, created_at, updated_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`
	updatePoolSQL  = `update seat_pools set state = $2, updated_at = $3, version = version + 1 where id = $1`
	lockPoolSQL    = `select` + poolColumns + `from seat_pools where id = $1 for no key update`
	poolOfOrderSQL = `select` + poolColumns + `from seat_pools where order_id = $1 for no key update`
	poolsSQL       = `select` + poolColumns + `from seat_pools where org_unit_id = $1 and ($2::uuid is null or id < $2) order by id desc limit $3`

	seatColumns   = ` id, pool_id, tenant_id, user_id, state, reason, assigned_by, created_at, updated_at `
	insertSeatSQL = `
insert into pool_seats (id, pool_id, tenant_id, user_id, state, assigned_by, created_at, updated_at) values ($1, $2, $3, $4, $5, $6, $7, $8)`
	updateSeatSQL = `update pool_seats set state = $2, reason = $3, updated_at = $4 where id = $1`
	seatSQL       = `select` + seatColumns + `from pool_seats where id = $1`
	seatOfSQL     = `select` + seatColumns + `from pool_seats where pool_id = $1 and user_id = $2 and state = 'assigned'`
	seatsSQL      = `select` + seatColumns + `from pool_seats where pool_id = $1 order by id`
)

// InsertPool implements billing.RightsTx.
func (t tx) InsertPool(ctx context.Context, p billing.Pool) error {
	return exec(ctx, t, insertPoolSQL, p.ID, p.TenantID, p.OrgUnitID, p.PlanID, p.OrderID, p.Seats, p.State, p.ValidUntil, p.CreatedAt, p.UpdatedAt, p.Version)
}

// UpdatePool implements billing.RightsTx.
func (t tx) UpdatePool(ctx context.Context, p *billing.Pool) error {
	p.Version++
	return exec(ctx, t, updatePoolSQL, p.ID, p.State, p.UpdatedAt)
}

// LockPool implements billing.RightsTx.
func (t tx) LockPool(ctx context.Context, id uuid.UUID) (billing.Pool, error) {
	return pg.One[billing.Pool](ctx, t, "seat pool", lockPoolSQL, id)
}

// PoolOfOrder implements billing.RightsTx.
func (t tx) PoolOfOrder(ctx context.Context, order uuid.UUID) (*billing.Pool, error) {
	return none(pg.One[billing.Pool](ctx, t, "seat pool", poolOfOrderSQL, order))
}

// Pools implements billing.RightsTx.
func (t tx) Pools(ctx context.Context, orgUnit uuid.UUID, p page.Request) (page.Page[billing.Pool], error) {
	return listed(ctx, t, p, func(p billing.Pool) uuid.UUID { return p.ID }, poolsSQL, orgUnit)
}

// InsertSeat implements billing.RightsTx.
func (t tx) InsertSeat(ctx context.Context, s billing.Seat) error {
	err := exec(ctx, t, insertSeatSQL, s.ID, s.PoolID, s.TenantID, s.UserID, s.State, s.AssignedBy, s.CreatedAt, s.UpdatedAt)
	if pg.Violates(err, "seat_pools_seats") {
		return apperr.Conflict("no_seats_left", "All seats of the pool are taken.").With(err)
	}
	return err
}

// UpdateSeat implements billing.RightsTx.
func (t tx) UpdateSeat(ctx context.Context, s billing.Seat) error {
	return exec(ctx, t, updateSeatSQL, s.ID, s.State, s.Reason, s.UpdatedAt)
}

// Seat implements billing.RightsTx.
func (t tx) Seat(ctx context.Context, id uuid.UUID) (billing.Seat, error) {
	return pg.One[billing.Seat](ctx, t, "seat", seatSQL, id)
}

// SeatOf implements billing.RightsTx.
func (t tx) SeatOf(ctx context.Context, pool, user uuid.UUID) (*billing.Seat, error) {
	return none(pg.One[billing.Seat](ctx, t, "seat", seatOfSQL, pool, user))
}

// Seats implements billing.RightsTx.
func (t tx) Seats(ctx context.Context, pool uuid.UUID) ([]billing.Seat, error) {
	return pg.Many[billing.Seat](ctx, t, seatsSQL, pool)
}
