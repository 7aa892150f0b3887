// Package httpapi is auth as clients and other services call it.
package httpapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"lms/apps/auth/internal/account"
	"lms/apps/auth/internal/keys"
	"lms/apps/auth/internal/session"
	"lms/apps/auth/internal/signin"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/web"
	"lms/shared/work"
)

// Core is what the routes do their work with.
type Core struct {
	SignIn   *signin.Service
	Account  *account.Service
	Sessions *session.Sessions
	Keys     *keys.Keeper
}

// Options of Mount.
type Options struct {
	// Core is the service once it knows its secret; an error (503) before.
	Core func() (*Core, error)
	// PublicURL is the gateway as browsers see it; Issuer what tokens name.
	PublicURL, Issuer string
}

type api struct {
	core    func() (*Core, error)
	cookies cookies
	issuer  string
	public  string
}

const base = "/api/v1"

// Mount adds every route.
func Mount(r *web.Router, o Options) {
	a := &api{
		core: o.Core, issuer: o.Issuer, public: strings.TrimSuffix(o.PublicURL, "/"),
		cookies: cookies{https: strings.HasPrefix(o.PublicURL, "https://")},
	}
	a.signInRoutes(r)
	a.accountRoutes(r)
	a.factorRoutes(r)
	a.clientRoutes(r)
	a.tokenRoutes(r)
	a.providerRoutes(r)
	a.oauthRoutes(r)
	a.internalRoutes(r)
}

// slow is the time limit of what computes a password hash and may wait for its
// turn.
const slow = 18 * time.Second

// small is the largest body of most routes here.
const small = 16 << 10

// with runs fn with the core.
func with[In, Out any](a *api, fn func(ctx context.Context, c *Core, in *In) (*Out, error)) func(context.Context, *In) (*Out, error) {
	return func(ctx context.Context, in *In) (*Out, error) {
		c, err := a.core()
		if err != nil {
			return nil, err
		}
		return fn(ctx, c, in)
	}
}

func (a *api) signInRoutes(r *web.Router) {
	op := func(method, path, id, summary string, access web.Access) web.Op {
		return web.Op{Method: method, Path: base + path, ID: id, Summary: summary, Tag: "Authentication", Access: access, MaxBody: small}
	}
	login := op(http.MethodPost, "/auth/login", "login", "Sign in with an address and a password", web.Public())
	login.Timeout, login.Errors = slow, []int{http.StatusForbidden, http.StatusTooManyRequests}
	login.Description = "Answers tokens, or mfa_required with a challenge for POST /auth/mfa. The answer and its time are the same for known and unknown addresses. With cookie the refresh token comes as an HttpOnly cookie. An Idempotency-Key is ignored: answers with tokens are never kept."
	web.Register(r, login, with(a, a.login))
	mfa := op(http.MethodPost, "/auth/mfa", "login-mfa", "Answer a challenge with a code of the second factor", web.Public())
	mfa.Errors = []int{http.StatusTooManyRequests}
	web.Register(r, mfa, with(a, a.factor))
	refresh := op(http.MethodPost, "/auth/refresh", "refresh", "Exchange a refresh token for new tokens", web.Public())
	refresh.Description = "The refresh token comes in the body, or in the cookie together with csrf_token. It is replaced at each use; the one before stays good until its successor is first used. A refresh token that was replaced ends the session."
	web.Register(r, refresh, with(a, a.refresh))
	web.Register(r, op(http.MethodPost, "/auth/logout", "logout", "End this session", web.SignedIn().WhileImpersonating()), with(a, a.logout))
	web.Register(r, op(http.MethodPost, "/auth/logout-all", "logout-all", "End every session of mine", web.SignedIn()), with(a, a.logoutAll))
	web.Register(r, op(http.MethodGet, "/auth/sessions", "list-sessions", "My sessions", web.SignedIn()), with(a, a.sessions))
	web.Register(r, op(http.MethodDelete, "/auth/sessions/{id}", "end-session", "End a session of mine", web.SignedIn()), with(a, a.endSession))
	imp := op(http.MethodPost, "/auth/impersonations", "impersonate", "Act as another person", web.Needs(authz.UserImpersonate))
	imp.Description = "Gives a session in which the caller acts as the person, read-only unless write was asked for and granted. Audited; ends with the caller's own session, after an hour at the latest, or by POST /auth/logout."
	imp.Status = http.StatusCreated
	web.Register(r, imp, with(a, a.impersonate))
}

