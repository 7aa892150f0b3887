package billing

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/work"
)

// Reasons why a right ended.
const (
	ReasonRefund        = "refund"
	ReasonSubscription  = "subscription_ended"
	ReasonDefault       = "payment_default"
	ReasonTakenBack     = "seat_taken_back"
	ReasonPlanChanged   = "plan_changed"
	ReasonPersonDeleted = "person_deleted"
)

// grant gives a right and tells enrollment, which takes a seat in the same step; the
// seat that session held, if one was held.
func (s *Service) grant(ctx context.Context, tx Tx, e Entitlement, plan Plan, session *uuid.UUID, now time.Time) error {
	e.ID, e.TenantID, e.OrgUnitID, e.PlanID = s.NewID(), plan.TenantID, plan.OrgUnitID, plan.ID
	e.State, e.ValidFrom, e.Told, e.CreatedAt, e.UpdatedAt, e.Version = Begin(EntitlementGranted), now, ToldPending, now, now, 1
	if session != nil {
		hold, err := s.useHold(ctx, tx, *session, e.CourseID, now)
		if err != nil {
			return err
		}
		e.HoldID = hold
	}
	if err := tx.InsertEntitlement(ctx, e); err != nil {
		return err
	}
	if err := s.tellEntitlement(ctx, tx, e, true); err != nil {
		return err
	}
	m := entitlementEvent(e, plan, now)
	return emit(ctx, tx, events.EntitlementGranted{EntitlementState: m}, m.Commerce)
}

func (s *Service) useHold(ctx context.Context, tx Tx, session, course uuid.UUID, now time.Time) (*uuid.UUID, error) {
	holds, err := tx.Holds(ctx, session)
	if err != nil {
		return nil, err
	}
	for _, h := range holds {
		if h.CourseID != course || !h.State.Is(HoldHeld, HoldReleased) {
			continue
		}
		if err := h.State.To(HoldUsed); err != nil {
			return nil, err
		}
		h.UpdatedAt = now
		return &h.ID, tx.UpdateHold(ctx, h)
	}
	return nil, nil //nolint:nilnil // no seat was held
}

// tellEntitlement says to enrollment all there is to say of a right.
func (s *Service) tellEntitlement(ctx context.Context, tx Tx, e Entitlement, enroll bool) error {
	_, err := tx.Call(ctx, work.Call{
		To: "enrollment", Name: internalapi.CallEntitlement, Key: e.ID.String(), TenantID: e.TenantID,
		Body: internalapi.Entitlement{
			EntitlementID: e.ID, UserID: e.UserID, CourseID: e.CourseID, State: string(e.State.At()), ValidFrom: &e.ValidFrom,
			ValidUntil: e.ValidUntil, Enroll: enroll, HoldID: e.HoldID, KeepAccess: e.KeepAccess, Reason: e.Reason,
		},
	})
	return err
}

func entitlementEvent(e Entitlement, plan Plan, at time.Time) events.EntitlementState {
	currency := ""
	if len(plan.Prices) > 0 {
		currency = plan.Prices[0].Currency
	}
	m := commerce(plan, e.TenantID, e.UserID, 1, currency, at)
	m.CourseID, m.CourseIDs, m.CourseTitle = e.CourseID, []uuid.UUID{e.CourseID}, ""
	for _, c := range plan.Courses {
		if c.CourseID == e.CourseID {
			m.CourseTitle = c.Title
		}
	}
	m.PeriodStart, m.PeriodEnd = &e.ValidFrom, e.ValidUntil
	return events.EntitlementState{
		Commerce: m, EntitlementID: e.ID, State: string(e.State.At()), OrderID: e.OrderID, SubscriptionID: e.SubscriptionID,
		ValidFrom: e.ValidFrom, ValidUntil: e.ValidUntil,
	}
}

// extend moves the end of a right.
func (s *Service) extend(ctx context.Context, tx Tx, e Entitlement, plan Plan, until *time.Time, now time.Time) error {
	if e.ValidUntil == nil && until == nil || e.ValidUntil != nil && until != nil && e.ValidUntil.Equal(*until) {
		return nil
	}
	e.ValidUntil, e.UpdatedAt = until, now
	if err := tx.UpdateEntitlement(ctx, &e); err != nil {
		return err
	}
	if err := s.tellEntitlement(ctx, tx, e, true); err != nil {
		return err
	}
	m := entitlementEvent(e, plan, now)
	return emit(ctx, tx, events.EntitlementChanged{EntitlementState: m}, m.Commerce)
}

