package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/user/internal/identity"
	"lms/shared/authz"
	"lms/shared/page"
	"lms/shared/pg"
)

type clientRow struct {
	ID          uuid.UUID
	TenantID    uuid.UUID
	OrgUnitID   uuid.UUID
	Name        string
	Description string
	Epoch       int64
	Grants      []authz.Grant
	Secrets     []secretJSON
	CreatedBy   uuid.UUID
	CreatedAt   time.Time
	UpdatedAt   time.Time
	LastUsedAt  *time.Time
	Version     int64
}

type secretJSON struct {
	ID        uuid.UUID  `json:"id"`
	Hint      string     `json:"hint"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at"`
}

func (r clientRow) client() identity.Client {
	c := identity.Client{
		ID: r.ID, TenantID: r.TenantID, OrgUnitID: r.OrgUnitID, Name: r.Name, Description: r.Description, Epoch: r.Epoch, Grants: r.Grants,
		CreatedBy: r.CreatedBy, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, LastUsedAt: r.LastUsedAt, Version: r.Version,
	}
	for _, s := range r.Secrets {
		c.Secrets = append(c.Secrets, identity.ClientSecret{
			ID: s.ID, TenantID: r.TenantID, ClientID: r.ID, Hint: s.Hint, CreatedAt: s.CreatedAt.UTC(), ExpiresAt: inUTC(s.ExpiresAt),
		})
	}
	return c
}

