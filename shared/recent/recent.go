// Package recent remembers answers of other services for a short time: verdicts
// that may be believed for two seconds, names that may be a minute old.
package recent

import (
	"sync"
	"time"
)

// Answers are values by key, each for the same time, and at most so many. Only
// what may be believed without asking belongs in it: never a denial.
type Answers[K comparable, V any] struct {
	mu    sync.Mutex
	life  time.Duration
	most  int
	now   func() time.Time
	known map[K]answer[V]
}

type answer[V any] struct {
	value V
	until time.Time
}

// New remembers at most so many answers, each for life; now is the clock.
func New[K comparable, V any](life time.Duration, most int, now func() time.Time) *Answers[K, V] {
	return &Answers[K, V]{life: life, most: most, now: now, known: map[K]answer[V]{}}
}

// Get is the answer, if there is one that is young enough.
func (a *Answers[K, V]) Get(key K) (V, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e, ok := a.known[key]
	if ok && a.now().Before(e.until) {
		return e.value, true
	}
	delete(a.known, key)
	var none V
	return none, false
}

// Put remembers an answer. One too many makes it forget all others: what is
// remembered is cheap to ask again.
func (a *Answers[K, V]) Put(key K, v V) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.known) >= a.most {
		clear(a.known)
	}
	a.known[key] = answer[V]{value: v, until: a.now().Add(a.life)}
}

// Drop forgets an answer.
func (a *Answers[K, V]) Drop(key K) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.known, key)
}
