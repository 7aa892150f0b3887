package app

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/course/internal/catalog"
	"lms/apps/course/internal/httpapi"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
)

func TestStaff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, _ := w.published(nil)
	path := func(p authz.Principal) string { return c.path("/staff/" + p.UserID.String()) }
	teacher := w.as(w.teacher)
	teacher.PUT(path(w.assistant), body{"role": "student"}).Expect(http.StatusUnprocessableEntity).Field("role", "unknown_role")
	teacher.PUT(path(w.assistant), body{"role": "org_admin"}).Expect(http.StatusUnprocessableEntity).Field("role", "unknown_role")
	teacher.PUT(path(w.alien), body{"role": "instructor"}).Expect(http.StatusUnprocessableEntity).Field("user", "unknown_user")
	teacher.PUT(c.path("/staff/"+uuid.NewString()), body{"role": "instructor"}).Expect(http.StatusUnprocessableEntity).Field("user", "unknown_user")
	teacher.PUT(path(w.assistant), body{"role": "teaching_assistant"}).Expect(http.StatusOK)
	changed := last[events.CourseStaffChanged](w, c.ID)
	require.Len(t, changed.Staff, 2)
	require.Equal(t, []events.CourseStaff{{UserID: w.assistant.UserID, Role: "teaching_assistant", Active: true}}, changed.Added)

	// The role gives what it gives, in this course only.
	assistant := w.as(w.assistant)
	assistant.GET(c.path("/versions")).Expect(http.StatusOK)
	assistant.PUT(path(w.student), body{"role": "teaching_assistant"}).Expect(http.StatusForbidden)
	assistant.With("If-Match", `"v3"`).PATCH(c.path(""), body{"title": "x"}).Expect(http.StatusForbidden)
	other := w.course(w.teacher, nil)
	assistant.GET(other.path("")).Expect(http.StatusNotFound)

	var list struct{ Items []httpapi.StaffMember }
	w.as(w.student).GET(c.path("/staff")).Expect(http.StatusOK).JSON(&list)
	require.Len(t, list.Items, 2)
	require.NotEmpty(t, list.Items[0].Name)
	var mine httpapi.Course
	assistant.GET(c.path("")).Expect(http.StatusOK).JSON(&mine)
	require.Equal(t, "teaching_assistant", mine.MyRole)

	teacher.PUT(path(w.assistant), body{"role": "instructor"}).Expect(http.StatusOK)
	assistant.With("If-Match", `"v4"`).PATCH(c.path(""), body{"title": "x"}).Expect(http.StatusOK)
	teacher.DELETE(path(w.assistant)).Expect(http.StatusNoContent)
	teacher.DELETE(path(w.assistant)).Expect(http.StatusNotFound)
	assistant.With("If-Match", `"v6"`).PATCH(c.path(""), body{"title": "y"}).Expect(http.StatusForbidden)
	require.Equal(t, w.assistant.UserID, last[events.CourseStaffChanged](w, c.ID).Removed[0].UserID)
	require.Subset(t, w.audited(c.ID), []string{"course.staff_put", "course.staff_remove"})
}

func TestRolesOfAnotherTenantAreUnknown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, _ := w.published(nil)
	at := c.path("/staff/" + w.assistant.UserID.String())
	w.as(w.teacher).PUT(at, body{"role": roleForeign}).Expect(http.StatusUnprocessableEntity).Field("role", "unknown_role")
	w.as(w.teacher).PUT(at, body{"role": uuid.NewString()}).Expect(http.StatusUnprocessableEntity).Field("role", "unknown_role")
	w.as(w.teacher).PUT(at, body{"role": roleReader}).Expect(http.StatusOK)
}

// A copy gives nobody a role that the one who copies could not give.
func TestACopyGivesNoMoreThanItsMakerHolds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, _ := w.published(nil)
	registrar, reader := w.person(w.tenant, "", uuid.Nil), w.person(w.tenant, "", uuid.Nil)
	for p, role := range map[uuid.UUID]string{registrar.UserID: roleRegistrar, reader.UserID: roleReader} {
		w.as(w.admin).PUT(c.path("/staff/"+p.String()), body{"role": role}).Expect(http.StatusOK)
	}
	j := w.job(w.as(w.teacher).POST(c.path("/copy"), body{"code": "COPY", "parts": []string{"staff"}}), w.teacher)
	var done catalog.TransferResult
	w.result(w.teacher, j, &done)
	var list struct{ Items []httpapi.StaffMember }
	w.as(w.teacher).GET("/api/v1/courses/" + done.CourseID.String() + "/staff").Expect(http.StatusOK).JSON(&list)
	got := map[uuid.UUID]string{}
	for _, m := range list.Items {
		got[m.UserID] = m.Role
	}
	require.Equal(t, map[uuid.UUID]string{w.teacher.UserID: "instructor", reader.UserID: roleReader}, got)
	require.Equal(t, catalog.NoteRefused, w.rows(w.teacher, j.ID)["role_not_grantable"])
}

