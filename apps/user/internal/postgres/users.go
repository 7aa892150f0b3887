package postgres

import (
	"context"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"

	"lms/apps/user/internal/identity"
	"lms/shared/apperr"
	"lms/shared/pg"
)

const (
	userColumns = `
u.id, u.tenant_id, u.org_unit_id, u.status, u.origin, u.email, u.email_verified_at, u.name, u.given_name, u.family_name, u.sort_name,
u.locale, u.time_zone, u.bio, u.attributes, u.avatar_hash, u.epoch, u.last_signed_in_at, u.deactivated_reason, u.merged_into,
u.created_at, u.updated_at, u.deactivated_at, u.deleted_at, u.version,
coalesce((select jsonb_agg(jsonb_build_object('source', e.source, 'id', e.external_id) order by e.source collate "C")
  from user_external_ids e where e.user_id = u.id), '[]') as external_ids`
	selectUsers      = `select ` + userColumns + ` from users u `
	lockUser         = ` for no key update of u`
	userSQL          = selectUsers + `where u.id = $1`
	lockUserSQL      = userSQL + lockUser
	userByEmailSQL   = selectUsers + `where u.email_key = $1`
	lockByEmailSQL   = userByEmailSQL + lockUser
	userByForeignSQL = selectUsers + `
where u.id = (select x.user_id from user_external_ids x where x.tenant_id = $1 and x.source = $2 and x.external_id = $3)`
	cardsSQL         = selectUsers + `join unnest($1::uuid[]) with ordinality as wanted (id, n) on wanted.id = u.id order by wanted.n`
	deletedBeforeSQL = selectUsers + `
where u.status = 'deleted' and u.deleted_at < $1
  and not exists (select 1 from person_requests r where r.user_id = u.id and r.kind = 'erasure' and r.status = 'running')
order by u.deleted_at, u.id limit $2`
)

// User implements identity.Tx.
func (t tx) User(ctx context.Context, id uuid.UUID) (identity.User, error) {
	return pg.One[identity.User](ctx, t, "user", userSQL, id)
}

// LockUser implements identity.Tx.
func (t tx) LockUser(ctx context.Context, id uuid.UUID) (identity.User, error) {
	return pg.One[identity.User](ctx, t, "user", lockUserSQL, id)
}

// UserByEmail implements identity.Tx.
func (t tx) UserByEmail(ctx context.Context, key string) (identity.User, error) {
	return pg.One[identity.User](ctx, t, "user", userByEmailSQL, key)
}

// LockUserByEmail implements identity.Tx.
func (t tx) LockUserByEmail(ctx context.Context, key string) (identity.User, error) {
	return pg.One[identity.User](ctx, t, "user", lockByEmailSQL, key)
}

// UserByExternalID implements identity.Tx.
func (t tx) UserByExternalID(ctx context.Context, tenant uuid.UUID, id identity.ExternalID) (identity.User, error) {
	return pg.One[identity.User](ctx, t, "user", userByForeignSQL, tenant, id.Source, id.ID)
}

// Cards implements identity.Tx: in the order of the ids.
func (t tx) Cards(ctx context.Context, ids []uuid.UUID) ([]identity.User, error) {
	return pg.Many[identity.User](ctx, t, cardsSQL, list(ids))
}

// DeletedBefore implements identity.Tx.
func (t tx) DeletedBefore(ctx context.Context, at time.Time, limit int) ([]identity.User, error) {
	return pg.Many[identity.User](ctx, t, deletedBeforeSQL, at, limit)
}

const (
	insertUserSQL = `
insert into users (id, tenant_id, org_unit_id, status, origin, email, email_key, email_verified_at, name, given_name, family_name, sort_name,
  locale, time_zone, bio, attributes, avatar_hash, search_text, epoch, last_signed_in_at, deactivated_reason, merged_into,
  created_at, updated_at, deactivated_at, deleted_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27)`
	// The epoch never goes back, whatever copy of the user is written. What is
	// not here is decided at the insert, or has a statement of its own.
	updateUserSQL = `
update users set org_unit_id = $2, status = $3, email = $4, email_key = $5, email_verified_at = $6, name = $7, given_name = $8,
  family_name = $9, sort_name = $10, locale = $11, time_zone = $12, bio = $13, attributes = $14, avatar_hash = $15, search_text = $16,
  epoch = greatest(epoch, $17), deactivated_reason = $18, merged_into = $19, updated_at = $20, deactivated_at = $21, deleted_at = $22, version = $23
where id = $1 and version = $23 - 1`
	setEpochSQL    = `update users set epoch = greatest(epoch, $2) where id = $1`
	setSignedInSQL = `update users set last_signed_in_at = $2 where id = $1`

	dropForeignIDsSQL = `delete from user_external_ids where user_id = $1 and (source, external_id) not in (select * from unnest($2::text[], $3::text[]))`
	putForeignIDsSQL  = `
insert into user_external_ids (tenant_id, source, external_id, user_id)
select $2, w.source, w.external_id, $1 from unnest($3::text[], $4::text[]) as w (source, external_id)
where not exists (select 1 from user_external_ids e where e.user_id = $1 and e.source = w.source and e.external_id = w.external_id)`
)

// InsertUser implements identity.Tx.
func (t tx) InsertUser(ctx context.Context, u identity.User) error {
	_, err := pg.Exec(ctx, t, insertUserSQL, u.ID, u.TenantID, u.OrgUnitID, u.Status, u.Origin, u.Email, emailKey(u), u.EmailVerifiedAt, u.Name,
		u.GivenName, u.FamilyName, u.SortName, u.Locale, u.TimeZone, u.Bio, attributes(u), u.AvatarHash, searchText(u), u.Epoch, u.LastSignedInAt,
		u.DeactivatedReason, u.MergedInto, u.CreatedAt, u.UpdatedAt, u.DeactivatedAt, u.DeletedAt, u.Version)
	if err != nil {
		return userError(err)
	}
	return t.putUserForeignIDs(ctx, u)
}

