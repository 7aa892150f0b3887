package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"lms/apps/lms/internal/installation"
	"lms/migrations"
)

type versionReport struct {
	Version  string           `json:"version"`
	Revision string           `json:"revision,omitempty"`
	Modified bool             `json:"modified,omitempty"`
	Go       string           `json:"go"`
	Platform string           `json:"platform"`
	Schemas  map[string]int64 `json:"schemas"` // newest schema of each service
}

func newVersion(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Tell which version this is, and which schemas it needs",
		Example: "  lms version\n  lms version --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := versionOf()
			if asJSON {
				return e.printJSON(v)
			}
			_, err := fmt.Fprintf(e.out, "lms %s %s, %s, %s\n", v.Version, v.Revision, v.Go, v.Platform)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "for a program")
	return cmd
}

func versionOf() versionReport {
	v := versionReport{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Schemas: map[string]int64{}}
	for _, s := range installation.WithDatabase(installation.Services()) {
		v.Schemas[s.Name] = migrations.Latest(s.Name)
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v.Version = info.Main.Version
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}
