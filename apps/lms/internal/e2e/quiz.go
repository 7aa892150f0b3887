package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/system"
)

// Sitting is an attempt as far as it is looked at.
type Sitting struct {
	ID        string  `json:"id"`
	State     string  `json:"state"`
	EndedBy   string  `json:"ended_by"`
	Score     float64 `json:"score"`
	Questions []struct {
		QuestionID string `json:"question_id"`
		Prompt     string `json:"prompt"`
		Seq        int64  `json:"answer_seq"`
		Choices    []struct {
			ID   string `json:"id"`
			Text string `json:"text"`
		} `json:"choices"`
	} `json:"questions"`
	StartedAt  time.Time  `json:"started_at"`
	EndsAt     *time.Time `json:"ends_at"`
	FinishedAt *time.Time `json:"finished_at"`
}

// Right is the answer to a question of the quiz.
func (s Sitting) Right(i int) map[string]any {
	for _, c := range s.Questions[i].Choices {
		if c.Text == "right" {
			return map[string]any{"choice": c.ID}
		}
	}
	return nil
}

// StartQuiz starts an attempt.
func StartQuiz(t testing.TB, p Person, quiz string) (s Sitting) {
	t.Helper()
	p.DoKeyed(t, http.MethodPost, "/api/v1/quizzes/"+quiz+"/attempts", map[string]any{}, http.StatusCreated).JSON(t, &s)
	require.Len(t, s.Questions, 10)
	return s
}

func save(p Person, s Sitting, i int, seq int64) (system.Answer, error) {
	return p.Try(http.MethodPut, "/api/v1/attempts/"+s.ID+"/answers/"+s.Questions[i].QuestionID, map[string]any{"seq": seq, "answer": s.Right(i)})
}

func look(t testing.TB, p Person, s Sitting) (now Sitting) {
	t.Helper()
	p.Read(t, "/api/v1/attempts/"+s.ID).JSON(t, &now)
	return now
}

// Quizzed is the path of a quiz: an instructor builds one of ten questions and puts
// it into a course; one learner completes the course by score and reads the own
// write, one runs out of time with the browser closed, one is cut off by a killed
// process in the middle of saving and loses nothing that was acknowledged.
func Quizzed(t testing.TB, w *World) {
	teacher := w.Invite(t, "Quinn Master", w.Org, "instructor")
	quiz := w.tenQuestions(t, teacher)

	ada, bob, cy := w.Register(t, "Ada Swift"), w.Register(t, "Bob Late"), w.Register(t, "Cy Killed")
	for _, p := range []Person{ada, bob, cy} {
		p.DoKeyed(t, http.MethodPost, "/api/v1/courses/"+quiz.course+"/enrollments", map[string]any{}, http.StatusCreated)
	}

	// Bob answers three and closes the browser.
	late := StartQuiz(t, bob, quiz.id)
	require.Equal(t, quizLimit, late.EndsAt.Sub(late.StartedAt))
	for i := range 3 {
		ans, err := save(bob, late, i, 1)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, ans.Status, "%s", ans.Body)
	}

	// Ada answers eight of ten: enough.
	s := StartQuiz(t, ada, quiz.id)
	for i := range 8 {
		ans, err := save(ada, s, i, 1)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, ans.Status, "%s", ans.Body)
	}
	var done Sitting
	ada.DoKeyed(t, http.MethodPost, "/api/v1/attempts/"+s.ID+"/submit", map[string]any{}).JSON(t, &done)
	require.Equal(t, "graded", done.State)
	require.InDelta(t, 8, done.Score, 1e-9)
	p := readProgress(t, ada.API, Course{ID: quiz.course})
	require.InDelta(t, 100, p.Progress.Percent, 0.001, "one reads one's own write")

	w.killedWhileSaving(t, cy, quiz.id)

	// Nobody looks at Bob's attempt: the server ends it at its time.
	require.Eventually(t, func() bool {
		ans := teacher.Read(t, "/api/v1/quizzes/"+quiz.id+"/attempts?user_id="+bob.ID)
		var list struct{ Items []Sitting }
		return json.Unmarshal(ans.Body, &list) == nil && len(list.Items) == 1 && list.Items[0].State == "graded"
	}, quizLimit+time.Minute, 200*time.Millisecond, "the server closes what is over")
	over := look(t, bob, late)
	require.Equal(t, "server", over.EndedBy)
	require.Equal(t, *late.EndsAt, *over.FinishedAt, "at its end, not when it was noticed")
	require.InDelta(t, 3, over.Score, 1e-9)
	ans, err := save(bob, late, 4, 1)
	require.NoError(t, err)
	require.Equal(t, http.StatusConflict, ans.Status)
	require.Equal(t, "attempt_closed", ans.Code(t))
	require.Less(t, readProgress(t, bob.API, Course{ID: quiz.course}).Progress.Percent, 100.0, "three of ten do not complete it")
}

