package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/system"
)

// signed is a request that a client may make against the object store.
type signed struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
}

// follow makes a signed request, without any token.
func (s signed) follow(t testing.TB, content []byte) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), s.Method, s.URL, bytes.NewReader(content))
	require.NoError(t, err)
	for name, value := range s.Headers {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Less(t, res.StatusCode, 300, "%s", body)
	return body
}

// Coursework is the path of an assignment: graded by a rubric, handed in as files
// through signed addresses, hidden until it is posted, and enough to complete the
// course by its score.
func Coursework(t testing.TB, w *World) {
	faculty := w.Admin.DoKeyed(t, http.MethodPost, "/api/v1/org-units", map[string]any{"name": "Faculty of Essays", "parent_id": w.Org}, http.StatusCreated).ID(t)
	teacher := w.Invite(t, "Ines Structor", faculty, "instructor")
	c := w.Publish(t, teacher.API, faculty, map[string]any{"modules": []any{map[string]any{"key": "one", "title": "Essays", "items": []any{}}}}, nil)
	course := "/api/v1/courses/" + c.ID
	rubric, assignment := assign(t, teacher.API, c)
	place(t, teacher.API, course, assignment)
	w.Replace(t, teacher.API, course+"/completion-settings", map[string]any{"mode": "all_modules", "certificate": map[string]any{"enabled": false}})

	good, poor := w.Register(t, "Stu Dent"), w.Register(t, "Poor Dent")
	for _, s := range []Person{good, poor} {
		s.DoKeyed(t, http.MethodPost, course+"/enrollments", map[string]any{}, http.StatusCreated)
		submission := handIn(t, s.API, assignment)
		file := submission.Files[0].ID
		var d signed
		teacher.Read(t, "/api/v1/submissions/"+submission.ID+"/files/"+file).JSON(t, &d)
		require.Equal(t, essay, string(d.follow(t, nil)))
	}
	rate(t, teacher.API, assignment, good.ID, rubric, 0)
	rate(t, teacher.API, assignment, poor.ID, rubric, 1)
	for _, s := range []Person{good, poor} {
		require.NotContains(t, string(s.Read(t, "/api/v1/assignments/"+assignment+"/grades/"+s.ID).Body), "score", "hidden until it is posted")
		require.NotEqual(t, "completed", readProgress(t, s.API, c).Modules[0].State)
	}
	teacher.DoKeyed(t, http.MethodPost, "/api/v1/assignments/"+assignment+"/grades/post", map[string]any{})
	var grade struct {
		Score float64 `json:"score"`
	}
	good.Read(t, "/api/v1/assignments/"+assignment+"/grades/"+good.ID).JSON(t, &grade)
	require.InDelta(t, 20, grade.Score, 0)
	require.Eventually(t, func() bool { return readProgress(t, good.API, c).Modules[0].State == "completed" }, time.Minute, 100*time.Millisecond, "the score completes the module")
	poor.Read(t, "/api/v1/assignments/"+assignment+"/grades/"+poor.ID).JSON(t, &grade)
	require.InDelta(t, 5, grade.Score, 0)
	require.NotEqual(t, "completed", readProgress(t, poor.API, c).Modules[0].State, "5 of 20 is not 60 %")

	// A better grade, which is posted already, completes it for the other, too.
	rate(t, teacher.API, assignment, poor.ID, rubric, 0)
	require.Eventually(t, func() bool { return readProgress(t, poor.API, c).Modules[0].State == "completed" }, time.Minute, 100*time.Millisecond)
}

// criterion of a rubric, as far as it is looked at.
type criterion struct {
	ID     string `json:"id"`
	Levels []struct {
		ID string `json:"id"`
	} `json:"levels"`
}

