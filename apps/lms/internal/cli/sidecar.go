package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"lms/apps/lms/internal/builds"
)

func newSidecar(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "sidecar",
		Short: "Build the sidecar that lms up needs, and tell where it is",
		Long: `Compiles dapr/sidecar unless it was compiled from these sources before, and puts
it into the installation's bin folder. lms up does the same when it has to.`,
		Example: "  lms sidecar",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			root, err := e.root()
			if err != nil {
				return err
			}
			home, err := e.home()
			if err != nil {
				return err
			}
			if err := home.Prepare(); err != nil {
				return err
			}
			path, err := builds.Sidecar(cmd.Context(), root, home.Bin(), e.say)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(e.out, path)
			return err
		},
	}
}
