// Package sidecartest starts real sidecars with components of the embedded
// profile, for tests; or with those of another one, whose products run already:
// LMS_TEST_PROFILE names it, LMS_TEST_SECRETS a file with their passwords, and the
// variables that it reads are in the environment.
package sidecartest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// APIToken is what the sidecars want to see, AppToken what they show.
const (
	APIToken = "the token of a test's sidecar"
	AppToken = "the token of a test's app"
)

// patience bounds every wait for something that takes milliseconds on an idle
// machine.
const patience = 20 * time.Second

// Sidecar is a running one.
type Sidecar struct{ HTTP, GRPC string } // host:port

// Options of Start.
type Options struct {
	App        string   // app id
	Home       string   // folder of the installation; the sidecars run in its subfolder run
	AppPort    string   // "" for none
	Components []string // file names of the profile
}

// program is the sidecar to test with: LMS_TEST_DAPRD, or what `lms up` has
// built. Without one the test is skipped and says so.
func program(t testing.TB, root string) string {
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

// FreePorts are ports of the loopback address that nobody listens on.
func FreePorts(t testing.TB, n int) []string {
	t.Helper()
	ports := make([]string, n)
	for i := range ports {
		ln, err := net.Listen("tcp", "127.0.0.1:0") // closed at once
		require.NoError(t, err)
		defer func() { _ = ln.Close() }()
		_, ports[i], err = net.SplitHostPort(ln.Addr().String())
		require.NoError(t, err)
	}
	return ports
}

// sourceTree is the folder of go.mod above the test.
func sourceTree(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		require.NotEqual(t, dir, parent, "no go.mod above the test")
		dir = parent
	}
}

type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *output) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *output) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Start starts a sidecar and waits until it serves its app. It ends with the
// test.
func Start(t testing.TB, o Options) Sidecar {
	t.Helper()
	root := sourceTree(t)
	path := program(t, root)
	resources := t.TempDir()
	profile := cmp.Or(os.Getenv("LMS_TEST_PROFILE"), "embedded")
	if file := os.Getenv("LMS_TEST_SECRETS"); file != "" {
		addSecrets(t, filepath.Join(o.Home, "secrets.json"), file)
		o.Components = slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(o.Components), "secrets.yaml"))))
	}
	for _, name := range o.Components {
		raw, err := os.ReadFile(filepath.Join(root, "components", profile, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(resources, name), raw, 0o600))
	}
	folder := filepath.Join(o.Home, "run")
	require.NoError(t, os.MkdirAll(folder, 0o700))

	ports := FreePorts(t, 3)
	args := []string{
		"--app-id", o.App, "--dapr-http-port", ports[0], "--dapr-grpc-port", ports[1], "--dapr-internal-grpc-port", ports[2],
		"--dapr-listen-addresses", "127.0.0.1", "--dapr-internal-grpc-listen-address", "127.0.0.1",
		"--config", filepath.Join(root, "dapr", "config.yaml"), "--resources-path", resources, "--enable-metrics=false",
	}
	if o.AppPort != "" {
		args = append(args, "--app-port", o.AppPort, "--app-protocol", "http")
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	var out output
	cmd.Dir, cmd.Stdout, cmd.Stderr = folder, &out, &out
	cmd.Env = append(os.Environ(), "DAPR_HOST_IP=127.0.0.1", "DAPR_API_TOKEN="+APIToken, "APP_API_TOKEN="+AppToken)
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
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			<-exited
		}
		if t.Failed() {
			t.Log(out.String())
		}
	})
	s := Sidecar{HTTP: "127.0.0.1:" + ports[0], GRPC: "127.0.0.1:" + ports[1]}
	require.Eventually(t, func() bool { return healthy("http://"+s.HTTP+"/v1.0/healthz/outbound") == nil }, patience, 10*time.Millisecond, "%s", &out)
	return s
}

// addSecrets adds the passwords of a file to those that a test has made.
func addSecrets(t testing.TB, to, from string) {
	t.Helper()
	all := map[string]string{}
	for _, file := range []string{from, to} {
		raw, err := os.ReadFile(file)
		if file == to && errors.Is(err, os.ErrNotExist) {
			continue
		}
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(raw, &all))
	}
	raw, err := json.Marshal(all)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, raw, 0o600))
}

func healthy(url string) error {
	res, err := http.Get(url) // bounded by the caller, loopback
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
