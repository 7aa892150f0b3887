// Package audited makes a change and its line in the audit trail one. A state store
// has no transaction over several keys, so the line is written into the document that
// changes, by the same write, and from there into the trail. Before that write a queue
// is told to look at the document later: whoever dies in between leaves the line to
// the queue's worker. A line has an id of its own, so that one that is written into
// the trail twice stands there once.
package audited

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/apps/notification/internal/due"
	"lms/shared/journal"
	"lms/shared/journal/acts"
	"lms/shared/record"
)

// Lines are what was done to a document and may not be in the trail yet. They are a
// field of the document.
type Lines []journal.Entry[acts.Act]

// lookAfter is when the queue looks at a document: when whoever changes it has
// written the line long since.
const lookAfter = time.Minute

// Trail is the audit trail of documents.
type Trail struct {
	*acts.Trail
	queue   *due.Queue
	now     func() time.Time
	log     *slog.Logger
	follows []func(context.Context, uuid.UUID) error
}

// New makes a trail whose queue is in the store.
func New(store record.Store, trail *acts.Trail, now func() time.Time, newID func() uuid.UUID, log *slog.Logger) *Trail {
	return &Trail{Trail: trail, queue: due.New(store, "audit", 1, now, newID), now: now, log: log}
}

// Queue is the documents to be looked at; Serve does it.
func (t *Trail) Queue() *due.Queue { return t.queue }

// Serve writes the lines of documents into the trail that are not there yet.
func (t *Trail) Serve(ctx context.Context, claims []due.Claim) []due.Result {
	out := make([]due.Result, len(claims))
	for i, c := range claims {
		out[i] = due.Result{Claim: c}
		var errs []error
		for _, follow := range t.follows {
			errs = append(errs, follow(ctx, c.Key))
		}
		if err := errors.Join(errs...); err != nil {
			t.log.WarnContext(ctx, "a line of the audit trail is written later", "document", c.Key, "error", err)
			out[i].Next = t.now().Add(lookAfter)
		}
	}
	return out
}

// Documents are those of a kind that are changed with a line.
type Documents[T any] struct {
	trail *Trail
	book  *record.Book[T]
	key   func(uuid.UUID) string
	lines func(*T) *Lines
}

// Of are the documents of a book. key is that of the document with an id, "" where
// none has it; lines is the field.
func Of[T any](t *Trail, book *record.Book[T], key func(uuid.UUID) string, lines func(*T) *Lines) *Documents[T] {
	d := &Documents[T]{trail: t, book: book, key: key, lines: lines}
	t.follows = append(t.follows, d.Follow)
	return d
}

// Update changes a document as the book does, and act says what was done to it.
func (d *Documents[T]) Update(ctx context.Context, id uuid.UUID, act func() acts.Act, fn func(*T) (*T, error)) (*T, error) {
	told, written := false, false
	v, err := d.book.Update(ctx, d.key(id), func(current *T) (*T, error) {
		written = false
		next, err := fn(current)
		if err != nil || next == nil {
			return next, err
		}
		if !told {
			if err := d.trail.queue.Add(ctx, due.Item{Key: id, Due: d.trail.now().Add(lookAfter)}); err != nil {
				return nil, err
			}
			told = true
		}
		lines := d.lines(next)
		*lines = append(*lines, d.trail.Line(ctx, act()))
		written = true
		return next, nil
	})
	if err != nil || !written {
		return v, err
	}
	// The change is made, and the queue knows: what fails here follows.
	if err := d.settle(ctx, id, *d.lines(v)); err != nil {
		d.trail.log.WarnContext(ctx, "a line of the audit trail is written later", "document", id, "error", err)
	}
	return v, nil
}

// Follow writes the lines of a document into the trail, if they are not there yet.
func (d *Documents[T]) Follow(ctx context.Context, id uuid.UUID) error {
	key := d.key(id)
	if key == "" {
		return nil
	}
	v, err := d.book.Get(ctx, key)
	if err != nil || v == nil {
		return err
	}
	return d.settle(ctx, id, *d.lines(v))
}

func (d *Documents[T]) settle(ctx context.Context, id uuid.UUID, lines Lines) error {
	if len(lines) == 0 {
		return nil
	}
	if err := d.trail.Put(ctx, lines...); err != nil {
		return err
	}
	_, err := d.book.Update(ctx, d.key(id), func(v *T) (*T, error) {
		if v == nil {
			return nil, record.ErrKeep
		}
		kept := d.lines(v)
		left := slices.DeleteFunc(slices.Clone(*kept), func(e journal.Entry[acts.Act]) bool {
			return slices.ContainsFunc(lines, func(l journal.Entry[acts.Act]) bool { return l.ID == e.ID })
		})
		if len(left) == len(*kept) {
			return v, record.ErrKeep
		}
		*kept = left
		return v, nil
	})
	return err
}
