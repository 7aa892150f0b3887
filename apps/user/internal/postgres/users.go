package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/user/internal/identity"
	"lms/shared/apperr"
	"lms/shared/page"
	"lms/shared/pg"
)

const userColumns = `
u.id, u.tenant_id, u.org_unit_id, u.status, u.origin, u.email, u.email_verified_at, u.name, u.given_name, u.family_name, u.sort_name,
u.locale, u.time_zone, u.bio, u.attributes, u.avatar_hash, u.epoch, u.last_signed_in_at, u.deactivated_reason, u.merged_into,
u.created_at, u.updated_at, u.deactivated_at, u.deleted_at, u.version,
coalesce((select json_agg(json_build_object('source', e.source, 'id', e.external_id) order by e.source collate "C")
  from user_external_ids e where e.user_id = u.id), '[]') as external_ids`

const (
	userSQL        = `select` + userColumns + ` from users u where u.id = $1`
	lockUserSQL    = userSQL + ` for no key update of u`
	userByEmailSQL = `select` + userColumns + ` from users u where u.email_key = $1`
	lockByEmailSQL = userByEmailSQL + ` for no key update of u`
	userByExtSQL   = `
select` + userColumns + ` from users u join user_external_ids x on x.user_id = u.id
where x.tenant_id = $1 and x.source = $2 and x.external_id = $3`
	cardsSQL      = `select` + userColumns + ` from users u where u.id = any ($1) order by u.id`
	deletedDueSQL = `
select` + userColumns + ` from users u
where u.status in ('deleted', 'merged') and u.deleted_at < $1
  and not exists (select 1 from person_requests r where r.user_id = u.id and r.kind = 'erasure')
order by u.deleted_at limit $2`
)

// User implements identity.UserRows.
func (t tx) User(ctx context.Context, id uuid.UUID) (identity.User, error) {
	return pg.One[identity.User](ctx, t, "user", userSQL, id)
}

// LockUser implements identity.UserRows.
func (t tx) LockUser(ctx context.Context, id uuid.UUID) (identity.User, error) {
	return pg.One[identity.User](ctx, t, "user", lockUserSQL, id)
}

// UserByEmail implements identity.UserRows.
func (t tx) UserByEmail(ctx context.Context, key string) (identity.User, error) {
	return pg.One[identity.User](ctx, t, "user", userByEmailSQL, key)
}

// LockUserByEmail implements identity.UserRows.
func (t tx) LockUserByEmail(ctx context.Context, key string) (identity.User, error) {
	return pg.One[identity.User](ctx, t, "user", lockByEmailSQL, key)
}

// UserByExternalID implements identity.UserRows.
func (t tx) UserByExternalID(ctx context.Context, tenant uuid.UUID, id identity.ExternalID) (identity.User, error) {
	return pg.One[identity.User](ctx, t, "user", userByExtSQL, tenant, id.Source, id.ID)
}

// Cards implements identity.UserRows.
func (t tx) Cards(ctx context.Context, ids []uuid.UUID) ([]identity.User, error) {
	return pg.Many[identity.User](ctx, t, cardsSQL, ids)
}

// DeletedBefore implements identity.UserRows.
func (t tx) DeletedBefore(ctx context.Context, at time.Time, limit int) ([]identity.User, error) {
	return pg.Many[identity.User](ctx, t, deletedDueSQL, at, limit)
}

