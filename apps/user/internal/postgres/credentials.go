package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/user/internal/identity"
	"lms/shared/apperr"
	"lms/shared/pg"
)

const credentialColumns = ` password_hash, password_changed_at, totp_secret, totp_confirmed_at, totp_last_step from credentials where user_id = $1`

const (
	credentialSQL     = `select` + credentialColumns
	lockCredentialSQL = credentialSQL + ` for update`
	makeCredentialSQL = `insert into credentials (user_id, tenant_id) values ($1, $2) on conflict (user_id) do nothing`
	setPasswordSQL    = `
insert into credentials (user_id, tenant_id, password_hash, password_changed_at) values ($1, $2, $3, $4)
on conflict (user_id) do update set password_hash = excluded.password_hash, password_changed_at = excluded.password_changed_at`
	upgradePasswordSQL = `update credentials set password_hash = $3 where user_id = $1 and password_hash = $2`
	setTOTPSQL         = `
insert into credentials (user_id, tenant_id, totp_secret, totp_confirmed_at, totp_last_step) values ($1, $2, $3, $4, $5)
on conflict (user_id) do update set totp_secret = excluded.totp_secret, totp_confirmed_at = excluded.totp_confirmed_at, totp_last_step = excluded.totp_last_step`
	useStepSQL = `update credentials set totp_last_step = $2 where user_id = $1 and totp_last_step < $2`
)

// Credential implements identity.CredentialRows.
func (t tx) Credential(ctx context.Context, user uuid.UUID) (identity.Credential, error) {
	c, err := pg.One[identity.Credential](ctx, t, "credential", credentialSQL, user)
	if apperr.IsKind(err, apperr.KindNotFound) {
		return identity.Credential{}, nil
	}
	return c, err
}

// LockCredential implements identity.CredentialRows.
func (t tx) LockCredential(ctx context.Context, tenant, user uuid.UUID) (identity.Credential, error) {
	if _, err := pg.Exec(ctx, t, makeCredentialSQL, user, tenant); err != nil {
		return identity.Credential{}, err
	}
	return pg.One[identity.Credential](ctx, t, "credential", lockCredentialSQL, user)
}

// SetPassword implements identity.CredentialRows.
func (t tx) SetPassword(ctx context.Context, tenant, user uuid.UUID, hash string, at time.Time) error {
	_, err := pg.Exec(ctx, t, setPasswordSQL, user, tenant, hash, at)
	return err
}

// UpgradePassword implements identity.CredentialRows.
func (t tx) UpgradePassword(ctx context.Context, user uuid.UUID, old, hash string) error {
	_, err := pg.Exec(ctx, t, upgradePasswordSQL, user, old, hash)
	return err
}

// SetTOTP implements identity.CredentialRows.
func (t tx) SetTOTP(ctx context.Context, tenant, user uuid.UUID, sealed []byte, confirmedAt *time.Time, lastStep int64) error {
	_, err := pg.Exec(ctx, t, setTOTPSQL, user, tenant, sealed, confirmedAt, lastStep)
	return err
}

// UseTOTPStep implements identity.CredentialRows.
func (t tx) UseTOTPStep(ctx context.Context, user uuid.UUID, step int64) (bool, error) {
	n, err := pg.Exec(ctx, t, useStepSQL, user, step)
	return n > 0, err
}

const (
	dropCodesSQL   = `delete from recovery_codes where user_id = $1`
	insertCodesSQL = `insert into recovery_codes (user_id, tenant_id, hash) select $1, $2, h from unnest($3::bytea[]) h`
	useCodeSQL     = `update recovery_codes set used_at = $3 where user_id = $1 and hash = $2 and used_at is null`
	codesLeftSQL   = `select count(*)::int from recovery_codes where user_id = $1 and used_at is null`
)

// SetRecoveryCodes implements identity.CredentialRows.
func (t tx) SetRecoveryCodes(ctx context.Context, tenant, user uuid.UUID, hashes [][]byte) error {
	if _, err := pg.Exec(ctx, t, dropCodesSQL, user); err != nil || len(hashes) == 0 {
		return err
	}
	_, err := pg.Exec(ctx, t, insertCodesSQL, user, tenant, hashes)
	return err
}

