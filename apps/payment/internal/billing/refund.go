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

// Kinds of a refund.
const (
	RefundSelfService = "self_service"
	RefundStaff       = "staff"
	RefundAutomatic   = "automatic"
)

// Background jobs.
const (
	JobRefund        = "refund"
	JobReturnSurplus = "return-surplus"
	JobReconcile     = "reconcile"
)

// RefundJob names a refund to make.
type RefundJob struct {
	RefundID uuid.UUID `json:"refund_id"`
}

// PaymentJob names a payment to give back.
type PaymentJob struct {
	PaymentID uuid.UUID `json:"payment_id"`
}

// NewRefund asks for money back. Amount is nil for all that is left.
type NewRefund struct {
	OrderID uuid.UUID
	Amount  *int64
	Reason  string
	Note    string
	// EndAccess is staff's choice; nil is by rule 33.
	EndAccess *bool
}

var (
	errNothingLeft  = apperr.Conflict("refund_exceeds_paid", "That is more than is left of what was paid.")
	errWindowOver   = apperr.Conflict("refund_window_closed", "The time for a refund is over. Ask the organisation.")
	errCertified    = apperr.Conflict("refund_certified", "A certificate was issued: the organisation decides about a refund.")
	errPartOnly     = apperr.Forbidden("A part is refunded by the organisation only.")
	errNotRefundble = apperr.Conflict("not_refundable", "The organisation decides about a refund of this.")
)

// RequestRefund gives money back: to the buyer who asks in time, or by staff, who may
// choose (rule 33). The refund is made at once, and again until it is done.
func (s *Service) RequestRefund(ctx context.Context, actor authz.Principal, in NewRefund) (Refund, error) {
	o, plan, err := s.refundable(ctx, actor, in.OrderID)
	if err != nil {
		return Refund{}, err
	}
	policy, err := s.policy(ctx, actor, o.OrgUnitID)
	if err != nil {
		return Refund{}, err
	}
	staff := policy.Allows(actor, authz.RefundCreate, o.OrgUnitID)
	facts, err := s.factsOf(ctx, o, plan)
	if err != nil {
		return Refund{}, err
	}
	if !staff {
		if in.EndAccess != nil {
			return Refund{}, errPartOnly
		}
		if err := selfService(o, plan, in, facts, s.Now()); err != nil {
			return Refund{}, err
		}
	}
	var r Refund
	err = s.Store.InTx(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &r, func() error {
			o, err := lockOrder(ctx, tx, in.OrderID)
			if err != nil {
				return err
			}
			amount := o.Paid - o.Refunded
			if in.Amount != nil {
				amount = *in.Amount
			}
			if amount <= 0 || amount > o.Paid-o.Refunded {
				return errNothingLeft.Detail("refundable", o.Paid-o.Refunded)
			}
			full := o.Refunded+amount == o.Paid
			r = Refund{Kind: RefundSelfService, Amount: amount, Reason: in.Reason, Note: in.Note, EndAccess: full, RequestedBy: &actor.UserID}
			if staff {
				r.Kind = RefundStaff
				r.EndAccess = full && !facts.EverCertified
				if in.EndAccess != nil {
					r.EndAccess = *in.EndAccess
				}
			}
			if err := s.startRefund(ctx, tx, o, &r); err != nil {
				return err
			}
			return audit(ctx, tx, "refund.create", "refund", r.ID, r.TenantID, r.OrgUnitID, map[string]work.Change{"amount": {To: amount}, "order_id": {To: o.ID}})
		})
	})
	if err != nil {
		return r, err
	}
	if done, err := s.ProcessRefund(ctx, r.ID); err == nil {
		r = done // otherwise the job goes on with it
	}
	return r, nil
}

func (s *Service) refundable(ctx context.Context, actor authz.Principal, id uuid.UUID) (o Order, plan Plan, err error) {
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		if o, err = tx.Order(ctx, id); err != nil {
			return err
		}
		plan, err = tx.Plan(ctx, o.PlanID)
		return err
	})
	if err != nil {
		return o, plan, err
	}
	if err := s.owns(ctx, actor, o.UserID, o.OrgUnitID, authz.RefundCreate, "order"); err != nil {
		return o, plan, err
	}
	if o.PaidAt == nil {
		return o, plan, errNothingLeft.Detail("refundable", 0)
	}
	return o, plan, nil
}

