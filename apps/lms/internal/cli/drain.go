package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lms/apps/lms/internal/installation"
	"lms/apps/lms/internal/operator"
	"lms/shared/outbox"
)

// drainPause is the time between two looks.
const drainPause = 300 * time.Millisecond

// waiting is what one service still has to publish, call or send.
type waiting struct {
	Service     string `json:"service"`
	Unpublished int64  `json:"unpublished"`
	Calls       int64  `json:"calls_and_mail"`
}

func newDrain(e *env) *cobra.Command {
	var (
		asJSON  bool
		timeout time.Duration
	)
	cmd := &cobra.Command{
		Use:   "drain",
		Short: "Wait until everything is published, called and sent: before another profile",
		Long: `Waits until the outbox of every service is empty. What comes meanwhile is waited
for too: keep people away first, or the end may never come.

Before another profile takes the place of this one, it makes the switch quick:
what is in an outbox is published to the new broker, and what consumers had not
taken from the old one they fetch from the outboxes, so that nothing that was
committed is lost without it either.`,
		Example: "  lms outbox drain && lms down && lms up --profile kafka\n  lms outbox drain --timeout 10m",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var left []waiting
			err := e.operate(func(o *operator.Operator) (err error) {
				left, err = drain(cmd.Context(), o.Outbox, timeout, drainPause, e.say)
				return err
			})
			if asJSON && (err == nil || len(left) > 0) {
				err = errors.Join(err, e.printJSON(map[string]any{"drained": len(left) == 0, "waiting": slices.Concat([]waiting{}, left)}))
			} else if err == nil {
				fmt.Fprintln(e.out, "everything is published, called and sent")
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "for a program")
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "give up after this time")
	return cmd
}

// drain looks at the outboxes until all are empty, and says how far it is when
// that changes. Error: the time is over, and what is left is told.
func drain(ctx context.Context, status func(context.Context, string) (outbox.Status, error), timeout, pause time.Duration, say func(string)) ([]waiting, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	told := ""
	for {
		left, err := outboxes(ctx, status)
		if err != nil && ctx.Err() == nil {
			return nil, err
		}
		if err == nil && len(left) == 0 {
			return nil, nil
		}
		text := "waiting: " + describe(left)
		if err == nil && text != told {
			say(text)
			told = text
		}
		select {
		case <-ctx.Done():
			return left, fmt.Errorf("not everything went out within %s: %s; lms outbox says what holds it up", timeout, describe(left))
		case <-time.After(pause):
		}
	}
}

func outboxes(ctx context.Context, status func(context.Context, string) (outbox.Status, error)) ([]waiting, error) {
	var left []waiting
	for _, s := range installation.WithDatabase(installation.Services()) {
		st, err := status(ctx, s.Name)
		if err != nil {
			return nil, err
		}
		if st.Unpublished > 0 || st.PendingCalls > 0 {
			left = append(left, waiting{s.Name, st.Unpublished, st.PendingCalls})
		}
	}
	return left, nil
}

func describe(left []waiting) string {
	parts := make([]string, len(left))
	for i, w := range left {
		parts[i] = fmt.Sprintf("%s %d events, %d calls and mails", w.Service, w.Unpublished, w.Calls)
	}
	return strings.Join(parts, "; ")
}
