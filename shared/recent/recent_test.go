package recent_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/shared/clock"
	"lms/shared/recent"
)

func TestAnswersAreBelievedForAWhile(t *testing.T) {
	t.Parallel()
	now := clock.NewManual(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	a := recent.New[string, int](2*time.Second, 2, now.Now)
	_, ok := a.Get("one")
	require.False(t, ok)
	a.Put("one", 1)
	now.Advance(2*time.Second - time.Millisecond)
	v, ok := a.Get("one")
	require.True(t, ok)
	require.Equal(t, 1, v)
	now.Advance(time.Millisecond)
	_, ok = a.Get("one")
	require.False(t, ok, "its time is over")

	a.Put("one", 1)
	a.Drop("one")
	_, ok = a.Get("one")
	require.False(t, ok)
}

func TestThereAreNeverMoreThanMost(t *testing.T) {
	t.Parallel()
	now := clock.NewManual(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	a := recent.New[int, int](time.Minute, 3, now.Now)
	for i := range 10 {
		a.Put(i, i)
		known := 0
		for k := range 10 {
			if _, ok := a.Get(k); ok {
				known++
			}
		}
		require.LessOrEqual(t, known, 3)
		v, ok := a.Get(i)
		require.True(t, ok, "the last is among them")
		require.Equal(t, i, v)
	}
}
