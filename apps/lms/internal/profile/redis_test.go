package profile_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/infra"
	"lms/apps/lms/internal/profile"
	"lms/shared/freeport"
)

// redisServer starts Redis with settings and returns its address.
func redisServer(t *testing.T, settings ...string) string {
	t.Helper()
	program, environment, err := infra.RedisServer(t.Context(), func(line string) { t.Log(line) })
	require.NoError(t, err)
	ports, err := freeport.Pick(1)
	require.NoError(t, err)
	args := append([]string{"--port", strconv.Itoa(ports[0]), "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", ""}, settings...)
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), environment...)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	ready := make(chan bool, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "eady to accept connections") {
				ready <- true
			}
		}
	}()
	select {
	case <-ready:
	case <-time.After(20 * time.Second):
		require.Fail(t, "Redis does not start")
	}
	return freeport.Address(ports[0])
}

func TestARunningRedisIsAskedHowItPersists(t *testing.T) {
	t.Parallel()
	good := redisServer(t, "--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction")
	weak := redisServer(t, "--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "allkeys-lru")
	locked := redisServer(t, "--requirepass", "s3cret")
	for name, c := range map[string]struct {
		address string
		secret  string
		refused []string
	}{
		"as it must be": {good, "", nil},
		"weaker":        {weak, "", []string{"server: appendfsync", "server: maxmemory-policy"}},
		"no password":   {locked, "wrong", []string{"redisPassword"}},
		"password":      {locked, "s3cret", []string{"server: appendonly", "server: appendfsync"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := broken(t, "embedded").write("state", component("state", "state.redis", readers(),
				"redisHost="+c.address, "redisPassword=secret:redis", "redisMaxRetries=-1", "keyPrefix=name")).dir
			broker, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer broker.Close()
			env := func(name string) (string, bool) { return broker.Addr().String(), name == "LMS_KAFKA_BROKERS" }
			r := check(t, profile.Options{Dir: dir, Env: env, Live: true, Secrets: map[string]string{"redis": c.secret}})
			var settings []string
			for _, f := range of(r, profile.Refused) {
				require.Equal(t, "state", f.Component, fmt.Sprint(f))
				require.NotEmpty(t, f.Remedy)
				settings = append(settings, f.Setting)
			}
			require.ElementsMatch(t, c.refused, settings, filepath.Base(dir))
		})
	}
}
