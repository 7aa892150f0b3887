package identity

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/work"
)

// Assertion is whom a provider vouches for, after auth verified its ID token.
type Assertion struct {
	ProviderID    uuid.UUID
	Subject       string
	Email         string
	EmailVerified bool
	Name          string
	GivenName     string
	FamilyName    string
	Locale        string
	LinkTo        uuid.UUID // a signed-in person who links deliberately
	From          From
}

// ResolveSSO finds the account of an assertion: the linked one; else the one
// of the person who links deliberately; else, where the provider may, the one
// with the verified address, or a new one.
func (s *Service) ResolveSSO(ctx context.Context, in Assertion) (v Verdict, err error) {
	if in.Subject == "" || len(in.Subject) > 255 {
		return v, apperr.Invalid(apperr.Field{Path: "subject", Code: "invalid", Message: "1 to 255 characters."})
	}
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		p, err := tx.Provider(ctx, in.ProviderID)
		if apperr.IsKind(err, apperr.KindNotFound) || err == nil && !p.Enabled {
			v = refused(RefusedProvider)
			return nil
		}
		if err != nil {
			return err
		}
		id, created, err := s.accountOf(ctx, tx, p, in)
		if err != nil {
			return err
		}
		if id == uuid.Nil {
			v = refused(RefusedUnknown)
			return s.security(ctx, tx, SecurityEvent{Kind: "sso_unknown", TenantID: p.TenantID, From: in.From, Details: map[string]string{"provider_id": p.ID.String()}})
		}
		sub, err := s.subject(ctx, tx, id)
		if err != nil {
			return err
		}
		if sub.User.Status == StatusInvited {
			if sub, err = s.activateBySSO(ctx, tx, sub.User, in); err != nil {
				return err
			}
		}
		if sub.User.Status != StatusActive {
			v = refused(RefusedDeactivated)
			return s.security(ctx, tx, SecurityEvent{Kind: "login_refused", UserID: id, TenantID: p.TenantID, From: in.From})
		}
		v = Verdict{Subject: sub, Created: created}
		if sub.MFA { // who has a second factor here is asked for it, whatever the provider asked for
			return s.security(ctx, tx, SecurityEvent{Kind: "sso_accepted", UserID: id, TenantID: p.TenantID, From: in.From})
		}
		return s.signedIn(ctx, tx, sub, "sso", in.From)
	})
	return v, err
}

// accountOf finds, links or makes the account; nil when there is none and none
// may be made.
func (s *Service) accountOf(ctx context.Context, tx Tx, p Provider, in Assertion) (id uuid.UUID, created bool, err error) {
	id, err = tx.LinkedUser(ctx, p.ID, in.Subject, s.Now())
	if err == nil {
		if in.LinkTo != uuid.Nil && in.LinkTo != id {
			return uuid.Nil, false, apperr.Conflict("already_linked", "This account belongs to somebody else here.")
		}
		return id, false, nil
	}
	if !apperr.IsKind(err, apperr.KindNotFound) {
		return uuid.Nil, false, err
	}
	if in.LinkTo != uuid.Nil {
		u, err := tx.LockUser(ctx, in.LinkTo)
		if err != nil || u.TenantID != p.TenantID {
			return uuid.Nil, false, apperr.NotFound("user").With(err)
		}
		return u.ID, false, s.linkAccount(ctx, tx, p, u, in)
	}
	if !validEmail(in.Email) || !in.EmailVerified || !allowedDomain(p.AllowedDomains, in.Email) {
		return uuid.Nil, false, nil
	}
	u, err := tx.LockUserByEmail(ctx, EmailKey(in.Email))
	if err == nil {
		may, err := s.mayLinkByEmail(ctx, tx, p, u)
		if err != nil || !may {
			return uuid.Nil, false, err
		}
		return u.ID, false, s.linkAccount(ctx, tx, p, u, in)
	}
	if !apperr.IsKind(err, apperr.KindNotFound) || !p.CreateUsers {
		if apperr.IsKind(err, apperr.KindNotFound) {
			err = nil
		}
		return uuid.Nil, false, err
	}
	id, err = s.createBySSO(ctx, tx, p, in)
	return id, err == nil, err
}

// mayLinkByEmail decides whether a provider may take over the account that has
// an address: one of the provider's own org unit and below, proved (an address
// that nobody proved may have been typed by anyone), and without a role beyond
// that unit, for the whole platform or for a unit beside or above it: who manages
// the provider of a part must not get what its people may do elsewhere.
func (s *Service) mayLinkByEmail(ctx context.Context, tx Tx, p Provider, u User) (bool, error) {
	if !p.LinkByEmail || u.TenantID != p.TenantID || u.EmailVerifiedAt == nil && u.Status == StatusActive {
		return false, nil
	}
	unit, err := tx.OrgUnit(ctx, u.OrgUnitID)
	if err != nil || !slices.Contains(unit.Path, p.OrgUnitID) {
		return false, err
	}
	grants, err := tx.GrantsOf(ctx, u.ID)
	if err != nil {
		return false, err
	}
	for _, g := range grants {
		if g.Scope.Kind != authz.ScopeOrgUnit {
			return false, nil
		}
		scope, err := tx.OrgUnit(ctx, g.Scope.ID)
		if err != nil || !slices.Contains(scope.Path, p.OrgUnitID) {
			return false, err
		}
	}
	return true, nil
}

