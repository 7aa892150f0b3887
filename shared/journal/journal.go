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
	at := j.newest()
	if after != nil {
		at = *after
	}
	return j.walk(ctx, scope, back, at, &page[T]{limit: limit, want: want})
}

// Oldest is List from the other end: in the order of writing, behind a place (nil:
// from the oldest).
func (j *Journal[T]) Oldest(ctx context.Context, scope string, after *Place, limit int, want func(Entry[T]) bool) (out []Listed[T], next *Place, err error) {
	at := j.oldest()
	if after != nil && after.Day >= at.Day {
		at = *after
	}
	return j.walk(ctx, scope, forth, at, &page[T]{limit: limit, want: want})
}

// From is the place before all entries of the day of a time, for Oldest.
func From(t time.Time) *Place { return &Place{Day: dayOf(t), Index: -1} }

// Through is the place behind all entries of the day of a time, for List.
func Through(t time.Time) *Place {
	return &Place{Day: dayOf(t), Part: math.MaxInt, Index: math.MaxInt}
}

// oldest and newest are where all that is kept begins and ends.
func (j *Journal[T]) oldest() Place { return *From(j.now().Add(-j.keep)) }
func (j *Journal[T]) newest() Place { return *Through(j.now()) }

// direction is how a walk goes through days, parts and entries.
type direction int

const (
	forth direction = 1
	back  direction = -1
)

// within says whether i is no further than end.
func (d direction) within(i, end int) bool { return (end-i)*int(d) >= 0 }

// ends are the first and the last of n indices, and the place before the first.
func (d direction) ends(n int) (first, last, before int) {
	if d == forth {
		return 0, n - 1, -1
	}
	return n - 1, 0, math.MaxInt
}

// walk fills a page from a place on, document by document.
func (j *Journal[T]) walk(ctx context.Context, scope string, d direction, at Place, p *page[T]) ([]Listed[T], *Place, error) {
	end := j.newest().Day
	if d == back {
		end = j.oldest().Day
	}
	scanned := 0
	for day := at.Day; d.within(int(day), int(end)); day += int64(d) {
		h, err := j.book.Get(ctx, j.headKey(scope, day))
		if err != nil {
			return nil, nil, err
		}
		if h == nil {
			continue
		}
		part, last, before := d.ends(h.Sealed + 1)
		if day == at.Day {
			part = min(at.Part, h.Sealed)
		}
		for ; d.within(part, last); part += int(d) {
			if scanned++; scanned > maxScan {
				return p.out, &Place{Day: day, Part: part, Index: before}, nil
			}
			from := Place{Day: day, Part: part, Index: before}
			if day == at.Day && part == at.Part {
				from = at
			}
			doc, err := j.document(ctx, scope, h, part)
			if err != nil {
				return nil, nil, err
			}
			if full := p.take(doc, d, from); full {
				on := p.out[len(p.out)-1].Place
				return p.out, &on, nil
			}
		}
	}
	return p.out, nil, nil
}

// document is a part of the day of a head, or that head; nil for none.
func (j *Journal[T]) document(ctx context.Context, scope string, h *head[T], part int) (*head[T], error) {
	if part >= h.Sealed {
		return h, nil
	}
	return j.book.Get(ctx, j.partKey(scope, h.Day, part))
}

// page is what a walk gathers.
type page[T any] struct {
	limit int
	want  func(Entry[T]) bool // nil: every one
	out   []Listed[T]
}

// take adds what is wanted of a document, behind a place in it. It says when there is
// more than the page holds.
func (p *page[T]) take(doc *head[T], d direction, behind Place) (full bool) {
	if doc == nil {
		return false
	}
	first, last, before := d.ends(len(doc.Entries))
	if behind.Index != before {
		first = min(behind.Index, len(doc.Entries)) + int(d)
	}
	for i := first; d.within(i, last); i += int(d) {
		if p.want != nil && !p.want(doc.Entries[i]) {
			continue
		}
		if len(p.out) == p.limit {
			return true
		}
		p.out = append(p.out, Listed[T]{Entry: doc.Entries[i], Place: Place{Day: behind.Day, Part: behind.Part, Index: i}})
	}
	return false
}

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