const (
	insertUserSQL = `
insert into users (id, tenant_id, org_unit_id, status, origin, email, email_key, email_verified_at, name, given_name, family_name, sort_name,
  locale, time_zone, bio, attributes, avatar_hash, search_text, epoch, last_signed_in_at, deactivated_reason, merged_into,
  created_at, updated_at, deactivated_at, deleted_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27)`
	updateUserSQL = `
update users set org_unit_id = $3, status = $4, origin = $5, email = $6, email_key = $7, email_verified_at = $8, name = $9, given_name = $10,
  family_name = $11, sort_name = $12, locale = $13, time_zone = $14, bio = $15, attributes = $16, avatar_hash = $17, search_text = $18,
  epoch = $19, last_signed_in_at = $20, deactivated_reason = $21, merged_into = $22, updated_at = $24, deactivated_at = $25, deleted_at = $26,
  version = $27
where id = $1 and tenant_id = $2 and version = $27 - 1 and created_at = $23`
	dropUserExtSQL = `
delete from user_external_ids e where e.user_id = $1
  and not exists (select 1 from unnest($2::text[], $3::text[]) k (source, id) where k.source = e.source and k.id = e.external_id)`
	addUserExtSQL = `
insert into user_external_ids (tenant_id, source, external_id, user_id)
select $1, k.source, k.id, $2 from unnest($3::text[], $4::text[]) k (source, id)
where not exists (select 1 from user_external_ids e where e.user_id = $2 and e.source = k.source and e.external_id = k.id)`
	epochSQL    = `update users set epoch = $2 where id = $1`
	signedInSQL = `update users set last_signed_in_at = $2 where id = $1`
	removeSQL   = `delete from users where id = $1`
)

func searchText(u identity.User) string {
	parts := []string{u.Name, u.GivenName, u.FamilyName, u.Email}
	for _, e := range u.ExternalIDs {
		parts = append(parts, e.ID)
	}
	seen := map[string]bool{}
	var words []string
	for _, w := range strings.Fields(fold(strings.Join(parts, " "))) {
		if !seen[w] {
			seen[w] = true
			words = append(words, w)
		}
	}
	return strings.Join(words, " ")
}

func userArgs(u identity.User) []any {
	var key *string
	if k := identity.EmailKey(u.Email); k != "" && !u.Status.Gone() {
		key = &k
	}
	return []any{
		u.ID, u.TenantID, u.OrgUnitID, u.Status, u.Origin, u.Email, key, u.EmailVerifiedAt, u.Name, u.GivenName, u.FamilyName, u.SortName,
		u.Locale, u.TimeZone, u.Bio, u.Attributes, u.AvatarHash, searchText(u), u.Epoch, u.LastSignedInAt, u.DeactivatedReason, u.MergedInto,
		u.CreatedAt, u.UpdatedAt, u.DeactivatedAt, u.DeletedAt, u.Version,
	}
}

func userConflict(err error) error {
	err = conflict(err, "users_email_unique", "email_taken", "There is an account with this address.")
	return conflict(err, "user_external_ids_pkey", "external_id_taken", "Somebody else has this external id.")
}

// InsertUser implements identity.UserRows.
func (t tx) InsertUser(ctx context.Context, u identity.User) error {
	if _, err := pg.Exec(ctx, t, insertUserSQL, userArgs(u)...); err != nil {
		return userConflict(err)
	}
	return t.syncUserExt(ctx, u)
}

// UpdateUser implements identity.UserRows.
func (t tx) UpdateUser(ctx context.Context, u identity.User) error {
	if err := pg.ExecVersioned(ctx, t, updateUserSQL, userArgs(u)...); err != nil {
		return userConflict(err)
	}
	return t.syncUserExt(ctx, u)
}

func extArrays(ids []identity.ExternalID) (sources, values []string) {
	sources, values = make([]string, len(ids)), make([]string, len(ids))
	for i, id := range ids {
		sources[i], values[i] = id.Source, id.ID
	}
	return sources, values
}

// syncUserExt writes the external ids. Who is gone gives them free, like the
// address: the other system may have the person again, as another account.
func (t tx) syncUserExt(ctx context.Context, u identity.User) error {
	if u.Status.Gone() {
		u.ExternalIDs = nil
	}
	sources, values := extArrays(u.ExternalIDs)
	if u.Version > 1 {
		if _, err := pg.Exec(ctx, t, dropUserExtSQL, u.ID, sources, values); err != nil {
			return err
		}
	}
	if len(sources) == 0 {
		return nil
	}
	_, err := pg.Exec(ctx, t, addUserExtSQL, u.TenantID, u.ID, sources, values)
	return userConflict(err)
}

