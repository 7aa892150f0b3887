package app

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/content/internal/httpapi"
	"lms/shared/authz"
	contract "lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
)

// written is a published quiz of one essay of 10 points and one choice.
func (c *classroom) written(settings body) (exam, httpapi.Question, httpapi.Question) {
	c.t.Helper()
	b := c.bank()
	text, pick := c.question(b.ID, "text", essay("Why?")), c.question(b.ID, "pick", single("Which?", "this", "that"))
	e := c.quiz(settings)
	c.slots(&e, body{"question_id": text.ID, "points": 10}, body{"question_id": pick.ID, "points": 2.5})
	c.publish(&e)
	return e, text, pick
}

func TestAnEssayIsGradedByHand(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	e, text, _ := c.written(nil)
	a := c.start(c.ada, e)
	c.answer(c.ada, a, text.ID, 1, body{"text": "Because."})
	done := c.submit(c.ada, a)
	require.Equal(t, "submitted", done.State)
	require.Nil(t, done.Score)
	require.True(t, c.grade(e, c.ada).Pending)
	scores := said[internalapi.QuizScore](c.world, internalapi.CallQuizScore)
	require.True(t, scores[0].Pending)
	require.Nil(t, scores[0].Score)
	require.NotNil(t, scores[0].SubmittedAt)

	var list struct{ Items []httpapi.Attempt }
	c.as(c.assistant).GET(e.path("/attempts?state=submitted")).Expect(http.StatusOK).JSON(&list)
	require.Len(t, list.Items, 1)

	path := attempt(a, "/grades/"+text.ID.String())
	tag := c.as(c.assistant).GET(attempt(a, "/review")).Expect(http.StatusOK).ETag()
	c.as(c.assistant).PUT(path, body{"points": 7}).Expect(http.StatusPreconditionRequired)
	grader := c.as(c.assistant).With("If-Match", tag)
	grader.PUT(path, body{"points": 10.01}).Expect(http.StatusUnprocessableEntity).Field("points", "above_possible")
	grader.PUT(path, body{"points": 1.001}).Expect(http.StatusUnprocessableEntity).Field("points", "decimals")
	grader.PUT(path, body{"points": -1}).Expect(http.StatusUnprocessableEntity).Field("points", "range")
	grader.PUT(path, `{"points": NaN}`).Expect(http.StatusBadRequest)
	grader.PUT(attempt(a, "/grades/"+uuid.NewString()), body{"points": 1}).Expect(http.StatusNotFound)
	grader.PUT(path, body{"points": 7.25, "comment": "Good."}).Expect(http.StatusOK)
	grader.PUT(path, body{"points": 1}).Expect(http.StatusPreconditionFailed)

	var now httpapi.Attempt
	c.as(c.ada).GET(attempt(a, "/review")).Expect(http.StatusOK).JSON(&now)
	require.Equal(t, "graded", now.State)
	require.Equal(t, "7.25", hundredths(t, now.Score))
	require.Equal(t, "Good.", now.Questions[0].Review.Comment)
	require.Equal(t, contract.Hundredths(725), *last[contract.QuizGraded](c.world, a.ID).Score)
	g := c.grade(e, c.ada)
	require.False(t, g.Pending)
	require.Equal(t, "7.25", hundredths(t, g.Score))
	require.Equal(t, []string{"attempt.grade"}, c.audited(a.ID))
}

