//go:build bench

package app

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"github.com/stretchr/testify/require"

	"lms/apps/analytics/internal/history"
	"lms/apps/analytics/internal/historytest"
	"lms/apps/analytics/internal/report"
	"lms/shared/inbox"
)

var figureEvents = flag.Int("events", 1_000_000, "how many events are made for the figures") //nolint:gochecknoglobals // a flag

// TestFigures measures intake, rebuild and reports over a million events, and holds
// every report against a plain recomputation, number for number.
func TestFigures(t *testing.T) {
	s := historytest.Make(historytest.Options{Seed: 42, Events: *figureEvents, Courses: 200, Begins: time.Date(2025, 11, 1, 0, 0, 0, 0, time.UTC), Days: 330})
	w := newWorldIn(t, s.Tenant, s.Units)
	intake(t, w, s)

	rebuild(t, w)
	speed(t, w, s)
	compareAll(t, w, s, newModel(t, s.Events))
	figure("reports equal to a plain recomputation of", "%.0f events", float64(len(s.Events)))
}

// rebuild adds everything up anew, and compares that with what was added up as it came.
func rebuild(t *testing.T, w *world) {
	t.Helper()
	run, err := w.service.BeginRebuild(t.Context())
	require.NoError(t, err)
	began, before := time.Now(), processor(t, w)
	events := 0
	for more := true; more; {
		var n int
		more, n, _, _, err = w.service.RebuildStep(t.Context(), run.ID)
		require.NoError(t, err)
		events += n
	}
	figure("events added up anew, per second", "%.0f", float64(events)/time.Since(began).Seconds())
	figure("one event added up anew, of a processor", "%.1f µs", float64((processor(t, w)-before).Microseconds())/float64(events))
	began = time.Now()
	found, err := w.service.FinishRebuild(t.Context(), run.ID, false)
	require.NoError(t, err)
	require.Empty(t, found)
	figure("all rows compared, seconds", "%.1f", time.Since(began).Seconds())
}

// processor is the time that this process and the database have used of a processor:
// other programs that run meanwhile do not change it.
func processor(t *testing.T, w *world) time.Duration {
	t.Helper()
	var backend int
	w.scan(&backend, `select pg_backend_pid()`)
	all, err := procfs.AllProcs()
	require.NoError(t, err)
	stats := map[int]procfs.ProcStat{}
	for _, p := range all {
		if st, err := p.Stat(); err == nil { // it has just ended otherwise
			stats[p.PID] = st
		}
	}
	server, ticks := stats[backend].PPID, uint(0)
	for pid, st := range stats {
		if pid == os.Getpid() || st.PPID == server {
			ticks += st.UTime + st.STime
		}
	}
	const second = 100 // ticks, on every Linux that Go runs on
	return time.Duration(ticks+uint(stats[server].CUTime+stats[server].CSTime)) * time.Second / second
}

func figure(what, format string, v float64) { fmt.Printf("| %s | "+format+" |\n", what, v) }

// intake delivers the history as the sidecar would, a topic beside the other, while
// events are added up as they come.
func intake(t *testing.T, w *world, s *historytest.School) {
	t.Helper()
	topics := map[string][]inbox.Event{}
	var searches []history.Event
	for _, e := range s.Events {
		if e.Type == history.TypeSearched {
			searches = append(searches, e)
			continue
		}
		topic := strings.Split(e.Type, ".")[1]
		topics[topic] = append(topics[topic], w.cloud(inbox.Event{
			ID: e.ID, Type: e.Type, Time: e.Time, AggregateID: e.AggregateID, Seq: e.Seq, TenantID: e.TenantID, OrgUnitID: e.OrgUnitID, CourseID: e.CourseID, ActorID: e.ActorID, Data: e.Data,
		}))
	}
	adding := make(chan error, 1)
	stop := make(chan struct{})
	go func() {
		for {
			if err := w.service.AddUpAll(t.Context()); err != nil {
				adding <- err
				return
			}
			select {
			case <-stop:
				adding <- w.service.AddUpAll(t.Context())
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	began, before := time.Now(), processor(t, w)
	var delivered atomic.Int64
	var wg sync.WaitGroup
	for _, all := range topics {
		wg.Go(func() {
			for batch := range slices.Chunk(all, 200) {
				for _, err := range w.inbox.Apply(t.Context(), batch) {
					if err != nil {
						t.Error(err)
						return
					}
				}
				delivered.Add(int64(len(batch)))
			}
		})
	}
	wg.Wait()
	kept := time.Since(began)
	close(stop)
	require.NoError(t, <-adding)
	figure("events kept, per second", "%.0f", float64(delivered.Load())/kept.Seconds())
	figure("events kept and added up, per second", "%.0f", float64(delivered.Load())/time.Since(began).Seconds())
	figure("one event kept and added up, of a processor", "%.1f µs", float64((processor(t, w)-before).Microseconds())/float64(delivered.Load()))
	for _, e := range searches {
		w.searched(e)
	}
	w.addUp()
}

// speed asks every report again and again, of everything and of one course.
func speed(t *testing.T, w *world, s *historytest.School) {
	t.Helper()
	var all []time.Duration
	for _, r := range report.Catalogue() {
		var times []time.Duration
		for i := range 40 {
			q := url.Values{"time_zone": {"Europe/Berlin"}}
			if r.NeedsCourse || i%2 == 1 && r.About == report.AboutLearning {
				q.Set("course_id", s.Courses[i%len(s.Courses)].ID.String())
			}
			began := time.Now()
			w.as(w.root).GET("/api/v1/reports/" + string(r.Name) + "?" + q.Encode()).Expect(200)
			times = append(times, time.Since(began))
		}
		slices.Sort(times)
		all = append(all, times...)
		figure("report "+string(r.Name)+", p50 and slowest of 40", "%.0f ms", float64(times[len(times)/2].Milliseconds()))
		figure("report "+string(r.Name)+", slowest", "%.0f ms", float64(times[len(times)-1].Milliseconds()))
	}
	slices.Sort(all)
	figure(fmt.Sprintf("all reports over %d events, p99", len(s.Events)), "%.0f ms", float64(all[len(all)*99/100].Milliseconds()))
}
