package postgres

import (
	"context"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/coursework"
	"lms/apps/assignment/internal/grading"
	"lms/shared/pg"
)

const (
	// Columns are what is published, graded and not deleted, in the order of the
	// gradebook.
	columnsSQL = `
select c.id, c.kind, c.group_id, c.position, c.title, c.grading_type, c.scheme_id, c.points, c.extra_points, c.omit_from_final, c.due_at,
  c.expects, c.anonymous, c.posting, c.group_work
from (
  select a.id, 'assignment' as kind, a.group_id, a.position, a.title, a.grading_type, a.scheme_id, a.points, a.extra_points,
    a.omit_from_final, a.due_at, cardinality(a.submission_types) > 0 as expects, a.anonymous, a.posting, a.group_set_id is not null as group_work
  from assignments a where a.course_id = $1 and a.published and a.deleted_at is null and a.grading_type <> 'not_graded'
  union all
  select q.quiz_id, 'quiz', q.group_id, q.position, q.title, 'points', null, q.points, 0, q.omit_from_final, q.due_at, true, false, 'automatic', false
  from quiz_columns q where q.course_id = $1 and q.published and not q.deleted
) c left join assignment_groups g on g.id = c.group_id
order by g.position nulls last, g.id, c.position, c.id`

	schemeOfSQL = `
select s.grades from grading_schemes s join course_grading c on c.scheme_id = s.id where c.course_id = $1`

	// A score that was given without any number (pass and fail of nothing) counts not.
	scoresSQL = `
select g.user_id, g.assignment_id as column_id, case when g.excused_at is null then g.score end as score, g.excused_at is not null as excused,
  g.posted_at is not null as posted
from grades g where g.course_id = $1 and g.user_id = any ($2) and (g.score is not null or g.excused_at is not null)
union all
select q.user_id, q.quiz_id, case when q.excused_at is null then q.counted end, q.excused_at is not null, q.posted or q.missing_score is not null
from quiz_scores q where q.course_id = $1 and q.user_id = any ($2) and (q.counted is not null or q.excused_at is not null)`

	totalColumns = `
t.id, t.tenant_id, t.org_unit_id, t.course_id, t.user_id, t.current, t.final, t.letter, t.posted_current, t.posted_final, t.posted_letter,
t.override_percent, t.override_by, t.override_at, t.override_version, t.revision, t.changed_at, t.posted_at, t.created_at, t.version`
	freshTotalsSQL = `
insert into course_totals (id, tenant_id, org_unit_id, course_id, user_id, created_at)
select unnest($1::uuid[]), $2, $3, $4, unnest($5::uuid[]), $6 on conflict (course_id, user_id) do nothing`
	lockTotalsSQL   = `select` + totalColumns + ` from course_totals t where t.course_id = $1 and t.user_id = any ($2) order by t.user_id for update`
	totalsOfSQL     = `select` + totalColumns + ` from course_totals t where t.course_id = $1 and t.user_id = any ($2)`
	totalsAfterSQL  = `select` + totalColumns + ` from course_totals t where t.id > $1 order by t.id limit $2 for update`
	totalsBehindSQL = `
select user_id from course_totals where course_id = $1 and revision < $2 order by user_id limit $3`
	saveTotalSQL = `
update course_totals set org_unit_id = $2, current = $3, final = $4, letter = $5, posted_current = $6, posted_final = $7, posted_letter = $8,
  override_percent = $9, override_by = $10, override_at = $11, override_version = $12, revision = $13, changed_at = $14, posted_at = $15,
  version = $16
where id = $1`

	insertFinalChangeSQL = `
insert into final_grade_history (id, tenant_id, total_id, at, actor_id, note, before, after) values ($1, $2, $3, $4, $5, $6, $7, $8)`
	finalHistorySQL = `
select id, tenant_id, total_id, at, actor_id, note, before, after from final_grade_history where total_id = $1 order by at desc, id desc limit 100`

	// From person to person by the index: each has a hundred rows in a large course.
	gradedPeopleSQL = `
with recursive g as (
  (select user_id from grades where course_id = $1 order by user_id limit 1)
  union all
  select (select n.user_id from grades n where n.course_id = $1 and n.user_id > g.user_id order by n.user_id limit 1) from g where g.user_id is not null
), q as (
  (select user_id from quiz_scores where course_id = $1 order by user_id limit 1)
  union all
  select (select n.user_id from quiz_scores n where n.course_id = $1 and n.user_id > q.user_id order by n.user_id limit 1) from q where q.user_id is not null
)
select user_id from course_totals where course_id = $1
union select user_id from g where user_id is not null
union select user_id from q where user_id is not null`

	deductedSQL = `
select distinct assignment_id from grades where course_id = $1 and deduction > 0
union select distinct quiz_id from quiz_scores where course_id = $1 and deduction > 0`

	gradesAfterIDSQL = `select` + gradeColumns + ` from grades g where g.id > $1 order by g.id limit $2 for update`
)