func TestATeachersWordSurvivesNewAttempts(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	e, questions := c.ready(body{"unlimited_attempts": true})
	c.take(c.ada, e, questions, 1)
	path := e.path("/grades/" + c.ada.UserID.String())
	c.as(c.instructor).PUT(path, body{"score": 3.01}).Expect(http.StatusUnprocessableEntity).Field("score", "above_possible")
	c.as(c.instructor).PUT(path, body{"score": 2.5, "note": "showed it on the board"}).Expect(http.StatusOK)
	c.take(c.ada, e, questions, 3)
	g := c.grade(e, c.ada)
	require.Equal(t, "2.5", hundredths(t, g.Score))
	require.Equal(t, "3", hundredths(t, g.KeptScore))
	scores := said[internalapi.QuizScore](c.world, internalapi.CallQuizScore)
	require.Equal(t, contract.Hundredths(250), *scores[len(scores)-1].Score)

	var mine httpapi.QuizGrade
	c.as(c.ada).GET(path).Expect(http.StatusOK).JSON(&mine)
	require.Equal(t, "2.5", hundredths(t, mine.Score))
	require.Nil(t, mine.Override, "what staff noted is theirs")
	c.as(c.bob).GET(path).Expect(http.StatusNotFound)

	c.as(c.instructor).PUT(path, body{}).Expect(http.StatusOK)
	require.Equal(t, "3", hundredths(t, c.grade(e, c.ada).Score), "taken back, the attempts count")

	// Excused, without an attempt.
	c.as(c.instructor).PUT(e.path("/grades/"+c.bob.UserID.String()), body{"excused": true}).Expect(http.StatusOK)
	reports := said[internalapi.ProgressReport](c.world, internalapi.CallProgressReport)
	newest := reports[len(reports)-1]
	require.Equal(t, c.bob.UserID, newest.UserID)
	require.NotNil(t, newest.Grade.ExcusedAt)
	require.Nil(t, newest.Submission.SubmittedAt, "a grade without an attempt is no submission (rule 6)")
	c.as(c.instructor).PUT(e.path("/grades/"+uuid.NewString()), body{"score": 1}).Expect(http.StatusUnprocessableEntity).Field("user_id", "not_a_learner")
}

func TestWhichScoreIsKept(t *testing.T) {
	t.Parallel()
	for keep, want := range map[string]string{"highest": "3", "latest": "1", "first": "2", "average": "2"} {
		t.Run(keep, func(t *testing.T) {
			t.Parallel()
			c := newClassroom(t)
			e, questions := c.ready(body{"unlimited_attempts": true, "keep": keep})
			for _, n := range []int{2, 3, 1} {
				c.take(c.ada, e, questions, n)
			}
			require.Equal(t, want, hundredths(t, c.grade(e, c.ada).Score))
		})
	}
}

func TestChangingWhatIsKeptJudgesEverybodyAnew(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	e, questions := c.ready(body{"unlimited_attempts": true})
	for _, n := range []int{3, 1} {
		c.take(c.ada, e, questions, n)
	}
	c.as(c.instructor).With("If-Match", e.tag).PATCH(e.path(""), body{"keep": "latest"}).Expect(http.StatusOK)
	c.works()
	require.Equal(t, "1", hundredths(t, c.grade(e, c.ada).Score))
	scores := said[internalapi.QuizScore](c.world, internalapi.CallQuizScore)
	require.Equal(t, contract.Hundredths(100), *scores[len(scores)-1].Score)
}

func TestScoresArePostedWhenTheyAreDue(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	due := c.clock.Now().Add(time.Hour)
	e, questions := c.ready(body{"feedback": "after_due", "due_at": due})
	longer := c.clock.Now().Add(3 * time.Hour)
	c.as(c.instructor).PUT(e.path("/overrides/"+c.bob.UserID.String()), body{"due_at": longer}).Expect(http.StatusCreated)
	c.sweep()
	a := c.take(c.ada, e, questions, 2)
	b := c.take(c.bob, e, questions, 3)
	require.Nil(t, a.Score)
	require.WithinDuration(t, due, *a.ShownAt, time.Millisecond)
	require.False(t, c.grade(e, c.ada).Posted)
	reports := said[internalapi.ProgressReport](c.world, internalapi.CallProgressReport)
	require.Nil(t, reports[0].Grade.Score, "progress knows only what the learner may see")
	require.NotNil(t, reports[0].Submission.SubmittedAt)
	c.as(c.ada).GET(attempt(a, "/review")).Expect(http.StatusForbidden).Code("feedback_hidden")

	c.clock.Advance(time.Hour + time.Second)
	c.sweep()
	require.True(t, c.grade(e, c.ada).Posted)
	require.False(t, c.grade(e, c.bob).Posted, "whose due time is later")
	c.as(c.ada).GET(attempt(a, "/review")).Expect(http.StatusOK)
	c.as(c.bob).GET(attempt(b, "/review")).Expect(http.StatusForbidden)
	reports = said[internalapi.ProgressReport](c.world, internalapi.CallProgressReport)
	require.Equal(t, contract.Hundredths(200), *reports[len(reports)-1].Grade.Score)
	c.sweep()
	require.Len(t, said[internalapi.ProgressReport](c.world, internalapi.CallProgressReport), len(reports), "said once")
	require.Contains(t, c.types(e.ID), "lms.content.quiz_due_soon.v1")
}

