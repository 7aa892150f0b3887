//go:build chaos

package chaos_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/system"
)

// quizzes makes a bank with questions and a quiz of the course, which its learner
// has handed in: one question waits to be graded by hand.
func quizzes(t testing.TB, o *organisation, course string) ids {
	t.Helper()
	teacher, learner := o.Instructor.API, o.Learner.API
	bank := made(t, teacher, "/api/v1/question-banks", map[string]any{"course_id": course, "title": "A bank"})
	questions := "/api/v1/question-banks/" + bank + "/questions"
	essay := made(t, teacher, questions, map[string]any{"title": "An essay", "definition": essayQuestion()})
	spare := made(t, teacher, questions, map[string]any{"title": "In no quiz", "definition": essayQuestion()})
	quiz := made(t, teacher, "/api/v1/courses/"+course+"/quizzes", map[string]any{"title": "A quiz", "unlimited_attempts": true})
	path := "/api/v1/quizzes/" + quiz
	tag := func() string { return teacher.Read(t, path).Header.Get("ETag") }
	must(t, teacher, http.MethodPut, path+"/slots", map[string]any{"slots": []any{map[string]any{"question_id": essay, "points": 1}}}, "If-Match", tag())
	must(t, teacher, http.MethodPost, path+"/publish", map[string]any{}, "If-Match", tag())
	place(t, teacher, course, "quiz", quiz)
	must(t, teacher, http.MethodPut, path+"/overrides/"+o.Learner.ID, map[string]any{"extra_attempts": 2})

	var attempt string
	await(t, time.Minute, "the quiz can be taken", func() bool {
		ans, err := tryKeyed(learner, http.MethodPost, path+"/attempts", nil)
		require.NoError(t, err)
		if ans.Status != http.StatusCreated && ans.Status != http.StatusOK {
			require.Contains(t, []int{http.StatusNotFound, http.StatusForbidden}, ans.Status, "%s", ans.Body) // the course's change is on its way
			return false
		}
		attempt = ans.ID(t)
		return true
	})
	must(t, learner, http.MethodPut, "/api/v1/attempts/"+attempt+"/answers/"+essay, map[string]any{"seq": 1, "answer": map[string]any{"text": "What I think."}})
	must(t, learner, http.MethodPost, "/api/v1/attempts/"+attempt+"/submit", map[string]any{})
	await(t, time.Minute, "the gradebook has the quiz", func() bool {
		ans, err := teacher.Try(http.MethodGet, "/api/v1/courses/"+course+"/gradebook/columns/"+quiz, nil)
		return err == nil && ans.Status == http.StatusOK
	})
	return ids{
		"question-banks/{id}": bank, "questions/{id}": spare, "quizzes/{id}": quiz, "attempts/{id}": attempt,
		"answers/{question_id}": essay, "grades/{question_id}": essay, "overrides/{user_id}": o.Learner.ID,
		"columns/{column_id}": quiz,
		"body:bank_id":        bank,
		"upload": made(t, teacher, "/api/v1/question-banks/"+bank+"/uploads", map[string]any{
			"filename": "questions.zip", "size": 10, "sha256": strings.Repeat("0", 64),
		}),
	}
}

func essayQuestion() map[string]any { return map[string]any{"kind": "essay", "prompt": "<p>Why?</p>"} }

// place puts something into the first module of its course, so that learners see it,
// once course has heard of it.
func place(t testing.TB, teacher *system.API, course, kind, id string) {
	t.Helper()
	await(t, time.Minute, "course knows the "+kind, func() bool {
		var doc struct{ Modules []struct{ ID string } }
		cur := teacher.Read(t, "/api/v1/courses/"+course+"/curriculum")
		cur.JSON(t, &doc)
		require.NotEmpty(t, doc.Modules)
		ans, err := tryKeyed(teacher, http.MethodPost, "/api/v1/courses/"+course+"/modules/"+doc.Modules[0].ID+"/items", map[string]any{
			"kind": kind, "title": "A " + kind, "resource_id": id,
		}, "If-Match", cur.Header.Get("ETag"))
		require.NoError(t, err)
		if ans.Status >= 300 {
			require.Contains(t, string(ans.Body), "unknown_resource")
		}
		return ans.Status < 300
	})
}
