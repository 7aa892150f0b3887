package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/authn"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/testkit"
)

func TestEveryRouteSaysWhoMayCallIt(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	testkit.CheckRoutes(t, in.router)
	have := map[string]bool{}
	for _, r := range in.router.Routes() {
		have[r.Method+" "+r.Path] = true
	}
	for _, want := range []string{
		"POST /api/v1/auth/login", "POST /api/v1/auth/mfa", "POST /api/v1/auth/refresh", "POST /api/v1/auth/logout", "POST /api/v1/auth/logout-all",
		"GET /api/v1/auth/sessions", "DELETE /api/v1/auth/sessions/{id}", "POST /api/v1/auth/password/forgot", "POST /api/v1/auth/password/reset",
		"POST /api/v1/auth/password/change", "POST /api/v1/auth/email/verify", "POST /api/v1/auth/email/resend", "POST /api/v1/auth/invitations/accept",
		"POST /api/v1/auth/mfa/totp", "DELETE /api/v1/auth/mfa/totp", "POST /api/v1/auth/mfa/totp/confirm", "POST /api/v1/auth/mfa/recovery-codes",
		"GET /api/v1/auth/clients", "POST /api/v1/auth/clients", "DELETE /api/v1/auth/clients/{id}", "POST /api/v1/auth/clients/{id}/secrets", "PUT /api/v1/auth/clients/{id}/grants",
		"GET /api/v1/me/tokens", "POST /api/v1/me/tokens", "DELETE /api/v1/me/tokens/{id}", "POST /api/v1/auth/impersonations",
		"GET /api/v1/auth/identity-providers", "POST /api/v1/auth/identity-providers", "GET /api/v1/auth/sso/{idp}/start", "GET /api/v1/auth/sso/{idp}/callback",
		"POST /oauth2/token", "POST /oauth2/introspect", "POST /oauth2/revoke", "GET /.well-known/jwks.json", "GET /.well-known/oauth-authorization-server",
		"POST /internal/service-tokens", "POST /internal/access-tokens", "POST /internal/calls/end-sessions", "GET /internal/users/{id}/sessions", "DELETE /internal/users/{id}/sessions", "POST /internal/keys/rotate",
	} {
		require.True(t, have[want], want)
	}
}

func TestLoginGivesATokenThatEveryServiceReads(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	org := uuid.New()
	ada := in.users.add("ada@example.org", func(p *person) {
		p.OrgUnitID, p.Epoch = org, 7
		p.Grants = []authz.Grant{
			{Role: authz.RoleOrgAdmin, Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: org}},
			{Role: authz.RoleInstructor, Scope: authz.Scope{Kind: authz.ScopeCourse, ID: uuid.New()}}, // never in a token
		}
	})
	got := in.login(ada, "device_name", "laptop")
	require.Equal(t, "Bearer", got.TokenType)
	require.Equal(t, 300, got.ExpiresIn)
	require.NotEmpty(t, got.RefreshToken)
	require.NotEmpty(t, got.DeviceToken)
	require.Less(t, len(got.AccessToken), 3<<10)

	set := in.GET("/.well-known/jwks.json").Expect(http.StatusOK)
	require.Contains(t, set.Header.Get("Cache-Control"), "max-age=300")
	v := authn.NewVerifier(authn.Config{Issuer: issuer, Now: in.clock.Now, FetchJWKS: fixed(set.Body)})
	p, c, err := v.Verify(t.Context(), got.AccessToken)
	require.NoError(t, err)
	require.Equal(t, authz.Principal{
		UserID: ada.UserID, SessionID: got.SessionID, TenantID: tenant, OrgUnitID: org,
		Grants: []authz.Grant{{Role: authz.RoleOrgAdmin, Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: org}}},
	}, p)
	require.EqualValues(t, 7, c.Epoch)
	require.Equal(t, "lms", c.ClientID)
	require.NotEmpty(t, c.ID)
	require.Equal(t, 5*time.Minute, c.ExpiresAt.Sub(c.IssuedAt.Time))
	require.True(t, in.good(got.AccessToken))

	var list struct{ Items []map[string]any }
	in.as(got).GET("/api/v1/auth/sessions").Expect(http.StatusOK).JSON(&list)
	require.Len(t, list.Items, 1)
	require.Equal(t, "laptop", list.Items[0]["device"])
	require.Equal(t, "192.0.2.10", list.Items[0]["ip"])
	require.Equal(t, true, list.Items[0]["current"])
	require.NotContains(t, fmt.Sprint(list), "Current:[", "no hash of a refresh token")
}

