package app

import (
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/content/internal/httpapi"
	"lms/shared/authz"
	contract "lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
)

func TestAPageIsWrittenPublishedAndChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.content("page", body{"body": `<p onclick="x()">Cells <b>divide</b>.</p><script>alert(1)</script>`, "tags": []string{"Biology", "biology "}, "licence": "cc_by"})
	require.Equal(t, "<p>Cells <b>divide</b>.</p>", *c.Body)
	require.Equal(t, []string{"biology"}, c.Tags)
	require.Equal(t, 1, c.File.Number)
	require.Equal(t, "draft", c.Status)
	made := last[contract.ContentCreated](w, c.ID)
	require.Equal(t, "Cells divide.", made.Text)
	require.Equal(t, []uuid.UUID{w.tenant, w.unit}, made.OrgUnitPath)

	w.as(w.teacher).POST(c.path("/publish"), nil).Expect(http.StatusOK)
	r := w.as(w.teacher).POST(c.path("/publish"), nil).Expect(http.StatusOK)
	require.Len(t, w.events(c.ID), 2, "published once")

	var changed httpapi.Content
	r = w.as(w.teacher).With("If-Match", r.ETag()).PATCH(c.path(""), body{"title": "Mitosis", "body": "<p>Four phases.</p>"}).Expect(http.StatusOK)
	r.JSON(&changed)
	require.Equal(t, "Mitosis", changed.Title)
	require.Equal(t, 2, changed.File.Number)
	require.Equal(t, []string{"file", "title"}, last[contract.ContentUpdated](w, c.ID).Changed)
	w.as(w.teacher).With("If-Match", c.tag).PATCH(c.path(""), body{"title": "X"}).Expect(http.StatusPreconditionFailed)
	w.as(w.teacher).PATCH(c.path(""), body{"title": "X"}).Expect(http.StatusPreconditionRequired)

	var versions struct{ Items []httpapi.File }
	w.as(w.teacher).GET(c.path("/versions")).Expect(http.StatusOK).JSON(&versions)
	require.Len(t, versions.Items, 2)
	require.True(t, versions.Items[0].Current)
	w.as(w.teacher).POST(c.path("/versions/1/restore"), nil).Expect(http.StatusOK).JSON(&changed)
	require.Equal(t, 1, changed.File.Number)
	require.Equal(t, "<p>Cells <b>divide</b>.</p>", *changed.Body)
	w.as(w.teacher).POST(c.path("/versions/9/restore"), nil).Expect(http.StatusNotFound)
	w.as(w.teacher).POST(c.path("/unpublish"), nil).Expect(http.StatusOK)

	states := said[internalapi.ResourceState](w, internalapi.CallResourceState)
	require.Len(t, states, 4, "created, published, renamed, unpublished")
	require.Equal(t, w.called(internalapi.CallResourceState)[:1], w.friends.waited, "what was made can be placed at once")
	require.Equal(t, internalapi.ResourceState{ResourceID: c.ID, TenantID: w.tenant, Kind: "content", Title: "Mitosis", Published: true}, states[2])
	require.Equal(t, []string{"content.create", "content.publish", "content.update", "content.restore_version", "content.unpublish"}, w.audited(c.ID))
}

func TestWhatIsPlacedIsDeletedOnlyWhenDetached(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.content("page", nil)
	w.place(c.ID, uuid.New())
	w.as(w.teacher).With("If-Match", c.tag).DELETE(c.path("")).Expect(http.StatusConflict).Code("in_use")
	var usages httpapi.Usages
	w.as(w.teacher).GET(c.path("/usages")).Expect(http.StatusOK).JSON(&usages)
	require.Len(t, usages.Items, 1)
	w.as(w.teacher).DELETE(c.path("?detach=true")).Expect(http.StatusPreconditionRequired)
	w.as(w.teacher).With("If-Match", c.tag).DELETE(c.path("?detach=true")).Expect(http.StatusNoContent)
	w.as(w.teacher).GET(c.path("")).Expect(http.StatusNotFound)
	require.True(t, last[contract.ContentDeleted](w, c.ID).Deleted)
	states := said[internalapi.ResourceState](w, internalapi.CallResourceState)
	require.True(t, states[len(states)-1].Deleted)
}

func TestWhoMayDoWhatInTheLibrary(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.content("page", nil)
	w.as(w.assistant).GET(c.path("")).Expect(http.StatusOK)
	w.as(w.assistant).With("If-Match", c.tag).PATCH(c.path(""), body{"title": "X"}).Expect(http.StatusForbidden)
	w.as(w.assistant).POST("/api/v1/contents", body{"org_unit_id": w.unit, "kind": "page", "title": "X"}).Expect(http.StatusForbidden)
	w.as(w.alien).GET(c.path("")).Expect(http.StatusNotFound)
	w.as(w.alien).POST("/api/v1/contents", body{"org_unit_id": w.unit, "kind": "page", "title": "X"}).Expect(http.StatusNotFound)
	w.as(w.student).GET(c.path("")).Expect(http.StatusNotFound)
	w.as(w.student).GET(c.path("/usages")).Expect(http.StatusNotFound)
	w.client.GET(c.path("")).Expect(http.StatusUnauthorized)
	w.as(w.teacher).POST("/api/v1/contents", body{"kind": "page", "title": "X"}).Expect(http.StatusUnprocessableEntity)
	w.as(w.teacher).POST("/api/v1/contents", body{"org_unit_id": w.unit, "kind": "video", "title": "X", "body": "no"}).Expect(http.StatusUnprocessableEntity)
	w.as(w.teacher).POST(w.content("video", nil).path("/publish"), nil).Expect(http.StatusConflict).Code("nothing_to_publish")

	// Staff of a course make contents for it, and nobody else's.
	course := uuid.New()
	lecturer := w.person(w.tenant, "", uuid.Nil)
	w.staff(lecturer, course, authz.RoleInstructor)
	w.enroll(w.student, course)
	w.as(w.student).POST("/api/v1/contents", body{"course_id": course, "kind": "page", "title": "X"}).Expect(http.StatusForbidden)
	w.as(w.alien).POST("/api/v1/contents", body{"course_id": course, "kind": "page", "title": "X"}).Expect(http.StatusNotFound)
	r := w.as(lecturer).POST("/api/v1/contents", body{"course_id": course, "kind": "page", "title": "Notes"}).Expect(http.StatusCreated)
	var own httpapi.Content
	r.JSON(&own)
	require.Equal(t, w.unit, own.OrgUnitID)
	w.as(lecturer).With("If-Match", r.ETag()).PATCH("/api/v1/contents/"+own.ID.String(), body{"title": "More notes"}).Expect(http.StatusOK)
	w.as(lecturer).GET(c.path("")).Expect(http.StatusNotFound)

	list := func(p authz.Principal, query string) (titles []string) {
		var out struct{ Items []httpapi.Content }
		w.as(p).GET("/api/v1/contents" + query).Expect(http.StatusOK).JSON(&out)
		for _, c := range out.Items {
			titles = append(titles, c.Title)
		}
		return titles
	}
	require.Equal(t, []string{"A page", "A video", "More notes"}, list(w.assistant, "?sort=title"))
	require.Equal(t, []string{"More notes"}, list(lecturer, "?course_id="+course.String()))
	require.Empty(t, list(lecturer, ""))
	require.Empty(t, list(w.student, "?course_id="+course.String()))
	require.Empty(t, list(w.alien, ""))
	require.Equal(t, []string{"A video"}, list(w.teacher, "?kind=video"))
	require.Equal(t, []string{"More notes"}, list(w.teacher, "?q=NOTES"))
}
