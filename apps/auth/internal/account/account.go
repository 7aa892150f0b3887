// Package account is what people do with the ways into their account:
// passwords, confirmed addresses, second factors, personal access tokens, and,
// for administrators, service accounts and identity providers. The user service
// owns and decides all of it; here stands who may ask, and which sessions end.
package account

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/auth/internal/session"
	"lms/apps/auth/internal/signin"
	"lms/apps/auth/internal/throttle"
	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
	"lms/shared/once"
	"lms/shared/work"
)

// Users is what accounts ask of the user service.
type Users interface {
	Subject(ctx context.Context, id uuid.UUID) (internalapi.LoginSubject, error)
	PasswordForgot(ctx context.Context, in internalapi.EmailRequest) error
	PasswordReset(ctx context.Context, in internalapi.TokenPassword) (internalapi.AccountReply, error)
	PasswordChange(ctx context.Context, in internalapi.PasswordChange) error
	EmailVerify(ctx context.Context, in internalapi.TokenRequest) (internalapi.AccountReply, error)
	EmailResend(ctx context.Context, in internalapi.EmailRequest) error
	AcceptInvitation(ctx context.Context, in internalapi.InvitationAccept) (internalapi.AccountReply, error)
	TOTPBegin(ctx context.Context, in internalapi.ActingRequest) (internalapi.TOTPSetup, error)
	TOTPConfirm(ctx context.Context, in internalapi.TOTPConfirm) (internalapi.RecoveryCodes, error)
	TOTPRemove(ctx context.Context, in internalapi.PasswordProof) error
	RecoveryCodes(ctx context.Context, in internalapi.PasswordProof) (internalapi.RecoveryCodes, error)
	Clients(ctx context.Context, in internalapi.ListRequest) (internalapi.ClientPage, error)
	CreateClient(ctx context.Context, in internalapi.ClientCreate) (internalapi.ClientSecret, error)
	DeleteClient(ctx context.Context, in internalapi.ActingOn) error
	AddClientSecret(ctx context.Context, in internalapi.ClientSecretCreate) (internalapi.ClientSecret, error)
	SetClientGrants(ctx context.Context, in internalapi.ClientGrants) (internalapi.Client, error)
	Tokens(ctx context.Context, in internalapi.ListRequest) (internalapi.TokenPage, error)
	CreateToken(ctx context.Context, in internalapi.TokenCreate) (internalapi.TokenCreated, error)
	DeleteToken(ctx context.Context, in internalapi.ActingOn) error
	ProviderList(ctx context.Context, in internalapi.ListRequest) (internalapi.IDPPage, error)
	CreateProvider(ctx context.Context, in internalapi.IDPCreate) (internalapi.IdentityProvider, error)
	UpdateProvider(ctx context.Context, in internalapi.IDPUpdate) (internalapi.IdentityProvider, error)
	DeleteProvider(ctx context.Context, in internalapi.ActingOn) error
	PublicProviders(ctx context.Context) (internalapi.IDPPublicList, error)
}

// Service is the accounts.
type Service struct {
	Users    Users
	Sessions *session.Sessions
	Throttle *throttle.Throttle
	Keys     *once.Keys
	Allowed  func(issuer string) bool
	Now      func() time.Time
	Log      *slog.Logger
}

// Confirmed says whose account a mailed token was for.
type Confirmed struct {
	UserID uuid.UUID
	Email  string
}

func fromOf(ctx context.Context) internalapi.From {
	a := work.ActorFrom(ctx)
	return internalapi.From{IP: a.IP, UserAgent: a.UserAgent, RequestID: a.RequestID}
}

// Forgot asks for a reset mail. The answer is the same, and takes as long, for
// known and unknown addresses.
func (s *Service) Forgot(ctx context.Context, email, locale string) error {
	return s.mail(ctx, func() error {
		return s.Users.PasswordForgot(ctx, internalapi.EmailRequest{Email: email, Locale: locale, From: fromOf(ctx)})
	})
}

// Resend asks for another confirmation mail, likewise.
func (s *Service) Resend(ctx context.Context, email, locale string) error {
	return s.mail(ctx, func() error {
		return s.Users.EmailResend(ctx, internalapi.EmailRequest{Email: email, Locale: locale, From: fromOf(ctx)})
	})
}

// mail counts per address how many mails are asked for, so that nobody's
// mailbox is flooded from one place.
func (s *Service) mail(ctx context.Context, send func() error) error {
	_, _, err := once.Do(ctx, s.Keys, func() (struct{}, error) {
		if _, err := s.Throttle.Guess(ctx, "mail", work.ActorFrom(ctx).IP); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, send()
	})
	return err
}

// link tries a mailed token, counted per address like any guess.
func (s *Service) link(ctx context.Context, use func() (internalapi.AccountReply, error)) (internalapi.AccountReply, error) {
	try, err := s.Throttle.Guess(ctx, "link", work.ActorFrom(ctx).IP)
	if err != nil {
		return internalapi.AccountReply{}, err
	}
	reply, err := use()
	if err != nil && apperr.Code(err) == "token_invalid" {
		return reply, err
	}
	if verr := try.Void(ctx); verr != nil {
		s.Log.WarnContext(ctx, "attempt not given back", "error", verr)
	}
	return reply, err
}

