package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"lms/apps/lms/internal/installation"
	"lms/apps/lms/internal/supervisor"
	"lms/migrations"
	"lms/shared/localpg"
)

// databaseVariable is the owner's address of a database that is not ours.
const databaseVariable = "LMS_MIGRATE_DATABASE_URL"

type migration struct {
	Service string `json:"service"`
	From    int64  `json:"from"`
	To      int64  `json:"to"`
}

func newMigrate(e *env) *cobra.Command {
	var (
		url    string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "migrate [service...]",
		Short: "Bring the databases to the newest schema",
		Long: `Brings the databases of this machine's installation to the newest schema; it
need not run. With --database-url (or ` + databaseVariable + `, which keeps
the password out of the list of processes) it migrates the database of one
service anywhere, as its owner: what a deployment does before it starts new
programs. Schemas only go forward; several at once wait for each other.`,
		Example: "  lms migrate\n  lms migrate course --json\n  " + databaseVariable + "=postgres://lms_course_owner:…@db/lms_course lms migrate course",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if url == "" {
				url = os.Getenv(databaseVariable)
			}
			done, err := e.migrate(cmd.Context(), args, url)
			if err != nil {
				return err
			}
			if asJSON {
				return e.printJSON(done)
			}
			w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "SERVICE\tFROM\tTO")
			for _, m := range done {
				fmt.Fprintf(w, "%s\t%d\t%d\n", m.Service, m.From, m.To)
			}
			return w.Flush()
		},
	}
	cmd.Flags().StringVar(&url, "database-url", "", "owner's address of the one named service's database")
	cmd.Flags().BoolVar(&asJSON, "json", false, "for a program")
	return cmd
}

func (e *env) migrate(ctx context.Context, services []string, url string) ([]migration, error) {
	known := installation.Names(installation.WithDatabase(installation.Services()))
	for _, s := range services {
		if !slices.Contains(known, s) {
			return nil, &exitError{exitUsage, fmt.Errorf("%q has no database; these have: %s", s, strings.Join(known, ", "))}
		}
	}
	if url != "" {
		if len(services) != 1 {
			return nil, &exitError{exitUsage, errors.New("the address belongs to one service: name it")}
		}
		from, to, err := migrations.Up(ctx, url, services[0])
		return []migration{{services[0], from, to}}, err
	}
	if len(services) == 0 {
		services = known
	}
	server, stop, err := e.database(ctx)
	if err != nil {
		return nil, err
	}
	var done []migration
	for _, s := range services {
		if err := server.EnsureDatabase(ctx, s); err != nil {
			return nil, errors.Join(err, stop())
		}
		from, to, err := migrations.Up(ctx, server.OwnerDSN(s), s)
		if err != nil {
			return nil, errors.Join(err, stop())
		}
		done = append(done, migration{s, from, to})
	}
	return done, stop()
}

// database is the running server of the installation, or one that is started
// for this command alone.
func (e *env) database(ctx context.Context) (*localpg.Server, func() error, error) {
	home, err := e.home()
	if err != nil {
		return nil, nil, err
	}
	if server, err := localpg.Attach(home.Postgres()); err == nil {
		return server, func() error { return nil }, nil
	}
	if err := home.Prepare(); err != nil {
		return nil, nil, err
	}
	lock, err := supervisor.Lock(home.LockFile())
	if err != nil {
		return nil, nil, fmt.Errorf("the installation in %s is just starting or stopping: try again (%w)", home.Dir, err)
	}
	server, err := localpg.Start(ctx, localpg.Options{
		DataDir: home.Postgres(), LogFile: home.Log(installation.Database), Durable: true, Progress: e.say,
	})
	if err != nil {
		return nil, nil, errors.Join(err, lock.Close())
	}
	return server, func() error {
		return errors.Join(server.Stop(context.WithoutCancel(ctx)), lock.Close())
	}, nil
}
