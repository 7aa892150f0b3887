package enrollment

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/enrollment/internal/progress"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/patch"
	"lms/shared/work"
)

// Reasons of a withdrawal, as the event tells them.
const (
	ReasonSelf             = "self"
	ReasonStaff            = "staff"
	ReasonRefund           = "refund"
	ReasonEntitlementEnded = "entitlement_ended"
	ReasonImport           = "import"
	ReasonErased           = "erased"
	ReasonMerged           = "merged"
	ReasonPersonDeleted    = "person_deleted"
	ReasonCourseDeleted    = "course_deleted"
)

// Withdraw takes a person out; progress stays (rule 31). Who is suspended cannot
// leave alone: coming in again would end what staff alone may end.
func (s *Service) Withdraw(ctx context.Context, actor authz.Principal, id uuid.UUID) (Result, error) {
	return s.command(ctx, actor, id, authz.EnrollmentUpdate, true, func(ctx context.Context, tx Tx, st *Standing, e *Enrollment, now time.Time) (Result, error) {
		reason := ReasonStaff
		if e.UserID == actor.UserID {
			reason = ReasonSelf
			if e.State == Suspended {
				return Result{}, apperr.New(apperr.KindForbidden, "suspended", "The enrollment is suspended: only staff can end it.")
			}
		}
		return s.withdraw(ctx, tx, st, e, reason, now)
	})
}

func (s *Service) withdraw(ctx context.Context, tx Tx, st *Standing, e *Enrollment, reason string, now time.Time) (Result, error) {
	return s.leave(ctx, tx, st, e, Withdrawn, "enrollment.withdraw", reason, now, func(state events.EnrollmentState) events.Event {
		return events.EnrollmentWithdrawn{EnrollmentState: state, Reason: reason}
	})
}

// Suspend holds access back; the seat stays taken (rule 32).
func (s *Service) Suspend(ctx context.Context, actor authz.Principal, id uuid.UUID, reason string) (Result, error) {
	return s.command(ctx, actor, id, authz.EnrollmentUpdate, false, func(ctx context.Context, tx Tx, st *Standing, e *Enrollment, now time.Time) (Result, error) {
		return s.leave(ctx, tx, st, e, Suspended, "enrollment.suspend", reason, now, func(state events.EnrollmentState) events.Event {
			return events.EnrollmentSuspended{EnrollmentState: state, Reason: reason}
		})
	})
}

// Reactivate gives a suspended person access again, and takes somebody who is out
// in again, with all checks of enrolling.
func (s *Service) Reactivate(ctx context.Context, actor authz.Principal, id uuid.UUID) (Result, error) {
	return s.command(ctx, actor, id, authz.EnrollmentUpdate, false, func(ctx context.Context, tx Tx, st *Standing, e *Enrollment, now time.Time) (Result, error) {
		previous := e.State
		if after(now, e.AccessEndsAt) {
			return Result{}, apperr.Conflict("access_ended", "The end of access has passed: move it first.").Detail("access_ends_at", *e.AccessEndsAt)
		}
		if previous == Suspended {
			return s.resume(ctx, tx, st, e, now)
		}
		state, err := st.Enter(Entry{Source: SourceStaff, WaivePrerequisites: e.WaivedPrerequisites, WaiveEntitlement: e.WaivedEntitlement}, now)
		if err != nil {
			return Result{}, err
		}
		e.Entitle(st.Entitlement)
		if err := s.arrive(ctx, tx, st, e, state, arrival{now: now}); err != nil {
			return Result{}, err
		}
		return s.arrived(ctx, tx, st, *e, "enrollment.reactivate", previous, now)
	})
}

// resume ends a suspension. What was reported in the meantime may have completed
// the course.
func (s *Service) resume(ctx context.Context, tx Tx, st *Standing, e *Enrollment, now time.Time) (Result, error) {
	next := Active
	if e.CompletedAt != nil {
		next = Completed
	}
	if err := e.move(next, now); err != nil {
		return Result{}, err
	}
	b, err := s.begin(ctx, tx, e, st.Course, false, now)
	if err != nil {
		return Result{}, err
	}
	if err := save(ctx, tx, e, false, b); err != nil {
		return Result{}, err
	}
	if err := tx.Emit(ctx, events.EnrollmentReactivated{EnrollmentState: snapshot(*e, st.Course, Suspended, now)}, meta(st.Course)); err != nil {
		return Result{}, err
	}
	if err := s.tellStep(ctx, tx, &b.learner, b.step, now); err != nil {
		return Result{}, err
	}
	return s.arrived(ctx, tx, st, *e, "enrollment.reactivate", Suspended, now)
}

// Changes is a merge patch of an enrollment.
type Changes struct {
	Version        int64 // that the caller has read
	StartsAt       patch.Field[time.Time]
	EndsAt         patch.Field[time.Time]
	ExternalSource patch.Field[string]
	ExternalID     patch.Field[string]
}