// factsOf gathers what enrollment knows over all courses of an order: a certificate of
// any, and the latest start.
func (s *Service) factsOf(ctx context.Context, o Order, plan Plan) (RefundFacts, error) {
	var out RefundFacts
	if o.Kind == events.OrderSeats {
		return out, nil
	}
	for _, c := range plan.Courses {
		f, err := s.Facts.RefundFacts(ctx, c.CourseID, o.UserID)
		if err != nil {
			return out, err
		}
		out.EverCertified = out.EverCertified || f.EverCertified
		if f.CourseStartsAt != nil && (out.CourseStartsAt == nil || f.CourseStartsAt.After(*out.CourseStartsAt)) {
			out.CourseStartsAt = f.CourseStartsAt
		}
	}
	return out, nil
}

// selfService is rule 33 for the buyer: all of it, no certificate was ever issued, and
// now ≤ max(paid at, course start or paid at) + window.
func selfService(o Order, plan Plan, in NewRefund, facts RefundFacts, now time.Time) error {
	if o.Kind != events.OrderPurchase {
		return errNotRefundble
	}
	if in.Amount != nil && *in.Amount > 0 && *in.Amount < o.Paid-o.Refunded {
		return errPartOnly
	}
	if facts.EverCertified {
		return errCertified
	}
	from := *o.PaidAt
	if facts.CourseStartsAt != nil && facts.CourseStartsAt.After(from) {
		from = *facts.CourseStartsAt
	}
	if until := from.AddDate(0, 0, plan.RefundDays); now.After(until) {
		return errWindowOver.Detail("until", until)
	}
	return nil
}

// startRefund writes a refund, spread over the payments of the order, the newest
// first. The database holds Σ refunds ≤ paid.
func (s *Service) startRefund(ctx context.Context, tx Tx, o Order, r *Refund) error {
	now := s.Now()
	r.ID, r.TenantID, r.OrgUnitID, r.OrderID, r.UserID, r.Currency = s.NewID(), o.TenantID, o.OrgUnitID, o.ID, o.UserID, o.Currency
	r.State, r.CreatedAt, r.UpdatedAt, r.Version = Begin(RefundPending), now, now, 1
	r.Tax = stepTax(o, o.Refunded, o.Refunded+r.Amount)
	if err := tx.InsertRefund(ctx, *r); err != nil {
		return err
	}
	payments, err := tx.Payments(ctx, o.ID)
	if err != nil {
		return err
	}
	left := r.Amount
	for i := len(payments) - 1; i >= 0 && left > 0; i-- {
		p := payments[i]
		if p.State != PaymentSucceeded {
			continue
		}
		part := min(left, p.Amount-p.Refunded)
		if part <= 0 {
			continue
		}
		left -= part
		if err := tx.InsertRefundPart(ctx, RefundPart{ID: s.NewID(), RefundID: r.ID, PaymentID: p.ID, TenantID: r.TenantID, Amount: part}); err != nil {
			return err
		}
	}
	if left > 0 {
		return errNothingLeft.Detail("refundable", r.Amount-left)
	}
	_, err = tx.Enqueue(ctx, JobRefund, RefundJob{r.ID}, work.JobOptions{TenantID: r.TenantID, Key: r.ID.String(), RunAt: now.Add(refundPatience)})
	return err
}

// refundPatience is how long a refund made in a request is left to it before the job
// looks after it.
const refundPatience = 5 * time.Second

// refundAll gives back by itself all that is left of an order: what could not be
// delivered is not kept (rule 35). An order that cost nothing only loses its rights.
func (s *Service) refundAll(ctx context.Context, tx Tx, o Order, reason string) error {
	amount := o.Paid - o.Refunded
	if amount <= 0 {
		plan, err := tx.Plan(ctx, o.PlanID)
		if err != nil {
			return err
		}
		return s.endAccess(ctx, tx, o, plan, reason, false, s.Now())
	}
	r := Refund{Kind: RefundAutomatic, Amount: amount, Reason: reason, EndAccess: true}
	return s.startRefund(ctx, tx, o, &r)
}

