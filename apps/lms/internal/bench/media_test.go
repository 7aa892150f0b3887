//go:build bench

package bench

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"lms/apps/lms/internal/e2e"
	"lms/apps/lms/internal/load"
	"lms/apps/lms/internal/system"
)

// TestBenchMedia measures what learners ask of content: signed addresses, for each
// of which enrollment is asked, and reports of a player.
func TestBenchMedia(t *testing.T) {
	const conns = 16
	w := e2e.NewWorld(t, system.Start(t))
	r := &report{t: t}
	defer r.print()
	teacher := w.Invite(t, "Bench Teacher", w.Org, "instructor")
	c, content := w.PlacedPDF(t, teacher.API, w.Org)
	students := make([]e2e.Person, conns)
	var wg sync.WaitGroup
	for i := range students {
		wg.Go(func() {
			students[i] = w.Invite(t, fmt.Sprintf("Bench Student %d", i), w.Org)
			students[i].DoKeyed(t, http.MethodPost, "/api/v1/courses/"+c.ID+"/enrollments", map[string]any{})
		})
	}
	wg.Wait()
	path := "/api/v1/contents/" + content
	for _, x := range []struct{ name, path, aim string }{
		{"signed addresses of a download", path + "/download?course_id=" + c.ID, ""},
		{"contents", path + "?course_id=" + c.ID, ""},
	} {
		res, err := load.Run(t.Context(), load.Options{
			Connections: conns, Duration: measure,
			Next: func(conn, _ int) (*http.Request, error) { return get(w.URL+x.path, students[conn].Token), nil },
		})
		require.NoError(t, err)
		r.add(x.name+", 16 connections", fmt.Sprintf("%.0f per s, p50 %s, p99 %s (other answers %d)", res.PerSecond(), round(res.P50), round(res.P99), res.Errors), x.aim)
	}
}
