// Package postgres keeps people, org units, access and credentials in
// PostgreSQL. Each statement is a constant beside its mapping; all of them are
// prepared against the migrated database in a test.
package postgres

import (
	"context"
	"encoding/binary"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/user/internal/identity"
	"lms/shared/apperr"
	"lms/shared/clock"
	"lms/shared/page"
	"lms/shared/pg"
	"lms/shared/work"
)

// Store is the store of the user service.
type Store struct{ db *pg.DB }

// NewStore is a store on a database.
func NewStore(db *pg.DB) *Store { return &Store{db: db} }

type tx struct {
	*pg.Unit
	now func() time.Time
}

// NewTx gives the domain's transaction for one that a receiver already has.
func NewTx(u *pg.Unit) identity.Tx { return tx{u, clock.Now} }

var (
	_ identity.Store = (*Store)(nil)
	_ identity.Tx    = tx{}
)

// InTx implements identity.Store.
func (s *Store) InTx(ctx context.Context, sc work.Scope, fn func(context.Context, identity.Tx) error) error {
	return s.db.InTx(ctx, sc, func(ctx context.Context, u *pg.Unit) error { return fn(ctx, tx{u, s.db.Now}) })
}

// Read implements identity.Store.
func (s *Store) Read(ctx context.Context, sc work.Scope, fn func(context.Context, identity.Tx) error) error {
	return s.db.Read(ctx, sc, func(ctx context.Context, u *pg.Unit) error { return fn(ctx, tx{u, s.db.Now}) })
}

const lockSQL = `select pg_advisory_xact_lock($1)`

// lockAdmins is the advisory lock before which nobody looks whether an
// administrator is left. No tenant's lock is likely to be the same number, and
// two that are only wait for each other.
const lockAdmins = 0x6c6d735f61646d69

// lock waits for an advisory lock, which is held until the commit.
func (t tx) lock(ctx context.Context, n int64) error {
	_, err := pg.Exec(ctx, t, lockSQL, n)
	return err
}

// LockTree implements identity.Tx.
func (t tx) LockTree(ctx context.Context, tenant uuid.UUID) error {
	return t.lock(ctx, int64(binary.BigEndian.Uint64(tenant[8:]))) //nolint:gosec // G115: any 64 bits will do
}

// like is a pattern that finds the text anywhere; "" finds everything.
func like(q string) string {
	if q == "" {
		return ""
	}
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(strings.ToLower(q)) + "%"
}

// optional is nil for the nil id, which no row has.
func optional(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

// list is never null, so that "= any" is never unknown.
func list[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

func badCursor() error {
	return apperr.Malformed("bad_cursor", "The cursor is not one that this list gave.")
}

// position is where a page begins: behind a row of a value and an id, in an
// order that has a name. Text and time are the two kinds of values.
type position struct {
	first bool
	text  string
	at    *time.Time
	id    uuid.UUID
}

// positionOf reads a cursor of the order sort.
func positionOf(cursor, sort string, text bool) (p position, err error) {
	var named string
	var value any = &p.at
	if text {
		value = &p.text
	}
	more, err := page.Decode(cursor, &named, value, &p.id)
	if err == nil && more && named != sort {
		err = badCursor()
	}
	p.first = !more
	return p, err
}

// value is what the statement compares.
func (p position) value(text bool) any {
	if text {
		return p.text
	}
	return p.at
}

// byID reads a cursor that is an id alone.
func byID(cursor string) (first bool, id uuid.UUID, err error) {
	more, err := page.Decode(cursor, &id)
	return !more, id, err
}
