// Package postgres keeps what payment knows in PostgreSQL. Each statement is a
// constant beside its mapping; all of them are prepared against the migrated database
// in a test. Sums that a race could break are kept by the database itself: see
// migrations/payment.
package postgres

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"lms/apps/payment/internal/billing"
	"lms/shared/apperr"
	"lms/shared/page"
	"lms/shared/pg"
	"lms/shared/work"
)

// Store is the store of payment.
type Store struct{ db *pg.DB }

// NewStore is a store on a database.
func NewStore(db *pg.DB) *Store { return &Store{db: db} }

type tx struct{ *pg.Unit }

// NewTx gives the domain's transaction for one that a receiver already has.
func NewTx(u *pg.Unit) billing.Tx { return tx{u} }

var (
	_ billing.Store = (*Store)(nil)
	_ billing.Tx    = tx{}
)

// InTx implements billing.Store.
func (s *Store) InTx(ctx context.Context, sc work.Scope, fn func(context.Context, billing.Tx) error) error {
	return s.db.InTx(ctx, sc, func(ctx context.Context, u *pg.Unit) error { return fn(ctx, tx{u}) })
}

// Read implements billing.Store.
func (s *Store) Read(ctx context.Context, sc work.Scope, fn func(context.Context, billing.Tx) error) error {
	return s.db.Read(ctx, sc, func(ctx context.Context, u *pg.Unit) error { return fn(ctx, tx{u}) })
}

// none turns the absence of a row into nil.
func none[T any](v T, err error) (*T, error) {
	if apperr.IsKind(err, apperr.KindNotFound) {
		return nil, nil //nolint:nilnil // absence is an answer here
	}
	if err != nil {
		return nil, err
	}
	return &v, nil
}

// afterID reads a cursor of one id; nil is the first page.
func afterID(p page.Request) (*uuid.UUID, error) {
	var id uuid.UUID
	seen, err := page.Decode(p.Cursor, &id)
	if !seen || err != nil {
		return nil, err
	}
	return &id, nil
}

// listed reads one page of rows in the order of their ids, which is that of time: the
// newest first, as the statement has it, or the oldest. The statement's last two
// parameters are the id to begin behind and the number of rows.
func listed[T any](ctx context.Context, t tx, p page.Request, id func(T) uuid.UUID, sql string, args ...any) (out page.Page[T], err error) {
	after, err := afterID(p)
	if err != nil {
		return out, err
	}
	if p.OldestFirst {
		sql = oldestFirst.Replace(sql)
	}
	rows, err := pg.Many[T](ctx, t, sql, append(args, after, p.Size()+1)...)
	return page.Cut(rows, p.Size(), func(v T) string { return page.Encode(id(v)) }), err
}

// oldestFirst turns the statement of a list around: its two places that name the order.
var oldestFirst = strings.NewReplacer("id < $", "id > $", "id desc", "id") //nolint:gochecknoglobals // immutable

// reached are the parameters of the condition `seen`.
func reached(r billing.Reach) (user *uuid.UUID, all bool, units []uuid.UUID) {
	if units = r.OrgUnits; units == nil {
		units = []uuid.UUID{}
	}
	return r.UserID, r.All, units
}

// seen is the condition of rows that the caller may see: $1 to $3.
const seen = `($1::uuid is null or user_id = $1) and ($2 or org_unit_id = any ($3))`

// optional is null for "".
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func list[T any](v []T) []T {
	if v == nil {
		return []T{}
	}
	return v
}

func exec(ctx context.Context, t tx, sql string, args ...any) error {
	_, err := pg.Exec(ctx, t, sql, args...)
	return err
}

// taken is a 409 for the violation of a unique index.
func taken(err error, constraint, code, message string) error {
	if pg.Violates(err, constraint) {
		return apperr.Conflict(code, message).With(err)
	}
	return err
}
