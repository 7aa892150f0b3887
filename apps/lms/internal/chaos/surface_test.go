//go:build chaos

package chaos_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/supervisor"
	"lms/apps/lms/internal/system"
	"lms/shared/contracts"
	"lms/shared/contracts/internalapi"
)

// internalPaths are the paths of all internal routes, read from the constants
// of their contracts so that a new one is never forgotten, with ids filled in.
func internalPaths(t testing.TB) []string {
	t.Helper()
	var out []string
	dir := filepath.Join(system.Root(t), "shared", "contracts", "internalapi")
	require.NoError(t, filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			return err
		}
		for _, obj := range parsed.Scope.Objects {
			if spec, ok := obj.Decl.(*ast.ValueSpec); ok && obj.Kind == ast.Con && strings.HasPrefix(obj.Name, "Call") && len(spec.Values) == 1 {
				if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
					if name, err := strconv.Unquote(lit.Value); err == nil {
						out = append(out, "/internal/calls/"+name)
					}
				}
			}
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if path, err := strconv.Unquote(lit.Value); err == nil && strings.HasPrefix(path, "/internal/") {
					out = append(out, strings.NewReplacer("{id}", uuid.NewString(), "{name}", "course-copy").Replace(path))
				}
			}
			return true
		})
		return nil
	}))
	out = append(out, "/internal/openapi.json")
	require.Contains(t, out, "/internal/calls/person-status")
	slices.Sort(out)
	require.Contains(t, out, internalapi.PathAuthzSnapshot)
	return slices.Compact(out)
}

// sidecar is a client of the gateway's own sidecar, with the token that the
// operator's commands use too.
func (s *school) sidecar(t testing.TB) (url, token string) {
	t.Helper()
	r, err := supervisor.ReadRecord(filepath.Join(s.Home, "run", "state.json"))
	require.NoError(t, err)
	return fmt.Sprintf("http://127.0.0.1:%d", s.Process(t, "gateway", "sidecar").Ports["http"]), r.Control.SidecarToken
}

// inside goes to every internal and every delivery route on every way there is.
// It fails when a service answers without a service's token by anything but 401,
// when an administrator's token finds one (404), or when the routes that it
// knocks at are not there at all.
func (s *school) inside(t *testing.T) {
	base, token := s.sidecar(t)
	paths := internalPaths(t)
	there, knocks := map[string]bool{}, 0
	var open []string
	expect := func(way, method, path string, status int, want ...int) {
		knocks++
		if !slices.Contains(want, status) {
			open = append(open, fmt.Sprintf("%s %s %s: %d", way, method, path, status))
		}
	}
	for _, service := range serviceNames(t) {
		app := s.app(t, service)
		side := system.NewAPI(base + "/v1.0/invoke/" + service + "/method")
		for _, path := range paths {
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
				bare := s.knock(t, app, method, path)
				if bare == http.StatusNotFound || bare == http.StatusMethodNotAllowed {
					continue
				}
				there[path] = true
				if path == internalapi.PathServiceTokens {
					expect("without a token", method, path, bare, 400, 401, 415, 422) // the secret in the body is the proof
					continue
				}
				expect("without a token", method, service+path, bare, http.StatusUnauthorized)
				expect("an administrator", method, service+path, s.knock(t, app.As(s.Admin.Token), method, path), http.StatusNotFound)
				expect("an administrator by the sidecar", method, service+path, s.knock(t, side.As(s.Admin.Token), method, path, "dapr-api-token", token), http.StatusNotFound)
			}
		}
	}
	for _, path := range paths {
		for _, api := range []*system.API{s.API(), s.Admin} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				expect("the gateway", method, path, s.knock(t, api, method, path), http.StatusNotFound)
			}
		}
	}
	// What the sidecar delivers, at every service that consumes a topic.
	consumers := 0
	for _, service := range serviceNames(t) {
		app := s.app(t, service)
		deliveries := map[string]string{}
		for _, topic := range contracts.Topics() {
			if slices.Contains(topic.Consumers, service) && slices.Contains(serviceNames(t), topic.Publisher) {
				deliveries["/events/"+topic.Name] = http.MethodPost
			}
		}
		if len(deliveries) == 0 {
			continue
		}
		consumers++
		deliveries["/dapr/subscribe"] = http.MethodGet
		for path, method := range deliveries {
			expect("delivery without a token", method, service+path, s.knock(t, app, method, path), http.StatusUnauthorized)
			expect("delivery with a wrong token", method, service+path, s.knock(t, app, method, path, "dapr-api-token", "wrong"), http.StatusUnauthorized)
			expect("delivery with the sidecar's own token", method, service+path, s.knock(t, app, method, path, "dapr-api-token", token), http.StatusUnauthorized)
			expect("delivery by invocation", method, service+path, s.knock(t, system.NewAPI(base+"/v1.0/invoke/"+service+"/method"), method, path, "dapr-api-token", token), http.StatusNotFound)
			expect("delivery by the gateway", method, path, s.knock(t, s.Admin, method, path), http.StatusNotFound, http.StatusUnauthorized)
		}
		right := s.setting(t, service, "APP_API_TOKEN")
		expect("the right token", http.MethodGet, service+"/dapr/subscribe", s.knock(t, app, http.MethodGet, "/dapr/subscribe", "dapr-api-token", right), http.StatusOK)
	}
	expect("a sidecar without its token", http.MethodGet, "/v1.0/metadata", s.knock(t, system.NewAPI(base), http.MethodGet, "/v1.0/metadata"), http.StatusUnauthorized)
	for _, path := range paths {
		if !there[path] {
			t.Logf("no service answers %s", path)
		}
	}
	for _, o := range open {
		t.Error(o)
	}
	measured(t, "38 internal and delivery routes", "401 without a token, 404 for a person", len(open) == 0 && len(there) > len(paths)/2 && consumers > 0,
		"%d knocks at %d of %d paths: %d open", knocks, len(there), len(paths), len(open))
}

