package app

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/content/internal/httpapi"
	"lms/apps/content/internal/quiz"
	contract "lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
)

func TestAQuizIsBuiltTakenAndGraded(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	e, questions := c.ready(nil)
	require.Equal(t, []string{"lms.content.quiz_created.v1", "lms.content.quiz_updated.v1", "lms.content.quiz_published.v1"}, c.types(e.ID))
	columns := said[internalapi.QuizColumn](c.world, internalapi.CallQuizColumn)
	require.Equal(t, contract.Hundredths(300), columns[len(columns)-1].Points)
	require.True(t, columns[len(columns)-1].Published)
	states := said[internalapi.ResourceState](c.world, internalapi.CallResourceState)
	require.Equal(t, contract.ItemQuiz, states[0].Kind)
	require.False(t, states[0].Published)
	require.Equal(t, c.called(internalapi.CallResourceState)[:1], c.quizzes.waited, "what was made can be placed at once")

	var shown httpapi.Quiz
	c.as(c.ada).GET(e.path("")).Expect(http.StatusOK).JSON(&shown)
	require.Equal(t, 1, *shown.Mine.AttemptsLeft)

	a := c.start(c.ada, e)
	require.Equal(t, "in_progress", a.State)
	require.Len(t, a.Questions, 3)
	var again httpapi.Attempt
	c.as(c.ada).POST(e.path("/attempts"), nil).Expect(http.StatusOK).JSON(&again)
	require.Equal(t, a.ID, again.ID, "the one in progress goes on")

	c.answer(c.ada, a, questions[0].ID, 1, choose(a.Questions[0], "one"))
	c.answer(c.ada, a, questions[1].ID, 1, choose(a.Questions[1], "other"))
	done := c.submit(c.ada, a)
	require.Equal(t, "graded", done.State)
	require.Equal(t, "1", hundredths(t, done.Score))
	require.Equal(t, "3", hundredths(t, done.Possible))
	require.Equal(t, "learner", *done.EndedBy)
	require.Equal(t, []string{"lms.content.attempt_started.v1", "lms.content.attempt_submitted.v1", "lms.content.quiz_graded.v1"}, c.types(a.ID))
	graded := last[contract.QuizGraded](c.world, a.ID)
	require.Equal(t, contract.Hundredths(100), *graded.Kept)
	require.Equal(t, []string{"correct", "wrong", "blank"}, []string{graded.Questions[0].Class, graded.Questions[1].Class, graded.Questions[2].Class})

	scores := said[internalapi.QuizScore](c.world, internalapi.CallQuizScore)
	require.Len(t, scores, 1)
	require.Equal(t, contract.Hundredths(100), *scores[0].Score)
	require.True(t, scores[0].Posted)
	reports := said[internalapi.ProgressReport](c.world, internalapi.CallProgressReport)
	require.Len(t, reports, 1)
	require.Equal(t, contract.Hundredths(300), *reports[0].Grade.Possible)
	require.NotNil(t, reports[0].Submission.SubmittedAt)

	c.as(c.ada).POST(e.path("/attempts"), nil).Expect(http.StatusConflict).Code("attempts_used_up")
	c.as(c.ada).PUT(attempt(a, "/answers/"+questions[2].ID.String()), body{"seq": 9, "answer": choose(a.Questions[2], "three")}).Expect(http.StatusConflict).Code("attempt_closed")

	var review httpapi.Attempt
	c.as(c.ada).GET(attempt(a, "/review")).Expect(http.StatusOK).JSON(&review)
	require.Equal(t, []string{"well done one"}, review.Questions[0].Review.Feedback)
	require.True(t, review.Questions[1].Review.Solution.Choices[0].Correct)
}

