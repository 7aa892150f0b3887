package app

import (
	"context"
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
	mail, _ := b.service.Queues()
	w.loop(mail.Shards(), b.service.RunMail)
}

// loop runs a loop for each shard until the test ends.
func (w *world) loop(shards int, run func(context.Context, int) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for shard := range shards {
		wg.Go(func() {
			for ctx.Err() == nil {
				_ = run(ctx, shard) // its owner starts it again
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
