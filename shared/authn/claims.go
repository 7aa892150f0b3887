// Package authn proves who calls: it verifies the access tokens that auth
// signs (JWT, RFC 9068, Ed25519) and keeps a service's own token fresh. Every
// service verifies for itself; nobody trusts that the gateway has done it.
package authn

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"lms/shared/authz"
)

// The audiences: people and their clients call the API, services call each
// other's internal routes. A token has exactly one of them.
const (
	AudienceAPI      = "lms-api"
	AudienceInternal = "lms-internal"
)

// TokenType is the `typ` header of an access token (RFC 9068).
const TokenType = "at+jwt"

// servicePrefix marks the subject of a service's own token: "service:course".
const servicePrefix = "service:"

// ServiceSubject is the `sub` of a service's own token.
func ServiceSubject(service string) string { return servicePrefix + service }

// RoleClaim is one platform or org grant, short since every request carries
// it: Role is the role's key, Scope "platform" or "org_unit:<uuid>".
type RoleClaim struct {
	Role  string `json:"r"`
	Scope string `json:"s"`
}

// ActClaim says who acts as the subject (RFC 8693). Acting is read-only
// unless Write was granted.
type ActClaim struct {
	Subject string `json:"sub"`
	Write   bool   `json:"write,omitempty"`
}

// Claims is the payload of an access token, as auth writes it and as every
// service reads it. Times are in whole seconds.
type Claims struct {
	jwt.RegisteredClaims
	ClientID string `json:"client_id,omitempty"`
	// Scope limits the token to the permissions it names, separated by spaces
	// (personal access tokens, clients). Empty: all that the grants give.
	Scope     string      `json:"scope,omitempty"`
	SessionID string      `json:"sid,omitempty"`
	Epoch     int64       `json:"epoch,omitempty"`
	OrgUnitID string      `json:"org,omitempty"`
	TenantID  string      `json:"tenant,omitempty"`
	Roles     []RoleClaim `json:"roles,omitempty"`
	Act       *ActClaim   `json:"act,omitempty"`
}

// RolesOf turns grants into claims; grants in courses do not travel in tokens
// and are left out.
func RolesOf(grants []authz.Grant) []RoleClaim {
	out := make([]RoleClaim, 0, len(grants))
	for _, g := range grants {
		switch g.Scope.Kind {
		case authz.ScopePlatform:
			out = append(out, RoleClaim{Role: g.Role, Scope: string(authz.ScopePlatform)})
		case authz.ScopeOrgUnit:
			out = append(out, RoleClaim{Role: g.Role, Scope: string(authz.ScopeOrgUnit) + ":" + g.Scope.ID.String()})
		case authz.ScopeCourse:
		}
	}
	return out
}

// Sign makes a token of the claims. kid names the key in the JWKS.
func Sign(key ed25519.PrivateKey, kid string, c Claims) (string, error) {
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, c)
	t.Header["typ"] = TokenType
	t.Header["kid"] = kid
	raw, err := t.SignedString(key)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return raw, nil
}

// Principal is the caller that verified claims stand for. An error means that
// the claims contradict each other.
func (c *Claims) Principal() (authz.Principal, error) {
	if len(c.Audience) != 1 {
		return authz.Principal{}, errors.New("token needs exactly one audience")
	}
	if c.Audience[0] == AudienceInternal {
		name, ok := strings.CutPrefix(c.Subject, servicePrefix)
		if !ok || name == "" {
			return authz.Principal{}, errors.New("internal token without a service as its subject")
		}
		return authz.Principal{Service: name}, nil
	}
	if c.Audience[0] != AudienceAPI {
		return authz.Principal{}, errors.New("unknown audience")
	}
	return c.person()
}

func (c *Claims) person() (authz.Principal, error) {
	var p authz.Principal
	var errs []error
	read := func(dst *uuid.UUID, name, value string, required bool) {
		if value == "" && !required {
			return
		}
		id, err := uuid.Parse(value)
		if err != nil || id == uuid.Nil {
			errs = append(errs, fmt.Errorf("claim %s is not an id", name))
		}
		*dst = id
	}
	read(&p.UserID, "sub", c.Subject, true)
	read(&p.SessionID, "sid", c.SessionID, false)
	read(&p.OrgUnitID, "org", c.OrgUnitID, false)
	read(&p.TenantID, "tenant", c.TenantID, false)
	if c.Act != nil {
		read(&p.Impersonator, "act.sub", c.Act.Subject, true)
		p.ReadOnly = !c.Act.Write
	}
	p.Grants = make([]authz.Grant, 0, len(c.Roles))
	for _, r := range c.Roles {
		g, err := r.grant()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		p.Grants = append(p.Grants, g)
	}
	if words := strings.Fields(c.Scope); len(words) > 0 {
		p.Limited = make([]authz.Permission, len(words))
		for i, w := range words {
			p.Limited[i] = authz.Permission(w)
		}
	}
	return p, errors.Join(errs...)
}

func (r RoleClaim) grant() (authz.Grant, error) {
	if r.Role == "" {
		return authz.Grant{}, errors.New("claim roles: a role without a name")
	}
	if r.Scope == string(authz.ScopePlatform) {
		return authz.Grant{Role: r.Role, Scope: authz.Scope{Kind: authz.ScopePlatform}}, nil
	}
	if raw, ok := strings.CutPrefix(r.Scope, string(authz.ScopeOrgUnit)+":"); ok {
		if id, err := uuid.Parse(raw); err == nil && id != uuid.Nil {
			return authz.Grant{Role: r.Role, Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: id}}, nil
		}
	}
	return authz.Grant{}, fmt.Errorf("claim roles: scope %q", r.Scope)
}

// Expires is when the token ends, the zero time if it does not say.
func (c *Claims) Expires() time.Time {
	if c.ExpiresAt == nil {
		return time.Time{}
	}
	return c.ExpiresAt.Time
}
