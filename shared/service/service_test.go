package service_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/shared/apperr"
	"lms/shared/service"
	"lms/shared/web"
)

func nothing(context.Context, *service.Kit) error { return nil }

func TestServiceAndSidecarStartInAnyOrder(t *testing.T) {
	t.Parallel()
	n := newNeighbours(t)
	began := time.Now()
	s := run(t, n.env(), nothing)
	status, body := s.get("/healthz")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "ok\n", body)
	require.Less(t, time.Since(began), 2*time.Second, "nothing waits for the sidecar")

	status, body = s.get("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	var doc struct {
		Ready  bool
		Checks map[string]struct {
			OK    bool
			Error string
		}
	}
	require.NoError(t, json.Unmarshal([]byte(body), &doc))
	require.False(t, doc.Checks["sidecar"].OK)
	require.Contains(t, doc.Checks["sidecar"].Error, "sidecar_unavailable")
	require.False(t, doc.Checks["authorization snapshot"].OK)

	n.start()
	s.waitReady()
	status, body = s.get("/metrics")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, `lms_dapr_call_seconds_count{kind="invoke",result="ok",target="user"}`)
	require.NoError(t, s.stop())
}

func TestAMissingComponentIsNamed(t *testing.T) {
	t.Parallel()
	n := newNeighbours(t)
	n.components = []string{"events-course", "secrets"}
	s := run(t, n.start().env(), nothing)
	status, body := s.get("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, body, `"cache_missing: The sidecar has not loaded cache: the profile lacks it, its scopes leave course out, or it could not start;`)
	require.NotContains(t, body, "events-course", "what is there is not named")
}

func TestAStoreThatDoesNotAnswerIsNamed(t *testing.T) {
	t.Parallel()
	n := newNeighbours(t).start()
	s := run(t, n.env(), nothing)
	s.waitReady()
	n.breakState("connection refused")
	require.Eventually(t, func() bool {
		status, body := s.get("/readyz")
		return status == http.StatusOK && strings.Contains(body, "the state store cache does not answer: ") && strings.Contains(body, "connection refused")
	}, 10*time.Second, 50*time.Millisecond, "it works on without its cache, and says so")
}

func TestOptionalChecksAreReportedOnly(t *testing.T) {
	t.Parallel()
	s := run(t, newNeighbours(t).start().env(), func(_ context.Context, k *service.Kit) error {
		k.Ready("search index", false, func(context.Context) error { return errors.New("rebuilding") })
		return nil
	})
	s.waitReady()
	_, body := s.get("/readyz")
	require.Contains(t, body, `"search index":{"ok":false,"essential":false,"error":"rebuilding"}`)
}

func TestStoppingLetsRequestsAndLoopsEnd(t *testing.T) {
	t.Parallel()
	n := newNeighbours(t).start()
	entered, release := make(chan struct{}), make(chan struct{})
	loopEnded := make(chan struct{})
	s := run(t, n.env("LMS_DRAIN_DELAY", "300ms"), func(_ context.Context, k *service.Kit) error {
		web.Raw(k.Web, web.Op{Method: http.MethodGet, Path: "/api/v1/slow", ID: "slow", Summary: "Slow", Access: web.Public()},
			func(w http.ResponseWriter, _ *http.Request) error {
				close(entered)
				<-release
				_, err := w.Write([]byte("done"))
				return err
			})
		k.Go("watch", func(ctx context.Context) error { <-ctx.Done(); close(loopEnded); return nil })
		return nil
	})
	answer := make(chan string, 1)
	go func() { _, body := s.get("/api/v1/slow"); answer <- body }()
	<-entered
	ended := make(chan error, 1)
	go func() { ended <- s.stop() }()
	require.Eventually(t, func() bool {
		status, _ := s.get("/readyz")
		return status == http.StatusServiceUnavailable
	}, 5*time.Second, 5*time.Millisecond, "not ready any more, but still served")
	select {
	case <-loopEnded:
		require.Fail(t, "loops outlive requests")
	default:
	}
	close(release)
	require.Equal(t, "done", <-answer)
	require.NoError(t, <-ended)
	<-loopEnded
	require.Contains(t, s.logs.String(), `"msg":"stopped"`)
}

func TestARequestThatNeverEndsDoesNotHoldTheStop(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	s := run(t, newNeighbours(t).env("LMS_SHUTDOWN_TIMEOUT", "200ms"), func(_ context.Context, k *service.Kit) error {
		web.Raw(k.Web, web.Op{Method: http.MethodGet, Path: "/api/v1/hangs", ID: "hangs", Summary: "Hangs", Access: web.Public(), Timeout: -1},
			func(_ http.ResponseWriter, r *http.Request) error {
				close(entered)
				<-r.Context().Done()
				return r.Context().Err()
			})
		return nil
	})
	go s.get("/api/v1/hangs")
	<-entered
	require.ErrorContains(t, s.stop(), "requests did not end in time")
}

func TestLoopsComeBackAfterAFailure(t *testing.T) {
	t.Parallel()
	var tries, rounds atomic.Int64
	s := run(t, newNeighbours(t).env(), func(_ context.Context, k *service.Kit) error {
		k.Go("fragile", func(context.Context) error {
			if tries.Add(1) == 1 {
				panic("once")
			}
			return nil
		})
		k.Every("often", 10*time.Millisecond, func(context.Context) error {
			if rounds.Add(1)%2 == 0 {
				return errors.New("every other time")
			}
			return nil
		})
		return nil
	})
	require.Eventually(t, func() bool { return tries.Load() == 2 && rounds.Load() > 5 }, 5*time.Second, 10*time.Millisecond)
	require.NoError(t, s.stop())
	after := rounds.Load()
	require.Contains(t, s.logs.String(), `"loop":"fragile"`)
	require.Contains(t, s.logs.String(), "panic: once")
	require.Equal(t, after, rounds.Load())
}

func TestAServiceRefusesToStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, taken.Close()) })
	for name, tc := range map[string]struct {
		change map[string]string
		build  service.Build
		want   string
	}{
		"misspelt":        {map[string]string{"LMS_LISTN": "x"}, nothing, "unknown LMS_LISTN"},
		"misspelt own":    {map[string]string{"LMS_COURSE_SIZ": "1"}, nothing, "unknown LMS_COURSE_SIZ"},
		"no inbox":        {map[string]string{"LMS_ENVIRONMENT": "production", "LMS_TEST_WITHOUT": "inbox"}, nothing, "never in production"},
		"no tokens":       {map[string]string{"LMS_ENVIRONMENT": "production", "APP_API_TOKEN": ""}, nothing, "production needs APP_API_TOKEN"},
		"environment":     {map[string]string{"LMS_ENVIRONMENT": "prod"}, nothing, `LMS_ENVIRONMENT is "prod"`},
		"log level":       {map[string]string{"LMS_LOG_LEVEL": "loud"}, nothing, `log level "loud"`},
		"address in use":  {map[string]string{"LMS_LISTEN": taken.Addr().String()}, nothing, "address already in use"},
		"database syntax": {map[string]string{"LMS_DATABASE_URL": "nonsense://"}, nothing, "LMS_DATABASE_URL"},
		"no database": {
			map[string]string{"LMS_DATABASE_URL": "postgres://u:hunter2@127.0.0.1:1/d", "LMS_STARTUP_TIMEOUT": "50ms"},
			nothing,
			"the database did not answer within 50ms",
		},
		"build": {nil, func(context.Context, *service.Kit) error { return errors.New("no") }, "build: no"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := newNeighbours(t).env()
			for k, v := range tc.change {
				env[k] = v
			}
			err := service.RunTo(context.Background(), "course", env, tc.build, &logs{})
			require.ErrorContains(t, err, tc.want)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func TestOwnConfigurationIsLoadedAndKnown(t *testing.T) {
	t.Parallel()
	var own struct {
		MaxSize int    `default:"3"`
		Secret  string `secret:"true"`
	}
	env := newNeighbours(t).env("LMS_COURSE_MAX_SIZE", "7", "LMS_COURSE_SECRET", "hunter2", "LMS_USER_ANYTHING", "x", "LMS_LOG_LEVEL", "debug")
	s := run(t, env, func(_ context.Context, k *service.Kit) error { return k.LoadConfig(&own) })
	require.Equal(t, 7, own.MaxSize)
	status, _ := s.get("/healthz")
	require.Equal(t, http.StatusOK, status)
	require.NoError(t, s.stop())
	require.Contains(t, s.logs.String(), `"LMS_COURSE_MAX_SIZE":"7"`)
	require.NotContains(t, s.logs.String(), "hunter2")
}

func TestItSpeaksHTTP2WithoutTLS(t *testing.T) {
	t.Parallel()
	s := run(t, newNeighbours(t).env(), nothing)
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: protocols}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+s.addr+"/healthz", nil)
	require.NoError(t, err)
	resp, err := tr.RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, 2, resp.ProtoMajor)
}

func TestErrorsOfARouteAreProblems(t *testing.T) {
	t.Parallel()
	s := run(t, newNeighbours(t).env("LMS_PPROF", "true"), func(_ context.Context, k *service.Kit) error {
		require.ErrorContains(t, k.NeedsDatabase(), "LMS_DATABASE_URL")
		web.Raw(k.Web, web.Op{Method: http.MethodGet, Path: "/api/v1/no", ID: "no", Summary: "No", Access: web.Public()},
			func(http.ResponseWriter, *http.Request) error { return apperr.Conflict("taken", "It is taken.") })
		return nil
	})
	status, body := s.get("/api/v1/no")
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, body, `"code":"taken"`)
	status, _ = s.get("/debug/pprof/goroutine")
	require.Equal(t, http.StatusOK, status)
	status, body = s.do(http.MethodGet, "/dapr/subscribe", "", "", "dapr-api-token", "from-sidecar")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "[]", body)
}
