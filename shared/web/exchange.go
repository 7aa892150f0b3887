package web

import (
	"context"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"lms/shared/authz"
	"lms/shared/work"
)

// exchange is one request and its answer: the response writer that handlers
// see, and what the kit knows about the request. It is one allocation.
type exchange struct {
	inner   http.ResponseWriter
	router  *Router
	req     *http.Request
	route   *route
	ctx     exchangeCtx
	chi     chi.Context
	label   string // the pattern of what the front serves
	id      string
	actor   work.Actor
	start   time.Time
	status  int // 0 until the header is written
	forced  int // overrides the next WriteHeader
	written int64
	gone    bool // the client hung up
	body    []byte
}

// exchangeCtx carries the exchange, and chi's routing state, without a context
// value for each. Its parent grows while the kit works (deadline, actor,
// idempotency key) and stands still once a handler runs.
type exchangeCtx struct {
	context.Context
	x *exchange
}

type exchangeKey struct{}

// Value implements context.Context.
func (c *exchangeCtx) Value(key any) any {
	switch key {
	case exchangeKey{}:
		return c.x
	case chi.RouteCtxKey:
		return &c.x.chi
	}
	return c.Context.Value(key)
}

func exchangeFrom(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// Actor is the verified caller of the request, the zero Principal for none.
func Actor(ctx context.Context) authz.Principal {
	if x := exchangeFrom(ctx); x != nil {
		return x.actor.Principal
	}
	return work.ActorFrom(ctx).Principal
}

// RequestID is the id of the request, "" outside of one.
func RequestID(ctx context.Context) string {
	if x := exchangeFrom(ctx); x != nil {
		return x.id
	}
	return ""
}

// Request is the HTTP request behind an operation, for the few that need its
// headers or cookies. Its body was read already: see RawBody.
func Request(ctx context.Context) *http.Request {
	if x := exchangeFrom(ctx); x != nil {
		return x.req
	}
	return nil
}

// SetHeader sets a header of the answer from inside an operation, for what has
// no place in its output type (a cookie, Cache-Control).
func SetHeader(ctx context.Context, name, value string) {
	if x := exchangeFrom(ctx); x != nil {
		x.Header().Set(name, value)
	}
}

// SetCookie adds a cookie to the answer.
func SetCookie(ctx context.Context, c *http.Cookie) {
	if x := exchangeFrom(ctx); x != nil {
		http.SetCookie(x, c)
	}
}

func (x *exchange) pattern() string {
	switch {
	case x.route != nil:
		return x.route.Path
	case x.label != "":
		return x.label
	}
	return "none"
}

// Header implements http.ResponseWriter.
func (x *exchange) Header() http.Header { return x.inner.Header() }

// WriteHeader implements http.ResponseWriter; only the first call counts.
func (x *exchange) WriteHeader(status int) {
	if x.status != 0 {
		return
	}
	if x.forced != 0 {
		status = x.forced
	}
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		x.inner.WriteHeader(status)
		return
	}
	x.status = status
	x.defaultHeaders()
	x.inner.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	n, err := x.inner.Write(b)
	x.written += int64(n)
	return n, err //nolint:wrapcheck // a writer's error is the writer's
}

// Flush implements http.Flusher, for server-sent events.
func (x *exchange) Flush() {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	if f, ok := x.inner.(http.Flusher); ok {
		f.Flush()
	}
}

// Unwrap serves http.ResponseController.
func (x *exchange) Unwrap() http.ResponseWriter { return x.inner }

// Header values that never change are shared slices: setting them allocates
// nothing. Nobody may append to them in place; http.Header.Add copies since
// they are full.
type fixedHeaders struct{ nosniff, noStore, revalidate []string }

func newFixedHeaders() fixedHeaders {
	return fixedHeaders{nosniff: []string{"nosniff"}, noStore: []string{"no-store"}, revalidate: []string{"private, no-cache"}}
}

func (x *exchange) defaultHeaders() {
	h, f := x.inner.Header(), &x.router.fixed
	h["X-Content-Type-Options"] = f.nosniff
	if _, ok := h["Cache-Control"]; !ok {
		h["Cache-Control"] = f.noStore
		if _, ok := h["Etag"]; ok {
			h["Cache-Control"] = f.revalidate
		}
	}
}
