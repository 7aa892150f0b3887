//go:build chaos

package chaos_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/e2e"
	"lms/apps/lms/internal/system"
)

// works makes one of everything that content, assignment, notification, payment
// and analytics have, for the services that run: what a route names by an id has to be
// there.
func (s *school) works(t testing.TB, o *organisation, course string) ids {
	t.Helper()
	makers := map[string]func(testing.TB, *organisation, string) ids{
		"content": contents, "assignment": assignments, "notification": notifications, "payment": s.purchases,
		"analytics": reports,
	}
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
	id := e2e.Film(t, o.Instructor.API, course)
	place(t, o.Instructor.API, course, "content", id)
	file := []byte("not yet there")
	out := quizzes(t, o, course)
	maps.Copy(out, ids{
		"contents/{id}": id, "captions/{lang}": "en",
		"contents/{id}/uploads/{upload_id}": made(t, o.Instructor.API, "/api/v1/contents/"+id+"/uploads", map[string]any{
			"filename": "v.mp4", "media_type": "video/mp4", "size": len(file), "sha256": fmt.Sprintf("%x", sha256.Sum256(file)),
		}),
	})
	return out
}

func assignments(t testing.TB, o *organisation, course string) ids {
	t.Helper()
	teacher, learner := o.Instructor.API, o.Learner.API
	id := made(t, teacher, "/api/v1/courses/"+course+"/assignments", map[string]any{"title": "An essay", "submission_types": []string{"text", "file"}})
	path := "/api/v1/assignments/" + id
	must(t, teacher, http.MethodPost, path+"/publish", map[string]any{}, "If-Match", teacher.Read(t, path).Header.Get("ETag"))
	file := []byte("what I think")
	upload := handIn(t, learner, path+"/uploads", file)
	submission := made(t, learner, path+"/submissions", map[string]any{"text": "<p>My essay</p>", "file_ids": []string{upload}})
	must(t, teacher, http.MethodPut, path+"/grades/"+o.Learner.ID, map[string]any{"score": 80}, "If-Match", teacher.Read(t, path+"/grades/"+o.Learner.ID).Header.Get("ETag"))
	out := ids{
		"assignments/{id}": id, "grades/{user_id}": o.Learner.ID, "submissions/{id}": submission, "files/{file_id}": upload,
		"assignments/{id}/uploads/{upload_id}": made(t, learner, path+"/uploads", describe(file)),
		"rubrics/{id}": made(t, teacher, "/api/v1/rubrics", map[string]any{"course_id": course, "title": "Essays", "criteria": []any{
			map[string]any{"title": "Thought", "levels": []any{map[string]any{"title": "Good", "points": 10}, map[string]any{"title": "None", "points": 0}}},
		}}),
		"assignment-groups/{id}": made(t, teacher, "/api/v1/courses/"+course+"/assignment-groups", map[string]any{"name": "Essays"}),
		"grading-schemes/{id}":   made(t, teacher, "/api/v1/grading-schemes", map[string]any{"course_id": course, "name": "Two", "grades": twoGrades()}),
		"final-grades/{user_id}": o.Learner.ID,
		"overrides/{subject_id}": o.Learner.ID, "group-overrides/{subject_id}": o.IDs["groups/{id}"],
	}
	for _, p := range []string{"/overrides/" + o.Learner.ID, "/group-overrides/" + o.IDs["groups/{id}"]} {
		must(t, teacher, http.MethodPut, path+p, map[string]any{"attempts": 3})
	}
	return out
}

func twoGrades() []any {
	return []any{map[string]any{"name": "P", "from": 50}, map[string]any{"name": "F", "from": 0}}
}

func describe(file []byte) map[string]any {
	return map[string]any{"filename": "essay.txt", "size": len(file), "sha256": fmt.Sprintf("%x", sha256.Sum256(file)), "media_type": "text/plain"}
}

// handIn uploads a file to the signed address that a route gives, and completes
// it.
func handIn(t testing.TB, api *system.API, path string, file []byte) string {
	t.Helper()
	var u struct {
		ID     string
		Upload struct {
			Method, URL string
			Headers     map[string]string
		}
	}
	raw, err := json.Marshal(must(t, api, http.MethodPost, path, describe(file)))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &u))
	req, err := http.NewRequest(u.Upload.Method, u.Upload.URL, bytes.NewReader(file))
	require.NoError(t, err)
	for name, value := range u.Upload.Headers {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Less(t, res.StatusCode, 300, "PUT of a file")
	must(t, api, http.MethodPost, path+"/"+u.ID+"/complete", map[string]any{})
	return u.ID
}

// hooks are an address of integrators that is allowed here, and where nobody
// listens: what is sent there stays to be sent.
const hooks = "http://127.0.0.1:1/hook"

func notifications(t testing.TB, o *organisation, course string) ids {
	t.Helper()
	endpoint := made(t, o.Admin.API, "/api/v1/webhook-endpoints", map[string]any{"url": hooks})
	must(t, o.Instructor.API, http.MethodPost, "/api/v1/courses/"+course+"/announcements", map[string]any{"title": "To be told", "body": "<p>x</p>"})
	deliveries := "/api/v1/webhook-endpoints/" + endpoint + "/deliveries"
	return ids{
		"webhook-endpoints/{id}": endpoint, "deliveries/{delivery}": await1(t, o.Admin.API, deliveries),
		"notifications/{id}": await1(t, o.Learner.API, "/api/v1/notifications"), "notification-templates/{key}": "enrollment.activated.en",
	}
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
