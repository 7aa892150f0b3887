package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"lms/apps/lms/internal/builds"
	"lms/apps/lms/internal/installation"
)

func newRestart(e *env) *cobra.Command {
	var build, asJSON bool
	cmd := &cobra.Command{
		Use:   "restart <process>",
		Short: "Stop one process in its orderly way and start it again",
		Long: `Restarts a service, a sidecar (<service>-sidecar), "broker" or "postgres", and
returns when it serves again. With --build a service is compiled first.`,
		Example: "  lms restart course --build\n  lms restart course-sidecar\n  lms restart postgres",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, r, err := e.running()
			if err != nil {
				return err
			}
			name := args[0]
			if build {
				if err := e.rebuild(cmd.Context(), r.Programs, name); err != nil {
					return err
				}
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 90*time.Second)
			defer cancel()
			began := time.Now()
			p, err := r.Control.RequestRestart(ctx, name)
			if err != nil {
				return err
			}
			if asJSON {
				return e.printJSON(p)
			}
			_, err = fmt.Fprintf(e.out, "%s serves again as process %d after %.1f s\n", name, p.PID, time.Since(began).Seconds())
			return err
		},
	}
	cmd.Flags().BoolVar(&build, "build", false, "compile the service first")
	cmd.Flags().BoolVar(&asJSON, "json", false, "for a program")
	return cmd
}

func (e *env) rebuild(ctx context.Context, programs, name string) error {
	root, err := e.root()
	if err != nil {
		return err
	}
	for _, s := range installation.Present(root) {
		if s.Name == name {
			return builds.Services(ctx, root, programs, []string{name}, e.say)
		}
	}
	return &exitError{exitUsage, errors.New("--build is for services")}
}
