package coursework

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/work"
)

// saving says why a grade changes.
type saving struct {
	cause   string
	note    string
	ratings []Rating
	by      *uuid.UUID // nil: the caller, or a rule of the system
	// later collects whose totals are to be counted at the end of the transaction;
	// nil counts at once.
	later *people
}

// saveGrade is the one place where a grade changes: the row, its history, what is
// told of it, and the report to enrollment, all in one transaction. before is nil
// for a row that is new. It gives the calls that the caller may wait for.
func (s *Service) saveGrade(ctx context.Context, tx Tx, a Assignment, before *Grade, g Grade, why saving) ([]uuid.UUID, error) {
	now := s.Now()
	g.UpdatedAt = now
	var old Grade
	if before == nil {
		if err := tx.InsertGrade(ctx, g); err != nil {
			return nil, err
		}
	} else {
		old = *before
		g.Version = old.Version + 1
		if err := tx.UpdateGrade(ctx, g); err != nil {
			return nil, err
		}
	}
	if err := s.writeHistory(ctx, tx, a, before, g, why, now); err != nil {
		return nil, err
	}
	if err := s.tellGrade(ctx, tx, a, old, g, why, now); err != nil {
		return nil, err
	}
	if err := s.countMoved(ctx, tx, a, before, g, why); err != nil {
		return nil, err
	}
	return s.reportProgress(ctx, tx, a, old, g)
}

func (s *Service) writeHistory(ctx context.Context, tx Tx, a Assignment, before *Grade, g Grade, why saving, now time.Time) error {
	h := Change{
		ID: s.NewID(), TenantID: a.TenantID, CourseID: a.CourseID, AssignmentID: a.ID, GradeID: g.ID, UserID: g.UserID, At: now,
		ActorID: why.by, Cause: why.cause, Note: why.note, After: g.snapshot(a, why.ratings),
	}
	if h.ActorID == nil {
		h.ActorID = optionalID(work.ActorFrom(ctx).Principal.UserID)
	}
	if before != nil {
		was := before.snapshot(a, nil)
		h.Before = &was
	}
	return tx.InsertHistory(ctx, h)
}

// tellGrade emits what became of a grade. While it is hidden only staff are told
// (rule 25).
func (s *Service) tellGrade(ctx context.Context, tx Tx, a Assignment, old, g Grade, why saving, now time.Time) error {
	state := g.state(a, now)
	var out []events.Event
	switch why.cause {
	case CauseGraded, CauseBulk, CauseImport, CauseDeleted:
		out = append(out, events.Graded{GradeState: state})
	}
	if old.MissingAt == nil && g.MissingAt != nil && g.DueAt != nil {
		out = append(out, events.SubmissionMissing{
			GradeID: g.ID, AssignmentID: a.ID, TenantID: a.TenantID, OrgUnitID: a.OrgUnitID, CourseID: a.CourseID, Title: a.Title,
			UserID: g.UserID, DueAt: *g.DueAt, At: now,
		})
	}
	if why.cause != CauseSubmitted && why.cause != CauseMissing && (old.Deduction != g.Deduction || old.SecondsLate != g.SecondsLate) {
		out = append(out, events.LatenessChanged{GradeState: state, PreviousDeduction: old.Deduction, PreviousSecondsLate: old.SecondsLate})
	}
	switch {
	case old.PostedAt == nil && g.PostedAt != nil:
		out = append(out, events.GradePosted{GradeState: state})
	case old.PostedAt != nil && g.PostedAt == nil:
		hidden := state
		hidden.Entered, hidden.Score, hidden.Deduction, hidden.Grade, hidden.Excused = nil, nil, 0, "", false
		out = append(out, events.GradeHidden{GradeState: hidden})
	case g.PostedAt != nil && shownDiffers(old, g):
		out = append(out, events.GradeChanged{GradeState: state, PreviousScore: old.Counts()})
	}
	for _, e := range out {
		if err := tx.Emit(ctx, e, a.meta()); err != nil {
			return err
		}
	}
	return nil
}

// shownDiffers says whether a learner who sees the grade sees another one.
func shownDiffers(old, g Grade) bool {
	return !equal(old.Score, g.Score) || (old.ExcusedAt == nil) != (g.ExcusedAt == nil) || old.EnteredGrade != g.EnteredGrade ||
		!equal(old.Status, g.Status) || old.Deduction != g.Deduction
}

func equal[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

func sameTime(a, b *time.Time) bool { return a == b || a != nil && b != nil && a.Equal(*b) }

// reportProgress says to enrollment what there is of a person and an assignment:
// whether something is handed in (rule 6), and the grade as it was posted (rules 4,
// 25). Both sections are in every report, so that one that was overtaken may be
// dropped.
func (s *Service) reportProgress(ctx context.Context, tx Tx, a Assignment, old, g Grade) ([]uuid.UUID, error) {
	was, is := gradeSection(a, old), gradeSection(a, g)
	if sameTime(old.SubmittedAt, g.SubmittedAt) && equal(was.Score, is.Score) && equal(was.Possible, is.Possible) &&
		sameTime(was.GradedAt, is.GradedAt) && sameTime(was.ExcusedAt, is.ExcusedAt) {
		return nil, nil
	}
	return s.report(ctx, tx, a, g)
}

func (s *Service) report(ctx context.Context, tx Tx, a Assignment, g Grade) ([]uuid.UUID, error) {
	is := gradeSection(a, g)
	id, err := tx.Call(ctx, work.Call{
		To: "enrollment", Name: internalapi.CallProgressReport, Key: g.UserID.String() + "/" + a.ID.String(), TenantID: a.TenantID,
		Body: internalapi.ProgressReport{
			UserID: g.UserID, CourseID: a.CourseID, ResourceID: &a.ID,
			Submission: &internalapi.SubmissionSection{SubmittedAt: g.SubmittedAt}, Grade: &is,
		},
	})
	if err != nil {
		return nil, err
	}
	return []uuid.UUID{id}, nil
}

// gradeSection is the posted grade: nothing of one that is hidden.
func gradeSection(a Assignment, g Grade) internalapi.GradeSection {
	if g.PostedAt == nil || a.GradingType == GradeNotGraded {
		return internalapi.GradeSection{}
	}
	if g.ExcusedAt != nil {
		return internalapi.GradeSection{ExcusedAt: g.ExcusedAt}
	}
	if g.Score == nil {
		return internalapi.GradeSection{}
	}
	at := *g.PostedAt
	for _, t := range []*time.Time{g.GradedAt, g.MissingAt} {
		if t != nil && t.After(at) {
			at = *t
		}
	}
	return internalapi.GradeSection{Score: g.Score, Possible: &a.Points, GradedAt: &at}
}
