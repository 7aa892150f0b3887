// Package signin turns proofs into tokens: a password and a second factor, an
// identity provider's word, a client's secret, a personal access token, a
// refresh token, a service's secret. Whether a proof is good is the user
// service's to say; which session and which token follow from it is decided
// here.
package signin

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"lms/apps/auth/internal/session"
	"lms/apps/auth/internal/throttle"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/record"
)

// Users is what signing in asks of the user service. Verdicts are replies; an
// error means that no verdict could be had.
type Users interface {
	session.Users
	VerifyPassword(ctx context.Context, in internalapi.CredentialsRequest) (internalapi.LoginReply, error)
	VerifyCode(ctx context.Context, in internalapi.MFARequest) (internalapi.LoginReply, error)
	VerifyClient(ctx context.Context, in internalapi.ClientVerify) (internalapi.ClientReply, error)
	VerifyToken(ctx context.Context, in internalapi.TokenVerify) (internalapi.TokenReply, error)
	DeleteToken(ctx context.Context, in internalapi.ActingOn) error
	Impersonate(ctx context.Context, in internalapi.ImpersonateRequest) (internalapi.LoginSubject, error)
	ResolveSSO(ctx context.Context, in internalapi.SSORequest) (internalapi.LoginReply, error)
	Provider(ctx context.Context, id uuid.UUID) (internalapi.IDPSecret, error)
}

