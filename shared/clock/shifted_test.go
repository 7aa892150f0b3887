package clock

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAShiftedClockOnlyGoesForward(t *testing.T) {
	t.Parallel()
	var c Shifted
	require.WithinDuration(t, time.Now(), c.Now(), time.Minute)
	require.True(t, c.Shift(31*24*time.Hour))
	require.WithinDuration(t, time.Now().AddDate(0, 0, 31), c.Now(), 2*time.Hour)
	require.False(t, c.Shift(time.Hour))
	require.Equal(t, 31*24*time.Hour, c.Ahead())
	require.Equal(t, time.UTC, c.Now().Location())
}
