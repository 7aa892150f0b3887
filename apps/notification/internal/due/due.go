// Package due is a queue of things to do at a time, kept in a state store that
// can only read and write single keys. Dapr's state block has no query that all
// stores know, so "what is due" must be a document itself: a queue is cut into
// shards, and each shard has
//
//   - one hot document with what is due within the hour, changed by compare-and-set;
//   - one document per later hour, moved into the hot one when its hour begins.
//
// An entry names a thing (a person, an endpoint, a job) that has work at a time;
// the work itself lies in the thing's own document. The order of writes is: the
// thing, then its entry, then the acknowledgement of what caused it. A crash in
// between repeats, it never forgets.
package due

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/record"
)

// Limits of the documents.
const (
	// MaxHot is how many entries a hot document holds, some 90 bytes each. Who adds
	// to a full one is told to come again (503 `queue_full`).
	MaxHot = 5000
	// lateWriter is how long a writer may act on what it has read of a shard; later
	// hours are sealed only as far back.
	lateWriter = 2 * time.Hour
	// laterKept is how long a later document outlives its hour.
	laterKept = 40 * 24 * time.Hour
)

// Item is a thing that is due.
type Item struct {
	Key uuid.UUID
	Due time.Time
}

// Claim is an item that one worker has for a while.
type Claim struct {
	Key   uuid.UUID
	Due   time.Time
	Until time.Time // from then on another worker may have it
	// Lost is until when a worker had it that never ended its claim; zero: there was none.
	Lost  time.Time
	token string
}

// Result ends a claim. Next says when the thing has work again; zero: it has none.
type Result struct {
	Claim
	Next time.Time
}

type entry struct {
	Due    int64  `json:"d"`           // Unix milliseconds
	Until  int64  `json:"u,omitempty"` // of the claim
	Token  string `json:"t,omitempty"` // of the claim
	Again  int64  `json:"a,omitempty"` // added while claimed: due again at
	Rounds int    `json:"r,omitempty"` // claims that were not ended
}

type hot struct {
	// Through is the last hour whose later document was moved here.
	Through int64                `json:"through"`
	Entries map[uuid.UUID]*entry `json:"entries"`
}

type later struct {
	Hour    int64               `json:"hour"`
	Sealed  bool                `json:"sealed,omitempty"`
	Entries map[uuid.UUID]int64 `json:"entries,omitempty"`
}

// Queue is one queue.
type Queue struct {
	name   string
	shards int
	now    func() time.Time
	newID  func() uuid.UUID
	hot    *record.Book[hot]
	later  *record.Book[later]
	wake   []chan struct{}
}

// New makes a queue. The number of shards is part of where things lie: it must
// stay what it was.
func New(store record.Store, name string, shards int, now func() time.Time, newID func() uuid.UUID) *Queue {
	q := &Queue{
		name: name, shards: shards, now: now, newID: newID,
		hot: record.Durable[hot](store, now, nil),
		later: record.Durable(store, now, func(l *later) time.Time {
			return time.Unix(l.Hour*3600, 0).Add(laterKept)
		}),
		wake: make([]chan struct{}, shards),
	}
	for i := range q.wake {
		q.wake[i] = make(chan struct{}, 1)
	}
	return q
}

// Shards is how many there are.
func (q *Queue) Shards() int { return q.shards }

// Woken signals when this process has added to a shard.
func (q *Queue) Woken(shard int) <-chan struct{} { return q.wake[shard] }

func (q *Queue) shardOf(key uuid.UUID) int {
	h := fnv.New32a()
	_, _ = h.Write(key[:]) // a hash never fails
	return int(h.Sum32() % uint32(q.shards))
}

func (q *Queue) hotKey(shard int) string { return fmt.Sprintf("due.%s.%d", q.name, shard) }

func (q *Queue) laterKey(shard int, hour int64) string {
	return fmt.Sprintf("due.%s.%d.%d", q.name, shard, hour)
}

func hourOf(ms int64) int64 { return ms / 3_600_000 }

