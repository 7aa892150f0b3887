package postgres

import (
	"context"

	"github.com/google/uuid"

	"lms/apps/user/internal/identity"
	"lms/shared/apperr"
	"lms/shared/page"
	"lms/shared/pg"
)

const (
	orgUnitColumns = `
o.id, o.tenant_id, o.parent_id, o.path, o.kind, o.code, o.name, o.created_at, o.updated_at, o.archived_at, o.deleted_at, o.version,
coalesce((select jsonb_agg(jsonb_build_object('source', e.source, 'id', e.external_id) order by e.source collate "C")
  from org_unit_external_ids e where e.org_unit_id = o.id), '[]') as external_ids`
	selectOrgUnits      = `select ` + orgUnitColumns + ` from org_units o `
	orgUnitSQL          = selectOrgUnits + `where o.id = $1`
	shareOrgUnitSQL     = orgUnitSQL + ` for share of o`
	lockOrgUnitSQL      = orgUnitSQL + ` for no key update of o`
	orgUnitByForeignSQL = selectOrgUnits + `
where o.id = (select x.org_unit_id from org_unit_external_ids x where x.tenant_id = $1 and x.source = $2 and x.external_id = $3)`
	lockSubtreeSQL = selectOrgUnits + `
where o.path @> array[$1::uuid] and (o.deleted_at is null or o.id = $1) order by cardinality(o.path), o.id for no key update of o`
	rootsSQL = selectOrgUnits + `where o.parent_id is null and o.deleted_at is null and o.archived_at is null order by o.created_at, o.id`
)

// OrgUnit implements identity.Tx.
func (t tx) OrgUnit(ctx context.Context, id uuid.UUID) (identity.OrgUnit, error) {
	return pg.One[identity.OrgUnit](ctx, t, "org unit", orgUnitSQL, id)
}

// ShareOrgUnit implements identity.Tx.
func (t tx) ShareOrgUnit(ctx context.Context, id uuid.UUID) (identity.OrgUnit, error) {
	return pg.One[identity.OrgUnit](ctx, t, "org unit", shareOrgUnitSQL, id)
}

// LockOrgUnit implements identity.Tx.
func (t tx) LockOrgUnit(ctx context.Context, id uuid.UUID) (identity.OrgUnit, error) {
	return pg.One[identity.OrgUnit](ctx, t, "org unit", lockOrgUnitSQL, id)
}

// OrgUnitByExternalID implements identity.Tx.
func (t tx) OrgUnitByExternalID(ctx context.Context, tenant uuid.UUID, id identity.ExternalID) (identity.OrgUnit, error) {
	return pg.One[identity.OrgUnit](ctx, t, "org unit", orgUnitByForeignSQL, tenant, id.Source, id.ID)
}

// LockSubtree implements identity.Tx. Deleted units below are left out: they
// follow by UpdateOrgUnit.
func (t tx) LockSubtree(ctx context.Context, id uuid.UUID) ([]identity.OrgUnit, error) {
	return pg.Many[identity.OrgUnit](ctx, t, lockSubtreeSQL, id)
}

// Roots implements identity.Tx: the tenants that are neither archived nor
// deleted.
func (t tx) Roots(ctx context.Context) ([]identity.OrgUnit, error) {
	return pg.Many[identity.OrgUnit](ctx, t, rootsSQL)
}

const listOrgUnitsBase = selectOrgUnits + `
where o.deleted_at is null
  and ($1::boolean or o.id = any($2::uuid[]))
  and ($3 = '' or lower(o.name) like $3 or lower(o.code) like $3)
  and ($4::uuid is null or o.parent_id = $4)
  and (not $5::boolean or o.parent_id is null)
  and ($6::uuid[] is null or o.path && $6)
  and ($7 = '' or o.kind = $7)
  and ($8::boolean is null or (o.archived_at is not null) = $8)
  and ($9 = '' or lower(o.code) = lower($9))
  and ($10 = '' or exists (select 1 from org_unit_external_ids x where x.org_unit_id = o.id and x.source = $10))
  and ($11 = '' or exists (select 1 from org_unit_external_ids x where x.org_unit_id = o.id and x.external_id = $11 and ($10 = '' or x.source = $10)))
`

const (
	orgUnitsByNameSQL = listOrgUnitsBase + `
  and ($12 or (lower(o.name), o.id) > (lower($13::text), $14::uuid)) order by lower(o.name), o.id limit $15`
	orgUnitsByNameDescSQL = listOrgUnitsBase + `
  and ($12 or (lower(o.name), o.id) < (lower($13::text), $14::uuid)) order by lower(o.name) desc, o.id desc limit $15`
	orgUnitsByCreatedSQL = listOrgUnitsBase + `
  and ($12 or (o.created_at, o.id) > ($13::timestamptz, $14::uuid)) order by o.created_at, o.id limit $15`
	orgUnitsByCreatedDescSQL = listOrgUnitsBase + `
  and ($12 or (o.created_at, o.id) < ($13::timestamptz, $14::uuid)) order by o.created_at desc, o.id desc limit $15`
)

