package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/coursework"
	"lms/shared/apperr"
	"lms/shared/page"
	"lms/shared/pg"
)

const (
	assignmentColumns = `
a.id, a.tenant_id, a.org_unit_id, a.course_id, a.group_id, a.position, a.title, a.description, a.grading_type, a.scheme_id, a.points,
a.extra_points, a.omit_from_final, a.due_at, a.available_from, a.cutoff_at, a.lock_at, a.submission_types, a.file_extensions,
a.max_files, a.max_file_bytes, a.attempts, a.group_set_id, a.anonymous, a.posting, a.rubric_id, a.rubric_revision, a.published,
a.published_at, a.due_soon_told_for, a.due_soon_swept_at, a.missing_checked_at, a.deleted_at, a.created_by, a.created_at, a.updated_at, a.version`

	insertAssignmentSQL = `
insert into assignments (id, tenant_id, org_unit_id, course_id, group_id, position, title, description, grading_type, scheme_id,
  points, extra_points, omit_from_final, due_at, available_from, cutoff_at, lock_at, submission_types, file_extensions, max_files,
  max_file_bytes, attempts, group_set_id, anonymous, posting, rubric_id, rubric_revision, published, published_at,
  due_soon_told_for, missing_checked_at, deleted_at, created_by, created_at, updated_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26,
  $27, $28, $29, $30, $31, $32, $33, $34, $35, $36)`

	updateAssignmentSQL = `
update assignments set org_unit_id = $2, group_id = $3, position = $4, title = $5, description = $6, grading_type = $7,
  scheme_id = $8, points = $9, extra_points = $10, omit_from_final = $11, due_at = $12, available_from = $13, cutoff_at = $14,
  lock_at = $15, submission_types = $16, file_extensions = $17, max_files = $18, max_file_bytes = $19, attempts = $20,
  group_set_id = $21, anonymous = $22, posting = $23, rubric_id = $24, rubric_revision = $25, published = $26, published_at = $27,
  due_soon_told_for = $28, missing_checked_at = $29, deleted_at = $30, updated_at = $31, version = $32
where id = $1 and version = $32 - 1`

	assignmentSQL     = `select` + assignmentColumns + ` from assignments a where a.id = $1 and a.deleted_at is null`
	lockAssignmentSQL = assignmentSQL + ` for update`
)

// refused names the constraint that a write broke.
func refused(err error) error {
	switch {
	case pg.Violates(err, "assignments_group"):
		return apperr.Invalid(apperr.Field{Path: "group_id", Code: "unknown_group", Message: "No such assignment group in the course."}).With(err)
	case pg.Violates(err, "assignments_rubric"):
		return apperr.Invalid(apperr.Field{Path: "rubric_id", Code: "unknown_rubric", Message: "No such rubric in the course."}).With(err)
	}
	return err
}

// InsertAssignment implements coursework.AssignmentTx.
func (t tx) InsertAssignment(ctx context.Context, a coursework.Assignment) error {
	_, err := pg.Exec(ctx, t, insertAssignmentSQL, a.ID, a.TenantID, a.OrgUnitID, a.CourseID, a.GroupID, a.Position, a.Title, a.Description,
		a.GradingType, a.SchemeID, a.Points, a.ExtraPoints, a.OmitFromFinal, a.DueAt, a.AvailableFrom, a.CutoffAt, a.LockAt,
		list(a.SubmissionTypes), list(a.FileExtensions), a.MaxFiles, a.MaxFileBytes, a.Attempts, a.GroupSetID, a.Anonymous, a.Posting,
		a.RubricID, a.RubricRevision, a.Published, a.PublishedAt, a.DueSoonToldFor, a.MissingCheckedAt, a.DeletedAt, a.CreatedBy,
		a.CreatedAt, a.UpdatedAt, a.Version)
	return refused(err)
}