func allowedDomain(domains []string, email string) bool {
	if len(domains) == 0 {
		return true
	}
	_, domain, _ := strings.Cut(strings.ToLower(email), "@")
	for _, d := range domains {
		if d == domain {
			return true
		}
	}
	return false
}

func (s *Service) linkAccount(ctx context.Context, tx Tx, p Provider, u User, in Assertion) error {
	if err := tx.Link(ctx, Link{ProviderID: p.ID, Subject: in.Subject, UserID: u.ID, TenantID: p.TenantID, Email: in.Email, At: s.Now()}); err != nil {
		return err
	}
	if err := s.security(ctx, tx, SecurityEvent{Kind: "account_linked", UserID: u.ID, TenantID: u.TenantID, From: in.From, Details: map[string]string{"provider_id": p.ID.String()}}); err != nil {
		return err
	}
	return tx.Audit(ctx, work.AuditEntry{
		Action: "user.link_account", ResourceType: "user", ResourceID: u.ID, TenantID: u.TenantID, OrgUnitID: u.OrgUnitID,
		Changes: map[string]work.Change{"provider": {To: p.ID}},
	})
}

func (s *Service) createBySSO(ctx context.Context, tx Tx, p Provider, in Assertion) (uuid.UUID, error) {
	unit, err := openUnit(ctx, tx, p.OrgUnitID)
	if err != nil {
		return uuid.Nil, err
	}
	now := s.Now()
	u := User{
		ID: s.NewID(), TenantID: p.TenantID, OrgUnitID: p.OrgUnitID, Status: StatusActive, Origin: OriginSSO,
		Email: in.Email, EmailVerifiedAt: &now, Name: firstOf(strings.TrimSpace(in.Name), in.Email), GivenName: in.GivenName, FamilyName: in.FamilyName,
		Epoch: 1, CreatedAt: now, UpdatedAt: now, Version: 1,
	}
	if localeShape.MatchString(in.Locale) {
		u.Locale = in.Locale
	}
	s.defaults(&u)
	u.complete()
	var f apperr.Fields
	u.check(&f)
	if f.Err() != nil { // what a provider says is taken as far as it fits
		u.Name, u.GivenName, u.FamilyName = in.Email, "", ""
		u.complete()
	}
	if err := s.insertUser(ctx, tx, u, "", unit.Path); err != nil {
		return uuid.Nil, err
	}
	return u.ID, s.linkAccount(ctx, tx, p, u, in)
}

// activateBySSO accepts an open invitation: the provider proved the person.
func (s *Service) activateBySSO(ctx context.Context, tx Tx, before User, in Assertion) (*Subject, error) {
	u, now := before, s.Now()
	u.Status = StatusActive
	if in.EmailVerified && EmailKey(in.Email) == EmailKey(u.Email) {
		u.EmailVerifiedAt = &now
	}
	if err := tx.UseUpTokens(ctx, u.ID, TokenInvitation, now); err != nil {
		return nil, err
	}
	if err := s.saveUser(ctx, tx, before, &u, "user.accept_invitation"); err != nil {
		return nil, err
	}
	return subjectOf(ctx, tx, u)
}

const signingKeysContext = "signing-keys"

// SigningKeys reads auth's sealed keys: an opaque document and its version, 0
// and nothing before the first.
func (s *Service) SigningKeys(ctx context.Context) (version int64, document []byte, err error) {
	var sealed []byte
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		version, sealed, err = tx.SigningKeys(ctx)
		return err
	})
	if err != nil || version == 0 {
		return 0, nil, err
	}
	document, err = s.Sealer.Open(sealed, signingKeysContext)
	if err != nil {
		return 0, nil, apperr.From(err)
	}
	return version, document, nil
}

// PutSigningKeys replaces auth's sealed keys if version is the stored one, else
// 409 `version_conflict`.
func (s *Service) PutSigningKeys(ctx context.Context, version int64, document []byte) (next int64, err error) {
	sealed, err := s.Sealer.Seal(document, signingKeysContext)
	if err != nil {
		return 0, apperr.From(err)
	}
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		next, err = tx.PutSigningKeys(ctx, version, sealed, s.Now())
		if err != nil {
			return err
		}
		return s.security(ctx, tx, SecurityEvent{Kind: "signing_keys_stored"})
	})
	return next, err
}
