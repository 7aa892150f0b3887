package app

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/course/internal/catalog"
	"lms/apps/course/internal/httpapi"
	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/testkit"
)

func TestPuttingACurriculumKeepsIdentity(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, cur := w.published(nil)
	a, b := cur.Modules[0], cur.Modules[1]
	next := w.put(c, `"v2"`, body{"modules": []body{
		{"id": b.ID, "title": "B first", "items": []body{
			{"id": b.Items[0].ID, "kind": "page", "title": "More", "requirement": body{"kind": "done"}},
			{"id": a.Items[0].ID, "kind": "page", "title": "Read, moved"},
		}},
		{"title": "New", "prerequisites": []string{b.ID.String()}, "required_count": 1, "items": []body{
			{"kind": "quiz", "title": "Placeholder", "requirement": body{"kind": "min_score", "min_score": 62.5, "unit": "percent"}},
		}},
	}})
	require.Equal(t, int64(3), next.Version)
	require.Equal(t, b.ID, next.Modules[0].ID)
	require.Equal(t, a.Items[0].ID, next.Modules[0].Items[1].ID)
	require.Equal(t, b.ID, next.Modules[0].Items[1].ModuleID)
	require.NotEqual(t, a.ID, next.Modules[1].ID)
	require.InDelta(t, 62.5, *next.Modules[1].Items[0].Requirement.MinScore, 0)

	var read httpapi.Curriculum
	r := w.as(w.teacher).GET(c.path("/curriculum")).Expect(http.StatusOK)
	r.JSON(&read)
	require.Equal(t, next, read, "what is read is what the put answered")
	require.Equal(t, `"v3"`, r.ETag())
	var moved httpapi.Item
	w.as(w.teacher).GET(c.path("/modules/" + b.ID.String() + "/items/" + a.Items[0].ID.String())).Expect(http.StatusOK).JSON(&moved)
	require.Equal(t, "<p>text</p>", moved.Body, "a text that was not sent stays")

	changed := last[events.CurriculumChanged](w, c.ID)
	require.Equal(t, int64(3), changed.Version)
	require.Equal(t, events.CoursePublished, changed.CourseStatus)
	require.Equal(t, events.Hundredths(6250), *changed.Modules[1].Items[0].Requirement.MinScore)
	require.False(t, changed.Modules[1].Items[0].Visible, "a placeholder is not visible")

	w.as(w.teacher).With("If-Match", `"v2"`).PUT(c.path("/curriculum"), body{"modules": []body{}}).Expect(http.StatusPreconditionFailed)
	w.as(w.teacher).With("If-Match", `"v3"`).PUT(c.path("/curriculum"), body{"modules": []body{{"id": a.ID, "title": "A again"}}}).
		Expect(http.StatusUnprocessableEntity).Field("modules[0].id", "unknown_id")
	w.as(w.student).With("If-Match", `"v3"`).PUT(c.path("/curriculum"), body{"modules": []body{}}).Expect(http.StatusForbidden)
	require.Empty(t, w.put(c, `"v3"`, body{"modules": []body{}}).Modules)
}