func (a *api) accountRoutes(r *web.Router) {
	post := func(path, id, summary string, access web.Access) web.Op {
		return web.Op{Method: http.MethodPost, Path: base + path, ID: id, Summary: summary, Tag: "Authentication", Access: access, MaxBody: small, Timeout: slow}
	}
	accepted := func(o web.Op) web.Op {
		o.Status = http.StatusAccepted
		o.Description = "Always 202, at once, whether or not the address is known."
		return o
	}
	web.Register(r, accepted(post("/auth/password/forgot", "forgot-password", "Ask for a mail with a reset link", web.Public())), with(a, a.forgot))
	web.Register(r, post("/auth/password/reset", "reset-password", "Set a password by a reset link", web.Public()), with(a, a.reset))
	web.Register(r, post("/auth/password/change", "change-password", "Change my password; all my other sessions end", web.SignedIn()), with(a, a.change))
	web.Register(r, post("/auth/email/verify", "verify-email", "Confirm an address by a link", web.Public()), with(a, a.verify))
	web.Register(r, accepted(post("/auth/email/resend", "resend-verification", "Ask for another confirmation mail", web.Public())), with(a, a.resend))
	web.Register(r, post("/auth/invitations/accept", "accept-invitation", "Accept an invitation and set a password", web.Public()), with(a, a.accept))
}

func (a *api) factorRoutes(r *web.Router) {
	op := func(method, path, id, summary string) web.Op {
		return web.Op{Method: method, Path: base + path, ID: id, Summary: summary, Tag: "Authentication", Access: web.SignedIn(), MaxBody: small, Timeout: slow}
	}
	begin := op(http.MethodPost, "/auth/mfa/totp", "begin-totp", "Set up an authenticator app; it counts once confirmed")
	begin.Status = http.StatusCreated
	web.Register(r, begin, with(a, a.beginFactor))
	web.Register(r, op(http.MethodPost, "/auth/mfa/totp/confirm", "confirm-totp", "Confirm the authenticator app; gives the recovery codes"), with(a, a.confirmFactor))
	web.Register(r, op(http.MethodDelete, "/auth/mfa/totp", "remove-totp", "Remove the second factor"), with(a, a.removeFactor))
	web.Register(r, op(http.MethodPost, "/auth/mfa/recovery-codes", "new-recovery-codes", "Replace the recovery codes"), with(a, a.newCodes))
}

func (a *api) clientRoutes(r *web.Router) {
	op := func(method, path, id, summary string) web.Op {
		return web.Op{Method: method, Path: base + path, ID: id, Summary: summary, Tag: "Authentication", Access: web.Needs(authz.ClientManage), MaxBody: 256 << 10}
	}
	created := func(o web.Op) web.Op {
		o.Status = http.StatusCreated
		return o
	}
	web.Register(r, op(http.MethodGet, "/auth/clients", "list-clients", "Service accounts of my organisation"), with(a, a.clients))
	web.Register(r, created(op(http.MethodPost, "/auth/clients", "create-client", "Create a service account; its secret is shown once")), with(a, a.createClient))
	web.Register(r, op(http.MethodDelete, "/auth/clients/{id}", "delete-client", "Delete a service account"), with(a, a.deleteClient))
	web.Register(r, created(op(http.MethodPost, "/auth/clients/{id}/secrets", "add-client-secret", "Make a further secret; it is shown once")), with(a, a.addSecret))
	web.Register(r, op(http.MethodPut, "/auth/clients/{id}/grants", "set-client-grants", "Replace what a service account may do"), with(a, a.setGrants))
}

