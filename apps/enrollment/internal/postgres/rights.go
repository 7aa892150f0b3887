package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lms/apps/enrollment/internal/enrollment"
	"lms/shared/apperr"
	"lms/shared/page"
	"lms/shared/pg"
)

const (
	holdSQL = `
select id, tenant_id, course_id, user_id, state, expires_at, created_at, updated_at from seat_holds where id = $1 for update`
	// One live hold per person and course: one that lapsed makes room.
	supersedeHoldsSQL = `
update seat_holds set state = 'released', updated_at = $4
where course_id = $1 and user_id = $2 and state = 'held' and id <> $3`
	saveHoldSQL = `
insert into seat_holds (id, tenant_id, course_id, user_id, state, expires_at, created_at, updated_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (id) do update set state = excluded.state, expires_at = excluded.expires_at, updated_at = excluded.updated_at`
	lapsedHoldsSQL = `
select id from seat_holds where state = 'held' and expires_at < $1 and id <> all ($3) order by expires_at limit $2`
)

// none turns the absence of a row into nil.
func none[T any](v T, err error) (*T, error) {
	if apperr.IsKind(err, apperr.KindNotFound) {
		return nil, nil //nolint:nilnil // absence is an answer here
	}
	if err != nil {
		return nil, err
	}
	return &v, nil
}

// Hold implements enrollment.RightsTx.
func (t tx) Hold(ctx context.Context, id uuid.UUID) (*enrollment.Hold, error) {
	return none(pg.One[enrollment.Hold](ctx, t, "hold", holdSQL, id))
}

// SaveHold implements enrollment.RightsTx.
func (t tx) SaveHold(ctx context.Context, h enrollment.Hold) error {
	var trip trip
	if h.State == enrollment.HoldHeld {
		trip.exec(supersedeHoldsSQL, h.CourseID, h.UserID, h.ID, h.UpdatedAt)
	}
	trip.exec(saveHoldSQL, h.ID, h.TenantID, h.CourseID, h.UserID, h.State, h.ExpiresAt, h.CreatedAt, h.UpdatedAt)
	return trip.send(ctx, t)
}

// LapsedHolds implements enrollment.RightsTx.
func (t tx) LapsedHolds(ctx context.Context, now time.Time, skip []uuid.UUID, limit int) ([]uuid.UUID, error) {
	return pg.Column[uuid.UUID](ctx, t, lapsedHoldsSQL, now, limit, ids(skip))
}

const (
	saveEntitlementSQL = `
insert into entitlements (id, tenant_id, course_id, user_id, state, valid_from, valid_until, updated_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (id) do update set state = excluded.state, valid_from = excluded.valid_from, valid_until = excluded.valid_until,
  updated_at = excluded.updated_at`
	entitlementsSQL = `
select id, tenant_id, course_id, user_id, state, valid_from, valid_until, updated_at
from entitlements where course_id = $1 and user_id = $2 order by valid_until desc nulls first`
	standingsSQL = `
select r.id, r.state, r.valid_until, coalesce(e.state, '') as enrollment, coalesce(e.waived_entitlement, false) as waived
from entitlements r left join enrollments e on e.course_id = r.course_id and e.user_id = r.user_id
where r.id = any ($1)`
)

// EntitlementStandings implements enrollment.ListTx.
func (t tx) EntitlementStandings(ctx context.Context, list []uuid.UUID) ([]enrollment.EntitlementStanding, error) {
	return pg.Many[enrollment.EntitlementStanding](ctx, t, standingsSQL, ids(list))
}

// SaveEntitlement implements enrollment.RightsTx.
func (t tx) SaveEntitlement(ctx context.Context, e enrollment.Entitlement) error {
	_, err := pg.Exec(ctx, t, saveEntitlementSQL, e.ID, e.TenantID, e.CourseID, e.UserID, e.State, e.ValidFrom, e.ValidUntil, e.UpdatedAt)
	return err
}

// Entitlements implements enrollment.RightsTx.
func (t tx) Entitlements(ctx context.Context, course, user uuid.UUID) ([]enrollment.Entitlement, error) {
	return pg.Many[enrollment.Entitlement](ctx, t, entitlementsSQL, course, user)
}

const (
	joinCodeColumns   = ` id, tenant_id, course_id, code, label, max_uses, uses, expires_at, revoked_at, created_by, created_at `
	insertJoinCodeSQL = `
insert into join_codes (id, tenant_id, course_id, code, label, max_uses, uses, expires_at, revoked_at, created_by, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`
	joinCodesSQL = `
select` + joinCodeColumns + `from join_codes where course_id = $1 and ($2::uuid is null or id < $2) order by id desc limit $3`
	joinCodeSQL       = `select` + joinCodeColumns + `from join_codes where id = $1`
	joinCodeByTextSQL = `select` + joinCodeColumns + `from join_codes where code = $1`
	// The limit holds in any race: the row is locked by the update itself.
	useJoinCodeSQL = `
update join_codes set uses = uses + 1
where id = $1 and revoked_at is null and (expires_at is null or expires_at >= $2) and (max_uses is null or uses < max_uses)`
	revokeJoinCodeSQL = `update join_codes set revoked_at = $2 where id = $1 and revoked_at is null`
)

