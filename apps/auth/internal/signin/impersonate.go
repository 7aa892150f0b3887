package signin

import (
	"context"

	"github.com/google/uuid"

	"lms/apps/auth/internal/session"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/work"
)

// Impersonation is support acting as a person.
type Impersonation struct {
	UserID uuid.UUID
	Reason string
	Write  bool
}

// Impersonate opens a session in which the caller acts as another person,
// read-only unless Write was asked for and granted. The user service decides and
// audits; the session lives at most as long as the caller's own, and ends with
// it. A repeated Idempotency-Key gives new tokens of the same session.
func (s *Service) Impersonate(ctx context.Context, actor work.Actor, in Impersonation) (*Tokens, error) {
	p := actor.Principal
	if err := Personal(p); err != nil {
		return nil, err
	}
	if p.UserID == in.UserID {
		return nil, apperr.Invalid(apperr.Field{Path: "user_id", Code: "self", Message: "is yourself"})
	}
	own, err := s.Sessions.Find(ctx, p.UserID, p.SessionID)
	if err != nil {
		return nil, err
	}
	subject, err := s.Users.Impersonate(ctx, internalapi.ImpersonateRequest{
		Acting: ActingOf(actor), UserID: in.UserID, Reason: in.Reason, Write: in.Write,
	})
	if err != nil {
		return nil, err
	}
	if subject.Status != internalapi.PersonActive {
		return nil, apperr.Conflict("account_not_active", "The account is not active.")
	}
	g, err := s.Sessions.Open(ctx, session.Opening{
		ID: repeatable(ctx), Subject: subject, Kind: internalapi.SessionImpersonation, Method: "impersonation",
		From:  session.From{IP: actor.IP, UserAgent: actor.UserAgent},
		Actor: p.UserID, ActorSession: p.SessionID, ActorUntil: own.ExpiresAt, Write: in.Write,
	})
	if err != nil {
		return nil, err
	}
	return s.tokens(g)
}

// Personal refuses what must be a person's own act to who acts as somebody
// else, or comes with a limited token.
func Personal(p authz.Principal) error {
	switch {
	case p.Impersonator != uuid.Nil:
		return apperr.New(apperr.KindForbidden, "impersonation_forbidden", "This cannot be done while acting as another user.")
	case p.Limited != nil:
		return apperr.New(apperr.KindForbidden, "token_limited", "The token does not cover this.")
	case p.SessionID == uuid.Nil:
		return apperr.New(apperr.KindForbidden, "session_required", "Sign in to do this.")
	}
	return nil
}

// repeatable is a session id that is the same for the same Idempotency-Key and
// body, nil without a key.
func repeatable(ctx context.Context) uuid.UUID {
	k, ok := work.IdempotencyFrom(ctx)
	if !ok {
		return uuid.Nil
	}
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte("lms session\x00"+k.Caller+"\x00"+k.Route+"\x00"+k.Key+"\x00"+string(k.BodyHash[:])))
}

// ActingOf names the caller to the user service.
func ActingOf(a work.Actor) internalapi.Acting {
	return internalapi.Acting{
		UserID: a.Principal.UserID, SessionID: a.Principal.SessionID, Impersonator: a.Principal.Impersonator,
		ReadOnly: a.Principal.ReadOnly, Limited: a.Principal.Limited,
		IP: a.IP, UserAgent: a.UserAgent, RequestID: a.RequestID,
	}
}

// Logout ends the caller's session and notes it. Ending one that has ended is
// no error.
func (s *Service) Logout(ctx context.Context, a work.Actor) error {
	p := a.Principal
	ended, err := s.Sessions.End(ctx, p.UserID, p.SessionID)
	if err != nil || !ended {
		return err
	}
	kind := internalapi.SecuritySessionEnded
	if p.Impersonator != uuid.Nil {
		kind = internalapi.SecurityImpersonation
	}
	s.note(ctx, a, kind, map[string]string{"session_id": p.SessionID.String(), "by": "logout"})
	return nil
}

// LogoutAll ends every session of the caller, or all but the caller's own.
func (s *Service) LogoutAll(ctx context.Context, a work.Actor, keepOwn bool) (int, error) {
	p := a.Principal
	if err := Personal(p); err != nil {
		return 0, err
	}
	order := internalapi.EndSessions{UserID: p.UserID, Reason: "logout_all"}
	if keepOwn {
		order.ExceptSession = p.SessionID
	}
	ended, err := s.Sessions.EndAll(ctx, order)
	if err == nil && ended > 0 {
		s.note(ctx, a, internalapi.SecuritySessionEnded, map[string]string{"by": "logout_all"})
	}
	return ended, err
}

// EndOwn ends one session of the caller.
func (s *Service) EndOwn(ctx context.Context, a work.Actor, id uuid.UUID) error {
	p := a.Principal
	if err := Personal(p); err != nil {
		return err
	}
	ended, err := s.Sessions.End(ctx, p.UserID, id)
	if err != nil {
		return err
	}
	if !ended {
		return apperr.NotFound("session")
	}
	s.note(ctx, a, internalapi.SecuritySessionEnded, map[string]string{"session_id": id.String(), "by": "owner"})
	return nil
}

// note writes a line of the security audit. The act is done whether or not the
// line can be written; the log has it then.
func (s *Service) note(ctx context.Context, a work.Actor, kind string, details map[string]string) {
	actor := a.Principal.UserID
	if a.Principal.Impersonator != uuid.Nil {
		actor = a.Principal.Impersonator
	}
	err := s.Users.Report(ctx, internalapi.SecurityEvent{
		ID: s.NewID(), Kind: kind, UserID: a.Principal.UserID, ActorID: actor, At: s.Now(),
		From: internalapi.From{IP: a.IP, UserAgent: a.UserAgent, RequestID: a.RequestID}, Details: details,
	})
	if err != nil {
		s.Log.WarnContext(ctx, "security event not recorded", "kind", kind, "user_id", a.Principal.UserID, "error", err)
	}
}
