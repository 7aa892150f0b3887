package edge

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/web"
)

// forwarded are the client's headers that services get to see. All others stay
// here, and with them whatever would steer a sidecar (dapr-*) or pretend to
// come from a proxy (Forwarded, X-Forwarded-*).
func forwarded() map[string]bool {
	m := map[string]bool{}
	for _, h := range []string{
		"Accept", "Accept-Language", "Content-Type", "Content-Language", "If-Match", "If-None-Match", "If-Modified-Since",
		"If-Unmodified-Since", "If-Range", "Range", "Idempotency-Key", "Prefer", "User-Agent", "Last-Event-Id", "Digest", "Content-Digest",
	} {
		m[h] = true
	}
	return m
}

// never are headers that not even AllHeaders lets through.
func never(name string) bool {
	switch name {
	case "Authorization", "Cookie", "Host", "Forwarded", "Via", "X-Real-Ip", "X-Http-Method-Override", "X-Method-Override", "X-Request-Id", "X-Original-Url", "X-Rewrite-Url",
		"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
		"Expect", "Accept-Encoding", "Content-Length", "Traceparent", "Tracestate", "Baggage", "Grpc-Timeout", "Metadata":
		return true
	}
	return strings.HasPrefix(name, "Dapr-") || strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "X-Dapr-") || strings.HasPrefix(name, "Grpc-")
}

// outgoing makes the headers of the request to a service.
func (g *Gateway) outgoing(r *http.Request, rt *Route, c *caller) (http.Header, error) {
	out := make(http.Header, 12)
	connection := r.Header.Values("Connection")
	for name, values := range r.Header {
		if !g.forward[name] && (!rt.AllHeaders || never(name)) {
			continue
		}
		if named(connection, name) {
			continue
		}
		out[name] = values
	}
	if c.token != "" {
		out["Authorization"] = []string{"Bearer " + c.token}
	}
	if rt.Cookies {
		if cookies := r.Header["Cookie"]; len(cookies) > 0 {
			if err := g.checkOrigin(r); err != nil {
				return nil, err
			}
			out["Cookie"] = cookies
		}
		if o := r.Header.Get("Origin"); o != "" {
			out["Origin"] = []string{o}
		}
	}
	if r.Method == http.MethodPost && len(out["Idempotency-Key"]) == 0 {
		out["Idempotency-Key"] = []string{web.GeneratedKeyPrefix + uuid.NewString()}
	}
	out["X-Forwarded-For"] = []string{c.address.String()}
	out["X-Forwarded-Proto"] = g.proto
	out["X-Forwarded-Host"] = g.host
	out["X-Request-Id"] = []string{c.requestID}
	if g.propagate != nil {
		g.propagate(r.Context(), out)
	}
	if headerBytes(out) > maxHeaderBytes {
		return nil, apperr.New(apperr.KindTooLarge, "headers_too_large", "The request's headers are too large.")
	}
	return out, nil
}

// maxHeaderBytes is what the services' sidecars have room for, with what they
// add themselves.
const maxHeaderBytes = 12 << 10

func headerBytes(h http.Header) int {
	n := 0
	for name, values := range h {
		for _, v := range values {
			n += len(name) + len(v) + 4
		}
	}
	return n
}

// named says whether a Connection header makes name a hop-by-hop one.
func named(connection []string, name string) bool {
	for _, v := range connection {
		for part := range strings.SplitSeq(v, ",") {
			if textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(part)) == name {
				return true
			}
		}
	}
	return false
}

// checkOrigin keeps other sites from using a browser's refresh cookie. The
// cookie is SameSite=Strict already; this holds where a browser does not know
// that, and for sibling subdomains.
func (g *Gateway) checkOrigin(r *http.Request) error {
	refused := apperr.New(apperr.KindForbidden, "cross_site_request", "Cookies are not taken from another site.")
	if origin := r.Header.Get("Origin"); origin != "" {
		if origin == g.origin || g.corsOrigins[origin] {
			return nil
		}
		return refused
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return nil
	case "cross-site", "same-site":
		if r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" {
			return nil // back from an identity provider
		}
	}
	return refused
}

// answerHeaders copies what a service answered, without what is between us and
// the sidecars.
func answerHeaders(dst, src http.Header, rt *Route) {
	for name, values := range src {
		switch name {
		case "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
			"Server", "Via", "Traceparent", "Tracestate", "Content-Length", "X-Request-Id", "Date":
			continue
		case "Set-Cookie":
			if !rt.Cookies {
				continue
			}
		case "Vary": // CORS may have said something already
			dst[name] = append(slices.Clip(dst[name]), values...)
			continue
		}
		if strings.HasPrefix(name, "Dapr-") || strings.HasPrefix(name, "Grpc-") || strings.HasPrefix(name, "X-Dapr") {
			continue
		}
		dst[name] = values
	}
}

// secure sets what every answer carries. Pages bring a policy of their own.
func (g *Gateway) secure(h http.Header) {
	for name, values := range g.security {
		h[name] = values
	}
}

func securityHeaders(https bool) http.Header {
	h := http.Header{
		"X-Content-Type-Options":       {"nosniff"},
		"X-Frame-Options":              {"DENY"},
		"Referrer-Policy":              {"no-referrer"},
		"Content-Security-Policy":      {"default-src 'none'; frame-ancestors 'none'"},
		"Cross-Origin-Resource-Policy": {"same-site"},
	}
	if https {
		h["Strict-Transport-Security"] = []string{"max-age=63072000; includeSubDomains"}
	}
	return h
}
