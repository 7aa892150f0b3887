package identity

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // G505: RFC 6238 as every authenticator implements it
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/work"
)

// TOTP by RFC 6238: SHA-1, 30 s, 6 digits, one step of tolerance to each side.
const (
	totpPeriod    = 30 * time.Second
	totpDigits    = 6
	totpSecret    = 20 // bytes, RFC 4226 §4
	totpTolerance = 1
	recoveryCodes = 10
)

var base32Plain = base32.StdEncoding.WithPadding(base32.NoPadding)

// totpCode is the code of a time step.
func totpCode(secret []byte, step int64) string {
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], uint64(step))
	mac := hmac.New(sha1.New, secret)
	mac.Write(counter[:])
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 0x0f
	n := binary.BigEndian.Uint32(sum[at:at+4]) & 0x7fffffff
	return fmt.Sprintf("%0*d", totpDigits, n%1_000_000)
}

// totpMatch is the newest step within the tolerance whose code it is.
func totpMatch(secret []byte, code string, now time.Time) (step int64, ok bool) {
	current := now.Unix() / int64(totpPeriod/time.Second)
	for s := current + totpTolerance; s >= current-totpTolerance; s-- {
		if subtle.ConstantTimeCompare([]byte(totpCode(secret, s)), []byte(code)) == 1 && !ok {
			step, ok = s, true
		}
	}
	return step, ok
}

// Proof is given again by who is signed in already, before something that a
// thief of the session must not do.
type Proof struct {
	Password string
	Code     string
}

// prove checks the password, or a code of the second factor. Who has neither
// (single sign-on alone) proves nothing more than the session.
func (s *Service) prove(ctx context.Context, id uuid.UUID, p Proof) error {
	u, c, err := s.own(ctx, id)
	if err != nil {
		return err
	}
	if c.PasswordHash == "" && !c.MFA() {
		return nil
	}
	wrong := func(path string) error {
		if err := s.recordFailure(ctx, u, "proof_failed", fromContext(ctx)); err != nil {
			return err
		}
		return apperr.Invalid(apperr.Field{Path: path, Code: "wrong", Message: "This is not right."})
	}
	if p.Code != "" || c.PasswordHash == "" {
		var ok bool
		err := s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
			ok, _, err = s.useCode(ctx, tx, u, p.Code)
			return err
		})
		if err != nil {
			return err
		}
		if !ok {
			return wrong("code")
		}
		return nil
	}
	ok, _, err := s.Passwords.Verify(ctx, c.PasswordHash, cut(p.Password))
	if err != nil {
		return err
	}
	if !ok {
		return wrong("password")
	}
	return nil
}

func totpContext(user uuid.UUID) string { return "totp:" + user.String() }

// TOTPSetup is shown once to who sets up an authenticator.
type TOTPSetup struct {
	Secret string
	URI    string
}

// BeginTOTP makes a secret. It counts once ConfirmTOTP has seen a code of it;
// beginning again makes another.
func (s *Service) BeginTOTP(ctx context.Context, actor authz.Principal) (out TOTPSetup, err error) {
	secret := s.randomBytes(totpSecret)
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		u, err := tx.LockUser(ctx, actor.UserID)
		if err != nil {
			return err
		}
		c, err := tx.LockCredential(ctx, u.TenantID, u.ID)
		if err != nil {
			return err
		}
		if c.MFA() {
			return apperr.Conflict("mfa_enabled", "There is a second factor already; remove it first.")
		}
		sealed, err := s.Sealer.Seal(secret, totpContext(u.ID))
		if err != nil {
			return apperr.From(err)
		}
		out = TOTPSetup{Secret: base32Plain.EncodeToString(secret)}
		q := url.Values{"secret": {out.Secret}, "issuer": {"LMS"}, "algorithm": {"SHA1"}, "digits": {"6"}, "period": {"30"}}
		label := url.PathEscape("LMS:" + firstOf(u.Email, u.Name))
		out.URI = "otpauth://totp/" + label + "?" + strings.ReplaceAll(q.Encode(), "+", "%20")
		return tx.SetTOTP(ctx, u.TenantID, u.ID, sealed, nil, 0)
	})
	return out, err
}

