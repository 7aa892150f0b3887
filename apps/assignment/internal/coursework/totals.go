package coursework

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/work"
)

// tellTotal raises the version of a total that changed, and tells of it: staff's
// numbers and the posted ones to whom the event is for, enrollment of the posted
// ones (rules 15, 25).
func (s *Service) tellTotal(ctx context.Context, tx Tx, in Place, was CourseTotal, t *CourseTotal, posted bool, now time.Time) error {
	t.Version++
	t.ChangedAt = &now
	if posted {
		t.PostedAt = &now
	}
	err := tx.Emit(ctx, events.CourseGradeChanged{
		TotalID: t.ID, TenantID: in.TenantID, OrgUnitID: in.OrgUnitID, CourseID: in.CourseID, UserID: t.UserID,
		Current: t.Current, Final: t.Effective(t.Final), Letter: t.Letter,
		PostedCurrent: t.PostedCurrent, PostedFinal: t.Effective(t.PostedFinal), PostedLetter: t.PostedLetter,
		Posted: posted, Overridden: t.OverridePercent != nil, PreviousPostedFinal: was.Effective(was.PostedFinal), At: now,
	}, work.Meta{TenantID: in.TenantID, OrgUnitID: in.OrgUnitID, CourseID: in.CourseID})
	if err != nil || !posted {
		return err
	}
	_, err = tx.Call(ctx, work.Call{
		To: "enrollment", Name: internalapi.CallCourseGrade, Key: t.UserID.String() + "/" + in.CourseID.String(), TenantID: in.TenantID,
		Body: internalapi.CourseGrade{
			UserID: t.UserID, CourseID: in.CourseID, Current: t.PostedCurrent, Final: t.Effective(t.PostedFinal), Letter: t.PostedLetter,
			GradedAt: now, Version: t.Version,
		},
	})
	return err
}

// totalsBatch is how many people one transaction counts.
const totalsBatch = 100

// CountAll brings in what moved everybody's totals of a course: other weights,
// another assignment. Until it has reached somebody, reading counts what it will
// store. It can be stopped and begun again at any time.
func (s *Service) CountAll(ctx context.Context) error {
	behind, err := read(ctx, s, work.AllTenants(), func(ctx context.Context, tx Tx) ([]Grading, error) {
		return tx.CoursesBehind(ctx, 50)
	})
	if err != nil {
		return err
	}
	for _, g := range behind {
		if err := s.countCourse(ctx, g); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) countCourse(ctx context.Context, g Grading) error {
	in := Place{g.TenantID, g.OrgUnitID, g.CourseID}
	for {
		var n int
		err := s.Store.InTx(ctx, work.Tenant(g.TenantID), func(ctx context.Context, tx Tx) error {
			users, err := tx.TotalsBehind(ctx, g.CourseID, g.Revision, totalsBatch)
			if err != nil {
				return err
			}
			if n = len(users); n == 0 {
				return tx.SetCounted(ctx, g.CourseID, g.Revision)
			}
			return s.retotal(ctx, tx, in, users)
		})
		if err != nil || n == 0 {
			return err
		}
	}
}

// scoreMoved says whether a change of a grade can move totals.
func scoreMoved(before *Grade, g Grade) bool {
	var old Grade
	if before != nil {
		old = *before
	}
	return !equal(old.Counts(), g.Counts()) || (old.ExcusedAt == nil) != (g.ExcusedAt == nil) || (old.PostedAt == nil) != (g.PostedAt == nil)
}

// people are those whose totals a transaction that writes many grades has to count
// once, at its end.
type people struct {
	in    Place
	users []uuid.UUID
}

func (p *people) add(in Place, user uuid.UUID) {
	p.in = in
	p.users = append(p.users, user)
}

// counted counts them.
func (s *Service) counted(ctx context.Context, tx Tx, p *people) error {
	return s.retotal(ctx, tx, p.in, p.users)
}

// countMoved counts the totals that a changed grade moves: at once, or with the
// others at the end of a transaction that writes many.
func (s *Service) countMoved(ctx context.Context, tx Tx, a Assignment, before *Grade, g Grade, why saving) error {
	switch {
	case !scoreMoved(before, g):
		return nil
	case why.later != nil:
		why.later.add(a.place(), g.UserID)
		return nil
	}
	return s.retotal(ctx, tx, a.place(), []uuid.UUID{g.UserID})
}

// mergeTotals gives a person's quiz scores to another; where both have one the
// other's stays. Both are counted anew wherever the person was.
func (s *Service) mergeTotals(ctx context.Context, tx Tx, from, to uuid.UUID) error {
	if err := tx.ReassignQuizScores(ctx, from, to); err != nil {
		return err
	}
	places, err := tx.CountedIn(ctx, from)
	if err != nil {
		return err
	}
	for _, in := range places {
		if err := s.retotal(ctx, tx, in, []uuid.UUID{from, to}); err != nil {
			return err
		}
	}
	return nil
}
