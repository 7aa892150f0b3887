package postgres

import (
	"cmp"
	"context"

	"github.com/google/uuid"

	"lms/apps/user/internal/identity"
	"lms/shared/page"
	"lms/shared/pg"
)

const unitColumns = `
o.id, o.tenant_id, o.parent_id, o.path, o.kind, o.code, o.name, o.created_at, o.updated_at, o.archived_at, o.deleted_at, o.version,
coalesce((select json_agg(json_build_object('source', e.source, 'id', e.external_id) order by e.source collate "C")
  from org_unit_external_ids e where e.org_unit_id = o.id), '[]') as external_ids`

const (
	unitSQL      = `select` + unitColumns + ` from org_units o where o.id = $1`
	shareUnitSQL = unitSQL + ` for share of o`
	lockUnitSQL  = unitSQL + ` for no key update of o`
	unitByExtSQL = `
select` + unitColumns + ` from org_units o join org_unit_external_ids x on x.org_unit_id = o.id
where x.tenant_id = $1 and x.source = $2 and x.external_id = $3`
	unitByCodeSQL  = `select` + unitColumns + ` from org_units o where o.tenant_id = $1 and lower(o.code) = lower($2) and o.deleted_at is null`
	lockSubtreeSQL = `
select` + unitColumns + ` from org_units o
where o.tenant_id = (select tenant_id from org_units where id = $1) and o.path @> array[$1::uuid]
order by cardinality(o.path), o.id for no key update of o`
	rootsSQL = `select` + unitColumns + ` from org_units o where o.parent_id is null and o.deleted_at is null and o.archived_at is null order by o.created_at, o.id`
)

// OrgUnit implements identity.TreeRows.
func (t tx) OrgUnit(ctx context.Context, id uuid.UUID) (identity.OrgUnit, error) {
	return pg.One[identity.OrgUnit](ctx, t, "org unit", unitSQL, id)
}

// ShareOrgUnit implements identity.TreeRows.
func (t tx) ShareOrgUnit(ctx context.Context, id uuid.UUID) (identity.OrgUnit, error) {
	return pg.One[identity.OrgUnit](ctx, t, "org unit", shareUnitSQL, id)
}

// LockOrgUnit implements identity.TreeRows.
func (t tx) LockOrgUnit(ctx context.Context, id uuid.UUID) (identity.OrgUnit, error) {
	return pg.One[identity.OrgUnit](ctx, t, "org unit", lockUnitSQL, id)
}

// OrgUnitByExternalID implements identity.TreeRows.
func (t tx) OrgUnitByExternalID(ctx context.Context, tenant uuid.UUID, id identity.ExternalID) (identity.OrgUnit, error) {
	return pg.One[identity.OrgUnit](ctx, t, "org unit", unitByExtSQL, tenant, id.Source, id.ID)
}

// OrgUnitByCode implements identity.TreeRows.
func (t tx) OrgUnitByCode(ctx context.Context, tenant uuid.UUID, code string) (identity.OrgUnit, error) {
	return pg.One[identity.OrgUnit](ctx, t, "org unit", unitByCodeSQL, tenant, code)
}

// LockSubtree implements identity.TreeRows.
func (t tx) LockSubtree(ctx context.Context, id uuid.UUID) ([]identity.OrgUnit, error) {
	return pg.Many[identity.OrgUnit](ctx, t, lockSubtreeSQL, id)
}

// Roots implements identity.TreeRows.
func (t tx) Roots(ctx context.Context) ([]identity.OrgUnit, error) {
	return pg.Many[identity.OrgUnit](ctx, t, rootsSQL)
}

const (
	insertUnitSQL = `
insert into org_units (id, tenant_id, parent_id, path, kind, code, name, created_at, updated_at, archived_at, deleted_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`
	updateUnitSQL = `
update org_units set parent_id = $3, path = $4, kind = $5, code = $6, name = $7, updated_at = $9, archived_at = $10, deleted_at = $11, version = $12
where id = $1 and tenant_id = $2 and version = $12 - 1 and created_at = $8`
	dropUnitExtSQL = `
delete from org_unit_external_ids e where e.org_unit_id = $1
  and not exists (select 1 from unnest($2::text[], $3::text[]) k (source, id) where k.source = e.source and k.id = e.external_id)`
	addUnitExtSQL = `
insert into org_unit_external_ids (tenant_id, source, external_id, org_unit_id)
select $1, k.source, k.id, $2 from unnest($3::text[], $4::text[]) k (source, id)
where not exists (select 1 from org_unit_external_ids e where e.org_unit_id = $2 and e.source = k.source and e.external_id = k.id)`
)

func unitArgs(u identity.OrgUnit) []any {
	return []any{u.ID, u.TenantID, u.ParentID, u.Path, u.Kind, u.Code, u.Name, u.CreatedAt, u.UpdatedAt, u.ArchivedAt, u.DeletedAt, u.Version}
}

