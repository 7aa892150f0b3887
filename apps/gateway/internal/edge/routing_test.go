package edge_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/gateway/internal/edge"
)

func TestWhereAPathGoes(t *testing.T) {
	t.Parallel()
	all := func(o *edge.Options) { o.Config.Services = edge.Services() }
	w := start(t, all)
	c, _ := w.user(t)
	id := uuid.NewString()
	cases := map[string]string{
		"/api/v1/users": "user", "/api/v1/users/" + id: "user", "/api/v1/users/" + id + "/sessions": "user", "/api/v1/users/register": "user",
		"/api/v1/me": "user", "/api/v1/me/profile": "user", "/api/v1/me/avatar": "user", "/api/v1/me/email-change/confirm": "user", "/api/v1/me/data-export": "user",
		"/api/v1/me/tokens": "auth", "/api/v1/me/tokens/" + id: "auth", "/api/v1/me/certificates": "enrollment", "/api/v1/me/to-grade": "assignment",
		"/api/v1/org-units/" + id: "user", "/api/v1/org-units/" + id + "/members/" + id: "user", "/api/v1/org-units/" + id + "/seat-pools": "payment",
		"/api/v1/roles": "user", "/api/v1/permissions": "user", "/api/v1/groups/" + id: "user", "/api/v1/group-sets/" + id + "/groups": "user",
		"/api/v1/auth/login": "auth", "/api/v1/auth/mfa": "auth", "/api/v1/auth/mfa/totp/confirm": "auth", "/api/v1/auth/sessions": "auth", "/api/v1/auth/sso/x/callback": "auth",
		"/oauth2/token": "auth", "/oauth2/introspect": "auth", "/.well-known/jwks.json": "auth",
		"/api/v1/courses": "course", "/api/v1/courses/" + id: "course", "/api/v1/courses/" + id + "/publish": "course", "/api/v1/courses/" + id + "/curriculum": "course",
		"/api/v1/courses/" + id + "/modules/" + id + "/items/" + id: "course", "/api/v1/courses/" + id + "/staff": "course", "/api/v1/courses/" + id + "/exports": "course",
		"/api/v1/courses/" + id + "/announcements": "course", "/api/v1/terms": "course", "/api/v1/imports/courses": "course", "/api/v1/imports/uploads": "course",
		"/api/v1/courses/" + id + "/enrollments": "enrollment", "/api/v1/courses/" + id + "/enrollments/bulk": "enrollment", "/api/v1/courses/" + id + "/items/" + id + "/view": "enrollment",
		"/api/v1/courses/" + id + "/progress": "enrollment", "/api/v1/courses/" + id + "/certificate-allowlist/" + id: "enrollment", "/api/v1/enrollments/" + id: "enrollment",
		"/api/v1/join": "enrollment", "/api/v1/join-codes/" + id: "enrollment", "/api/v1/certificates/verify/ABC": "enrollment", "/api/v1/imports/enrollments": "enrollment", "/api/v1/imports/users": "user",
		"/api/v1/courses/" + id + "/group-sets": "user", "/api/v1/courses/" + id + "/quizzes": "content", "/api/v1/contents/" + id + "/uploads/" + id + "/complete": "content",
		"/api/v1/attempts/" + id: "content", "/api/v1/imports/questions": "content", "/api/v1/courses/" + id + "/gradebook/import": "assignment", "/api/v1/courses/" + id + "/assignments": "assignment",
		"/api/v1/submissions/" + id: "assignment", "/api/v1/notifications": "notification", "/api/v1/webhook-endpoints/" + id: "notification", "/api/v1/plans": "payment",
		"/api/v1/payments/webhooks/mock": "payment", "/mock-gateway/" + id: "payment", "/api/v1/search/suggest": "search", "/api/v1/reports/x": "analytics", "/api/v1/xapi/statements": "analytics",
	}
	for path, service := range cases {
		c.GET(path + "?a=b%20c").Expect(200)
		got := w.sidecar.last(t)
		require.Equal(t, service, got.app, path)
		require.Equal(t, path, got.path)
		require.Equal(t, "a=b%20c", got.query)
	}
}

