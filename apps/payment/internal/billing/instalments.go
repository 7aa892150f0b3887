package billing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"lms/shared/authz"
	"lms/shared/work"
)

var errPriceGone = errors.New("the plan lost its price in the subscription's currency")

// nextInstalment is the first one that is not paid; nil for none.
func nextInstalment(list []Instalment) *Instalment {
	for i := range list {
		if list[i].State.Is(InstalmentScheduled, InstalmentPastDue) {
			return &list[i]
		}
	}
	return nil
}

// scheduleRest lets the later instalments be charged when they are due.
func (s *Service) scheduleRest(ctx context.Context, tx Tx, order uuid.UUID) error {
	list, err := tx.Instalments(ctx, order)
	if err != nil {
		return err
	}
	for _, i := range list {
		if !i.State.Is(InstalmentScheduled) {
			continue
		}
		i.NextTryAt = &i.DueAt
		if err := tx.UpdateInstalment(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) sweepInstalments(ctx context.Context) error {
	return s.eachDue(ctx, func(ctx context.Context, tx Tx, skip []uuid.UUID, limit int) ([]uuid.UUID, error) {
		return tx.DueInstalments(ctx, s.Now(), skip, limit)
	}, func(ctx context.Context, order uuid.UUID) error {
		for { // several may be due by now, one after the other
			if charged, err := s.chargeInstalment(ctx, order); err != nil || !charged {
				return err
			}
		}
	})
}

// chargeInstalment charges an instalment of an order that is due; false for none.
func (s *Service) chargeInstalment(ctx context.Context, order uuid.UUID) (bool, error) {
	var o Order
	var i *Instalment
	err := s.system(ctx, func(ctx context.Context, tx Tx) (err error) {
		i = nil
		if o, err = tx.LockOrder(ctx, order); err != nil || !o.State.Is(OrderPaying) {
			return err
		}
		list, err := tx.Instalments(ctx, order)
		if err != nil {
			return err
		}
		now := s.Now()
		next := nextInstalment(list)
		if next == nil || next.NextTryAt == nil || next.NextTryAt.After(now) {
			return nil
		}
		lease := now.Add(chargeLease)
		next.NextTryAt, i = &lease, next
		return tx.UpdateInstalment(ctx, *next)
	})
	if err != nil || i == nil {
		return false, err
	}
	p, err := s.chargeFor(ctx, o, i.Amount, fmt.Sprintf("%s:%d:%d", o.ID, i.N, i.Attempts))
	if err != nil {
		return false, err
	}
	return true, s.system(ctx, func(ctx context.Context, tx Tx) error { return s.charged(ctx, tx, o.ID, p) })
}

// instalmentFailed is dunning of an instalment; after the last try the order has
// failed and its rights end. What was paid stays paid.
func (s *Service) instalmentFailed(ctx context.Context, tx Tx, o Order, plan Plan, i Instalment) (*time.Time, error) {
	now := s.Now()
	i.Attempts++
	if i.State.Is(InstalmentScheduled) {
		if err := i.State.To(InstalmentPastDue); err != nil {
			return nil, err
		}
	}
	if i.Attempts <= len(s.Settings.Dunning) {
		next := now.Add(s.Settings.Dunning[i.Attempts-1])
		i.NextTryAt = &next
		return &next, tx.UpdateInstalment(ctx, i)
	}
	i.NextTryAt = nil
	if err := tx.UpdateInstalment(ctx, i); err != nil {
		return nil, err
	}
	if !o.State.Is(OrderPaying) {
		return nil, nil //nolint:nilnil // no further try
	}
	if err := s.writeOff(ctx, tx, o, now); err != nil {
		return nil, err
	}
	if err := o.State.To(OrderDefaulted); err != nil {
		return nil, err
	}
	o.UpdatedAt = now
	if err := tx.UpdateOrder(ctx, &o); err != nil {
		return nil, err
	}
	return nil, s.endAccess(ctx, tx, o, plan, ReasonDefault, false, now)
}

// writeOff gives up what is still owed of an order, and its instalments.
func (s *Service) writeOff(ctx context.Context, tx Tx, o Order, now time.Time) error {
	list, err := tx.Instalments(ctx, o.ID)
	if err != nil {
		return err
	}
	for _, i := range list {
		if !i.State.Is(InstalmentScheduled, InstalmentPastDue) {
			continue
		}
		if err := i.State.To(InstalmentCanceled); err != nil {
			return err
		}
		i.NextTryAt = nil
		if err := tx.UpdateInstalment(ctx, i); err != nil {
			return err
		}
	}
	owed := o.Total - o.Paid
	if owed == 0 || o.State.Is(OrderDefaulted) {
		return nil
	}
	return s.book(ctx, tx, o, "write_off", o.ID, line{accountBadDebt, owed}, line{accountReceivable, -owed})
}

// Schedule is what of an order is due when: one line where it is paid at once.
func (s *Service) Schedule(ctx context.Context, actor authz.Principal, id uuid.UUID) (o Order, list []Instalment, err error) {
	if o, err = s.Order(ctx, actor, id); err != nil {
		return o, nil, err
	}
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		list, err = tx.Instalments(ctx, id)
		return err
	})
	return o, list, err
}
