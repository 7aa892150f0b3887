package statetest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/auth/internal/record"
	"lms/apps/auth/internal/state"
	"lms/shared/dapr"
)

const apiToken = "the token of a test's sidecar"

// program is the sidecar to test with: LMS_TEST_DAPRD, or what `lms up` has
// built. Without one the test is skipped and says so.
func program(t *testing.T, root string) string {
	t.Helper()
	for _, path := range []string{os.Getenv("LMS_TEST_DAPRD"), filepath.Join(root, ".lms", "bin", "daprd")} {
		if path == "" {
			continue
		}
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Skip("no sidecar: build dapr/sidecar and set LMS_TEST_DAPRD to it")
	return ""
}

func freePorts(t *testing.T, n int) []string {
	t.Helper()
	ports := make([]string, n)
	for i := range ports {
		ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once
		require.NoError(t, err)
		defer func() { _ = ln.Close() }()
		_, ports[i], err = net.SplitHostPort(ln.Addr().String())
		require.NoError(t, err)
	}
	return ports
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// sidecar starts the embedded profile's `cache` beside an app id.
func sidecar(t *testing.T, home, app string) *dapr.Client {
	t.Helper()
	root, err := filepath.Abs("../../../..")
	require.NoError(t, err)
	path := program(t, root)
	resources := t.TempDir()
	component, err := os.ReadFile(filepath.Join(root, "components", "embedded", "cache.yaml"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(resources, "cache.yaml"), component, 0o600))

	ports := freePorts(t, 3)
	cmd := exec.Command(path, "--app-id", app, //nolint:gosec // G204: the sidecar under test
		"--dapr-http-port", ports[0], "--dapr-grpc-port", ports[1], "--dapr-internal-grpc-port", ports[2],
		"--dapr-listen-addresses", "127.0.0.1", "--dapr-internal-grpc-listen-address", "127.0.0.1",
		"--config", filepath.Join(root, "dapr", "config.yaml"), "--resources-path", resources, "--enable-metrics=false")
	var out lockedBuffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = home, &out, &out
	cmd.Env = append(os.Environ(), "DAPR_HOST_IP=127.0.0.1", "DAPR_API_TOKEN="+apiToken)
	require.NoError(t, cmd.Start())
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // the exit code of a stopped sidecar says nothing
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended just now
		select {
		case <-exited:
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			<-exited
		}
		if t.Failed() {
			t.Log(out.String())
		}
	})
	require.Eventually(t, func() bool { return healthy("http://127.0.0.1:"+ports[0]+"/v1.0/healthz/outbound") == nil }, 20*time.Second, 10*time.Millisecond, "%s", &out)
	c, err := dapr.New(dapr.Options{HTTP: "127.0.0.1:" + ports[0], GRPC: "127.0.0.1:" + ports[1], APIToken: apiToken})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func healthy(url string) error {
	res, err := http.Get(url) //nolint:noctx,gosec // bounded by the caller, loopback
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, res.Body) // nothing is read from it
	if res.StatusCode != http.StatusNoContent {
		return errors.New(strconv.Itoa(res.StatusCode))
	}
	return nil
}

func TestStateBlock(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	client := sidecar(t, home, "auth")
	store := state.New(client, 5*time.Second)
	suite(t, store, func(d time.Duration) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		<-timer.C // the store has a clock of its own
	})

	t.Run("the gateway reads what auth writes", func(t *testing.T) {
		other := state.New(sidecar(t, home, "gateway"), 5*time.Second)
		require.NoError(t, store.Put(t.Context(), "sessions.shared", []byte(`{"a":1}`), record.Write{TTL: time.Minute}))
		e, err := other.Get(t.Context(), "sessions.shared")
		require.NoError(t, err)
		require.JSONEq(t, `{"a":1}`, string(e.Value))
	})
	t.Run("a store that is away says so", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
		defer cancel()
		_, err := store.Get(ctx, "x")
		require.Error(t, err)
		require.NotErrorIs(t, err, record.ErrConflict)
	})
}
