package telemetry_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"

	"lms/shared/telemetry"
)

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestTraceIsCarriedOnWithoutAnExporter(t *testing.T) {
	t.Parallel()
	tel, err := telemetry.New(context.Background(), telemetry.Options{Service: "course"})
	require.NoError(t, err)
	ctx := tel.Propagator.Extract(context.Background(), propagation.HeaderCarrier{"Traceparent": {traceparent}})
	ctx, span := tel.Tracer.Start(ctx, "work")
	defer span.End()
	out := propagation.HeaderCarrier{}
	tel.Propagator.Inject(ctx, out)
	require.Equal(t, traceparent, out.Get("traceparent"))
	require.NoError(t, tel.Shutdown(context.Background()))
}

func TestExportedSpansReachTheCollector(t *testing.T) {
	got := make(chan string, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case got <- r.URL.Path:
		default:
		}
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	tel, err := telemetry.New(context.Background(), telemetry.Options{Service: "course", Export: true, SampleRatio: 1})
	require.NoError(t, err)
	_, span := tel.Tracer.Start(context.Background(), "work")
	span.End()
	require.NoError(t, tel.Shutdown(context.Background()))
	require.Equal(t, "/v1/traces", <-got)
}

func TestMetricsAreServed(t *testing.T) {
	t.Parallel()
	tel, err := telemetry.New(context.Background(), telemetry.Options{})
	require.NoError(t, err)
	m := tel.Metrics
	m.Request("/api/v1/courses/{id}", "GET", 200, 3*time.Millisecond)
	m.InFlight(1)
	m.DaprCall("invoke", "user", "ok", time.Millisecond)
	m.Breaker("user", true)
	m.OutboxBacklog("event", 3, 2*time.Second)
	m.OutboxSent("event", "ok", 2)
	m.Inbox("course-copy", "duplicate", 4)
	m.InboxLag("course-copy", time.Second)
	m.LoopFailed("sweep")
	m.Waiting(6, 7)
	m.Register(telemetry.NewPoolCollector(func() pool { return pool{} }))

	rec := httptest.NewRecorder()
	tel.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, line := range []string{
		`lms_http_request_seconds_count{method="GET",route="/api/v1/courses/{id}",status="200"} 1`,
		"lms_http_requests_in_flight 1", `lms_dapr_call_seconds_count{kind="invoke",result="ok",target="user"} 1`,
		`lms_dapr_breaker_open{target="user"} 1`, `lms_outbox_pending{kind="event"} 3`, `lms_outbox_oldest_seconds{kind="event"} 2`,
		`lms_outbox_total{kind="event",result="ok"} 2`, `lms_inbox_events_total{handler="course-copy",result="duplicate"} 4`,
		`lms_inbox_lag_seconds_count{handler="course-copy"} 1`,
		`lms_loop_failures_total{loop="sweep"} 1`, "lms_dead_letters 6", "lms_outbox_parked_calls 7",
		`lms_db_pool_connections{state="acquired"} 2`, "lms_db_pool_waits_total 5", "go_goroutines",
	} {
		require.Contains(t, rec.Body.String(), line)
	}
}

func TestMetricsMayBeAbsent(t *testing.T) {
	t.Parallel()
	var m *telemetry.Metrics
	require.NotPanics(t, func() { m.Request("/", "GET", 200, 0); m.Inbox("h", "applied", 1); m.Register() })
}

var _ telemetry.PoolStats = (*pgxpool.Stat)(nil)

type pool struct{}

func (pool) AcquiredConns() int32                { return 2 }
func (pool) IdleConns() int32                    { return 3 }
func (pool) MaxConns() int32                     { return 10 }
func (pool) EmptyAcquireCount() int64            { return 5 }
func (pool) EmptyAcquireWaitTime() time.Duration { return time.Second }
