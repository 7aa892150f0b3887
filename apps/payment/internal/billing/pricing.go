package billing

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
)

// QuoteRequest asks what a plan costs.
type QuoteRequest struct {
	PlanID       uuid.UUID
	Currency     string
	Quantity     int
	Coupon       string
	Billing      Billing
	ForOrgUnitID *uuid.UUID
}

// PriceQuote says what something costs now; nothing is reserved.
func (s *Service) PriceQuote(ctx context.Context, actor authz.Principal, in QuoteRequest) (q Quote, err error) {
	var f apperr.Fields
	checkBilling(&f, in.Billing)
	f.Require(in.Quantity >= 1 && in.Quantity <= MaxSeats, "quantity", "range", "From 1 to 10,000.")
	if err := f.Err(); err != nil {
		return q, err
	}
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		plan, err := tx.Plan(ctx, in.PlanID)
		if err != nil {
			return err
		}
		if !plan.State.Is(PlanActive) {
			return apperr.NotFound("plan")
		}
		var coupon *Coupon
		q, coupon, err = s.quote(ctx, tx, plan, in.Currency, in.Quantity, in.Coupon, in.Billing, s.Now())
		if err == nil && coupon != nil && coupon.MaxUses != nil && coupon.Uses >= *coupon.MaxUses {
			err = errCouponUsedUp
		}
		return err
	})
	return q, err
}

// quote computes a price with the coupon and the tax that hold now.
func (s *Service) quote(ctx context.Context, tx Tx, plan Plan, currency string, quantity int, code string, b Billing, now time.Time) (Quote, *Coupon, error) {
	price, ok := plan.Price(currency)
	if !ok {
		return Quote{}, nil, apperr.Invalid(apperr.Field{Path: "currency", Code: "no_price", Message: "There is no price in this currency."})
	}
	a := Ask{Plan: plan, Price: price, Quantity: quantity, At: now}
	if code != "" {
		c, err := tx.CouponByCode(ctx, plan.TenantID, NormalizeCoupon(code))
		if apperr.IsKind(err, apperr.KindNotFound) {
			return Quote{}, nil, couponField("unknown", "There is no such coupon.")
		}
		if err != nil {
			return Quote{}, nil, err
		}
		if err := c.Fits(plan, price.Currency, now); err != nil {
			return Quote{}, nil, err
		}
		a.Coupon = &c
	}
	rule, err := s.taxFor(ctx, tx, plan, b, now)
	if err != nil {
		return Quote{}, nil, err
	}
	a.Tax = rule
	q := NewQuote(a)
	if q.Subtotal > maxOrder {
		return q, nil, apperr.Invalid(apperr.Field{Path: "quantity", Code: "range", Message: "The order is too large."})
	}
	return q, a.Coupon, nil
}

// maxOrder leaves room for tax below money.Max.
const maxOrder = 499_999_999_999

// taxFor is the rule for a buyer; without a country the seller's counts.
func (s *Service) taxFor(ctx context.Context, tx Tx, plan Plan, b Billing, now time.Time) (*TaxRule, error) {
	country := b.Country
	if country == "" {
		seller, err := tx.LegalEntity(ctx, plan.LegalEntityID)
		if err != nil {
			return nil, err
		}
		country = seller.Country
	}
	rules, err := tx.TaxRulesOf(ctx, plan.TenantID, country, now)
	if err != nil {
		return nil, err
	}
	return PickTax(rules, country, b.Region, plan.TaxCategory, now), nil
}

// newOrder is an order over a quote.
func newOrder(id uuid.UUID, plan Plan, q Quote, b Billing, now time.Time) Order {
	return Order{
		ID: id, TenantID: plan.TenantID, OrgUnitID: plan.OrgUnitID, LegalEntityID: plan.LegalEntityID, PlanID: plan.ID,
		Description: plan.Name, Quantity: q.Quantity, Currency: q.Currency, UnitAmount: q.UnitAmount, Subtotal: q.Subtotal,
		Discount: q.Discount, Credit: q.Credit, Tax: q.Tax, TaxInclusive: q.TaxInclusive, TaxLines: q.TaxLines, Total: q.Total,
		CouponID: q.CouponID, Billing: b, State: Begin(OrderPending), CreatedAt: now, UpdatedAt: now, Version: 1,
	}
}

// orderEvent is an order as events tell it; amount and tax are what the event is
// about.
func orderEvent(o Order, plan Plan, amount, tax int64, at time.Time) events.OrderState {
	c := commerce(plan, o.TenantID, o.UserID, o.Quantity, o.Currency, at)
	c.Amount, c.Tax, c.Discount, c.PeriodStart, c.PeriodEnd = amount, tax, o.Discount, o.PeriodStart, o.PeriodEnd
	return events.OrderState{
		Commerce: c, OrderID: o.ID, OrderKind: o.Kind, State: string(o.State.At()), SubscriptionID: o.SubscriptionID,
		ForOrgUnitID: o.ForOrgUnitID, Total: o.Total, Paid: o.Paid, Refunded: o.Refunded,
	}
}
