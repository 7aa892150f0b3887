package billing

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/payment/internal/provider"
	"lms/shared/apperr"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// Refusals of what a provider says; they are recorded and change nothing.
var (
	errOtherAmount   = apperr.New(apperr.KindInvalid, "amount_mismatch", "The payment is over another amount than the order.")
	errOtherCurrency = apperr.New(apperr.KindInvalid, "currency_mismatch", "The payment is in another currency than the order.")
	errOrderUnknown  = apperr.New(apperr.KindNotFound, "order_unknown", "There is no such order.")
	// errSurplus stops what a second payment for one order would do; the payment
	// itself was noted and goes back.
	errSurplus = errors.New("paid twice")
)

// completed takes a completed session of the provider: at the first time it completes
// the session, later it changes nothing. A second payment for one session goes back.
func (s *Service) completed(ctx context.Context, tx Tx, page provider.Session) error {
	if strings.HasPrefix(page.Reference, methodReference) {
		return s.saved(ctx, tx, page)
	}
	known, err := tx.CheckoutOfProvider(ctx, s.Provider.Name(), page.ID)
	if apperr.IsKind(err, apperr.KindNotFound) {
		return errNotOurs
	}
	if err != nil {
		return err
	}
	c, err := tx.LockCheckout(ctx, known.ID)
	if err != nil {
		return err
	}
	plan, err := tx.Plan(ctx, c.PlanID)
	if err != nil {
		return err
	}
	if page.Payment != nil {
		switch {
		case page.Payment.State != provider.PaymentSucceeded:
			return s.declined(ctx, tx, c, plan, *page.Payment)
		case page.Payment.Currency != c.Currency:
			return errOtherCurrency
		case page.Payment.Amount != c.DueNow:
			return errOtherAmount
		}
	} else if c.DueNow > 0 {
		return errOtherAmount
	}
	if c.State.Is(CheckoutCompleted) {
		return s.again(ctx, tx, c, plan, page.Payment)
	}
	return s.complete(ctx, tx, &c, plan, page.Payment, page.Method)
}

// again is a completed session that is told of once more.
func (s *Service) again(ctx context.Context, tx Tx, c Checkout, plan Plan, p *provider.Payment) error {
	if p == nil {
		return nil
	}
	o, err := tx.OrderOfSession(ctx, c.ID)
	if err != nil || o == nil {
		return err
	}
	return s.surplus(ctx, tx, *o, plan, *p)
}

// surplus notes money for which nothing was due, and sends it back. The same payment
// again is nothing new.
func (s *Service) surplus(ctx context.Context, tx Tx, o Order, _ Plan, p provider.Payment) error {
	row := s.payment(o, p, nil)
	row.State = PaymentSurplus
	fresh, err := tx.InsertPayment(ctx, row)
	if err != nil || !fresh {
		return err
	}
	if err := s.book(ctx, tx, o, "surplus", row.ID, line{accountClearing, p.Amount}, line{accountUnallocated, -p.Amount}); err != nil {
		return err
	}
	_, err = tx.Enqueue(ctx, JobReturnSurplus, PaymentJob{row.ID}, work.JobOptions{TenantID: o.TenantID, Key: row.ID.String()})
	return err
}

func (s *Service) payment(o Order, p provider.Payment, instalment *int) Payment {
	return Payment{
		ID: s.NewID(), TenantID: o.TenantID, OrderID: o.ID, Provider: s.Provider.Name(), ProviderPayment: p.ID, Instalment: instalment,
		Amount: p.Amount, Currency: p.Currency, State: p.State, Failure: p.Failure, CreatedAt: s.Now(),
	}
}

// complete ends a session with what was bought: the first payment (nil where nothing
// was due), the coupon, the invoice, and the rights. Late is right too: the seat is
// then taken if one is free, and otherwise all goes back (rule 35).
func (s *Service) complete(ctx context.Context, tx Tx, c *Checkout, plan Plan, p *provider.Payment, m *provider.Method) error {
	now := s.Now()
	late := c.State.Is(CheckoutExpired)
	if err := c.State.To(CheckoutCompleted); err != nil {
		return err
	}
	c.CompletedAt, c.UpdatedAt = &now, now
	if err := tx.UpdateCheckout(ctx, c); err != nil {
		return err
	}
	couponLost, err := s.redeem(ctx, tx, *c, now)
	if err != nil {
		return err
	}
	if m != nil {
		if err := s.keepMethod(ctx, tx, *c, *m, now); err != nil {
			return err
		}
	}
	if c.Quote.TrialUntil != nil {
		_, err := s.subscribe(ctx, tx, *c, plan, nil, now)
		return err
	}
	o, err := tx.OrderOfSession(ctx, c.ID)
	if err != nil {
		return err
	}
	if o == nil {
		return apperr.Internal(errors.New("an open session without its order"))
	}
	if plan.Kind == events.PlanSubscription {
		end := plan.Period().After(now, 1)
		o.PeriodStart, o.PeriodEnd = &now, &end
	}
	if err := s.paid(ctx, tx, o, plan, p); err != nil {
		return err
	}
	if err := s.give(ctx, tx, *c, o, plan, now); err != nil {
		return err
	}
	if late && couponLost {
		// The price was one that is no longer to be had.
		return s.refundAll(ctx, tx, *o, "coupon_used_up")
	}
	return nil
}

