package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lms/apps/enrollment/internal/enrollment"
	"lms/shared/apperr"
	"lms/shared/contracts/events"
	"lms/shared/pg"
)

const courseSQL = `
select coalesce(s.role, '') as role,` + courseColumns + `
from courses c left join course_staff s on s.course_id = c.id and s.user_id = $2 and s.active
where c.id = $1`

const (
	pricedSQL   = `insert into priced_courses (course_id, tenant_id, created_at) values ($1, $2, $3) on conflict (course_id) do nothing`
	unpricedSQL = `delete from priced_courses where course_id = $1`
)

// SetPriced implements enrollment.CourseTx.
func (t tx) SetPriced(ctx context.Context, course, tenant uuid.UUID, priced bool, now time.Time) error {
	var err error
	if priced {
		_, err = pg.Exec(ctx, t, pricedSQL, course, tenant, now)
	} else {
		_, err = pg.Exec(ctx, t, unpricedSQL, course)
	}
	return err
}

// Course implements enrollment.CourseTx.
func (t tx) Course(ctx context.Context, id, person uuid.UUID) (c enrollment.Course, role string, err error) {
	err = t.QueryRow(ctx, courseSQL, id, person).Scan(append([]any{&role}, courseFields(&c)...)...)
	if errors.Is(err, pgx.ErrNoRows) {
		err = apperr.NotFound("course")
	}
	return c, role, err
}

const (
	lockCoursesSQL = `select` + courseColumns + ` from courses c where c.id = any ($1) order by c.id for no key update`

	// A snapshot is applied only where it is newer than the copy. The curriculum may
	// have been heard of before the course.
	upsertCoursesSQL = `
insert into courses (id, tenant_id, org_unit_id, seq, code, title, language, status, deleted, visibility, enrollment_mode,
  capacity, waitlist_enabled, enrollment_opens_at, enrollment_closes_at, starts_at, ends_at, prerequisites,
  requires_entitlement, external_source, external_id, completion, curriculum_seq, updated_at)
select x.id, x.tenant_id, x.org_unit_id, x.seq, x.code, x.title, x.language, x.status, x.deleted, x.visibility, x.enrollment_mode,
  x.capacity, x.waitlist_enabled, x.enrollment_opens_at, x.enrollment_closes_at, x.starts_at, x.ends_at, x.prerequisites,
  x.requires_entitlement, x.external_source, x.external_id, x.completion,
  coalesce((select max(k.seq) from curricula k where k.course_id = x.id), 0), $2
from jsonb_to_recordset($1) as x (id uuid, tenant_id uuid, org_unit_id uuid, seq bigint, code text, title text, language text,
  status text, deleted boolean, visibility text, enrollment_mode text, capacity integer, waitlist_enabled boolean,
  enrollment_opens_at timestamptz, enrollment_closes_at timestamptz, starts_at timestamptz, ends_at timestamptz,
  prerequisites uuid[], requires_entitlement boolean, external_source text, external_id text, completion jsonb)
order by x.id
on conflict (id) do update set org_unit_id = excluded.org_unit_id, seq = excluded.seq, code = excluded.code,
  title = excluded.title, language = excluded.language, status = excluded.status, deleted = excluded.deleted,
  visibility = excluded.visibility, enrollment_mode = excluded.enrollment_mode, capacity = excluded.capacity,
  waitlist_enabled = excluded.waitlist_enabled, enrollment_opens_at = excluded.enrollment_opens_at,
  enrollment_closes_at = excluded.enrollment_closes_at, starts_at = excluded.starts_at, ends_at = excluded.ends_at,
  prerequisites = excluded.prerequisites, requires_entitlement = excluded.requires_entitlement,
  external_source = excluded.external_source, external_id = excluded.external_id, completion = excluded.completion,
  updated_at = excluded.updated_at
  where courses.seq < excluded.seq
returning id`

	clearStaffSQL  = `delete from course_staff where course_id = any ($1)`
	insertStaffSQL = `
insert into course_staff (course_id, user_id, tenant_id, role, active)
select x.course_id, x.user_id, x.tenant_id, x.role, x.active
from jsonb_to_recordset($1) as x (course_id uuid, user_id uuid, tenant_id uuid, role text, active boolean)
on conflict (course_id, user_id) do update set role = excluded.role, active = excluded.active`
)

