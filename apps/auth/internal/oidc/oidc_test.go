package oidc_test

import (
	"crypto/rand"
	"crypto/rsa"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"lms/apps/auth/internal/oidc"
	"lms/apps/auth/internal/oidc/oidctest"
	"lms/apps/auth/internal/signin"
	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
)

func setup(t *testing.T, p *oidctest.Provider) (*oidc.Providers, internalapi.IDPSecret, signin.Authorization) {
	t.Helper()
	providers, err := oidc.New(oidc.Options{Issuers: []string{p.URL}, Now: time.Now})
	require.NoError(t, err)
	idp := internalapi.IDPSecret{
		Provider:     internalapi.IdentityProvider{Issuer: p.URL, ClientID: oidctest.ClientID, Enabled: true},
		ClientSecret: oidctest.ClientSecret,
	}
	return providers, idp, signin.Authorization{
		State: "a-state", Nonce: "a-nonce", Verifier: strings.Repeat("verifier-", 6), RedirectURI: "https://lms.test/callback",
	}
}

// code lets the person sign in at the provider.
func code(t *testing.T, p *oidctest.Provider, providers *oidc.Providers, idp internalapi.IDPSecret, a signin.Authorization) string {
	t.Helper()
	target, err := providers.Start(t.Context(), idp, a)
	require.NoError(t, err)
	back := p.Visit(target)
	require.Equal(t, "a-state", back.Query().Get("state"))
	return back.Query().Get("code")
}

func TestSignInWithPKCEAndNonce(t *testing.T) {
	t.Parallel()
	p := oidctest.New(t)
	providers, idp, a := setup(t, p)
	target, err := providers.Start(t.Context(), idp, a)
	require.NoError(t, err)
	u, err := url.Parse(target)
	require.NoError(t, err)
	q := u.Query()
	require.Equal(t, "openid email profile", q.Get("scope"))
	require.Equal(t, "S256", q.Get("code_challenge_method"))
	require.Equal(t, "a-nonce", q.Get("nonce"))
	require.NotContains(t, target, a.Verifier)

	who, err := providers.Finish(t.Context(), idp, a, code(t, p, providers, idp, a))
	require.NoError(t, err)
	require.Equal(t, signin.Identity{Subject: "ada-at-the-provider", Email: "ada@example.org", EmailVerified: true, Name: "Ada Lovelace"}, who)

	p.Person["email_verified"] = "true" // as some write it
	who, err = providers.Finish(t.Context(), idp, a, code(t, p, providers, idp, a))
	require.NoError(t, err)
	require.True(t, who.EmailVerified)
	p.Person["email_verified"] = "yes"
	who, err = providers.Finish(t.Context(), idp, a, code(t, p, providers, idp, a))
	require.NoError(t, err)
	require.False(t, who.EmailVerified)
}

func TestTokensThatAreRefused(t *testing.T) {
	t.Parallel()
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	type signer = func(jwt.SigningMethod, any, jwt.MapClaims) string
	cases := map[string]func(jwt.MapClaims, signer) string{
		"another nonce": func(c jwt.MapClaims, s signer) string { c["nonce"] = "x"; return s(jwt.SigningMethodRS256, nil, c) },
		"no nonce":      func(c jwt.MapClaims, s signer) string { delete(c, "nonce"); return s(jwt.SigningMethodRS256, nil, c) },
		"another issuer": func(c jwt.MapClaims, s signer) string {
			c["iss"] = "https://evil.test"
			return s(jwt.SigningMethodRS256, nil, c)
		},
		"another audience": func(c jwt.MapClaims, s signer) string { c["aud"] = "other"; return s(jwt.SigningMethodRS256, nil, c) },
		"for somebody else of several": func(c jwt.MapClaims, s signer) string {
			c["aud"], c["azp"] = []string{oidctest.ClientID, "other"}, "other"
			return s(jwt.SigningMethodRS256, nil, c)
		},
		"expired": func(c jwt.MapClaims, s signer) string {
			c["exp"] = time.Now().Add(-time.Hour).Unix()
			return s(jwt.SigningMethodRS256, nil, c)
		},
		"no subject":  func(c jwt.MapClaims, s signer) string { delete(c, "sub"); return s(jwt.SigningMethodRS256, nil, c) },
		"another key": func(c jwt.MapClaims, s signer) string { return s(jwt.SigningMethodRS256, stranger, c) },
		"symmetric": func(c jwt.MapClaims, s signer) string {
			return s(jwt.SigningMethodHS256, []byte(oidctest.ClientSecret), c)
		},
		"not signed": func(c jwt.MapClaims, s signer) string {
			return s(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, c)
		},
		"no token at all": func(jwt.MapClaims, signer) string { return "" },
	}
	for name, token := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := oidctest.New(t)
			p.Token = token
			providers, idp, a := setup(t, p)
			_, err := providers.Finish(t.Context(), idp, a, code(t, p, providers, idp, a))
			require.Equal(t, "sso_refused", apperr.Code(err))
		})
	}
}

