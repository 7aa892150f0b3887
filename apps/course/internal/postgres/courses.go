package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/course/internal/catalog"
	"lms/shared/apperr"
	"lms/shared/pg"
)

const (
	courseColumns = `
c.id, c.tenant_id, c.org_unit_id, c.org_unit_path, c.code, c.title, c.description, c.language, c.level, c.tags,
c.category_id, coalesce(k.name, '') as category_name, c.cover_url, c.term_id, c.external_source, c.external_id,
c.status, c.visibility, c.enrollment_mode, c.capacity, c.waitlist_enabled, c.enrollment_opens_at, c.enrollment_closes_at,
c.starts_at, c.ends_at, c.pacing, c.prerequisite_courses, c.price_plan_id, c.price, c.seats, c.completion,
c.created_by, c.created_at, c.updated_at, c.published_at, c.archived_at, c.deleted_at, c.version, c.curriculum_version, c.curriculum_changed_at`
	courseTables = ` from courses c left join categories k on k.id = c.category_id`
	roleColumn   = `coalesce((select s.role from course_staff s where s.course_id = c.id and s.user_id = $2 and s.active), '') as staff_role`
)

const (
	courseForSQL  = `select ` + courseColumns + `, ` + roleColumn + courseTables + ` where c.id = $1 and c.deleted_at is null`
	lockCourseSQL = courseForSQL + ` for update of c`
	anyCourseSQL  = `select ` + courseColumns + courseTables + ` where c.id = $1`
	headColumns   = `c.id, c.tenant_id, c.org_unit_id, c.status, c.visibility, c.title, c.version, c.curriculum_version, ` + roleColumn
	headSQL       = `select ` + headColumns + ` from courses c where c.id = $1 and c.deleted_at is null`
)

type courseRow struct {
	catalog.Course
	StaffRole string
}

// CourseFor implements catalog.Store.
func (s *Store) CourseFor(ctx context.Context, id, user uuid.UUID) (catalog.Course, string, error) {
	row, err := oneTrip[courseRow](ctx, s.db, "course", courseForSQL, id, user)
	return row.Course, row.StaffRole, err
}

// LockCourse implements catalog.Tx.
func (t tx) LockCourse(ctx context.Context, id, user uuid.UUID) (catalog.Course, string, error) {
	row, err := pg.One[courseRow](ctx, t, "course", lockCourseSQL, id, user)
	return row.Course, row.StaffRole, err
}

// AnyCourse implements catalog.Tx.
func (t tx) AnyCourse(ctx context.Context, id uuid.UUID) (catalog.Course, error) {
	return pg.One[catalog.Course](ctx, t, "course", anyCourseSQL, id)
}

// Head implements catalog.Tx.
func (t tx) Head(ctx context.Context, id, user uuid.UUID) (catalog.Head, error) {
	return pg.One[catalog.Head](ctx, t, "course", headSQL, id, user)
}

const insertCourseSQL = `
insert into courses (id, tenant_id, org_unit_id, org_unit_path, code, title, description, language, level, tags,
  category_id, cover_url, term_id, external_source, external_id, status, visibility, enrollment_mode, capacity, waitlist_enabled,
  enrollment_opens_at, enrollment_closes_at, starts_at, ends_at, pacing, prerequisite_courses, price_plan_id, price, seats, completion,
  created_by, created_at, updated_at, published_at, archived_at, deleted_at, version, curriculum_version, curriculum_changed_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
  $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39)`

const updateCourseSQL = `
update courses set org_unit_path = $2, code = $3, title = $4, description = $5, language = $6, level = $7, tags = $8,
  category_id = $9, cover_url = $10, term_id = $11, external_source = $12, external_id = $13, status = $14, visibility = $15,
  enrollment_mode = $16, capacity = $17, waitlist_enabled = $18, enrollment_opens_at = $19, enrollment_closes_at = $20,
  starts_at = $21, ends_at = $22, pacing = $23, prerequisite_courses = $24, price_plan_id = $25, price = $26, seats = $27,
  completion = $28, updated_at = $29, published_at = $30, archived_at = $31, deleted_at = $32, version = $33, curriculum_version = $34, curriculum_changed_at = $35
where id = $1`

// InsertCourse implements catalog.Tx.
func (t tx) InsertCourse(ctx context.Context, c catalog.Course) error {
	_, err := pg.Exec(ctx, t, insertCourseSQL, c.ID, c.TenantID, c.OrgUnitID, c.OrgUnitPath, c.Code, c.Title, c.Description, c.Language,
		c.Level, c.Tags, c.CategoryID, c.CoverURL, c.TermID, c.ExternalSource, c.ExternalID, c.Status, c.Visibility, c.EnrollmentMode,
		c.Capacity, c.WaitlistEnabled, c.EnrollmentOpensAt, c.EnrollmentClosesAt, c.StartsAt, c.EndsAt, c.Pacing, c.PrerequisiteCourses,
		c.PricePlanID, c.Price, c.Seats, c.Completion, c.CreatedBy, c.CreatedAt, c.UpdatedAt, c.PublishedAt, c.ArchivedAt, c.DeletedAt,
		c.Version, c.CurriculumVersion, c.CurriculumChangedAt)
	return courseError(err)
}

