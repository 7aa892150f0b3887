package authn_test

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/apperr"
	"lms/shared/authn"
	"lms/shared/authz"
	"lms/shared/clock"
)

const issuer = "https://lms.test"

// auth is a stand-in for the service: a key set that can change or be away.
type auth struct {
	mu    sync.Mutex
	keys  map[string]ed25519.PrivateKey
	down  error
	asked atomic.Int64
}

func (a *auth) add(t *testing.T, kid string) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.keys == nil {
		a.keys = map[string]ed25519.PrivateKey{}
	}
	a.keys[kid] = key
	return key
}

func (a *auth) remove(kid string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.keys, kid)
}

func (a *auth) setDown(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down = err
}

func (a *auth) fetch(context.Context) ([]byte, error) {
	a.asked.Add(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.down != nil {
		return nil, a.down
	}
	set := authn.JWKS{Keys: []authn.JWK{{KeyType: "RSA", KeyID: "other"}}}
	for kid, key := range a.keys {
		set.Keys = append(set.Keys, authn.PublicJWK(kid, key.Public().(ed25519.PublicKey))) //nolint:forcetypeassert // Ed25519
	}
	return json.Marshal(set)
}

func verifier(a *auth, now func() time.Time) *authn.Verifier {
	return authn.NewVerifier(authn.Config{Issuer: issuer, FetchJWKS: a.fetch, Now: now})
}

func claims(now time.Time) authn.Claims {
	return authn.Claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: issuer, Subject: uuid.NewString(), Audience: jwt.ClaimStrings{authn.AudienceAPI}, ID: uuid.NewString(),
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(5 * time.Minute)),
		},
		SessionID: uuid.NewString(), TenantID: uuid.NewString(), OrgUnitID: uuid.NewString(), Epoch: 3,
		Roles: []authn.RoleClaim{{Role: "org_admin", Scope: "org_unit:" + uuid.NewString()}, {Role: "platform_admin", Scope: "platform"}},
	}
}

func start(t *testing.T) (*auth, ed25519.PrivateKey, *clock.Manual, *authn.Verifier) {
	t.Helper()
	a := &auth{}
	key := a.add(t, "k1")
	c := clock.NewManual(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC))
	return a, key, c, verifier(a, c.Now)
}

func sign(t *testing.T, key ed25519.PrivateKey, kid string, c authn.Claims) string {
	t.Helper()
	raw, err := authn.Sign(key, kid, c)
	require.NoError(t, err)
	return raw
}

func TestVerifyTellsWhoCalls(t *testing.T) {
	t.Parallel()
	a, key, now, v := start(t)
	c := claims(now.Now())
	c.Scope = "course:read course:update"
	c.Act = &authn.ActClaim{Subject: uuid.NewString()}
	p, got, err := v.Verify(t.Context(), sign(t, key, "k1", c))
	require.NoError(t, err)
	require.Equal(t, c.Subject, p.UserID.String())
	require.Equal(t, c.SessionID, p.SessionID.String())
	require.Equal(t, c.TenantID, p.TenantID.String())
	require.Equal(t, c.OrgUnitID, p.OrgUnitID.String())
	require.Equal(t, c.Act.Subject, p.Impersonator.String())
	require.True(t, p.ReadOnly, "acting is read-only unless granted more")
	require.Equal(t, []authz.Permission{"course:read", "course:update"}, p.Limited)
	require.Len(t, p.Grants, 2)
	require.Equal(t, authz.ScopePlatform, p.Grants[1].Scope.Kind)
	require.Equal(t, c.Roles, authn.RolesOf(p.Grants))
	require.EqualValues(t, 3, got.Epoch)
	require.EqualValues(t, 1, a.asked.Load())
}

