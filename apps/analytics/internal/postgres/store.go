// Package postgres keeps events and tallies in PostgreSQL. Each statement is a
// constant beside its mapping; all of them are prepared against the migrated
// database in a test.
package postgres

import (
	"context"

	"lms/apps/analytics/internal/analytics"
	"lms/shared/pg"
	"lms/shared/work"
)

// Store is the store of analytics.
type Store struct{ db *pg.DB }

// NewStore is a store on a database.
func NewStore(db *pg.DB) *Store { return &Store{db: db} }

type tx struct{ *pg.Unit }

// NewTx gives the domain's transaction for one that a receiver already has.
func NewTx(u *pg.Unit) analytics.Tx { return tx{u} }

var (
	_ analytics.Store = (*Store)(nil)
	_ analytics.Tx    = tx{}
)

// InTx implements analytics.Store.
func (s *Store) InTx(ctx context.Context, sc work.Scope, fn func(context.Context, analytics.Tx) error) error {
	return s.db.InTx(ctx, sc, func(ctx context.Context, u *pg.Unit) error { return fn(ctx, tx{u}) })
}

// Read implements analytics.Store.
func (s *Store) Read(ctx context.Context, sc work.Scope, fn func(context.Context, analytics.Tx) error) error {
	return s.db.Read(ctx, sc, func(ctx context.Context, u *pg.Unit) error { return fn(ctx, tx{u}) })
}