func TestPiecewiseEditsMoveOneETag(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, cur := w.published(nil)
	teacher := w.as(w.teacher)
	a, b := cur.Modules[0], cur.Modules[1]
	module := func(id uuid.UUID) string { return c.path("/modules/" + id.String()) }

	r := teacher.POST(c.path("/modules"), body{"title": "C", "position": 0, "items": []body{{"kind": "link", "title": "L", "url": "https://example.org"}}}).Expect(http.StatusCreated)
	var added httpapi.Module
	r.JSON(&added)
	require.Equal(t, `"v3"`, r.ETag())
	require.Equal(t, 0, added.Position)
	require.Equal(t, "https://example.org", added.Items[0].URL)
	require.Equal(t, module(added.ID), r.Header.Get("Location"))
	require.Equal(t, `"v3"`, teacher.GET(module(a.ID)).Expect(http.StatusOK).ETag(), "one ETag for all of it")

	teacher.With("If-Match", `"v2"`).PATCH(module(a.ID), body{"title": "late"}).Expect(http.StatusPreconditionFailed)
	teacher.PATCH(module(a.ID), body{"title": "late"}).Expect(http.StatusPreconditionRequired)
	at := time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
	var patched httpapi.Module
	teacher.With("If-Match", `"v3"`).PATCH(module(a.ID), body{"unlock_at": at, "sequential": true, "required_count": 1}).Expect(http.StatusOK).JSON(&patched)
	require.Equal(t, at, *patched.UnlockAt)
	teacher.With("If-Match", `"v4"`).PATCH(module(a.ID), body{"required_count": 2}).Expect(http.StatusUnprocessableEntity).Field("required_count", "range")
	teacher.With("If-Match", `"v4"`).PATCH(module(b.ID), body{"position": 0}).Expect(http.StatusUnprocessableEntity).Field("prerequisites[0]", "not_earlier")
	var cleared httpapi.Module
	teacher.With("If-Match", `"v4"`).PATCH(module(a.ID), body{"unlock_at": nil, "required_count": nil}).Expect(http.StatusOK).JSON(&cleared)
	require.Nil(t, cleared.UnlockAt)
	require.Nil(t, cleared.RequiredCount)

	item := module(a.ID) + "/items/" + a.Items[1].ID.String()
	teacher.With("If-Match", `"v5"`).PATCH(item, body{"url": "javascript:alert(1)"}).Expect(http.StatusUnprocessableEntity).Field("url", "url")
	teacher.With("If-Match", `"v5"`).PATCH(item, body{"requirement": body{"kind": "submit"}}).Expect(http.StatusUnprocessableEntity).Field("requirement.kind", "enum")
	var moved httpapi.Item
	teacher.With("If-Match", `"v5"`).PATCH(item, body{"module_id": b.ID, "position": 0, "title": "Moved"}).Expect(http.StatusOK).JSON(&moved)
	require.Equal(t, b.ID, moved.ModuleID)
	teacher.With("If-Match", `"v6"`).PATCH(item, body{"title": "x"}).Expect(http.StatusNotFound)
	var page httpapi.Item
	r = teacher.POST(module(b.ID)+"/items", body{"kind": "page", "title": "P", "body": `<p onclick="x">hi<script>1</script></p>`}).Expect(http.StatusCreated)
	r.JSON(&page)
	require.Equal(t, "<p>hi</p>", page.Body)
	teacher.With("If-Match", `"v7"`).DELETE(module(b.ID) + "/items/" + page.ID.String()).Expect(http.StatusNoContent)

	var list struct {
		Items      []httpapi.Item
		NextCursor string `json:"next_cursor"`
	}
	teacher.GET(module(b.ID) + "/items?limit=1").Expect(http.StatusOK).JSON(&list)
	require.Equal(t, "Moved", list.Items[0].Title)
	require.NotEmpty(t, list.NextCursor)
	teacher.POST(module(b.ID)+"/items/reorder", body{"item_ids": []uuid.UUID{b.Items[0].ID, moved.ID}}).Expect(http.StatusOK)
	teacher.GET(module(b.ID) + "/items").Expect(http.StatusOK).JSON(&list)
	require.Equal(t, "More", list.Items[0].Title)

	teacher.POST(c.path("/modules/reorder"), body{"module_ids": []uuid.UUID{b.ID, a.ID, added.ID}}).
		Expect(http.StatusUnprocessableEntity).Field("modules[0].prerequisites[0]", "not_earlier")
	r = teacher.With("If-Match", `"v9"`).POST(c.path("/modules/reorder"), body{"module_ids": []uuid.UUID{a.ID, added.ID, b.ID}}).Expect(http.StatusOK)
	require.Equal(t, `"v10"`, r.ETag())
	teacher.With("If-Match", `"v9"`).POST(c.path("/modules/reorder"), body{"module_ids": []uuid.UUID{a.ID, added.ID, b.ID}}).Expect(http.StatusPreconditionFailed)

	teacher.POST(module(a.ID)+"/relock", nil).Expect(http.StatusOK)
	relocked := last[events.CurriculumChanged](w, c.ID)
	require.Equal(t, int64(1), relocked.Modules[0].Relock)
	require.Equal(t, "relock", relocked.Reason)
	teacher.With("If-Match", `"v11"`).DELETE(module(a.ID)).Expect(http.StatusNoContent)
	require.Empty(t, last[events.CurriculumChanged](w, c.ID).Modules[1].Prerequisites)
	teacher.GET(module(a.ID)).Expect(http.StatusNotFound)
	require.Contains(t, w.audited(c.ID), "curriculum.relock")
}

func TestLostUpdatesAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, _ := w.published(nil)
	const racers = 12
	var wg sync.WaitGroup
	statuses := make(chan int, racers)
	for range racers {
		wg.Go(func() {
			statuses <- w.as(w.teacher).With("If-Match", `"v2"`).PUT(c.path("/curriculum"), body{"modules": []body{{"title": "mine"}}}).Status
		})
	}
	wg.Wait()
	close(statuses)
	won := 0
	for s := range statuses {
		if s == http.StatusOK {
			won++
			continue
		}
		require.Equal(t, http.StatusPreconditionFailed, s)
	}
	require.Equal(t, 1, won)
}

