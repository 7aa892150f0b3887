package load_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/load"
)

func TestARunCountsAnswersAndRefusals(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1)%4 == 0 {
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	defer srv.Close()
	r, err := load.Run(t.Context(), load.Options{
		Connections: 4, Duration: 200 * time.Millisecond,
		Next: func(_, _ int) (*http.Request, error) { return http.NewRequest(http.MethodGet, srv.URL, nil) },
	})
	require.NoError(t, err)
	require.Positive(t, r.PerSecond())
	require.Positive(t, r.Errors)
	require.Equal(t, r.Errors, r.Statuses[http.StatusTeapot])
	require.Equal(t, r.Requests, r.Statuses[http.StatusOK])
	require.LessOrEqual(t, r.P50, r.P99)
}

func TestNothingBeyondLoopbackIsLoaded(t *testing.T) {
	t.Parallel()
	_, err := load.Run(t.Context(), load.Options{
		Connections: 1, Duration: time.Second,
		Next: func(_, _ int) (*http.Request, error) {
			return http.NewRequest(http.MethodGet, "http://192.0.2.1:80/", nil)
		},
	})
	require.ErrorIs(t, err, load.ErrNotLoopback)
}
