package identity

import (
	"context"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/page"
	"lms/shared/patch"
	"lms/shared/work"
)

// Provider is an OpenID Connect identity provider of an organisation.
type Provider struct {
	ID             uuid.UUID
	TenantID       uuid.UUID
	OrgUnitID      uuid.UUID // where new accounts go
	Name           string
	Issuer         string
	ClientID       string
	Sealed         []byte `json:"-"` // the client's secret; empty for a public client
	Scopes         []string
	Enabled        bool
	CreateUsers    bool
	LinkByEmail    bool
	AllowedDomains []string // lower case; empty allows all
	CreatedAt      time.Time
	UpdatedAt      time.Time
	Version        int64
}

// Link is an account of a provider that belongs to a user.
type Link struct {
	ProviderID uuid.UUID
	Subject    string
	UserID     uuid.UUID
	TenantID   uuid.UUID
	Email      string
	At         time.Time
}

// NewProvider is what is said of a new provider.
type NewProvider struct {
	OrgUnitID      uuid.UUID
	Name           string
	Issuer         string
	ClientID       string
	ClientSecret   string
	Scopes         []string
	Enabled        bool
	CreateUsers    bool
	LinkByEmail    bool
	AllowedDomains []string
}

// ProviderPatch is a change of a provider; the issuer stays, since accounts are
// linked by it.
type ProviderPatch struct {
	Name           patch.Field[string]
	ClientID       patch.Field[string]
	ClientSecret   patch.Field[string]
	Scopes         patch.Field[[]string]
	Enabled        patch.Field[bool]
	CreateUsers    patch.Field[bool]
	LinkByEmail    patch.Field[bool]
	AllowedDomains patch.Field[[]string]
}

func (p *Provider) check(f *apperr.Fields) {
	checkName(f, "name", p.Name, true)
	f.Require(validIssuer(p.Issuer), "issuer", "invalid", "Must be an https address without query and fragment.")
	f.Require(p.ClientID != "" && validLine(p.ClientID, 500), "client_id", "required", "1 to 500 characters.")
	f.Require(slices.Contains(p.Scopes, "openid"), "scopes", "openid_missing", `Must contain "openid".`)
	f.Require(len(p.Scopes) <= 20, "scopes", "too_many", "At most 20 scopes.")
	for _, sc := range p.Scopes {
		f.Require(sc != "" && !strings.ContainsAny(sc, " \t\r\n\"\\"), "scopes", "invalid", "Scopes are words.")
	}
	f.Require(len(p.AllowedDomains) <= 100, "allowed_domains", "too_many", "At most 100 domains.")
	for i, d := range p.AllowedDomains {
		p.AllowedDomains[i] = strings.ToLower(strings.TrimSpace(d))
		f.Require(validDomain(p.AllowedDomains[i]), "allowed_domains", "invalid", "Must be domains such as example.org.")
	}
	// Who may link by address takes over whatever account has it: only for
	// domains that the organisation names.
	f.Require(!p.LinkByEmail || len(p.AllowedDomains) > 0, "allowed_domains", "required", "Linking by address needs the domains that the provider vouches for.")
}

// validIssuer accepts https; and plain http on the own machine only, for
// development.
func validIssuer(issuer string) bool {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || len(issuer) > 500 {
		return false
	}
	if u.Scheme == "https" {
		return true
	}
	a, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "http" && err == nil && a == netip.MustParseAddr("127.0.0.1")
}

func secretContext(provider uuid.UUID) string { return "idp:" + provider.String() }

func (s *Service) sealSecret(p *Provider, secret string) error {
	if secret == "" {
		p.Sealed = []byte{}
		return nil
	}
	sealed, err := s.Sealer.Seal([]byte(secret), secretContext(p.ID))
	if err != nil {
		return apperr.From(err)
	}
	p.Sealed = sealed
	return nil
}

// ListProviders lists the providers of the actor's reach.
func (s *Service) ListProviders(ctx context.Context, actor authz.Principal, q page.Request) (p page.Page[Provider], err error) {
	policy, err := s.policy(ctx)
	if err != nil {
		return p, err
	}
	reach := policy.Reach(actor, authz.IDPManage)
	if reach.None() {
		return p, apperr.Forbidden("You may not see identity providers.")
	}
	err = s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		p, err = tx.ListProviders(ctx, reach, q)
		return err
	})
	return p, err
}

// PublicProviders lists what a login page shows.
func (s *Service) PublicProviders(ctx context.Context) (out []Provider, err error) {
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		out, err = tx.EnabledProviders(ctx)
		return err
	})
	return out, err
}

// ProviderSecret is an enabled provider with the text of its secret.
func (s *Service) ProviderSecret(ctx context.Context, id uuid.UUID) (p Provider, secret string, err error) {
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		p, err = tx.Provider(ctx, id)
		return err
	})
	if err != nil {
		return p, "", err
	}
	if !p.Enabled {
		return Provider{}, "", apperr.NotFound("identity provider")
	}
	if len(p.Sealed) == 0 {
		return p, "", nil
	}
	plain, err := s.Sealer.Open(p.Sealed, secretContext(p.ID))
	if err != nil {
		return Provider{}, "", apperr.From(err)
	}
	return p, string(plain), nil
}

