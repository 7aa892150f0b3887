package outbox

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
)

// withTraceparent continues the trace in which the row was written.
func withTraceparent(ctx context.Context, traceparent string) context.Context {
	if traceparent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
}
