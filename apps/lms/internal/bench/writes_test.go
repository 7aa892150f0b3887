//go:build bench

package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/load"
)

// writes measures what learners change, while all that follows from it is
// published, called and applied, and how long that goes on afterwards.
func (b *bed) writes(t *testing.T, r *report) {
	b.signIn(t)
	fresh := b.students[readers:]
	var n atomic.Int64
	enroll := func(int, int) (*http.Request, error) {
		k := int(n.Add(1) - 1)
		if k >= len(fresh)*courseCount {
			return nil, io.EOF
		}
		// Neighbours in time are different courses and different students.
		return post(b.w.URL+"/api/v1/courses/"+b.courses[k%courseCount].ID+"/enrollments", fresh[(k/courseCount+k)%len(fresh)].Token, "{}"), nil
	}
	created := func(status int) bool { return status == http.StatusCreated }
	b.sustained(t, r, "enrolls", enroll, created)
	b.burst(t, r, "enrolls", enroll, created)

	b.signIn(t)
	fourAtATime(readers, func(i int) {
		for _, c := range b.courses[:readCourses] {
			// The first courses were taken for the reads.
			b.students[i].DoKeyed(t, http.MethodPost, "/api/v1/courses/"+c.ID+"/enrollments", map[string]any{}, http.StatusCreated, http.StatusConflict)
		}
	})
	var next [readers]atomic.Int64 // item of each student
	view := func(conn, _ int) (*http.Request, error) {
		who := conn % readers
		i := int(next[who].Add(1) - 1)
		if i >= readCourses*30 {
			return nil, io.EOF
		}
		c := b.courses[i/30]
		return post(b.w.URL+"/api/v1/courses/"+c.ID+"/items/"+c.Modules[i/6%5].Items[i%6].ID+"/view", b.students[who].Token, "{}"), nil
	}
	b.sustained(t, r, "progress writes", view, nil)
	b.burst(t, r, "progress writes", view, nil)
}

type requests func(c, i int) (*http.Request, error)

// sustained is the median of several rounds without a pause, and the time that
// everything takes to be told afterwards.
func (b *bed) sustained(t *testing.T, r *report, what string, next requests, accept func(int) bool) {
	var all []load.Result
	before, done := b.used(t), 0
	for range rounds {
		res, err := load.Run(t.Context(), load.Options{Connections: 16, Duration: measure, Next: next, Accept: accept})
		require.NoError(t, err)
		require.LessOrEqual(t, res.Errors, res.Requests/100, "%s: %v", what, res.Statuses)
		all = append(all, res)
		done += res.Requests
	}
	began := time.Now()
	b.drained(t)
	took := time.Since(began)
	slices.SortFunc(all, func(a, b load.Result) int { return int(a.PerSecond() - b.PerSecond()) })
	res := all[rounds/2]
	r.add(what+", 16 connections, sustained", fmt.Sprintf("%.0f per s, p50 %s, p99 %s; everything told %s after the last",
		res.PerSecond(), round(res.P50), round(res.P99), took.Round(10*time.Millisecond)), "≥ 600")
	r.add("processor time of one, until everything is told", b.used(t).per(before, done), "")
}

// burst is many at once.
func (b *bed) burst(t *testing.T, r *report, what string, next requests, accept func(int) bool) {
	const size = 1500
	var given atomic.Int64
	began := time.Now()
	res, err := load.Run(t.Context(), load.Options{
		Connections: 64, Duration: time.Minute, Accept: accept,
		Next: func(c, i int) (*http.Request, error) {
			if given.Add(1) > size {
				return nil, io.EOF
			}
			return next(c, i)
		},
	})
	require.NoError(t, err)
	took := time.Since(began)
	require.LessOrEqual(t, res.Errors, size/100, "%s: %v", what, res.Statuses)
	b.drained(t)
	r.add(fmt.Sprintf("%s, a burst of %d by 64 connections", what, size),
		fmt.Sprintf("%d in %s, p99 %s", res.Requests, took.Round(10*time.Millisecond), round(res.P99)), "all are taken")
}

// drained waits until no service has anything left to tell.
func (b *bed) drained(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		var all map[string]struct {
			Unpublished  int64 `json:"unpublished"`
			PendingCalls int64 `json:"pending_calls"`
		}
		require.NoError(t, json.Unmarshal([]byte(b.w.Lms(t, "outbox", "--json")), &all))
		for _, s := range all {
			if s.Unpublished+s.PendingCalls > 0 {
				return false
			}
		}
		return true
	}, 2*time.Minute, 50*time.Millisecond, "everything is told")
}
