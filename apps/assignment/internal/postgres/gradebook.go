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
	gradingColumns = `
course_id, tenant_id, org_unit_id, weighted, scheme_id, show_totals, settings_version, late, late_rate, late_interval, late_floor,
missing, missing_rate, policy_version, revision, counted, updated_at`
	gradingSQL       = `select` + gradingColumns + ` from course_grading where course_id = $1`
	shareGradingSQL  = gradingSQL + ` for share`
	lockGradingSQL   = gradingSQL + ` for update`
	insertGradingSQL = `
insert into course_grading (course_id, tenant_id, org_unit_id, updated_at) values ($1, $2, $3, $4) on conflict (course_id) do nothing`
	updateGradingSQL = `
update course_grading set org_unit_id = $2, weighted = $3, scheme_id = $4, show_totals = $5, settings_version = $6, late = $7,
  late_rate = $8, late_interval = $9, late_floor = $10, missing = $11, missing_rate = $12, policy_version = $13, revision = $14,
  updated_at = $15
where course_id = $1`
	coursesBehindSQL = `select` + gradingColumns + ` from course_grading where counted < revision order by course_id limit $1`
	setCountedSQL    = `update course_grading set counted = $2 where course_id = $1 and counted < $2`

	insertSchemeSQL = `
insert into grading_schemes (id, tenant_id, org_unit_id, course_id, name, grades, created_by, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)`
	schemeColumns  = ` id, tenant_id, org_unit_id, course_id, name, grades, created_by, created_at`
	schemeSQL      = `select` + schemeColumns + ` from grading_schemes where id = $1`
	listSchemesSQL = `
select` + schemeColumns + ` from grading_schemes
where (course_id is null and org_unit_id = any ($1) or course_id = $2) and ($3 or id > $4) order by id limit $5`

	groupColumns = `
id, tenant_id, org_unit_id, course_id, name, position, weight, drop_lowest, drop_highest, never_drop, created_at, updated_at, version`
	groupSQL             = `select` + groupColumns + ` from assignment_groups where id = $1`
	lockCountingGroupSQL = groupSQL + ` for update`
	groupsSQL            = `select` + groupColumns + ` from assignment_groups where course_id = $1 order by position, id`
	insertGroupSQL       = `
insert into assignment_groups (id, tenant_id, org_unit_id, course_id, name, position, weight, drop_lowest, drop_highest, never_drop,
  created_at, updated_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`
	updateGroupSQL = `
update assignment_groups set name = $2, position = $3, weight = $4, drop_lowest = $5, drop_highest = $6, never_drop = $7,
  updated_at = $8, version = $9
where id = $1 and version = $9 - 1`
	deleteGroupSQL     = `delete from assignment_groups where id = $1`
	moveAssignmentsSQL = `
update assignments a set group_id = $2, updated_at = $3, version = version + 1 where group_id = $1 and deleted_at is null returning` + assignmentColumns
	moveDeletedSQL = `update assignments set group_id = null where group_id = $1 and deleted_at is not null`
	moveQuizzesSQL = `update quiz_columns set group_id = $2, updated_at = $3, version = version + 1 where group_id = $1`
)

// Grading implements coursework.GradebookTx.
func (t tx) Grading(ctx context.Context, course uuid.UUID) (coursework.Grading, error) {
	g, err := none(pg.One[coursework.Grading](ctx, t, "course", gradingSQL, course))
	if g == nil {
		return coursework.DefaultGrading(course), err
	}
	return *g, err
}

// ShareGrading implements coursework.GradebookTx.
func (t tx) ShareGrading(ctx context.Context, in coursework.Grading) (coursework.Grading, error) {
	return t.heldGrading(ctx, shareGradingSQL, in)
}

// LockGrading implements coursework.GradebookTx.
func (t tx) LockGrading(ctx context.Context, in coursework.Grading) (coursework.Grading, error) {
	return t.heldGrading(ctx, lockGradingSQL, in)
}

func (t tx) heldGrading(ctx context.Context, sql string, in coursework.Grading) (coursework.Grading, error) {
	g, err := none(pg.One[coursework.Grading](ctx, t, "course", sql, in.CourseID))
	if err != nil {
		return in, err
	}
	if g != nil {
		return *g, nil
	}
	if _, err := pg.Exec(ctx, t, insertGradingSQL, in.CourseID, in.TenantID, in.OrgUnitID, t.Now()); err != nil {
		return in, err
	}
	return pg.One[coursework.Grading](ctx, t, "course", sql, in.CourseID)
}

// SaveGrading implements coursework.GradebookTx. The row is locked.
func (t tx) SaveGrading(ctx context.Context, g coursework.Grading) error {
	_, err := pg.Exec(ctx, t, updateGradingSQL, g.CourseID, g.OrgUnitID, g.Weighted, g.SchemeID, g.ShowTotals, g.SettingsVersion, g.Late,
		g.LateRate, g.LateInterval, g.LateFloor, g.Missing, g.MissingRate, g.PolicyVersion, g.Revision, g.UpdatedAt)
	return err
}