// UpdateAssignment implements coursework.AssignmentTx.
func (t tx) UpdateAssignment(ctx context.Context, a coursework.Assignment) error {
	return refused(pg.ExecVersioned(ctx, t, updateAssignmentSQL, a.ID, a.OrgUnitID, a.GroupID, a.Position, a.Title, a.Description,
		a.GradingType, a.SchemeID, a.Points, a.ExtraPoints, a.OmitFromFinal, a.DueAt, a.AvailableFrom, a.CutoffAt, a.LockAt,
		list(a.SubmissionTypes), list(a.FileExtensions), a.MaxFiles, a.MaxFileBytes, a.Attempts, a.GroupSetID, a.Anonymous, a.Posting,
		a.RubricID, a.RubricRevision, a.Published, a.PublishedAt, a.DueSoonToldFor, a.MissingCheckedAt, a.DeletedAt, a.UpdatedAt, a.Version))
}

// Assignment implements coursework.AssignmentTx.
func (t tx) Assignment(ctx context.Context, id uuid.UUID) (coursework.Assignment, error) {
	return pg.One[coursework.Assignment](ctx, t, "assignment", assignmentSQL, id)
}

// LockAssignment implements coursework.AssignmentTx.
func (t tx) LockAssignment(ctx context.Context, id uuid.UUID) (coursework.Assignment, error) {
	return pg.One[coursework.Assignment](ctx, t, "assignment", lockAssignmentSQL, id)
}

// listAssignmentsBase is what all sorts share: $5 says "first page", $6 and $7 are
// the last row seen, $8 is the limit.
const (
	listAssignmentsBase = `select` + assignmentColumns + ` from assignments a
where a.course_id = $1 and a.deleted_at is null and ($2 = '' or lower(a.title) like $2) and ($3::uuid is null or a.group_id = $3)
  and ($4::boolean is null or a.published = $4)`
	assignmentsByPositionSQL     = listAssignmentsBase + ` and ($5 or (a.position, a.id) > ($6::integer, $7::uuid)) order by a.position, a.id limit $8`
	assignmentsByPositionDownSQL = listAssignmentsBase + ` and ($5 or (a.position, a.id) < ($6::integer, $7::uuid)) order by a.position desc, a.id desc limit $8`
	assignmentsByTitleSQL        = listAssignmentsBase + ` and ($5 or (a.title, a.id) > ($6::text, $7::uuid)) order by a.title, a.id limit $8`
	assignmentsByTitleDownSQL    = listAssignmentsBase + ` and ($5 or (a.title, a.id) < ($6::text, $7::uuid)) order by a.title desc, a.id desc limit $8`
	assignmentsByCreatedSQL      = listAssignmentsBase + ` and ($5 or (a.created_at, a.id) > ($6::timestamptz, $7::uuid)) order by a.created_at, a.id limit $8`
	assignmentsByCreatedDownSQL  = listAssignmentsBase + ` and ($5 or (a.created_at, a.id) < ($6::timestamptz, $7::uuid)) order by a.created_at desc, a.id desc limit $8`
	// Without a due time is last.
	assignmentsByDueSQL     = listAssignmentsBase + ` and ($5 or (coalesce(a.due_at, 'infinity'), a.id) > (coalesce($6::timestamptz, 'infinity'), $7::uuid)) order by coalesce(a.due_at, 'infinity'), a.id limit $8`
	assignmentsByDueDownSQL = listAssignmentsBase + ` and ($5 or (coalesce(a.due_at, '-infinity'), a.id) < (coalesce($6::timestamptz, '-infinity'), $7::uuid)) order by coalesce(a.due_at, '-infinity') desc, a.id desc limit $8`
)

func assignmentSorts() pg.Sorts[coursework.Assignment] {
	return pg.Sorts[coursework.Assignment]{
		coursework.SortPosition: pg.SortBy(assignmentsByPositionSQL, assignmentsByPositionDownSQL, func(a coursework.Assignment) int { return a.Position }),
		coursework.SortTitle:    pg.SortBy(assignmentsByTitleSQL, assignmentsByTitleDownSQL, func(a coursework.Assignment) string { return a.Title }),
		coursework.SortCreated:  pg.SortBy(assignmentsByCreatedSQL, assignmentsByCreatedDownSQL, func(a coursework.Assignment) time.Time { return a.CreatedAt }),
		coursework.SortDue:      pg.SortBy(assignmentsByDueSQL, assignmentsByDueDownSQL, func(a coursework.Assignment) *time.Time { return a.DueAt }),
	}
}

