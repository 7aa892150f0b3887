package httpapi

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/payment/internal/billing"
	"lms/apps/payment/internal/money"
	"lms/shared/patch"
	"lms/shared/web"
)

// Coupon takes something off.
type Coupon struct {
	ID             uuid.UUID   `json:"id"`
	OrgUnitID      uuid.UUID   `json:"org_unit_id"`
	Code           string      `json:"code"`
	State          string      `json:"state" enum:"active,archived"`
	Percent        *string     `json:"percent"`
	Amount         *int64      `json:"amount" doc:"Minor units"`
	Currency       string      `json:"currency"`
	PlanIDs        []uuid.UUID `json:"plan_ids" doc:"Empty is all"`
	CourseIDs      []uuid.UUID `json:"course_ids" doc:"Empty is all"`
	StartsAt       *time.Time  `json:"starts_at"`
	ExpiresAt      *time.Time  `json:"expires_at"`
	MaxUses        *int        `json:"max_uses"`
	MaxUsesPerUser *int        `json:"max_uses_per_user"`
	Periods        *int        `json:"periods" doc:"Of a subscription; null is all"`
	Uses           int         `json:"uses" doc:"Reserved at a checkout, or redeemed"`
	CreatedAt      time.Time   `json:"created_at"`
	UpdatedAt      time.Time   `json:"updated_at"`
}

func showCoupon(c billing.Coupon) Coupon {
	out := Coupon{
		ID: c.ID, OrgUnitID: c.OrgUnitID, Code: c.Code, State: string(c.State.At()), Amount: c.Amount, Currency: c.Currency, PlanIDs: append([]uuid.UUID{}, c.PlanIDs...),
		CourseIDs: append([]uuid.UUID{}, c.CourseIDs...), StartsAt: c.StartsAt, ExpiresAt: c.ExpiresAt, MaxUses: c.MaxUses, MaxUsesPerUser: c.MaxUsesPerUser,
		Periods: c.Periods, Uses: c.Uses, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt,
	}
	if c.PercentPpm != nil {
		percent := money.Rate(*c.PercentPpm).Percent()
		out.Percent = &percent
	}
	return out
}

type createCouponInput struct {
	Body struct {
		OrgUnitID      uuid.UUID   `json:"org_unit_id"`
		Code           string      `json:"code" minLength:"3" maxLength:"40"`
		Percent        *string     `json:"percent,omitempty" maxLength:"8"`
		Amount         *int64      `json:"amount,omitempty" minimum:"1"`
		Currency       string      `json:"currency,omitempty" maxLength:"3"`
		PlanIDs        []uuid.UUID `json:"plan_ids,omitempty" maxItems:"100"`
		CourseIDs      []uuid.UUID `json:"course_ids,omitempty" maxItems:"100"`
		StartsAt       *time.Time  `json:"starts_at,omitempty"`
		ExpiresAt      *time.Time  `json:"expires_at,omitempty"`
		MaxUses        *int        `json:"max_uses,omitempty" minimum:"1"`
		MaxUsesPerUser *int        `json:"max_uses_per_user,omitempty" minimum:"1"`
		Periods        *int        `json:"periods,omitempty" minimum:"1"`
	}
}

// utc is a time as PostgreSQL keeps it.
func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	v := t.UTC().Truncate(time.Microsecond)
	return &v
}

func (a *API) createCoupon(ctx context.Context, in *createCouponInput) (*web.Resource[Coupon], error) {
	b := in.Body
	c := billing.Coupon{
		OrgUnitID: b.OrgUnitID, Code: b.Code, Amount: b.Amount, Currency: b.Currency, PlanIDs: b.PlanIDs, CourseIDs: b.CourseIDs, StartsAt: utc(b.StartsAt),
		ExpiresAt: utc(b.ExpiresAt), MaxUses: b.MaxUses, MaxUsesPerUser: b.MaxUsesPerUser, Periods: b.Periods,
	}
	if b.Percent != nil {
		rate, ok := money.ParsePercent(*b.Percent)
		if !ok {
			return nil, badPercent("percent")
		}
		ppm := int64(rate)
		c.PercentPpm = &ppm
	}
	made, err := a.Service.CreateCoupon(ctx, web.Actor(ctx), c)
	if err != nil {
		return nil, err
	}
	return web.Created(showCoupon(made), made.Version, "/api/v1/coupons/"+made.ID.String()), nil
}

type updateCouponInput struct {
	web.ByID
	web.IfMatch
	Body struct {
		State          patch.Field[string]      `json:"state" enum:"active,archived"`
		PlanIDs        patch.Field[[]uuid.UUID] `json:"plan_ids"`
		CourseIDs      patch.Field[[]uuid.UUID] `json:"course_ids"`
		StartsAt       patch.Field[time.Time]   `json:"starts_at"`
		ExpiresAt      patch.Field[time.Time]   `json:"expires_at"`
		MaxUses        patch.Field[int]         `json:"max_uses"`
		MaxUsesPerUser patch.Field[int]         `json:"max_uses_per_user"`
	}
}

func (a *API) updateCoupon(ctx context.Context, in *updateCouponInput) (*web.Resource[Coupon], error) {
	b := in.Body
	c, err := a.Service.ChangeCoupon(ctx, web.Actor(ctx), in.ID, in.Version(), billing.CouponState(b.State.Value), func(c *billing.Coupon) {
		b.PlanIDs.Apply(&c.PlanIDs)
		b.CourseIDs.Apply(&c.CourseIDs)
		b.StartsAt.ApplyPtr(&c.StartsAt)
		b.ExpiresAt.ApplyPtr(&c.ExpiresAt)
		c.StartsAt, c.ExpiresAt = utc(c.StartsAt), utc(c.ExpiresAt)
		b.MaxUses.ApplyPtr(&c.MaxUses)
		b.MaxUsesPerUser.ApplyPtr(&c.MaxUsesPerUser)
	})
	if err != nil {
		return nil, err
	}
	return web.Res(showCoupon(c), c.Version), nil
}

type listCouponsInput struct {
	web.ByTime
	Code  string `query:"code" maxLength:"40"`
	State string `query:"state" enum:"active,archived"`
}

func (a *API) listCoupons(ctx context.Context, in *listCouponsInput) (*web.List[Coupon], error) {
	p, err := a.Service.Coupons(ctx, web.Actor(ctx), billing.CouponFilter{Code: billing.NormalizeCoupon(in.Code), State: in.State}, in.Request())
	if err != nil {
		return nil, err
	}
	return web.ListOf(p, showCoupon), nil
}

func (a *API) getCoupon(ctx context.Context, in *web.ByID) (*web.Resource[Coupon], error) {
	c, err := a.Service.Coupon(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return web.Res(showCoupon(c), c.Version), nil
}

func (a *API) deleteCoupon(ctx context.Context, in *deleteInput) (*web.Empty, error) {
	return nil, a.Service.DeleteCoupon(ctx, web.Actor(ctx), in.ID, in.Version())
}
