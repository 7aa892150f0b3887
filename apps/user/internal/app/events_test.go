package app

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/user/internal/identity"
	"lms/shared/authz"
	contract "lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/patch"
)

// A year in the life of an organisation emits every event that is declared.
func TestEveryEventIsEmitted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, root := w.as(w.root), w.root

	unit := w.unit("MATH", w.tenant)
	other := w.unit("PHYS", w.tenant)
	_, err := w.svc.MoveOrgUnit(ctx, root, unit.ID, other.ID, 1)
	require.NoError(t, err)
	old := w.unit("OLD", w.tenant)
	_, err = w.svc.ArchiveOrgUnit(ctx, root, old.ID, true)
	require.NoError(t, err)
	require.Equal(t, []string{"org_unit_created", "org_unit_changed"}, w.types(unit.ID))
	require.Equal(t, []string{"org_unit_created", "org_unit_archived"}, w.types(old.ID))
	require.Equal(t, []uuid.UUID{w.tenant, other.ID, unit.ID}, newest[contract.OrgUnitChanged](w).Path)

	ada := w.user("ada@example.org", unit.ID)
	v, err := w.svc.VerifyPassword(t.Context(), "ADA@example.org", goodPassword, identity.From{IP: "192.0.2.1"})
	require.NoError(t, err)
	require.NotNil(t, v.Subject)
	_, err = w.svc.UpdateUser(ctx, root, ada.ID, 1, identity.UserPatch{Name: patch.Of("Ada Lovelace")})
	require.NoError(t, err)
	require.Equal(t, []string{"name"}, newest[contract.UserUpdated](w).Changed)
	_, err = w.svc.PutMember(ctx, root, old.ID, ada.ID, "", false)
	require.Error(t, err, "an archived unit takes nobody")
	_, err = w.svc.PutMember(ctx, root, other.ID, ada.ID, "lecturer", false)
	require.NoError(t, err)
	require.NoError(t, w.svc.RemoveMember(ctx, root, other.ID, ada.ID))
	g, err := w.svc.GrantRole(ctx, root, ada.ID, authz.Grant{Role: authz.RoleOrgAdmin, Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: unit.ID}})
	require.NoError(t, err)
	require.NoError(t, w.svc.RevokeRole(ctx, root, ada.ID, g.ID))
	group, err := w.svc.CreateGroup(ctx, root, identity.NewGroup{OrgUnitID: unit.ID, Kind: contract.GroupCohort, Name: "2026"})
	require.NoError(t, err)
	_, err = w.svc.AddToGroup(ctx, root, group.ID, ada.ID)
	require.NoError(t, err)
	require.NoError(t, w.svc.RemoveFromGroup(ctx, root, group.ID, ada.ID))
	_, err = w.svc.UpdateGroup(ctx, root, group.ID, 1, identity.GroupPatch{Name: patch.Of("2027")})
	require.NoError(t, err)
	require.NoError(t, w.svc.DeleteGroup(ctx, root, group.ID, 2))
	require.Equal(t, []string{"group_created", "group_member_added", "group_member_removed", "group_updated", "group_deleted"}, w.types(group.ID))
	_, err = w.svc.Deactivate(ctx, root, ada.ID, "on leave")
	require.NoError(t, err)
	back, err := w.svc.Reactivate(ctx, root, ada.ID)
	require.NoError(t, err)
	require.NoError(t, w.svc.DeleteUser(ctx, root, ada.ID, back.Version))
	require.Equal(t, []string{
		"created", "signed_in", "updated", "org_member_added", "org_member_removed", "role_granted", "role_revoked", "deactivated", "reactivated", "deleted",
	}, w.types(ada.ID))

	twin, kept := w.user("twin@example.org", unit.ID), w.user("kept@example.org", unit.ID)
	job, err := w.svc.RequestMerge(ctx, root, twin.ID, kept.ID)
	require.NoError(t, err)
	w.finished(job)
	gone := w.user("gone@example.org", unit.ID)
	job, err = w.svc.RequestErasure(ctx, root, gone.ID, "asked for")
	require.NoError(t, err)
	w.finished(job)

	declared := []string{}
	for _, d := range contract.All() {
		if d.Topic == contract.TopicUser {
			declared = append(declared, d.Type())
		}
	}
	require.ElementsMatch(t, declared, column[string](w, allSQL))
}

func TestSignedInIsSaidOncePerPersonAndDay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.clock.Set(time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC))
	ada := w.user("ada@example.org", w.tenant)
	signIns := func() (n int) {
		for _, typ := range w.types(ada.ID) {
			if typ == "signed_in" {
				n++
			}
		}
		return n
	}
	login := func() {
		v, err := w.svc.VerifyPassword(t.Context(), "ada@example.org", goodPassword, identity.From{IP: "192.0.2.1", UserAgent: "x"})
		require.NoError(t, err)
		require.NotNil(t, v.Subject, v.Refusal)
	}
	login()
	login()
	w.clock.Advance(time.Hour)
	login()
	require.Equal(t, 1, signIns())
	w.clock.Advance(2 * time.Hour)
	login()
	require.Equal(t, 2, signIns())
	require.Equal(t, "2026-03-02", newest[contract.UserSignedIn](w).Day)
}

