package cli

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"lms/apps/lms/internal/installation"
	"lms/apps/lms/internal/operator"
	"lms/shared/inbox"
)

// deadLetterLimit is how many dead letters of a service are shown.
const deadLetterLimit = 200

func newDeadLetters(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "dead-letters",
		Short:   "Show and redrive events that a handler could not apply",
		Example: "  lms dead-letters list\n  lms dead-letters show enrollment 0198f7c2-3c1d-7d0e-8a51-2f1a9f0c7b11\n  lms dead-letters redrive enrollment --all",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDeadList(e), newDeadShow(e), newDeadRedrive(e))
	return cmd
}

func (e *env) deadLetters(cmd *cobra.Command, o *operator.Operator) (map[string][]inbox.DeadLetter, error) {
	all := map[string][]inbox.DeadLetter{}
	for _, s := range installation.Consuming(installation.Services()) {
		dead, err := o.DeadLetters(cmd.Context(), s.Name, deadLetterLimit)
		if err != nil {
			return nil, err
		}
		all[s.Name] = dead
	}
	return all, nil
}

func newDeadList(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List dead letters, the newest first", Example: "  lms dead-letters list --json", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all map[string][]inbox.DeadLetter
			err := e.operate(func(o *operator.Operator) (err error) {
				all, err = e.deadLetters(cmd, o)
				return err
			})
			if err != nil {
				return err
			}
			if asJSON {
				return e.printJSON(all)
			}
			w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "SERVICE\tID\tHANDLER\tCODE\tTRIES\tSINCE\tREASON")
			for _, s := range installation.Consuming(installation.Services()) {
				for _, d := range all[s.Name] {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%.80s\n", s.Name, d.ID, d.Handler, d.Code, d.Attempts, d.CreatedAt.Local().Format(time.DateTime), d.Reason)
				}
			}
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "for a program")
	return cmd
}

func newDeadShow(e *env) *cobra.Command {
	return &cobra.Command{
		Use: "show <service> <id>", Short: "Show one dead letter whole, as JSON", Args: cobra.ExactArgs(2),
		Example: "  lms dead-letters show enrollment 0198f7c2-3c1d-7d0e-8a51-2f1a9f0c7b11",
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.operate(func(o *operator.Operator) error {
				dead, err := o.DeadLetters(cmd.Context(), args[0], deadLetterLimit)
				if err != nil {
					return err
				}
				for _, d := range dead {
					if d.ID.String() == args[1] {
						return e.printJSON(d)
					}
				}
				return fmt.Errorf("%s has no dead letter %s: lms dead-letters list shows them", args[0], args[1])
			})
		},
	}
}

func newDeadRedrive(e *env) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "redrive <service> [id]", Short: "Give dead letters to their handler again", Args: cobra.RangeArgs(1, 2),
		Example: "  lms dead-letters redrive enrollment 0198f7c2-3c1d-7d0e-8a51-2f1a9f0c7b11\n  lms dead-letters redrive enrollment --all",
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) == 2) {
				return usageError(cmd, fmt.Errorf("name one dead letter, or give --all"))
			}
			return e.operate(func(o *operator.Operator) error {
				if !all {
					return e.redriveOne(cmd, o, args[0], args[1])
				}
				return e.redriveAll(cmd, o, args[0])
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "all of the service")
	return cmd
}

func (e *env) redriveOne(cmd *cobra.Command, o *operator.Operator, service, id string) error {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return usageError(cmd, fmt.Errorf("%q is no id", id))
	}
	return o.Redrive(cmd.Context(), service, parsed)
}

func (e *env) redriveAll(cmd *cobra.Command, o *operator.Operator, service string) error {
	dead, err := o.DeadLetters(cmd.Context(), service, deadLetterLimit)
	if err != nil {
		return err
	}
	failed := 0
	for _, d := range dead {
		if err := o.Redrive(cmd.Context(), service, d.ID); err != nil {
			e.say(fmt.Sprintf("%s: %v", d.ID, err))
			failed++
		}
	}
	fmt.Fprintf(e.out, "%d redriven, %d failed again\n", len(dead)-failed, failed)
	if failed > 0 {
		return &exitError{code: exitFailed}
	}
	return nil
}
