package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"lms/apps/lms/internal/infra"
	"lms/apps/lms/internal/installation"
	"lms/apps/lms/internal/supervisor"
	"lms/shared/childproc"
)

// detach starts this program once more in a session of its own, waits until
// everything serves, and leaves it.
func (e *env) detach(ctx context.Context, f upFlags) error {
	root, err := e.root()
	if err != nil {
		return err
	}
	home, err := e.home()
	if err != nil {
		return err
	}
	if err := home.Prepare(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	log, err := os.OpenFile(home.Log("lms"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	before, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return errors.Join(fmt.Errorf("open the log: %w", err), log.Close())
	}
	defer func() { _ = log.Close() }() // the other process has its own handle
	args, err := f.detached(home.Dir, root)
	if err != nil {
		return err
	}
	began := time.Now()
	child, err := childproc.Start(childproc.Spec{Path: self, Args: args, Env: os.Environ(), Dir: home.Dir, Output: log, Session: true})
	if err != nil {
		return err
	}
	return e.awaitDetached(ctx, home, child, began, before)
}

// detached are the arguments of the other process. It runs in another folder: a path
// is made whole.
func (f upFlags) detached(home, root string) ([]string, error) {
	profile, err := infra.Locate(f.profile)
	if err != nil {
		return nil, err
	}
	args := []string{"up", "--no-logs", "--home", home, "--root", root, "--listen", f.listen, "--log-level", f.logLevel, "--timeout", f.timeout.String(), "--demo", f.demo, "--profile", profile}
	if f.external {
		args = append(args, "--external")
	}
	if f.mtls {
		args = append(args, "--mtls")
	}
	if f.noBuild {
		args = append(args, "--no-build")
	}
	if f.programs != "" {
		programs, err := filepath.Abs(f.programs)
		if err != nil {
			return nil, fmt.Errorf("--bin: %w", err)
		}
		args = append(args, "--bin", programs)
	}
	if f.sidecar != "" {
		sidecar, err := filepath.Abs(f.sidecar)
		if err != nil {
			return nil, fmt.Errorf("--sidecar: %w", err)
		}
		args = append(args, "--sidecar", sidecar)
	}
	if f.noSidecars {
		args = append(args, "--no-sidecars")
	}
	if f.dropShare > 0 {
		args = append(args, "--broker-drop-share", strconv.FormatFloat(f.dropShare, 'g', -1, 64))
	}
	return args, nil
}

func (e *env) awaitDetached(ctx context.Context, home installation.Home, child *childproc.Process, began time.Time, shown int64) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		r, err := supervisor.ReadRecord(home.StateFile())
		if err == nil && r.Supervisor == child.Identity && r.Phase == supervisor.PhaseReady {
			_, err := fmt.Fprintf(e.out, "LMS is ready at %s after %.1f s (process %d; lms down stops it)\n", r.Address, time.Since(began).Seconds(), child.PID)
			return err
		}
		select {
		case <-child.Done():
			return detachedFailed(home, shown)
		case <-ctx.Done():
			_, err := child.Stop(context.WithoutCancel(ctx), syscall.SIGTERM, 100*time.Second)
			return errors.Join(errors.New("interrupted"), err)
		case <-tick.C:
			shown = e.relay(home, shown)
		}
	}
}

// relay shows the progress of the detached process.
func (e *env) relay(home installation.Home, from int64) int64 {
	raw, err := readFrom(home.Log("lms"), from)
	if err != nil {
		return from
	}
	for line := range strings.Lines(raw) {
		// The error is told once, at the end, by who reads on from here.
		if strings.HasPrefix(line, "lms: ") || !strings.HasSuffix(line, "\n") {
			break
		}
		e.say(line)
		from += int64(len(line))
	}
	return from
}

func detachedFailed(home installation.Home, from int64) error {
	raw, err := readFrom(home.Log("lms"), from)
	if err != nil || strings.TrimSpace(raw) == "" {
		return fmt.Errorf("the installation did not start; its log is %s", filepath.Join(home.Logs(), "lms.log"))
	}
	return errors.New(strings.TrimPrefix(strings.TrimSpace(raw), "lms: "))
}

func readFrom(file string, offset int64) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // read-only
	raw, err := io.ReadAll(io.NewSectionReader(f, offset, 1<<20))
	return string(raw), err
}
