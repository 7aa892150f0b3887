// Package pg runs transactions on PostgreSQL: scoped to a tenant by row-level
// security, repeated when the database asks for it, and with everything that a
// service says besides its own rows (package work) written in the same commit.
package pg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"lms/shared/apperr"
	"lms/shared/clock"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// Options of a database. The zero value is usable.
type Options struct {
	Service  string // "course": the source of its events and calls
	MaxConns int32  // default 16
	Now      func() time.Time
	NewID    func() uuid.UUID
}

// Committed tells the outbox of the same process what a commit brought, so
// that it need not wait for its next look at the table.
type Committed interface {
	Emitted()
	Called(calls []PendingCall)
}

// PendingCall is a reliable call or a mail that was just committed.
type PendingCall struct {
	ID          uuid.UUID
	Destination string
	Name        string
	Key         string
	Seq         int64
	TenantID    uuid.UUID
	Body        []byte
	Traceparent string
	CreatedAt   time.Time
	LeaseUntil  time.Time // until when nobody else tries it
}

// DB is a pool of connections with the service's clock.
type DB struct {
	Pool    *pgxpool.Pool
	Service string
	Topic   string
	Now     func() time.Time
	NewID   func() uuid.UUID

	committed Committed
	topics    map[string]string
}

// Open makes a pool. It does not wait for the database: the first use does.
func Open(ctx context.Context, dsn string, o Options) (*DB, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("database address: %w", err)
	}
	cfg.MaxConns = 16
	if o.MaxConns > 0 {
		cfg.MaxConns = o.MaxConns
	}
	// Each connection is a process of the server with some megabytes. The pool
	// looks once a minute for idle ones, and after each look it hands all of them
	// out once before it prefers the last used: what is to be found idle must have
	// been so for less than the time between two looks.
	cfg.HealthCheckPeriod = time.Minute
	cfg.MaxConnIdleTime = 30 * time.Second
	cfg.MaxConnLifetime = time.Hour
	cfg.MaxConnLifetimeJitter = 10 * time.Minute
	cfg.ConnConfig.ConnectTimeout = 3 * time.Second
	// A statement that hangs must not hold a row for ever.
	for name, value := range map[string]string{
		"application_name": "lms-" + o.Service, "statement_timeout": "30s",
		"idle_in_transaction_session_timeout": "60s", "timezone": "UTC",
		// A machine that vanishes must not hold its locks for the two hours that
		// systems wait by default: half a minute after it the shards of its relay
		// are free.
		"tcp_keepalives_idle": "15", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3",
	} {
		if _, set := cfg.ConnConfig.RuntimeParams[name]; !set {
			cfg.ConnConfig.RuntimeParams[name] = value
		}
	}
	cfg.AfterConnect = Types
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("database pool: %w", err)
	}
	return From(pool, o), nil
}

// Types makes a connection give times in UTC (pgx would give them in the zone of
// the process, and so would every answer) and take ids as they are.
func Types(_ context.Context, conn *pgx.Conn) error {
	useUUID(conn.TypeMap())
	conn.TypeMap().RegisterType(&pgtype.Type{
		Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
	})
	return nil
}

// From is a DB on a pool that the caller owns: for tests.
func From(pool *pgxpool.Pool, o Options) *DB {
	db := &DB{Pool: pool, Service: o.Service, Topic: o.Service + ".events", Now: o.Now, NewID: o.NewID, topics: map[string]string{}}
	if db.Now == nil {
		db.Now = clock.Now
	}
	if db.NewID == nil {
		db.NewID = clock.NewID
	}
	for _, d := range events.All() {
		db.topics[d.Type()] = d.Topic
	}
	return db
}

// Notify names who is told of commits. It is called once, before the first
// transaction.
func (db *DB) Notify(c Committed) { db.committed = c }

// Close ends all connections after their present use.
func (db *DB) Close() { db.Pool.Close() }

const (
	maxTries        = 5
	rollbackTimeout = 3 * time.Second
	// onceWait is how long a repeated request waits for the first one's answer.
	onceWait = 5 * time.Second
)

// InTx runs fn in a transaction that sees the rows of scope, and commits
// unless fn fails. It runs fn again after a serialization failure or a
// deadlock, so fn must not have effects of its own outside the transaction;
// AfterCommit is for those.
func (db *DB) InTx(ctx context.Context, scope work.Scope, fn func(context.Context, *Unit) error) error {
	return db.run(ctx, scope, pgx.TxOptions{}, fn)
}

