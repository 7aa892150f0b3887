package internalapi

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"lms/shared/authz"
)

// Client is a service account of an organisation.
type Client struct {
	ID          uuid.UUID          `json:"id"`
	TenantID    uuid.UUID          `json:"tenant_id"`
	OrgUnitID   uuid.UUID          `json:"org_unit_id"`
	Name        string             `json:"name"`
	Description string             `json:"description,omitempty"`
	Grants      []authz.Grant      `json:"grants"`
	Secrets     []ClientSecretInfo `json:"secrets"`
	CreatedBy   uuid.UUID          `json:"created_by"`
	CreatedAt   time.Time          `json:"created_at"`
	LastUsedAt  *time.Time         `json:"last_used_at,omitempty"`
	Epoch       int64              `json:"epoch"`
}

// ClientSecretInfo is what may be shown of a secret.
type ClientSecretInfo struct {
	ID        uuid.UUID  `json:"id"`
	Hint      string     `json:"hint"` // its last four characters
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// ClientPage is a page of clients that the acting person may see.
type ClientPage struct {
	Items      []Client `json:"items"`
	NextCursor string   `json:"next_cursor,omitempty"`
}

// ClientCreate makes a client with its first secret. Grants beyond what the
// acting person holds are 403, in a course 422.
type ClientCreate struct {
	Acting      Acting        `json:"acting"`
	OrgUnitID   uuid.UUID     `json:"org_unit_id"`
	Name        string        `json:"name"`
	Description string        `json:"description,omitempty"`
	Grants      []authz.Grant `json:"grants"`
	ExpiresAt   *time.Time    `json:"expires_at,omitempty"` // of the secret
}

// ClientSecretCreate adds a secret; at most two live ones, so that they can be
// rotated. RevokeOthers ends the earlier ones at once.
type ClientSecretCreate struct {
	Acting       Acting     `json:"acting"`
	ID           uuid.UUID  `json:"id"`
	ExpiresAt    *time.Time `json:"expires_at,omitempty"`
	RevokeOthers bool       `json:"revoke_others,omitempty"`
}

// ClientSecret shows a secret once.
type ClientSecret struct {
	Client Client `json:"client"`
	Secret string `json:"secret"`
}

// ClientGrants replaces what a client may do.
type ClientGrants struct {
	Acting Acting        `json:"acting"`
	ID     uuid.UUID     `json:"id"`
	Grants []authz.Grant `json:"grants"`
}

// ClientVerify is a client_credentials request. Scopes are permissions; none
// asks for all that the grants give.
type ClientVerify struct {
	ClientID uuid.UUID `json:"client_id"`
	Secret   string    `json:"secret"`
	From     From      `json:"from"`
}

// ClientReply is the verdict; the refusal is always RefusalInvalid.
type ClientReply struct {
	OK      bool    `json:"ok"`
	Refusal string  `json:"refusal,omitempty"`
	Client  *Client `json:"client,omitempty"`
}

// PersonalToken is a personal access token without its secret.
type PersonalToken struct {
	ID          uuid.UUID          `json:"id"`
	UserID      uuid.UUID          `json:"user_id"`
	Name        string             `json:"name"`
	Permissions []authz.Permission `json:"permissions"` // never more than the person holds at the moment of use
	Hint        string             `json:"hint"`
	CreatedAt   time.Time          `json:"created_at"`
	ExpiresAt   time.Time          `json:"expires_at"`
	LastUsedAt  *time.Time         `json:"last_used_at,omitempty"`
}

// TokenPage is a page of the acting person's tokens.
type TokenPage struct {
	Items      []PersonalToken `json:"items"`
	NextCursor string          `json:"next_cursor,omitempty"`
}

// TokenCreate makes a token; at most a year, at most 50 live ones.
type TokenCreate struct {
	Acting      Acting             `json:"acting"`
	Name        string             `json:"name"`
	Permissions []authz.Permission `json:"permissions"`
	ExpiresAt   time.Time          `json:"expires_at"`
}

// TokenCreated shows the token once: "lms_pat_" and 43 characters.
type TokenCreated struct {
	Token  PersonalToken `json:"token"`
	Secret string        `json:"secret"`
}

// TokenVerify presents a personal access token.
type TokenVerify struct {
	Secret string `json:"secret"`
	From   From   `json:"from"`
}

// TokenReply is the verdict. The principal's Limited is Permissions.
type TokenReply struct {
	OK          bool               `json:"ok"`
	Refusal     string             `json:"refusal,omitempty"`
	TokenID     uuid.UUID          `json:"token_id"`
	Permissions []authz.Permission `json:"permissions,omitempty"`
	ExpiresAt   time.Time          `json:"expires_at"`
	Subject     *LoginSubject      `json:"subject,omitempty"`
}

// IdentityProvider is an OpenID Connect provider of an organisation, without
// its client secret.
type IdentityProvider struct {
	ID        uuid.UUID `json:"id"`
	TenantID  uuid.UUID `json:"tenant_id"`
	OrgUnitID uuid.UUID `json:"org_unit_id"` // where new accounts go
	Name      string    `json:"name"`
	Issuer    string    `json:"issuer"` // https only
	ClientID  string    `json:"client_id"`
	Scopes    []string  `json:"scopes"`
	Enabled   bool      `json:"enabled"`
	// CreateUsers: who is not known yet gets an account.
	CreateUsers bool `json:"create_users"`
	// LinkByEmail: an account is linked at the first sign-in by an address that
	// the provider says is verified.
	LinkByEmail bool `json:"link_by_email"`
	// AllowedDomains limits addresses; empty allows all.
	AllowedDomains []string  `json:"allowed_domains"`
	CreatedAt      time.Time `json:"created_at"`
	UpdatedAt      time.Time `json:"updated_at"`
	Version        int64     `json:"version"`
}

// IDPPage is a page of providers.
type IDPPage struct {
	Items      []IdentityProvider `json:"items"`
	NextCursor string             `json:"next_cursor,omitempty"`
}

// IDPCreate makes a provider.
type IDPCreate struct {
	Acting         Acting    `json:"acting"`
	OrgUnitID      uuid.UUID `json:"org_unit_id"`
	Name           string    `json:"name"`
	Issuer         string    `json:"issuer"`
	ClientID       string    `json:"client_id"`
	ClientSecret   string    `json:"client_secret,omitempty"`
	Scopes         []string  `json:"scopes,omitempty"` // default openid, email, profile
	Enabled        bool      `json:"enabled"`
	CreateUsers    bool      `json:"create_users"`
	LinkByEmail    bool      `json:"link_by_email"`
	AllowedDomains []string  `json:"allowed_domains,omitempty"`
}

// IDPUpdate changes what is not nil; Version is that of If-Match.
type IDPUpdate struct {
	Acting         Acting    `json:"acting"`
	ID             uuid.UUID `json:"id"`
	Version        int64     `json:"version"`
	Name           *string   `json:"name,omitempty"`
	ClientID       *string   `json:"client_id,omitempty"`
	ClientSecret   *string   `json:"client_secret,omitempty"`
	Scopes         *[]string `json:"scopes,omitempty"`
	Enabled        *bool     `json:"enabled,omitempty"`
	CreateUsers    *bool     `json:"create_users,omitempty"`
	LinkByEmail    *bool     `json:"link_by_email,omitempty"`
	AllowedDomains *[]string `json:"allowed_domains,omitempty"`
}

// IDPPublicList is what somebody who is not signed in may see.
type IDPPublicList struct {
	Items []IDPPublic `json:"items"`
}

// IDPPublic is one button of a login page.
type IDPPublic struct {
	ID   uuid.UUID `json:"id"`
	Name string    `json:"name"`
}

// IDPSecret is what auth needs to talk to an enabled provider; 404 otherwise.
type IDPSecret struct {
	Provider     IdentityProvider `json:"provider"`
	ClientSecret string           `json:"client_secret"`
}

// SSORequest says whom a provider vouches for, after auth verified the ID token.
type SSORequest struct {
	ProviderID    uuid.UUID `json:"provider_id"`
	Subject       string    `json:"subject"`
	Email         string    `json:"email,omitempty"`
	EmailVerified bool      `json:"email_verified,omitempty"`
	Name          string    `json:"name,omitempty"`
	GivenName     string    `json:"given_name,omitempty"`
	FamilyName    string    `json:"family_name,omitempty"`
	Locale        string    `json:"locale,omitempty"`
	// LinkTo is a signed-in person who links the account deliberately.
	LinkTo uuid.UUID `json:"link_to"`
	Device string    `json:"device,omitempty"`
	From   From      `json:"from"`
}

// SigningKeys is the set of sealed keys that a flushed state store is filled
// from. Version grows by one with each PUT; 0 is the empty set.
type SigningKeys struct {
	Version int64              `json:"version"`
	Keys    []SealedSigningKey `json:"keys"`
}

// SealedSigningKey is one key. Sealed is opaque to user, which seals it again
// with a key of its own.
type SealedSigningKey struct {
	KID       string          `json:"kid"`
	Algorithm string          `json:"algorithm"`
	PublicJWK json.RawMessage `json:"public_jwk"`
	Sealed    []byte          `json:"sealed"`
	CreatedAt time.Time       `json:"created_at"`
	SignsFrom time.Time       `json:"signs_from"`
	RetiresAt *time.Time      `json:"retires_at,omitempty"`
}

// Kinds of a security event that auth reports; user writes the others itself.
const (
	SecuritySessionStarted = "session_started"
	SecuritySessionEnded   = "session_ended"
	SecurityRefreshReused  = "refresh_reused" // a family ended: theft
	SecurityThrottled      = "login_throttled"
	SecurityKeyRotated     = "signing_key_rotated"
	SecurityImpersonation  = "impersonation_ended"
)
