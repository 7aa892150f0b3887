package billing

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/payment/internal/provider"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/page"
	"lms/shared/work"
)

// Why a subscription ended.
const (
	EndCancelled = "cancelled"
	EndUnpaid    = "unpaid"
	EndPerson    = "person"
)

// Grace is how long the right of a period outlasts it, so that a renewal that is late,
// or a payment that is tried again, locks nobody out.
func (s *Service) grace() time.Duration {
	var sum time.Duration
	for _, d := range s.Settings.Dunning {
		sum += d
	}
	return sum + 24*time.Hour
}

// rightUntil is the end of the rights of a subscription.
func (s *Service) rightUntil(sub Subscription) *time.Time {
	until := sub.PeriodEnd
	if !sub.CancelAtPeriodEnd {
		until = until.Add(s.grace())
	}
	return &until
}

// subscribe begins a subscription: with its first period paid, or with a trial.
func (s *Service) subscribe(ctx context.Context, tx Tx, c Checkout, plan Plan, o *Order, now time.Time) (Subscription, error) {
	sub := Subscription{
		ID: s.NewID(), TenantID: plan.TenantID, OrgUnitID: plan.OrgUnitID, UserID: c.UserID, PlanID: plan.ID, PriceID: c.Quote.PriceID,
		State: Begin(SubscriptionActive), Currency: c.Currency, CouponID: c.CouponID, Billing: c.Billing, AnchorAt: now,
		PeriodStart: now, PeriodEnd: plan.Period().After(now, 1), CreatedAt: now, UpdatedAt: now, Version: 1,
	}
	if c.CouponID != nil {
		coupon, err := tx.Coupon(ctx, *c.CouponID)
		if err != nil {
			return sub, err
		}
		if coupon.Periods != nil {
			left := *coupon.Periods
			if o != nil {
				left-- // the first period has just been discounted
			}
			sub.CouponPeriodsLeft = &left
		}
	}
	next := sub.PeriodEnd
	if c.Quote.TrialUntil != nil {
		// The first paid period begins where the trial ends.
		end := now.AddDate(0, 0, plan.TrialDays)
		sub.State, sub.PeriodEnd, sub.AnchorAt, sub.PeriodN = Begin(SubscriptionTrialing), end, end, 0
		if next = end.Add(-s.Settings.TrialNotice); next.Before(now) {
			next = now
		}
	}
	sub.NextActionAt = &next
	if err := tx.InsertSubscription(ctx, sub); err != nil {
		return sub, err
	}
	for _, course := range plan.Courses {
		e := Entitlement{UserID: sub.UserID, CourseID: course.CourseID, SubscriptionID: &sub.ID, ValidUntil: s.rightUntil(sub)}
		if err := s.grant(ctx, tx, e, plan, &c.ID, now); err != nil {
			return sub, err
		}
	}
	m, err := s.subscriptionEvent(ctx, tx, sub, plan, now)
	if err != nil {
		return sub, err
	}
	return sub, emit(ctx, tx, events.SubscriptionStarted{SubscriptionState: m}, m.Commerce)
}

// subscriptionEvent is a subscription as events tell it; the amount is that of its
// next period.
func (s *Service) subscriptionEvent(ctx context.Context, tx Tx, sub Subscription, plan Plan, at time.Time) (events.SubscriptionState, error) {
	q, err := s.periodQuote(ctx, tx, sub, plan, at)
	if err != nil {
		return events.SubscriptionState{}, err
	}
	m := commerce(plan, sub.TenantID, sub.UserID, 1, sub.Currency, at)
	m.Amount, m.Tax, m.Discount, m.PeriodStart, m.PeriodEnd = q.Total, q.Tax, q.Discount, &sub.PeriodStart, &sub.PeriodEnd
	return events.SubscriptionState{
		Commerce: m, SubscriptionID: sub.ID, State: string(sub.State.At()), PeriodUnit: plan.PeriodUnit, PeriodCount: plan.PeriodCount,
		CancelAtPeriodEnd: sub.CancelAtPeriodEnd, NextActionAt: sub.NextActionAt,
	}, nil
}

// periodQuote is what a period of a subscription costs: at the price it was begun
// with, with its coupon while that lasts, the tax of the day, and what is left over
// from a change.
func (s *Service) periodQuote(ctx context.Context, tx Tx, sub Subscription, plan Plan, at time.Time) (Quote, error) {
	price, err := tx.Price(ctx, sub.PriceID)
	if err != nil {
		return Quote{}, err
	}
	plan.TrialDays = 0
	a := Ask{Plan: plan, Price: price, Quantity: 1, Credit: sub.Credit, At: at}
	if sub.CouponID != nil && (sub.CouponPeriodsLeft == nil || *sub.CouponPeriodsLeft > 0) {
		c, err := tx.Coupon(ctx, *sub.CouponID)
		if err != nil {
			return Quote{}, err
		}
		a.Coupon = &c
	}
	if a.Tax, err = s.taxFor(ctx, tx, plan, sub.Billing, at); err != nil {
		return Quote{}, err
	}
	return NewQuote(a), nil
}

