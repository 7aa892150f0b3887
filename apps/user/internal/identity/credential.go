package identity

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// Credential is what proves who somebody is.
type Credential struct {
	PasswordHash      string
	PasswordChangedAt *time.Time
	TOTPSecret        []byte // sealed
	TOTPConfirmedAt   *time.Time
	TOTPLastStep      int64
}

// MFA says that a second factor is asked for.
func (c Credential) MFA() bool { return c.TOTPConfirmedAt != nil }

// Length of a password in characters (ASVS 5.0, 6.2.1 and 6.2.9). There are no
// rules about its composition (6.2.5).
const (
	MinPassword = 8
	MaxPassword = 128
)

// checkPassword applies the password rules of ASVS 5: length, not one that
// many use (6.2.4), and not the person's own address or name (6.2.11).
func (s *Service) checkPassword(f *apperr.Fields, path, password, email, name string) {
	n := utf8.RuneCountInString(password)
	switch {
	case !utf8.ValidString(password):
		f.Add(path, "invalid", "Must be text.")
	case n < MinPassword:
		f.Add(path, "password_too_short", "At least 8 characters.")
	case n > MaxPassword:
		f.Add(path, "password_too_long", "At most 128 characters.")
	case s.Passwords.Common(password) || resembles(password, email, name):
		f.Add(path, "password_common", "Too easy to guess: many people use it, or it is your name or address.")
	}
}

// resembles says that a password is nothing but the address, its local part or
// the name, perhaps with digits behind.
func resembles(password, email, name string) bool {
	p := strings.ToLower(strings.TrimRight(password, "0123456789!.?"))
	local, _, _ := strings.Cut(strings.ToLower(email), "@")
	compact := strings.ReplaceAll(strings.ToLower(name), " ", "")
	for _, own := range []string{strings.ToLower(email), local, compact, strings.ToLower(name)} {
		if own != "" && (p == own || strings.ToLower(password) == own) {
			return true
		}
	}
	return false
}

// From is where a request comes from.
type From struct {
	IP        string
	UserAgent string
	RequestID string
}

// Subject is all that a session and its tokens are made from.
type Subject struct {
	User              User
	Grants            []authz.Grant
	MFA               bool
	PasswordChangedAt *time.Time
}

// Refusals of a login. They are told as they are only to who knew the password.
const (
	RefusedInvalid     = "invalid_credentials"
	RefusedDeactivated = "account_deactivated"
	RefusedUnverified  = "email_unverified"
	RefusedCode        = "code_wrong"
	RefusedUnknown     = "account_unknown"
	RefusedProvider    = "provider_disabled"
)

// Verdict is the answer to a login. Exactly one of Refusal and Subject is set.
type Verdict struct {
	Refusal           string
	Subject           *Subject
	RecoveryCodesLeft *int
	Created           bool
}

func refused(why string) Verdict { return Verdict{Refusal: why} }

// VerifyPassword is the first step of a login. An unknown address costs the
// same as a wrong password: a hash is computed in any case, one row is written
// in any case.
func (s *Service) VerifyPassword(ctx context.Context, email, password string, from From) (v Verdict, err error) {
	var u User
	var c Credential
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		found, err := tx.UserByEmail(ctx, EmailKey(email))
		if err != nil && !apperr.IsKind(err, apperr.KindNotFound) {
			return err
		}
		u = found
		c, err = tx.Credential(ctx, u.ID) // the nil id has none: the same query for the unknown
		return err
	})
	if err != nil {
		return v, err
	}
	ok, upgrade, err := s.Passwords.Verify(ctx, c.PasswordHash, cut(password))
	if err != nil {
		return v, err
	}
	if !ok {
		return refused(RefusedInvalid), s.recordFailure(ctx, u, "login_failed", from)
	}
	if why := s.refuse(u); why != "" {
		return refused(why), s.recordFailure(ctx, u, "login_refused", from)
	}
	if upgrade {
		s.upgrade(ctx, u, c.PasswordHash, password)
	}
	sub, err := s.loggedIn(ctx, u.ID, c, "password", from)
	if apperr.IsKind(err, apperr.KindNotFound) || errors.Is(err, errProofStale) {
		return refused(RefusedInvalid), nil
	}
	return Verdict{Subject: sub}, err
}

// errProofStale says that the password was replaced while the old one was being
// checked, which is slow on purpose: what it proved counts no more.
var errProofStale = errors.New("the password was changed meanwhile")

func (c Credential) samePassword(o Credential) bool {
	a, b := c.PasswordChangedAt, o.PasswordChangedAt
	return a == nil && b == nil || a != nil && b != nil && a.Equal(*b)
}

// cut bounds what is hashed: a longer text than any password is as good as
// wrong, and still costs one hash.
func cut(password string) string {
	if len(password) > 4*MaxPassword {
		return password[:4*MaxPassword]
	}
	return password
}

