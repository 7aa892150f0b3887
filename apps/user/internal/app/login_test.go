package app

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/user/internal/identity"
	"lms/apps/user/internal/passwords"
	"lms/shared/apperr"
	"lms/shared/authz"
)

const hashSQL = `select password_hash from credentials where user_id = $1`

func TestHashesOfOldParametersAreReplacedAtLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.user("ada@example.org", w.tenant)
	require.Contains(t, column[string](w, hashSQL, u.ID)[0], "m=64,t=1,p=1")
	stronger := *w.svc
	var err error
	stronger.Passwords, err = passwords.New(passwords.Params{Memory: 128, Time: 1, Threads: 1}, 2, time.Second)
	require.NoError(t, err)
	login := func(password string) string {
		v, err := stronger.VerifyPassword(t.Context(), "ada@example.org", password, identity.From{})
		require.NoError(t, err)
		return v.Refusal
	}
	require.Equal(t, identity.RefusedInvalid, login("not the password"))
	require.Contains(t, column[string](w, hashSQL, u.ID)[0], "m=64", "a wrong password upgrades nothing")
	require.Empty(t, login(goodPassword))
	require.Contains(t, column[string](w, hashSQL, u.ID)[0], "m=128")
	require.Empty(t, login(goodPassword))
}

const failuresSQL = `select kind from security_events where kind like 'login%' or kind = 'password_accepted' order by at, id`

func TestRefusalsTellOnlyWhoKnowsThePassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.user("ada@example.org", w.tenant)
	login := func(email, password string) string {
		v, err := w.svc.VerifyPassword(t.Context(), email, password, identity.From{IP: "192.0.2.1"})
		require.NoError(t, err)
		return v.Refusal
	}
	require.Equal(t, identity.RefusedInvalid, login("nobody@example.org", goodPassword))
	require.Equal(t, identity.RefusedInvalid, login("ada@example.org", "wrong"))
	_, err := w.svc.Deactivate(w.as(w.root), w.root, u.ID, "")
	require.NoError(t, err)
	require.Equal(t, identity.RefusedInvalid, login("ada@example.org", "wrong"))
	require.Equal(t, identity.RefusedDeactivated, login("ada@example.org", goodPassword))
	require.Equal(t, []string{"login_failed", "login_failed", "login_failed", "login_refused"}, column[string](w, failuresSQL), "each try leaves one line, also for nobody")
	w.svc.Config.RequireVerifiedEmail = true
	v, err := w.svc.CreateUser(w.as(w.root), w.root, identity.NewUser{OrgUnitID: w.tenant, Email: "new@example.org", Name: "New", Password: goodPassword})
	require.NoError(t, err)
	require.Equal(t, identity.RefusedUnverified, login("new@example.org", goodPassword))
	_, err = w.svc.VerifyEmail(t.Context(), w.token(identity.MailVerification, "new@example.org"), identity.From{})
	require.NoError(t, err)
	require.Empty(t, login("new@example.org", goodPassword))
	require.NotEqual(t, uuid.Nil, v.ID)
}

func TestAnAdministratorOfAUnitHasNoPowerOverWhoCanDoMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	math := w.unit("MATH", w.tenant)
	boss := w.user("boss@example.org", math.ID)
	_, err := w.svc.GrantRole(w.as(w.root), w.root, boss.ID, authz.Grant{Role: authz.RoleOrgAdmin, Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: math.ID}})
	require.NoError(t, err)
	admin := w.principal(boss.ID)
	// A platform administrator whose home is in the boss's unit.
	high := w.user("high@example.org", math.ID)
	_, err = w.svc.GrantRole(w.as(w.root), w.root, high.ID, authz.Grant{Role: authz.RolePlatformAdmin, Scope: authz.Scope{Kind: authz.ScopePlatform}})
	require.NoError(t, err)
	outside := w.user("outside@example.org", w.tenant)
	ctx := w.as(admin)
	for name, fn := range map[string]func(id uuid.UUID) error{
		"deactivate":    func(id uuid.UUID) error { _, err := w.svc.Deactivate(ctx, admin, id, ""); return err },
		"delete":        func(id uuid.UUID) error { return w.svc.DeleteUser(ctx, admin, id, 1) },
		"reset":         func(id uuid.UUID) error { return w.svc.SendResetByAdmin(ctx, admin, id) },
		"second factor": func(id uuid.UUID) error { return w.svc.RemoveMFA(ctx, admin, id) },
		"sessions":      func(id uuid.UUID) error { return w.svc.EndSessionsOf(ctx, admin, id) },
		"erase":         func(id uuid.UUID) error { _, err := w.svc.RequestErasure(ctx, admin, id, ""); return err },
		"merge":         func(id uuid.UUID) error { _, err := w.svc.RequestMerge(ctx, admin, id, boss.ID); return err },
		"impersonate": func(id uuid.UUID) error {
			_, err := w.svc.Impersonate(ctx, admin, identity.Impersonation{UserID: id, Reason: "they called and asked"})
			return err
		},
	} {
		require.Equal(t, "outranked", apperr.Code(fn(high.ID)), name)
		require.True(t, apperr.IsKind(fn(outside.ID), apperr.KindNotFound), name)
	}
	_, err = w.svc.GrantRole(ctx, admin, high.ID, authz.Grant{Role: authz.RolePlatformAdmin, Scope: authz.Scope{Kind: authz.ScopePlatform}})
	require.True(t, apperr.IsKind(err, apperr.KindForbidden))
	_, err = w.svc.GrantRole(ctx, admin, boss.ID, authz.Grant{Role: authz.RoleOrgAdmin, Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: w.tenant}})
	require.True(t, apperr.IsKind(err, apperr.KindInvalid), "not above the own unit")
	_, err = w.svc.GrantRole(w.as(w.root), w.root, boss.ID, authz.Grant{Role: authz.RoleStudent, Scope: authz.Scope{Kind: authz.ScopeCourse, ID: uuid.New()}})
	require.True(t, apperr.IsKind(err, apperr.KindInvalid), "a role in a course is given there")
}
