package chaos_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/chaos"
)

func TestDeliveriesAreCounted(t *testing.T) {
	t.Parallel()
	var r chaos.Run
	r.Deliveries(map[string]bool{"a1": true, "a2": true, "a3": true, "b1": true}, []chaos.Delivery{
		{"a1", "a", 1},
		{"a3", "a", 3},
		{"a2", "a", 2}, // after a newer one
		{"a1", "a", 1}, // once more; that it is old does not count again
	})
	require.Equal(t, chaos.Run{Committed: 4, Delivered: 3, NotDelivered: 1, Redelivered: 1, OutOfOrder: 1}, r)
}

func TestOnlyZerosHold(t *testing.T) {
	t.Parallel()
	good := chaos.Run{Suite: 7, Suites: 7, NotDelivered: 3, Fetched: 3}
	require.True(t, good.Holds(), "what the broker lost is not lost")
	for _, spoil := range []func(*chaos.Run){
		func(r *chaos.Run) { r.Lost = 1 }, func(r *chaos.Run) { r.Doubled = 1 }, func(r *chaos.Run) { r.Stale = 1 }, func(r *chaos.Run) { r.Suite = 6 },
	} {
		r := good
		spoil(&r)
		require.False(t, r.Holds())
	}
}

func TestTableHasACellForEachColumn(t *testing.T) {
	t.Parallel()
	lines := strings.Split(strings.TrimSpace(chaos.Table([]chaos.Run{{Profile: "redis"}, {Profile: "nats"}})), "\n")
	require.Len(t, lines, 4)
	for _, l := range lines[1:] {
		require.Equal(t, strings.Count(lines[0], "|"), strings.Count(l, "|"))
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	require.Zero(t, chaos.Percentile(nil, 0.5))
	sorted := []time.Duration{1, 2, 3, 4}
	require.Equal(t, time.Duration(3), chaos.Percentile(sorted, 0.5))
	require.Equal(t, time.Duration(4), chaos.Percentile(sorted, 0.99))
	require.Equal(t, time.Duration(4), chaos.Percentile(sorted, 1))
}
