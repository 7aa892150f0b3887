//go:build chaos

package chaos_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/e2e"
	"lms/apps/lms/internal/system"
)

// TestBackup backs an installation up while people enroll and learn, and makes
// another one of it: what was acknowledged before is there, the databases agree
// with each other, and what was in flight comes to its end.
func TestBackup(t *testing.T) {
	s := start(t)
	const courses, people = 10, 200
	ids, who := s.courses(t, courses, nil), s.people(t, people)
	type enrolled struct{ id string }
	done := make([]atomic.Pointer[enrolled], people*courses)
	stop, half := make(chan struct{}), make(chan struct{})
	var count, failed atomic.Int64
	load := make(chan struct{})
	go func() {
		defer close(load)
		each(len(done), lanes, func(i int) {
			select {
			case <-stop:
				return
			default:
			}
			ans, err := tryKeyed(s.Teacher.API, http.MethodPost, "/api/v1/courses/"+ids[i%courses]+"/enrollments", map[string]any{"user_id": who[i/courses]})
			if err != nil || ans.Status >= 300 {
				failed.Add(1)
				return
			}
			var e struct{ ID string }
			if json.Unmarshal(ans.Body, &e) == nil {
				done[i].Store(&enrolled{e.ID})
			}
			if count.Add(1) == int64(len(done)/4) {
				close(half)
			}
		})
	}()
	<-half
	before := map[string]bool{}
	for i := range done {
		if e := done[i].Load(); e != nil {
			before[e.id] = true
		}
	}
	dir := filepath.Join(t.TempDir(), "backup")
	began := time.Now()
	var made struct {
		Bytes int64 `json:"bytes"`
	}
	copied, err := s.LmsWithin(5*time.Minute, "backup", "--json", dir)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal([]byte(copied), &made))
	took := time.Since(began)
	close(stop)
	<-load
	require.Zero(t, failed.Load(), "the load went on while it was copied")

	other := system.New(t) // both run
	var restored struct {
		InFlight map[string]struct {
			Events, Calls, Parked, Jobs int
		} `json:"in_flight"`
	}
	began = time.Now()
	out, err := other.LmsWithin(5*time.Minute, "restore", "--json", dir)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal([]byte(out), &restored))
	unpacked := time.Since(began)
	_, err = other.TryLms("restore", dir)
	require.ErrorContains(t, err, "there is an installation in")
	other.Up(t)
	var events, calls, jobs int
	for _, f := range restored.InFlight {
		events, calls, jobs = events+f.Events, calls+f.Calls, jobs+f.Jobs
	}

	r := &school{World: e2e.NewWorld(t, other), Unit: s.Unit}
	r.AwaitReady(t)
	r.quiet(t)
	r.seen(t)
	b := r.openBooks(t)
	found, rows := b.orphans(t)
	for i, f := range found {
		if i < 20 {
			t.Error(f)
		}
	}
	have := b.read(t, "enrollment", "select id::text, state from enrollments")
	lost := 0
	for id := range before {
		if have[id] == "" {
			lost++
		}
	}
	_, err = other.TryLms("recompute", "--check")
	require.NoError(t, err, "every stored number is what it is computed to be")
	measured(t, "41 backup of a running system, restored", "0 acknowledged lost, 0 differences", lost == 0 && len(found) == 0 && rows >= 200,
		"%d enrollments acknowledged before it: %d lost; %d rows of %d databases compared: %d differ; %d events, %d calls and %d jobs in flight came to their end; %.1f MB copied in %s under load, restored in %s",
		len(before), lost, rows, len(b), len(found), events, calls, jobs, float64(made.Bytes)/1e6, took.Round(100*time.Millisecond), unpacked.Round(100*time.Millisecond))

	// A backup that was touched is refused.
	raw, err := os.ReadFile(filepath.Join(dir, "secrets.json"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "secrets.json"), append(raw, ' '), 0o600))
	third := system.New(t)
	_, err = third.TryLms("restore", dir)
	require.ErrorContains(t, err, "was changed since the backup")
	require.NoError(t, os.Remove(filepath.Join(dir, "manifest.json")))
	_, err = third.TryLms("restore", dir)
	require.ErrorContains(t, err, "no whole backup")
}