func TestVerifyTellsServicesFromUsers(t *testing.T) {
	t.Parallel()
	_, key, now, v := start(t)
	c := claims(now.Now())
	c.Subject, c.Audience = authn.ServiceSubject("course"), jwt.ClaimStrings{authn.AudienceInternal}
	p, _, err := v.Verify(t.Context(), sign(t, key, "k1", c))
	require.NoError(t, err)
	require.Equal(t, authz.Principal{Service: "course"}, p)
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	_, key, clk, v := start(t)
	now := clk.Now()
	_, other, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	with := func(change func(*authn.Claims)) string {
		c := claims(now)
		change(&c)
		return sign(t, key, "k1", c)
	}
	header := func(change func(map[string]any)) string {
		tok := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims(now))
		tok.Header["typ"], tok.Header["kid"] = authn.TokenType, "k1"
		change(tok.Header)
		raw, err := tok.SignedString(key)
		require.NoError(t, err)
		return raw
	}
	good := with(func(*authn.Claims) {})
	parts := strings.Split(good, ".")
	cases := map[string]struct{ raw, code string }{
		"empty":              {"", "invalid_token"},
		"not a token":        {"abc", "invalid_token"},
		"too long":           {good + strings.Repeat("A", 8<<10), "invalid_token"},
		"other key":          {sign(t, other, "k1", claims(now)), "invalid_token"},
		"unknown kid":        {sign(t, other, "k9", claims(now)), "invalid_token"},
		"payload changed":    {parts[0] + "." + parts[1][:len(parts[1])-2] + "AA." + parts[2], "invalid_token"},
		"no signature":       {parts[0] + "." + parts[1] + ".", "invalid_token"},
		"alg none":           {unsigned(t, now), "invalid_token"},
		"alg HS256 with JWK": {symmetric(t, key, now), "invalid_token"},
		"typ JWT":            {header(func(h map[string]any) { h["typ"] = "JWT" }), "invalid_token"},
		"no typ":             {header(func(h map[string]any) { delete(h, "typ") }), "invalid_token"},
		"crit":               {header(func(h map[string]any) { h["crit"] = []string{"exp"} }), "invalid_token"},
		"no kid":             {header(func(h map[string]any) { delete(h, "kid") }), "invalid_token"},
		"own jwk":            {ownKey(t, other, now), "invalid_token"},
		"issuer":             {with(func(c *authn.Claims) { c.Issuer = "https://evil.test" }), "invalid_token"},
		"no issuer":          {with(func(c *authn.Claims) { c.Issuer = "" }), "invalid_token"},
		"audience":           {with(func(c *authn.Claims) { c.Audience = jwt.ClaimStrings{"other"} }), "invalid_token"},
		"two audiences":      {with(func(c *authn.Claims) { c.Audience = append(c.Audience, authn.AudienceInternal) }), "invalid_token"},
		"no audience":        {with(func(c *authn.Claims) { c.Audience = nil }), "invalid_token"},
		"user as service":    {with(func(c *authn.Claims) { c.Audience = jwt.ClaimStrings{authn.AudienceInternal} }), "invalid_token"},
		"service as user":    {with(func(c *authn.Claims) { c.Subject = "service:course" }), "invalid_token"},
		"expired":            {with(func(c *authn.Claims) { c.ExpiresAt = jwt.NewNumericDate(now.Add(-6 * time.Second)) }), "token_expired"},
		"no expiry":          {with(func(c *authn.Claims) { c.ExpiresAt = nil }), "invalid_token"},
		"not yet":            {with(func(c *authn.Claims) { c.NotBefore = jwt.NewNumericDate(now.Add(6 * time.Second)) }), "invalid_token"},
		"issued later":       {with(func(c *authn.Claims) { c.IssuedAt = jwt.NewNumericDate(now.Add(6 * time.Second)) }), "invalid_token"},
		"bad sid":            {with(func(c *authn.Claims) { c.SessionID = "x" }), "invalid_token"},
		"bad role scope":     {with(func(c *authn.Claims) { c.Roles = []authn.RoleClaim{{Role: "org_admin", Scope: "org_unit:x"}} }), "invalid_token"},
		"course role":        {with(func(c *authn.Claims) { c.Roles = []authn.RoleClaim{{Role: "x", Scope: "course:" + uuid.NewString()}} }), "invalid_token"},
		"empty role":         {with(func(c *authn.Claims) { c.Roles = []authn.RoleClaim{{Scope: "platform"}} }), "invalid_token"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := v.Verify(t.Context(), tc.raw)
			require.Equal(t, tc.code, apperr.Code(err))
			require.True(t, apperr.IsKind(err, apperr.KindUnauthenticated))
		})
	}
}

func unsigned(t *testing.T, now time.Time) string {
	t.Helper()
	tok := jwt.NewWithClaims(jwt.SigningMethodNone, claims(now))
	tok.Header["typ"], tok.Header["kid"] = authn.TokenType, "k1"
	raw, err := tok.SignedString(jwt.UnsafeAllowNoneSignatureType)
	require.NoError(t, err)
	return raw
}

