// Package telemetry gives a program its tracer and its metrics. Nothing in it
// is global: what measures or traces gets it passed in.
package telemetry

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Options of New.
type Options struct {
	Service     string
	Environment string
	// Export sends spans by OTLP over HTTP to where OTEL_EXPORTER_OTLP_ENDPOINT
	// points. Without it no span is made, but a trace that a caller began is
	// still carried on to whom this service calls.
	Export bool
	// SampleRatio is the share of traces begun here that are exported, 0 to 1.
	// A trace begun elsewhere follows its own flag.
	SampleRatio float64
}

// Telemetry is what a service measures and traces with.
type Telemetry struct {
	Tracer     trace.Tracer
	Propagator propagation.TextMapPropagator
	Registry   *prometheus.Registry
	Metrics    *Metrics
	shutdown   func(context.Context) error
}

// New does not connect to anything: an exporter that cannot reach its collector
// drops spans and delays nobody.
func New(ctx context.Context, o Options) (*Telemetry, error) {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	t := &Telemetry{
		Propagator: propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
		Registry:   reg,
		Metrics:    newMetrics(reg),
		Tracer:     noop.NewTracerProvider().Tracer("lms"),
		shutdown:   func(context.Context) error { return nil },
	}
	if !o.Export {
		return t, nil
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(o.SampleRatio))),
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", o.Service),
			attribute.String("deployment.environment.name", o.Environment),
		)),
	)
	t.Tracer, t.shutdown = provider.Tracer("lms"), provider.Shutdown
	return t, nil
}

// Handler serves the metrics in Prometheus' text format.
func (t *Telemetry) Handler() http.Handler {
	return promhttp.HandlerFor(t.Registry, promhttp.HandlerOpts{Timeout: 5 * time.Second, MaxRequestsInFlight: 4})
}

// Shutdown sends what is still waiting.
func (t *Telemetry) Shutdown(ctx context.Context) error { return t.shutdown(ctx) }
