package enrollment

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/shared/contracts/events"
)

// Grant is an entitlement as payment tells it (rules 33, 35).
type Grant struct {
	Entitlement
	Enroll     bool
	HoldID     *uuid.UUID
	KeepAccess bool
	Reason     string
}

// Entitled answers it.
type Entitled struct {
	Enrolled     bool
	Code         string
	EnrollmentID *uuid.UUID
	State        State
	Certified    bool
}

// Entitle stores an entitlement, and brings the enrollment to what follows: a
// seat where one was asked for, a moved end, or the end of access.
func (s *Service) Entitle(ctx context.Context, tx Tx, in Grant) (Entitled, error) {
	now := s.Now()
	st, err := tx.Standing(ctx, in.CourseID, in.UserID, now)
	if err != nil {
		return Entitled{}, err
	}
	if st.Person != nil && st.Person.Status == PersonErased {
		return Entitled{Code: RefusedPerson}, nil
	}
	in.TenantID, in.UpdatedAt = st.Course.TenantID, now
	if err := tx.SaveEntitlement(ctx, in.Entitlement); err != nil {
		return Entitled{}, err
	}
	all, err := tx.Entitlements(ctx, in.CourseID, in.UserID)
	if err != nil {
		return Entitled{}, err
	}
	st.Entitlement = Current(all, now)
	if in.State == "granted" {
		return s.granted(ctx, tx, st, in, now)
	}
	return s.revoked(ctx, tx, st, in, now)
}

func (s *Service) granted(ctx context.Context, tx Tx, st Standing, in Grant, now time.Time) (Entitled, error) {
	if st.Existing != nil && st.Existing.in() {
		e := *st.Existing
		if in.Enroll && e.lapsed(now) && st.Held == nil && st.full() {
			return s.entitled(ctx, tx, &e, RefusedFull)
		}
		if err := s.entitleUntil(ctx, tx, &st, &e, now); err != nil {
			return Entitled{}, err
		}
		return s.entitled(ctx, tx, &e, "")
	}
	if !in.Enroll && !st.offered() || st.Entitlement == nil {
		return s.entitled(ctx, tx, st.Existing, "")
	}
	if code := st.refusePaid(now); code != "" {
		return s.entitled(ctx, tx, st.Existing, code)
	}
	e := s.row(st, in.UserID, now)
	previous := e.State
	e.Source = SourcePayment
	e.Entitle(st.Entitlement)
	if err := s.arrive(ctx, tx, &st, &e, Active, arrival{now: now}); err != nil {
		return Entitled{}, err
	}
	if err := s.useHold(ctx, tx, st, now); err != nil {
		return Entitled{}, err
	}
	if _, err := s.arrived(ctx, tx, &st, e, "enrollment.create", previous, now); err != nil {
		return Entitled{}, err
	}
	return s.entitled(ctx, tx, &e, "")
}

// refusePaid: who held a seat, or was offered one, passed the checks then; a
// payment after the hold lapsed takes a seat only if one is free (rule 35).
func (st Standing) refusePaid(now time.Time) string {
	if st.Held != nil || st.offered() {
		if st.Course.Deleted || st.Person != nil && st.Person.Status != PersonActive {
			return RefusedUnavailable
		}
		return ""
	}
	code, _ := st.refuseHold(now)
	return code
}

func (s *Service) useHold(ctx context.Context, tx Tx, st Standing, now time.Time) error {
	if st.Held == nil {
		return nil
	}
	h := *st.Held
	h.State, h.UpdatedAt = HoldUsed, now
	return tx.SaveHold(ctx, h)
}

// entitleUntil moves the end of access with the entitlement that it rests on. One
// that is valid later moves nothing yet: what was, is until then.
func (s *Service) entitleUntil(ctx context.Context, tx Tx, st *Standing, e *Enrollment, now time.Time) error {
	if !e.Entitled && e.EntitledUntil == nil || e.Entitled && st.Entitlement == nil {
		return nil
	}
	was := *e
	if e.Entitled {
		e.Entitle(st.Entitlement)
	} else {
		e.SetEnds(e.EndsAt, nil)
	}
	if sameTime(was.EntitledUntil, e.EntitledUntil) {
		return nil
	}
	e.ExpiryToldAt, e.UpdatedAt = nil, now
	if err := tx.UpdateEnrollment(ctx, e); err != nil {
		return err
	}
	err := tx.Emit(ctx, events.EnrollmentDatesChanged{
		EnrollmentState: snapshot(*e, st.Course, e.State, now), OldStartsAt: was.StartsAt, OldEndsAt: was.AccessEndsAt,
	}, meta(st.Course))
	if err != nil {
		return err
	}
	return s.reseat(ctx, tx, st, was, *e, now)
}

// revoked ends the access that rests on entitlements when none is left, unless
// staff said to keep it (rule 33). Who came in without one stays.
func (s *Service) revoked(ctx context.Context, tx Tx, st Standing, in Grant, now time.Time) (Entitled, error) {
	if st.Existing == nil {
		return s.entitled(ctx, tx, nil, "")
	}
	e := *st.Existing
	switch {
	case e.State.Ended(), !e.Entitled:
	case in.KeepAccess:
		e.WaivedEntitlement, e.UpdatedAt = true, now
		e.Entitle(nil)
		if err := tx.UpdateEnrollment(ctx, &e); err != nil {
			return Entitled{}, err
		}
	case st.Entitlement != nil:
		if err := s.entitleUntil(ctx, tx, &st, &e, now); err != nil {
			return Entitled{}, err
		}
	case e.in():
		reason := ReasonEntitlementEnded
		if in.Reason == ReasonRefund {
			reason = ReasonRefund
		}
		if _, err := s.withdraw(ctx, tx, &st, &e, reason, now); err != nil {
			return Entitled{}, err
		}
	}
	return s.entitled(ctx, tx, &e, "")
}

func (s *Service) entitled(ctx context.Context, tx Tx, e *Enrollment, code string) (Entitled, error) {
	out := Entitled{Code: code}
	if e == nil {
		return out, nil
	}
	out.EnrollmentID, out.State, out.Enrolled = &e.ID, e.State, e.State.Learning()
	cert, err := tx.CertificateOf(ctx, e.ID)
	out.Certified = cert != nil
	return out, err
}

// Priced notes whether a course has a price: from then on one enrolls by an
// entitlement (rule 35), though course may not have told so yet.
func (s *Service) Priced(ctx context.Context, tx Tx, course, tenant uuid.UUID, priced bool) error {
	return tx.SetPriced(ctx, course, tenant, priced, s.Now())
}
