//go:build bench

package app

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/shared/authz"
	"lms/shared/inbox"
)

// TestFigures prints what the README says: events consumed per second, and the list
// with a thousand messages.
func TestFigures(t *testing.T) {
	t.Run("mail waits", func(t *testing.T) { figures(t, worldOn(t, block(t, t.TempDir()), realNow)) })
	t.Run("mail is sent meanwhile", func(t *testing.T) {
		w := worldOn(t, block(t, t.TempDir()), realNow)
		w.serve(w.built)
		figures(t, w)
	})
}

func figures(t *testing.T, w *world) {
	t.Helper()
	const batchSize, batches = 200, 10
	for name, people := range map[string]int{"200 people": 200, "20 people": 20, "one person": 1} {
		known := make([]authz.Principal, people)
		for i := range known {
			known[i] = w.person("en")
		}
		all := make([][]inbox.Event, batches)
		for i := range all {
			for j := range batchSize {
				all[i] = append(all[i], w.enrolled(known[j%people]))
			}
		}
		began := time.Now()
		for _, b := range all {
			w.consume(w.built, b...)
		}
		t.Logf("events consumed, batches of %d to %s: %.0f per s", batchSize, name, float64(batches*batchSize)/time.Since(began).Seconds())
	}
	ada := w.person("en")
	for range 5 {
		var b []inbox.Event
		for range 200 {
			b = append(b, w.enrolled(ada))
		}
		w.consume(w.built, b...)
	}
	mine := w.As(ada)
	took := make([]time.Duration, 200)
	for i := range took {
		began := time.Now()
		mine.GET(api + "/notifications?limit=50").Expect(http.StatusOK)
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	e, err := w.store.Get(t.Context(), "person."+ada.UserID.String())
	require.NoError(t, err)
	t.Logf("list with 1,000 messages (%s): p50 %s, p99 %s of %d", size(len(e.Value)), took[100].Round(100*time.Microsecond), took[198].Round(100*time.Microsecond), len(took))
}

func size(n int) string { return fmt.Sprintf("%d KiB", n>>10) }
