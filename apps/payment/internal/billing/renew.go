package billing

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"lms/shared/contracts/events"
)

// lockOrder locks an order behind its subscription, which is always locked first.
func lockOrder(ctx context.Context, tx Tx, id uuid.UUID) (Order, error) {
	o, err := tx.Order(ctx, id)
	if err != nil {
		return o, err
	}
	if o.SubscriptionID != nil {
		if _, err := tx.LockSubscription(ctx, *o.SubscriptionID); err != nil {
			return o, err
		}
	}
	return tx.LockOrder(ctx, id)
}

// chargeLease is how long a charge that was begun is left to who began it.
const chargeLease = 2 * time.Minute

// sweepSubscriptions does what is due: trials are told to end, periods are charged,
// failed charges are tried again, cancelled ones end.
func (s *Service) sweepSubscriptions(ctx context.Context) error {
	return s.eachDue(ctx, func(ctx context.Context, tx Tx, skip []uuid.UUID, limit int) ([]uuid.UUID, error) {
		return tx.DueSubscriptions(ctx, s.Now(), skip, limit)
	}, s.actOn)
}

// actOn does what is due of one subscription, if it is still due.
func (s *Service) actOn(ctx context.Context, id uuid.UUID) error {
	var charge *Order
	attempt := 0
	err := s.system(ctx, func(ctx context.Context, tx Tx) error {
		charge = nil
		sub, err := tx.LockSubscription(ctx, id)
		if err != nil {
			return err
		}
		now := s.Now()
		if sub.NextActionAt == nil || sub.NextActionAt.After(now) {
			return nil
		}
		plan, err := tx.Plan(ctx, sub.PlanID)
		if err != nil {
			return err
		}
		if sub.State.Is(SubscriptionTrialing) && sub.TrialToldAt == nil {
			return s.trialEnding(ctx, tx, &sub, plan, now)
		}
		if sub.PeriodEnd.After(now) {
			sub.NextActionAt = &sub.PeriodEnd
			return tx.UpdateSubscription(ctx, &sub)
		}
		if sub.CancelAtPeriodEnd {
			return s.end(ctx, tx, &sub, plan, EndCancelled, now)
		}
		o, err := s.renewalOrder(ctx, tx, sub, plan, now)
		if err != nil {
			return err
		}
		if o.Total == 0 && o.State.Is(OrderPending) {
			if err := s.paid(ctx, tx, &o, plan, nil); err != nil {
				return err
			}
			return s.renewed(ctx, tx, o, plan)
		}
		next := now.Add(chargeLease)
		sub.NextActionAt, sub.UpdatedAt = &next, now
		charge, attempt = &o, sub.Attempts
		return tx.UpdateSubscription(ctx, &sub)
	})
	if err != nil || charge == nil {
		return err
	}
	p, err := s.chargeFor(ctx, *charge, charge.Total, fmt.Sprintf("%s:%d", charge.ID, attempt))
	if err != nil {
		return err
	}
	return s.system(ctx, func(ctx context.Context, tx Tx) error { return s.charged(ctx, tx, charge.ID, p) })
}

func (s *Service) trialEnding(ctx context.Context, tx Tx, sub *Subscription, plan Plan, now time.Time) error {
	end := sub.PeriodEnd
	sub.TrialToldAt, sub.NextActionAt, sub.UpdatedAt = &now, &end, now
	if err := tx.UpdateSubscription(ctx, sub); err != nil {
		return err
	}
	return s.tellSubscription(ctx, tx, *sub, plan, now, func(m events.SubscriptionState) events.Event {
		return events.SubscriptionTrialEnding{SubscriptionState: m}
	})
}