// SetEpoch implements identity.UserRows.
func (t tx) SetEpoch(ctx context.Context, id uuid.UUID, epoch int64) error {
	_, err := pg.Exec(ctx, t, epochSQL, id, epoch)
	return err
}

// SetSignedIn implements identity.UserRows.
func (t tx) SetSignedIn(ctx context.Context, id uuid.UUID, at time.Time) error {
	_, err := pg.Exec(ctx, t, signedInSQL, id, at)
	return err
}

// RemoveUser implements identity.UserRows.
func (t tx) RemoveUser(ctx context.Context, id uuid.UUID) error {
	_, err := pg.Exec(ctx, t, removeSQL, id)
	return err
}

// The filter of a list: $1 all, $2 reach, $3 units, $4 statuses, $5 words, $6
// role, $7 group, $8 address, $9 and $10 external id, $11 to $13 times.
const usersWhere = ` from users u
where ($1 or u.org_unit_id = any ($2) or exists (select 1 from org_members m where m.user_id = u.id and m.org_unit_id = any ($2)))
  and ($3::uuid[] is null or u.org_unit_id = any ($3) or exists (select 1 from org_members m where m.user_id = u.id and m.org_unit_id = any ($3)))
  and case when $4::text[] is null then u.status not in ('deleted', 'merged') else u.status = any ($4) end
  and case when $5 = '' then true else u.search @@ to_tsquery('simple', $5) end
  and ($6 = '' or exists (select 1 from grants g where g.user_id = u.id and g.role = $6))
  and ($7::uuid is null or exists (select 1 from group_members gm where gm.user_id = u.id and gm.group_id = $7))
  and ($8 = '' or u.email_key = $8)
  and ($9 = '' and $10 = '' or exists (select 1 from user_external_ids x where x.user_id = u.id
        and ($9 = '' or x.source = $9) and ($10 = '' or x.external_id = $10)))
  and ($11::timestamptz is null or u.created_at >= $11) and ($12::timestamptz is null or u.created_at < $12)
  and ($13::timestamptz is null or u.updated_at >= $13)
`

// $14 and $15 are the cursor, $16 the limit.
const (
	usersByNameSQL = `select` + userColumns + usersWhere + `
and ($14::text is null or (u.sort_name, u.id) > ($14, $15)) order by u.sort_name, u.id limit $16`
	usersByNameDownSQL = `select` + userColumns + usersWhere + `
and ($14::text is null or (u.sort_name, u.id) < ($14, $15)) order by u.sort_name desc, u.id desc limit $16`
	usersByCreatedSQL = `select` + userColumns + usersWhere + `
and ($14::text is null or (u.created_at, u.id) > ($14::timestamptz, $15)) order by u.created_at, u.id limit $16`
	usersByCreatedDownSQL = `select` + userColumns + usersWhere + `
and ($14::text is null or (u.created_at, u.id) < ($14::timestamptz, $15)) order by u.created_at desc, u.id desc limit $16`
	usersBySeenSQL = `select` + userColumns + usersWhere + `
and ($14::text is null or (coalesce(u.last_signed_in_at, 'epoch'), u.id) > ($14::timestamptz, $15))
order by coalesce(u.last_signed_in_at, 'epoch'), u.id limit $16`
	usersBySeenDownSQL = `select` + userColumns + usersWhere + `
and ($14::text is null or (coalesce(u.last_signed_in_at, 'epoch'), u.id) < ($14::timestamptz, $15))
order by coalesce(u.last_signed_in_at, 'epoch') desc, u.id desc limit $16`
	usersByEmailSQL = `select` + userColumns + usersWhere + `
and ($14::text is null or (lower(u.email) collate "C", u.id) > ($14, $15)) order by lower(u.email) collate "C", u.id limit $16`
	usersByEmailDownSQL = `select` + userColumns + usersWhere + `
and ($14::text is null or (lower(u.email) collate "C", u.id) < ($14, $15)) order by lower(u.email) collate "C" desc, u.id desc limit $16`
)