// UpdateUser implements identity.Tx. An account that is gone gives its address
// and its external ids free.
func (t tx) UpdateUser(ctx context.Context, u identity.User) error {
	err := pg.ExecVersioned(ctx, t, updateUserSQL, u.ID, u.OrgUnitID, u.Status, u.Email, emailKey(u), u.EmailVerifiedAt, u.Name, u.GivenName,
		u.FamilyName, u.SortName, u.Locale, u.TimeZone, u.Bio, attributes(u), u.AvatarHash, searchText(u), u.Epoch, u.DeactivatedReason,
		u.MergedInto, u.UpdatedAt, u.DeactivatedAt, u.DeletedAt, u.Version)
	if err != nil {
		return userError(err)
	}
	if u.Status.Gone() {
		u.ExternalIDs = nil
	}
	return t.putUserForeignIDs(ctx, u)
}

func (t tx) putUserForeignIDs(ctx context.Context, u identity.User) error {
	sources, ids := foreignIDs(u.ExternalIDs)
	if _, err := pg.Exec(ctx, t, dropForeignIDsSQL, u.ID, sources, ids); err != nil {
		return err
	}
	if len(ids) == 0 {
		return nil
	}
	_, err := pg.Exec(ctx, t, putForeignIDsSQL, u.ID, u.TenantID, sources, ids)
	return userError(err)
}

// foreignIDs are two parallel lists, as unnest reads them.
func foreignIDs(external []identity.ExternalID) (sources, ids []string) {
	sources, ids = make([]string, len(external)), make([]string, len(external))
	for i, e := range external {
		sources[i], ids[i] = e.Source, e.ID
	}
	return sources, ids
}

func userError(err error) error {
	switch {
	case pg.Violates(err, "users_email_unique"):
		return apperr.Conflict("email_taken", "Another account has this address.").With(err)
	case pg.Violates(err, "user_external_ids_pkey"):
		return apperr.Conflict("external_id_taken", "Another account of the organisation has this external id.").With(err)
	}
	return err
}

// emailKey is null for who has no address, and for who is gone.
func emailKey(u identity.User) *string {
	key := identity.EmailKey(u.Email)
	if key == "" || u.Status.Gone() {
		return nil
	}
	return &key
}

func attributes(u identity.User) map[string]string {
	if u.Attributes == nil {
		return map[string]string{}
	}
	return u.Attributes
}

// SetEpoch implements identity.Tx.
func (t tx) SetEpoch(ctx context.Context, id uuid.UUID, epoch int64) error {
	_, err := pg.Exec(ctx, t, setEpochSQL, id, epoch)
	return err
}

// SetSignedIn implements identity.Tx.
func (t tx) SetSignedIn(ctx context.Context, id uuid.UUID, at time.Time) error {
	_, err := pg.Exec(ctx, t, setSignedInSQL, id, at)
	return err
}

const (
	leaveAllGroupsSQL = `
with gone as (delete from group_members where user_id = $1 returning group_id)
update groups set member_count = member_count - 1 where id in (select group_id from gone)`
	removeUserSQL = `delete from users where id = $1`
)

// RemoveUser implements identity.Tx.
func (t tx) RemoveUser(ctx context.Context, id uuid.UUID) error {
	if _, err := pg.Exec(ctx, t, leaveAllGroupsSQL, id); err != nil {
		return err
	}
	_, err := pg.Exec(ctx, t, removeUserSQL, id)
	return err
}

const (
	avatarSQL    = `select user_id, tenant_id, media_type, hash, content, updated_at from avatars where user_id = $1`
	putAvatarSQL = `
insert into avatars (user_id, tenant_id, media_type, hash, content, updated_at) values ($1, $2, $3, $4, $5, $6)
on conflict (user_id) do update set media_type = excluded.media_type, hash = excluded.hash, content = excluded.content, updated_at = excluded.updated_at`
	deleteAvatarSQL = `delete from avatars where user_id = $1`
)

// Avatar implements identity.Tx.
func (t tx) Avatar(ctx context.Context, user uuid.UUID) (identity.Avatar, error) {
	return pg.One[identity.Avatar](ctx, t, "avatar", avatarSQL, user)
}

// PutAvatar implements identity.Tx.
func (t tx) PutAvatar(ctx context.Context, a identity.Avatar) error {
	_, err := pg.Exec(ctx, t, putAvatarSQL, a.UserID, a.TenantID, a.MediaType, a.Hash, a.Content, a.UpdatedAt)
	return err
}

// DeleteAvatar implements identity.Tx.
func (t tx) DeleteAvatar(ctx context.Context, user uuid.UUID) error {
	_, err := pg.Exec(ctx, t, deleteAvatarSQL, user)
	return err
}

// searchText is the words by which a user is found.
func searchText(u identity.User) string {
	return strings.Join(words(u.Name+" "+u.GivenName+" "+u.FamilyName+" "+u.Email), " ")
}

// words are the runs of letters and digits of a text, without accents and
// cases, so that "Muller" finds "Müller" and a part of an address finds it.
func words(s string) []string {
	plain := strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return unicode.ToLower(r)
	}, norm.NFKD.String(s))
	return strings.FieldsFunc(plain, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// searchQuery finds rows that have, for each word, one that begins with it. A
// word is letters and digits, so that nothing in it is an operator.
func searchQuery(q string) string {
	parts := words(q)
	for i, w := range parts {
		parts[i] = w + ":*"
	}
	return strings.Join(parts, " & ")
}
