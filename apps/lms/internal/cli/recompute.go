package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"lms/apps/lms/internal/installation"
	"lms/apps/lms/internal/operator"
	"lms/shared/contracts/internalapi"
)

// recomputed is what became of one service.
type recomputed struct {
	Checked     int64                    `json:"checked"`
	Differences []internalapi.Difference `json:"differences"`
}

func newRecompute(e *env) *cobra.Command {
	var check, repair, asJSON bool
	cmd := &cobra.Command{
		Use:   "recompute --check | --repair [service...]",
		Short: "Compute stored progress and grades again, and say what differs",
		Long: `Computes every number that the services derived and stored (progress, late
deductions, totals, kept quiz scores, and what events add up to in reports) again
from what they know first hand, and compares the search index with the courses and
contents that it was made from.
--check only says what differs, and ends with 1 if anything does. --repair also
stores what was computed, and ends with 0 once it has.`,
		Example: "  lms recompute --check\n  lms recompute --check --json enrollment\n  lms recompute --repair",
		RunE: func(cmd *cobra.Command, args []string) error {
			if check == repair {
				return usageError(cmd, errors.New("say --check or --repair"))
			}
			names, err := comparing(args)
			if err != nil {
				return usageError(cmd, err)
			}
			all, err := e.recompute(cmd, names, repair)
			if err != nil {
				return err
			}
			if asJSON {
				err = e.printJSON(all)
			} else {
				err = e.printRecomputed(names, all, repair)
			}
			if err != nil {
				return err
			}
			if check && differ(all) {
				return &exitError{code: exitFailed}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "only say what differs")
	cmd.Flags().BoolVar(&repair, "repair", false, "store what was computed")
	cmd.Flags().BoolVar(&asJSON, "json", false, "for a program")
	return cmd
}

// comparing are the named services, or all that keep something.
func comparing(args []string) ([]string, error) {
	known := installation.Names(installation.Comparing(installation.Services()))
	if len(args) == 0 {
		return known, nil
	}
	for _, name := range args {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("there is no service %q that keeps what can be computed; there are %s", name, strings.Join(known, ", "))
		}
	}
	return args, nil
}

func (e *env) recompute(cmd *cobra.Command, names []string, repair bool) (map[string]recomputed, error) {
	all := map[string]recomputed{}
	err := e.operate(func(o *operator.Operator) error {
		for _, name := range names {
			sum := recomputed{Differences: []internalapi.Difference{}}
			err := o.Recompute(cmd.Context(), name, repair, func(p internalapi.RecomputeReply) {
				sum.Checked += p.Checked
				sum.Differences = append(sum.Differences, p.Differences...)
			})
			if err != nil {
				return err
			}
			all[name] = sum
		}
		return nil
	})
	return all, err
}

func differ(all map[string]recomputed) bool {
	for _, r := range all {
		if len(r.Differences) > 0 {
			return true
		}
	}
	return false
}

func (e *env) printRecomputed(names []string, all map[string]recomputed, repair bool) error {
	w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	what := "DIFFERENT"
	if repair {
		what = "REPAIRED"
	}
	fmt.Fprintln(w, "SERVICE\tCHECKED\t"+what)
	for _, name := range names {
		fmt.Fprintf(w, "%s\t%d\t%d\n", name, all[name].Checked, len(all[name].Differences))
	}
	for _, name := range names {
		for _, d := range all[name].Differences {
			fmt.Fprintf(w, "%s: %s %s\t%s\tstored %s, computed %s\n", name, d.Kind, d.ID, d.Field, d.Stored, d.Computed)
		}
	}
	return w.Flush()
}
