package app

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/course/internal/httpapi"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/testkit"
)

func TestEveryRouteIsDeclared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	testkit.CheckRoutes(t, w.router)
	testkit.CheckCalls(t, "course", w.inbox.CallNames())
}

func TestALifeFromDraftToTombstone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course(w.teacher, body{"tags": []string{"Go", "go", " Rust "}, "capacity": 3, "description": "d"})
	require.Equal(t, []string{"go", "rust"}, c.Tags)
	require.Equal(t, events.CourseDraft, c.Status)
	require.Equal(t, `"v1"`, c.tag)
	created := last[events.CourseCreated](w, c.ID)
	require.Equal(t, []uuid.UUID{w.tenant, w.unit}, created.OrgUnitPath)
	require.Equal(t, w.teacher.UserID, created.Staff[0].UserID, "who creates a course without administering the unit teaches it")
	require.Equal(t, 3, *created.Capacity)

	teacher := w.as(w.teacher)
	teacher.PATCH(c.path(""), body{"title": "New"}).Expect(http.StatusPreconditionRequired).Code("precondition_required")
	teacher.With("If-Match", `"v9"`).PATCH(c.path(""), body{"title": "New"}).Expect(http.StatusPreconditionFailed).Code("version_mismatch")
	r := teacher.With("If-Match", c.tag).PATCH(c.path(""), body{"title": "New", "capacity": nil}).Expect(http.StatusOK)
	require.Equal(t, `"v2"`, r.ETag())
	updated := last[events.CourseUpdated](w, c.ID)
	require.Equal(t, []string{"capacity", "title"}, updated.Changed)
	require.Nil(t, updated.Capacity)
	r = teacher.With("If-Match", `"v2"`).PATCH(c.path(""), body{"title": "New"}).Expect(http.StatusOK)
	require.Equal(t, `"v2"`, r.ETag(), "what changes nothing says nothing")

	teacher.POST(c.path("/restore"), nil).Expect(http.StatusConflict).Code("invalid_transition")
	teacher.POST(c.path("/publish"), nil).Expect(http.StatusOK)
	teacher.POST(c.path("/publish"), nil).Expect(http.StatusConflict).Code("invalid_transition")
	w.as(w.admin).With("If-Match", `"v3"`).DELETE(c.path("")).Expect(http.StatusConflict).Code("course_published")
	teacher.POST(c.path("/unpublish"), nil).Expect(http.StatusOK)
	teacher.POST(c.path("/archive"), nil).Expect(http.StatusOK)
	teacher.With("If-Match", `"v5"`).PATCH(c.path(""), body{"title": "Late"}).Expect(http.StatusConflict).Code("course_archived")
	teacher.With("If-Match", `"v1"`).PUT(c.path("/curriculum"), body{"modules": []body{}}).Expect(http.StatusConflict).Code("course_archived")
	teacher.POST(c.path("/restore"), nil).Expect(http.StatusOK)
	teacher.With("If-Match", `"v6"`).DELETE(c.path("")).Expect(http.StatusForbidden)
	w.as(w.admin).With("If-Match", `"v6"`).DELETE(c.path("")).Expect(http.StatusNoContent)
	w.as(w.admin).GET(c.path("")).Expect(http.StatusNotFound)
	require.True(t, last[events.CourseDeleted](w, c.ID).Deleted)

	require.Equal(t, []string{
		events.TypeCourseCreated, events.TypeCourseUpdated, events.TypeCoursePublished, events.TypeCourseUnpublished,
		events.TypeCourseArchived, events.TypeCourseRestored, events.TypeCourseDeleted,
	}, w.types(c.ID))
	require.Equal(t, []string{
		"course.create", "course.update", "course.publish", "course.unpublish", "course.archive", "course.restore", "course.delete",
	}, w.audited(c.ID))
}