func orgUnitSorting(name string) sorting[identity.OrgUnit] {
	created := func(u identity.OrgUnit) any { return u.CreatedAt }
	byName := func(u identity.OrgUnit) any { return u.Name }
	switch name {
	case "-name":
		return sorting[identity.OrgUnit]{orgUnitsByNameDescSQL, byName, true}
	case "created_at":
		return sorting[identity.OrgUnit]{orgUnitsByCreatedSQL, created, false}
	case "-created_at":
		return sorting[identity.OrgUnit]{orgUnitsByCreatedDescSQL, created, false}
	}
	return sorting[identity.OrgUnit]{orgUnitsByNameSQL, byName, true}
}

// ListOrgUnits implements identity.Tx.
func (t tx) ListOrgUnits(ctx context.Context, f identity.OrgUnitFilter) (p page.Page[identity.OrgUnit], err error) {
	order := orgUnitSorting(f.Sort)
	from, err := positionOf(f.Page.Cursor, f.Sort, order.text)
	if err != nil {
		return p, err
	}
	rows, err := pg.Many[identity.OrgUnit](ctx, t, order.sql, f.Reach.All, list(f.Reach.OrgUnits), like(f.Query), f.ParentID, f.Root, f.Under, f.Kind,
		f.Archived, f.Code, f.ExternalSource, f.ExternalID, from.first, from.value(order.text), from.id, f.Page.Size()+1)
	return page.Cut(rows, f.Page.Size(), func(u identity.OrgUnit) string { return page.Encode(f.Sort, order.value(u), u.ID) }), err
}

const (
	insertOrgUnitSQL = `
insert into org_units (id, tenant_id, parent_id, path, kind, code, name, created_at, updated_at, archived_at, deleted_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`
	updateOrgUnitSQL = `
update org_units set parent_id = $2, path = $3, kind = $4, code = $5, name = $6, updated_at = $7, archived_at = $8, deleted_at = $9, version = $10
where id = $1 and version = $10 - 1`
	// Deleted units are leaves, and nobody moves them; those below a unit that
	// moves follow it here, or the tree would not be one.
	moveDeletedSQL = `
update org_units set path = $2::uuid[] || id where parent_id = $1 and deleted_at is not null and path <> $2::uuid[] || id`
	dropUnitForeignIDsSQL = `
delete from org_unit_external_ids where org_unit_id = $1 and (source, external_id) not in (select * from unnest($2::text[], $3::text[]))`
	putUnitForeignIDsSQL = `
insert into org_unit_external_ids (tenant_id, source, external_id, org_unit_id)
select $2, w.source, w.external_id, $1 from unnest($3::text[], $4::text[]) as w (source, external_id)
where not exists (select 1 from org_unit_external_ids e where e.org_unit_id = $1 and e.source = w.source and e.external_id = w.external_id)`
)

// InsertOrgUnit implements identity.Tx.
func (t tx) InsertOrgUnit(ctx context.Context, u identity.OrgUnit) error {
	_, err := pg.Exec(ctx, t, insertOrgUnitSQL, u.ID, u.TenantID, u.ParentID, u.Path, u.Kind, u.Code, u.Name, u.CreatedAt, u.UpdatedAt,
		u.ArchivedAt, u.DeletedAt, u.Version)
	if err != nil {
		return orgUnitError(err)
	}
	return t.putUnitForeignIDs(ctx, u)
}

// UpdateOrgUnit implements identity.Tx. A deleted unit gives its external ids
// free; its code is free by the index.
func (t tx) UpdateOrgUnit(ctx context.Context, u identity.OrgUnit) error {
	err := pg.ExecVersioned(ctx, t, updateOrgUnitSQL, u.ID, u.ParentID, u.Path, u.Kind, u.Code, u.Name, u.UpdatedAt, u.ArchivedAt, u.DeletedAt, u.Version)
	if err != nil {
		return orgUnitError(err)
	}
	if _, err := pg.Exec(ctx, t, moveDeletedSQL, u.ID, u.Path); err != nil {
		return err
	}
	if u.DeletedAt != nil {
		u.ExternalIDs = nil
	}
	return t.putUnitForeignIDs(ctx, u)
}

