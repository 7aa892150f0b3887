package httpapi

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/auth/internal/signin"
	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
	"lms/shared/page"
	"lms/shared/web"
	"lms/shared/work"
)

type loginInput struct {
	Body struct {
		Email       string `json:"email" minLength:"3" maxLength:"254"`
		Password    string `json:"password" minLength:"1" maxLength:"128"` // what a login is
		DeviceName  string `json:"device_name,omitempty" maxLength:"100" doc:"How the session is shown in the list of sessions"`
		DeviceToken string `json:"device_token,omitempty" maxLength:"128" doc:"What an earlier login on this device answered: others' failed guesses then do not slow it down"`
		Cookie      bool   `json:"cookie,omitempty" doc:"Give the refresh token as an HttpOnly cookie"`
	}
}

type mfaInput struct {
	Body struct {
		Challenge string `json:"challenge" minLength:"20" maxLength:"128"`
		Code      string `json:"code" minLength:"6" maxLength:"32" doc:"Six digits, or a recovery code"`
	}
}

type refreshInput struct {
	Body struct {
		RefreshToken string `json:"refresh_token,omitempty" maxLength:"256" doc:"Absent when it is in the cookie"`
		CSRFToken    string `json:"csrf_token,omitempty" maxLength:"128" doc:"With the cookie: the value of the cookie lms_csrf"`
	}
}

// tokensBody is the answer to a sign-in: tokens, or a challenge.
type tokensBody struct {
	AccessToken       string     `json:"access_token,omitempty"` // what a login answers
	TokenType         string     `json:"token_type,omitempty" enum:"Bearer"`
	ExpiresIn         int        `json:"expires_in,omitempty" doc:"Seconds until the access token expires"`
	RefreshToken      string     `json:"refresh_token,omitempty" doc:"Absent when it is in the cookie"` // as above
	RefreshExpiresAt  *time.Time `json:"refresh_expires_at,omitempty" doc:"When the session ends, however often it is refreshed"`
	SessionID         *uuid.UUID `json:"session_id,omitempty"`
	UserID            *uuid.UUID `json:"user_id,omitempty"`
	CSRFToken         string     `json:"csrf_token,omitempty" doc:"With the cookie: send it with the refresh"`
	DeviceToken       string     `json:"device_token,omitempty" doc:"Keep it on the device and send it with the next login"`
	RecoveryCodesLeft *int       `json:"recovery_codes_left,omitempty"`

	MFARequired        bool   `json:"mfa_required"`
	Challenge          string `json:"challenge,omitempty" doc:"For POST /auth/mfa"`
	ChallengeExpiresIn int    `json:"challenge_expires_in,omitempty" doc:"Seconds"`
}

func (a *api) login(ctx context.Context, c *Core, in *loginInput) (*web.Resource[tokensBody], error) {
	device := in.Body.DeviceToken
	if device == "" {
		device = read(ctx, a.cookies.device())
	}
	out, err := c.SignIn.Login(ctx, signin.PasswordLogin{
		Email: in.Body.Email, Password: in.Body.Password, Device: in.Body.DeviceName, Cookie: in.Body.Cookie, Caller: callerOf(ctx, device),
	})
	if err != nil {
		return nil, err
	}
	return web.Res(a.outcome(ctx, c, out), 0), nil
}

func (a *api) outcome(ctx context.Context, c *Core, out signin.Outcome) tokensBody {
	if out.Tokens == nil {
		return tokensBody{MFARequired: true, Challenge: out.Challenge, ChallengeExpiresIn: int(out.ChallengeLife.Seconds())}
	}
	return a.show(ctx, c, out.Tokens)
}

// show renders tokens; those of a session in a browser go into its cookies.
func (a *api) show(ctx context.Context, c *Core, t *signin.Tokens) tokensBody {
	sid, uid, ends := t.Session.ID, t.Subject.UserID, t.RefreshEnds
	b := tokensBody{
		AccessToken: t.Access, TokenType: "Bearer", ExpiresIn: int(t.AccessLife.Seconds()), RefreshToken: t.Refresh,
		RefreshExpiresAt: &ends, SessionID: &sid, UserID: &uid, DeviceToken: t.DeviceToken, RecoveryCodesLeft: t.RecoveryCodesLeft,
	}
	if t.Session.Cookie {
		b.RefreshToken, b.DeviceToken, b.CSRFToken = "", "", c.SignIn.CSRF(sid)
		a.cookies.setRefresh(ctx, t.Refresh, b.CSRFToken, t.DeviceToken, ends.Sub(c.SignIn.Now()))
	}
	return b
}

