package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lms/apps/enrollment/internal/enrollment"
	"lms/shared/apperr"
	"lms/shared/pg"
)

const (
	lockEnrollmentSQL = `select` + enrollmentColumns + ` from enrollments e where e.course_id = $1 and e.user_id = $2 for update`

	// The course with what decides about a person: prerequisites that are missing,
	// the role in the staff, and what user said of the person.
	standingSQL = `
select array(select p from unnest(c.prerequisites) p
    where not exists (select 1 from enrollments e where e.course_id = p and e.user_id = $2 and e.completed_at is not null)),
  coalesce(s.role, ''), coalesce(p.status, ''),` + courseColumns + `
from courses c
left join course_staff s on s.course_id = c.id and s.user_id = $2 and s.active
left join people p on p.user_id = $2
where c.id = $1`

	liveHoldSQL = `
select id, tenant_id, course_id, user_id, state, expires_at, created_at, updated_at
from seat_holds where course_id = $1 and user_id = $2 and state = 'held' and expires_at > $3`

	// Those to come too: they may follow the one that is valid.
	runningEntitlementsSQL = `
select id, tenant_id, course_id, user_id, state, valid_from, valid_until, updated_at
from entitlements where course_id = $1 and user_id = $2 and state = 'granted' and (valid_until is null or valid_until >= $3)`

	whoseSQL = `select course_id, user_id from enrollments where id = $1`
)

// Standing implements enrollment.EnrollmentTx.
func (t tx) Standing(ctx context.Context, course, user uuid.UUID, now time.Time) (st enrollment.Standing, err error) {
	var (
		first                 trip
		row                   enrollment.Enrollment
		locked, enrolled, has bool
		status                string
		holds                 []enrollment.Hold
		entitlements          []enrollment.Entitlement
	)
	first.one(&locked, nil, lockLimitedSQL, course)
	first.one(&enrolled, enrollmentFields(&row), lockEnrollmentSQL, course, user)
	first.one(&has, append([]any{&st.Missing, &st.StaffRole, &status}, courseFields(&st.Course)...), standingSQL, course, user)
	if err := first.send(ctx, t); err != nil {
		return st, err
	}
	if !has {
		return st, apperr.NotFound("course")
	}
	if enrolled {
		st.Existing = &row
	}
	if status != "" {
		st.Person = &enrollment.Person{UserID: user, TenantID: st.Course.TenantID, Status: status}
	}
	// Most courses have neither seats to count nor a price.
	var second trip
	if st.Course.Limited() && !locked { // it became so, or became known, after the first look
		second.exec(lockLimitedSQL, course)
	}
	if st.Course.Limited() || st.Course.SeatsState != "open" {
		second.one(&has, seatFields(&st.Seats), seatsSQL, course, now)
		queued(&second, &holds, liveHoldSQL, course, user, now)
	}
	if st.Course.RequiresEntitlement {
		queued(&second, &entitlements, runningEntitlementsSQL, course, user, now)
	}
	if err := second.send(ctx, t); err != nil {
		return st, err
	}
	if len(holds) > 0 {
		st.Held = &holds[0]
	}
	st.Entitlement = enrollment.Current(entitlements, now)
	return st, nil
}

// StandingOf implements enrollment.EnrollmentTx.
func (t tx) StandingOf(ctx context.Context, id uuid.UUID, now time.Time) (enrollment.Standing, error) {
	var course, user uuid.UUID
	if err := t.QueryRow(ctx, whoseSQL, id).Scan(&course, &user); err != nil {
		if errors.Is(err, pgx.ErrNoRows) {
			err = apperr.NotFound("enrollment")
		}
		return enrollment.Standing{}, err
	}
	st, err := t.Standing(ctx, course, user, now)
	if err == nil && st.Existing == nil {
		err = apperr.NotFound("enrollment") // given to another person in between
	}
	return st, err
}

const (
	insertEnrollmentSQL = `
insert into enrollments (id, tenant_id, course_id, user_id, state, source, reason, starts_at, ends_at, entitled_until,
  waitlist_number, answer_by, waived_prerequisites, waived_entitlement, external_source, external_id, activated_at,
  completed_at, last_activity_at, expiry_told_at, required, met, next_item_id, next_change_at, curriculum_seq,
  grade_current, grade_final, grade_letter, graded_at, grade_version, state_changed_at, created_at, updated_at, version,
  entitled)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25,
  $26, $27, $28, $29, $30, $31, $32, $33, $34, $35)`

	// access_ends_at follows, and the version grows.
	updateEnrollmentSQL = `
update enrollments set state = $2, source = $3, reason = $4, starts_at = $5, ends_at = $6, entitled_until = $7,
  waitlist_number = $8, answer_by = $9, waived_prerequisites = $10, waived_entitlement = $11, external_source = $12,
  external_id = $13, activated_at = $14, completed_at = $15, last_activity_at = $16, expiry_told_at = $17, required = $18,
  met = $19, next_item_id = $20, next_change_at = $21, curriculum_seq = $22, grade_current = $23, grade_final = $24,
  grade_letter = $25, graded_at = $26, grade_version = $27, state_changed_at = $28, updated_at = $29, entitled = $30,
  version = version + 1
where id = $1 returning version`
)

