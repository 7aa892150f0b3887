package httpapi

import (
	"context"

	"github.com/google/uuid"

	"lms/apps/auth/internal/account"
	"lms/shared/contracts/internalapi"
	"lms/shared/web"
	"lms/shared/work"
)

type emailInput struct {
	Body struct {
		Email  string `json:"email" minLength:"3" maxLength:"254"`
		Locale string `json:"locale,omitempty" maxLength:"35" doc:"Language of the mail for an address that is not known"`
	}
}

type linkInput struct {
	Body struct {
		Token string `json:"token" minLength:"16" maxLength:"256" doc:"From the link in the mail"`
	}
}

type resetInput struct {
	Body struct {
		Token    string `json:"token" minLength:"16" maxLength:"256" doc:"From the link in the mail"`
		Password string `json:"password" minLength:"8" maxLength:"128"` // what a reset is
	}
}

type changeInput struct {
	Body struct {
		Current string `json:"current_password" minLength:"1" maxLength:"128"`
		New     string `json:"new_password" minLength:"8" maxLength:"128"`
	}
}

type acceptInput struct {
	Body struct {
		Token    string `json:"token" minLength:"16" maxLength:"256" doc:"From the link in the mail"`
		Password string `json:"password" minLength:"8" maxLength:"128"` // what accepting is
		Name     string `json:"name,omitempty" maxLength:"200"`
		Locale   string `json:"locale,omitempty" maxLength:"35"`
		TimeZone string `json:"time_zone,omitempty" maxLength:"64"`
	}
}

// confirmedBody says whose account it was.
type confirmedBody struct {
	UserID uuid.UUID `json:"user_id"`
	Email  string    `json:"email"`
}

func confirmed(c account.Confirmed, err error) (*web.Resource[confirmedBody], error) {
	if err != nil {
		return nil, err
	}
	return web.Res(confirmedBody{UserID: c.UserID, Email: c.Email}, 0), nil
}

func (a *api) forgot(ctx context.Context, c *Core, in *emailInput) (*web.Empty, error) {
	return nil, c.Account.Forgot(ctx, in.Body.Email, in.Body.Locale)
}

func (a *api) resend(ctx context.Context, c *Core, in *emailInput) (*web.Empty, error) {
	return nil, c.Account.Resend(ctx, in.Body.Email, in.Body.Locale)
}

func (a *api) reset(ctx context.Context, c *Core, in *resetInput) (*web.Resource[confirmedBody], error) {
	return confirmed(c.Account.Reset(ctx, in.Body.Token, in.Body.Password))
}

func (a *api) change(ctx context.Context, c *Core, in *changeInput) (*web.Empty, error) {
	return nil, c.Account.Change(ctx, work.ActorFrom(ctx), in.Body.Current, in.Body.New)
}

func (a *api) verify(ctx context.Context, c *Core, in *linkInput) (*web.Resource[confirmedBody], error) {
	return confirmed(c.Account.Verify(ctx, in.Body.Token))
}

func (a *api) accept(ctx context.Context, c *Core, in *acceptInput) (*web.Resource[confirmedBody], error) {
	b := in.Body
	return confirmed(c.Account.Accept(ctx, internalapi.InvitationAccept{
		Token: b.Token, Password: b.Password, Name: b.Name, Locale: b.Locale, TimeZone: b.TimeZone,
	}))
}

// totpBody is shown once.
type totpBody struct {
	Secret string `json:"secret" doc:"Base32, for typing into an authenticator app"`
	URI    string `json:"uri" doc:"otpauth://, for a QR code"`
}

type codesBody struct {
	Codes []string `json:"codes" doc:"Each works once; shown once"`
}

type codeInput struct {
	Body struct {
		Code string `json:"code" minLength:"6" maxLength:"16"`
	}
}

type proofInput struct {
	Body struct {
		Password string `json:"password,omitempty" maxLength:"128" doc:"The password, or a code"` // a proof
		Code     string `json:"code,omitempty" maxLength:"32"`
	}
}

func (a *api) beginFactor(ctx context.Context, c *Core, _ *web.Empty) (*web.Resource[totpBody], error) {
	s, err := c.Account.BeginFactor(ctx, work.ActorFrom(ctx))
	if err != nil {
		return nil, err
	}
	return web.Created(totpBody{Secret: s.Secret, URI: s.URI}, 0, ""), nil
}

func (a *api) confirmFactor(ctx context.Context, c *Core, in *codeInput) (*web.Resource[codesBody], error) {
	r, err := c.Account.ConfirmFactor(ctx, work.ActorFrom(ctx), in.Body.Code)
	if err != nil {
		return nil, err
	}
	return web.Res(codesBody{Codes: r.Codes}, 0), nil
}

func (a *api) removeFactor(ctx context.Context, c *Core, in *proofInput) (*web.Empty, error) {
	return nil, c.Account.RemoveFactor(ctx, work.ActorFrom(ctx), in.Body.Password, in.Body.Code)
}

func (a *api) newCodes(ctx context.Context, c *Core, in *proofInput) (*web.Resource[codesBody], error) {
	r, err := c.Account.NewCodes(ctx, work.ActorFrom(ctx), in.Body.Password, in.Body.Code)
	if err != nil {
		return nil, err
	}
	return web.Res(codesBody{Codes: r.Codes}, 0), nil
}
