package app

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/auth/internal/oidc"
	"lms/apps/auth/internal/oidc/oidctest"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/testkit"
)

type client struct {
	ID     string `json:"id"`
	Secret string `json:"client_secret"`
}

func (in *installation) client(as *testkit.Client) client {
	in.t.Helper()
	var c client
	as.POST("/api/v1/auth/clients", body("org_unit_id", tenant, "name", "sis", "grants", []authz.Grant{
		{Role: authz.RoleInstructor, Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: tenant}},
	})).Expect(http.StatusCreated).JSON(&c)
	return c
}

func TestServiceAccounts(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	boss := in.as(in.login(in.users.add("boss@example.org", admin)))
	c := in.client(boss)
	grant := func(kv ...string) *testkit.Response {
		return in.form("/oauth2/token", append([]string{"grant_type", "client_credentials", "client_id", c.ID, "client_secret", c.Secret}, kv...)...)
	}
	var got tokens
	r := grant().Expect(http.StatusOK)
	r.JSON(&got)
	require.Equal(t, "no-store", r.Header.Get("Cache-Control"))
	require.Empty(t, got.RefreshToken)
	require.True(t, in.good(got.AccessToken))
	p, claims, err := in.core.minter.Verifier.Verify(t.Context(), got.AccessToken)
	require.NoError(t, err)
	require.Equal(t, c.ID, p.UserID.String())
	require.Equal(t, c.ID, claims.ClientID)
	require.Nil(t, p.Limited)

	var limited tokens
	grant("scope", "course:read course:create course:read").Expect(http.StatusOK).JSON(&limited)
	p, _, err = in.core.minter.Verifier.Verify(t.Context(), limited.AccessToken)
	require.NoError(t, err)
	require.Equal(t, []authz.Permission{"course:create", "course:read"}, p.Limited)
	oauth := func(r *testkit.Response, status int, code string) {
		t.Helper()
		require.Equal(t, code, r.Expect(status).Problem().All["error"])
	}
	oauth(grant("scope", "course:everything"), http.StatusBadRequest, "invalid_scope")
	oauth(in.form("/oauth2/token"), http.StatusBadRequest, "invalid_request")
	oauth(in.form("/oauth2/token", "grant_type", "password", "username", "a", "password", "b"), http.StatusBadRequest, "unsupported_grant_type")
	oauth(grant("client_id", c.ID), http.StatusBadRequest, "invalid_request")
	r = in.form("/oauth2/token", "grant_type", "client_credentials", "client_id", c.ID, "client_secret", "wrong")
	oauth(r, http.StatusUnauthorized, "invalid_client")
	require.Contains(t, r.Header.Get("Www-Authenticate"), "Basic")
	oauth(in.form("/oauth2/token", "grant_type", "client_credentials", "client_id", "nobody", "client_secret", "x"), http.StatusUnauthorized, "invalid_client")
	in.POST("/oauth2/token", body("grant_type", "client_credentials")).Expect(http.StatusUnsupportedMediaType)
	in.With("Content-Type", "application/x-www-form-urlencoded").With("X-OAuth-Client-Id", c.ID).With("X-OAuth-Client-Secret", c.Secret).
		Do(http.MethodPost, "/oauth2/token", "grant_type=client_credentials").Expect(http.StatusOK)

	// What changes about a client ends its tokens.
	boss.PUT("/api/v1/auth/clients/"+c.ID+"/grants", body("grants", []authz.Grant{})).Expect(http.StatusOK)
	require.False(t, in.good(got.AccessToken))
	grant().Expect(http.StatusOK).JSON(&got)
	require.True(t, in.good(got.AccessToken))
	var next client
	boss.POST("/api/v1/auth/clients/"+c.ID+"/secrets", body("revoke_others", true)).Expect(http.StatusCreated).JSON(&next)
	require.False(t, in.good(got.AccessToken))
	oauth(grant(), http.StatusUnauthorized, "invalid_client")
	c.Secret = next.Secret
	grant().Expect(http.StatusOK).JSON(&got)
	boss.DELETE("/api/v1/auth/clients/" + c.ID).Expect(http.StatusNoContent)
	require.False(t, in.good(got.AccessToken))
	oauth(grant(), http.StatusUnauthorized, "invalid_client")

	in.as(in.login(in.users.add("ada@example.org"))).GET("/api/v1/auth/clients").Expect(http.StatusForbidden)
}