type courseRow struct {
	ID                  uuid.UUID                 `json:"id"`
	TenantID            uuid.UUID                 `json:"tenant_id"`
	OrgUnitID           uuid.UUID                 `json:"org_unit_id"`
	Seq                 int64                     `json:"seq"`
	Code                string                    `json:"code"`
	Title               string                    `json:"title"`
	Language            string                    `json:"language"`
	Status              string                    `json:"status"`
	Deleted             bool                      `json:"deleted"`
	Visibility          string                    `json:"visibility"`
	EnrollmentMode      string                    `json:"enrollment_mode"`
	Capacity            *int                      `json:"capacity"`
	WaitlistEnabled     bool                      `json:"waitlist_enabled"`
	EnrollmentOpensAt   *time.Time                `json:"enrollment_opens_at"`
	EnrollmentClosesAt  *time.Time                `json:"enrollment_closes_at"`
	StartsAt            *time.Time                `json:"starts_at"`
	EndsAt              *time.Time                `json:"ends_at"`
	Prerequisites       []uuid.UUID               `json:"prerequisites"`
	RequiresEntitlement bool                      `json:"requires_entitlement"`
	ExternalSource      string                    `json:"external_source"`
	ExternalID          string                    `json:"external_id"`
	Completion          events.CompletionSettings `json:"completion"`
}

type staffRow struct {
	CourseID uuid.UUID `json:"course_id"`
	UserID   uuid.UUID `json:"user_id"`
	TenantID uuid.UUID `json:"tenant_id"`
	Role     string    `json:"role"`
	Active   bool      `json:"active"`
}

// UpsertCourses implements enrollment.CourseTx.
func (t tx) UpsertCourses(ctx context.Context, snapshots []enrollment.CourseSnapshot, now time.Time) (map[uuid.UUID]*enrollment.Course, error) {
	newest := map[uuid.UUID]enrollment.CourseSnapshot{}
	for _, s := range snapshots {
		if s.Seq > newest[s.State.ID].Seq {
			newest[s.State.ID] = s
		}
	}
	courseIDs := make([]uuid.UUID, 0, len(newest))
	rows := make([]courseRow, 0, len(newest))
	for id, s := range newest {
		courseIDs = append(courseIDs, id)
		rows = append(rows, rowOf(s))
	}
	before := map[uuid.UUID]*enrollment.Course{}
	found, err := t.Query(ctx, lockCoursesSQL, courseIDs)
	known, err := each(found, err, courseFields)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(rows)
	if err != nil {
		return nil, err
	}
	applied, err := pg.Column[uuid.UUID](ctx, t, upsertCoursesSQL, raw, now)
	if err != nil {
		return nil, err
	}
	var staff []staffRow
	for _, id := range applied {
		before[id] = nil
		s := newest[id].State
		for _, p := range s.Staff {
			staff = append(staff, staffRow{CourseID: id, UserID: p.UserID, TenantID: s.TenantID, Role: p.Role, Active: p.Active})
		}
	}
	for i := range known {
		if _, ok := before[known[i].ID]; ok {
			before[known[i].ID] = &known[i]
		}
	}
	return before, t.replaceStaff(ctx, applied, staff)
}

func (t tx) replaceStaff(ctx context.Context, courses []uuid.UUID, staff []staffRow) error {
	if len(courses) == 0 {
		return nil
	}
	// A person twice in one statement would be refused: the last role counts.
	byKey := map[[2]uuid.UUID]staffRow{}
	for _, s := range staff {
		byKey[[2]uuid.UUID{s.CourseID, s.UserID}] = s
	}
	rows := make([]staffRow, 0, len(byKey))
	for _, s := range byKey {
		rows = append(rows, s)
	}
	raw, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	var trip trip
	trip.exec(clearStaffSQL, courses)
	trip.exec(insertStaffSQL, raw)
	return trip.send(ctx, t)
}