func TestKnownAndUnknownAccountsAreAnsweredAlike(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	in.users.add("ada@example.org")
	strip := func(r *testkit.Response) string {
		var m map[string]any
		r.Expect(http.StatusUnauthorized).Code("invalid_credentials").JSON(&m)
		delete(m, "request_id")
		raw, err := json.Marshal(m)
		require.NoError(t, err)
		return string(raw)
	}
	known := strip(in.POST("/api/v1/auth/login", body("email", "ada@example.org", "password", "wrong password")))
	unknown := strip(in.POST("/api/v1/auth/login", body("email", "nobody@example.org", "password", "wrong password")))
	require.Equal(t, known, unknown)
	require.Equal(t, 2, in.users.verified, "both are verified by user, which does equal work")

	for range 10 { // and throttled alike
		in.POST("/api/v1/auth/login", body("email", "ada@example.org", "password", "wrong password"))
		in.POST("/api/v1/auth/login", body("email", "nobody@example.org", "password", "wrong password"))
	}
	a := in.POST("/api/v1/auth/login", body("email", "ada@example.org", "password", "x")).Expect(http.StatusTooManyRequests).Code("too_many_attempts")
	b := in.POST("/api/v1/auth/login", body("email", "nobody@example.org", "password", "x")).Expect(http.StatusTooManyRequests)
	require.Equal(t, a.Header.Get("Retry-After"), b.Header.Get("Retry-After"))
	require.NotEmpty(t, a.Header.Get("Retry-After"))

	for range 2 {
		in.POST("/api/v1/auth/password/forgot", body("email", "ada@example.org")).Expect(http.StatusAccepted)
		in.POST("/api/v1/auth/password/forgot", body("email", "nobody@example.org")).Expect(http.StatusAccepted)
	}
}

func TestLoginRefusals(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	gone := in.users.add("gone@example.org", func(p *person) { p.Status = internalapi.PersonDeactivated })
	fresh := in.users.add("fresh@example.org", func(p *person) { p.EmailVerified = false })
	try := func(p person) *testkit.Response {
		return in.POST("/api/v1/auth/login", body("email", p.Email, "password", p.password))
	}
	for range 12 { // the right password is no guess
		try(gone).Expect(http.StatusForbidden).Code("account_deactivated")
		try(fresh).Expect(http.StatusForbidden).Code("email_unverified")
	}
	in.users.busy = true
	r := try(fresh).Expect(http.StatusServiceUnavailable).Code("login_busy")
	require.NotEmpty(t, r.Header.Get("Retry-After"))
	in.users.busy = false

	in.POST("/api/v1/auth/login", body("email", "x", "password", strings.Repeat("p", 129))).Expect(http.StatusUnprocessableEntity)
	in.POST("/api/v1/auth/login", body("email", "ada@example.org", "password", "x", "role", "platform_admin")).Expect(http.StatusUnprocessableEntity)
	in.store.SetFail(true)
	try(fresh).Expect(http.StatusServiceUnavailable).Code("state_unavailable")
}

func TestTheOwnersDeviceIsNotSlowedByOthersGuesses(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	ada := in.users.add("ada@example.org")
	mine := in.login(ada)
	attacker := in.With("X-Forwarded-For", "198.51.100.66")
	for range 30 {
		attacker.POST("/api/v1/auth/login", body("email", ada.Email, "password", "a guess"))
	}
	in.POST("/api/v1/auth/login", body("email", ada.Email, "password", ada.password)).Expect(http.StatusTooManyRequests)
	in.login(ada, "device_token", mine.DeviceToken)
	in.With("Cookie", "__Secure-lms_device="+mine.DeviceToken).
		POST("/api/v1/auth/login", body("email", ada.Email, "password", ada.password)).Expect(http.StatusOK)
}