func TestExchangesThatAreRefused(t *testing.T) {
	t.Parallel()
	p := oidctest.New(t)
	providers, idp, a := setup(t, p)
	c := code(t, p, providers, idp, a)
	stolen := a
	stolen.Verifier = strings.Repeat("another--", 6)
	_, err := providers.Finish(t.Context(), idp, stolen, c)
	require.Equal(t, "sso_refused", apperr.Code(err), "a stolen code without its verifier")
	_, err = providers.Finish(t.Context(), idp, a, c)
	require.Equal(t, "sso_refused", apperr.Code(err), "a code that was used")
	wrong := idp
	wrong.ClientSecret = "wrong"
	_, err = providers.Finish(t.Context(), wrong, a, code(t, p, providers, idp, a))
	require.Equal(t, "sso_refused", apperr.Code(err))

	p.Exchange = func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusBadGateway) }
	_, err = providers.Finish(t.Context(), idp, a, code(t, p, providers, idp, a))
	require.True(t, apperr.IsKind(err, apperr.KindUnavailable))
	p.Exchange = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.Copy(w, io.LimitReader(endless{}, 64<<20)) // nobody reads that much
	}
	_, err = providers.Finish(t.Context(), idp, a, code(t, p, providers, idp, a))
	require.Error(t, err, "an endless answer is cut")
}

// endless is a body that does not end.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

func TestNobodyIsAskedWhoIsNotAllowed(t *testing.T) {
	t.Parallel()
	var hits atomic.Int64
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	t.Cleanup(inside.Close)

	t.Run("an issuer", func(t *testing.T) {
		t.Parallel()
		p := oidctest.New(t)
		providers, idp, a := setup(t, p)
		idp.Provider.Issuer = inside.URL
		require.False(t, providers.Allowed(inside.URL))
		require.False(t, providers.Allowed(p.URL+"/"), "exactly as it names itself")
		_, err := providers.Start(t.Context(), idp, a)
		require.Error(t, err)
	})
	for _, endpoint := range []string{"token_endpoint", "jwks_uri", "authorization_endpoint"} {
		t.Run("a discovery document that points elsewhere: "+endpoint, func(t *testing.T) {
			t.Parallel()
			p := oidctest.New(t)
			providers, idp, a := setup(t, p)
			p.Discovery = func(doc map[string]any) { doc[endpoint] = inside.URL + "/steal" }
			target, err := providers.Start(t.Context(), idp, a)
			if endpoint == "authorization_endpoint" {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			_, err = providers.Finish(t.Context(), idp, a, p.Visit(target).Query().Get("code"))
			require.Error(t, err)
		})
	}
	t.Run("a redirect", func(t *testing.T) {
		t.Parallel()
		p := oidctest.New(t)
		providers, idp, a := setup(t, p)
		p.Exchange = func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, inside.URL, http.StatusTemporaryRedirect)
		}
		_, err := providers.Finish(t.Context(), idp, a, code(t, p, providers, idp, a))
		require.Error(t, err)
	})
	t.Run("a document that names another issuer", func(t *testing.T) {
		t.Parallel()
		p := oidctest.New(t)
		providers, idp, a := setup(t, p)
		p.Discovery = func(doc map[string]any) { doc["issuer"] = "https://other.test" }
		_, err := providers.Start(t.Context(), idp, a)
		require.Error(t, err)
	})
	t.Cleanup(func() { require.Zero(t, hits.Load(), "not one request went there") })
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"http://idp.example.org", "ftp://127.0.0.1", "idp.example.org", "https://user:pw@idp.example.org", "https://idp.example.org?x=1"} {
		_, err := oidc.New(oidc.Options{Issuers: []string{bad}})
		require.Error(t, err, bad)
	}
	p, err := oidc.New(oidc.Options{Issuers: []string{"https://idp.example.org/tenant"}})
	require.NoError(t, err)
	require.True(t, p.Allowed("https://idp.example.org/tenant"))
}

func TestADocumentIsReadAgainAndServesWhileTheProviderIsAway(t *testing.T) {
	t.Parallel()
	p := oidctest.New(t)
	var reads atomic.Int64
	p.Discovery = func(map[string]any) { reads.Add(1) }
	now := time.Now()
	providers, err := oidc.New(oidc.Options{Issuers: []string{p.URL}, Now: func() time.Time { return now }})
	require.NoError(t, err)
	_, idp, a := setup(t, p)
	for range 3 {
		_, err = providers.Start(t.Context(), idp, a)
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, reads.Load())
	now = now.Add(time.Hour)
	_, err = providers.Start(t.Context(), idp, a)
	require.NoError(t, err)
	require.EqualValues(t, 2, reads.Load())
	p.Close()
	now = now.Add(time.Hour)
	_, err = providers.Start(t.Context(), idp, a)
	require.NoError(t, err)
}