func TestAnOverrideMovesARunningAttempt(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	e, _ := c.ready(body{"time_limit_seconds": 600})
	a := c.start(c.ada, e)
	r := c.as(c.instructor).PUT(e.path("/overrides/"+c.ada.UserID.String()), body{"extra_time_seconds": 300, "extra_attempts": 1}).Expect(http.StatusCreated)
	var now httpapi.Attempt
	c.as(c.ada).GET(attempt(a, "")).Expect(http.StatusOK).JSON(&now)
	require.Equal(t, 15*time.Minute, now.EndsAt.Sub(now.StartedAt))
	c.as(c.instructor).With("If-Match", `"v9"`).PUT(e.path("/overrides/"+c.ada.UserID.String()), body{}).Expect(http.StatusPreconditionFailed)
	c.as(c.instructor).With("If-Match", r.ETag()).PUT(e.path("/overrides/"+c.ada.UserID.String()), body{"extra_attempts": 1}).Expect(http.StatusOK)
	c.as(c.ada).GET(attempt(a, "")).Expect(http.StatusOK).JSON(&now)
	require.Equal(t, 10*time.Minute, now.EndsAt.Sub(now.StartedAt))
	c.as(c.instructor).With("If-Match", e.tag).PATCH(e.path(""), body{"time_limit_seconds": nil, "available_until": c.clock.Now().Add(time.Minute)}).Expect(http.StatusOK)
	c.as(c.ada).GET(attempt(a, "")).Expect(http.StatusOK).JSON(&now)
	require.Equal(t, time.Minute, now.EndsAt.Sub(now.StartedAt).Round(time.Second))
	c.submit(c.ada, a)
	c.start(c.ada, e) // the extra one
	c.as(c.instructor).DELETE(e.path("/overrides/" + c.ada.UserID.String())).Expect(http.StatusNoContent)
	c.as(c.instructor).DELETE(e.path("/overrides/" + c.ada.UserID.String())).Expect(http.StatusNotFound)
}

func TestAFinishedAttemptIsReopened(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	e, text, pick := c.written(body{"time_limit_seconds": 600})
	a := c.start(c.ada, e)
	c.answer(c.ada, a, text.ID, 1, body{"text": "Because."})
	c.submit(c.ada, a)
	tag := c.as(c.instructor).GET(attempt(a, "")).Expect(http.StatusOK).ETag()
	tag = c.as(c.instructor).With("If-Match", tag).PUT(attempt(a, "/grades/"+text.ID.String()), body{"points": 4}).Expect(http.StatusOK).ETag()
	c.clock.Advance(time.Hour)
	c.as(c.instructor).POST(attempt(a, "/reopen"), body{"ends_at": c.clock.Now().Add(-time.Minute)}).Expect(http.StatusUnprocessableEntity).Field("ends_at", "past")
	c.as(c.instructor).With("If-Match", tag).POST(attempt(a, "/reopen"), body{}).Expect(http.StatusOK)
	c.as(c.instructor).POST(attempt(a, "/reopen"), body{}).Expect(http.StatusConflict).Code("attempt_in_progress")
	require.Equal(t, "4", hundredths(t, c.grade(e, c.ada).Score), "the last value stays")

	var shown httpapi.Attempt
	c.as(c.ada).GET(attempt(a, "")).Expect(http.StatusOK).JSON(&shown)
	for _, q := range shown.Questions {
		if q.QuestionID == pick.ID {
			c.answer(c.ada, a, pick.ID, 1, choose(q, "this"))
		}
	}
	done := c.submit(c.ada, a)
	require.Equal(t, "graded", done.State, "the essay was not touched, its grade stands")
	require.Equal(t, "6.5", hundredths(t, done.Score))

	c.as(c.instructor).POST(attempt(a, "/reopen"), body{}).Expect(http.StatusOK)
	c.clock.Advance(time.Second)
	c.answer(c.ada, a, text.ID, 2, body{"text": "Since."})
	require.Equal(t, "submitted", c.submit(c.ada, a).State, "another essay, another grade")
	require.Equal(t, "6.5", hundredths(t, c.grade(e, c.ada).Score))
}

