// Package system starts the whole product for tests: the same binaries, the
// same command and the same sidecars that `make run` starts, in a folder and on
// a port of their own.
package system

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// startLimit is how long a start may take on a busy machine with everything
// built.
const startLimit = 6 * time.Minute

// Process is one line of `lms status --json`.
type Process struct {
	Service string         `json:"service"`
	Kind    string         `json:"kind"` // service, sidecar, broker, store, database
	PID     int            `json:"pid"`
	State   string         `json:"state"`
	Ports   map[string]int `json:"ports"`
	PSS     int64          `json:"pss"`
	RSS     int64          `json:"rss"`
}

// Status is the answer of `lms status --json`.
type Status struct {
	Processes []Process `json:"processes"`
	Ready     bool      `json:"ready"`
}

// System is a running installation.
type System struct {
	Home string
	URL  string   // of the gateway, without a slash at the end
	Env  []string // of its processes, besides that of the test: NAME=value

	root string
	t    testing.TB
}

// Root is the top of the repository.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "tye.yaml")); err == nil {
			return dir
		}
	}
	require.Fail(t, "the repository's top was not found")
	return ""
}

// Start starts an installation and stops it when the test ends. Binaries are
// those of .lms/bin in the repository, which `make test` has built.
func Start(t testing.TB, args ...string) *System {
	t.Helper()
	s := New(t)
	s.Up(t, args...)
	return s
}

// New is an installation that is not there yet: Up starts it, and it is stopped
// when the test ends.
func New(t testing.TB) *System {
	t.Helper()
	return NewOf(t, Root(t))
}

// NewOf is New with the programs of another source tree, in its .lms/bin.
func NewOf(t testing.TB, root string) *System {
	t.Helper()
	s := &System{Home: t.TempDir(), URL: fmt.Sprintf("http://127.0.0.1:%d", FreePort(t)), t: t}
	// Where we are root, PostgreSQL runs as another user, who must get there.
	require.NoError(t, os.Chmod(filepath.Dir(s.Home), 0o711))
	s.Use(t, root)
	t.Cleanup(func() {
		if t.Failed() {
			s.keepLogs(t)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		out, err := s.command(ctx, "down").CombinedOutput()
		require.NoError(t, err, "lms down: %s", out)
	})
	return s
}

// Use makes a source tree the one whose command is run from now on, and whose
// programs are started: those that `make build` and `make sidecar` have made there.
func (s *System) Use(t testing.TB, root string) {
	t.Helper()
	s.root = root
	s.Programs(t, filepath.Join(root, ".lms", "bin"))
}

// Programs makes a folder the one from which programs are started from now on.
func (s *System) Programs(t testing.TB, dir string) {
	t.Helper()
	bin := filepath.Join(s.Home, "bin")
	if err := os.Remove(bin); !errors.Is(err, fs.ErrNotExist) {
		require.NoError(t, err)
	}
	require.NoError(t, os.Symlink(dir, bin))
}

// Up runs `lms up --detach`, which returns when the gateway is ready.
func (s *System) Up(t testing.TB, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	addr := s.URL[len("http://"):]
	out, err := s.command(ctx, append([]string{"up", "--detach", "--no-build", "--demo", "none", "--listen", addr}, args...)...).CombinedOutput()
	require.NoError(t, err, "lms up: %s", out)
}

// Lms runs `lms` with arguments in this installation and returns what it
// printed on standard output.
func (s *System) Lms(t testing.TB, args ...string) string {
	t.Helper()
	out, err := s.TryLms(args...)
	require.NoError(t, err)
	return out
}

// TryLms is Lms for a moment at which parts of the installation may be down.
func (s *System) TryLms(args ...string) (string, error) { return s.LmsWithin(time.Minute, args...) }

// LmsWithin is TryLms for what may take longer than a minute.
func (s *System) LmsWithin(limit time.Duration, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var out, diagnostics bytes.Buffer
	cmd := s.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, &diagnostics
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("lms %v: %w: %s%s", args, err, out.String(), diagnostics.String())
	}
	return out.String(), nil
}

func (s *System) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.root, ".lms", "bin", "lms"), args...)
	cmd.Dir = s.root
	cmd.Env = append(append(os.Environ(), s.Env...), "LMS_HOME="+s.Home)
	return cmd
}

// Status reads the processes.
func (s *System) Status(t testing.TB) Status {
	t.Helper()
	var st Status
	require.NoError(t, json.Unmarshal([]byte(s.Lms(t, "status", "--json")), &st))
	return st
}

