package app

import (
	"testing"
	"time"

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
