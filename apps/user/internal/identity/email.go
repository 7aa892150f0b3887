package identity

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/work"
)

// mailTo writes a message to an address of a user. Who has no address gets none.
func (s *Service) mailTo(ctx context.Context, tx Tx, u User, to string, kind MailKind, d MailData) error {
	if to == "" {
		return nil
	}
	if d.Name == "" {
		d.Name = u.Name
	}
	if d.When.IsZero() {
		d.When = s.Now()
	}
	d.When, d.Expires = inZone(d.When, u.TimeZone), inZone(d.Expires, u.TimeZone)
	subject, text, html, err := s.Mails.Render(kind, u.Locale, d)
	if err != nil {
		return apperr.Internal(err)
	}
	return tx.Mail(ctx, work.Mail{Kind: string(kind), TenantID: u.TenantID, To: to, Subject: subject, Text: text, HTML: html})
}

// inZone shows a time as the reader's clock does.
func inZone(t time.Time, zone string) time.Time {
	if t.IsZero() {
		return t
	}
	if loc, err := time.LoadLocation(zone); err == nil && zone != "" {
		return t.In(loc)
	}
	return t
}

// replaceEmail puts a new address in the place of the old one by an
// administrator: links to the old one end, the old one is told, the new one
// asked to prove itself.
func (s *Service) replaceEmail(ctx context.Context, tx Tx, before User, u *User) error {
	u.EmailVerifiedAt = nil
	if err := tx.UseUpTokens(ctx, u.ID, "", s.Now()); err != nil {
		return err
	}
	if err := s.mailTo(ctx, tx, before, before.Email, MailEmailChanged, MailData{Email: u.Email}); err != nil {
		return err
	}
	if u.Email == "" || u.Status != StatusActive {
		return nil
	}
	return s.sendLink(ctx, tx, *u, TokenVerification, u.Email, MailVerification)
}

// RequestEmailChange asks a new address of the actor to prove itself. The old
// one stays until then, and is told. The password (or a code of the second
// factor) must be given again. A taken address is told to its owner alone.
func (s *Service) RequestEmailChange(ctx context.Context, actor authz.Principal, email string, proof Proof) error {
	email = strings.TrimSpace(email)
	if !validEmail(email) {
		return apperr.Invalid(apperr.Field{Path: "email", Code: "invalid", Message: "Must be an e-mail address."})
	}
	if err := s.prove(ctx, actor.UserID, proof); err != nil {
		return err
	}
	return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		u, err := tx.LockUser(ctx, actor.UserID)
		if err != nil {
			return err
		}
		if EmailKey(email) == EmailKey(u.Email) {
			return apperr.Invalid(apperr.Field{Path: "email", Code: "unchanged", Message: "This is your address already."})
		}
		if full, err := s.written(ctx, tx, TokenEmailChange, email); err != nil {
			return err
		} else if full {
			return apperr.New(apperr.KindRateLimited, "too_many_links", "This address was written to several times within the hour.").After(time.Hour)
		}
		n, err := tx.EventsSince(ctx, "email_change_requested", u.ID, "", s.Now().Add(-time.Hour))
		if err != nil {
			return err
		}
		if n >= changesPerHour {
			return apperr.New(apperr.KindRateLimited, "too_many_links", "You have asked for many addresses within the hour.").After(time.Hour)
		}
		if err := tx.UseUpTokens(ctx, u.ID, TokenEmailChange, s.Now()); err != nil {
			return err
		}
		if err := s.security(ctx, tx, SecurityEvent{Kind: "email_change_requested", UserID: u.ID, TenantID: u.TenantID}); err != nil {
			return err
		}
		if err := s.mailTo(ctx, tx, u, u.Email, MailEmailChangeAsked, MailData{Email: email}); err != nil {
			return err
		}
		if err := tx.Audit(ctx, work.AuditEntry{Action: "user.request_email_change", ResourceType: "user", ResourceID: u.ID, TenantID: u.TenantID, OrgUnitID: u.OrgUnitID}); err != nil {
			return err
		}
		if _, err := tx.LockUserByEmail(ctx, EmailKey(email)); err == nil {
			// Counted as the link to a free address is; its text is given to nobody.
			if _, _, err := s.newToken(ctx, tx, OneTimeToken{TenantID: u.TenantID, UserID: u.ID, Kind: TokenEmailChange, Email: email}); err != nil {
				return err
			}
			return s.mailTo(ctx, tx, User{TenantID: u.TenantID, Locale: u.Locale, TimeZone: u.TimeZone, Name: email}, email, MailAlreadyHere, MailData{Email: email, Link: s.link("/login", "")})
		} else if !apperr.IsKind(err, apperr.KindNotFound) {
			return err
		}
		return s.sendLink(ctx, tx, u, TokenEmailChange, email, MailEmailChange)
	})
}

