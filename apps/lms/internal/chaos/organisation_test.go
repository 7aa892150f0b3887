//go:build chaos

package chaos_test

import (
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/e2e"
	"lms/apps/lms/internal/system"
	"lms/shared/authz"
)

// organisation is a tenant with people in every role and one of everything.
type organisation struct {
	Root, Unit string
	// Admin, Instructor, Assistant and Student hold a role each in the root;
	// Learner is who the resources are about, Fellow learns beside; Staff and Aide
	// hold a role in the one course only.
	Admin, Instructor, Assistant, Student, Learner, Fellow, Staff, Aide e2e.Person

	IDs ids
}

// issuer is an identity provider that is allowed here, and that nobody can reach.
const issuer = "https://127.0.0.1:1"

// organisation makes a new tenant.
func (s *school) organisation(t testing.TB, name string) organisation {
	t.Helper()
	o := organisation{Root: must(t, s.World.Admin, http.MethodPost, "/api/v1/org-units", map[string]any{"name": name})["id"].(string)}
	o.Admin = s.Invite(t, name+" Admin", o.Root, "org_admin")
	o.Unit = must(t, o.Admin.API, http.MethodPost, "/api/v1/org-units", map[string]any{"name": "Unit", "parent_id": o.Root})["id"].(string)
	o.Instructor = s.Invite(t, name+" Instructor", o.Root, "instructor")
	o.Assistant = s.Invite(t, name+" Assistant", o.Root, "teaching_assistant")
	o.Student = s.Invite(t, name+" Student", o.Root, "student")
	o.Learner = s.Invite(t, name+" Learner", o.Root)
	o.Fellow = s.Invite(t, name+" Fellow", o.Root)
	o.Staff = s.Invite(t, name+" Staff", o.Root)
	o.Aide = s.Invite(t, name+" Aide", o.Root)
	o.IDs = s.resources(t, &o)
	return o
}