// renewalOrder is the order of the next period: one, however often it is tried.
func (s *Service) renewalOrder(ctx context.Context, tx Tx, sub Subscription, plan Plan, now time.Time) (Order, error) {
	start := sub.PeriodEnd
	known, err := tx.RenewalOrder(ctx, sub.ID, start)
	if err != nil {
		return Order{}, err
	}
	if known != nil {
		return *known, nil
	}
	q, err := s.periodQuote(ctx, tx, sub, plan, now)
	if err != nil {
		return Order{}, err
	}
	_, end := sub.nextPeriod(plan)
	o := newOrder(s.NewID(), plan, q, sub.Billing, now)
	o.UserID, o.SubscriptionID, o.Kind, o.PeriodStart, o.PeriodEnd = sub.UserID, &sub.ID, events.OrderRenewal, &start, &end
	if err := tx.InsertOrder(ctx, o); err != nil {
		return o, err
	}
	e := orderEvent(o, plan, o.Total, o.Tax, now)
	return o, emit(ctx, tx, events.OrderCreated{OrderState: e}, e.Commerce)
}

// nextPeriod is the number and the end of the period after the present one. A trial
// is no period: the first one begins at its end, the anchor.
func (sub Subscription) nextPeriod(plan Plan) (n int, end time.Time) {
	n = sub.PeriodN + 1
	if sub.PeriodEnd.Equal(sub.AnchorAt) {
		n = 0
	}
	return n, plan.Period().After(sub.AnchorAt, n+1)
}

// renewed moves a subscription on by the period that was paid.
func (s *Service) renewed(ctx context.Context, tx Tx, o Order, plan Plan) error {
	sub, err := tx.LockSubscription(ctx, *o.SubscriptionID)
	if err != nil {
		return err
	}
	now := s.Now()
	if sub.State.Is(SubscriptionEnded) {
		return s.refundAll(ctx, tx, o, ReasonSubscription)
	}
	if !sub.PeriodEnd.Equal(*o.PeriodStart) {
		return nil // moved on already
	}
	n, end := sub.nextPeriod(plan)
	if !sub.State.Is(SubscriptionActive, SubscriptionPaused) {
		if err := sub.State.To(SubscriptionActive); err != nil {
			return err
		}
	}
	sub.PeriodN, sub.PeriodStart, sub.PeriodEnd, sub.Attempts, sub.UpdatedAt = n, *o.PeriodStart, end, 0, now
	sub.Credit -= o.Credit
	if o.CouponID != nil && sub.CouponPeriodsLeft != nil {
		left := *sub.CouponPeriodsLeft - 1
		sub.CouponPeriodsLeft = &left
	}
	if !sub.State.Is(SubscriptionPaused) {
		sub.NextActionAt = &end
	}
	if err := tx.UpdateSubscription(ctx, &sub); err != nil {
		return err
	}
	if err := s.moveRights(ctx, tx, sub, plan, now); err != nil {
		return err
	}
	return s.tellSubscription(ctx, tx, sub, plan, now, func(m events.SubscriptionState) events.Event {
		m.Amount, m.Tax, m.Discount = o.Total, o.Tax, o.Discount
		return events.SubscriptionRenewed{SubscriptionState: m}
	})
}

// renewalFailed is dunning: past due, tried again after each pause, and over after the
// last one. It says when the next try is.
func (s *Service) renewalFailed(ctx context.Context, tx Tx, o Order, plan Plan, failure string) (*time.Time, error) {
	sub, err := tx.LockSubscription(ctx, *o.SubscriptionID)
	if err != nil || sub.State.Is(SubscriptionEnded, SubscriptionPaused) {
		return nil, err
	}
	now := s.Now()
	sub.Attempts++
	if sub.Attempts > len(s.Settings.Dunning) {
		if err := o.State.To(OrderCanceled); err != nil {
			return nil, err
		}
		o.UpdatedAt = now
		if err := tx.UpdateOrder(ctx, &o); err != nil {
			return nil, err
		}
		return nil, s.end(ctx, tx, &sub, plan, EndUnpaid, now)
	}
	next := now.Add(s.Settings.Dunning[sub.Attempts-1])
	if !sub.State.Is(SubscriptionPastDue) {
		if err := sub.State.To(SubscriptionPastDue); err != nil {
			return nil, err
		}
	}
	sub.NextActionAt, sub.UpdatedAt = &next, now
	if err := tx.UpdateSubscription(ctx, &sub); err != nil {
		return nil, err
	}
	return &next, s.tellSubscription(ctx, tx, sub, plan, now, func(m events.SubscriptionState) events.Event {
		return events.SubscriptionPastDue{SubscriptionState: m, Attempts: sub.Attempts, Failure: failure}
	})
}
