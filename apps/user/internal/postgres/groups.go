package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/user/internal/identity"
	"lms/shared/page"
	"lms/shared/pg"
)

const groupColumns = `
g.id, g.tenant_id, g.org_unit_id, g.kind, g.course_id, g.set_id, g.name, g.description, g.starts_on, g.ends_on, g.max_members, g.member_count,
g.created_by, g.created_at, g.updated_at, g.version`

const (
	groupSQL       = `select` + groupColumns + ` from groups g where g.id = $1`
	lockGroupSQL   = groupSQL + ` for no key update of g`
	insertGroupSQL = `
insert into groups (id, tenant_id, org_unit_id, kind, course_id, set_id, name, description, starts_on, ends_on, max_members, created_by, created_at, updated_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`
	updateGroupSQL = `
update groups set name = $2, description = $3, starts_on = $4, ends_on = $5, max_members = $6, updated_at = $7, version = $8
where id = $1 and version = $8 - 1`
	deleteGroupSQL = `delete from groups where id = $1`
	groupsOfSQL    = `select` + groupColumns + ` from groups g join group_members m on m.group_id = g.id where m.user_id = $1 order by g.id`
	lockGroupsSQL  = groupsOfSQL + ` for no key update of g`
)

// Group implements identity.GroupRows.
func (t tx) Group(ctx context.Context, id uuid.UUID) (identity.Group, error) {
	return pg.One[identity.Group](ctx, t, "group", groupSQL, id)
}

// LockGroup implements identity.GroupRows.
func (t tx) LockGroup(ctx context.Context, id uuid.UUID) (identity.Group, error) {
	return pg.One[identity.Group](ctx, t, "group", lockGroupSQL, id)
}

// GroupsOf implements identity.GroupRows.
func (t tx) GroupsOf(ctx context.Context, user uuid.UUID) ([]identity.Group, error) {
	return pg.Many[identity.Group](ctx, t, groupsOfSQL, user)
}

// LockGroupsOf implements identity.GroupRows.
func (t tx) LockGroupsOf(ctx context.Context, user uuid.UUID) ([]identity.Group, error) {
	return pg.Many[identity.Group](ctx, t, lockGroupsSQL, user)
}

func groupConflict(err error) error {
	return conflict(err, "groups_name_in_set", "name_taken", "Another group of the set has this name.")
}

// InsertGroup implements identity.GroupRows.
func (t tx) InsertGroup(ctx context.Context, g identity.Group) error {
	_, err := pg.Exec(ctx, t, insertGroupSQL, g.ID, g.TenantID, g.OrgUnitID, g.Kind, g.CourseID, g.SetID, g.Name, g.Description,
		g.StartsOn, g.EndsOn, g.MaxMembers, g.CreatedBy, g.CreatedAt, g.UpdatedAt, g.Version)
	return groupConflict(err)
}

// UpdateGroup implements identity.GroupRows.
func (t tx) UpdateGroup(ctx context.Context, g identity.Group) error {
	return groupConflict(pg.ExecVersioned(ctx, t, updateGroupSQL, g.ID, g.Name, g.Description, g.StartsOn, g.EndsOn, g.MaxMembers, g.UpdatedAt, g.Version))
}

// DeleteGroup implements identity.GroupRows.
func (t tx) DeleteGroup(ctx context.Context, id uuid.UUID) error {
	_, err := pg.Exec(ctx, t, deleteGroupSQL, id)
	return err
}

// The filter of a list: $1 all, $2 reach, $3 part of the name, $4 kind, $5 org
// unit, $6 course, $7 set, $8 member. Groups of courses are in the lists of
// their course or set only.
const groupsWhere = ` from groups g
where ($1 or g.org_unit_id = any ($2))
  and ($3 = '' or lower(g.name) like $3)
  and ($4 = '' or g.kind = $4) and (g.kind <> 'course' or $4 = 'course' or $6::uuid is not null or $7::uuid is not null or $8::uuid is not null)
  and ($5::uuid is null or g.org_unit_id = $5)
  and ($6::uuid is null or g.course_id = $6)
  and ($7::uuid is null or g.set_id = $7)
  and ($8::uuid is null or exists (select 1 from group_members m where m.group_id = g.id and m.user_id = $8))
`

// $9 and $10 are the cursor, $11 the limit.
const (
	groupsByNameSQL = `select` + groupColumns + groupsWhere + `
and ($9::text is null or (g.name collate "C", g.id) > ($9, $10)) order by g.name collate "C", g.id limit $11`
	groupsByNameDownSQL = `select` + groupColumns + groupsWhere + `
and ($9::text is null or (g.name collate "C", g.id) < ($9, $10)) order by g.name collate "C" desc, g.id desc limit $11`
	groupsByCreatedSQL = `select` + groupColumns + groupsWhere + `
and ($9::text is null or (g.created_at, g.id) > ($9::timestamptz, $10)) order by g.created_at, g.id limit $11`
	groupsByCreatedDownSQL = `select` + groupColumns + groupsWhere + `
and ($9::text is null or (g.created_at, g.id) < ($9::timestamptz, $10)) order by g.created_at desc, g.id desc limit $11`
)

