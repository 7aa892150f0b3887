package app

import (
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/content/internal/httpapi"
	contract "lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/testkit"
)

func TestAQuestionHasVersionsThatNeverChange(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	b := c.bank()
	q := c.question(b.ID, "Organelles", single(`Which <b>one</b>?<script>alert(1)</script>`, "nucleus", "wall"))
	require.Equal(t, "Which <b>one</b>?", q.Definition.Prompt)
	path := "/api/v1/questions/" + q.ID.String()
	r := c.as(c.instructor).GET(path).Expect(http.StatusOK)
	editor := c.as(c.instructor).With("If-Match", r.ETag())
	d := q.Definition
	d.Prompt = "Which then?"
	kind := d
	kind.Kind = "multiple"
	editor.PATCH(path, body{"definition": kind}).Expect(http.StatusUnprocessableEntity).Field("definition.kind", "fixed")
	var next httpapi.Question
	editor.PATCH(path, body{"definition": d, "tags": []string{"Cell", "cell "}}).Expect(http.StatusOK).JSON(&next)
	require.Equal(t, 2, next.Number)
	require.Equal(t, []string{"cell"}, next.Tags)
	require.Equal(t, q.Definition.Choices[0].ID, next.Definition.Choices[0].ID)
	editor.PATCH(path, body{"title": "x"}).Expect(http.StatusPreconditionFailed)
	c.as(c.instructor).PATCH(path, body{"title": "x"}).Expect(http.StatusPreconditionRequired)

	var versions struct{ Items []httpapi.QuestionVersion }
	c.as(c.instructor).GET(path + "/versions").Expect(http.StatusOK).JSON(&versions)
	require.Len(t, versions.Items, 2)
	require.Equal(t, "Which <b>one</b>?", versions.Items[1].Definition.Prompt)
	require.ErrorContains(t, c.tamper(`update question_versions set definition = '{}' where question_id = $1`, q.ID), "is fixed")
	changed := last[contract.QuestionChanged](c.world, q.ID)
	require.Equal(t, 2, changed.Number)
}

func TestWhoMayUseABank(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	mine := c.bank()
	var unit httpapi.QuestionBank
	c.as(c.teacher).POST("/api/v1/question-banks", body{"org_unit_id": c.unit, "title": "Of the unit"}).Expect(http.StatusCreated).JSON(&unit)
	q := func(b httpapi.QuestionBank) string { return "/api/v1/question-banks/" + b.ID.String() }

	c.as(c.instructor).GET(q(mine)).Expect(http.StatusOK)
	c.as(c.teacher).GET(q(mine)).Expect(http.StatusOK)
	c.as(c.admin).GET(q(mine)).Expect(http.StatusOK)
	for _, p := range []string{q(mine), q(mine) + "/questions"} {
		c.as(c.ada).GET(p).Expect(http.StatusNotFound)
		c.as(c.alien).GET(p).Expect(http.StatusNotFound)
		c.as(c.outsider).GET(p + "?course_id=" + c.course.String()).Expect(http.StatusNotFound)
	}
	c.as(c.instructor).GET(q(unit)).Expect(http.StatusNotFound)
	c.as(c.instructor).GET(q(unit) + "?course_id=" + c.course.String()).Expect(http.StatusOK)
	c.as(c.instructor).POST(q(unit)+"/questions", body{"title": "x", "definition": essay("?")}).Expect(http.StatusNotFound)
	c.as(c.ada).POST("/api/v1/question-banks", body{"course_id": c.course, "title": "x"}).Expect(http.StatusForbidden)
	c.as(c.instructor).POST("/api/v1/question-banks", body{"title": "x"}).Expect(http.StatusUnprocessableEntity)

	var list struct{ Items []httpapi.QuestionBank }
	c.as(c.instructor).GET("/api/v1/question-banks?course_id=" + c.course.String()).Expect(http.StatusOK).JSON(&list)
	require.Len(t, list.Items, 2)
	c.as(c.alien).GET("/api/v1/question-banks").Expect(http.StatusOK).JSON(&list)
	require.Empty(t, list.Items)

	// A bank of another organisation is unknown to a quiz, whoever asks.
	var foreign httpapi.QuestionBank
	c.as(c.alien).POST("/api/v1/question-banks", body{"org_unit_id": c.other, "title": "Foreign"}).Expect(http.StatusCreated).JSON(&foreign)
	e := c.quiz(nil)
	c.as(c.instructor).With("If-Match", e.tag).PUT(e.path("/slots"), body{"slots": []body{{"bank_id": foreign.ID, "pick": 1, "points": 1}}}).
		Expect(http.StatusUnprocessableEntity).Field("slots[0].bank_id", "unknown_bank")
}

