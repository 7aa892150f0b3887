// Package edge is the one way from clients to the services: it decides where a
// path goes, who calls, how often they may, and what of a request and of its
// answer passes. It knows nothing of courses or users.
package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/cors"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/dapr"
	"lms/shared/web"
)

// Config is read from LMS_GATEWAY_….
type Config struct {
	Services       []string      `default:"user,auth,course,enrollment,content,assignment,notification,payment,search,analytics" desc:"Services that are deployed; others answer 503"`
	CORSOrigins    []string      `envconfig:"CORS_ORIGINS" desc:"Origins whose pages may call the API, such as https://app.example.org; none by default"`
	TrustedProxies []string      `desc:"Addresses (CIDR) of the proxies before the gateway, whose X-Forwarded-For is believed"`
	AddressRate    int           `default:"6000" desc:"Requests per minute of one address (a /64 of IPv6); a school may share one"`
	SignInRate     int           `default:"120" desc:"Requests per minute of one address to sign-in, registration and the like"`
	UserRate       int           `default:"1200" desc:"Requests per minute of one user or client"`
	InFlight       int           `default:"256" desc:"Requests that may wait for one service at a time"`
	Streams        int           `default:"2000" desc:"Event streams that may be open at a time"`
	UserStreams    int           `default:"10" desc:"Event streams that one user may have open at a time"`
	Timeout        time.Duration `default:"30s" desc:"The longest a service may take to answer"`
	Operators      []string      `default:"127.0.0.0/8,::1/128" desc:"Addresses (CIDR) that see /metrics and /debug/"`
}

// Sidecar is what the gateway needs of its sidecar; *dapr.Client is one.
type Sidecar interface {
	Transport() http.RoundTripper
	Invoke(ctx context.Context, call dapr.Call) (int, error)
	GetState(ctx context.Context, store, key string) (dapr.State, error)
}

// Options of New. Config, PublicURL, Sidecar and Verifier are required.
type Options struct {
	Config    Config
	PublicURL string // as clients know the gateway: https://lms.example.org
	Log       *slog.Logger
	Sidecar   Sidecar
	Verifier  web.Verifier
	Objects   http.Handler // serves /objects/; nil: nothing there
	Now       func() time.Time
	// Propagate writes the trace of ctx into the headers of a request.
	Propagate func(ctx context.Context, h http.Header)
	// Routes answers probes and what the own sidecar delivers.
	Routes http.Handler
	// Ready are further checks of /readyz, by name.
	Ready map[string]func(ctx context.Context) error
	// Draining is closed when the process begins to stop: event streams end.
	Draining <-chan struct{}
}

// Gateway answers every request that comes from outside.
type Gateway struct {
	config           Config
	log              *slog.Logger
	sidecar          Sidecar
	transport        http.RoundTripper
	verifier         web.Verifier
	objects          http.Handler
	now              func() time.Time
	propagate        func(context.Context, http.Header)
	kit              http.Handler
	draining         <-chan struct{}
	publicURL        string
	origin           string
	proto, host, zip []string

	routes      *tree
	deployed    map[string]bool
	proxies     []netip.Prefix
	operators   []netip.Prefix
	corsOrigins map[string]bool
	forward     map[string]bool
	security    http.Header

	limits   limits
	holds    map[string]*bulkhead
	streams  *bulkhead
	perUser  *perUser
	sessions *sessions
	personal *personal
	cache    *cache
	document *document
	ready    *readiness
	docs     http.Handler
	buffers  sync.Pool // of *[]byte
	zippers  sync.Pool // of *gzip.Writer
	handler  http.Handler
}

