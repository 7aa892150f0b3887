package app

import (
	"context"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/shared/config"
	"lms/shared/freeport"
	"lms/shared/service"
	"lms/shared/testkit"
)

// The service serves with nothing beside it but its database: the sidecar and
// the other services may come later.
func TestTheServiceServesBeforeItsSidecar(t *testing.T) {
	t.Parallel()
	ports, err := freeport.Pick(3)
	require.NoError(t, err)
	address := freeport.Address(ports[0])
	env := config.Env{
		"LMS_LISTEN": address, "LMS_DATABASE_URL": testkit.DB(t, "user").Config().ConnString(), "LMS_OBJECTS_URL": "file://" + t.TempDir(),
		"LMS_ENVIRONMENT": "development", "LMS_USER_PASSWORD_SLOTS": "1",
		"DAPR_HTTP_PORT": strconv.Itoa(ports[1]), "DAPR_GRPC_PORT": strconv.Itoa(ports[2]), "DAPR_API_TOKEN": "a", "APP_API_TOKEN": "b",
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- service.Run(ctx, "user", env, Build) }()
	status := func(path string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0
		}
		defer func() { _ = resp.Body.Close() }()
		return resp.StatusCode
	}
	require.Eventually(t, func() bool { return status("/healthz") == http.StatusOK }, 20*time.Second, 20*time.Millisecond)
	require.Equal(t, http.StatusServiceUnavailable, status("/readyz"), "not ready without the sidecar, but there")
	require.Equal(t, http.StatusUnauthorized, status("/api/v1/me"))
	require.Equal(t, http.StatusUnauthorized, status("/internal/authz/snapshot"))
	stop()
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(20 * time.Second):
		require.Fail(t, "the service does not stop")
	}
}

func TestSettingsThatDoNotFitAreRefused(t *testing.T) {
	t.Parallel()
	_, err := Config{RegistrationOrgUnit: "not an id"}.domain("http://lms.test/")
	require.Error(t, err)
	got, err := Config{Registration: true, PersonServices: []string{"course"}}.domain("http://lms.test/")
	require.NoError(t, err)
	require.Equal(t, "http://lms.test", got.PublicURL)
	require.Equal(t, []string{"course"}, got.PersonServices)
}
