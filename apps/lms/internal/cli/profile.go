package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"lms/apps/lms/internal/installation"
	"lms/apps/lms/internal/profile"
)

func newProfile(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "profile",
		Short: "Work with folders of components",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newProfileCheck(e))
	return cmd
}

func newProfileCheck(e *env) *cobra.Command {
	var asJSON, offline, brief bool
	cmd := &cobra.Command{
		Use:   "check DIR",
		Short: "Say what a folder of components would lose, repeat or reorder, before anything starts",
		Long: `Reads a folder of Dapr components as the sidecars would and says what would lose,
repeat or reorder messages, which feature is missing, which name is absent or of
a wrong kind, which scopes are not those of the table of publishers and
consumers, and which secret stands in clear: each with the setting to change.

Servers that the components name are tried, and a Redis is asked how it
persists (--offline leaves that out, and states instead what has to hold).
Variables are taken from the environment, secrets from the installation's
secrets.json.

DIR is a folder, or the name of one in components/. The exit code is 1 when the
profile is refused: it could not keep what the system promises.`,
		Example: "  lms profile check components/kafka\n  lms profile check --offline --json ../ours",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			report, err := e.checkProfile(cmd.Context(), args[0], !offline, os.LookupEnv)
			if err != nil {
				return err
			}
			if asJSON {
				err = e.printJSON(report)
			} else {
				err = e.printProfile(report, brief)
			}
			if err == nil && report.Refused() {
				return &exitError{exitFailed, nil}
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "for a program")
	cmd.Flags().BoolVar(&offline, "offline", false, "do not try the servers")
	cmd.Flags().BoolVar(&brief, "brief", false, "only what is refused and warned of")
	return cmd
}

// checkProfile checks a folder, or the one of a name in components/.
func (e *env) checkProfile(ctx context.Context, dir string, live bool, lookup func(string) (string, bool)) (profile.Report, error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) && filepath.Base(dir) == dir {
		if root, rootErr := e.root(); rootErr == nil {
			dir = filepath.Join(root, "components", dir)
		}
	}
	return profile.Check(ctx, profile.Options{Dir: dir, Env: lookup, Secrets: e.knownSecrets(), Live: live})
}

// admitProfile refuses to start on components that could not keep what the system
// promises. Each reason is a line of its own, with what to change.
func (e *env) admitProfile(ctx context.Context, dir string, live bool) error {
	report, err := e.checkProfile(ctx, dir, live, os.LookupEnv)
	if err != nil || !report.Refused() {
		return err
	}
	for _, f := range alike(report.Findings) {
		if f.Level == profile.Refused {
			e.say(fmt.Sprintf("%s: %s → %s", strings.TrimSpace(f.Component+" "+f.Setting), f.Found, f.Remedy))
		}
	}
	return fmt.Errorf("the components in %s are refused: lms profile check %s says all of it", report.Dir, report.Dir)
}

// knownSecrets are those of the installation, nil if it has none yet.
func (e *env) knownSecrets() map[string]string {
	home, err := e.home()
	if err != nil {
		return nil
	}
	raw, err := os.ReadFile(home.SecretsFile())
	if err != nil {
		return nil
	}
	secrets := installation.Secrets{}
	if err := json.Unmarshal(raw, &secrets); err != nil {
		return nil // lms up tells it
	}
	return secrets
}

func (e *env) printProfile(r profile.Report, brief bool) error {
	count := map[profile.Level]int{}
	for _, f := range r.Findings {
		count[f.Level]++
	}
	var last profile.Level
	for _, f := range alike(r.Findings) {
		if brief && f.Level == profile.Note {
			continue
		}
		if f.Level != last {
			fmt.Fprintf(e.out, "%s\n", strings.ToUpper(string(f.Level)))
			last = f.Level
		}
		fmt.Fprintf(e.out, "  %-11s  %s: %s\n", f.Effect, strings.TrimSpace(f.Component+" "+f.Setting), f.Found)
		if f.Remedy != "" {
			fmt.Fprintf(e.out, "  %-11s    → %s\n", "", f.Remedy)
		}
	}
	verdict := "it can be used"
	switch {
	case loses(r):
		verdict = "it is refused: what was acknowledged could be lost"
	case r.Refused():
		verdict = "it is refused"
	}
	_, err := fmt.Fprintf(e.out, "%s: %d components, %d refused, %d warnings, %d notes; %s\n", r.Dir, len(r.Components), count[profile.Refused], count[profile.Warning], count[profile.Note], verdict)
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// alike puts what is said of several components, word for word but for their
// own names, into one finding: a person reads it once.
func alike(findings []profile.Finding) []profile.Finding {
	var out []profile.Finding
	at := map[profile.Finding]int{}
	for _, f := range findings {
		own := f
		own.Component = ""
		publisher := strings.TrimPrefix(f.Component, "events-")
		own.Found, own.Remedy = strings.ReplaceAll(f.Found, publisher+".events", "X.events"), strings.ReplaceAll(f.Remedy, "-"+publisher, "-X")
		if i, ok := at[own]; ok && f.Component != "" {
			out[i].Component += ", " + f.Component
			out[i].Found, out[i].Remedy = own.Found, own.Remedy
			continue
		}
		at[own] = len(out)
		out = append(out, f)
	}
	return out
}

func loses(r profile.Report) bool {
	for _, f := range r.Findings {
		if f.Level == profile.Refused && f.Effect == profile.Loses {
			return true
		}
	}
	return false
}
