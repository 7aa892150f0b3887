package postgres

import (
	"context"
	"time"

	"lms/apps/user/internal/identity"
	"lms/shared/page"
	"lms/shared/pg"
)

// listUsersBase is what all sorts share: $1–$13 are filters. After it, $14 says
// "first page", $15 and $16 are the last row seen, $17 is the limit. What the
// caller may see is part of the statement, so that pages are never thinned out
// afterwards.
const listUsersBase = selectUsers + `
where ($1::boolean or u.org_unit_id = any($2::uuid[])
    or exists (select 1 from org_members m where m.user_id = u.id and m.org_unit_id = any($2::uuid[])))
  and (cardinality($3::text[]) > 0 and u.status = any($3) or cardinality($3::text[]) = 0 and u.status not in ('deleted', 'merged'))
  and ($4::uuid[] is null or u.org_unit_id = any($4)
    or exists (select 1 from org_members m where m.user_id = u.id and m.org_unit_id = any($4)))
  and ($5 = '' or u.search @@ to_tsquery('simple', $5))
  and ($6 = '' or exists (select 1 from grants g where g.user_id = u.id and g.role = $6))
  and ($7::uuid is null or exists (select 1 from group_members m where m.user_id = u.id and m.group_id = $7))
  and ($8 = '' or u.email_key = $8)
  and ($9 = '' or exists (select 1 from user_external_ids x where x.user_id = u.id and x.source = $9))
  and ($10 = '' or exists (select 1 from user_external_ids x where x.user_id = u.id and x.external_id = $10 and ($9 = '' or x.source = $9)))
  and ($11::timestamptz is null or u.created_at >= $11)
  and ($12::timestamptz is null or u.created_at < $12)
  and ($13::timestamptz is null or u.updated_at >= $13)
`

const (
	usersByNameSQL = listUsersBase + `
  and ($14 or (u.sort_name, u.id) > ($15::text, $16::uuid)) order by u.sort_name, u.id limit $17`
	usersByNameDescSQL = listUsersBase + `
  and ($14 or (u.sort_name, u.id) < ($15::text, $16::uuid)) order by u.sort_name desc, u.id desc limit $17`
	usersByCreatedSQL = listUsersBase + `
  and ($14 or (u.created_at, u.id) > ($15::timestamptz, $16::uuid)) order by u.created_at, u.id limit $17`
	usersByCreatedDescSQL = listUsersBase + `
  and ($14 or (u.created_at, u.id) < ($15::timestamptz, $16::uuid)) order by u.created_at desc, u.id desc limit $17`
	// Who never signed in comes before everybody else.
	usersBySignInSQL = listUsersBase + `
  and ($14 or (coalesce(u.last_signed_in_at, '-infinity'), u.id) > (coalesce($15::timestamptz, '-infinity'), $16::uuid))
order by coalesce(u.last_signed_in_at, '-infinity'), u.id limit $17`
	usersBySignInDescSQL = listUsersBase + `
  and ($14 or (coalesce(u.last_signed_in_at, '-infinity'), u.id) < (coalesce($15::timestamptz, '-infinity'), $16::uuid))
order by coalesce(u.last_signed_in_at, '-infinity') desc, u.id desc limit $17`
	usersByEmailSQL = listUsersBase + `
  and ($14 or (lower(u.email) collate "C", u.id) > (lower($15::text), $16::uuid)) order by lower(u.email) collate "C", u.id limit $17`
	usersByEmailDescSQL = listUsersBase + `
  and ($14 or (lower(u.email) collate "C", u.id) < (lower($15::text), $16::uuid)) order by lower(u.email) collate "C" desc, u.id desc limit $17`
)

// sorting is one order of a list: its statement, and the value of an item that
// a cursor keeps besides the id.
type sorting[T any] struct {
	sql   string
	value func(T) any
	text  bool
}

func userSorting(name string) sorting[identity.User] {
	created := func(u identity.User) any { return u.CreatedAt }
	signIn := func(u identity.User) any { return u.LastSignedInAt }
	email := func(u identity.User) any { return u.Email }
	byName := func(u identity.User) any { return u.SortName }
	switch name {
	case "-name":
		return sorting[identity.User]{usersByNameDescSQL, byName, true}
	case "created_at":
		return sorting[identity.User]{usersByCreatedSQL, created, false}
	case "-created_at":
		return sorting[identity.User]{usersByCreatedDescSQL, created, false}
	case "last_signed_in_at":
		return sorting[identity.User]{usersBySignInSQL, signIn, false}
	case "-last_signed_in_at":
		return sorting[identity.User]{usersBySignInDescSQL, signIn, false}
	case "email":
		return sorting[identity.User]{usersByEmailSQL, email, true}
	case "-email":
		return sorting[identity.User]{usersByEmailDescSQL, email, true}
	}
	return sorting[identity.User]{usersByNameSQL, byName, true}
}

// ListUsers implements identity.Tx.
func (t tx) ListUsers(ctx context.Context, f identity.UserFilter) (p page.Page[identity.User], err error) {
	order := userSorting(f.Sort)
	from, err := positionOf(f.Page.Cursor, f.Sort, order.text)
	if err != nil {
		return p, err
	}
	query := searchQuery(f.Query)
	if f.Query != "" && query == "" { // nothing but signs: no word begins with them
		return p, nil
	}
	statuses := make([]string, len(f.Statuses))
	for i, s := range f.Statuses {
		statuses[i] = string(s)
	}
	rows, err := pg.Many[identity.User](ctx, t, order.sql, f.Reach.All, list(f.Reach.OrgUnits), statuses, f.Units, query, f.Role,
		optional(f.GroupID), identity.EmailKey(f.Email), f.ExternalSource, f.ExternalID, utc(f.CreatedFrom), utc(f.CreatedTo), utc(f.UpdatedSince),
		from.first, from.value(order.text), from.id, f.Page.Size()+1)
	return page.Cut(rows, f.Page.Size(), func(u identity.User) string { return page.Encode(f.Sort, order.value(u), u.ID) }), err
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}
