package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// PoolStats is what a connection pool tells of itself; *pgxpool.Stat is one.
type PoolStats interface {
	AcquiredConns() int32
	IdleConns() int32
	MaxConns() int32
	EmptyAcquireCount() int64
	EmptyAcquireWaitTime() time.Duration
}

type poolCollector struct {
	stats                          func() PoolStats
	conns, max, waits, waitSeconds *prometheus.Desc
}

// NewPoolCollector reads the pool's numbers whenever metrics are asked for.
func NewPoolCollector[S PoolStats](stats func() S) prometheus.Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("lms_db_pool_"+name, help, labels, nil)
	}
	return poolCollector{
		stats:       func() PoolStats { return stats() },
		conns:       desc("connections", "Connections by state.", "state"),
		max:         desc("max_connections", "The pool's limit."),
		waits:       desc("waits_total", "Times a connection had to be waited for."),
		waitSeconds: desc("wait_seconds_total", "Time spent waiting for connections."),
	}
}

func (c poolCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

func (c poolCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.stats()
	send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	send(c.conns, prometheus.GaugeValue, float64(s.AcquiredConns()), "acquired")
	send(c.conns, prometheus.GaugeValue, float64(s.IdleConns()), "idle")
	send(c.max, prometheus.GaugeValue, float64(s.MaxConns()))
	send(c.waits, prometheus.CounterValue, float64(s.EmptyAcquireCount()))
	send(c.waitSeconds, prometheus.CounterValue, s.EmptyAcquireWaitTime().Seconds())
}
