// Package postgres keeps the service's data in PostgreSQL. Each statement is a
// constant beside its mapping; all of them are prepared against the migrated
// database in a test.
package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/text/runes"
	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"

	"lms/apps/user/internal/identity"
	"lms/shared/apperr"
	"lms/shared/page"
	"lms/shared/pg"
	"lms/shared/work"
)

// Store is the service's store.
type Store struct{ db *pg.DB }

// NewStore is a store on a database.
func NewStore(db *pg.DB) *Store { return &Store{db: db} }

type tx struct{ *pg.Unit }

// NewTx gives the domain's transaction for one that somebody already has.
func NewTx(u *pg.Unit) identity.Tx { return tx{u} }

var (
	_ identity.Store = (*Store)(nil)
	_ identity.Tx    = tx{}
)

// InTx implements identity.Store.
func (s *Store) InTx(ctx context.Context, sc work.Scope, fn func(context.Context, identity.Tx) error) error {
	return s.db.InTx(ctx, sc, func(ctx context.Context, u *pg.Unit) error { return fn(ctx, tx{u}) })
}

// Read implements identity.Store.
func (s *Store) Read(ctx context.Context, sc work.Scope, fn func(context.Context, identity.Tx) error) error {
	return s.db.Read(ctx, sc, func(ctx context.Context, u *pg.Unit) error { return fn(ctx, tx{u}) })
}

const lockSQL = `select pg_advisory_xact_lock($1)`

// treeLock tells the lock of a tree from other locks of the database.
const treeLock = 0x6f72675f74726565

// LockTree implements identity.TreeRows.
func (t tx) LockTree(ctx context.Context, tenant uuid.UUID) error {
	_, err := pg.Exec(ctx, t, lockSQL, int64(binary.BigEndian.Uint64(tenant[8:])^treeLock))
	return err
}

// fold makes text comparable for people: lower case, without accents, words of
// letters and digits.
func fold(s string) string {
	t := transform.Chain(norm.NFKD, runes.Remove(runes.In(unicode.Mn)), norm.NFC)
	out, _, err := transform.String(t, s)
	if err != nil {
		out = s
	}
	out = strings.NewReplacer("ß", "ss", "ø", "o", "æ", "ae", "ł", "l").Replace(strings.ToLower(out))
	return strings.Join(strings.FieldsFunc(out, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }), " ")
}

// wordsQuery is a tsquery that asks for the beginnings of all words of q.
func wordsQuery(q string) string {
	words := strings.Fields(fold(q))
	for i, w := range words {
		words[i] = w + ":*"
	}
	return strings.Join(words, " & ")
}

// part is what a LIKE pattern for a part of a text is, with nothing of it
// taken for a wildcard.
func part(q string) string {
	if q == "" {
		return ""
	}
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(strings.ToLower(q)) + "%"
}

// cursor is where a page begins: behind a key and an id, in one order only.
type cursor struct {
	key *string
	id  uuid.UUID
}

func readCursor(sort string, q page.Request) (cursor, error) {
	var c cursor
	var of, key string
	seen, err := page.Decode(q.Cursor, &of, &key, &c.id)
	if err != nil || !seen {
		return c, err
	}
	if of != sort {
		return c, apperr.Malformed("bad_cursor", "The cursor is of a list in another order.")
	}
	c.key = &key
	return c, nil
}

// keyTime writes a time so that PostgreSQL reads the same one back.
func keyTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func nilID(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

// conflict turns the violation of a constraint into the error that tells it.
func conflict(err error, constraint, code, message string) error {
	if pg.Violates(err, constraint) {
		return apperr.Conflict(code, message).With(err)
	}
	return err
}

func pgCode(err error) string {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return pe.Code
	}
	return ""
}
