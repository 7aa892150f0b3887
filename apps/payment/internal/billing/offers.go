package billing

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"lms/apps/payment/internal/money"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/page"
	"lms/shared/work"
)

// CreateTaxRule makes a rule.
func (s *Service) CreateTaxRule(ctx context.Context, actor authz.Principal, r TaxRule) (TaxRule, error) {
	var f apperr.Fields
	f.Require(countryPattern.MatchString(r.Country), "country", "pattern", "An ISO 3166-1 code of two letters, such as DE.")
	f.Require(regionPattern.MatchString(r.Region), "region", "pattern", "The part of an ISO 3166-2 code after the hyphen, such as QC.")
	text(&f, "category", r.Category, 0, 60)
	var sum money.Rate
	for i, c := range r.Components {
		text(&f, fmt.Sprintf("components[%d].name", i), c.Name, 1, 60)
		sum += c.Rate
	}
	f.Require(len(r.Components) <= 5, "components", "too_many", "At most 5.")
	f.Require(int64(sum) <= money.Million, "components", "range", "At most 100 % together.")
	if err := f.Err(); err != nil {
		return r, err
	}
	err := s.Store.InTx(ctx, work.Tenant(actor.TenantID), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &r, func() error {
			r.ID, r.TenantID, r.CreatedAt = s.NewID(), actor.TenantID, s.Now()
			if r.ValidFrom.IsZero() {
				r.ValidFrom = r.CreatedAt
			}
			if err := tx.InsertTaxRule(ctx, r); err != nil {
				return err
			}
			return audit(ctx, tx, "tax_rule.create", "tax_rule", r.ID, r.TenantID, actor.OrgUnitID, nil)
		})
	})
	return r, err
}

// TaxRules lists rules.
func (s *Service) TaxRules(ctx context.Context, actor authz.Principal, p page.Request) (out page.Page[TaxRule], err error) {
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		out, err = tx.TaxRules(ctx, p)
		return err
	})
	return out, err
}

// Check collects everything that is wrong with a coupon.
func (c Coupon) Check() error {
	var f apperr.Fields
	f.Require(couponPattern.MatchString(c.Code), "code", "pattern", "3 to 40 capital letters, digits, _ and -.")
	f.Require((c.PercentPpm == nil) != (c.Amount == nil), "percent", "one_of", "Either percent or amount.")
	f.Require(c.PercentPpm == nil || *c.PercentPpm > 0, "percent", "range", "Above 0.")
	f.Require(c.Amount == nil || *c.Amount > 0 && *c.Amount <= money.Max, "amount", "range", "Above 0.")
	if c.Amount != nil {
		_, ok := money.ParseCurrency(c.Currency)
		f.Require(ok, "currency", "unknown_currency", "An ISO 4217 code in use, with amount.")
	} else {
		f.Require(c.Currency == "", "currency", "not_here", "Only with amount.")
	}
	f.Require(c.StartsAt == nil || c.ExpiresAt == nil || c.ExpiresAt.After(*c.StartsAt), "expires_at", "order", "Must be after starts_at.")
	f.Require(c.MaxUses == nil || *c.MaxUses > 0, "max_uses", "range", "Above 0.")
	f.Require(c.MaxUses == nil || *c.MaxUses >= c.Uses, "max_uses", "range", "It was used more often already.")
	f.Require(c.MaxUsesPerUser == nil || *c.MaxUsesPerUser > 0, "max_uses_per_user", "range", "Above 0.")
	f.Require(c.Periods == nil || *c.Periods > 0, "periods", "range", "Above 0.")
	f.Require(len(c.PlanIDs) <= 100, "plan_ids", "too_many", "At most 100.")
	f.Require(len(c.CourseIDs) <= 100, "course_ids", "too_many", "At most 100.")
	return f.Err()
}

// CreateCoupon makes a coupon.
func (s *Service) CreateCoupon(ctx context.Context, actor authz.Principal, c Coupon) (Coupon, error) {
	c.Code = NormalizeCoupon(c.Code)
	if err := c.Check(); err != nil {
		return c, err
	}
	tenant, err := s.manageIn(ctx, actor, c.OrgUnitID)
	if err != nil {
		return c, err
	}
	err = s.Store.InTx(ctx, work.Tenant(tenant), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &c, func() error {
			now := s.Now()
			c.ID, c.TenantID, c.State, c.CreatedAt, c.UpdatedAt, c.Version = s.NewID(), tenant, Begin(CouponActive), now, now, 1
			if err := tx.InsertCoupon(ctx, c); err != nil {
				return err
			}
			return audit(ctx, tx, "coupon.create", "coupon", c.ID, tenant, c.OrgUnitID, nil)
		})
	})
	return c, err
}

// ChangeCoupon changes a coupon that is still of a version. What was taken off stays.
func (s *Service) ChangeCoupon(ctx context.Context, actor authz.Principal, id uuid.UUID, version int64, state CouponState, change func(*Coupon)) (c Coupon, err error) {
	err = s.Store.InTx(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		if c, err = tx.Coupon(ctx, id); err != nil {
			return err
		}
		if err := s.may(ctx, actor, authz.PlanManage, c.OrgUnitID, false, "coupon"); err != nil {
			return err
		}
		if c.Version != version {
			return apperr.VersionMismatch()
		}
		change(&c)
		if state != "" && !c.State.Is(state) {
			if err := c.State.To(state); err != nil {
				return err
			}
		}
		if err := c.Check(); err != nil {
			return err
		}
		c.UpdatedAt = s.Now()
		if err := tx.UpdateCoupon(ctx, &c); err != nil {
			return err
		}
		return audit(ctx, tx, "coupon.update", "coupon", c.ID, c.TenantID, c.OrgUnitID, nil)
	})
	return c, err
}

// DeleteCoupon deletes a coupon that nobody ever used; others are archived.
func (s *Service) DeleteCoupon(ctx context.Context, actor authz.Principal, id uuid.UUID, version int64) error {
	return s.Store.InTx(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		c, err := tx.Coupon(ctx, id)
		if err != nil {
			return err
		}
		if err := s.may(ctx, actor, authz.PlanManage, c.OrgUnitID, false, "coupon"); err != nil {
			return err
		}
		if err := tx.DeleteCoupon(ctx, id, version); err != nil {
			return err
		}
		return audit(ctx, tx, "coupon.delete", "coupon", c.ID, c.TenantID, c.OrgUnitID, nil)
	})
}

// Coupon reads a coupon.
func (s *Service) Coupon(ctx context.Context, actor authz.Principal, id uuid.UUID) (c Coupon, err error) {
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		if c, err = tx.Coupon(ctx, id); err != nil {
			return err
		}
		return s.may(ctx, actor, authz.PlanManage, c.OrgUnitID, false, "coupon")
	})
	return c, err
}

// Coupons lists coupons.
func (s *Service) Coupons(ctx context.Context, actor authz.Principal, f CouponFilter, p page.Request) (out page.Page[Coupon], err error) {
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		out, err = tx.Coupons(ctx, f, p)
		return err
	})
	return out, err
}
