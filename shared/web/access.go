package web

import (
	"context"
	"crypto/subtle"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
)

// accessKind is who a route is for.
type accessKind int

const (
	accessUnset accessKind = iota
	accessPublic
	accessSignedIn
	accessNeeds
	accessCourse
	accessInternal
	accessSidecar
	accessSystem
)

// Access says who may call a route; it stands beside the route, appears in
// the OpenAPI document, and no route is without.
type Access struct {
	kind    accessKind
	perm    authz.Permission
	callers []string
	writes  bool
}

// Public is for everybody. A token that is sent is still verified, and a bad
// one refused, so that nobody takes the anonymous answer for their own.
func Public() Access { return Access{kind: accessPublic} }

// SignedIn is for every user. A token limited to some permissions may only
// read here.
func SignedIn() Access { return Access{kind: accessSignedIn} }

// Needs is for users who hold the permission on the platform or in some org
// unit; in which one is the service layer's question.
func Needs(p authz.Permission) Access { return Access{kind: accessNeeds, perm: p} }

// NeedsInCourse is for users who hold the permission in the course, which only
// the service layer can know; what is checked here is that the token is not
// limited to other permissions.
func NeedsInCourse(p authz.Permission) Access { return Access{kind: accessCourse, perm: p} }

// Internal is for the named services. A user's token finds nothing here (404).
func Internal(caller string, more ...string) Access {
	return Access{kind: accessInternal, callers: append([]string{caller}, more...)}
}

// AnyService is for a route that looks itself at which service calls: reliable calls,
// each of which has callers of its own.
func AnyService() Access { return Access{kind: accessInternal} }

// Sidecar is for what daprd delivers by itself: topics, bindings,
// configuration. It needs the app API token and must not be an invocation.
func Sidecar() Access { return Access{kind: accessSidecar} }

// System is for probes and metrics: no caller is asked for, no log line is
// written.
func System() Access { return Access{kind: accessSystem} }

// WhileImpersonating lets a read-only impersonation through: to end itself.
func (a Access) WhileImpersonating() Access {
	a.writes = true
	return a
}

// Permission is the permission that the route needs, "" for none.
func (a Access) Permission() authz.Permission { return a.perm }

// IsPublic says that no caller is needed.
func (a Access) IsPublic() bool { return a.kind == accessPublic }

// IsInternal says that the route is for services or the sidecar only, or for
// probes: never for a client.
func (a Access) IsInternal() bool { return a.kind >= accessInternal }

// Callers are the services that may call an internal route; empty for AnyService.
func (a Access) Callers() []string { return slices.Clone(a.callers) }

// String names the access in the OpenAPI document and in logs.
func (a Access) String() string {
	switch a.kind {
	case accessPublic:
		return "public"
	case accessSignedIn:
		return "signed-in"
	case accessNeeds:
		return "permission"
	case accessCourse:
		return "permission-in-course"
	case accessInternal:
		return "internal"
	case accessSidecar:
		return "sidecar"
	case accessSystem:
		return "system"
	case accessUnset:
	}
	return "unset"
}

var (
	errNoToken  = apperr.Unauthenticated("unauthenticated", "Sign in first.")
	errBadAuth  = apperr.Unauthenticated("invalid_token", "The Authorization header must be one Bearer token.")
	errNotFound = apperr.New(apperr.KindNotFound, "not_found", "There is nothing here.")
)

// authenticate reads the caller from the request. No Authorization header is
// no error: the access check says whether one is needed.
func (r *Router) authenticate(ctx context.Context, req *http.Request) (authz.Principal, error) {
	values := req.Header["Authorization"]
	if len(values) == 0 {
		return authz.Principal{}, nil
	}
	if len(values) > 1 || len(values[0]) < 8 || !strings.EqualFold(values[0][:7], "Bearer ") {
		return authz.Principal{}, errBadAuth
	}
	p, _, err := r.verifier.Verify(ctx, values[0][7:])
	return p, err //nolint:wrapcheck // already an apperr
}

// authorize applies the access of the route to the caller.
func (x *exchange) authorize(ctx context.Context) error {
	a, p := x.route.Access, x.actor.Principal
	switch a.kind {
	case accessPublic:
		return x.notAService(p)
	case accessSystem:
		return nil
	case accessSidecar:
		return x.fromSidecar(ctx)
	case accessInternal:
		return x.fromService(ctx)
	case accessSignedIn, accessNeeds, accessCourse:
		if p.UserID == uuid.Nil {
			if p.Service != "" {
				return errBadAuth
			}
			return errNoToken
		}
	case accessUnset:
		return apperr.Internal(nil)
	}
	return x.userMay(ctx)
}