// Update moves an enrollment's own bounds and sets its external id.
func (s *Service) Update(ctx context.Context, actor authz.Principal, id uuid.UUID, in Changes) (Result, error) {
	return s.command(ctx, actor, id, authz.EnrollmentUpdate, false, func(ctx context.Context, tx Tx, st *Standing, e *Enrollment, now time.Time) (Result, error) {
		if e.Version != in.Version {
			return Result{}, apperr.VersionMismatch()
		}
		was := *e
		in.StartsAt.ApplyPtr(&e.StartsAt)
		own := e.EndsAt
		in.EndsAt.ApplyPtr(&own)
		e.SetEnds(own, e.EntitledUntil)
		in.ExternalSource.Apply(&e.ExternalSource)
		in.ExternalID.Apply(&e.ExternalID)
		var f apperr.Fields
		f.Require(e.StartsAt == nil || e.EndsAt == nil || !e.EndsAt.Before(*e.StartsAt), "ends_at", "before_start", "must not be before starts_at")
		f.Require((e.ExternalID == "") == (e.ExternalSource == ""), "external_id", "incomplete", "external_id and external_source belong together")
		if err := f.Err(); err != nil {
			return Result{}, err
		}
		if was.lapsed(now) && e.takesSeat(now) && st.full() {
			return Result{}, errCourseFull
		}
		return s.updated(ctx, tx, st, was, e, now)
	})
}

func (s *Service) updated(ctx context.Context, tx Tx, st *Standing, was Enrollment, e *Enrollment, now time.Time) (Result, error) {
	changes := map[string]work.Change{}
	moved := !sameTime(was.StartsAt, e.StartsAt) || !sameTime(was.AccessEndsAt, e.AccessEndsAt)
	if !sameTime(was.StartsAt, e.StartsAt) {
		changes["starts_at"] = work.Change{From: was.StartsAt, To: e.StartsAt}
	}
	if !sameTime(was.EndsAt, e.EndsAt) {
		changes["ends_at"] = work.Change{From: was.EndsAt, To: e.EndsAt}
		e.ExpiryToldAt = nil
	}
	if was.ExternalID != e.ExternalID || was.ExternalSource != e.ExternalSource {
		changes["external_id"] = work.Change{From: was.ExternalSource + ":" + was.ExternalID, To: e.ExternalSource + ":" + e.ExternalID}
	}
	if len(changes) == 0 {
		return result(*e, st.Course, now), nil
	}
	e.UpdatedAt = now
	if err := tx.UpdateEnrollment(ctx, e); err != nil {
		return Result{}, err
	}
	if err := s.reseat(ctx, tx, st, was, *e, now); err != nil {
		return Result{}, err
	}
	if moved {
		err := tx.Emit(ctx, events.EnrollmentDatesChanged{
			EnrollmentState: snapshot(*e, st.Course, was.State, now), OldStartsAt: was.StartsAt, OldEndsAt: was.AccessEndsAt,
		}, meta(st.Course))
		if err != nil {
			return Result{}, err
		}
	}
	if err := s.audit(ctx, tx, "enrollment.update", *e, st.Course, changes); err != nil {
		return Result{}, err
	}
	return result(*e, st.Course, now), nil
}

// Reset forgets all progress, and a completion with it (rule 13: only staff can).
// A certificate that was issued stays (rule 15).
func (s *Service) Reset(ctx context.Context, actor authz.Principal, id uuid.UUID) (Result, error) {
	return s.command(ctx, actor, id, authz.EnrollmentReset, false, func(ctx context.Context, tx Tx, st *Standing, e *Enrollment, now time.Time) (Result, error) {
		was := *e
		if e.State == Completed {
			if err := e.move(Active, now); err != nil {
				return Result{}, err
			}
		}
		e.CompletedAt, e.LastActivityAt, e.UpdatedAt = nil, nil, now
		if err := tx.ClearProgress(ctx, e.ID); err != nil {
			return Result{}, err
		}
		l := Learner{Enrollment: *e, Course: st.Course, Record: progress.NewRecord()}
		step, err := s.step(ctx, tx, &l, nil, now)
		if err != nil {
			return Result{}, err
		}
		*e = l.Enrollment
		if err := save(ctx, tx, e, false, &begun{l, step}); err != nil {
			return Result{}, err
		}
		err = tx.Emit(ctx, events.ProgressRecalculated{
			ProgressState: position(&l, now), OldRequired: was.Required, OldMet: was.Met, Reason: "reset", CurriculumVersion: step.curriculum.Version,
		}, meta(st.Course))
		if err != nil {
			return Result{}, err
		}
		if err := s.audit(ctx, tx, "enrollment.reset", *e, st.Course, stateChange(was.State, e.State)); err != nil {
			return Result{}, err
		}
		return result(*e, st.Course, now), nil
	})
}
