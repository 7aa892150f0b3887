package pg

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5"

	"lms/shared/apperr"
	"lms/shared/work"
)

// errKeyBusy says that another transaction works on the same idempotency key.
var errKeyBusy = errors.New("idempotency key busy")

type onceState struct {
	id       [32]byte
	bodyHash [32]byte
	out      any
}

// Lock and look-up are two statements in one round trip. The second has a
// snapshot of its own, taken with the lock held: it sees what the holder before
// has committed. In one statement the snapshot would be older than the lock, and
// fn would run beside a finished request and fail on its rows.
const (
	onceLockSQL = `select pg_try_advisory_xact_lock($1)`
	onceSeenSQL = `select body_hash, result, error from idempotency_key where id = $1`
)

const onceKeepSQL = `
insert into idempotency_key (id, body_hash, result, created_at) values ($1, $2, $3, $4)`

const onceRefuseSQL = `
insert into idempotency_key (id, body_hash, error, created_at) values ($1, $2, $3, $4)
on conflict (id) do nothing`

// Once implements work.Unit.
func (u *Unit) Once(ctx context.Context, out any, fn func() error) error {
	key, ok := work.IdempotencyFrom(ctx)
	if !ok || u.once != nil {
		return fn()
	}
	s := &onceState{bodyHash: key.BodyHash, out: out}
	s.id = sha256.Sum256([]byte(key.Caller + "\x00" + key.Route + "\x00" + key.Key))

	locked, hash, result, refusal, err := u.lookUp(ctx, s.id)
	if err != nil {
		return fmt.Errorf("idempotency key: %w", err)
	}
	switch {
	case hash != nil && [32]byte(hash) != s.bodyHash:
		return apperr.New(apperr.KindInvalid, "idempotency_key_reused", "This Idempotency-Key was used with another request body.")
	case refusal != nil:
		return decodeRefusal(refusal)
	case hash != nil:
		// An earlier try of this transaction may have left something in *out.
		reflect.ValueOf(out).Elem().SetZero()
		if err := json.Unmarshal(result, out); err != nil {
			return fmt.Errorf("kept answer: %w", err)
		}
		return nil
	case !locked:
		return errKeyBusy
	}
	u.once = s
	return fn()
}

func (u *Unit) lookUp(ctx context.Context, id [32]byte) (locked bool, hash, result, refusal []byte, err error) {
	var b pgx.Batch
	b.Queue(onceLockSQL, int64(binary.BigEndian.Uint64(id[:8]))).QueryRow(func(row pgx.Row) error { return row.Scan(&locked) })
	b.Queue(onceSeenSQL, id[:]).QueryRow(func(row pgx.Row) error {
		if err := row.Scan(&hash, &result, &refusal); !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		return nil
	})
	err = u.SendBatch(ctx, &b).Close()
	return locked, hash, result, refusal, err
}

// queueOnce adds the answer to the batch of the commit. *out is read here,
// since fn may go on changing it after Once.
func (u *Unit) queueOnce() error {
	if u.once == nil {
		return nil
	}
	result, err := json.Marshal(u.once.out)
	if err != nil {
		return fmt.Errorf("kept answer %T: %w", u.once.out, err)
	}
	u.queue("", func(b *pgx.Batch) { b.Queue(onceKeepSQL, u.once.id[:], u.once.bodyHash[:], result, u.db.Now()) })
	return nil
}

type keptRefusal struct {
	Status  int            `json:"status"`
	Code    string         `json:"code"`
	Message string         `json:"message"`
	Fields  []apperr.Field `json:"fields,omitempty"`
	Details map[string]any `json:"details,omitempty"`
}

func decodeRefusal(raw []byte) error {
	var k keptRefusal
	if err := json.Unmarshal(raw, &k); err != nil {
		return fmt.Errorf("kept refusal: %w", err)
	}
	return &apperr.Error{Kind: apperr.KindOf(k.Status), Code: k.Code, Message: k.Message, Fields: k.Fields, Details: k.Details}
}

// keepRefusal keeps a deterministic 4xx after the rollback, so that the same
// key gives the same refusal. Losing it to a crash is harmless: nothing was
// done.
func (u *Unit) keepRefusal(ctx context.Context, err error) {
	if u.once == nil || !apperr.Deterministic(err) {
		return
	}
	e := apperr.From(err)
	raw, merr := json.Marshal(keptRefusal{Status: e.Kind.Status(), Code: e.Code, Message: e.Message, Fields: e.Fields, Details: e.Details})
	if merr != nil {
		return
	}
	_, _ = u.db.Pool.Exec(ctx, onceRefuseSQL, u.once.id[:], u.once.bodyHash[:], raw, u.db.Now())
}

const purgeIdempotencySQL = `delete from idempotency_key where id in (select id from idempotency_key where created_at < $1 limit $2)`

// KeepKeys is how long the answer to an idempotency key is kept; the promise
// to clients is 24 hours.
const KeepKeys = 48 * time.Hour

// PurgeIdempotency deletes answers that are older than KeepKeys.
func (db *DB) PurgeIdempotency(ctx context.Context) error {
	return db.Purge(ctx, purgeIdempotencySQL, db.Now().Add(-KeepKeys))
}

var _ pgx.Tx = (*Unit)(nil)
