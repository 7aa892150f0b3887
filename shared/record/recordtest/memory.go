// Package recordtest is a record.Store in memory with the exact meaning of ETag,
// first write and TTL, and the suite that it shares with the real state blocks.
package recordtest

import (
	"context"
	"math"
	"strconv"
	"sync"
	"time"

	"lms/shared/apperr"
	"lms/shared/record"
)

// Memory is a store in memory. Fail makes every call fail as unavailable.
type Memory struct {
	Now func() time.Time

	mu     sync.Mutex
	rows   map[string]row
	serial int
	fail   bool
	hook   func(op, key string)
	puts   int
	real   *real // where New found one
}

type row struct {
	value []byte
	etag  string
	until time.Time
}

// NewMemory makes an empty store on a clock.
func NewMemory(now func() time.Time) *Memory { return &Memory{Now: now, rows: map[string]row{}} }

// Flush forgets everything, as the real store may at any moment.
func (m *Memory) Flush() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.rows)
	if m.real != nil {
		m.real.flush++
		clear(m.real.used)
	}
}

// Forget drops one key.
func (m *Memory) Forget(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.rows, key)
	if m.real != nil {
		m.real.lost[key]++
		delete(m.real.used, key)
	}
}

// Keys are the keys that live now.
func (m *Memory) Keys() []string {
	if store, _ := m.below(""); store != nil {
		return m.realKeys()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for k := range m.rows {
		if _, ok := m.live(k); ok {
			out = append(out, k)
		}
	}
	return out
}

// Puts counts successful writes.
func (m *Memory) Puts() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.puts
}

// SetFail makes the store unreachable, or reachable again.
func (m *Memory) SetFail(fail bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = fail
}

// Before calls fn ahead of every operation ("get", "put"), outside of
// the lock: to let a test act between a read and a write.
func (m *Memory) Before(fn func(op, key string)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = fn
}

func (m *Memory) enter(op, key string) error {
	m.mu.Lock()
	hook, fail := m.hook, m.fail
	m.mu.Unlock()
	if hook != nil {
		hook(op, key)
	}
	if fail {
		return apperr.Unavailable("state_unavailable", "The state store is away.")
	}
	return nil
}

func (m *Memory) live(key string) (row, bool) {
	r, ok := m.rows[key]
	if ok && !r.until.IsZero() && !m.Now().Before(r.until) {
		return row{}, false
	}
	return r, ok
}

// Get implements record.Store.
func (m *Memory) Get(ctx context.Context, key string) (record.Entry, error) {
	if err := m.enter("get", key); err != nil {
		return record.Entry{}, err
	}
	if store, name := m.below(key); store != nil {
		return store.Get(ctx, name)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.live(key)
	if !ok {
		return record.Entry{}, nil
	}
	return record.Entry{Value: append([]byte(nil), r.value...), ETag: r.etag}, nil
}

// Put implements record.Store.
func (m *Memory) Put(ctx context.Context, key string, value []byte, w record.Write) error {
	if err := m.enter("put", key); err != nil {
		return err
	}
	if store, name := m.below(key); store != nil {
		if err := store.Put(ctx, name, value, w); err != nil {
			return err
		}
		m.wrote(key)
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.live(key)
	if ok != (w.ETag != "") || r.etag != w.ETag {
		return record.ErrConflict
	}
	m.serial++
	next := row{value: append([]byte(nil), value...), etag: strconv.Itoa(m.serial)}
	if w.TTL > 0 {
		next.until = m.Now().Add(time.Duration(math.Ceil(w.TTL.Seconds())) * time.Second)
	}
	m.rows[key] = next
	m.puts++
	return nil
}
