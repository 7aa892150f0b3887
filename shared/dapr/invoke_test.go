package dapr_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"lms/shared/apperr"
	"lms/shared/dapr"
	"lms/shared/work"
)

// sidecar is an HTTP server in the sidecar's place.
// sidecar is one whose apps answer by h; where itself answers, it calls itself.
func sidecar(t *testing.T, o dapr.Options, h http.HandlerFunc) *dapr.Client {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", "of the app")
		h(w, r)
	}))
	t.Cleanup(srv.Close)
	o.HTTP = strings.TrimPrefix(srv.URL, "http://")
	if o.GRPC == "" {
		o.GRPC = "127.0.0.1:1"
	}
	c, err := dapr.New(o)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// itself is an answer that no app has given.
func itself(w http.ResponseWriter, status int, body string) {
	w.Header().Del("X-Request-Id")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func problem(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func TestInvokeSendsAndDecodes(t *testing.T) {
	t.Parallel()
	c := sidecar(t, dapr.Options{APIToken: "app", Token: func(context.Context) (string, error) { return "svc", nil }},
		func(w http.ResponseWriter, r *http.Request) {
			require.Equal(t, "user", r.Header.Get("dapr-app-id"))
			require.Equal(t, "app", r.Header.Get("dapr-api-token"))
			require.Equal(t, "Bearer svc", r.Header.Get("Authorization"))
			require.Equal(t, "r1", r.Header.Get("X-Request-Id"))
			require.Contains(t, r.Header.Get("traceparent"), "01000000000000000000000000000000")
			require.Equal(t, "/internal/users/cards?a=b", r.URL.String())
			var in map[string]string
			require.NoError(t, json.NewDecoder(r.Body).Decode(&in))
			w.Header().Set("ETag", `"v1"`)
			_ = json.NewEncoder(w).Encode(map[string]any{"hello": in["name"], "new_field": 1})
		})
	ctx := work.WithActor(context.Background(), work.Actor{RequestID: "r1"})
	ctx = trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}}))
	var out struct{ Hello string }
	var header http.Header
	status, err := c.Invoke(ctx, dapr.Call{
		App: "user", Method: http.MethodPost, Path: "/internal/users/cards", Query: url.Values{"a": {"b"}},
		Body: map[string]string{"name": "x"}, Out: &out, OutHeader: &header,
	})
	require.NoError(t, err)
	require.Equal(t, 200, status)
	require.Equal(t, "x", out.Hello)
	require.Equal(t, `"v1"`, header.Get("ETag"))
}

func TestProblemsComeBackAsErrors(t *testing.T) {
	t.Parallel()
	c := sidecar(t, dapr.Options{}, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/invalid":
			problem(w, 422, `{"title":"T","detail":"D","status":422,"code":"validation_failed","errors":[{"field":"a[0].b","code":"required","message":"m"}],"limit":3}`)
		case "/limited":
			w.Header().Set("Retry-After", "7")
			problem(w, 429, `{"code":"rate_limited"}`)
		case "/gone":
			w.WriteHeader(http.StatusNotModified)
		default:
			http.Error(w, "<html>", http.StatusTeapot)
		}
	})
	ctx := context.Background()
	status, err := c.Invoke(ctx, dapr.Call{App: "x", Path: "/invalid"})
	require.Equal(t, 422, status)
	e := apperr.From(err)
	require.Equal(t, apperr.KindInvalid, e.Kind)
	require.Equal(t, "validation_failed", e.Code)
	require.Equal(t, "D", e.Message)
	require.Equal(t, []apperr.Field{{Path: "a[0].b", Code: "required", Message: "m"}}, e.Fields)
	require.Equal(t, map[string]any{"limit": 3.0}, e.Details)

	_, err = c.Invoke(ctx, dapr.Call{App: "x", Path: "/limited"})
	require.Equal(t, 7*time.Second, apperr.From(err).RetryAfter)

	out := []byte("kept")
	status, err = c.Invoke(ctx, dapr.Call{App: "x", Path: "/gone", Out: &out})
	require.NoError(t, err)
	require.Equal(t, http.StatusNotModified, status)
	require.Equal(t, "kept", string(out))

	status, err = c.Invoke(ctx, dapr.Call{App: "x", Path: "/other"})
	require.Equal(t, http.StatusTeapot, status)
	require.Equal(t, "refused_by_service", apperr.Code(err))
}

func TestOnlyIdempotentCallsAreRepeated(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		call  dapr.Call
		tries int64
	}{
		"GET":              {dapr.Call{}, 3},
		"POST":             {dapr.Call{Method: http.MethodPost}, 1},
		"idempotent POST":  {dapr.Call{Method: http.MethodPost, Idempotent: true, Body: "b"}, 3},
		"refused for good": {dapr.Call{Path: "/no"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var tries atomic.Int64
			c := sidecar(t, dapr.Options{}, func(w http.ResponseWriter, r *http.Request) {
				tries.Add(1)
				if r.URL.Path == "/no" {
					problem(w, 404, `{"code":"not_found"}`)
					return
				}
				problem(w, 503, `{"code":"db_away"}`)
			})
			tc.call.App = "x"
			_, err := c.Invoke(context.Background(), tc.call)
			require.Error(t, err)
			require.Equal(t, tc.tries, tries.Load())
		})
	}
}