// Add makes things due. What is due already at that time or earlier stays as it
// is; one that is being worked on is due again after.
func (q *Queue) Add(ctx context.Context, items ...Item) error {
	byShard := map[int][]Item{}
	for _, it := range items {
		s := q.shardOf(it.Key)
		byShard[s] = append(byShard[s], it)
	}
	var errs []error
	for shard, its := range byShard {
		if err := q.addTo(ctx, shard, its); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (q *Queue) addTo(ctx context.Context, shard int, items []Item) error {
	for tries := 0; len(items) > 0; tries++ {
		if tries > 3 {
			return apperr.Unavailable("state_busy", "The queue moves too fast. Try again.")
		}
		rest, err := q.addHot(ctx, shard, items)
		if err != nil {
			return err
		}
		if items, err = q.addLater(ctx, shard, rest); err != nil {
			return err
		}
	}
	select {
	case q.wake[shard] <- struct{}{}:
	default:
	}
	return nil
}

// addHot adds what is due within the hours that the hot document covers, and
// returns the rest.
func (q *Queue) addHot(ctx context.Context, shard int, items []Item) (rest []Item, err error) {
	_, err = q.hot.Update(ctx, q.hotKey(shard), func(h *hot) (*hot, error) {
		// The first entry begins the count of hours: without it nobody would know which
		// later ones to look at.
		changed := h == nil
		h, rest = q.loaded(h), nil
		for _, it := range items {
			ms := it.Due.UnixMilli()
			if hourOf(ms) > h.Through {
				rest = append(rest, it)
				continue
			}
			changed = h.put(it.Key, ms, q.now().UnixMilli()) || changed
		}
		if !changed {
			return h, record.ErrKeep
		}
		if len(h.Entries) > MaxHot {
			return nil, apperr.Unavailable("queue_full", "Too much waits to be delivered. Try again.")
		}
		return h, nil
	})
	return rest, err
}

func (q *Queue) loaded(h *hot) *hot {
	if h == nil {
		h = &hot{Through: hourOf(q.now().UnixMilli())}
	}
	if h.Entries == nil {
		h.Entries = map[uuid.UUID]*entry{}
	}
	return h
}

// put notes that a thing is due, and says whether that changed something.
func (h *hot) put(key uuid.UUID, due, now int64) bool {
	e := h.Entries[key]
	switch {
	case e == nil:
		h.Entries[key] = &entry{Due: due}
	case e.Until > now: // somebody works on it, and may have read it already
		if e.Again != 0 && e.Again <= due {
			return false
		}
		e.Again = due
	case e.Due <= due:
		return false
	default:
		e.Due = due
	}
	return true
}

// addLater adds to the documents of later hours, and returns what belongs to the
// hot one by now.
func (q *Queue) addLater(ctx context.Context, shard int, items []Item) (back []Item, err error) {
	byHour := map[int64][]Item{}
	for _, it := range items {
		h := hourOf(it.Due.UnixMilli())
		byHour[h] = append(byHour[h], it)
	}
	for hour, its := range byHour {
		sealed := false
		_, err := q.later.Update(ctx, q.laterKey(shard, hour), func(l *later) (*later, error) {
			sealed = false
			if l == nil {
				l = &later{Hour: hour}
			}
			if l.Sealed {
				sealed = true
				return l, record.ErrKeep
			}
			if l.Entries == nil {
				l.Entries = map[uuid.UUID]int64{}
			}
			changed := false
			for _, it := range its {
				ms := it.Due.UnixMilli()
				if old, ok := l.Entries[it.Key]; !ok || ms < old {
					l.Entries[it.Key], changed = ms, true
				}
			}
			if !changed {
				return l, record.ErrKeep
			}
			return l, nil
		})
		if err != nil {
			return nil, err
		}
		if sealed {
			back = append(back, its...)
		}
	}
	return back, nil
}

// Claim takes up to limit things of a shard that are due, the longest due first,
// for the time of lease. next is when the shard has something due again, as far as
// it is known; zero: nothing within the hour.
func (q *Queue) Claim(ctx context.Context, shard, limit int, lease time.Duration) (claims []Claim, next time.Time, err error) {
	token := strings.ReplaceAll(q.newID().String(), "-", "")[20:]
	behind := false
	claim := func(h *hot) (*hot, error) {
		h = q.loaded(h)
		now := q.now().UnixMilli()
		if behind = h.Through < hourOf(now); behind {
			return h, record.ErrKeep
		}
		claims, next = h.take(now, limit, token, now+lease.Milliseconds())
		if len(claims) == 0 {
			return h, record.ErrKeep
		}
		return h, nil
	}
	if _, err = q.hot.Update(ctx, q.hotKey(shard), claim); err != nil || !behind {
		return claims, next, err
	}
	if err := q.advance(ctx, shard); err != nil {
		return nil, next, err
	}
	_, err = q.hot.Update(ctx, q.hotKey(shard), claim)
	return claims, next, err
}

func (h *hot) take(now int64, limit int, token string, until int64) (claims []Claim, next time.Time) {
	type candidate struct {
		key uuid.UUID
		e   *entry
	}
	var ready []candidate
	var soonest int64
	for key, e := range h.Entries {
		if at := max(e.Due, e.Until); at <= now {
			ready = append(ready, candidate{key, e})
		} else if soonest == 0 || at < soonest {
			soonest = at
		}
	}
	slices.SortFunc(ready, func(a, b candidate) int {
		if a.e.Due != b.e.Due {
			return int(min(max(a.e.Due-b.e.Due, -1), 1))
		}
		return strings.Compare(a.key.String(), b.key.String())
	})
	if len(ready) > limit {
		ready, soonest = ready[:limit], now
	}
	for _, c := range ready {
		one := Claim{Key: c.key, Due: time.UnixMilli(c.e.Due), Until: time.UnixMilli(until), token: token}
		if c.e.Token != "" {
			c.e.Rounds++
			one.Lost = time.UnixMilli(c.e.Until)
		}
		c.e.Token, c.e.Until = token, until
		claims = append(claims, one)
	}
	if soonest > 0 {
		next = time.UnixMilli(soonest)
	}
	return claims, next
}

// Done ends claims. A claim that ran out and was taken by somebody else is left
// to them.
func (q *Queue) Done(ctx context.Context, shard int, results []Result) error {
	if len(results) == 0 {
		return nil
	}
	// What is due in a later hour is written there before it leaves here.
	var moved []Item
	through := hourOf(q.now().UnixMilli())
	for _, r := range results {
		if !r.Next.IsZero() && hourOf(r.Next.UnixMilli()) > through {
			moved = append(moved, Item{Key: r.Key, Due: r.Next})
		}
	}
	back, err := q.addLater(ctx, shard, moved)
	if err != nil {
		return err
	}
	stay := map[uuid.UUID]bool{}
	for _, it := range back {
		stay[it.Key] = true
	}
	_, err = q.hot.Update(ctx, q.hotKey(shard), func(h *hot) (*hot, error) {
		h = q.loaded(h)
		changed := false
		for _, r := range results {
			changed = h.end(r, hourOf(r.Next.UnixMilli()) > through && !stay[r.Key]) || changed
		}
		if !changed {
			return h, record.ErrKeep
		}
		return h, nil
	})
	return err
}

func (h *hot) end(r Result, elsewhere bool) bool {
	e := h.Entries[r.Key]
	if e == nil || e.Token != r.token {
		return false
	}
	next := int64(0)
	if !r.Next.IsZero() && !elsewhere {
		next = r.Next.UnixMilli()
	}
	if e.Again != 0 && (next == 0 || e.Again < next) {
		next = e.Again
	}
	if next == 0 {
		delete(h.Entries, r.Key)
		return true
	}
	*e = entry{Due: next}
	return true
}

// Waiting is how many things of a shard are in its hot document, and how many of
// them are due.
func (q *Queue) Waiting(ctx context.Context, shard int) (total, ready int, err error) {
	h, err := q.hot.Get(ctx, q.hotKey(shard))
	if err != nil || h == nil {
		return 0, 0, err
	}
	now := q.now().UnixMilli()
	for _, e := range h.Entries {
		if e.Due <= now {
			ready++
		}
	}
	return len(h.Entries), ready, nil
}

// hoursAtOnce is how many hours one write of a hot document moves: after a month
// without the service there are 720, most of them empty.
const hoursAtOnce = 100

// advance moves the documents of hours that have begun into the hot one. A crash
// before the write leaves them where they are.
func (q *Queue) advance(ctx context.Context, shard int) error {
	h, err := q.hot.Get(ctx, q.hotKey(shard))
	if err != nil || h == nil {
		return err
	}
	now := q.now()
	current := hourOf(now.UnixMilli())
	var moved []later
	for hour := h.Through + 1; hour <= current; hour++ {
		entries, err := q.take(ctx, shard, hour, now)
		if err != nil {
			return err
		}
		moved = append(moved, later{Hour: hour, Entries: entries})
		if hour < current && len(moved) < hoursAtOnce {
			continue
		}
		_, err = q.hot.Update(ctx, q.hotKey(shard), func(h *hot) (*hot, error) {
			h = q.loaded(h)
			if h.Through >= hour {
				return h, record.ErrKeep // another replica did it
			}
			for _, l := range moved {
				if l.Hour <= h.Through {
					continue // so far another replica did it
				}
				for key, due := range l.Entries {
					h.put(key, due, now.UnixMilli())
				}
			}
			h.Through = hour
			return h, nil
		})
		if err != nil {
			return err
		}
		moved = nil
	}
	return nil
}

// take reads what an hour holds. One to which somebody may still be writing is
// sealed first: from then on it takes nothing new.
func (q *Queue) take(ctx context.Context, shard int, hour int64, now time.Time) (map[uuid.UUID]int64, error) {
	key := q.laterKey(shard, hour)
	if time.Unix((hour+1)*3600, 0).Before(now.Add(-lateWriter)) {
		l, err := q.later.Get(ctx, key)
		if err != nil || l == nil {
			return nil, err
		}
		return l.Entries, nil
	}
	l, err := q.later.Update(ctx, key, func(l *later) (*later, error) {
		if l == nil {
			l = &later{Hour: hour}
		}
		if l.Sealed {
			return l, record.ErrKeep
		}
		l.Sealed = true
		return l, nil
	})
	if err != nil {
		return nil, err
	}
	return l.Entries, nil
}