func TestQuestionsAreDrawnAtRandomAndStay(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	b := c.bank()
	var pinned httpapi.Question
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		pinned = c.question(b.ID, name, single(name+"?", name, "x"))
	}
	e := c.quiz(body{"shuffle_questions": true, "shuffle_choices": true})
	draw := func(pick int) body { return body{"bank_id": b.ID, "pick": pick, "points": 2} }
	c.as(c.instructor).With("If-Match", e.tag).PUT(e.path("/slots"), body{"slots": []body{draw(3), draw(2), {"question_id": pinned.ID, "points": 1}}}).
		Expect(http.StatusConflict).Code("not_enough_questions")
	s := c.slots(&e, draw(2), draw(2), body{"question_id": pinned.ID, "points": 1})
	require.Equal(t, "9", hundredths(t, s.Points))
	c.publish(&e)
	orders := map[uuid.UUID]bool{}
	for range 12 {
		p := c.person(c.tenant, "", uuid.Nil)
		c.learns(p)
		a := c.start(p, e)
		seen := map[uuid.UUID]bool{}
		for _, q := range a.Questions {
			seen[q.QuestionID] = true
		}
		require.Len(t, seen, 5, "none twice")
		orders[a.Questions[0].QuestionID] = true
		var again httpapi.Attempt
		c.as(p).GET(attempt(a, "")).Expect(http.StatusOK).JSON(&again)
		require.Equal(t, a.Questions, again.Questions, "the order stays")
	}
	require.Greater(t, len(orders), 1)

	tag := c.as(c.instructor).GET("/api/v1/questions/" + pinned.ID.String()).ETag()
	c.as(c.instructor).With("If-Match", tag).DELETE("/api/v1/questions/" + pinned.ID.String()).Expect(http.StatusConflict).Code("in_use")
	var list struct{ Items []httpapi.Question }
	c.as(c.instructor).GET("/api/v1/question-banks/" + b.ID.String() + "/questions").Expect(http.StatusOK).JSON(&list)
	tag = c.as(c.instructor).GET("/api/v1/questions/" + list.Items[0].ID.String()).ETag()
	c.as(c.instructor).With("If-Match", tag).DELETE("/api/v1/questions/" + list.Items[0].ID.String()).Expect(http.StatusConflict).Code("in_use")
	tag = c.as(c.instructor).GET("/api/v1/question-banks/" + b.ID.String()).ETag()
	c.as(c.instructor).With("If-Match", tag).DELETE("/api/v1/question-banks/" + b.ID.String()).Expect(http.StatusConflict).Code("in_use")
	extra := c.question(b.ID, "f", single("f?", "f", "x"))
	tag = c.as(c.instructor).GET("/api/v1/questions/" + extra.ID.String()).ETag()
	c.as(c.instructor).With("If-Match", tag).DELETE("/api/v1/questions/" + extra.ID.String()).Expect(http.StatusNoContent)
	c.as(c.instructor).GET("/api/v1/questions/" + extra.ID.String()).Expect(http.StatusNotFound)
}

