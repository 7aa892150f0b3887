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

// TestFigures prints what the README says: events consumed per second while mail waits
// and while mail to the same people is sent, and the list with a thousand messages.
func TestFigures(t *testing.T) {
	worldOn(t, block(t, t.TempDir()), realNow).mailed(t) // before there is other mail
	waits := worldOn(t, block(t, t.TempDir()), realNow)
	sends := worldOn(t, block(t, t.TempDir()), realNow)
	sends.serve(sends.built)
	for _, people := range []int{200, 20, 1} {
		// One after the other, so that a machine that drifts drifts for both.
		alone, beside := waits.consumed(people), sends.consumed(people)
		t.Logf("events consumed, batches of %d to %d people: %.0f per s while mail waits, %.0f while it is sent: %.2f", batchSize, people, alone, beside, beside/alone)
	}
	for what, w := range map[string]*world{"mail waits": waits, "mail is sent": sends} {
		w.listed(t, what)
	}
}

const batchSize = 200

// consumed is how many events to some people are consumed per second.
func (w *world) consumed(people int) float64 {
	const batches = 10
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
	return batches * batchSize / time.Since(began).Seconds()
}

// mailed prints how many mails go out per second, to as many people.
func (w *world) mailed(t *testing.T) {
	t.Helper()
	var b []inbox.Event
	for range batchSize {
		b = append(b, w.enrolled(w.person("en")))
	}
	w.consume(w.built, b...)
	began := time.Now()
	w.serve(w.built)
	for range batchSize {
		<-w.post.more
	}
	t.Logf("mail to %d people, one each: %.0f per s", batchSize, batchSize/time.Since(began).Seconds())
}

func (w *world) listed(t *testing.T, what string) {
	t.Helper()
	ada := w.person("en")
	for range 5 {
		var b []inbox.Event
		for range batchSize {
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
	t.Logf("list with 1,000 messages (%s), %s: p50 %s, p99 %s of %d", size(len(e.Value)), what, took[100].Round(100*time.Microsecond), took[198].Round(100*time.Microsecond), len(took))
}

func size(n int) string { return fmt.Sprintf("%d KiB", n>>10) }