// assign makes a published assignment with a rubric: 20 points or 5.
func assign(t testing.TB, teacher *system.API, c Course) (criterion, string) {
	t.Helper()
	var r struct {
		ID       string      `json:"id"`
		Criteria []criterion `json:"criteria"`
	}
	teacher.DoKeyed(t, http.MethodPost, "/api/v1/rubrics", map[string]any{"course_id": c.ID, "title": "Essay", "criteria": []any{
		map[string]any{"title": "Thesis", "levels": []any{map[string]any{"title": "clear", "points": 20}, map[string]any{"title": "lost", "points": 5}}},
	}}, http.StatusCreated).JSON(t, &r)
	id := teacher.DoKeyed(t, http.MethodPost, "/api/v1/courses/"+c.ID+"/assignments", map[string]any{
		"title": "Essay", "points": 20, "posting": "manual", "rubric_id": r.ID, "submission_types": []string{"file"}, "file_extensions": []string{"txt"},
	}, http.StatusCreated).ID(t)
	teacher.DoKeyed(t, http.MethodPost, "/api/v1/assignments/"+id+"/publish", map[string]any{})
	return r.Criteria[0], id
}

// place shows the assignment in the curriculum, once course was told of it.
func place(t testing.TB, teacher *system.API, course, assignment string) {
	t.Helper()
	body := map[string]any{"modules": []any{map[string]any{"key": "one", "title": "Essays", "items": []any{map[string]any{
		"kind": "assignment", "title": "Essay", "resource_id": assignment,
		"requirement": map[string]any{"kind": "min_score", "min_score": 60, "unit": "percent"},
	}}}}}
	require.Eventually(t, func() bool {
		cur, err := teacher.Try(http.MethodGet, course+"/curriculum", nil)
		if err != nil || cur.Status != http.StatusOK {
			return false
		}
		ans, err := teacher.Try(http.MethodPut, course+"/curriculum", body, "If-Match", cur.Header.Get("ETag"))
		return err == nil && ans.Status == http.StatusOK
	}, time.Minute, 200*time.Millisecond, "the curriculum takes the assignment")
}

const essay = "What I learned, in my own words."

// handed is a submission, as far as it is looked at.
type handed struct {
	ID    string `json:"id"`
	Files []struct {
		ID        string `json:"id"`
		MediaType string `json:"media_type"`
	} `json:"files"`
}

// handIn sends a file to the object store and hands it in, once enrollment lets.
func handIn(t testing.TB, s *system.API, assignment string) (out handed) {
	t.Helper()
	at := "/api/v1/assignments/" + assignment
	require.Eventually(t, func() bool {
		ans, err := s.Try(http.MethodGet, at, nil)
		return err == nil && ans.Status == http.StatusOK
	}, time.Minute, 100*time.Millisecond, "the curriculum shows the assignment")
	sum := sha256.Sum256([]byte(essay))
	var up struct {
		ID     string `json:"id"`
		Upload signed `json:"upload"`
	}
	s.DoKeyed(t, http.MethodPost, at+"/uploads", map[string]any{
		"filename": "essay.txt", "media_type": "text/plain", "size": len(essay), "sha256": hex.EncodeToString(sum[:]),
	}, http.StatusCreated).JSON(t, &up)
	up.Upload.follow(t, []byte(essay))
	s.DoKeyed(t, http.MethodPost, at+"/uploads/"+up.ID+"/complete", map[string]any{})
	s.DoKeyed(t, http.MethodPost, at+"/submissions", map[string]any{"file_ids": []string{up.ID}}, http.StatusCreated).JSON(t, &out)
	require.Equal(t, "text/plain", out.Files[0].MediaType)
	return out
}

// rate enters a level of the rubric as the grade, with the ETag that was read.
func rate(t testing.TB, teacher *system.API, assignment, student string, c criterion, level int) {
	t.Helper()
	at := "/api/v1/assignments/" + assignment + "/grades/" + student
	entry := map[string]any{"rubric": []any{map[string]any{"criterion_id": c.ID, "level_id": c.Levels[level].ID}}, "comment": "Read."}
	tag := teacher.Read(t, at).Header.Get("ETag")
	ans, err := teacher.Try(http.MethodPut, at, entry, "If-Match", tag)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, ans.Status, "%s", ans.Body)
	stale, err := teacher.Try(http.MethodPut, at, entry, "If-Match", tag)
	require.NoError(t, err)
	require.Equal(t, http.StatusPreconditionFailed, stale.Status, "a second grader who read the same is refused")
}