// inUTC is a time of a JSON document as it is read from a column.
func inUTC(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

// $1 is the time at which secrets must live.
const clientColumns = `
c.id, c.tenant_id, c.org_unit_id, c.name, c.description, c.epoch, c.created_by, c.created_at, c.updated_at, c.last_used_at, c.version,
coalesce((select json_agg(json_build_object('role', g.role, 'scope', json_build_object('kind', g.scope_kind,
    'id', coalesce(g.scope_id, '00000000-0000-0000-0000-000000000000'))) order by g.role, g.scope_id)
  from client_grants g where g.client_id = c.id), '[]') as grants,
coalesce((select json_agg(json_build_object('id', s.id, 'hint', s.hint, 'created_at', s.created_at, 'expires_at', s.expires_at) order by s.created_at, s.id)
  from client_secrets s where s.client_id = c.id and s.revoked_at is null and (s.expires_at is null or s.expires_at > $1)), '[]') as secrets
from clients c`

const (
	clientSQL      = `select` + clientColumns + ` where c.id = $2`
	lockClientSQL  = clientSQL + ` for no key update of c`
	listClientsSQL = `select` + clientColumns + `
where ($2 or c.org_unit_id = any ($3)) and ($4::text is null or (c.name collate "C", c.id) > ($4, $5)) order by c.name collate "C", c.id limit $6`
	bySecretSQL = `select` + clientColumns + `
where c.id = $2 and exists (select 1 from client_secrets s where s.client_id = c.id and s.hash = $3
  and s.revoked_at is null and (s.expires_at is null or s.expires_at > $1))`
	usedClientSQL   = `update clients set last_used_at = $2 where id = $1 and (last_used_at is null or last_used_at < $2::timestamptz - interval '1 minute')`
	insertClientSQL = `
insert into clients (id, tenant_id, org_unit_id, name, description, epoch, created_by, created_at, updated_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`
	deleteClientSQL       = `delete from clients where id = $1`
	clientEpochSQL        = `update clients set epoch = $2 where id = $1`
	dropClientGrantsSQL   = `delete from client_grants where client_id = $1`
	insertClientGrantSQL  = `insert into client_grants (client_id, tenant_id, role, custom_role_id, scope_kind, scope_id) values ($1, $2, $3, $4, $5, $6)`
	insertSecretSQL       = `insert into client_secrets (id, tenant_id, client_id, hash, hint, created_at, expires_at) values ($1, $2, $3, $4, $5, $6, $7)`
	revokeClientSecretSQL = `update client_secrets set revoked_at = $2 where client_id = $1 and revoked_at is null`
)

// Client implements identity.MachineRows.
func (t tx) Client(ctx context.Context, id uuid.UUID) (identity.Client, error) {
	r, err := pg.One[clientRow](ctx, t, "service account", clientSQL, t.Now(), id)
	return r.client(), err
}

// LockClient implements identity.MachineRows.
func (t tx) LockClient(ctx context.Context, id uuid.UUID) (identity.Client, error) {
	r, err := pg.One[clientRow](ctx, t, "service account", lockClientSQL, t.Now(), id)
	return r.client(), err
}

// ListClients implements identity.MachineRows.
func (t tx) ListClients(ctx context.Context, reach authz.Reach, q page.Request) (p page.Page[identity.Client], err error) {
	c, err := readCursor("clients", q)
	if err != nil {
		return p, err
	}
	rows, err := pg.Many[clientRow](ctx, t, listClientsSQL, t.Now(), reach.All, reach.OrgUnits, c.key, c.id, q.Size()+1)
	if err != nil {
		return p, err
	}
	cut := page.Cut(rows, q.Size(), func(r clientRow) string { return page.Encode("clients", r.Name, r.ID) })
	return page.Map(cut, clientRow.client), nil
}

// ClientBySecret implements identity.MachineRows.
func (t tx) ClientBySecret(ctx context.Context, id uuid.UUID, hash []byte, at time.Time) (identity.Client, error) {
	r, err := pg.One[clientRow](ctx, t, "service account", bySecretSQL, at, id, hash)
	if err != nil {
		return identity.Client{}, err
	}
	_, err = pg.Exec(ctx, t, usedClientSQL, id, at)
	return r.client(), err
}

// InsertClient implements identity.MachineRows.
func (t tx) InsertClient(ctx context.Context, c identity.Client) error {
	if _, err := pg.Exec(ctx, t, insertClientSQL, c.ID, c.TenantID, c.OrgUnitID, c.Name, c.Description, c.Epoch, c.CreatedBy, c.CreatedAt, c.UpdatedAt, c.Version); err != nil {
		return err
	}
	return t.insertClientGrants(ctx, c)
}

func (t tx) insertClientGrants(ctx context.Context, c identity.Client) error {
	for _, g := range c.Grants {
		if _, err := pg.Exec(ctx, t, insertClientGrantSQL, c.ID, c.TenantID, g.Role, customRole(g.Role), g.Scope.Kind, nilID(g.Scope.ID)); err != nil {
			return unknownRole(err)
		}
	}
	return nil
}

// SetClientGrants implements identity.MachineRows.
func (t tx) SetClientGrants(ctx context.Context, c identity.Client) error {
	if _, err := pg.Exec(ctx, t, dropClientGrantsSQL, c.ID); err != nil {
		return err
	}
	return t.insertClientGrants(ctx, c)
}

// SetClientEpoch implements identity.MachineRows.
func (t tx) SetClientEpoch(ctx context.Context, id uuid.UUID, epoch int64) error {
	_, err := pg.Exec(ctx, t, clientEpochSQL, id, epoch)
	return err
}

// DeleteClient implements identity.MachineRows.
func (t tx) DeleteClient(ctx context.Context, id uuid.UUID) error {
	_, err := pg.Exec(ctx, t, deleteClientSQL, id)
	return err
}

// InsertClientSecret implements identity.MachineRows.
func (t tx) InsertClientSecret(ctx context.Context, s identity.ClientSecret) error {
	_, err := pg.Exec(ctx, t, insertSecretSQL, s.ID, s.TenantID, s.ClientID, s.Hash, s.Hint, s.CreatedAt, s.ExpiresAt)
	return err
}

// RevokeClientSecrets implements identity.MachineRows.
func (t tx) RevokeClientSecrets(ctx context.Context, client uuid.UUID, at time.Time) error {
	_, err := pg.Exec(ctx, t, revokeClientSecretSQL, client, at)
	return err
}

const patColumns = ` id, tenant_id, user_id, name, permissions, hash, hint, created_at, expires_at, last_used_at from personal_tokens`

const (
	listPATsSQL = `select` + patColumns + `
where user_id = $1 and revoked_at is null and expires_at > $2 and ($3::text is null or (created_at, id) < ($3::timestamptz, $4))
order by created_at desc, id desc limit $5`
	countPATsSQL = `select count(*)::int from personal_tokens where user_id = $1 and revoked_at is null and expires_at > $2`
	insertPATSQL = `
insert into personal_tokens (id, tenant_id, user_id, name, permissions, hash, hint, created_at, expires_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
	replacePATSQL = `update personal_tokens set hash = $2, hint = $3 where id = $1 and revoked_at is null`
	revokePATSQL  = `update personal_tokens set revoked_at = $3 where user_id = $1 and id = $2 and revoked_at is null`
	patByHashSQL  = `select` + patColumns + ` where hash = $1 and revoked_at is null and expires_at > $2`
	touchPATSQL   = `update personal_tokens set last_used_at = $2 where id = $1`
)

// PersonalTokens implements identity.MachineRows.
func (t tx) PersonalTokens(ctx context.Context, user uuid.UUID, at time.Time, q page.Request) (p page.Page[identity.PersonalToken], err error) {
	c, err := readCursor("tokens", q)
	if err != nil {
		return p, err
	}
	rows, err := pg.Many[identity.PersonalToken](ctx, t, listPATsSQL, user, at, c.key, c.id, q.Size()+1)
	if err != nil {
		return p, badKey(err)
	}
	return page.Cut(rows, q.Size(), func(k identity.PersonalToken) string { return page.Encode("tokens", keyTime(k.CreatedAt), k.ID) }), nil
}

// CountPersonalTokens implements identity.MachineRows.
func (t tx) CountPersonalTokens(ctx context.Context, user uuid.UUID, at time.Time) (int, error) {
	return pg.Scalar[int](ctx, t, "tokens", countPATsSQL, user, at)
}

// InsertPersonalToken implements identity.MachineRows.
func (t tx) InsertPersonalToken(ctx context.Context, k identity.PersonalToken) error {
	_, err := pg.Exec(ctx, t, insertPATSQL, k.ID, k.TenantID, k.UserID, k.Name, texts(k.Permissions), k.Hash, k.Hint, k.CreatedAt, k.ExpiresAt)
	return err
}

// ReplacePersonalTokenHash implements identity.MachineRows.
func (t tx) ReplacePersonalTokenHash(ctx context.Context, id uuid.UUID, hash []byte, hint string) error {
	_, err := pg.Exec(ctx, t, replacePATSQL, id, hash, hint)
	return err
}

// RevokePersonalToken implements identity.MachineRows.
func (t tx) RevokePersonalToken(ctx context.Context, user, id uuid.UUID, at time.Time) (bool, error) {
	n, err := pg.Exec(ctx, t, revokePATSQL, user, id, at)
	return n > 0, err
}

// PersonalTokenByHash implements identity.MachineRows.
func (t tx) PersonalTokenByHash(ctx context.Context, hash []byte, at time.Time) (identity.PersonalToken, error) {
	return pg.One[identity.PersonalToken](ctx, t, "token", patByHashSQL, hash, at)
}

// TouchPersonalToken implements identity.MachineRows.
func (t tx) TouchPersonalToken(ctx context.Context, id uuid.UUID, at time.Time) error {
	_, err := pg.Exec(ctx, t, touchPATSQL, id, at)
	return err
}
