package app

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/shared/config"
	"lms/shared/freeport"
	"lms/shared/service"
	"lms/shared/testkit"
)

// TestTheServiceLives starts the whole service as its binary does, without a
// sidecar: it is alive, says what it lacks, and stops when told.
func TestTheServiceLives(t *testing.T) {
	t.Parallel()
	pool := testkit.DB(t, "content")
	port, err := freeport.One()
	require.NoError(t, err)
	addr := freeport.Address(port)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- service.Run(ctx, "content", config.Env{
			"LMS_LISTEN": addr, "LMS_DATABASE_URL": pool.Config().ConnString(), "LMS_LOG_LEVEL": "error", "LMS_ENVIRONMENT": "test",
			"LMS_CONTENT_SWEEP_EVERY": "2m", "LMS_OBJECTS_URL": "file://" + t.TempDir(), "DAPR_HTTP_PORT": "1", "DAPR_GRPC_PORT": "1",
		}, Build)
	}()
	require.Eventually(t, func() bool {
		res, err := http.Get("http://" + addr + "/healthz") // bounded by Eventually
		if err != nil {
			return false
		}
		return res.Body.Close() == nil && res.StatusCode == http.StatusOK
	}, 20*time.Second, 20*time.Millisecond)
	stop()
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(20 * time.Second):
		require.Fail(t, "the service did not stop")
	}
}
