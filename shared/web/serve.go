package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/work"
)

// serve runs one route: who calls, may they, is the request readable, and then
// the handler. x.req carries x.ctx, whose parent grows here.
func (x *exchange) serve(handler func(*exchange)) {
	rt := x.route
	if rt.Timeout > 0 {
		ctx, cancel := context.WithTimeout(x.ctx.Context, rt.Timeout)
		defer cancel()
		x.ctx.Context = ctx
	}
	if err := x.admit(); err != nil {
		x.fail(&x.ctx, err)
		return
	}
	if !rt.StreamBody {
		buf := x.router.bodies.Get().(*bytes.Buffer) //nolint:forcetypeassert // the pool makes nothing else
		defer x.router.putBody(buf)
		if err := x.readBody(buf); err != nil {
			x.fail(&x.ctx, err)
			return
		}
	}
	if rt.Method == http.MethodPost && !rt.Access.IsInternal() {
		if err := x.idempotency(); err != nil {
			x.fail(&x.ctx, err)
			return
		}
	}
	handler(x)
}

func (x *exchange) admit() error {
	rt, req := x.route, x.req
	if err := checkPath(req.URL.Path); err != nil {
		return err
	}
	if rt.Access.kind == accessSystem {
		return nil
	}
	x.actor.RequestID = x.id
	x.actor.IP = x.router.clientIP(req)
	x.actor.UserAgent = truncate(req.UserAgent(), 256)
	if rt.Access.kind != accessSidecar {
		p, err := x.router.authenticate(&x.ctx, req)
		if err != nil {
			return err
		}
		x.actor.Principal = p
	}
	x.ctx.Context = work.WithActor(x.ctx.Context, x.actor)
	if err := x.authorize(&x.ctx); err != nil {
		return err
	}
	if req.URL.RawQuery != "" {
		return rt.checkQuery(req.URL.RawQuery)
	}
	return nil
}

func truncate(s string, n int) string {
	if len(s) <= n {
		return strings.ToValidUTF8(s, "")
	}
	return strings.ToValidUTF8(s[:n], "")
}

// checkPath refuses what no id or name of ours contains: bytes that are not
// UTF-8 and control characters, which PostgreSQL would refuse later.
func checkPath(path string) error {
	if !utf8.ValidString(path) || hasControl(path) {
		return apperr.Malformed("bad_path", "The path has characters that are not allowed.")
	}
	return nil
}

func hasControl(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }) >= 0
}

// checkQuery refuses parameters that the operation does not declare: a filter
// with a typo must not answer with everything.
func (rt *route) checkQuery(raw string) error {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return apperr.Malformed("bad_query", "The query string cannot be read.").With(err)
	}
	var f apperr.Fields
	for name, vs := range values {
		repeated, known := rt.query[name]
		switch {
		case !known && rt.Access.IsInternal(): // newer callers may know more
		case !known && rt.AnyQuery:
		case !known:
			f.Add("query."+truncate(name, 64), "unknown_parameter", "is not a parameter of this operation")
		case len(vs) > 1 && !repeated:
			f.Add("query."+name, "repeated", "may be given once")
		}
		for _, v := range vs {
			if !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
				f.Add("query."+truncate(name, 64), "invalid_character", "has characters that are not allowed")
			}
		}
	}
	return f.Err()
}

// putBody gives a buffer back; what handlers keep of a body they have copied.
func (r *Router) putBody(b *bytes.Buffer) {
	if b.Cap() <= 64<<10 {
		b.Reset()
		r.bodies.Put(b)
	}
}