// Process finds one process.
func (s *System) Process(t testing.TB, service, kind string) Process {
	t.Helper()
	for _, p := range s.Status(t).Processes {
		if p.Service == service && p.Kind == kind {
			return p
		}
	}
	require.Fail(t, "no process "+service+" "+kind)
	return Process{}
}

// Broker is the process that carries the topics, whatever the profile calls it.
func (s *System) Broker(t testing.TB) Process {
	t.Helper()
	return s.ofKind(t, "broker")
}

// ofKind is the last of the processes of a kind: one that others stand before is
// started after them.
func (s *System) ofKind(t testing.TB, kind string) (found Process) {
	t.Helper()
	for _, p := range s.Status(t).Processes {
		if p.Kind == kind {
			found = p
		}
	}
	require.NotEmpty(t, found.Service, "there is no process of the kind %s", kind)
	return found
}

// Profile is the folder of components that the sidecars were started with, and
// the variables that they were given for it.
func (s *System) Profile(t testing.TB) (dir string, variables map[string]string) {
	t.Helper()
	sidecar := s.Running(t, "gateway", "sidecar")
	args := processFile(t, sidecar.PID, "cmdline")
	variables = map[string]string{}
	for _, kv := range processFile(t, sidecar.PID, "environ") {
		if name, value, ok := strings.Cut(kv, "="); ok && strings.HasPrefix(name, "LMS_") {
			variables[name] = value
		}
	}
	return args[slices.Index(args, "--resources-path")+1], variables
}

// processFile reads what the kernel keeps of a process as a list.
func processFile(t testing.TB, pid int, name string) []string {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	require.NoError(t, err)
	return strings.Split(string(raw), "\x00")
}

// Running finds one process, and waits for it where it is just being started
// again.
func (s *System) Running(t testing.TB, service, kind string) (p Process) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); <-time.After(20 * time.Millisecond) {
		if p = s.Process(t, service, kind); p.PID > 0 && p.State == "running" {
			return p
		}
	}
	require.Fail(t, "it does not run", "%s %s: %s", service, kind, p.State)
	return p
}

// Kill sends SIGKILL to one process of the installation.
func (s *System) Kill(t testing.TB, service, kind string) {
	t.Helper()
	require.NoError(t, syscall.Kill(s.Running(t, service, kind).PID, syscall.SIGKILL))
}

// TryKill is Kill for a goroutine that is not the test's own, at a moment at which the
// process may be down.
func (s *System) TryKill(service, kind string) error {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); <-time.After(50 * time.Millisecond) {
		out, err := s.TryLms("status", "--json")
		var st Status
		if err != nil || json.Unmarshal([]byte(out), &st) != nil {
			continue
		}
		for _, p := range st.Processes {
			if p.Service == service && p.Kind == kind && p.PID > 0 && p.State == "running" && syscall.Kill(p.PID, syscall.SIGKILL) == nil {
				return nil
			}
		}
	}
	return fmt.Errorf("%s %s does not run", service, kind)
}

// Pause stops a process with SIGSTOP until the returned function is called.
func (s *System) Pause(t testing.TB, service, kind string) (resume func()) {
	t.Helper()
	pid := s.Running(t, service, kind).PID
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	return func() { require.NoError(t, syscall.Kill(pid, syscall.SIGCONT)) }
}

// AwaitReady waits until the gateway says that everything is up.
func (s *System) AwaitReady(t testing.TB) {
	t.Helper()
	require.Eventually(t, func() bool {
		res, err := http.Get(s.URL + "/readyz")
		if err != nil {
			return false
		}
		defer func() { _ = res.Body.Close() }()
		_, _ = io.Copy(io.Discard, res.Body)
		return res.StatusCode == http.StatusOK
	}, time.Minute, 50*time.Millisecond, "the system is ready again")
}

// keepLogs copies the processes' logs to where they outlive the test's folder.
func (s *System) keepLogs(t testing.TB) {
	dir := filepath.Join(s.root, ".lms", "failed", filepath.Base(t.Name()))
	if err := os.RemoveAll(dir); err != nil {
		t.Logf("logs not kept: %v", err)
		return
	}
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(s.Home, "logs"))); err != nil {
		t.Logf("logs not kept: %v", err)
		return
	}
	t.Logf("logs are in %s", dir)
}

// FreePort is a port that nobody listens on at this moment.
func FreePort(t testing.TB) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = ln.Close() }()
	return ln.Addr().(*net.TCPAddr).Port
}
