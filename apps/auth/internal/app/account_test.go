package app

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/testkit"
)

func fixed(raw []byte) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) { return raw, nil }
}

func TestPasswordChangeEndsAllOtherSessions(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	ada := in.users.add("ada@example.org")
	mine, other := in.login(ada), in.login(ada)
	change := func(current string) *testkit.Response {
		return in.as(mine).POST("/api/v1/auth/password/change", body("current_password", current, "new_password", "a better password"))
	}
	change("wrong").Expect(http.StatusUnprocessableEntity).Field("current_password", "wrong")
	in.clock.Advance(time.Second)
	change(ada.password).Expect(http.StatusNoContent)
	require.False(t, in.good(other.AccessToken))
	in.POST("/api/v1/auth/refresh", body("refresh_token", other.RefreshToken)).Expect(http.StatusUnauthorized)
	require.False(t, in.good(mine.AccessToken), "its epoch has moved")
	in.POST("/api/v1/auth/refresh", body("refresh_token", mine.RefreshToken)).Expect(http.StatusOK).JSON(&mine)
	require.True(t, in.good(mine.AccessToken), "but the session lives on")

	for range 6 { // a stolen session is no way to guess the password
		change("a guess").Expect(http.StatusUnprocessableEntity)
	}
	change("a guess").Expect(http.StatusTooManyRequests)
}

func TestPasswordResetByLink(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	ada := in.users.add("ada@example.org")
	got := in.login(ada)
	for range 20 {
		in.POST("/api/v1/auth/login", body("email", ada.Email, "password", "a guess"))
	}
	in.users.mailed["token-of-the-mail-1"] = ada.UserID
	reset := body("token", "token-of-the-mail-1", "password", "a better password")
	in.POST("/api/v1/auth/password/reset", reset).Expect(http.StatusOK)
	require.False(t, in.good(got.AccessToken))
	in.POST("/api/v1/auth/refresh", body("refresh_token", got.RefreshToken)).Expect(http.StatusUnauthorized)
	in.POST("/api/v1/auth/password/reset", reset).Expect(http.StatusUnprocessableEntity).Code("token_invalid")
	in.POST("/api/v1/auth/login", body("email", ada.Email, "password", "a better password")).Expect(http.StatusOK)

	guesser := in.With("X-Forwarded-For", "198.51.100.9")
	limited := false
	for range 110 {
		r := guesser.POST("/api/v1/auth/password/reset", body("token", "a-guessed-token-xyz", "password", "a better password"))
		limited = limited || r.Status == http.StatusTooManyRequests
	}
	require.True(t, limited)
}

func TestMailsAreAskedForOnce(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	once := in.With("Idempotency-Key", "k1")
	for range 3 {
		once.POST("/api/v1/auth/password/forgot", body("email", "ada@example.org")).Expect(http.StatusAccepted)
		once.POST("/api/v1/auth/email/resend", body("email", "ada@example.org")).Expect(http.StatusAccepted)
	}
	require.Equal(t, []string{"forgot ada@example.org", "resend ada@example.org"}, in.users.mails)
	once.POST("/api/v1/auth/password/forgot", body("email", "bob@example.org")).Expect(http.StatusUnprocessableEntity).Code("idempotency_key_reused")
}

func TestInvitationAndVerification(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	eve := in.users.add("eve@example.org", func(p *person) { p.Status = internalapi.PersonInvited })
	in.users.mailed["the-invitation-of-eve"] = eve.UserID
	in.users.mailed["the-address-of-eve-ok"] = eve.UserID
	in.POST("/api/v1/auth/invitations/accept", body("token", "the-invitation-of-eve", "password", "short")).Expect(http.StatusUnprocessableEntity)
	in.POST("/api/v1/auth/invitations/accept", body("token", "the-invitation-of-eve", "password", "long enough")).Expect(http.StatusOK)
	in.POST("/api/v1/auth/email/verify", body("token", "the-address-of-eve-ok")).Expect(http.StatusOK)
	in.POST("/api/v1/auth/login", body("email", eve.Email, "password", "long enough")).Expect(http.StatusOK)
}

