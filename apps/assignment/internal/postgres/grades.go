package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/coursework"
	"lms/shared/apperr"
	"lms/shared/page"
	"lms/shared/pg"
)

const (
	gradeColumns = `
g.id, g.tenant_id, g.org_unit_id, g.course_id, g.assignment_id, g.user_id, g.alias, g.submission_id, g.group_id, g.submitted_at,
g.attempts, g.attempts_used, g.due_at, g.seconds_late, g.entered_grade, g.entered_score, g.status, g.status_seconds, g.excused_at,
g.individual, g.graded_at, g.grader_id, g.graded_submission, g.deduction, g.missing_score, g.missing_at, g.score, g.posted_at,
g.hidden, g.created_at, g.updated_at, g.version`

	gradeSQL        = `select` + gradeColumns + ` from grades g where g.assignment_id = $1 and g.user_id = $2`
	gradeByAliasSQL = `select` + gradeColumns + ` from grades g where g.assignment_id = $1 and g.alias = $2`
	gradesInSQL     = `select` + gradeColumns + ` from grades g where g.assignment_id = $1 and g.user_id = any ($2)`
	lockGradesSQL   = gradesInSQL + ` order by g.user_id for update`
	// Rows are made in the order in which they are locked.
	ensureGradesSQL = `
insert into grades (id, tenant_id, org_unit_id, course_id, assignment_id, user_id, alias, created_at, updated_at, version)
select id, $2, $3, $4, $5, user_id, alias, $8, $8, $9 from unnest($1::uuid[], $6::uuid[], $7::uuid[]) as n (id, user_id, alias) order by user_id
on conflict (assignment_id, user_id) do nothing`
	insertGradeSQL = `
insert into grades (id, tenant_id, org_unit_id, course_id, assignment_id, user_id, alias, submission_id, group_id, submitted_at,
  attempts, attempts_used, due_at, seconds_late, entered_grade, entered_score, status, status_seconds, excused_at, individual,
  graded_at, grader_id, graded_submission, deduction, missing_score, missing_at, posted_at, hidden, created_at, updated_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26,
  $27, $28, $29, $30, $31)
on conflict (assignment_id, user_id) do nothing`
	updateGradeSQL = `
update grades set org_unit_id = $2, submission_id = $3, group_id = $4, submitted_at = $5, attempts = $6, attempts_used = $7, due_at = $8,
  seconds_late = $9, entered_grade = $10, entered_score = $11, status = $12, status_seconds = $13, excused_at = $14, individual = $15,
  graded_at = $16, grader_id = $17, graded_submission = $18, deduction = $19, missing_score = $20, missing_at = $21, posted_at = $22,
  hidden = $23, updated_at = $24, version = $25
where id = $1 and version = $25 - 1`
	gradesAfterSQL = `select user_id from grades where assignment_id = $1 and user_id > $2 order by user_id limit $3`

	listGradesBase = `select` + gradeColumns + ` from grades g
where g.assignment_id = $1 and ($2::uuid is null or g.user_id = $2) and ($3::boolean is null or (g.posted_at is not null) = $3)
  and (not $4 or g.submission_id is not null and g.excused_at is null and (g.graded_submission is null or g.graded_submission <> g.submission_id))`
	gradesByUserSQL  = listGradesBase + ` and ($5 or g.user_id > $6::uuid) order by g.user_id limit $7`
	gradesByAliasSQL = listGradesBase + ` and ($5 or g.alias > $6::uuid) order by g.alias limit $7`
)

// Grade implements coursework.GradeTx.
func (t tx) Grade(ctx context.Context, assignment, user uuid.UUID) (*coursework.Grade, error) {
	return none(pg.One[coursework.Grade](ctx, t, "grade", gradeSQL, assignment, user))
}

// GradeByAlias implements coursework.GradeTx.
func (t tx) GradeByAlias(ctx context.Context, assignment, alias uuid.UUID) (*coursework.Grade, error) {
	return none(pg.One[coursework.Grade](ctx, t, "grade", gradeByAliasSQL, assignment, alias))
}