func TestRepeatedRequestsMakeOneClient(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	boss := in.as(in.login(in.users.add("boss@example.org", admin)))
	keyed := boss.With("Idempotency-Key", "client-1")
	first := in.client(keyed)
	second := in.client(keyed)
	require.Equal(t, first.ID, second.ID)
	require.NotEqual(t, first.Secret, second.Secret, "the secret is made anew")
	require.Len(t, in.users.clients, 1)
	in.form("/oauth2/token", "grant_type", "client_credentials", "client_id", first.ID, "client_secret", first.Secret).Expect(http.StatusUnauthorized)
	in.form("/oauth2/token", "grant_type", "client_credentials", "client_id", first.ID, "client_secret", second.Secret).Expect(http.StatusOK)

	path := "/api/v1/auth/clients/" + first.ID + "/secrets"
	keyed.POST(path, body()).Expect(http.StatusCreated)
	keyed.POST(path, body()).Expect(http.StatusConflict).Code("secret_already_shown")
	require.Len(t, in.users.secrets, 2)
}

func TestIntrospectionAndRevocation(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	boss := in.as(in.login(in.users.add("boss@example.org", admin)))
	c := in.client(boss)
	ada := in.login(in.users.add("ada@example.org"))
	stranger := in.login(in.users.add("foreign@example.org", func(p *person) { p.TenantID = uuid.New() }))
	introspect := func(token string) map[string]any {
		var m map[string]any
		in.form("/oauth2/introspect", "client_id", c.ID, "client_secret", c.Secret, "token", token).Expect(http.StatusOK).JSON(&m)
		return m
	}
	got := introspect(ada.AccessToken)
	require.Equal(t, true, got["active"])
	require.Equal(t, ada.UserID.String(), got["sub"])
	require.Equal(t, ada.SessionID.String(), got["sid"])
	require.Equal(t, true, introspect(ada.RefreshToken)["active"])
	require.Equal(t, "refresh_token", introspect(ada.RefreshToken)["token_type"])
	nothing := map[string]any{"active": false}
	for _, token := range []string{"nonsense", stranger.AccessToken, stranger.RefreshToken, ada.AccessToken[:len(ada.AccessToken)-4] + "AAAA", "lms_pat_none", "lms_rt_none"} {
		require.Equal(t, nothing, introspect(token))
	}
	in.form("/oauth2/introspect", "token", ada.AccessToken).Expect(http.StatusUnauthorized)
	in.form("/oauth2/introspect", "client_id", c.ID, "client_secret", c.Secret).Expect(http.StatusBadRequest)

	// Using introspection does not use the refresh token up.
	in.form("/oauth2/token", "grant_type", "refresh_token", "refresh_token", ada.RefreshToken).Expect(http.StatusOK).JSON(&ada)
	require.Equal(t, true, introspect(ada.AccessToken)["active"])

	in.form("/oauth2/revoke", "token", "nonsense").Expect(http.StatusOK)
	in.form("/oauth2/revoke", "token", ada.RefreshToken, "client_id", c.ID, "client_secret", "wrong").Expect(http.StatusUnauthorized)
	in.form("/oauth2/revoke", "token", ada.RefreshToken, "token_type_hint", "refresh_token").Expect(http.StatusOK)
	require.False(t, in.good(ada.AccessToken))
	require.Equal(t, nothing, introspect(ada.AccessToken))
	require.Equal(t, "invalid_grant", in.form("/oauth2/token", "grant_type", "refresh_token", "refresh_token", ada.RefreshToken).
		Expect(http.StatusBadRequest).Problem().All["error"])

	var service tokens
	in.form("/oauth2/token", "grant_type", "client_credentials", "client_id", c.ID, "client_secret", c.Secret).Expect(http.StatusOK).JSON(&service)
	in.form("/oauth2/revoke", "token", service.AccessToken).Expect(http.StatusOK)
	require.False(t, in.good(service.AccessToken))

	var pat struct{ Token string }
	boss.POST("/api/v1/me/tokens", body("name", "ci", "permissions", []string{"course:read"}, "expires_at", in.clock.Now().Add(time.Hour))).Expect(http.StatusCreated).JSON(&pat)
	require.Equal(t, "course:read", introspect(pat.Token)["scope"])
	in.form("/oauth2/revoke", "token", pat.Token).Expect(http.StatusOK)
	require.Equal(t, nothing, introspect(pat.Token))
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	r := in.GET("/.well-known/oauth-authorization-server").Expect(http.StatusOK)
	var m map[string]any
	r.JSON(&m)
	require.Equal(t, issuer, m["issuer"])
	require.Equal(t, issuer+"/oauth2/token", m["token_endpoint"])
	in.With("If-None-Match", r.ETag()).GET("/.well-known/oauth-authorization-server").Expect(http.StatusNotModified)
}