func (a *api) tokenRoutes(r *web.Router) {
	op := func(method, path, id, summary string) web.Op {
		return web.Op{Method: method, Path: base + path, ID: id, Summary: summary, Tag: "Authentication", Access: web.SignedIn(), MaxBody: small}
	}
	web.Register(r, op(http.MethodGet, "/me/tokens", "list-tokens", "My personal access tokens"), with(a, a.tokens))
	create := op(http.MethodPost, "/me/tokens", "create-token", "Create a personal access token; it is shown once")
	create.Status = http.StatusCreated
	web.Register(r, create, with(a, a.createToken))
	web.Register(r, op(http.MethodDelete, "/me/tokens/{id}", "delete-token", "Revoke a personal access token"), with(a, a.deleteToken))
}

func (a *api) providerRoutes(r *web.Router) {
	op := func(method, path, id, summary string, access web.Access) web.Op {
		return web.Op{Method: method, Path: base + path, ID: id, Summary: summary, Tag: "Authentication", Access: access, MaxBody: small}
	}
	manage := web.Needs(authz.IDPManage)
	web.Register(r, op(http.MethodGet, "/auth/identity-providers", "list-identity-providers", "Identity providers of my organisation", manage), with(a, a.providers))
	create := op(http.MethodPost, "/auth/identity-providers", "create-identity-provider", "Add an OpenID Connect provider", manage)
	create.Status = http.StatusCreated
	web.Register(r, create, with(a, a.createProvider))
	web.Register(r, op(http.MethodPatch, "/auth/identity-providers/{id}", "update-identity-provider", "Change an identity provider", manage), with(a, a.updateProvider))
	web.Register(r, op(http.MethodDelete, "/auth/identity-providers/{id}", "delete-identity-provider", "Remove an identity provider", manage), with(a, a.deleteProvider))
	web.Register(r, op(http.MethodPost, "/auth/identity-providers/{id}/link", "link-identity-provider", "Link my account to one at a provider", web.SignedIn()), with(a, a.link))
	web.Register(r, op(http.MethodGet, "/auth/sso", "list-sso", "Providers that a login page shows", web.Public()), with(a, a.publicProviders))
	start := op(http.MethodGet, "/auth/sso/{idp}/start", "start-sso", "Send the browser to an identity provider", web.Public())
	start.Status = http.StatusSeeOther
	web.Stream(r, start, a.startSSO)
	back := op(http.MethodGet, "/auth/sso/{idp}/callback", "finish-sso", "The browser comes back from an identity provider", web.Public())
	back.AnyQuery, back.Timeout = true, slow
	web.Stream(r, back, a.finishSSO)
}

func (a *api) oauthRoutes(r *web.Router) {
	const form = "application/x-www-form-urlencoded"
	op := func(path, id, summary string) web.Op {
		return web.Op{
			Method: http.MethodPost, Path: path, ID: id, Summary: summary, Tag: "OAuth 2", Access: web.Public(), MaxBody: small,
			Accepts: []string{form}, Produces: []string{"application/json"},
		}
	}
	web.Raw(r, op("/oauth2/token", "oauth2-token", "OAuth 2 token endpoint: client_credentials, refresh_token"), a.oauthToken)
	web.Raw(r, op("/oauth2/introspect", "oauth2-introspect", "RFC 7662: what a token is"), a.oauthIntrospect)
	web.Raw(r, op("/oauth2/revoke", "oauth2-revoke", "RFC 7009: end what a token stands for"), a.oauthRevoke)
	web.Raw(r, web.Op{
		Method: http.MethodGet, Path: internalapi.PathJWKS, ID: "jwks", Summary: "Keys that access tokens are verified with", Tag: "OAuth 2",
		Access: web.Public(), Produces: []string{"application/json"},
	}, a.jwks)
	web.Raw(r, web.Op{
		Method: http.MethodGet, Path: "/.well-known/oauth-authorization-server", ID: "oauth2-metadata", Summary: "RFC 8414: what this server can do", Tag: "OAuth 2",
		Access: web.Public(), Produces: []string{"application/json"},
	}, a.metadata)
}

// callerOf is who is behind a request that needs no sign-in.
func callerOf(ctx context.Context, deviceToken string) signin.Caller {
	act := work.ActorFrom(ctx)
	return signin.Caller{IP: act.IP, UserAgent: act.UserAgent, RequestID: act.RequestID, DeviceToken: deviceToken}
}
