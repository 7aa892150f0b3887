package web

import (
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"lms/shared/telemetry"
)

// observer writes the metrics (rate, errors, duration by route), the span and
// the log line of each request.
type observer struct {
	metrics    *telemetry.Metrics
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
}

func newObserver(o Options) *observer {
	ob := &observer{metrics: o.Metrics, tracer: o.Tracer, propagator: o.Propagator}
	if ob.propagator == nil {
		ob.propagator = propagation.TraceContext{}
	}
	return ob
}

// begin starts what is observed of a request; the returned function ends it.
func (o *observer) begin(x *exchange, req *http.Request) func() {
	o.metrics.InFlight(1)
	if len(req.Header["Traceparent"]) > 0 && !x.router.outside {
		x.ctx.Context = o.propagator.Extract(x.ctx.Context, propagation.HeaderCarrier(req.Header))
	}
	var span trace.Span
	if o.tracer != nil {
		x.ctx.Context, span = o.tracer.Start(x.ctx.Context, req.Method, trace.WithSpanKind(trace.SpanKindServer))
	}
	return func() { o.end(x, span) }
}

func (o *observer) end(x *exchange, span trace.Span) {
	took := time.Since(x.start)
	o.metrics.InFlight(-1)
	status := x.status
	switch {
	case x.gone:
		status = 499
	case status == 0:
		status = http.StatusOK // net/http answers so when nothing was written
	}
	o.metrics.Request(x.pattern(), knownMethod(x.req.Method), status, took)
	if span != nil {
		o.endSpan(x, span, status)
	}
	x.log(status, took)
}

// knownMethod bounds the label: a client may send any word as the method.
func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

func (o *observer) endSpan(x *exchange, span trace.Span, status int) {
	if span.IsRecording() {
		span.SetName(x.req.Method + " " + x.pattern())
		span.SetAttributes(
			attribute.String("http.request.method", x.req.Method), attribute.String("http.route", x.pattern()),
			attribute.Int("http.response.status_code", status), attribute.String("request_id", x.id))
		if status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, http.StatusText(status))
		}
	}
	span.End()
}

// log writes the access line: ids, never names, addresses or the query.
func (x *exchange) log(status int, took time.Duration) {
	if x.route != nil && x.route.Access.kind == accessSystem && status < 400 {
		return
	}
	level := slog.LevelInfo
	if status >= http.StatusInternalServerError {
		level = slog.LevelWarn // the cause has a line of its own
	}
	if !x.router.log.Enabled(&x.ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 10)
	attrs = append(attrs,
		slog.String("method", x.req.Method), slog.String("route", x.pattern()), slog.Int("status", status),
		slog.Float64("ms", float64(took.Microseconds())/1000), slog.Int64("bytes", x.written), slog.String("request_id", x.id))
	if p := x.actor.Principal; p.Service != "" {
		attrs = append(attrs, slog.String("caller", p.Service))
	} else if !p.Anonymous() {
		attrs = append(attrs, slog.String("user_id", p.UserID.String()))
	}
	if x.route == nil && x.label == "" {
		attrs = append(attrs, slog.String("path", truncate(x.req.URL.EscapedPath(), 200)))
	}
	x.router.log.LogAttrs(&x.ctx, level, "http request", attrs...)
}
