package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"lms/apps/auth/internal/signin"
	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
	"lms/shared/patch"
	"lms/shared/web"
	"lms/shared/work"
)

// providerBody is an identity provider. Its client secret is never shown.
type providerBody struct {
	ID             uuid.UUID `json:"id"`
	OrgUnitID      uuid.UUID `json:"org_unit_id" doc:"Where new accounts go"`
	Name           string    `json:"name"`
	Issuer         string    `json:"issuer"`
	ClientID       string    `json:"client_id"`
	Scopes         []string  `json:"scopes"`
	Enabled        bool      `json:"enabled"`
	CreateUsers    bool      `json:"create_users" doc:"Who is not known yet gets an account"`
	LinkByEmail    bool      `json:"link_by_email" doc:"Link an account at the first sign-in by an address that the provider verified"`
	AllowedDomains []string  `json:"allowed_domains"`
	CallbackURL    string    `json:"callback_url" doc:"To be registered at the provider"`
	CreatedAt      time.Time `json:"created_at"`
	UpdatedAt      time.Time `json:"updated_at"`
}

func (a *api) showProvider(p internalapi.IdentityProvider) providerBody {
	b := providerBody{
		ID: p.ID, OrgUnitID: p.OrgUnitID, Name: p.Name, Issuer: p.Issuer, ClientID: p.ClientID, Scopes: p.Scopes, Enabled: p.Enabled,
		CreateUsers: p.CreateUsers, LinkByEmail: p.LinkByEmail, AllowedDomains: p.AllowedDomains, CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt,
		CallbackURL: a.public + base + "/auth/sso/" + p.ID.String() + "/callback",
	}
	if b.Scopes == nil {
		b.Scopes = []string{}
	}
	if b.AllowedDomains == nil {
		b.AllowedDomains = []string{}
	}
	return b
}

type createProviderInput struct {
	Body struct {
		OrgUnitID      uuid.UUID `json:"org_unit_id"`
		Name           string    `json:"name" minLength:"1" maxLength:"200"`
		Issuer         string    `json:"issuer" minLength:"8" maxLength:"500"`
		ClientID       string    `json:"client_id" minLength:"1" maxLength:"500"`
		ClientSecret   string    `json:"client_secret,omitempty" maxLength:"1000"` // what a provider needs
		Scopes         []string  `json:"scopes,omitempty" maxItems:"20"`
		Enabled        bool      `json:"enabled,omitempty"`
		CreateUsers    bool      `json:"create_users,omitempty"`
		LinkByEmail    bool      `json:"link_by_email,omitempty"`
		AllowedDomains []string  `json:"allowed_domains,omitempty" maxItems:"50"`
	}
}

type updateProviderInput struct {
	web.IfMatch
	ID   uuid.UUID `path:"id"`
	Body struct {
		Name           patch.Field[string]   `json:"name,omitempty"`
		ClientID       patch.Field[string]   `json:"client_id,omitempty"`
		ClientSecret   patch.Field[string]   `json:"client_secret,omitempty"`
		Scopes         patch.Field[[]string] `json:"scopes,omitempty"`
		Enabled        patch.Field[bool]     `json:"enabled,omitempty"`
		CreateUsers    patch.Field[bool]     `json:"create_users,omitempty"`
		LinkByEmail    patch.Field[bool]     `json:"link_by_email,omitempty"`
		AllowedDomains patch.Field[[]string] `json:"allowed_domains,omitempty"`
	}
}

func (a *api) providers(ctx context.Context, c *Core, in *web.Page) (*web.List[providerBody], error) {
	p, err := c.Account.Providers(ctx, work.ActorFrom(ctx), in.Request())
	if err != nil {
		return nil, err
	}
	return web.ListOf(p, a.showProvider), nil
}

func (a *api) createProvider(ctx context.Context, c *Core, in *createProviderInput) (*web.Resource[providerBody], error) {
	b := in.Body
	made, err := c.Account.CreateProvider(ctx, work.ActorFrom(ctx), internalapi.IDPCreate{
		OrgUnitID: b.OrgUnitID, Name: b.Name, Issuer: b.Issuer, ClientID: b.ClientID, ClientSecret: b.ClientSecret, Scopes: b.Scopes,
		Enabled: b.Enabled, CreateUsers: b.CreateUsers, LinkByEmail: b.LinkByEmail, AllowedDomains: b.AllowedDomains,
	})
	if err != nil {
		return nil, err
	}
	return web.Created(a.showProvider(made), made.Version, base+"/auth/identity-providers/"+made.ID.String()), nil
}

func (a *api) updateProvider(ctx context.Context, c *Core, in *updateProviderInput) (*web.Resource[providerBody], error) {
	var f apperr.Fields
	b := in.Body
	update := internalapi.IDPUpdate{
		ID: in.ID, Version: in.Version(),
		Name: set(&f, "name", b.Name), ClientID: set(&f, "client_id", b.ClientID), ClientSecret: set(&f, "client_secret", b.ClientSecret),
		Scopes: set(&f, "scopes", b.Scopes), Enabled: set(&f, "enabled", b.Enabled), CreateUsers: set(&f, "create_users", b.CreateUsers),
		LinkByEmail: set(&f, "link_by_email", b.LinkByEmail), AllowedDomains: set(&f, "allowed_domains", b.AllowedDomains),
	}
	if err := f.Err(); err != nil {
		return nil, err
	}
	made, err := c.Account.UpdateProvider(ctx, work.ActorFrom(ctx), update)
	if err != nil {
		return nil, err
	}
	return web.Res(a.showProvider(made), made.Version), nil
}

