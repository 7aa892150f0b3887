//go:build chaos

package chaos_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/system"
	"lms/shared/authz"
)

// outcome sorts an answer to somebody who may not.
type outcome int

const (
	denied    outcome = iota // 403, 404
	undecided                // refused for its form, before anybody asked who may
	open                     // anything else
)

func sorted(status int) outcome {
	switch status {
	case http.StatusForbidden, http.StatusNotFound:
		return denied
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusUnsupportedMediaType, http.StatusPreconditionRequired:
		return undecided
	}
	return open
}

// capabilities are the routes whose path is the permission, who knows the code may
// see; and the one whose signature is.
func capabilities() []string {
	return []string{"/api/v1/certificates/verify/{code}", "/api/v1/me/calendar/{token}/courses.ics", "/api/v1/auth/sso/{idp}/start", "/api/v1/auth/sso/{idp}/callback", "/mock-gateway/{session}", "/api/v1/payments/webhooks/{provider}"}
}

// owned are the routes on which people of one organisation must not reach each
// other's things; what else a colleague may see is the role matrix's question.
func owned(path string) bool {
	for _, prefix := range []string{"/api/v1/enrollments/{id}", "/api/v1/me/data-requests/{id}", "/api/v1/users/{id}", "/api/v1/me/tokens/{id}", "/api/v1/auth/sessions/{id}", "/api/v1/jobs/{service}/{id}", "/api/v1/certificates/{id}", "/api/v1/auth/clients/{id}", "/api/v1/notifications/{id}", "/api/v1/submissions/{id}", "/api/v1/assignments/{id}/grades/{user_id}", "/api/v1/assignments/{id}/uploads/{upload_id}", "/api/v1/attempts/{id}", "/api/v1/quizzes/{id}/grades/{user_id}", "/api/v1/checkout-sessions/{id}", "/api/v1/orders/{id}", "/api/v1/refunds/{id}", "/api/v1/invoices/{id}", "/api/v1/credit-notes/{id}", "/api/v1/subscriptions/{id}", "/api/v1/payment-methods/{id}", "/api/v1/seat-pools/{id}"} {
		if strings.HasPrefix(path, prefix) && path != "/api/v1/users/{id}/avatar" { // colleagues see each other's pictures
			return true
		}
	}
	return false
}

// ofAll are the routes that name a report or a dashboard, which everybody has; whose
// numbers are in them is asked with ids in the query.
func ofAll(path string) bool {
	return strings.HasPrefix(path, "/api/v1/reports/{name}") || strings.HasPrefix(path, "/api/v1/dashboards/{name}")
}

// foreignIDs knocks at every route that names something with the ids of another
// organisation and of another person. It fails when one answers neither 403 nor
// 404, when a list or an answer to a foreign id shows something foreign, when a
// foreign id in a body is taken, or when a parameter has no id to try. That the
// ids are real is shown by their owners, who read every one of them.
func (s *school) foreignIDs(t *testing.T, d document, here, there organisation) {
	attackers := map[string]*system.API{"the other organisation's admin": there.Admin.API, "the other organisation's student": there.Student.API}
	tries, unclear := 0, 0
	var found []string
	real := 0
	for _, r := range d.Routes {
		path, unknown := r.fill(here.IDs)
		if unknown != "" {
			found = append(found, fmt.Sprintf("%s %s was not tried: it needs an id for %s (works_test.go)", r.Method, r.Path, unknown))
			continue
		}
		if path == r.Path || slices.Contains(capabilities(), r.Path) || strings.HasPrefix(r.Path, "/api/v1/audit/") || r.Path == "/api/v1/jobs/{service}" || ofAll(r.Path) {
			continue
		}
		if r.Method == http.MethodGet {
			real += s.isReal(t, d, r, path, here)
		}
		who := maps.Clone(attackers)
		if owned(r.Path) {
			who["a fellow student"] = here.Fellow.API
		}
		for name, api := range who {
			ans := d.call(t, api, r, path, there.IDs)
			tries++
			switch sorted(ans.Status) {
			case open:
				found = append(found, fmt.Sprintf("%s: %s %s (%s): %d %.160s", name, r.Method, r.Path, r.Access, ans.Status, ans.Body))
			case undecided:
				unclear++
				t.Logf("undecided: %s: %s %s: %d %.200s", name, r.Method, r.Path, ans.Status, ans.Body)
			}
		}
	}
	found = append(found, s.foreignLists(t, d, here, there, &tries)...)
	found = append(found, s.foreignBodies(t, d, here, there, &tries)...)
	for _, f := range found {
		t.Error(f)
	}
	measured(t, "33 every route x foreign ids", "all 403 or 404, nothing foreign shown or taken", len(found) == 0 && unclear == 0 && real >= 40,
		"%d tries on %d routes: %d open, %d undecided; owners read %d of them", tries, len(d.Routes), len(found), unclear, real)
}