// symmetric uses the public key as an HMAC secret, the classic confusion.
func symmetric(t *testing.T, key ed25519.PrivateKey, now time.Time) string {
	t.Helper()
	tok := jwt.NewWithClaims(jwt.SigningMethodHS256, claims(now))
	tok.Header["typ"], tok.Header["kid"] = authn.TokenType, "k1"
	signing, err := tok.SigningString()
	require.NoError(t, err)
	pub, ok := key.Public().(ed25519.PublicKey)
	require.True(t, ok)
	m := hmac.New(sha256.New, pub)
	m.Write([]byte(signing))
	return signing + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// ownKey carries its key in the header, as RFC 8725 warns of.
func ownKey(t *testing.T, key ed25519.PrivateKey, now time.Time) string {
	t.Helper()
	tok := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims(now))
	tok.Header["typ"], tok.Header["kid"] = authn.TokenType, "k1"
	tok.Header["jwk"] = authn.PublicJWK("k1", key.Public().(ed25519.PublicKey)) //nolint:forcetypeassert // Ed25519
	tok.Header["jku"], tok.Header["x5u"] = "https://evil.test/jwks", "https://evil.test/cert"
	raw, err := tok.SignedString(key)
	require.NoError(t, err)
	return raw
}

func TestLeewayIsFiveSeconds(t *testing.T) {
	t.Parallel()
	_, key, now, v := start(t)
	raw := sign(t, key, "k1", claims(now.Now()))
	_, _, err := v.Verify(t.Context(), raw)
	require.NoError(t, err)
	now.Advance(5*time.Minute + 4*time.Second)
	_, _, err = v.Verify(t.Context(), raw)
	require.NoError(t, err)
	now.Advance(2 * time.Second)
	_, _, err = v.Verify(t.Context(), raw)
	require.Equal(t, "token_expired", apperr.Code(err))
}

func TestUnknownKidAsksAtMostEveryTwoSeconds(t *testing.T) {
	t.Parallel()
	a, key, now, v := start(t)
	_, _, err := v.Verify(t.Context(), sign(t, key, "k1", claims(now.Now())))
	require.NoError(t, err)
	for range 20 {
		_, _, err := v.Verify(t.Context(), sign(t, key, "forged", claims(now.Now())))
		require.Equal(t, "invalid_token", apperr.Code(err))
	}
	require.EqualValues(t, 1, a.asked.Load())
	key2 := a.add(t, "k2")
	now.Advance(2 * time.Second)
	_, _, err = v.Verify(t.Context(), sign(t, key2, "k2", claims(now.Now())))
	require.NoError(t, err)
	require.EqualValues(t, 2, a.asked.Load())
	_, _, err = v.Verify(t.Context(), sign(t, key, "k1", claims(now.Now())))
	require.NoError(t, err, "the old key stays while the set has it")
}

func TestKeysStayWhileAuthIsAway(t *testing.T) {
	t.Parallel()
	a, key, now, v := start(t)
	_, _, err := v.Verify(t.Context(), sign(t, key, "k1", claims(now.Now())))
	require.NoError(t, err)
	a.setDown(errors.New("connection refused"))
	now.Advance(time.Hour)
	_, _, err = v.Verify(t.Context(), sign(t, key, "k1", claims(now.Now())))
	require.NoError(t, err)
	_, _, err = v.Verify(t.Context(), sign(t, key, "k2", claims(now.Now())))
	require.Equal(t, "keys_unavailable", apperr.Code(err), "it may be a new key: that is not the caller's fault")
}

func TestAWithdrawnKeyEndsCachedVerdicts(t *testing.T) {
	t.Parallel()
	a, key, now, v := start(t)
	raw := sign(t, key, "k1", claims(now.Now()))
	_, _, err := v.Verify(t.Context(), raw)
	require.NoError(t, err)
	key2 := a.add(t, "k2")
	a.remove("k1")
	now.Advance(3 * time.Second)
	_, _, err = v.Verify(t.Context(), sign(t, key2, "k2", claims(now.Now())))
	require.NoError(t, err)
	_, _, err = v.Verify(t.Context(), raw)
	require.Equal(t, "invalid_token", apperr.Code(err))
}

func TestSecondLevelServesAStartWithoutAuth(t *testing.T) {
	t.Parallel()
	a, key, now, _ := start(t)
	var kept []byte
	first := authn.NewVerifier(authn.Config{Issuer: issuer, FetchJWKS: a.fetch, Now: now.Now, SaveJWKS: func(_ context.Context, b []byte) error {
		kept = b
		return nil
	}})
	raw := sign(t, key, "k1", claims(now.Now()))
	_, _, err := first.Verify(t.Context(), raw)
	require.NoError(t, err)
	require.NotEmpty(t, kept)
	a.setDown(errors.New("down"))
	second := authn.NewVerifier(authn.Config{Issuer: issuer, FetchJWKS: a.fetch, Now: now.Now, LoadJWKS: func(context.Context) ([]byte, error) { return kept, nil }})
	_, _, err = second.Verify(t.Context(), raw)
	require.NoError(t, err)
	third := verifier(a, now.Now)
	_, _, err = third.Verify(t.Context(), raw)
	require.Equal(t, "keys_unavailable", apperr.Code(err))
}