// set is the new value of a field that a merge patch names; null removes
// nothing here and is refused.
func set[T any](f *apperr.Fields, path string, p patch.Field[T]) *T {
	if !p.Set {
		return nil
	}
	if p.Null {
		f.Add(path, "not_null", "cannot be removed")
		return nil
	}
	v := p.Value
	return &v
}

func (a *api) deleteProvider(ctx context.Context, c *Core, in *web.ByID) (*web.Empty, error) {
	return nil, c.Account.DeleteProvider(ctx, work.ActorFrom(ctx), in.ID)
}

// buttonBody is one button of a login page.
type buttonBody struct {
	ID       uuid.UUID `json:"id"`
	Name     string    `json:"name"`
	StartURL string    `json:"start_url"`
}

func (a *api) publicProviders(ctx context.Context, c *Core, _ *web.Empty) (*web.Resource[web.Items[buttonBody]], error) {
	list, err := c.Account.PublicProviders(ctx)
	if err != nil {
		return nil, err
	}
	out := web.Items[buttonBody]{Items: make([]buttonBody, len(list.Items))}
	for i, p := range list.Items {
		out.Items[i] = buttonBody{ID: p.ID, Name: p.Name, StartURL: a.public + base + "/auth/sso/" + p.ID.String() + "/start"}
	}
	return web.Res(out, 0), nil
}

type linkProviderInput struct {
	ID   uuid.UUID `path:"id"`
	Body struct {
		ReturnTo string `json:"return_to,omitempty" maxLength:"1024"`
	}
}

type authorizationBody struct {
	URL string `json:"authorization_url" doc:"Send the browser there"`
}

func (a *api) link(ctx context.Context, c *Core, in *linkProviderInput) (*web.Resource[authorizationBody], error) {
	act := work.ActorFrom(ctx)
	if err := signin.Personal(act.Principal); err != nil {
		return nil, err
	}
	if err := c.Sessions.Live(ctx, act.Principal.UserID, act.Principal.SessionID); err != nil {
		return nil, err
	}
	to, err := c.SignIn.StartSSO(ctx, signin.SSOStart{Provider: in.ID, ReturnTo: in.Body.ReturnTo, LinkTo: act.Principal.UserID})
	if err != nil {
		return nil, err
	}
	a.cookies.setBrowser(ctx, to.Browser, to.Life)
	return web.Res(authorizationBody{URL: to.URL}, 0), nil
}

type startInput struct {
	IDP        uuid.UUID `path:"idp"`
	ReturnTo   string    `query:"return_to" maxLength:"1024" doc:"A path of this site, or a page of an allowed origin. The refresh token is in a cookie then; without it the callback answers JSON"`
	DeviceName string    `query:"device_name" maxLength:"100"`
}

func (a *api) startSSO(ctx context.Context, in *startInput, w http.ResponseWriter, _ *http.Request) error {
	c, err := a.core()
	if err != nil {
		return err
	}
	to, err := c.SignIn.StartSSO(ctx, signin.SSOStart{Provider: in.IDP, ReturnTo: in.ReturnTo, Device: in.DeviceName})
	if err != nil {
		return err
	}
	a.cookies.setBrowser(ctx, to.Browser, to.Life)
	redirect(w, to.URL)
	return nil
}

func redirect(w http.ResponseWriter, target string) {
	w.Header().Set("Location", target)
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusSeeOther)
}

type callbackInput struct {
	IDP   uuid.UUID `path:"idp"`
	State string    `query:"state" maxLength:"256"`
	Code  string    `query:"code" maxLength:"4096"`
	Error string    `query:"error" maxLength:"256"`
}

// finishSSO answers JSON, or sends the browser on to the page that the flow
// began with: signed in by cookie, or with a challenge or an error code in the
// fragment, which no server sees.
func (a *api) finishSSO(ctx context.Context, in *callbackInput, w http.ResponseWriter, _ *http.Request) error {
	c, err := a.core()
	if err != nil {
		return err
	}
	out, err := c.SignIn.FinishSSO(ctx, signin.SSOReturn{
		Provider: in.IDP, State: in.State, Code: in.Code, Error: in.Error,
		Browser: read(ctx, a.cookies.browser()), Caller: callerOf(ctx, ""),
	})
	if out.ReturnTo == "" && err != nil {
		return err
	}
	a.cookies.setBrowser(ctx, "", -time.Second)
	switch {
	case err != nil:
		var e *apperr.Error
		if !errors.As(err, &e) {
			return err
		}
		redirect(w, out.ReturnTo+"#error="+url.QueryEscape(e.Code))
		return nil
	case out.Linked && out.ReturnTo != "":
		redirect(w, out.ReturnTo+"#linked=true")
		return nil
	case out.Linked:
		return writeJSON(w, map[string]bool{"linked": true})
	}
	body := a.outcome(ctx, c, out.Outcome)
	switch {
	case out.ReturnTo == "":
		return writeJSON(w, body)
	case body.MFARequired:
		redirect(w, out.ReturnTo+"#mfa_challenge="+url.QueryEscape(body.Challenge))
	default:
		redirect(w, out.ReturnTo)
	}
	return nil
}

func writeJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
