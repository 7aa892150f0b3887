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
	rubricColumns = `
r.id, r.tenant_id, r.org_unit_id, r.course_id, r.title, v.revision, r.revision as latest, v.criteria, v.points, r.created_by,
r.created_at, r.updated_at, r.version`
	insertRubricSQL = `
insert into rubrics (id, tenant_id, org_unit_id, course_id, title, revision, created_by, created_at, updated_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`
	updateRubricSQL   = `update rubrics set title = $2, revision = $3, updated_at = $4, version = $5 where id = $1 and version = $5 - 1`
	deleteRubricSQL   = `delete from rubrics where id = $1`
	insertRevisionSQL = `
insert into rubric_revisions (rubric_id, revision, tenant_id, criteria, points, created_by, created_at) values ($1, $2, $3, $4, $5, $6, $7)`
	rubricSQL = `select` + rubricColumns + ` from rubrics r
join rubric_revisions v on v.rubric_id = r.id and v.revision = case when $2 = 0 then r.revision else $2 end where r.id = $1`
	lockRubricSQL = `select` + rubricColumns + ` from rubrics r
join rubric_revisions v on v.rubric_id = r.id and v.revision = r.revision where r.id = $1 for update of r`
	listRubricsBase = `select` + rubricColumns + ` from rubrics r
join rubric_revisions v on v.rubric_id = r.id and v.revision = r.revision
where r.course_id = $1`
	rubricsByCreatedSQL     = listRubricsBase + ` and ($2 or (r.created_at, r.id) > ($3::timestamptz, $4::uuid)) order by r.created_at, r.id limit $5`
	rubricsByCreatedDescSQL = listRubricsBase + ` and ($2 or (r.created_at, r.id) < ($3::timestamptz, $4::uuid)) order by r.created_at desc, r.id desc limit $5`
	rubricsByTitleSQL       = listRubricsBase + ` and ($2 or (lower(r.title), r.id) > (lower($3::text), $4::uuid)) order by lower(r.title), r.id limit $5`
	rubricsByTitleDescSQL   = listRubricsBase + ` and ($2 or (lower(r.title), r.id) < (lower($3::text), $4::uuid)) order by lower(r.title) desc, r.id desc limit $5`
	rubricUseSQL            = `
select (select count(*) from assignments where rubric_id = $1 and deleted_at is null) as assignments,
  (select count(*) from assessments where rubric_id = $1) as assessments,
  exists (select 1 from assignments where rubric_id = $1 and deleted_at is null and published) as shown`

	saveAssessmentSQL = `
insert into assessments (grade_id, tenant_id, rubric_id, revision, ratings, points, assessor_id, assessed_at) values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (grade_id) do update set rubric_id = excluded.rubric_id, revision = excluded.revision, ratings = excluded.ratings,
  points = excluded.points, assessor_id = excluded.assessor_id, assessed_at = excluded.assessed_at`
	deleteAssessmentSQL = `delete from assessments where grade_id = $1`
	assessmentsSQL      = `
select grade_id, tenant_id, rubric_id, revision, ratings, points, assessor_id, assessed_at from assessments where grade_id = any ($1)`
)

// InsertRubric implements coursework.RubricTx.
func (t tx) InsertRubric(ctx context.Context, r coursework.Rubric) error {
	_, err := pg.Exec(ctx, t, insertRubricSQL, r.ID, r.TenantID, r.OrgUnitID, r.CourseID, r.Title, r.Latest, r.CreatedBy, r.CreatedAt, r.UpdatedAt, r.Version)
	return err
}

// UpdateRubric implements coursework.RubricTx.
func (t tx) UpdateRubric(ctx context.Context, r coursework.Rubric) error {
	return pg.ExecVersioned(ctx, t, updateRubricSQL, r.ID, r.Title, r.Latest, r.UpdatedAt, r.Version)
}

// DeleteRubric implements coursework.RubricTx. Deleted assignments still name it.
func (t tx) DeleteRubric(ctx context.Context, id uuid.UUID) error {
	_, err := pg.Exec(ctx, t, deleteRubricSQL, id)
	if pg.Violates(err, "assignments_rubric") {
		return apperr.Conflict("in_use", "A deleted assignment still has the rubric.").With(err)
	}
	return err
}

// InsertRevision implements coursework.RubricTx.
func (t tx) InsertRevision(ctx context.Context, r coursework.Rubric) error {
	criteria, err := json.Marshal(r.Criteria)
	if err != nil {
		return fmt.Errorf("rubric: %w", err)
	}
	_, err = pg.Exec(ctx, t, insertRevisionSQL, r.ID, r.Revision, r.TenantID, criteria, r.Points, r.CreatedBy, r.UpdatedAt)
	return err
}

// Rubric implements coursework.RubricTx.
func (t tx) Rubric(ctx context.Context, id uuid.UUID, revision int) (coursework.Rubric, error) {
	return pg.One[coursework.Rubric](ctx, t, "rubric", rubricSQL, id, revision)
}

// LockRubric implements coursework.RubricTx.
func (t tx) LockRubric(ctx context.Context, id uuid.UUID) (coursework.Rubric, error) {
	return pg.One[coursework.Rubric](ctx, t, "rubric", lockRubricSQL, id)
}

func rubricSorts() pg.Sorts[coursework.Rubric] {
	return pg.Sorts[coursework.Rubric]{
		"created_at": pg.SortBy(rubricsByCreatedSQL, rubricsByCreatedDescSQL, func(r coursework.Rubric) time.Time { return r.CreatedAt }),
		"title":      pg.SortBy(rubricsByTitleSQL, rubricsByTitleDescSQL, func(r coursework.Rubric) string { return r.Title }),
	}
}

// ListRubrics implements coursework.RubricTx.
func (t tx) ListRubrics(ctx context.Context, course uuid.UUID, sort string, p page.Request) (page.Page[coursework.Rubric], error) {
	return pg.ListSorted(ctx, t, rubricSorts(), sort, func(r coursework.Rubric) uuid.UUID { return r.ID }, p, course)
}

// RubricUse implements coursework.RubricTx.
func (t tx) RubricUse(ctx context.Context, id uuid.UUID) (coursework.RubricUse, error) {
	return pg.One[coursework.RubricUse](ctx, t, "rubric", rubricUseSQL, id)
}

// SaveAssessment implements coursework.RubricTx.
func (t tx) SaveAssessment(ctx context.Context, x coursework.Assessment) error {
	ratings, err := json.Marshal(x.Ratings)
	if err != nil {
		return fmt.Errorf("assessment: %w", err)
	}
	_, err = pg.Exec(ctx, t, saveAssessmentSQL, x.GradeID, x.TenantID, x.RubricID, x.Revision, ratings, x.Points, x.AssessorID, x.AssessedAt)
	return err
}

// DeleteAssessment implements coursework.RubricTx.
func (t tx) DeleteAssessment(ctx context.Context, grade uuid.UUID) error {
	_, err := pg.Exec(ctx, t, deleteAssessmentSQL, grade)
	return err
}

// Assessments implements coursework.RubricTx.
func (t tx) Assessments(ctx context.Context, grades []uuid.UUID) (map[uuid.UUID]coursework.Assessment, error) {
	rows, err := pg.Many[coursework.Assessment](ctx, t, assessmentsSQL, list(grades))
	out := make(map[uuid.UUID]coursework.Assessment, len(rows))
	for _, x := range rows {
		out[x.GradeID] = x
	}
	return out, err
}