func TestARegradeSaysWhoChanged(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	e, questions := c.ready(nil)
	a := c.take(c.ada, e, questions, 1) // answered "other" to two
	b := c.take(c.bob, e, questions, 3)

	// The second question's key was wrong: "other" is right.
	q := questions[1]
	d := q.Definition
	d.Choices[0].Correct, d.Choices[1].Correct = false, true
	tag := c.as(c.instructor).GET("/api/v1/questions/" + q.ID.String()).Expect(http.StatusOK).ETag()
	var changed httpapi.Question
	c.as(c.instructor).With("If-Match", tag).PATCH("/api/v1/questions/"+q.ID.String(), body{"definition": d}).Expect(http.StatusOK).JSON(&changed)
	require.Equal(t, 2, changed.Number)
	require.Equal(t, "1", hundredths(t, c.grade(e, c.ada).Score), "a pinned version stays")

	slots := func() (out httpapi.Slots, tag string) {
		r := c.as(c.instructor).GET(e.path("/slots")).Expect(http.StatusOK)
		r.JSON(&out)
		return out, r.ETag()
	}
	needed := func() bool {
		var q httpapi.Quiz
		c.as(c.assistant).GET(e.path("")).Expect(http.StatusOK).JSON(&q)
		return *q.RegradeNeeded
	}
	require.False(t, needed())
	s, tag := slots()
	two := 2
	s.Slots[1].QuestionVersion = &two
	c.as(c.instructor).With("If-Match", tag).PUT(e.path("/slots"), body{"slots": s.Slots[:2]}).Expect(http.StatusConflict).Code("quiz_in_use")
	c.as(c.instructor).With("If-Match", tag).PUT(e.path("/slots"), body{"slots": s.Slots}).Expect(http.StatusOK)
	fresh := c.as(c.instructor).GET(e.path("")).Expect(http.StatusOK).ETag()
	require.True(t, needed(), "finished attempts were marked by the version before")
	var seen httpapi.Quiz
	c.as(c.ada).GET(e.path("")).Expect(http.StatusOK).JSON(&seen)
	require.Nil(t, seen.RegradeNeeded, "it is nothing for learners")
	job := c.as(c.instructor).POST(e.path("/regrade"), nil).Expect(http.StatusAccepted)
	require.Contains(t, job.Header.Get("Location"), "/jobs/content/")
	c.works()
	require.False(t, needed())
	c.as(c.instructor).With("If-None-Match", fresh).GET(e.path("")).Expect(http.StatusOK)
	c.as(c.instructor).With("If-Match", fresh).PATCH(e.path(""), body{"title": "Regraded"}).Expect(http.StatusOK)
	require.Equal(t, "2", hundredths(t, c.grade(e, c.ada).Score))
	require.Equal(t, "2", hundredths(t, c.grade(e, c.bob).Score))
	require.Equal(t, 2, value[int](c.world, `select count(*)::int from job_row where status = 'changed'`))
	re := last[contract.QuizRegraded](c.world, a.ID)
	require.Equal(t, []contract.Hundredths{100, 200}, []contract.Hundredths{*re.OldScore, *re.Score})
	require.Equal(t, contract.Hundredths(200), *last[contract.QuizRegraded](c.world, b.ID).Score)

	c.as(c.instructor).POST(e.path("/regrade"), nil).Expect(http.StatusAccepted)
	c.works()
	require.Equal(t, 2, value[int](c.world, `select count(*)::int from job_row where status = 'changed'`), "nothing changed again")
}