// CreateProvider makes a provider.
func (s *Service) CreateProvider(ctx context.Context, actor authz.Principal, in NewProvider) (p Provider, err error) {
	policy, err := s.policy(ctx)
	if err != nil {
		return p, err
	}
	if !policy.AllowsSomewhere(actor, authz.IDPManage) {
		return p, apperr.Forbidden("You may not make identity providers.")
	}
	now := s.Now()
	p = Provider{
		ID: s.NewID(), OrgUnitID: in.OrgUnitID, Name: strings.TrimSpace(in.Name), Issuer: strings.TrimSuffix(in.Issuer, "/"), ClientID: in.ClientID,
		Scopes: slices.Clone(in.Scopes), Enabled: in.Enabled, CreateUsers: in.CreateUsers, LinkByEmail: in.LinkByEmail,
		AllowedDomains: slices.Clone(in.AllowedDomains), CreatedAt: now, UpdatedAt: now, Version: 1,
	}
	if len(p.Scopes) == 0 {
		p.Scopes = []string{"openid", "email", "profile"}
	}
	if p.AllowedDomains == nil {
		p.AllowedDomains = []string{}
	}
	var f apperr.Fields
	p.check(&f)
	f.Require(policy.Allows(actor, authz.IDPManage, in.OrgUnitID), "org_unit_id", "not_found", "No such org unit where you may make identity providers.")
	if err := f.Err(); err != nil {
		return p, err
	}
	if err := s.sealSecret(&p, in.ClientSecret); err != nil {
		return p, err
	}
	err = s.Store.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &p, func() error {
			unit, err := openUnit(ctx, tx, p.OrgUnitID)
			if err != nil {
				return err
			}
			p.TenantID = unit.TenantID
			if err := tx.InsertProvider(ctx, p); err != nil {
				return err
			}
			return s.noteProvider(ctx, tx, p, "identity_provider.create", map[string]work.Change{"issuer": {To: p.Issuer}})
		})
	})
	return p, err
}

func (s *Service) noteProvider(ctx context.Context, tx Tx, p Provider, action string, changes map[string]work.Change) error {
	if err := s.security(ctx, tx, SecurityEvent{
		Kind: strings.ReplaceAll(action, ".", "_"), TenantID: p.TenantID, Details: map[string]string{"provider_id": p.ID.String()},
	}); err != nil {
		return err
	}
	return tx.Audit(ctx, work.AuditEntry{
		Action: action, ResourceType: "identity_provider", ResourceID: p.ID, TenantID: p.TenantID, OrgUnitID: p.OrgUnitID, Changes: changes,
	})
}

func (s *Service) onProvider(ctx context.Context, actor authz.Principal, id uuid.UUID, fn func(context.Context, Tx, *Provider) error) (p Provider, err error) {
	policy, err := s.policy(ctx)
	if err != nil {
		return p, err
	}
	err = s.Store.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		if p, err = tx.LockProvider(ctx, id); err != nil {
			return err
		}
		if !policy.Allows(actor, authz.IDPManage, p.OrgUnitID) {
			return apperr.NotFound("identity provider")
		}
		return fn(ctx, tx, &p)
	})
	return p, err
}

// UpdateProvider changes a provider.
func (s *Service) UpdateProvider(ctx context.Context, actor authz.Principal, id uuid.UUID, version int64, in ProviderPatch) (Provider, error) {
	return s.onProvider(ctx, actor, id, func(ctx context.Context, tx Tx, p *Provider) error {
		if p.Version != version {
			return apperr.VersionMismatch()
		}
		before := *p
		in.Name.Apply(&p.Name)
		in.ClientID.Apply(&p.ClientID)
		in.Scopes.Apply(&p.Scopes)
		in.Enabled.Apply(&p.Enabled)
		in.CreateUsers.Apply(&p.CreateUsers)
		in.LinkByEmail.Apply(&p.LinkByEmail)
		if in.AllowedDomains.Set {
			p.AllowedDomains = append([]string{}, in.AllowedDomains.Value...)
		}
		var f apperr.Fields
		p.check(&f)
		if err := f.Err(); err != nil {
			return err
		}
		if in.ClientSecret.Set {
			if err := s.sealSecret(p, in.ClientSecret.Value); err != nil {
				return err
			}
		}
		p.Version, p.UpdatedAt = before.Version+1, s.Now()
		if err := tx.UpdateProvider(ctx, *p); err != nil {
			return err
		}
		return s.noteProvider(ctx, tx, *p, "identity_provider.update", map[string]work.Change{
			"name": {From: before.Name, To: p.Name}, "enabled": {From: before.Enabled, To: p.Enabled},
			"create_users": {From: before.CreateUsers, To: p.CreateUsers}, "link_by_email": {From: before.LinkByEmail, To: p.LinkByEmail},
			"allowed_domains": {From: before.AllowedDomains, To: p.AllowedDomains}, "client_secret": {To: in.ClientSecret.Set},
		})
	})
}

// DeleteProvider deletes a provider with its links. Accounts stay.
func (s *Service) DeleteProvider(ctx context.Context, actor authz.Principal, id uuid.UUID) error {
	_, err := s.onProvider(ctx, actor, id, func(ctx context.Context, tx Tx, p *Provider) error {
		if err := tx.DeleteProvider(ctx, p.ID); err != nil {
			return err
		}
		return s.noteProvider(ctx, tx, *p, "identity_provider.delete", map[string]work.Change{"issuer": {From: p.Issuer}})
	})
	return err
}