func TestSlotsAreOneDocument(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	b := c.bank()
	q := c.question(b.ID, "a", single("?", "a", "b"))
	e := c.quiz(nil)
	c.as(c.instructor).POST(e.path("/publish"), nil).Expect(http.StatusConflict).Code("quiz_empty")
	put := func(slots ...body) *testkit.Response {
		return c.as(c.instructor).With("If-Match", e.tag).PUT(e.path("/slots"), body{"slots": slots}).Expect(http.StatusUnprocessableEntity)
	}
	put(body{"points": 1}).Field("slots[0]", "pair")
	put(body{"question_id": q.ID, "bank_id": b.ID, "pick": 1, "points": 1}).Field("slots[0]", "pair")
	put(body{"question_id": uuid.New(), "points": 1}).Field("slots[0].question_id", "unknown_question")
	put(body{"question_id": q.ID, "question_version": 7, "points": 1}).Field("slots[0].question_version", "unknown_version")
	put(body{"question_id": q.ID, "points": 1}, body{"question_id": q.ID, "points": 1}).Field("slots[1].question_id", "not_unique")
	put(body{"id": uuid.New(), "question_id": q.ID, "points": 1}).Field("slots[0].id", "unknown_id")
	put(body{"question_id": q.ID, "points": -1}).Field("slots[0].points", "range")
	put(body{"question_id": q.ID, "points": 0.001}).Field("slots[0].points", "decimals")
	c.as(c.instructor).PUT(e.path("/slots"), body{"slots": []body{}}).Expect(http.StatusPreconditionRequired)
	old := e.tag
	s := c.slots(&e, body{"question_id": q.ID, "points": 1.5})
	require.Equal(t, 1, *s.Slots[0].QuestionVersion)
	c.as(c.instructor).With("If-Match", old).PUT(e.path("/slots"), body{"slots": []body{}}).Expect(http.StatusPreconditionFailed)
	again := c.slots(&e, body{"id": s.Slots[0].ID, "question_id": q.ID, "points": 2})
	require.Equal(t, s.Slots[0].ID, again.Slots[0].ID)
}

func TestADeletedQuizLeavesItsAttempts(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	e, questions := c.ready(nil)
	a := c.take(c.ada, e, questions, 1)
	running := c.start(c.bob, e)
	c.quizzes.placed[e.ID] = 2
	editor := c.as(c.instructor).With("If-Match", e.tag)
	editor.DELETE(e.path("")).Expect(http.StatusConflict).Code("in_use")
	editor.DELETE(e.path("?detach=true")).Expect(http.StatusNoContent)
	c.as(c.instructor).GET(e.path("")).Expect(http.StatusNotFound)
	c.as(c.ada).GET(attempt(a, "")).Expect(http.StatusOK)
	require.Equal(t, "graded", c.submit(c.bob, running).State)
	states := said[internalapi.ResourceState](c.world, internalapi.CallResourceState)
	require.True(t, states[len(states)-1].Deleted)
	columns := said[internalapi.QuizColumn](c.world, internalapi.CallQuizColumn)
	require.True(t, columns[len(columns)-1].Deleted)
	require.Contains(t, c.types(e.ID), "lms.content.quiz_deleted.v1")
}

func TestAPreviewCountsForNothing(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	b := c.bank()
	q := c.question(b.ID, "a", single("?", "a", "b"))
	e := c.quiz(body{"feedback": "never"})
	c.slots(&e, body{"question_id": q.ID, "points": 1})
	var a, again httpapi.Attempt
	r := c.as(c.instructor).POST(e.path("/preview"), nil).Expect(http.StatusCreated)
	r.JSON(&a)
	require.NotContains(t, string(r.Body), "well done", "a preview looks as a learner's does")
	c.as(c.instructor).POST(e.path("/preview"), nil).Expect(http.StatusOK).JSON(&again)
	require.Equal(t, a.ID, again.ID)
	c.answer(c.instructor, a, q.ID, 1, choose(a.Questions[0], "a"))
	done := c.submit(c.instructor, a)
	require.Equal(t, "1", hundredths(t, done.Score))
	c.as(c.instructor).GET(attempt(a, "/review")).Expect(http.StatusOK)
	require.Empty(t, c.events(a.ID))
	require.Empty(t, said[internalapi.QuizScore](c.world, internalapi.CallQuizScore))
	c.slots(&e) // previews bind nothing
}

