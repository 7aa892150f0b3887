package enrollment

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/apps/enrollment/internal/progress"
	"lms/shared/contracts/events"
)

// standings orders states by what they are worth to the person; what is not named
// is over. A suspension counts less than a place, and outlives the merge: see
// unite.
var standings = map[State]int{ //nolint:gochecknoglobals // immutable
	Completed: 7, Active: 6, Suspended: 5, Offered: 4, Waitlisted: 3, Requested: 2, Invited: 1,
}

// better says whether e is the one to stay when the enrollments of two accounts in
// a course become one. Of equals it is the one that was there first: completed,
// in the waiting list, or let in.
func (e Enrollment) better(o Enrollment, c Course, now time.Time) bool {
	if a, b := e.worth(c, now), o.worth(c, now); a != b {
		return a > b
	}
	if e.WaitlistNumber != nil && o.WaitlistNumber != nil {
		return *e.WaitlistNumber < *o.WaitlistNumber
	}
	first := func(x Enrollment) *time.Time {
		if x.CompletedAt != nil {
			return x.CompletedAt
		}
		return x.ActivatedAt
	}
	a, b := first(e), first(o)
	return a != nil && (b == nil || a.Before(*b))
}

// worth looks at the state that dates make of it, but for who has completed: that
// stays, whatever the dates (rule 13).
func (e Enrollment) worth(c Course, now time.Time) int {
	if e.Effective(c, now) == Expired {
		return 0
	}
	return standings[e.State]
}

// unite gives e, which stays, what the other one has more: it completed, or began
// to learn, earlier; its access lasts longer, or needs no payment. Who was
// suspended in either account is suspended.
func (e *Enrollment) unite(o Enrollment, c Course, now time.Time) {
	e.CompletedAt = earliest(e.CompletedAt, o.CompletedAt)
	e.ActivatedAt = earliest(e.ActivatedAt, o.ActivatedAt)
	if o.LastActivityAt != nil && (e.LastActivityAt == nil || e.LastActivityAt.Before(*o.LastActivityAt)) {
		e.LastActivityAt = o.LastActivityAt
	}
	if e.ExternalID == "" {
		e.ExternalSource, e.ExternalID = o.ExternalSource, o.ExternalID
	}
	if o.GradedAt != nil && (e.GradedAt == nil || e.GradedAt.Before(*o.GradedAt)) {
		e.GradeCurrent, e.GradeFinal, e.GradeLetter, e.GradedAt = o.GradeCurrent, o.GradeFinal, o.GradeLetter, o.GradedAt
	}
	if o.worth(c, now) > 0 {
		e.WaivedPrerequisites = e.WaivedPrerequisites || o.WaivedPrerequisites
		e.WaivedEntitlement = e.WaivedEntitlement || o.WaivedEntitlement
	}
	if e.in() && o.in() && o.worth(c, now) > 0 {
		e.Entitled = e.Entitled && o.Entitled
		if e.StartsAt != nil && (o.StartsAt == nil || o.StartsAt.Before(*e.StartsAt)) {
			e.StartsAt = o.StartsAt
		}
		own := e.EndsAt
		if own != nil && (o.EndsAt == nil || o.EndsAt.After(*own)) {
			own = o.EndsAt
		}
		e.SetEnds(own, e.EntitledUntil)
	}
}

// merge gives a person's enrollments, rights and certificates to another. In a
// course where both have a row the better one stays, with what either learned;
// the other one ends as the merged account's (rule 31).
func (s *Service) merge(ctx context.Context, tx Tx, from, to uuid.UUID) error {
	left, err := tx.MoveRights(ctx, from, to)
	if err != nil {
		return err
	}
	theirs, err := tx.EnrollmentsOf(ctx, to)
	if err != nil {
		return err
	}
	taken := map[uuid.UUID]bool{}
	for _, e := range theirs {
		taken[e.CourseID] = true
	}
	mine, err := tx.EnrollmentsOf(ctx, from)
	if err != nil {
		return err
	}
	slices.SortFunc(mine, func(a, b Enrollment) int { return slices.Compare(a.CourseID[:], b.CourseID[:]) })
	for _, e := range mine {
		if taken[e.CourseID] {
			err = s.mergeIn(ctx, tx, e.CourseID, from, to)
		} else {
			err = tx.ReassignEnrollment(ctx, e.ID, to)
		}
		if err != nil {
			return err
		}
		if err := s.mergeEnds(ctx, tx, e.CourseID, to); err != nil {
			return err
		}
	}
	for _, hold := range left { // the other holds a seat there already
		if err := s.release(ctx, tx, hold, false); err != nil {
			return err
		}
	}
	return nil
}