// TestARegradeIsNeeded is by which changes, and that a regrade settles each.
func TestARegradeIsNeeded(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	b := c.bank()
	pinned := c.question(b.ID, "pinned", single("Which is pinned?", "pinned", "other"))
	drawn := c.bank()
	one := c.question(drawn.ID, "drawn", single("Which is drawn?", "drawn", "other"))
	e := c.quiz(nil)
	c.slots(&e, body{"question_id": pinned.ID, "points": 2}, body{"bank_id": drawn.ID, "pick": 1, "points": 3})
	c.publish(&e)
	needed := func() bool {
		var q httpapi.Quiz
		c.as(c.instructor).GET(e.path("")).Expect(http.StatusOK).JSON(&q)
		return *q.RegradeNeeded
	}
	settled := func() {
		require.True(t, needed())
		c.as(c.instructor).POST(e.path("/regrade"), nil).Expect(http.StatusAccepted)
		c.works()
		require.False(t, needed())
	}
	points := func(first int) {
		var s httpapi.Slots
		c.as(c.instructor).GET(e.path("/slots")).Expect(http.StatusOK).JSON(&s)
		e.tag = c.as(c.instructor).With("If-Match", e.tag).PUT(e.path("/slots"), body{"slots": []body{
			{"id": s.Slots[0].ID, "question_id": pinned.ID, "question_version": 1, "points": first}, {"id": s.Slots[1].ID, "bank_id": drawn.ID, "pick": 1, "points": 3},
		}}).Expect(http.StatusOK).ETag()
	}
	a := c.start(c.ada, e)
	points(4)
	require.False(t, needed(), "an attempt in progress is not marked yet")
	c.submit(c.ada, a)
	settled()
	points(5)
	settled()
	d := one.Definition
	d.Choices[0].Correct, d.Choices[1].Correct = false, true
	tag := c.as(c.instructor).GET("/api/v1/questions/" + one.ID.String()).Expect(http.StatusOK).ETag()
	c.as(c.instructor).With("If-Match", tag).PATCH("/api/v1/questions/"+one.ID.String(), body{"definition": d}).Expect(http.StatusOK)
	settled()
}

func TestStatistics(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	e, questions := c.ready(nil)
	for i := range 5 {
		p := c.person(c.tenant, "", uuid.Nil)
		c.learns(p)
		c.take(p, e, questions, i%4)
	}
	var s httpapi.QuizStatistics
	c.as(c.assistant).GET(e.path("/statistics")).Expect(http.StatusOK).JSON(&s)
	require.Equal(t, 5, s.Attempts)
	require.Len(t, s.Questions, 3)
	require.Equal(t, "one", s.Questions[0].Title)
	require.InDelta(t, 0.6, *s.Questions[0].Facility, 1e-9)
	require.Equal(t, 3, s.Questions[0].Classes["correct"])
	require.NotNil(t, s.Questions[0].PointBiserial)
}