func TestSecondFactor(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	ada := in.users.add("ada@example.org", func(p *person) { p.MFAEnabled, p.code = true, "123456" })
	begin := func() tokens {
		got := in.login(ada)
		require.True(t, got.MFARequired)
		require.Empty(t, got.AccessToken)
		require.Empty(t, got.RefreshToken)
		require.Empty(t, got.DeviceToken)
		return got
	}
	answer := func(challenge, code string) *testkit.Response {
		return in.POST("/api/v1/auth/mfa", body("challenge", challenge, "code", code))
	}
	got := begin()
	answer(got.Challenge, "000000").Expect(http.StatusUnauthorized).Code("code_wrong")
	var out tokens
	answer(got.Challenge, "123456").Expect(http.StatusOK).JSON(&out)
	require.True(t, in.good(out.AccessToken))
	require.Equal(t, 9, *out.RecoveryCodesLeft)
	answer(got.Challenge, "123456").Expect(http.StatusUnauthorized).Code("mfa_challenge_invalid")

	t.Run("five codes on a challenge", func(t *testing.T) {
		got := begin()
		for range 5 {
			answer(got.Challenge, "000000").Expect(http.StatusUnauthorized).Code("code_wrong")
		}
		answer(got.Challenge, "123456").Expect(http.StatusUnauthorized).Code("mfa_challenge_invalid")
		got = begin()
		answer(got.Challenge, "000000").Expect(http.StatusUnauthorized)
		answer(got.Challenge, "000000").Expect(http.StatusTooManyRequests)
		in.clock.Advance(24 * time.Hour)
	})
	t.Run("it ends", func(t *testing.T) {
		got := begin()
		in.clock.Advance(5 * time.Minute)
		answer(got.Challenge, "123456").Expect(http.StatusUnauthorized).Code("mfa_challenge_invalid")
	})
	t.Run("a flushed store never switches it off", func(t *testing.T) {
		got := begin()
		in.store.Flush()
		answer(got.Challenge, "123456").Expect(http.StatusUnauthorized).Code("mfa_challenge_invalid")
		begin()
	})
	t.Run("a password changed in between", func(t *testing.T) {
		got := begin()
		in.users.change(ada.UserID, func(p *person) { in.users.setPassword(p, "another password") })
		answer(got.Challenge, "123456").Expect(http.StatusUnauthorized).Code("mfa_challenge_invalid")
	})
	answer(strings.Repeat("x", 43), "123456").Expect(http.StatusUnauthorized).Code("mfa_challenge_invalid")
}

func TestRefreshInTheBody(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	first := in.login(in.users.add("ada@example.org"))
	refresh := func(raw string) *testkit.Response {
		return in.POST("/api/v1/auth/refresh", body("refresh_token", raw))
	}
	var second, again, third tokens
	refresh(first.RefreshToken).Expect(http.StatusOK).JSON(&second)
	refresh(first.RefreshToken).Expect(http.StatusOK).JSON(&again)
	require.Equal(t, second.RefreshToken, again.RefreshToken)
	require.NotEqual(t, second.AccessToken, again.AccessToken)
	refresh(second.RefreshToken).Expect(http.StatusOK).JSON(&third)
	require.True(t, in.good(third.AccessToken))
	refresh(first.RefreshToken).Expect(http.StatusUnauthorized).Code("refresh_token_reused")
	refresh(third.RefreshToken).Expect(http.StatusUnauthorized).Code("session_ended")
	require.False(t, in.good(third.AccessToken), "theft ends access tokens at once")
	require.Contains(t, in.users.kinds(), internalapi.SecurityRefreshReused)

	refresh("").Expect(http.StatusUnauthorized).Code("invalid_refresh_token")
	refresh("nonsense").Expect(http.StatusUnauthorized).Code("invalid_refresh_token")
	in.clock.Advance(7 * 24 * time.Hour)
	late := in.login(in.users.add("bob@example.org"))
	for range 29 {
		in.clock.Advance(24 * time.Hour)
		refresh(late.RefreshToken).Expect(http.StatusOK).JSON(&late)
	}
	in.clock.Advance(24 * time.Hour)
	refresh(late.RefreshToken).Expect(http.StatusUnauthorized).Code("session_ended")
}