// Reset sets a password by a mailed token. Every session of the account ends.
func (s *Service) Reset(ctx context.Context, token, password string) (Confirmed, error) {
	reply, err := s.link(ctx, func() (internalapi.AccountReply, error) {
		return s.Users.PasswordReset(ctx, internalapi.TokenPassword{Token: token, Password: password, From: fromOf(ctx)})
	})
	if err != nil {
		return Confirmed{}, err
	}
	order := internalapi.EndSessions{UserID: reply.UserID, Reason: "password_reset"}
	if reply.Subject != nil {
		order.Epoch = reply.Subject.Epoch
	}
	s.endNow(ctx, order)
	if err := s.Throttle.Forget(ctx, reply.Email); err != nil {
		s.Log.WarnContext(ctx, "failed logins not forgotten", "error", err)
	}
	return Confirmed{UserID: reply.UserID, Email: reply.Email}, nil
}

// endNow applies at once what the user service also orders by a reliable call:
// that one comes in any case.
func (s *Service) endNow(ctx context.Context, o internalapi.EndSessions) {
	if _, err := s.Sessions.EndAll(ctx, o); err != nil {
		s.Log.WarnContext(ctx, "sessions not ended at once; the user service's order will", "user_id", o.UserID, "reason", o.Reason, "error", err)
	}
}

// Change sets a password by the current one. The caller's session lives on, all
// others end.
func (s *Service) Change(ctx context.Context, a work.Actor, current, next string) error {
	if err := s.own(ctx, a); err != nil {
		return err
	}
	err := s.guarded(ctx, a, func() error {
		return s.Users.PasswordChange(ctx, internalapi.PasswordChange{Acting: signin.ActingOf(a), Current: current, New: next})
	})
	if err != nil {
		return err
	}
	subject, err := s.Users.Subject(ctx, a.Principal.UserID)
	if err == nil {
		err = s.Sessions.KnowPassword(ctx, subject.UserID, a.Principal.SessionID, subject.PasswordChangedAt)
	}
	if err != nil {
		// The password is changed; this session must sign in again, no more.
		s.Log.WarnContext(ctx, "own session not kept after a password change", "user_id", a.Principal.UserID, "error", err)
	}
	s.endNow(ctx, internalapi.EndSessions{
		UserID: a.Principal.UserID, ExceptSession: a.Principal.SessionID, Reason: "password_changed", Epoch: subject.Epoch,
	})
	return nil
}

// own is for acts of a person in a session that lives.
func (s *Service) own(ctx context.Context, a work.Actor) error {
	if err := signin.Personal(a.Principal); err != nil {
		return err
	}
	return s.Sessions.Live(ctx, a.Principal.UserID, a.Principal.SessionID)
}

// Verify confirms an address.
func (s *Service) Verify(ctx context.Context, token string) (Confirmed, error) {
	reply, err := s.link(ctx, func() (internalapi.AccountReply, error) {
		return s.Users.EmailVerify(ctx, internalapi.TokenRequest{Token: token, From: fromOf(ctx)})
	})
	return Confirmed{UserID: reply.UserID, Email: reply.Email}, err
}

// Accept makes an invited account active.
func (s *Service) Accept(ctx context.Context, in internalapi.InvitationAccept) (Confirmed, error) {
	in.From = fromOf(ctx)
	reply, err := s.link(ctx, func() (internalapi.AccountReply, error) { return s.Users.AcceptInvitation(ctx, in) })
	return Confirmed{UserID: reply.UserID, Email: reply.Email}, err
}

// BeginFactor makes the secret of a second factor; it counts once confirmed.
func (s *Service) BeginFactor(ctx context.Context, a work.Actor) (internalapi.TOTPSetup, error) {
	if err := s.own(ctx, a); err != nil {
		return internalapi.TOTPSetup{}, err
	}
	return s.Users.TOTPBegin(ctx, internalapi.ActingRequest{Acting: signin.ActingOf(a)})
}

// ConfirmFactor switches the second factor on and gives the recovery codes.
func (s *Service) ConfirmFactor(ctx context.Context, a work.Actor, code string) (internalapi.RecoveryCodes, error) {
	if err := s.own(ctx, a); err != nil {
		return internalapi.RecoveryCodes{}, err
	}
	return s.Users.TOTPConfirm(ctx, internalapi.TOTPConfirm{Acting: signin.ActingOf(a), Code: strings.TrimSpace(code)})
}

// RemoveFactor switches the second factor off, against a password or a code.
func (s *Service) RemoveFactor(ctx context.Context, a work.Actor, password, code string) error {
	if err := s.own(ctx, a); err != nil {
		return err
	}
	return s.guarded(ctx, a, func() error {
		return s.Users.TOTPRemove(ctx, internalapi.PasswordProof{Acting: signin.ActingOf(a), Password: password, Code: code})
	})
}

// NewCodes replaces the recovery codes, against a password or a code.
func (s *Service) NewCodes(ctx context.Context, a work.Actor, password, code string) (out internalapi.RecoveryCodes, err error) {
	if err := s.own(ctx, a); err != nil {
		return out, err
	}
	err = s.guarded(ctx, a, func() error {
		out, err = s.Users.RecoveryCodes(ctx, internalapi.PasswordProof{Acting: signin.ActingOf(a), Password: password, Code: code})
		return err
	})
	return out, err
}

// guarded counts wrong proofs of a signed-in person: a stolen session must not
// be a way to guess the password or a code.
func (s *Service) guarded(ctx context.Context, a work.Actor, fn func() error) error {
	try, err := s.Throttle.Code(ctx, a.Principal.UserID, a.Principal.SessionID)
	if err != nil {
		return err
	}
	err = fn()
	if apperr.IsKind(err, apperr.KindInvalid) || apperr.IsKind(err, apperr.KindUnauthenticated) || apperr.IsKind(err, apperr.KindForbidden) {
		return err
	}
	giveBack := try.Void
	if err == nil {
		giveBack = try.Succeeded
	}
	if gerr := giveBack(ctx); gerr != nil {
		s.Log.WarnContext(ctx, "attempt not given back", "error", gerr)
	}
	return err
}
