package cli

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"lms/apps/lms/internal/operator"
)

func newEvents(e *env) *cobra.Command {
	var since time.Duration
	var follow, asJSON bool
	var limit int
	cmd := &cobra.Command{
		Use:   "events <topic>",
		Short: "Show the events of a topic as CloudEvents",
		Long: `Shows the events of a topic from the publisher's kept outbox: the rows that
consumers fetch when a broker loses something. One line per event; --json gives
the whole CloudEvents, one per line.`,
		Example: "  lms events course.events\n  lms events enrollment.events --follow\n  lms events user.events --since 1h --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			from := time.Time{}
			if since > 0 {
				from = time.Now().Add(-since)
			}
			seen := 0
			return e.operate(func(o *operator.Operator) error {
				return o.Tail(cmd.Context(), args[0], from, follow, func(ev operator.Event) error {
					if err := e.printEvent(ev, asJSON); err != nil {
						return err
					}
					if seen++; limit > 0 && seen >= limit {
						return operator.ErrStop
					}
					return nil
				})
			})
		},
	}
	fl := cmd.Flags()
	fl.DurationVar(&since, "since", 0, "only events of this last stretch of time, such as 15m")
	fl.BoolVarP(&follow, "follow", "f", false, "wait for new ones until Ctrl-C")
	fl.IntVar(&limit, "limit", 0, "stop after this many; 0: all")
	fl.BoolVar(&asJSON, "json", false, "whole CloudEvents, one per line")
	return cmd
}

func (e *env) printEvent(ev operator.Event, asJSON bool) error {
	if asJSON {
		_, err := fmt.Fprintln(e.out, string(ev.Raw))
		return err
	}
	var head struct {
		ID, Type, Subject, Seq, Stream, StreamN, ActorID string
	}
	if err := json.Unmarshal(ev.Raw, &head); err != nil {
		return fmt.Errorf("event: %w", err)
	}
	_, err := fmt.Fprintf(e.out, "%s  %-44s  %s  seq %-4s %s #%s\n",
		ev.Time.Local().Format("15:04:05.000"), head.Type, head.Subject, head.Seq, head.Stream, head.StreamN)
	return err
}
