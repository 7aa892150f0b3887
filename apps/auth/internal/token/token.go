// Package token signs access tokens with the keys of the ring and reads back
// those it has signed, in the form that every service verifies.
package token

import (
	"context"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"lms/apps/auth/internal/keys"
	"lms/apps/auth/internal/signin"
	"lms/shared/apperr"
	"lms/shared/authn"
)

// maxBytes bounds an access token. The sidecars' header buffers take 4 KiB, with
// the other headers of a request.
const maxBytes = 3 << 10

// Minter is a signin.Minter.
type Minter struct {
	Issuer   string
	Keys     *keys.Keeper
	Verifier *authn.Verifier
	NewID    func() uuid.UUID
}

// Mint signs the token of a person or client; 409 `too_many_roles` when its
// roles make it larger than the way takes.
func (m *Minter) Mint(t signin.AccessToken) (string, error) {
	key, err := m.Keys.Signer()
	if err != nil {
		return "", err
	}
	c := authn.Claims{
		RegisteredClaims: m.registered(t.Subject.String(), authn.AudienceAPI, t.ID, t.IssuedAt, t.ExpiresAt),
		ClientID:         t.Client, Scope: t.Scope, SessionID: idOrEmpty(t.Session), Epoch: t.Epoch,
		OrgUnitID: idOrEmpty(t.OrgUnit), TenantID: idOrEmpty(t.Tenant), Roles: authn.RolesOf(t.Grants),
	}
	if t.Actor != uuid.Nil {
		c.Act = &authn.ActClaim{Subject: t.Actor.String(), Write: t.Write}
	}
	raw, err := authn.Sign(key.Private, key.ID, c)
	if err != nil {
		return "", apperr.Internal(err)
	}
	if len(raw) > maxBytes {
		return "", apperr.Conflict("too_many_roles", "The account holds more roles than a token carries.")
	}
	return raw, nil
}

// MintService signs a service's own token.
func (m *Minter) MintService(service string, issued, expires time.Time) (string, error) {
	key, err := m.Keys.Signer()
	if err != nil {
		return "", err
	}
	return m.service(key, service, issued, expires)
}

// Own signs auth's own service token, with the key that needs no ring.
func (m *Minter) Own(now time.Time, life time.Duration) (string, error) {
	return m.service(m.Keys.Self[0], "auth", now, now.Add(life))
}

func (m *Minter) service(key keys.Key, service string, issued, expires time.Time) (string, error) {
	raw, err := authn.Sign(key.Private, key.ID, authn.Claims{
		RegisteredClaims: m.registered(authn.ServiceSubject(service), authn.AudienceInternal, m.NewID(), issued, expires),
		ClientID:         service,
	})
	if err != nil {
		return "", apperr.Internal(err)
	}
	return raw, nil
}

func (m *Minter) registered(subject, audience string, id uuid.UUID, issued, expires time.Time) jwt.RegisteredClaims {
	return jwt.RegisteredClaims{
		Issuer: m.Issuer, Subject: subject, Audience: jwt.ClaimStrings{audience}, ID: id.String(),
		IssuedAt: jwt.NewNumericDate(issued), NotBefore: jwt.NewNumericDate(issued), ExpiresAt: jwt.NewNumericDate(expires),
	}
}

func idOrEmpty(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}

// Read verifies the token of a person or client.
func (m *Minter) Read(ctx context.Context, raw string) (signin.AccessToken, error) {
	p, c, err := m.Verifier.Verify(ctx, raw)
	if err != nil {
		return signin.AccessToken{}, err
	}
	if p.Service != "" {
		return signin.AccessToken{}, apperr.Unauthenticated("invalid_token", "The access token is not valid.")
	}
	t := signin.AccessToken{
		Subject: p.UserID, Session: p.SessionID, Client: c.ClientID, Scope: strings.TrimSpace(c.Scope), Epoch: c.Epoch,
		OrgUnit: p.OrgUnitID, Tenant: p.TenantID, Grants: p.Grants, Actor: p.Impersonator, Write: c.Act != nil && c.Act.Write,
		ExpiresAt: c.Expires(),
	}
	if c.IssuedAt != nil {
		t.IssuedAt = c.IssuedAt.Time
	}
	if id, err := uuid.Parse(c.ID); err == nil {
		t.ID = id
	}
	return t, nil
}

// OwnToken gives auth's own service token and renews it after half of its life.
type OwnToken struct {
	source *authn.ServiceTokens
}

// NewOwnToken makes the source. minter is asked for each new token, since its
// keys may come later.
func NewOwnToken(minter func() (*Minter, error), now func() time.Time, life time.Duration) *OwnToken {
	return &OwnToken{authn.NewServiceTokens(func(context.Context) (string, time.Time, error) {
		m, err := minter()
		if err != nil {
			return "", time.Time{}, err
		}
		at := now()
		raw, err := m.Own(at, life)
		return raw, at.Add(life), err
	}, now)}
}

// Token is a dapr.TokenSource.
func (o *OwnToken) Token(ctx context.Context) (string, error) { return o.source.Token(ctx) }