func (s *school) knock(t testing.TB, api *system.API, method, path string, header ...string) int {
	t.Helper()
	var body any
	if method != http.MethodGet {
		body = map[string]any{}
	}
	ans, err := api.Try(method, path, body, header...)
	require.NoError(t, err, "%s %s", method, path)
	return ans.Status
}

// wire sends a request exactly as it is written and returns status and body.
func (s *school) wire(t testing.TB, request string) (int, string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(s.URL, "http://"), 5*time.Second)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, "" // hung up: that is an answer too
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(body)
}

// detours are ways to write the path of an internal route so that one reader
// takes it for something else.
func detours() []string {
	const to = "internal/authz/snapshot"
	out := []string{
		"/" + to, "//" + to, "/./" + to, "/INTERNAL/authz/snapshot", "/internal%2fauthz%2fsnapshot", "/%69nternal/authz/snapshot", "/internal//authz/snapshot",
		"/v1.0/invoke/user/method/" + to, "/v1.0/invoke/user.default/method/" + to, "http://user/" + to, "http://127.0.0.1/" + to, "/;/" + to, "/" + to + "?x=/api/v1/me", "/" + to + "%00", "/" + to + "%20", "/" + to + "/",
	}
	for _, up := range []string{"..", "%2e%2e", "%2E%2E", ".%2e", "%252e%252e", "..;", "%c0%ae%c0%ae"} {
		for _, sep := range []string{"/", "%2f", "%5c", "\\", "//", "%252f"} {
			out = append(out, "/api/v1/users"+sep+up+sep+up+sep+up+sep+to, "/api/v1/me"+sep+up+sep+up+sep+up+sep+to, "/docs"+sep+up+sep+to, "/objects"+sep+up+sep+to)
		}
	}
	return out
}

// steering sends what steers a sidecar or hides a path. It fails when an
// internal route is reached: by what it answers, or by any 2xx. The same route
// answers the operator, so that there is something to reach.
func (s *school) steering(t *testing.T) {
	require.NotEmpty(t, s.Lms(t, "outbox", "--json"), "internal routes are there for whom they are")
	basic := func(user, password string) string {
		return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	}
	bearer := "Authorization: Bearer " + s.Admin.Token
	headers := [][]string{
		{},
		{bearer},
		{bearer, "dapr-app-id: user"},
		{"dapr-app-id: user"},
		{"Dapr-App-Id: user", "dapr-api-token: x"},
		{basic("dapr-app-id", "user")},
		{bearer, "dapr-caller-app-id: auth"},
		{bearer, "X-Original-URL: /internal/authz/snapshot", "X-Rewrite-URL: /internal/authz/snapshot"},
		{bearer, "X-HTTP-Method-Override: GET", "Connection: dapr-app-id", "dapr-app-id: user"},
	}
	sent, reached := 0, 0
	note := func(what string, status int, body string) {
		sent++
		if status >= 200 && status < 300 || strings.Contains(body, "org_units") || status >= 500 {
			reached++
			t.Errorf("%s: %d %.200s", what, status, body)
		}
	}
	for i, path := range detours() {
		for j, h := range headers {
			if i > 15 && j > 3 {
				break // the many ways up with the first few headers
			}
			status, body := s.wire(t, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n%s\r\n", path, lines(h)))
			note(path+" "+strings.Join(h[min(len(h), 1):], ", "), status, body)
		}
	}
	// On a path of course's, a header that names user changes nothing.
	plain, _ := s.wire(t, "GET /api/v1/categories HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"+lines([]string{bearer})+"\r\n")
	require.Equal(t, http.StatusOK, plain)
	for _, h := range headers[1:] {
		status, body := s.wire(t, "GET /api/v1/categories HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"+lines(h)+"\r\n")
		sent++
		withToken := slices.Contains(h, bearer)
		if withToken && status != http.StatusOK || !withToken && status != http.StatusUnauthorized {
			reached++
			t.Errorf("%v: %d %.200s", h, status, body)
		}
	}
	for _, path := range []string{"/oauth2/token", "/oauth2/introspect", "/oauth2/revoke", "/oauth2/../internal/authz/snapshot"} {
		form := "grant_type=client_credentials"
		status, body := s.wire(t, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n%s\r\n%s",
			path, len(form), lines([]string{basic("dapr-app-id", "user")}), form))
		note("Basic dapr-app-id at "+path, status, body)
	}
	measured(t, "39 steering headers and hidden paths", "none reaches an internal route", reached == 0, "%d requests, %d reached one or broke something", sent, reached)
}

func lines(headers []string) string {
	var b strings.Builder
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	return b.String()
}