func (s *Service) refuse(u User) string {
	switch {
	case u.Status == StatusDeactivated:
		return RefusedDeactivated
	case u.Status != StatusActive:
		return RefusedInvalid
	case s.Config.RequireVerifiedEmail && u.EmailVerifiedAt == nil:
		return RefusedUnverified
	}
	return ""
}

// upgrade replaces a hash of older parameters. That it fails must not refuse
// the login; the next one tries again.
func (s *Service) upgrade(ctx context.Context, u User, old, password string) {
	hash, err := s.Passwords.Hash(ctx, password)
	if err != nil {
		return
	}
	_ = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		return tx.UpgradePassword(ctx, u.ID, old, hash)
	})
}

func (s *Service) recordFailure(ctx context.Context, u User, kind string, from From) error {
	return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		return s.security(ctx, tx, SecurityEvent{Kind: kind, UserID: u.ID, TenantID: u.TenantID, From: from})
	})
}

// loggedIn reads the subject and, where no second factor is still to come,
// notes the sign-in. proved is the credential that the password was compared
// with: the subject must not have another one by now, since its epoch and the
// time of its password would make the session look newer than its proof.
func (s *Service) loggedIn(ctx context.Context, id uuid.UUID, proved Credential, method string, from From) (sub *Subject, err error) {
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		sub, err = s.subject(ctx, tx, id)
		if err != nil {
			return err
		}
		if !proved.samePassword(Credential{PasswordChangedAt: sub.PasswordChangedAt}) {
			return errProofStale
		}
		if sub.MFA && method == "password" {
			return s.security(ctx, tx, SecurityEvent{Kind: "password_accepted", UserID: id, TenantID: sub.User.TenantID, From: from})
		}
		return s.signedIn(ctx, tx, sub, method, from)
	})
	return sub, err
}

// subject reads a user with grants. Locked, so that epoch and grants are of one
// moment and the day of the last sign-in is counted once.
func (s *Service) subject(ctx context.Context, tx Tx, id uuid.UUID) (*Subject, error) {
	u, err := tx.LockUser(ctx, id)
	if err != nil {
		return nil, err
	}
	return subjectOf(ctx, tx, u)
}

func subjectOf(ctx context.Context, tx Tx, u User) (*Subject, error) {
	grants, err := tx.GrantsOf(ctx, u.ID)
	if err != nil {
		return nil, err
	}
	c, err := tx.Credential(ctx, u.ID)
	if err != nil {
		return nil, err
	}
	return &Subject{User: u, Grants: authzGrants(grants), MFA: c.MFA(), PasswordChangedAt: c.PasswordChangedAt}, nil
}

// signedIn notes a complete sign-in: in the security audit, as an event at most
// once per UTC day, and as a mail when the device is new to the person.
func (s *Service) signedIn(ctx context.Context, tx Tx, sub *Subject, method string, from From) error {
	u, now := sub.User, s.Now()
	if err := s.security(ctx, tx, SecurityEvent{Kind: "login", UserID: u.ID, TenantID: u.TenantID, From: from, Details: map[string]string{"method": method}}); err != nil {
		return err
	}
	day := now.Format(time.DateOnly)
	if u.LastSignedInAt == nil || u.LastSignedInAt.UTC().Format(time.DateOnly) < day {
		if err := tx.Emit(ctx, events.UserSignedIn{
			UserID: u.ID, TenantID: u.TenantID, OrgUnitID: u.OrgUnitID, Day: day, SignedInAt: now, Method: firstFactor(method),
		}, u.meta()); err != nil {
			return err
		}
	}
	if err := tx.SetSignedIn(ctx, u.ID, now); err != nil {
		return err
	}
	strange, err := tx.SeeDevice(ctx, u.TenantID, u.ID, fingerprint(from), now)
	if err != nil || !strange {
		return err
	}
	return s.mailTo(ctx, tx, u, u.Email, MailNewDevice, MailData{IP: from.IP, Device: from.UserAgent, When: now})
}

// firstFactor is what began a sign-in: "password" of "password+totp".
func firstFactor(method string) string {
	first, _, _ := strings.Cut(method, "+")
	return first
}

// fingerprint recognises a device roughly: the agent and the network, since
// addresses of one household or phone change within it.
func fingerprint(from From) []byte {
	network := from.IP
	if a, err := netip.ParseAddr(from.IP); err == nil {
		bits := 48
		if a.Is4() || a.Is4In6() {
			a, bits = a.Unmap(), 16
		}
		if p, err := a.Prefix(bits); err == nil {
			network = p.String()
		}
	}
	sum := sha256.Sum256([]byte(network + "\x00" + from.UserAgent))
	return sum[:]
}

