// Package record keeps one value per key in a state store and changes it by
// compare-and-set. NewBook is for a store that may forget anything at any moment,
// Durable for one that forgets nothing. Either may ignore the time to live, so
// that each value says itself when it ends. No write touches more than one key:
// stores differ in what a transaction means.
//
// Nothing is ever deleted; what ends is overwritten by a mark that lives as long
// as a request can. Redis lets a write or a delete pass whose ETag is of a key
// that is gone: a slow refresh would bring back what a logout has just deleted,
// and two callers could both take what only one may have.
package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"lms/shared/apperr"
)

// ErrConflict says that the stored value is no longer the one that was read.
var ErrConflict = errors.New("record was changed in the meantime")

// Entry is a stored value. Without a value the key does not exist.
type Entry struct {
	Value []byte
	ETag  string
}

// Write is the condition and the life of a write. An empty ETag means: only if
// the key does not exist. TTL 0 keeps the value for good.
type Write struct {
	ETag string
	TTL  time.Duration
}

// Store is the state block. Put fails with ErrConflict when the condition does
// not hold.
type Store interface {
	Get(ctx context.Context, key string) (Entry, error)
	Put(ctx context.Context, key string, value []byte, w Write) error
}

// mark takes the place of what has ended.
type mark struct {
	Gone bool `json:"gone"`
}

const (
	gone    = `{"gone":true}`
	markTTL = 10 * time.Minute // longer than any request that read the value before
)

// maxTries bounds compare-and-set: with so many writers on one key, the caller
// is told to come again.
const maxTries = 24

// Book reads and changes the values of one type. T says when it ends with the
// JSON field that Ends reads.
type Book[T any] struct {
	store   Store
	now     func() time.Time
	ends    func(*T) time.Time // zero: never
	locks   *locks
	durable bool
}

// NewBook makes a book. ends says when a value ends; a zero time means never.
func NewBook[T any](store Store, now func() time.Time, ends func(*T) time.Time) *Book[T] {
	return &Book[T]{store: store, now: now, ends: ends, locks: newLocks()}
}

// Durable makes a book of values that must not be lost: one that cannot be read is
// an error, never overwritten. ends may be nil: no value ends.
func Durable[T any](store Store, now func() time.Time, ends func(*T) time.Time) *Book[T] {
	if ends == nil {
		ends = func(*T) time.Time { return time.Time{} }
	}
	return &Book[T]{store: store, now: now, ends: ends, locks: newLocks(), durable: true}
}

// Get reads a value; nil when there is none, or it has ended.
func (b *Book[T]) Get(ctx context.Context, key string) (*T, error) {
	v, _, err := b.read(ctx, key)
	return v, err
}

func (b *Book[T]) read(ctx context.Context, key string) (value *T, etag string, err error) {
	e, err := b.store.Get(ctx, key)
	if err != nil {
		return nil, "", err
	}
	if len(e.Value) == 0 {
		return nil, e.ETag, nil
	}
	v := new(T)
	if isGone(e.Value) {
		return nil, e.ETag, nil
	}
	if err := json.Unmarshal(e.Value, v); err != nil {
		if b.durable {
			return nil, "", apperr.Internal(fmt.Errorf("record %s: %w", key, err))
		}
		// A value that nobody can read is as good as lost; the next write
		// replaces it.
		return nil, e.ETag, nil
	}
	if end := b.ends(v); !end.IsZero() && !b.now().Before(end) {
		return nil, e.ETag, nil
	}
	return v, e.ETag, nil
}

// isGone looks at the beginning only: a mark is never longer, and a document may
// be large.
func isGone(raw []byte) bool {
	var m mark
	return len(raw) <= 64 && json.Unmarshal(raw, &m) == nil && m.Gone
}

// Update changes the value of a key: fn gets the current one (nil for none) and
// returns the next (nil ends it; with ErrKeep nothing is written). fn may be
// called again with a newer value and must not keep what an earlier call did. Any other error of fn ends the update and is
// returned. After 24 lost races: 503 `state_busy`.
func (b *Book[T]) Update(ctx context.Context, key string, fn func(current *T) (*T, error)) (*T, error) {
	unlock, err := b.locks.lock(ctx, key)
	if err != nil {
		return nil, err
	}
	defer unlock()
	for try := range maxTries {
		if err := pause(ctx, try); err != nil {
			return nil, err
		}
		current, etag, err := b.read(ctx, key)
		if err != nil {
			return nil, err
		}
		next, err := fn(current)
		if errors.Is(err, ErrKeep) {
			return next, nil
		}
		if err != nil {
			return nil, err
		}
		err = b.write(ctx, key, etag, next)
		if err == nil {
			return next, nil
		}
		if !errors.Is(err, ErrConflict) {
			return nil, err
		}
	}
	return nil, apperr.Unavailable("state_busy", "Too many requests change the same thing. Try again.").After(time.Second)
}

// ErrKeep ends an Update without a write.
var ErrKeep = errors.New("keep the record as it is")

// Create writes a value under a key that must not exist yet.
func (b *Book[T]) Create(ctx context.Context, key string, v *T) error {
	return b.write(ctx, key, "", v)
}

// Take removes a value and returns it, to exactly one of several callers; nil
// for the others.
func (b *Book[T]) Take(ctx context.Context, key string) (*T, error) {
	var taken *T
	_, err := b.Update(ctx, key, func(current *T) (*T, error) {
		if taken = current; current == nil {
			return nil, ErrKeep
		}
		return nil, nil //nolint:nilnil // nil ends the record
	})
	if err != nil {
		return nil, err
	}
	return taken, nil
}

func (b *Book[T]) write(ctx context.Context, key, etag string, v *T) error {
	if v == nil {
		if etag == "" {
			return nil
		}
		return b.store.Put(ctx, key, []byte(gone), Write{ETag: etag, TTL: markTTL})
	}
	var ttl time.Duration
	if end := b.ends(v); !end.IsZero() {
		if ttl = end.Sub(b.now()); ttl <= 0 {
			return b.write(ctx, key, etag, nil)
		}
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return apperr.Internal(fmt.Errorf("encode record: %w", err))
	}
	return b.store.Put(ctx, key, raw, Write{ETag: etag, TTL: ttl})
}

// pause waits a random moment before the second and later tries, longer each
// time, at most 60 ms.
func pause(ctx context.Context, try int) error {
	if try == 0 {
		return nil
	}
	limit := min(int64(60*time.Millisecond), int64(time.Millisecond)<<min(try, 6))
	t := time.NewTimer(time.Duration(rand.Int64N(limit))) // jitter, no secret
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// locks let the writers of one key within this process go one after the other:
// they would only make each other's compare-and-set fail.
type locks struct {
	mu   sync.Mutex
	held map[string]*lock
}

type lock struct {
	free    chan struct{}
	waiting int
}

func newLocks() *locks { return &locks{held: map[string]*lock{}} }

func (l *locks) lock(ctx context.Context, key string) (unlock func(), err error) {
	l.mu.Lock()
	k := l.held[key]
	if k == nil {
		k = &lock{free: make(chan struct{}, 1)}
		l.held[key] = k
	}
	k.waiting++
	l.mu.Unlock()

	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if k.waiting--; k.waiting == 0 {
			delete(l.held, key)
		}
	}
	select {
	case k.free <- struct{}{}:
		return func() { <-k.free; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