func byUser(rows []coursework.Grade) map[uuid.UUID]coursework.Grade {
	out := make(map[uuid.UUID]coursework.Grade, len(rows))
	for _, g := range rows {
		out[g.UserID] = g
	}
	return out
}

// GradesIn implements coursework.GradeTx.
func (t tx) GradesIn(ctx context.Context, assignment uuid.UUID, users []uuid.UUID) (map[uuid.UUID]coursework.Grade, error) {
	rows, err := pg.Many[coursework.Grade](ctx, t, gradesInSQL, assignment, list(users))
	return byUser(rows), err
}

// LockGrades implements coursework.GradeTx.
func (t tx) LockGrades(ctx context.Context, assignment uuid.UUID, users []uuid.UUID) (map[uuid.UUID]coursework.Grade, error) {
	rows, err := pg.Many[coursework.Grade](ctx, t, lockGradesSQL, assignment, list(users))
	return byUser(rows), err
}

// EnsureGrades implements coursework.GradeTx.
func (t tx) EnsureGrades(ctx context.Context, fresh []coursework.Grade) (map[uuid.UUID]coursework.Grade, error) {
	if len(fresh) == 0 {
		return map[uuid.UUID]coursework.Grade{}, nil
	}
	first := fresh[0]
	ids, users, aliases := make([]uuid.UUID, len(fresh)), make([]uuid.UUID, len(fresh)), make([]uuid.UUID, len(fresh))
	for i, g := range fresh {
		ids[i], users[i], aliases[i] = g.ID, g.UserID, g.Alias
	}
	var both trip
	var rows []coursework.Grade
	both.exec(ensureGradesSQL, ids, first.TenantID, first.OrgUnitID, first.CourseID, first.AssignmentID, users, aliases, first.CreatedAt, first.Version)
	queued(&both, &rows, lockGradesSQL, first.AssignmentID, users)
	err := both.send(ctx, t)
	return byUser(rows), err
}

// InsertGrade implements coursework.GradeTx.
func (t tx) InsertGrade(ctx context.Context, g coursework.Grade) error {
	n, err := pg.Exec(ctx, t, insertGradeSQL, g.ID, g.TenantID, g.OrgUnitID, g.CourseID, g.AssignmentID, g.UserID, g.Alias, g.SubmissionID, g.GroupID,
		g.SubmittedAt, g.Attempts, g.AttemptsUsed, g.DueAt, g.SecondsLate, g.EnteredGrade, g.EnteredScore, g.Status, g.StatusSeconds, g.ExcusedAt,
		g.Individual, g.GradedAt, g.GraderID, g.GradedSubmission, g.Deduction, g.MissingScore, g.MissingAt, g.PostedAt, g.Hidden, g.CreatedAt,
		g.UpdatedAt, g.Version)
	if err == nil && n == 0 {
		return apperr.VersionMismatch() // somebody else made it in between
	}
	return err
}

// UpdateGrade implements coursework.GradeTx.
func (t tx) UpdateGrade(ctx context.Context, g coursework.Grade) error {
	return pg.ExecVersioned(ctx, t, updateGradeSQL, g.ID, g.OrgUnitID, g.SubmissionID, g.GroupID, g.SubmittedAt, g.Attempts, g.AttemptsUsed, g.DueAt,
		g.SecondsLate, g.EnteredGrade, g.EnteredScore, g.Status, g.StatusSeconds, g.ExcusedAt, g.Individual, g.GradedAt, g.GraderID,
		g.GradedSubmission, g.Deduction, g.MissingScore, g.MissingAt, g.PostedAt, g.Hidden, g.UpdatedAt, g.Version)
}

// GradesAfter implements coursework.GradeTx.
func (t tx) GradesAfter(ctx context.Context, assignment, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	return pg.Column[uuid.UUID](ctx, t, gradesAfterSQL, assignment, after, limit)
}