func TestWhatIsNotInTheTableDoesNotExist(t *testing.T) {
	t.Parallel()
	w := start(t)
	c, _ := w.user(t)
	for _, path := range []string{
		"/internal/authz/snapshot", "/internal/calls/end-sessions", "/api/v1/internal/x", "/api/v1", "/api/v1/", "/api/v1/nope", "/api/v2/users", "/metrics", "/dapr/subscribe",
		"/dapr/config", "/v1.0/invoke/user/method/internal/x", "/v1.0/state/cache/x", "/events/user", "/api/v1/usersx", "/API/v1/users", "/debug/pprof/",
	} {
		c.GET(path).Expect(404).Code("not_found")
	}
	require.Zero(t, w.sidecar.calls())
	c.GET("/api/v1/contents").Expect(503).Code("service_unavailable")
	for _, method := range []string{"OPTIONS", "TRACE", "CONNECT", "PROPFIND"} {
		c.Do(method, "/api/v1/users", nil).Expect(405).Code("method_not_allowed")
	}
	require.Zero(t, w.sidecar.calls())
}

// Paths as bytes on the wire: a client library would put many of them right.
func TestPathTricks(t *testing.T) {
	t.Parallel()
	w := start(t)
	server := httptest.NewServer(w.handler)
	t.Cleanup(server.Close)
	addr := strings.TrimPrefix(server.URL, "http://")
	for _, path := range []string{
		"/api/v1/users/../../internal/authz/snapshot", "/api/v1/users/..", "/api/v1/./users", "/api/v1/users/.", "//api/v1/users", "/api/v1//users", "/api/v1/users//",
		"/api/v1/users/%2e%2e/%2e%2e/internal", "/api/v1/users/%2E%2E/x", "/api/v1/users/.%2e/x", "/api/v1/users%2f..%2finternal", "/api/v1/users/%2Finternal", `/api/v1/users\..\internal`,
		"/api/v1/users/%5c..%5cx", "/api/v1/users/%252e%252e/internal", "/api/v1/users/%00", "/api/v1/users/%0d%0aX:y", "/api/v1/users/%ff", "/api/v1/users;x=y/z", "/api/v1/users/%3b",
		"/docs/../internal/x", "/.well-known/../internal/x", "/oauth2/..%2f", "/api/v1/users/" + strings.Repeat("a", 2100),
	} {
		res := raw(t, addr, "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		require.Equal(t, 400, res.StatusCode, path)
	}
	for _, line := range []string{"GET http://evil.test/internal/x HTTP/1.1", "GET internal HTTP/1.1", "GET * HTTP/1.1"} {
		res := raw(t, addr, line+"\r\nHost: x\r\nConnection: close\r\n\r\n")
		require.GreaterOrEqual(t, res.StatusCode, 400, line)
	}
	require.Zero(t, w.sidecar.calls(), "none of them reached a service")
	res := raw(t, addr, "GET http://other.test/api/v1/terms HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	require.Equal(t, 200, res.StatusCode, "an absolute form names no other place")
	require.Equal(t, "course", w.sidecar.last(t).app)
}

func raw(t *testing.T, addr, request string) *http.Response {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = fmt.Fprint(conn, request)
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res
}

func TestHeadersOfTheRequest(t *testing.T) {
	t.Parallel()
	w := start(t, func(o *edge.Options) { o.Config.Services = edge.Services() })
	c, _ := w.user(t)
	for name, value := range map[string]string{
		"Dapr-App-Id": "user", "dapr-api-token": "x", "Dapr-Caller-App-Id": "gateway", "X-Forwarded-For": "9.9.9.9", "X-Forwarded-Host": "evil", "Forwarded": "for=9.9.9.9",
		"X-Real-Ip": "9.9.9.9", "X-Http-Method-Override": "DELETE", "Cookie": "a=b", "Traceparent": "00-11111111111111111111111111111111-1111111111111111-01", "Baggage": "a=b",
		"Accept-Encoding": "gzip", "Proxy-Authorization": "x", "X-Custom": "y", "Te": "trailers", "Expect": "100-continue",
	} {
		c = c.With(name, value)
	}
	for name, value := range map[string]string{"Accept": "text/csv", "If-Match": `"v1"`, "User-Agent": "test", "Accept-Language": "de", "Range": "bytes=0-1", "Idempotency-Key": "k1", "X-Request-Id": "request-1234"} {
		c = c.With(name, value)
	}
	c.POST("/api/v1/users", `{}`).Expect(200)
	h := w.sidecar.last(t).header
	for _, gone := range []string{"Dapr-Caller-App-Id", "Forwarded", "X-Real-Ip", "X-Http-Method-Override", "Cookie", "Traceparent", "Baggage", "Proxy-Authorization", "X-Custom", "Te", "Expect"} {
		require.Empty(t, h.Values(gone), gone)
	}
	require.Equal(t, "sidecar-token", h.Get("Dapr-Api-Token"), "ours, for our sidecar")
	require.Equal(t, []string{"192.0.2.1"}, h.Values("X-Forwarded-For"))
	require.Equal(t, "lms.test", h.Get("X-Forwarded-Host"))
	require.Equal(t, "https", h.Get("X-Forwarded-Proto"))
	for name, value := range map[string]string{"Accept": "text/csv", "If-Match": `"v1"`, "User-Agent": "test", "Idempotency-Key": "k1", "X-Request-Id": "request-1234", "Content-Type": "application/json"} {
		require.Equal(t, value, h.Get(name), name)
	}
	require.True(t, strings.HasPrefix(h.Get("Authorization"), "Bearer ey"))

	c.With("X-Signature", "abc").With("Dapr-App-Id", "user").POST("/api/v1/payments/webhooks/mock", `raw`).Expect(200)
	got := w.sidecar.last(t)
	require.Equal(t, "payment", got.app)
	require.Equal(t, "raw", got.body)
	require.Equal(t, "abc", got.header.Get("X-Signature"), "webhooks keep their signatures")
	require.Empty(t, got.header.Get("Cookie"))
	require.Empty(t, got.header.Get("Authorization"))
	require.Empty(t, got.header.Get("Dapr-Caller-App-Id"))
	c.With("X-Signature", strings.Repeat("a", 16<<10)).POST("/api/v1/payments/webhooks/mock", `raw`).Expect(413).Code("headers_too_large")
}

func TestConnectionHeaderCannotAddHopByHopNames(t *testing.T) {
	t.Parallel()
	w := start(t)
	c, _ := w.user(t)
	c.With("Connection", "close, If-Match").With("If-Match", `"v1"`).PUT("/api/v1/users/x", `{}`).Expect(200)
	require.Empty(t, w.sidecar.last(t).header.Get("If-Match"))
}

func TestAPostGetsAnIdempotencyKey(t *testing.T) {
	t.Parallel()
	w := start(t)
	c, _ := w.user(t)
	c.POST("/api/v1/users", `{}`).Expect(200)
	first := w.sidecar.last(t).header.Get("Idempotency-Key")
	require.True(t, strings.HasPrefix(first, "gateway:"))
	c.POST("/api/v1/users", `{}`).Expect(200)
	require.NotEqual(t, first, w.sidecar.last(t).header.Get("Idempotency-Key"))
	c.PUT("/api/v1/users/x", `{}`).Expect(200)
	require.Empty(t, w.sidecar.last(t).header.Get("Idempotency-Key"))
}

func TestHeadersOfTheAnswer(t *testing.T) {
	t.Parallel()
	w := start(t)
	c, _ := w.user(t)
	w.sidecar.answers(reply("application/json", `{}`, "Dapr-Foo", "x", "Server", "daprd", "Set-Cookie", "a=b", "ETag", `"v1"`, "Location", "/api/v1/x", "Traceparent", "x", "X-Request-Id", "other"))
	res := c.With("X-Request-Id", "request-1234").GET("/api/v1/users").Expect(200)
	for _, gone := range []string{"Dapr-Foo", "Server", "Set-Cookie", "Traceparent"} {
		require.Empty(t, res.Header.Get(gone), gone)
	}
	require.Equal(t, []string{"request-1234"}, res.Header.Values("X-Request-Id"))
	require.Equal(t, `"v1"`, res.ETag())
	require.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"))
	require.Equal(t, "no-store", res.Header.Get("Cache-Control"))
	require.Contains(t, res.Header.Get("Strict-Transport-Security"), "max-age")
	require.Contains(t, res.Header.Get("Content-Security-Policy"), "default-src 'none'")
	w.sidecar.answers(reply("text/html", `<p>`, "Content-Security-Policy", "default-src 'self'"))
	require.Equal(t, "default-src 'self'", c.GET("/api/v1/users").Header.Get("Content-Security-Policy"), "a page brings its own")
}

func TestAddressBehindTrustedProxies(t *testing.T) {
	t.Parallel()
	w := start(t, func(o *edge.Options) { o.Config.TrustedProxies = []string{"192.0.2.0/24", "10.0.0.0/8"} })
	for header, want := range map[string]string{
		"":                                "192.0.2.1",
		"203.0.113.7":                     "203.0.113.7",
		"1.1.1.1, 203.0.113.7, 10.0.0.3":  "203.0.113.7",
		"1.1.1.1, nonsense, 10.0.0.3":     "10.0.0.3",
		"2001:db8::1, 10.1.1.1":           "2001:db8::1",
		"::ffff:203.0.113.7, 10.1.1.1":    "203.0.113.7",
		"10.0.0.1, 10.0.0.2":              "10.0.0.1",
		"203.0.113.7, 203.0.113.8, 1.2.3": "192.0.2.1",
	} {
		c := w.Client
		if header != "" {
			c = c.With("X-Forwarded-For", header)
		}
		c.GET("/api/v1/terms").Expect(200)
		require.Equal(t, want, w.sidecar.last(t).header.Get("X-Forwarded-For"), header)
	}
}

func TestWhatTellsOfTheInsideIsForOperators(t *testing.T) {
	t.Parallel()
	routes := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, "kit") })
	get := func(path, peer string, operators []string, headers ...string) int {
		w := start(t, func(o *edge.Options) { o.Routes, o.Config.Operators = routes, operators })
		req := httptest.NewRequestWithContext(t.Context(), "GET", path, nil)
		req.RemoteAddr = peer
		for i := 0; i+1 < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, req)
		return rec.Code
	}
	local := []string{"127.0.0.0/8"}
	for _, path := range []string{"/metrics", "/debug/pprof/"} {
		require.Equal(t, 200, get(path, "127.0.0.1:1", local), path)
		require.Equal(t, 404, get(path, "203.0.113.7:1", local), path)
		require.Equal(t, 404, get(path, "127.0.0.1:1", nil), path)
		require.Equal(t, 404, get(path, "127.0.0.1:1", local, "X-Forwarded-For", "203.0.113.7"), "through a proxy on the same machine")
		require.Equal(t, 404, get(path, "127.0.0.1:1", local, "Forwarded", "for=203.0.113.7"))
	}
	require.Equal(t, 200, get("/healthz", "203.0.113.7:1", local))
	require.Equal(t, 400, get("/healthz/../metrics", "203.0.113.7:1", local))
}

func TestConfigurationIsChecked(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*edge.Options){
		"public URL": func(o *edge.Options) { o.PublicURL = "lms.test" },
		"service":    func(o *edge.Options) { o.Config.Services = []string{"users"} },
		"any origin": func(o *edge.Options) { o.Config.CORSOrigins = []string{"*"} },
		"wildcard":   func(o *edge.Options) { o.Config.CORSOrigins = []string{"https://*.test"} },
		"path":       func(o *edge.Options) { o.Config.CORSOrigins = []string{"https://a.test/"} },
		"proxy":      func(o *edge.Options) { o.Config.TrustedProxies = []string{"10.0.0.1"} },
		"rate":       func(o *edge.Options) { o.Config.UserRate = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := edge.Options{Config: defaults(), PublicURL: "https://lms.test", Sidecar: newSidecar(t)}
			change(&o)
			_, err := edge.New(o)
			require.Error(t, err)
		})
	}
}
