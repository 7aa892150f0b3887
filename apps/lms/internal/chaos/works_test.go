//go:build chaos

package chaos_test

import (
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/system"
)

// works makes one of everything that content and assignment have, for the
// services that run: what a route names by an id has to be there.
func (s *school) works(t testing.TB, o *organisation, course string) ids {
	t.Helper()
	makers := map[string]func(testing.TB, *organisation, string) ids{"content": contents, "assignment": assignments}
	out := ids{}
	for _, name := range serviceNames(t) {
		if makes, ok := makers[name]; ok {
			maps.Copy(out, makes(t, o, course))
		}
	}
	return out
}

// made is the id of a new resource.
func made(t testing.TB, api *system.API, path string, body map[string]any) string {
	t.Helper()
	out := must(t, api, http.MethodPost, path, body)
	id, _ := out["id"].(string)
	require.NotEmpty(t, id, "%s: %v", path, out)
	return id
}

func contents(t testing.TB, o *organisation, course string) ids {
	t.Helper()
	return ids{"contents/{id}": made(t, o.Instructor.API, "/api/v1/contents", map[string]any{"kind": "page", "title": "A page", "body": "<p>x</p>", "course_id": course})}
}

func assignments(t testing.TB, o *organisation, course string) ids {
	t.Helper()
	return ids{"assignments/{id}": made(t, o.Instructor.API, "/api/v1/courses/"+course+"/assignments", map[string]any{"title": "An essay"})}
}

// inCourse is the query by which a list of a course's things is asked for.
func (r route) inCourse(have ids) string {
	if r.Access == "permission-in-course" && slices.ContainsFunc(r.Parameters, func(p struct {
		Name, In string
		Schema   schema
	},
	) bool {
		return p.In == "query" && p.Name == "course_id"
	}) {
		return "?course_id=" + have["courses/{id}"]
	}
	return ""
}