// ConfirmEmailChange replaces the address by the one that a link proved. The
// token says whose it is, so that no session is needed; every session but the
// one that asks goes on.
func (s *Service) ConfirmEmailChange(ctx context.Context, token string) (u User, err error) {
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		t, err := s.useToken(ctx, tx, token, TokenEmailChange)
		if err != nil {
			return err
		}
		before, err := tx.LockUser(ctx, t.UserID)
		if err != nil {
			return err
		}
		if before.Status != StatusActive {
			return errTokenInvalid()
		}
		now := s.Now()
		u = before
		u.Email, u.EmailVerifiedAt = t.Email, &now
		if err := tx.UseUpTokens(ctx, u.ID, "", now); err != nil {
			return err
		}
		if err := s.security(ctx, tx, SecurityEvent{Kind: "email_changed", UserID: u.ID, TenantID: u.TenantID}); err != nil {
			return err
		}
		if err := s.mailTo(ctx, tx, before, before.Email, MailEmailChanged, MailData{Email: u.Email}); err != nil {
			return err
		}
		return s.saveUser(ctx, tx, before, &u, "user.change_email")
	})
	return u, err
}

// VerifyEmail proves the address of an account, or makes the account of a
// registration. The token is of one or the other.
func (s *Service) VerifyEmail(ctx context.Context, token string, from From) (u User, err error) {
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		t, err := s.useToken(ctx, tx, token, TokenVerification, TokenRegistration)
		if err != nil {
			return err
		}
		if t.Kind == TokenRegistration {
			u, err = s.completeRegistration(ctx, tx, t)
			return err
		}
		before, err := tx.LockUser(ctx, t.UserID)
		if err != nil {
			return err
		}
		u = before
		if EmailKey(before.Email) != EmailKey(t.Email) || before.Status.Gone() {
			return errTokenInvalid()
		}
		now := s.Now()
		u.EmailVerifiedAt = &now
		if err := s.security(ctx, tx, SecurityEvent{Kind: "email_verified", UserID: u.ID, TenantID: u.TenantID, From: from}); err != nil {
			return err
		}
		return s.saveUser(ctx, tx, before, &u, "user.verify_email")
	})
	return u, err
}

// LinkRequest is the input of the job that sends a link to an address, known
// or not.
type LinkRequest struct {
	Kind   TokenKind
	Email  string
	Locale string
	From   From
}

// JobSendLink is the kind of the job that looks an address up and sends a link.
const JobSendLink = "send-link"

// RequestLink takes the wish of somebody who is not signed in for a link: to
// reset a password, or to prove an address. What is done here is the same for
// every address; the looking up is done later, by a job, so that neither the
// answer nor its time tells whether there is an account.
func (s *Service) RequestLink(ctx context.Context, r LinkRequest) error {
	r.Email = strings.TrimSpace(r.Email)
	if !validEmail(r.Email) {
		return apperr.Invalid(apperr.Field{Path: "email", Code: "invalid", Message: "Must be an e-mail address."})
	}
	return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		_, err := tx.Enqueue(ctx, JobSendLink, r, work.JobOptions{Key: string(r.Kind) + ":" + hashOf(EmailKey(r.Email))})
		return err
	})
}

