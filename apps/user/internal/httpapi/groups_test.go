package httpapi_test

import (
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/user/internal/httpapi"
	"lms/apps/user/internal/identity"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/web"
)

func TestGroups(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.as(w.root)
	u, v := w.person(w.tenant, "ada@example.org").It.ID, w.person(w.tenant, "bob@example.org").It.ID
	admin.POST("/api/v1/groups", body{"org_unit_id": w.tenant, "name": "x", "starts_on": "soon"}).Expect(http.StatusUnprocessableEntity).Field("starts_on", "invalid")
	admin.POST("/api/v1/groups", body{"org_unit_id": w.tenant, "name": "x", "starts_on": "2026-09-02", "ends_on": "2026-09-01"}).
		Expect(http.StatusUnprocessableEntity).Field("ends_on", "before_start")
	g := read[httpapi.Group](admin.POST("/api/v1/groups", body{"org_unit_id": w.tenant, "kind": "cohort", "name": "2026", "starts_on": "2026-09-01", "max_members": 1}).Expect(http.StatusCreated))
	require.Equal(t, "2026-09-01", g.It.StartsOn)
	path := "/api/v1/groups/" + g.It.ID.String()
	changed := read[httpapi.Group](admin.With("If-Match", g.Tag).PATCH(path, body{"starts_on": nil, "ends_on": "2027-07-31"}).Expect(http.StatusOK))
	require.Equal(t, [2]string{"", "2027-07-31"}, [2]string{changed.It.StartsOn, changed.It.EndsOn})

	in := read[httpapi.Group](admin.PUT(path+"/members/"+u.String(), nil).Expect(http.StatusOK))
	require.Equal(t, 1, in.It.MemberCount)
	admin.PUT(path+"/members/"+u.String(), nil).Expect(http.StatusOK)
	admin.PUT(path+"/members/"+v.String(), nil).Expect(http.StatusConflict).Code("group_full")
	w.as(w.principal(u)).GET(path).Expect(http.StatusOK)
	w.as(w.principal(v)).GET(path).Expect(http.StatusNotFound)
	var members web.Items[httpapi.GroupMember]
	admin.GET(path + "/members").Expect(http.StatusOK).JSON(&members)
	require.Equal(t, u, members.Items[0].UserID)
	var groups web.Items[httpapi.Group]
	admin.GET("/api/v1/groups?user_id=" + u.String()).Expect(http.StatusOK).JSON(&groups)
	require.Len(t, groups.Items, 1)
	var reply internalapi.GroupMembersReply
	w.from("notification").POST(internalapi.PathGroupMembers, internalapi.GroupMembersRequest{GroupIDs: []uuid.UUID{g.It.ID}}).Expect(http.StatusForbidden)
	w.from("assignment").POST(internalapi.PathGroupMembers, internalapi.GroupMembersRequest{GroupIDs: []uuid.UUID{g.It.ID}}).Expect(http.StatusOK).JSON(&reply)
	require.Equal(t, []internalapi.GroupMember{{GroupID: g.It.ID, UserID: u}}, reply.Items)
	// For somebody, only what that person may see.
	asked := internalapi.GroupMembersRequest{GroupIDs: []uuid.UUID{g.It.ID}, ActorID: &w.root.UserID}
	w.from("enrollment").POST(internalapi.PathGroupMembers, asked).Expect(http.StatusOK)
	asked.ActorID = &v
	w.from("enrollment").POST(internalapi.PathGroupMembers, asked).Expect(http.StatusUnprocessableEntity).Field("group_ids[0]", "unknown")
	asked.ActorID, asked.GroupIDs = &w.root.UserID, []uuid.UUID{uuid.New()}
	w.from("enrollment").POST(internalapi.PathGroupMembers, asked).Expect(http.StatusUnprocessableEntity).Field("group_ids[0]", "unknown")
	admin.DELETE(path + "/members/" + u.String()).Expect(http.StatusNoContent)
	tag := admin.GET(path).Expect(http.StatusOK).ETag()
	admin.With("If-Match", tag).DELETE(path).Expect(http.StatusNoContent)
	admin.GET(path).Expect(http.StatusNotFound)
}

func TestGroupSets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	course := uuid.New()
	teacher := w.principal(w.person(w.tenant, "teacher@example.org").It.ID)
	staff := identity.CourseAccess{TenantID: w.tenant, OrgUnitID: w.tenant, StaffRole: authz.RoleInstructor}
	learner := staff
	learner.StaffRole = ""
	w.friends.access[course] = map[uuid.UUID]identity.CourseAccess{teacher.UserID: staff}
	var students []authz.Principal
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		p := w.principal(w.person(w.tenant, name+"@example.org").It.ID)
		students = append(students, p)
		w.friends.access[course][p.UserID] = learner
		w.friends.learners[course] = append(w.friends.learners[course], p.UserID)
	}
	sets := "/api/v1/courses/" + course.String() + "/group-sets"
	w.as(students[0]).POST(sets, body{"name": "Labs"}).Expect(http.StatusForbidden)
	w.as(w.principal(w.person(w.tenant, "alien@example.org").It.ID)).GET(sets).Expect(http.StatusNotFound)
	set := read[httpapi.GroupSet](w.as(teacher).POST(sets, body{"name": "Labs", "group_count": 2, "max_members": 3, "self_signup": true}).Expect(http.StatusCreated))
	path := "/api/v1/group-sets/" + set.It.ID.String()
	w.as(teacher).POST(path+"/assign", body{"mode": "fair"}).Expect(http.StatusUnprocessableEntity)
	done := read[httpapi.Assignment](w.as(teacher).POST(path+"/assign", body{"mode": "even"}).Expect(http.StatusOK))
	require.Equal(t, httpapi.Assignment{Assigned: 5}, done.It)
	third := read[httpapi.Group](w.as(teacher).POST(path+"/groups", body{"name": "Labs C"}).Expect(http.StatusCreated))
	var groups web.Items[httpapi.Group]
	w.as(students[0]).GET(path + "/groups").Expect(http.StatusOK).JSON(&groups)
	require.Len(t, groups.Items, 3)
	w.as(students[0]).POST("/api/v1/groups/"+third.It.ID.String()+"/join", nil).Expect(http.StatusOK)
	w.as(teacher).POST("/api/v1/groups/"+third.It.ID.String()+"/join", nil).Expect(http.StatusForbidden)

	var reply internalapi.CourseGroupsReply
	w.from("assignment").GET("/internal/courses/" + course.String() + "/groups").Expect(http.StatusOK).JSON(&reply)
	require.Len(t, reply.Sets, 1)
	seen := map[uuid.UUID]int{}
	for _, g := range reply.Sets[0].Groups {
		for _, m := range g.Members {
			seen[m]++
		}
	}
	require.Len(t, seen, 5)
	for id, n := range seen {
		require.Equal(t, 1, n, "%s is in one group of the set", id)
	}
	var list web.Items[httpapi.GroupSet]
	tag := w.as(teacher).GET(path).Expect(http.StatusOK).ETag()
	w.as(teacher).With("If-Match", tag).DELETE(path).Expect(http.StatusNoContent)
	w.as(teacher).GET(sets).Expect(http.StatusOK).JSON(&list)
	require.Empty(t, list.Items)
}
