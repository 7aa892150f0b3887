package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/enrollment/internal/enrollment"
	"lms/shared/apperr"
	"lms/shared/pg"
	"lms/shared/work"
)

const (
	subjectColumns = `
i.enrollment_id, i.subject_id, i.tenant_id, i.viewed_at, i.done_at, i.submitted_at, i.watched, i.score, i.possible,
i.graded_at, i.excused_at, i.completed_items, i.completed_times, i.updated_at`
	moduleColumns = `
m.enrollment_id, m.module_id, m.tenant_id, m.state, m.needed, m.met, m.unlocked_at, m.completed_at, m.kept_at, m.kept_items,
m.updated_at`

	enrollmentSQL    = `select` + enrollmentColumns + ` from enrollments e where e.course_id = $1 and e.user_id = $2`
	learnerCourseSQL = `
select coalesce(p.status, ''), coalesce(s.role, ''),` + courseColumns + `
from courses c
left join course_staff s on s.course_id = c.id and s.user_id = $2 and s.active
left join people p on p.user_id = $2
where c.id = $1`
	learnerSubjectsSQL = `
select` + subjectColumns + ` from item_progress i
where i.enrollment_id = (select e.id from enrollments e where e.course_id = $1 and e.user_id = $2)`
	learnerModulesSQL = `
select` + moduleColumns + ` from module_progress m
where m.enrollment_id = (select e.id from enrollments e where e.course_id = $1 and e.user_id = $2)`
)

func subjectFields(r *enrollment.SubjectRow) []any {
	return []any{
		&r.EnrollmentID, &r.SubjectID, &r.TenantID, &r.ViewedAt, &r.DoneAt, &r.SubmittedAt, &r.Watched, &r.Score, &r.Possible,
		&r.GradedAt, &r.ExcusedAt, &r.CompletedItems, &r.CompletedTimes, &r.UpdatedAt,
	}
}

func moduleFields(r *enrollment.ModuleRow) []any {
	return []any{
		&r.EnrollmentID, &r.ModuleID, &r.TenantID, &r.State, &r.Needed, &r.Met, &r.UnlockedAt, &r.CompletedAt, &r.KeptAt, &r.KeptItems,
		&r.UpdatedAt,
	}
}

// LockLearner implements enrollment.LearningTx.
func (t tx) LockLearner(ctx context.Context, course, user uuid.UUID) (enrollment.Learner, error) {
	return t.learner(ctx, lockEnrollmentSQL, course, user)
}

// Learner implements enrollment.LearningTx.
func (t tx) Learner(ctx context.Context, course, user uuid.UUID) (enrollment.Learner, error) {
	return t.learner(ctx, enrollmentSQL, course, user)
}

func (t tx) learner(ctx context.Context, first string, course, user uuid.UUID) (enrollment.Learner, error) {
	var trip trip
	read := learnerTrip(&trip, first, course, user)
	if err := trip.send(ctx, t); err != nil {
		return enrollment.Learner{}, err
	}
	look, known := read()
	if !known || look.Learner == nil {
		return enrollment.Learner{}, apperr.NotFound("enrollment")
	}
	return *look.Learner, nil
}

// learnerTrip adds what is read of a person in a course; what it returns gives the
// answer after the trip, and whether the course is known.
func learnerTrip(t *trip, first string, course, user uuid.UUID) func() (enrollment.Look, bool) {
	var (
		look            enrollment.Look
		e               enrollment.Enrollment
		enrolled, known bool
		status          string
		subjects        []enrollment.SubjectRow
		modules         []enrollment.ModuleRow
	)
	t.one(&enrolled, enrollmentFields(&e), first, course, user)
	t.one(&known, append([]any{&status, &look.Role}, courseFields(&look.Course)...), learnerCourseSQL, course, user)
	scanned(t, &subjects, subjectFields, learnerSubjectsSQL, course, user)
	scanned(t, &modules, moduleFields, learnerModulesSQL, course, user)
	return func() (enrollment.Look, bool) {
		if status != "" {
			look.Person = &enrollment.Person{UserID: user, TenantID: look.Course.TenantID, Status: status}
		}
		if enrolled && known {
			l := enrollment.NewLearner(e, look.Course, subjects, modules)
			l.Person = look.Person
			look.Learner = &l
		}
		return look, known
	}
}

// Look implements enrollment.Store.
func (s *Store) Look(ctx context.Context, sc work.Scope, course, user uuid.UUID) (look enrollment.Look, err error) {
	var known bool
	err = s.oneTrip(ctx, sc, func(t *trip) func() error {
		read := learnerTrip(t, enrollmentSQL, course, user)
		return func() error {
			look, known = read()
			return nil
		}
	})
	if err == nil && !known {
		err = apperr.NotFound("course")
	}
	return look, err
}

const (
	lockManySQL     = `select` + enrollmentColumns + ` from enrollments e where e.id = any ($1) order by e.id for update`
	manySubjectsSQL = `select` + subjectColumns + ` from item_progress i where i.enrollment_id = any ($1)`
	manyModulesSQL  = `select` + moduleColumns + ` from module_progress m where m.enrollment_id = any ($1)`
	manyCoursesSQL  = `
select` + courseColumns + ` from courses c where c.id in (select e.course_id from enrollments e where e.id = any ($1))`
)