func TestRefreshByCookie(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	ada := in.users.add("ada@example.org")
	r := in.POST("/api/v1/auth/login", body("email", ada.Email, "password", ada.password, "cookie", true)).Expect(http.StatusOK)
	var got tokens
	r.JSON(&got)
	require.Empty(t, got.RefreshToken, "no script ever sees it")
	require.NotContains(t, string(r.Body), "lms_rt_")
	jar := cookiesOf(r)
	c := jar["__Secure-lms_refresh"]
	require.NotNil(t, c)
	require.True(t, c.HttpOnly && c.Secure && c.SameSite == http.SameSiteStrictMode && c.Path == "/api/v1/auth/refresh" && c.Domain == "")
	csrf := jar["__Secure-lms_csrf"]
	require.True(t, !csrf.HttpOnly && csrf.Secure && csrf.SameSite == http.SameSiteStrictMode)
	require.Equal(t, got.CSRFToken, csrf.Value)

	browser := in.With("Cookie", "__Secure-lms_refresh="+c.Value)
	browser.POST("/api/v1/auth/refresh", body()).Expect(http.StatusForbidden).Code("csrf_token_invalid")
	browser.POST("/api/v1/auth/refresh", body("csrf_token", "guess")).Expect(http.StatusForbidden).Code("csrf_token_invalid")
	other := in.login(in.users.add("bob@example.org"), "cookie", true)
	browser.POST("/api/v1/auth/refresh", body("csrf_token", other.CSRFToken)).Expect(http.StatusForbidden)
	in.POST("/api/v1/auth/refresh", body("csrf_token", got.CSRFToken)).Expect(http.StatusUnauthorized)

	r = browser.POST("/api/v1/auth/refresh", body("csrf_token", got.CSRFToken)).Expect(http.StatusOK)
	require.NotContains(t, string(r.Body), "lms_rt_")
	next := cookiesOf(r)["__Secure-lms_refresh"]
	require.NotEqual(t, c.Value, next.Value)

	r.JSON(&got)
	r = in.as(got).POST("/api/v1/auth/logout", nil).Expect(http.StatusNoContent)
	require.Equal(t, -1, cookiesOf(r)["__Secure-lms_refresh"].MaxAge)
	r = in.With("Cookie", "__Secure-lms_refresh="+next.Value).POST("/api/v1/auth/refresh", body("csrf_token", got.CSRFToken)).Expect(http.StatusUnauthorized)
	require.Equal(t, -1, cookiesOf(r)["__Secure-lms_refresh"].MaxAge, "a dead token is taken back")
}

func cookiesOf(r *testkit.Response) map[string]*http.Cookie {
	out := map[string]*http.Cookie{}
	for _, c := range (&http.Response{Header: r.Header}).Cookies() {
		out[c.Name] = c
	}
	return out
}

func TestSessionsAreListedAndEnded(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	ada, bob := in.users.add("ada@example.org"), in.users.add("bob@example.org")
	a, b, c := in.login(ada), in.login(ada), in.login(ada)
	other := in.login(bob)

	in.as(a).DELETE("/api/v1/auth/sessions/" + b.SessionID.String()).Expect(http.StatusNoContent)
	require.False(t, in.good(b.AccessToken))
	in.as(a).DELETE("/api/v1/auth/sessions/" + b.SessionID.String()).Expect(http.StatusNotFound)
	in.as(a).DELETE("/api/v1/auth/sessions/" + other.SessionID.String()).Expect(http.StatusNotFound)
	require.True(t, in.good(other.AccessToken))

	in.as(a).POST("/api/v1/auth/logout-all?keep_current=true", nil).Expect(http.StatusOK)
	require.True(t, in.good(a.AccessToken))
	require.False(t, in.good(c.AccessToken))
	in.as(a).POST("/api/v1/auth/logout-all", nil).Expect(http.StatusOK)
	require.False(t, in.good(a.AccessToken))
	require.True(t, in.good(other.AccessToken))
	in.POST("/api/v1/auth/logout", nil).Expect(http.StatusUnauthorized).Code("unauthenticated")
	require.Contains(t, in.users.kinds(), internalapi.SecuritySessionEnded)
}

func TestAFlushedStoreLetsNobodyIn(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	ada := in.users.add("ada@example.org")
	got := in.login(ada)
	in.store.Flush()
	require.False(t, in.good(got.AccessToken))
	in.POST("/api/v1/auth/refresh", body("refresh_token", got.RefreshToken)).Expect(http.StatusUnauthorized).Code("session_ended")
	in.as(got).POST("/api/v1/auth/password/change", body("current_password", ada.password, "new_password", "a new password")).Expect(http.StatusUnauthorized).Code("session_ended")
	require.True(t, in.good(in.login(ada).AccessToken), "a new login is all it takes; the keys are still there")
}

func TestTwoReplicasServeOneInstallation(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	core, router := in.replica()
	require.NoError(t, core.Keys.Sync(t.Context()))
	other := testkit.Server(t, router, nil)
	got := in.login(in.users.add("ada@example.org"))
	other.WithToken(got.AccessToken).GET("/api/v1/auth/sessions").Expect(http.StatusOK)
	var next tokens
	other.POST("/api/v1/auth/refresh", body("refresh_token", got.RefreshToken)).Expect(http.StatusOK).JSON(&next)
	in.as(next).POST("/api/v1/auth/logout", nil).Expect(http.StatusNoContent)
	other.POST("/api/v1/auth/refresh", body("refresh_token", next.RefreshToken)).Expect(http.StatusUnauthorized)
}