// New makes a gateway, or says what of its configuration cannot be.
func New(o Options) (*Gateway, error) {
	public, err := url.Parse(o.PublicURL)
	if err != nil || public.Host == "" || public.Scheme != "http" && public.Scheme != "https" {
		return nil, fmt.Errorf("gateway: public URL %q is not a http or https address", o.PublicURL)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	g := &Gateway{
		config: o.Config, log: o.Log, sidecar: o.Sidecar, transport: o.Sidecar.Transport(), verifier: o.Verifier, objects: o.Objects,
		now: o.Now, propagate: o.Propagate, kit: o.Routes, draining: o.Draining, publicURL: strings.TrimSuffix(o.PublicURL, "/"), origin: public.Scheme + "://" + public.Host,
		proto: []string{public.Scheme}, host: []string{public.Host}, zip: []string{"gzip"},
		routes: newTree(Table()), deployed: map[string]bool{}, corsOrigins: map[string]bool{}, forward: forwarded(),
		security: securityHeaders(public.Scheme == "https"),
		limits: limits{
			address: newLimit("address", o.Config.AddressRate), strict: newLimit("sign-in", o.Config.SignInRate), user: newLimit("user", o.Config.UserRate),
		},
		holds: map[string]*bulkhead{}, streams: &bulkhead{most: int64(o.Config.Streams)},
		perUser:  &perUser{most: o.Config.UserStreams, open: map[string]int{}},
		sessions: newSessions(o.Sidecar.GetState, o.Now),
		personal: &personal{ask: o.Sidecar.Invoke, now: o.Now, kept: map[[32]byte]exchanged{}},
		cache:    newCache(o.Now),
		zippers:  sync.Pool{New: newZipper},
		buffers:  sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }},
	}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	if err := g.configure(); err != nil {
		return nil, err
	}
	services := g.services()
	g.document = newDocument(o.Sidecar.Invoke, services, g.publicURL, o.Now)
	g.ready = newReadiness(o.Sidecar, services, o.Ready, o.Now)
	if g.docs, err = newDocs(); err != nil {
		return nil, err
	}
	g.handler = g.withCORS(http.HandlerFunc(g.answer))
	return g, nil
}

func (g *Gateway) configure() error {
	var errs []error
	for _, s := range g.config.Services {
		switch {
		case s == "gateway":
		case !slices.Contains(Services(), s):
			errs = append(errs, fmt.Errorf("gateway: there is no service %q", s))
		default:
			g.deployed[s] = true
			g.holds[s] = &bulkhead{most: int64(g.config.InFlight)}
		}
	}
	g.proxies, errs = networks("trusted proxy", g.config.TrustedProxies, errs)
	g.operators, errs = networks("operator", g.config.Operators, errs)
	for _, origin := range g.config.CORSOrigins {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != origin || strings.Contains(origin, "*") {
			errs = append(errs, fmt.Errorf("gateway: %q is not an origin such as https://app.example.org", origin))
		}
		g.corsOrigins[origin] = true
	}
	for name, v := range map[string]int{
		"address rate": g.config.AddressRate, "sign-in rate": g.config.SignInRate, "user rate": g.config.UserRate,
		"in flight": g.config.InFlight, "streams": g.config.Streams, "user streams": g.config.UserStreams, "timeout": int(g.config.Timeout),
	} {
		if v <= 0 {
			errs = append(errs, fmt.Errorf("gateway: %s must be above zero", name))
		}
	}
	return errors.Join(errs...)
}

func networks(what string, cidrs []string, errs []error) ([]netip.Prefix, []error) {
	out := make([]netip.Prefix, 0, len(cidrs))
	for _, c := range cidrs {
		p, err := netip.ParsePrefix(c)
		if err != nil {
			errs = append(errs, fmt.Errorf("gateway: %s %q: %w", what, c, err))
		}
		out = append(out, p)
	}
	return out, errs
}

// services are the deployed ones in the table's order.
func (g *Gateway) services() []string {
	return slices.DeleteFunc(Services(), func(s string) bool { return !g.deployed[s] })
}

func (g *Gateway) withCORS(next http.Handler) http.Handler {
	if len(g.corsOrigins) == 0 {
		return next
	}
	return cors.Handler(cors.Options{
		AllowedOrigins: g.config.CORSOrigins,
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete},
		AllowedHeaders: []string{"Accept", "Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "X-Request-Id", "Last-Event-Id"},
		ExposedHeaders: []string{"ETag", "Link", "Location", "Retry-After", "RateLimit", "RateLimit-Policy", "X-Request-Id"},
		// Only auth's refresh cookie; its routes check the origin again.
		AllowCredentials: true,
		MaxAge:           600,
	})(next)
}

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.secure(w.Header())
	g.handler.ServeHTTP(w, r)
}

func (g *Gateway) answer(w http.ResponseWriter, r *http.Request) {
	if err := g.serve(w, r); err != nil {
		g.fail(w, r, err)
	}
}

func (g *Gateway) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		err = apperr.Unavailable("client_closed_request", "The request was given up.").With(err)
	}
	e := apperr.From(err)
	if e.Cause != nil && e.Kind.Status() >= http.StatusInternalServerError {
		g.log.LogAttrs(r.Context(), slog.LevelWarn, "request not served",
			slog.String("error", err.Error()), slog.String("request_id", web.RequestID(r.Context())))
	}
	web.WriteError(w, r, web.RequestID(r.Context()), err)
}

