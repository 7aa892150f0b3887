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

	"lms/shared/authority"
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
	// Edit changes the text of a component before it is used; nil for nothing.
	Edit func(text string) string

	// Authority certifies it, and dapr/access says whom it lets in; nil without mTLS.
	Authority *authority.Authority
	// Identity is the app in whose name it asks for a certificate; App if empty.
	Identity string
	// Env is more of its environment; what comes later counts.
	Env []string
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
	p := launch(t, o)
	require.Eventually(t, func() bool { return healthy("http://"+p.HTTP+"/v1.0/healthz/outbound") == nil }, patience, 10*time.Millisecond, "%s", &p.output)
	return p.Sidecar
}

// Fail starts a sidecar that cannot start, and returns what it said.
func Fail(t testing.TB, o Options) string {
	t.Helper()
	p := launch(t, o)
	select {
	case <-p.exited:
	case <-time.After(patience):
		require.Fail(t, "the sidecar has started", "%s", &p.output)
	}
	return p.output.String()
}

// process is a program that ends with the test.
type process struct {
	Sidecar
	output output
	exited chan struct{}
}

// run starts a program in a folder with more in its environment than the test's own.
func (p *process) run(t testing.TB, folder, path string, args, env []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = folder, &p.output, &p.output
	cmd.Env = append(os.Environ(), env...)
	require.NoError(t, cmd.Start())
	p.exited = make(chan struct{})
	go func() {
		defer close(p.exited)
		_ = cmd.Wait() // the exit code of what was stopped says nothing
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended just now
		select {
		case <-p.exited:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			<-p.exited
		}
		if t.Failed() {
			t.Log(p.output.String())
		}
	})
}

func launch(t testing.TB, o Options) *process {
	t.Helper()
	root := sourceTree(t)
	path := program(t, root)
	folder := filepath.Join(o.Home, "run")
	require.NoError(t, os.MkdirAll(folder, 0o700))
	ports := FreePorts(t, 3)
	args := []string{
		"--app-id", o.App, "--dapr-http-port", ports[0], "--dapr-grpc-port", ports[1], "--dapr-internal-grpc-port", ports[2],
		"--dapr-listen-addresses", "127.0.0.1", "--dapr-internal-grpc-listen-address", "127.0.0.1",
		"--config", filepath.Join(root, "dapr", "config.yaml"), "--resources-path", resources(t, root, o), "--enable-metrics=false",
	}
	if o.AppPort != "" {
		args = append(args, "--app-port", o.AppPort, "--app-protocol", "http")
	}
	env := []string{"DAPR_HOST_IP=127.0.0.1", "DAPR_API_TOKEN=" + APIToken, "APP_API_TOKEN=" + AppToken}
	if o.Authority != nil {
		args = append(append(args, "--config", filepath.Join(root, "dapr", "access", o.App+".yaml")), o.Authority.SidecarArgs()...)
		identity, err := o.Authority.SidecarEnv(cmp.Or(o.Identity, o.App))
		require.NoError(t, err)
		env = append(env, identity...)
	}
	p := &process{Sidecar: Sidecar{HTTP: "127.0.0.1:" + ports[0], GRPC: "127.0.0.1:" + ports[1]}}
	p.run(t, folder, path, args, append(env, o.Env...))
	return p
}

// resources is a folder with the components that were asked for.
func resources(t testing.TB, root string, o Options) string {
	t.Helper()
	folder := t.TempDir()
	profile := cmp.Or(os.Getenv("LMS_TEST_PROFILE"), "embedded")
	names := o.Components
	if file := os.Getenv("LMS_TEST_SECRETS"); file != "" {
		require.NoError(t, os.MkdirAll(o.Home, 0o700))
		addSecrets(t, filepath.Join(o.Home, "secrets.json"), file)
		names = slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(names), "secrets.yaml"))))
	}
	for _, name := range names {
		raw, err := os.ReadFile(filepath.Join(root, "components", profile, name))
		require.NoError(t, err)
		if o.Edit != nil {
			raw = []byte(o.Edit(string(raw)))
		}
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), raw, 0o600))
	}
	return folder
}

// StartAuthority starts a certificate authority for the sidecars of some apps in the
// folder of an installation. It ends with the test.
func StartAuthority(t testing.TB, home string, apps ...string) *authority.Authority {
	t.Helper()
	path := program(t, sourceTree(t))
	a := &authority.Authority{
		Folder: filepath.Join(home, "data", "sentry"), Identities: filepath.Join(home, "run", "identities"), Address: "127.0.0.1:" + FreePorts(t, 1)[0],
	}
	require.NoError(t, a.Prepare(apps))
	args, err := a.Args()
	require.NoError(t, err)
	var p process
	p.run(t, home, path, args, nil)
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", a.Address)
		return err == nil && conn.Close() == nil
	}, patience, 10*time.Millisecond, "%s", &p.output)
	return a
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
