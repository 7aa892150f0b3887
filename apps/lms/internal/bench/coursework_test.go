//go:build bench

package bench

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/e2e"
	"lms/apps/lms/internal/load"
	"lms/apps/lms/internal/system"
)

// TestBenchCoursework measures submissions: each learner hands a text in again and
// again, and each is a new attempt that counts instead of the one before.
func TestBenchCoursework(t *testing.T) {
	const conns = 16
	w := e2e.NewWorld(t, system.Start(t))
	r := &report{t: t}
	defer r.print()
	teacher := w.Invite(t, "Bench Teacher", w.Org, "instructor")
	c := w.Publish(t, teacher.API, w.Org, e2e.ThreeModules(), nil)
	assignment := teacher.DoKeyed(t, http.MethodPost, "/api/v1/courses/"+c.ID+"/assignments", map[string]any{
		"title": "Essay", "submission_types": []string{"text"},
	}, http.StatusCreated).ID(t)
	path := w.URL + "/api/v1/assignments/" + assignment
	teacher.DoKeyed(t, http.MethodPost, "/api/v1/assignments/"+assignment+"/publish", map[string]any{})
	learners := make([]e2e.Person, conns)
	fourAtATime(conns, func(i int) {
		learners[i] = w.Invite(t, fmt.Sprintf("Bench Student %d", i), w.Org)
		learners[i].DoKeyed(t, http.MethodPost, "/api/v1/courses/"+c.ID+"/enrollments", map[string]any{}, http.StatusCreated)
	})
	res, err := load.Run(t.Context(), load.Options{
		Connections: conns, Duration: measure, Warmup: warmup,
		Next: func(c, i int) (*http.Request, error) {
			return post(path+"/submissions", learners[c].Token, fmt.Sprintf(`{"text": "<p>What I think, for the %d. time.</p>"}`, i+1)), nil
		},
		Accept: func(status int) bool { return status == http.StatusCreated },
	})
	require.NoError(t, err)
	require.Zero(t, res.Errors, "%v", res.Statuses)
	r.add("submissions, 16 connections", fmt.Sprintf("%.0f per s, p50 %s, p99 %s", res.PerSecond(), round(res.P50), round(res.P99)), "")
}
