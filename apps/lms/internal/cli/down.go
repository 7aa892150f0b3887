package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"lms/apps/lms/internal/installation"
	"lms/apps/lms/internal/supervisor"
)

func newDown(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Stop everything in order",
		Long: `Stops a running installation in order and waits until all of it is gone, and
cleans up after one that was killed. Where nothing runs it says so and succeeds.`,
		Example: "  lms down\n  lms down --home /tmp/other",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return e.down(cmd.Context()) },
	}
}

// downLimit is more than the longest orderly stop.
const downLimit = 2 * time.Minute

func (e *env) down(ctx context.Context) error {
	home, r, err := e.running()
	var code *exitError
	if errors.As(err, &code) && code.code == exitNotRunning {
		return e.cleanUp(ctx, home)
	}
	if err != nil {
		return err
	}
	if err := r.Supervisor.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop the installation: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, downLimit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for r.Supervisor.Alive() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %d has not stopped everything within %s; its log is %s", r.Supervisor.PID, downLimit, home.Log("lms"))
		case <-tick.C:
		}
	}
	e.say("everything has stopped")
	return e.cleanUp(ctx, home)
}

// cleanUp stops what a killed supervisor left behind.
func (e *env) cleanUp(ctx context.Context, home installation.Home) error {
	if _, err := os.Stat(home.StateFile()); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	lock, err := supervisor.Lock(home.LockFile())
	if errors.Is(err, supervisor.ErrRunning) {
		return nil // another start has just begun, and cleans up itself
	}
	if err != nil {
		return err
	}
	return errors.Join(supervisor.EndLeftovers(ctx, home.StateFile(), e.say), lock.Close())
}
