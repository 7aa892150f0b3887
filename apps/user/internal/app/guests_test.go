package app

import (
	"testing"

	"github.com/stretchr/testify/require"

	"lms/apps/user/internal/identity"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/page"
)

// A guest of a unit is seen by its administrator; the audit, the sessions and the
// data of the account are the home unit's.
func TestAGuestsAccountIsTheHomeUnitsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home, visited := w.unit("home", w.tenant), w.unit("visited", w.tenant)
	guest, other := w.user("guest@example.org", home.ID), w.user("other@example.org", home.ID)
	chief := w.user("chief@example.org", visited.ID)
	_, err := w.svc.GrantRole(w.as(w.root), w.root, chief.ID, authz.Grant{Role: authz.RoleOrgAdmin, Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: visited.ID}})
	require.NoError(t, err)
	_, err = w.svc.PutMember(w.as(w.root), w.root, visited.ID, guest.ID, "", false)
	require.NoError(t, err)
	admin := w.principal(chief.ID)
	seen, err := w.svc.GetUser(w.as(admin), admin, guest.ID)
	require.NoError(t, err)
	require.Equal(t, guest.ID, seen.ID)
	for name, ask := range map[string]func(identity.User) error{
		"audit": func(u identity.User) error {
			_, err := w.svc.UserAudit(w.as(admin), admin, u.ID, page.Request{Limit: 10})
			return err
		},
		"sessions": func(u identity.User) error { _, err := w.svc.ListSessions(w.as(admin), admin, u.ID); return err },
		"requests": func(u identity.User) error { _, err := w.svc.DataRequests(w.as(admin), admin, u.ID); return err },
	} {
		require.Equal(t, apperr.KindForbidden, apperr.From(ask(guest)).Kind, name)
		require.Equal(t, apperr.KindNotFound, apperr.From(ask(other)).Kind, name)
	}
}
