package access_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"lms/shared/contracts"
	"lms/shared/contracts/access"
	"lms/shared/testkit/sidecartest"
)

// route is one that is tried by everybody.
type route struct {
	app, method, path string
	callers           []string // apps that are let in
}

var parameter = regexp.MustCompile(`\{[^}]*\}`) //nolint:gochecknoglobals // a pattern

const someID = "0198c0de-7b2a-7c11-8a5e-2f6d4b1c9e07"

func concrete(path string) string { return parameter.ReplaceAllString(path, someID) }

// everyRoute is all that any app serves, with who is to be let in: what services
// call, what clients reach through the gateway, and what nobody may invoke.
func everyRoute(t *testing.T) []route {
	t.Helper()
	all := map[string]*route{}
	add := func(app, method, path string, callers ...string) {
		key := app + " " + method + " " + concrete(path)
		if all[key] == nil {
			all[key] = &route{app: app, method: method, path: concrete(path)}
		}
		all[key].callers = append(all[key].callers, callers...)
	}
	for _, r := range access.Routes() {
		for _, c := range r.Callers {
			add(r.App, r.Method, r.Path, access.CallerApp(c))
		}
	}
	for _, app := range contracts.Services() {
		documented(t, app, func(method, path string) { add(app, method, path, access.Gateway) })
		if access.HasDatabase(app) {
			documented(t, "records", func(method, path string) {
				add(app, method, strings.Replace(path, "/example", "/"+app, 1), access.Gateway)
			})
		}
		paths, err := access.Forwarded(app)
		require.NoError(t, err)
		for _, path := range paths {
			add(app, http.MethodGet, path, access.Gateway)
			add(app, http.MethodHead, path, access.Gateway)
		}
	}
	for _, app := range access.Apps() {
		for _, path := range []string{"/dapr/subscribe", "/dapr/config", "/metrics", "/healthz", "/debug/pprof/heap", "/internal", "/"} {
			add(app, http.MethodGet, path)
		}
		for _, topic := range contracts.Topics() {
			add(app, http.MethodPost, "/events/"+topic.Name)
		}
	}
	for _, path := range []string{"/readyz", "/internal/openapi.json", "/api/v1/courses", "/api/v1/jobs"} {
		add(access.Gateway, http.MethodGet, path)
	}
	var out []route
	for _, key := range slices.Sorted(maps.Keys(all)) {
		out = append(out, *all[key])
	}
	return out
}

// documented visits the operations of an OpenAPI document.
func documented(t *testing.T, name string, visit func(method, path string)) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "openapi", name+".json"))
	require.NoError(t, err)
	var doc struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	require.NoError(t, json.Unmarshal(raw, &doc))
	require.NotEmpty(t, doc.Paths)
	for path, operations := range doc.Paths {
		for method := range operations {
			visit(strings.ToUpper(method), path)
		}
	}
}

// echo is the app beside every sidecar: it says that it was reached, and by which
// path.
func echo(t *testing.T) (port string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Reached", r.Method+" "+r.URL.Path)
	}))
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	return port
}

// answer of a call through a sidecar.
type answer struct {
	status  int
	reached string // what the app saw; "" if it was not called
	body    string
}

func (a answer) String() string {
	return fmt.Sprintf("%d, reached %q: %.200s", a.status, a.reached, a.body)
}

func (a answer) refused() bool {
	return a.reached == "" && a.status == http.StatusForbidden && strings.Contains(a.body, "access control policy has denied")
}

func invoke(client *http.Client, through sidecartest.Sidecar, token, app, method, path string) (answer, error) {
	u, err := url.Parse("http://" + through.HTTP + path)
	if err != nil {
		return answer{}, err
	}
	req := &http.Request{Method: method, URL: u, Header: http.Header{"Dapr-App-Id": {app}}}
	if token != "" {
		req.Header.Set("Dapr-Api-Token", token)
	}
	res, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header.Get("X-Reached"), string(raw)}, err
}