func rowOf(s enrollment.CourseSnapshot) courseRow {
	c := s.State
	return courseRow{
		ID: c.ID, TenantID: c.TenantID, OrgUnitID: c.OrgUnitID, Seq: s.Seq, Code: c.Code, Title: c.Title, Language: c.Language,
		Status: c.Status, Deleted: c.Deleted, Visibility: c.Visibility, EnrollmentMode: c.EnrollmentMode, Capacity: c.Capacity,
		WaitlistEnabled: c.WaitlistEnabled, EnrollmentOpensAt: c.EnrollmentOpensAt, EnrollmentClosesAt: c.EnrollmentClosesAt,
		StartsAt: c.StartsAt, EndsAt: c.EndsAt, Prerequisites: ids(c.PrerequisiteCourses), RequiresEntitlement: c.RequiresEntitlement,
		ExternalSource: c.ExternalSource, ExternalID: c.ExternalID, Completion: c.Completion,
	}
}

const (
	insertCurriculumSQL = `
insert into curricula (course_id, seq, tenant_id, document, changed_at) values ($1, $2, $3, $4, $5)
on conflict (course_id, seq) do nothing`
	newestCurriculumSQL = `
update courses set curriculum_seq = $2 where id = $1 and curriculum_seq < $2 returning id`
	curriculumSQL = `select document from curricula where course_id = $1 and seq = $2`
	// The current version and those that somebody's progress was made under stay.
	pruneCurriculaSQL = `
delete from curricula where (course_id, seq) in (
  select k.course_id, k.seq from curricula k join courses c on c.id = k.course_id and k.seq < c.curriculum_seq
  where not exists (select 1 from enrollments e where e.course_id = k.course_id and e.curriculum_seq = k.seq)
  limit $1)`
)

// InsertCurricula implements enrollment.CourseTx.
func (t tx) InsertCurricula(ctx context.Context, docs []enrollment.CurriculumSnapshot) ([]uuid.UUID, error) {
	docs = slices.Clone(docs)
	slices.SortFunc(docs, func(a, b enrollment.CurriculumSnapshot) int { // one order of locks for all
		return slices.Compare(a.State.CourseID[:], b.State.CourseID[:])
	})
	moved := make([]bool, len(docs))
	var trip trip
	for i, d := range docs {
		raw, err := json.Marshal(d.State)
		if err != nil {
			return nil, err
		}
		trip.exec(insertCurriculumSQL, d.State.CourseID, d.Seq, d.State.TenantID, raw, d.State.ChangedAt)
		var id uuid.UUID
		trip.one(&moved[i], []any{&id}, newestCurriculumSQL, d.State.CourseID, d.Seq)
	}
	if err := trip.send(ctx, t); err != nil {
		return nil, err
	}
	var fresh []uuid.UUID
	for i, d := range docs {
		if moved[i] && !slices.Contains(fresh, d.State.CourseID) {
			fresh = append(fresh, d.State.CourseID)
		}
	}
	return fresh, nil
}

// Curriculum implements enrollment.CourseTx.
func (t tx) Curriculum(ctx context.Context, course uuid.UUID, seq int64) (doc events.CurriculumState, err error) {
	raw, err := pg.Scalar[[]byte](ctx, t, "curriculum", curriculumSQL, course, seq)
	if err != nil {
		return doc, err
	}
	return doc, json.Unmarshal(raw, &doc)
}

// PruneCurricula implements enrollment.CourseTx.
func (t tx) PruneCurricula(ctx context.Context, limit int) (int64, error) {
	return pg.Exec(ctx, t, pruneCurriculaSQL, limit)
}