func (x *exchange) notAService(p authz.Principal) error {
	if p.Service != "" {
		return errBadAuth
	}
	if p.ReadOnly && x.writing() && !x.route.Access.writes {
		return x.deny(x.req.Context(), "impersonation is read-only", apperr.New(apperr.KindForbidden, "impersonation_read_only", "Acting as another user is read-only."))
	}
	return nil
}

func (x *exchange) writing() bool {
	return x.req.Method != http.MethodGet && x.req.Method != http.MethodHead && x.req.Method != http.MethodOptions
}

func (x *exchange) userMay(ctx context.Context) error {
	a, p := x.route.Access, x.actor.Principal
	if err := x.notAService(p); err != nil {
		return err
	}
	if p.Limited != nil {
		if a.perm != "" && !slices.Contains(p.Limited, a.perm) {
			return x.deny(ctx, "token is limited to other permissions", apperr.New(apperr.KindForbidden, "token_limited", "The token does not cover this.").Detail("permission", a.perm))
		}
		if a.kind == accessSignedIn && x.writing() {
			return x.deny(ctx, "limited tokens may only read here", apperr.New(apperr.KindForbidden, "token_limited", "The token does not cover this."))
		}
	}
	if a.kind != accessNeeds {
		return nil
	}
	policy, err := x.router.policy(ctx, x.actor.Principal)
	if err != nil {
		return err
	}
	if !policy.AllowsSomewhere(p, a.perm) {
		return x.deny(ctx, "permission held nowhere", apperr.Forbidden("You may not do this.").Detail("permission", a.perm))
	}
	return nil
}

func (x *exchange) fromService(ctx context.Context) error {
	p := x.actor.Principal
	switch {
	case p.Service == "" && p.UserID == uuid.Nil:
		return errNoToken
	case p.Service == "":
		return x.deny(ctx, "a user on an internal route", errNotFound)
	case len(x.route.Access.callers) > 0 && !slices.Contains(x.route.Access.callers, p.Service):
		return x.deny(ctx, "a service that is not named for the route", apperr.Forbidden("This service may not call this."))
	}
	return nil
}

// Headers that daprd sets on what it delivers.
const (
	headerAppToken  = "Dapr-Api-Token"     // the name of a header
	headerCallerApp = "Dapr-Caller-App-Id" // on invocations only
	gatewayApp      = "gateway"
)

func (x *exchange) fromSidecar(ctx context.Context) error {
	if x.req.Header.Get(headerCallerApp) != "" {
		return x.deny(ctx, "an invocation of a delivery route", errNotFound)
	}
	if !x.router.hasAppToken(x.req) {
		return x.deny(ctx, "no app API token", apperr.Unauthenticated("app_token_required", "Only the sidecar may deliver here."))
	}
	return nil
}

// hasAppToken compares in constant time. Without a configured token there is
// nothing to compare and everything passes: that is for tests only, and the
// service refuses to start so elsewhere.
func (r *Router) hasAppToken(req *http.Request) bool {
	return r.appToken == "" || subtle.ConstantTimeCompare([]byte(req.Header.Get(headerAppToken)), []byte(r.appToken)) == 1
}

// deny logs who was refused what by which rule, and returns the answer.
func (x *exchange) deny(ctx context.Context, rule string, answer *apperr.Error) error {
	p := x.actor.Principal
	x.router.log.LogAttrs(ctx, slog.LevelWarn, "access denied",
		slog.String("rule", rule), slog.String("access", x.route.Access.String()), slog.String("permission", string(x.route.Access.perm)),
		slog.String("method", x.req.Method), slog.String("route", x.pattern()), slog.String("request_id", x.id),
		slog.String("user_id", idOrEmpty(p.UserID)), slog.String("service", p.Service), slog.String("impersonator", idOrEmpty(p.Impersonator)))
	return answer
}

func idOrEmpty(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}

// clientIP is the address behind the request: what our gateway says when it is
// the gateway that calls, else the peer. daprd appends its own address to
// X-Forwarded-For, so the first one is the gateway's word. daprd also adds the
// caller's name, and keeps one that the caller wrote itself beside it: two
// names are one lie.
func (r *Router) clientIP(req *http.Request) string {
	if by := req.Header[headerCallerApp]; len(by) == 1 && by[0] == gatewayApp && r.hasAppToken(req) {
		first, _, _ := strings.Cut(req.Header.Get("X-Forwarded-For"), ",")
		if ip := net.ParseIP(strings.TrimSpace(first)); ip != nil {
			return ip.String()
		}
	}
	host, _, err := net.SplitHostPort(req.RemoteAddr)
	if err != nil {
		return req.RemoteAddr
	}
	return host
}
