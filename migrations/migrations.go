// Package migrations holds the schema of every database and brings a database
// up to it. Each database has two sets: the tables of the kit (shared/, kept in
// goose_shared) and its service's own (<service>/, kept in goose_service).
//
// Migrations go forward only and are run by the owner's role; a service
// verifies with Check that its database fits.
package migrations

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed */*.sql
var files embed.FS

const (
	sharedSet    = "shared"
	sharedTable  = "goose_shared"
	serviceTable = "goose_service"
	floorTable   = "schema_floor"

	// upLimit bounds one Up, waiting for another one included.
	upLimit = 5 * time.Minute
)

// ErrNewer says that the database was migrated by a newer version of this
// program, on whose schema this one may not work.
var ErrNewer = errors.New("the database is newer than this program: install the version that migrated it, or a later one")

// Up brings a database to the newest schema, as its owner. from and to are the
// versions of the service's own set. Several may run at once: one works, the
// others wait and find nothing to do.
func Up(ctx context.Context, ownerDSN, service string) (from, to int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, upLimit)
	defer cancel()
	cfg, err := pgx.ParseConfig(ownerDSN)
	if err != nil {
		return 0, 0, fmt.Errorf("migrate %s: address of the database: %w", service, err)
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return 0, 0, fmt.Errorf("migrate %s: %w", service, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // nothing is pending on it
	sets, err := setsOf(ctx, conn, service)
	if err != nil {
		return 0, 0, fmt.Errorf("migrate %s: %w", service, err)
	}
	from = sets[1].current
	for _, s := range sets {
		if s.current > s.latest {
			return from, from, fmt.Errorf("migrate %s: %s stands at %d, this program knows %d: %w", service, s.table, s.current, s.latest, ErrNewer)
		}
	}
	if sets[0].current < sets[0].latest || sets[1].current < sets[1].latest {
		db := stdlib.OpenDB(*cfg)
		defer func() { err = errors.Join(err, db.Close()) }()
		for _, s := range sets {
			if err := s.up(ctx, db); err != nil {
				return from, from, fmt.Errorf("migrate %s: %w", service, err)
			}
		}
	}
	// Also where nothing was to do: the one who did it may have been killed here.
	if err := protectVersions(ctx, conn); err != nil {
		return from, from, fmt.Errorf("migrate %s: %w", service, err)
	}
	return from, sets[1].latest, nil
}

// Version is where the service's own set stands in a database; any role of the
// database may ask. 0 is an empty database.
func Version(ctx context.Context, dsn, service string) (int64, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return 0, fmt.Errorf("schema version of %s: %w", service, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // nothing is pending on it
	return current(ctx, conn, serviceTable)
}

// Check is nil when a database fits this program: both sets are at their
// newest version, or beyond it by changes of a newer program that this one can
// live with. Services call it at their start.
func Check(ctx context.Context, q Querier, service string) error {
	sets, err := setsOf(ctx, q, service)
	if err != nil {
		return fmt.Errorf("schema version of %s: %w", service, err)
	}
	for _, s := range sets {
		if s.current < s.latest {
			return fmt.Errorf("the database of %s is at version %d of %s and this program needs %d: run lms migrate", service, s.current, s.table, s.latest)
		}
		if s.current == s.latest {
			continue // nobody newer was here
		}
		least, err := floor(ctx, q, s.table)
		if err != nil {
			return fmt.Errorf("schema version of %s: %w", service, err)
		}
		if least > s.latest {
			return fmt.Errorf("the database of %s wants a program that knows version %d of %s, and this one knows %d: %w", service, least, s.table, s.latest, ErrNewer)
		}
	}
	return nil
}

// floor is the version that a program must know to run on the database, 0 for any.
func floor(ctx context.Context, q Querier, table string) (least int64, err error) {
	if err := q.QueryRow(ctx, "select coalesce(max(version), 0) from "+floorTable+" where version_table = $1", table).Scan(&least); err != nil {
		return 0, fmt.Errorf("read %s: %w", floorTable, err)
	}
	return least, nil
}

// Latest is the newest version of the service's own set, 0 without one.
func Latest(service string) int64 {
	latest, _ := newest(service) // a bad name fails in Up, which every test runs
	return latest
}

// Services lists the services that have a set, in order.
func Services() []string {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return nil // an embedded root is always readable
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && e.Name() != sharedSet {
			names = append(names, e.Name())
		}
	}
	return names
}

// Fingerprint changes whenever a file of the service's schema changes.
func Fingerprint(service string) string {
	h := sha256.New()
	for _, set := range []string{sharedSet, service} {
		names, err := fs.Glob(files, path.Join(set, "*.sql"))
		if err != nil {
			continue // only a bad pattern can fail
		}
		for _, name := range names {
			raw, err := files.ReadFile(name)
			if err != nil {
				continue // it was just listed
			}
			h.Write([]byte(name)) // a hash takes everything
			h.Write(raw)
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// Querier is a connection, a pool or a transaction.
type Querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

type set struct {
	dir, table      string
	current, latest int64
}

func setsOf(ctx context.Context, q Querier, service string) ([]set, error) {
	sets := []set{{dir: sharedSet, table: sharedTable}, {dir: service, table: serviceTable}}
	for i := range sets {
		var err error
		if sets[i].latest, err = newest(sets[i].dir); err != nil {
			return nil, err
		}
		if sets[i].current, err = current(ctx, q, sets[i].table); err != nil {
			return nil, err
		}
	}
	return sets, nil
}

func (s set) up(ctx context.Context, db *sql.DB) error {
	if s.latest == 0 {
		return nil
	}
	sub, err := fs.Sub(files, s.dir)
	if err != nil {
		return fmt.Errorf("migrations of %s: %w", s.dir, err)
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, uint64(upLimit/time.Second)))
	if err != nil {
		return fmt.Errorf("migration lock: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, sub,
		goose.WithTableName(s.table), goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrations of %s: %w", s.dir, err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrations of %s: %w", s.dir, err)
	}
	return nil
}

// protectVersions leaves everybody but the owner the right to read what is said of
// versions: the default rights of a service would let it rewrite that.
func protectVersions(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `
		select distinct c.relname, r.rolname
		from pg_class c
		cross join lateral aclexplode(c.relacl) a
		join pg_roles r on r.oid = a.grantee
		where c.relnamespace = 'public'::regnamespace and c.relname = any($1)
		  and a.grantee <> c.relowner and a.privilege_type <> 'SELECT'`, []string{sharedTable, serviceTable, floorTable})
	if err != nil {
		return fmt.Errorf("rights on the version tables: %w", err)
	}
	type grant struct{ Table, Role string }
	grants, err := pgx.CollectRows(rows, pgx.RowToStructByPos[grant])
	if err != nil {
		return fmt.Errorf("rights on the version tables: %w", err)
	}
	for _, g := range grants {
		if _, err := conn.Exec(ctx, fmt.Sprintf("revoke insert, update, delete on %s from %s",
			pgx.Identifier{g.Table}.Sanitize(), pgx.Identifier{g.Role}.Sanitize())); err != nil {
			return fmt.Errorf("rights on the version tables: %w", err)
		}
	}
	return nil
}

// current asks for the table first: a statement that fails would stand in the
// server's log at every first start.
func current(ctx context.Context, q Querier, table string) (int64, error) {
	var exists bool
	if err := q.QueryRow(ctx, "select to_regclass($1) is not null", table).Scan(&exists); err != nil {
		return 0, fmt.Errorf("look for %s: %w", table, err)
	}
	if !exists {
		return 0, nil
	}
	var v int64
	if err := q.QueryRow(ctx, "select coalesce(max(version_id), 0) from "+table+" where is_applied").Scan(&v); err != nil {
		return 0, fmt.Errorf("read %s: %w", table, err)
	}
	return v, nil
}

func newest(dir string) (int64, error) {
	names, err := fs.Glob(files, path.Join(dir, "*.sql"))
	if err != nil {
		return 0, fmt.Errorf("migrations of %s: %w", dir, err)
	}
	if len(names) == 0 {
		return 0, nil // a service without a folder has no schema of its own
	}
	versions := make([]int64, 0, len(names))
	for _, name := range names {
		number, _, found := strings.Cut(path.Base(name), "_")
		v, err := strconv.ParseInt(number, 10, 64)
		if !found || err != nil || v < 1 {
			return 0, fmt.Errorf("%s: a migration is named <number>_<words>.sql", name)
		}
		versions = append(versions, v)
	}
	return slices.Max(versions), nil
}
