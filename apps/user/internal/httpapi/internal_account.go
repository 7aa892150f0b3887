package httpapi

import (
	"context"
	"net/http"

	"lms/apps/user/internal/identity"
	"lms/shared/contracts/internalapi"
	"lms/shared/web"
)

func (a *API) accountRoutes(r *web.Router) {
	post := func(path, id, summary string) web.Op { return forAuth(http.MethodPost, path, id, summary) }
	web.Register(r, post(internalapi.PathTOTPBegin, "internal-begin-totp", "Make the secret of a second factor"), a.beginTOTP)
	web.Register(r, post(internalapi.PathTOTPConfirm, "internal-confirm-totp", "Switch a second factor on"), a.confirmTOTP)
	web.Register(r, post(internalapi.PathTOTPRemove, "internal-remove-totp", "Switch a second factor off"), a.removeTOTP)
	web.Register(r, post(internalapi.PathRecoveryCodes, "internal-recovery-codes", "Replace recovery codes"), a.recoveryCodes)
	web.Register(r, post(internalapi.PathPasswordForgot, "internal-forgot-password", "Ask for a reset link"), a.forgotPassword)
	web.Register(r, post(internalapi.PathPasswordReset, "internal-reset-password", "Set a password by a link"), a.resetPassword)
	web.Register(r, post(internalapi.PathPasswordChange, "internal-change-password", "Set a password by the present one"), a.changePassword)
	web.Register(r, post(internalapi.PathEmailVerify, "internal-verify-email", "Prove an address by a link"), a.verifyEmail)
	web.Register(r, post(internalapi.PathEmailResend, "internal-resend-email", "Ask for another link to prove an address"), a.resendEmail)
	web.Register(r, post(internalapi.PathInvitationAccept, "internal-accept-invitation", "Accept an invitation"), a.acceptInvitation)
}

type actingInput struct{ Body internalapi.ActingRequest }

func (a *API) beginTOTP(ctx context.Context, in *actingInput) (*web.Resource[internalapi.TOTPSetup], error) {
	ctx, p, err := a.myself(ctx, in.Body.Acting)
	if err != nil {
		return nil, err
	}
	setup, err := a.Service.BeginTOTP(ctx, p)
	if err != nil {
		return nil, err
	}
	return web.Res(internalapi.TOTPSetup{Secret: setup.Secret, URI: setup.URI}, 0), nil
}

type totpConfirmInput struct{ Body internalapi.TOTPConfirm }

func (a *API) confirmTOTP(ctx context.Context, in *totpConfirmInput) (*web.Resource[internalapi.RecoveryCodes], error) {
	ctx, p, err := a.myself(ctx, in.Body.Acting)
	if err != nil {
		return nil, err
	}
	return codes(a.Service.ConfirmTOTP(ctx, p, in.Body.Code))
}

func codes(list []string, err error) (*web.Resource[internalapi.RecoveryCodes], error) {
	if err != nil {
		return nil, err
	}
	return web.Res(internalapi.RecoveryCodes{Codes: list}, 0), nil
}

type proofInput struct{ Body internalapi.PasswordProof }

func (in *proofInput) proof() identity.Proof {
	return identity.Proof{Password: in.Body.Password, Code: in.Body.Code}
}

func (a *API) removeTOTP(ctx context.Context, in *proofInput) (*web.Resource[internalapi.Done], error) {
	ctx, p, err := a.myself(ctx, in.Body.Acting)
	if err != nil {
		return nil, err
	}
	return done(a.Service.RemoveTOTP(ctx, p, in.proof()))
}

func (a *API) recoveryCodes(ctx context.Context, in *proofInput) (*web.Resource[internalapi.RecoveryCodes], error) {
	ctx, p, err := a.myself(ctx, in.Body.Acting)
	if err != nil {
		return nil, err
	}
	return codes(a.Service.RenewRecoveryCodes(ctx, p, in.proof()))
}

type emailInput struct{ Body internalapi.EmailRequest }

func (a *API) requestLink(ctx context.Context, in *emailInput, kind identity.TokenKind) (*web.Resource[internalapi.Done], error) {
	b := in.Body
	return done(a.Service.RequestLink(system(ctx, b.From), identity.LinkRequest{Kind: kind, Email: b.Email, Locale: b.Locale, From: fromOf(b.From)}))
}

func (a *API) forgotPassword(ctx context.Context, in *emailInput) (*web.Resource[internalapi.Done], error) {
	return a.requestLink(ctx, in, identity.TokenReset)
}

func (a *API) resendEmail(ctx context.Context, in *emailInput) (*web.Resource[internalapi.Done], error) {
	return a.requestLink(ctx, in, identity.TokenVerification)
}

// account says whose account a link was for. It is read anew, so that a session
// begins with the grants and the epoch after the change.
func (a *API) account(ctx context.Context, u identity.User, err error) (*web.Resource[internalapi.AccountReply], error) {
	if err != nil {
		return nil, err
	}
	out := internalapi.AccountReply{UserID: u.ID, Email: u.Email}
	if u.Status == identity.StatusActive {
		sub, err := a.Service.SubjectOf(ctx, u.ID)
		if err != nil {
			return nil, err
		}
		out.Subject = subject(sub)
	}
	return web.Res(out, 0), nil
}

type tokenPasswordInput struct{ Body internalapi.TokenPassword }

func (a *API) resetPassword(ctx context.Context, in *tokenPasswordInput) (*web.Resource[internalapi.AccountReply], error) {
	b := in.Body
	ctx = system(ctx, b.From)
	u, err := a.Service.ResetPassword(ctx, b.Token, b.Password, fromOf(b.From))
	return a.account(ctx, u, err)
}

type passwordChangeInput struct{ Body internalapi.PasswordChange }

func (a *API) changePassword(ctx context.Context, in *passwordChangeInput) (*web.Resource[internalapi.Done], error) {
	b := in.Body
	ctx, p, err := a.myself(ctx, b.Acting)
	if err != nil {
		return nil, err
	}
	from := identity.From{IP: b.Acting.IP, UserAgent: b.Acting.UserAgent, RequestID: b.Acting.RequestID}
	return done(a.Service.ChangePassword(ctx, p, b.Current, b.New, from))
}

type tokenInput struct{ Body internalapi.TokenRequest }

func (a *API) verifyEmail(ctx context.Context, in *tokenInput) (*web.Resource[internalapi.AccountReply], error) {
	b := in.Body
	ctx = system(ctx, b.From)
	u, err := a.Service.VerifyEmail(ctx, b.Token, fromOf(b.From))
	return a.account(ctx, u, err)
}

type invitationInput struct{ Body internalapi.InvitationAccept }

func (a *API) acceptInvitation(ctx context.Context, in *invitationInput) (*web.Resource[internalapi.AccountReply], error) {
	b := in.Body
	ctx = system(ctx, b.From)
	u, err := a.Service.AcceptInvitation(ctx, identity.Acceptance{
		Token: b.Token, Password: b.Password, Name: b.Name, Locale: b.Locale, TimeZone: b.TimeZone, From: fromOf(b.From),
	})
	return a.account(ctx, u, err)
}
