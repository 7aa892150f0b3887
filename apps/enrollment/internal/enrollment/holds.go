package enrollment

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/contracts/events"
)

// Codes of a refusal that payment is told; it is an answer, not an error.
const (
	RefusedUnavailable = "course_unavailable"
	RefusedNotInvited  = "not_invited"
	RefusedReleased    = "released"
	RefusedEnrolled    = "already_enrolled"
	RefusedFull        = "course_full"
	RefusedPerson      = "person_inactive"
)

// Held answers a hold: until when, or why not.
type Held struct {
	Until   *time.Time
	Code    string
	Missing []uuid.UUID
}

// HoldSeat keeps a seat during a checkout (rule 35). The same hold again moves its
// end; a hold that was released stays so. A person with an offer holds that seat. The
// seat of a replaced hold goes over to this one; where this one is refused it is free.
func (s *Service) HoldSeat(ctx context.Context, tx Tx, in Hold, replaces []uuid.UUID) (Held, error) {
	now := s.Now()
	st, err := tx.Standing(ctx, in.CourseID, in.UserID, now)
	if err != nil {
		return Held{}, err
	}
	known, err := tx.Hold(ctx, in.ID)
	if err != nil {
		return Held{}, err
	}
	code, missing := "", []uuid.UUID(nil)
	if known != nil && known.State != HoldHeld {
		code = map[string]string{HoldReleased: RefusedReleased, HoldUsed: RefusedEnrolled}[known.State]
	} else {
		code, missing = st.refuseHold(now)
	}
	var until time.Time
	if code == "" {
		if until, err = s.takeHold(ctx, tx, st, in, now); err != nil {
			return Held{}, err
		}
	}
	for _, id := range replaces {
		if _, err := s.ReleaseSeat(ctx, tx, Hold{ID: id, CourseID: in.CourseID, UserID: in.UserID}); err != nil {
			return Held{}, err
		}
	}
	if code != "" {
		return Held{Code: code, Missing: missing}, nil
	}
	return Held{Until: &until}, nil
}

// takeHold stores a hold that was found good, in place of another one of the person.
func (s *Service) takeHold(ctx context.Context, tx Tx, st Standing, in Hold, now time.Time) (until time.Time, err error) {
	if st.Held != nil && st.Held.ID != in.ID { // a second checkout takes the first one's place
		st.Held.State, st.Held.UpdatedAt = HoldReleased, now
		if err := tx.SaveHold(ctx, *st.Held); err != nil {
			return until, err
		}
	}
	until = in.ExpiresAt
	if latest := now.Add(s.Settings.HoldFor); until.After(latest) {
		until = latest
	}
	h := Hold{
		ID: in.ID, TenantID: st.Course.TenantID, CourseID: in.CourseID, UserID: in.UserID,
		State: HoldHeld, ExpiresAt: until, CreatedAt: now, UpdatedAt: now,
	}
	if err := tx.SaveHold(ctx, h); err != nil {
		return until, err
	}
	if err := s.prolongOffer(ctx, tx, st, until); err != nil {
		return until, err
	}
	if st.Held == nil && !st.offered() {
		st.Seats.Taken++
	}
	return until, s.tellSeats(ctx, tx, st.Course, st.Seats)
}

func (st Standing) offered() bool { return st.Existing != nil && st.Existing.State == Offered }

// prolongOffer lets an offer stand at least as long as the checkout.
func (s *Service) prolongOffer(ctx context.Context, tx Tx, st Standing, until time.Time) error {
	if !st.offered() || !until.After(*st.Existing.AnswerBy) {
		return nil
	}
	e := *st.Existing
	e.AnswerBy = &until
	return tx.UpdateEnrollment(ctx, &e)
}

// refuseHold runs the checks of enrolling for somebody who is about to pay.
func (st Standing) refuseHold(now time.Time) (string, []uuid.UUID) {
	e := Entry{Source: SourcePayment, WaiveEntitlement: true, NoWaitlist: true}
	if st.Existing != nil {
		e.WaivePrerequisites = st.Existing.WaivedPrerequisites
	}
	if err := st.again(e); err != nil {
		return RefusedEnrolled, nil
	}
	if err := st.Check(e, now); err != nil && !st.offered() {
		return refusal(err), st.Missing
	}
	if st.needsInvitation() {
		return RefusedNotInvited, nil
	}
	if _, err := st.Seat(e); err != nil {
		return refusal(err), nil
	}
	return "", nil
}

// needsInvitation: where staff decide who comes in, only those pay whom they let.
func (st Standing) needsInvitation() bool {
	if st.Course.EnrollmentMode == events.EnrollmentSelf {
		return false
	}
	return st.Existing == nil || st.Existing.State != Offered && st.Existing.State != Invited && st.Existing.State != Waitlisted
}

func refusal(err error) string { return apperr.Code(err) }

// ReleaseSeat gives a held seat back. A hold that was never heard of is kept as
// released: its own message may come later.
func (s *Service) ReleaseSeat(ctx context.Context, tx Tx, in Hold) (bool, error) {
	known, err := tx.Hold(ctx, in.ID)
	if err != nil {
		return false, err
	}
	if known == nil {
		now := s.Now()
		c, _, err := tx.Course(ctx, in.CourseID, uuid.Nil)
		if apperr.IsKind(err, apperr.KindNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		in.TenantID, in.State, in.ExpiresAt, in.CreatedAt, in.UpdatedAt = c.TenantID, HoldReleased, now, now, now
		return false, tx.SaveHold(ctx, in)
	}
	return known.State == HoldHeld, s.release(ctx, tx, in.ID, false)
}

// release ends a hold and gives the seat to who waits.
func (s *Service) release(ctx context.Context, tx Tx, id uuid.UUID, onlyLapsed bool) error {
	h, err := tx.Hold(ctx, id)
	if err != nil || h == nil {
		return err
	}
	now := s.Now()
	if _, err := tx.LockSeats(ctx, h.CourseID, now); err != nil {
		return err
	}
	if h, err = tx.Hold(ctx, id); err != nil || h == nil { // as it is under the lock
		return err
	}
	if h.State != HoldHeld || onlyLapsed && !now.After(h.ExpiresAt) {
		return nil
	}
	h.State, h.UpdatedAt = HoldReleased, now
	if err := tx.SaveHold(ctx, *h); err != nil {
		return err
	}
	seats, err := tx.LockSeats(ctx, h.CourseID, now)
	if err != nil {
		return err
	}
	c, _, err := tx.Course(ctx, h.CourseID, uuid.Nil)
	if err != nil {
		return err
	}
	_, err = s.fill(ctx, tx, c, &seats, now)
	return err
}