func TestSettingUpASecondFactor(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	ada := in.users.add("ada@example.org")
	c := in.as(in.login(ada))
	c.POST("/api/v1/auth/mfa/totp", nil).Expect(http.StatusCreated)
	c.POST("/api/v1/auth/mfa/totp/confirm", body("code", "123456")).Expect(http.StatusOK)
	require.True(t, in.login(ada).MFARequired)
	c.POST("/api/v1/auth/mfa/recovery-codes", body("password", "wrong")).Expect(http.StatusUnprocessableEntity)
	c.POST("/api/v1/auth/mfa/recovery-codes", body("code", "123456")).Expect(http.StatusOK)
	c.Do(http.MethodDelete, "/api/v1/auth/mfa/totp", body("password", "wrong")).Expect(http.StatusUnprocessableEntity)
	c.Do(http.MethodDelete, "/api/v1/auth/mfa/totp", body("password", ada.password)).Expect(http.StatusNoContent)
	require.False(t, in.login(ada).MFARequired)
	in.POST("/api/v1/auth/mfa/totp", nil).Expect(http.StatusUnauthorized)
}

func TestPersonalAccessTokens(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	ada := in.users.add("ada@example.org", admin)
	c := in.as(in.login(ada))
	wish := body("name", "ci", "permissions", []string{"course:read"}, "expires_at", in.clock.Now().Add(24*time.Hour))
	var made struct {
		ID    uuid.UUID
		Token string
	}
	c.POST("/api/v1/me/tokens", wish).Expect(http.StatusCreated).JSON(&made)
	gateway := in.service("gateway", "the secret of the gateway")
	exchange := func(raw string) *testkit.Response {
		return gateway.POST(internalapi.PathExchangeToken, body("token", raw, "from", body()))
	}
	var ex internalapi.ExchangedToken
	exchange(made.Token).Expect(http.StatusOK).JSON(&ex)
	p, claims, err := in.core.minter.Verifier.Verify(t.Context(), ex.AccessToken)
	require.NoError(t, err)
	require.Equal(t, []authz.Permission{"course:read"}, p.Limited)
	require.Equal(t, ada.UserID, p.UserID)
	require.Empty(t, claims.SessionID)
	require.False(t, in.good(ex.AccessToken), "worth nothing from outside")

	limited := in.WithToken(ex.AccessToken)
	limited.GET("/api/v1/me/tokens").Expect(http.StatusOK)
	limited.POST("/api/v1/me/tokens", wish).Expect(http.StatusForbidden).Code("token_limited")
	limited.POST("/api/v1/auth/impersonations", body("user_id", uuid.New(), "reason", "because of a ticket")).Expect(http.StatusForbidden)

	c.POST("/api/v1/me/tokens", body("name", "all", "permissions", []string{}, "expires_at", in.clock.Now().Add(time.Hour))).Expect(http.StatusUnprocessableEntity)
	c.DELETE("/api/v1/me/tokens/" + made.ID.String()).Expect(http.StatusNoContent)
	exchange(made.Token).Expect(http.StatusUnauthorized).Code("invalid_token")
	exchange("lms_pat_unknown").Expect(http.StatusUnauthorized)
	exchange("not one").Expect(http.StatusUnauthorized)

	// A repeated request makes no second token; the lost one ends.
	again := c.With("Idempotency-Key", "pat-1")
	again.POST("/api/v1/me/tokens", wish).Expect(http.StatusCreated).JSON(&made)
	lost := made.Token
	again.POST("/api/v1/me/tokens", wish).Expect(http.StatusCreated).JSON(&made)
	require.Len(t, in.users.tokens, 1)
	exchange(lost).Expect(http.StatusUnauthorized)
	exchange(made.Token).Expect(http.StatusOK)
	for _, k := range in.store.Keys() {
		e, err := in.store.Get(t.Context(), k)
		require.NoError(t, err)
		require.NotContains(t, string(e.Value), made.Token[:20], "no secret is kept under %s", k)
	}
	in.users.change(ada.UserID, func(p *person) { p.Status = internalapi.PersonDeactivated })
	exchange(made.Token).Expect(http.StatusUnauthorized)
}