func TestARejectedTokenIsRenewedOnce(t *testing.T) {
	t.Parallel()
	token := "old"
	var calls atomic.Int64
	o := dapr.Options{
		Token:    func(context.Context) (string, error) { return token, nil },
		Rejected: func(rejected string) { require.Equal(t, "old", rejected); token = "new" },
	}
	c := sidecar(t, o, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		if r.Header.Get("Authorization") != "Bearer new" {
			problem(w, 401, `{"code":"invalid_token"}`)
		}
	})
	_, err := c.Invoke(context.Background(), dapr.Call{App: "x", Method: http.MethodPost})
	require.NoError(t, err)
	require.EqualValues(t, 2, calls.Load())
}

func TestFailuresOfTheWayAreTold(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	c := sidecar(t, dapr.Options{MaxAnswer: 10}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/unknown-app":
			itself(w, 500, `{"errorCode":"ERR_DIRECT_INVOKE","message":"couldn't find service"}`)
		case "/denied":
			itself(w, 403, `{"errorCode":"ERR_DIRECT_INVOKE","message":"access control"}`)
		case "/nobody":
			itself(w, 200, "")
		case "/oauth":
			w.WriteHeader(400)
			_, _ = io.WriteString(w, `{"error":1}`)
		case "/slow":
			<-release
		default:
			_, _ = io.WriteString(w, `"more than ten bytes"`)
		}
	})
	ctx := context.Background()
	invoke := func(path string) error {
		_, err := c.Invoke(ctx, dapr.Call{App: "x", Path: path, Method: http.MethodPost, Timeout: 200 * time.Millisecond})
		return err
	}
	require.Equal(t, "service_unavailable", apperr.Code(invoke("/unknown-app")))
	require.Equal(t, map[string]any{"service": "x"}, apperr.From(invoke("/unknown-app")).Details)
	require.True(t, apperr.IsKind(invoke("/denied"), apperr.KindForbidden))
	require.Equal(t, "service_unavailable", apperr.Code(invoke("/nobody")), "a success that no app has given")
	require.Equal(t, "timeout", apperr.Code(invoke("/slow")))
	require.Equal(t, "internal_error", apperr.Code(invoke("/big")))

	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.InvokeURL("x", "/oauth"), nil)
	require.NoError(t, err)
	resp, err := c.Transport().RoundTrip(req)
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.JSONEq(t, `{"error":1}`, string(body), "an app's own JSON error passes untouched")

	canceled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = c.Invoke(canceled, dapr.Call{App: "x", Path: "/slow"})
	require.ErrorIs(t, err, context.Canceled)
}

func TestTheSidecarMayBeAbsentAtFirst(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := ln.Addr().String()
	require.NoError(t, ln.Close())
	c, err := dapr.New(dapr.Options{HTTP: addr, GRPC: addr})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	_, err = c.Invoke(context.Background(), dapr.Call{App: "x"})
	require.Equal(t, "sidecar_unavailable", apperr.Code(err))
	require.Equal(t, "sidecar_unavailable", apperr.Code(c.Healthy(context.Background())))
	_, err = c.GetState(context.Background(), "state", "k")
	require.Equal(t, "sidecar_unavailable", apperr.Code(err))

	ln, err = net.Listen("tcp", addr)
	require.NoError(t, err)
	srv := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Request-Id", "of the app") })}
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	_, err = c.Invoke(context.Background(), dapr.Call{App: "x"})
	require.NoError(t, err)
}

func TestTheBreakerOpensPerApp(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	c := sidecar(t, dapr.Options{}, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		if r.Header.Get("dapr-app-id") == "ill" {
			problem(w, 503, `{"code":"db_away"}`)
		}
	})
	for range 10 {
		_, err := c.Invoke(context.Background(), dapr.Call{App: "ill", Method: http.MethodPost})
		require.Equal(t, "db_away", apperr.Code(err))
	}
	_, err := c.Invoke(context.Background(), dapr.Call{App: "ill", Method: http.MethodPost})
	require.Equal(t, "service_unavailable", apperr.Code(err))
	require.EqualValues(t, 10, calls.Load())
	_, err = c.Invoke(context.Background(), dapr.Call{App: "well", Method: http.MethodPost})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := c.Invoke(context.Background(), dapr.Call{App: "ill", Method: http.MethodPost})
		return apperr.Code(err) == "db_away"
	}, 5*time.Second, 50*time.Millisecond, "it lets a call through after two seconds")
}

func TestHealthAndComponents(t *testing.T) {
	t.Parallel()
	c := sidecar(t, dapr.Options{APIToken: "app"}, func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, "app", r.Header.Get("dapr-api-token"))
		if r.URL.Path == "/v1.0/metadata" {
			_, _ = io.WriteString(w, `{"components":[{"name":"state","type":"state.sqlite","version":"v1"}]}`)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	require.NoError(t, c.Healthy(context.Background()))
	got, err := c.Components(context.Background())
	require.NoError(t, err)
	require.Equal(t, []dapr.Component{{Name: "state", Type: "state.sqlite"}}, got)
}

func BenchmarkTransport(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer srv.Close()
	c, err := dapr.New(dapr.Options{HTTP: strings.TrimPrefix(srv.URL, "http://"), GRPC: "127.0.0.1:1"})
	require.NoError(b, err)
	defer c.Close()
	rt := c.Transport()
	b.ReportAllocs()
	for b.Loop() {
		req, _ := http.NewRequest(http.MethodGet, c.InvokeURL("x", "/"), nil)
		resp, err := rt.RoundTrip(req)
		if err != nil {
			b.Fatal(err)
		}
		_ = resp.Body.Close()
	}
}
