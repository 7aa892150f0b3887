package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type stateItem struct {
	Key      string            `json:"key"`
	Value    any               `json:"value"`
	ETag     string            `json:"etag,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Options  map[string]string `json:"options,omitempty"`
}

func (s *sidecar) save(store string, item stateItem) answer {
	s.t.Helper()
	return s.call(request{method: http.MethodPost, path: "/v1.0/state/" + store, body: []stateItem{item}})
}

func (s *sidecar) load(store, key string) answer {
	s.t.Helper()
	return s.call(request{method: http.MethodGet, path: "/v1.0/state/" + store + "/" + key})
}

func TestStateStoresKeepETagsAndTTL(t *testing.T) {
	t.Parallel()
	home := newInstallation(t, installationOptions{})
	notification, auth := home.start("notification", sidecarOptions{}), home.start("auth", sidecarOptions{})
	firstWrite := map[string]string{"concurrency": "first-write"}
	for store, s := range map[string]*sidecar{"state": notification, "cache": notification, "sessions": auth} {
		t.Run(store, func(t *testing.T) {
			require.Equal(t, http.StatusNoContent, s.load(store, "person").status, "absent")
			require.Equal(t, http.StatusNoContent, s.save(store, stateItem{Key: "person", Value: map[string]int{"n": 1}, Options: firstWrite}).status)
			require.Equal(t, http.StatusConflict, s.save(store, stateItem{Key: "person", Value: 2, Options: firstWrite}).status, "a second first write")

			first := s.load(store, "person")
			require.Equal(t, http.StatusOK, first.status)
			require.JSONEq(t, `{"n":1}`, string(first.body))
			etag := first.header.Get("ETag")
			require.NotEmpty(t, etag)
			require.Equal(t, http.StatusNoContent, s.save(store, stateItem{Key: "person", Value: 3, ETag: etag, Options: firstWrite}).status)
			require.Equal(t, http.StatusConflict, s.save(store, stateItem{Key: "person", Value: 4, ETag: etag, Options: firstWrite}).status, "a stale ETag")
			require.JSONEq(t, "3", string(s.load(store, "person").body))

			stale := s.call(request{method: http.MethodDelete, path: "/v1.0/state/" + store + "/person", header: map[string]string{"If-Match": etag}})
			require.Equal(t, http.StatusConflict, stale.status)
			require.Equal(t, http.StatusNoContent, s.call(request{method: http.MethodDelete, path: "/v1.0/state/" + store + "/person"}).status)
			require.Equal(t, http.StatusNoContent, s.load(store, "person").status, "deleted")

			require.Equal(t, http.StatusNoContent, s.save(store, stateItem{Key: "short", Value: 1, Metadata: map[string]string{"ttlInSeconds": "1"}}).status)
			require.Equal(t, http.StatusOK, s.load(store, "short").status)
			require.Eventually(t, func() bool { return s.load(store, "short").status == http.StatusNoContent }, 5*time.Second, 50*time.Millisecond)
		})
	}
}

// Sessions are written by auth and read by the gateway. No other app can read or
// write them, by their component or by one of its own; notification's documents
// are nobody else's either.
func TestSessionsAreOfAuthAndTheGatewayAlone(t *testing.T) {
	t.Parallel()
	home := newInstallation(t, installationOptions{})
	auth := home.start("auth", sidecarOptions{})
	gateway := home.start("gateway", sidecarOptions{})
	require.Equal(t, http.StatusNoContent, auth.save("sessions", stateItem{Key: "session-1", Value: "live"}).status)
	require.JSONEq(t, `"live"`, string(gateway.load("sessions", "session-1").body))
	require.Equal(t, http.StatusBadRequest, gateway.load("state", "x").status)

	for _, name := range services {
		if slices.Contains(loaders["sessions"], name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			other := home.start(name, sidecarOptions{})
			forged := stateItem{Key: "session-1", Value: "forged"}
			for what, got := range map[string]answer{
				"read":   other.load("sessions", "session-1"),
				"write":  other.save("sessions", forged),
				"delete": other.call(request{method: http.MethodDelete, path: "/v1.0/state/sessions/session-1"}),
				"transaction": other.call(request{method: http.MethodPost, path: "/v1.0/state/sessions/transaction", body: map[string]any{
					"operations": []any{map[string]any{"operation": "upsert", "request": forged}},
				}}),
				"bulk read": other.call(request{method: http.MethodPost, path: "/v1.0/state/sessions/bulk", body: map[string]any{"keys": []string{"session-1"}}}),
			} {
				require.Equal(t, http.StatusBadRequest, got.status, what)
				require.Contains(t, string(got.body), "sessions", what)
			}
			// Its own store may be the same product: the component's name is in the
			// key, and cannot be written into one.
			require.Equal(t, http.StatusNoContent, other.save("cache", forged).status)
			require.Equal(t, http.StatusBadRequest, other.save("cache", stateItem{Key: "sessions||session-1", Value: "forged"}).status)
			require.JSONEq(t, `"live"`, string(auth.load("sessions", "session-1").body))
		})
	}
}

func TestStateSurvivesTheSidecar(t *testing.T) {
	t.Parallel()
	home := newInstallation(t, installationOptions{})
	first := home.start("notification", sidecarOptions{})
	require.Equal(t, http.StatusNoContent, first.save("state", stateItem{Key: "person", Value: 1}).status)
	first.stop(9)
	require.JSONEq(t, "1", string(home.start("notification", sidecarOptions{}).load("state", "person").body))
}

func TestMailIsWrittenAsAFile(t *testing.T) {
	t.Parallel()
	home := newInstallation(t, installationOptions{})
	s := home.start("user", sidecarOptions{})
	message := "From: a@example.org\r\nTo: b@example.org\r\nSubject: =?utf-8?q?Ch=C3=A0o?=\r\nMessage-ID: <7@lms>\r\n\r\n\u0110\u1eb7t l\u1ea1i\r\n"
	got := s.call(request{method: http.MethodPost, path: "/v1.0/bindings/email", body: map[string]any{
		"operation": "create",
		"data":      base64.StdEncoding.EncodeToString([]byte(message)),
		"metadata":  map[string]string{"emailTo": "b@example.org", "fileName": "7.eml"},
	}})
	require.Equal(t, http.StatusOK, got.status, string(got.body))
	path := filepath.Join(home.home, "mail", "7.eml")
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, message, string(raw))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "a mail may hold a reset link")

	outside := s.call(request{method: http.MethodPost, path: "/v1.0/bindings/email", body: map[string]any{
		"operation": "create", "data": "eA==", "metadata": map[string]string{"fileName": "../../escaped.eml"},
	}})
	require.Equal(t, http.StatusOK, outside.status)
	require.NoFileExists(t, filepath.Join(home.home, "..", "escaped.eml"))
	require.NoFileExists(t, filepath.Join(home.home, "escaped.eml"))
	require.Equal(t, http.StatusInternalServerError, home.start("course", sidecarOptions{}).call(request{
		method: http.MethodPost, path: "/v1.0/bindings/email", body: map[string]any{"operation": "create", "data": "eA=="},
	}).status, "course sends no mail")
}

func TestSecretIsRead(t *testing.T) {
	t.Parallel()
	home := newInstallation(t, installationOptions{})
	s := home.start("course", sidecarOptions{})
	got := s.call(request{method: http.MethodGet, path: "/v1.0/secrets/secrets/service-course"})
	require.Equal(t, http.StatusOK, got.status)
	var secret map[string]string
	require.NoError(t, json.Unmarshal(got.body, &secret))
	require.Equal(t, map[string]string{"service-course": "s3cret"}, secret)
	require.Equal(t, http.StatusInternalServerError, s.call(request{method: http.MethodGet, path: "/v1.0/secrets/secrets/absent"}).status)
}

// TestSecretOfAClusterIsRead as the chart configures it, from a server that answers as
// a cluster's API does: data in base64, and 403 for what the Role does not name.
func TestSecretOfAClusterIsRead(t *testing.T) {
	t.Parallel()
	cluster := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path != "/api/v1/namespaces/school/secrets/service-course" {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}`)
			return
		}
		fmt.Fprint(w, `{"kind":"Secret","apiVersion":"v1","metadata":{"name":"service-course"},"data":{"service-course":"czNjcmV0"}}`)
	}))
	t.Cleanup(cluster.Close)
	home := newInstallation(t, installationOptions{})
	write := func(name, content string) string {
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	kubeconfig := write("kubeconfig", fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c, users: [{name: u, user: {token: t}}],
  clusters: [{name: c, cluster: {server: %q}}], contexts: [{name: c, context: {cluster: c, user: u}}]}`, cluster.URL))
	component := write("secrets.yaml", fmt.Sprintf(`{apiVersion: dapr.io/v1alpha1, kind: Component, metadata: {name: secrets}, spec: {type: secretstores.kubernetes, version: v1,
  metadata: [{name: kubeconfigPath, value: %q}, {name: defaultNamespace, value: school}]}}`, kubeconfig))
	s := home.start("course", sidecarOptions{resources: []string{filepath.Dir(component)}})
	got := s.call(request{method: http.MethodGet, path: "/v1.0/secrets/secrets/service-course"})
	require.Equal(t, http.StatusOK, got.status, "%s", got.body)
	var secret map[string]string
	require.NoError(t, json.Unmarshal(got.body, &secret))
	require.Equal(t, map[string]string{"service-course": "s3cret"}, secret)
	require.Equal(t, http.StatusInternalServerError, s.call(request{method: http.MethodGet, path: "/v1.0/secrets/secrets/service-user"}).status)
}
