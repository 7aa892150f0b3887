// Package web is how a service speaks HTTP: typed operations on chi and huma,
// one place that checks who calls, reads bodies strictly, and writes RFC 9457
// errors, and an OpenAPI 3.1 document that is made from the same declarations.
package web

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"lms/shared/apperr"
	"lms/shared/authn"
	"lms/shared/authz"
	"lms/shared/telemetry"
)

// Verifier says who a raw access token stands for; *authn.Verifier is one.
type Verifier interface {
	Verify(ctx context.Context, raw string) (authz.Principal, authn.Claims, error)
}

// Options of a router. Service and Verifier are required; without Authz, a
// route that needs a permission answers 503.
type Options struct {
	Service  string // the app id, in Location headers of jobs and in metrics
	Title    string // of the OpenAPI document
	Version  string // of the OpenAPI document, "1" if empty
	Log      *slog.Logger
	Verifier Verifier
	Authz    authz.Source
	AppToken string // APP_API_TOKEN: what daprd sends with every delivery

	Metrics    *telemetry.Metrics            // nil: none
	Tracer     trace.Tracer                  // nil: no spans
	Propagator propagation.TextMapPropagator // W3C trace context if nil

	// Timeout is how long an operation may take when its Op does not say;
	// 20 s if zero.
	Timeout time.Duration
}

// Router is a service's HTTP surface. Routes are added before it serves.
type Router struct {
	service  string
	log      *slog.Logger
	verifier Verifier
	source   authz.Source
	appToken string
	timeout  time.Duration

	mux      *chi.Mux
	handler  http.Handler // mux, or what stands before it
	outside  bool         // clients reach it directly
	public   huma.API
	internal huma.API
	pending  *route // between huma.Register and the adapter
	routes   []*route
	ids      map[string]bool

	fixed    fixedHeaders
	messages []messageCode
	obs      *observer
	bodies   sync.Pool // of *bytes.Buffer
	zippers  sync.Pool // of *gzip.Writer
}

// strictCasing makes huma take `Title` for an unknown field where `title` is
// meant; its only switch for that is a package variable.
var strictCasing = sync.OnceFunc(func() { huma.ValidateStrictCasing = true })

// NewRouter makes an empty router.
func NewRouter(o Options) *Router {
	strictCasing()
	r := &Router{
		service: o.Service, log: o.Log, verifier: o.Verifier, source: o.Authz, appToken: o.AppToken, timeout: o.Timeout,
		mux: chi.NewMux(), ids: map[string]bool{}, fixed: newFixedHeaders(), messages: messageCodes(),
		obs: newObserver(o), bodies: sync.Pool{New: func() any { return new(bytes.Buffer) }}, zippers: sync.Pool{New: newZipper},
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.timeout == 0 {
		r.timeout = 20 * time.Second
	}
	if r.verifier == nil {
		r.verifier = nobody{}
	}
	r.public = r.newAPI(o, false)
	r.internal = r.newAPI(o, true)
	r.handler = r.mux
	r.mux.NotFound(r.unrouted(errNotFound))
	r.mux.MethodNotAllowed(r.unrouted(errMethod))
	return r
}

// SetAuthz sets the source of the policy, for a service that makes its own.
// Before serving only.
func (r *Router) SetAuthz(s authz.Source) { r.source = s }

// SetVerifier sets the verifier, for a service that makes its own. Before
// serving only.
func (r *Router) SetVerifier(v Verifier) { r.verifier = v }

// nobody refuses every token: the verifier of a router that was given none.
type nobody struct{}

func (nobody) Verify(context.Context, string) (authz.Principal, authn.Claims, error) {
	return authz.Principal{}, authn.Claims{}, apperr.Unavailable("keys_unavailable", "Sign-in cannot be checked at the moment. Try again.")
}

func (r *Router) policy(ctx context.Context, pr authz.Principal) (*authz.Policy, error) {
	if r.source == nil {
		return nil, apperr.Unavailable("policy_unavailable", "Permissions cannot be checked at the moment. Try again.")
	}
	return authz.Knowing(ctx, r.source, pr, uuid.Nil) //nolint:wrapcheck // already an apperr
}

// RouteInfo describes a route to tests and generators.
type RouteInfo struct {
	Method, Path, ID string
	Access           Access
	Public           bool // in the OpenAPI document
}

// Routes is every route in the order of registration.
func (r *Router) Routes() []RouteInfo {
	out := make([]RouteInfo, len(r.routes))
	for i, rt := range r.routes {
		out[i] = RouteInfo{Method: rt.Method, Path: rt.Path, ID: rt.ID, Access: rt.Access, Public: !rt.Access.IsInternal() && !rt.Hidden}
	}
	return out
}

// Walk visits what chi has registered, to compare with Routes.
func (r *Router) Walk(fn func(method, path string) error) error {
	return chi.Walk(r.mux, func(method, path string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		return fn(method, path)
	})
}

// Front puts a handler before all routes, which decides what reaches them: for
// the gateway, whose port is open to everybody. Such requests have an id, a
// recovery, metrics and a log line, and nothing else of the kit unless they go
// on to a route; a trace that a client claims to be part of is not taken up.
// Before serving only.
func (r *Router) Front(wrap func(routes http.Handler) http.Handler) {
	r.handler, r.outside = wrap(r.mux), true
}

// Annotate names the route and the caller of a request that the front serves
// itself, for metrics and the log. The pattern must be one of few.
func Annotate(ctx context.Context, pattern string, p authz.Principal) {
	if x := exchangeFrom(ctx); x != nil {
		x.label, x.actor.Principal = pattern, p
	}
}

// Service is the app id.
func (r *Router) Service() string { return r.service }

// ServeHTTP implements http.Handler.
func (r *Router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	x := &exchange{inner: w, router: r, start: time.Now()}
	x.id = requestID(req)
	x.ctx = exchangeCtx{Context: req.Context(), x: x}
	x.chi.Routes = r.mux
	if req.Method == http.MethodHead {
		x.chi.RouteMethod = http.MethodGet // net/http leaves the body out
	}
	end := r.obs.begin(x, req)
	x.req = req.WithContext(&x.ctx)
	w.Header()["X-Request-Id"] = []string{x.id}
	defer func() {
		p := recover()
		if p != nil {
			p = x.recovered(p)
		}
		end()
		if p != nil {
			panic(p)
		}
	}()
	r.handler.ServeHTTP(x, x.req)
}

// recovered logs a panic and answers 500. It returns what has to be thrown
// again: a cut connection when a part of the answer was already sent.
func (x *exchange) recovered(p any) any {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		return http.ErrAbortHandler
	}
	x.router.log.Error("panic", "panic", p, "stack", string(debug.Stack()), "request_id", x.id, "method", x.req.Method, "route", x.pattern())
	if x.status != 0 {
		return http.ErrAbortHandler
	}
	x.forced = 0
	x.writeProblem(x.place(NewProblem(apperr.Internal(nil))))
	return nil
}

