package app

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/testkit"
)

// When the sealing secret is replaced, everything that was made with the one
// before goes on: a browser refreshes, a known device stays known, and the token
// of a replica that was not told yet is good.
func TestAReplacedSealingSecretSignsNobodyOut(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	before := []byte("the sealing secret of an installation in a test")
	ada := in.users.add("ada@example.org")
	var cookie, native tokens
	r := in.POST("/api/v1/auth/login", body("email", ada.Email, "password", ada.password, "cookie", true)).Expect(http.StatusOK)
	r.JSON(&cookie)
	jar := cookiesOf(r)
	in.POST("/api/v1/auth/login", body("email", ada.Email, "password", ada.password)).Expect(http.StatusOK).JSON(&native)

	core, router := in.replica(func(p *parts) {
		p.sealing = [][]byte{[]byte("the sealing secret that takes its place in a test"), before}
	})
	require.NoError(t, core.Keys.Sync(t.Context()))
	now := testkit.Server(t, router, nil).With("Dapr-Caller-App-Id", "gateway").With("X-Forwarded-For", "192.0.2.10").With("User-Agent", "a test")

	browser := now.With("Cookie", "__Secure-lms_refresh="+jar["__Secure-lms_refresh"].Value)
	browser.POST("/api/v1/auth/refresh", body("csrf_token", "guess")).Expect(http.StatusForbidden)
	browser.POST("/api/v1/auth/refresh", body("csrf_token", cookie.CSRFToken)).Expect(http.StatusOK)
	now.POST("/api/v1/auth/refresh", body("refresh_token", native.RefreshToken)).Expect(http.StatusOK)

	// An unknown device has to wait after five failures, this one does not.
	for range 6 {
		now.POST("/api/v1/auth/login", body("email", ada.Email, "password", "wrong"))
	}
	now.POST("/api/v1/auth/login", body("email", ada.Email, "password", ada.password)).Expect(http.StatusTooManyRequests)
	now.POST("/api/v1/auth/login", body("email", ada.Email, "password", ada.password, "device_token", native.DeviceToken)).Expect(http.StatusOK)

	own, err := in.core.minter.Own(in.clock.Now(), time.Minute)
	require.NoError(t, err)
	p, _, err := core.minter.Verifier.Verify(t.Context(), own)
	require.NoError(t, err)
	require.Equal(t, "auth", p.Service)
}

// Whoever ends all sessions ends a login that waits for its second factor, too.
func TestLogoutAllEndsALoginThatWaitsForItsSecondFactor(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	ada := in.users.add("ada@example.org", func(p *person) { p.MFAEnabled, p.code = true, "123456" })
	challenge := func() string {
		var got tokens
		in.POST("/api/v1/auth/login", body("email", ada.Email, "password", ada.password)).Expect(http.StatusOK).JSON(&got)
		return got.Challenge
	}
	answer := func(challenge string) *testkit.Response {
		return in.POST("/api/v1/auth/mfa", body("challenge", challenge, "code", "123456"))
	}
	var own tokens
	answer(challenge()).Expect(http.StatusOK).JSON(&own)
	waiting := challenge()
	in.clock.Advance(time.Second)
	in.as(own).POST("/api/v1/auth/logout-all", nil).Expect(http.StatusOK)
	in.clock.Advance(4 * time.Minute)
	answer(waiting).Expect(http.StatusUnauthorized).Code("session_ended")
	answer(challenge()).Expect(http.StatusOK)
}

// Of many repetitions of one request one token is left.
func TestARequestRepeatedTwiceLeavesOneToken(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	c := in.as(in.login(in.users.add("ada@example.org"))).With("Idempotency-Key", uuid.NewString())
	wish := body("name", "script", "permissions", []string{"course:read"}, "expires_at", in.clock.Now().Add(time.Hour))
	for range 4 {
		c.POST("/api/v1/me/tokens", wish).Expect(http.StatusCreated)
		require.Len(t, in.users.tokens, 1)
	}
}

// The token endpoint gives no refresh token that lives in a cookie, and nothing
// of a person to a client.
func TestTheTokenEndpointTakesNoCookiesToken(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	ada := in.users.add("ada@example.org")
	r := in.POST("/api/v1/auth/login", body("email", ada.Email, "password", ada.password, "cookie", true)).Expect(http.StatusOK)
	refused := func(kv ...string) {
		t.Helper()
		r := in.form("/oauth2/token", append([]string{"grant_type", "refresh_token"}, kv...)...).Expect(http.StatusBadRequest)
		require.Contains(t, string(r.Body), "invalid_grant")
		require.NotContains(t, string(r.Body), "lms_rt_")
	}
	held := cookiesOf(r)["__Secure-lms_refresh"].Value
	refused("refresh_token", held)
	var csrf tokens
	r.JSON(&csrf)
	in.With("Cookie", "__Secure-lms_refresh="+held).POST("/api/v1/auth/refresh", body("csrf_token", csrf.CSRFToken)).Expect(http.StatusOK)
	native := in.login(ada)
	refused("refresh_token", native.RefreshToken, "client_id", uuid.NewString(), "client_secret", "x")
	in.form("/oauth2/token", "grant_type", "refresh_token", "refresh_token", native.RefreshToken).Expect(http.StatusOK)
}
