package cli

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"lms/apps/lms/internal/doctor"
)

func newDoctor(e *env) *cobra.Command {
	var (
		asJSON bool
		listen string
	)
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what would keep the system from starting, and say what helps",
		Long: `Checks the tools, the folder, the disk, the ports and what earlier runs left
behind. Each finding says what to do. The exit code is 1 when something would
keep the system from starting.`,
		Example: "  lms doctor\n  lms doctor --json --listen 127.0.0.1:9000",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			root, rootErr := e.root()
			home, err := e.home()
			if err != nil {
				return err
			}
			findings := doctor.Examine(cmd.Context(), doctor.Options{Home: home, Root: root, RootErr: rootErr, Listen: listen})
			if asJSON {
				err = e.printJSON(findings)
			} else {
				err = e.printFindings(findings)
			}
			if err != nil {
				return err
			}
			for _, f := range findings {
				if f.Level == doctor.Bad {
					return &exitError{exitFailed, nil}
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "for a program")
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "address that the gateway would have")
	return cmd
}

func (e *env) printFindings(findings []doctor.Finding) error {
	w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	for _, f := range findings {
		fmt.Fprintf(w, "%s\t%s\t%s\n", f.Level, f.Check, f.Found)
		if f.Remedy != "" {
			fmt.Fprintf(w, "\t\t→ %s\n", f.Remedy)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the findings: %w", err)
	}
	return nil
}