// InsertJoinCode implements enrollment.RightsTx.
func (t tx) InsertJoinCode(ctx context.Context, c enrollment.JoinCode) error {
	_, err := pg.Exec(ctx, t, insertJoinCodeSQL, c.ID, c.TenantID, c.CourseID, c.Code, c.Label, c.MaxUses, c.Uses, c.ExpiresAt,
		c.RevokedAt, c.CreatedBy, c.CreatedAt)
	return err
}

// after reads a cursor of one id; nil is the first page.
func afterID(p page.Request) (*uuid.UUID, error) {
	var id uuid.UUID
	seen, err := page.Decode(p.Cursor, &id)
	if !seen || err != nil {
		return nil, err
	}
	return &id, nil
}

// JoinCodes implements enrollment.RightsTx.
func (t tx) JoinCodes(ctx context.Context, course uuid.UUID, p page.Request) (out page.Page[enrollment.JoinCode], err error) {
	after, err := afterID(p)
	if err != nil {
		return out, err
	}
	rows, err := pg.Many[enrollment.JoinCode](ctx, t, joinCodesSQL, course, after, p.Size()+1)
	return page.Cut(rows, p.Size(), func(c enrollment.JoinCode) string { return page.Encode(c.ID) }), err
}

// JoinCode implements enrollment.RightsTx.
func (t tx) JoinCode(ctx context.Context, id uuid.UUID) (enrollment.JoinCode, error) {
	return pg.One[enrollment.JoinCode](ctx, t, "join code", joinCodeSQL, id)
}

// JoinCodeByText implements enrollment.RightsTx.
func (t tx) JoinCodeByText(ctx context.Context, code string) (enrollment.JoinCode, error) {
	return pg.One[enrollment.JoinCode](ctx, t, "join code", joinCodeByTextSQL, code)
}

// UseJoinCode implements enrollment.RightsTx.
func (t tx) UseJoinCode(ctx context.Context, id uuid.UUID, now time.Time) (bool, error) {
	n, err := pg.Exec(ctx, t, useJoinCodeSQL, id, now)
	return n > 0, err
}

// RevokeJoinCode implements enrollment.RightsTx.
func (t tx) RevokeJoinCode(ctx context.Context, id uuid.UUID, now time.Time) error {
	_, err := pg.Exec(ctx, t, revokeJoinCodeSQL, id, now)
	return err
}

const (
	certificateColumns = `
id, tenant_id, org_unit_id, enrollment_id, course_id, user_id, code, name, course_code, course_title, title, signatory,
completed_at, grade, issued_at, issued_by, valid_until, revoked_at, revoked_by, revoke_reason, version `
	insertCertificateSQL = `
insert into certificates (id, tenant_id, org_unit_id, enrollment_id, course_id, user_id, code, name, course_code, course_title,
  title, signatory, completed_at, grade, issued_at, issued_by, valid_until, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`
	certificateSQL       = `select` + certificateColumns + `from certificates where id = $1 for update`
	certificateOfSQL     = `select` + certificateColumns + `from certificates where enrollment_id = $1`
	certificateByCodeSQL = `select` + certificateColumns + `from certificates where code = $1`
	revokeCertificateSQL = `
update certificates set revoked_at = $2, revoked_by = $3, revoke_reason = $4, version = $5 where id = $1`
	certificatesSQL = `
select` + certificateColumns + `from certificates
where ($1::uuid is null or user_id = $1) and ($2::uuid is null or course_id = $2) and (not $3 or revoked_at is null)
  and ($4::uuid is null or id < $4)
order by id desc limit $5`
)

// InsertCertificate implements enrollment.RightsTx.
func (t tx) InsertCertificate(ctx context.Context, c enrollment.Certificate) error {
	_, err := pg.Exec(ctx, t, insertCertificateSQL, c.ID, c.TenantID, c.OrgUnitID, c.EnrollmentID, c.CourseID, c.UserID, c.Code, c.Name,
		c.CourseCode, c.CourseTitle, c.Title, c.Signatory, c.CompletedAt, c.Grade, c.IssuedAt, c.IssuedBy, c.ValidUntil, c.Version)
	return err
}

// Certificate implements enrollment.RightsTx.
func (t tx) Certificate(ctx context.Context, id uuid.UUID) (enrollment.Certificate, error) {
	return pg.One[enrollment.Certificate](ctx, t, "certificate", certificateSQL, id)
}

