package httpapi_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/user/internal/httpapi"
	"lms/shared/testkit"
)

func TestListsOfPeopleAndRolesAreSorted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.as(w.root)
	unit := read[httpapi.OrgUnit](admin.POST("/api/v1/org-units", body{"name": "Science", "parent_id": w.tenant}).Expect(http.StatusCreated)).It.ID
	group := read[httpapi.Group](admin.POST("/api/v1/groups", body{"org_unit_id": unit, "name": "G"}).Expect(http.StatusCreated)).It.ID
	// c and a are at home in the unit; b comes from elsewhere, later than all of them.
	people := map[string]uuid.UUID{}
	for _, name := range []string{"c", "a", "d", "b"} {
		w.clock.Advance(time.Minute)
		home := unit
		if name == "b" {
			home = w.tenant
		}
		people[name] = w.person(home, name+"@example.org").It.ID
		if name != "d" {
			admin.POST("/api/v1/roles", body{"org_unit_id": w.tenant, "name": "Role " + name, "permissions": []string{"course:read"}}).Expect(http.StatusCreated)
		}
	}
	w.clock.Advance(time.Minute)
	admin.PUT("/api/v1/org-units/"+unit.String()+"/members/"+people["b"].String(), nil).Expect(http.StatusOK)
	for _, name := range []string{"b", "d", "a", "c"} {
		w.clock.Advance(time.Minute)
		admin.PUT("/api/v1/groups/"+group.String()+"/members/"+people[name].String(), nil).Expect(http.StatusOK)
	}
	named := func(names ...string) (out []string) {
		for _, n := range names {
			out = append(out, "Person "+n+"@example.org")
		}
		return out
	}
	for path, want := range map[string]map[string][]string{
		"/api/v1/roles": {
			"name": {"Role a", "Role b", "Role c"}, "created_at": {"Role c", "Role a", "Role b"},
		},
		"/api/v1/org-units/" + unit.String() + "/members": {
			"name": named("a", "b", "c", "d"), "created_at": named("c", "a", "d", "b"),
		},
		"/api/v1/groups/" + group.String() + "/members": {
			"name": named("a", "b", "c", "d"), "added_at": named("b", "d", "a", "c"),
		},
	} {
		testkit.Sorted(t, admin, path, "name", want)
	}
	var roles struct{ Items []httpapi.Role }
	admin.GET("/api/v1/roles?sort=-created_at").Expect(http.StatusOK).JSON(&roles)
	require.True(t, roles.Items[0].Builtin, "the built-in ones come first")
}