// UseRecoveryCode implements identity.CredentialRows.
func (t tx) UseRecoveryCode(ctx context.Context, user uuid.UUID, hash []byte, at time.Time) (bool, int, error) {
	n, err := pg.Exec(ctx, t, useCodeSQL, user, hash, at)
	if err != nil || n == 0 {
		return false, 0, err
	}
	left, err := pg.Scalar[int](ctx, t, "recovery codes", codesLeftSQL, user)
	return true, left, err
}

const tokenColumns = `
id, tenant_id, coalesce(user_id, '00000000-0000-0000-0000-000000000000') as user_id,
coalesce(registration_id, '00000000-0000-0000-0000-000000000000') as registration_id, kind, hash, email, created_at, expires_at`

const (
	insertTokenSQL = `
insert into one_time_tokens (id, tenant_id, user_id, registration_id, kind, hash, email, created_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
	useTokenSQL = `
update one_time_tokens set used_at = $3 where hash = $1 and kind = any ($2) and used_at is null and expires_at > $3
returning` + tokenColumns
	peekTokenSQL    = `select` + tokenColumns + ` from one_time_tokens where hash = $1 and kind = any ($2) and used_at is null and expires_at > $3`
	useUpTokensSQL  = `update one_time_tokens set used_at = $3 where user_id = $1 and ($2 = '' or kind = $2) and used_at is null`
	countTokensSQL  = `select count(*)::int from one_time_tokens where kind = $1 and lower(email) = lower($2) and created_at > $3`
	expireTokensSQL = `delete from one_time_tokens where id in (select id from one_time_tokens where expires_at < $1::timestamptz - interval '1 day' limit $2)`
)

// InsertToken implements identity.CredentialRows.
func (t tx) InsertToken(ctx context.Context, k identity.OneTimeToken) error {
	_, err := pg.Exec(ctx, t, insertTokenSQL, k.ID, k.TenantID, nilID(k.UserID), nilID(k.RegistrationID), k.Kind, k.Hash, k.Email, k.CreatedAt, k.ExpiresAt)
	return err
}

// UseToken implements identity.CredentialRows.
func (t tx) UseToken(ctx context.Context, kinds []identity.TokenKind, hash []byte, at time.Time) (identity.OneTimeToken, error) {
	return pg.One[identity.OneTimeToken](ctx, t, "token", useTokenSQL, hash, texts(kinds), at)
}

// PeekToken implements identity.CredentialRows.
func (t tx) PeekToken(ctx context.Context, kinds []identity.TokenKind, hash []byte, at time.Time) (identity.OneTimeToken, error) {
	return pg.One[identity.OneTimeToken](ctx, t, "token", peekTokenSQL, hash, texts(kinds), at)
}

// UseUpTokens implements identity.CredentialRows.
func (t tx) UseUpTokens(ctx context.Context, user uuid.UUID, kind identity.TokenKind, at time.Time) error {
	_, err := pg.Exec(ctx, t, useUpTokensSQL, user, kind, at)
	return err
}

// TokensSince implements identity.CredentialRows.
func (t tx) TokensSince(ctx context.Context, kind identity.TokenKind, email string, since time.Time) (int, error) {
	return pg.Scalar[int](ctx, t, "tokens", countTokensSQL, kind, email, since)
}

const (
	eventsOfSQL   = `select count(*)::int from security_events where user_id = $1 and kind = $2 and at > $3`
	eventsFromSQL = `select count(*)::int from security_events where ip = $1 and ip <> '' and kind = $2 and at > $3`
)

// EventsSince implements identity.CredentialRows.
func (t tx) EventsSince(ctx context.Context, kind string, user uuid.UUID, ip string, since time.Time) (int, error) {
	if user != uuid.Nil {
		return pg.Scalar[int](ctx, t, "events", eventsOfSQL, user, kind, since)
	}
	return pg.Scalar[int](ctx, t, "events", eventsFromSQL, ip, kind, since)
}

const registrationColumns = `
id, tenant_id, org_unit_id, email, name, given_name, family_name, locale, time_zone, password_hash, created_at, expires_at from registrations`

const (
	insertRegistrationSQL = `
insert into registrations (id, tenant_id, org_unit_id, email, email_key, name, given_name, family_name, locale, time_zone, password_hash, created_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`
	registrationSQL        = `select` + registrationColumns + ` where id = $1`
	newestRegistrationSQL  = `select` + registrationColumns + ` where email_key = $1 and expires_at > $2 order by created_at desc limit 1`
	dropRegistrationsSQL   = `delete from registrations where email_key = $1`
	expireRegistrationsSQL = `delete from registrations where id in (select id from registrations where expires_at < $1 limit $2)`
)

// InsertRegistration implements identity.CredentialRows.
func (t tx) InsertRegistration(ctx context.Context, r identity.Registration) error {
	_, err := pg.Exec(ctx, t, insertRegistrationSQL, r.ID, r.TenantID, r.OrgUnitID, r.Email, identity.EmailKey(r.Email), r.Name, r.GivenName, r.FamilyName,
		r.Locale, r.TimeZone, r.PasswordHash, r.CreatedAt, r.ExpiresAt)
	return err
}

// Registration implements identity.CredentialRows.
func (t tx) Registration(ctx context.Context, id uuid.UUID) (identity.Registration, error) {
	return pg.One[identity.Registration](ctx, t, "registration", registrationSQL, id)
}

// NewestRegistration implements identity.CredentialRows.
func (t tx) NewestRegistration(ctx context.Context, emailKey string, at time.Time) (identity.Registration, error) {
	return pg.One[identity.Registration](ctx, t, "registration", newestRegistrationSQL, emailKey, at)
}

// DeleteRegistrations implements identity.CredentialRows.
func (t tx) DeleteRegistrations(ctx context.Context, emailKey string) error {
	_, err := pg.Exec(ctx, t, dropRegistrationsSQL, emailKey)
	return err
}

const (
	// A device is strange when the person has used others, and not this one.
	seeDeviceSQL = `
with known as (select count(*) as n from known_devices where user_id = $1),
seen as (
  insert into known_devices (user_id, tenant_id, fingerprint, first_seen_at, last_seen_at) values ($1, $2, $3, $4, $4)
  on conflict (user_id, fingerprint) do update set last_seen_at = excluded.last_seen_at
  returning xmax = 0 as made
)
select seen.made and known.n > 0 as strange from seen, known`
	expireDevicesSQL = `
delete from known_devices where ctid in (select ctid from known_devices where last_seen_at < $1::timestamptz - interval '400 days' limit $2)`
	// A secret that nobody can use any more is shown, at most, for a month.
	expireSecretsSQL = `
delete from client_secrets where id in
  (select id from client_secrets where least(revoked_at, expires_at) < $1::timestamptz - interval '30 days' limit $2)`
	expirePATsSQL = `
delete from personal_tokens where id in
  (select id from personal_tokens where least(revoked_at, expires_at) < $1::timestamptz - interval '30 days' limit $2)`
)

// SeeDevice implements identity.CredentialRows.
func (t tx) SeeDevice(ctx context.Context, tenant, user uuid.UUID, fingerprint []byte, at time.Time) (bool, error) {
	return pg.Scalar[bool](ctx, t, "device", seeDeviceSQL, user, tenant, fingerprint, at)
}

// Expire implements identity.CredentialRows.
func (t tx) Expire(ctx context.Context, at time.Time, limit int) error {
	for _, sql := range []string{expireTokensSQL, expireRegistrationsSQL, expireDevicesSQL, expireSecretsSQL, expirePATsSQL} {
		if _, err := pg.Exec(ctx, t, sql, at, limit); err != nil {
			return err
		}
	}
	return nil
}
