// Package cli is the command line of lms: one file per command, each adding
// itself to the list in root.go. Results go to standard output; progress, logs
// and errors to standard error.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"lms/apps/lms/internal/builds"
	"lms/apps/lms/internal/installation"
	"lms/apps/lms/internal/supervisor"
)

// Exit codes, the same for every command.
const (
	exitOK         = 0
	exitFailed     = 1
	exitUsage      = 2
	exitNotRunning = 3
	exitForced     = 130
)

// env is what every command works with.
type env struct {
	out, err io.Writer
	homeFlag string
	rootFlag string
	sayMu    sync.Mutex
}

// commands are all commands in the order of the help.
func commands(e *env) []*cobra.Command {
	return []*cobra.Command{
		newUp(e), newDown(e), newStatus(e), newLogs(e), newRestart(e), newDoctor(e), newMigrate(e), newBackup(e), newRestore(e), newProfile(e), newSeed(e),
		newBootstrap(e), newEvents(e), newOutbox(e), newReplay(e), newDeadLetters(e), newRecompute(e), newKeys(e), newClock(e), newToken(e), newSidecar(e), newVersion(e), newProbe(e), newBroker(e), newMailServer(e),
	}
}

// exitError carries an exit code other than exitFailed. A silent one has been
// told already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// Main runs the command line and returns the exit code.
func Main(args []string, out, errOut io.Writer) int {
	// A reader of our output that went away must not end us half-way.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	e := &env{out: out, err: errOut}
	root := newRoot(e)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var coded *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &coded):
		if coded.err != nil {
			e.say("lms: " + coded.Error())
		}
		return coded.code
	default:
		e.say("lms: " + err.Error())
		return exitFailed
	}
}

func newRoot(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:   "lms",
		Short: "Runs the learning management system on one machine and operates it",
		Long: `lms runs the learning management system on one machine and operates it.

All it writes lies in one folder: --home, else LMS_HOME, else .lms in the
source tree. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 nothing runs.

With ` + sidecarVariable + ` the commands that ask services (bootstrap,
dead-letters, events, keys, outbox, recompute, replay) ask the installation
which that sidecar belongs to: a cluster's or Compose's.`,
		Example:       "  lms up\n  lms up --detach && lms status\n  lms logs course -f",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &exitError{exitUsage, fmt.Errorf("there is no command %q; lms --help lists them", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(e.out)
	root.SetErr(e.err)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.PersistentFlags().StringVar(&e.homeFlag, "home", "", "folder of the installation (LMS_HOME, else .lms in the source tree)")
	root.PersistentFlags().StringVar(&e.rootFlag, "root", "", "source tree (else the one that the current folder lies in)")
	root.SetFlagErrorFunc(usageError)
	for _, c := range commands(e) {
		refuseAsUsage(c)
		root.AddCommand(c)
	}
	return root
}

// refuseAsUsage makes wrong flags and arguments of a command, and of those below
// it, end with the exit code of wrong usage.
func refuseAsUsage(c *cobra.Command) {
	c.SetFlagErrorFunc(usageError)
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError(cmd, err)
			}
			return nil
		}
	}
	for _, below := range c.Commands() {
		refuseAsUsage(below)
	}
}

func usageError(cmd *cobra.Command, err error) error {
	return &exitError{exitUsage, fmt.Errorf("%w; %s --help explains it", err, cmd.CommandPath())}
}

// say writes one line for a person.
func (e *env) say(line string) {
	e.sayMu.Lock()
	defer e.sayMu.Unlock()
	// A terminal that is gone cannot be told so.
	_, _ = fmt.Fprintln(e.err, strings.TrimRight(line, "\n"))
}

// printJSON writes a result for a program.
func (e *env) printJSON(v any) error {
	enc := json.NewEncoder(e.out)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

func (e *env) root() (string, error) {
	if e.rootFlag != "" {
		return builds.FindRoot(e.rootFlag)
	}
	return builds.FindRoot(".")
}

// home is the folder of the installation; the source tree is looked for only
// where nothing names the folder.
func (e *env) home() (installation.Home, error) {
	root := "."
	if e.homeFlag == "" && os.Getenv(installation.HomeVariable) == "" {
		var err error
		if root, err = e.root(); err != nil {
			return installation.Home{}, fmt.Errorf("%w; or name the installation's folder by --home or %s", err, installation.HomeVariable)
		}
	}
	return installation.ResolveHome(e.homeFlag, root)
}

// running is the record of the installation that runs; exit code 3 without one.
func (e *env) running() (installation.Home, supervisor.Record, error) {
	home, err := e.home()
	if err != nil {
		return home, supervisor.Record{}, err
	}
	r, err := supervisor.ReadRecord(home.StateFile())
	if errors.Is(err, os.ErrNotExist) || (err == nil && !r.Supervisor.Alive()) {
		return home, r, &exitError{exitNotRunning, fmt.Errorf("nothing runs in %s: lms up starts it", home.Dir)}
	}
	return home, r, err
}

// colour says whether w is a terminal that shows colours.
func colour(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// processNames are those of the named services with their sidecars, or all.
func processNames(only []string) ([]string, error) {
	var all []string
	for _, s := range installation.Services() {
		all = append(all, s.Name, installation.Sidecar(s.Name))
	}
	all = append(all, installation.Broker, installation.Database, installation.Authority)
	if len(only) == 0 {
		return all, nil
	}
	var names []string
	for _, want := range only {
		want = strings.TrimSpace(want)
		found := false
		for _, n := range all {
			if n == want || n == installation.Sidecar(want) {
				names = append(names, n)
				found = true
			}
		}
		if !found {
			return nil, &exitError{exitUsage, fmt.Errorf("there is no process %q; there are %s", want, strings.Join(all, ", "))}
		}
	}
	return names, nil
}