func TestAnItemOpensWhenItIsUnlocked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, cur := w.published(nil)
	a := cur.Modules[0]
	link := c.path("/modules/" + a.ID.String() + "/items/" + a.Items[1].ID.String())
	w.client.Anonymous().GET(link).Expect(http.StatusUnauthorized)
	w.as(w.student).GET(link).Expect(http.StatusForbidden).Code("enrollment_required")
	w.friends.enroll(w.student.UserID, c.ID)
	var got httpapi.Item
	w.as(w.student).GET(link).Expect(http.StatusOK).JSON(&got)
	require.Equal(t, "https://example.org/x", got.URL)
	w.friends.items[a.Items[1].ID] = catalog.Verdict{Enrolled: true, Reasons: []internalapi.LockReason{{Code: "sequential", Message: "First read."}}}
	p := w.as(w.student).GET(link).Expect(http.StatusForbidden).Code("item_locked").Problem()
	require.Contains(t, p.All, "reasons")
	w.as(w.teacher).GET(link).Expect(http.StatusOK)
	other := c.path("/modules/" + cur.Modules[1].ID.String() + "/items/" + a.Items[1].ID.String())
	w.as(w.student).GET(other).Expect(http.StatusNotFound)
}

func TestStudentsSeeOnlyWhatIsPublished(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, cur := w.published(nil)
	a := cur.Modules[0]
	w.as(w.teacher).With("If-Match", `"v2"`).PATCH(c.path("/modules/"+a.ID.String()+"/items/"+a.Items[0].ID.String()), body{"published": false}).Expect(http.StatusOK)
	w.as(w.teacher).With("If-Match", `"v3"`).PATCH(c.path("/modules/"+cur.Modules[1].ID.String()), body{"published": false}).Expect(http.StatusOK)
	var mine httpapi.Curriculum
	w.as(w.student).GET(c.path("/curriculum")).Expect(http.StatusOK).JSON(&mine)
	require.Len(t, mine.Modules, 1)
	require.Len(t, mine.Modules[0].Items, 1)
	require.Empty(t, mine.Modules[0].Items[0].URL)
	w.as(w.student).GET(c.path("/modules/" + cur.Modules[1].ID.String())).Expect(http.StatusNotFound)
	w.as(w.student).GET(c.path("/modules/" + a.ID.String() + "/items/" + a.Items[0].ID.String())).Expect(http.StatusNotFound)
	var all httpapi.Curriculum
	w.as(w.teacher).GET(c.path("/curriculum")).Expect(http.StatusOK).JSON(&all)
	require.Len(t, all.Modules, 2)
}

func (w *world) resource(state internalapi.ResourceState) {
	w.t.Helper()
	state.TenantID = w.tenant
	from := "content"
	if state.Kind == events.ItemAssignment {
		from = "assignment"
	}
	_, err := w.call(from, internalapi.CallResourceState, state.ResourceID.String(), state)
	require.NoError(w.t, err)
}

func TestResourcesShowTheirState(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	quiz, foreign := uuid.New(), uuid.New()
	points := events.Hundredths(1050)
	c, cur := w.published(nil)
	add := func(kind string, id uuid.UUID) *testkit.Response {
		return w.as(w.teacher).POST(c.path("/modules/"+cur.Modules[0].ID.String()+"/items"), body{"kind": kind, "title": "Quiz", "resource_id": id})
	}
	add("quiz", quiz).Expect(http.StatusUnprocessableEntity).Field("resource_id", "unknown_resource")
	w.resource(internalapi.ResourceState{ResourceID: quiz, Kind: events.ItemQuiz, CourseID: &c.ID, Title: "Q"})
	_, err := w.call("content", internalapi.CallResourceState, foreign.String(), internalapi.ResourceState{ResourceID: foreign, TenantID: w.other, Kind: events.ItemContent})
	require.NoError(t, err)
	add("content", foreign).Expect(http.StatusUnprocessableEntity).Field("resource_id", "unknown_resource")
	add("assignment", quiz).Expect(http.StatusUnprocessableEntity).Field("resource_id", "wrong_kind")
	add("quiz", quiz).Expect(http.StatusCreated)
	state := func() events.CurriculumItem {
		m := last[events.CurriculumChanged](w, c.ID).Modules[0]
		return m.Items[len(m.Items)-1]
	}
	require.False(t, state().Visible)

	w.resource(internalapi.ResourceState{ResourceID: quiz, Kind: events.ItemQuiz, CourseID: &c.ID, Title: "Q", Published: true, Points: &points})
	require.True(t, state().Visible)
	require.Equal(t, points, *state().Points)
	require.Equal(t, "resource_state", last[events.CurriculumChanged](w, c.ID).Reason)
	var mine httpapi.Curriculum
	w.as(w.student).GET(c.path("/curriculum")).Expect(http.StatusOK).JSON(&mine)
	require.InDelta(t, 10.5, *mine.Modules[0].Items[2].Points, 0)
	told := len(w.events(c.ID))
	w.resource(internalapi.ResourceState{ResourceID: quiz, Kind: events.ItemQuiz, CourseID: &c.ID, Title: "Renamed", Published: true, Points: &points})
	require.Len(t, w.events(c.ID), told, "what changes no curriculum is not told")

	usages, err := w.service.Usages(t.Context(), quiz)
	require.NoError(t, err)
	require.Len(t, usages, 1)
	w.resource(internalapi.ResourceState{ResourceID: quiz, Kind: events.ItemQuiz, CourseID: &c.ID, Title: "Q", Deleted: true})
	require.Nil(t, state().ResourceID, "a placeholder is left")
	require.False(t, state().Visible)
	add("quiz", quiz).Expect(http.StatusUnprocessableEntity).Field("resource_id", "unknown_resource")

	_, err = w.call("assignment", internalapi.CallResourceState, quiz.String(), internalapi.ResourceState{ResourceID: quiz, TenantID: w.tenant, Kind: events.ItemQuiz})
	require.Error(t, err, "assignment owns no quizzes")
	_, err = w.call("enrollment", internalapi.CallResourceState, quiz.String(), internalapi.ResourceState{ResourceID: quiz, TenantID: w.tenant, Kind: events.ItemQuiz})
	require.Error(t, err)
}

