package app

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/user/internal/identity"
	"lms/shared/apperr"
	"lms/shared/authz"
)

// interrupted does something once, right after a password was compared: what
// comes in between the comparison and what follows from it.
type interrupted struct {
	identity.Passwords
	between func()
}

func (p *interrupted) Verify(ctx context.Context, hash, password string) (ok, upgrade bool, err error) {
	ok, upgrade, err = p.Passwords.Verify(ctx, hash, password)
	if fn := p.between; fn != nil {
		p.between = nil
		fn()
	}
	return ok, upgrade, err
}

// A reset ends whatever rests on the old password, also what is just being
// checked: neither a session nor another password comes of it.
func TestAProofOfAReplacedPasswordProvesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.principal(w.user("ada@example.org", w.tenant).ID)
	slow := &interrupted{Passwords: w.svc.Passwords}
	w.svc.Passwords = slow
	reset := func(password string) func() {
		require.NoError(t, w.svc.RequestLink(t.Context(), identity.LinkRequest{Kind: identity.TokenReset, Email: "ada@example.org"}))
		token := w.token(identity.MailReset, "ada@example.org")
		return func() {
			w.clock.Advance(time.Second)
			_, err := w.svc.ResetPassword(t.Context(), token, password, identity.From{})
			require.NoError(t, err)
		}
	}
	slow.between = reset("nine quiet herons")
	v, err := w.svc.VerifyPassword(t.Context(), "ada@example.org", goodPassword, identity.From{})
	require.NoError(t, err)
	require.Equal(t, identity.RefusedInvalid, v.Refusal)
	require.Nil(t, v.Subject)

	w.letters.mu.Lock()
	clear(w.letters.links)
	w.letters.mu.Unlock()
	slow.between = reset("four quiet badgers")
	err = w.svc.ChangePassword(w.as(ada), ada, "nine quiet herons", "what a thief likes", identity.From{})
	require.True(t, apperr.IsKind(err, apperr.KindInvalid), "%v", err)
	v, err = w.svc.VerifyPassword(t.Context(), "ada@example.org", "four quiet badgers", identity.From{})
	require.NoError(t, err)
	require.NotNil(t, v.Subject)
}

// The provider of a part of an organisation links the part's people by address,
// and nobody who may do something beside or above it.
func TestAProviderTakesOverNobodyWhoMayDoMoreElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	math := w.unit("MATH", w.tenant)
	below := w.unit("ALGEBRA", math.ID)
	p, err := w.svc.CreateProvider(w.as(w.root), w.root, identity.NewProvider{
		OrgUnitID: math.ID, Name: "Maths", Issuer: "https://idp.example.org", ClientID: "lms", Enabled: true, LinkByEmail: true, AllowedDomains: []string{"example.org"},
	})
	require.NoError(t, err)
	resolve := func(email string, role string, scope authz.Scope) identity.Verdict {
		u := w.user(email, math.ID)
		_, err := w.svc.GrantRole(w.as(w.root), w.root, u.ID, authz.Grant{Role: role, Scope: scope})
		require.NoError(t, err)
		v, err := w.svc.ResolveSSO(t.Context(), identity.Assertion{ProviderID: p.ID, Subject: email, Email: email, EmailVerified: true})
		require.NoError(t, err)
		return v
	}
	in := func(unit identity.OrgUnit) authz.Scope { return authz.Scope{Kind: authz.ScopeOrgUnit, ID: unit.ID} }
	require.NotNil(t, resolve("here@example.org", authz.RoleOrgAdmin, in(math)).Subject)
	require.NotNil(t, resolve("below@example.org", authz.RoleOrgAdmin, in(below)).Subject)
	require.Equal(t, identity.RefusedUnknown, resolve("above@example.org", authz.RoleOrgAdmin, authz.Scope{Kind: authz.ScopeOrgUnit, ID: w.tenant}).Refusal)
	require.Equal(t, identity.RefusedUnknown, resolve("beside@example.org", authz.RoleInstructor, in(w.unit("ARTS", w.tenant))).Refusal)
	require.Equal(t, identity.RefusedUnknown, resolve("platform@example.org", authz.RolePlatformAdmin, authz.Scope{Kind: authz.ScopePlatform}).Refusal)
}

// Support that may only look does not change things as somebody else.
func TestWritingAsAnotherPersonIsGrantedBesides(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	role, err := w.svc.CreateRole(w.as(w.root), w.root, identity.NewRole{
		OrgUnitID: w.tenant, Name: "Support", Permissions: []authz.Permission{authz.UserRead, authz.UserImpersonate},
	})
	require.NoError(t, err)
	support := w.user("support@example.org", w.tenant)
	_, err = w.svc.GrantRole(w.as(w.root), w.root, support.ID, authz.Grant{Role: role.Key, Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: w.tenant}})
	require.NoError(t, err)
	ada, p := w.user("ada@example.org", w.tenant), w.principal(support.ID)
	as := func(actor authz.Principal, write bool) error {
		_, err := w.svc.Impersonate(w.as(actor), actor, identity.Impersonation{UserID: ada.ID, Reason: "a ticket about grades", Write: write})
		return err
	}
	require.NoError(t, as(p, false))
	require.Equal(t, "impersonation_read_only", apperr.Code(as(p, true)))
	require.NoError(t, as(w.root, true))
}