// quizLimit is short, since the clock of real processes cannot be moved, and long
// enough for a process to be started again.
const quizLimit = 60 * time.Second

type builtQuiz struct{ id, course string }

// Quiz is a published quiz of ten questions, with its course.
func (w *World) Quiz(t testing.TB, teacher Person) (quiz, course string) {
	t.Helper()
	q := w.tenQuestions(t, teacher)
	return q.id, q.course
}

// tenQuestions is a published course with a published quiz of ten questions, of
// which 80 percent complete it.
func (w *World) tenQuestions(t testing.TB, teacher Person) builtQuiz {
	t.Helper()
	course := teacher.DoKeyed(t, http.MethodPost, "/api/v1/courses", map[string]any{
		"org_unit_id": w.Org, "code": "Q-" + teacher.ID[:8], "title": "A course with a quiz", "visibility": "organisation", "enrollment_mode": "self",
	}, http.StatusCreated).ID(t)
	bank := teacher.DoKeyed(t, http.MethodPost, "/api/v1/question-banks", map[string]any{"org_unit_id": w.Org, "title": "Ten questions"}, http.StatusCreated).ID(t)
	var slots []any
	for i := range 10 {
		q := teacher.DoKeyed(t, http.MethodPost, "/api/v1/question-banks/"+bank+"/questions", map[string]any{
			"title": fmt.Sprintf("Question %d", i), "definition": map[string]any{
				"kind": "single", "prompt": fmt.Sprintf("Question %d?", i),
				"choices": []any{map[string]any{"text": "right", "correct": true}, map[string]any{"text": "wrong"}, map[string]any{"text": "worse"}},
			},
		}, http.StatusCreated).ID(t)
		slots = append(slots, map[string]any{"question_id": q, "points": 1})
	}
	id := teacher.DoKeyed(t, http.MethodPost, "/api/v1/courses/"+course+"/quizzes", map[string]any{
		"title": "Ten questions", "time_limit_seconds": int(quizLimit.Seconds()), "shuffle_questions": true, "shuffle_choices": true,
	}, http.StatusCreated).ID(t)
	w.Replace(t, teacher.API, "/api/v1/quizzes/"+id+"/slots", map[string]any{"slots": slots})
	teacher.DoKeyed(t, http.MethodPost, "/api/v1/quizzes/"+id+"/publish", map[string]any{})
	// Course knows of the quiz by a reliable call.
	place := map[string]any{"modules": []any{map[string]any{"key": "one", "title": "Quiz", "items": []any{map[string]any{
		"kind": "quiz", "title": "Ten questions", "resource_id": id, "requirement": map[string]any{"kind": "min_score", "min_score": 80, "unit": "percent"},
	}}}}}
	path := "/api/v1/courses/" + course
	require.Eventually(t, func() bool {
		cur, err := teacher.Try(http.MethodGet, path+"/curriculum", nil)
		if err != nil || cur.Status != http.StatusOK {
			return false
		}
		ans, err := teacher.Try(http.MethodPut, path+"/curriculum", place, "If-Match", cur.Header.Get("ETag"))
		return err == nil && ans.Status == http.StatusOK
	}, time.Minute, 100*time.Millisecond, "the quiz is placed")
	teacher.DoKeyed(t, http.MethodPost, path+"/publish", map[string]any{})
	return builtQuiz{id: id, course: course}
}

// killedWhileSaving saves answers as fast as it can while the service is killed:
// each that was acknowledged is there afterwards.
func (w *World) killedWhileSaving(t testing.TB, p Person, quiz string) {
	t.Helper()
	s := StartQuiz(t, p, quiz)
	var mu sync.Mutex
	acknowledged := map[int]int64{}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for seq := int64(1); ; seq++ {
				select {
				case <-stop:
					return
				default:
				}
				ans, err := save(p, s, i, seq)
				if err == nil && ans.Status == http.StatusOK {
					mu.Lock()
					acknowledged[i] = seq
					mu.Unlock()
				}
			}
		})
	}
	saved := func(n int64) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			var sum int64
			for _, seq := range acknowledged {
				sum += seq
			}
			return sum >= n
		}
	}
	require.Eventually(t, saved(20), 20*time.Second, 5*time.Millisecond)
	w.Kill(t, "content", "service")
	close(stop)
	wg.Wait()
	w.AwaitReady(t)
	now := look(t, p, s)
	for i, seq := range acknowledged {
		require.GreaterOrEqual(t, now.Questions[i].Seq, seq, "an acknowledged answer is stored")
	}
	var done Sitting
	p.DoKeyed(t, http.MethodPost, "/api/v1/attempts/"+s.ID+"/submit", map[string]any{}, http.StatusOK, http.StatusConflict)
	done = look(t, p, s)
	require.Equal(t, "graded", done.State)
	require.InDelta(t, float64(len(acknowledged)), done.Score, 1e-9)
}