func (g *Gateway) serve(w http.ResponseWriter, r *http.Request) error {
	c := &caller{address: g.address(r), requestID: web.RequestID(r.Context())}
	if strings.HasPrefix(r.URL.Path, "/objects/") {
		return g.object(w, r, c)
	}
	if err := checkPath(r); err != nil {
		return err
	}
	if g.forKit(r) {
		g.kit.ServeHTTP(w, r)
		return nil
	}
	if own := g.ownPage(r.URL.Path); own != nil {
		web.Annotate(r.Context(), "gateway page", authz.Principal{})
		if err := g.limits.address.take(r, w.Header(), network(c.address)); err != nil {
			return err
		}
		own.ServeHTTP(w, r)
		return nil
	}
	rt := g.routes.find(r.URL.Path)
	if rt == nil {
		return apperr.New(apperr.KindNotFound, "not_found", "There is nothing here.")
	}
	web.Annotate(r.Context(), rt.Path, authz.Principal{})
	if !allowedMethod(r.Method) {
		w.Header().Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE")
		return errMethod(r)
	}
	if err := g.admit(w, r, rt, c); err != nil {
		return err
	}
	if rt.Service == "" {
		return g.own(w, r, rt, c)
	}
	if !g.deployed[rt.Service] {
		return apperr.Unavailable("service_unavailable", "The "+rt.Service+" service is not part of this installation.").Detail("service", rt.Service)
	}
	return g.forwardTo(w, r, rt, c)
}

// admit limits, identifies and limits again.
func (g *Gateway) admit(w http.ResponseWriter, r *http.Request, rt *Route, c *caller) error {
	net := network(c.address)
	if err := g.limits.address.take(r, w.Header(), net); err != nil {
		return err
	}
	if rt.Strict && r.Method != http.MethodGet {
		if err := g.limits.strict.take(r, w.Header(), net); err != nil {
			return err
		}
	}
	if r.ContentLength > maxBody {
		return errBodyTooLarge
	}
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	}
	if rt.Basic {
		if err := translateBasic(r); err != nil {
			return err
		}
	}
	if err := g.identify(r, rt, c); err != nil {
		return err
	}
	if c.anonymous() {
		return nil
	}
	web.Annotate(r.Context(), rt.Path, c.principal)
	return g.limits.user.take(r, w.Header(), c.principal.UserID.String())
}

// maxBody is the largest request body in bytes: larger things go by presigned
// URL.
const maxBody = 1 << 20

var errBodyTooLarge = apperr.New(apperr.KindTooLarge, "body_too_large", "The body is larger than 1 MiB. Large files go by an upload link.").Detail("limit_bytes", maxBody)

func bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return errBodyTooLarge
	}
	return apperr.Malformed("body_unreadable", "The body could not be read.").With(err)
}

func errMethod(r *http.Request) error {
	return &web.Problem{
		Type: "urn:lms:problem:method_not_allowed", Title: http.StatusText(http.StatusMethodNotAllowed), Status: http.StatusMethodNotAllowed,
		Code: "method_not_allowed", Detail: "This path does not know the method.", Instance: r.URL.EscapedPath(),
	}
}

// object serves files of a local store: signed links, so nobody signs in.
func (g *Gateway) object(w http.ResponseWriter, r *http.Request, c *caller) error {
	web.Annotate(r.Context(), "/objects/*", authz.Principal{})
	if err := g.limits.address.take(r, w.Header(), network(c.address)); err != nil {
		return err
	}
	if g.objects == nil {
		return apperr.NotFound("object")
	}
	w.Header().Del("X-Frame-Options") // a page of ours may show a file
	g.objects.ServeHTTP(w, r)
	return nil
}

// forKit says whether the kit's own routes answer: probes, what the sidecar
// delivers (it shows its token there), and for operators what tells of the
// inside. A request that came through a proxy is nobody's but the proxy's
// client's.
func (g *Gateway) forKit(r *http.Request) bool {
	path := r.URL.Path
	switch {
	case g.kit == nil:
		return false
	case path == "/healthz", path == "/dapr/subscribe", path == "/dapr/config":
		return true
	case path == "/metrics", strings.HasPrefix(path, "/debug/"):
		if len(r.Header["X-Forwarded-For"]) > 0 || len(r.Header["Forwarded"]) > 0 {
			return false
		}
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		return err == nil && within(g.operators, peer.Addr().Unmap())
	}
	return false
}

// ownPage is what the gateway serves at the root.
func (g *Gateway) ownPage(path string) http.Handler {
	switch {
	case path == "/readyz":
		return g.ready
	case path == "/openapi.json":
		return g.document
	case path == "/docs", strings.HasPrefix(path, "/docs/"):
		return g.docs
	case path == "/":
		return http.RedirectHandler("/docs", http.StatusFound)
	}
	return nil
}
