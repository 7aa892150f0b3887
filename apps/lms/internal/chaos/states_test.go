//go:build chaos && matrix

package chaos_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/system"
)

// TestStateStores runs the suites of who keeps state, TTL, ETag conflicts and
// expiry among them, on the stores of two profiles, beside sidecars of their own.
// On SQLite they run with all other tests. It fails when one of them fails.
func TestStateStores(t *testing.T) {
	for _, profile := range []string{"redis", "rabbitmq"} {
		t.Run(profile, func(t *testing.T) {
			s := system.Start(t, "--profile", profile, "--timeout", "3m")
			_, variables := s.Profile(t)
			for _, suite := range [][2]string{
				{"StateBlock", "./shared/record/recordtest"},
				{"StateBlock", "./apps/notification/internal/due"},
				{"RealBlock", "./apps/notification/internal/app"},
				{"RealSidecar", "./apps/auth/internal/app"},
			} {
				t.Run(filepath.Base(suite[1]), func(t *testing.T) {
					cmd := exec.Command("go", "test", "-count=1", "-v", "-run", suite[0], suite[1])
					cmd.Dir = system.Root(t)
					cmd.Env = append(os.Environ(), "LMS_TEST_PROFILE="+profile, "LMS_TEST_SECRETS="+filepath.Join(s.Home, "secrets.json"))
					for name, value := range variables {
						cmd.Env = append(cmd.Env, name+"="+value)
					}
					out, err := cmd.CombinedOutput()
					require.NotContains(t, string(out), "no tests to run")
					measured(t, profile+": "+suite[1], "it passes", err == nil, "with TTL, ETag conflicts and expiry")
					require.NoError(t, err, "%s", out)
				})
			}
		})
	}
}
