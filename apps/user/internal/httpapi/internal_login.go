package httpapi

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"lms/apps/user/internal/identity"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/page"
	"lms/shared/web"
	"lms/shared/work"
)

// auth is the only caller of what follows.
func forAuth(method, path, id, summary string) web.Op {
	return web.Op{Method: method, Path: path, ID: id, Summary: summary, Tag: "Internal", Access: web.Internal("auth"), Timeout: slow}
}

func (a *API) loginRoutes(r *web.Router) {
	web.Register(r, forAuth(http.MethodPost, internalapi.PathCredentialsVerify, "internal-verify-credentials", "The first step of a login"), a.verifyCredentials)
	web.Register(r, forAuth(http.MethodPost, internalapi.PathMFAVerify, "internal-verify-mfa", "The second step of a login"), a.verifyMFA)
	web.Register(r, forAuth(http.MethodGet, internalapi.PathUserSubject, "internal-user-subject", "What a refresh makes a token from"), a.userSubject)
	web.Register(r, forAuth(http.MethodPost, internalapi.PathSSOResolve, "internal-resolve-sso", "The account that a provider vouches for"), a.resolveSSO)
	web.Register(r, forAuth(http.MethodPost, internalapi.PathImpersonate, "internal-impersonate", "Whether the acting person may act as another"), a.impersonate)
	web.Register(r, forAuth(http.MethodPost, internalapi.PathSecurityEvents, "internal-security-event", "One line of the security audit"), a.securityEvent)
}

func fromOf(f internalapi.From) identity.From {
	return identity.From{IP: f.IP, UserAgent: f.UserAgent, RequestID: f.RequestID}
}

// system is ctx on behalf of nobody who is signed in: audit and security audit
// name where the request came from, not the service that passed it on.
func system(ctx context.Context, f internalapi.From) context.Context {
	return work.WithActor(ctx, work.Actor{IP: f.IP, UserAgent: f.UserAgent, RequestID: f.RequestID})
}

// acting reads the person for whom auth acts, with the grants of now, and puts
// the person into ctx. Who is not active any more acts no more.
func (a *API) acting(ctx context.Context, in internalapi.Acting) (context.Context, authz.Principal, error) {
	if in.UserID == uuid.Nil {
		return ctx, authz.Principal{}, apperr.Unauthenticated("unauthenticated", "Sign in first.")
	}
	sub, err := a.Service.SubjectOf(ctx, in.UserID)
	if apperr.IsKind(err, apperr.KindNotFound) || err == nil && sub.User.Status != identity.StatusActive {
		return ctx, authz.Principal{}, apperr.Unauthenticated("account_inactive", "The account is not active.")
	}
	if err != nil {
		return ctx, authz.Principal{}, err
	}
	p := authz.Principal{
		UserID: in.UserID, SessionID: in.SessionID, TenantID: sub.User.TenantID, OrgUnitID: sub.User.OrgUnitID, Grants: sub.Grants,
		Impersonator: in.Impersonator, ReadOnly: in.ReadOnly, Limited: in.Limited,
	}
	return work.WithActor(ctx, work.Actor{Principal: p, IP: in.IP, UserAgent: in.UserAgent, RequestID: in.RequestID}), p, nil
}

// changing is acting for a change: an impersonation that may only read makes none.
func (a *API) changing(ctx context.Context, in internalapi.Acting) (context.Context, authz.Principal, error) {
	ctx, p, err := a.acting(ctx, in)
	if err == nil && p.ReadOnly {
		err = apperr.New(apperr.KindForbidden, "impersonation_read_only", "Acting as another user is read-only.")
	}
	return ctx, p, err
}

// myself is changing for what proves who somebody is: nobody changes that while
// acting as another, since it would outlast the impersonation.
func (a *API) myself(ctx context.Context, in internalapi.Acting) (context.Context, authz.Principal, error) {
	ctx, p, err := a.changing(ctx, in)
	if err == nil && p.Impersonator != uuid.Nil {
		err = apperr.New(apperr.KindForbidden, "impersonating", "Only the person changes passwords, second factors and tokens.")
	}
	return ctx, p, err
}