// isReal shows that the owner of an id finds something behind it.
func (s *school) isReal(t testing.TB, d document, r route, path string, o organisation) int {
	t.Helper()
	for _, api := range []*system.API{o.Admin.API, o.Learner.API, o.Instructor.API} {
		if ans := d.call(t, api, r, path, o.IDs); ans.Status == http.StatusOK {
			return 1
		}
	}
	if r.Permission != "" && !slices.Contains(holdings(authz.RoleOrgAdmin), authz.Permission(r.Permission)) {
		return 0 // for the platform's administrators, who belong to no organisation
	}
	// Without a picture, a second factor or a provider there is nothing to read.
	if !strings.HasSuffix(r.Path, "/avatar") && !strings.Contains(r.Path, "identity-providers") && !strings.HasSuffix(r.Path, "/result") && !strings.HasSuffix(r.Path, "/download") && !strings.HasSuffix(r.Path, "/members/{user_id}") {
		t.Errorf("nobody of its organisation can read GET %s", r.Path)
	}
	return 0
}

// foreignLists reads every list, with every id it can be asked by.
func (s *school) foreignLists(t testing.TB, d document, here, there organisation, tries *int) (found []string) {
	t.Helper()
	own := func(body string) string {
		for what, id := range here.IDs {
			if len(id) >= 32 && strings.Contains(body, id) {
				return what
			}
		}
		return ""
	}
	for _, r := range d.Routes {
		if r.Method != http.MethodGet || strings.Contains(r.Path, "{") && !ofAll(r.Path) || strings.HasSuffix(r.Path, "/stream") { // a stream of one's own has no end
			continue
		}
		r.Path, _ = r.fill(here.IDs)
		queries := []string{""}
		for _, p := range r.Parameters {
			if id, ok := here.IDs["body:"+p.Name]; ok && p.In == "query" {
				queries = append(queries, "?"+p.Name+"="+id)
			}
		}
		for _, q := range queries {
			for name, api := range map[string]*system.API{"admin": there.Admin.API, "student": there.Student.API} {
				ans := d.call(t, api, r, r.Path+q, there.IDs)
				*tries++
				if what := own(string(ans.Body)); what != "" && ans.Status < 300 {
					found = append(found, fmt.Sprintf("the other organisation's %s sees %s of here: GET %s%s: %.200s", name, what, r.Path, q, ans.Body))
				}
			}
		}
	}
	return found
}

// foreignBodies puts foreign ids into bodies, one member at a time, on paths of
// one's own.
func (s *school) foreignBodies(t testing.TB, d document, here, there organisation, tries *int) (found []string) {
	t.Helper()
	for _, r := range d.Routes {
		if r.Body == nil || r.Access == "public" || r.Method == http.MethodDelete {
			continue
		}
		media, ok := r.Body.Content["application/json"]
		if !ok {
			continue
		}
		s := media.Schema
		if ref, ok := s["$ref"].(string); ok {
			s = d.schemas[ref[strings.LastIndexByte(ref, '/')+1:]]
		}
		properties, _ := s["properties"].(map[string]any)
		path, unknown := r.fill(there.IDs)
		if unknown != "" {
			continue // foreignIDs has said so
		}
		for member := range properties {
			foreign, ok := here.IDs["body:"+member]
			if !ok {
				continue
			}
			have := maps.Clone(there.IDs)
			have["body:"+member] = foreign
			body, _ := d.body(r, have)
			object, ok := body.(map[string]any)
			if !ok {
				continue
			}
			object[member] = foreign
			who := there.Admin.API
			if r.Path == "/api/v1/contents/{id}/watch" {
				who = there.Learner.API // staff watch in no course, whichever they name
			}
			header := []string{}
			if r.needs("If-Match") {
				cur, err := who.Try(http.MethodGet, path, nil)
				require.NoError(t, err)
				header = append(header, "If-Match", cur.Header.Get("ETag"))
			}
			ans, err := who.Try(r.Method, path, object, header...)
			require.NoError(t, err)
			*tries++
			if ans.Status < 300 || ans.Status >= 500 {
				found = append(found, fmt.Sprintf("%s %s takes a foreign %s: %d %.200s", r.Method, r.Path, member, ans.Status, ans.Body))
			}
		}
	}
	return found
}
