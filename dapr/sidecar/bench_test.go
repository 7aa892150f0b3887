package main

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// handlerTime stands for the one transaction of a batch: a fixed part (round
// trips, commit) and a part per event.
const (
	handlerBase     = 3 * time.Millisecond
	handlerPerEvent = 50 * time.Microsecond
)

// BenchmarkBulkSubscribe measures publish → effect through two sidecars and the
// embedded broker: at 500 events/s what the latency is, and as fast as it goes
// how many events a second arrive. It is not a check; README.md holds the
// figures and the settings that follow from them.
//
//	go test -run - -bench BulkSubscribe -benchtime 1x
func BenchmarkBulkSubscribe(b *testing.B) {
	for _, partitions := range []int{1, 4, 8} {
		for _, wait := range []int{5, 10, 20, 50, 100} {
			for _, most := range []int{100, 200, 500} {
				bulk := bulkSubscribe{Enabled: true, MaxMessagesCount: most, MaxAwaitDurationMs: wait}
				name := fmt.Sprintf("partitions=%d/await=%dms/max=%d", partitions, wait, most)
				b.Run(name+"/500-per-second", func(b *testing.B) { measureLatency(b, partitions, bulk, 500, 5*time.Second) })
				b.Run(name+"/backlog", func(b *testing.B) { measureThroughput(b, partitions, bulk, 20_000) })
			}
		}
	}
}

type bench struct {
	app    *subscriber
	course *sidecar
}

func newBench(b *testing.B, partitions int, bulk bulkSubscribe, consumer bool) (*bench, func()) {
	b.Helper()
	home := newInstallation(b, installationOptions{partitions: partitions})
	it := &bench{app: newSubscriber("events-course", "course.events", bulk)}
	it.app.work = func(n int) { <-time.After(handlerBase + time.Duration(n)*handlerPerEvent) }
	it.course = home.start("course", sidecarOptions{})
	begin := func() { home.start("enrollment", sidecarOptions{app: it.app}) }
	if consumer {
		begin()
	}
	it.publish(b, "warm", 1)
	return it, begin
}

// publish sends n events of n aggregates in one bulk and returns when it began.
func (it *bench) publish(b *testing.B, prefix string, n int) time.Time {
	b.Helper()
	entries := make([]map[string]any, 0, n)
	for i := range n {
		entries = append(entries, bulkEntry(fmt.Sprintf("%s-%d", prefix, i), fmt.Sprintf("course-%d", i)))
	}
	begin := time.Now()
	got := it.course.publishBulk("events-course", "course.events", entries)
	require.Equal(b, http.StatusNoContent, got.status, string(got.body))
	return begin
}

// measureLatency publishes as the relay does when it is woken at each commit:
// small bulks, ten milliseconds apart.
func measureLatency(b *testing.B, partitions int, bulk bulkSubscribe, perSecond int, during time.Duration) {
	it, _ := newBench(b, partitions, bulk, true)
	require.Eventually(b, func() bool { return it.app.distinct() == 1 }, patience, 10*time.Millisecond)
	for b.Loop() {
		const step = 10 * time.Millisecond
		per := perSecond * int(step) / int(time.Second)
		sent := map[string]time.Time{}
		ticker := time.NewTicker(step)
		rounds := int(during / step)
		for round := range rounds {
			<-ticker.C
			prefix := fmt.Sprintf("r%d", round)
			begin := it.publish(b, prefix, per)
			for i := range per {
				sent[fmt.Sprintf("%s-%d", prefix, i)] = begin
			}
		}
		ticker.Stop()
		require.Eventually(b, func() bool { return it.app.distinct() == 1+rounds*per }, patience, 10*time.Millisecond)
		var took []time.Duration
		for _, event := range it.app.seen() {
			if begin, ok := sent[event.ID]; ok {
				took = append(took, event.At.Sub(begin))
			}
		}
		slices.Sort(took)
		for _, p := range []int{50, 99} {
			b.ReportMetric(float64(took[len(took)*p/100].Microseconds())/1000, fmt.Sprintf("p%d-ms", p))
		}
		b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "max-ms")
		b.ReportMetric(float64(len(took))/float64(it.app.batches), "events/batch")
		b.ReportMetric(0, "ns/op")
	}
}

// measureThroughput lets a consumer catch up with a backlog.
func measureThroughput(b *testing.B, partitions int, bulk bulkSubscribe, events int) {
	for b.Loop() {
		it, begin := newBench(b, partitions, bulk, false)
		const per = 500
		start := time.Now()
		for round := range events / per {
			it.publish(b, fmt.Sprintf("r%d", round), per)
		}
		b.ReportMetric(float64(events)/time.Since(start).Seconds(), "published/s")
		begin()
		require.Eventually(b, func() bool { return it.app.distinct() == 1+events }, 4*patience, 10*time.Millisecond)
		seen := it.app.seen()
		b.ReportMetric(float64(events)/seen[len(seen)-1].At.Sub(seen[0].At).Seconds(), "delivered/s")
		b.ReportMetric(float64(len(seen))/float64(it.app.batches), "events/batch")
		b.ReportMetric(0, "ns/op")
	}
}
