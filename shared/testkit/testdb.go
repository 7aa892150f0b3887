package testkit

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"lms/migrations"
	"lms/shared/localpg"
	"lms/shared/localpg/testcluster"
	"lms/shared/pg"
)

// databases is what the tests of one binary share: the server, and which
// templates are known to be ready.
type databases struct {
	shared    testcluster.Shared
	templates sync.Map // service → func() (template's name, error)
	count     atomic.Int64
}

//nolint:gochecknoglobals // tests of one binary have no other common owner
var testDatabases databases

// DB is a pool on a migrated database of the service that belongs to this test
// alone and is dropped at its end. It connects as the service's role, which may
// change rows and nothing else. The server keeps another time zone than UTC.
func DB(t testing.TB, service string) *pgxpool.Pool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute)
	defer cancel()
	cluster, err := testDatabases.shared.Get()
	require.NoError(t, err)
	template, err := testDatabases.template(ctx, cluster, service)
	require.NoError(t, err)

	name := fmt.Sprintf("test_%s_%d_%d", service, os.Getpid(), testDatabases.count.Add(1))
	require.NoError(t, cluster.CloneDatabase(ctx, name, template, service, cloneStrategy))
	t.Cleanup(func() { dropDatabase(t, cluster, name) })
	return openPool(t, cluster.DSN(name, localpg.ServiceRole(service)))
}

// OwnerDB is a pool on the same database as its owner, for what a service may
// not do: change the schema, look past row-level security.
func OwnerDB(t testing.TB, pool *pgxpool.Pool) *pgxpool.Pool {
	t.Helper()
	cluster, err := testDatabases.shared.Get()
	require.NoError(t, err)
	cfg := pool.Config().ConnConfig
	return openPool(t, cluster.DSN(cfg.Database, cfg.User+"_owner"))
}

// cloneStrategy copies files: half the time of wal_log for a schema of some
// hundred files, since nothing is fsynced here.
const cloneStrategy = "file_copy"

func openPool(t testing.TB, dsn string) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(dsn)
	require.NoError(t, err)
	cfg.MaxConns = 16
	cfg.ConnConfig.RuntimeParams["application_name"] = "test"
	cfg.AfterConnect = pg.Types
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(t.Context()), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

func dropDatabase(t testing.TB, cluster *testcluster.Cluster, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, cluster.DSN(localpg.Superuser, localpg.Superuser))
	require.NoError(t, err)
	defer func() { _ = conn.Close(ctx) }() // nothing is pending on it
	_, err = conn.Exec(ctx, "drop database if exists "+pgx.Identifier{name}.Sanitize()+" with (force)")
	require.NoError(t, err)
}

// template is the name of the migrated database that tests of the service
// clone. All test binaries of a run share it; its name changes with the schema.
func (d *databases) template(ctx context.Context, cluster *testcluster.Cluster, service string) (string, error) {
	ready, _ := d.templates.LoadOrStore(service, sync.OnceValues(func() (string, error) {
		name := "template_" + service + "_" + migrations.Fingerprint(service)
		return name, makeTemplate(ctx, cluster, name, service)
	}))
	return ready.(func() (string, error))()
}

func makeTemplate(ctx context.Context, cluster *testcluster.Cluster, name, service string) error {
	conn, err := pgx.Connect(ctx, cluster.DSN(localpg.Superuser, localpg.Superuser))
	if err != nil {
		return fmt.Errorf("template of %s: %w", service, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // ends the lock too
	lock, err := strconv.ParseInt(migrations.Fingerprint(service), 16, 64)
	if err != nil {
		return fmt.Errorf("template of %s: %w", service, err)
	}
	if _, err := conn.Exec(ctx, "select pg_advisory_lock($1)", lock); err != nil {
		return fmt.Errorf("template of %s: %w", service, err)
	}
	var exists, ready bool
	if err := conn.QueryRow(ctx, `select count(*) > 0, coalesce(bool_or(datistemplate), false) from pg_database where datname = $1`,
		name).Scan(&exists, &ready); err != nil {
		return fmt.Errorf("template of %s: %w", service, err)
	}
	if err := cluster.EnsureRoles(ctx, service); err != nil || ready {
		return err
	}
	quoted := pgx.Identifier{name}.Sanitize()
	if exists { // a run was killed while it migrated this one
		if _, err := conn.Exec(ctx, "drop database "+quoted+" with (force)"); err != nil {
			return fmt.Errorf("template of %s: %w", service, err)
		}
	}
	if err := cluster.EnsureDatabaseNamed(ctx, name, service); err != nil {
		return err
	}
	if _, _, err := migrations.Up(ctx, cluster.DSN(name, localpg.OwnerRole(service)), service); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "alter database "+quoted+" is_template true"); err != nil {
		return fmt.Errorf("template of %s: %w", service, err)
	}
	return nil
}
