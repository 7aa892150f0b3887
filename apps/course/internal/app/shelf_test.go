package app

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/course/internal/httpapi"
	"lms/shared/contracts/events"
)

func TestCategories(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.as(w.admin)
	create := func(name string, parent *uuid.UUID) httpapi.Category {
		var c httpapi.Category
		admin.POST("/api/v1/categories", body{"name": name, "parent_id": parent}).Expect(http.StatusCreated).JSON(&c)
		return c
	}
	science := create("Science", nil)
	biology := create("Biology", &science.ID)
	admin.POST("/api/v1/categories", body{"name": "SCIENCE"}).Expect(http.StatusConflict).Code("name_taken")
	admin.POST("/api/v1/categories", body{"name": "x", "parent_id": uuid.New()}).Expect(http.StatusUnprocessableEntity).Field("parent_id", "unknown_category")
	w.as(w.teacher).POST("/api/v1/categories", body{"name": "x"}).Expect(http.StatusForbidden)
	path := func(c httpapi.Category) string { return "/api/v1/categories/" + c.ID.String() }

	admin.With("If-Match", `"v1"`).PATCH(path(science), body{"parent_id": biology.ID}).Expect(http.StatusUnprocessableEntity).Field("parent_id", "circle")
	admin.With("If-Match", `"v1"`).PATCH(path(biology), body{"name": "Life sciences"}).Expect(http.StatusOK)
	renamed := last[events.CategoryRenamed](w, biology.ID)
	require.Equal(t, "Biology", renamed.OldName)
	require.Equal(t, "Life sciences", renamed.Name)
	admin.With("If-Match", `"v1"`).PATCH(path(biology), body{"name": "Late"}).Expect(http.StatusPreconditionFailed)

	c := w.course(w.teacher, body{"category_id": biology.ID})
	require.Equal(t, "Life sciences", last[events.CourseCreated](w, c.ID).CategoryName)
	admin.With("If-Match", `"v2"`).DELETE(path(biology)).Expect(http.StatusConflict).Code("in_use")
	admin.With("If-Match", `"v1"`).DELETE(path(science)).Expect(http.StatusConflict).Code("in_use")
	admin.With("If-Match", c.tag).DELETE(c.path("")).Expect(http.StatusNoContent)
	admin.With("If-Match", `"v2"`).DELETE(path(biology)).Expect(http.StatusNoContent)

	deep := science
	for i := 2; i <= 6; i++ {
		deep = create("Level "+strconv.Itoa(i), &deep.ID)
	}
	admin.POST("/api/v1/categories", body{"name": "7", "parent_id": deep.ID}).Expect(http.StatusUnprocessableEntity).Field("parent_id", "too_deep")
	root := create("Other", nil)
	admin.With("If-Match", `"v1"`).PATCH(path(science), body{"parent_id": root.ID}).Expect(http.StatusUnprocessableEntity).Field("parent_id", "too_deep")

	var l struct{ Items []httpapi.Category }
	w.as(w.student).GET("/api/v1/categories?roots=true").Expect(http.StatusOK).JSON(&l)
	require.Len(t, l.Items, 2)
	w.as(w.alien).GET("/api/v1/categories").Expect(http.StatusOK).JSON(&l)
	require.Empty(t, l.Items)
	w.as(w.alien).GET(path(science)).Expect(http.StatusNotFound)
	w.as(w.alien).With("If-Match", `"v1"`).DELETE(path(science)).Expect(http.StatusNotFound)
	require.Equal(t, []string{"category.create", "category.update", "category.delete"}, w.audited(biology.ID))
}

