// Package postgres keeps the catalog in PostgreSQL. Each statement is a constant
// beside its mapping; all of them are prepared against the migrated database in a
// test.
package postgres

import (
	"context"
	"encoding/binary"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lms/apps/course/internal/catalog"
	"lms/shared/apperr"
	"lms/shared/pg"
	"lms/shared/work"
)

// Store is the catalog's store.
type Store struct{ db *pg.DB }

// NewStore is a store on a database.
func NewStore(db *pg.DB) *Store { return &Store{db: db} }

type tx struct{ *pg.Unit }

// NewTx gives the domain's transaction for one that a receiver already has.
func NewTx(u *pg.Unit) catalog.Tx { return tx{u} }

var (
	_ catalog.Store = (*Store)(nil)
	_ catalog.Tx    = tx{}
)

// InTx implements catalog.Store.
func (s *Store) InTx(ctx context.Context, sc work.Scope, fn func(context.Context, catalog.Tx) error) error {
	return s.db.InTx(ctx, sc, func(ctx context.Context, u *pg.Unit) error { return fn(ctx, tx{u}) })
}

// Read implements catalog.Store.
func (s *Store) Read(ctx context.Context, sc work.Scope, fn func(context.Context, catalog.Tx) error) error {
	return s.db.Read(ctx, sc, func(ctx context.Context, u *pg.Unit) error { return fn(ctx, tx{u}) })
}

const seeAllSQL = `select set_config('lms.tenant', '*', true)`

// oneTrip reads one row in one round trip: a batch is a transaction of its own, in
// which the first statement sets what row-level security looks at. When the
// database stumbles the ordinary way is tried, which knows how to wait and what to
// say.
func oneTrip[T any](ctx context.Context, db *pg.DB, what, sql string, args ...any) (T, error) {
	v, err := pipelined[T](ctx, db, sql, args...)
	if err == nil {
		return v, nil
	}
	if err == pgx.ErrNoRows { //nolint:errorlint // CollectExactlyOneRow returns it bare
		return v, apperr.NotFound(what)
	}
	err = db.Read(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) (err error) {
		v, err = pg.One[T](ctx, u, what, sql, args...)
		return err
	})
	return v, err
}

func pipelined[T any](ctx context.Context, db *pg.DB, sql string, args ...any) (v T, err error) {
	b := &pgx.Batch{}
	b.Queue(seeAllSQL)
	b.Queue(sql, args...)
	results := db.Pool.SendBatch(ctx, b)
	defer func() {
		if cerr := results.Close(); err == nil {
			err = cerr
		}
	}()
	if _, err := results.Exec(); err != nil {
		return v, err
	}
	rows, err := results.Query()
	if err != nil {
		return v, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[T])
}

const lockSQL = `select pg_advisory_xact_lock($1)`

// locks of a tenant, so that rules over several rows see no half of a change.
const (
	lockPrerequisites = 1
	lockCategories    = 2
)

func (t tx) lockTenant(ctx context.Context, tenant uuid.UUID, what uint64) error {
	_, err := pg.Exec(ctx, t, lockSQL, int64(binary.BigEndian.Uint64(tenant[8:])^what))
	return err
}

// LockPrerequisites implements catalog.Tx.
func (t tx) LockPrerequisites(ctx context.Context, tenant uuid.UUID) error {
	return t.lockTenant(ctx, tenant, lockPrerequisites)
}

// LockCategories implements catalog.Tx.
func (t tx) LockCategories(ctx context.Context, tenant uuid.UUID) error {
	return t.lockTenant(ctx, tenant, lockCategories)
}