func TestNobodyGivesMoreThanTheyHold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course(w.teacher, nil)
	strong, weak := uuid.NewString(), uuid.NewString()
	roles := append(authz.BuiltinRoles(),
		authz.Role{Key: strong, TenantID: w.tenant, Permissions: []authz.Permission{authz.CourseDelete}},
		authz.Role{Key: weak, TenantID: w.tenant, Permissions: []authz.Permission{authz.CourseRead}})
	units := []authz.OrgUnit{{ID: w.tenant, TenantID: w.tenant}, {ID: w.unit, ParentID: w.tenant, TenantID: w.tenant}}
	w.service.Authz = authz.Fixed{P: authz.NewPolicy(authz.Snapshot{Roles: roles, OrgUnits: units})}
	path := c.path("/staff/" + w.assistant.UserID.String())
	w.as(w.teacher).PUT(path, body{"role": strong}).Expect(http.StatusForbidden)
	w.as(w.teacher).PUT(path, body{"role": weak}).Expect(http.StatusOK)
	w.as(w.admin).PUT(path, body{"role": strong}).Expect(http.StatusOK)
	w.as(w.teacher).PUT(path, body{"role": uuid.NewString()}).Expect(http.StatusUnprocessableEntity).Field("role", "unknown_role")
}

func TestAnnouncements(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course(w.teacher, nil)
	teacher := w.as(w.teacher)
	path := c.path("/announcements")
	teacher.POST(path, body{"title": "Hi", "body": "<p>x</p>"}).Expect(http.StatusConflict).Code("course_not_published")
	draft := teacher.POST(path, body{"title": "Later", "body": "<p>x</p>", "draft": true}).Expect(http.StatusCreated)
	teacher.POST(path, body{"title": " ", "body": "<script>1</script>"}).Expect(http.StatusUnprocessableEntity).Field("title", "required").Field("body", "required")
	teacher.POST(c.path("/publish"), nil).Expect(http.StatusOK)
	at := w.clock.Now().Add(time.Hour)
	scheduled := teacher.POST(path, body{"title": "Soon", "body": "<p>y</p>", "publish_at": at}).Expect(http.StatusCreated)
	now := teacher.POST(path, body{"title": "Now", "body": "<h1>Big</h1><p>news <b>today</b></p>", "pinned": true}).Expect(http.StatusCreated)
	var a httpapi.Announcement
	now.JSON(&a)
	require.Equal(t, "published", a.State)
	told := last[events.AnnouncementPublished](w, c.ID)
	require.Equal(t, a.ID, told.AnnouncementID)
	require.Equal(t, "Big\nnews today", told.Text)

	w.as(w.student).GET(path).Expect(http.StatusForbidden).Code("enrollment_required")
	w.as(w.student).POST(path, body{"title": "x", "body": "y"}).Expect(http.StatusForbidden)
	w.friends.enroll(w.student.UserID, c.ID)
	count := func(p authz.Principal) int {
		var l struct{ Items []httpapi.Announcement }
		w.as(p).GET(path).Expect(http.StatusOK).JSON(&l)
		return len(l.Items)
	}
	require.Equal(t, 3, count(w.teacher))
	require.Equal(t, 1, count(w.student))
	one := func(p authz.Principal, location string, status int) { w.as(p).GET(location).Expect(status) }
	one(w.student, now.Header.Get("Location"), http.StatusOK)
	one(w.student, draft.Header.Get("Location"), http.StatusNotFound)
	one(w.alien, now.Header.Get("Location"), http.StatusNotFound)
	one(w.teacher, draft.Header.Get("Location"), http.StatusOK)

	require.NoError(t, w.service.PublishDue(t.Context()))
	require.Equal(t, 1, count(w.student))
	w.clock.Set(at)
	require.NoError(t, w.service.PublishDue(t.Context()))
	require.NoError(t, w.service.PublishDue(t.Context()))
	require.Equal(t, 2, count(w.student), "exactly at its time")
	n := 0
	for _, e := range w.types(c.ID) {
		if e == events.TypeAnnouncementPublished {
			n++
		}
	}
	require.Equal(t, 2, n, "each is told once")

	location := scheduled.Header.Get("Location")
	teacher.With("If-Match", `"v1"`).PATCH(location, body{"title": "x"}).Expect(http.StatusPreconditionFailed)
	teacher.With("If-Match", `"v2"`).PATCH(location, body{"title": "Edited", "publish_at": nil}).Expect(http.StatusOK).JSON(&a)
	require.Equal(t, "published", a.State, "what was told stays told")
	teacher.With("If-Match", `"v1"`).PATCH(draft.Header.Get("Location"), body{"publish_at": w.clock.Now()}).Expect(http.StatusOK)
	require.Equal(t, 3, count(w.student))
	teacher.With("If-Match", `"v3"`).DELETE(location).Expect(http.StatusNoContent)
	require.Equal(t, 2, count(w.student))
}

func TestSeatsAndPricesAreShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, _ := w.published(nil)
	_, err := w.call("enrollment", internalapi.CallSeatsState, c.ID.String(), internalapi.SeatsState{CourseID: c.ID, State: events.SeatsFull})
	require.NoError(t, err)
	plan := uuid.New()
	price := &events.CoursePrice{PlanID: plan, Amount: 4900, Currency: "EUR", Kind: "one_off", Plans: 2}
	_, err = w.call("payment", internalapi.CallPriceSummary, c.ID.String(), internalapi.PriceSummary{CourseID: c.ID, Price: price})
	require.NoError(t, err)
	var got httpapi.Course
	w.as(w.student).GET(c.path("")).Expect(http.StatusOK).JSON(&got)
	require.Equal(t, events.SeatsFull, got.Seats)
	require.Equal(t, int64(4900), got.Price.Amount)
	require.True(t, got.RequiresEntitlement)
	state := last[events.CourseUpdated](w, c.ID)
	require.Equal(t, price, state.Price)
	require.Equal(t, []string{"price"}, state.Changed)
	_, err = w.call("payment", internalapi.CallPriceSummary, c.ID.String(), internalapi.PriceSummary{CourseID: c.ID})
	require.NoError(t, err)
	require.False(t, last[events.CourseUpdated](w, c.ID).RequiresEntitlement)
	n := len(w.events(c.ID))
	_, err = w.call("enrollment", internalapi.CallSeatsState, c.ID.String(), internalapi.SeatsState{CourseID: c.ID, State: events.SeatsFull})
	require.NoError(t, err)
	require.Len(t, w.events(c.ID), n, "the same again says nothing")
	_, err = w.call("enrollment", internalapi.CallSeatsState, c.ID.String(), internalapi.SeatsState{CourseID: c.ID, State: "packed"})
	require.Error(t, err)
	_, err = w.call("content", internalapi.CallSeatsState, c.ID.String(), internalapi.SeatsState{CourseID: c.ID, State: events.SeatsOpen})
	require.Error(t, err, "only enrollment counts seats")
}

func TestPersonsComeAndGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, _ := w.published(body{"visibility": "enrolled"})
	heir := w.person(w.tenant, "", uuid.Nil)
	w.as(w.teacher).PUT(c.path("/staff/"+w.assistant.UserID.String()), body{"role": "instructor"}).Expect(http.StatusOK)
	status := func(s string, into *uuid.UUID) {
		_, err := w.call("user", internalapi.CallPersonStatus, w.assistant.UserID.String(),
			internalapi.PersonStatus{UserID: w.assistant.UserID, TenantID: w.tenant, Status: s, MergedInto: into, At: w.clock.Now()})
		require.NoError(t, err)
	}
	staff := func() map[uuid.UUID]bool {
		out := map[uuid.UUID]bool{}
		for _, m := range last[events.CourseStaffChanged](w, c.ID).Staff {
			out[m.UserID] = m.Active
		}
		return out
	}
	w.as(w.assistant).GET(c.path("")).Expect(http.StatusOK)
	status(internalapi.PersonDeactivated, nil)
	require.False(t, staff()[w.assistant.UserID])
	w.as(w.assistant).GET(c.path("")).Expect(http.StatusNotFound)
	status(internalapi.PersonActive, nil)
	w.as(w.assistant).GET(c.path("")).Expect(http.StatusOK)
	status(internalapi.PersonMerged, &heir.UserID)
	require.Equal(t, map[uuid.UUID]bool{w.teacher.UserID: true, heir.UserID: true}, staff())
	w.as(heir).GET(c.path("")).Expect(http.StatusOK)
	w.as(w.assistant).GET(c.path("")).Expect(http.StatusNotFound)
}

func TestErasureLeavesNoTrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, _ := w.published(body{"visibility": "public"})
	w.as(w.teacher).POST(c.path("/announcements"), body{"title": "T", "body": "<p>b</p>"}).Expect(http.StatusCreated)
	student := w.as(w.student)
	student.GET(c.path("")).Expect(http.StatusOK)
	require.NoError(t, w.service.FlushViews(t.Context()))

	raw, err := w.call("user", internalapi.CallExportPerson, w.teacher.UserID.String(), internalapi.ExportPerson{UserID: w.teacher.UserID, TenantID: w.tenant})
	require.NoError(t, err)
	var export internalapi.ExportPersonReply
	require.NoError(t, json.Unmarshal(raw, &export))
	require.Contains(t, string(export.Sections["course_staff"]), c.ID.String())
	require.Contains(t, string(export.Sections["announcements"]), `"T"`)

	pseudonym := uuid.New()
	for _, p := range []authz.Principal{w.teacher, w.student} {
		raw, err = w.call("user", internalapi.CallErasePerson, p.UserID.String(), internalapi.ErasePerson{UserID: p.UserID, TenantID: w.tenant, Pseudonym: pseudonym})
		require.NoError(t, err)
		var reply internalapi.ErasePersonReply
		require.NoError(t, json.Unmarshal(raw, &reply))
		require.Contains(t, reply.Erased, "course_staff")
		require.Equal(t, p.UserID == w.teacher.UserID, len(reply.Kept) > 0)
	}
	require.Empty(t, last[events.CourseStaffChanged](w, c.ID).Staff)
	require.Equal(t, pseudonym, last[events.CourseStaffChanged](w, c.ID).Removed[0].UserID)
	for _, table := range []string{"courses", "course_staff", "course_views", "announcements", "curriculum_versions", "modules", "items"} {
		var n int
		require.NoError(t, w.pool.QueryRow(t.Context(), "select count(*) from (select set_config('lms.tenant', '*', false)) s, lateral (select 1 from "+table+" x where row_to_json(x)::text like any(array['%'||$1||'%','%'||$2||'%'])) y",
			w.teacher.UserID.String(), w.student.UserID.String()).Scan(&n))
		require.Zero(t, n, table)
	}
}

func TestOtherServicesReadCoursesWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, cur := w.published(nil)
	enrollment, search := w.as(authz.Principal{Service: "enrollment"}), w.as(authz.Principal{Service: "search"})
	var doc internalapi.CourseDocument
	enrollment.GET("/internal/courses/" + c.ID.String()).Expect(http.StatusOK).JSON(&doc)
	all := w.events(c.ID)
	require.Equal(t, all[len(all)-1].Seq, doc.Seq)
	require.Equal(t, last[events.CoursePublishedEvent](w, c.ID).CourseState, doc.Course)
	require.Equal(t, last[events.CurriculumChanged](w, c.ID).CurriculumState, doc.Curriculum)
	require.Equal(t, cur.Modules[0].ID, doc.Curriculum.Modules[0].ID)
	w.as(w.admin).GET("/internal/courses/" + c.ID.String()).Expect(http.StatusNotFound)
	w.client.Anonymous().GET("/internal/courses/" + c.ID.String()).Expect(http.StatusUnauthorized)

	d := w.course(w.teacher, nil)
	w.as(w.admin).With("If-Match", d.tag).DELETE(d.path("")).Expect(http.StatusNoContent)
	seen := map[uuid.UUID]bool{}
	cursor := ""
	for {
		var p internalapi.CoursePage
		search.GET("/internal/courses?limit=1&cursor=" + cursor).Expect(http.StatusOK).JSON(&p)
		for _, x := range p.Items {
			seen[x.Course.ID] = x.Course.Deleted
		}
		if cursor = p.NextCursor; cursor == "" {
			break
		}
	}
	require.Equal(t, map[uuid.UUID]bool{c.ID: false, d.ID: true}, seen, "with tombstones")
	enrollment.GET("/internal/resources/" + uuid.NewString() + "/usages").Expect(http.StatusForbidden)
	w.as(authz.Principal{Service: "content"}).GET("/internal/resources/" + uuid.NewString() + "/usages").Expect(http.StatusOK)
}

var _ catalog.Membership = (*neighbours)(nil)

// An archived course is read-only: its announcements, too.
func TestAnnouncementsOfAnArchivedCourseStay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, _ := w.published(nil)
	teacher := w.as(w.teacher)
	var a httpapi.Announcement
	r := teacher.POST(c.path("/announcements"), body{"title": "T", "body": "<p>b</p>"}).Expect(http.StatusCreated)
	r.JSON(&a)
	at := "/api/v1/announcements/" + a.ID.String()
	teacher.POST(c.path("/archive"), nil).Expect(http.StatusOK)
	teacher.With("If-Match", r.ETag()).PATCH(at, body{"title": "Late"}).Expect(http.StatusConflict).Code("course_archived")
	teacher.With("If-Match", r.ETag()).DELETE(at).Expect(http.StatusConflict).Code("course_archived")
	teacher.POST(c.path("/restore"), nil).Expect(http.StatusOK)
	teacher.With("If-Match", r.ETag()).PATCH(at, body{"title": "Again"}).Expect(http.StatusOK)
}