func unitConflict(err error) error {
	err = conflict(err, "org_units_code", "code_taken", "Another org unit of the organisation has this code.")
	return conflict(err, "org_unit_external_ids_pkey", "external_id_taken", "Another org unit has this external id.")
}

// InsertOrgUnit implements identity.TreeRows.
func (t tx) InsertOrgUnit(ctx context.Context, u identity.OrgUnit) error {
	if _, err := pg.Exec(ctx, t, insertUnitSQL, unitArgs(u)...); err != nil {
		return unitConflict(err)
	}
	return t.syncUnitExt(ctx, u)
}

// UpdateOrgUnit implements identity.TreeRows.
func (t tx) UpdateOrgUnit(ctx context.Context, u identity.OrgUnit) error {
	if err := pg.ExecVersioned(ctx, t, updateUnitSQL, unitArgs(u)...); err != nil {
		return unitConflict(err)
	}
	return t.syncUnitExt(ctx, u)
}

func (t tx) syncUnitExt(ctx context.Context, u identity.OrgUnit) error {
	sources, values := extArrays(u.ExternalIDs)
	if u.DeletedAt != nil {
		sources, values = []string{}, []string{}
	}
	if u.Version > 1 {
		if _, err := pg.Exec(ctx, t, dropUnitExtSQL, u.ID, sources, values); err != nil {
			return err
		}
	}
	if len(sources) == 0 {
		return nil
	}
	_, err := pg.Exec(ctx, t, addUnitExtSQL, u.TenantID, u.ID, sources, values)
	return unitConflict(err)
}

// The filter of a list: $1 all, $2 reach, $3 part of name or code, $4 parent, $5
// roots only, $6 units, $7 kind, $8 archived, $9 code, $10 and $11 external id.
const unitsWhere = ` from org_units o
where o.deleted_at is null and ($1 or o.id = any ($2))
  and ($3 = '' or lower(o.name) like $3 or lower(o.code) like $3)
  and ($4::uuid is null or o.parent_id = $4) and (not $5 or o.parent_id is null)
  and ($6::uuid[] is null or o.id = any ($6))
  and ($7 = '' or o.kind = $7)
  and ($8::boolean is null or (o.archived_at is not null) = $8)
  and ($9 = '' or lower(o.code) = lower($9))
  and ($10 = '' and $11 = '' or exists (select 1 from org_unit_external_ids x where x.org_unit_id = o.id
        and ($10 = '' or x.source = $10) and ($11 = '' or x.external_id = $11)))
`

// $12 and $13 are the cursor, $14 the limit.
const (
	unitsByNameSQL = `select` + unitColumns + unitsWhere + `
and ($12::text is null or (o.name collate "C", o.id) > ($12, $13)) order by o.name collate "C", o.id limit $14`
	unitsByNameDownSQL = `select` + unitColumns + unitsWhere + `
and ($12::text is null or (o.name collate "C", o.id) < ($12, $13)) order by o.name collate "C" desc, o.id desc limit $14`
	unitsByCreatedSQL = `select` + unitColumns + unitsWhere + `
and ($12::text is null or (o.created_at, o.id) > ($12::timestamptz, $13)) order by o.created_at, o.id limit $14`
	unitsByCreatedDownSQL = `select` + unitColumns + unitsWhere + `
and ($12::text is null or (o.created_at, o.id) < ($12::timestamptz, $13)) order by o.created_at desc, o.id desc limit $14`
)

// ListOrgUnits implements identity.TreeRows.
func (t tx) ListOrgUnits(ctx context.Context, f identity.OrgUnitFilter) (p page.Page[identity.OrgUnit], err error) {
	c, err := readCursor(f.Sort, f.Page)
	if err != nil {
		return p, err
	}
	sql, key := unitsByNameSQL, func(u identity.OrgUnit) string { return u.Name }
	switch f.Sort {
	case "-name":
		sql = unitsByNameDownSQL
	case "created_at", "-created_at":
		sql, key = unitsByCreatedSQL, func(u identity.OrgUnit) string { return keyTime(u.CreatedAt) }
		if f.Sort == "-created_at" {
			sql = unitsByCreatedDownSQL
		}
	}
	rows, err := pg.Many[identity.OrgUnit](ctx, t, sql,
		f.Reach.All, f.Reach.OrgUnits, part(f.Query), f.ParentID, f.Root, f.Under, f.Kind, f.Archived, f.Code, f.ExternalSource, f.ExternalID,
		c.key, c.id, f.Page.Size()+1)
	if err != nil {
		return p, badKey(err)
	}
	return page.Cut(rows, f.Page.Size(), func(u identity.OrgUnit) string { return page.Encode(f.Sort, key(u), u.ID) }), nil
}