func TestWhoMayKnowACourse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	enrolled := w.person(w.tenant, "", uuid.Nil)
	tests := []struct {
		status, visibility                string
		anonymous, alien, student, inside int
	}{
		{events.CourseDraft, events.VisibilityPublic, 404, 404, 404, 404},
		{events.CoursePublished, events.VisibilityPublic, 200, 200, 200, 200},
		{events.CoursePublished, events.VisibilityOrganisation, 404, 404, 200, 200},
		{events.CoursePublished, events.VisibilityEnrolled, 404, 404, 404, 200},
		{events.CourseArchived, events.VisibilityPublic, 404, 404, 404, 200},
	}
	for _, tc := range tests {
		c := w.course(w.teacher, body{"visibility": tc.visibility})
		if tc.status != events.CourseDraft {
			w.as(w.teacher).POST(c.path("/publish"), nil).Expect(http.StatusOK)
		}
		if tc.status == events.CourseArchived {
			w.as(w.teacher).POST(c.path("/archive"), nil).Expect(http.StatusOK)
		}
		w.friends.enroll(enrolled.UserID, c.ID)
		for _, path := range []string{c.path(""), c.path("/curriculum"), c.path("/modules")} {
			w.client.Anonymous().GET(path).Expect(tc.anonymous)
			w.as(w.alien).GET(path).Expect(tc.alien)
			w.as(w.student).GET(path).Expect(tc.student)
			w.as(enrolled).GET(path).Expect(tc.inside)
			w.as(w.teacher).GET(path).Expect(http.StatusOK)
			w.as(w.admin).GET(path).Expect(http.StatusOK)
		}
		// Who may not know of it learns nothing by trying to change it either.
		denied := map[int]int{200: http.StatusForbidden, 404: http.StatusNotFound}
		w.as(w.student).POST(c.path("/publish"), nil).Expect(denied[tc.student])
		w.as(w.alien).POST(c.path("/publish"), nil).Expect(denied[tc.alien])
		w.as(enrolled).With("If-Match", `"v1"`).PATCH(c.path(""), body{"title": "x"}).Expect(denied[tc.inside])
	}
}

func TestPublicAnswersMayBeKeptByTheGateway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, _ := w.published(body{"visibility": "public", "external_id": "sis-only", "external_source": "sis"})
	for _, path := range []string{c.path(""), c.path("/curriculum"), "/api/v1/courses"} {
		r := w.client.Anonymous().GET(path).Expect(http.StatusOK)
		require.Equal(t, "public, max-age=0, must-revalidate", r.Header.Get("Cache-Control"), path)
		again := w.client.Anonymous().With("If-None-Match", r.ETag()).GET(path)
		require.Equal(t, http.StatusNotModified, again.Status, path)
		require.Empty(t, again.Body)
		require.NotContains(t, string(r.Body), "sis-only", "external ids are not for strangers")

		mine := w.as(w.student).GET(path).Expect(http.StatusOK)
		require.NotContains(t, mine.Header.Get("Cache-Control"), "public", path)
	}
	w.as(w.teacher).With("If-Match", `"v2"`).PATCH(c.path(""), body{"title": "Other"}).Expect(http.StatusOK)
	w.client.Anonymous().With("If-None-Match", `"v2"`).GET(c.path("")).Expect(http.StatusOK)
}

func TestCourseIsCheckedAsAWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.as(w.teacher).POST("/api/v1/courses", body{
		"org_unit_id": w.unit, "code": "", "title": "", "visibility": "secret", "capacity": -1, "category_id": uuid.New(),
	}).Expect(http.StatusUnprocessableEntity)
	r.Field("code", "required").Field("title", "required").Field("visibility", "enum").Field("capacity", "range")
	w.as(w.teacher).POST("/api/v1/courses", body{"org_unit_id": w.unit, "code": "X", "title": "x", "category_id": uuid.New()}).
		Expect(http.StatusUnprocessableEntity).Field("category_id", "unknown_category")
	w.as(w.teacher).POST("/api/v1/courses", body{"org_unit_id": w.unit, "code": "X", "title": "x", "term_id": uuid.New()}).
		Expect(http.StatusUnprocessableEntity).Field("term_id", "unknown_term")
	w.as(w.teacher).POST("/api/v1/courses", body{"org_unit_id": w.unit, "code": "X", "title": "x", "status": "published"}).
		Expect(http.StatusUnprocessableEntity)
	w.as(w.teacher).POST("/api/v1/courses", body{"org_unit_id": w.other, "code": "X", "title": "x"}).Expect(http.StatusNotFound)
	w.as(w.teacher).POST("/api/v1/courses", body{"org_unit_id": w.tenant, "code": "X", "title": "x"}).Expect(http.StatusForbidden)
	w.as(w.student).POST("/api/v1/courses", body{"org_unit_id": w.unit, "code": "X", "title": "x"}).Expect(http.StatusForbidden)
	w.client.Anonymous().POST("/api/v1/courses", body{"org_unit_id": w.unit, "code": "X", "title": "x"}).Expect(http.StatusUnauthorized)
}

