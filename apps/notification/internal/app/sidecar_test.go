package app

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/notification/internal/notification"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/dapr"
	"lms/shared/inbox"
	"lms/shared/page"
	"lms/shared/record"
	"lms/shared/testkit/sidecartest"
)

// block is the durable state block behind a sidecar of its own.
func block(t testing.TB, home string) record.Store {
	t.Helper()
	s := sidecartest.Start(t, sidecartest.Options{App: "notification", Home: home, Components: []string{"state.yaml"}})
	c, err := dapr.New(dapr.Options{HTTP: s.HTTP, GRPC: s.GRPC, APIToken: sidecartest.APIToken})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return dapr.Records{Sidecar: c, Component: component, Timeout: 10 * time.Second, Away: apperr.Unavailable("state_unavailable", "Away.")}
}

func realNow() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// serve runs the mail loops of a replica until the test ends.
func (w *world) serve(b *built) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	mail, _ := b.service.Queues()
	for shard := range mail.Shards() {
		wg.Go(func() {
			for ctx.Err() == nil {
				_ = b.service.RunMail(ctx, shard) // its owner starts it again
			}
		})
	}
	w.t.Cleanup(func() { cancel(); wg.Wait() })
}

// Reliability check 6 for this service, on the real block: the same event a hundred
// times, in parallel, to two replicas beside two sidecars on one store.
func TestTwoReplicasOnTheRealBlock(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	w := worldOn(t, block(t, home), realNow)
	other, _ := w.replica(block(t, home))
	replicas := []*built{w.built, other}
	people := make([]authz.Principal, 5)
	batch := make([]inbox.Event, len(people))
	for i := range people {
		people[i] = w.person("en")
		batch[i] = w.enrolled(people[i])
	}
	w.serve(w.built)
	w.serve(other)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			b := replicas[i%2]
			// What lost too many races comes again, as the broker would bring it.
			for range 20 {
				again := false
				for _, err := range b.consumer.Apply(context.Background(), batch) {
					again = again || err != nil
				}
				if !again {
					return
				}
			}
			t.Error("an event that can be applied was not")
		})
	}
	wg.Wait()
	for range people {
		select {
		case <-w.post.more:
		case <-time.After(30 * time.Second):
			require.Fail(t, "a mail is missing")
		}
	}
	for _, p := range people {
		list, _, err := other.service.Messages(t.Context(), p, notification.Filter{}, page.Request{})
		require.NoError(t, err)
		require.Len(t, list.Items, 1)
	}
	require.Equal(t, len(people), w.post.count())
}

// TestFigures prints what the README says: events consumed per second, and the list
// with a thousand messages.
func TestFigures(t *testing.T) {
	if testing.Short() {
		t.Skip("it measures")
	}
	w := worldOn(t, block(t, t.TempDir()), realNow)
	w.serve(w.built)
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