// redeem counts the coupon as used; true when it was lost to others meanwhile.
func (s *Service) redeem(ctx context.Context, tx Tx, c Checkout, now time.Time) (lost bool, err error) {
	use, err := tx.CouponUse(ctx, c.ID)
	if err != nil || use == nil {
		return false, err
	}
	if use.State.Is(UseReleased) {
		coupon, err := tx.Coupon(ctx, use.CouponID)
		if err != nil {
			return false, err
		}
		if coupon.MaxUses != nil && coupon.Uses >= *coupon.MaxUses { // its row is locked
			return true, nil
		}
		if err := use.State.To(UseReserved); err != nil {
			return false, err
		}
		use.UpdatedAt = now
		if err := tx.UpdateCouponUse(ctx, *use); err != nil {
			return false, err
		}
	}
	if err := use.State.To(UseRedeemed); err != nil {
		return false, err
	}
	use.UpdatedAt = now
	return false, tx.UpdateCouponUse(ctx, *use)
}

func (s *Service) keepMethod(ctx context.Context, tx Tx, c Checkout, m provider.Method, now time.Time) error {
	known, err := tx.MethodOfProvider(ctx, s.Provider.Name(), m.ID)
	if err != nil || known != nil {
		return err
	}
	row := PaymentMethod{
		ID: s.NewID(), TenantID: c.TenantID, UserID: c.UserID, Provider: s.Provider.Name(), ProviderMethod: m.ID, Brand: m.Brand, Last4: m.Last4, CreatedAt: now,
	}
	if err := tx.InsertMethod(ctx, row); err != nil {
		return err
	}
	return tx.PreferMethod(ctx, c.UserID, row.ID)
}

// paid takes a payment of an order, or that nothing is due (nil). The first one makes
// the invoice.
func (s *Service) paid(ctx context.Context, tx Tx, o *Order, plan Plan, p *provider.Payment) error {
	now := s.Now()
	first := o.PaidAt == nil
	var instalment *Instalment
	if list, err := tx.Instalments(ctx, o.ID); err != nil {
		return err
	} else if len(list) > 0 {
		if instalment = nextInstalment(list); instalment == nil {
			return apperr.Internal(errors.New("all instalments are paid"))
		}
	}
	var row Payment
	var tax int64
	if p != nil {
		var n *int
		if instalment != nil {
			n = &instalment.N
		}
		row = s.payment(*o, *p, n)
		if fresh, err := tx.InsertPayment(ctx, row); err != nil || !fresh {
			return errors.Join(err, errWhen(!fresh, errSurplus))
		}
		tax = stepTax(*o, o.Paid, o.Paid+p.Amount)
		o.Paid += p.Amount // as the database has just done
	}
	if instalment != nil {
		if err := instalment.State.To(InstalmentPaid); err != nil {
			return err
		}
		instalment.PaidAt, instalment.NextTryAt = &now, nil
		if err := tx.UpdateInstalment(ctx, *instalment); err != nil {
			return err
		}
	}
	if err := o.settle(now); err != nil {
		return err
	}
	if err := tx.UpdateOrder(ctx, o); err != nil {
		return err
	}
	if first {
		if err := s.invoice(ctx, tx, *o, plan, now); err != nil {
			return err
		}
	}
	if p == nil || p.Amount == 0 {
		return nil
	}
	if err := s.book(ctx, tx, *o, "payment", row.ID, line{accountClearing, p.Amount}, line{accountReceivable, -p.Amount}); err != nil {
		return err
	}
	e := events.PaymentSucceeded{OrderState: orderEvent(*o, plan, p.Amount, tax, now), PaymentID: row.ID}
	if instalment != nil {
		e.Instalment = instalment.N
		if first {
			if err := s.scheduleRest(ctx, tx, o.ID); err != nil {
				return err
			}
		}
	}
	return emit(ctx, tx, e, e.Commerce)
}

func errWhen(bad bool, err error) error {
	if bad {
		return err
	}
	return nil
}