func TestNobodySetsThePriceOfTheirOwnCourse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course(w.teacher, nil)
	plan := uuid.New()
	w.as(w.teacher).With("If-Match", c.tag).PATCH(c.path(""), body{"price_plan_id": plan}).Expect(http.StatusForbidden)
	root := authz.Principal{UserID: uuid.New(), TenantID: w.tenant, Grants: []authz.Grant{{Role: authz.RolePlatformAdmin, Scope: authz.Scope{Kind: authz.ScopePlatform}}}}
	w.as(root).With("If-Match", c.tag).PATCH(c.path(""), body{"price_plan_id": plan}).Expect(http.StatusOK)
	require.True(t, last[events.CourseUpdated](w, c.ID).RequiresEntitlement)
	w.as(w.teacher).With("If-Match", `"v2"`).PATCH(c.path(""), body{"price_plan_id": nil}).Expect(http.StatusForbidden)
	for _, field := range []string{"tenant_id", "org_unit_id", "created_by", "seats", "price", "version"} {
		w.as(root).With("If-Match", `"v2"`).PATCH(c.path(""), body{field: nil}).Expect(http.StatusUnprocessableEntity)
	}
}

func TestCodesAndExternalIDsAreUnique(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course(w.teacher, body{"code": "BIO-1", "external_id": "1", "external_source": "sis"})
	w.as(w.teacher).POST("/api/v1/courses", body{"org_unit_id": w.unit, "code": "bio-1", "title": "x"}).Expect(http.StatusConflict).Code("code_taken")
	w.as(w.teacher).POST("/api/v1/courses", body{"org_unit_id": w.unit, "code": "BIO-2", "title": "x", "external_id": "1", "external_source": "sis"}).
		Expect(http.StatusConflict).Code("external_id_taken")
	w.course(w.teacher, body{"external_id": "1", "external_source": "other"})
	w.as(w.admin).With("If-Match", c.tag).DELETE(c.path("")).Expect(http.StatusNoContent)
	w.course(w.teacher, body{"code": "BIO-1", "external_id": "1", "external_source": "sis"})
}

func TestARepeatedCreationMakesOneCourse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := body{"org_unit_id": w.unit, "code": "ONCE", "title": "x"}
	client := w.as(w.teacher).With("Idempotency-Key", "k1")
	first := client.POST("/api/v1/courses", b).Expect(http.StatusCreated)
	again := client.POST("/api/v1/courses", b).Expect(http.StatusCreated)
	require.JSONEq(t, string(first.Body), string(again.Body))
	require.Equal(t, first.Header.Get("Location"), again.Header.Get("Location"))
	client.POST("/api/v1/courses", body{"org_unit_id": w.unit, "code": "TWICE", "title": "x"}).
		Expect(http.StatusUnprocessableEntity).Code("idempotency_key_reused")
}

func TestPrerequisiteCoursesHaveNoCircles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.course(w.teacher, nil), w.course(w.teacher, nil)
	c := w.course(w.teacher, body{"prerequisite_courses": []uuid.UUID{b.ID}})
	set := func(m made, tag string, ids ...uuid.UUID) *testkit.Response {
		return w.as(w.teacher).With("If-Match", tag).PATCH(m.path(""), body{"prerequisite_courses": ids})
	}
	set(a, a.tag, a.ID).Expect(http.StatusUnprocessableEntity).Field("prerequisite_courses", "self")
	set(a, a.tag, uuid.New()).Expect(http.StatusUnprocessableEntity).Field("prerequisite_courses", "unknown_course")
	set(a, a.tag, c.ID).Expect(http.StatusOK)
	set(b, b.tag, a.ID).Expect(http.StatusUnprocessableEntity).Field("prerequisite_courses", "circle")
	w.as(w.admin).With("If-Match", c.tag).DELETE(c.path("")).Expect(http.StatusConflict).Code("in_use")
}

