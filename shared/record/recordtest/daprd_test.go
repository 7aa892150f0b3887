package recordtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/shared/apperr"
	"lms/shared/dapr"
	"lms/shared/record"
	"lms/shared/testkit/sidecartest"
)

// block is a state block of the embedded profile as an app sees it.
func block(t *testing.T, home, app, component string) record.Store {
	t.Helper()
	s := sidecartest.Start(t, sidecartest.Options{App: app, Home: home, Components: []string{component + ".yaml"}})
	c, err := dapr.New(dapr.Options{HTTP: s.HTTP, GRPC: s.GRPC, APIToken: sidecartest.APIToken})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return dapr.Records{Sidecar: c, Component: component, Timeout: 5 * time.Second, Away: apperr.Unavailable("state_unavailable", "Away.")}
}

func TestStateBlock(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	store := block(t, home, "auth", "sessions")
	suite(t, store, func(d time.Duration) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		<-timer.C // the store has a clock of its own
	})

	t.Run("the gateway reads what auth writes", func(t *testing.T) {
		other := block(t, home, "gateway", "sessions")
		require.NoError(t, store.Put(t.Context(), "sessions.shared", []byte(`{"a":1}`), record.Write{TTL: time.Minute}))
		e, err := other.Get(t.Context(), "sessions.shared")
		require.NoError(t, err)
		require.JSONEq(t, `{"a":1}`, string(e.Value))
	})
	t.Run("a store that is away says so", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
		defer cancel()
		_, err := store.Get(ctx, "x")
		require.Error(t, err)
		require.NotErrorIs(t, err, record.ErrConflict)
	})
}

func TestDurableStateBlock(t *testing.T) {
	t.Parallel()
	suite(t, block(t, t.TempDir(), "notification", "state"), func(d time.Duration) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		<-timer.C // the store has a clock of its own
	})
}
