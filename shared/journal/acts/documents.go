package acts

import (
	"context"
	"log/slog"
	"slices"

	"lms/shared/journal"
	"lms/shared/record"
)

// Lines are what was done to a document and may not be in the trail yet. They are a
// field of the document.
type Lines []journal.Entry[Act]

// Documents are those of a book that are changed with a line in the trail. A state
// store has no transaction over several keys, so the line is written into the document
// that changes, by the same write, and from there into the trail. Whoever dies in
// between leaves it to Follow. A line has an id of its own, so that one that is put
// into the trail twice stands there once.
type Documents[T any] struct {
	trail *Trail
	book  *record.Book[T]
	lines func(*T) *Lines
	log   *slog.Logger
}

// Of are the documents of a book; lines is the field.
func Of[T any](t *Trail, book *record.Book[T], lines func(*T) *Lines, log *slog.Logger) *Documents[T] {
	return &Documents[T]{trail: t, book: book, lines: lines, log: log}
}

// Update changes a document as the book does, and act says what was done to it. Before
// it is written, promise makes sure that the document is Followed; it may be nil where
// that is certain.
func (d *Documents[T]) Update(ctx context.Context, key string, promise func(context.Context) error, act func() Act, fn func(*T) (*T, error)) (*T, error) {
	promised, written := promise == nil, false
	v, err := d.book.Update(ctx, key, func(current *T) (*T, error) {
		written = false
		next, err := fn(current)
		if err != nil || next == nil {
			return next, err
		}
		if !promised {
			if err := promise(ctx); err != nil {
				return nil, err
			}
			promised = true
		}
		lines := d.lines(next)
		*lines = append(*lines, d.trail.Line(ctx, act()))
		written = true
		return next, nil
	})
	if err != nil || !written {
		return v, err
	}
	// The change is made: what fails here follows.
	if err := d.settle(ctx, key, *d.lines(v)); err != nil {
		d.log.WarnContext(ctx, "a line of the audit trail is written later", "document", key, "error", err)
	}
	return v, nil
}

// Follow puts the lines of a document into the trail, if they are not there yet.
func (d *Documents[T]) Follow(ctx context.Context, key string) error {
	v, err := d.book.Get(ctx, key)
	if err != nil || v == nil {
		return err
	}
	return d.settle(ctx, key, *d.lines(v))
}

func (d *Documents[T]) settle(ctx context.Context, key string, lines Lines) error {
	if len(lines) == 0 {
		return nil
	}
	if err := d.trail.Put(ctx, lines...); err != nil {
		return err
	}
	_, err := d.book.Update(ctx, key, func(v *T) (*T, error) {
		if v == nil {
			return nil, record.ErrKeep
		}
		kept := d.lines(v)
		left := slices.DeleteFunc(slices.Clone(*kept), func(e journal.Entry[Act]) bool {
			return slices.ContainsFunc(lines, func(l journal.Entry[Act]) bool { return l.ID == e.ID })
		})
		if len(left) == len(*kept) {
			return v, record.ErrKeep
		}
		*kept = left
		return v, nil
	})
	return err
}
