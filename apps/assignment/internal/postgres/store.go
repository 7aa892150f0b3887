// Package postgres keeps assignments, submissions and grades in PostgreSQL. Each
// statement is a constant beside its mapping; all of them are prepared against the
// migrated database in a test.
package postgres

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"

	"lms/apps/assignment/internal/coursework"
	"lms/shared/apperr"
	"lms/shared/pg"
	"lms/shared/work"
)

// Store is the store of assignments.
type Store struct{ db *pg.DB }

// NewStore is a store on a database.
func NewStore(db *pg.DB) *Store { return &Store{db: db} }

type tx struct{ *pg.Unit }

// NewTx gives the domain's transaction for one that a receiver already has.
func NewTx(u *pg.Unit) coursework.Tx { return tx{u} }

var (
	_ coursework.Store = (*Store)(nil)
	_ coursework.Tx    = tx{}
)

// InTx implements coursework.Store.
func (s *Store) InTx(ctx context.Context, sc work.Scope, fn func(context.Context, coursework.Tx) error) error {
	return s.db.InTx(ctx, sc, func(ctx context.Context, u *pg.Unit) error { return fn(ctx, tx{u}) })
}

// Read implements coursework.Store.
func (s *Store) Read(ctx context.Context, sc work.Scope, fn func(context.Context, coursework.Tx) error) error {
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

// none makes nil of NotFound.
func none[T any](v T, err error) (*T, error) {
	if apperr.IsKind(err, apperr.KindNotFound) {
		return nil, nil //nolint:nilnil // there is none
	}
	if err != nil {
		return nil, err
	}
	return &v, nil
}

var errBadCursor = errors.New("a cursor of another sort")

func badCursor() error {
	return apperr.Malformed("bad_cursor", "The cursor is not one that this list gave.").With(errBadCursor)
}

// list is never nil, since PostgreSQL tells null from empty.
func list[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}

// like is a pattern that finds the text anywhere; "" finds everything.
func like(q string) string {
	if q == "" {
		return ""
	}
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(strings.ToLower(q)) + "%"
}