// ListGroups implements identity.GroupRows.
func (t tx) ListGroups(ctx context.Context, f identity.GroupFilter) (p page.Page[identity.Group], err error) {
	c, err := readCursor(f.Sort, f.Page)
	if err != nil {
		return p, err
	}
	sql, key := groupsByNameSQL, func(g identity.Group) string { return g.Name }
	switch f.Sort {
	case "-name":
		sql = groupsByNameDownSQL
	case "created_at", "-created_at":
		sql, key = groupsByCreatedSQL, func(g identity.Group) string { return keyTime(g.CreatedAt) }
		if f.Sort == "-created_at" {
			sql = groupsByCreatedDownSQL
		}
	}
	rows, err := pg.Many[identity.Group](ctx, t, sql,
		f.Anyone || f.Reach.All, f.Reach.OrgUnits, part(f.Query), f.Kind, nilID(f.OrgUnitID), nilID(f.CourseID), nilID(f.SetID), nilID(f.Member),
		c.key, c.id, f.Page.Size()+1)
	if err != nil {
		return p, badKey(err)
	}
	return page.Cut(rows, f.Page.Size(), func(g identity.Group) string { return page.Encode(f.Sort, key(g), g.ID) }), nil
}

const (
	addMemberSQL = `
insert into group_members (group_id, user_id, tenant_id, set_id, created_at) values ($1, $2, $3, $4, $5)
on conflict on constraint group_members_pkey do nothing`
	dropGroupMemberSQL = `delete from group_members where group_id = $1 and user_id = $2`
	countMembersSQL    = `update groups set member_count = member_count + $2 where id = $1`
	groupMembersSQL    = `
select` + memberColumns + ` from group_members m join users u on u.id = m.user_id
where m.group_id = any ($1) and ($2::text is null or (m.group_id, m.user_id) > ($2::uuid, $3))
order by m.group_id, m.user_id limit $4`

	memberColumns       = ` m.group_id, m.user_id, u.name, u.sort_name, m.created_at`
	membersOfGroupBase  = `select` + memberColumns + ` from group_members m join users u on u.id = m.user_id where m.group_id = $1`
	groupByNameSQL      = membersOfGroupBase + ` and ($2::text is null or (u.sort_name, m.user_id) > ($2, $3)) order by u.sort_name, m.user_id limit $4`
	groupByNameDownSQL  = membersOfGroupBase + ` and ($2::text is null or (u.sort_name, m.user_id) < ($2, $3)) order by u.sort_name desc, m.user_id desc limit $4`
	groupByAddedSQL     = membersOfGroupBase + ` and ($2::text is null or (m.created_at, m.user_id) > ($2::timestamptz, $3)) order by m.created_at, m.user_id limit $4`
	groupByAddedDownSQL = membersOfGroupBase + ` and ($2::text is null or (m.created_at, m.user_id) < ($2::timestamptz, $3)) order by m.created_at desc, m.user_id desc limit $4`
)

// AddGroupMember implements identity.GroupRows.
func (t tx) AddGroupMember(ctx context.Context, g identity.Group, user uuid.UUID, at time.Time) (bool, error) {
	n, err := pg.Exec(ctx, t, addMemberSQL, g.ID, user, g.TenantID, g.SetID, at)
	if err != nil {
		return false, conflict(err, "group_members_one_per_set", "other_group", "The person is in another group of the set.")
	}
	if n == 0 {
		return false, nil
	}
	_, err = pg.Exec(ctx, t, countMembersSQL, g.ID, 1)
	return true, conflict(err, "groups_full", "group_full", "The group is full.")
}

// DeleteGroupMember implements identity.GroupRows.
func (t tx) DeleteGroupMember(ctx context.Context, group, user uuid.UUID) (bool, error) {
	n, err := pg.Exec(ctx, t, dropGroupMemberSQL, group, user)
	if err != nil || n == 0 {
		return false, err
	}
	_, err = pg.Exec(ctx, t, countMembersSQL, group, -1)
	return true, err
}

// GroupMembers implements identity.GroupRows.
func (t tx) GroupMembers(ctx context.Context, groups []uuid.UUID, q page.Request, most int) (p page.Page[identity.GroupMember], err error) {
	c, err := readCursor("members", q)
	if err != nil {
		return p, err
	}
	size := page.DefaultLimit
	if q.Limit > 0 {
		size = min(q.Limit, most)
	}
	rows, err := pg.Many[identity.GroupMember](ctx, t, groupMembersSQL, groups, c.key, c.id, size+1)
	if err != nil {
		return p, badKey(err)
	}
	return page.Cut(rows, size, func(m identity.GroupMember) string { return page.Encode("members", m.GroupID.String(), m.UserID) }), nil
}

