package dapr_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/shared/dapr"
	"lms/shared/inbox"
	"lms/shared/inbox/keyed"
	"lms/shared/record"
	"lms/shared/record/recordtest"
)

// component keeps the keys of all services together, as a state component does.
type component struct{ store record.Store }

func (c component) GetState(ctx context.Context, _, key string) (dapr.State, error) {
	e, err := c.store.Get(ctx, key)
	return dapr.State{Value: e.Value, ETag: e.ETag}, err
}

func (c component) SaveState(ctx context.Context, _, key string, value []byte, o dapr.SaveOptions) error {
	return c.store.Put(ctx, key, value, record.Write{ETag: o.ETag, TTL: o.TTL})
}

func TestServicesThatShareAComponentShareNoPositions(t *testing.T) {
	t.Parallel()
	shared := component{recordtest.NewMemory(time.Now)}
	places := func(prefix string) *keyed.Places {
		return keyed.NewPlaces(dapr.Records{Sidecar: shared, Component: "state", Prefix: prefix}, time.Now, nil)
	}
	one, other := places(""), places("search.")
	one.Note(inbox.Event{Stream: "course.events/3", N: 7})
	require.NoError(t, one.Flush(t.Context()))
	seen, err := one.Seen(t.Context(), "course.events")
	require.NoError(t, err)
	require.Equal(t, map[string][]inbox.Span{"course.events/3": {{From: 7, To: 7}}}, seen)
	seen, err = other.Seen(t.Context(), "course.events")
	require.NoError(t, err)
	require.Empty(t, seen, "what one service had, another has not had")
}
