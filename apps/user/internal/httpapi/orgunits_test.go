package httpapi_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/user/internal/httpapi"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/web"
)

func unitPath(id uuid.UUID, more string) string { return "/api/v1/org-units/" + id.String() + more }

func TestOrgUnits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.as(w.root)
	faculty := w.unit(w.tenant, "Faculty")
	institute := w.unit(faculty.It.ID, "Institute")
	require.Equal(t, []uuid.UUID{w.tenant, faculty.It.ID, institute.It.ID}, institute.It.Path)
	boss := w.grant(w.person(faculty.It.ID, "boss@example.org").It.ID, authz.RoleOrgAdmin, faculty.It.ID)

	var list web.Items[httpapi.OrgUnit]
	w.as(boss).GET("/api/v1/org-units").Expect(http.StatusOK).JSON(&list)
	require.Len(t, list.Items, 2)
	w.as(boss).GET(unitPath(w.tenant, "")).Expect(http.StatusNotFound)
	w.as(boss).POST("/api/v1/org-units", body{"name": "Own"}).Expect(http.StatusForbidden)
	w.as(boss).POST("/api/v1/org-units", body{"name": "Out", "parent_id": w.tenant}).Expect(http.StatusUnprocessableEntity).Field("parent_id", "not_found")
	admin.GET("/api/v1/org-units?parent_id=" + w.tenant.String()).Expect(http.StatusOK).JSON(&list)
	require.Len(t, list.Items, 1)
	admin.GET("/api/v1/org-units?roots=true&archived=false").Expect(http.StatusOK).JSON(&list)
	require.Len(t, list.Items, 1)

	renamed := read[httpapi.OrgUnit](w.as(boss).With("If-Match", faculty.Tag).PATCH(unitPath(faculty.It.ID, ""), body{"name": "Faculty of Arts", "kind": "faculty", "code": "FA"}).Expect(http.StatusOK))
	require.Equal(t, "FA", renamed.It.Code)
	admin.With("If-Match", faculty.Tag).PATCH(unitPath(faculty.It.ID, ""), body{"name": "x"}).Expect(http.StatusPreconditionFailed)
	admin.POST("/api/v1/org-units", body{"name": "Twin", "code": "fa", "parent_id": w.tenant}).Expect(http.StatusConflict).Code("code_taken")
	admin.With("If-Match", renamed.Tag).POST(unitPath(faculty.It.ID, "/move"), body{"parent_id": institute.It.ID}).Expect(http.StatusConflict).Code("cycle")
	other := w.unit(w.tenant, "Other")
	moved := read[httpapi.OrgUnit](admin.With("If-Match", institute.Tag).POST(unitPath(institute.It.ID, "/move"), body{"parent_id": other.It.ID}).Expect(http.StatusOK))
	require.Equal(t, []uuid.UUID{w.tenant, other.It.ID, institute.It.ID}, moved.It.Path)

	require.True(t, read[httpapi.OrgUnit](admin.POST(unitPath(other.It.ID, "/archive"), nil).Expect(http.StatusOK)).It.Archived)
	admin.POST("/api/v1/org-units", body{"name": "Late", "parent_id": other.It.ID}).Expect(http.StatusUnprocessableEntity).Field("parent_id", "archived")
	require.False(t, read[httpapi.OrgUnit](admin.POST(unitPath(other.It.ID, "/restore"), nil).Expect(http.StatusOK)).It.Archived)
	admin.With("If-Match", renamed.Tag).DELETE(unitPath(faculty.It.ID, "")).Expect(http.StatusConflict).Code("in_use")
	tag := admin.POST(unitPath(institute.It.ID, "/restore"), nil).Expect(http.StatusOK).ETag()
	admin.With("If-Match", tag).DELETE(unitPath(institute.It.ID, "")).Expect(http.StatusNoContent)
	admin.GET(unitPath(institute.It.ID, "")).Expect(http.StatusNotFound)
}

func TestOrgMembers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.as(w.root)
	faculty := w.unit(w.tenant, "Faculty").It.ID
	u := w.person(w.tenant, "ada@example.org").It.ID
	path := unitPath(faculty, "/members/"+u.String())
	admin.GET(path).Expect(http.StatusNotFound)
	admin.PUT(path, body{"title": "Guest"}).Expect(http.StatusOK)
	member := read[httpapi.Member](admin.GET(path).Expect(http.StatusOK))
	require.Equal(t, "Guest", member.It.Title)
	require.False(t, member.It.Home)
	boss := w.grant(w.person(faculty, "boss@example.org").It.ID, authz.RoleOrgAdmin, faculty)
	w.as(boss).GET(userPath(u, "")).Expect(http.StatusOK)
	var list web.Items[httpapi.Member]
	w.as(boss).GET(unitPath(faculty, "/members")).Expect(http.StatusOK).JSON(&list)
	require.Len(t, list.Items, 2)
	admin.DELETE(path).Expect(http.StatusNoContent)
	admin.DELETE(path).Expect(http.StatusNotFound)
	admin.PUT(path, nil).Expect(http.StatusOK)
	admin.PUT(path, body{"home": true}).Expect(http.StatusOK)
	require.True(t, read[httpapi.Member](admin.GET(path).Expect(http.StatusOK)).It.Home)
	require.Equal(t, faculty, read[httpapi.User](admin.GET(userPath(u, "")).Expect(http.StatusOK)).It.OrgUnitID)
	admin.DELETE(path).Expect(http.StatusConflict).Code("home_org_unit")
}