// CertificateOf implements enrollment.RightsTx.
func (t tx) CertificateOf(ctx context.Context, id uuid.UUID) (*enrollment.Certificate, error) {
	return none(pg.One[enrollment.Certificate](ctx, t, "certificate", certificateOfSQL, id))
}

// CertificateByCode implements enrollment.RightsTx.
func (t tx) CertificateByCode(ctx context.Context, code string) (enrollment.Certificate, error) {
	return pg.One[enrollment.Certificate](ctx, t, "certificate", certificateByCodeSQL, code)
}

// RevokeCertificate implements enrollment.RightsTx.
func (t tx) RevokeCertificate(ctx context.Context, c enrollment.Certificate) error {
	_, err := pg.Exec(ctx, t, revokeCertificateSQL, c.ID, c.RevokedAt, c.RevokedBy, c.RevokeReason, c.Version)
	return err
}

// Certificates implements enrollment.RightsTx.
func (t tx) Certificates(ctx context.Context, f enrollment.CertificateFilter, p page.Request) (out page.Page[enrollment.Certificate], err error) {
	after, err := afterID(p)
	if err != nil {
		return out, err
	}
	rows, err := pg.Many[enrollment.Certificate](ctx, t, certificatesSQL, f.UserID, f.CourseID, f.Valid, after, p.Size()+1)
	return page.Cut(rows, p.Size(), func(c enrollment.Certificate) string { return page.Encode(c.ID) }), err
}

const (
	allowlistSQL = `
select course_id, user_id, tenant_id, note, created_by, created_at from certificate_allowlist
where course_id = $1 and ($2::uuid is null or user_id > $2) order by user_id limit $3`
	isAllowedSQL = `select exists (select 1 from certificate_allowlist where course_id = $1 and user_id = $2)`
	allowSQL     = `
insert into certificate_allowlist (course_id, user_id, tenant_id, note, created_by, created_at) values ($1, $2, $3, $4, $5, $6)
on conflict (course_id, user_id) do nothing`
	disallowSQL = `delete from certificate_allowlist where course_id = $1 and user_id = $2`
)

// Allowlist implements enrollment.RightsTx.
func (t tx) Allowlist(ctx context.Context, course uuid.UUID, p page.Request) (out page.Page[enrollment.Allowed], err error) {
	after, err := afterID(p)
	if err != nil {
		return out, err
	}
	rows, err := pg.Many[enrollment.Allowed](ctx, t, allowlistSQL, course, after, p.Size()+1)
	return page.Cut(rows, p.Size(), func(a enrollment.Allowed) string { return page.Encode(a.UserID) }), err
}

// IsAllowed implements enrollment.RightsTx.
func (t tx) IsAllowed(ctx context.Context, course, user uuid.UUID) (bool, error) {
	return pg.Scalar[bool](ctx, t, "allowlist", isAllowedSQL, course, user)
}

// Allow implements enrollment.RightsTx.
func (t tx) Allow(ctx context.Context, a enrollment.Allowed) (bool, error) {
	n, err := pg.Exec(ctx, t, allowSQL, a.CourseID, a.UserID, a.TenantID, a.Note, a.CreatedBy, a.CreatedAt)
	return n > 0, err
}

// Disallow implements enrollment.RightsTx.
func (t tx) Disallow(ctx context.Context, course, user uuid.UUID) (bool, error) {
	n, err := pg.Exec(ctx, t, disallowSQL, course, user)
	return n > 0, err
}

const (
	setCalendarTokenSQL = `
insert into calendar_tokens (user_id, tenant_id, token_hash, created_at) values ($1, $2, $3, $4)
on conflict (user_id) do update set token_hash = excluded.token_hash, created_at = excluded.created_at`
	deleteCalendarTokenSQL = `delete from calendar_tokens where user_id = $1`
	calendarOwnerSQL       = `select user_id, tenant_id from calendar_tokens where token_hash = $1`
)

// SetCalendarToken implements enrollment.RightsTx.
func (t tx) SetCalendarToken(ctx context.Context, user, tenant uuid.UUID, hash []byte, now time.Time) error {
	_, err := pg.Exec(ctx, t, setCalendarTokenSQL, user, tenant, hash, now)
	return err
}

// DeleteCalendarToken implements enrollment.RightsTx.
func (t tx) DeleteCalendarToken(ctx context.Context, user uuid.UUID) (bool, error) {
	n, err := pg.Exec(ctx, t, deleteCalendarTokenSQL, user)
	return n > 0, err
}

// CalendarOwner implements enrollment.RightsTx.
func (t tx) CalendarOwner(ctx context.Context, hash []byte) (user, tenant uuid.UUID, err error) {
	err = t.QueryRow(ctx, calendarOwnerSQL, hash).Scan(&user, &tenant)
	if errors.Is(err, pgx.ErrNoRows) {
		err = apperr.NotFound("calendar")
	}
	return user, tenant, err
}