// ConfirmTOTP switches the second factor on and gives recovery codes.
func (s *Service) ConfirmTOTP(ctx context.Context, actor authz.Principal, code string) (codes []string, err error) {
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		u, err := tx.LockUser(ctx, actor.UserID)
		if err != nil {
			return err
		}
		c, err := tx.LockCredential(ctx, u.TenantID, u.ID)
		if err != nil {
			return err
		}
		if c.MFA() {
			return apperr.Conflict("mfa_enabled", "The second factor is on already.")
		}
		if c.TOTPSecret == nil {
			return apperr.Conflict("mfa_not_begun", "Begin the set-up first.")
		}
		secret, err := s.Sealer.Open(c.TOTPSecret, totpContext(u.ID))
		if err != nil {
			return apperr.From(err)
		}
		step, ok := totpMatch(secret, strings.TrimSpace(code), s.Now())
		if !ok {
			return apperr.Invalid(apperr.Field{Path: "code", Code: "code_wrong", Message: "This is not the code."})
		}
		now := s.Now()
		if err := tx.SetTOTP(ctx, u.TenantID, u.ID, c.TOTPSecret, &now, step); err != nil {
			return err
		}
		if codes, err = s.newRecoveryCodes(ctx, tx, u); err != nil {
			return err
		}
		return s.noteMFA(ctx, tx, u, "mfa_enabled", MailMFAEnabled, actor)
	})
	return codes, err
}

// noteMFA writes security audit and audit, and tells the person.
func (s *Service) noteMFA(ctx context.Context, tx Tx, u User, kind string, mail MailKind, actor authz.Principal) error {
	if err := s.security(ctx, tx, SecurityEvent{Kind: kind, UserID: u.ID, ActorID: actor.UserID, TenantID: u.TenantID}); err != nil {
		return err
	}
	if err := tx.Audit(ctx, work.AuditEntry{Action: "user." + kind, ResourceType: "user", ResourceID: u.ID, TenantID: u.TenantID, OrgUnitID: u.OrgUnitID}); err != nil {
		return err
	}
	return s.mailTo(ctx, tx, u, u.Email, mail, MailData{})
}

// newRecoveryCodes replaces all recovery codes: ten, of 80 random bits each.
func (s *Service) newRecoveryCodes(ctx context.Context, tx Tx, u User) ([]string, error) {
	codes, hashes := make([]string, recoveryCodes), make([][]byte, recoveryCodes)
	for i := range codes {
		text := strings.ToLower(base32Plain.EncodeToString(s.randomBytes(10)))
		codes[i] = text[:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:]
		hashes[i] = recoveryHash(u.ID, codes[i])
	}
	return codes, tx.SetRecoveryCodes(ctx, u.TenantID, u.ID, hashes)
}

func recoveryHash(user uuid.UUID, code string) []byte {
	clean := strings.NewReplacer("-", "", " ", "").Replace(strings.ToLower(code))
	return secretHash(user.String() + ":" + clean)
}

// RenewRecoveryCodes replaces the recovery codes, after a proof.
func (s *Service) RenewRecoveryCodes(ctx context.Context, actor authz.Principal, p Proof) (codes []string, err error) {
	if err := s.prove(ctx, actor.UserID, p); err != nil {
		return nil, err
	}
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		u, err := tx.LockUser(ctx, actor.UserID)
		if err != nil {
			return err
		}
		c, err := tx.LockCredential(ctx, u.TenantID, u.ID)
		if err != nil {
			return err
		}
		if !c.MFA() {
			return apperr.Conflict("mfa_not_enabled", "There is no second factor.")
		}
		if err := s.security(ctx, tx, SecurityEvent{Kind: "recovery_codes_renewed", UserID: u.ID, TenantID: u.TenantID}); err != nil {
			return err
		}
		if err := tx.Audit(ctx, work.AuditEntry{Action: "user.renew_recovery_codes", ResourceType: "user", ResourceID: u.ID, TenantID: u.TenantID, OrgUnitID: u.OrgUnitID}); err != nil {
			return err
		}
		codes, err = s.newRecoveryCodes(ctx, tx, u)
		return err
	})
	return codes, err
}

