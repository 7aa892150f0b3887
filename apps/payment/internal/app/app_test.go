package app

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/shared/config"
	"lms/shared/freeport"
	"lms/shared/service"
	"lms/shared/testkit"
)

// TestTheServiceLives starts the whole service as its binary does, without a sidecar:
// it is alive, and stops when told.
func TestTheServiceLives(t *testing.T) {
	t.Parallel()
	pool := testkit.DB(t, "payment")
	port, err := freeport.One()
	require.NoError(t, err)
	addr := freeport.Address(port)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- service.Run(ctx, "payment", config.Env{
			"LMS_LISTEN": addr, "LMS_DATABASE_URL": pool.Config().ConnString(), "LMS_LOG_LEVEL": "error", "LMS_ENVIRONMENT": "test",
			"LMS_PAYMENT_DUNNING": "1h,2h", "DAPR_HTTP_PORT": "1", "DAPR_GRPC_PORT": "1",
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

// TestTheMockStaysOutOfProduction unless it was asked for.
func TestTheMockStaysOutOfProduction(t *testing.T) {
	t.Parallel()
	pool := testkit.DB(t, "payment")
	env := config.Env{
		"LMS_LISTEN": "127.0.0.1:0", "LMS_DATABASE_URL": pool.Config().ConnString(), "LMS_LOG_LEVEL": "error", "LMS_ENVIRONMENT": "production",
		"APP_API_TOKEN": "a", "DAPR_API_TOKEN": "b",
	}
	env["LMS_PAYMENT_PROVIDER"] = "mock"
	require.ErrorContains(t, service.Run(t.Context(), "payment", env, Build), "takes no real money")
	env["LMS_PAYMENT_PROVIDER"] = "stripe"
	require.ErrorContains(t, service.Run(t.Context(), "payment", env, Build), "only mock and none are built in")
}

func TestWebhookSecretsAreRotated(t *testing.T) {
	t.Parallel()
	secret, err := "b, a", error(nil)
	s := &webhookSecrets{read: func(context.Context, string) (string, error) { return secret, err }}
	got, gerr := s.get(t.Context())
	require.NoError(t, gerr)
	require.Equal(t, []string{"b", "a"}, got)
	s.at = time.Now().Add(-2 * time.Minute)
	secret = "c"
	got, gerr = s.get(t.Context())
	require.NoError(t, gerr)
	require.Equal(t, []string{"c"}, got)
	s.at, err = time.Now().Add(-2*time.Minute), errors.New("away")
	got, gerr = s.get(t.Context())
	require.NoError(t, gerr, "a kept one outlives the sidecar")
	require.Equal(t, []string{"c"}, got)
	_, gerr = (&webhookSecrets{read: func(context.Context, string) (string, error) { return " ,", nil }}).get(t.Context())
	require.Error(t, gerr)
}