// LockLearners implements enrollment.LearningTx.
func (t tx) LockLearners(ctx context.Context, list []uuid.UUID) ([]enrollment.Learner, error) {
	rows, err := t.Query(ctx, lockManySQL, list)
	locked, err := each(rows, err, enrollmentFields)
	if err != nil {
		return nil, err
	}
	rows, err = t.Query(ctx, manyCoursesSQL, list)
	found, err := each(rows, err, courseFields)
	if err != nil {
		return nil, err
	}
	courses := make(map[uuid.UUID]enrollment.Course, len(found))
	for _, c := range found {
		courses[c.ID] = c
	}
	var trip trip
	var allSubjects []enrollment.SubjectRow
	var allModules []enrollment.ModuleRow
	scanned(&trip, &allSubjects, subjectFields, manySubjectsSQL, list)
	scanned(&trip, &allModules, moduleFields, manyModulesSQL, list)
	if err := trip.send(ctx, t); err != nil {
		return nil, err
	}
	subjects := map[uuid.UUID][]enrollment.SubjectRow{}
	for _, s := range allSubjects {
		subjects[s.EnrollmentID] = append(subjects[s.EnrollmentID], s)
	}
	modules := map[uuid.UUID][]enrollment.ModuleRow{}
	for _, m := range allModules {
		modules[m.EnrollmentID] = append(modules[m.EnrollmentID], m)
	}
	out := make([]enrollment.Learner, 0, len(locked))
	for _, e := range locked {
		if c, ok := courses[e.CourseID]; ok {
			out = append(out, enrollment.NewLearner(e, c, subjects[e.ID], modules[e.ID]))
		}
	}
	return out, nil
}

const (
	behindSQL = `
select id from enrollments
where course_id = $1 and curriculum_seq < $2 and state in ('active', 'completed', 'suspended') and id > $3
order by id limit $4`
	dueLearnersSQL = `
select id from enrollments where state = 'active' and next_change_at <= $1 and id <> all ($3) order by next_change_at, id limit $2`
	judgedSQL = `
select id from enrollments where state in ('active', 'completed', 'suspended') and id > $1 order by id limit $2`
)

// BehindLearners implements enrollment.LearningTx.
func (t tx) BehindLearners(ctx context.Context, course uuid.UUID, seq int64, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	return pg.Column[uuid.UUID](ctx, t, behindSQL, course, seq, after, limit)
}

// DueLearners implements enrollment.LearningTx.
func (t tx) DueLearners(ctx context.Context, now time.Time, skip []uuid.UUID, limit int) ([]uuid.UUID, error) {
	return pg.Column[uuid.UUID](ctx, t, dueLearnersSQL, now, limit, ids(skip))
}

// JudgedLearners implements enrollment.LearningTx.
func (t tx) JudgedLearners(ctx context.Context, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	return pg.Column[uuid.UUID](ctx, t, judgedSQL, after, limit)
}

const (
	saveSubjectSQL = `
insert into item_progress (enrollment_id, subject_id, tenant_id, viewed_at, done_at, submitted_at, watched, score, possible,
  graded_at, excused_at, completed_items, completed_times, updated_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
on conflict (enrollment_id, subject_id) do update set viewed_at = excluded.viewed_at, done_at = excluded.done_at,
  submitted_at = excluded.submitted_at, watched = excluded.watched, score = excluded.score, possible = excluded.possible,
  graded_at = excluded.graded_at, excused_at = excluded.excused_at, completed_items = excluded.completed_items,
  completed_times = excluded.completed_times, updated_at = excluded.updated_at`
	saveModuleSQL = `
insert into module_progress (enrollment_id, module_id, tenant_id, state, needed, met, unlocked_at, completed_at, kept_at,
  kept_items, updated_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
on conflict (enrollment_id, module_id) do update set state = excluded.state, needed = excluded.needed, met = excluded.met,
  unlocked_at = excluded.unlocked_at, completed_at = excluded.completed_at, kept_at = excluded.kept_at,
  kept_items = excluded.kept_items, updated_at = excluded.updated_at`
	dropModulesSQL = `delete from module_progress where enrollment_id = $1 and module_id = any ($2)`

	clearSubjectsSQL = `delete from item_progress where enrollment_id = $1`
	clearModulesSQL  = `delete from module_progress where enrollment_id = $1`
)

// SaveProgress implements enrollment.LearningTx.
func (t tx) SaveProgress(ctx context.Context, saves []enrollment.ProgressSave) error {
	var trip trip
	for i := range saves {
		s := &saves[i]
		for _, r := range s.Subjects {
			times := r.CompletedTimes
			if times == nil {
				times = []time.Time{}
			}
			trip.exec(saveSubjectSQL, r.EnrollmentID, r.SubjectID, r.TenantID, r.ViewedAt, r.DoneAt, r.SubmittedAt, r.Watched, r.Score,
				r.Possible, r.GradedAt, r.ExcusedAt, ids(r.CompletedItems), times, r.UpdatedAt)
		}
		for _, r := range s.Modules {
			trip.exec(saveModuleSQL, r.EnrollmentID, r.ModuleID, r.TenantID, r.State, r.Needed, r.Met, r.UnlockedAt, r.CompletedAt,
				r.KeptAt, ids(r.KeptItems), r.UpdatedAt)
		}
		if len(s.GoneModules) > 0 {
			trip.exec(dropModulesSQL, s.Owner, s.GoneModules)
		}
		if e := s.Enrollment; e != nil {
			var found bool
			trip.one(&found, []any{&e.Version}, updateEnrollmentSQL, updateArgs(e)...)
		}
	}
	return refused(trip.send(ctx, t))
}

// ClearProgress implements enrollment.LearningTx.
func (t tx) ClearProgress(ctx context.Context, id uuid.UUID) error {
	var trip trip
	trip.exec(clearSubjectsSQL, id)
	trip.exec(clearModulesSQL, id)
	return trip.send(ctx, t)
}