// ProcessRefund asks the provider for what is open of a refund and books it. It may
// be run again at any time, and by several at once.
func (s *Service) ProcessRefund(ctx context.Context, id uuid.UUID) (Refund, error) {
	type asked struct {
		part    RefundPart
		payment Payment
	}
	var r Refund
	var todo []asked
	err := s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) (err error) {
		if r, err = tx.Refund(ctx, id); err != nil {
			return err
		}
		parts, err := tx.RefundParts(ctx, id)
		if err != nil {
			return err
		}
		for _, p := range parts {
			if p.ProviderRefund != "" {
				continue
			}
			payment, err := tx.Payment(ctx, p.PaymentID)
			if err != nil {
				return err
			}
			todo = append(todo, asked{p, payment})
		}
		return nil
	})
	if err != nil || !r.State.Is(RefundPending) {
		return r, err
	}
	for _, a := range todo {
		done, err := s.Provider.Refund(ctx, provider.NewRefund{
			Key: a.part.ID.String(), Payment: a.payment.ProviderPayment, Amount: a.part.Amount, Currency: r.Currency,
			Metadata: provider.Metadata{TenantID: r.TenantID.String(), OrderID: r.OrderID.String()},
		})
		if apperr.Deterministic(err) {
			return s.refundFailed(ctx, id, apperr.Code(err))
		}
		if err != nil {
			return r, err
		}
		if err := s.system(ctx, func(ctx context.Context, tx Tx) error { return tx.SetProviderRefund(ctx, a.part.ID, done.ID) }); err != nil {
			return r, err
		}
	}
	return s.finishRefund(ctx, id)
}

func (s *Service) refundFailed(ctx context.Context, id uuid.UUID, failure string) (r Refund, err error) {
	err = s.system(ctx, func(ctx context.Context, tx Tx) error {
		if r, err = tx.LockRefund(ctx, id); err != nil || !r.State.Is(RefundPending) {
			return err
		}
		if err := r.State.To(RefundFailed); err != nil {
			return err
		}
		r.Failure, r.UpdatedAt = failure, s.Now()
		return tx.UpdateRefund(ctx, &r)
	})
	return r, err
}

// finishRefund books a refund that the provider has made, once.
func (s *Service) finishRefund(ctx context.Context, id uuid.UUID) (r Refund, err error) {
	err = s.system(ctx, func(ctx context.Context, tx Tx) error {
		if r, err = tx.Refund(ctx, id); err != nil {
			return err
		}
		o, err := lockOrder(ctx, tx, r.OrderID)
		if err != nil {
			return err
		}
		if r, err = tx.LockRefund(ctx, id); err != nil || !r.State.Is(RefundPending) {
			return err
		}
		plan, err := tx.Plan(ctx, o.PlanID)
		if err != nil {
			return err
		}
		now := s.Now()
		if err := r.State.To(RefundSucceeded); err != nil {
			return err
		}
		r.CompletedAt, r.UpdatedAt = &now, now
		if err := tx.UpdateRefund(ctx, &r); err != nil {
			return err
		}
		return s.refundBooked(ctx, tx, o, plan, r, now)
	})
	return r, err
}

func (s *Service) refundBooked(ctx context.Context, tx Tx, o Order, plan Plan, r Refund, now time.Time) error {
	all, err := tx.RefundsOf(ctx, o.ID)
	if err != nil {
		return err
	}
	var done int64
	for _, x := range all {
		if x.State.Is(RefundSucceeded) {
			done += x.Amount
		}
	}
	if err := s.creditNote(ctx, tx, o, plan, r, now); err != nil {
		return err
	}
	if err := s.book(ctx, tx, o, "refund", r.ID, line{accountReceivable, r.Amount}, line{accountClearing, -r.Amount}); err != nil {
		return err
	}
	full := done == o.Paid
	if err := s.refundState(ctx, tx, &o, full, now); err != nil {
		return err
	}
	e := events.PaymentRefunded{
		OrderState: orderEvent(o, plan, r.Amount, r.Tax, now), RefundID: r.ID, RefundKind: r.Kind, Reason: r.Reason, AccessEnds: r.EndAccess,
	}
	if err := emit(ctx, tx, e, e.Commerce); err != nil {
		return err
	}
	if !r.EndAccess && !full {
		return nil
	}
	return s.endAccess(ctx, tx, o, plan, ReasonRefund, !r.EndAccess, now)
}

