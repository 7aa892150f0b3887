// Package testcluster gives all test binaries of one user on this machine one
// PostgreSQL server, started when the first needs it and gone soon after the
// last has ended.
//
// Who keeps it: a guard, which is this test binary started once more in a
// session of its own. The guard owns the server. Every test binary holds a
// shared lock on a file for as long as it lives; the kernel drops the lock
// however the binary ends. The guard stops the server and itself when it can
// take that lock alone for longer than the linger time, and the kernel stops
// the server when somebody kills the guard. So nothing has to be counted and
// nothing is left behind.
package testcluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"lms/shared/childproc"
	"lms/shared/localpg"
)

const (
	// FolderVariable moves the cluster to another folder, so that two runs on
	// one machine need not share.
	FolderVariable = "LMS_TEST_POSTGRES_DIR"
	// LingerVariable is how long the server waits for the next test binary, a
	// Go duration; 15s by default.
	LingerVariable = "LMS_TEST_POSTGRES_LINGER"

	guardVariable = "LMS_TEST_POSTGRES_GUARD"
	startLimit    = 90 * time.Second
)

// A started guard never reaches the tests of the binary that carries it.
func init() { //nolint:gochecknoinits // the only place that runs before the generated main of a test binary
	if dir := os.Getenv(guardVariable); dir != "" {
		os.Exit(runGuard(dir))
	}
}

// Cluster is the shared server as one test binary uses it.
type Cluster struct {
	*localpg.Server
	use *os.File // holds the shared lock until the process ends
}

// Shared joins the cluster once per process.
type Shared struct {
	once    sync.Once
	cluster *Cluster
	err     error
}

// Get joins the cluster, starting it if need be. The process uses it until it
// ends.
func (s *Shared) Get() (*Cluster, error) {
	s.once.Do(func() { s.cluster, s.err = join() })
	return s.cluster, s.err
}

func join() (*Cluster, error) {
	dir, err := folder()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	use, err := lockFile(ctx, filepath.Join(dir, "use.lock"), syscall.LOCK_SH)
	if err != nil {
		return nil, err
	}
	server, err := attach(ctx, dir)
	if err != nil {
		return nil, errors.Join(err, use.Close())
	}
	return &Cluster{Server: server, use: use}, nil
}

// attach finds the running guard or starts one. The start lock keeps others
// from doing the same, and a guard from leaving meanwhile.
func attach(ctx context.Context, dir string) (*localpg.Server, error) {
	start, err := lockFile(ctx, filepath.Join(dir, "start.lock"), syscall.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer func() { _ = start.Close() }() // gives the lock back
	if st, ok := readState(dir); ok && st.Ready && st.Guard.Alive() {
		if server, err := localpg.Attach(dataDir(dir)); err == nil {
			return server, nil
		}
	}
	guard, err := startGuard(dir)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if st, ok := readState(dir); ok && st.Guard == guard.Identity {
			if st.Failed != "" {
				return nil, errors.New(st.Failed)
			}
			if st.Ready {
				return localpg.Attach(dataDir(dir))
			}
		}
		select {
		case <-tick.C:
		case <-guard.Done():
			return nil, fmt.Errorf("the guard of the test database ended: %w (see %s)", guard.Err(), filepath.Join(dir, "guard.log"))
		case <-ctx.Done():
			return nil, fmt.Errorf("the test database did not start: %w (see %s)", ctx.Err(), filepath.Join(dir, "guard.log"))
		}
	}
}

func startGuard(dir string) (*childproc.Process, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this test binary: %w", err)
	}
	log, err := os.OpenFile(filepath.Join(dir, "guard.log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the guard's log: %w", err)
	}
	defer func() { _ = log.Close() }() // the guard has its own handle
	env := append(os.Environ(), guardVariable+"="+dir)
	return childproc.Start(childproc.Spec{Path: exe, Env: env, Dir: dir, Output: log, Session: true})
}

// folder is the cluster's place: of this user, reachable for PostgreSQL's.
func folder() (string, error) {
	dir := os.Getenv(FolderVariable)
	if dir == "" {
		dir = filepath.Join(base(), "lms-test-postgres-"+strconv.Itoa(os.Getuid()))
	}
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return "", fmt.Errorf("folder of the test database: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", fmt.Errorf("folder of the test database: %w", err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || !ok || int(st.Uid) != os.Getuid() {
		return "", fmt.Errorf("%s is not a folder of this user: remove it, or set %s", dir, FolderVariable)
	}
	return dir, nil
}

// base is a file system in memory where there is one with room: cloning a
// database takes 20 ms there, and 120 ms on a disk.
func base() string {
	const memory, room = "/dev/shm", 2 << 30
	var fs syscall.Statfs_t
	if err := syscall.Statfs(memory, &fs); err == nil && uint64(fs.Bsize)*fs.Bavail > room {
		return memory
	}
	return "/tmp"
}

func dataDir(dir string) string { return filepath.Join(dir, "data") }

// state is what a guard tells the test binaries.
type state struct {
	Guard  childproc.Identity `json:"guard"`
	Ready  bool               `json:"ready"`
	Failed string             `json:"failed,omitempty"`
}

func readState(dir string) (state, bool) {
	raw, err := os.ReadFile(filepath.Join(dir, "guard.json"))
	if err != nil {
		return state{}, false
	}
	var st state
	if err := json.Unmarshal(raw, &st); err != nil {
		return state{}, false
	}
	return st, true
}

func writeState(dir string, st state) error {
	raw, err := json.Marshal(st)
	if err != nil {
		return fmt.Errorf("encode the guard's state: %w", err)
	}
	tmp := filepath.Join(dir, "guard.json.new")
	if err := os.WriteFile(tmp, raw, 0o600); err != nil {
		return fmt.Errorf("write the guard's state: %w", err)
	}
	if err := os.Rename(tmp, filepath.Join(dir, "guard.json")); err != nil {
		return fmt.Errorf("write the guard's state: %w", err)
	}
	return nil
}

// lockFile waits for a lock until ctx ends. Closing the file gives it back.
func lockFile(ctx context.Context, path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock file: %w", err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait for %s: %w", path, ctx.Err()), f.Close())
		}
	}
}
