package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/apperr"
	"lms/shared/authn"
	"lms/shared/authz"
	"lms/shared/clock"
	"lms/shared/config"
	"lms/shared/contracts/internalapi"
	"lms/shared/service"
	"lms/shared/testkit/sidecartest"
	"lms/shared/web"
)

// serveDirectory serves the double of the user service over HTTP, to whoever
// shows auth's own service token.
func serveDirectory(d *directory, verifier *authn.Verifier) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+internalapi.PathAuthzSnapshot, handle(verifier, func(context.Context, struct{}) (authz.Snapshot, error) {
		return authz.Snapshot{Version: "1", Roles: authz.BuiltinRoles(), OrgUnits: []authz.OrgUnit{{ID: tenant, TenantID: tenant}}}, nil
	}))
	mux.HandleFunc("GET "+internalapi.PathUserSubject, func(w http.ResponseWriter, r *http.Request) {
		handle(verifier, func(ctx context.Context, _ struct{}) (internalapi.LoginSubject, error) {
			return d.Subject(ctx, uuid.MustParse(r.PathValue("id")))
		})(w, r)
	})
	mux.HandleFunc("GET "+internalapi.PathSigningKeys, handle(verifier, func(ctx context.Context, _ struct{}) (internalapi.SigningKeys, error) {
		return d.SigningKeys(ctx)
	}))
	mux.HandleFunc("PUT "+internalapi.PathSigningKeys, handle(verifier, func(ctx context.Context, in internalapi.SigningKeys) (internalapi.Done, error) {
		return internalapi.Done{}, d.PutSigningKeys(ctx, in)
	}))
	mux.HandleFunc("POST "+internalapi.PathSecurityEvents, handle(verifier, func(ctx context.Context, in internalapi.SecurityEvent) (internalapi.Done, error) {
		return internalapi.Done{}, d.Report(ctx, in)
	}))
	mux.HandleFunc("POST "+internalapi.PathCredentialsVerify, handle(verifier, d.VerifyPassword))
	mux.HandleFunc("POST "+internalapi.PathMFAVerify, handle(verifier, d.VerifyCode))
	mux.HandleFunc("POST "+internalapi.PathPasswordChange, handle(verifier, func(ctx context.Context, in internalapi.PasswordChange) (internalapi.Done, error) {
		return internalapi.Done{}, d.PasswordChange(ctx, in)
	}))
	return mux
}