// revoke ends a right; with keep the person stays in the course (rule 33). One that
// has ended is left alone.
func (s *Service) revoke(ctx context.Context, tx Tx, e Entitlement, plan Plan, reason string, keep bool, now time.Time) error {
	if e.State.Is(EntitlementRevoked) {
		return nil
	}
	if err := e.State.To(EntitlementRevoked); err != nil {
		return err
	}
	e.Reason, e.KeepAccess, e.UpdatedAt = reason, keep, now
	if err := tx.UpdateEntitlement(ctx, &e); err != nil {
		return err
	}
	if err := s.tellEntitlement(ctx, tx, e, false); err != nil {
		return err
	}
	m := entitlementEvent(e, plan, now)
	return emit(ctx, tx, events.EntitlementRevoked{EntitlementState: m, Reason: reason}, m.Commerce)
}

// RightAnswer is enrollment's answer to an entitlement.
type RightAnswer struct {
	Enrolled     bool
	Code         string
	EnrollmentID *uuid.UUID
	Certified    bool
}

// EntitlementAnswered takes the answer in. A right for which no seat was to be had
// goes, and with it the order in full (rule 35).
func (s *Service) EntitlementAnswered(ctx context.Context, tx Tx, id uuid.UUID, a RightAnswer) error {
	e, err := tx.Entitlement(ctx, id)
	if err != nil {
		return err
	}
	if err := lockSource(ctx, tx, e); err != nil {
		return err
	}
	if e, err = tx.LockEntitlement(ctx, id); err != nil {
		return err
	}
	now := s.Now()
	e.Certified = e.Certified || a.Certified
	if a.EnrollmentID != nil {
		e.EnrollmentID = a.EnrollmentID
	}
	e.UpdatedAt = now
	refused := false
	switch {
	case e.State.Is(EntitlementRevoked):
		if e.Told == ToldPending {
			e.Told = ToldKnown
		}
	case a.Enrolled:
		e.Told, e.Refusal = ToldEnrolled, ""
	case a.Code != "":
		refused = e.Told != ToldRefused
		e.Told, e.Refusal = ToldRefused, a.Code
	default:
		e.Told, e.Refusal = ToldKnown, ""
	}
	if err := tx.UpdateEntitlement(ctx, &e); err != nil || !refused {
		return err
	}
	return s.noSeat(ctx, tx, e, now)
}

// noSeat takes back what enrollment could not give.
func (s *Service) noSeat(ctx context.Context, tx Tx, e Entitlement, now time.Time) error {
	plan, err := tx.Plan(ctx, e.PlanID)
	if err != nil {
		return err
	}
	switch {
	case e.SeatID != nil:
		seat, err := tx.Seat(ctx, *e.SeatID)
		if err != nil {
			return err
		}
		return s.release(ctx, tx, seat, e.Refusal, now)
	case e.SubscriptionID != nil:
		sub, err := tx.LockSubscription(ctx, *e.SubscriptionID)
		if err != nil {
			return err
		}
		last, err := tx.LastPaidOrder(ctx, sub.ID)
		if err != nil {
			return err
		}
		if sub.PeriodN > 0 {
			return nil // it went on for a while: staff look at it
		}
		if err := s.end(ctx, tx, &sub, plan, e.Refusal, now); err != nil {
			return err
		}
		if last == nil {
			return nil
		}
		return s.refundAll(ctx, tx, *last, e.Refusal)
	}
	o, err := tx.LockOrder(ctx, *e.OrderID)
	if err != nil {
		return err
	}
	return s.refundAll(ctx, tx, o, e.Refusal)
}

// lockSource locks what a right comes from, which is always locked before it.
func lockSource(ctx context.Context, tx Tx, e Entitlement) (err error) {
	switch {
	case e.SeatID != nil:
		seat, err := tx.Seat(ctx, *e.SeatID)
		if err != nil {
			return err
		}
		_, err = tx.LockPool(ctx, seat.PoolID)
		return err
	case e.SubscriptionID != nil:
		_, err = tx.LockSubscription(ctx, *e.SubscriptionID)
	default:
		_, err = tx.LockOrder(ctx, *e.OrderID)
	}
	return err
}