// resources makes one of everything that a route can name.
func (s *school) resources(t testing.TB, o *organisation) ids {
	t.Helper()
	make1 := func(api *system.API, path string, body map[string]any) string { return made(t, api, path, body) }
	name := func() string { return "R-" + uuid.NewString()[:13] }
	admin, teacher := o.Admin.API, o.Instructor.API
	c := s.Publish(t, teacher, o.Root, map[string]any{"modules": []any{map[string]any{"title": "One", "items": []any{
		map[string]any{"kind": "page", "title": "Page", "body": "<p>x</p>", "requirement": map[string]any{"kind": "view"}},
	}}}}, nil)
	course := "/api/v1/courses/" + c.ID
	s.Replace(t, teacher, course+"/completion-settings", map[string]any{"mode": "all_modules", "certificate": map[string]any{"enabled": true, "title": "C"}})
	must(t, teacher, http.MethodPut, course+"/staff/"+o.Staff.ID, map[string]any{"role": authz.RoleInstructor})
	must(t, teacher, http.MethodPut, course+"/staff/"+o.Aide.ID, map[string]any{"role": authz.RoleTeachingAssistant})
	enrollment := make1(o.Learner.API, course+"/enrollments", map[string]any{})
	make1(o.Fellow.API, course+"/enrollments", map[string]any{})
	item := c.Modules[0].Items[0].ID
	must(t, o.Learner.API, http.MethodPost, course+"/items/"+item+"/view", map[string]any{})
	var certificate struct{ ID, Code string }
	await(t, 30*time.Second, "a certificate is issued", func() bool {
		all := list[struct{ ID, Code string }](t, o.Learner.API, "/api/v1/me/certificates")
		if len(all) == 1 {
			certificate = all[0]
		}
		return len(all) == 1
	})
	set := make1(admin, course+"/group-sets", map[string]any{"name": name()})
	group := make1(teacher, "/api/v1/group-sets/"+set+"/groups", map[string]any{"name": name()})
	must(t, admin, http.MethodPut, "/api/v1/groups/"+group+"/members/"+o.Learner.ID, map[string]any{})
	must(t, admin, http.MethodPut, "/api/v1/org-units/"+o.Unit+"/members/"+o.Learner.ID, map[string]any{})
	role := must(t, admin, http.MethodPost, "/api/v1/roles", map[string]any{"org_unit_id": o.Root, "name": name(), "permissions": []string{"group:read"}})["key"].(string)
	grant := make1(admin, "/api/v1/users/"+o.Learner.ID+"/roles", map[string]any{"role": role, "scope": map[string]any{"kind": "org_unit", "id": o.Unit}})
	o.Learner.API = s.SignIn(t, o.Learner.Email, e2e.Password) // the grant has ended its token
	var sessions struct{ Items []struct{ ID string } }
	o.Learner.Read(t, "/api/v1/auth/sessions").JSON(t, &sessions)
	must(t, o.Learner.API, http.MethodPost, "/api/v1/me/data-export", map[string]any{})
	var requests struct{ Items []struct{ ID string } }
	o.Learner.Read(t, "/api/v1/me/data-requests").JSON(t, &requests)
	require.NotEmpty(t, requests.Items)
	must(t, teacher, http.MethodPut, course+"/certificate-allowlist/"+o.Learner.ID, map[string]any{})
	provider := make1(admin, "/api/v1/auth/identity-providers", map[string]any{"org_unit_id": o.Root, "name": name(), "issuer": issuer, "client_id": "lms"})
	out := ids{
		"data-requests/{id}": requests.Items[0].ID,
		"users/{id}":         o.Learner.ID, "staff/{user_id}": o.Aide.ID, "members/{user_id}": o.Learner.ID, "certificate-allowlist/{user_id}": o.Learner.ID,
		"org-units/{id}": o.Unit, "roles/{key}": role, "roles/{grant_id}": grant, "groups/{id}": group,
		"courses/{id}": c.ID, "modules/{module_id}": c.Modules[0].ID, "items/{item_id}": item, "versions/{number}": "1",
		"enrollments/{id}": enrollment, "certificates/{id}": certificate.ID, "verify/{code}": certificate.Code,
		"group-sets/{id}":       set,
		"join-codes/{id}":       make1(teacher, course+"/join-codes", map[string]any{}),
		"announcements/{id}":    make1(teacher, course+"/announcements", map[string]any{"title": name(), "body": "<p>x</p>"}),
		"categories/{id}":       make1(admin, "/api/v1/categories", map[string]any{"name": name()}),
		"terms/{id}":            make1(admin, "/api/v1/terms", map[string]any{"org_unit_id": o.Root, "code": name(), "name": name()}),
		"course-templates/{id}": make1(admin, "/api/v1/course-templates", map[string]any{"course_id": c.ID, "name": name()}),
		"clients/{id}":          make1(admin, "/api/v1/auth/clients", map[string]any{"org_unit_id": o.Root, "name": name(), "grants": []any{}}),
		"tokens/{id}": make1(o.Learner.API, "/api/v1/me/tokens", map[string]any{
			"name": name(), "permissions": []string{"group:read"}, "expires_at": time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339),
		}),
		"sessions/{id}":           sessions.Items[0].ID,
		"jobs/{service}":          "course",
		"{service}/{id}":          make1(teacher, course+"/exports", map[string]any{"format": "olx"}),
		"audit/{service}":         "course",
		"identity-providers/{id}": provider,
		"sso/{idp}":               provider,
		"calendar/{token}":        uuid.NewString(),
	}
	o.IDs = out
	maps.Copy(out, s.works(t, o, c.ID))
	for member, value := range map[string]string{
		"org_unit_id": o.Unit, "parent_id": o.Unit, "tenant_id": o.Root, "user_id": o.Learner.ID, "course_id": c.ID, "module_id": c.Modules[0].ID,
		"group_id": group, "category_id": out["categories/{id}"], "term_id": out["terms/{id}"], "template_id": out["course-templates/{id}"], "into_id": o.Fellow.ID,
	} {
		out["body:"+member] = value
	}
	return out
}