// mergeIn makes one of two enrollments in a course.
func (s *Service) mergeIn(ctx context.Context, tx Tx, course, from, to uuid.UUID) error {
	now := s.Now()
	mine, err := tx.Standing(ctx, course, from, now)
	if err != nil {
		return err
	}
	theirs, err := tx.Standing(ctx, course, to, now)
	if err != nil {
		return err
	}
	kept, ended := theirs.Existing, mine.Existing
	if mine.Existing.better(*theirs.Existing, mine.Course, now) {
		kept, ended = ended, kept
		if err := tx.SwapEnrollments(ctx, kept.ID, ended.ID, from, to); err != nil {
			return err
		}
	}
	if err := tx.MoveBelongings(ctx, ended.ID, kept.ID); err != nil {
		return err
	}
	stays, err := tx.LockLearner(ctx, course, to)
	if err != nil {
		return err
	}
	ends, err := tx.LockLearner(ctx, course, from)
	if err != nil {
		return err
	}
	// Assignment counts the versions of a grade by person.
	stays.Enrollment.GradeVersion = theirs.Existing.GradeVersion
	ends.Enrollment.ExternalSource, ends.Enrollment.ExternalID = ended.ExternalSource, ended.ExternalID
	if err := s.combine(ctx, tx, &stays, ends, now); err != nil {
		return err
	}
	if ends.Enrollment.State.Ended() {
		return nil
	}
	return s.leaveIn(ctx, tx, ends.Enrollment, ReasonMerged)
}

// combine stores what the enrollment that stays has of both, and tells it.
func (s *Service) combine(ctx context.Context, tx Tx, l *Learner, o Learner, now time.Time) error {
	e := &l.Enrollment
	was := *e
	e.unite(o.Enrollment, l.Course, now)
	e.UpdatedAt = now
	var facts map[uuid.UUID]progress.Facts
	l.Record, facts = progress.Unite(l.Record, o.Record)
	if !e.in() {
		if err := tx.UpdateEnrollment(ctx, e); err != nil {
			return err
		}
		for _, subject := range slices.SortedFunc(maps.Keys(facts), compareIDs) {
			if err := s.keep(ctx, tx, l, subject, facts[subject], now); err != nil {
				return err
			}
		}
		return nil
	}
	suspend := o.Enrollment.State == Suspended && e.State.Learning()
	completed := e.State == Active && e.CompletedAt != nil
	if completed {
		if err := e.move(Completed, now); err != nil {
			return err
		}
	}
	st, err := s.step(ctx, tx, l, facts, now)
	if err != nil {
		return err
	}
	st.completed = st.completed || completed
	if err := tx.UpdateEnrollment(ctx, e); err != nil {
		return err
	}
	st.save.Enrollment = nil
	if err := tx.SaveProgress(ctx, []ProgressSave{st.save}); err != nil {
		return err
	}
	if err := s.tellCombined(ctx, tx, l, st, was, now); err != nil || !suspend {
		return err
	}
	previous := e.State
	if err := e.move(Suspended, now); err != nil {
		return err
	}
	e.Reason = ReasonMerged
	if err := tx.UpdateEnrollment(ctx, e); err != nil {
		return err
	}
	return tx.Emit(ctx, events.EnrollmentSuspended{EnrollmentState: snapshot(*e, l.Course, previous, now), Reason: ReasonMerged}, meta(l.Course))
}

func compareIDs(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) }

func (s *Service) tellCombined(ctx context.Context, tx Tx, l *Learner, st step, was Enrollment, now time.Time) error {
	e := l.Enrollment
	if was.Required != e.Required || was.Met != e.Met {
		err := tx.Emit(ctx, events.ProgressRecalculated{
			ProgressState: position(l, now), OldRequired: was.Required, OldMet: was.Met, Reason: ReasonMerged, CurriculumVersion: st.curriculum.Version,
		}, meta(l.Course))
		if err != nil {
			return err
		}
	}
	if !sameTime(was.StartsAt, e.StartsAt) || !sameTime(was.AccessEndsAt, e.AccessEndsAt) {
		err := tx.Emit(ctx, events.EnrollmentDatesChanged{
			EnrollmentState: snapshot(e, l.Course, was.State, now), OldStartsAt: was.StartsAt, OldEndsAt: was.AccessEndsAt,
		}, meta(l.Course))
		if err != nil {
			return err
		}
	}
	return s.tellStep(ctx, tx, l, st, now)
}

// mergeEnds lets access last as long as what either account has paid for.
func (s *Service) mergeEnds(ctx context.Context, tx Tx, course, user uuid.UUID) error {
	now := s.Now()
	st, err := tx.Standing(ctx, course, user, now)
	if err != nil || !st.Existing.in() {
		return err
	}
	e := *st.Existing
	return s.entitleUntil(ctx, tx, &st, &e, now)
}