func TestWhoMayDoWhatWithAQuiz(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	e, _ := c.ready(nil)
	draft := c.quiz(body{"title": "Draft"})
	a := c.start(c.ada, e)

	for name, r := range map[string]struct {
		method, path string
		body         any
	}{
		"patch": {http.MethodPatch, e.path(""), body{"title": "x"}}, "slots": {http.MethodPut, e.path("/slots"), body{"slots": []body{}}},
		"publish": {http.MethodPost, e.path("/publish"), nil}, "preview": {http.MethodPost, e.path("/preview"), nil},
		"override": {http.MethodPut, e.path("/overrides/" + c.ada.UserID.String()), body{}}, "overrides": {http.MethodGet, e.path("/overrides"), nil},
		"grade": {http.MethodPut, e.path("/grades/" + c.ada.UserID.String()), body{"score": 1}}, "grades": {http.MethodGet, e.path("/grades"), nil},
		"regrade": {http.MethodPost, e.path("/regrade"), nil}, "statistics": {http.MethodGet, e.path("/statistics"), nil},
		"slots read": {http.MethodGet, e.path("/slots"), nil}, "reopen": {http.MethodPost, attempt(a, "/reopen"), body{}},
		"grade answer": {http.MethodPut, attempt(a, "/grades/"+uuid.NewString()), body{"points": 1}},
		"create":       {http.MethodPost, "/api/v1/courses/" + c.course.String() + "/quizzes", body{"title": "x"}},
		"delete":       {http.MethodDelete, e.path(""), nil},
	} {
		t.Run(name, func(t *testing.T) {
			tag := c.as(c.ada).With("If-Match", e.tag)
			tag.Do(r.method, r.path, r.body).Expect(http.StatusForbidden)
			c.as(c.outsider).With("If-Match", e.tag).Do(r.method, r.path, r.body).Expect(http.StatusNotFound)
			c.as(c.alien).With("If-Match", e.tag).Do(r.method, r.path, r.body).Expect(http.StatusNotFound)
			c.client.Anonymous().With("If-Match", e.tag).Do(r.method, r.path, r.body).Expect(http.StatusUnauthorized)
		})
	}
	c.as(c.ada).GET(draft.path("")).Expect(http.StatusNotFound)
	c.as(c.ada).POST(draft.path("/attempts"), nil).Expect(http.StatusNotFound)
	c.as(c.bob).GET(attempt(a, "")).Expect(http.StatusNotFound)
	c.as(c.bob).PUT(attempt(a, "/answers/"+a.Questions[0].QuestionID.String()), body{"seq": 1}).Expect(http.StatusNotFound)
	c.as(c.bob).POST(attempt(a, "/submit"), nil).Expect(http.StatusNotFound)
	c.as(c.assistant).GET(attempt(a, "")).Expect(http.StatusOK)
	c.as(c.assistant).PUT(attempt(a, "/answers/"+a.Questions[0].QuestionID.String()), body{"seq": 1}).Expect(http.StatusForbidden)
	c.as(c.instructor).POST(e.path("/attempts"), nil).Expect(http.StatusConflict).Code("use_preview")
	c.as(c.assistant).POST(e.path("/preview"), nil).Expect(http.StatusForbidden) // grades, and does not edit

	var list struct{ Items []httpapi.Quiz }
	c.as(c.ada).GET("/api/v1/courses/" + c.course.String() + "/quizzes").Expect(http.StatusOK).JSON(&list)
	require.Len(t, list.Items, 1, "learners see what is published")
	c.as(c.instructor).GET("/api/v1/courses/" + c.course.String() + "/quizzes").Expect(http.StatusOK).JSON(&list)
	require.Len(t, list.Items, 2)
	c.as(c.outsider).GET("/api/v1/courses/" + c.course.String() + "/quizzes").Expect(http.StatusNotFound)
}

func TestStartingAsksEnrollmentEachTime(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	e, _ := c.ready(nil)
	for code, want := range map[string]string{internalapi.DeniedItemLocked: "item_locked", internalapi.DeniedReadOnly: "read_only", internalapi.DeniedSuspended: "suspended"} {
		c.quizzes.locked[e.ID] = quiz.Verdict{Code: code, Reasons: []string{"first do that"}}
		c.as(c.ada).POST(e.path("/attempts"), nil).Expect(http.StatusForbidden).Code(want)
	}
	c.quizzes.locked[e.ID] = quiz.Verdict{Code: internalapi.DeniedUnknown}
	c.as(c.ada).POST(e.path("/attempts"), nil).Expect(http.StatusNotFound)
	delete(c.quizzes.locked, e.ID)
	c.quizzes.asked = nil
	until := c.clock.Now().Add(time.Hour)
	c.stands(c.ada, quiz.Verdict{Allowed: true, As: internalapi.AsLearner, Until: &until})
	a := c.start(c.ada, e)
	require.WithinDuration(t, until, *a.EndsAt, time.Microsecond, "access ends it (rule 28)")
	fresh := false
	for _, ask := range c.quizzes.asked {
		fresh = fresh || ask.Action == internalapi.ActionSubmit && ask.Fresh && *ask.QuizID == e.ID
	}
	require.True(t, fresh, "starting is never answered from memory")
}

