package app

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/enrollment/internal/httpapi"
	"lms/shared/authz"
	contract "lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/testkit"
)

func (w *world) ask(p authz.Principal, c contract.CourseState, action string, change ...func(*internalapi.AccessRequest)) internalapi.AccessVerdict {
	w.t.Helper()
	in := internalapi.AccessRequest{UserID: p.UserID, CourseID: c.ID, Action: action, Grants: p.Grants}
	for _, f := range change {
		f(&in)
	}
	var out internalapi.AccessVerdict
	w.as(testkit.Service("content")).POST(internalapi.PathAccess, in).Expect(200).JSON(&out)
	return out
}

func TestAccessVerdicts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ends := w.clock.Now().Add(time.Hour)
	c := w.course(func(c *contract.CourseState) { c.EndsAt = &ends })
	open, test := needs(contract.RequireView), quiz(5000)
	res := uuid.New()
	open.Kind, open.ResourceID = contract.ItemContent, &res
	m := part("M", open, test)
	m.Sequential = true
	w.curriculum(c, m)
	w.as(w.student).POST(internalapi.PathAccess, map[string]any{}).Expect(404)

	item := func(id uuid.UUID) func(*internalapi.AccessRequest) {
		return func(r *internalapi.AccessRequest) { r.ItemID = &id }
	}
	resource := func(id *uuid.UUID) func(*internalapi.AccessRequest) {
		return func(r *internalapi.AccessRequest) { r.ResourceID = id }
	}
	require.Equal(t, internalapi.DeniedUnknown, w.ask(w.student, c, "see").Code, "not enrolled")
	e := w.enroll(w.student, c)
	v := w.ask(w.student, c, "see")
	require.True(t, v.Allowed)
	require.Equal(t, []string{"learner", "active"}, []string{v.As, v.State})
	require.Equal(t, e.ID, *v.EnrollmentID)
	require.Equal(t, ends, *v.Until)
	require.Equal(t, internalapi.DeniedForbidden, w.ask(w.student, c, "grade").Code)
	v = w.ask(w.student, c, "submit", resource(&res))
	require.True(t, v.Allowed)
	require.Equal(t, open.ID, *v.ItemID)
	v = w.ask(w.student, c, "submit", resource(test.ResourceID))
	require.Equal(t, internalapi.DeniedItemLocked, v.Code)
	require.Equal(t, "sequential", v.Reasons[0].Code)
	require.Equal(t, open.ID, v.Reasons[0].Missing[0].ID)
	require.Equal(t, internalapi.DeniedUnknown, w.ask(w.student, c, "see", item(uuid.New())).Code)
	w.view(w.student, c, open)
	v = w.ask(w.student, c, "submit", item(test.ID))
	require.True(t, v.Allowed)
	require.Equal(t, w.clock.Now(), *v.Since, "open since the item before was seen")

	// Staff by the copy of the course, admins by their grants.
	for _, action := range []string{"see", "submit", "grade", "teach"} {
		require.Equal(t, "staff", w.ask(w.teacher, c, action).As, action)
		require.Equal(t, "admin", w.ask(w.admin, c, action).As, action)
	}
	require.Equal(t, internalapi.DeniedUnknown, w.ask(w.alien, c, "grade").Code)
	limited := w.ask(w.admin, c, "grade", func(r *internalapi.AccessRequest) { r.Limited = []authz.Permission{authz.CourseRead} })
	require.Equal(t, internalapi.DeniedForbidden, limited.Code)

	// Suspended, deactivated, ended, archived, unpublished.
	w.as(w.teacher).POST(path("enrollments", e.ID, "suspend"), nil).Expect(200)
	require.Equal(t, internalapi.DeniedSuspended, w.ask(w.student, c, "see").Code)
	w.as(w.teacher).POST(path("enrollments", e.ID, "reactivate"), nil).Expect(200)
	w.setPerson(w.student, internalapi.PersonDeactivated, nil)
	require.Equal(t, internalapi.DeniedInactive, w.ask(w.student, c, "see").Code)
	w.setPerson(w.student, internalapi.PersonActive, nil)
	w.clock.Set(ends)
	require.True(t, w.ask(w.student, c, "submit").Allowed)
	w.clock.Set(ends.Add(time.Microsecond))
	require.Equal(t, internalapi.DeniedReadOnly, w.ask(w.student, c, "submit").Code)
	v = w.ask(w.student, c, "see", item(test.ID))
	require.True(t, v.Allowed && v.ReadOnly)
	c.Status = contract.CourseArchived
	w.tell(contract.TypeCourseArchived, c.ID, c)
	require.True(t, w.ask(w.student, c, "see").Allowed)
	require.Equal(t, internalapi.DeniedReadOnly, w.ask(w.student, c, "submit").Code)
	c.Status = contract.CourseDraft
	w.tell(contract.TypeCourseRestored, c.ID, c)
	require.Equal(t, internalapi.DeniedUnknown, w.ask(w.student, c, "see").Code)
	require.True(t, w.ask(w.teacher, c, "see").Allowed)
}

