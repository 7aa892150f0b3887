// Package once lets a request with an Idempotency-Key act once. Without a
// database, the key is one record in the state block, guarded by its ETag: it
// is leased while somebody works, and keeps the answer for a day.
//
// Its limit is said openly: whoever crashes between the effect and the kept
// answer leaves a lease behind, and a repetition after the lease acts again.
package once

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"lms/shared/apperr"
	"lms/shared/record"
	"lms/shared/work"
)

// How long things last.
const (
	keep    = 24 * time.Hour
	lease   = 30 * time.Second // longer than any request
	patient = 5 * time.Second  // a second request waits so long for the first
	poll    = 100 * time.Millisecond
)

// answer is the record of one key.
type answer struct {
	BodyHash []byte          `json:"body_hash"`
	Done     bool            `json:"done"`
	Result   json.RawMessage `json:"result,omitempty"`
	Refusal  *refusal        `json:"refusal,omitempty"`
	Ends     time.Time       `json:"exp"`
}

// refusal is a deterministic 4xx.
type refusal struct {
	Kind    apperr.Kind    `json:"kind"`
	Code    string         `json:"code"`
	Message string         `json:"message"`
	Fields  []apperr.Field `json:"fields,omitempty"`
	Details map[string]any `json:"details,omitempty"`
}

// Keys are the idempotency keys.
type Keys struct {
	book *record.Book[answer]
	now  func() time.Time
}

// New makes the keys.
func New(store record.Store, now func() time.Time) *Keys {
	return &Keys{book: record.NewBook(store, now, func(a *answer) time.Time { return a.Ends }), now: now}
}

// Do runs fn once per idempotency key of ctx, and without a key each time. What
// fn returns is kept as JSON for a day and given again, with repeated true; so
// it must not contain a secret. A deterministic 4xx is kept too. The same key
// with another body is 422 `idempotency_key_reused`; one that is being worked on
// for longer than 5 s, 409 `idempotency_in_progress`.
func Do[T any](ctx context.Context, k *Keys, fn func() (T, error)) (result T, repeated bool, err error) {
	id, ok := work.IdempotencyFrom(ctx)
	if !ok {
		result, err = fn()
		return result, false, err
	}
	key := keyOf(id)
	kept, err := k.acquire(ctx, key, id.BodyHash[:])
	if err != nil {
		return result, false, err
	}
	if kept != nil {
		err = kept.into(&result)
		return result, true, err
	}
	result, err = fn()
	return result, false, errors.Join(err, k.finish(ctx, key, id.BodyHash[:], result, err))
}

// Replace keeps another answer for the idempotency key of ctx, if the present one is
// still what the caller was given: for an effect that is made anew when a request
// is repeated. False says that another repetition was faster.
func Replace[T comparable](ctx context.Context, k *Keys, old, next T) (bool, error) {
	id, ok := work.IdempotencyFrom(ctx)
	if !ok {
		return false, nil
	}
	raw, err := json.Marshal(next)
	if err != nil {
		return false, apperr.Internal(fmt.Errorf("keep answer: %w", err))
	}
	replaced := false
	_, err = k.book.Update(ctx, keyOf(id), func(current *answer) (*answer, error) {
		replaced = false
		var kept T
		if current == nil || !current.Done || current.Refusal != nil || json.Unmarshal(current.Result, &kept) != nil || kept != old {
			return current, record.ErrKeep
		}
		replaced = true
		changed := *current
		changed.Result = raw
		return &changed, nil
	})
	return replaced, err
}

func keyOf(id work.Idempotency) string {
	h := sha256.Sum256([]byte(id.Caller + "\x00" + id.Route + "\x00" + id.Key))
	return "once." + base64.RawURLEncoding.EncodeToString(h[:])
}

// acquire takes the lease, or returns the kept answer.
func (k *Keys) acquire(ctx context.Context, key string, body []byte) (*answer, error) {
	deadline := k.now().Add(patient)
	for {
		var kept *answer
		var busy bool
		_, err := k.book.Update(ctx, key, func(current *answer) (*answer, error) {
			kept, busy = nil, false
			switch {
			case current == nil:
				return &answer{BodyHash: body, Ends: k.now().Add(lease)}, nil
			case string(current.BodyHash) != string(body):
				return nil, apperr.New(apperr.KindInvalid, "idempotency_key_reused", "This Idempotency-Key was used with another request body.")
			case current.Done:
				kept = current
			default:
				busy = true
			}
			return current, record.ErrKeep
		})
		if err != nil || !busy {
			return kept, err
		}
		if !k.now().Before(deadline) {
			return nil, apperr.Conflict("idempotency_in_progress", "A request with this Idempotency-Key is still running.").After(time.Second)
		}
		if err := sleep(ctx, poll); err != nil {
			return nil, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// finish keeps the answer, or frees the key when the request may be tried
// again. The effect has happened, so that this is not cut short by a client who
// has gone.
func (k *Keys) finish(ctx context.Context, key string, body []byte, result any, failure error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	next := &answer{BodyHash: body, Done: true, Ends: k.now().Add(keep)}
	switch {
	case failure == nil:
		raw, err := json.Marshal(result)
		if err != nil {
			return apperr.Internal(fmt.Errorf("keep answer: %w", err))
		}
		next.Result = raw
	case apperr.Deterministic(failure):
		e := apperr.From(failure)
		next.Refusal = &refusal{Kind: e.Kind, Code: e.Code, Message: e.Message, Fields: e.Fields, Details: e.Details}
	default:
		next = nil
	}
	_, err := k.book.Update(ctx, key, func(*answer) (*answer, error) { return next, nil })
	if failure == nil {
		// What was done is done: the answer goes out even if it cannot be kept.
		return nil
	}
	return err
}

func (a *answer) into(result any) error {
	if r := a.Refusal; r != nil {
		return &apperr.Error{Kind: r.Kind, Code: r.Code, Message: r.Message, Fields: r.Fields, Details: r.Details}
	}
	if err := json.Unmarshal(a.Result, result); err != nil {
		return apperr.Internal(fmt.Errorf("kept answer: %w", err))
	}
	return nil
}