const (
	lockLimitedSQL = `select from courses where id = $1 and capacity is not null for no key update`

	// What is taken (rule 32): stored states and live holds. A hold of somebody who
	// has a seat already is that seat. Run after the lock, as a statement of its own:
	// only then it sees what those before committed.
	seatsSQL = `
select c.capacity is not null, coalesce(c.capacity, 0),
  case when c.capacity is null then 0 else
    (select count(*) from enrollments e where e.course_id = c.id and (e.state in ('active', 'suspended', 'offered')
      or e.state = 'completed' and (e.access_ends_at is null or e.access_ends_at >= $2)))
    + (select count(*) from seat_holds h where h.course_id = c.id and h.state = 'held' and h.expires_at > $2
      and not exists (select 1 from enrollments e where e.course_id = h.course_id and e.user_id = h.user_id
        and e.state in ('active', 'completed', 'suspended', 'offered')))
  end,
  (select count(*) from enrollments e where e.course_id = c.id and e.state = 'waitlisted')
from courses c where c.id = $1`

	drawNumberSQL = `update courses set waitlist_next = waitlist_next + 1 where id = $1 returning waitlist_next - 1`
	seatsStateSQL = `update courses set seats_state = $2 where id = $1`

	// Without a lock: whoever promotes looks again under it.
	promotableSQL = `
select c.id from courses c
where not c.deleted and c.status = 'published' and (c.ends_at is null or c.ends_at >= $1) and c.id <> all ($3)
  and exists (select 1 from enrollments e where e.course_id = c.id and e.state = 'waitlisted' and (e.source in ('staff', 'import')
    or coalesce(c.enrollment_opens_at <= $1, true) and coalesce(c.enrollment_closes_at >= $1, true)))
  and (c.capacity is null or c.capacity > (select count(*) from enrollments e where e.course_id = c.id
    and (e.state in ('active', 'suspended', 'offered') or e.state = 'completed' and (e.access_ends_at is null or e.access_ends_at >= $1))))
order by c.id limit $2`

	findCoursesSQL = `
select` + courseColumns + ` from courses c
where c.tenant_id = $1 and not c.deleted
  and ($2 = '' or lower(c.code) = lower($2)) and ($4 = '' or c.external_source = $3 and c.external_id = $4)
  and ($2 <> '' or $4 <> '')
limit 2`
)

func seatFields(s *enrollment.Seats) []any {
	return []any{&s.Limited, &s.Capacity, &s.Taken, &s.Waiting}
}

// LockSeats implements enrollment.CourseTx.
func (t tx) LockSeats(ctx context.Context, course uuid.UUID, now time.Time) (s enrollment.Seats, err error) {
	for {
		var trip trip
		locked, found := false, false
		trip.one(&locked, nil, lockLimitedSQL, course)
		trip.one(&found, seatFields(&s), seatsSQL, course, now)
		if err := trip.send(ctx, t); err != nil {
			return s, err
		}
		if !found {
			return s, apperr.NotFound("course")
		}
		if locked || !s.Limited {
			return s, nil
		}
		// It became limited, or known, between the two: counted without the lock.
	}
}

// DrawNumber implements enrollment.CourseTx.
func (t tx) DrawNumber(ctx context.Context, course uuid.UUID) (int64, error) {
	return pg.Scalar[int64](ctx, t, "course", drawNumberSQL, course)
}

// SetSeatsState implements enrollment.CourseTx.
func (t tx) SetSeatsState(ctx context.Context, course uuid.UUID, state string) error {
	_, err := pg.Exec(ctx, t, seatsStateSQL, course, state)
	return err
}

// CoursesToPromote implements enrollment.CourseTx.
func (t tx) CoursesToPromote(ctx context.Context, now time.Time, skip []uuid.UUID, limit int) ([]uuid.UUID, error) {
	return pg.Column[uuid.UUID](ctx, t, promotableSQL, now, limit, ids(skip))
}

// FindCourses implements enrollment.CourseTx.
func (t tx) FindCourses(ctx context.Context, tenant uuid.UUID, code, source, externalID string) ([]enrollment.Course, error) {
	rows, err := t.Query(ctx, findCoursesSQL, tenant, code, source, externalID)
	return each(rows, err, courseFields)
}
