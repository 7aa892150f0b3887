//go:build bench

package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/system"
)

type status struct {
	ReadyMS int64 `json:"ready_ms"`
	Totals  map[string]struct {
		Processes int   `json:"processes"`
		PSS       int64 `json:"pss"`
	} `json:"totals"`
}

func statusOf(t *testing.T, s *system.System) (st status) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(s.Lms(t, "status", "--json")), &st))
	return st
}

// memory starts the core services alone, from a source tree that has no others,
// and looks at them when nobody has called for a while.
func memory(t *testing.T, r *report) {
	core := []string{"user", "auth", "course", "enrollment", "gateway"} // those whose memory has an aim
	tree := t.TempDir()
	for _, name := range []string{"go.mod", "components", "dapr"} {
		require.NoError(t, os.Symlink(filepath.Join(system.Root(t), name), filepath.Join(tree, name)))
	}
	require.NoError(t, os.Mkdir(filepath.Join(tree, "apps"), 0o755))
	for _, name := range core {
		require.NoError(t, os.Symlink(filepath.Join(system.Root(t), "apps", name), filepath.Join(tree, "apps", name)))
	}
	t.Run("memory", func(t *testing.T) { // it stops at the end of this
		s := system.Start(t, "--root", tree)
		r.idle(t, s, fmt.Sprintf("memory idle, %d services", len(core)), "≤ 300 MB")
	})
}

// idle waits until what was busy has come to rest, and looks several times.
func (r *report) idle(t *testing.T, s *system.System, what, aim string) {
	tick := time.NewTicker(30 * time.Second) // in which idle connections end
	defer tick.Stop()
	<-tick.C
	var found []int64
	for range rounds {
		<-tick.C
		found = append(found, statusOf(t, s).Totals["all"].PSS)
	}
	slices.Sort(found)
	r.add(fmt.Sprintf("%s, %d processes, proportional set size", what, statusOf(t, s).Totals["all"].Processes),
		fmt.Sprintf("%d MB", found[rounds/2]>>20), aim)
}

// start takes the time of warm starts.
func start(t *testing.T, s *system.System, r *report) {
	var took []int64
	for range rounds {
		s.Lms(t, "down")
		s.Up(t)
		took = append(took, statusOf(t, s).ReadyMS)
	}
	slices.Sort(took)
	r.add(fmt.Sprintf("warm start to a green /readyz, %d processes", statusOf(t, s).Totals["all"].Processes),
		fmt.Sprintf("%.1f s", float64(took[rounds/2])/1000), "≤ 6 s")
}