func TestListsShowWhatOneMaySee(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.course(w.teacher, body{"title": "Draft"})
	w.published(body{"title": "Public", "visibility": "public", "tags": []string{"x"}, "language": "de", "level": "beginner"})
	w.published(body{"title": "Organisation"})
	hidden, _ := w.published(body{"title": "Enrolled", "visibility": "enrolled", "external_id": "9", "external_source": "sis"})
	archived, _ := w.published(body{"title": "Archived"})
	w.as(w.teacher).POST(archived.path("/archive"), nil).Expect(http.StatusOK)
	learner := w.person(w.tenant, "", uuid.Nil)
	w.friends.courses[learner.UserID] = []uuid.UUID{hidden.ID, archived.ID}
	colleague := w.person(w.tenant, authz.RoleInstructor, w.unit)

	titles := func(c *testkit.Client, query string) []string {
		var l struct{ Items []httpapi.Course }
		c.GET("/api/v1/courses?sort=title&" + query).Expect(http.StatusOK).JSON(&l)
		out := []string{}
		for _, x := range l.Items {
			out = append(out, x.Title)
		}
		return out
	}
	all := []string{"Archived", "Draft", "Enrolled", "Organisation", "Public"}
	require.Equal(t, all, titles(w.as(w.teacher), ""))
	require.Equal(t, all, titles(w.as(w.admin), ""))
	require.Equal(t, all, titles(w.as(colleague), ""), "course:read in the unit")
	require.Equal(t, []string{"Organisation", "Public"}, titles(w.as(w.student), ""))
	require.Equal(t, []string{"Archived", "Enrolled", "Organisation", "Public"}, titles(w.as(learner), ""))
	require.Equal(t, []string{"Public"}, titles(w.client.Anonymous(), ""))
	require.Empty(t, titles(w.as(w.alien), ""), "the list of one organisation is not that of another")

	require.Equal(t, all, titles(w.as(w.teacher), "staff=me"))
	require.Empty(t, titles(w.as(colleague), "staff=me"))
	teacher := w.as(w.teacher)
	require.Equal(t, []string{"Draft"}, titles(teacher, "status=draft"))
	require.Equal(t, []string{"Public"}, titles(teacher, "visibility=public"))
	require.Equal(t, []string{"Public"}, titles(teacher, "tag=X"))
	require.Equal(t, []string{"Public"}, titles(teacher, "language=de&level=beginner"))
	require.Equal(t, []string{"Enrolled"}, titles(teacher, "external_source=sis&external_id=9"))
	require.Equal(t, []string{"Organisation"}, titles(teacher, "q=RGANI"))
	require.Equal(t, []string{}, titles(teacher, "q=%25"), "a percent sign is a percent sign")
	require.Equal(t, all, titles(teacher, "org_unit_id="+w.tenant.String()), "with the subtree")
	require.Empty(t, titles(teacher, "org_unit_id="+w.other.String()))
	require.Empty(t, titles(teacher, "updated_since="+w.clock.Now().Add(time.Hour).Format(time.RFC3339)))
	teacher.GET("/api/v1/courses?sort=colour").Expect(http.StatusUnprocessableEntity)
	w.client.Anonymous().GET("/api/v1/courses?external_id=9").Expect(http.StatusUnauthorized)
}

func TestPagesOfEverySortAreWholeAndInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 7 {
		w.clock.Advance(time.Minute)
		more := body{"title": string(rune('g' - i)), "code": "S" + string(rune('a'+i))}
		if i%2 == 0 {
			more["starts_at"] = w.clock.Now().Add(time.Duration(-i) * time.Hour)
		}
		w.course(w.teacher, more)
	}
	for _, sort := range []string{"created_at", "title", "updated_at", "starts_at", "code"} {
		up := w.walk("sort=" + sort)
		down := w.walk("sort=-" + sort)
		require.Len(t, up, 7, sort)
		slices.Reverse(down)
		require.Equal(t, up, down, "%s: the same the other way round", sort)
	}
	r := w.as(w.teacher).GET("/api/v1/courses?limit=2&sort=title").Expect(http.StatusOK)
	require.Contains(t, r.Header.Get("Link"), `rel="next"`)
	var l struct {
		NextCursor string `json:"next_cursor"`
	}
	r.JSON(&l)
	w.as(w.teacher).GET("/api/v1/courses?limit=2&sort=code&cursor=" + l.NextCursor).Expect(http.StatusBadRequest).Code("bad_cursor")
	w.as(w.teacher).GET("/api/v1/courses?cursor=xyz").Expect(http.StatusBadRequest).Code("bad_cursor")
}

