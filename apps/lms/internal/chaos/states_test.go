//go:build chaos && matrix

package chaos_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/system"
	"lms/shared/contracts/internalapi"
)

// store is a product behind the state components, by a profile that has it.
type store struct{ name, profile string }

// TestStateStores runs the suites of who keeps state on every store: SQLite, Redis,
// PostgreSQL v2. First those that start sidecars of their own and try TTL, ETag
// conflicts and expiry; then all of auth's and notification's, and of the kit's parts
// that keep records, whose fixtures take the store of a running sidecar for the one
// in memory. It fails when one of them fails.
func TestStateStores(t *testing.T) {
	for _, on := range []store{{"sqlite", "embedded"}, {"redis", "redis"}, {"postgresql v2", "rabbitmq"}} {
		t.Run(on.name, func(t *testing.T) {
			s := system.Start(t, "--profile", on.profile, "--timeout", "5m")
			_, variables := s.Profile(t)
			env := append(os.Environ(), "LMS_TEST_PROFILE="+on.profile, "LMS_TEST_SECRETS="+filepath.Join(s.Home, "secrets.json"))
			for name, value := range variables {
				env = append(env, name+"="+value)
			}
			suite := func(name, what string, env []string, args ...string) {
				t.Run(name, func(t *testing.T) {
					cmd := exec.Command("go", append([]string{"test", "-count=1", "-v"}, args...)...)
					cmd.Dir, cmd.Env = system.Root(t), env
					out, err := cmd.CombinedOutput()
					require.NotContains(t, string(out), "no tests to run")
					passed := strings.Count(string(out), "--- PASS: ")
					measured(t, on.name+": "+name, "it passes", err == nil && passed > 0, "%d tests and parts, %s", passed, what)
					require.NoError(t, err, "%s", out)
				})
			}
			for _, own := range [][2]string{
				{"StateBlock", "./shared/record/recordtest"},
				{"StateBlock", "./apps/notification/internal/due"},
				{"RealBlock", "./apps/notification/internal/app"},
				{"RealSidecar", "./apps/auth/internal/app"},
			} {
				suite(own[1][2:]+" beside its sidecars", "with TTL, ETag conflicts and expiry", env, "-run", own[0], own[1])
			}
			for _, app := range []struct{ name, component, packages string }{
				{"auth", internalapi.SessionStore, "./apps/auth/internal/app ./apps/auth/internal/keys ./apps/auth/internal/session ./apps/auth/internal/throttle"},
				{"notification", "state", "./apps/notification/internal/app ./apps/notification/internal/due ./apps/notification/internal/notification ./apps/notification/internal/webhook ./shared/inbox/keyed ./shared/journal ./shared/once"},
			} {
				state := append(env,
					"LMS_TEST_STATE="+app.component+"@127.0.0.1:"+strconv.Itoa(s.Running(t, app.name, "sidecar").Ports["grpc"]),
					"LMS_TEST_STATE_TOKEN="+environment(t, s, app.name, "service")["DAPR_API_TOKEN"])
				suite(app.name, "on the component "+app.component, state, strings.Fields(app.packages)...)
			}
		})
	}
}

// environment is what a process of an installation was started with.
func environment(t testing.TB, s *system.System, service, kind string) map[string]string {
	t.Helper()
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(s.Running(t, service, kind).PID) + "/environ")
	require.NoError(t, err)
	out := map[string]string{}
	for _, kv := range strings.Split(string(raw), "\x00") {
		if name, value, ok := strings.Cut(kv, "="); ok {
			out[name] = value
		}
	}
	return out
}