func (a *api) factor(ctx context.Context, c *Core, in *mfaInput) (*web.Resource[tokensBody], error) {
	t, err := c.SignIn.Factor(ctx, in.Body.Challenge, in.Body.Code, callerOf(ctx, ""))
	if err != nil {
		return nil, err
	}
	return web.Res(a.show(ctx, c, t), 0), nil
}

var (
	errNoRefresh = apperr.Unauthenticated("invalid_refresh_token", "There is no refresh token. Sign in again.")
	errCSRF      = apperr.New(apperr.KindForbidden, "csrf_token_invalid", "Send csrf_token with a refresh by cookie.")
)

// refresh takes the token from the body or from the cookie; one from the cookie
// needs the CSRF token of its session, and never leaves the cookie.
func (a *api) refresh(ctx context.Context, c *Core, in *refreshInput) (*web.Resource[tokensBody], error) {
	raw := in.Body.RefreshToken
	if raw == "" {
		if raw = read(ctx, a.cookies.refresh()); raw == "" {
			return nil, errNoRefresh
		}
		if !c.SignIn.CheckCSRF(raw, in.Body.CSRFToken) {
			return nil, errCSRF
		}
	}
	t, err := c.SignIn.Refresh(ctx, raw, callerOf(ctx, ""))
	if err != nil {
		if in.Body.RefreshToken == "" && apperr.IsKind(err, apperr.KindUnauthenticated) {
			a.cookies.clear(ctx)
		}
		return nil, err
	}
	return web.Res(a.show(ctx, c, t), 0), nil
}

func (a *api) logout(ctx context.Context, c *Core, _ *web.Empty) (*web.Empty, error) {
	if err := c.SignIn.Logout(ctx, work.ActorFrom(ctx)); err != nil {
		return nil, err
	}
	a.cookies.clear(ctx)
	return nil, nil //nolint:nilnil // 204
}

type logoutAllInput struct {
	KeepCurrent bool `query:"keep_current" doc:"All but this session"`
}

func (a *api) logoutAll(ctx context.Context, c *Core, in *logoutAllInput) (*web.Resource[internalapi.EndSessionsReply], error) {
	n, err := c.SignIn.LogoutAll(ctx, work.ActorFrom(ctx), in.KeepCurrent)
	if err != nil {
		return nil, err
	}
	if !in.KeepCurrent {
		a.cookies.clear(ctx)
	}
	return web.Res(internalapi.EndSessionsReply{Ended: n}, 0), nil
}

// sessionBody is a session as its owner sees it.
type sessionBody struct {
	internalapi.SessionView
	Current bool `json:"current" doc:"The session of this request"`
}

func (a *api) sessions(ctx context.Context, c *Core, _ *web.Empty) (*web.List[sessionBody], error) {
	p := web.Actor(ctx)
	items, err := c.Sessions.List(ctx, p.UserID)
	if err != nil {
		return nil, err
	}
	return web.ListOf(page.Page[internalapi.SessionView]{Items: items}, func(s internalapi.SessionView) sessionBody {
		return sessionBody{SessionView: s, Current: s.ID == p.SessionID}
	}), nil
}

func (a *api) endSession(ctx context.Context, c *Core, in *web.ByID) (*web.Empty, error) {
	return nil, c.SignIn.EndOwn(ctx, work.ActorFrom(ctx), in.ID)
}

type impersonateInput struct {
	Body struct {
		UserID uuid.UUID `json:"user_id"`
		Reason string    `json:"reason" minLength:"10" maxLength:"500" doc:"Kept in the security audit"`
		Write  bool      `json:"write,omitempty" doc:"Also change things as the person; needs to be granted"`
	}
}

func (a *api) impersonate(ctx context.Context, c *Core, in *impersonateInput) (*web.Resource[tokensBody], error) {
	t, err := c.SignIn.Impersonate(ctx, work.ActorFrom(ctx), signin.Impersonation{UserID: in.Body.UserID, Reason: in.Body.Reason, Write: in.Body.Write})
	if err != nil {
		return nil, err
	}
	return web.Created(a.show(ctx, c, t), 0, base+"/auth/sessions/"+t.Session.ID.String()), nil
}
