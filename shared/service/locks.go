package service

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	loopLockClass = 0x4c4d54 // first key of the advisory locks of Every
	tryLoopSQL    = `select pg_try_advisory_lock($1, hashtext($2))`
	endLoopSQL    = `select pg_advisory_unlock($1, hashtext($2))`
	// loopLockTimeout bounds one statement about a lock.
	loopLockTimeout = 5 * time.Second
)

// locks are the advisory locks of Every's rounds. All are held by one
// connection of their own: were each held by one of the pool, as many rounds as
// the pool has connections would leave none for their work. They end with the
// connection, and with it at the latest when the process does.
type locks struct {
	config *pgx.ConnConfig

	mu   sync.Mutex
	conn *pgx.Conn
}

// try takes the lock of a name unless another replica has it.
func (l *locks) try(ctx context.Context, name string) (mine bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, loopLockTimeout)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil {
		if l.conn, err = pgx.ConnectConfig(ctx, l.config); err != nil {
			return false, fmt.Errorf("connection for locks: %w", err)
		}
	}
	if err := l.conn.QueryRow(ctx, tryLoopSQL, loopLockClass, name).Scan(&mine); err != nil {
		l.dropLocked(ctx)
		return false, fmt.Errorf("lock: %w", err)
	}
	return mine, nil
}

func (l *locks) release(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loopLockTimeout)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil {
		return
	}
	if _, err := l.conn.Exec(ctx, endLoopSQL, loopLockClass, name); err != nil {
		// A connection that may still hold the lock must not be used again.
		l.dropLocked(ctx)
	}
}

// dropLocked ends the connection and all locks: another replica may begin a
// round while one of ours still runs, as when this process is cut off.
func (l *locks) dropLocked(ctx context.Context) {
	_ = l.conn.Close(ctx) // the server ends the session in any case
	l.conn = nil
}

func (l *locks) close(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		l.dropLocked(ctx)
	}
}

// alone runs a round only in the replica that gets the lock.
func (k *Kit) alone(name string, fn func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		mine, err := k.locks.try(ctx, name)
		if err != nil || !mine {
			return err
		}
		defer k.locks.release(ctx, name)
		return fn(ctx)
	}
}
