package app

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/user/internal/identity"
	"lms/shared/apperr"
)

// Whoever is signed in fills nobody's mailbox: a new address, free or taken, is
// written to five times an hour.
func TestAnAddressIsAskedToProveItselfFiveTimesAnHour(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.principal(w.user("ada@example.org", w.tenant).ID)
	w.user("taken@example.org", w.tenant)
	ask := func(email string) error {
		return w.svc.RequestEmailChange(w.as(ada), ada, email, identity.Proof{Password: goodPassword})
	}
	for _, email := range []string{"free@example.org", "taken@example.org"} {
		for range 5 {
			require.NoError(t, ask(email))
		}
		require.Equal(t, apperr.KindRateLimited, apperr.From(ask(email)).Kind, email)
	}
	require.Equal(t, 5, w.mailed(identity.MailEmailChange))
	require.Equal(t, 5, w.mailed(identity.MailAlreadyHere))
	w.clock.Advance(61 * time.Minute)
	require.NoError(t, ask("free@example.org"))
	_, err := w.svc.ConfirmEmailChange(t.Context(), w.token(identity.MailEmailChange, "free@example.org"))
	require.NoError(t, err)
}

// Nor does whoever is not: an account is told of registrations and invited again
// five times an hour, whichever way it is asked for, and one place causes a bounded
// number of mails. The answer is always the same.
func TestStrangersFillNobodysMailbox(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.user("known@example.org", w.tenant)
	invited, err := w.svc.CreateUser(w.as(w.root), w.root, identity.NewUser{Email: "invited@example.org", Name: "Invited", OrgUnitID: w.tenant, Invite: true})
	require.NoError(t, err)
	require.Equal(t, identity.StatusInvited, invited.Status)
	sent := w.mailed(identity.MailInvitation)
	hash, err := w.svc.Passwords.Hash(t.Context(), goodPassword)
	require.NoError(t, err)
	ask := func(email, ip string) {
		now := w.clock.Now()
		require.NoError(t, w.svc.FinishRegister(t.Context(), identity.RegisterJob{From: identity.From{IP: ip}, Registration: identity.Registration{
			ID: uuid.New(), Email: email, Name: "Somebody", Locale: "en", TimeZone: "UTC", PasswordHash: hash, CreatedAt: now, ExpiresAt: now.Add(24 * time.Hour),
		}}))
	}
	for range 8 {
		ask("known@example.org", "192.0.2.1")
		ask("invited@example.org", "192.0.2.1")
		require.NoError(t, w.svc.SendLink(t.Context(), identity.LinkRequest{Kind: identity.TokenReset, Email: "invited@example.org"}))
	}
	require.Equal(t, 5, w.mailed(identity.MailAlreadyHere))
	require.Equal(t, 5-sent, w.mailed(identity.MailInvitation)-sent, "the first counts")

	for n := range 250 {
		ask(fmt.Sprintf("stranger%d@example.org", n), "192.0.2.2")
	}
	require.Equal(t, 200, w.mailed(identity.MailRegistration))
	ask("neighbour@example.org", "192.0.2.3")
	require.Equal(t, 201, w.mailed(identity.MailRegistration))
	w.clock.Advance(61 * time.Minute)
	ask("late@example.org", "192.0.2.2")
	require.Equal(t, 202, w.mailed(identity.MailRegistration))
}