// SubjectOf reads what a refresh makes a token from. Everybody who has an
// account is answered, whatever the status: auth decides by it.
func (s *Service) SubjectOf(ctx context.Context, id uuid.UUID) (sub *Subject, err error) {
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		u, err := tx.User(ctx, id)
		if err != nil {
			return err
		}
		sub, err = subjectOf(ctx, tx, u)
		return err
	})
	return sub, err
}

// ChangePassword replaces the password of who knows the present one. All other
// sessions end.
func (s *Service) ChangePassword(ctx context.Context, actor authz.Principal, current, next string, from From) error {
	u, c, err := s.own(ctx, actor.UserID)
	if err != nil {
		return err
	}
	ok, _, err := s.Passwords.Verify(ctx, c.PasswordHash, cut(current))
	if err != nil {
		return err
	}
	var f apperr.Fields
	f.Require(ok, "current", "wrong", "This is not your password.")
	f.Require(!ok || current != next, "new", "unchanged", "This is your password already.")
	s.checkPassword(&f, "new", next, u.Email, u.Name)
	if err := f.Err(); err != nil {
		if !ok {
			if rerr := s.recordFailure(ctx, u, "password_change_failed", from); rerr != nil {
				return rerr
			}
		}
		return err
	}
	hash, err := s.Passwords.Hash(ctx, next)
	if err != nil {
		return err
	}
	return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		if _, err := tx.LockUser(ctx, u.ID); err != nil {
			return err
		}
		present, err := tx.LockCredential(ctx, u.TenantID, u.ID)
		if err != nil {
			return err
		}
		if !present.samePassword(c) { // a reset came in between, and stands
			return apperr.Invalid(apperr.Field{Path: "current", Code: "wrong", Message: "This is not your password."}).With(errProofStale)
		}
		return s.setPassword(ctx, tx, u.ID, hash, actor.SessionID, "password_changed", from)
	})
}

// ResetPassword sets a password by a link. The link proves the address; every
// session ends, a second factor stays.
func (s *Service) ResetPassword(ctx context.Context, token, password string, from From) (u User, err error) {
	t, known, err := s.peekToken(ctx, token, TokenReset)
	if err != nil {
		return u, err
	}
	var f apperr.Fields
	s.checkPassword(&f, "password", password, t.Email, known.Name)
	if err := f.Err(); err != nil {
		return u, err
	}
	hash, err := s.Passwords.Hash(ctx, password)
	if err != nil {
		return u, err
	}
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		if _, err := s.useToken(ctx, tx, token, TokenReset); err != nil {
			return err
		}
		before, err := tx.LockUser(ctx, t.UserID)
		if err != nil {
			return err
		}
		if before.Status != StatusActive || EmailKey(before.Email) != EmailKey(t.Email) {
			return errTokenInvalid()
		}
		if err := s.setPassword(ctx, tx, before.ID, hash, uuid.Nil, "password_reset", from); err != nil {
			return err
		}
		if u, err = tx.LockUser(ctx, before.ID); err != nil || u.EmailVerifiedAt != nil {
			return err
		}
		before, now := u, s.Now()
		u.EmailVerifiedAt = &now
		return s.saveUser(ctx, tx, before, &u, "user.verify_email")
	})
	return u, err
}

// setPassword writes a new password, ends sessions and open links, and tells
// the person.
func (s *Service) setPassword(ctx context.Context, tx Tx, id uuid.UUID, hash string, except uuid.UUID, reason string, from From) error {
	u, err := tx.LockUser(ctx, id)
	if err != nil {
		return err
	}
	now := s.Now()
	if err := tx.SetPassword(ctx, u.TenantID, u.ID, hash, now); err != nil {
		return err
	}
	if err := tx.UseUpTokens(ctx, u.ID, TokenReset, now); err != nil {
		return err
	}
	if err := s.endSessions(ctx, tx, &u, except, reason); err != nil {
		return err
	}
	if err := s.security(ctx, tx, SecurityEvent{Kind: reason, UserID: u.ID, TenantID: u.TenantID, From: from}); err != nil {
		return err
	}
	if err := tx.Audit(ctx, work.AuditEntry{Action: "user." + reason, ResourceType: "user", ResourceID: u.ID, TenantID: u.TenantID, OrgUnitID: u.OrgUnitID}); err != nil {
		return err
	}
	return s.mailTo(ctx, tx, u, u.Email, MailPasswordChanged, MailData{IP: from.IP, Device: from.UserAgent, When: now})
}

// own reads the actor's account and credential.
func (s *Service) own(ctx context.Context, id uuid.UUID) (u User, c Credential, err error) {
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		if u, err = tx.User(ctx, id); err != nil {
			return err
		}
		c, err = tx.Credential(ctx, id)
		return err
	})
	if err == nil && u.Status != StatusActive {
		err = apperr.Forbidden("The account is not active.")
	}
	return u, c, err
}
