package billing

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/apps/payment/internal/money"
	"lms/apps/payment/internal/provider"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// errNotPaid says that a change was not paid for, so that nothing changed.
var errNotPaid = apperr.New(apperr.KindPaymentRequired, "payment_failed", "The payment did not succeed; nothing was changed.")

// proration is what changing a subscription costs now: what is left of the present
// period at the new price, less what is left of it at the old one. Where the new plan
// has another period, a new one begins now.
type proration struct {
	charge  int64 // at the new price, before tax
	unused  int64 // at the old price, before tax
	restart bool
}

func prorate(sub Subscription, oldPlan, newPlan Plan, oldAmount, newAmount int64, now time.Time) proration {
	p := proration{restart: oldPlan.Period() != newPlan.Period()}
	whole := int64(sub.PeriodEnd.Sub(sub.PeriodStart) / time.Second)
	left := int64(sub.PeriodEnd.Sub(now) / time.Second)
	left = min(max(left, 0), whole)
	if !sub.State.Is(SubscriptionTrialing) { // a trial was not paid for
		p.unused = money.MulDiv(oldAmount, left, whole)
	}
	switch {
	case p.restart:
		p.charge = newAmount
	case !sub.State.Is(SubscriptionTrialing):
		p.charge = money.MulDiv(newAmount, left, whole)
	}
	return p
}

// ChangeSubscription goes on under another plan at once. What the change costs is
// charged with the saved method, and without success nothing changes; what it saves
// is kept for the next periods.
func (s *Service) ChangeSubscription(ctx context.Context, actor authz.Principal, id, plan uuid.UUID) (Subscription, error) {
	var made struct {
		OrderID uuid.UUID `json:"order_id"`
	}
	err := s.Store.InTx(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &made, func() error {
			o, err := s.changeOrder(ctx, tx, actor, id, plan)
			made.OrderID = o.ID
			return err
		})
	})
	if err != nil {
		return Subscription{}, err
	}
	if err := s.payChange(ctx, made.OrderID); err != nil {
		return Subscription{}, err
	}
	sub, _, err := s.Subscription(ctx, actor, id)
	return sub, err
}

// changeOrder writes the order of a change.
func (s *Service) changeOrder(ctx context.Context, tx Tx, actor authz.Principal, id, to uuid.UUID) (Order, error) {
	now := s.Now()
	sub, err := tx.LockSubscription(ctx, id)
	if err != nil {
		return Order{}, err
	}
	if err := s.owns(ctx, actor, sub.UserID, sub.OrgUnitID, authz.RefundCreate, "subscription"); err != nil {
		return Order{}, err
	}
	if !sub.State.Is(SubscriptionActive, SubscriptionTrialing) {
		return Order{}, apperr.Conflict("invalid_state", "Only a subscription that is paid can be changed.").Detail("state", string(sub.State.At()))
	}
	oldPlan, err := tx.Plan(ctx, sub.PlanID)
	if err != nil {
		return Order{}, err
	}
	newPlan, err := tx.Plan(ctx, to)
	if err != nil {
		return Order{}, err
	}
	price, priced := newPlan.Price(sub.Currency)
	switch {
	case newPlan.Kind != events.PlanSubscription || !newPlan.State.Is(PlanActive):
		return Order{}, apperr.Invalid(apperr.Field{Path: "plan_id", Code: "not_a_subscription", Message: "There is no such subscription plan."})
	case !newPlan.OnSale():
		return Order{}, errNotOnSale
	case newPlan.ID == oldPlan.ID:
		return Order{}, apperr.Conflict("same_plan", "It is this plan already.")
	case !priced:
		return Order{}, apperr.Invalid(apperr.Field{Path: "plan_id", Code: "no_price", Message: "The plan has no price in the subscription's currency."})
	}
	current, err := s.periodQuote(ctx, tx, sub, oldPlan, now)
	if err != nil {
		return Order{}, err
	}
	p := prorate(sub, oldPlan, newPlan, current.Subtotal-current.Discount, price.Amount, now)
	price.Amount = p.charge
	rule, err := s.taxFor(ctx, tx, newPlan, sub.Billing, now)
	if err != nil {
		return Order{}, err
	}
	bare := newPlan
	bare.TrialDays = 0
	q := NewQuote(Ask{Plan: bare, Price: price, Quantity: 1, Tax: rule, Credit: p.unused, At: now})
	o := newOrder(s.NewID(), newPlan, q, sub.Billing, now)
	o.UserID, o.SubscriptionID, o.Kind, o.PeriodStart, o.PeriodEnd = sub.UserID, &sub.ID, events.OrderChange, &now, &sub.PeriodEnd
	if p.restart {
		end := newPlan.Period().After(now, 1)
		o.PeriodEnd = &end
	}
	o.Description = newPlan.Name + ", change from " + oldPlan.Name
	if err := tx.InsertOrder(ctx, o); err != nil {
		return o, err
	}
	e := orderEvent(o, newPlan, o.Total, o.Tax, now)
	if err := emit(ctx, tx, events.OrderCreated{OrderState: e}, e.Commerce); err != nil {
		return o, err
	}
	return o, audit(ctx, tx, "subscription.change", "subscription", sub.ID, sub.TenantID, sub.OrgUnitID, map[string]work.Change{"plan_id": {From: oldPlan.ID, To: to}})
}