func TestImpersonation(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	boss, ada, bob := in.users.add("boss@example.org", admin), in.users.add("ada@example.org"), in.users.add("bob@example.org")
	own := in.login(boss)
	wish := func(id uuid.UUID, write bool) map[string]any {
		return body("user_id", id, "reason", "ticket 4711, cannot see a course", "write", write)
	}
	in.as(in.login(bob)).POST("/api/v1/auth/impersonations", wish(ada.UserID, false)).Expect(http.StatusForbidden)
	in.as(own).POST("/api/v1/auth/impersonations", wish(boss.UserID, false)).Expect(http.StatusUnprocessableEntity)
	in.as(own).POST("/api/v1/auth/impersonations", wish(uuid.New(), false)).Expect(http.StatusNotFound)
	in.as(own).POST("/api/v1/auth/impersonations", body("user_id", ada.UserID, "reason", "short")).Expect(http.StatusUnprocessableEntity)

	var acting tokens
	in.as(own).POST("/api/v1/auth/impersonations", wish(ada.UserID, false)).Expect(http.StatusCreated).JSON(&acting)
	p, claims, err := in.core.minter.Verifier.Verify(t.Context(), acting.AccessToken)
	require.NoError(t, err)
	require.Equal(t, ada.UserID, p.UserID)
	require.Equal(t, boss.UserID, p.Impersonator)
	require.True(t, p.ReadOnly)
	require.Equal(t, boss.UserID.String(), claims.Act.Subject)
	require.True(t, in.good(acting.AccessToken))

	as := in.as(acting)
	as.GET("/api/v1/auth/sessions").Expect(http.StatusOK)
	as.POST("/api/v1/auth/password/change", body("current_password", "x", "new_password", "a better password")).Expect(http.StatusForbidden).Code("impersonation_read_only")
	var writing tokens
	in.as(own).POST("/api/v1/auth/impersonations", wish(ada.UserID, true)).Expect(http.StatusCreated).JSON(&writing)
	for _, path := range []string{"/api/v1/auth/mfa/totp", "/api/v1/auth/logout-all"} {
		in.as(writing).POST(path, nil).Expect(http.StatusForbidden).Code("impersonation_forbidden")
	}
	in.as(writing).POST("/api/v1/auth/password/change", body("current_password", "x", "new_password", "a better password")).Expect(http.StatusForbidden).Code("impersonation_forbidden")
	in.as(writing).POST("/api/v1/me/tokens", body("name", "x", "permissions", []string{"course:read"}, "expires_at", in.clock.Now().Add(time.Hour))).Expect(http.StatusForbidden)

	as.POST("/api/v1/auth/logout", nil).Expect(http.StatusNoContent)
	require.False(t, in.good(acting.AccessToken))
	require.Contains(t, in.users.kinds(), internalapi.SecurityImpersonation)
	require.True(t, in.good(writing.AccessToken))
	in.as(own).POST("/api/v1/auth/logout", nil).Expect(http.StatusNoContent)
	require.False(t, in.good(writing.AccessToken), "who is signed out acts for nobody")
	in.POST("/api/v1/auth/refresh", body("refresh_token", writing.RefreshToken)).Expect(http.StatusUnauthorized)

	own = in.login(boss)
	keyed := in.as(own).With("Idempotency-Key", "imp-1")
	var a, b tokens
	keyed.POST("/api/v1/auth/impersonations", wish(ada.UserID, false)).Expect(http.StatusCreated).JSON(&a)
	keyed.POST("/api/v1/auth/impersonations", wish(ada.UserID, false)).Expect(http.StatusCreated).JSON(&b)
	require.Equal(t, a.SessionID, b.SessionID, "one session, new tokens")
}