func TestRolesAndGrants(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.as(w.root)
	faculty, other := w.unit(w.tenant, "Faculty").It.ID, w.unit(w.tenant, "Other").It.ID
	boss := w.grant(w.person(faculty, "boss@example.org").It.ID, authz.RoleOrgAdmin, faculty)

	var perms web.Items[httpapi.Permission]
	w.as(boss).GET("/api/v1/permissions?limit=200").Expect(http.StatusOK).JSON(&perms)
	require.Len(t, perms.Items, len(authz.AllPermissions()))
	made := read[httpapi.Role](w.as(boss).POST("/api/v1/roles", body{"org_unit_id": faculty, "name": "Registrar", "permissions": []string{"user:read", "user:create"}}).Expect(http.StatusCreated))
	require.Equal(t, made.It.ID.String(), made.It.Key)
	w.as(boss).POST("/api/v1/roles", body{"org_unit_id": faculty, "name": "Operator", "permissions": []string{"operation:manage"}}).
		Expect(http.StatusForbidden).Code("exceeds_own_permissions")
	w.as(boss).POST("/api/v1/roles", body{"org_unit_id": faculty, "name": "registrar", "permissions": []string{"user:read"}}).Expect(http.StatusConflict).Code("name_taken")
	var roles web.Items[httpapi.Role]
	w.as(boss).GET("/api/v1/roles").Expect(http.StatusOK).JSON(&roles)
	require.Len(t, roles.Items, 6)
	require.Equal(t, "platform_admin", roles.Items[0].Key)
	w.as(boss).GET("/api/v1/roles/instructor").Expect(http.StatusOK)
	path := "/api/v1/roles/" + made.It.Key
	changed := read[httpapi.Role](w.as(boss).With("If-Match", made.Tag).PATCH(path, body{"description": "Lets people in"}).Expect(http.StatusOK))
	w.as(boss).With("If-Match", `"v1"`).PATCH("/api/v1/roles/instructor", body{"name": "x"}).Expect(http.StatusForbidden)

	u := w.person(faculty, "ada@example.org").It.ID
	grants := userPath(u, "/roles")
	grant := func(role string, unit uuid.UUID) body {
		return body{"role": role, "scope": body{"kind": "org_unit", "id": unit}}
	}
	first := read[httpapi.Grant](w.as(boss).POST(grants, grant(made.It.Key, faculty)).Expect(http.StatusCreated))
	require.Equal(t, "Registrar", first.It.RoleName)
	require.Equal(t, first.It.ID, read[httpapi.Grant](w.as(boss).POST(grants, grant(made.It.Key, faculty)).Expect(http.StatusCreated)).It.ID, "given once")
	w.as(boss).POST(grants, grant("instructor", other)).Expect(http.StatusUnprocessableEntity).Field("scope.id", "not_found")
	w.as(boss).POST(grants, body{"role": "platform_admin", "scope": body{"kind": "platform"}}).Expect(http.StatusForbidden)
	w.as(boss).POST(grants, body{"role": "instructor", "scope": body{"kind": "course", "id": faculty}}).Expect(http.StatusUnprocessableEntity)
	w.as(w.principal(u)).POST("/api/v1/users", body{"email": "new@example.org", "name": "New", "org_unit_id": faculty}).Expect(http.StatusCreated)
	w.as(boss).With("If-Match", changed.Tag).DELETE(path).Expect(http.StatusConflict).Code("in_use")
	var held web.Items[httpapi.Grant]
	w.as(w.principal(u)).GET(grants).Expect(http.StatusOK).JSON(&held)
	require.Len(t, held.Items, 1)
	w.as(boss).DELETE(grants + "/" + first.It.ID.String()).Expect(http.StatusNoContent)
	w.as(boss).DELETE(grants + "/" + first.It.ID.String()).Expect(http.StatusNotFound)
	w.as(boss).With("If-Match", changed.Tag).DELETE(path).Expect(http.StatusNoContent)

	// The platform keeps an administrator.
	admin.GET(userPath(w.root.UserID, "/roles")).Expect(http.StatusOK).JSON(&held)
	admin.DELETE(userPath(w.root.UserID, "/roles/"+held.Items[0].ID.String())).Expect(http.StatusConflict).Code("last_platform_admin")
	admin.POST(grants, body{"role": "platform_admin", "scope": body{"kind": "platform"}}).Expect(http.StatusCreated)
	admin.DELETE(userPath(w.root.UserID, "/roles/"+held.Items[0].ID.String())).Expect(http.StatusNoContent)
}

func TestSnapshot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	course := w.from("course")
	var snap authz.Snapshot
	r := course.GET(internalapi.PathAuthzSnapshot).Expect(http.StatusOK)
	r.JSON(&snap)
	require.Len(t, snap.OrgUnits, 1)
	require.True(t, slices.ContainsFunc(snap.Roles, func(r authz.Role) bool { return r.Key == authz.RoleOrgAdmin }))
	course.With("If-None-Match", r.ETag()).GET(internalapi.PathAuthzSnapshot).Expect(http.StatusNotModified)
	w.unit(w.tenant, "Faculty")
	course.With("If-None-Match", r.ETag()).GET(internalapi.PathAuthzSnapshot).Expect(http.StatusOK).JSON(&snap)
	require.Len(t, snap.OrgUnits, 2)
	w.as(w.root).GET(internalapi.PathAuthzSnapshot).Expect(http.StatusNotFound)
}
