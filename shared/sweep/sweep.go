// Package sweep goes through what is due, piece by piece. What cannot be done keeps
// nobody else waiting, however much of it there is, and is told of at the end.
package sweep

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
)

// Batch is how many ids are asked for at a time.
const Batch = 200

// MaxFailures ends a round: where so much fails, it is an outage.
const MaxFailures = 1000

// Each does one for all that is due. find gives at most limit ids that are due, in
// any order, and none of skip: these were tried in this round and are still due.
// The error joins what failed, each with its id.
func Each(ctx context.Context, find func(ctx context.Context, skip []uuid.UUID, limit int) ([]uuid.UUID, error), one func(context.Context, uuid.UUID) error) error {
	skip := []uuid.UUID{} // not nil: it is an argument of a query
	tried := map[uuid.UUID]bool{}
	var failed []error
	for {
		ids, err := find(ctx, skip, Batch)
		if err != nil {
			return errors.Join(append(failed, err)...)
		}
		for _, id := range ids {
			if err := ctx.Err(); err != nil {
				return errors.Join(append(failed, err)...)
			}
			if tried[id] { // found again: nothing moves it
				skip = append(skip, id)
				continue
			}
			tried[id] = true
			if err := one(ctx, id); err != nil {
				failed = append(failed, fmt.Errorf("%s: %w", id, err))
				skip = append(skip, id)
			}
		}
		if len(ids) < Batch || len(failed) >= MaxFailures {
			return errors.Join(failed...)
		}
	}
}
