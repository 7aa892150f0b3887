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

const (
	versionSQL     = `select version from authz_version`
	bumpVersionSQL = `update authz_version set version = version + 1`
	allUnitsSQL    = `
select id, coalesce(parent_id, '00000000-0000-0000-0000-000000000000') as parent_id, tenant_id, archived_at is not null as archived
from org_units order by cardinality(path), id`
	allRolesSQL = `select id::text as key, name, tenant_id, permissions from roles order by id`
)

// SnapshotVersion implements identity.AccessRows.
func (t tx) SnapshotVersion(ctx context.Context) (int64, error) {
	return pg.Scalar[int64](ctx, t, "version", versionSQL)
}

// BumpSnapshot implements identity.AccessRows.
func (t tx) BumpSnapshot(ctx context.Context) error {
	_, err := pg.Exec(ctx, t, bumpVersionSQL)
	return err
}

// Snapshot implements identity.AccessRows. A deleted unit stays in it, as
// archived: what belongs to it elsewhere still has a place in the tree.
func (t tx) Snapshot(ctx context.Context) (s authz.Snapshot, err error) {
	if s.OrgUnits, err = pg.Many[authz.OrgUnit](ctx, t, allUnitsSQL); err != nil {
		return s, err
	}
	custom, err := pg.Many[authz.Role](ctx, t, allRolesSQL)
	s.Roles = append(authz.BuiltinRoles(), custom...)
	return s, err
}

const roleColumns = `
id, id::text as key, tenant_id, org_unit_id, name, description, permissions, false as builtin, created_at, updated_at, version`

