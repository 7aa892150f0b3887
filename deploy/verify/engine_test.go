//go:build engine

package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestComposeInContainers starts every profile (or those of LMS_TEST_PROFILES) with a
// real engine, as deploy/compose/README.md says. It needs the images lms and sidecar.
func TestComposeInContainers(t *testing.T) {
	profiles := composeProfiles(t)
	if only := os.Getenv("LMS_TEST_PROFILES"); only != "" {
		profiles = strings.Split(only, ",")
	}
	for _, profile := range profiles {
		t.Run(profile, func(t *testing.T) {
			c := newComposed(t, profile)
			c.compose("up", "--detach", "--wait")
			var made struct{ Password string }
			require.NoError(t, json.Unmarshal(c.compose("run", "--rm", "operator", "bootstrap", "--organisation", "School", "--email", "admin@example.test", "--json"), &made))
			require.NotEmpty(t, made.Password)
			c.signIn(made.Password)
			// Started again, a service finds its sidecar, and a sidecar its service.
			c.compose("restart", "--timeout", "10", "user", "auth-sidecar", "gateway", "postgres")
			c.compose("restart", "--timeout", "10", c.broker())
			c.signIn(made.Password)
			require.Contains(t, string(c.compose("run", "--rm", "operator", "outbox")), "enrollment")
		})
	}
}

// composed is a Compose project of a test's own.
type composed struct {
	t                  *testing.T
	dir, profile, port string
}

func newComposed(t *testing.T, profile string) *composed {
	t.Helper()
	root := t.TempDir()
	for _, folder := range []string{"deploy/compose", "components", "dapr"} {
		require.NoError(t, os.CopyFS(filepath.Join(root, folder), os.DirFS(filepath.Join("../..", folder))))
	}
	dir := filepath.Join(root, "deploy/compose")
	for _, own := range []string{"secrets", ".env", "settings.env"} {
		require.NoError(t, os.RemoveAll(filepath.Join(dir, own)))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &composed{t: t, dir: dir, profile: profile, port: l.Addr().String()}
	require.NoError(t, l.Close())
	c.run("sh", "setup.sh", profile)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s", c.compose("logs", "--tail", "20"))
		}
		c.compose("down", "--volumes", "--timeout", "10")
	})
	return c
}

func (c *composed) compose(args ...string) []byte {
	c.t.Helper()
	return c.run("docker", append([]string{"compose", "--project-name", "lms-test-" + c.profile}, args...)...)
}

func (c *composed) run(name string, args ...string) []byte {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.t.Context()), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = c.dir, append(os.Environ(), "LMS_PORT="+c.port)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	require.NoError(c.t, err, "%s %s: %s", name, strings.Join(args, " "), said.Bytes())
	return out
}

// broker is the service that carries the topics.
func (c *composed) broker() string {
	names := []string{"kafka", "redis-events", "rabbitmq", "nats"}
	services := strings.Fields(string(c.compose("config", "--services")))
	i := slices.IndexFunc(names, func(n string) bool { return slices.Contains(services, n) })
	require.NotEqual(c.t, -1, i, "no broker among %v", services)
	return names[i]
}

// signIn waits until every service is ready, and signs the administrator in, which
// takes gateway, auth and user with their sidecars.
func (c *composed) signIn(password string) {
	c.t.Helper()
	client := &http.Client{Timeout: 10 * time.Second}
	require.Eventually(c.t, func() bool {
		res, err := client.Get("http://" + c.port + "/readyz")
		return err == nil && res.Body.Close() == nil && res.StatusCode == http.StatusOK
	}, 2*time.Minute, 500*time.Millisecond, "not every service is ready")
	body := fmt.Sprintf(`{"email":"admin@example.test","password":%q}`, password)
	res, err := client.Post("http://"+c.port+"/api/v1/auth/login", "application/json", strings.NewReader(body))
	require.NoError(c.t, err)
	require.NoError(c.t, res.Body.Close())
	require.Equal(c.t, http.StatusOK, res.StatusCode)
}