// refused names the constraint that a write broke.
func refused(err error) error {
	switch {
	case pg.Violates(err, "enrollments_one_per_course"):
		return apperr.Conflict("already_enrolled", "The person is in the course already.").With(err)
	case pg.Violates(err, "enrollments_within_capacity"):
		return apperr.Conflict("course_full", "The course has no free seat.").With(err)
	case pg.Violates(err, "enrollments_external_id"):
		return apperr.Conflict("external_id_taken", "Another enrollment has this external id.").With(err)
	}
	return err
}

// InsertEnrollment implements enrollment.EnrollmentTx.
func (t tx) InsertEnrollment(ctx context.Context, e enrollment.Enrollment) error {
	_, err := pg.Exec(ctx, t, insertEnrollmentSQL, e.ID, e.TenantID, e.CourseID, e.UserID, e.State, e.Source, e.Reason,
		e.StartsAt, e.EndsAt, e.EntitledUntil, e.WaitlistNumber, e.AnswerBy, e.WaivedPrerequisites, e.WaivedEntitlement,
		e.ExternalSource, e.ExternalID, e.ActivatedAt, e.CompletedAt, e.LastActivityAt, e.ExpiryToldAt, e.Required, e.Met,
		e.NextItemID, e.NextChangeAt, e.CurriculumSeq, e.GradeCurrent, e.GradeFinal, e.GradeLetter, e.GradedAt, e.GradeVersion,
		e.StateChangedAt, e.CreatedAt, e.UpdatedAt, e.Version, e.Entitled)
	return refused(err)
}

func updateArgs(e *enrollment.Enrollment) []any {
	return []any{
		e.ID, e.State, e.Source, e.Reason, e.StartsAt, e.EndsAt, e.EntitledUntil, e.WaitlistNumber, e.AnswerBy,
		e.WaivedPrerequisites, e.WaivedEntitlement, e.ExternalSource, e.ExternalID, e.ActivatedAt, e.CompletedAt,
		e.LastActivityAt, e.ExpiryToldAt, e.Required, e.Met, e.NextItemID, e.NextChangeAt, e.CurriculumSeq,
		e.GradeCurrent, e.GradeFinal, e.GradeLetter, e.GradedAt, e.GradeVersion, e.StateChangedAt, e.UpdatedAt,
		e.Entitled,
	}
}

// UpdateEnrollment implements enrollment.EnrollmentTx.
func (t tx) UpdateEnrollment(ctx context.Context, e *enrollment.Enrollment) error {
	return refused(t.QueryRow(ctx, updateEnrollmentSQL, updateArgs(e)...).Scan(&e.Version))
}

const (
	waitingSQL = `
select id, waitlist_number as number from enrollments
where course_id = $1 and state = 'waitlisted' and waitlist_number > $2 order by waitlist_number limit $3`
	dueSQL = `
(select id from enrollments where state in ('active', 'suspended') and access_ends_at < $1 and id <> all ($3) order by access_ends_at limit $2)
union all
(select id from enrollments where state in ('invited', 'offered') and answer_by < $1 and id <> all ($3) order by answer_by limit $2)
limit $2`
	soonSQL = `
select id from enrollments
where state = 'active' and access_ends_at between $1 and $2 and expiry_told_at is null and id <> all ($4)
order by access_ends_at limit $3`
	ofPersonSQL = `select` + enrollmentColumns + ` from enrollments e where e.user_id = $1 order by e.id`
	liveSQL     = `
select id from enrollments where course_id = $1 and id > $2 and state not in ('withdrawn', 'rejected', 'expired')
order by id limit $3`
)

// Waiting implements enrollment.EnrollmentTx.
func (t tx) Waiting(ctx context.Context, course uuid.UUID, after int64, limit int) ([]enrollment.Waiter, error) {
	return pg.Many[enrollment.Waiter](ctx, t, waitingSQL, course, after, limit)
}

// DueEnrollments implements enrollment.EnrollmentTx.
func (t tx) DueEnrollments(ctx context.Context, now time.Time, skip []uuid.UUID, limit int) ([]uuid.UUID, error) {
	return pg.Column[uuid.UUID](ctx, t, dueSQL, now, limit, ids(skip))
}

// ExpiringSoon implements enrollment.EnrollmentTx.
func (t tx) ExpiringSoon(ctx context.Context, now, until time.Time, skip []uuid.UUID, limit int) ([]uuid.UUID, error) {
	return pg.Column[uuid.UUID](ctx, t, soonSQL, now, until, limit, ids(skip))
}

// EnrollmentsOf implements enrollment.EnrollmentTx.
func (t tx) EnrollmentsOf(ctx context.Context, user uuid.UUID) ([]enrollment.Enrollment, error) {
	rows, err := t.Query(ctx, ofPersonSQL, user)
	return each(rows, err, enrollmentFields)
}

// LiveEnrollments implements enrollment.EnrollmentTx.
func (t tx) LiveEnrollments(ctx context.Context, course, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	return pg.Column[uuid.UUID](ctx, t, liveSQL, course, after, limit)
}