// Read runs fn in a read-only transaction that sees the rows of scope.
func (db *DB) Read(ctx context.Context, scope work.Scope, fn func(context.Context, *Unit) error) error {
	return db.run(ctx, scope, pgx.TxOptions{AccessMode: pgx.ReadOnly}, fn)
}

func (db *DB) run(ctx context.Context, scope work.Scope, o pgx.TxOptions, fn func(context.Context, *Unit) error) error {
	o.BeginQuery = beginQuery(scope, o)
	// Outside the injected clock on purpose: this bounds real waiting.
	busyUntil := time.Now().Add(onceWait)
	for try := 1; ; try++ {
		err := db.attempt(ctx, scope, o, fn)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errKeyBusy):
			if time.Now().After(busyUntil) {
				return apperr.Conflict("idempotency_in_progress", "A request with this Idempotency-Key is still being worked on.").After(time.Second)
			}
			try--
		case !retryable(err) || try == maxTries:
			return translate(err)
		}
		pause := time.Duration(5+rand.IntN(20)) * time.Millisecond * time.Duration(max(try, 1))
		select {
		case <-ctx.Done():
			return translate(errors.Join(ctx.Err(), err))
		case <-time.After(pause):
		}
	}
}

// beginQuery opens the transaction and sets its tenant in one round trip. The
// id is a parsed UUID, so that it can stand in the text.
func beginQuery(scope work.Scope, o pgx.TxOptions) string {
	tenant := "*"
	if id, ok := scope.TenantID(); ok {
		tenant = id.String()
	}
	mode := ""
	if o.AccessMode != "" {
		mode = " " + string(o.AccessMode)
	}
	return "begin" + mode + "; select set_config('lms.tenant', '" + tenant + "', true)"
}

func (db *DB) attempt(ctx context.Context, scope work.Scope, o pgx.TxOptions, fn func(context.Context, *Unit) error) (err error) {
	tx, err := db.Pool.BeginTx(ctx, o)
	if err != nil {
		return err
	}
	u := &Unit{Tx: tx, db: db, scope: scope}
	ended := false
	defer func() {
		if ended && err == nil {
			return
		}
		// Also after a panic of fn, which goes on from here: without a rollback
		// its connection, and the locks it holds, would never come back.
		// The caller may have gone; the connection must still come back clean.
		rctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		if rerr := tx.Rollback(rctx); rerr != nil && !errors.Is(rerr, pgx.ErrTxClosed) {
			err = errors.Join(err, rerr)
		}
		u.keepRefusal(rctx, err)
	}()
	err = fn(ctx, u)
	ended = true
	if err != nil {
		return err
	}
	if o.AccessMode != pgx.ReadOnly {
		if err := u.flush(ctx); err != nil {
			return err
		}
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	u.committed()
	return nil
}

// retryable: serialization failure, deadlock, the race of two first requests
// with one idempotency key, or a connection that was gone before it was used.
func retryable(err error) bool {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return pe.Code == "40001" || pe.Code == "40P01" || pe.Code == "23505" && pe.ConstraintName == "idempotency_key_pkey"
	}
	return pgconn.SafeToRetry(err)
}

// translate keeps application errors and makes a database that is away a 503.
func translate(err error) error {
	var ae *apperr.Error
	if errors.As(err, &ae) {
		return ae
	}
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		switch {
		case slices.Contains(awayCodes, pe.Code), slices.Contains(awayCodes, pe.Code[:2]):
			return away(err)
		case pe.Code == "22021" || pe.Code == "22P05":
			return apperr.Malformed("invalid_character", "A text has characters that cannot be kept.").With(err)
		}
		return err
	}
	var ce *pgconn.ConnectError
	var ne *net.OpError
	if errors.As(err, &ce) || errors.As(err, &ne) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		pgconn.Timeout(err) || pgconn.SafeToRetry(err) {
		return away(err)
	}
	return err
}

// CodeAway is the code of the 503 when the database is away.
const CodeAway = "database_unavailable"

func away(cause error) error {
	return apperr.Unavailable(CodeAway, "The database is away. Try again.").With(cause)
}

// awayCodes are classes and codes that say nothing about the statement:
// connection, resources, operator intervention, system error; transactions that
// got in each other's way; a time limit; a server that is a standby by now.
var awayCodes = []string{"08", "53", "57", "58", "40", "55P03", "25P03", "25P04", "25006"} //nolint:gochecknoglobals // constant