// What bounds the mails that somebody can have sent.
const (
	linksPerHour         = 5   // to one address, of a kind
	changesPerHour       = 20  // new addresses that one person names
	registrationsPerHour = 200 // from one place: a school is one
)

// written says whether an address got as many mails of a kind as it may.
func (s *Service) written(ctx context.Context, tx Tx, kind TokenKind, email string) (bool, error) {
	n, err := tx.TokensSince(ctx, kind, email, s.Now().Add(-time.Hour))
	return n >= linksPerHour, err
}

// SendLink is the job: a link to who has an account, nothing to others.
func (s *Service) SendLink(ctx context.Context, r LinkRequest) error {
	return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		key := EmailKey(r.Email)
		u, err := tx.LockUserByEmail(ctx, key)
		switch {
		case apperr.IsKind(err, apperr.KindNotFound) && r.Kind == TokenVerification:
			return s.resendRegistration(ctx, tx, key)
		case apperr.IsKind(err, apperr.KindNotFound):
			return s.security(ctx, tx, SecurityEvent{Kind: "link_for_unknown", From: r.From, Details: map[string]string{"link": string(r.Kind)}})
		case err != nil:
			return err
		}
		if full, err := s.written(ctx, tx, r.Kind, u.Email); err != nil || full {
			return err
		}
		switch r.Kind {
		case TokenReset:
			return s.sendReset(ctx, tx, u, r.From)
		case TokenVerification:
			if u.EmailVerifiedAt != nil || u.Status != StatusActive {
				return nil
			}
			return s.sendLink(ctx, tx, u, TokenVerification, u.Email, MailVerification)
		case TokenInvitation, TokenEmailChange, TokenRegistration:
		}
		return nil
	})
}

// sendReset sends what helps: a reset to an active account, the invitation
// again to an invited one, nothing to a deactivated one.
func (s *Service) sendReset(ctx context.Context, tx Tx, u User, from From) error {
	switch u.Status {
	case StatusActive:
		if err := s.security(ctx, tx, SecurityEvent{Kind: "password_reset_requested", UserID: u.ID, TenantID: u.TenantID, From: from}); err != nil {
			return err
		}
		return s.sendLink(ctx, tx, u, TokenReset, u.Email, MailReset)
	case StatusInvited:
		return s.inviteAgain(ctx, tx, u)
	case StatusDeactivated, StatusDeleted, StatusMerged:
	}
	return nil
}

// SendResetByAdmin sends a reset link to a user on behalf of an administrator,
// and ends the user's sessions.
func (s *Service) SendResetByAdmin(ctx context.Context, actor authz.Principal, id uuid.UUID) error {
	_, err := s.changeStatus(ctx, actor, id, authz.UserSecurity, func(ctx context.Context, tx Tx, u *User) error {
		if u.Status != StatusActive || u.Email == "" {
			return apperr.Conflict("not_active", "Only an active account with an address has a password to reset.")
		}
		if err := s.endSessions(ctx, tx, u, uuid.Nil, "password_reset_by_admin"); err != nil {
			return err
		}
		if err := s.security(ctx, tx, SecurityEvent{Kind: "password_reset_by_admin", UserID: u.ID, ActorID: actor.UserID, TenantID: u.TenantID}); err != nil {
			return err
		}
		if err := tx.Audit(ctx, work.AuditEntry{Action: "user.send_password_reset", ResourceType: "user", ResourceID: u.ID, TenantID: u.TenantID, OrgUnitID: u.OrgUnitID}); err != nil {
			return err
		}
		return s.sendLink(ctx, tx, *u, TokenReset, u.Email, MailReset)
	})
	return err
}

// endSessions moves the epoch and tells auth.
func (s *Service) endSessions(ctx context.Context, tx Tx, u *User, except uuid.UUID, reason string) error {
	u.Epoch++
	if err := tx.SetEpoch(ctx, u.ID, u.Epoch); err != nil {
		return err
	}
	return s.Calls.EndSessions(ctx, tx, SessionEnd{Subject: u.ID, TenantID: u.TenantID, Except: except, Reason: reason, Epoch: u.Epoch})
}