// RemoveTOTP switches the actor's own second factor off, after a proof.
func (s *Service) RemoveTOTP(ctx context.Context, actor authz.Principal, p Proof) error {
	if err := s.prove(ctx, actor.UserID, p); err != nil {
		return err
	}
	return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		u, err := tx.LockUser(ctx, actor.UserID)
		if err != nil {
			return err
		}
		return s.removeMFA(ctx, tx, u, actor)
	})
}

// RemoveMFA switches a person's second factor off on behalf of an
// administrator; the person's sessions end.
func (s *Service) RemoveMFA(ctx context.Context, actor authz.Principal, id uuid.UUID) error {
	_, err := s.changeStatus(ctx, actor, id, authz.UserSecurity, func(ctx context.Context, tx Tx, u *User) error {
		if err := s.removeMFA(ctx, tx, *u, actor); err != nil {
			return err
		}
		return s.endSessions(ctx, tx, u, uuid.Nil, "mfa_removed")
	})
	return err
}

func (s *Service) removeMFA(ctx context.Context, tx Tx, u User, actor authz.Principal) error {
	c, err := tx.LockCredential(ctx, u.TenantID, u.ID)
	if err != nil {
		return err
	}
	if c.TOTPSecret == nil {
		return nil
	}
	if err := tx.SetTOTP(ctx, u.TenantID, u.ID, nil, nil, 0); err != nil {
		return err
	}
	if err := tx.SetRecoveryCodes(ctx, u.TenantID, u.ID, nil); err != nil {
		return err
	}
	return s.noteMFA(ctx, tx, u, "mfa_disabled", MailMFADisabled, actor)
}

// useCode uses up a code of the second factor: six digits of TOTP, else a
// recovery code. left is set for the latter.
func (s *Service) useCode(ctx context.Context, tx Tx, u User, code string) (ok bool, left *int, err error) {
	c, err := tx.LockCredential(ctx, u.TenantID, u.ID)
	if err != nil || !c.MFA() {
		return false, nil, err
	}
	code = strings.TrimSpace(code)
	if len(code) != totpDigits {
		ok, n, err := tx.UseRecoveryCode(ctx, u.ID, recoveryHash(u.ID, code), s.Now())
		if !ok {
			return false, nil, err
		}
		return true, &n, err
	}
	secret, err := s.Sealer.Open(c.TOTPSecret, totpContext(u.ID))
	if err != nil {
		return false, nil, apperr.From(err)
	}
	step, match := totpMatch(secret, code, s.Now())
	if !match {
		return false, nil, nil
	}
	ok, err = tx.UseTOTPStep(ctx, u.ID, step)
	return ok, nil, err
}

// VerifyMFA is the second step of a login. A code works once.
func (s *Service) VerifyMFA(ctx context.Context, id uuid.UUID, code string, from From) (v Verdict, err error) {
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		u, err := tx.LockUser(ctx, id)
		if apperr.IsKind(err, apperr.KindNotFound) {
			v = refused(RefusedInvalid)
			return nil
		}
		if err != nil {
			return err
		}
		if why := s.refuse(u); why != "" {
			v = refused(why)
			return nil
		}
		ok, left, err := s.useCode(ctx, tx, u, code)
		if err != nil {
			return err
		}
		if !ok {
			v = refused(RefusedCode)
			return s.security(ctx, tx, SecurityEvent{Kind: "mfa_failed", UserID: u.ID, TenantID: u.TenantID, From: from})
		}
		sub, err := subjectOf(ctx, tx, u)
		if err != nil {
			return err
		}
		method := "password+totp"
		if left != nil {
			method = "password+recovery"
		}
		v = Verdict{Subject: sub, RecoveryCodesLeft: left}
		return s.signedIn(ctx, tx, sub, method, from)
	})
	return v, err
}
