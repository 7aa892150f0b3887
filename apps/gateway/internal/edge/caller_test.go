package edge_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/gateway/internal/edge"
	"lms/shared/authn"
	"lms/shared/clock"
	"lms/shared/contracts/internalapi"
	"lms/shared/testkit"
)

func TestTheTokenIsCheckedBeforeAnythingElse(t *testing.T) {
	t.Parallel()
	w := start(t)
	c, p := w.user(t)
	c.GET("/api/v1/users").Expect(200)
	before := w.sidecar.calls()
	claims := func(change func(*authn.Claims)) string {
		k := w.tokens.Claims(p)
		change(&k)
		return w.tokens.Sign(k)
	}
	for name, tc := range map[string]struct{ header, code string }{
		"nonsense":        {"Bearer nonsense", "invalid_token"},
		"empty":           {"Bearer ", "invalid_token"},
		"scheme":          {"Digest x", "invalid_token"},
		"basic":           {"Basic ZGFwci1hcHAtaWQ6dXNlcg==", "invalid_token"},
		"expired":         {"Bearer " + claims(func(c *authn.Claims) { c.ExpiresAt.Time = time.Now().Add(-time.Minute) }), "token_expired"},
		"service's token": {"Bearer " + w.tokens.For(testkit.Service("course")), "invalid_token"},
		"without a sid":   {"Bearer " + claims(func(c *authn.Claims) { c.SessionID = "" }), "session_ended"},
		"another sid":     {"Bearer " + claims(func(c *authn.Claims) { c.SessionID = uuid.NewString() }), "session_ended"},
		"older epoch":     {"Bearer " + claims(func(c *authn.Claims) { c.Epoch = 0 }), "session_ended"},
		"later epoch":     {"Bearer " + claims(func(c *authn.Claims) { c.Epoch = 2 }), "session_ended"},
	} {
		res := w.With("Authorization", tc.header).GET("/api/v1/users").Expect(401)
		require.Equal(t, tc.code, res.Problem().Code, name)
		require.Contains(t, res.Header.Get("WWW-Authenticate"), "Bearer", name)
	}
	require.Equal(t, before, w.sidecar.calls(), "no service was asked")
}

func TestSigningInWorksWithAnExpiredToken(t *testing.T) {
	t.Parallel()
	w := start(t)
	c := w.With("Authorization", "Bearer expired")
	for _, path := range []string{"login", "refresh", "mfa", "password/forgot", "password/reset", "email/verify", "email/resend", "invitations/accept", "sso/x/start"} {
		c.POST("/api/v1/auth/"+path, `{}`).Expect(200)
		require.Empty(t, w.sidecar.last(t).header.Get("Authorization"), path)
	}
	for _, path := range []string{"mfa/totp", "mfa/recovery-codes", "sessions", "logout", "clients"} {
		c.POST("/api/v1/auth/"+path, `{}`).Expect(401)
	}
}

func manual() (*clock.Manual, func(*edge.Options)) {
	m := clock.NewManual(time.Now())
	return m, func(o *edge.Options) { o.Now = m.Now }
}

func TestSessionsAreReadOncePerTwoSeconds(t *testing.T) {
	t.Parallel()
	now, opt := manual()
	w := start(t, opt)
	c, p := w.user(t)
	for range 10 {
		c.GET("/api/v1/users").Expect(200)
	}
	require.Equal(t, 1, w.sidecar.readsOf())
	now.Advance(1900 * time.Millisecond)
	w.sidecar.signOut(p)
	c.GET("/api/v1/users").Expect(200)
	now.Advance(100 * time.Millisecond)
	c.GET("/api/v1/users").Expect(401).Code("session_ended")
	reads := w.sidecar.readsOf()
	for range 10 {
		c.GET("/api/v1/users").Expect(401).Code("session_ended")
	}
	require.Equal(t, reads, w.sidecar.readsOf(), "a refusal is not looked up for each request")
}

func TestANewSessionIsKnownAtOnce(t *testing.T) {
	t.Parallel()
	now, opt := manual()
	w := start(t, opt)
	p := testkit.User(uuid.New())
	w.As(p).GET("/api/v1/users").Expect(401).Code("session_ended")
	now.Advance(time.Millisecond)
	q := p
	q.SessionID = uuid.New()
	w.sidecar.signIn(t, q, 1, now.Now())
	w.As(q).GET("/api/v1/users").Expect(200)
	// A role change moves the epoch: the new token works at once, the old one
	// within two seconds no more.
	now.Advance(time.Millisecond)
	w.sidecar.signIn(t, q, 2, now.Now())
	claims := w.tokens.Claims(q)
	claims.Epoch = 2
	w.WithToken(w.tokens.Sign(claims)).GET("/api/v1/users").Expect(200)
	w.As(q).GET("/api/v1/users").Expect(401)
}

