// Package postgres keeps the library in PostgreSQL. Each statement is a constant
// beside its mapping; all of them are prepared against the migrated database in a
// test.
package postgres

import (
	"context"
	"strings"

	"lms/apps/content/internal/library"
	"lms/shared/pg"
	"lms/shared/work"
)

// Library is the library's store.
type Library struct{ db *pg.DB }

// NewLibrary is a store on a database.
func NewLibrary(db *pg.DB) *Library { return &Library{db: db} }

type libraryTx struct{ *pg.Unit }

// NewLibraryTx gives the library's transaction for one that a receiver already has.
func NewLibraryTx(u *pg.Unit) library.Tx { return libraryTx{u} }

var (
	_ library.Store = (*Library)(nil)
	_ library.Tx    = libraryTx{}
)

// InTx implements library.Store.
func (s *Library) InTx(ctx context.Context, sc work.Scope, fn func(context.Context, library.Tx) error) error {
	return s.db.InTx(ctx, sc, func(ctx context.Context, u *pg.Unit) error { return fn(ctx, libraryTx{u}) })
}

// Read implements library.Store.
func (s *Library) Read(ctx context.Context, sc work.Scope, fn func(context.Context, library.Tx) error) error {
	return s.db.Read(ctx, sc, func(ctx context.Context, u *pg.Unit) error { return fn(ctx, libraryTx{u}) })
}

// like is the pattern of a text anywhere, "" for none.
func like(text string) string {
	text = strings.ToLower(strings.TrimSpace(text))
	if text == "" {
		return ""
	}
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text) + "%"
}
