package enrollment

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
)

// command runs one change of an existing enrollment in a transaction. The caller
// must be the person, or hold perm in the course; perm "" is for the person only,
// own false for staff only. 404 for who may not see the enrollment.
func (s *Service) command(ctx context.Context, actor authz.Principal, id uuid.UUID, perm authz.Permission, own bool,
	do func(ctx context.Context, tx Tx, st *Standing, e *Enrollment, now time.Time) (Result, error),
) (r Result, err error) {
	err = s.Store.InTx(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &r, func() error {
			now := s.Now()
			st, err := tx.StandingOf(ctx, id, now)
			if err != nil {
				return err
			}
			if err := s.mayChange(ctx, tx, actor, st, perm, own); err != nil {
				return err
			}
			e := *st.Existing
			r, err = do(ctx, tx, &st, &e, now)
			return err
		})
	})
	return r, err
}

func (s *Service) mayChange(ctx context.Context, tx Tx, actor authz.Principal, st Standing, perm authz.Permission, own bool) error {
	mine := st.Existing.UserID == actor.UserID
	if mine && own {
		return nil
	}
	_, role, err := tx.Course(ctx, st.Course.ID, actor.UserID)
	if err != nil {
		return err
	}
	policy, err := s.Authz.Policy(ctx)
	if err != nil {
		return err
	}
	switch {
	case perm != "" && policy.AllowsInCourse(actor, perm, st.Course.OrgUnitID, role):
		return nil
	case mine, policy.AllowsInCourse(actor, authz.EnrollmentRead, st.Course.OrgUnitID, role):
		return apperr.Forbidden("You may not do this with the enrollment.")
	}
	return apperr.NotFound("enrollment")
}

// Approve lets a requested person in: a seat, the waiting list, or in a course
// with a price an offer to be paid for.
func (s *Service) Approve(ctx context.Context, actor authz.Principal, id uuid.UUID) (Result, error) {
	return s.command(ctx, actor, id, authz.EnrollmentApprove, false, func(ctx context.Context, tx Tx, st *Standing, e *Enrollment, now time.Time) (Result, error) {
		if e.State != Requested {
			return Result{}, invalidState(e.State)
		}
		entry := Entry{Source: SourceStaff, WaivePrerequisites: e.WaivedPrerequisites, WaiveEntitlement: e.WaivedEntitlement}
		if err := st.Check(entry, now); err != nil {
			return Result{}, err
		}
		state, err := st.Seat(entry)
		if apperr.Code(err) == errEntitlement.Code {
			state, err = Offered, nil
		}
		if err != nil {
			return Result{}, err
		}
		e.Entitle(st.Entitlement)
		if err := s.arrive(ctx, tx, st, e, state, arrival{now: now, approved: true}); err != nil {
			return Result{}, err
		}
		return s.arrived(ctx, tx, st, *e, "enrollment.approve", Requested, now)
	})
}

// Reject turns a request down.
func (s *Service) Reject(ctx context.Context, actor authz.Principal, id uuid.UUID, reason string) (Result, error) {
	return s.command(ctx, actor, id, authz.EnrollmentApprove, false, func(ctx context.Context, tx Tx, st *Standing, e *Enrollment, now time.Time) (Result, error) {
		if e.State != Requested {
			return Result{}, invalidState(e.State)
		}
		return s.leave(ctx, tx, st, e, Rejected, "enrollment.reject", reason, now, func(state events.EnrollmentState) events.Event {
			return events.EnrollmentRejected{EnrollmentState: state, Reason: reason}
		})
	})
}

// Accept takes an invitation or an offer up. An offer in a course with a price
// wants an entitlement first (402).
func (s *Service) Accept(ctx context.Context, actor authz.Principal, id uuid.UUID) (Result, error) {
	return s.command(ctx, actor, id, "", true, func(ctx context.Context, tx Tx, st *Standing, e *Enrollment, now time.Time) (Result, error) {
		previous := e.State
		if previous != Invited && previous != Offered {
			return Result{}, invalidState(previous)
		}
		if after(now, e.AnswerBy) {
			return Result{}, apperr.Conflict("answer_overdue", "The invitation or offer is over.").Detail("answer_by", *e.AnswerBy)
		}
		// Who is invited by staff need not heed the window of the many.
		entry := Entry{Source: SourceStaff, WaivePrerequisites: e.WaivedPrerequisites, WaiveEntitlement: e.WaivedEntitlement}
		if err := st.Check(entry, now); err != nil {
			return Result{}, err
		}
		if !st.Course.Published() {
			return Result{}, errNotPublished
		}
		state, err := st.Seat(entry)
		if err != nil {
			return Result{}, err
		}
		if previous == Invited {
			e.Source = SourceInvitation
		}
		e.Entitle(st.Entitlement)
		if err := s.arrive(ctx, tx, st, e, state, arrival{now: now}); err != nil {
			return Result{}, err
		}
		return s.arrived(ctx, tx, st, *e, "enrollment.accept", previous, now)
	})
}

// Decline turns an invitation or an offer down; the offered seat goes on.
func (s *Service) Decline(ctx context.Context, actor authz.Principal, id uuid.UUID) (Result, error) {
	return s.command(ctx, actor, id, "", true, func(ctx context.Context, tx Tx, st *Standing, e *Enrollment, now time.Time) (Result, error) {
		if e.State != Invited && e.State != Offered {
			return Result{}, invalidState(e.State)
		}
		return s.leave(ctx, tx, st, e, Withdrawn, "enrollment.decline", "declined", now, func(state events.EnrollmentState) events.Event {
			return events.EnrollmentDeclined{EnrollmentState: state}
		})
	})
}

func invalidState(state State) error {
	return apperr.Conflict("invalid_state", "The enrollment is "+string(state)+".").Detail("state", string(state))
}

// leave moves an enrollment to a state without a seat, tells it, and gives the
// seat to who waits.
func (s *Service) leave(ctx context.Context, tx Tx, st *Standing, e *Enrollment, state State, action, reason string, now time.Time,
	tell func(events.EnrollmentState) events.Event,
) (Result, error) {
	was := *e
	previous := was.State
	if err := e.move(state, now); err != nil {
		return Result{}, err
	}
	e.Reason = reason
	if err := tx.UpdateEnrollment(ctx, e); err != nil {
		return Result{}, err
	}
	if err := tx.Emit(ctx, tell(snapshot(*e, st.Course, previous, now)), meta(st.Course)); err != nil {
		return Result{}, err
	}
	if err := s.audit(ctx, tx, action, *e, st.Course, stateChange(previous, state)); err != nil {
		return Result{}, err
	}
	st.count(was, *e, now)
	if _, err := s.fill(ctx, tx, st.Course, &st.Seats, now); err != nil {
		return Result{}, err
	}
	return result(*e, st.Course, now), nil
}