func (w *world) setPerson(p authz.Principal, status string, into *uuid.UUID) {
	w.t.Helper()
	call[internalapi.Done](w, internalapi.CallPersonStatus, "user", p.UserID.String(),
		internalapi.PersonStatus{UserID: p.UserID, TenantID: w.tenant, Status: status, MergedInto: into, At: w.clock.Now()})
}

func TestMembersAndCourses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course()
	people := map[uuid.UUID]bool{}
	for range 5 {
		p := w.learner()
		w.enroll(p, c)
		people[p.UserID] = true
	}
	away := w.learner()
	w.enroll(away, c)
	w.setPerson(away, internalapi.PersonDeactivated, nil)
	seen := map[uuid.UUID]string{}
	cursor := ""
	for {
		var list internalapi.CourseMembers
		w.as(testkit.Service("notification")).GET("/internal/courses/" + c.ID.String() + "/members?limit=2&staff=true&cursor=" + cursor).Expect(200).JSON(&list)
		for _, m := range list.Items {
			require.Empty(t, seen[m.UserID], "said twice")
			seen[m.UserID] = m.As
		}
		if cursor = list.NextCursor; cursor == "" {
			break
		}
	}
	require.Len(t, seen, 6)
	require.Equal(t, "staff", seen[w.teacher.UserID])
	var mine internalapi.UserCourses
	w.as(testkit.Service("search")).GET("/internal/users/" + w.teacher.UserID.String() + "/courses").Expect(200).JSON(&mine)
	require.Equal(t, []string{"staff", "instructor"}, []string{mine.Items[0].As, mine.Items[0].Role})
	for id := range people {
		w.as(testkit.Service("search")).GET("/internal/users/" + id.String() + "/courses").Expect(200).JSON(&mine)
		require.Equal(t, []string{"learner", "active"}, []string{mine.Items[0].As, mine.Items[0].State})
	}
	var facts internalapi.RefundFacts
	w.as(testkit.Service("payment")).GET("/internal/courses/" + c.ID.String() + "/refund-facts?user_id=" + away.UserID.String()).Expect(200).JSON(&facts)
	require.False(t, facts.EverCertified)
	w.as(testkit.Service("content")).GET("/internal/courses/" + c.ID.String() + "/refund-facts?user_id=" + away.UserID.String()).Expect(403)
}

func TestPeopleLeaveMergeAndAreForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	limited, free := w.course(seats(1)), w.course()
	gone, heir, next := w.learner(), w.learner(), w.learner()
	seat := w.enroll(gone, limited)
	waiting := w.enroll(next, limited)
	own := w.enroll(gone, free)
	behind := w.enroll(heir, limited)
	w.setPerson(gone, internalapi.PersonMerged, &heir.UserID)
	require.Equal(t, heir.UserID, w.read(heir, seat.ID).UserID, "the better of two stays")
	require.Equal(t, "merged", w.read(w.teacher, behind.ID).Reason)
	require.Equal(t, "waitlisted", w.read(next, waiting.ID).State)
	w.as(heir).POST(path("enrollments", seat.ID, "withdraw"), nil).Expect(200)
	require.Equal(t, "active", w.read(next, waiting.ID).State)
	require.Equal(t, heir.UserID, w.read(heir, own.ID).UserID)

	pseudonym := uuid.New()
	done := call[internalapi.ErasePersonReply](w, internalapi.CallErasePerson, "user", next.UserID.String(),
		internalapi.ErasePerson{RequestID: uuid.New(), UserID: next.UserID, TenantID: w.tenant, Pseudonym: pseudonym})
	require.Contains(t, done.Erased, "enrollments")
	require.Equal(t, []string{"waitlisted", "promoted", "activated", "withdrawn"}, w.told(waiting.ID))
	var left int
	w.scan(&left, `select (select count(*) from enrollments where user_id = $1) + (select count(*) from certificates where user_id = $1)`, next.UserID)
	require.Zero(t, left)
	var e httpapi.Enrollment
	w.as(w.teacher).GET(path("enrollments", waiting.ID)).Expect(200).JSON(&e)
	require.Equal(t, pseudonym, e.UserID)
	reply, _ := entitle(w, next, free, func(e *internalapi.Entitlement) { e.Enroll = true })
	require.Equal(t, "person_inactive", reply.Code)

	data := call[internalapi.ExportPersonReply](w, internalapi.CallExportPerson, "user", heir.UserID.String(),
		internalapi.ExportPerson{RequestID: uuid.New(), UserID: heir.UserID, TenantID: w.tenant})
	require.Contains(t, string(data.Sections["enrollments"]), free.ID.String())
	require.Contains(t, data.Sections, "certificates")
}