func TestServicesProveThemselves(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	ada := in.login(in.users.add("ada@example.org"))
	path := internalapi.PathServiceTokens
	user := in.service("user", userToken)
	for _, bad := range [][2]string{{"user", "the secret of another one"}, {"user", ""}, {"nobody", userToken}, {"../user", userToken}, {"user", strings.Repeat("x", 5000)}} {
		in.POST(path, body("service", bad[0], "secret", bad[1])).Expect(http.StatusUnauthorized).Code("invalid_service_secret")
	}
	in.as(ada).POST(path, body("service", "user", "secret", userToken)).Expect(http.StatusNotFound)

	id := ada.UserID.String()
	var list internalapi.SessionList
	user.GET("/internal/users/" + id + "/sessions").Expect(http.StatusOK).JSON(&list)
	require.Len(t, list.Items, 1)
	gateway := in.service("gateway", "the secret of the gateway")
	gateway.GET("/internal/users/" + id + "/sessions").Expect(http.StatusForbidden)
	routes := map[string]string{
		"/internal/users/" + id + "/sessions": http.MethodGet, internalapi.PathRotateKeys: http.MethodPost,
		internalapi.PathExchangeToken: http.MethodPost, "/internal/calls/end-sessions": http.MethodPost,
	}
	for p, method := range routes {
		in.Do(method, p, nil).Expect(http.StatusUnauthorized)
		in.as(ada).Do(method, p, nil).Expect(http.StatusNotFound)
	}
	user.WithToken("").GET("/api/v1/auth/sessions").Expect(http.StatusUnauthorized)
	user.GET("/api/v1/auth/sessions").Expect(http.StatusUnauthorized)
}

func TestUserEndsSessions(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	p := in.users.add("ada@example.org")
	a, b, c := in.login(p), in.login(p), in.login(p)
	user := in.service("user", userToken)
	call := func(o internalapi.EndSessions) int {
		var r internalapi.EndSessionsReply
		raw, err := json.Marshal(o)
		require.NoError(t, err)
		user.POST("/internal/calls/end-sessions", body("call_id", uuid.New(), "source", "user", "key", o.UserID, "seq", 1,
			"tenant_id", tenant, "time", in.clock.Now(), "data", json.RawMessage(raw), "a_later_field", true)).Expect(http.StatusOK).JSON(&r)
		return r.Ended
	}
	in.users.change(p.UserID, func(p *person) { p.Epoch = 2 })
	require.Zero(t, call(internalapi.EndSessions{UserID: p.UserID, EpochOnly: true, Epoch: 2, Reason: "roles_changed"}))
	require.False(t, in.good(a.AccessToken))
	in.POST("/api/v1/auth/refresh", body("refresh_token", a.RefreshToken)).Expect(http.StatusOK).JSON(&a)
	require.True(t, in.good(a.AccessToken))

	var r internalapi.EndSessionsReply
	user.DELETE("/internal/users/" + p.UserID.String() + "/sessions?session_id=" + b.SessionID.String()).Expect(http.StatusOK).JSON(&r)
	require.Equal(t, 1, r.Ended)
	user.DELETE("/internal/users/" + p.UserID.String() + "/sessions?session_id=" + b.SessionID.String()).Expect(http.StatusNotFound)
	require.Equal(t, 1, call(internalapi.EndSessions{UserID: p.UserID, ExceptSession: a.SessionID, Epoch: 2}))
	require.False(t, in.good(c.AccessToken))
	require.True(t, in.good(a.AccessToken))
	require.Equal(t, 1, call(internalapi.EndSessions{UserID: p.UserID, Epoch: 3, Reason: "deactivated"}))
	require.Zero(t, call(internalapi.EndSessions{UserID: p.UserID, Epoch: 3, Reason: "deactivated"}), "again")
	in.POST("/api/v1/auth/login", body("email", p.Email, "password", p.password)).Expect(http.StatusUnauthorized).Code("session_ended")
	user.POST("/internal/calls/end-sessions", body("data", body())).Expect(http.StatusUnprocessableEntity)
	user.POST("/internal/calls/end-sessions", body("data", body("user_id", 5))).Expect(http.StatusBadRequest)
}

