package authn

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"lms/shared/apperr"
	"lms/shared/authz"
)

// Limits of what is verified.
const (
	maxTokenBytes = 8 << 10
	leeway        = 5 * time.Second
	cacheEntries  = 8192
)

// Config says whose tokens are good. Issuer and FetchJWKS are required.
type Config struct {
	Issuer string
	// FetchJWKS asks auth for /.well-known/jwks.json.
	FetchJWKS func(ctx context.Context) ([]byte, error)
	// LoadJWKS and SaveJWKS are an optional second level (the `cache` state
	// component) for a service that starts while auth is away.
	LoadJWKS func(ctx context.Context) ([]byte, error)
	SaveJWKS func(ctx context.Context, jwks []byte) error
	Now      func() time.Time // time.Now if nil
}

// Verifier verifies access tokens. A token's signature is checked once per
// process; after that the cached verdict serves until the token expires or its
// key leaves the set.
type Verifier struct {
	keys   *keySet
	parser *jwt.Parser
	cache  *verdicts
	now    func() time.Time
}

// NewVerifier makes a verifier. Keys are fetched at the first token, or by
// Run.
func NewVerifier(c Config) *Verifier {
	now := c.Now
	if now == nil {
		now = time.Now
	}
	return &Verifier{
		keys: &keySet{fetch: c.FetchJWKS, load: c.LoadJWKS, save: c.SaveJWKS, now: now, first: make(chan struct{})},
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
			jwt.WithIssuer(c.Issuer),
			jwt.WithExpirationRequired(),
			jwt.WithIssuedAt(),
			jwt.WithLeeway(leeway),
			jwt.WithTimeFunc(now),
			jwt.WithStrictDecoding(),
		),
		cache: newVerdicts(cacheEntries),
		now:   now,
	}
}

// errInvalid is the one answer for every bad token: why it is bad is for the
// log, not for whoever tries.
func errInvalid(cause error) error {
	return apperr.Unauthenticated("invalid_token", "The access token is not valid.").With(cause)
}

// Verify checks a raw token and says who it stands for. Errors: 401
// `invalid_token`, 401 `token_expired`, 503 `keys_unavailable` when auth
// cannot be asked for a key that is not known yet.
func (v *Verifier) Verify(ctx context.Context, raw string) (authz.Principal, Claims, error) {
	if raw == "" || len(raw) > maxTokenBytes {
		return authz.Principal{}, Claims{}, errInvalid(errors.New("empty or longer than 8 KiB"))
	}
	sum := sha256.Sum256([]byte(raw))
	now := v.now()
	if hit := v.cache.get(sum); hit != nil {
		if _, live := v.keys.get(hit.kid); live && now.Before(hit.expires) {
			return hit.principal, hit.claims, nil
		}
		v.cache.remove(sum)
	}
	verdict, err := v.check(ctx, raw)
	if err != nil {
		return authz.Principal{}, Claims{}, err
	}
	v.cache.put(sum, verdict)
	return verdict.principal, verdict.claims, nil
}

func (v *Verifier) check(ctx context.Context, raw string) (*verdict, error) {
	out := &verdict{}
	var away error
	_, err := v.parser.ParseWithClaims(raw, &out.claims, func(t *jwt.Token) (any, error) {
		kid, err := checkHeader(t.Header)
		if err != nil {
			return nil, err
		}
		out.kid = kid
		key, ok, err := v.keys.find(ctx, kid)
		if err != nil {
			away = err
			return nil, err
		}
		if !ok {
			return nil, errors.New("unknown kid")
		}
		return key, nil
	})
	switch {
	case away != nil:
		return nil, apperr.Unavailable("keys_unavailable", "Sign-in cannot be checked at the moment. Try again.").With(away)
	case errors.Is(err, jwt.ErrTokenExpired) && !errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return nil, apperr.Unauthenticated("token_expired", "The access token has expired.").With(err)
	case err != nil:
		return nil, errInvalid(err)
	}
	if out.principal, err = out.claims.Principal(); err != nil {
		return nil, errInvalid(err)
	}
	out.expires = out.claims.Expires().Add(leeway)
	return out, nil
}

// checkHeader allows exactly what auth writes. jku, jwk and x5u are never
// looked at: a key comes from auth's set or not at all (RFC 8725, 3.10).
func checkHeader(h map[string]any) (kid string, err error) {
	typ, _ := h["typ"].(string)
	if typ = strings.ToLower(typ); typ != TokenType && typ != "application/"+TokenType {
		return "", fmt.Errorf("typ is %q", typ)
	}
	if _, ok := h["crit"]; ok {
		return "", errors.New("crit extensions are not understood")
	}
	if kid, _ = h["kid"].(string); kid == "" {
		return "", errors.New("no kid")
	}
	return kid, nil
}

// Run keeps the key set fresh until ctx ends: a withdrawn key is forgotten
// within five minutes, earlier when an unknown one shows up. It always returns
// nil; a failed refresh keeps the keys that are known. Until there are any, auth
// is asked again at once and then ever more slowly, since everything that starts
// beside auth waits for it.
func (v *Verifier) Run(ctx context.Context) error {
	begun := time.Now()
	v.keys.begun.Store(&begun)
	wait, first := time.Duration(0), firstRetry
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		err := v.keys.refresh(ctx)
		switch {
		case err == nil:
			wait = refreshEvery
		case v.Ready():
			wait = retryEvery
		default:
			wait, first = first, min(2*first, maxFirstRetry)
		}
	}
}

// Ready says whether any key is known, for /readyz.
func (v *Verifier) Ready() bool { return v.keys.keys.Load() != nil }