// TestEveryAppOnEveryRoute tries all pairs of an app and another one's route, through
// real sidecars with certificates and the policies that are shipped.
func TestEveryAppOnEveryRoute(t *testing.T) {
	home, port := t.TempDir(), echo(t)
	authority := sidecartest.StartAuthority(t, home, access.Apps()...)
	sidecars := map[string]sidecartest.Sidecar{}
	for _, app := range access.Apps() {
		sidecars[app] = sidecartest.Start(t, sidecartest.Options{App: app, Home: home, AppPort: port, Authority: authority})
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()

	began := time.Now()
	var (
		mu               sync.Mutex
		through, refused int
		wrong            []string
		g                errgroup.Group
	)
	g.SetLimit(16)
	routes := everyRoute(t)
	for _, caller := range access.Apps() {
		for _, r := range routes {
			if r.app == caller {
				continue // a sidecar hands its own app's calls back to it
			}
			g.Go(func() error {
				a, err := invoke(client, sidecars[caller], sidecartest.APIToken, r.app, r.method, r.path)
				mu.Lock()
				defer mu.Unlock()
				switch allowed := slices.Contains(r.callers, caller); {
				case err == nil && allowed && a.status == http.StatusOK && a.reached == r.method+" "+r.path:
					through++
				case err == nil && !allowed && (a.refused() || r.method == http.MethodHead && a.status == http.StatusForbidden && a.reached == ""):
					refused++
				default:
					wrong = append(wrong, fmt.Sprintf("%s → %s %s %s (let in: %v): %v %v", caller, r.app, r.method, r.path, allowed, a, err))
				}
				return nil
			})
		}
	}
	require.NoError(t, g.Wait())
	t.Logf("access matrix: %d apps, %d routes, %d pairs: %d let through, %d refused, %d otherwise (%.1f s)",
		len(sidecars), len(routes), through+refused+len(wrong), through, refused, len(wrong), time.Since(began).Seconds())
	require.Empty(t, wrong, "%d pairs", len(wrong))
	require.Greater(t, through, 500)
	require.Greater(t, refused, 5000)

	t.Run("another spelling is no way in", func(t *testing.T) {
		for _, path := range []string{
			"/internal/credentials/verify", "/Internal/Credentials/VERIFY", "//internal//credentials/verify", "/internal/./credentials/verify",
			"/internal/authz/snapshot/../../credentials/verify", "/internal/authz/snapshot/%2e%2e/%2e%2e/credentials/verify",
			"/internal/authz/snapshot/..%2f..%2fcredentials/verify", "/internal/credentials/verify/", "/internal/credentials%2fverify",
		} {
			a, err := invoke(client, sidecars["course"], sidecartest.APIToken, "user", http.MethodPost, path)
			require.NoError(t, err)
			require.Empty(t, a.reached, "%s: %v", path, a)
		}
	})
	t.Run("a sidecar serves nobody without its token", func(t *testing.T) {
		for _, token := range []string{"", "a guess", sidecartest.AppToken} {
			a, err := invoke(client, sidecars["gateway"], token, "course", http.MethodGet, "/api/v1/courses")
			require.NoError(t, err)
			require.Equal(t, http.StatusUnauthorized, a.status)
			require.Empty(t, a.reached)
		}
	})
	t.Run("a sidecar without a certificate of ours does not get in", func(t *testing.T) {
		foreign := sidecartest.StartAuthority(t, t.TempDir(), access.Gateway)
		for name, o := range map[string]sidecartest.Options{
			"without mTLS":         {},
			"of another authority": {Authority: foreign},
		} {
			o.App, o.Home = access.Gateway, home
			stranger := sidecartest.Start(t, o)
			a, err := invoke(client, stranger, sidecartest.APIToken, "course", http.MethodGet, "/api/v1/courses")
			require.NoError(t, err, name)
			require.GreaterOrEqual(t, a.status, 400, "%s: %v", name, a)
			require.Empty(t, a.reached, "%s: %v", name, a)
		}
		token := filepath.Join(foreign.Identities, access.Gateway+".token")
		for name, o := range map[string]sidecartest.Options{
			"in another app's name":      {Identity: "search"},
			"with a token of its making": {Env: []string{"DAPR_SENTRY_TOKEN_FILE=" + token}},
		} {
			o.App, o.Home, o.Authority = access.Gateway, home, authority
			require.Contains(t, sidecartest.Fail(t, o), "PermissionDenied", name)
		}
	})
}