// end is the end of a subscription and of its rights. One that has ended is left
// alone.
func (s *Service) end(ctx context.Context, tx Tx, sub *Subscription, plan Plan, reason string, now time.Time) error {
	if sub.State.Is(SubscriptionEnded) {
		return nil
	}
	if err := sub.State.To(SubscriptionEnded); err != nil {
		return err
	}
	sub.EndedAt, sub.EndReason, sub.NextActionAt, sub.PausedAt, sub.UpdatedAt = &now, reason, nil, nil, now
	if err := tx.UpdateSubscription(ctx, sub); err != nil {
		return err
	}
	why := ReasonSubscription
	if reason == "refunded" {
		why = ReasonRefund
	}
	if err := s.endRights(ctx, tx, *sub, plan, why, now); err != nil {
		return err
	}
	return s.tellSubscription(ctx, tx, *sub, plan, now, func(m events.SubscriptionState) events.Event {
		return events.SubscriptionEnded{SubscriptionState: m, Reason: reason}
	})
}

func (s *Service) endRights(ctx context.Context, tx Tx, sub Subscription, plan Plan, reason string, now time.Time) error {
	list, err := tx.EntitlementsOfSubscription(ctx, sub.ID)
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := s.revoke(ctx, tx, e, plan, reason, false, now); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) tellSubscription(ctx context.Context, tx Tx, sub Subscription, plan Plan, now time.Time, event func(events.SubscriptionState) events.Event) error {
	m, err := s.subscriptionEvent(ctx, tx, sub, plan, now)
	if err != nil {
		return err
	}
	return emit(ctx, tx, event(m), m.Commerce)
}

// onSubscription runs an act of its owner, or of staff, on a subscription.
func (s *Service) onSubscription(ctx context.Context, actor authz.Principal, id uuid.UUID, action string, act func(context.Context, Tx, *Subscription, Plan) error) (sub Subscription, err error) {
	err = s.Store.InTx(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &sub, func() error {
			if sub, err = tx.LockSubscription(ctx, id); err != nil {
				return err
			}
			if err := s.owns(ctx, actor, sub.UserID, sub.OrgUnitID, authz.RefundCreate, "subscription"); err != nil {
				return err
			}
			plan, err := tx.Plan(ctx, sub.PlanID)
			if err != nil {
				return err
			}
			if err := act(ctx, tx, &sub, plan); err != nil {
				return err
			}
			return audit(ctx, tx, action, "subscription", sub.ID, sub.TenantID, sub.OrgUnitID, nil)
		})
	})
	return sub, err
}

// CancelSubscription lets it end with the present period, which stays paid for. One
// that could not be charged ends at once.
func (s *Service) CancelSubscription(ctx context.Context, actor authz.Principal, id uuid.UUID) (Subscription, error) {
	return s.onSubscription(ctx, actor, id, "subscription.cancel", func(ctx context.Context, tx Tx, sub *Subscription, plan Plan) error {
		now := s.Now()
		switch {
		case sub.State.Is(SubscriptionEnded):
			return apperr.Conflict("already_ended", "The subscription has ended.")
		case sub.CancelAtPeriodEnd:
			return nil
		case sub.State.Is(SubscriptionPastDue, SubscriptionPaused):
			return s.end(ctx, tx, sub, plan, EndCancelled, now)
		}
		sub.CancelAtPeriodEnd, sub.CanceledAt, sub.UpdatedAt = true, &now, now
		end := sub.PeriodEnd
		sub.NextActionAt = &end
		if err := tx.UpdateSubscription(ctx, sub); err != nil {
			return err
		}
		if err := s.moveRights(ctx, tx, *sub, plan, now); err != nil {
			return err
		}
		return s.tellSubscription(ctx, tx, *sub, plan, now, func(m events.SubscriptionState) events.Event {
			return events.SubscriptionCancelled{SubscriptionState: m}
		})
	})
}

// moveRights lets the rights of a subscription end when its period says so.
func (s *Service) moveRights(ctx context.Context, tx Tx, sub Subscription, plan Plan, now time.Time) error {
	list, err := tx.EntitlementsOfSubscription(ctx, sub.ID)
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := s.extend(ctx, tx, e, plan, s.rightUntil(sub), now); err != nil {
			return err
		}
	}
	return nil
}

// ResumeSubscription takes a cancellation back, or ends a pause.
func (s *Service) ResumeSubscription(ctx context.Context, actor authz.Principal, id uuid.UUID) (Subscription, error) {
	return s.onSubscription(ctx, actor, id, "subscription.resume", func(ctx context.Context, tx Tx, sub *Subscription, plan Plan) error {
		now := s.Now()
		switch {
		case sub.State.Is(SubscriptionEnded):
			return apperr.Conflict("already_ended", "The subscription has ended. Subscribe again.")
		case sub.State.Is(SubscriptionPaused):
			return s.unpause(ctx, tx, sub, plan, now)
		case !sub.CancelAtPeriodEnd:
			return nil
		}
		sub.CancelAtPeriodEnd, sub.CanceledAt, sub.UpdatedAt = false, nil, now
		if err := tx.UpdateSubscription(ctx, sub); err != nil {
			return err
		}
		if err := s.moveRights(ctx, tx, *sub, plan, now); err != nil {
			return err
		}
		return s.resumed(ctx, tx, *sub, plan, now)
	})
}

