package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/user/internal/identity"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/page"
	"lms/shared/pg"
)

const providerColumns = `
id, tenant_id, org_unit_id, name, issuer, client_id, client_secret as sealed, scopes, enabled, create_users, link_by_email, allowed_domains,
created_at, updated_at, version from identity_providers`

const (
	providerSQL      = `select` + providerColumns + ` where id = $1`
	lockProviderSQL  = providerSQL + ` for no key update`
	listProvidersSQL = `select` + providerColumns + `
where ($1 or org_unit_id = any ($2)) and ($3::text is null or (name collate "C", id) > ($3, $4)) order by name collate "C", id limit $5`
	enabledProvidersSQL = `select` + providerColumns + ` where enabled order by name collate "C", id limit 200`
	insertProviderSQL   = `
insert into identity_providers (id, tenant_id, org_unit_id, name, issuer, client_id, client_secret, scopes, enabled, create_users, link_by_email,
  allowed_domains, created_at, updated_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`
	updateProviderSQL = `
update identity_providers set name = $2, client_id = $3, client_secret = $4, scopes = $5, enabled = $6, create_users = $7, link_by_email = $8,
  allowed_domains = $9, updated_at = $10, version = $11
where id = $1 and version = $11 - 1`
	deleteProviderSQL = `delete from identity_providers where id = $1`
	linkedUserSQL     = `update linked_accounts set last_used_at = $3 where provider_id = $1 and subject = $2 returning user_id`
	linkSQL           = `
insert into linked_accounts (provider_id, subject, user_id, tenant_id, email, linked_at, last_used_at) values ($1, $2, $3, $4, $5, $6, $6)`
)

// Provider implements identity.ProviderRows.
func (t tx) Provider(ctx context.Context, id uuid.UUID) (identity.Provider, error) {
	return pg.One[identity.Provider](ctx, t, "identity provider", providerSQL, id)
}

// LockProvider implements identity.ProviderRows.
func (t tx) LockProvider(ctx context.Context, id uuid.UUID) (identity.Provider, error) {
	return pg.One[identity.Provider](ctx, t, "identity provider", lockProviderSQL, id)
}

// ListProviders implements identity.ProviderRows.
func (t tx) ListProviders(ctx context.Context, reach authz.Reach, q page.Request) (p page.Page[identity.Provider], err error) {
	c, err := readCursor("providers", q)
	if err != nil {
		return p, err
	}
	rows, err := pg.Many[identity.Provider](ctx, t, listProvidersSQL, reach.All, reach.OrgUnits, c.key, c.id, q.Size()+1)
	if err != nil {
		return p, err
	}
	return page.Cut(rows, q.Size(), func(r identity.Provider) string { return page.Encode("providers", r.Name, r.ID) }), nil
}

// EnabledProviders implements identity.ProviderRows.
func (t tx) EnabledProviders(ctx context.Context) ([]identity.Provider, error) {
	return pg.Many[identity.Provider](ctx, t, enabledProvidersSQL)
}

func providerConflict(err error) error {
	return conflict(err, "identity_providers_once", "provider_exists", "The organisation has this provider already.")
}

// InsertProvider implements identity.ProviderRows.
func (t tx) InsertProvider(ctx context.Context, p identity.Provider) error {
	_, err := pg.Exec(ctx, t, insertProviderSQL, p.ID, p.TenantID, p.OrgUnitID, p.Name, p.Issuer, p.ClientID, p.Sealed, p.Scopes, p.Enabled,
		p.CreateUsers, p.LinkByEmail, p.AllowedDomains, p.CreatedAt, p.UpdatedAt, p.Version)
	return providerConflict(err)
}

// UpdateProvider implements identity.ProviderRows.
func (t tx) UpdateProvider(ctx context.Context, p identity.Provider) error {
	return providerConflict(pg.ExecVersioned(ctx, t, updateProviderSQL, p.ID, p.Name, p.ClientID, p.Sealed, p.Scopes, p.Enabled, p.CreateUsers,
		p.LinkByEmail, p.AllowedDomains, p.UpdatedAt, p.Version))
}

// DeleteProvider implements identity.ProviderRows.
func (t tx) DeleteProvider(ctx context.Context, id uuid.UUID) error {
	_, err := pg.Exec(ctx, t, deleteProviderSQL, id)
	return err
}

// LinkedUser implements identity.ProviderRows.
func (t tx) LinkedUser(ctx context.Context, provider uuid.UUID, subject string, at time.Time) (uuid.UUID, error) {
	return pg.Scalar[uuid.UUID](ctx, t, "linked account", linkedUserSQL, provider, subject, at)
}

// Link implements identity.ProviderRows.
func (t tx) Link(ctx context.Context, l identity.Link) error {
	_, err := pg.Exec(ctx, t, linkSQL, l.ProviderID, l.Subject, l.UserID, l.TenantID, l.Email, l.At)
	err = conflict(err, "linked_accounts_one_per_user", "already_linked", "The account is linked to another account of this provider.")
	return conflict(err, "linked_accounts_pkey", "already_linked", "This account belongs to somebody else here.")
}

const (
	signingKeysSQL = `select version, sealed from signing_key_sets`
	firstKeysSQL   = `insert into signing_key_sets (version, sealed, updated_at) values (1, $1, $2) on conflict (one) do nothing`
	nextKeysSQL    = `update signing_key_sets set version = version + 1, sealed = $2, updated_at = $3 where version = $1`
)

type keySet struct {
	Version int64
	Sealed  []byte
}

// SigningKeys implements identity.ProviderRows.
func (t tx) SigningKeys(ctx context.Context) (int64, []byte, error) {
	k, err := pg.One[keySet](ctx, t, "signing keys", signingKeysSQL)
	if apperr.IsKind(err, apperr.KindNotFound) {
		return 0, nil, nil
	}
	return k.Version, k.Sealed, err
}

// PutSigningKeys implements identity.ProviderRows.
func (t tx) PutSigningKeys(ctx context.Context, version int64, sealed []byte, at time.Time) (int64, error) {
	var n int64
	var err error
	if version == 0 {
		n, err = pg.Exec(ctx, t, firstKeysSQL, sealed, at)
	} else {
		n, err = pg.Exec(ctx, t, nextKeysSQL, version, sealed, at)
	}
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, apperr.Conflict("version_conflict", "The keys were changed in the meantime.")
	}
	return version + 1, nil
}
