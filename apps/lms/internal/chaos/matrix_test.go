//go:build chaos

package chaos_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"lms/apps/lms/internal/system"
	"lms/shared/authz"
)

// column is one role of the matrix: who stands for it in an organisation, and
// what it holds.
type column struct {
	name     string
	who      func(o organisation) *system.API
	role     string
	inCourse bool // the role is held in the one course only
}

func columns(admin *system.API) []column {
	return []column{
		{name: "platform admin", role: authz.RolePlatformAdmin, who: func(organisation) *system.API { return admin }},
		{name: "org admin", role: authz.RoleOrgAdmin, who: func(o organisation) *system.API { return o.Admin.API }},
		{name: "instructor", role: authz.RoleInstructor, who: func(o organisation) *system.API { return o.Instructor.API }},
		{name: "teaching assistant", role: authz.RoleTeachingAssistant, who: func(o organisation) *system.API { return o.Assistant.API }},
		{name: "student", role: authz.RoleStudent, who: func(o organisation) *system.API { return o.Student.API }},
		{name: "instructor of the course", role: authz.RoleInstructor, inCourse: true, who: func(o organisation) *system.API { return o.Staff.API }},
		{name: "assistant of the course", role: authz.RoleTeachingAssistant, inCourse: true, who: func(o organisation) *system.API { return o.Aide.API }},
		{name: "learner", role: authz.RoleStudent, inCourse: true, who: func(o organisation) *system.API { return o.Fellow.API }}, // the Learner holds a role of its own
	}
}

// may says what the declaration of a route gives a column.
func (c column) may(r route) bool {
	if c.inCourse && r.Access != "permission-in-course" || c.role == authz.RolePlatformAdmin && ofOneOrganisation(r.Path) {
		return false
	}
	return slices.Contains(holdings(c.role), authz.Permission(r.Permission))
}

// ofOneOrganisation: webhooks carry personal data, and are seen in their own
// organisation only, whatever somebody of another one holds.
func ofOneOrganisation(path string) bool {
	return strings.HasPrefix(path, "/api/v1/webhook-endpoints/{id}")
}

// holdings are the permissions of a built-in role.
func holdings(key string) []authz.Permission {
	for _, role := range authz.BuiltinRoles() {
		if role.Key == key {
			return role.Permissions
		}
	}
	return nil
}

// matrix asks every route as nobody and in each role. It fails when one without
// the declared permission gets in, when one with it is turned away, when nobody
// gets anything but 401 from a route that is not public, or when an answer does
// not decide between the two. Who may not is asked before who may, so that all
// find what they ask for; what an earlier route took away is made anew.
func (s *school) matrix(t *testing.T, d document, o organisation) {
	m := &matrix{school: s, d: d, o: o}
	all := columns(s.World.Admin)
	for _, r := range d.Routes {
		if _, unknown := r.fill(m.o.IDs); unknown != "" {
			m.cell(false, "%s %s was not tried: it needs an id for %s (works_test.go)", r.Method, r.Path, unknown)
			continue
		}
		m.nobody(t, r)
		if r.Permission == "" {
			continue
		}
		m.denied = false
		for _, c := range all {
			if !c.may(r) {
				m.mayNot(t, r, c)
			}
		}
		for _, c := range all {
			if c.may(r) {
				m.mayCall(t, r, c)
			}
		}
	}
	for _, f := range m.found {
		t.Error(f)
	}
	measured(t, "34 role x route matrix", "100 % as declared, all cells decided", len(m.found) == 0,
		"%d cells of %d routes and %d roles: %d as declared, %d otherwise or undecided; resources made anew %d times",
		m.cells, len(d.Routes), len(all)+1, m.cells-len(m.found), len(m.found), m.anew)
}

type matrix struct {
	*school
	d     document
	o     organisation
	found []string

	cells, anew int
	denied      bool // somebody was denied at this route with the same body
}

func (m *matrix) cell(ok bool, format string, args ...any) {
	m.cells++
	if !ok {
		m.found = append(m.found, fmt.Sprintf(format, args...))
	}
}

func (m *matrix) ask(t testing.TB, r route, api func(organisation) *system.API) system.Answer {
	t.Helper()
	path, _ := r.fill(m.o.IDs) // matrix has seen to it that there is an id for each
	return m.d.call(t, api(m.o), r, path+r.inCourse(m.o.IDs), m.o.IDs)
}

func (m *matrix) nobody(t testing.TB, r route) {
	t.Helper()
	status := m.ask(t, r, func(organisation) *system.API { return m.API() }).Status
	m.cell((status == http.StatusUnauthorized) != (r.Access == "public") || signsIn(r.Path), "nobody: %s %s (%s): %d", r.Method, r.Path, r.Access, status)
}

func (m *matrix) mayNot(t testing.TB, r route, c column) {
	t.Helper()
	ans := m.ask(t, r, c.who)
	got := sorted(ans.Status)
	if ans.Status == http.StatusOK && r.Method == http.MethodGet && strings.Contains(string(ans.Body), `"items":[]`) && r.inCourse(m.o.IDs) != "" {
		got = denied // a list of what one may see, here of nothing, although there is something
	}
	m.denied = m.denied || got == denied
	m.cell(got == denied, "%s without %s at %s %s: %d %.200s", c.name, r.Permission, r.Method, r.Path, ans.Status, ans.Body)
}

func (m *matrix) mayCall(t testing.TB, r route, c column) {
	t.Helper()
	ans := m.ask(t, r, c.who)
	if ans.Status == http.StatusNotFound || ans.Status == http.StatusUnauthorized || ans.Status == http.StatusForbidden {
		// An earlier route may have taken away what it asks for, or its own session.
		m.anew++
		m.again(t) // all cells together may take longer than a token lives
		m.o = m.organisation(t, fmt.Sprintf("Anew %d", m.anew))
		ans = m.ask(t, r, c.who)
	}
	// Refused for its form: decided where others were denied with the same form,
	// since that shows that permission is asked for first.
	let := ans.Status < 300 || slices.Contains([]int{http.StatusConflict, http.StatusPreconditionFailed, http.StatusPaymentRequired}, ans.Status) ||
		sorted(ans.Status) == undecided && m.denied
	m.cell(let, "%s holds %s, and gets from %s %s: %d %.200s", c.name, r.Permission, r.Method, r.Path, ans.Status, ans.Body)
}

// signsIn are the public routes that answer 401 to a wrong proof.
func signsIn(path string) bool {
	return strings.HasPrefix(path, "/api/v1/auth/") || strings.HasPrefix(path, "/oauth2/")
}
