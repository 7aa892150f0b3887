package postgres

import (
	"context"

	"github.com/google/uuid"

	"lms/apps/enrollment/internal/enrollment"
	"lms/shared/pg"
)

const (
	savePersonSQL = `
insert into people (user_id, tenant_id, status, updated_at) values ($1, $2, $3, $4)
on conflict (user_id) do update set status = excluded.status, updated_at = excluded.updated_at`
	personSQL = `select user_id, tenant_id, status, updated_at from people where user_id = $1`
)

// SavePerson implements enrollment.PeopleTx.
func (t tx) SavePerson(ctx context.Context, p enrollment.Person) error {
	_, err := pg.Exec(ctx, t, savePersonSQL, p.UserID, p.TenantID, p.Status, p.UpdatedAt)
	return err
}

// Person implements enrollment.PeopleTx.
func (t tx) Person(ctx context.Context, user uuid.UUID) (*enrollment.Person, error) {
	return none(pg.One[enrollment.Person](ctx, t, "person", personSQL, user))
}

// A pseudonym takes the person's place in what counts; what only names the person
// goes. A certificate without its name proves nothing and is no longer valid.
const (
	eraseEnrollmentsSQL = `
update enrollments set user_id = $2, external_source = '', external_id = '', reason = '', version = version + 1 where user_id = $1`
	eraseHoldsSQL        = `update seat_holds set user_id = $2 where user_id = $1`
	eraseEntitlementsSQL = `update entitlements set user_id = $2 where user_id = $1`
	eraseCertificatesSQL = `
update certificates set user_id = $2, name = '', revoked_at = coalesce(revoked_at, $3),
  revoke_reason = case when revoked_at is null then 'erased' else revoke_reason end, version = version + 1
where user_id = $1`
	eraseIssuersSQL   = `update certificates set issued_by = nullif(issued_by, $1), revoked_by = nullif(revoked_by, $1) where $1 in (issued_by, revoked_by)`
	eraseAllowlistSQL = `delete from certificate_allowlist where user_id = $1`
	eraseAllowersSQL  = `update certificate_allowlist set created_by = null where created_by = $1`
	eraseCodesSQL     = `update join_codes set created_by = null where created_by = $1`
	eraseStaffSQL     = `delete from course_staff where user_id = $1`
)

// ErasePerson implements enrollment.PeopleTx.
func (t tx) ErasePerson(ctx context.Context, user, pseudonym uuid.UUID) error {
	var trip trip
	trip.exec(eraseEnrollmentsSQL, user, pseudonym)
	trip.exec(eraseHoldsSQL, user, pseudonym)
	trip.exec(eraseEntitlementsSQL, user, pseudonym)
	trip.exec(eraseCertificatesSQL, user, pseudonym, t.Now())
	trip.exec(eraseIssuersSQL, user)
	trip.exec(eraseAllowlistSQL, user)
	trip.exec(eraseAllowersSQL, user)
	trip.exec(eraseCodesSQL, user)
	trip.exec(eraseStaffSQL, user)
	trip.exec(deleteCalendarTokenSQL, user)
	return trip.send(ctx, t)
}

const (
	moveCertificatesSQL = `update certificates set user_id = $2, version = version + 1 where user_id = $1`
	moveEntitlementsSQL = `update entitlements set user_id = $2 where user_id = $1`
	moveAllowedSQL      = `
insert into certificate_allowlist (course_id, user_id, tenant_id, note, created_by, created_at)
select a.course_id, $2, a.tenant_id, a.note, a.created_by, a.created_at from certificate_allowlist a where a.user_id = $1
on conflict (course_id, user_id) do nothing`
	moveHoldsSQL = `
update seat_holds h set user_id = $2
where h.user_id = $1 and not (h.state = 'held' and exists (
  select 1 from seat_holds o where o.user_id = $2 and o.course_id = h.course_id and o.state = 'held'))`
	heldSQL = `select id from seat_holds where user_id = $1 and state = 'held' order by id`
)

