package testkit

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/authn"
	"lms/shared/authz"
)

// Issuer of the tokens that tests mint.
const Issuer = "https://lms.test"

// Tokens mints access tokens with a key of its own, as auth would.
type Tokens struct {
	t   testing.TB
	key ed25519.PrivateKey
	kid string
	Now func() time.Time
}

// NewTokens makes a key.
func NewTokens(t testing.TB) *Tokens {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return &Tokens{t: t, key: key, kid: "test-" + uuid.NewString()[:8], Now: time.Now}
}

// JWKS is the key set that auth would serve.
func (k *Tokens) JWKS() []byte {
	pub, ok := k.key.Public().(ed25519.PublicKey)
	require.True(k.t, ok)
	b, err := json.Marshal(authn.JWKS{Keys: []authn.JWK{authn.PublicJWK(k.kid, pub)}})
	require.NoError(k.t, err)
	return b
}

// Verifier accepts the tokens minted here.
func (k *Tokens) Verifier() *authn.Verifier {
	jwks := k.JWKS()
	return authn.NewVerifier(authn.Config{
		Issuer: Issuer, Now: k.Now,
		FetchJWKS: func(context.Context) ([]byte, error) { return jwks, nil },
	})
}

// Claims are those of a valid five-minute token of p, to be changed by a test
// before Sign.
func (k *Tokens) Claims(p authz.Principal) authn.Claims {
	now := k.Now()
	c := authn.Claims{RegisteredClaims: jwt.RegisteredClaims{
		Issuer: Issuer, ID: uuid.NewString(),
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(5 * time.Minute)),
	}}
	if p.Service != "" {
		c.Subject, c.Audience = authn.ServiceSubject(p.Service), jwt.ClaimStrings{authn.AudienceInternal}
		return c
	}
	c.Subject, c.Audience, c.ClientID = p.UserID.String(), jwt.ClaimStrings{authn.AudienceAPI}, "lms-test"
	c.Roles, c.Epoch = authn.RolesOf(p.Grants), 1
	for dst, id := range map[*string]uuid.UUID{&c.SessionID: p.SessionID, &c.OrgUnitID: p.OrgUnitID, &c.TenantID: p.TenantID} {
		if id != uuid.Nil {
			*dst = id.String()
		}
	}
	if p.Impersonator != uuid.Nil {
		c.Act = &authn.ActClaim{Subject: p.Impersonator.String(), Write: !p.ReadOnly}
	}
	words := make([]string, len(p.Limited))
	for i, perm := range p.Limited {
		words[i] = string(perm)
	}
	c.Scope = strings.Join(words, " ")
	return c
}

// Sign signs claims.
func (k *Tokens) Sign(c authn.Claims) string {
	k.t.Helper()
	raw, err := authn.Sign(k.key, k.kid, c)
	require.NoError(k.t, err)
	return raw
}

// For is a valid token of p: a user's, or a service's when p.Service is set.
func (k *Tokens) For(p authz.Principal) string {
	k.t.Helper()
	return k.Sign(k.Claims(p))
}

// User is a principal with grants in one tenant, whose root is also their org
// unit; roles name built-in roles held there.
func User(tenant uuid.UUID, roles ...string) authz.Principal {
	p := authz.Principal{UserID: newID(), SessionID: newID(), TenantID: tenant, OrgUnitID: tenant}
	for _, r := range roles {
		p.Grants = append(p.Grants, authz.Grant{Role: r, Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: tenant}})
	}
	return p
}

// PlatformAdmin is a principal who may do everything.
func PlatformAdmin() authz.Principal {
	p := authz.Principal{UserID: newID(), SessionID: newID(), TenantID: newID()}
	p.OrgUnitID = p.TenantID
	p.Grants = []authz.Grant{{Role: authz.RolePlatformAdmin, Scope: authz.Scope{Kind: authz.ScopePlatform}}}
	return p
}

// Service is the principal of a service.
func Service(name string) authz.Principal { return authz.Principal{Service: name} }

// Policy is a fixed source with the built-in roles and the given root units.
func Policy(roots ...uuid.UUID) authz.Source {
	s := authz.Snapshot{Version: "test", Roles: authz.BuiltinRoles()}
	for _, id := range roots {
		s.OrgUnits = append(s.OrgUnits, authz.OrgUnit{ID: id, TenantID: id})
	}
	return authz.Fixed{P: authz.NewPolicy(s)}
}

func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }
