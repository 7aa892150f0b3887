// Package journal keeps what happened, day by day, for some weeks: deliveries,
// dead letters, acts of people. A state store can only read and write single keys,
// so a day of a scope is a chain of documents: a head that takes new entries by
// compare-and-set, and sealed parts before it. An entry keeps its place for good,
// so that a place is a cursor.
package journal

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"lms/shared/record"
)

// maxScan is how many documents one List reads: a page may then be shorter than
// asked for, with a cursor to go on from.
const maxScan = 40

// Entry is one thing that happened. ID is its own; put again, it is replaced.
type Entry[T any] struct {
	ID   uuid.UUID `json:"id"`
	At   time.Time `json:"at"`
	Body T         `json:"body"`
}

// Place is where an entry stands.
type Place struct {
	Day   int64 `json:"d"` // since 1970, UTC
	Part  int   `json:"p"`
	Index int   `json:"i"`
}

// Listed is an entry with its place.
type Listed[T any] struct {
	Entry[T]
	Place Place
}

type head[T any] struct {
	Day     int64      `json:"day"`
	Sealed  int        `json:"sealed"` // parts 0 … Sealed-1 are full, this is part Sealed
	Rev     int        `json:"rev"`    // of the head, or of the head that became this part: grows with each write
	Entries []Entry[T] `json:"entries"`
}

// Journal is a kind of entries.
type Journal[T any] struct {
	name string
	size int // entries of a document
	keep time.Duration
	now  func() time.Time
	book *record.Book[head[T]]

	mu    sync.Mutex
	marks map[string][]uint64 // key of a full part → its entries, in order
}

// New makes a journal whose documents hold size entries and whose days are kept
// for at least keep.
func New[T any](store record.Store, name string, size int, keep time.Duration, now func() time.Time) *Journal[T] {
	return &Journal[T]{name: name, size: size, keep: keep, now: now, marks: map[string][]uint64{}, book: record.Durable(store, now, func(h *head[T]) time.Time {
		return dayStart(h.Day + 1).Add(keep)
	})}
}

func dayOf(t time.Time) int64 { return t.Unix() / 86400 }

func dayStart(day int64) time.Time { return time.Unix(day*86400, 0).UTC() }

func (j *Journal[T]) headKey(scope string, day int64) string {
	return fmt.Sprintf("%s.%s.%d", j.name, scope, day)
}

func (j *Journal[T]) partKey(scope string, day int64, part int) string {
	return fmt.Sprintf("%s.%s.%d.%d", j.name, scope, day, part)
}

// Put writes entries of a scope into the day of their time. One whose id is there
// already is replaced where it stands.
func (j *Journal[T]) Put(ctx context.Context, scope string, entries ...Entry[T]) error {
	byDay := map[int64][]Entry[T]{}
	for _, e := range entries {
		d := dayOf(e.At)
		byDay[d] = append(byDay[d], e)
	}
	for day, es := range byDay {
		if err := j.putDay(ctx, scope, day, es); err != nil {
			return fmt.Errorf("journal %s: %w", j.name, err)
		}
	}
	return nil
}

func (j *Journal[T]) putDay(ctx context.Context, scope string, day int64, entries []Entry[T]) error {
	for len(entries) > 0 {
		rest, err := j.putSome(ctx, scope, day, entries)
		if err != nil {
			return err
		}
		entries = rest
	}
	return nil
}

// putSome writes as many as the head takes, and returns the others.
func (j *Journal[T]) putSome(ctx context.Context, scope string, day int64, entries []Entry[T]) (rest []Entry[T], err error) {
	entries, sealed, err := j.replaceSealed(ctx, scope, day, entries)
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	var full *head[T]
	_, err = j.book.Update(ctx, j.headKey(scope, day), func(h *head[T]) (*head[T], error) {
		full, rest = nil, nil
		if h == nil {
			h = &head[T]{Day: day}
		}
		if h.Sealed != sealed { // what was in the head may be in a part by now: look again
			rest = entries
			return h, record.ErrKeep
		}
		changed := false
		for _, e := range entries {
			switch i := indexOf(h.Entries, e.ID); {
			case i >= 0:
				h.Entries[i], changed = e, true
			case len(h.Entries) >= j.size:
				rest = append(rest, e)
			default:
				h.Entries, changed = append(h.Entries, e), true
			}
		}
		if len(rest) > 0 && !changed {
			full = h
			return h, record.ErrKeep
		}
		h.Rev++
		return h, nil
	})
	if err == nil && full != nil {
		err = j.seal(ctx, scope, full)
	}
	return rest, err
}

