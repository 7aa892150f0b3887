package postgres_test

import (
	"context"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/user/internal/identity"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/clock"
	"lms/shared/pg"
	"lms/shared/testkit"
	"lms/shared/work"
)

func TestAGrantIsHeldOnceAlsoWhenGivenTwelveTimesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.user("Ada", "")
	scopes := []authz.Scope{{Kind: authz.ScopePlatform}, {Kind: authz.ScopeOrgUnit, ID: w.root.ID}}
	for _, scope := range scopes {
		added := make([]bool, 12)
		for _, err := range together(len(added), func(i int) error {
			return w.try(func(ctx context.Context, tx identity.Tx) (err error) {
				g := platformAdmin(ada)
				g.Scope = scope
				added[i], err = tx.InsertGrant(ctx, g)
				return err
			})
		}) {
			require.NoError(t, err)
		}
		once := slices.Index(added, true)
		require.GreaterOrEqual(t, once, 0, "one added it")
		require.NotContains(t, added[once+1:], true, "and no other")
	}
	w.do(func(ctx context.Context, tx identity.Tx) error {
		grants, err := tx.GrantsOf(ctx, ada.ID)
		require.Len(t, grants, 2)
		require.Equal(t, []authz.Scope{grants[0].Scope, grants[1].Scope}, scopes)
		require.NotEmpty(t, grants[0].RoleName)
		return err
	})
}

func TestTwoAdministratorsCannotTakeTheRoleFromEachOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 5 {
		admins := []identity.User{w.user("A", ""), w.user("B", "")}
		grants := []identity.Grant{platformAdmin(admins[0]), platformAdmin(admins[1])}
		w.do(func(ctx context.Context, tx identity.Tx) error {
			for _, g := range grants {
				if _, err := tx.InsertGrant(ctx, g); err != nil {
					return err
				}
			}
			return nil
		})
		refused := 0
		for _, err := range together(2, func(i int) error {
			return w.try(func(ctx context.Context, tx identity.Tx) error {
				if _, err := tx.LockUser(ctx, admins[i].ID); err != nil {
					return err
				}
				left, err := tx.LockPlatformAdmins(ctx)
				if err != nil {
					return err
				}
				if len(left) == 1 {
					return apperr.Conflict("last_platform_admin", "")
				}
				return tx.DeleteGrant(ctx, grants[i].ID)
			})
		}) {
			if err != nil {
				require.Equal(t, "last_platform_admin", apperr.Code(err))
				refused++
			}
		}
		require.Equal(t, 1, refused)
		w.do(func(ctx context.Context, tx identity.Tx) error {
			left, err := tx.LockPlatformAdmins(ctx)
			require.Len(t, left, 1)
			for _, g := range grants {
				require.NoError(t, tx.DeleteGrant(ctx, g.ID))
			}
			return err
		})
	}
}

func TestARoleThatSomebodyHoldsStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	now := clock.Now()
	role := identity.Role{
		ID: clock.NewID(), TenantID: w.root.ID, OrgUnitID: w.root.ID, Name: "Tutor", Permissions: []authz.Permission{authz.UserRead}, CreatedAt: now, UpdatedAt: now, Version: 1,
	}
	role.Key = role.ID.String()
	same := role
	same.ID, same.Name = clock.NewID(), "TUTOR"
	ada := w.user("Ada", "")
	grant := platformAdmin(ada)
	grant.Role, grant.Scope = role.Key, authz.Scope{Kind: authz.ScopeOrgUnit, ID: w.root.ID}
	w.do(func(ctx context.Context, tx identity.Tx) error { return tx.InsertRole(ctx, role) })
	err := w.try(func(ctx context.Context, tx identity.Tx) error { return tx.InsertRole(ctx, same) })
	require.Equal(t, "name_taken", apperr.Code(err))
	w.do(func(ctx context.Context, tx identity.Tx) error {
		_, err := tx.InsertGrant(ctx, grant)
		return err
	})
	err = w.try(func(ctx context.Context, tx identity.Tx) error { return tx.DeleteRole(ctx, role.ID) })
	require.Equal(t, "in_use", apperr.Code(err))
	w.do(func(ctx context.Context, tx identity.Tx) error {
		users, clients, err := tx.HoldersOf(ctx, role.Key)
		require.Equal(t, []uuid.UUID{ada.ID}, users)
		require.Empty(t, clients)
		require.NoError(t, err)
		snapshot, err := tx.Snapshot(ctx)
		require.True(t, authz.NewPolicy(snapshot).RoleHas(role.Key, authz.UserRead))
		require.NoError(t, err)
		require.NoError(t, tx.DeleteGrant(ctx, grant.ID))
		return tx.DeleteRole(ctx, role.ID)
	})
}

func TestAnAccountThatEndsHoldsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada, unit := w.user("Ada", ""), w.unit(w.root, "A")
	now := clock.Now()
	token := identity.PersonalToken{
		ID: clock.NewID(), TenantID: ada.TenantID, UserID: ada.ID, Name: "CI", Permissions: []authz.Permission{authz.UserRead}, Hash: hash("pat"), Hint: "xxxx",
		CreatedAt: now, ExpiresAt: later(1e12),
	}
	w.do(func(ctx context.Context, tx identity.Tx) error {
		_, err := tx.InsertGrant(ctx, platformAdmin(ada))
		require.NoError(t, err)
		_, err = tx.PutMember(ctx, identity.Member{OrgUnitID: unit.ID, UserID: ada.ID, TenantID: ada.TenantID, CreatedAt: now})
		require.NoError(t, err)
		require.NoError(t, tx.InsertPersonalToken(ctx, token))
		require.NoError(t, tx.SetPassword(ctx, ada.TenantID, ada.ID, "$argon2id$", now))
		got, err := tx.PersonalTokenByHash(ctx, token.Hash, now)
		require.Equal(t, token, got)
		return err
	})
	w.do(func(ctx context.Context, tx identity.Tx) error { return tx.DropAccess(ctx, ada.ID, now) })
	w.do(func(ctx context.Context, tx identity.Tx) error {
		grants, err := tx.GrantsOf(ctx, ada.ID)
		require.NoError(t, err)
		require.Empty(t, grants)
		units, err := tx.MembershipsOf(ctx, ada.ID)
		require.NoError(t, err)
		require.Empty(t, units)
		_, err = tx.PersonalTokenByHash(ctx, token.Hash, now)
		require.True(t, apperr.IsKind(err, apperr.KindNotFound))
		c, err := tx.Credential(ctx, ada.ID)
		require.Equal(t, identity.Credential{}, c)
		return err
	})
}

func TestATenantSeesAndWritesItsOwnRowsAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.tenant("Other")
	ours, theirs := w.user("Ours", "ours@example.org"), person(other, "Theirs", "theirs@example.org")
	w.insert(theirs)
	w.do(func(ctx context.Context, tx identity.Tx) error {
		_, err := tx.InsertGrant(ctx, platformAdmin(theirs))
		return err
	})
	inTenant := func(fn func(context.Context, identity.Tx) error) error {
		return w.store.InTx(t.Context(), work.Tenant(w.root.ID), fn)
	}
	require.NoError(t, inTenant(func(ctx context.Context, tx identity.Tx) error {
		_, err := tx.User(ctx, ours.ID)
		require.NoError(t, err)
		_, err = tx.User(ctx, theirs.ID)
		require.True(t, apperr.IsKind(err, apperr.KindNotFound))
		_, err = tx.UserByEmail(ctx, "theirs@example.org")
		require.True(t, apperr.IsKind(err, apperr.KindNotFound))
		_, err = tx.OrgUnit(ctx, other.ID)
		require.True(t, apperr.IsKind(err, apperr.KindNotFound))
		grants, err := tx.GrantsOf(ctx, theirs.ID)
		require.Empty(t, grants)
		require.NoError(t, err)
		p, err := tx.ListUsers(ctx, identity.UserFilter{Reach: authz.Reach{All: true}})
		require.Len(t, p.Items, 1)
		require.NoError(t, err)
		theirs.Version++
		require.True(t, apperr.IsKind(tx.UpdateUser(ctx, theirs), apperr.KindPreconditionFailed), "what is not seen is not changed")
		return tx.RemoveUser(ctx, theirs.ID)
	}))
	require.ErrorContains(t, inTenant(func(ctx context.Context, tx identity.Tx) error {
		return tx.InsertUser(ctx, person(other, "Smuggled", ""))
	}), "row-level security")
	require.Equal(t, 2, w.count("select count(*) from users"))
	// An address is one account's in the whole installation, seen or not.
	require.Equal(t, "email_taken", apperr.Code(inTenant(func(ctx context.Context, tx identity.Tx) error {
		return tx.InsertUser(ctx, person(w.root, "Eve", "THEIRS@example.org"))
	})))
}

// Every table that says whose its rows are is behind the policy, and every
// other one is known to hold nothing of a tenant.
func TestEveryTableWithATenantIsBehindRowLevelSecurity(t *testing.T) {
	t.Parallel()
	pool := testkit.DB(t, "user")
	open, err := pg.Column[string](t.Context(), pool, `
select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'public' and c.relkind = 'r' and not c.relrowsecurity order by c.relname`)
	require.NoError(t, err)
	for _, table := range open {
		withTenant, err := pg.Scalar[bool](t.Context(), pool, "table", `
select exists (select 1 from information_schema.columns where table_schema = 'public' and table_name = $1 and column_name = 'tenant_id')`, table)
		require.NoError(t, err)
		// The kit's tables of messages are read by relays, for all tenants.
		require.False(t, withTenant && !slices.Contains([]string{"outbox", "outbox_call"}, table), "%s has tenants and no policy", table)
	}
	var seen int
	require.NoError(t, pool.QueryRow(t.Context(), "select count(*) from users").Scan(&seen))
	require.Zero(t, seen, "without a scope nothing is visible")
}
