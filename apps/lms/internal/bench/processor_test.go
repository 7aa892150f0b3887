//go:build bench

package bench

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"github.com/stretchr/testify/require"
)

// usage is the processor time that each part of the system has used since it
// started, by name. It says where a request's time goes on a machine that is busy
// with other things, too.
type usage map[string]time.Duration

// used adds up each process of the system with its children: PostgreSQL serves a
// connection in a process of its own, and whom it has waited for it counts itself.
func (b *bed) used(t *testing.T) usage {
	t.Helper()
	all, err := procfs.AllProcs()
	require.NoError(t, err)
	spent, children := map[int]float64{}, map[int][]int{}
	for _, p := range all {
		st, err := p.Stat()
		if err != nil {
			continue // it has just ended
		}
		spent[p.PID] = float64(st.UTime+st.STime) + float64(st.CUTime+st.CSTime)
		children[st.PPID] = append(children[st.PPID], p.PID)
	}
	const ticks = 100 // per second, on every Linux that Go runs on
	out := usage{}
	for _, p := range b.w.Status(t).Processes {
		name := p.Service
		if p.Kind == "sidecar" {
			name += " sidecar"
		}
		for tree := []int{p.PID}; len(tree) > 0; {
			pid := tree[0]
			tree = append(tree[1:], children[pid]...)
			out[name] += time.Duration(spent[pid] / ticks * float64(time.Second))
		}
	}
	return out
}

// per says what one of n requests has cost, the dearest part first.
func (u usage) per(before usage, n int) string {
	var total time.Duration
	parts := make(usage, len(u))
	for name, spent := range u {
		parts[name] = (spent - before[name]) / time.Duration(max(n, 1))
		total += parts[name]
	}
	names := slices.SortedFunc(maps.Keys(parts), func(a, b string) int { return int(parts[b] - parts[a]) })
	var said []string
	for _, name := range names {
		if parts[name] >= total/50 {
			said = append(said, fmt.Sprintf("%s %s", name, parts[name].Round(10*time.Microsecond)))
		}
	}
	return fmt.Sprintf("%s: %s", total.Round(10*time.Microsecond), strings.Join(said, ", "))
}
