package billing

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"lms/apps/payment/internal/provider"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// Checkout reads a session; its buyer may, and who may read orders.
func (s *Service) Checkout(ctx context.Context, actor authz.Principal, id uuid.UUID) (c Checkout, err error) {
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		c, err = tx.Checkout(ctx, id)
		return err
	})
	if err != nil {
		return c, err
	}
	return c, s.owns(ctx, actor, c.UserID, c.OrgUnitID, authz.OrderRead, "checkout session")
}

// ExpireCheckout ends a session for its buyer, unless it was paid meanwhile.
func (s *Service) ExpireCheckout(ctx context.Context, actor authz.Principal, id uuid.UUID) (Checkout, error) {
	c, err := s.Checkout(ctx, actor, id)
	if err != nil {
		return c, err
	}
	if c.State.Is(CheckoutCompleted) {
		return c, apperr.Conflict("already_paid", "It was paid already.")
	}
	if err := s.expire(ctx, id, "canceled"); err != nil {
		return c, err
	}
	return s.Checkout(ctx, actor, id)
}

// expire asks the provider to end the page, and gives the session up; a page that was
// paid meanwhile is taken as paid, unless another sum was paid than was due.
func (s *Service) expire(ctx context.Context, id uuid.UUID, reason string) error {
	var c Checkout
	err := s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) (err error) {
		c, err = tx.Checkout(ctx, id)
		return err
	})
	if err != nil {
		return err
	}
	if c.ProviderSession != "" {
		page, err := s.Provider.ExpireSession(ctx, c.ProviderSession)
		if err != nil {
			return err
		}
		if page.State == provider.SessionCompleted {
			if err := s.collect(ctx, page); !otherSum(err) {
				return err
			}
		}
	}
	return s.system(ctx, func(ctx context.Context, tx Tx) error {
		c, err := tx.LockCheckout(ctx, id)
		if err != nil {
			return err
		}
		plan, err := tx.Plan(ctx, c.PlanID)
		if err != nil {
			return err
		}
		return s.giveUp(ctx, tx, &c, plan, reason)
	})
}

// giveUp ends a session without a payment; one that has ended is left alone.
func (s *Service) giveUp(ctx context.Context, tx Tx, c *Checkout, plan Plan, reason string) error {
	if !c.State.Is(CheckoutPreparing, CheckoutOpen) {
		return nil
	}
	if err := c.State.To(CheckoutExpired); err != nil {
		return err
	}
	c.UpdatedAt = s.Now()
	if err := tx.UpdateCheckout(ctx, c); err != nil {
		return err
	}
	if err := s.letGo(ctx, tx, *c); err != nil {
		return err
	}
	o, err := tx.OrderOfSession(ctx, c.ID)
	if err != nil {
		return err
	}
	if o != nil && o.State.Is(OrderPending) {
		if err := o.State.To(OrderCanceled); err != nil {
			return err
		}
		o.UpdatedAt = c.UpdatedAt
		if err := tx.UpdateOrder(ctx, o); err != nil {
			return err
		}
	}
	e := checkoutEvent(*c, plan)
	e.At = c.UpdatedAt
	return emit(ctx, tx, events.CheckoutExpired{CheckoutState: e, Reason: reason}, e.Commerce)
}

func checkoutEvent(c Checkout, plan Plan) events.CheckoutState {
	m := commerce(plan, c.TenantID, c.UserID, c.Quote.Quantity, c.Currency, c.UpdatedAt)
	m.Amount, m.Tax, m.Discount = c.Total, c.Quote.Tax, c.Quote.Discount
	return events.CheckoutState{Commerce: m, SessionID: c.ID, ExpiresAt: c.ExpiresAt, ForOrgUnitID: c.ForOrgUnitID}
}

// stuckAfter is when a session that nobody touched is looked at again: its answer may
// have got lost, or its webhook.
const stuckAfter = time.Minute

// sweepCheckouts ends what expired, goes on with what got stuck, and asks the provider
// for what its webhooks did not tell.
func (s *Service) sweepCheckouts(ctx context.Context) error {
	now := s.Now()
	return s.eachDue(ctx, func(ctx context.Context, tx Tx, skip []uuid.UUID, limit int) ([]uuid.UUID, error) {
		return tx.DueCheckouts(ctx, now, now.Add(-stuckAfter), skip, limit)
	}, func(ctx context.Context, id uuid.UUID) error {
		c, err := s.advance(ctx, id)
		switch {
		case apperr.IsKind(err, apperr.KindConflict):
			return nil
		case err != nil:
			return err
		case !c.ExpiresAt.After(now):
			return s.expire(ctx, id, "expired")
		case c.ProviderSession != "":
			return s.look(ctx, c)
		}
		return nil
	})
}

// look asks the provider how an open session stands.
func (s *Service) look(ctx context.Context, c Checkout) error {
	page, err := s.Provider.Session(ctx, c.ProviderSession)
	if err != nil {
		return err
	}
	switch page.State {
	case provider.SessionCompleted:
		if err := s.collect(ctx, page); !otherSum(err) {
			return err
		}
	case provider.SessionAbandoned, provider.SessionExpired:
		return s.expire(ctx, c.ID, page.State)
	}
	return s.system(ctx, func(ctx context.Context, tx Tx) error { // not again before a while
		c, err := tx.LockCheckout(ctx, c.ID)
		if err != nil || !c.State.Is(CheckoutOpen) {
			return err
		}
		c.UpdatedAt = s.Now()
		return tx.UpdateCheckout(ctx, &c)
	})
}

// errNotOurs says that a provider speaks of a session that is not here.
var errNotOurs = apperr.New(apperr.KindNotFound, "session_unknown", "There is no such checkout session.")

// otherSum says that a provider took another sum than was due. Asking it again changes
// nothing: the session ends in its time, and reconciliation shows the money.
func otherSum(err error) bool {
	return errors.Is(err, errOtherAmount) || errors.Is(err, errOtherCurrency)
}

// collect takes what a provider says of a completed session.
func (s *Service) collect(ctx context.Context, page provider.Session) error {
	err := s.system(ctx, func(ctx context.Context, tx Tx) error { return s.completed(ctx, tx, page) })
	if errors.Is(err, errSurplus) {
		return nil
	}
	return err
}
