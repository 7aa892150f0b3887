package session_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/auth/internal/session"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
)

func TestActingAsAPersonEndsWithTheOneWhoActs(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	grant := []authz.Grant{{Role: authz.RolePlatformAdmin, Scope: authz.Scope{Kind: authz.ScopePlatform}}}
	setup := func() (*world, internalapi.LoginSubject, session.Grant, session.Grant) {
		w := newWorld(t)
		admin := w.people.add(func(s *internalapi.LoginSubject) { s.Grants = grant })
		target := w.people.add()
		own := w.login(t, admin)
		acting, err := w.sessions.Open(ctx, session.Opening{
			Subject: target, Kind: internalapi.SessionImpersonation, Actor: admin.UserID, ActorSession: own.Session.ID, ActorUntil: own.Session.ExpiresAt,
		})
		require.NoError(t, err)
		good, err := w.sessions.Good(ctx, target.UserID, acting.Session.ID, acting.Epoch)
		require.NoError(t, err)
		require.True(t, good)
		return w, admin, own, acting
	}
	over := func(w *world, acting session.Grant) {
		_, err := w.sessions.Refresh(ctx, acting.Refresh.Raw(), session.From{})
		require.Equal(t, "session_ended", code(err))
	}
	t.Run("signed out", func(t *testing.T) {
		t.Parallel()
		w, admin, own, acting := setup()
		_, err := w.sessions.End(ctx, admin.UserID, own.Session.ID)
		require.NoError(t, err)
		good, err := w.sessions.Good(ctx, acting.Subject.UserID, acting.Session.ID, acting.Epoch)
		require.NoError(t, err)
		require.False(t, good, "at once, for access tokens too")
		over(w, acting)
	})
	t.Run("no longer allowed", func(t *testing.T) {
		t.Parallel()
		w, admin, _, acting := setup()
		w.people.change(admin.UserID, func(s *internalapi.LoginSubject) { s.Grants = nil })
		over(w, acting)
	})
	t.Run("its own end", func(t *testing.T) {
		t.Parallel()
		w, _, _, acting := setup()
		require.Equal(t, w.clock.Now().Add(limits.Impersonation), acting.Session.ExpiresAt)
		w.clock.Advance(limits.Impersonation)
		over(w, acting)
	})
}

func TestAClientHasOneSessionThatLivesOn(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t)
	c := internalapi.Client{ID: uuid.New(), TenantID: uuid.New(), Epoch: 1}
	a, epoch, err := w.sessions.OpenClient(ctx, c, session.From{})
	require.NoError(t, err)
	require.EqualValues(t, 1, epoch)
	puts := w.store.Puts()
	b, _, err := w.sessions.OpenClient(ctx, c, session.From{})
	require.NoError(t, err)
	require.Equal(t, a.ID, b.ID)
	require.Equal(t, puts, w.store.Puts(), "nothing is written for each token")
	w.clock.Advance(40 * time.Minute)
	b, _, err = w.sessions.OpenClient(ctx, c, session.From{})
	require.NoError(t, err)
	require.Equal(t, a.ID, b.ID)
	require.True(t, b.ExpiresAt.After(a.ExpiresAt))

	_, err = w.sessions.EndAll(ctx, internalapi.EndSessions{UserID: c.ID, Epoch: 2})
	require.NoError(t, err)
	_, _, err = w.sessions.OpenClient(ctx, c, session.From{})
	require.True(t, apperr.IsKind(err, apperr.KindUnavailable), "what was verified before the order is too late")
	c.Epoch = 2
	b, _, err = w.sessions.OpenClient(ctx, c, session.From{})
	require.NoError(t, err)
	require.NotEqual(t, a.ID, b.ID)
}