func subject(s *identity.Subject) *internalapi.LoginSubject {
	if s == nil {
		return nil
	}
	u := s.User
	out := &internalapi.LoginSubject{
		UserID: u.ID, TenantID: u.TenantID, OrgUnitID: u.OrgUnitID, Status: string(u.Status), Grants: s.Grants, Epoch: u.Epoch, MFAEnabled: s.MFA,
		Email: u.Email, EmailVerified: u.EmailVerifiedAt != nil, Name: u.Name, Locale: u.Locale, PasswordChangedAt: s.PasswordChangedAt,
	}
	if out.Grants == nil {
		out.Grants = []authz.Grant{}
	}
	return out
}

// verdict is the answer to a login. Too many at once is a refusal too: auth
// tells it to throttle, and clients when to come again.
func verdict(v identity.Verdict, err error) (*web.Resource[internalapi.LoginReply], error) {
	if apperr.Code(err) == internalapi.RefusalBusy {
		return web.Res(internalapi.LoginReply{Refusal: internalapi.RefusalBusy}, 0), nil
	}
	if err != nil {
		return nil, err
	}
	return web.Res(internalapi.LoginReply{
		OK: v.Subject != nil, Refusal: v.Refusal, Subject: subject(v.Subject), RecoveryCodesLeft: v.RecoveryCodesLeft, Created: v.Created,
	}, 0), nil
}

type credentialsInput struct {
	Body internalapi.CredentialsRequest
}

func (a *API) verifyCredentials(ctx context.Context, in *credentialsInput) (*web.Resource[internalapi.LoginReply], error) {
	b := in.Body
	return verdict(a.Service.VerifyPassword(system(ctx, b.From), b.Email, b.Password, fromOf(b.From)))
}

type mfaInput struct{ Body internalapi.MFARequest }

func (a *API) verifyMFA(ctx context.Context, in *mfaInput) (*web.Resource[internalapi.LoginReply], error) {
	b := in.Body
	return verdict(a.Service.VerifyMFA(system(ctx, b.From), b.UserID, b.Code, fromOf(b.From)))
}

func (a *API) userSubject(ctx context.Context, in *web.ByID) (*web.Resource[internalapi.LoginSubject], error) {
	sub, err := a.Service.SubjectOf(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return web.Res(*subject(sub), 0), nil
}

type ssoInput struct{ Body internalapi.SSORequest }

func (a *API) resolveSSO(ctx context.Context, in *ssoInput) (*web.Resource[internalapi.LoginReply], error) {
	b := in.Body
	return verdict(a.Service.ResolveSSO(system(ctx, b.From), identity.Assertion{
		ProviderID: b.ProviderID, Subject: b.Subject, Email: b.Email, EmailVerified: b.EmailVerified, Name: b.Name, GivenName: b.GivenName,
		FamilyName: b.FamilyName, Locale: b.Locale, LinkTo: b.LinkTo, From: fromOf(b.From),
	}))
}

type impersonateInput struct {
	Body internalapi.ImpersonateRequest
}

func (a *API) impersonate(ctx context.Context, in *impersonateInput) (*web.Resource[internalapi.LoginSubject], error) {
	ctx, p, err := a.changing(ctx, in.Body.Acting)
	if err != nil {
		return nil, err
	}
	sub, err := a.Service.Impersonate(ctx, p, identity.Impersonation{UserID: in.Body.UserID, Reason: in.Body.Reason, Write: in.Body.Write})
	if err != nil {
		return nil, err
	}
	return web.Res(*subject(sub), 0), nil
}

type securityEventInput struct{ Body internalapi.SecurityEvent }

func (a *API) securityEvent(ctx context.Context, in *securityEventInput) (*web.Resource[internalapi.Done], error) {
	e := in.Body
	return done(a.Service.RecordSecurity(system(ctx, e.From), identity.SecurityEvent{
		ID: e.ID, Kind: e.Kind, UserID: e.UserID, ActorID: e.ActorID, At: e.At.UTC(), From: fromOf(e.From), Details: e.Details,
	}))
}

// done answers what has nothing to say.
func done(err error) (*web.Resource[internalapi.Done], error) {
	if err != nil {
		return nil, err
	}
	return web.Res(internalapi.Done{}, 0), nil
}

// wanted is the page that a body asks for.
func wanted(limit int, cursor string) page.Request { return page.Request{Limit: limit, Cursor: cursor} }