func TestRotationRejectsNoValidToken(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	ada := in.login(in.users.add("ada@example.org"))
	operator := in.service("lms", "the secret of the operator")
	var r internalapi.RotateKeysReply
	operator.POST(internalapi.PathRotateKeys, body("reason", "a drill")).Expect(http.StatusOK).JSON(&r)
	require.Len(t, r.Published, 2)
	require.True(t, in.good(ada.AccessToken))
	in.clock.Advance(10 * time.Minute)
	fresh := in.login(in.users.add("bob@example.org"))
	require.True(t, in.good(fresh.AccessToken))
	operator = in.service("lms", "the secret of the operator")
	operator.POST(internalapi.PathRotateKeys, body("compromised", true)).Expect(http.StatusOK)
	stale := fresh.AccessToken
	in.clock.Advance(3 * time.Second) // a verifier asks for an unknown key at most every two
	in.POST("/api/v1/auth/refresh", body("refresh_token", fresh.RefreshToken)).Expect(http.StatusOK).JSON(&fresh)
	require.True(t, in.good(fresh.AccessToken), "a refresh is all it takes")
	require.False(t, in.good(stale), "whoever has seen the new key knows the others no more")
}

func TestSingleSignOn(t *testing.T) {
	t.Parallel()
	idp := oidctest.New(t)
	in := newInstallation(t, func(p *parts) {
		providers, err := oidc.New(oidc.Options{Issuers: []string{idp.URL}, Now: time.Now})
		require.NoError(t, err)
		p.providers = providers
		p.config.ReturnOrigins = []string{"https://app.lms.test"}
	})
	ada := in.users.add("ada@example.org")
	var asked internalapi.SSORequest
	answer := func() internalapi.LoginReply {
		s := ada.LoginSubject
		return internalapi.LoginReply{OK: true, Subject: &s}
	}
	in.users.sso = func(r internalapi.SSORequest) internalapi.LoginReply { asked = r; return answer() }
	boss := in.as(in.login(in.users.add("boss@example.org", admin)))
	wish := body("org_unit_id", tenant, "name", "University", "issuer", idp.URL, "client_id", oidctest.ClientID, "client_secret", oidctest.ClientSecret, "enabled", true)
	var made struct {
		ID          uuid.UUID
		CallbackURL string `json:"callback_url"`
	}
	keyed := boss.With("Idempotency-Key", "idp-1")
	r := keyed.POST("/api/v1/auth/identity-providers", wish).Expect(http.StatusCreated)
	r.JSON(&made)
	require.NotContains(t, string(r.Body), oidctest.ClientSecret)
	keyed.POST("/api/v1/auth/identity-providers", wish).Expect(http.StatusCreated)
	require.Len(t, in.users.providers, 1)
	wish["issuer"] = "http://169.254.169.254/"
	boss.POST("/api/v1/auth/identity-providers", wish).Expect(http.StatusUnprocessableEntity).Field("issuer", "not_allowed")
	base := "/api/v1/auth/sso/" + made.ID.String()
	require.Equal(t, issuer+base+"/callback", made.CallbackURL)
	require.Contains(t, string(in.GET("/api/v1/auth/sso").Expect(http.StatusOK).Body), made.ID.String())

	start := func(query string) (target, cookie string) {
		r := in.GET(base + "/start" + query).Expect(http.StatusSeeOther)
		c := cookiesOf(r)["__Secure-lms_sso"]
		require.True(t, c.HttpOnly && c.Secure && c.SameSite == http.SameSiteLaxMode && c.Path == "/api/v1/auth/sso")
		return r.Header.Get("Location"), "__Secure-lms_sso=" + c.Value
	}
	back := func(target, cookie string) *testkit.Response {
		return in.With("Cookie", cookie).GET(base + "/callback?" + idp.Visit(target).RawQuery + "&session_state=of-the-provider")
	}

	target, cookie := start("?device_name=lab")
	var got tokens
	back(target, cookie).Expect(http.StatusOK).JSON(&got)
	require.True(t, in.good(got.AccessToken))
	require.Equal(t, "ada-at-the-provider", asked.Subject)
	require.Equal(t, "ada@example.org", asked.Email)
	require.True(t, asked.EmailVerified)
	require.Equal(t, "lab", asked.Device)

	t.Run("a page, by cookie", func(t *testing.T) {
		target, cookie := start("?return_to=/courses")
		r := back(target, cookie).Expect(http.StatusSeeOther)
		require.Equal(t, "/courses", r.Header.Get("Location"))
		require.NotEmpty(t, cookiesOf(r)["__Secure-lms_refresh"].Value)
	})
	t.Run("once, and in the browser that began", func(t *testing.T) {
		target, cookie := start("")
		query := base + "/callback?" + idp.Visit(target).RawQuery
		_, another := start("")
		in.GET(query).Expect(http.StatusBadRequest).Code("sso_state_invalid")
		in.With("Cookie", another).GET(query).Expect(http.StatusBadRequest).Code("sso_state_invalid")
		in.With("Cookie", cookie).GET(query).Expect(http.StatusOK)
		in.With("Cookie", cookie).GET(query).Expect(http.StatusBadRequest).Code("sso_state_invalid")
	})
	t.Run("no open redirect", func(t *testing.T) {
		for _, bad := range []string{"https://evil.test", "//evil.test", "/%5Cevil.test", "https://app.lms.test.evil.test/", "https://user@app.lms.test/", "javascript:alert(1)", "relative", "/a%0d%0aSet-Cookie:x=y"} {
			in.GET(base+"/start?return_to="+bad).Expect(http.StatusUnprocessableEntity).Field("query.return_to", "not_allowed")
		}
		start("?return_to=https://app.lms.test/welcome")
	})
	t.Run("the second factor is asked for here too", func(t *testing.T) {
		in.users.sso = func(internalapi.SSORequest) internalapi.LoginReply {
			r := answer()
			r.Subject.MFAEnabled = true
			return r
		}
		target, cookie := start("?return_to=/courses")
		r := back(target, cookie).Expect(http.StatusSeeOther)
		require.Contains(t, r.Header.Get("Location"), "/courses#mfa_challenge=")
		require.Nil(t, cookiesOf(r)["__Secure-lms_refresh"])
	})
	t.Run("refusals", func(t *testing.T) {
		in.users.sso = func(internalapi.SSORequest) internalapi.LoginReply { return refuse(internalapi.RefusalUnknownSubject) }
		target, cookie := start("")
		back(target, cookie).Expect(http.StatusForbidden).Code("account_unknown")
		target, cookie = start("?return_to=/courses")
		require.Equal(t, "/courses#error=account_unknown", back(target, cookie).Expect(http.StatusSeeOther).Header.Get("Location"))
		target, cookie = start("")
		state := idp.Visit(target).Query().Get("state")
		in.With("Cookie", cookie).GET(base + "/callback?error=access_denied&state=" + state).Expect(http.StatusForbidden).Code("sso_denied")
	})
	t.Run("linking an account", func(t *testing.T) {
		in.users.sso = func(r internalapi.SSORequest) internalapi.LoginReply { asked = r; return answer() }
		var to struct {
			URL string `json:"authorization_url"`
		}
		r := in.as(got).POST("/api/v1/auth/identity-providers/"+made.ID.String()+"/link", body()).Expect(http.StatusOK)
		r.JSON(&to)
		done := back(to.URL, "__Secure-lms_sso="+cookiesOf(r)["__Secure-lms_sso"].Value).Expect(http.StatusOK)
		require.Equal(t, ada.UserID, asked.LinkTo)
		require.NotContains(t, string(done.Body), "access_token")
	})
	t.Run("switched off", func(t *testing.T) {
		path := "/api/v1/auth/identity-providers/" + made.ID.String()
		boss.PATCH(path, body("enabled", false)).Expect(http.StatusPreconditionRequired)
		boss.With("If-Match", `"v9"`).PATCH(path, body("enabled", false)).Expect(http.StatusPreconditionFailed)
		boss.With("If-Match", `"v1"`).PATCH(path, body("enabled", false)).Expect(http.StatusOK)
		in.GET(base + "/start").Expect(http.StatusNotFound)
		boss.DELETE(path).Expect(http.StatusNoContent)
		in.GET(base + "/start").Expect(http.StatusNotFound)
	})
}
