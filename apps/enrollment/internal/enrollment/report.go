package enrollment

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/enrollment/internal/progress"
	"lms/shared/apperr"
	"lms/shared/contracts/events"
)

// Report is what content or assignment know of one person and one subject. A
// part that is nil says nothing; one that is there replaces what was known.
type Report struct {
	UserID   uuid.UUID
	CourseID uuid.UUID
	// SubjectID is the resource, or the item.
	ResourceID *uuid.UUID
	ItemID     *uuid.UUID
	ViewedAt   *time.Time
	Watched    *Watched
	Submission *Submission
	Grade      *ItemGrade
}

// Watched is how much of a recording was seen.
type Watched struct {
	Percent int
	At      time.Time
}

// Submission says whether there is a real attempt (rule 6).
type Submission struct{ SubmittedAt *time.Time }

// ItemGrade is the posted grade (rule 25).
type ItemGrade struct {
	Score     *events.Hundredths
	Possible  *events.Hundredths
	GradedAt  *time.Time
	ExcusedAt *time.Time
}

// IgnoredNotEnrolled says why a report had no effect.
const IgnoredNotEnrolled = "not_enrolled"

// Reported answers a report.
type Reported struct {
	Ignored   string
	Completed []uuid.UUID
}

// TakeReport stores a report and judges the learner anew. Facts of somebody who
// is out, and of a resource that is not placed yet, are kept: they count when the
// person or the place comes (rule 31).
func (s *Service) TakeReport(ctx context.Context, tx Tx, in Report) (Reported, error) {
	if err := in.validate(); err != nil {
		return Reported{}, err
	}
	now := s.Now()
	l, err := tx.LockLearner(ctx, in.CourseID, in.UserID)
	if apperr.IsKind(err, apperr.KindNotFound) {
		return Reported{Ignored: IgnoredNotEnrolled}, nil
	}
	if err != nil {
		return Reported{}, err
	}
	c, err := s.Curricula.Get(ctx, tx, l.Course.ID, l.Course.CurriculumSeq)
	if err != nil {
		return Reported{}, err
	}
	subject := in.subject(c)
	was := l.Record.Facts[subject]
	facts := in.apply(was)
	out := Reported{}
	places := []uuid.UUID{}
	if c != nil {
		places = c.Places(subject)
	}
	completed := l.Record.Completed
	if !facts.Equal(was) {
		st, err := s.record(ctx, tx, &l, subject, was, facts, now)
		if err != nil {
			return Reported{}, err
		}
		completed = st.outcome.Record.Completed
	}
	for _, id := range places {
		if _, ok := completed[id]; ok {
			out.Completed = append(out.Completed, id)
		}
	}
	return out, nil
}

func (in Report) validate() error {
	var f apperr.Fields
	f.Require(in.ResourceID != nil || in.ItemID != nil, "resource_id", "required", "resource_id or item_id is needed")
	f.Require(in.Watched == nil || in.Watched.Percent >= 0 && in.Watched.Percent <= 100, "watched.percent", "out_of_range", "is 0 to 100")
	return f.Err()
}

// subject: an item stands for its resource (rule 14).
func (in Report) subject(c *progress.Curriculum) uuid.UUID {
	if in.ResourceID != nil {
		return *in.ResourceID
	}
	if c != nil {
		if it, ok := c.Item(*in.ItemID); ok {
			return it.Subject()
		}
	}
	return *in.ItemID
}

func (in Report) apply(f progress.Facts) progress.Facts {
	if in.ViewedAt != nil && (f.ViewedAt == nil || in.ViewedAt.Before(*f.ViewedAt)) {
		f.ViewedAt = in.ViewedAt // the first view; it sticks (rule 3)
	}
	if w := in.Watched; w != nil {
		f.Watched = max(f.Watched, w.Percent)
		if w.Percent >= 100 && f.ViewedAt == nil {
			f.ViewedAt = &w.At
		}
	}
	if in.Submission != nil {
		f.SubmittedAt = in.Submission.SubmittedAt
	}
	if g := in.Grade; g != nil {
		f.Score, f.Possible, f.GradedAt, f.ExcusedAt = g.Score, g.Possible, g.GradedAt, g.ExcusedAt
		if g.Score == nil || g.GradedAt == nil {
			f.Score, f.GradedAt = nil, nil
		}
	}
	return f
}

// CourseGrade is a posted course grade (rule 25).
type CourseGrade struct {
	UserID   uuid.UUID
	CourseID uuid.UUID
	Current  *events.Hundredths
	Final    *events.Hundredths
	Letter   string
	GradedAt time.Time
	Version  int64
}

// TakeCourseGrade stores a course grade; completion and a certificate may ask
// for one (rules 12, 15). An older version changes nothing.
func (s *Service) TakeCourseGrade(ctx context.Context, tx Tx, in CourseGrade) (Reported, error) {
	now := s.Now()
	l, err := tx.LockLearner(ctx, in.CourseID, in.UserID)
	if apperr.IsKind(err, apperr.KindNotFound) {
		return Reported{Ignored: IgnoredNotEnrolled}, nil
	}
	if err != nil {
		return Reported{}, err
	}
	e := &l.Enrollment
	if in.Version <= e.GradeVersion {
		return Reported{}, nil
	}
	e.GradeCurrent, e.GradeFinal, e.GradeLetter, e.GradeVersion = in.Current, in.Final, in.Letter, in.Version
	e.GradedAt = &in.GradedAt
	st, err := s.step(ctx, tx, &l, nil, now)
	if err != nil {
		return Reported{}, err
	}
	l.Enrollment.UpdatedAt = now
	if err := tx.SaveProgress(ctx, []ProgressSave{st.save}); err != nil {
		return Reported{}, err
	}
	if err := s.tellStep(ctx, tx, &l, st, now); err != nil {
		return Reported{}, err
	}
	if !st.completed { // a better grade may make a certificate due
		err = s.plan(ctx, tx, l.Course, l.Enrollment)
	}
	return Reported{}, err
}
