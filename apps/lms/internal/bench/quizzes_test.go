//go:build bench

package bench

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/e2e"
	"lms/apps/lms/internal/load"
	"lms/apps/lms/internal/system"
)

// TestBenchQuizzes measures autosaves: each learner saves answers of the own
// attempt, each newer than the one before.
func TestBenchQuizzes(t *testing.T) {
	const conns = 16
	w := e2e.NewWorld(t, system.Start(t))
	r := &report{t: t}
	defer r.print()
	paths := make([]string, conns)
	answers := make([]string, conns)
	learners := make([]e2e.Person, conns)
	quiz, course := w.Quiz(t, w.Invite(t, "Bench Teacher", w.Org, "instructor"))
	fourAtATime(conns, func(i int) {
		p := w.Invite(t, fmt.Sprintf("Bench Student %d", i), w.Org)
		p.DoKeyed(t, http.MethodPost, "/api/v1/courses/"+course+"/enrollments", map[string]any{}, http.StatusCreated)
		s := e2e.StartQuiz(t, p, quiz)
		raw, err := json.Marshal(s.Right(0))
		require.NoError(t, err)
		learners[i], answers[i], paths[i] = p, string(raw), w.URL+"/api/v1/attempts/"+s.ID+"/answers/"+s.Questions[0].QuestionID
	})
	res, err := load.Run(t.Context(), load.Options{
		Connections: conns, Duration: measure, Warmup: warmup,
		Next: func(c, i int) (*http.Request, error) {
			req, err := http.NewRequest(http.MethodPut, paths[c], strings.NewReader(fmt.Sprintf(`{"seq": %d, "answer": %s}`, i+1, answers[c])))
			if err != nil {
				return nil, err
			}
			req.Header.Set("Authorization", "Bearer "+learners[c].Token)
			req.Header.Set("Content-Type", "application/json")
			return req, nil
		},
	})
	require.NoError(t, err)
	require.Zero(t, res.Errors, "%v", res.Statuses)
	r.add("autosaves, 16 connections", fmt.Sprintf("%.0f per s, p50 %s, p99 %s", res.PerSecond(), round(res.P50), round(res.P99)), "")
}