type userOrder struct {
	sql string
	key func(identity.User) string
}

func orderOfUsers(sort string) userOrder {
	name := func(u identity.User) string { return u.SortName }
	created := func(u identity.User) string { return keyTime(u.CreatedAt) }
	email := func(u identity.User) string { return strings.ToLower(u.Email) }
	seen := func(u identity.User) string {
		if u.LastSignedInAt == nil {
			return "1970-01-01T00:00:00Z"
		}
		return keyTime(*u.LastSignedInAt)
	}
	switch sort {
	case "-name":
		return userOrder{usersByNameDownSQL, name}
	case "created_at":
		return userOrder{usersByCreatedSQL, created}
	case "-created_at":
		return userOrder{usersByCreatedDownSQL, created}
	case "last_signed_in_at":
		return userOrder{usersBySeenSQL, seen}
	case "-last_signed_in_at":
		return userOrder{usersBySeenDownSQL, seen}
	case "email":
		return userOrder{usersByEmailSQL, email}
	case "-email":
		return userOrder{usersByEmailDownSQL, email}
	}
	return userOrder{usersByNameSQL, name}
}

// ListUsers implements identity.UserRows.
func (t tx) ListUsers(ctx context.Context, f identity.UserFilter) (p page.Page[identity.User], err error) {
	c, err := readCursor(f.Sort, f.Page)
	if err != nil {
		return p, err
	}
	var statuses []string
	for _, s := range f.Statuses {
		statuses = append(statuses, string(s))
	}
	words := wordsQuery(f.Query)
	if f.Query != "" && words == "" {
		return p, nil // nothing that a word could begin with
	}
	o := orderOfUsers(f.Sort)
	rows, err := pg.Many[identity.User](ctx, t, o.sql,
		f.Reach.All, f.Reach.OrgUnits, f.Units, statuses, words, f.Role, nilID(f.GroupID), identity.EmailKey(f.Email),
		f.ExternalSource, f.ExternalID, f.CreatedFrom, f.CreatedTo, f.UpdatedSince, c.key, c.id, f.Page.Size()+1)
	if err != nil {
		return p, badKey(err)
	}
	return page.Cut(rows, f.Page.Size(), func(u identity.User) string { return page.Encode(f.Sort, o.key(u), u.ID) }), nil
}

const (
	avatarSQL    = `select user_id, tenant_id, media_type, hash, content, updated_at from avatars where user_id = $1`
	putAvatarSQL = `
insert into avatars (user_id, tenant_id, media_type, hash, content, updated_at) values ($1, $2, $3, $4, $5, $6)
on conflict (user_id) do update set media_type = excluded.media_type, hash = excluded.hash, content = excluded.content, updated_at = excluded.updated_at`
	dropAvatarSQL = `delete from avatars where user_id = $1`
)

// Avatar implements identity.UserRows.
func (t tx) Avatar(ctx context.Context, user uuid.UUID) (identity.Avatar, error) {
	return pg.One[identity.Avatar](ctx, t, "avatar", avatarSQL, user)
}

// PutAvatar implements identity.UserRows.
func (t tx) PutAvatar(ctx context.Context, a identity.Avatar) error {
	_, err := pg.Exec(ctx, t, putAvatarSQL, a.UserID, a.TenantID, a.MediaType, a.Hash, a.Content, a.UpdatedAt)
	return err
}

// DeleteAvatar implements identity.UserRows.
func (t tx) DeleteAvatar(ctx context.Context, user uuid.UUID) error {
	_, err := pg.Exec(ctx, t, dropAvatarSQL, user)
	return err
}

// badKey says that a forged cursor holds what is no key of the order.
func badKey(err error) error {
	if pgCode(err) == "22007" || pgCode(err) == "22008" {
		return apperr.Malformed("bad_cursor", "The cursor is not one that this list gave.").With(err)
	}
	return err
}