func handle[In, Out any](v *authn.Verifier, fn func(context.Context, In) (Out, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", "of the app") // as every service answers
		p, _, err := v.Verify(r.Context(), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		if err == nil && p.Service != "auth" {
			err = apperr.Forbidden("only auth may ask")
		}
		var in In
		if err == nil && r.Method != http.MethodGet {
			if derr := json.NewDecoder(r.Body).Decode(&in); derr != nil {
				err = apperr.Malformed("bad_body", derr.Error())
			}
		}
		var out Out
		if err == nil {
			out, err = fn(r.Context(), in)
		}
		if err != nil {
			web.WriteError(w, r, "", err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(out) // the caller has gone: the test sees it
	}
}

// process is auth as it runs: beside a sidecar, with the user service beside
// another one.
type process struct {
	t       *testing.T
	url     string
	sidecar string
	stop    context.CancelFunc
	ended   chan error
}

func (p *process) call(method, path, token string, in, out any) int {
	p.t.Helper()
	raw, err := json.Marshal(in)
	require.NoError(p.t, err)
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, bytes.NewReader(raw))
	require.NoError(p.t, err)
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(p.t, err)
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	require.NoError(p.t, err)
	if out != nil && res.StatusCode < 300 {
		require.NoError(p.t, json.Unmarshal(answer, out))
	}
	return res.StatusCode
}

// start runs auth on the home folder of an installation.
func start(t *testing.T, home, port string) *process {
	t.Helper()
	s := sidecartest.Start(t, sidecartest.Options{App: "auth", Home: home, AppPort: port, Components: []string{"cache.yaml", "secrets.yaml", "sessions.yaml"}})
	host, httpPort, err := net.SplitHostPort(s.HTTP)
	require.NoError(t, err)
	_, grpcPort, err := net.SplitHostPort(s.GRPC)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{t: t, url: "http://" + net.JoinHostPort(host, port), sidecar: s.HTTP, stop: cancel, ended: make(chan error, 1)}
	go func() {
		p.ended <- service.Run(ctx, "auth", config.Env{
			"LMS_LISTEN": net.JoinHostPort(host, port), "LMS_ENVIRONMENT": "test", "LMS_ISSUER": issuer, "LMS_LOG_LEVEL": "error",
			"DAPR_HTTP_PORT": httpPort, "DAPR_GRPC_PORT": grpcPort, "DAPR_API_TOKEN": sidecartest.APIToken, "APP_API_TOKEN": sidecartest.AppToken,
		}, Build)
	}()
	t.Cleanup(cancel)
	return p
}

func (p *process) awaitReady() {
	p.t.Helper()
	var last string
	ok := func() bool {
		res, err := http.Get(p.url + "/readyz") // bounded by Eventually
		if err != nil {
			last = err.Error()
			return false
		}
		defer func() { _ = res.Body.Close() }()
		raw, _ := io.ReadAll(res.Body) // what could be read says enough
		last = string(raw)
		return res.StatusCode == http.StatusOK
	}
	require.Eventually(p.t, ok, 30*time.Second, 20*time.Millisecond, "%s", &last)
}

func TestBesideARealSidecar(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	secrets, err := json.Marshal(map[string]string{
		"auth-sealing-key": "a sealing key made at the first start, for a test", "service-user": userToken,
	})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(home, "secrets.json"), secrets, 0o600))

	port := sidecartest.FreePorts(t, 1)[0]
	users := newDirectory(clock.NewManual(time.Now()))
	verifier := authn.NewVerifier(authn.Config{Issuer: issuer, FetchJWKS: func(ctx context.Context) ([]byte, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+port+internalapi.PathJWKS, nil)
		if err != nil {
			return nil, err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return nil, err
		}
		defer func() { _ = res.Body.Close() }()
		return io.ReadAll(res.Body)
	}})
	directory := httptest.NewServer(serveDirectory(users, verifier))
	t.Cleanup(directory.Close)
	_, userPort, err := net.SplitHostPort(directory.Listener.Addr().String())
	require.NoError(t, err)

	auth := start(t, home, port)
	// The user service comes later: services start in any order.
	sidecartest.Start(t, sidecartest.Options{App: "user", Home: home, AppPort: userPort})
	auth.awaitReady()

	ada := users.add("ada@example.org")
	login := func() (out tokens) {
		require.Equal(t, http.StatusOK, auth.call(http.MethodPost, "/api/v1/auth/login", "", body("email", ada.Email, "password", ada.password), &out))
		return out
	}
	var service internalapi.ServiceToken
	require.Equal(t, http.StatusOK, auth.call(http.MethodPost, internalapi.PathServiceTokens, "", body("service", "user", "secret", userToken), &service))
	require.Equal(t, http.StatusUnauthorized, auth.call(http.MethodPost, internalapi.PathServiceTokens, "", body("service", "nobody", "secret", userToken), nil))

	t.Run("parallel refreshes lose no session", func(t *testing.T) {
		got := login()
		for range 3 {
			var mu sync.Mutex
			seen := map[string]int{}
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					var next tokens
					status := auth.call(http.MethodPost, "/api/v1/auth/refresh", "", body("refresh_token", got.RefreshToken), &next)
					mu.Lock()
					defer mu.Unlock()
					seen[fmt.Sprint(status, " ", next.RefreshToken)]++
				})
			}
			wg.Wait()
			require.Len(t, seen, 1)
			for k := range seen {
				got.RefreshToken = strings.TrimPrefix(k, "200 ")
			}
		}
	})
	t.Run("reuse ends the family", func(t *testing.T) {
		a := login()
		var b, c tokens
		refresh := func(raw string, out *tokens) int {
			return auth.call(http.MethodPost, "/api/v1/auth/refresh", "", body("refresh_token", raw), out)
		}
		require.Equal(t, http.StatusOK, refresh(a.RefreshToken, &b))
		require.Equal(t, http.StatusOK, refresh(b.RefreshToken, &c))
		require.Equal(t, http.StatusUnauthorized, refresh(a.RefreshToken, nil))
		require.Equal(t, http.StatusUnauthorized, refresh(c.RefreshToken, nil))
	})
	t.Run("an order of the user service", func(t *testing.T) {
		a := login()
		users.change(ada.UserID, func(p *person) { p.Epoch++ })
		began := time.Now()
		require.Equal(t, http.StatusOK, auth.call(http.MethodPost, "/internal/calls/end-sessions", service.AccessToken,
			body("data", internalapi.EndSessions{UserID: ada.UserID, Epoch: 2, Reason: "deactivated"}), nil))
		t.Logf("sessions of a person ended in %s", time.Since(began).Round(100*time.Microsecond))
		require.Equal(t, http.StatusUnauthorized, auth.call(http.MethodPost, "/api/v1/auth/refresh", "", body("refresh_token", a.RefreshToken), nil))
	})
	t.Run("how long it takes", func(t *testing.T) {
		measure := func(name string, n int, fn func()) {
			took := make([]time.Duration, n)
			for i := range took {
				began := time.Now()
				fn()
				took[i] = time.Since(began)
			}
			slices.Sort(took)
			t.Logf("%s: p50 %s, p99 %s of %d", name, took[n/2].Round(10*time.Microsecond), took[n*99/100].Round(10*time.Microsecond), n)
		}
		got := login()
		refresh := func() {
			require.Equal(t, http.StatusOK, auth.call(http.MethodPost, "/api/v1/auth/refresh", "", body("refresh_token", got.RefreshToken), &got))
		}
		measure("refresh, a few sessions", 200, refresh)
		measure("login, the password check not included", 100, func() { login() })
		got = login() // a hundred sessions, the most there are
		measure("refresh, a hundred sessions", 200, refresh)
	})
	t.Run("it stops in order and starts again with its keys", func(t *testing.T) {
		got := login()
		auth.stop()
		require.NoError(t, <-auth.ended)
		auth = start(t, home, port)
		auth.awaitReady()
		_, _, err := verifier.Verify(t.Context(), got.AccessToken)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, auth.call(http.MethodPost, "/api/v1/auth/refresh", "", body("refresh_token", got.RefreshToken), nil))
		auth.stop()
		require.NoError(t, <-auth.ended)
	})
}
