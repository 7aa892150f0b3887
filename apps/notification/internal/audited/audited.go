// Package audited lets a queue look at documents that are changed with a line in the
// audit trail (see acts.Documents): before a change is written the queue is told to
// look at the document later, so that whoever dies in between leaves the line to the
// queue's worker.
package audited

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"lms/apps/notification/internal/due"
	"lms/shared/journal/acts"
	"lms/shared/record"
)

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
	kept  *acts.Documents[T]
	key   func(uuid.UUID) string
}

// Of are the documents of a book. key is that of the document with an id, "" where
// none has it; lines is the field.
func Of[T any](t *Trail, book *record.Book[T], key func(uuid.UUID) string, lines func(*T) *acts.Lines) *Documents[T] {
	d := &Documents[T]{trail: t, kept: acts.Of(t.Trail, book, lines, t.log), key: key}
	t.follows = append(t.follows, d.Follow)
	return d
}

// Update changes a document as the book does, and act says what was done to it.
func (d *Documents[T]) Update(ctx context.Context, id uuid.UUID, act func() acts.Act, fn func(*T) (*T, error)) (*T, error) {
	return d.kept.Update(ctx, d.key(id), func(ctx context.Context) error {
		return d.trail.queue.Add(ctx, due.Item{Key: id, Due: d.trail.now().Add(lookAfter)})
	}, act, fn)
}

// Follow writes the lines of a document into the trail, if they are not there yet.
func (d *Documents[T]) Follow(ctx context.Context, id uuid.UUID) error {
	key := d.key(id)
	if key == "" {
		return nil
	}
	return d.kept.Follow(ctx, key)
}
