package e2e

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/system"
)

// Graded is the path of a grade: work is handed in and graded as late, a late policy
// reapplies to it, the gradebook shows both numbers, the course's grade reaches
// enrollment, and every stored number is what it is computed to be.
func Graded(t testing.TB, w *World, at Step) {
	teacher := w.Invite(t, "Grace Rader", w.Org, "instructor")
	c := w.Publish(t, teacher.API, w.Org, ThreeModules(), nil)
	student := w.Register(t, "Lee Tardy")
	enrollment := student.DoKeyed(t, http.MethodPost, "/api/v1/courses/"+c.ID+"/enrollments", map[string]any{}, http.StatusCreated).ID(t)
	at(t, "enrolled")

	course := "/api/v1/courses/" + c.ID
	essay := teacher.DoKeyed(t, http.MethodPost, course+"/assignments", map[string]any{
		"title": "Essay", "points": 20, "submission_types": []string{"text"},
	}, http.StatusCreated).ID(t)
	paper := "/api/v1/assignments/" + essay
	teacher.DoKeyed(t, http.MethodPost, paper+"/publish", map[string]any{})
	student.DoKeyed(t, http.MethodPost, paper+"/submissions", map[string]any{"text": "<p>My work.</p>"}, http.StatusCreated)
	at(t, "handed in")
	w.Replace(t, teacher.API, paper+"/grades/"+student.ID, map[string]any{"score": 18, "status": "late", "status_seconds": 3600})
	at(t, "graded")
	require.Equal(t, graded{Entered: 18, Score: 18, Current: 90}, gradebookLine(t, teacher.API, course, student.ID))

	w.Replace(t, teacher.API, course+"/late-policy", map[string]any{
		"late": map[string]any{"enabled": true, "rate": 10, "interval": "day", "floor": 0}, "missing": map[string]any{"enabled": false, "rate": 100},
	})
	at(t, "late policy set")
	want := graded{Entered: 18, Deduction: 2, Score: 16, Current: 80}
	require.Eventually(t, func() bool { return gradebookLine(t, teacher.API, course, student.ID) == want }, time.Minute, 100*time.Millisecond,
		"the policy reaches all work, and both numbers are shown")

	var mine struct {
		Totals struct {
			Current float64 `json:"current"`
		} `json:"totals"`
	}
	student.Read(t, course+"/grades").JSON(t, &mine)
	require.InDelta(t, 80, mine.Totals.Current, 0)
	require.Eventually(t, func() bool {
		ans, err := teacher.Try(http.MethodGet, "/api/v1/enrollments/"+enrollment, nil)
		return err == nil && ans.Status == http.StatusOK && holds(ans.Map(t), 80)
	}, 30*time.Second, 100*time.Millisecond, "enrollment knows the posted grade")
	importAndExport(t, teacher.API, course)
	w.AwaitReady(t)
	require.Eventually(t, func() bool {
		_, err := w.TryLms("recompute", "--check")
		return err == nil
	}, time.Minute, time.Second, "every stored number is what it is computed to be")
	at(t, "recomputed")
}

// graded is a line of the gradebook, as far as it is looked at.
type graded struct{ Entered, Deduction, Score, Current float64 }

func gradebookLine(t testing.TB, s *system.API, course, user string) graded {
	t.Helper()
	var book struct {
		People []struct {
			UserID string `json:"user_id"`
			Totals struct {
				Current float64 `json:"current"`
			} `json:"totals"`
			Grades []*struct {
				Entered   float64 `json:"entered"`
				Deduction float64 `json:"deduction"`
				Score     float64 `json:"score"`
			} `json:"grades"`
		} `json:"people"`
	}
	s.Read(t, course+"/gradebook").JSON(t, &book)
	for _, p := range book.People {
		if p.UserID == user && len(p.Grades) == 1 && p.Grades[0] != nil {
			g := p.Grades[0]
			return graded{Entered: g.Entered, Deduction: g.Deduction, Score: g.Score, Current: p.Totals.Current}
		}
	}
	require.Fail(t, "the student has no grade in the gradebook")
	return graded{}
}

// holds says whether any member of an answer is the number.
func holds(m map[string]any, n float64) bool {
	for _, v := range m {
		switch x := v.(type) {
		case float64:
			if x == n {
				return true
			}
		case map[string]any:
			if holds(x, n) {
				return true
			}
		}
	}
	return false
}

// importAndExport takes the gradebook out as CSV and in again: nothing changes.
func importAndExport(t testing.TB, s *system.API, course string) {
	t.Helper()
	out := answered(t, s, course+"/gradebook", http.StatusOK, "Accept", "text/csv")
	ans, err := s.Try(http.MethodPost, course+"/gradebook/import", out.Body, "Content-Type", "text/csv", "Idempotency-Key", uuid.NewString())
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, ans.Status, string(ans.Body))
	job := ans.Header.Get("Location")
	require.Eventually(t, func() bool {
		got, err := s.Try(http.MethodGet, job, nil)
		return err == nil && got.Status == http.StatusOK && got.Map(t)["state"] == "succeeded"
	}, 30*time.Second, 100*time.Millisecond, "the import ends")
	var tally map[string]int
	require.NoError(t, json.Unmarshal(s.Read(t, job+"/result").Body, &tally))
	require.Equal(t, map[string]int{"unchanged": 1}, tally)
}
