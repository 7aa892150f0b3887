package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"lms/apps/lms/internal/backup"
	"lms/apps/lms/internal/installation"
	"lms/apps/lms/internal/supervisor"
)

func newBackup(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "backup FOLDER",
		Short: "Copy the installation into a folder, while it runs or not",
		Long: `Copies databases, state documents, files and secrets of this machine's
installation into a new folder; everything goes on serving. All databases are
copied as of one moment. Not copied: sessions (people sign in again), the
broker's log (what was not consumed is fetched from the publishers), search's
index (made anew by itself), logs, and mail that was written to files. The folder holds secrets and personal data: keep
it where only its owner can read.`,
		Example: "  lms backup /backups/$(date +%F)\n  lms backup --json /backups/today",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			home, err := e.home()
			if err != nil {
				return err
			}
			server, stop, err := e.database(cmd.Context())
			if err != nil {
				return err
			}
			made, err := backup.Make(cmd.Context(), home, server, args[0], e.say)
			if err = errors.Join(err, stop()); err != nil {
				return err
			}
			if asJSON {
				return e.printJSON(made)
			}
			fmt.Fprintf(e.out, "%s holds the installation as of %s: %d files of it, %.1f MB, taken in %s\n",
				args[0], made.AsOf.Format(time.RFC3339), len(made.Objects), float64(made.Bytes)/1e6, made.Took.Round(100*time.Millisecond))
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "for a program")
	return cmd
}

func newRestore(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "restore FOLDER",
		Short: "Make an installation of a backup",
		Long: `Makes an installation of what lms backup copied, in a folder (--home) that has
none yet, and says what was in flight at that moment: it goes on when the
installation starts. What happened after the backup is gone; mail and webhooks
that went out since the state documents were copied may go out again.`,
		Example: "  lms restore --home /srv/lms-restored /backups/2026-11-27\n  lms up --home /srv/lms-restored\n  lms recompute --check --home /srv/lms-restored",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			home, err := e.home()
			if err != nil {
				return err
			}
			if err := home.Prepare(); err != nil {
				return err
			}
			lock, err := supervisor.Lock(home.LockFile())
			if err != nil {
				return fmt.Errorf("an installation runs in %s: stop it first (%w)", home.Dir, err)
			}
			done, err := backup.Restore(cmd.Context(), home, args[0], e.say)
			if err = errors.Join(err, lock.Close()); err != nil {
				return err
			}
			if asJSON {
				return e.printJSON(done)
			}
			return e.printRestored(home, done)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "for a program")
	return cmd
}

func (e *env) printRestored(home installation.Home, done backup.Restored) error {
	dir := home.Dir
	if rel, err := filepath.Rel(".", dir); err == nil && len(rel) < len(dir) {
		dir = rel
	}
	fmt.Fprintf(e.out, "restored to %s as of %s; in flight then, and going on once it starts:\n", dir, done.Manifest.AsOf.Format(time.RFC3339))
	w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SERVICE\tUNPUBLISHED\tCALLS AND MAIL\tPARKED\tJOBS\tDEAD LETTERS")
	for _, s := range installation.WithDatabase(installation.Services()) {
		if f, ok := done.Services[s.Name]; ok {
			fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\n", s.Name, f.Events, f.Calls, f.Parked, f.Jobs, f.DeadLetters)
		}
	}
	return w.Flush()
}