func TestVersionsSayWhatLearnersSaw(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, cur := w.published(nil)
	list := func() []httpapi.Version {
		var l struct{ Items []httpapi.Version }
		w.as(w.teacher).GET(c.path("/versions")).Expect(http.StatusOK).JSON(&l)
		return l.Items
	}
	require.Len(t, list(), 1, "publication keeps the first")
	teacher := w.as(w.teacher)
	link := c.path("/modules/" + cur.Modules[0].ID.String() + "/items/" + cur.Modules[0].Items[1].ID.String())
	teacher.With("If-Match", `"v2"`).PATCH(link, body{"url": "https://example.org/other"}).Expect(http.StatusOK)
	require.Len(t, list(), 1, "learners see no address, and so no difference")
	teacher.With("If-Match", `"v3"`).PATCH(link, body{"title": "Look there"}).Expect(http.StatusOK)
	all := list()
	require.Len(t, all, 2)
	require.Equal(t, int64(2), all[0].Number)
	require.Equal(t, w.teacher.UserID, *all[0].CreatedBy)
	require.Equal(t, []catalog.CurriculumChange{{Change: "changed", What: "item", ID: cur.Modules[0].Items[1].ID, Title: "Look there", Fields: []string{"title"}}}, all[0].Changes)
	teacher.POST(c.path("/unpublish"), nil).Expect(http.StatusOK)
	teacher.With("If-Match", `"v4"`).PATCH(link, body{"title": "Draft"}).Expect(http.StatusOK)
	require.Len(t, list(), 2, "a draft has no versions")
	teacher.POST(c.path("/publish"), nil).Expect(http.StatusOK)
	require.Len(t, list(), 3)
	var first httpapi.Version
	teacher.GET(c.path("/versions/1")).Expect(http.StatusOK).JSON(&first)
	require.Equal(t, "Look", first.Document.Modules[0].Items[1].Title)
	teacher.GET(c.path("/versions/9")).Expect(http.StatusNotFound)
	w.as(w.student).GET(c.path("/versions")).Expect(http.StatusForbidden)
}

func TestALargeCurriculum(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course(w.teacher, nil)
	modules := make([]body, 20)
	for m := range modules {
		items := make([]body, 50)
		for i := range items {
			items[i] = body{"kind": "page", "title": "Page of a course", "requirement": body{"kind": "view"}}
		}
		modules[m] = body{"title": "Module", "items": items}
	}
	cur := w.put(c, `"v1"`, body{"modules": modules})
	require.Len(t, cur.Modules, 20)
	require.Len(t, last[events.CurriculumChanged](w, c.ID).Modules[19].Items, 50)
	for m := range modules {
		items, _ := modules[m]["items"].([]body)
		modules[m]["items"] = append(items, append(items, items...)...)
	}
	w.as(w.teacher).With("If-Match", `"v2"`).PUT(c.path("/curriculum"), body{"modules": modules}).
		Expect(http.StatusUnprocessableEntity).Field("modules", "too_many_items")
}