// requestID takes over a sane id from the caller and makes one otherwise.
func requestID(req *http.Request) string {
	if v := req.Header["X-Request-Id"]; len(v) == 1 && saneID(v[0]) {
		return v[0]
	}
	return uuid.Must(uuid.NewV7()).String()
}

func saneID(s string) bool {
	if len(s) < 8 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

var errMethod = &Problem{
	Type: problemBase + "method_not_allowed", Title: http.StatusText(http.StatusMethodNotAllowed),
	Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Detail: "This path does not know the method.",
}

func (r *Router) unrouted(err error) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		x, ok := w.(*exchange)
		if !ok {
			WriteError(w, req, "", err)
			return
		}
		if errors.Is(err, errMethod) {
			if allowed := r.methodsOf(req); len(allowed) > 0 {
				x.Header()["Allow"] = []string{joinMethods(allowed)}
			}
		}
		x.fail(req.Context(), err)
	}
}

func (r *Router) methodsOf(req *http.Request) []string {
	var out []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if r.mux.Match(chi.NewRouteContext(), m, req.URL.Path) {
			out = append(out, m)
		}
	}
	return out
}

func joinMethods(m []string) string {
	s := ""
	for i, v := range m {
		if i > 0 {
			s += ", "
		}
		s += v
	}
	return s
}

// adapter hands huma's operations to the router, so that each runs behind the
// kit's own checks.
type adapter struct{ r *Router }

// Handle implements huma.Adapter.
func (a adapter) Handle(op *huma.Operation, handler func(huma.Context)) {
	rt := a.r.pending
	rt.documented(op)
	a.r.mount(rt, func(x *exchange) { handler(humachi.NewContext(op, x.req, x)) })
}

// ServeHTTP implements huma.Adapter.
func (a adapter) ServeHTTP(w http.ResponseWriter, req *http.Request) { a.r.ServeHTTP(w, req) }

func (r *Router) mount(rt *route, handler func(*exchange)) {
	r.routes = append(r.routes, rt)
	r.mux.MethodFunc(rt.Method, rt.Path, func(w http.ResponseWriter, _ *http.Request) {
		x, ok := w.(*exchange)
		if !ok {
			panic("web: a route that was reached around its router")
		}
		x.route = rt
		x.serve(handler)
	})
}
