package app

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/assignment/internal/httpapi"
	"lms/shared/testkit"
	"lms/shared/web"
)

// resp is a response that tests read on.
type resp struct{ *testkit.Response }

// rubric has two criteria: thesis (10, 5, 0) and style (10, 4).
func (w *world) rubric() httpapi.Rubric {
	w.t.Helper()
	var r httpapi.Rubric
	w.as(w.teacher).POST("/api/v1/rubrics", body{"course_id": w.course, "title": "Essay", "criteria": []body{
		{"title": "Thesis", "levels": []body{{"title": "clear", "points": 10}, {"title": "there", "points": 5}, {"title": "none", "points": 0}}},
		{"title": "Style", "levels": []body{{"title": "good", "points": 10}, {"title": "poor", "points": 4}}},
	}}).Expect(201).JSON(&r)
	return r
}

func TestGradingByRubric(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.rubric()
	require.Equal(t, "20", points(t, r.Points))
	a := w.published(body{"rubric_id": r.ID})
	require.Equal(t, 1, *a.RubricRevision, "pinned to the newest")
	thesis, style := r.Criteria[0], r.Criteria[1]
	g := w.grade(a, w.student.UserID, body{"rubric": []body{
		{"criterion_id": thesis.ID, "level_id": thesis.Levels[1].ID, "comment": "Which?"}, {"criterion_id": style.ID, "points": 7.5},
	}})
	require.Equal(t, "12.5", points(t, g.Score))
	require.Equal(t, "12.5", points(t, g.Rubric.Points))
	put := func(ratings ...body) *resp {
		return &resp{w.as(w.teacher).With("If-Match", `"v2"`).PUT(path("assignments", a.ID, "grades", w.student.UserID), body{"rubric": ratings})}
	}
	put(body{"criterion_id": uuid.New(), "points": 1}).Expect(422).Field("rubric[0].criterion_id", "unknown_criterion")
	put(body{"criterion_id": thesis.ID, "points": 10.01}).Expect(422).Field("rubric[0].points", "score_above_possible")
	put(body{"criterion_id": thesis.ID, "level_id": style.Levels[0].ID}).Expect(422).Field("rubric[0].level_id", "unknown_level")
	put(body{"criterion_id": thesis.ID}).Expect(422).Field("rubric[0].level_id", "required")
	put(body{"criterion_id": thesis.ID, "points": 1}, body{"criterion_id": thesis.ID, "points": 1}).Expect(422).Field("rubric[1].criterion_id", "unknown_criterion")
	// A learner may read the rubric that a published assignment has.
	w.as(w.student).GET(path("rubrics", r.ID)).Expect(200)
	w.as(w.student).GET(path("rubrics", w.rubric().ID)).Expect(404)
	w.as(w.alien).GET(path("rubrics", r.ID)).Expect(404)
}

// What was graded by a rubric never changes under the grade.
func TestARubricInUseIsNotChangedInSilence(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.rubric()
	a := w.published(body{"rubric_id": r.ID})
	thesis := r.Criteria[0]
	w.grade(a, w.student.UserID, body{"rubric": []body{{"criterion_id": thesis.ID, "level_id": thesis.Levels[0].ID}}})
	at := path("rubrics", r.ID)
	w.as(w.teacher).PATCH(at, body{"title": "x"}).Expect(428)
	var changed httpapi.Rubric
	w.as(w.teacher).With("If-Match", `"v1"`).PATCH(at, body{"criteria": []body{
		{"id": thesis.ID, "title": "Thesis", "levels": []body{{"id": thesis.Levels[0].ID, "title": "clear", "points": 6}}},
	}}).Expect(200).JSON(&changed)
	require.Equal(t, 2, changed.Revision)
	require.Equal(t, "6", points(t, changed.Points))
	w.as(w.teacher).With("If-Match", `"v1"`).PATCH(at, body{"title": "x"}).Expect(412)
	w.as(w.teacher).With("If-Match", `"v2"`).PATCH(at, body{"criteria": []body{{"id": uuid.New(), "title": "x", "levels": []body{{"title": "x", "points": 1}}}}}).Expect(422).Field("criteria[0].id", "unknown")

	g, _ := w.gradeOf(w.teacher, a, w.student.UserID)
	require.Equal(t, 1, g.Rubric.Revision)
	require.Equal(t, "10", points(t, g.Score))
	var old httpapi.Rubric
	w.as(w.teacher).GET(at + "?revision=1").Expect(200).JSON(&old)
	require.Equal(t, r.Criteria, old.Criteria)

	// The assignment takes the new one when somebody says so; the grade keeps its own.
	tag := w.as(w.teacher).GET(path("assignments", a.ID)).Expect(200).ETag()
	w.as(w.teacher).With("If-Match", tag).PATCH(path("assignments", a.ID), body{"rubric_revision": 9}).Expect(422).Field("rubric_id", "unknown_rubric")
	w.as(w.teacher).With("If-Match", tag).PATCH(path("assignments", a.ID), body{"rubric_revision": 2}).Expect(200)
	g, _ = w.gradeOf(w.teacher, a, w.student.UserID)
	require.Equal(t, 1, g.Rubric.Revision)
	w.as(w.teacher).With("If-Match", `"v2"`).DELETE(at).Expect(409).Code("in_use")
	other := w.rubric()
	w.as(w.teacher).With("If-Match", `"v1"`).DELETE(path("rubrics", other.ID)).Expect(204)
	var list web.Items[httpapi.Rubric]
	w.as(w.assistant).GET("/api/v1/rubrics?course_id=" + w.course.String()).Expect(200).JSON(&list)
	require.Len(t, list.Items, 1)
	w.as(w.assistant).POST("/api/v1/rubrics", body{"course_id": w.course, "title": "x", "criteria": []body{{"title": "x", "levels": []body{{"title": "x", "points": 1}}}}}).Expect(403)
}
