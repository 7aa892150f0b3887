// Package clock gives time and ids to services, so that tests and a moved
// clock can decide both.
package clock

import (
	"sync"
	"time"

	"github.com/google/uuid"
)

// Now is the time in UTC, in microseconds: PostgreSQL keeps no finer, so that
// what is written equals what is read.
func Now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// NewID is a UUIDv7 (RFC 9562), ordered by time within a process.
func NewID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// Manual is a clock that moves only when told.
type Manual struct {
	mu  sync.Mutex
	now time.Time
}

// NewManual starts a manual clock at t.
func NewManual(t time.Time) *Manual {
	return &Manual{now: t.UTC().Truncate(time.Microsecond)}
}

// Now is the time it stands at.
func (m *Manual) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// Advance moves it forward by d and returns the new time.
func (m *Manual) Advance(d time.Duration) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = m.now.Add(d)
	return m.now
}

// Set moves it to t.
func (m *Manual) Set(t time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = t.UTC().Truncate(time.Microsecond)
}