func TestTerms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.as(w.admin)
	starts := time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)
	var term httpapi.Term
	r := admin.POST("/api/v1/terms", body{"org_unit_id": w.tenant, "code": "F26", "name": "Fall", "starts_at": starts, "ends_at": starts.AddDate(0, 5, 0)}).Expect(http.StatusCreated)
	r.JSON(&term)
	admin.POST("/api/v1/terms", body{"org_unit_id": w.tenant, "code": "f26", "name": "x"}).Expect(http.StatusConflict).Code("code_taken")
	admin.POST("/api/v1/terms", body{"org_unit_id": w.tenant, "code": "X", "name": "x", "starts_at": starts, "ends_at": starts.AddDate(0, -1, 0)}).
		Expect(http.StatusUnprocessableEntity).Field("ends_at", "order")
	admin.POST("/api/v1/terms", body{"org_unit_id": w.other, "code": "X", "name": "x"}).Expect(http.StatusNotFound)
	w.as(w.teacher).POST("/api/v1/terms", body{"org_unit_id": w.unit, "code": "X", "name": "x"}).Expect(http.StatusForbidden)
	path := r.Header.Get("Location")
	c := w.course(w.teacher, body{"term_id": term.ID})
	require.Equal(t, starts, *c.StartsAt, "a course without dates takes the term's")
	d := w.course(w.teacher, body{"term_id": term.ID, "starts_at": starts.AddDate(0, 1, 0)})
	require.Equal(t, starts.AddDate(0, 1, 0), *d.StartsAt)
	admin.With("If-Match", `"v1"`).PATCH(path, body{"name": "Autumn"}).Expect(http.StatusOK)
	admin.With("If-Match", `"v1"`).PATCH(path, body{"name": "Late"}).Expect(http.StatusPreconditionFailed)
	admin.With("If-Match", `"v2"`).DELETE(path).Expect(http.StatusConflict).Code("in_use")
	var l struct{ Items []httpapi.Course }
	w.as(w.teacher).GET("/api/v1/courses?term_id=" + term.ID.String()).Expect(http.StatusOK).JSON(&l)
	require.Len(t, l.Items, 2)
	for _, m := range []made{c, d} {
		admin.With("If-Match", m.tag).DELETE(m.path("")).Expect(http.StatusNoContent)
	}
	admin.With("If-Match", `"v2"`).DELETE(path).Expect(http.StatusNoContent)
	admin.GET(path).Expect(http.StatusNotFound)
	require.Equal(t, []string{"term.create", "term.update", "term.delete"}, w.audited(term.ID))
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	c, _ := w.published(body{"starts_at": at, "description": "Long", "tags": []string{"x"}, "visibility": "enrolled", "capacity": 7})
	w.as(w.teacher).POST("/api/v1/course-templates", body{"course_id": c.ID, "name": "T"}).Expect(http.StatusForbidden)
	admin := w.as(w.admin)
	r := admin.POST("/api/v1/course-templates", body{"course_id": c.ID, "name": "T"}).Expect(http.StatusCreated)
	var tpl httpapi.Template
	r.JSON(&tpl)
	require.Equal(t, 3, tpl.Items)
	admin.POST("/api/v1/course-templates", body{"course_id": c.ID, "name": "t"}).Expect(http.StatusConflict).Code("name_taken")

	made := w.course(w.teacher, body{"template_id": tpl.ID, "title": "From it", "visibility": "public", "capacity": nil})
	require.Equal(t, "Long", made.Description)
	require.Equal(t, []string{"x"}, made.Tags)
	require.Equal(t, "public", made.Visibility, "what is said wins over the template")
	require.Nil(t, made.Capacity)
	require.Nil(t, made.StartsAt, "dates belong to one run")
	var cur httpapi.Curriculum
	w.as(w.teacher).GET(made.path("/curriculum")).Expect(http.StatusOK).JSON(&cur)
	require.Len(t, cur.Modules, 2)
	require.Equal(t, []uuid.UUID{cur.Modules[0].ID}, cur.Modules[1].Prerequisites)
	var page httpapi.Item
	w.as(w.teacher).GET(made.path("/modules/" + cur.Modules[0].ID.String() + "/items/" + cur.Modules[0].Items[0].ID.String())).Expect(http.StatusOK).JSON(&page)
	require.Equal(t, "<p>text</p>", page.Body)

	var l struct{ Items []httpapi.Template }
	w.as(w.teacher).GET("/api/v1/course-templates").Expect(http.StatusOK).JSON(&l)
	require.Len(t, l.Items, 1)
	w.as(w.student).GET("/api/v1/course-templates").Expect(http.StatusForbidden)
	w.as(w.alien).GET(r.Header.Get("Location")).Expect(http.StatusNotFound)
	w.as(w.alien).POST("/api/v1/courses", body{"org_unit_id": w.other, "template_id": tpl.ID, "code": "X", "title": "x"}).
		Expect(http.StatusUnprocessableEntity).Field("template_id", "unknown_template")
	admin.With("If-Match", r.ETag()).DELETE(r.Header.Get("Location")).Expect(http.StatusNoContent)
	w.as(w.teacher).GET(r.Header.Get("Location")).Expect(http.StatusNotFound)
	require.Equal(t, []string{"course_template.create", "course_template.delete"}, w.audited(tpl.ID))
}