// ListAssignments implements coursework.AssignmentTx.
func (t tx) ListAssignments(ctx context.Context, f coursework.AssignmentFilter, p page.Request) (page.Page[coursework.Assignment], error) {
	return pg.ListSorted(ctx, t, assignmentSorts(), f.Sort, func(a coursework.Assignment) uuid.UUID { return a.ID }, p,
		f.CourseID, like(f.Query), f.GroupID, f.Published)
}

const (
	shareAssignmentSQL = assignmentSQL + ` for share`
	hasAssignmentSQL   = `select exists (select from assignments where id = $1)`
	hasWorkSQL         = `
select exists (select 1 from submissions where assignment_id = $1)
  or exists (select 1 from grades where assignment_id = $1 and graded_at is not null)`

	overrideColumns = `
assignment_id, kind, subject_id, tenant_id, due_at, available_from, cutoff_at, attempts, unlimited_attempts, reason, created_by,
created_at, updated_at, version`
	overridesSQL      = `select` + overrideColumns + ` from assignment_overrides where assignment_id = $1 order by kind, subject_id`
	lockOverrideSQL   = `select` + overrideColumns + ` from assignment_overrides where assignment_id = $1 and kind = $2 and subject_id = $3 for update`
	insertOverrideSQL = `
insert into assignment_overrides (assignment_id, kind, subject_id, tenant_id, due_at, available_from, cutoff_at, attempts,
  unlimited_attempts, reason, created_by, created_at, updated_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) on conflict (assignment_id, kind, subject_id) do nothing`
	updateOverrideSQL = `
update assignment_overrides set due_at = $4, available_from = $5, cutoff_at = $6, attempts = $7, unlimited_attempts = $8, reason = $9,
  updated_at = $10, version = $11
where assignment_id = $1 and kind = $2 and subject_id = $3 and version = $11 - 1`
	deleteOverrideSQL = `delete from assignment_overrides where assignment_id = $1 and kind = $2 and subject_id = $3`
)

// ShareAssignment implements coursework.AssignmentTx.
func (t tx) ShareAssignment(ctx context.Context, id uuid.UUID) (coursework.Assignment, error) {
	return pg.One[coursework.Assignment](ctx, t, "assignment", shareAssignmentSQL, id)
}

// HasAssignment implements coursework.AssignmentTx.
func (t tx) HasAssignment(ctx context.Context, id uuid.UUID) (bool, error) {
	return pg.Scalar[bool](ctx, t, "assignment", hasAssignmentSQL, id)
}

// HasWork implements coursework.AssignmentTx.
func (t tx) HasWork(ctx context.Context, assignment uuid.UUID) (bool, error) {
	return pg.Scalar[bool](ctx, t, "assignment", hasWorkSQL, assignment)
}

// Overrides implements coursework.AssignmentTx.
func (t tx) Overrides(ctx context.Context, assignment uuid.UUID) ([]coursework.Override, error) {
	return pg.Many[coursework.Override](ctx, t, overridesSQL, assignment)
}

// LockOverride implements coursework.AssignmentTx.
func (t tx) LockOverride(ctx context.Context, assignment uuid.UUID, kind string, subject uuid.UUID) (*coursework.Override, error) {
	return none(pg.One[coursework.Override](ctx, t, "override", lockOverrideSQL, assignment, kind, subject))
}

// SaveOverride implements coursework.AssignmentTx.
func (t tx) SaveOverride(ctx context.Context, o coursework.Override) error {
	if o.Version == 1 {
		return pg.ExecVersioned(ctx, t, insertOverrideSQL, o.AssignmentID, o.Kind, o.SubjectID, o.TenantID, o.DueAt, o.AvailableFrom, o.CutoffAt,
			o.Attempts, o.UnlimitedAttempts, o.Reason, o.CreatedBy, o.CreatedAt, o.UpdatedAt, o.Version)
	}
	return pg.ExecVersioned(ctx, t, updateOverrideSQL, o.AssignmentID, o.Kind, o.SubjectID, o.DueAt, o.AvailableFrom, o.CutoffAt,
		o.Attempts, o.UnlimitedAttempts, o.Reason, o.UpdatedAt, o.Version)
}

// DeleteOverride implements coursework.AssignmentTx.
func (t tx) DeleteOverride(ctx context.Context, o coursework.Override) error {
	_, err := pg.Exec(ctx, t, deleteOverrideSQL, o.AssignmentID, o.Kind, o.SubjectID)
	return err
}