// CoursesBehind implements coursework.GradebookTx.
func (t tx) CoursesBehind(ctx context.Context, limit int) ([]coursework.Grading, error) {
	return pg.Many[coursework.Grading](ctx, t, coursesBehindSQL, limit)
}

// SetCounted implements coursework.GradebookTx.
func (t tx) SetCounted(ctx context.Context, course uuid.UUID, revision int64) error {
	_, err := pg.Exec(ctx, t, setCountedSQL, course, revision)
	return err
}

// InsertScheme implements coursework.GradebookTx.
func (t tx) InsertScheme(ctx context.Context, s coursework.Scheme) error {
	grades, err := json.Marshal(s.Grades)
	if err != nil {
		return fmt.Errorf("grading scheme: %w", err)
	}
	_, err = pg.Exec(ctx, t, insertSchemeSQL, s.ID, s.TenantID, s.OrgUnitID, s.CourseID, s.Name, grades, s.CreatedBy, s.CreatedAt)
	if pg.Violates(err, "grading_schemes_name") {
		return apperr.Conflict("name_taken", "There is a grading scheme of this name.").With(err)
	}
	return err
}

// Scheme implements coursework.GradebookTx.
func (t tx) Scheme(ctx context.Context, id uuid.UUID) (coursework.Scheme, error) {
	return pg.One[coursework.Scheme](ctx, t, "grading scheme", schemeSQL, id)
}

// ListSchemes implements coursework.GradebookTx.
func (t tx) ListSchemes(ctx context.Context, f coursework.SchemeFilter, p page.Request) (page.Page[coursework.Scheme], error) {
	var last uuid.UUID
	more, err := page.Decode(p.Cursor, &last)
	if err != nil {
		return page.Page[coursework.Scheme]{}, err
	}
	rows, err := pg.Many[coursework.Scheme](ctx, t, listSchemesSQL, list(f.OrgUnits), f.CourseID, !more, last, p.Size()+1)
	return page.Cut(rows, p.Size(), func(s coursework.Scheme) string { return page.Encode(s.ID) }), err
}

// Group implements coursework.GradebookTx.
func (t tx) Group(ctx context.Context, id uuid.UUID) (coursework.Group, error) {
	return pg.One[coursework.Group](ctx, t, "assignment group", groupSQL, id)
}

// LockGroupRow implements coursework.GradebookTx.
func (t tx) LockGroupRow(ctx context.Context, id uuid.UUID) (coursework.Group, error) {
	return pg.One[coursework.Group](ctx, t, "assignment group", lockCountingGroupSQL, id)
}

// Groups implements coursework.GradebookTx.
func (t tx) Groups(ctx context.Context, course uuid.UUID) ([]coursework.Group, error) {
	return pg.Many[coursework.Group](ctx, t, groupsSQL, course)
}

func groupRefused(err error) error {
	switch {
	case pg.Violates(err, "assignment_groups_name"):
		return apperr.Conflict("name_taken", "There is an assignment group of this name in the course.").With(err)
	case pg.Violates(err, "assignments_group"), pg.Violates(err, "quiz_columns_group"):
		return apperr.Conflict("in_use", "There are assignments or quizzes in the group: name the one that they go to by move_to.").With(err)
	}
	return err
}

// InsertGroup implements coursework.GradebookTx.
func (t tx) InsertGroup(ctx context.Context, g coursework.Group) error {
	_, err := pg.Exec(ctx, t, insertGroupSQL, g.ID, g.TenantID, g.OrgUnitID, g.CourseID, g.Name, g.Position, g.Weight, g.DropLowest, g.DropHighest,
		list(g.NeverDrop), g.CreatedAt, g.UpdatedAt, g.Version)
	return groupRefused(err)
}

// UpdateGroup implements coursework.GradebookTx.
func (t tx) UpdateGroup(ctx context.Context, g coursework.Group) error {
	return groupRefused(pg.ExecVersioned(ctx, t, updateGroupSQL, g.ID, g.Name, g.Position, g.Weight, g.DropLowest, g.DropHighest,
		list(g.NeverDrop), g.UpdatedAt, g.Version))
}

// DeleteGroup implements coursework.GradebookTx: what was deleted in it does not
// hold it.
func (t tx) DeleteGroup(ctx context.Context, id uuid.UUID) error {
	if _, err := pg.Exec(ctx, t, moveDeletedSQL, id); err != nil {
		return err
	}
	_, err := pg.Exec(ctx, t, deleteGroupSQL, id)
	return groupRefused(err)
}

// MoveGroup implements coursework.GradebookTx.
func (t tx) MoveGroup(ctx context.Context, from uuid.UUID, to *uuid.UUID, now time.Time) ([]coursework.Assignment, error) {
	moved, err := pg.Many[coursework.Assignment](ctx, t, moveAssignmentsSQL, from, to, now)
	if err != nil {
		return nil, err
	}
	_, err = pg.Exec(ctx, t, moveQuizzesSQL, from, to, now)
	return moved, err
}