// ListGroupMembers implements identity.GroupRows.
func (t tx) ListGroupMembers(ctx context.Context, group uuid.UUID, sort string, q page.Request) (p page.Page[identity.GroupMember], err error) {
	c, err := readCursor(sort, q)
	if err != nil {
		return p, err
	}
	sql, key := groupByAddedSQL, func(m identity.GroupMember) string { return keyTime(m.CreatedAt) }
	switch sort {
	case "-added_at":
		sql = groupByAddedDownSQL
	case "name", "-name":
		sql, key = groupByNameSQL, func(m identity.GroupMember) string { return m.SortName }
		if sort == "-name" {
			sql = groupByNameDownSQL
		}
	}
	rows, err := pg.Many[identity.GroupMember](ctx, t, sql, group, c.key, c.id, q.Size()+1)
	if err != nil {
		return p, badKey(err)
	}
	return page.Cut(rows, q.Size(), func(m identity.GroupMember) string { return page.Encode(sort, key(m), m.UserID) }), nil
}

const setColumns = `
s.id, s.tenant_id, s.org_unit_id, s.course_id, s.name, s.self_signup, s.max_members,
(select count(*)::int from groups g where g.set_id = s.id) as groups, s.created_at, s.updated_at, s.version`

const (
	setSQL       = `select` + setColumns + ` from group_sets s where s.id = $1`
	lockSetSQL   = setSQL + ` for no key update of s`
	setsSQL      = `select` + setColumns + ` from group_sets s where s.course_id = $1 order by s.name collate "C", s.id`
	insertSetSQL = `
insert into group_sets (id, tenant_id, org_unit_id, course_id, name, self_signup, max_members, created_at, updated_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`
	updateSetSQL = `
update group_sets set name = $2, self_signup = $3, max_members = $4, updated_at = $5, version = $6 where id = $1 and version = $6 - 1`
	deleteSetSQL   = `delete from group_sets where id = $1`
	groupsOfSetSQL = `select` + groupColumns + `,
coalesce((select array_agg(m.user_id order by m.user_id) from group_members m where m.group_id = g.id), '{}') as members
from groups g where g.set_id = $1 order by g.name collate "C", g.id`
)

// GroupSet implements identity.GroupRows.
func (t tx) GroupSet(ctx context.Context, id uuid.UUID) (identity.GroupSet, error) {
	return pg.One[identity.GroupSet](ctx, t, "group set", setSQL, id)
}

// LockGroupSet implements identity.GroupRows.
func (t tx) LockGroupSet(ctx context.Context, id uuid.UUID) (identity.GroupSet, error) {
	return pg.One[identity.GroupSet](ctx, t, "group set", lockSetSQL, id)
}

// GroupSets implements identity.GroupRows.
func (t tx) GroupSets(ctx context.Context, course uuid.UUID) ([]identity.GroupSet, error) {
	return pg.Many[identity.GroupSet](ctx, t, setsSQL, course)
}

func setConflict(err error) error {
	return conflict(err, "group_sets_name", "name_taken", "Another group set of the course has this name.")
}

// InsertGroupSet implements identity.GroupRows.
func (t tx) InsertGroupSet(ctx context.Context, g identity.GroupSet) error {
	_, err := pg.Exec(ctx, t, insertSetSQL, g.ID, g.TenantID, g.OrgUnitID, g.CourseID, g.Name, g.SelfSignup, g.MaxMembers, g.CreatedAt, g.UpdatedAt, g.Version)
	return setConflict(err)
}

// UpdateGroupSet implements identity.GroupRows.
func (t tx) UpdateGroupSet(ctx context.Context, g identity.GroupSet) error {
	return setConflict(pg.ExecVersioned(ctx, t, updateSetSQL, g.ID, g.Name, g.SelfSignup, g.MaxMembers, g.UpdatedAt, g.Version))
}

// DeleteGroupSet implements identity.GroupRows.
func (t tx) DeleteGroupSet(ctx context.Context, id uuid.UUID) error {
	_, err := pg.Exec(ctx, t, deleteSetSQL, id)
	return err
}

type groupRow struct {
	identity.Group
	Members []uuid.UUID
}

// GroupsOfSet implements identity.GroupRows.
func (t tx) GroupsOfSet(ctx context.Context, set uuid.UUID) ([]identity.GroupWithMembers, error) {
	rows, err := pg.Many[groupRow](ctx, t, groupsOfSetSQL, set)
	out := make([]identity.GroupWithMembers, len(rows))
	for i, r := range rows {
		out[i] = identity.GroupWithMembers(r)
	}
	return out, err
}
