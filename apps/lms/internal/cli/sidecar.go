package cli

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lms/apps/lms/internal/builds"
)

func newSidecar(e *env) *cobra.Command {
	var full bool
	cmd := &cobra.Command{
		Use:   "sidecar",
		Short: "Build the sidecar that lms up needs, and tell where it is",
		Long: `Compiles dapr/sidecar unless it was compiled from these sources before, and puts
it into the installation's bin folder. lms up does the same when it has to.

With --full it compiles Dapr's own daprd of the same version with all components, for
profiles that need others than ours carries: LMS_SIDECAR, or lms up --sidecar, names it.`,
		Example: "  lms sidecar\n  LMS_SIDECAR=$(lms sidecar --full) lms up --profile ./mine",
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
			build := builds.Sidecar
			if full {
				build = builds.StockSidecar
			}
			path, err := build(cmd.Context(), root, home.Bin(), e.say)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(e.out, path)
			return err
		},
	}
	cmd.Flags().BoolVar(&full, "full", false, "Dapr's own daprd, with all components")
	return cmd
}

// sidecarVersion is what a sidecar has to be: others have other flags, and other
// promises.
const sidecarVersion = "1.18."

// otherSidecar is the program that --sidecar names, "" for our own.
func (f upFlags) otherSidecar(ctx context.Context) (string, error) {
	if f.sidecar == "" {
		return "", nil
	}
	path, err := filepath.Abs(f.sidecar)
	if err != nil {
		return "", fmt.Errorf("--sidecar: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	said, err := exec.CommandContext(ctx, path, "--version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("--sidecar: %s --version: %w\n%s", path, err, said)
	}
	if version := strings.TrimSpace(string(said)); !strings.HasPrefix(version, sidecarVersion) {
		return "", fmt.Errorf("--sidecar: %s is daprd %s, and the services stand beside 1.18: name one of that version, or none", path, version)
	}
	return path, nil
}
