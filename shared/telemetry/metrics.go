package telemetry

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the measurements every service makes. All methods may be called
// on nil, so that a part of the kit works without them in a test. Labels are
// bounded: route patterns, never paths; names of handlers and apps, never ids.
type Metrics struct {
	requests      *prometheus.HistogramVec
	inFlight      prometheus.Gauge
	daprCalls     *prometheus.HistogramVec
	breakerOpen   *prometheus.GaugeVec
	outboxPending *prometheus.GaugeVec
	outboxOldest  *prometheus.GaugeVec
	outboxSent    *prometheus.CounterVec
	inboxEvents   *prometheus.CounterVec
	inboxLag      *prometheus.HistogramVec
	loopFailures  *prometheus.CounterVec
	deadLetters   prometheus.Gauge
	parkedCalls   prometheus.Gauge
	registry      prometheus.Registerer
}

func newMetrics(reg *prometheus.Registry) *Metrics {
	fast := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "lms_" + name, Help: help}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "lms_" + name, Help: help}, labels)
	}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "lms_" + name, Help: help, Buckets: fast}, labels)
	}
	m := &Metrics{
		requests:      histogram("http_request_seconds", "Requests served, by route pattern, method and status.", "route", "method", "status"),
		inFlight:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "lms_http_requests_in_flight", Help: "Requests being served."}),
		daprCalls:     histogram("dapr_call_seconds", "Calls through the sidecar, by kind, target and result.", "kind", "target", "result"),
		breakerOpen:   gauge("dapr_breaker_open", "1 while calls to the app fail fast.", "target"),
		outboxPending: gauge("outbox_pending", "Outbox rows not yet delivered, by kind.", "kind"),
		outboxOldest:  gauge("outbox_oldest_seconds", "Age of the oldest undelivered outbox row, by kind.", "kind"),
		outboxSent:    counter("outbox_total", "Outbox deliveries, by kind and result.", "kind", "result"),
		inboxEvents:   counter("inbox_events_total", "Events received, by handler and result: applied, duplicate, dead, repaired.", "handler", "result"),
		inboxLag:      histogram("inbox_lag_seconds", "From the event's time to its effect, by handler.", "handler"),
		loopFailures:  counter("loop_failures_total", "Failed rounds of background loops.", "loop"),
		deadLetters:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "lms_dead_letters", Help: "Events that could not be applied and wait for an operator."}),
		parkedCalls:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "lms_outbox_parked_calls", Help: "Reliable calls that failed for good and wait for an operator."}),
		registry:      reg,
	}
	reg.MustRegister(m.requests, m.inFlight, m.daprCalls, m.breakerOpen, m.outboxPending, m.outboxOldest, m.outboxSent,
		m.inboxEvents, m.inboxLag, m.loopFailures, m.deadLetters, m.parkedCalls)
	return m
}

// Register adds collectors of a package's own. It panics if a name is taken,
// as two metrics of one name are a mistake in the code.
func (m *Metrics) Register(cs ...prometheus.Collector) {
	if m != nil {
		m.registry.MustRegister(cs...)
	}
}

// Request notes one served request. route is the pattern ("/api/v1/courses/{id}").
func (m *Metrics) Request(route, method string, status int, took time.Duration) {
	if m != nil {
		m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Observe(took.Seconds())
	}
}

// InFlight changes the number of requests being served.
func (m *Metrics) InFlight(by int) {
	if m != nil {
		m.inFlight.Add(float64(by))
	}
}

// DaprCall notes one call through the sidecar. kind is invoke, publish, state,
// binding or secret; target an app or a component; result "ok" or an error's
// stable code.
func (m *Metrics) DaprCall(kind, target, result string, took time.Duration) {
	if m != nil {
		m.daprCalls.WithLabelValues(kind, target, result).Observe(took.Seconds())
	}
}

// Breaker notes whether calls to an app fail fast.
func (m *Metrics) Breaker(target string, open bool) {
	if m != nil {
		v := 0.0
		if open {
			v = 1
		}
		m.breakerOpen.WithLabelValues(target).Set(v)
	}
}

// OutboxBacklog notes what waits in the outbox. kind is event, call or mail.
func (m *Metrics) OutboxBacklog(kind string, pending int64, oldest time.Duration) {
	if m != nil {
		m.outboxPending.WithLabelValues(kind).Set(float64(pending))
		m.outboxOldest.WithLabelValues(kind).Set(oldest.Seconds())
	}
}

// OutboxSent notes n deliveries. result is ok, failed or parked.
func (m *Metrics) OutboxSent(kind, result string, n int) {
	if m != nil {
		m.outboxSent.WithLabelValues(kind, result).Add(float64(n))
	}
}

// Inbox notes n received events. result is applied, duplicate, dead or
// repaired (fetched from the producer; handler is then the stream).
func (m *Metrics) Inbox(handler, result string, n int) {
	if m != nil {
		m.inboxEvents.WithLabelValues(handler, result).Add(float64(n))
	}
}

// InboxLag notes how long an event took from its fact to its effect.
func (m *Metrics) InboxLag(handler string, lag time.Duration) {
	if m != nil {
		m.inboxLag.WithLabelValues(handler).Observe(lag.Seconds())
	}
}

// LoopFailed notes a failed round of a background loop.
func (m *Metrics) LoopFailed(loop string) {
	if m != nil {
		m.loopFailures.WithLabelValues(loop).Inc()
	}
}

// Waiting notes what waits for an operator.
func (m *Metrics) Waiting(deadLetters, parkedCalls int64) {
	if m != nil {
		m.deadLetters.Set(float64(deadLetters))
		m.parkedCalls.Set(float64(parkedCalls))
	}
}
