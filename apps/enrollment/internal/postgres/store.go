// Package postgres keeps enrollments in PostgreSQL. Each statement is a constant
// beside its mapping; all of them are prepared against the migrated database in a
// test. What one use case needs goes in as few round trips as can be.
package postgres

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lms/apps/enrollment/internal/enrollment"
	"lms/shared/pg"
	"lms/shared/work"
)

// Store is the store of enrollments.
type Store struct{ db *pg.DB }

// NewStore is a store on a database.
func NewStore(db *pg.DB) *Store { return &Store{db: db} }

type tx struct{ *pg.Unit }

// NewTx gives the domain's transaction for one that a receiver already has.
func NewTx(u *pg.Unit) enrollment.Tx { return tx{u} }

var (
	_ enrollment.Store = (*Store)(nil)
	_ enrollment.Tx    = tx{}
)

// InTx implements enrollment.Store.
func (s *Store) InTx(ctx context.Context, sc work.Scope, fn func(context.Context, enrollment.Tx) error) error {
	return s.db.InTx(ctx, sc, func(ctx context.Context, u *pg.Unit) error { return fn(ctx, tx{u}) })
}

// Read implements enrollment.Store.
func (s *Store) Read(ctx context.Context, sc work.Scope, fn func(context.Context, enrollment.Tx) error) error {
	return s.db.Read(ctx, sc, func(ctx context.Context, u *pg.Unit) error { return fn(ctx, tx{u}) })
}

// trip collects statements for one round trip, and what to do with each answer.
type trip struct {
	batch pgx.Batch
	read  []func(pgx.BatchResults) error
}

// exec adds a statement without an answer.
func (t *trip) exec(sql string, args ...any) {
	t.batch.Queue(sql, args...)
	t.read = append(t.read, func(r pgx.BatchResults) error {
		_, err := r.Exec()
		return err
	})
}

// one adds a statement of at most one row; found says whether there was one.
func (t *trip) one(found *bool, dest []any, sql string, args ...any) {
	t.batch.Queue(sql, args...)
	t.read = append(t.read, func(r pgx.BatchResults) error {
		err := r.QueryRow().Scan(dest...)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		*found = err == nil
		return err
	})
}

// queued adds a statement of many rows, read into structs by column name.
func queued[T any](t *trip, into *[]T, sql string, args ...any) {
	t.batch.Queue(sql, args...)
	t.read = append(t.read, func(r pgx.BatchResults) error {
		rows, err := r.Query()
		if err != nil {
			return err
		}
		*into, err = pgx.CollectRows(rows, pgx.RowToStructByName[T])
		return err
	})
}

// scanned is queued with destinations made for each row, for hot paths.
func scanned[T any](t *trip, into *[]T, dest func(*T) []any, sql string, args ...any) {
	t.batch.Queue(sql, args...)
	t.read = append(t.read, func(r pgx.BatchResults) (err error) {
		rows, err := r.Query()
		*into, err = each(rows, err, dest)
		return err
	})
}

// sender is a transaction or a pool.
type sender interface {
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// send makes the trip.
func (t *trip) send(ctx context.Context, q sender) (err error) {
	if len(t.read) == 0 {
		return nil
	}
	results := q.SendBatch(ctx, &t.batch)
	defer func() {
		if cerr := results.Close(); err == nil {
			err = cerr
		}
	}()
	for _, read := range t.read {
		if err := read(results); err != nil {
			return err
		}
	}
	return nil
}

// each scans all rows with a list of destinations made for each.
func each[T any](rows pgx.Rows, err error, dest func(*T) []any) ([]T, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (T, error) {
		var v T
		err := row.Scan(dest(&v)...)
		return v, err
	})
}

const scopeSQL = `select set_config('lms.tenant', $1, true)`

// oneTrip reads in one round trip: a batch by itself is a transaction, in which the
// first statement sets what row-level security looks at. When the database
// stumbles the ordinary way is tried, which knows how to wait and what to say.
func (s *Store) oneTrip(ctx context.Context, sc work.Scope, plan func(*trip) func() error) error {
	tenant := "*"
	if id, ok := sc.TenantID(); ok {
		tenant = id.String()
	}
	var quick trip
	quick.exec(scopeSQL, tenant)
	done := plan(&quick)
	err := quick.send(ctx, s.db.Pool)
	if err == nil {
		return done()
	}
	if ctx.Err() != nil {
		return err
	}
	return s.db.Read(ctx, sc, func(ctx context.Context, u *pg.Unit) error {
		var again trip
		done := plan(&again)
		if err := again.send(ctx, u); err != nil {
			return err
		}
		return done()
	})
}

func ids(list []uuid.UUID) []uuid.UUID {
	if list == nil {
		return []uuid.UUID{}
	}
	return list
}