const unitUsesSQL = `
select kind, n from (
  select 'org_units' as kind, count(*)::int as n from org_units where parent_id = $1 and deleted_at is null
  union all select 'users', count(*)::int from users where org_unit_id = $1 and status not in ('deleted', 'merged')
  union all select 'members', count(*)::int from org_members where org_unit_id = $1
  union all select 'groups', count(*)::int from groups where org_unit_id = $1
  union all select 'group_sets', count(*)::int from group_sets where org_unit_id = $1
  union all select 'grants', count(*)::int from grants where scope_id = $1
  union all select 'client_grants', count(*)::int from client_grants where scope_id = $1
  union all select 'roles', count(*)::int from roles where org_unit_id = $1
  union all select 'clients', count(*)::int from clients where org_unit_id = $1
  union all select 'identity_providers', count(*)::int from identity_providers where org_unit_id = $1
) c where n > 0`

type use struct {
	Kind string
	N    int
}

// OrgUnitUses implements identity.TreeRows.
func (t tx) OrgUnitUses(ctx context.Context, id uuid.UUID) (map[string]int, error) {
	rows, err := pg.Many[use](ctx, t, unitUsesSQL, id)
	out := map[string]int{}
	for _, r := range rows {
		out[r.Kind] = r.N
	}
	return out, err
}

const (
	membershipsSQL = `select org_unit_id from org_members where user_id = $1 order by org_unit_id`
	putMemberSQL   = `
insert into org_members (org_unit_id, user_id, tenant_id, title, created_at) values ($1, $2, $3, $4, $5)
on conflict (org_unit_id, user_id) do update set title = excluded.title
returning (xmax = 0) as added`
	dropMemberSQL = `delete from org_members where org_unit_id = $1 and user_id = $2`
	membersBase   = `
select $1::uuid as org_unit_id, u.id as user_id, u.tenant_id, u.name, u.sort_name, u.email, u.status, coalesce(m.title, '') as title,
  u.org_unit_id = $1 as home, coalesce(m.created_at, u.created_at) as created_at
from users u left join org_members m on m.user_id = u.id and m.org_unit_id = $1
where (u.org_unit_id = $1 or m.user_id is not null) and u.status not in ('deleted', 'merged')
  and case when $2 = '' then true else u.search @@ to_tsquery('simple', $2) end
  and ($6::uuid is null or u.id = $6)`
	membersByNameSQL     = membersBase + ` and ($3::text is null or (u.sort_name, u.id) > ($3, $4)) order by u.sort_name, u.id limit $5`
	membersByNameDownSQL = membersBase + ` and ($3::text is null or (u.sort_name, u.id) < ($3, $4)) order by u.sort_name desc, u.id desc limit $5`
	// Who has the unit as home belongs to it since the account was made.
	membersByJoinedSQL     = membersBase + ` and ($3::text is null or (coalesce(m.created_at, u.created_at), u.id) > ($3::timestamptz, $4)) order by coalesce(m.created_at, u.created_at), u.id limit $5`
	membersByJoinedDownSQL = membersBase + ` and ($3::text is null or (coalesce(m.created_at, u.created_at), u.id) < ($3::timestamptz, $4)) order by coalesce(m.created_at, u.created_at) desc, u.id desc limit $5`
)

// MembershipsOf implements identity.TreeRows.
func (t tx) MembershipsOf(ctx context.Context, user uuid.UUID) ([]uuid.UUID, error) {
	return pg.Column[uuid.UUID](ctx, t, membershipsSQL, user)
}

// PutMember implements identity.TreeRows.
func (t tx) PutMember(ctx context.Context, m identity.Member) (bool, error) {
	return pg.Scalar[bool](ctx, t, "member", putMemberSQL, m.OrgUnitID, m.UserID, m.TenantID, m.Title, m.CreatedAt)
}

// DeleteMember implements identity.TreeRows.
func (t tx) DeleteMember(ctx context.Context, orgUnit, user uuid.UUID) (bool, error) {
	n, err := pg.Exec(ctx, t, dropMemberSQL, orgUnit, user)
	return n > 0, err
}

// ListMembers implements identity.TreeRows.
func (t tx) ListMembers(ctx context.Context, f identity.MemberFilter) (p page.Page[identity.Member], err error) {
	sort := cmp.Or(f.Sort, "name")
	c, err := readCursor(sort, f.Page)
	if err != nil {
		return p, err
	}
	words := wordsQuery(f.Query)
	if f.Query != "" && words == "" {
		return p, nil
	}
	sql, key := membersByNameSQL, func(m identity.Member) string { return m.SortName }
	switch sort {
	case "-name":
		sql = membersByNameDownSQL
	case "created_at", "-created_at":
		sql, key = membersByJoinedSQL, func(m identity.Member) string { return keyTime(m.CreatedAt) }
		if sort == "-created_at" {
			sql = membersByJoinedDownSQL
		}
	}
	rows, err := pg.Many[identity.Member](ctx, t, sql, f.OrgUnitID, words, c.key, c.id, f.Page.Size()+1, nilID(f.UserID))
	if err != nil {
		return p, badKey(err)
	}
	return page.Cut(rows, f.Page.Size(), func(m identity.Member) string { return page.Encode(sort, key(m), m.UserID) }), nil
}