// Counting implements coursework.GradebookTx. The revision is read before what it
// is of: what changes in between is counted again.
func (t tx) Counting(ctx context.Context, course uuid.UUID, users []uuid.UUID) (coursework.Counting, []coursework.ScoredItem, error) {
	c := coursework.Counting{Scheme: grading.Standard()}
	var (
		trip    trip
		found   []coursework.Grading
		schemes []struct{ Grades grading.Scheme }
		scores  []coursework.ScoredItem
	)
	queued(&trip, &found, gradingSQL, course)
	queued(&trip, &schemes, schemeOfSQL, course)
	queued(&trip, &c.Groups, groupsSQL, course)
	queued(&trip, &c.Columns, columnsSQL, course)
	if len(users) > 0 {
		queued(&trip, &scores, scoresSQL, course, users)
	}
	if err := trip.send(ctx, t); err != nil {
		return c, nil, err
	}
	c.Grading = coursework.DefaultGrading(course)
	if len(found) > 0 {
		c.Grading = found[0]
	}
	if len(schemes) > 0 {
		c.Scheme = schemes[0].Grades
	}
	return c, scores, nil
}

// LockTotals implements coursework.GradebookTx; all are of one course.
func (t tx) LockTotals(ctx context.Context, fresh []coursework.CourseTotal) ([]coursework.CourseTotal, error) {
	ids, users := make([]uuid.UUID, len(fresh)), make([]uuid.UUID, len(fresh))
	for i, row := range fresh {
		ids[i], users[i] = row.ID, row.UserID
	}
	one := fresh[0]
	var trip trip
	var rows []coursework.CourseTotal
	trip.exec(freshTotalsSQL, ids, one.TenantID, one.OrgUnitID, one.CourseID, users, one.CreatedAt)
	queued(&trip, &rows, lockTotalsSQL, one.CourseID, users)
	return rows, trip.send(ctx, t)
}

// SaveTotals implements coursework.GradebookTx; all are locked.
func (t tx) SaveTotals(ctx context.Context, rows []coursework.CourseTotal) error {
	var trip trip
	for _, r := range rows {
		trip.exec(saveTotalSQL, r.ID, r.OrgUnitID, r.Current, r.Final, r.Letter, r.PostedCurrent, r.PostedFinal, r.PostedLetter, r.OverridePercent,
			r.OverrideBy, r.OverrideAt, r.OverrideVersion, r.Revision, r.ChangedAt, r.PostedAt, r.Version)
	}
	return trip.send(ctx, t)
}

// TotalsOf implements coursework.GradebookTx.
func (t tx) TotalsOf(ctx context.Context, course uuid.UUID, users []uuid.UUID) ([]coursework.CourseTotal, error) {
	return pg.Many[coursework.CourseTotal](ctx, t, totalsOfSQL, course, users)
}

// TotalsAfter implements coursework.GradebookTx.
func (t tx) TotalsAfter(ctx context.Context, after uuid.UUID, limit int) ([]coursework.CourseTotal, error) {
	return pg.Many[coursework.CourseTotal](ctx, t, totalsAfterSQL, after, limit)
}

// TotalsBehind implements coursework.GradebookTx.
func (t tx) TotalsBehind(ctx context.Context, course uuid.UUID, revision int64, limit int) ([]uuid.UUID, error) {
	return pg.Column[uuid.UUID](ctx, t, totalsBehindSQL, course, revision, limit)
}

// InsertFinalChange implements coursework.GradebookTx.
func (t tx) InsertFinalChange(ctx context.Context, h coursework.FinalChange) error {
	_, err := pg.Exec(ctx, t, insertFinalChangeSQL, h.ID, h.TenantID, h.TotalID, h.At, h.ActorID, h.Note, h.Before, h.After)
	return err
}

// FinalHistory implements coursework.GradebookTx.
func (t tx) FinalHistory(ctx context.Context, total uuid.UUID) ([]coursework.FinalChange, error) {
	return pg.Many[coursework.FinalChange](ctx, t, finalHistorySQL, total)
}

// GradedPeople implements coursework.GradebookTx.
func (t tx) GradedPeople(ctx context.Context, course uuid.UUID) ([]uuid.UUID, error) {
	return pg.Column[uuid.UUID](ctx, t, gradedPeopleSQL, course)
}

// Deducted implements coursework.GradebookTx.
func (t tx) Deducted(ctx context.Context, course uuid.UUID) ([]uuid.UUID, error) {
	return pg.Column[uuid.UUID](ctx, t, deductedSQL, course)
}

// GradesToCheck implements coursework.GradebookTx.
func (t tx) GradesToCheck(ctx context.Context, after uuid.UUID, limit int) ([]coursework.Grade, error) {
	return pg.Many[coursework.Grade](ctx, t, gradesAfterIDSQL, after, limit)
}