// UpdateCourse implements catalog.Tx. The row is locked by who changes it, so that
// the version needs no second check here.
func (t tx) UpdateCourse(ctx context.Context, c catalog.Course) error {
	_, err := pg.Exec(ctx, t, updateCourseSQL, c.ID, c.OrgUnitPath, c.Code, c.Title, c.Description, c.Language, c.Level, c.Tags,
		c.CategoryID, c.CoverURL, c.TermID, c.ExternalSource, c.ExternalID, c.Status, c.Visibility, c.EnrollmentMode, c.Capacity,
		c.WaitlistEnabled, c.EnrollmentOpensAt, c.EnrollmentClosesAt, c.StartsAt, c.EndsAt, c.Pacing, c.PrerequisiteCourses,
		c.PricePlanID, c.Price, c.Seats, c.Completion, c.UpdatedAt, c.PublishedAt, c.ArchivedAt, c.DeletedAt, c.Version, c.CurriculumVersion, c.CurriculumChangedAt)
	return courseError(err)
}

func courseError(err error) error {
	switch {
	case pg.Violates(err, "courses_code"):
		return apperr.Conflict("code_taken", "Another course of the organisation has this code.").With(err)
	case pg.Violates(err, "courses_external_id"):
		return apperr.Conflict("external_id_taken", "Another course of the organisation has this external id.").With(err)
	case pg.Violates(err, "courses_category_id_fkey"), pg.Violates(err, "courses_term_id_fkey"):
		return apperr.Conflict("in_use", "The category or term was deleted in the meantime.").With(err)
	}
	return err
}

const coursesAfterSQL = `select ` + courseColumns + courseTables + `
where c.id > $1 and ($2::timestamptz is null or greatest(c.updated_at, c.curriculum_changed_at) >= $2) order by c.id limit $3`

// CoursesAfter implements catalog.Tx.
func (t tx) CoursesAfter(ctx context.Context, after uuid.UUID, since *time.Time, limit int) ([]catalog.Course, error) {
	return pg.Many[catalog.Course](ctx, t, coursesAfterSQL, after, since, limit)
}

const prerequisitesSQL = `select id, prerequisite_courses from courses where id = any($1) and deleted_at is null`

// Prerequisites implements catalog.Tx.
func (t tx) Prerequisites(ctx context.Context, courses []uuid.UUID) (map[uuid.UUID][]uuid.UUID, error) {
	type row struct {
		ID                  uuid.UUID
		PrerequisiteCourses []uuid.UUID
	}
	rows, err := pg.Many[row](ctx, t, prerequisitesSQL, courses)
	out := make(map[uuid.UUID][]uuid.UUID, len(rows))
	for _, r := range rows {
		out[r.ID] = r.PrerequisiteCourses
	}
	return out, err
}

const dependantsSQL = `select id from courses where prerequisite_courses @> array[$1::uuid] and deleted_at is null order by id limit 20`

// Dependants implements catalog.Tx.
func (t tx) Dependants(ctx context.Context, id uuid.UUID) ([]uuid.UUID, error) {
	return pg.Column[uuid.UUID](ctx, t, dependantsSQL, id)
}

const eventSeqSQL = `select coalesce((select seq from aggregate_seq where aggregate_id = $1), 0)`

// EventSeq implements catalog.Tx.
func (t tx) EventSeq(ctx context.Context, aggregate uuid.UUID) (int64, error) {
	return pg.Scalar[int64](ctx, t, "aggregate", eventSeqSQL, aggregate)
}

const (
	staffColumns = `course_id, tenant_id, user_id, role, active, added_by, added_at`
	staffSQL     = `select ` + staffColumns + ` from course_staff where course_id = $1 order by added_at, user_id`
	staffOfSQL   = `select ` + staffColumns + ` from course_staff where user_id = $1 order by course_id`
	putStaffSQL  = `
insert into course_staff (course_id, tenant_id, user_id, role, active, added_by, added_at) values ($1, $2, $3, $4, $5, $6, $7)
on conflict (course_id, user_id) do update set role = excluded.role, active = excluded.active`
	deleteStaffSQL = `delete from course_staff where course_id = $1 and user_id = $2`
)

// Staff implements catalog.Tx.
func (t tx) Staff(ctx context.Context, course uuid.UUID) ([]catalog.StaffMember, error) {
	return pg.Many[catalog.StaffMember](ctx, t, staffSQL, course)
}

// StaffOf implements catalog.Tx.
func (t tx) StaffOf(ctx context.Context, user uuid.UUID) ([]catalog.StaffMember, error) {
	return pg.Many[catalog.StaffMember](ctx, t, staffOfSQL, user)
}

// PutStaff implements catalog.Tx.
func (t tx) PutStaff(ctx context.Context, m catalog.StaffMember) error {
	_, err := pg.Exec(ctx, t, putStaffSQL, m.CourseID, m.TenantID, m.UserID, m.Role, m.Active, m.AddedBy, m.AddedAt)
	return err
}

// DeleteStaff implements catalog.Tx.
func (t tx) DeleteStaff(ctx context.Context, course, user uuid.UUID) error {
	_, err := pg.Exec(ctx, t, deleteStaffSQL, course, user)
	return err
}