func TestANewDeviceIsToldTheFirstOneIsNot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.user("ada@example.org", w.tenant)
	for i, from := range []identity.From{
		{IP: "192.0.2.1", UserAgent: "Firefox"}, {IP: "192.0.3.9", UserAgent: "Firefox"}, {IP: "198.51.100.1", UserAgent: "Firefox"}, {IP: "198.51.100.1", UserAgent: "Firefox"},
	} {
		_, err := w.svc.VerifyPassword(t.Context(), "ada@example.org", goodPassword, from)
		require.NoError(t, err)
		require.Equal(t, []int{0, 0, 1, 1}[i], w.mailed(identity.MailNewDevice), "login %d", i)
	}
}

// ends are what auth was told about the sessions of a person.
func (w *world) ends(id uuid.UUID) (out []internalapi.EndSessions) {
	for _, raw := range w.wire.made(internalapi.CallEndSessions)["auth"] {
		if e := decode[internalapi.EndSessions](w.t, raw); e.UserID == id {
			out = append(out, e)
		}
	}
	return out
}

func TestServicesAreToldWhatBecomesOfAPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, root := w.as(w.root), w.root
	ada := w.user("ada@example.org", w.tenant)
	before := ada.Epoch
	_, err := w.svc.Deactivate(ctx, root, ada.ID, "")
	require.NoError(t, err)
	_, err = w.svc.Deactivate(ctx, root, ada.ID, "")
	require.NoError(t, err, "once more changes nothing")
	back, err := w.svc.Reactivate(ctx, root, ada.ID)
	require.NoError(t, err)
	require.Equal(t, identity.StatusActive, back.Status)
	require.Eventually(t, func() bool {
		told := w.wire.made(internalapi.CallPersonStatus)
		return len(told["course"]) == 2 && len(told["enrollment"]) == 2 && len(w.ends(ada.ID)) == 1
	}, 10*time.Second, 10*time.Millisecond)
	end := w.ends(ada.ID)[0]
	require.Equal(t, internalapi.EndSessions{UserID: ada.ID, Reason: "deactivated", Epoch: before + 1}, end)
	sub, err := w.svc.SubjectOf(t.Context(), ada.ID)
	require.NoError(t, err)
	require.Equal(t, end.Epoch, sub.User.Epoch, "a refresh reads the epoch that auth was told")
}

func TestARoleChangeMakesTokensStaleButEndsNoSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.user("ada@example.org", w.tenant)
	g := authz.Grant{Role: authz.RoleInstructor, Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: w.tenant}}
	first, err := w.svc.GrantRole(w.as(w.root), w.root, ada.ID, g)
	require.NoError(t, err)
	again, err := w.svc.GrantRole(w.as(w.root), w.root, ada.ID, g)
	require.NoError(t, err)
	require.Equal(t, first.ID, again.ID, "given already: the same grant, and nothing is told twice")
	require.Eventually(t, func() bool { return len(w.ends(ada.ID)) == 1 }, 10*time.Second, 10*time.Millisecond)
	end := w.ends(ada.ID)[0]
	require.True(t, end.EpochOnly)
	require.Equal(t, ada.Epoch+1, end.Epoch)
	require.Equal(t, []string{"created", "role_granted"}, w.types(ada.ID))
}

func TestSecretsThatAreRevokedEndTheTokensMadeWithThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, root := w.as(w.root), w.root
	c, old, err := w.svc.CreateClient(ctx, root, identity.NewClient{OrgUnitID: w.tenant, Name: "Registry"})
	require.NoError(t, err)
	c, second, err := w.svc.AddClientSecret(ctx, root, c.ID, nil, false)
	require.NoError(t, err)
	for _, secret := range []string{old, second} {
		found, err := w.svc.VerifyClient(ctx, c.ID, secret, identity.From{})
		require.NoError(t, err)
		require.NotNil(t, found, "a further secret ends nothing")
		require.Equal(t, c.Epoch, found.Epoch)
	}

	after, third, err := w.svc.AddClientSecret(ctx, root, c.ID, nil, true)
	require.NoError(t, err)
	require.Equal(t, c.Epoch+1, after.Epoch)
	require.Eventually(t, func() bool { return len(w.ends(c.ID)) == 1 }, 10*time.Second, 10*time.Millisecond, "auth is told by a reliable call")
	require.Equal(t, internalapi.EndSessions{UserID: c.ID, Reason: "secrets_revoked", Epoch: after.Epoch}, w.ends(c.ID)[0])
	found, err := w.svc.VerifyClient(ctx, c.ID, third, identity.From{})
	require.NoError(t, err)
	require.Equal(t, after.Epoch, found.Epoch, "a token made with the new secret is newer than the order")
	found, err = w.svc.VerifyClient(ctx, c.ID, old, identity.From{})
	require.NoError(t, err)
	require.Nil(t, found)
}
