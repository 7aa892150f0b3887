package pg

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"lms/shared/apperr"
	"lms/shared/work"
)

// Querier is what a pool, a connection and a transaction have in common.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// One reads exactly one row into a struct by column name; none is NotFound.
func One[T any](ctx context.Context, q Querier, what, sql string, args ...any) (T, error) {
	var zero T
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return zero, err
	}
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[T])
	if errors.Is(err, pgx.ErrNoRows) {
		return zero, apperr.NotFound(what)
	}
	return v, err
}

// Many reads all rows into structs by column name.
func Many[T any](ctx context.Context, q Querier, sql string, args ...any) ([]T, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[T])
}

// Scalar reads one value of one row; none is NotFound.
func Scalar[T any](ctx context.Context, q Querier, what, sql string, args ...any) (T, error) {
	var zero T
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return zero, err
	}
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if errors.Is(err, pgx.ErrNoRows) {
		return zero, apperr.NotFound(what)
	}
	return v, err
}

// Column reads one value of every row.
func Column[T any](ctx context.Context, q Querier, sql string, args ...any) ([]T, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[T])
}

// Exec runs a statement and says how many rows it wrote.
func Exec(ctx context.Context, q Querier, sql string, args ...any) (int64, error) {
	tag, err := q.Exec(ctx, sql, args...)
	return tag.RowsAffected(), err
}

// purgeBatch is how many rows one statement of Purge deletes.
const purgeBatch = 5000

// Purge runs a statement that deletes old rows, limited by its last parameter,
// until there are none left. Each round is a transaction of its own, so that no
// lock is held for long and a round that was done stays done.
func (db *DB) Purge(ctx context.Context, sql string, args ...any) error {
	args = append(args, purgeBatch)
	for {
		var n int64
		err := db.InTx(ctx, work.AllTenants(), func(ctx context.Context, u *Unit) (err error) {
			n, err = Exec(ctx, u, sql, args...)
			return err
		})
		if err != nil || n < purgeBatch {
			return err
		}
	}
}

// Text makes s a text that PostgreSQL can keep, of at most n bytes: valid UTF-8
// and without U+0000. It is for what comes from elsewhere, such as the words of
// an error; a text cut in the middle of a character is refused by the database.
func Text(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "")
}

// ExecVersioned is Exec for a statement guarded by a version: no row is a 412.
func ExecVersioned(ctx context.Context, q Querier, sql string, args ...any) error {
	n, err := Exec(ctx, q, sql, args...)
	if err == nil && n == 0 {
		return apperr.VersionMismatch()
	}
	return err
}

// Violates says whether err is the violation of a constraint or unique index.
func Violates(err error, constraint string) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && pe.ConstraintName == constraint
}