// ListGrades implements coursework.GradeTx.
func (t tx) ListGrades(ctx context.Context, f coursework.GradeFilter, p page.Request) (page.Page[coursework.Grade], error) {
	var last uuid.UUID
	more, err := page.Decode(p.Cursor, &last)
	if err != nil {
		return page.Page[coursework.Grade]{}, err
	}
	sql := gradesByUserSQL
	if f.ByAlias {
		sql = gradesByAliasSQL
	}
	rows, err := pg.Many[coursework.Grade](ctx, t, sql, f.AssignmentID, f.UserID, f.Posted, f.Waiting, !more, last, p.Size()+1)
	return page.Cut(rows, p.Size(), func(g coursework.Grade) string {
		if f.ByAlias {
			return page.Encode(g.Alias)
		}
		return page.Encode(g.UserID)
	}), err
}

const (
	insertHistorySQL = `
insert into grade_history (id, tenant_id, course_id, assignment_id, grade_id, user_id, at, actor_id, cause, note, before, after)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`
	historySQL = `
select id, tenant_id, course_id, assignment_id, grade_id, user_id, at, actor_id, cause, note, before, after from grade_history
where grade_id = $1 and (not $2 or cause in ('submitted', 'withdrawn')) and ($3 or (at, id) < ($4::timestamptz, $5::uuid))
order by at desc, id desc limit $6`
	waitingSQL = `
select a.id as assignment_id, a.course_id, a.title, a.due_at, w.count, w.oldest
from (
  select g.assignment_id, count(distinct g.submission_id) as count, min(g.submitted_at) as oldest from grades g
  where g.course_id = any ($1) and g.submission_id is not null and g.excused_at is null
    and (g.graded_submission is null or g.graded_submission <> g.submission_id)
  group by g.assignment_id
) w join assignments a on a.id = w.assignment_id
where a.deleted_at is null and a.published and ($2 or (w.oldest, a.id) > ($3::timestamptz, $4::uuid))
order by w.oldest, a.id limit $5`
)

// InsertHistory implements coursework.GradeTx.
func (t tx) InsertHistory(ctx context.Context, h coursework.Change) error {
	var before []byte
	if h.Before != nil {
		raw, err := json.Marshal(h.Before)
		if err != nil {
			return fmt.Errorf("history: %w", err)
		}
		before = raw
	}
	after, err := json.Marshal(h.After)
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	_, err = pg.Exec(ctx, t, insertHistorySQL, h.ID, h.TenantID, h.CourseID, h.AssignmentID, h.GradeID, h.UserID, h.At, h.ActorID, h.Cause, h.Note, before, after)
	return err
}

// History implements coursework.GradeTx.
func (t tx) History(ctx context.Context, grade uuid.UUID, attempts bool, p page.Request) (page.Page[coursework.Change], error) {
	var at time.Time
	var last uuid.UUID
	more, err := page.Decode(p.Cursor, &at, &last)
	if err != nil {
		return page.Page[coursework.Change]{}, err
	}
	rows, err := pg.Many[coursework.Change](ctx, t, historySQL, grade, attempts, !more, at, last, p.Size()+1)
	return page.Cut(rows, p.Size(), func(c coursework.Change) string { return page.Encode(c.At, c.ID) }), err
}

// Waiting implements coursework.GradeTx.
func (t tx) Waiting(ctx context.Context, courses []uuid.UUID, p page.Request) (page.Page[coursework.Waiting], error) {
	var oldest time.Time
	var last uuid.UUID
	more, err := page.Decode(p.Cursor, &oldest, &last)
	if err != nil {
		return page.Page[coursework.Waiting]{}, err
	}
	rows, err := pg.Many[coursework.Waiting](ctx, t, waitingSQL, courses, !more, oldest, last, p.Size()+1)
	return page.Cut(rows, p.Size(), func(w coursework.Waiting) string { return page.Encode(w.Oldest, w.AssignmentID) }), err
}