func indexOf[T any](entries []Entry[T], id uuid.UUID) int {
	return slices.IndexFunc(entries, func(e Entry[T]) bool { return e.ID == id })
}

// replaceSealed replaces those that stand in a full part, and returns the others,
// and how many parts it knew of.
func (j *Journal[T]) replaceSealed(ctx context.Context, scope string, day int64, entries []Entry[T]) (left []Entry[T], sealed int, err error) {
	h, err := j.book.Get(ctx, j.headKey(scope, day))
	if err != nil || h == nil || h.Sealed == 0 {
		return entries, 0, err
	}
	for _, e := range entries {
		if indexOf(h.Entries, e.ID) >= 0 {
			left = append(left, e)
			continue
		}
		found := false
		for part := h.Sealed - 1; part >= 0 && !found; part-- {
			key := j.partKey(scope, day, part)
			if found, err = j.mayHold(ctx, key, e.ID); err == nil && found {
				found, err = j.replaceIn(ctx, key, e)
			}
			if err != nil {
				return nil, 0, err
			}
		}
		if !found {
			left = append(left, e)
		}
	}
	return left, h.Sealed, nil
}

// maxMarks bounds what is remembered of full parts: 16 MB.
const maxMarks = 2_000_000

// mark is the random end of an id.
func mark(id uuid.UUID) uint64 { return binary.BigEndian.Uint64(id[8:]) }

// mayHold says whether a full part may hold an entry. Which entries a full part has
// never changes, so each is read once for that and not for every entry that comes
// later: a day would cost the square of its entries.
func (j *Journal[T]) mayHold(ctx context.Context, key string, id uuid.UUID) (bool, error) {
	j.mu.Lock()
	marks, known := j.marks[key]
	j.mu.Unlock()
	if !known {
		p, err := j.book.Get(ctx, key)
		if err != nil || p == nil {
			return false, err
		}
		for _, e := range p.Entries {
			marks = append(marks, mark(e.ID))
		}
		slices.Sort(marks)
		j.remember(key, marks)
	}
	_, found := slices.BinarySearch(marks, mark(id))
	return found, nil
}

func (j *Journal[T]) remember(key string, marks []uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.marks)*j.size > maxMarks {
		clear(j.marks)
	}
	j.marks[key] = marks
}

func (j *Journal[T]) replaceIn(ctx context.Context, key string, e Entry[T]) (found bool, err error) {
	p, err := j.book.Get(ctx, key)
	if err != nil || p == nil || indexOf(p.Entries, e.ID) < 0 {
		return false, err
	}
	_, err = j.book.Update(ctx, key, func(p *head[T]) (*head[T], error) {
		if p == nil {
			return nil, record.ErrKeep
		}
		p.Entries[indexOf(p.Entries, e.ID)] = e
		return p, nil
	})
	return true, err
}

// seal copies a full head to its part, and then empties the head. Whoever comes
// between finds the entries in both and the head still saying where they count. A
// part of the same or a newer head stays: its entries may have been replaced since.
func (j *Journal[T]) seal(ctx context.Context, scope string, full *head[T]) error {
	_, err := j.book.Update(ctx, j.partKey(scope, full.Day, full.Sealed), func(p *head[T]) (*head[T], error) {
		if p != nil && p.Rev >= full.Rev {
			return p, record.ErrKeep
		}
		return &head[T]{Day: full.Day, Sealed: full.Sealed, Rev: full.Rev, Entries: full.Entries}, nil
	})
	if err != nil {
		return err
	}
	_, err = j.book.Update(ctx, j.headKey(scope, full.Day), func(h *head[T]) (*head[T], error) {
		if h == nil || h.Sealed != full.Sealed {
			return h, record.ErrKeep // another replica did it
		}
		if h.Rev != full.Rev {
			return h, record.ErrKeep // an entry was replaced: the next try seals it
		}
		return &head[T]{Day: full.Day, Sealed: full.Sealed + 1}, nil
	})
	return err
}

