package sweep_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/sweep"
)

// table is what a query over due rows gives: the oldest first.
type table struct{ due []uuid.UUID }

func (t *table) find(_ context.Context, skip []uuid.UUID, limit int) ([]uuid.UUID, error) {
	var out []uuid.UUID
	for _, id := range t.due {
		if !slices.Contains(skip, id) && len(out) < limit {
			out = append(out, id)
		}
	}
	return out, nil
}

func (t *table) done(id uuid.UUID) {
	t.due = slices.DeleteFunc(t.due, func(x uuid.UUID) bool { return x == id })
}

func rows(n int) *table {
	t := &table{due: make([]uuid.UUID, n)}
	for i := range t.due {
		t.due[i] = uuid.New()
	}
	return t
}

// More rows than a batch fail at the head, or are never moved: those behind them are
// done all the same, and the failures are told.
func TestWhatFailsKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	for _, still := range []error{errors.New("it cannot be done"), nil} {
		due := rows(3*sweep.Batch + 7)
		stuck := slices.Clone(due.due[:sweep.Batch+50])
		err := sweep.Each(t.Context(), due.find, func(_ context.Context, id uuid.UUID) error {
			if slices.Contains(stuck, id) {
				return still
			}
			due.done(id)
			return nil
		})
		require.Equal(t, stuck, due.due)
		if still != nil {
			require.ErrorContains(t, err, stuck[0].String())
			require.ErrorContains(t, err, stuck[len(stuck)-1].String())
		} else {
			require.NoError(t, err)
		}
	}
}

// Where everything fails the round ends.
func TestAnOutageEndsTheRound(t *testing.T) {
	t.Parallel()
	tries := 0
	err := sweep.Each(t.Context(), rows(5*sweep.MaxFailures).find, func(context.Context, uuid.UUID) error {
		tries++
		return errors.New("nobody answers")
	})
	require.Error(t, err)
	require.Equal(t, sweep.MaxFailures, tries)
}