func TestRunFetchesWithoutATokenAndEnds(t *testing.T) {
	t.Parallel()
	a := &auth{}
	a.add(t, "k1")
	v := verifier(a, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- v.Run(ctx) }()
	require.Eventually(t, v.Ready, 5*time.Second, 5*time.Millisecond)
	cancel()
	require.NoError(t, <-done)
}

func TestWhoStartsBeforeAuthKnowsTheKeysSoonAfterIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &auth{}
		a.add(t, "k1")
		a.setDown(errors.New("not started yet"))
		v := verifier(a, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- v.Run(ctx) }()

		<-time.After(5 * time.Second) // of the bubble's clock
		require.False(t, v.Ready())
		require.LessOrEqual(t, a.asked.Load(), int64(10), "ever more slowly")
		a.setDown(nil)
		<-time.After(time.Second)
		synctest.Wait()
		require.True(t, v.Ready())
		cancel()
		require.NoError(t, <-done)
	})
}

func TestWhoCallsRightAfterTheStartWaitsForTheFirstKeys(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		there, answered time.Duration
		code            string
	}{
		"auth answers soon":  {there: 500 * time.Millisecond, answered: time.Second},
		"auth does not come": {there: time.Hour, answered: 5 * time.Second, code: "keys_unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := &auth{}
				key := a.add(t, "k1")
				a.setDown(errors.New("the sidecar is not there yet"))
				v := verifier(a, nil)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go func() { _ = v.Run(ctx) }()
				time.AfterFunc(c.there, func() { a.setDown(nil) })
				synctest.Wait()
				began := time.Now()
				_, _, err := v.Verify(t.Context(), sign(t, key, "k1", claims(began)))
				require.Equal(t, c.code, apperr.Code(err))
				require.LessOrEqual(t, time.Since(began), c.answered)
			})
		})
	}
}

func TestParseJWKSNeedsAUsableKey(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{``, `{}`, `{"keys":[]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"AA"}]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","use":"enc","x":"` + base64.RawURLEncoding.EncodeToString(make([]byte, 32)) + `"}]}`} {
		_, err := authn.ParseJWKS([]byte(raw))
		require.Error(t, err, raw)
	}
}

func TestServiceTokens(t *testing.T) {
	t.Parallel()
	now := clock.NewManual(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC))
	var n atomic.Int64
	var down error
	s := authn.NewServiceTokens(func(context.Context) (string, time.Time, error) {
		if down != nil {
			n.Add(1)
			return "", time.Time{}, down
		}
		return "token-" + string('0'+rune(n.Add(1))), now.Now().Add(time.Hour), nil
	}, now.Now)
	get := func(want string) {
		t.Helper()
		got, err := s.Token(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	get("token-1")
	now.Advance(29 * time.Minute)
	get("token-1")
	now.Advance(2 * time.Minute)
	get("token-2")
	s.Forget("token-1")
	get("token-2")
	s.Forget("token-2")
	get("token-3")
	down = errors.New("auth is away")
	now.Advance(31 * time.Minute)
	get("token-3")
	get("token-3")
	require.EqualValues(t, 4, n.Load(), "asked once per second while away")
	now.Advance(29 * time.Minute)
	_, err := s.Token(t.Context())
	require.Equal(t, "service_token_unavailable", apperr.Code(err))
}

func TestServiceTokensAskOnce(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	s := authn.NewServiceTokens(func(context.Context) (string, time.Time, error) {
		n.Add(1)
		return "t", time.Now().Add(time.Hour), nil
	}, nil)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := s.Token(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, n.Load())
}

func BenchmarkVerifyCached(b *testing.B) {
	a := &auth{keys: map[string]ed25519.PrivateKey{}}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(b, err)
	a.keys["k1"] = key
	v := verifier(a, nil)
	raw, err := authn.Sign(key, "k1", claims(time.Now().Truncate(time.Second)))
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := v.Verify(b.Context(), raw); err != nil {
			b.Fatal(err)
		}
	}
}
