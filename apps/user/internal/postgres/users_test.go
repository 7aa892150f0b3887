package postgres_test

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/user/internal/identity"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/page"
)

func TestAnAddressHasOneAccountInAnySpellingAndTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.tenant("Other")
	ada := w.user("Ada", "Ada@Example.org")
	for _, spelling := range []string{"ada@example.org", "ADA@EXAMPLE.ORG", "Ada@Example.org"} {
		for _, unit := range []identity.OrgUnit{w.root, other} {
			err := w.try(func(ctx context.Context, tx identity.Tx) error {
				return tx.InsertUser(ctx, person(unit, "Eve", spelling))
			})
			require.Equal(t, "email_taken", apperr.Code(err), spelling)
		}
		w.do(func(ctx context.Context, tx identity.Tx) error {
			u, err := tx.UserByEmail(ctx, identity.EmailKey(spelling))
			require.Equal(t, ada.ID, u.ID)
			require.Equal(t, "Ada@Example.org", u.Email, "the address is kept as it was written")
			return err
		})
	}
	bob := w.user("Bob", "bob@example.org")
	bob.Email, bob.Version = "aDa@example.org", 2
	err := w.try(func(ctx context.Context, tx identity.Tx) error { return tx.UpdateUser(ctx, bob) })
	require.Equal(t, "email_taken", apperr.Code(err), "a change takes no address either")

	w.do(func(ctx context.Context, tx identity.Tx) error { return tx.UpdateUser(ctx, gone(ada)) })
	w.user("Ada again", "ada@example.org")
	// Any number of accounts may have no address.
	w.user("Nobody", "")
	w.user("Nobody", "")
}

func TestOfManyAccountsWithOneAddressAtOnceOneIsMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := 0
	for _, err := range together(12, func(i int) error {
		return w.try(func(ctx context.Context, tx identity.Tx) error {
			return tx.InsertUser(ctx, person(w.root, "Ada "+strconv.Itoa(i), []string{"a@b.org", "A@B.org"}[i%2]))
		})
	}) {
		if err == nil {
			made++
			continue
		}
		require.Equal(t, "email_taken", apperr.Code(err))
	}
	require.Equal(t, 1, made)
}

func TestExternalIDsAreOnePerSourceAndTenantAndFreeWhenTheAccountIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sis := identity.ExternalID{Source: "sis", ID: "42"}
	ada := person(w.root, "Ada", "ada@example.org")
	ada.ExternalIDs = []identity.ExternalID{{Source: "Hr", ID: "7"}, sis}
	w.insert(ada)
	eve := person(w.root, "Eve", "eve@example.org")
	eve.ExternalIDs = []identity.ExternalID{sis}
	err := w.try(func(ctx context.Context, tx identity.Tx) error { return tx.InsertUser(ctx, eve) })
	require.Equal(t, "external_id_taken", apperr.Code(err))

	abroad := person(w.tenant("Other"), "Eve", "eve@other.org")
	abroad.ExternalIDs = []identity.ExternalID{sis}
	w.insert(abroad)

	w.do(func(ctx context.Context, tx identity.Tx) error {
		u, err := tx.UserByExternalID(ctx, w.root.TenantID, sis)
		require.Equal(t, ada.ID, u.ID)
		require.Equal(t, ada.ExternalIDs, u.ExternalIDs, "in the order of bytes, as the domain compares them")
		return err
	})
	ada.ExternalIDs, ada.Version = []identity.ExternalID{{Source: "sis", ID: "43"}}, 2
	w.do(func(ctx context.Context, tx identity.Tx) error { return tx.UpdateUser(ctx, ada) })
	w.insert(eve)
	w.do(func(ctx context.Context, tx identity.Tx) error { return tx.UpdateUser(ctx, gone(eve)) })
	ada.ExternalIDs, ada.Version = []identity.ExternalID{sis}, 3
	w.do(func(ctx context.Context, tx identity.Tx) error { return tx.UpdateUser(ctx, ada) })
}

func TestAUserReadsBackAsWrittenAndAStaleVersionIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := person(w.root, "Ada Lovelace", "ada@example.org")
	at := u.CreatedAt.Add(-time.Hour)
	u.GivenName, u.FamilyName, u.Bio, u.Attributes = "Ada", "Lovelace", "Numbers.", map[string]string{"org.room": "1"}
	u.EmailVerifiedAt, u.LastSignedInAt = &at, &at
	w.insert(u)
	read := func() (got identity.User) {
		w.do(func(ctx context.Context, tx identity.Tx) (err error) {
			got, err = tx.User(ctx, u.ID)
			return err
		})
		return got
	}
	require.Equal(t, u, read())
	u.Status, u.DeactivatedAt, u.DeactivatedReason, u.Epoch, u.Version = identity.StatusDeactivated, &at, "left", 5, 2
	w.do(func(ctx context.Context, tx identity.Tx) error { return tx.UpdateUser(ctx, u) })
	require.Equal(t, u, read())
	err := w.try(func(ctx context.Context, tx identity.Tx) error { return tx.UpdateUser(ctx, u) })
	require.True(t, apperr.IsKind(err, apperr.KindPreconditionFailed), "%v", err)
}

