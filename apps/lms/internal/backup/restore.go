package backup

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/jackc/pgx/v5"

	"lms/apps/lms/internal/installation"
	"lms/shared/localpg"
)

// InFlight is what a service had begun and not ended at the moment of the backup.
// It goes on when the installation starts.
type InFlight struct {
	Events      int `json:"events"`       // committed, not published
	Calls       int `json:"calls"`        // reliable calls and mail, not done
	Parked      int `json:"parked"`       // of them, given up
	Jobs        int `json:"jobs"`         // queued or running
	DeadLetters int `json:"dead_letters"` // not redriven
}

// Restored says what was made of a backup.
type Restored struct {
	Manifest Manifest            `json:"-"`
	Services map[string]InFlight `json:"in_flight"`
}

// Restore makes an installation of a backup in home, where there is none yet. What
// the backup holds is compared with its manifest first.
func Restore(ctx context.Context, home installation.Home, dir string, say func(string)) (out Restored, err error) {
	if out.Manifest, err = read(dir); err != nil {
		return out, err
	}
	if err := vacant(home); err != nil {
		return out, err
	}
	say("comparing the backup with its manifest")
	if err := verify(ctx, dir, out.Manifest); err != nil {
		return out, err
	}
	if err := home.Prepare(); err != nil {
		return out, err
	}
	say("unpacking the databases")
	options := localpg.Options{DataDir: home.Postgres(), LogFile: home.Log(installation.Database), Durable: true, Progress: say}
	if err := unpackDatabases(options, dir); err != nil {
		return out, err
	}
	say("copying state, secrets and files")
	if err := put(home, dir, out.Manifest); err != nil {
		return out, err
	}
	syscall.Sync()
	say("starting the databases once, to see what was in flight")
	server, err := localpg.Start(ctx, options)
	if err != nil {
		return out, err
	}
	out.Services, err = inFlight(ctx, server)
	return out, errors.Join(err, server.Stop(context.WithoutCancel(ctx)))
}

// read is the manifest of a backup.
func read(dir string) (m Manifest, err error) {
	raw, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return m, fmt.Errorf("%s holds no whole backup: there is no %s in it", dir, manifestFile)
	}
	if err != nil {
		return m, fmt.Errorf("read the backup: %w", err)
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return m, fmt.Errorf("the backup's manifest is damaged: %w", err)
	}
	if m.Format != format {
		return m, fmt.Errorf("the backup has format %d, and this version reads %d: use the version that made it", m.Format, format)
	}
	return m, nil
}

// vacant refuses a home that has something to lose.
func vacant(home installation.Home) error {
	for _, path := range []string{home.SecretsFile(), filepath.Join(home.Run(), stateFile), filepath.Join(home.Postgres(), "cluster"), filepath.Join(home.Postgres(), "location")} {
		if _, err := os.Stat(path); err == nil {
			return fmt.Errorf("there is an installation in %s already (%s): restore into another folder, with --home", home.Dir, path)
		}
	}
	return nil
}

func verify(ctx context.Context, dir string, m Manifest) error {
	check := func(path, want string) error {
		got, _, err := sumOf(path)
		if err == nil && got != want {
			err = errors.New("it was changed since the backup was made")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return ctx.Err()
	}
	for name, sum := range m.Files {
		if err := check(filepath.Join(dir, name), sum); err != nil {
			return err
		}
	}
	for key, sum := range m.Objects {
		if !filepath.IsLocal(filepath.FromSlash(key)) {
			return fmt.Errorf("the manifest names a file outside of the backup: %s", key)
		}
		if err := check(filepath.Join(dir, objectsDir, filepath.FromSlash(key)), sum); err != nil {
			return err
		}
	}
	return nil
}

func unpackDatabases(o localpg.Options, dir string) error {
	passwords, err := os.ReadFile(filepath.Join(dir, passwordsFile))
	if err != nil {
		return fmt.Errorf("read the backup: %w", err)
	}
	f, err := os.Open(filepath.Join(dir, databaseFile))
	if err != nil {
		return fmt.Errorf("read the backup: %w", err)
	}
	defer func() { _ = f.Close() }() // nothing is written to it
	z, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("read the backup: %w", err)
	}
	return localpg.Restore(o, z, passwords)
}

// put copies everything but the databases to its place.
func put(home installation.Home, dir string, m Manifest) error {
	places := map[string]string{
		secretsFile: home.SecretsFile(), stateFile: filepath.Join(home.Run(), stateFile), clockFile: home.ClockFile(),
		accountsFile: home.AccountsFile(),
	}
	for name, to := range places {
		if _, ok := m.Files[name]; !ok {
			continue
		}
		if _, _, err := copyFile(filepath.Join(dir, name), to); err != nil {
			return err
		}
	}
	for key := range m.Objects {
		key = filepath.FromSlash(key)
		if _, _, err := copyFile(filepath.Join(dir, objectsDir, key), filepath.Join(home.Objects(), key)); err != nil {
			return err
		}
	}
	return nil
}

const inFlightSQL = `
select (select count(*) from outbox where published_at is null)::int as events,
  (select count(*) from outbox_call where done_at is null)::int as calls,
  (select count(*) from outbox_call where parked_at is not null)::int as parked,
  (select count(*) from job where state in ('queued', 'running'))::int as jobs,
  (select count(*) from dead_letter where redriven_at is null)::int as dead_letters`

func inFlight(ctx context.Context, server *localpg.Server) (map[string]InFlight, error) {
	out := map[string]InFlight{}
	for _, s := range installation.WithDatabase(installation.Services()) {
		got, err := look(ctx, server.DSN(localpg.DatabaseName(s.Name), localpg.Superuser))
		var missing interface{ SQLState() string }
		if errors.As(err, &missing) && missing.SQLState() == "3D000" {
			continue // the service came after the backup
		}
		if err != nil {
			return nil, fmt.Errorf("look into the database of %s: %w", s.Name, err)
		}
		out[s.Name] = got
	}
	return out, nil
}

func look(ctx context.Context, dsn string) (InFlight, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return InFlight{}, err //nolint:wrapcheck // inFlight does
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // nothing is pending on it
	rows, err := conn.Query(ctx, inFlightSQL)
	if err != nil {
		return InFlight{}, err //nolint:wrapcheck // inFlight does
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[InFlight]) //nolint:wrapcheck // inFlight does
}
