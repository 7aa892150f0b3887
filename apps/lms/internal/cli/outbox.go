package cli

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"lms/apps/lms/internal/installation"
	"lms/apps/lms/internal/operator"
	"lms/shared/outbox"
)

// oldest is the age of the oldest row, or a dash.
func oldest(at *time.Time) string {
	if at == nil {
		return "-"
	}
	return time.Since(*at).Round(time.Millisecond).String()
}

func newOutbox(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "outbox",
		Short:   "Show what is still to be published, called or sent, and what was parked",
		Example: "  lms outbox\n  lms outbox --json\n  lms outbox unpark user 0198f7c2-3c1d-7d0e-8a51-2f1a9f0c7b11",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all := map[string]outbox.Status{}
			err := e.operate(func(o *operator.Operator) error {
				for _, s := range installation.WithDatabase(installation.Services()) {
					st, err := o.Outbox(cmd.Context(), s.Name)
					if err != nil {
						return err
					}
					all[s.Name] = st
				}
				return nil
			})
			if err != nil {
				return err
			}
			if asJSON {
				return e.printJSON(all)
			}
			return e.printOutbox(all)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "for a program")
	cmd.AddCommand(newUnpark(e), newDrain(e))
	return cmd
}

func (e *env) printOutbox(all map[string]outbox.Status) error {
	w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SERVICE\tUNPUBLISHED\tOLDEST\tCALLS AND MAIL\tOLDEST\tPARKED\tDEAD LETTERS")
	for _, s := range installation.WithDatabase(installation.Services()) {
		st := all[s.Name]
		fmt.Fprintf(w, "%s\t%d\t%s\t%d\t%s\t%d\t%d\n", s.Name, st.Unpublished, oldest(st.OldestEvent), st.PendingCalls, oldest(st.OldestCall), len(st.Parked), st.DeadLetters)
	}
	for _, s := range installation.WithDatabase(installation.Services()) {
		for _, p := range all[s.Name].Parked {
			fmt.Fprintf(w, "\nparked in %s: %s to %s, key %s, id %s, since %s\n  %s\n", s.Name, p.Name, p.Destination, p.Key, p.ID, p.ParkedAt.Local().Format(time.DateTime), p.LastError)
		}
	}
	return w.Flush()
}

func newUnpark(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "unpark <service> <call id>",
		Short:   "Make a parked call due again",
		Example: "  lms outbox unpark user 0198f7c2-3c1d-7d0e-8a51-2f1a9f0c7b11",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := uuid.Parse(args[1])
			if err != nil {
				return usageError(cmd, fmt.Errorf("%q is no call id", args[1]))
			}
			return e.operate(func(o *operator.Operator) error { return o.Unpark(cmd.Context(), args[0], id) })
		},
	}
}