func TestPeopleAreMergedForgottenAndExported(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	e, text, _ := c.written(body{"unlimited_attempts": true})
	write := func(words string) httpapi.Attempt {
		a := c.start(c.ada, e)
		c.answer(c.ada, a, text.ID, 1, body{"text": words})
		return c.submit(c.ada, a)
	}
	first := write("secret thoughts")
	running := c.start(c.ada, e)
	other := c.start(c.bob, e)
	c.submit(c.bob, other)

	exported := asked[internalapi.ExportPersonReply](c.world, internalapi.CallExportPerson, 1, internalapi.ExportPerson{UserID: c.ada.UserID, TenantID: c.tenant})
	require.Contains(t, string(exported.Sections["quiz_attempts"]), "secret thoughts")
	require.NotContains(t, string(exported.Sections["quiz_attempts"]), "well done")

	asked[internalapi.Done](c.world, internalapi.CallPersonStatus, 2, internalapi.PersonStatus{UserID: c.ada.UserID, TenantID: c.tenant, Status: internalapi.PersonMerged, MergedInto: &c.bob.UserID})
	require.Equal(t, 3, value[int](c.world, `select count(*)::int from attempts where user_id = $1`, c.bob.UserID))
	require.Equal(t, "graded", value[string](c.world, `select state from attempts where id = $1`, running.ID), "who can no longer go on has finished")
	require.True(t, c.grade(e, c.bob).Pending)

	pseudonym := uuid.New()
	reply := asked[internalapi.ErasePersonReply](c.world, internalapi.CallErasePerson, 3, internalapi.ErasePerson{UserID: c.bob.UserID, TenantID: c.tenant, Pseudonym: pseudonym})
	require.Equal(t, "quiz_attempts", reply.Kept[0].Category)
	require.Equal(t, 0, value[int](c.world, `select count(*)::int from attempt_questions where answer::text like '%secret%'`))
	require.Equal(t, 0, value[int](c.world, `select count(*)::int from attempts where user_id = any($1)`, []uuid.UUID{c.ada.UserID, c.bob.UserID}))
	require.Equal(t, pseudonym, value[uuid.UUID](c.world, `select user_id from attempts where id = $1`, first.ID))
	page, err := c.quizzes.service.Recompute(t.Context(), internalapi.RecomputeRequest{})
	require.NoError(t, err)
	require.Empty(t, page.Differences, "an erased attempt is not marked again")
}

// Extra time goes with the person; what the other has already stays.
func TestOverridesOfAMergedPersonGoAlong(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	e, _ := c.ready(nil)
	both, _ := c.ready(nil)
	for _, x := range []struct {
		at      exam
		who     uuid.UUID
		seconds int
	}{{e, c.ada.UserID, 300}, {both, c.ada.UserID, 600}, {both, c.bob.UserID, 900}} {
		c.as(c.instructor).PUT(x.at.path("/overrides/"+x.who.String()), body{"extra_time_seconds": x.seconds}).Expect(http.StatusCreated)
	}
	asked[internalapi.Done](c.world, internalapi.CallPersonStatus, 1, internalapi.PersonStatus{UserID: c.ada.UserID, TenantID: c.tenant, Status: internalapi.PersonMerged, MergedInto: &c.bob.UserID})
	extra := func(of exam) int64 {
		return value[int64](c.world, `select coalesce(sum(extra_time_seconds), 0)::bigint from quiz_overrides where quiz_id = $1 and user_id = $2`, of.ID, c.bob.UserID)
	}
	require.EqualValues(t, 300, extra(e))
	require.EqualValues(t, 900, extra(both))
}

// What no answer can carry lies in an object.
func TestAnExportThatIsTooLarge(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	e, text, _ := c.written(nil)
	a := c.start(c.ada, e)
	require.NoError(t, c.tamper(`update attempt_questions set answer = jsonb_build_object('text', repeat('x', 4000000)) where attempt_id = $1 and question_id = $2`, a.ID, text.ID))
	reply := asked[internalapi.ExportPersonReply](c.world, internalapi.CallExportPerson, 1, internalapi.ExportPerson{RequestID: uuid.New(), UserID: c.ada.UserID, TenantID: c.tenant})
	require.Empty(t, reply.Sections)
	info, err := c.objects.Stat(t.Context(), reply.ObjectKey)
	require.NoError(t, err)
	require.Greater(t, info.Size, int64(4_000_000))
}