func (s *Service) resumed(ctx context.Context, tx Tx, sub Subscription, plan Plan, now time.Time) error {
	return s.tellSubscription(ctx, tx, sub, plan, now, func(m events.SubscriptionState) events.Event {
		return events.SubscriptionResumed{SubscriptionState: m}
	})
}

// pause stops charging and access, as for a person whose account is deactivated.
func (s *Service) pause(ctx context.Context, tx Tx, sub *Subscription, plan Plan, now time.Time) error {
	if !sub.State.Is(SubscriptionTrialing, SubscriptionActive, SubscriptionPastDue) {
		return nil
	}
	if err := sub.State.To(SubscriptionPaused); err != nil {
		return err
	}
	// The period that was about to be charged begins later now.
	if o, err := tx.RenewalOrder(ctx, sub.ID, sub.PeriodEnd); err != nil {
		return err
	} else if o != nil && o.State.Is(OrderPending) {
		if err := o.State.To(OrderCanceled); err != nil {
			return err
		}
		if err := tx.UpdateOrder(ctx, o); err != nil {
			return err
		}
	}
	sub.PausedAt, sub.NextActionAt, sub.UpdatedAt = &now, nil, now
	if err := tx.UpdateSubscription(ctx, sub); err != nil {
		return err
	}
	return s.tellSubscription(ctx, tx, *sub, plan, now, func(m events.SubscriptionState) events.Event {
		return events.SubscriptionPaused{SubscriptionState: m}
	})
}

// unpause goes on where it stopped: the time of the pause is added to the period.
func (s *Service) unpause(ctx context.Context, tx Tx, sub *Subscription, plan Plan, now time.Time) error {
	shift := now.Sub(*sub.PausedAt)
	if err := sub.State.To(SubscriptionActive); err != nil {
		return err
	}
	sub.PeriodEnd, sub.AnchorAt = sub.PeriodEnd.Add(shift), sub.AnchorAt.Add(shift)
	next := sub.PeriodEnd
	if next.Before(now) {
		next = now
	}
	sub.NextActionAt, sub.PausedAt, sub.Attempts, sub.UpdatedAt = &next, nil, 0, now
	if err := tx.UpdateSubscription(ctx, sub); err != nil {
		return err
	}
	if err := s.moveRights(ctx, tx, *sub, plan, now); err != nil {
		return err
	}
	return s.resumed(ctx, tx, *sub, plan, now)
}

// Subscription reads a subscription; its owner may, and who may read orders.
func (s *Service) Subscription(ctx context.Context, actor authz.Principal, id uuid.UUID) (sub Subscription, plan Plan, err error) {
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		if sub, err = tx.Subscription(ctx, id); err != nil {
			return err
		}
		plan, err = tx.Plan(ctx, sub.PlanID)
		return err
	})
	if err != nil {
		return sub, plan, err
	}
	return sub, plan, s.owns(ctx, actor, sub.UserID, sub.OrgUnitID, authz.OrderRead, "subscription")
}

// Subscriptions lists them.
func (s *Service) Subscriptions(ctx context.Context, actor authz.Principal, user *uuid.UUID, everybody bool, state string, p page.Request) (out page.Page[Subscription], err error) {
	f := SubscriptionFilter{State: state}
	if f.Reach, err = s.reach(ctx, actor, user, everybody, authz.OrderRead); err != nil {
		return out, err
	}
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		out, err = tx.Subscriptions(ctx, f, p)
		return err
	})
	return out, err
}

// chargeFor makes one charge of an order with the buyer's saved method; without one
// the charge has failed. key must differ from try to try.
func (s *Service) chargeFor(ctx context.Context, o Order, amount int64, key string) (provider.Payment, error) {
	var m *PaymentMethod
	err := s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) (err error) {
		m, err = tx.MethodToCharge(ctx, o.UserID)
		return err
	})
	if err != nil {
		return provider.Payment{}, err
	}
	if m == nil {
		return provider.Payment{ID: "none:" + key, Amount: amount, Currency: o.Currency, State: provider.PaymentFailed, Failure: "no_payment_method"}, nil
	}
	return s.Provider.Charge(ctx, provider.NewCharge{
		Key: key, Reference: o.ID.String(), Method: m.ProviderMethod, Customer: o.UserID.String(), Description: o.Description,
		Amount: amount, Currency: o.Currency, Metadata: provider.Metadata{TenantID: o.TenantID.String(), OrderID: o.ID.String()},
	})
}