func TestWhatIsStoredIsRecomputed(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	e, questions := c.ready(nil)
	a := c.take(c.ada, e, questions, 2)
	check := func(repair bool) (out []internalapi.Difference) {
		cursor := ""
		for {
			page, err := c.quizzes.service.Recompute(t.Context(), internalapi.RecomputeRequest{Repair: repair, Cursor: cursor})
			require.NoError(t, err)
			out = append(out, page.Differences...)
			if cursor = page.NextCursor; cursor == "" {
				return out
			}
		}
	}
	require.Empty(t, check(false))
	require.NoError(t, c.tamper(`update attempts set score = 300 where id = $1`, a.ID))
	require.NoError(t, c.tamper(`update quiz_results set score = 0 where quiz_id = $1`, e.ID))
	found := check(false)
	require.Len(t, found, 2)
	require.Equal(t, []string{"quiz_attempt", "score", "3", "2"}, []string{found[0].Kind, found[0].Field, found[0].Stored, found[0].Computed})
	require.Len(t, check(true), 2)
	require.Empty(t, check(false))
	require.Equal(t, "2", hundredths(t, c.grade(e, c.ada).Score))
}

// Lateness is judged by assignment: it is told of every due time that moves, of who
// has handed in, and of who has not begun (rules 18, 21).
func TestADueTimeThatMovesIsToldToAssignment(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	due := c.clock.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	e, questions := c.ready(body{"due_at": due})
	told := func(p authz.Principal) *internalapi.QuizScore {
		var out *internalapi.QuizScore
		for _, s := range said[internalapi.QuizScore](c.world, internalapi.CallQuizScore) {
			if s.UserID == p.UserID {
				out = &s
			}
		}
		return out
	}
	c.clock.Advance(2 * time.Hour)
	c.take(c.ada, e, questions, 3)
	require.Equal(t, due, told(c.ada).DueAt.UTC())
	require.Nil(t, told(c.bob))

	extended := due.Add(3 * time.Hour)
	for _, p := range []authz.Principal{c.ada, c.bob} {
		c.as(c.instructor).PUT(e.path("/overrides/"+p.UserID.String()), body{"due_at": extended}).Expect(http.StatusCreated)
		require.Equal(t, extended, told(p).DueAt.UTC())
	}
	require.EqualValues(t, 300, *told(c.ada).Score)
	c.as(c.instructor).DELETE(e.path("/overrides/" + c.bob.UserID.String())).Expect(http.StatusNoContent)
	require.Equal(t, due, told(c.bob).DueAt.UTC())

	later := due.Add(5 * time.Hour)
	c.as(c.instructor).With("If-Match", e.tag).PATCH(e.path(""), body{"due_at": later}).Expect(http.StatusOK)
	c.works()
	for _, p := range []authz.Principal{c.ada, c.bob} {
		require.Equal(t, later, told(p).DueAt.UTC())
	}
}

// Whoever was let in again keeps the time that they were given, whatever else is
// changed of the quiz.
func TestAReopenedAttemptKeepsItsEnd(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	e, questions := c.ready(body{"time_limit_seconds": 600})
	a := c.take(c.ada, e, questions, 3)
	c.clock.Advance(time.Hour)
	end := c.clock.Now().Add(20 * time.Minute).UTC().Truncate(time.Microsecond)
	c.as(c.instructor).POST(attempt(a, "/reopen"), body{"ends_at": end}).Expect(http.StatusOK)
	c.as(c.instructor).With("If-Match", e.tag).PATCH(e.path(""), body{"title": "Another title"}).Expect(http.StatusOK)
	c.as(c.instructor).PUT(e.path("/overrides/"+c.ada.UserID.String()), body{"extra_attempts": 1}).Expect(http.StatusCreated)
	c.sweep()
	var shown httpapi.Attempt
	c.as(c.ada).GET(attempt(a, "")).Expect(http.StatusOK).JSON(&shown)
	require.Equal(t, "in_progress", shown.State)
	require.Equal(t, end, shown.EndsAt.UTC())
}

// A regrade that runs may have passed attempts before the slots were changed again.
func TestEachRegradeIsAJobOfItsOwn(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	e, _ := c.ready(nil)
	first := c.as(c.instructor).POST(e.path("/regrade"), nil).Expect(http.StatusAccepted).Header.Get("Location")
	second := c.as(c.instructor).POST(e.path("/regrade"), nil).Expect(http.StatusAccepted).Header.Get("Location")
	require.NotEqual(t, first, second)
}
