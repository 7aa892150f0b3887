package billing

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
	"lms/shared/work"
)

// askSeats asks enrollment to hold a seat in every course, in place of holds that the
// person gives up.
func (s *Service) askSeats(ctx context.Context, tx Tx, c Checkout, plan Plan, replaced map[uuid.UUID][]uuid.UUID) ([]uuid.UUID, error) {
	var calls []uuid.UUID
	for _, course := range plan.CourseIDs() {
		h := Hold{ID: s.NewID(), SessionID: c.ID, CourseID: course, TenantID: c.TenantID, UserID: c.UserID, State: Begin(HoldAsked), UpdatedAt: c.CreatedAt}
		if err := tx.InsertHold(ctx, h); err != nil {
			return nil, err
		}
		call, err := tx.Call(ctx, work.Call{To: "enrollment", Name: internalapi.CallSeatHold, Key: h.ID.String(), TenantID: c.TenantID, Body: internalapi.SeatHold{
			HoldID: h.ID, CourseID: course, UserID: c.UserID, ExpiresAt: c.ExpiresAt.Add(s.Settings.HoldGrace), Replaces: replaced[course],
		}})
		if err != nil {
			return nil, err
		}
		calls = append(calls, call)
	}
	return calls, nil
}

// SeatAnswer is enrollment's answer to a hold.
type SeatAnswer struct {
	Held      bool
	Code      string
	ExpiresAt *time.Time
	Missing   []uuid.UUID
}

// HoldAnswered takes the answer to a hold into its session: one refusal refuses the
// session, gives the other seats back and frees the coupon.
func (s *Service) HoldAnswered(ctx context.Context, tx Tx, id uuid.UUID, a SeatAnswer) error {
	now := s.Now()
	h, err := tx.Hold(ctx, id)
	if apperr.IsKind(err, apperr.KindNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	c, err := tx.LockCheckout(ctx, h.SessionID)
	if err != nil {
		return err
	}
	if h, err = tx.Hold(ctx, id); err != nil || !h.State.Is(HoldAsked) {
		return err
	}
	h.UpdatedAt, h.ExpiresAt = now, a.ExpiresAt
	if a.Held {
		if err := h.State.To(HoldHeld); err != nil {
			return err
		}
		return tx.UpdateHold(ctx, h)
	}
	if err := h.State.To(HoldRefused); err != nil {
		return err
	}
	if err := tx.UpdateHold(ctx, h); err != nil {
		return err
	}
	if !c.State.Is(CheckoutPreparing) {
		return nil
	}
	if err := c.State.To(CheckoutRefused); err != nil {
		return err
	}
	c.Refusal, c.Missing, c.UpdatedAt = a.Code, a.Missing, now
	if c.Refusal == "" {
		c.Refusal = "course_unavailable"
	}
	if c.Missing == nil {
		c.Missing = []uuid.UUID{}
	}
	if err := tx.UpdateCheckout(ctx, &c); err != nil {
		return err
	}
	return s.letGo(ctx, tx, c)
}

// handOver leaves the seats of a session to the newer one of the same person and plan,
// whose holds replace them: to release them first would give a racer the seat in
// between. The seats of courses that left the plan meanwhile are given back as usual.
func (s *Service) handOver(ctx context.Context, tx Tx, c Checkout, plan Plan, replaced map[uuid.UUID][]uuid.UUID) error {
	holds, err := tx.Holds(ctx, c.ID)
	if err != nil {
		return err
	}
	courses := plan.CourseIDs()
	for _, h := range holds {
		if !h.State.Is(HoldAsked, HoldHeld) || !slices.Contains(courses, h.CourseID) {
			continue
		}
		if err := s.released(ctx, tx, h); err != nil {
			return err
		}
		replaced[h.CourseID] = append(replaced[h.CourseID], h.ID)
	}
	return nil
}

func (s *Service) released(ctx context.Context, tx Tx, h Hold) error {
	if err := h.State.To(HoldReleased); err != nil {
		return err
	}
	h.UpdatedAt = s.Now()
	return tx.UpdateHold(ctx, h)
}

// letGo gives back what a session has reserved.
func (s *Service) letGo(ctx context.Context, tx Tx, c Checkout) error {
	now := s.Now()
	holds, err := tx.Holds(ctx, c.ID)
	if err != nil {
		return err
	}
	for _, h := range holds {
		if !h.State.Is(HoldAsked, HoldHeld) {
			continue
		}
		if err := s.released(ctx, tx, h); err != nil {
			return err
		}
		if _, err := tx.Call(ctx, work.Call{
			To: "enrollment", Name: internalapi.CallSeatRelease, Key: h.ID.String(), TenantID: c.TenantID,
			Body: internalapi.SeatRelease{HoldID: h.ID, CourseID: h.CourseID, UserID: h.UserID},
		}); err != nil {
			return err
		}
	}
	use, err := tx.CouponUse(ctx, c.ID)
	if err != nil || use == nil || !use.State.Is(UseReserved) {
		return err
	}
	if err := use.State.To(UseReleased); err != nil {
		return err
	}
	use.UpdatedAt = now
	return tx.UpdateCouponUse(ctx, *use)
}
