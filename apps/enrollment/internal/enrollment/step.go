package enrollment

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/apps/enrollment/internal/progress"
	"lms/shared/apperr"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// step is what one change of a learner's progress brings.
type step struct {
	outcome progress.Outcome
	save    ProgressSave
	// completed: the course was completed by it, for the first time (rule 13).
	completed bool
	// required and met are the numbers before.
	required, met int
	// curriculum is the one that it was judged under.
	curriculum *progress.Curriculum
	// changed: there is something to store.
	changed bool
}

// step applies facts, and the curriculum as it is now, to a learner. The learner's
// enrollment is brought up to date; nothing is written yet.
func (s *Service) step(ctx context.Context, tx Tx, l *Learner, facts map[uuid.UUID]progress.Facts, now time.Time) (step, error) {
	e := &l.Enrollment
	next, err := s.Curricula.Get(ctx, tx, l.Course.ID, l.Course.CurriculumSeq)
	if err != nil {
		return step{}, err
	}
	if next == nil {
		return step{}, apperr.Unavailable("curriculum_unknown", "The course is just being changed. Try again.")
	}
	old, seen := next, l.seen
	if e.CurriculumSeq != l.Course.CurriculumSeq {
		if old, err = s.Curricula.Get(ctx, tx, l.Course.ID, e.CurriculumSeq); err != nil {
			return step{}, err
		}
		seen = nil
	}
	st := step{required: e.Required, met: e.Met, curriculum: next}
	st.outcome = progress.Apply(l.Record, progress.Change{Old: old, New: next, Facts: facts, From: e.From(), Now: now, Seen: seen})
	was := *e
	s.advance(l, &st, now)
	st.save = l.diff(st.outcome, now)
	st.changed = !st.save.empty() || !sameProgress(was, *e)
	st.save.Enrollment = e
	return st, nil
}

// advance brings the enrollment's own numbers up to date, and completes the
// course where that is due (rules 10, 12, 13).
func (s *Service) advance(l *Learner, st *step, now time.Time) {
	e, v := &l.Enrollment, st.outcome.After
	e.Required, e.Met, e.NextItemID = v.Required, v.Met, nil
	if v.Next != nil {
		id := v.Next.ID
		e.NextItemID = &id
	}
	e.NextChangeAt = st.curriculum.NextUnlock(now)
	e.CurriculumSeq = l.Course.CurriculumSeq
	if e.State != Active || e.CompletedAt != nil {
		return
	}
	if at, ok := progress.CourseCompletedAt(v, l.Course.Completion, e.Grade()); ok {
		e.CompletedAt, e.State, e.StateChangedAt = &at, Completed, now
		st.completed = true
	}
}

func sameProgress(a, b Enrollment) bool {
	return a.Required == b.Required && a.Met == b.Met && a.State == b.State && a.CurriculumSeq == b.CurriculumSeq &&
		sameID(a.NextItemID, b.NextItemID) && sameTime(a.NextChangeAt, b.NextChangeAt)
}

func sameID(a, b *uuid.UUID) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

func sameTime(a, b *time.Time) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(*b)
}

func (p ProgressSave) empty() bool {
	return len(p.Subjects) == 0 && len(p.Modules) == 0 && len(p.GoneModules) == 0
}

// diff finds the rows that differ from what is stored.
func (l *Learner) diff(out progress.Outcome, now time.Time) ProgressSave {
	save := ProgressSave{Owner: l.Enrollment.ID}
	places := map[uuid.UUID][]uuid.UUID{}
	for _, mv := range out.After.Modules {
		for _, iv := range mv.Items {
			if iv.CompletedAt != nil {
				places[iv.Item.Subject()] = append(places[iv.Item.Subject()], iv.Item.ID)
			}
		}
	}
	for subject, f := range out.Record.Facts {
		row := l.subjectRow(subject, f, now)
		row.CompletedItems = places[subject]
		for _, item := range row.CompletedItems {
			row.CompletedTimes = append(row.CompletedTimes, out.Record.Completed[item])
		}
		if !row.same(l.Subjects[subject]) {
			save.Subjects = append(save.Subjects, row)
		}
	}
	slices.SortFunc(save.Subjects, func(a, b SubjectRow) int { return slices.Compare(a.SubjectID[:], b.SubjectID[:]) })
	rows := l.moduleRows(out, now)
	for _, row := range rows {
		if stored, ok := l.Modules[row.ModuleID]; !ok || !row.same(stored) {
			save.Modules = append(save.Modules, row)
		}
	}
	for id := range l.Modules {
		if !slices.ContainsFunc(rows, func(r ModuleRow) bool { return r.ModuleID == id }) {
			save.GoneModules = append(save.GoneModules, id)
		}
	}
	return save
}

func (l *Learner) subjectRow(subject uuid.UUID, f progress.Facts, now time.Time) SubjectRow {
	return SubjectRow{
		EnrollmentID: l.Enrollment.ID, SubjectID: subject, TenantID: l.Enrollment.TenantID,
		ViewedAt: f.ViewedAt, DoneAt: f.DoneAt, SubmittedAt: f.SubmittedAt, Watched: f.Watched,
		Score: f.Score, Possible: f.Possible, GradedAt: f.GradedAt, ExcusedAt: f.ExcusedAt, UpdatedAt: now,
	}
}

// facts are the row's facts.
func (r SubjectRow) facts() progress.Facts {
	return progress.Facts{
		ViewedAt: r.ViewedAt, DoneAt: r.DoneAt, SubmittedAt: r.SubmittedAt, Watched: r.Watched,
		Score: r.Score, Possible: r.Possible, GradedAt: r.GradedAt, ExcusedAt: r.ExcusedAt,
	}
}