// refundState moves the order; what is still owed of one that went back in full is
// written off.
func (s *Service) refundState(ctx context.Context, tx Tx, o *Order, full bool, now time.Time) error {
	next := OrderPartiallyRefunded
	if full {
		next = OrderRefunded
		if err := s.writeOff(ctx, tx, *o, now); err != nil {
			return err
		}
	}
	if o.State.Is(next) || !full && o.State.Is(OrderPaying, OrderDefaulted) {
		return nil
	}
	if err := o.State.To(next); err != nil {
		return err
	}
	o.UpdatedAt = now
	return tx.UpdateOrder(ctx, o)
}

// endAccess ends every right that an order gave, or lets its people stay (rule 33).
func (s *Service) endAccess(ctx context.Context, tx Tx, o Order, plan Plan, reason string, keep bool, now time.Time) error {
	switch {
	case o.Kind == events.OrderSeats:
		pool, err := tx.PoolOfOrder(ctx, o.ID)
		if err != nil || pool == nil || keep {
			return err
		}
		return s.closePool(ctx, tx, *pool, reason, now)
	case o.SubscriptionID != nil:
		sub, err := tx.LockSubscription(ctx, *o.SubscriptionID)
		if err != nil || keep {
			return err
		}
		return s.end(ctx, tx, &sub, plan, "refunded", now)
	}
	list, err := tx.EntitlementsOfOrder(ctx, o.ID)
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := s.revoke(ctx, tx, e, plan, reason, keep, now); err != nil {
			return err
		}
	}
	return nil
}

// ReturnSurplus gives a payment back for which nothing was due.
func (s *Service) ReturnSurplus(ctx context.Context, id uuid.UUID) error {
	var p Payment
	err := s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) (err error) {
		p, err = tx.Payment(ctx, id)
		return err
	})
	if err != nil {
		return err
	}
	_, err = s.Provider.Refund(ctx, provider.NewRefund{
		Key: p.ID.String(), Payment: p.ProviderPayment, Amount: p.Amount, Currency: p.Currency,
		Metadata: provider.Metadata{TenantID: p.TenantID.String(), OrderID: p.OrderID.String()},
	})
	if err != nil {
		return err
	}
	return s.system(ctx, func(ctx context.Context, tx Tx) error {
		o, err := tx.LockOrder(ctx, p.OrderID)
		if err != nil {
			return err
		}
		done, err := tx.MarkReturned(ctx, p.ID)
		if err != nil || !done {
			return err
		}
		return s.book(ctx, tx, o, "surplus_returned", p.ID, line{accountUnallocated, p.Amount}, line{accountClearing, -p.Amount})
	})
}

// sweepRefunds goes on with refunds whose process died, and whose job with it.
func (s *Service) sweepRefunds(ctx context.Context) error {
	return s.eachDue(ctx, func(ctx context.Context, tx Tx, skip []uuid.UUID, limit int) ([]uuid.UUID, error) {
		return tx.PendingRefunds(ctx, s.Now().Add(-stuckAfter), skip, limit)
	}, func(ctx context.Context, id uuid.UUID) error {
		_, err := s.ProcessRefund(ctx, id)
		return err
	})
}

// Refund reads a refund; its buyer may, and who may read orders.
func (s *Service) Refund(ctx context.Context, actor authz.Principal, id uuid.UUID) (r Refund, err error) {
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		r, err = tx.Refund(ctx, id)
		return err
	})
	if err != nil {
		return r, err
	}
	return r, s.owns(ctx, actor, r.UserID, r.OrgUnitID, authz.OrderRead, "refund")
}

// RefundsOfOrder lists the refunds of an order.
func (s *Service) RefundsOfOrder(ctx context.Context, actor authz.Principal, id uuid.UUID, p page.Request) (out page.Page[Refund], err error) {
	if _, err := s.Order(ctx, actor, id); err != nil {
		return out, err
	}
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		out, err = tx.Refunds(ctx, id, p)
		return err
	})
	return out, err
}

// CreditNotes lists credit notes.
func (s *Service) CreditNotes(ctx context.Context, actor authz.Principal, user *uuid.UUID, everybody bool, f DocumentFilter, p page.Request) (out page.Page[CreditNote], err error) {
	if f.Reach, err = s.reach(ctx, actor, user, everybody, authz.OrderRead); err != nil {
		return out, err
	}
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		out, err = tx.CreditNotes(ctx, f, p)
		return err
	})
	return out, err
}
