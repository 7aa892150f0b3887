package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"lms/shared/clock"
)

// clockPoll is how often a moved clock is looked for.
const clockPoll = 250 * time.Millisecond

// followClock lets the service's clock run ahead by what a file says. The operator's
// command writes it; it outlives a restart, so that time never goes back. Tokens are
// verified by the machine's time, whatever it says.
func (k *Kit) followClock(path string) error {
	c := &clock.Shifted{}
	if err := readShift(path, c); err != nil {
		return err
	}
	k.Now = c.Now
	k.Go("clock", func(ctx context.Context) error {
		tick := time.NewTicker(clockPoll)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
			was := c.Ahead()
			if err := readShift(path, c); err != nil {
				return err
			}
			if now := c.Ahead(); now != was {
				k.Log.Info("the clock was moved", "ahead", now.String())
			}
		}
	})
	return nil
}

func readShift(path string, c *clock.Shifted) error {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("clock: %w", err)
	}
	d, err := time.ParseDuration(strings.TrimSpace(string(raw)))
	if err != nil {
		return fmt.Errorf("clock: %s: %w", path, err)
	}
	c.Shift(d)
	return nil
}