func (r SubjectRow) same(o SubjectRow) bool {
	return o.SubjectID == r.SubjectID && r.facts().Equal(o.facts()) &&
		slices.Equal(r.CompletedItems, o.CompletedItems) &&
		slices.EqualFunc(r.CompletedTimes, o.CompletedTimes, time.Time.Equal)
}

// moduleRows are the rows that there should be: of modules that were begun, and
// of those that are kept open (rule 8).
func (l *Learner) moduleRows(out progress.Outcome, now time.Time) []ModuleRow {
	var rows []ModuleRow
	for _, mv := range out.After.Modules {
		kept := out.Record.Modules[mv.Module.ID]
		if mv.State != progress.Started && mv.State != progress.Completed && kept.Empty() {
			continue
		}
		rows = append(rows, ModuleRow{
			EnrollmentID: l.Enrollment.ID, ModuleID: mv.Module.ID, TenantID: l.Enrollment.TenantID,
			State: string(mv.State), Needed: mv.Needed, Met: mv.Met, UnlockedAt: mv.UnlockedAt, CompletedAt: mv.CompletedAt,
			KeptAt: kept.KeptAt, KeptItems: kept.KeptItems, UpdatedAt: now,
		})
	}
	for id, kept := range out.Record.Modules { // hidden modules have no progress, but are remembered
		if _, shown := out.After.Module(id); !shown {
			rows = append(rows, ModuleRow{
				EnrollmentID: l.Enrollment.ID, ModuleID: id, TenantID: l.Enrollment.TenantID, State: string(progress.Locked),
				KeptAt: kept.KeptAt, KeptItems: kept.KeptItems, UpdatedAt: now,
			})
		}
	}
	slices.SortFunc(rows, func(a, b ModuleRow) int { return slices.Compare(a.ModuleID[:], b.ModuleID[:]) })
	return rows
}

func (r ModuleRow) same(o ModuleRow) bool {
	return r.State == o.State && r.Needed == o.Needed && r.Met == o.Met && sameTime(r.UnlockedAt, o.UnlockedAt) &&
		sameTime(r.CompletedAt, o.CompletedAt) && sameTime(r.KeptAt, o.KeptAt) && slices.Equal(r.KeptItems, o.KeptItems)
}

// NewLearner makes a learner of stored rows.
func NewLearner(e Enrollment, c Course, subjects []SubjectRow, modules []ModuleRow) Learner {
	l := Learner{
		Enrollment: e, Course: c, Record: progress.NewRecord(),
		Modules: make(map[uuid.UUID]ModuleRow, len(modules)), Subjects: make(map[uuid.UUID]SubjectRow, len(subjects)),
	}
	for _, row := range subjects {
		l.Subjects[row.SubjectID] = row
		l.Record.Facts[row.SubjectID] = row.facts()
		for i, item := range row.CompletedItems {
			l.Record.Completed[item] = row.CompletedTimes[i]
		}
	}
	for _, row := range modules {
		l.Modules[row.ModuleID] = row
		if kept := (progress.ModuleRecord{KeptAt: row.KeptAt, KeptItems: row.KeptItems}); !kept.Empty() {
			l.Record.Modules[row.ModuleID] = kept
		}
	}
	return l
}

// position places a progress event.
func position(l *Learner, now time.Time) events.ProgressState {
	e, c := l.Enrollment, l.Course
	return events.ProgressState{
		EnrollmentID: e.ID, TenantID: e.TenantID, OrgUnitID: c.OrgUnitID, CourseID: c.ID, UserID: e.UserID,
		Required: e.Required, Met: e.Met, At: now,
	}
}

// tellStep tells what a step completed. What each item did is told by who knows
// what happened to it.
func (s *Service) tellStep(ctx context.Context, tx Tx, l *Learner, st step, now time.Time) error {
	for _, mv := range st.outcome.ModulesCompleted() {
		err := tx.Emit(ctx, events.ModuleCompleted{
			ProgressState: position(l, now), ModuleID: mv.Module.ID, ModuleTitle: mv.Module.Title, CompletedAt: *mv.CompletedAt,
		}, meta(l.Course))
		if err != nil {
			return err
		}
	}
	if !st.completed {
		return nil
	}
	e := l.Enrollment
	err := tx.Emit(ctx, events.CourseCompleted{
		EnrollmentState: snapshot(e, l.Course, Active, now), StartedAt: e.ActivatedAt, Grade: e.GradeFinal,
	}, meta(l.Course))
	if err != nil {
		return err
	}
	return s.plan(ctx, tx, l.Course, e)
}

// IssueCertificate is the input of the job that issues a certificate: the name
// is asked of user, which no transaction waits for.
type IssueCertificate struct {
	EnrollmentID uuid.UUID `json:"enrollment_id"`
}

// JobIssueCertificate is the kind of that job.
const JobIssueCertificate = "issue-certificate"

// plan starts the job where a certificate may be due (rule 15). Each reason gets a
// job of its own: one that runs already may have looked before this was true.
func (s *Service) plan(ctx context.Context, tx Tx, c Course, e Enrollment) error {
	if !c.Completion.Certificate.Enabled || e.CompletedAt == nil {
		return nil
	}
	_, err := tx.Enqueue(ctx, JobIssueCertificate, IssueCertificate{e.ID}, work.JobOptions{TenantID: e.TenantID})
	return err
}

// planFirst is plan for who has no certificate yet.
func (s *Service) planFirst(ctx context.Context, tx Tx, c Course, e Enrollment) error {
	if !c.Completion.Certificate.Enabled || e.CompletedAt == nil {
		return nil
	}
	if has, err := tx.CertificateOf(ctx, e.ID); has != nil || err != nil {
		return err
	}
	return s.plan(ctx, tx, c, e)
}
