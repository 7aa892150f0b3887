package enrollment

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// Kinds of background jobs that follow a changed course.
const (
	JobRecalculate = "recalculate-course"
	JobPromote     = "promote-waitlist"
	JobCloseCourse = "close-course"
)

// CourseJob is the input of those jobs. All wants everybody judged anew, not
// only whose progress was stored under an older curriculum.
type CourseJob struct {
	CourseID uuid.UUID `json:"course_id"`
	All      bool      `json:"all,omitempty"`
}

// ApplyCourses stores snapshots of courses that are newer than the copies, and
// starts what follows: a raised capacity promotes (rule 32), other settings of
// completion are judged, a deleted course lets everybody go.
func (s *Service) ApplyCourses(ctx context.Context, tx Tx, snapshots []CourseSnapshot) error {
	before, err := tx.UpsertCourses(ctx, snapshots, s.Now())
	if err != nil {
		return err
	}
	for _, snap := range snapshots {
		was, applied := before[snap.State.ID]
		if !applied || was == nil {
			continue
		}
		for _, kind := range follows(*was, snap.State) {
			job := CourseJob{CourseID: snap.State.ID, All: kind == JobRecalculate}
			if err := s.start(ctx, tx, kind, job, snap.State.TenantID, snap.Seq); err != nil {
				return err
			}
		}
	}
	return nil
}

// follows names the jobs that a change of a course starts.
func follows(was Course, now events.CourseState) []string {
	if now.Deleted {
		if was.Deleted {
			return nil
		}
		return []string{JobCloseCourse}
	}
	var kinds []string
	if was.Capacity != nil && (now.Capacity == nil || *now.Capacity > *was.Capacity) {
		kinds = append(kinds, JobPromote)
	}
	if !was.sameCompletion(now.Completion) {
		kinds = append(kinds, JobRecalculate)
	}
	return kinds
}

// start writes a job. Its key names the version that it follows, so that a newer
// change is never swallowed by a job that is about to end.
func (s *Service) start(ctx context.Context, tx Tx, kind string, job CourseJob, tenant uuid.UUID, seq int64) error {
	_, err := tx.Enqueue(ctx, kind, job, work.JobOptions{TenantID: tenant, Key: keyOf(job.CourseID, seq)})
	return err
}

// ApplyCurricula stores versions of curricula; where the current one changed,
// everybody's progress is judged anew in the background.
func (s *Service) ApplyCurricula(ctx context.Context, tx Tx, docs []CurriculumSnapshot) error {
	fresh, err := tx.InsertCurricula(ctx, docs)
	if err != nil {
		return err
	}
	for _, id := range fresh {
		for _, doc := range docs {
			if doc.State.CourseID != id {
				continue
			}
			if err := s.start(ctx, tx, JobRecalculate, CourseJob{CourseID: id}, doc.State.TenantID, doc.Seq); err != nil {
				return err
			}
		}
	}
	return nil
}

const recalculateBatch = 100

// Recalculate judges a course's learners anew, in batches in the order of their
// ids. progress is told how many were done, and may keep the last id.
func (s *Service) Recalculate(ctx context.Context, job CourseJob, from uuid.UUID, done func(ctx context.Context, last uuid.UUID, n int) error) error {
	last := from
	for {
		var ids []uuid.UUID
		err := s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
			c, _, err := tx.Course(ctx, job.CourseID, uuid.Nil)
			if err != nil {
				return err
			}
			behind := c.CurriculumSeq
			if job.All {
				behind = 1 << 62
			}
			if ids, err = tx.BehindLearners(ctx, job.CourseID, behind, last, recalculateBatch); err != nil {
				return err
			}
			return s.judge(ctx, tx, ids, occasion{recalculated: true, settings: job.All})
		})
		if apperr.IsKind(err, apperr.KindNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(ids) > 0 {
			last = ids[len(ids)-1]
			if err := done(ctx, last, len(ids)); err != nil {
				return err
			}
		}
		if len(ids) < recalculateBatch {
			return nil
		}
	}
}

// occasion says why learners are judged anew.
type occasion struct {
	recalculated bool // the curriculum or the settings changed
	settings     bool // the settings of completion did
}

// judge steps many learners without new facts, and tells whose numbers changed.
// Other settings can make a certificate due for who had completed before, also
// before the settings arrived here.
func (s *Service) judge(ctx context.Context, tx Tx, ids []uuid.UUID, why occasion) error {
	if len(ids) == 0 {
		return nil
	}
	now := s.Now()
	learners, err := tx.LockLearners(ctx, ids)
	if err != nil {
		return err
	}
	var saves []ProgressSave
	for i := range learners {
		l := &learners[i]
		st, err := s.step(ctx, tx, l, nil, now)
		if err != nil {
			return err
		}
		if why.settings && !st.completed {
			if err := s.planFirst(ctx, tx, l.Course, l.Enrollment); err != nil {
				return err
			}
		}
		if !st.changed {
			continue
		}
		l.Enrollment.UpdatedAt = now
		saves = append(saves, st.save)
		if err := s.tellJudged(ctx, tx, l, st, why.recalculated, now); err != nil {
			return err
		}
	}
	if len(saves) == 0 {
		return nil
	}
	return tx.SaveProgress(ctx, saves)
}

func (s *Service) tellJudged(ctx context.Context, tx Tx, l *Learner, st step, recalculated bool, now time.Time) error {
	moved := st.required != l.Enrollment.Required || st.met != l.Enrollment.Met || len(st.outcome.Regressed) > 0
	if recalculated && moved {
		err := tx.Emit(ctx, events.ProgressRecalculated{
			ProgressState: position(l, now), OldRequired: st.required, OldMet: st.met,
			Reason: "curriculum_changed", CurriculumVersion: st.curriculum.Version,
		}, meta(l.Course))
		if err != nil {
			return err
		}
	}
	return s.tellStep(ctx, tx, l, st, now)
}

// CloseCourse lets everybody of a deleted course go.
func (s *Service) CloseCourse(ctx context.Context, job CourseJob) error {
	last := uuid.Nil
	for {
		var ids []uuid.UUID
		err := s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) (err error) {
			ids, err = tx.LiveEnrollments(ctx, job.CourseID, last, recalculateBatch)
			return err
		})
		if err != nil {
			return err
		}
		for _, id := range ids {
			last = id
			if err := s.withdrawByID(ctx, id, ReasonCourseDeleted); err != nil {
				return err
			}
		}
		if len(ids) < recalculateBatch {
			return nil
		}
	}
}

func (s *Service) withdrawByID(ctx context.Context, id uuid.UUID, reason string) error {
	return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		now := s.Now()
		st, err := tx.StandingOf(ctx, id, now)
		if err != nil {
			return err
		}
		if st.Existing.State.Ended() {
			return nil
		}
		e := *st.Existing
		_, err = s.withdraw(ctx, tx, &st, &e, reason, now)
		return err
	})
}