// settle moves an order to where its payments have brought it.
func (o *Order) settle(now time.Time) error {
	if o.PaidAt == nil {
		o.PaidAt = &now
	}
	o.UpdatedAt = now
	next := OrderPaying
	if o.Paid == o.Total {
		next = OrderPaid
	}
	if o.State.Is(next) {
		return nil
	}
	return o.State.To(next)
}

// give hands out what was bought.
func (s *Service) give(ctx context.Context, tx Tx, c Checkout, o *Order, plan Plan, now time.Time) error {
	switch {
	case o.Kind == events.OrderSeats:
		return s.openPool(ctx, tx, *o, plan, now)
	case plan.Kind == events.PlanSubscription:
		sub, err := s.subscribe(ctx, tx, c, plan, o, now)
		if err != nil {
			return err
		}
		o.SubscriptionID = &sub.ID
		return tx.UpdateOrder(ctx, o)
	}
	until := accessUntil(plan, now)
	for _, course := range plan.Courses {
		if err := s.grant(ctx, tx, Entitlement{UserID: o.UserID, CourseID: course.CourseID, OrderID: &o.ID, ValidUntil: until}, plan, &c.ID, now); err != nil {
			return err
		}
	}
	return nil
}

func accessUntil(plan Plan, now time.Time) *time.Time {
	if plan.AccessDays == nil {
		return nil
	}
	until := now.AddDate(0, 0, *plan.AccessDays)
	return &until
}

// declined tells of a payment that the buyer tried and that failed; the page stands
// for another try.
func (s *Service) declined(ctx context.Context, tx Tx, c Checkout, plan Plan, p provider.Payment) error {
	o, err := tx.OrderOfSession(ctx, c.ID)
	if err != nil || o == nil {
		return err
	}
	row := s.payment(*o, p, nil)
	row.State = PaymentFailed
	fresh, err := tx.InsertPayment(ctx, row)
	if err != nil || !fresh {
		return err
	}
	e := events.PaymentFailed{OrderState: orderEvent(*o, plan, p.Amount, 0, row.CreatedAt), Failure: p.Failure}
	return emit(ctx, tx, e, e.Commerce)
}

// charged takes the answer to a charge of an order that was made while the buyer was
// away, from the call or from a webhook, whichever is first.
func (s *Service) charged(ctx context.Context, tx Tx, order uuid.UUID, p provider.Payment) error {
	o, err := lockOrder(ctx, tx, order)
	if apperr.IsKind(err, apperr.KindNotFound) {
		return errOrderUnknown
	}
	if err != nil {
		return err
	}
	if p.Currency != o.Currency {
		return errOtherCurrency
	}
	plan, err := tx.Plan(ctx, o.PlanID)
	if err != nil {
		return err
	}
	known, err := tx.PaymentsByProvider(ctx, s.Provider.Name(), []string{p.ID})
	if err != nil || len(known) > 0 {
		return err
	}
	list, err := tx.Instalments(ctx, o.ID)
	if err != nil {
		return err
	}
	want := o.Total - o.Paid
	next := nextInstalment(list)
	if next != nil {
		want = next.Amount
	}
	switch {
	case p.State != provider.PaymentSucceeded:
		return s.chargeFailed(ctx, tx, o, plan, next, p)
	case want == 0 || o.State.Is(OrderCanceled, OrderRefunded, OrderDefaulted):
		return s.surplus(ctx, tx, o, plan, p)
	case p.Amount != want:
		return errOtherAmount
	}
	if err := s.paid(ctx, tx, &o, plan, &p); err != nil {
		return err
	}
	switch o.Kind {
	case events.OrderRenewal:
		return s.renewed(ctx, tx, o, plan)
	case events.OrderChange:
		return s.changed(ctx, tx, o, plan)
	}
	return nil
}

func (s *Service) chargeFailed(ctx context.Context, tx Tx, o Order, plan Plan, next *Instalment, p provider.Payment) error {
	var n *int
	if next != nil {
		n = &next.N
	}
	row := s.payment(o, p, n)
	row.State = PaymentFailed
	if _, err := tx.InsertPayment(ctx, row); err != nil {
		return err
	}
	e := events.PaymentFailed{OrderState: orderEvent(o, plan, p.Amount, 0, row.CreatedAt), Failure: p.Failure}
	var err error
	switch {
	case o.Kind == events.OrderRenewal:
		e.NextTryAt, err = s.renewalFailed(ctx, tx, o, plan, p.Failure)
	case o.Kind == events.OrderChange:
		err = s.changeFailed(ctx, tx, o)
	case next != nil:
		e.Instalment = next.N
		e.NextTryAt, err = s.instalmentFailed(ctx, tx, o, plan, *next)
	}
	if err != nil {
		return err
	}
	return emit(ctx, tx, e, e.Commerce)
}