// AccessToken is what an access token says.
type AccessToken struct {
	ID        uuid.UUID
	Subject   uuid.UUID
	Session   uuid.UUID // nil for the exchange of a personal access token
	Client    string
	Scope     string
	Epoch     int64
	OrgUnit   uuid.UUID
	Tenant    uuid.UUID
	Grants    []authz.Grant
	Actor     uuid.UUID
	Write     bool
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// Minter signs access tokens and reads back those it has signed.
type Minter interface {
	Mint(t AccessToken) (string, error)
	// MintService signs a service's own token.
	MintService(service string, issued, expires time.Time) (string, error)
	// Read verifies a token of a person or client; an error for any other.
	Read(ctx context.Context, raw string) (AccessToken, error)
}

// FirstParty is the client_id of tokens that people sign in for themselves.
const FirstParty = "lms"

// Service signs people, clients and services in.
type Service struct {
	Users      Users
	Sessions   *session.Sessions
	Throttle   *throttle.Throttle
	Challenges *record.Book[Challenge]
	Flows      *record.Book[Flow]
	Providers  Providers
	Secrets    Secrets
	Minter     Minter
	Now        func() time.Time
	NewID      func() uuid.UUID
	Log        *slog.Logger
	Lives      Lives
	CSRFKeys   [][]byte // the newest first
	Origins    []string // where single sign-on may return to, besides paths of our own
	PublicURL  string
}

// Lives say how long tokens are good.
type Lives struct {
	Access    time.Duration
	Service   time.Duration
	Challenge time.Duration
	Flow      time.Duration
}

// Caller is where a request of somebody who is not signed in comes from.
type Caller struct {
	IP, UserAgent, RequestID string
	// DeviceToken is what an earlier login left on the device, or "".
	DeviceToken string
}

func (c Caller) from() internalapi.From {
	return internalapi.From{IP: c.IP, UserAgent: c.UserAgent, RequestID: c.RequestID}
}

func (c Caller) session() session.From {
	return session.From{IP: c.IP, UserAgent: c.UserAgent}
}

// Tokens are what a sign-in gives.
type Tokens struct {
	Access      string
	AccessLife  time.Duration
	Refresh     string
	RefreshEnds time.Time // absolute
	Session     session.Record
	Subject     internalapi.LoginSubject
	DeviceToken string
	// RecoveryCodesLeft is set when a recovery code was used.
	RecoveryCodesLeft *int
}

// Outcome is either tokens or a challenge for the second factor.
type Outcome struct {
	Tokens        *Tokens
	Challenge     string
	ChallengeLife time.Duration
}

// PasswordLogin is a login by address and password.
type PasswordLogin struct {
	Email, Password string
	Device          string // the client's name for it
	Cookie          bool   // the refresh token goes into a cookie
	Caller          Caller
}

// The answers to a proof that is not good.
var (
	errCredentials = apperr.Unauthenticated("invalid_credentials", "The address or the password is not right.")
	errBusy        = apperr.Unavailable("login_busy", "Too many people are signing in at this moment. Try again.").After(2 * time.Second)
)

// refused is the error of a refusal.
func refused(refusal string) *apperr.Error {
	switch refusal {
	case internalapi.RefusalDeactivated:
		return apperr.New(apperr.KindForbidden, refusal, "The account is deactivated.")
	case internalapi.RefusalUnverified:
		return apperr.New(apperr.KindForbidden, refusal, "Confirm the e-mail address first; ask for a new link if it is lost.")
	case internalapi.RefusalCode:
		return apperr.Unauthenticated(refusal, "The code is not right.")
	case internalapi.RefusalUnknownSubject:
		return apperr.New(apperr.KindForbidden, refusal, "There is no account for this sign-in.")
	case internalapi.RefusalProvider:
		return apperr.New(apperr.KindForbidden, refusal, "This way to sign in is switched off.")
	case internalapi.RefusalBusy:
		return errBusy
	}
	return errCredentials
}

// Login checks a password. Errors: 401 `invalid_credentials`, the same for
// known and unknown addresses; 429 `too_many_attempts`; 403
// `account_deactivated`, `email_unverified` for who gave the right password;
// 503 `login_busy`.
func (s *Service) Login(ctx context.Context, in PasswordLogin) (Outcome, error) {
	try, err := s.Throttle.Login(ctx, in.Email, in.Caller.IP, in.Caller.DeviceToken)
	if err != nil {
		if apperr.IsKind(err, apperr.KindRateLimited) {
			s.Log.WarnContext(ctx, "login throttled", "ip", in.Caller.IP, "request_id", in.Caller.RequestID)
		}
		return Outcome{}, err
	}
	reply, err := s.Users.VerifyPassword(ctx, internalapi.CredentialsRequest{
		Email: in.Email, Password: in.Password, Device: in.Device, From: in.Caller.from(),
	})
	if err != nil {
		return Outcome{}, s.voided(ctx, try, err)
	}
	if !reply.OK || reply.Subject == nil {
		return Outcome{}, s.refuse(ctx, try, reply.Refusal)
	}
	if err := try.Succeeded(ctx); err != nil {
		return Outcome{}, err
	}
	return s.proceed(ctx, proof{
		subject: *reply.Subject, method: "password", device: in.Device, cookie: in.Cookie, known: try.Device, caller: in.Caller,
	})
}

// voided gives a try back that nobody answered.
func (s *Service) voided(ctx context.Context, try *throttle.Try, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if gerr := try.Void(ctx); gerr != nil {
		s.Log.WarnContext(ctx, "login attempt not given back", "error", gerr)
	}
	return err
}

// refuse answers a refusal; one that says the password was right gives the try
// back.
func (s *Service) refuse(ctx context.Context, try *throttle.Try, refusal string) error {
	switch refusal {
	case internalapi.RefusalBusy:
		return s.voided(ctx, try, errBusy)
	case internalapi.RefusalDeactivated, internalapi.RefusalUnverified:
		if err := try.Succeeded(ctx); err != nil {
			return err
		}
	}
	return refused(refusal)
}

// proof is a first factor that was found good.
type proof struct {
	subject internalapi.LoginSubject
	method  string
	device  string
	cookie  bool
	known   uuid.UUID // the known device
	caller  Caller
	begunAt time.Time // of a login with a second factor
}

// proceed asks for the second factor or opens the session.
func (s *Service) proceed(ctx context.Context, p proof) (Outcome, error) {
	if p.subject.Status != internalapi.PersonActive {
		return Outcome{}, refused(internalapi.RefusalDeactivated)
	}
	if p.subject.MFAEnabled {
		return s.challenge(ctx, p)
	}
	t, err := s.open(ctx, p, 0, nil)
	return Outcome{Tokens: t}, err
}

// open begins the session of a person and makes its tokens.
func (s *Service) open(ctx context.Context, p proof, proofEpoch int64, codesLeft *int) (*Tokens, error) {
	g, err := s.Sessions.Open(ctx, session.Opening{
		Subject: p.subject, ProofEpoch: proofEpoch, Kind: internalapi.SessionLogin, Method: p.method,
		Device: p.device, From: p.caller.session(), Cookie: p.cookie, BegunAt: p.begunAt,
	})
	if err != nil {
		return nil, err
	}
	t, err := s.tokens(g)
	if err != nil {
		return nil, err
	}
	device := p.known
	if device == uuid.Nil {
		device = s.NewID()
	}
	t.DeviceToken = s.Throttle.DeviceToken(p.subject.Email, device)
	t.RecoveryCodesLeft = codesLeft
	return t, nil
}

// tokens makes the access token of a session that was opened or refreshed.
func (s *Service) tokens(g session.Grant) (*Tokens, error) {
	now := s.Now()
	ends := now.Add(s.Lives.Access)
	if g.Session.ExpiresAt.Before(ends) {
		ends = g.Session.ExpiresAt
	}
	access, err := s.Minter.Mint(AccessToken{
		ID: s.NewID(), Subject: g.Subject.UserID, Session: g.Session.ID, Client: FirstParty, Scope: g.Session.Scope,
		Epoch: g.Epoch, OrgUnit: g.Subject.OrgUnitID, Tenant: g.Subject.TenantID, Grants: g.Subject.Grants,
		Actor: g.Session.Actor, Write: g.Session.Write, IssuedAt: now, ExpiresAt: ends,
	})
	if err != nil {
		return nil, err
	}
	return &Tokens{
		Access: access, AccessLife: ends.Sub(now), Refresh: g.Refresh.Raw(), RefreshEnds: g.Session.ExpiresAt,
		Session: g.Session, Subject: g.Subject,
	}, nil
}

// Refresh exchanges a refresh token for new tokens.
func (s *Service) Refresh(ctx context.Context, raw string, caller Caller) (*Tokens, error) {
	g, err := s.Sessions.Refresh(ctx, raw, caller.session())
	if err != nil {
		return nil, err
	}
	return s.tokens(g)
}