func TestAnAttemptEndsByItself(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	e, questions := c.ready(body{"time_limit_seconds": 600})
	a := c.start(c.ada, e)
	require.Equal(t, 10*time.Minute, a.EndsAt.Sub(a.StartedAt))
	c.answer(c.ada, a, questions[0].ID, 1, choose(a.Questions[0], "one"))

	c.clock.Advance(10*time.Minute + grace)
	c.answer(c.ada, a, questions[1].ID, 1, choose(a.Questions[1], "two")) // on its way
	c.sweep()
	var now httpapi.Attempt
	c.as(c.ada).GET(attempt(a, "")).Expect(http.StatusOK).JSON(&now)
	require.Equal(t, "in_progress", now.State, "the grace is not over")

	c.clock.Advance(time.Second)
	c.as(c.ada).PUT(attempt(a, "/answers/"+questions[2].ID.String()), body{"seq": 1, "answer": choose(a.Questions[2], "three")}).Expect(http.StatusConflict).Code("attempt_closed")
	c.clock.Advance(48 * time.Hour) // the service was down
	c.sweep()
	c.as(c.ada).GET(attempt(a, "")).Expect(http.StatusOK).JSON(&now)
	require.Equal(t, "graded", now.State)
	require.Equal(t, "server", *now.EndedBy)
	require.Equal(t, *a.EndsAt, *now.FinishedAt, "finished at its end, not when somebody noticed")
	require.Equal(t, "2", hundredths(t, now.Score))
	require.Equal(t, []string{"lms.content.attempt_started.v1", "lms.content.attempt_closed.v1", "lms.content.quiz_graded.v1"}, c.types(a.ID))
	c.sweep()
	require.Len(t, c.events(a.ID), 3, "closed once")
	c.as(c.ada).POST(attempt(a, "/submit"), nil).Expect(http.StatusConflict).Code("attempt_closed")
}

func TestAClosedAttemptIsSeenByWhoeverLooksFirst(t *testing.T) {
	t.Parallel()
	for name, look := range map[string]func(*classroom, exam, httpapi.Attempt){
		"get": func(c *classroom, _ exam, a httpapi.Attempt) { c.as(c.ada).GET(attempt(a, "")).Expect(http.StatusOK) },
		"submit": func(c *classroom, _ exam, a httpapi.Attempt) {
			c.as(c.ada).POST(attempt(a, "/submit"), nil).Expect(http.StatusConflict).Code("attempt_closed")
		},
		"start": func(c *classroom, e exam, _ httpapi.Attempt) { c.start(c.ada, e) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClassroom(t)
			e, _ := c.ready(body{"time_limit_seconds": 60, "unlimited_attempts": true})
			a := c.start(c.ada, e)
			c.clock.Advance(time.Hour)
			look(c, e, a)
			var now httpapi.Attempt
			c.as(c.instructor).GET(attempt(a, "")).Expect(http.StatusOK).JSON(&now)
			require.Equal(t, "graded", now.State)
			require.Equal(t, *a.EndsAt, *now.FinishedAt)
		})
	}
}

func TestAnOlderAnswerNeverReplacesANewerOne(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	e, questions := c.ready(nil)
	a := c.start(c.ada, e)
	put := func(seq int, text string) int {
		return c.as(c.ada).PUT(attempt(a, "/answers/"+questions[0].ID.String()), body{"seq": seq, "answer": choose(a.Questions[0], text)}).Status
	}
	require.Equal(t, http.StatusOK, put(5, "one"))
	require.Equal(t, http.StatusOK, put(5, "one"), "the same again is stored already")
	require.Equal(t, http.StatusConflict, put(5, "other"))
	require.Equal(t, http.StatusConflict, put(4, "other"))
	require.Equal(t, http.StatusOK, put(6, "none"))
	c.as(c.ada).PUT(attempt(a, "/answers/"+questions[0].ID.String()), body{"seq": 1}).Expect(http.StatusConflict).Code("stale_answer")
	c.as(c.ada).PUT(attempt(a, "/answers/"+questions[0].ID.String()), body{"seq": 7, "answer": body{"choice": "zzz"}}).
		Expect(http.StatusUnprocessableEntity).Field("answer.choice", "unknown_id")
	c.as(c.ada).PUT(attempt(a, "/answers/"+questions[0].ID.String()), body{"seq": 7, "answer": body{"text": "x"}}).
		Expect(http.StatusUnprocessableEntity).Field("answer.text", "not_for_kind")
	c.as(c.ada).PUT(attempt(a, "/answers/"+uuid.NewString()), body{"seq": 7}).Expect(http.StatusNotFound)
	var now httpapi.Attempt
	c.as(c.ada).GET(attempt(a, "")).Expect(http.StatusOK).JSON(&now)
	require.Equal(t, int64(6), now.Questions[0].AnswerSeq)
	c.as(c.ada).PUT(attempt(a, "/answers/"+questions[0].ID.String()), body{"seq": 8}).Expect(http.StatusOK)
	var later httpapi.Attempt
	c.as(c.ada).GET(attempt(a, "")).Expect(http.StatusOK).JSON(&later)
	require.Nil(t, later.Questions[0].Answer, "taken back")
}