// readBody reads the whole body into buf, within the operation's limit, and
// checks it if it is JSON.
func (x *exchange) readBody(buf *bytes.Buffer) error {
	req, rt := x.req, x.route
	if req.Body == nil || req.Body == http.NoBody || req.ContentLength == 0 {
		return nil
	}
	if req.ContentLength > rt.MaxBody {
		return tooLarge(rt.MaxBody)
	}
	if err := rt.checkType(req.Header); err != nil {
		return err
	}
	n, err := io.Copy(buf, io.LimitReader(req.Body, rt.MaxBody+1))
	switch {
	case err != nil:
		return readError(err)
	case n > rt.MaxBody:
		return tooLarge(rt.MaxBody)
	case n == 0:
		return nil
	}
	x.body = buf.Bytes()
	if rt.json {
		if err := CheckJSON(x.body); err != nil {
			return err
		}
	}
	req.Body = io.NopCloser(bytes.NewReader(x.body))
	return nil
}

func tooLarge(limit int64) error {
	return apperr.New(apperr.KindTooLarge, "body_too_large", "The body is larger than this operation takes.").Detail("limit_bytes", limit)
}

func readError(err error) error {
	var ne net.Error
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		return tooLarge(tooBig.Limit)
	case errors.As(err, &ne) && ne.Timeout():
		return &Problem{
			Type: problemBase + "request_timeout", Title: http.StatusText(http.StatusRequestTimeout),
			Status: http.StatusRequestTimeout, Code: "request_timeout", Detail: "The body did not arrive in time.",
		}
	}
	return apperr.Malformed("body_unreadable", "The body could not be read.").With(err)
}

// checkType refuses a body of a media type that the operation does not take.
func (rt *route) checkType(h http.Header) error {
	given := h.Get("Content-Type")
	if len(rt.accepts) == 0 || (len(rt.accepts) > 0 && given == rt.accepts[0]) {
		return nil
	}
	media, params, err := mime.ParseMediaType(given)
	if err == nil && (params["charset"] == "" || strings.EqualFold(params["charset"], "utf-8")) {
		for _, a := range rt.accepts {
			if a == media || a == "*/*" {
				return nil
			}
		}
	}
	return apperr.New(apperr.KindUnsupportedMedia, "unsupported_media_type", "The body's media type is not taken here.").Detail("accepted", rt.accepts)
}

// RawBody is the body of the request as it was sent, for signatures. It is
// valid until the handler returns.
func RawBody(ctx context.Context) []byte {
	if x := exchangeFrom(ctx); x != nil {
		return x.body
	}
	return nil
}

// GeneratedKeyPrefix starts the idempotency keys that the gateway adds for
// clients that sent none: they make our own retries safe, but do not count
// where the client has to bring a key.
const GeneratedKeyPrefix = "gateway:"

// idempotency puts the Idempotency-Key of a POST into ctx, scoped to the
// caller and the route. The hash covers the path and the query too, so that a
// key used for another resource is noticed.
func (x *exchange) idempotency() error {
	key := x.req.Header.Get("Idempotency-Key")
	if x.route.NeedsKey && (key == "" || strings.HasPrefix(key, GeneratedKeyPrefix)) {
		return apperr.Malformed("idempotency_key_required", "This operation moves money: send an Idempotency-Key.")
	}
	if key == "" {
		return nil
	}
	if len(key) > 255 || strings.IndexFunc(key, func(c rune) bool { return c < ' ' || c > '~' }) >= 0 {
		return apperr.Malformed("bad_idempotency_key", "An Idempotency-Key has 1 to 255 printable ASCII characters.")
	}
	h := sha256.New()
	h.Write([]byte(x.req.URL.RequestURI()))
	h.Write([]byte{0})
	h.Write(x.body)
	k := work.Idempotency{Caller: x.caller(), Route: x.route.Method + " " + x.route.Path, Key: key}
	h.Sum(k.BodyHash[:0])
	x.ctx.Context = work.WithIdempotency(x.ctx.Context, k)
	return nil
}

func (x *exchange) caller() string {
	switch p := x.actor.Principal; {
	case p.Service != "":
		return "service:" + p.Service
	case p.UserID != uuid.Nil:
		return "user:" + p.UserID.String()
	}
	return "address:" + x.actor.IP
}
