package cli

import (
	"github.com/spf13/cobra"

	"lms/apps/lms/internal/follow"
)

func newLogs(e *env) *cobra.Command {
	var (
		followLogs, asJSON bool
		lines              int
	)
	cmd := &cobra.Command{
		Use:   "logs [service...]",
		Short: "Show the logs of the services and what they stand on",
		Long: `Shows the last lines of the named services and their sidecars, of "broker" and
"postgres", or of all, and with -f what comes then, until Ctrl-C.`,
		Example: "  lms logs\n  lms logs course enrollment -f\n  lms logs user-sidecar -n 500 --json",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			home, err := e.home()
			if err != nil {
				return err
			}
			names, err := processNames(args)
			if err != nil {
				return err
			}
			sources := make([]follow.Source, len(names))
			for i, n := range names {
				sources[i] = follow.Source{Name: n, File: home.Log(n)}
			}
			var out follow.Printer = follow.NewConsole(e.out, names, colour(e.out))
			if asJSON {
				out = follow.Raw{W: e.out}
			}
			f := follow.Follower{Sources: sources, Out: out}
			f.FromEnd()
			if err := follow.Tail(sources, lines, out); err != nil || !followLogs {
				return err
			}
			return f.Run(cmd.Context())
		},
	}
	cmd.Flags().BoolVarP(&followLogs, "follow", "f", false, "go on with what comes")
	cmd.Flags().IntVarP(&lines, "lines", "n", 50, "lines of each log to begin with")
	cmd.Flags().BoolVar(&asJSON, "json", false, "the lines as they were written, for a program")
	return cmd
}
