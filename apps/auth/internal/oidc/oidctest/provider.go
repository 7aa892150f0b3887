// Package oidctest is an OpenID Connect provider for tests, on a loopback port:
// discovery, authorization, token exchange with PKCE, signed ID tokens.
package oidctest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// The client that the provider knows.
const (
	ClientID     = "lms-client"
	ClientSecret = "the client's secret at the provider"
)

// Provider is the provider. Set its hooks before it is used.
type Provider struct {
	*httptest.Server
	// Person are the claims of who signs in.
	Person jwt.MapClaims
	// Discovery changes the discovery document.
	Discovery func(doc map[string]any)
	// Token changes the claims of an ID token, and may sign it itself.
	Token func(claims jwt.MapClaims, sign func(jwt.SigningMethod, any, jwt.MapClaims) string) string
	// Exchange answers the token endpoint itself.
	Exchange http.HandlerFunc

	t     testing.TB
	key   *rsa.PrivateKey
	mu    sync.Mutex
	codes map[string]url.Values
}

// New starts a provider.
func New(t testing.TB) *Provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	p := &Provider{t: t, key: key, codes: map[string]url.Values{}, Person: jwt.MapClaims{
		"sub": "ada-at-the-provider", "email": "ada@example.org", "email_verified": true, "name": "Ada Lovelace",
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	mux.HandleFunc("GET /keys", p.keys)
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller has gone: the test sees it
}

func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	doc := map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
		"id_token_signing_alg_values_supported": []string{"RS256"}, "response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
	}
	if p.Discovery != nil {
		p.Discovery(doc)
	}
	answer(w, http.StatusOK, doc)
}

// authorize signs the person in without asking and sends the browser back.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("client_id") != ClientID || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || q.Get("state") == "" || q.Get("nonce") == "" {
		http.Error(w, "bad authorization request", http.StatusBadRequest)
		return
	}
	code := uuid.NewString()
	p.mu.Lock()
	p.codes[code] = q
	p.mu.Unlock()
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+url.Values{"code": {code}, "state": {q.Get("state")}}.Encode(), http.StatusFound)
}

func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	if p.Exchange != nil {
		p.Exchange(w, r)
		return
	}
	id, secret, ok := r.BasicAuth()
	if !ok {
		id, secret = r.FormValue("client_id"), r.FormValue("client_secret")
	} else if plain, err := url.QueryUnescape(secret); err == nil {
		secret = plain
	}
	p.mu.Lock()
	asked, known := p.codes[r.FormValue("code")]
	delete(p.codes, r.FormValue("code"))
	p.mu.Unlock()
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	switch {
	case id != ClientID || secret != ClientSecret:
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client"})
		return
	case !known, asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]), asked.Get("redirect_uri") != r.FormValue("redirect_uri"):
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
		return
	}
	now := time.Now()
	claims := jwt.MapClaims{"iss": p.URL, "aud": ClientID, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "nonce": asked.Get("nonce")}
	for k, v := range p.Person {
		claims[k] = v
	}
	idToken := ""
	if p.Token != nil {
		idToken = p.Token(claims, p.sign)
	} else {
		idToken = p.sign(jwt.SigningMethodRS256, p.key, claims)
	}
	answer(w, http.StatusOK, map[string]any{"access_token": uuid.NewString(), "token_type": "Bearer", "expires_in": 60, "id_token": idToken})
}

// sign makes a token; a nil key is the provider's own.
func (p *Provider) sign(method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	if key == nil {
		key = p.key
	}
	t := jwt.NewWithClaims(method, claims)
	t.Header["kid"] = "k1"
	raw, err := t.SignedString(key)
	if err != nil {
		panic(err) // a test that asks for what there is not
	}
	return raw
}

func (p *Provider) keys(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{"keys": []map[string]string{{
		"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "k1",
		"n": base64.RawURLEncoding.EncodeToString(p.key.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(p.key.E)).Bytes()),
	}}})
}

// Visit is the browser at the provider: it follows an authorization request and
// returns where it is sent back to.
func (p *Provider) Visit(target string) *url.URL {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, target, nil)
	require.NoError(p.t, err)
	res, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(req)
	require.NoError(p.t, err)
	defer func() { _ = res.Body.Close() }()
	require.Equal(p.t, http.StatusFound, res.StatusCode)
	back, err := res.Location()
	require.NoError(p.t, err)
	return back
}
