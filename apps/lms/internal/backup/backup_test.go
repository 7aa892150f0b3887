package backup_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/backup"
	"lms/apps/lms/internal/installation"
	"lms/migrations"
	"lms/shared/localpg"
)

// home is a folder that PostgreSQL's user can reach also when tests run as root.
func home(t *testing.T) installation.Home {
	t.Helper()
	dir, err := os.MkdirTemp("", "lms-backup-") //nolint:usetesting // PostgreSQL's user may not enter t.TempDir
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	h := installation.Home{Dir: dir}
	require.NoError(t, h.Prepare())
	return h
}

func serve(t *testing.T, h installation.Home) *localpg.Server {
	t.Helper()
	s, err := localpg.Start(t.Context(), localpg.Options{DataDir: h.Postgres(), Durable: true, Progress: func(line string) { t.Log(line) }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop(context.WithoutCancel(t.Context()))) })
	return s
}

func document(t *testing.T, file, statement string) (value string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	if statement != "" {
		_, err = db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	require.NoError(t, db.QueryRowContext(t.Context(), "select value from state where key = 'a'").Scan(&value))
	return value
}

// What is copied of an installation makes the same one elsewhere, and says what was
// in flight.
func TestAnInstallationIsMadeOfItsBackup(t *testing.T) {
	t.Parallel()
	from := home(t)
	secrets, err := from.EnsureSecrets()
	require.NoError(t, err)
	server := serve(t, from)
	require.NoError(t, server.EnsureDatabase(t.Context(), "course"))
	_, _, err = migrations.Up(t.Context(), server.OwnerDSN("course"), "course")
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), server.DSN("lms_course", localpg.Superuser))
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `
insert into job (id, kind, tenant_id, state, input, created_at, run_at)
values (gen_random_uuid(), 'copy-course', gen_random_uuid(), 'queued', '{}', now(), now())`)
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	state := filepath.Join(from.Run(), "state.db")
	document(t, state, "create table state (key text primary key, value text); insert into state values ('a', 'one'); pragma journal_mode = wal")
	object := filepath.Join("tenant", "file.pdf")
	require.NoError(t, os.MkdirAll(filepath.Join(from.Objects(), "tenant"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(from.Objects(), object), []byte("bytes"), 0o600))

	dir, say := filepath.Join(t.TempDir(), "backup"), func(line string) { t.Log(line) }
	made, err := backup.Make(t.Context(), from, server, dir, say)
	require.NoError(t, err)
	require.Len(t, made.Objects, 1)
	_, err = backup.Make(t.Context(), from, server, dir, say)
	require.ErrorContains(t, err, "is not empty")
	require.NoError(t, os.WriteFile(from.ProfileFile(), []byte("kafka\n"), 0o600))
	_, err = backup.Make(t.Context(), from, server, filepath.Join(t.TempDir(), "backup"), say)
	require.ErrorContains(t, err, "the profile kafka")
	require.Equal(t, "two", document(t, state, "update state set value = 'two'"), "it goes on")

	to := home(t)
	done, err := backup.Restore(t.Context(), to, dir, say)
	require.NoError(t, err)
	require.Equal(t, map[string]backup.InFlight{"course": {Jobs: 1}}, done.Services)
	again, err := to.EnsureSecrets()
	require.NoError(t, err)
	require.Equal(t, secrets, again)
	require.Equal(t, "one", document(t, filepath.Join(to.Run(), "state.db"), ""))
	raw, err := os.ReadFile(filepath.Join(to.Objects(), object))
	require.NoError(t, err)
	require.Equal(t, "bytes", string(raw))
	restored := serve(t, to)
	conn, err = pgx.Connect(t.Context(), restored.ServiceDSN("course"))
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	_, err = backup.Restore(t.Context(), to, dir, say)
	require.ErrorContains(t, err, "there is an installation in")

	// What was changed, or is not whole, is refused before anything is written.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "objects", object), []byte("other"), 0o600))
	third := home(t)
	_, err = backup.Restore(t.Context(), third, dir, say)
	require.ErrorContains(t, err, "was changed since the backup was made")
	require.NoError(t, os.Remove(filepath.Join(dir, "manifest.json")))
	_, err = backup.Restore(t.Context(), third, dir, say)
	require.ErrorContains(t, err, "no whole backup")
	require.NoFileExists(t, third.SecretsFile())
}