// payChange charges the order of a change, or finds that it was charged.
func (s *Service) payChange(ctx context.Context, id uuid.UUID) error {
	var o Order
	err := s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) (err error) {
		o, err = tx.Order(ctx, id)
		return err
	})
	if err != nil {
		return err
	}
	if o.State.Is(OrderPending) && o.Total == 0 {
		err = s.system(ctx, func(ctx context.Context, tx Tx) error {
			o, err := lockOrder(ctx, tx, id)
			if err != nil || !o.State.Is(OrderPending) {
				return err
			}
			plan, err := tx.Plan(ctx, o.PlanID)
			if err != nil {
				return err
			}
			if err := s.paid(ctx, tx, &o, plan, nil); err != nil {
				return err
			}
			return s.changed(ctx, tx, o, plan)
		})
		return err
	}
	if o.State.Is(OrderPending) {
		var p provider.Payment
		if p, err = s.chargeFor(ctx, o, o.Total, o.ID.String()); err != nil {
			return err
		}
		if err = s.system(ctx, func(ctx context.Context, tx Tx) error { return s.charged(ctx, tx, id, p) }); err != nil {
			return err
		}
		if p.State != provider.PaymentSucceeded {
			return errNotPaid.Detail("failure", p.Failure)
		}
		return nil
	}
	if o.State.Is(OrderCanceled) {
		return errNotPaid
	}
	return nil
}

// changed moves a subscription to the plan of a paid change.
func (s *Service) changed(ctx context.Context, tx Tx, o Order, plan Plan) error {
	sub, err := tx.LockSubscription(ctx, *o.SubscriptionID)
	if err != nil {
		return err
	}
	now := s.Now()
	if sub.State.Is(SubscriptionEnded) {
		return s.refundAll(ctx, tx, o, ReasonSubscription)
	}
	if sub.PlanID == plan.ID {
		return nil
	}
	oldPlan, err := tx.Plan(ctx, sub.PlanID)
	if err != nil {
		return err
	}
	old, err := s.periodQuote(ctx, tx, sub, oldPlan, now)
	if err != nil {
		return err
	}
	price, ok := plan.Price(sub.Currency)
	if !ok {
		return apperr.Internal(errPriceGone)
	}
	p := prorate(sub, oldPlan, plan, old.Subtotal-old.Discount, price.Amount, *o.PeriodStart)
	sub.Credit += max(p.unused-p.charge, 0)
	sub.PlanID, sub.PriceID, sub.UpdatedAt = plan.ID, price.ID, now
	if p.restart {
		sub.AnchorAt, sub.PeriodN, sub.PeriodStart, sub.PeriodEnd = *o.PeriodStart, 0, *o.PeriodStart, *o.PeriodEnd
		if sub.State.Is(SubscriptionTrialing) {
			if err := sub.State.To(SubscriptionActive); err != nil {
				return err
			}
		}
		if !sub.State.Is(SubscriptionPaused) {
			sub.NextActionAt = &sub.PeriodEnd
		}
	}
	if err := tx.UpdateSubscription(ctx, &sub); err != nil {
		return err
	}
	if err := s.moveCourses(ctx, tx, sub, plan, now); err != nil {
		return err
	}
	return s.tellSubscription(ctx, tx, sub, plan, now, func(m events.SubscriptionState) events.Event {
		return events.SubscriptionChanged{SubscriptionState: m, OldPlanID: oldPlan.ID, OldAmount: old.Total}
	})
}

// moveCourses gives the rights that the new plan adds, and ends those it lacks.
func (s *Service) moveCourses(ctx context.Context, tx Tx, sub Subscription, plan Plan, now time.Time) error {
	list, err := tx.EntitlementsOfSubscription(ctx, sub.ID)
	if err != nil {
		return err
	}
	has := map[uuid.UUID]bool{}
	for _, e := range list {
		if e.State.Is(EntitlementRevoked) {
			continue
		}
		has[e.CourseID] = true
		if slices.Contains(plan.CourseIDs(), e.CourseID) {
			err = s.extend(ctx, tx, e, plan, s.rightUntil(sub), now)
		} else {
			err = s.revoke(ctx, tx, e, plan, ReasonPlanChanged, false, now)
		}
		if err != nil {
			return err
		}
	}
	for _, c := range plan.Courses {
		if has[c.CourseID] {
			continue
		}
		e := Entitlement{UserID: sub.UserID, CourseID: c.CourseID, SubscriptionID: &sub.ID, ValidUntil: s.rightUntil(sub)}
		if err := s.grant(ctx, tx, e, plan, nil, now); err != nil {
			return err
		}
	}
	return nil
}

// changeFailed gives up the order of a change that was not paid.
func (s *Service) changeFailed(ctx context.Context, tx Tx, o Order) error {
	if !o.State.Is(OrderPending) {
		return nil
	}
	if err := o.State.To(OrderCanceled); err != nil {
		return err
	}
	o.UpdatedAt = s.Now()
	return tx.UpdateOrder(ctx, &o)
}

// sweepChanges goes on with changes whose process died between order and charge.
func (s *Service) sweepChanges(ctx context.Context) error {
	return s.eachDue(ctx, func(ctx context.Context, tx Tx, skip []uuid.UUID, limit int) ([]uuid.UUID, error) {
		return tx.StuckChanges(ctx, s.Now().Add(-stuckAfter), skip, limit)
	}, func(ctx context.Context, id uuid.UUID) error {
		if err := s.payChange(ctx, id); apperr.Code(err) != errNotPaid.Code {
			return err
		}
		return nil
	})
}
