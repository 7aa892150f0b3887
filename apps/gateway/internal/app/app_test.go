package app_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/gateway/internal/app"
	"lms/apps/gateway/internal/edge"
	"lms/shared/config"
	"lms/shared/service"
	"lms/shared/testkit"
)

// TestTheGatewayServesAndStops runs the whole process beside a sidecar that
// only speaks HTTP: no state store, so nobody can sign in, and it says so.
func TestTheGatewayServesAndStops(t *testing.T) {
	t.Parallel()
	tokens := testkit.NewTokens(t)
	sidecar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", "of the app")
		switch {
		case r.URL.Path == "/.well-known/jwks.json":
			_, _ = w.Write(tokens.JWKS())
		case r.URL.Path == "/v1.0/metadata": // the profile lacks the sessions
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"components":[{"name":"secrets"}]}`)
		case strings.HasPrefix(r.URL.Path, "/v1.0/"):
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"app":"`+r.Header.Get("Dapr-App-Id")+`"}`)
		}
	}))
	t.Cleanup(sidecar.Close)
	listen := free(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- service.Run(ctx, "gateway", config.Env{
			"LMS_LISTEN": listen, "LMS_DAPR_HTTP_ADDRESS": strings.TrimPrefix(sidecar.URL, "http://"), "LMS_DAPR_GRPC_ADDRESS": free(t),
			"LMS_PUBLIC_URL": "http://" + listen, "LMS_LOG_LEVEL": "error", "LMS_GATEWAY_SERVICES": "user,course", "APP_API_TOKEN": "secret",
			"LMS_OBJECTS_URL": "file://" + t.TempDir(),
		}, app.Build)
	}()
	get := func(path string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listen+path, nil)
		require.NoError(t, err)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err.Error()
		}
		defer func() { _ = res.Body.Close() }()
		b, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res.StatusCode, string(b)
	}
	require.Eventually(t, func() bool { status, _ := get("/healthz"); return status == 200 }, 10*time.Second, 10*time.Millisecond)
	for path, want := range map[string]int{
		"/api/v1/courses": 200, "/api/v1/contents": 503, "/api/v1/enrollments": 503, "/internal/openapi.json": 404, "/metrics": 200, "/dapr/subscribe": 401,
		"/objects/x": 503, "/docs": 200, "/readyz": 503,
	} {
		status, body := get(path)
		require.Equal(t, want, status, "%s: %s", path, body)
	}
	var ready edge.Readiness
	// The keys are fetched in the background: they may come after the first look.
	require.Eventually(t, func() bool {
		ready = edge.Readiness{}
		_, body := get("/readyz")
		return json.Unmarshal([]byte(body), &ready) == nil && len(ready.Down) == 2
	}, 10*time.Second, 20*time.Millisecond)
	require.Equal(t, "ok", ready.Checks["user"])
	require.Equal(t, []string{"components", "sessions"}, ready.Down)
	require.Equal(t, "sessions_missing", ready.Checks["components"])
	cancel()
	require.NoError(t, <-ended)
}

func TestABadConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	err := service.Run(t.Context(), "gateway", config.Env{"LMS_LISTEN": free(t), "LMS_GATEWAY_CORS_ORIGINS": "*"}, app.Build)
	require.ErrorContains(t, err, "not an origin")
}

func free(t *testing.T) string {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}