func (t tx) putUnitForeignIDs(ctx context.Context, u identity.OrgUnit) error {
	sources, ids := foreignIDs(u.ExternalIDs)
	if _, err := pg.Exec(ctx, t, dropUnitForeignIDsSQL, u.ID, sources, ids); err != nil {
		return err
	}
	if len(ids) == 0 {
		return nil
	}
	_, err := pg.Exec(ctx, t, putUnitForeignIDsSQL, u.ID, u.TenantID, sources, ids)
	return orgUnitError(err)
}

func orgUnitError(err error) error {
	switch {
	case pg.Violates(err, "org_units_code"):
		return apperr.Conflict("code_taken", "Another org unit of the organisation has this code.").With(err)
	case pg.Violates(err, "org_unit_external_ids_pkey"):
		return apperr.Conflict("external_id_taken", "Another org unit of the organisation has this external id.").With(err)
	}
	return err
}

const orgUnitUsesSQL = `
select 'org_units' as kind, count(*)::int as n from org_units where parent_id = $1 and deleted_at is null
union all select 'users', count(*)::int from users where org_unit_id = $1 and status not in ('deleted', 'merged')
union all select 'members', count(*)::int from org_members where org_unit_id = $1
union all select 'groups', count(*)::int from groups where org_unit_id = $1
union all select 'group_sets', count(*)::int from group_sets where org_unit_id = $1
union all select 'grants', count(*)::int from grants where scope_id = $1
union all select 'client_grants', count(*)::int from client_grants where scope_id = $1
union all select 'roles', count(*)::int from roles where org_unit_id = $1
union all select 'clients', count(*)::int from clients where org_unit_id = $1
union all select 'identity_providers', count(*)::int from identity_providers where org_unit_id = $1`

// OrgUnitUses implements identity.Tx: kinds with none are left out.
func (t tx) OrgUnitUses(ctx context.Context, id uuid.UUID) (map[string]int, error) {
	type row struct {
		Kind string
		N    int
	}
	rows, err := pg.Many[row](ctx, t, orgUnitUsesSQL, id)
	uses := map[string]int{}
	for _, r := range rows {
		if r.N > 0 {
			uses[r.Kind] = r.N
		}
	}
	return uses, err
}

const (
	membershipsSQL = `select org_unit_id from org_members where user_id = $1 order by org_unit_id`
	listMembersSQL = `
select $1::uuid as org_unit_id, u.id as user_id, u.tenant_id, u.name, u.sort_name, u.email, u.status, coalesce(m.title, '') as title,
  u.org_unit_id = $1 as home, coalesce(m.created_at, u.created_at) as created_at
from users u left join org_members m on m.user_id = u.id and m.org_unit_id = $1
where u.id in (select id from users where org_unit_id = $1 union select user_id from org_members where org_unit_id = $1)
  and u.status not in ('deleted', 'merged')
  and ($2 = '' or u.search @@ to_tsquery('simple', $2))
  and ($3 or (u.sort_name, u.id) > ($4::text, $5::uuid))
order by u.sort_name, u.id limit $6`
	putMemberSQL = `
insert into org_members (org_unit_id, user_id, tenant_id, title, created_at) values ($1, $2, $3, $4, $5)
on conflict (org_unit_id, user_id) do update set title = excluded.title
returning (xmax = 0) as added`
	deleteMemberSQL = `delete from org_members where org_unit_id = $1 and user_id = $2`
)

// MembershipsOf implements identity.Tx.
func (t tx) MembershipsOf(ctx context.Context, user uuid.UUID) ([]uuid.UUID, error) {
	return pg.Column[uuid.UUID](ctx, t, membershipsSQL, user)
}

// ListMembers implements identity.Tx: by name.
func (t tx) ListMembers(ctx context.Context, f identity.MemberFilter) (p page.Page[identity.Member], err error) {
	from, err := positionOf(f.Page.Cursor, "name", true)
	if err != nil {
		return p, err
	}
	query := searchQuery(f.Query)
	if f.Query != "" && query == "" {
		return p, nil
	}
	rows, err := pg.Many[identity.Member](ctx, t, listMembersSQL, f.OrgUnitID, query, from.first, from.text, from.id, f.Page.Size()+1)
	return page.Cut(rows, f.Page.Size(), func(m identity.Member) string { return page.Encode("name", m.SortName, m.UserID) }), err
}

// PutMember implements identity.Tx.
func (t tx) PutMember(ctx context.Context, m identity.Member) (bool, error) {
	return pg.Scalar[bool](ctx, t, "member", putMemberSQL, m.OrgUnitID, m.UserID, m.TenantID, m.Title, m.CreatedAt)
}

// DeleteMember implements identity.Tx.
func (t tx) DeleteMember(ctx context.Context, orgUnit, user uuid.UUID) (bool, error) {
	n, err := pg.Exec(ctx, t, deleteMemberSQL, orgUnit, user)
	return n > 0, err
}

