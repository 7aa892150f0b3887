package keyed

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/inbox"
	"lms/shared/journal"
	"lms/shared/record"
)

const (
	lettersKept  = 30 * 24 * time.Hour // they can hold personal data
	lettersScope = "all"
	// maxListed is how much of dead letters one answer carries: what the sidecar lets
	// through, with room.
	maxListed  = 3 << 20
	maxPayload = 64 << 10
	maxReason  = 2000
)

// Letters are events that could not be handled, each a document of its own, and a
// journal that lists them.
type Letters struct {
	book  *record.Book[letter]
	list  *journal.Journal[struct{}]
	now   func() time.Time
	newID func() uuid.UUID
}

type letter struct {
	inbox.DeadLetter
	Ends time.Time `json:"exp"`
}

// NewLetters makes them.
func NewLetters(store record.Store, now func() time.Time, newID func() uuid.UUID) *Letters {
	return &Letters{
		book: record.Durable(store, now, func(l *letter) time.Time { return l.Ends }),
		list: journal.New[struct{}](store, "deadletters", 500, lettersKept, now), now: now, newID: newID,
	}
}

func letterKey(id uuid.UUID) string { return "deadletter." + id.String() }

// Bury keeps what a handler can never apply. It is known by handler and event.
func (l *Letters) Bury(ctx context.Context, handler string, event uuid.UUID, raw json.RawMessage, payload string, cause error) error {
	id := uuid.NewSHA1(event, []byte(handler))
	return l.put(ctx, id, inbox.DeadLetter{
		ID: id, Handler: handler, EventID: &event, Event: raw, Payload: text(payload, maxPayload),
		Code: apperr.Code(cause), Reason: text(cause.Error(), maxReason),
	})
}

// Lost keeps that events are lost.
func (l *Letters) Lost(ctx context.Context, stream string, gap inbox.Span) error {
	what := fmt.Sprintf("%s %d..%d", stream, gap.From, gap.To)
	id := uuid.NewSHA1(uuid.NameSpaceOID, []byte("lost "+what))
	return l.put(ctx, id, inbox.DeadLetter{
		ID: id, Handler: "lost", Payload: what, Code: inbox.CodeLost,
		Reason: "The broker did not bring them, and the producer no longer keeps them.",
	})
}

func text(s string, limit int) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD")
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "")
	}
	return s
}

// put writes the letter, then its line in the list: one that is in no list yet is
// put there by the repetition, since who buries is told of a failure.
func (l *Letters) put(ctx context.Context, id uuid.UUID, d inbox.DeadLetter) error {
	kept, err := l.book.Update(ctx, letterKey(id), func(old *letter) (*letter, error) {
		next := &letter{DeadLetter: d, Ends: l.now().Add(lettersKept)}
		next.CreatedAt, next.Attempts = l.now(), 1
		if old != nil {
			next.CreatedAt, next.Attempts, next.Ends = old.CreatedAt, old.Attempts+1, old.Ends
		}
		return next, nil
	})
	if err != nil {
		return fmt.Errorf("dead letter: %w", err)
	}
	return l.list.Put(ctx, lettersScope, journal.Entry[struct{}]{ID: id, At: kept.CreatedAt})
}

// Get is one dead letter.
func (l *Letters) Get(ctx context.Context, id uuid.UUID) (inbox.DeadLetter, error) {
	d, err := l.book.Get(ctx, letterKey(id))
	if err != nil {
		return inbox.DeadLetter{}, err
	}
	if d == nil {
		return inbox.DeadLetter{}, apperr.NotFound("dead letter")
	}
	return d.DeadLetter, nil
}

// List are those that were not redriven, the newest first.
func (l *Letters) List(ctx context.Context, limit int) ([]inbox.DeadLetter, error) {
	out := []inbox.DeadLetter{}
	size := 0
	var after *journal.Place
	for {
		page, next, err := l.list.List(ctx, lettersScope, after, 100, nil)
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			d, err := l.book.Get(ctx, letterKey(e.ID))
			if err != nil {
				return nil, err
			}
			if d == nil || d.RedrivenAt != nil {
				continue
			}
			if size += len(d.Event) + len(d.Payload) + 512; len(out) == limit || size > maxListed {
				return out, nil
			}
			out = append(out, d.DeadLetter)
		}
		if after = next; next == nil {
			return out, nil
		}
	}
}

// Redriven notes that a dead letter was applied after all.
func (l *Letters) Redriven(ctx context.Context, id uuid.UUID) error {
	_, err := l.book.Update(ctx, letterKey(id), func(d *letter) (*letter, error) {
		if d == nil {
			return nil, record.ErrKeep
		}
		now := l.now()
		d.RedrivenAt = &now
		return d, nil
	})
	return err
}
