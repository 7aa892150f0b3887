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
	couponColumns = `
id, tenant_id, org_unit_id, code, state, percent_ppm, amount, currency, plan_ids, course_ids, starts_at, expires_at, max_uses,
max_uses_per_user, periods, uses, created_at, updated_at, version `

	insertCouponSQL = `
insert into coupons (id, tenant_id, org_unit_id, code, state, percent_ppm, amount, currency, plan_ids, course_ids, starts_at, expires_at,
  max_uses, max_uses_per_user, periods, created_at, updated_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`
	updateCouponSQL = `
update coupons set state = $3, plan_ids = $4, course_ids = $5, starts_at = $6, expires_at = $7, max_uses = $8, max_uses_per_user = $9,
  updated_at = $10, version = version + 1
where id = $1 and version = $2`
	deleteCouponSQL = `delete from coupons where id = $1 and version = $2`
	couponSQL       = `select` + couponColumns + `from coupons where id = $1`
	lockCouponSQL   = `select` + couponColumns + `from coupons where id = $1 for no key update`
	couponByCodeSQL = `select` + couponColumns + `from coupons where tenant_id = $1 and code = $2`
	couponsSQL      = `
select` + couponColumns + `from coupons
where ($1::text is null or code = $1) and ($2::text is null or state = $2) and ($3::uuid is null or id < $3)
order by id desc limit $4`

	useColumns   = ` id, coupon_id, tenant_id, user_id, slot, state, created_at, updated_at `
	insertUseSQL = `
insert into coupon_uses (id, coupon_id, tenant_id, user_id, slot, state, created_at, updated_at) values ($1, $2, $3, $4, $5, $6, $7, $7)`
	takenSlotsSQL = `select slot from coupon_uses where coupon_id = $1 and user_id = $2 and state <> 'released'`
	useSQL        = `select` + useColumns + `from coupon_uses where id = $1 for no key update`
	updateUseSQL  = `update coupon_uses set state = $2, updated_at = $3 where id = $1`
)

var (
	errUsedUp = apperr.Conflict("coupon_used_up", "The coupon is used up.")
	errUsed   = apperr.Conflict("coupon_used", "You have used this coupon as often as you may.")
)

// InsertCoupon implements billing.CatalogTx.
func (t tx) InsertCoupon(ctx context.Context, c billing.Coupon) error {
	err := exec(ctx, t, insertCouponSQL, c.ID, c.TenantID, c.OrgUnitID, c.Code, c.State, c.PercentPpm, c.Amount, c.Currency, list(c.PlanIDs), list(c.CourseIDs),
		c.StartsAt, c.ExpiresAt, c.MaxUses, c.MaxUsesPerUser, c.Periods, c.CreatedAt, c.UpdatedAt, c.Version)
	return taken(err, "coupons_code", "code_taken", "There is a coupon with this code.")
}

// UpdateCoupon implements billing.CatalogTx.
func (t tx) UpdateCoupon(ctx context.Context, c *billing.Coupon) error {
	err := pg.ExecVersioned(ctx, t, updateCouponSQL, c.ID, c.Version, c.State, list(c.PlanIDs), list(c.CourseIDs), c.StartsAt, c.ExpiresAt, c.MaxUses, c.MaxUsesPerUser, c.UpdatedAt)
	c.Version++
	return usedUp(err)
}

// DeleteCoupon implements billing.CatalogTx.
func (t tx) DeleteCoupon(ctx context.Context, id uuid.UUID, version int64) error {
	return inUse(pg.ExecVersioned(ctx, t, deleteCouponSQL, id, version))
}

// Coupon implements billing.CatalogTx.
func (t tx) Coupon(ctx context.Context, id uuid.UUID) (billing.Coupon, error) {
	return pg.One[billing.Coupon](ctx, t, "coupon", couponSQL, id)
}

// CouponByCode implements billing.CatalogTx.
func (t tx) CouponByCode(ctx context.Context, tenant uuid.UUID, code string) (billing.Coupon, error) {
	return pg.One[billing.Coupon](ctx, t, "coupon", couponByCodeSQL, tenant, code)
}

// Coupons implements billing.CatalogTx.
func (t tx) Coupons(ctx context.Context, f billing.CouponFilter, p page.Request) (page.Page[billing.Coupon], error) {
	return listed(ctx, t, p, func(c billing.Coupon) uuid.UUID { return c.ID }, couponsSQL, optional(f.Code), optional(f.State))
}

// ReserveCoupon implements billing.CatalogTx. The coupon's row is locked, so that
// racers come one after another; the check of its counter is the second line.
func (t tx) ReserveCoupon(ctx context.Context, c billing.Coupon, session, user uuid.UUID, now time.Time) error {
	locked, err := pg.One[billing.Coupon](ctx, t, "coupon", lockCouponSQL, c.ID)
	if err != nil {
		return err
	}
	if locked.MaxUses != nil && locked.Uses >= *locked.MaxUses {
		return errUsedUp
	}
	slots, err := pg.Column[int](ctx, t, takenSlotsSQL, c.ID, user)
	if err != nil {
		return err
	}
	if locked.MaxUsesPerUser != nil && len(slots) >= *locked.MaxUsesPerUser {
		return errUsed
	}
	return usedUp(exec(ctx, t, insertUseSQL, session, c.ID, c.TenantID, user, freeSlot(slots), billing.Begin(billing.UseReserved), now))
}

func freeSlot(taken []int) int {
	in := map[int]bool{}
	for _, n := range taken {
		in[n] = true
	}
	n := 1
	for in[n] {
		n++
	}
	return n
}

func usedUp(err error) error {
	if pg.Violates(err, "coupons_limit") {
		return errUsedUp.With(err)
	}
	return err
}

// CouponUse implements billing.CatalogTx.
func (t tx) CouponUse(ctx context.Context, session uuid.UUID) (*billing.CouponUse, error) {
	u, err := none(pg.One[billing.CouponUse](ctx, t, "use", useSQL, session))
	if err != nil || u == nil {
		return nil, err
	}
	// Whoever changes a use holds its coupon.
	_, err = pg.One[billing.Coupon](ctx, t, "coupon", lockCouponSQL, u.CouponID)
	return u, err
}

// UpdateCouponUse implements billing.CatalogTx.
func (t tx) UpdateCouponUse(ctx context.Context, u billing.CouponUse) error {
	return usedUp(exec(ctx, t, updateUseSQL, u.ID, u.State, u.UpdatedAt))
}