// MoveRights implements enrollment.PeopleTx.
func (t tx) MoveRights(ctx context.Context, from, to uuid.UUID) ([]uuid.UUID, error) {
	var trip trip
	trip.exec(moveCertificatesSQL, from, to)
	trip.exec(moveEntitlementsSQL, from, to)
	trip.exec(moveAllowedSQL, from, to)
	trip.exec(eraseAllowlistSQL, from)
	trip.exec(moveHoldsSQL, from, to)
	if err := trip.send(ctx, t); err != nil {
		return nil, err
	}
	return pg.Column[uuid.UUID](ctx, t, heldSQL, from)
}

const (
	// Nobody has the id of an enrollment: it keeps the place while two are swapped.
	parkEnrollmentSQL     = `update enrollments set user_id = id where id = $1`
	reassignEnrollmentSQL = `update enrollments set user_id = $2, version = version + 1 where id = $1`
	// Versions of a grade are counted by person.
	giveEnrollmentSQL  = `update enrollments set user_id = $2, grade_version = 0, version = version + 1 where id = $1`
	moveCertificateSQL = `
update certificates set enrollment_id = $2, version = version + 1
where enrollment_id = $1 and not exists (select 1 from certificates where enrollment_id = $2)`
	dropExternalIDSQL = `
update enrollments set external_source = '', external_id = ''
where id = $1 and exists (select 1 from enrollments where id = $2 and external_id = '')`
)

// ReassignEnrollment implements enrollment.PeopleTx.
func (t tx) ReassignEnrollment(ctx context.Context, id, to uuid.UUID) error {
	_, err := pg.Exec(ctx, t, giveEnrollmentSQL, id, to)
	return err
}

// SwapEnrollments implements enrollment.PeopleTx.
func (t tx) SwapEnrollments(ctx context.Context, froms, tos, from, to uuid.UUID) error {
	var trip trip
	trip.exec(parkEnrollmentSQL, tos)
	trip.exec(reassignEnrollmentSQL, froms, to)
	trip.exec(reassignEnrollmentSQL, tos, from)
	return trip.send(ctx, t)
}

// MoveBelongings implements enrollment.PeopleTx.
func (t tx) MoveBelongings(ctx context.Context, row, to uuid.UUID) error {
	var trip trip
	trip.exec(moveCertificateSQL, row, to)
	trip.exec(dropExternalIDSQL, row, to)
	return trip.send(ctx, t)
}

const (
	exportEnrollmentsSQL = `
select coalesce(json_agg(x order by x.created_at), '[]')::text from (
  select e.id, e.course_id, c.code as course_code, c.title as course_title, e.state, e.source, e.reason, e.starts_at, e.ends_at,
    e.activated_at, e.completed_at, e.last_activity_at, e.required, e.met, e.grade_final / 100.0 as grade, e.grade_letter,
    e.external_source, e.external_id, e.created_at
  from enrollments e left join courses c on c.id = e.course_id where e.user_id = $1) x`
	exportProgressSQL = `
select coalesce(json_agg(x), '[]')::text from (
  select e.course_id, i.subject_id, i.viewed_at, i.done_at, i.submitted_at, i.watched, i.score / 100.0 as score,
    i.possible / 100.0 as possible, i.graded_at, i.excused_at, i.completed_items, i.completed_times
  from item_progress i join enrollments e on e.id = i.enrollment_id where e.user_id = $1) x`
	exportCertificatesSQL = `
select coalesce(json_agg(x), '[]')::text from (
  select id, course_id, course_title, name, code, completed_at, grade / 100.0 as grade, issued_at, valid_until, revoked_at
  from certificates where user_id = $1) x`
	exportEntitlementsSQL = `
select coalesce(json_agg(x), '[]')::text from (
  select id, course_id, state, valid_from, valid_until from entitlements where user_id = $1) x`
)

// PersonalData implements enrollment.PeopleTx.
func (t tx) PersonalData(ctx context.Context, user uuid.UUID) (map[string][]byte, error) {
	out := map[string][]byte{}
	for section, sql := range map[string]string{
		"enrollments": exportEnrollmentsSQL, "progress": exportProgressSQL,
		"certificates": exportCertificatesSQL, "entitlements": exportEntitlementsSQL,
	} {
		text, err := pg.Scalar[string](ctx, t, "person", sql, user)
		if err != nil {
			return nil, err
		}
		out[section] = []byte(text)
	}
	return out, nil
}
