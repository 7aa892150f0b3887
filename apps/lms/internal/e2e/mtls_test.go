package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/e2e"
	"lms/apps/lms/internal/supervisor"
	"lms/apps/lms/internal/system"
	"lms/shared/contracts/access"
)

// part is one path of the functional suite.
type part struct {
	name string
	run  func(t *testing.T, w *e2e.World)
}

// TestTheSuiteUnderMTLS runs every path in installations whose sidecars have
// certificates and let in only whom the access policies name. There are two: search
// makes a second organisation, after which nobody can register.
func TestTheSuiteUnderMTLS(t *testing.T) {
	nothing := func(testing.TB, string) {}
	s := system.Start(t, "--mtls")
	suiteUnderMTLS(t, s, []part{
		{"golden path", func(t *testing.T, w *e2e.World) { e2e.Golden(t, w, nothing) }},
		{"coursework", func(t *testing.T, w *e2e.World) { e2e.Coursework(t, w) }},
		{"gradebook", func(t *testing.T, w *e2e.World) { e2e.Graded(t, w, nothing) }},
		{"notifications", func(t *testing.T, w *e2e.World) { e2e.Notified(t, w) }},
		{"media", func(t *testing.T, w *e2e.World) { e2e.Media(t, w) }},
		{"quizzes", func(t *testing.T, w *e2e.World) { e2e.Quizzed(t, w) }},
		{"packages", func(t *testing.T, w *e2e.World) { e2e.Packaged(t, w) }},
		{"search", func(t *testing.T, w *e2e.World) { e2e.Search(t, w) }},
	})
	restartedUnderMTLS(t, s)
	suiteUnderMTLS(t, system.Start(t, "--mtls"), []part{
		{"reports", func(t *testing.T, w *e2e.World) { e2e.Reported(t, w) }},
		{"purchase", func(t *testing.T, w *e2e.World) { e2e.Purchase(t, w, nothing) }},
		{"renewal", func(t *testing.T, w *e2e.World) { e2e.Renewal(t, w) }}, // the last: it moves the clock
	})
}

func suiteUnderMTLS(t *testing.T, s *system.System, parts []part) {
	t.Helper()
	require.Equal(t, "running", s.Process(t, "sentry", "authority").State)
	passed := 0
	for _, p := range parts {
		if t.Run(p.name, func(t *testing.T) { p.run(t, e2e.NewWorld(t, s)) }) {
			passed++
		}
	}
	_, err := s.LmsWithin(5*time.Minute, "recompute", "--check") // the operator's way in
	require.NoError(t, err)
	s.Lms(t, "outbox", "drain")
	fromElsewhere(t, s)
	refused := refusals(t, s)
	t.Logf("under mTLS: %d of %d parts of the suite pass, %d calls refused by a policy", passed, len(parts), refused)
	require.Zero(t, refused, "a service calls what shared/contracts/access does not name")
}

// fromElsewhere asks an installation as in a cluster: without its folder, through the
// address of a sidecar.
func fromElsewhere(t *testing.T, s *system.System) {
	t.Helper()
	r, err := supervisor.ReadRecord(filepath.Join(s.Home, "run", "state.json"))
	require.NoError(t, err)
	elsewhere := *s
	elsewhere.Home = t.TempDir()
	elsewhere.Env = append(slices.Clone(s.Env),
		fmt.Sprintf("LMS_OPERATOR_SIDECAR=127.0.0.1:%d", s.Process(t, "gateway", "sidecar").Ports["http"]), "DAPR_API_TOKEN="+r.Control.SidecarToken)
	_, err = elsewhere.TryLms("outbox")
	require.ErrorContains(t, err, "the secret service-lms is needed too")
	elsewhere.Env = append(elsewhere.Env, "LMS_OPERATOR_SECRETS_FILE="+filepath.Join(s.Home, "secrets.json"))
	require.Contains(t, elsewhere.Lms(t, "outbox"), "enrollment")
	var reply struct {
		TenantID string `json:"tenant_id"`
		Created  bool   `json:"created"`
	}
	require.NoError(t, json.Unmarshal([]byte(elsewhere.Lms(t, "bootstrap", "--organisation", "Another", "--email", "another@example.test", "--json")), &reply))
	require.False(t, reply.Created, "there is an administrator already")
	require.Equal(t, e2e.NewWorld(t, s).Org, reply.TenantID)
}

// restartedUnderMTLS stops an installation and starts it on the same folder.
func restartedUnderMTLS(t *testing.T, s *system.System) {
	t.Helper()
	sentry := s.Process(t, "sentry", "authority")
	anchors := filepath.Join(s.Home, "data", "sentry", "ca.crt")
	private(t, anchors, filepath.Join(s.Home, "data", "sentry", "issuer.key"), filepath.Join(s.Home, "run", "identities", "course.token"))
	first, err := os.ReadFile(anchors)
	require.NoError(t, err)
	s.Lms(t, "down")
	_, err = s.TryLms("status")
	require.ErrorContains(t, err, "nothing runs")
	require.NoDirExists(t, fmt.Sprintf("/proc/%d", sentry.PID))
	s.Up(t, "--mtls")
	s.AwaitReady(t)
	again, err := os.ReadFile(anchors)
	require.NoError(t, err)
	require.Equal(t, first, again, "trust anchors are kept")
}

// private fails where others than the owner may read a file.
func private(t *testing.T, files ...string) {
	t.Helper()
	for _, file := range files {
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), file)
	}
}

// refusals counts the calls that sidecars refused, as the services' own figures have
// them since each last started, and as the logs tell of those before.
func refusals(t *testing.T, s *system.System) (n int) {
	t.Helper()
	for _, app := range access.Apps() {
		res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", s.Running(t, app, "service").Ports["http"]))
		require.NoError(t, err)
		figures, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		raw, err := os.ReadFile(filepath.Join(s.Home, "logs", app+".log"))
		require.NoError(t, err)
		require.Contains(t, string(figures), `lms_dapr_call_seconds_count{kind="invoke",result="ok"`, "%s counts its calls", app)
		for line := range bytes.Lines(append(figures, raw...)) {
			counted := bytes.HasPrefix(line, []byte("lms_dapr_call_seconds_count")) && bytes.Contains(line, []byte(`result="forbidden"`))
			if counted || bytes.Contains(line, []byte("access control policy has denied")) {
				t.Logf("%s: %.400s", app, line)
				n++
			}
		}
	}
	return n
}