func (w *world) walk(query string) []uuid.UUID {
	var out []uuid.UUID
	cursor := ""
	for {
		var l struct {
			Items      []httpapi.Course
			NextCursor string `json:"next_cursor"`
		}
		w.as(w.teacher).GET("/api/v1/courses?limit=2&" + query + "&cursor=" + cursor).Expect(http.StatusOK).JSON(&l)
		for _, c := range l.Items {
			out = append(out, c.ID)
		}
		if cursor = l.NextCursor; cursor == "" {
			return out
		}
	}
}

func TestCompletionSettingsThroughTheAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, cur := w.published(nil)
	path := c.path("/completion-settings")
	var got httpapi.Completion
	w.as(w.student).GET(path).Expect(http.StatusOK).JSON(&got)
	require.Equal(t, events.CompleteModules, got.Mode)
	set := body{
		"mode": "selected_modules", "required_modules": []uuid.UUID{cur.Modules[0].ID}, "min_grade": 62.5,
		"certificate": body{"enabled": true, "title": "Done", "min_grade": 50, "valid_days": 365},
	}
	teacher := w.as(w.teacher)
	teacher.PUT(path, set).Expect(http.StatusPreconditionRequired)
	teacher.With("If-Match", `"v2"`).PUT(path, set).Expect(http.StatusOK).JSON(&got)
	require.InDelta(t, 62.5, *got.MinGrade, 0)
	state := last[events.CourseUpdated](w, c.ID)
	require.Equal(t, events.Hundredths(6250), *state.Completion.MinGrade)
	set["min_grade"] = 62.555
	teacher.With("If-Match", `"v3"`).PUT(path, set).Expect(http.StatusUnprocessableEntity).Field("min_grade", "decimals")

	// A module that goes leaves the settings, too.
	teacher.With("If-Match", `"v2"`).DELETE(c.path("/modules/" + cur.Modules[0].ID.String())).Expect(http.StatusNoContent)
	state = last[events.CourseUpdated](w, c.ID)
	require.Equal(t, events.CompleteModules, state.Completion.Mode)
	require.Empty(t, state.Completion.RequiredModules)
}

func TestAViewIsToldOncePerPersonAndDay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, _ := w.published(body{"visibility": "public"})
	views := func() (n int) {
		require.NoError(t, w.service.FlushViews(t.Context()))
		for _, e := range w.types(c.ID) {
			if e == events.TypeCourseViewed {
				n++
			}
		}
		return n
	}
	w.client.Anonymous().GET(c.path("")).Expect(http.StatusOK)
	w.as(w.teacher).GET(c.path("")).Expect(http.StatusOK)
	require.Zero(t, views(), "nobody, and staff, are no viewers")
	w.as(w.student).GET(c.path("")).Expect(http.StatusOK)
	w.as(w.student).GET(c.path("")).Expect(http.StatusOK)
	require.Equal(t, 1, views())
	require.Equal(t, w.student.UserID, last[events.CourseViewed](w, c.ID).UserID)
	other := newWorldOn(w)
	other.as(w.student).GET(c.path("")).Expect(http.StatusOK)
	require.NoError(t, other.service.FlushViews(t.Context()))
	require.Equal(t, 1, views(), "another replica tells nothing twice")
	w.clock.Advance(24 * time.Hour)
	w.as(w.student).GET(c.path("")).Expect(http.StatusOK)
	require.Equal(t, 2, views())
	w.clock.Advance(72 * time.Hour)
	require.NoError(t, w.service.PurgeViews(t.Context()))
}