const (
	roleSQL               = `select` + roleColumns + ` from roles where id = $1`
	lockRoleSQL           = roleSQL + ` for update`
	rolesWhere            = ` from roles where ($1 or tenant_id = any ($2))`
	rolesByNameSQL        = `select` + roleColumns + rolesWhere + ` and ($3::text is null or (name collate "C", id) > ($3, $4)) order by name collate "C", id limit $5`
	rolesByNameDownSQL    = `select` + roleColumns + rolesWhere + ` and ($3::text is null or (name collate "C", id) < ($3, $4)) order by name collate "C" desc, id desc limit $5`
	rolesByCreatedSQL     = `select` + roleColumns + rolesWhere + ` and ($3::text is null or (created_at, id) > ($3::timestamptz, $4)) order by created_at, id limit $5`
	rolesByCreatedDownSQL = `select` + roleColumns + rolesWhere + ` and ($3::text is null or (created_at, id) < ($3::timestamptz, $4)) order by created_at desc, id desc limit $5`
	insertRoleSQL         = `
insert into roles (id, tenant_id, org_unit_id, name, description, permissions, created_at, updated_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
	updateRoleSQL = `update roles set name = $2, description = $3, permissions = $4, updated_at = $5, version = $6 where id = $1 and version = $6 - 1`
	deleteRoleSQL = `delete from roles where id = $1`
	holdersSQL    = `
select user_id as id, true as person from grants where role = $1
union select client_id, false from client_grants where role = $1`
)

// Role implements identity.AccessRows.
func (t tx) Role(ctx context.Context, id uuid.UUID) (identity.Role, error) {
	return pg.One[identity.Role](ctx, t, "role", roleSQL, id)
}

// LockRole implements identity.AccessRows.
func (t tx) LockRole(ctx context.Context, id uuid.UUID) (identity.Role, error) {
	return pg.One[identity.Role](ctx, t, "role", lockRoleSQL, id)
}

// ListRoles implements identity.AccessRows.
func (t tx) ListRoles(ctx context.Context, tenants []uuid.UUID, all bool, sort string, q page.Request) (p page.Page[identity.Role], err error) {
	c, err := readCursor(sort, q)
	if err != nil {
		return p, err
	}
	sql, key := rolesByNameSQL, func(r identity.Role) string { return r.Name }
	switch sort {
	case "-name":
		sql = rolesByNameDownSQL
	case "created_at", "-created_at":
		sql, key = rolesByCreatedSQL, func(r identity.Role) string { return keyTime(r.CreatedAt) }
		if sort == "-created_at" {
			sql = rolesByCreatedDownSQL
		}
	}
	rows, err := pg.Many[identity.Role](ctx, t, sql, all, tenants, c.key, c.id, q.Size()+1)
	if err != nil {
		return p, badKey(err)
	}
	return page.Cut(rows, q.Size(), func(r identity.Role) string { return page.Encode(sort, key(r), r.ID) }), nil
}

func roleConflict(err error) error {
	return conflict(err, "roles_name", "name_taken", "Another role of the organisation has this name.")
}

// InsertRole implements identity.AccessRows.
func (t tx) InsertRole(ctx context.Context, r identity.Role) error {
	_, err := pg.Exec(ctx, t, insertRoleSQL, r.ID, r.TenantID, r.OrgUnitID, r.Name, r.Description, texts(r.Permissions), r.CreatedAt, r.UpdatedAt, r.Version)
	return roleConflict(err)
}

// UpdateRole implements identity.AccessRows.
func (t tx) UpdateRole(ctx context.Context, r identity.Role) error {
	return roleConflict(pg.ExecVersioned(ctx, t, updateRoleSQL, r.ID, r.Name, r.Description, texts(r.Permissions), r.UpdatedAt, r.Version))
}

// DeleteRole implements identity.AccessRows.
func (t tx) DeleteRole(ctx context.Context, id uuid.UUID) error {
	_, err := pg.Exec(ctx, t, deleteRoleSQL, id)
	err = conflict(err, "grants_custom_role", "in_use", "Somebody holds this role.")
	return conflict(err, "client_grants_custom_role", "in_use", "A service account holds this role.")
}

type holder struct {
	ID     uuid.UUID
	Person bool
}

// HoldersOf implements identity.AccessRows.
func (t tx) HoldersOf(ctx context.Context, role string) (users, clients []uuid.UUID, err error) {
	rows, err := pg.Many[holder](ctx, t, holdersSQL, role)
	for _, h := range rows {
		if h.Person {
			users = append(users, h.ID)
		} else {
			clients = append(clients, h.ID)
		}
	}
	return users, clients, err
}

func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}

type grantRow struct {
	ID        uuid.UUID
	TenantID  uuid.UUID
	UserID    uuid.UUID
	Role      string
	RoleName  string
	ScopeKind string
	ScopeID   uuid.UUID
	GrantedBy *uuid.UUID
	CreatedAt time.Time
}

const (
	grantsSQL = `
select g.id, g.tenant_id, g.user_id, g.role, coalesce(r.name, '') as role_name, g.scope_kind,
  coalesce(g.scope_id, '00000000-0000-0000-0000-000000000000') as scope_id, g.granted_by, g.created_at
from grants g left join roles r on r.id = g.custom_role_id
where g.user_id = $1 order by g.created_at, g.id`
	insertGrantSQL = `
insert into grants (id, tenant_id, user_id, role, custom_role_id, scope_kind, scope_id, granted_by, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict on constraint grants_once do nothing`
	deleteGrantSQL = `delete from grants where id = $1`
	lockAdminsSQL  = `
select u.id from grants g join users u on u.id = g.user_id
where g.role = 'platform_admin' and g.scope_kind = 'platform' and u.status = 'active'
order by g.created_at, u.id for update of g, u`
)

// GrantsOf implements identity.AccessRows.
func (t tx) GrantsOf(ctx context.Context, user uuid.UUID) ([]identity.Grant, error) {
	rows, err := pg.Many[grantRow](ctx, t, grantsSQL, user)
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, r := range identity.BuiltinRoles() {
		names[r.Key] = r.Name
	}
	out := make([]identity.Grant, len(rows))
	for i, r := range rows {
		if r.RoleName == "" {
			r.RoleName = names[r.Role]
		}
		out[i] = identity.Grant{
			ID: r.ID, TenantID: r.TenantID, UserID: r.UserID, Role: r.Role, RoleName: r.RoleName,
			Scope: authz.Scope{Kind: authz.ScopeKind(r.ScopeKind), ID: r.ScopeID}, GrantedBy: r.GrantedBy, CreatedAt: r.CreatedAt,
		}
	}
	return out, nil
}

// customRole is the id of an organisation's own role, nil for a built-in one.
func customRole(key string) *uuid.UUID {
	if id, err := uuid.Parse(key); err == nil {
		return &id
	}
	return nil
}

// InsertGrant implements identity.AccessRows.
func (t tx) InsertGrant(ctx context.Context, g identity.Grant) (bool, error) {
	n, err := pg.Exec(ctx, t, insertGrantSQL, g.ID, g.TenantID, g.UserID, g.Role, customRole(g.Role), g.Scope.Kind, nilID(g.Scope.ID), g.GrantedBy, g.CreatedAt)
	return n > 0, unknownRole(err)
}

func unknownRole(err error) error {
	if pg.Violates(err, "grants_custom_role") || pg.Violates(err, "client_grants_custom_role") {
		return apperr.Invalid(apperr.Field{Path: "role", Code: "not_found", Message: "There is no such role."})
	}
	return err
}

// DeleteGrant implements identity.AccessRows.
func (t tx) DeleteGrant(ctx context.Context, id uuid.UUID) error {
	_, err := pg.Exec(ctx, t, deleteGrantSQL, id)
	return err
}

// LockPlatformAdmins implements identity.AccessRows.
func (t tx) LockPlatformAdmins(ctx context.Context) ([]uuid.UUID, error) {
	return pg.Column[uuid.UUID](ctx, t, lockAdminsSQL)
}

const (
	dropGrantsSQL      = `delete from grants where user_id = $1`
	dropTokensSQL      = `update personal_tokens set revoked_at = $2 where user_id = $1 and revoked_at is null`
	dropLinksSQL       = `delete from linked_accounts where user_id = $1`
	dropMembersSQL     = `delete from org_members where user_id = $1`
	dropCredentialsSQL = `delete from credentials where user_id = $1`
	dropRecoverySQL    = `delete from recovery_codes where user_id = $1`
	dropDevicesSQL     = `delete from known_devices where user_id = $1`
)

// DropAccess implements identity.AccessRows.
func (t tx) DropAccess(ctx context.Context, user uuid.UUID, at time.Time) error {
	if _, err := pg.Exec(ctx, t, dropTokensSQL, user, at); err != nil {
		return err
	}
	for _, sql := range []string{dropGrantsSQL, dropLinksSQL, dropMembersSQL, dropCredentialsSQL, dropRecoverySQL, dropDevicesSQL} {
		if _, err := pg.Exec(ctx, t, sql, user); err != nil {
			return err
		}
	}
	return nil
}