// pages reads a list to its end, two at a time.
func pages[T any](t *testing.T, read func(page.Request) (page.Page[T], error)) (all []T) {
	t.Helper()
	q := page.Request{Limit: 2}
	for range 50 {
		p, err := read(q)
		require.NoError(t, err)
		all = append(all, p.Items...)
		if q.Cursor = p.NextCursor; q.Cursor == "" {
			return all
		}
	}
	require.Fail(t, "the list has no end")
	return nil
}

func TestEveryOrderOfUsersHasEachOnceAndCanBeTurnedAround(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 7 {
		u := person(w.root, []string{"Zoë", "Ada", "Ada", "bob", "Émile", "Çelik", "Ada"}[i], "p"+strconv.Itoa(7-i)+"@example.org")
		if i%3 == 0 {
			at := u.CreatedAt.Add(time.Duration(i) * time.Minute)
			u.LastSignedInAt = &at
		}
		w.insert(u)
	}
	w.insert(gone(person(w.root, "Gone", "")))
	list := func(sort string) []uuid.UUID {
		users := pages(t, func(q page.Request) (p page.Page[identity.User], err error) {
			err = w.try(func(ctx context.Context, tx identity.Tx) error {
				p, err = tx.ListUsers(ctx, identity.UserFilter{Sort: sort, Reach: authz.Reach{All: true}, Page: q})
				return err
			})
			return p, err
		})
		ids := make([]uuid.UUID, len(users))
		for i, u := range users {
			ids[i] = u.ID
		}
		return ids
	}
	for _, sort := range []string{"name", "created_at", "last_signed_in_at", "email"} {
		up, down := list(sort), list("-"+sort)
		require.Len(t, up, 7, sort)
		slices.Reverse(down)
		require.Equal(t, up, down, sort)
		require.Len(t, slices.Compact(slices.SortedFunc(slices.Values(up), func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })), 7, sort)
	}
	p, err := page.Page[identity.User]{}, error(nil)
	w.do(func(ctx context.Context, tx identity.Tx) error {
		p, err = tx.ListUsers(ctx, identity.UserFilter{Sort: "name", Reach: authz.Reach{All: true}, Page: page.Request{Limit: 1}})
		return err
	})
	err = w.try(func(ctx context.Context, tx identity.Tx) error {
		_, err := tx.ListUsers(ctx, identity.UserFilter{Sort: "created_at", Reach: authz.Reach{All: true}, Page: page.Request{Cursor: p.NextCursor}})
		return err
	})
	require.Equal(t, "bad_cursor", apperr.Code(err), "a cursor of another order")
}

func TestUsersAreFoundByWhatPeopleType(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.user("Jürgen Müller-Łuk", "jm@uni-köln.example")
	w.user("Ada Lovelace", "countess@example.org")
	for query, want := range map[string]int{
		"muller": 1, "MÜLL": 1, "jur mul": 1, "luk": 1, "countess": 1, "lovelace ada": 1, "example": 2, "": 2, "nobody": 0,
		"ullmu": 0, "ada muller": 0, "' or 1=1 --": 0, "ada & !": 1, "a:*|b <-> (": 0, "&|!()": 0, `\`: 0,
	} {
		var p page.Page[identity.User]
		w.do(func(ctx context.Context, tx identity.Tx) (err error) {
			p, err = tx.ListUsers(ctx, identity.UserFilter{Query: query, Reach: authz.Reach{All: true}})
			return err
		})
		require.Len(t, p.Items, want, "%q", query)
	}
}

func TestAListShowsTheReachAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.unit(w.root, "A"), w.unit(w.root, "B")
	home, guest, stranger := person(a, "Home", ""), person(b, "Guest", ""), person(b, "Stranger", "")
	w.insert(home)
	w.insert(guest)
	w.insert(stranger)
	w.do(func(ctx context.Context, tx identity.Tx) error {
		added, err := tx.PutMember(ctx, identity.Member{OrgUnitID: a.ID, UserID: guest.ID, TenantID: a.TenantID, CreatedAt: a.CreatedAt})
		require.True(t, added)
		require.NoError(t, err)
		added, err = tx.PutMember(ctx, identity.Member{OrgUnitID: a.ID, UserID: guest.ID, TenantID: a.TenantID, Title: "Guest", CreatedAt: a.CreatedAt})
		require.False(t, added, "a member already: the title changes")
		return err
	})
	w.do(func(ctx context.Context, tx identity.Tx) error {
		p, err := tx.ListUsers(ctx, identity.UserFilter{Sort: "name", Reach: authz.Reach{OrgUnits: []uuid.UUID{a.ID}}})
		require.NoError(t, err)
		require.Equal(t, []string{"Guest", "Home"}, []string{p.Items[0].Name, p.Items[1].Name})
		require.Len(t, p.Items, 2)
		p, err = tx.ListUsers(ctx, identity.UserFilter{Sort: "name"})
		require.Empty(t, p.Items, "no reach, nobody")
		require.NoError(t, err)
		m, err := tx.ListMembers(ctx, identity.MemberFilter{OrgUnitID: a.ID})
		require.NoError(t, err)
		require.Len(t, m.Items, 2)
		require.Equal(t, "Guest", m.Items[0].Title)
		require.True(t, m.Items[1].Home)
		m, err = tx.ListMembers(ctx, identity.MemberFilter{OrgUnitID: a.ID, UserID: home.ID})
		require.Len(t, m.Items, 1)
		require.Equal(t, home.ID, m.Items[0].UserID, "one member is read, not the first of all")
		return err
	})
}