// List gives up to limit entries of a scope, the newest first, behind a place (nil:
// from the newest), of those that want accepts. next is where to go on, nil at the
// end.
func (j *Journal[T]) List(ctx context.Context, scope string, after *Place, limit int, want func(Entry[T]) bool) (out []Listed[T], next *Place, err error) {
	today := dayOf(j.now())
	oldest := dayOf(j.now().Add(-j.keep))
	at := Place{Day: today, Part: -1}
	if after != nil {
		at = *after
	}
	scanned := 0
	for day := at.Day; day >= oldest; day-- {
		h, err := j.book.Get(ctx, j.headKey(scope, day))
		if err != nil {
			return nil, nil, err
		}
		if h == nil {
			continue
		}
		part := h.Sealed
		if day == at.Day && at.Part >= 0 {
			part = min(at.Part, h.Sealed)
		}
		for ; part >= 0; part-- {
			if scanned++; scanned > maxScan {
				return out, &Place{Day: day, Part: part, Index: math.MaxInt}, nil
			}
			doc := h
			if part < h.Sealed {
				if doc, err = j.book.Get(ctx, j.partKey(scope, day, part)); err != nil {
					return nil, nil, err
				}
			}
			if doc == nil {
				continue
			}
			from := len(doc.Entries)
			if day == at.Day && part == at.Part {
				from = min(from, at.Index)
			}
			for i := from - 1; i >= 0; i-- {
				if want != nil && !want(doc.Entries[i]) {
					continue
				}
				if len(out) == limit {
					last := out[limit-1].Place
					return out, &last, nil
				}
				out = append(out, Listed[T]{Entry: doc.Entries[i], Place: Place{Day: day, Part: part, Index: i}})
			}
		}
	}
	return out, nil, nil
}

// Oldest is List from the other end: in the order of writing, behind a place (nil:
// from the oldest).
func (j *Journal[T]) Oldest(ctx context.Context, scope string, after *Place, limit int, want func(Entry[T]) bool) (out []Listed[T], next *Place, err error) {
	today := dayOf(j.now())
	at := Place{Day: dayOf(j.now().Add(-j.keep)), Index: -1}
	if after != nil && after.Day >= at.Day {
		at = *after
	}
	scanned := 0
	for day := at.Day; day <= today; day++ {
		h, err := j.book.Get(ctx, j.headKey(scope, day))
		if err != nil {
			return nil, nil, err
		}
		if h == nil {
			continue
		}
		part := 0
		if day == at.Day {
			part = at.Part
		}
		for ; part <= h.Sealed; part++ {
			if scanned++; scanned > maxScan {
				return out, &Place{Day: day, Part: part, Index: -1}, nil
			}
			doc := h
			if part < h.Sealed {
				if doc, err = j.book.Get(ctx, j.partKey(scope, day, part)); err != nil {
					return nil, nil, err
				}
			}
			if doc == nil {
				continue
			}
			from := 0
			if day == at.Day && part == at.Part {
				from = at.Index + 1
			}
			for i := from; i < len(doc.Entries); i++ {
				if want != nil && !want(doc.Entries[i]) {
					continue
				}
				if len(out) == limit {
					last := out[limit-1].Place
					return out, &last, nil
				}
				out = append(out, Listed[T]{Entry: doc.Entries[i], Place: Place{Day: day, Part: part, Index: i}})
			}
		}
	}
	return out, nil, nil
}

// From is the place before all entries of the day of a time, for Oldest.
func From(t time.Time) *Place { return &Place{Day: dayOf(t), Index: -1} }

// Find looks for one entry in all days that are kept.
func (j *Journal[T]) Find(ctx context.Context, scope string, id uuid.UUID) (*Entry[T], error) {
	var after *Place
	for {
		found, next, err := j.List(ctx, scope, after, 1, func(e Entry[T]) bool { return e.ID == id })
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			return &found[0].Entry, nil
		}
		if next == nil {
			return nil, nil //nolint:nilnil // there is none
		}
		after = next
	}
}
