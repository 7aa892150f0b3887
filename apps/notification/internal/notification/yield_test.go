package notification_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/notification/internal/notification"
)

// turns takes as many turns as there are, and gives them back with free.
func turns(t *testing.T, y notification.Yielding) (n int, free func()) {
	t.Helper()
	var all []func()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		done, err := y.Turn(ctx)
		cancel()
		if err != nil {
			return len(all), func() {
				for _, f := range all {
					f()
				}
			}
		}
		all = append(all, done)
	}
}

// While events are applied mail has few turns, but always some; afterwards it has all.
func TestMailMakesWayForEvents(t *testing.T) {
	t.Parallel()
	y := notification.NewYielding()
	idle, free := turns(t, y)
	require.Equal(t, 16, idle)
	free()
	one, other := y.Apply(), y.Apply()
	for range 2 {
		busy, free := turns(t, y)
		require.Equal(t, 4, busy)
		free()
		one()
		one = func() {}
	}
	other()
	idle, free = turns(t, y)
	require.Equal(t, 16, idle)
	free()
}
