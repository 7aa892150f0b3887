package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newClock(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "clock [advance <duration>]",
		Short: "Show how far ahead the services' clock is, or advance it",
		Long: `Moves the clock of the running services forward, so that a renewal, an expiry or a
reminder can be watched. Sign-in (user, auth, gateway) keeps the machine's time, so
that tokens stay valid. The clock never goes back; a new folder begins with the
machine's time. For development only.`,
		Example: "  lms clock\n  lms clock advance 31d\n  lms clock advance 90m",
		Args:    cobra.MaximumNArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			home, err := e.home()
			if err != nil {
				return err
			}
			ahead, err := readAhead(home.ClockFile())
			if err != nil {
				return err
			}
			switch {
			case len(args) == 0:
			case len(args) == 2 && args[0] == "advance":
				d, err := parseSpan(args[1])
				if err != nil {
					return &exitError{exitUsage, err}
				}
				ahead += d
				if err := writeAhead(home.ClockFile(), ahead); err != nil {
					return err
				}
			default:
				return &exitError{exitUsage, errors.New("lms clock, or lms clock advance <duration>")}
			}
			_, err = fmt.Fprintf(e.out, "%s, %s ahead\n", time.Now().UTC().Add(ahead).Format(time.RFC3339), ahead)
			return err
		},
	}
	return cmd
}

// parseSpan reads a duration above zero; days as 31d.
func parseSpan(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		d = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || d <= 0 || d > 100*366*24*time.Hour {
		return 0, fmt.Errorf("%q is no duration above zero, such as 90m or 31d", text)
	}
	return d, nil
}

func readAhead(path string) (time.Duration, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the clock: %w", err)
	}
	return time.ParseDuration(strings.TrimSpace(string(raw)))
}

// writeAhead replaces the file as a whole, so that no service reads a half.
func writeAhead(path string, ahead time.Duration) error {
	if err := os.WriteFile(path+".new", []byte(ahead.String()+"\n"), 0o600); err != nil {
		return fmt.Errorf("move the clock: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("move the clock: %w", err)
	}
	return nil
}
