package testcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"lms/shared/childproc"
	"lms/shared/localpg"
)

const defaultLinger = 15 * time.Second

// runGuard is the life of a guard; the result is the exit code.
func runGuard(dir string) int {
	// Ctrl-C ends the tests; the guard goes when it sees them gone.
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := guard(ctx, dir); err != nil {
		fmt.Fprintln(os.Stderr, "guard of the test database:", err)
		return 1
	}
	return 0
}

func guard(ctx context.Context, dir string) error {
	me, err := childproc.Identify(os.Getpid())
	if err != nil {
		return err
	}
	server, err := openCluster(ctx, dir)
	if err != nil {
		return errors.Join(err, writeState(dir, state{Guard: me, Failed: "test database: " + err.Error()}))
	}
	if err := writeState(dir, state{Guard: me, Ready: true}); err != nil {
		return errors.Join(err, server.Stop(context.WithoutCancel(ctx)))
	}
	start, err := untilUnused(ctx, dir, server.Done())
	if start != nil { // held until the server has gone, so that a successor waits
		defer func() { _ = start.Close() }()
	}
	return errors.Join(err, os.Remove(filepath.Join(dir, "guard.json")), server.Stop(context.WithoutCancel(ctx)), discard(context.WithoutCancel(ctx), dataDir(dir)))
}

// openCluster starts the server from an empty folder: nothing is written
// through, so what a killed guard left is worth nothing.
func openCluster(ctx context.Context, dir string) (*localpg.Server, error) {
	if err := discard(ctx, dataDir(dir)); err != nil {
		return nil, err
	}
	return localpg.Start(ctx, localpg.Options{
		DataDir: dataDir(dir), MaxConnections: 400, ParentDeath: syscall.SIGQUIT,
		// Not UTC: code that forgets the zone fails here and not in production.
		TimeZone: "Asia/Ho_Chi_Minh",
		Progress: func(s string) { fmt.Fprintln(os.Stderr, s) },
	})
}

// discard removes the data. The server of a killed guard gets its signal from
// the kernel and may need a moment to go.
func discard(ctx context.Context, home string) error {
	if left, err := localpg.Attach(home); err == nil {
		if err := left.Identity().End(ctx, syscall.SIGQUIT, 5*time.Second); err != nil {
			return err
		}
	}
	if left, err := os.ReadFile(filepath.Join(home, "location")); err == nil {
		if err := os.RemoveAll(strings.TrimSpace(string(left))); err != nil {
			return fmt.Errorf("remove the test database: %w", err)
		}
	}
	if err := os.RemoveAll(home); err != nil {
		return fmt.Errorf("remove the test database: %w", err)
	}
	return nil
}

// untilUnused returns when no test binary has used the cluster for the linger
// time, holding the start lock; or without it when the server or the guard is
// asked to end.
func untilUnused(ctx context.Context, dir string, ended <-chan struct{}) (*os.File, error) {
	wait := linger()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	idle := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil, nil
		case <-ended:
			return nil, errors.New("the server ended by itself")
		case <-tick.C:
		}
		used, err := inUse(filepath.Join(dir, "use.lock"))
		if err != nil {
			return nil, err
		}
		if used {
			idle = time.Now()
			continue
		}
		if time.Since(idle) < wait {
			continue
		}
		start, err := tryLock(filepath.Join(dir, "start.lock"))
		if err != nil {
			return nil, err
		}
		if start == nil {
			continue // somebody is just joining
		}
		// Who joined before the start lock was taken holds the use lock now.
		if used, err := inUse(filepath.Join(dir, "use.lock")); err != nil || !used {
			return start, err
		}
		if err := start.Close(); err != nil {
			return nil, fmt.Errorf("give the start lock back: %w", err)
		}
	}
}

func linger() time.Duration {
	if d, err := time.ParseDuration(os.Getenv(LingerVariable)); err == nil {
		return d
	}
	return defaultLinger
}

func inUse(path string) (bool, error) {
	f, err := tryLock(path)
	if err != nil {
		return false, err
	}
	if f == nil {
		return true, nil
	}
	return false, f.Close()
}

// tryLock takes a lock alone, or is nil when somebody else has it.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock file: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, f.Close()
	}
	return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
}