func TestWithoutTheStoreAVerdictServesTwoSecondsMore(t *testing.T) {
	t.Parallel()
	now, opt := manual()
	w := start(t, opt)
	c, _ := w.user(t)
	c.GET("/api/v1/users").Expect(200)
	w.sidecar.setBroken(errors.New("connection refused"))
	now.Advance(3900 * time.Millisecond)
	c.GET("/api/v1/users").Expect(200)
	now.Advance(100 * time.Millisecond)
	c.GET("/api/v1/users").Expect(503).Code("sessions_unavailable")
	other, _ := w.user(t)
	other.GET("/api/v1/users").Expect(503).Code("sessions_unavailable")
	w.GET("/api/v1/terms").Expect(200)
	w.sidecar.setBroken(nil)
	c.GET("/api/v1/users").Expect(200)
}

func TestSessionsEndByTime(t *testing.T) {
	t.Parallel()
	now, opt := manual()
	w := start(t, opt)
	p := testkit.User(uuid.New())
	w.sidecar.signIn(t, p, 1, now.Now(), func(d *internalapi.SessionDocument) { d.Sessions[0].IdleExpiresAt = now.Now().Add(time.Second) })
	w.As(p).GET("/api/v1/users").Expect(200)
	now.Advance(time.Second)
	w.As(p).GET("/api/v1/users").Expect(401).Code("session_ended")
}

func TestWhoIsSignedOutNoLongerActsAsOthers(t *testing.T) {
	t.Parallel()
	now, opt := manual()
	w := start(t, opt)
	_, support := w.user(t)
	p := testkit.User(uuid.New())
	p.Impersonator, p.ReadOnly = support.UserID, true
	w.sidecar.signIn(t, p, 1, now.Now(), func(d *internalapi.SessionDocument) {
		d.Sessions[0].Actor, d.Sessions[0].ActorSession = support.UserID, support.SessionID
	})
	w.As(p).GET("/api/v1/users").Expect(200)
	w.sidecar.signOut(support)
	now.Advance(2 * time.Second)
	w.As(p).GET("/api/v1/users").Expect(401).Code("session_ended")
}

func TestADocumentOfSomebodyElseIsNoProof(t *testing.T) {
	t.Parallel()
	w := start(t)
	p, other := testkit.User(uuid.New()), testkit.User(uuid.New())
	w.sidecar.signIn(t, p, 1, time.Now(), func(d *internalapi.SessionDocument) { d.Subject = other.UserID })
	w.As(p).GET("/api/v1/users").Expect(503)
}

func TestManyRequestsReadTheSessionOnce(t *testing.T) {
	t.Parallel()
	w := start(t)
	p := testkit.User(uuid.New())
	w.sidecar.signIn(t, p, 1, time.Now())
	c := w.As(p)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { c.GET("/api/v1/users").Expect(200) })
	}
	wg.Wait()
	require.LessOrEqual(t, w.sidecar.readsOf(), 2)
}

func TestPersonalAccessTokensAreExchanged(t *testing.T) {
	t.Parallel()
	now, opt := manual()
	w := start(t, opt)
	p := testkit.User(uuid.New())
	p.SessionID = uuid.Nil // what auth gives for the way inside has no session
	inner := w.tokens.For(p)
	exchanges, good := 0, true
	var asked internalapi.ExchangeRequest
	w.sidecar.answers(func(app string, rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != internalapi.PathExchangeToken {
			reply("application/json", `{}`)(app, rw, r)
			return
		}
		exchanges++
		last := w.sidecar.last(t)
		_ = json.Unmarshal([]byte(last.body), &asked)
		if !good {
			rw.Header().Set("Content-Type", "application/problem+json")
			rw.WriteHeader(401)
			_, _ = rw.Write([]byte(`{"status":401,"code":"invalid_token","title":"Unauthorized"}`))
			return
		}
		reply("application/json", `{"access_token":"`+inner+`","expires_in":60}`)(app, rw, r)
	})
	c := w.WithToken(internalapi.PersonalTokenPrefix + "abc")
	c.GET("/api/v1/users").Expect(200)
	require.Equal(t, "Bearer "+inner, w.sidecar.last(t).header.Get("Authorization"))
	require.Equal(t, internalapi.PersonalTokenPrefix+"abc", asked.Token)
	require.Equal(t, "192.0.2.1", asked.From.IP)
	c.GET("/api/v1/users").Expect(200)
	require.Equal(t, 1, exchanges)
	good = false
	now.Advance(2 * time.Second)
	c.GET("/api/v1/users").Expect(401).Code("invalid_token")
	c.GET("/api/v1/users").Expect(401).Code("invalid_token")
	require.Equal(t, 2, exchanges)
	w.WithToken(inner).GET("/api/v1/users").Expect(401).Code("session_ended") // worth nothing from outside
	w.WithToken(internalapi.PersonalTokenPrefix + strings.Repeat("a", 300)).GET("/api/v1/users").Expect(401)
	require.Equal(t, 2, exchanges)
}

func TestBasicIsTranslatedAtTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	w := start(t)
	form := w.With("Content-Type", "application/x-www-form-urlencoded")
	basic := func(id, secret string) *testkit.Client {
		r := http.Request{Header: http.Header{}}
		r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
		return form.With("Authorization", r.Header.Get("Authorization"))
	}
	basic("client:1", "s e%c").POST("/oauth2/token", "grant_type=client_credentials").Expect(200)
	got := w.sidecar.last(t)
	require.Empty(t, got.header.Get("Authorization"))
	values, err := url.ParseQuery(got.body)
	require.NoError(t, err)
	require.Equal(t, url.Values{"grant_type": {"client_credentials"}, "client_id": {"client:1"}, "client_secret": {"s e%c"}}, values)
	calls := w.sidecar.calls()
	basic("dapr-app-id", "user").POST("/oauth2/token", "a=b").Expect(401).Code("invalid_client")
	basic("DAPR-APP-ID", "user").POST("/oauth2/token", "a=b").Expect(401).Code("invalid_client")
	basic("a", "b").POST("/oauth2/token", "client_secret=c").Expect(400)
	basic("a", "b").POST("/oauth2/token", "client_id=c").Expect(400)
	basic("a", "b").GET("/oauth2/introspect").Expect(400)
	form.With("Authorization", "Basic nonsense").POST("/oauth2/token", "a=b").Expect(401).Code("invalid_client")
	require.Equal(t, calls, w.sidecar.calls())
	basic("a", "b").POST("/oauth2/token", "client_id=a&grant_type=x").Expect(200)
	form.POST("/oauth2/token", "client_id=a&client_secret=b").Expect(200)
	require.Equal(t, "client_id=a&client_secret=b", w.sidecar.last(t).body)
}

func TestCookiesAreForAuthAndNotForOtherSites(t *testing.T) {
	t.Parallel()
	w := start(t, func(o *edge.Options) { o.Config.CORSOrigins = []string{"https://app.test"} })
	w.sidecar.answers(reply("application/json", `{}`, "Set-Cookie", "refresh=2; HttpOnly"))
	c := w.With("Cookie", "refresh=1")
	refresh := "/api/v1/auth/refresh"
	for name, tc := range map[string]struct {
		client *testkit.Client
		status int
	}{
		"no browser":      {c, 200},
		"own page":        {c.With("Origin", "https://lms.test"), 200},
		"allowed page":    {c.With("Origin", "https://app.test"), 200},
		"own, by fetch":   {c.With("Sec-Fetch-Site", "same-origin"), 200},
		"other page":      {c.With("Origin", "https://evil.test"), 403},
		"null":            {c.With("Origin", "null"), 403},
		"other, by fetch": {c.With("Sec-Fetch-Site", "cross-site"), 403},
		"sibling":         {c.With("Sec-Fetch-Site", "same-site"), 403},
	} {
		res := tc.client.POST(refresh, nil)
		require.Equal(t, tc.status, res.Status, name)
		if tc.status == 200 {
			require.Equal(t, "refresh=1", w.sidecar.last(t).header.Get("Cookie"), name)
			require.Equal(t, "refresh=2; HttpOnly", res.Header.Get("Set-Cookie"), name)
		} else {
			res.Code("cross_site_request")
		}
	}
	w.With("Origin", "https://evil.test").POST(refresh, `{"refresh_token":"x"}`).Expect(200) // no cookie, nothing to abuse
	c.With("Sec-Fetch-Site", "cross-site").With("Sec-Fetch-Mode", "navigate").GET("/api/v1/auth/sso/x/callback").Expect(200)
}
