package e2e

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/system"
)

// taught is a course with something of everything in its curriculum.
type taught struct {
	course, pdf, page, quiz, assignment string
	due                                 time.Time
}

// wholeCourse makes a course with a file, a page of the library, a text page, a quiz
// and an assignment in a weighted group with a rubric.
func (w *World) wholeCourse(t testing.TB, teacher Person, org string, script []byte) (c taught) {
	t.Helper()
	c.due = time.Now().UTC().AddDate(0, 0, 14).Truncate(time.Second)
	c.course = teacher.DoKeyed(t, http.MethodPost, "/api/v1/courses", map[string]any{
		"org_unit_id": org, "code": "W-" + uuid.NewString()[:8], "title": "Everything", "visibility": "organisation", "enrollment_mode": "self",
	}, http.StatusCreated).ID(t)
	path := "/api/v1/courses/" + c.course
	c.pdf = upload(t, teacher.API, map[string]any{"course_id": c.course}, "pdf", "script.pdf", "application/pdf", script)
	c.page = teacher.DoKeyed(t, http.MethodPost, "/api/v1/contents", map[string]any{"course_id": c.course, "kind": "page", "title": "Glossary", "body": "<p>Words &amp; more</p>"}, http.StatusCreated).ID(t)
	teacher.DoKeyed(t, http.MethodPost, "/api/v1/contents/"+c.page+"/publish", map[string]any{})

	bank := teacher.DoKeyed(t, http.MethodPost, "/api/v1/question-banks", map[string]any{"course_id": c.course, "title": "Cells"}, http.StatusCreated).ID(t)
	var slots []any
	for _, d := range definitions() {
		q := teacher.DoKeyed(t, http.MethodPost, "/api/v1/question-banks/"+bank+"/questions", map[string]any{"title": fmt.Sprint(d["kind"]), "definition": d}, http.StatusCreated).ID(t)
		slots = append(slots, map[string]any{"question_id": q, "points": 1.5})
	}
	c.quiz = teacher.DoKeyed(t, http.MethodPost, path+"/quizzes", map[string]any{
		"title": "Check yourself", "instructions": "<p>Go</p>", "attempts_allowed": 2, "due_at": c.due, "keep": "latest",
	}, http.StatusCreated).ID(t)
	w.Replace(t, teacher.API, "/api/v1/quizzes/"+c.quiz+"/slots", map[string]any{"slots": slots})
	teacher.DoKeyed(t, http.MethodPost, "/api/v1/quizzes/"+c.quiz+"/publish", map[string]any{})

	group := teacher.DoKeyed(t, http.MethodPost, path+"/assignment-groups", map[string]any{"name": "Homework", "weight": 40}, http.StatusCreated).ID(t)
	rubric := teacher.DoKeyed(t, http.MethodPost, "/api/v1/rubrics", map[string]any{"course_id": c.course, "title": "Essay", "criteria": []any{
		map[string]any{"title": "Thesis", "levels": []any{map[string]any{"title": "clear", "points": 20}, map[string]any{"title": "lost", "points": 5}}},
	}}, http.StatusCreated).ID(t)
	c.assignment = teacher.DoKeyed(t, http.MethodPost, path+"/assignments", map[string]any{
		"title": "Essay", "description": "<p>Write</p>", "points": 20, "group_id": group, "rubric_id": rubric, "due_at": c.due, "submission_types": []string{"text"},
	}, http.StatusCreated).ID(t)
	teacher.DoKeyed(t, http.MethodPost, "/api/v1/assignments/"+c.assignment+"/publish", map[string]any{})

	curriculum := map[string]any{"modules": []any{map[string]any{"title": "All", "items": []any{
		map[string]any{"kind": "page", "title": "Read me", "body": "<p>Welcome</p>"},
		placed(c.pdf, "The script"),
		map[string]any{"kind": "content", "title": "Glossary", "resource_id": c.page},
		map[string]any{"kind": "quiz", "title": "Check yourself", "resource_id": c.quiz, "requirement": map[string]any{"kind": "submit"}},
		map[string]any{"kind": "assignment", "title": "Essay", "resource_id": c.assignment},
	}}}}
	require.Eventually(t, func() bool {
		cur, err := teacher.Try(http.MethodGet, path+"/curriculum", nil)
		if err != nil || cur.Status != http.StatusOK {
			return false
		}
		ans, err := teacher.Try(http.MethodPut, path+"/curriculum", curriculum, "If-Match", cur.Header.Get("ETag"))
		return err == nil && ans.Status == http.StatusOK
	}, time.Minute, 200*time.Millisecond, "the curriculum takes what course was told of")
	return c
}

// definitions has a question of every kind.
func definitions() []map[string]any {
	texts := func(list ...string) (out []any) {
		for _, s := range list {
			out = append(out, map[string]any{"text": s})
		}
		return out
	}
	return []map[string]any{
		{"kind": "single", "prompt": "<p>One?</p>", "choices": []any{map[string]any{"text": "right", "correct": true, "feedback": "yes"}, map[string]any{"text": "wrong"}}},
		{"kind": "multiple", "prompt": "Some?", "choices": []any{map[string]any{"text": "a", "correct": true}, map[string]any{"text": "b", "correct": true}, map[string]any{"text": "c"}}},
		{"kind": "true_false", "prompt": "True?", "true_false": map[string]any{"answer": true}},
		{"kind": "numeric", "prompt": "How many?", "numeric": []any{map[string]any{"value": "42", "tolerance": "0.5"}}},
		{"kind": "short_text", "prompt": "Who?", "short_text": map[string]any{"accepted": texts("Ada", "Ada Lovelace")}},
		{"kind": "matching", "prompt": "Match", "matching": map[string]any{"pairs": []any{map[string]any{"prompt": "1", "match": "one"}, map[string]any{"prompt": "2", "match": "two"}}}},
		{"kind": "ordering", "prompt": "Order", "ordering": texts("first", "second", "third")},
		{"kind": "essay", "prompt": "Why?", "general_feedback": "because"},
	}
}

// job waits for a background job of course and gives its report by code.
func job(t testing.TB, s *system.API, accepted system.Answer, want string) (result system.Answer, report map[string]string) {
	t.Helper()
	at := "/api/v1/jobs/course/" + accepted.ID(t)
	var state struct {
		State string `json:"state"`
		Error string `json:"error"`
	}
	require.Eventually(t, func() bool {
		ans, err := s.Try(http.MethodGet, at, nil)
		if err != nil || ans.Status != http.StatusOK {
			return false
		}
		ans.JSON(t, &state)
		return state.State == "succeeded" || state.State == "failed"
	}, 2*time.Minute, 100*time.Millisecond, "the job ends")
	require.Equal(t, want, state.State, state.Error)
	var rows struct {
		Items []struct {
			Status  string            `json:"status"`
			Code    string            `json:"code"`
			Message string            `json:"message"`
			Ref     map[string]string `json:"ref"`
		} `json:"items"`
	}
	s.Read(t, at+"/rows").JSON(t, &rows)
	report = map[string]string{}
	for _, r := range rows.Items {
		report[r.Ref["ref"]] = strings.TrimSpace(r.Status + " " + r.Code)
	}
	if want != "succeeded" {
		return system.Answer{}, report
	}
	return s.Read(t, at+"/result"), report
}

// transferred is what the curriculum of a course shows of other services.
func transferred(t testing.TB, s *system.API, course string) (c taught) {
	t.Helper()
	var doc struct {
		Modules []struct {
			Items []struct {
				Kind       string `json:"kind"`
				Title      string `json:"title"`
				ResourceID string `json:"resource_id"`
			} `json:"items"`
		} `json:"modules"`
	}
	s.Read(t, "/api/v1/courses/"+course+"/curriculum").JSON(t, &doc)
	c.course = course
	for _, i := range doc.Modules[0].Items {
		switch {
		case i.Kind == "quiz":
			c.quiz = i.ResourceID
		case i.Kind == "assignment":
			c.assignment = i.ResourceID
		case i.Title == "Glossary":
			c.page = i.ResourceID
		case i.Kind == "content":
			c.pdf = i.ResourceID
		}
	}
	return c
}

// without takes out of a document what differs in every copy: ids and versions.
func without(v any) any {
	switch x := v.(type) {
	case map[string]any:
		for k, inner := range x {
			if k == "id" || strings.HasSuffix(k, "_id") || strings.HasSuffix(k, "_at") || k == "version" || k == "created_by" {
				delete(x, k)
				continue
			}
			x[k] = without(inner)
		}
		return x
	case []any:
		for i := range x {
			x[i] = without(x[i])
		}
	}
	return v
}

// quizOf is a quiz with its questions as a person sees them, without ids.
func quizOf(t testing.TB, s *system.API, id string) any {
	t.Helper()
	quiz := s.Read(t, "/api/v1/quizzes/"+id).Map(t)
	var slots struct {
		Slots []map[string]any `json:"slots"`
	}
	s.Read(t, "/api/v1/quizzes/"+id+"/slots").JSON(t, &slots)
	var questions []any
	for _, slot := range slots.Slots {
		q := s.Read(t, "/api/v1/questions/"+fmt.Sprint(slot["question_id"])).Map(t)
		questions = append(questions, map[string]any{"points": slot["points"], "title": q["title"], "definition": q["definition"]})
	}
	return without(map[string]any{"quiz": quiz, "questions": questions})
}

// assignmentOf is an assignment with its group and rubric, without ids.
func assignmentOf(t testing.TB, s *system.API, id string) any {
	t.Helper()
	a := s.Read(t, "/api/v1/assignments/"+id).Map(t)
	group := s.Read(t, "/api/v1/assignment-groups/"+fmt.Sprint(a["group_id"])).Map(t)
	rubric := s.Read(t, "/api/v1/rubrics/"+fmt.Sprint(a["rubric_id"])).Map(t)
	return without(map[string]any{"assignment": a, "group": group, "rubric": rubric})
}

// Packaged is the path of a whole course: copied with dates moved, exported, and
// imported again with the quizzes, assignments, pages and files that it carries, in
// both formats. A package that is none is refused.
func Packaged(t testing.TB, w *World) {
	faculty := w.Admin.DoKeyed(t, http.MethodPost, "/api/v1/org-units", map[string]any{"name": "Faculty of Copies", "parent_id": w.Org}, http.StatusCreated).ID(t)
	teacher := w.Invite(t, "Copy Master", faculty, "instructor")
	script := pages(t, 3)
	c := w.wholeCourse(t, teacher, faculty, script)
	quiz, assignment := quizOf(t, teacher.API, c.quiz), assignmentOf(t, teacher.API, c.assignment)

	result, report := job(t, teacher.API, teacher.DoKeyed(t, http.MethodPost, "/api/v1/courses/"+c.course+"/copy", map[string]any{
		"code": "C-" + uuid.NewString()[:8], "date_shift_days": 7,
	}, http.StatusAccepted), "succeeded")
	require.Equal(t, map[string]string{"Check yourself": "made", "Essay": "made", "gradebook": "made", "": "done"}, report)
	copied := transferred(t, teacher.API, fmt.Sprint(result.Map(t)["course_id"]))
	require.Equal(t, []string{c.pdf, c.page}, []string{copied.pdf, copied.page}, "contents of the library are used in both")
	require.NotEqual(t, c.quiz, copied.quiz)
	require.Equal(t, quiz, quizOf(t, teacher.API, copied.quiz))
	require.Equal(t, assignment, assignmentOf(t, teacher.API, copied.assignment))
	for _, at := range []string{"/api/v1/quizzes/" + copied.quiz, "/api/v1/assignments/" + copied.assignment} {
		require.Equal(t, c.due.AddDate(0, 0, 7).Format(time.RFC3339), teacher.Read(t, at).Map(t)["due_at"], "dates are moved")
	}

	packages := map[string][]byte{}
	for _, format := range []string{"common_cartridge", "olx"} {
		result, report := job(t, teacher.API, teacher.DoKeyed(t, http.MethodPost, "/api/v1/courses/"+c.course+"/exports", map[string]any{"format": format}, http.StatusAccepted), "succeeded")
		require.Equal(t, "made", report["Check yourself"], "%v", report)
		var file struct {
			Download signedAddress `json:"download"`
		}
		result.JSON(t, &file)
		packages[format] = file.Download.do(t, nil)
	}
	carries(t, packages["common_cartridge"], script)

	// As at somebody who has none of it: the library's contents are gone.
	for _, content := range []string{c.pdf, c.page} {
		tag := teacher.Read(t, "/api/v1/contents/"+content).Header.Get("ETag")
		ans, err := teacher.Try(http.MethodDelete, "/api/v1/contents/"+content+"?detach=true", nil, "If-Match", tag)
		require.NoError(t, err)
		require.Equal(t, http.StatusNoContent, ans.Status, "%s", ans.Body)
	}
	require.Eventually(t, func() bool { return transferred(t, teacher.API, c.course).pdf == "" }, time.Minute, 100*time.Millisecond, "course was told")
	for format, raw := range packages {
		result, report := job(t, teacher.API, w.imports(t, teacher, faculty, raw), "succeeded")
		require.Equal(t, map[string]string{
			"The script": "made", "Glossary": "made", "Check yourself": "made", "Essay": "made", "gradebook": "made", "": "done",
		}, report, format)
		got := transferred(t, teacher.API, fmt.Sprint(result.Map(t)["course_id"]))
		require.Equal(t, quiz, quizOf(t, teacher.API, got.quiz), format)
		require.Equal(t, assignment, assignmentOf(t, teacher.API, got.assignment), format)
		require.Equal(t, script, download(t, teacher.API, "/api/v1/contents/"+got.pdf+"/download", ""), format)
		require.Equal(t, "<p>Words &amp; more</p>", teacher.Read(t, "/api/v1/contents/"+got.page).Map(t)["body"], format)
	}
	_, _ = job(t, teacher.API, w.imports(t, teacher, faculty, []byte("PK\x03\x04 and nothing else")), "failed")
}

// imports sends a package and asks for it to become a course.
func (w *World) imports(t testing.TB, teacher Person, org string, raw []byte) system.Answer {
	t.Helper()
	sum := sha256.Sum256(raw)
	var up struct {
		ID     string        `json:"id"`
		Upload signedAddress `json:"upload"`
	}
	teacher.DoKeyed(t, http.MethodPost, "/api/v1/imports/uploads", map[string]any{"filename": "course", "size": len(raw), "sha256": hex.EncodeToString(sum[:])}, http.StatusCreated).JSON(t, &up)
	up.Upload.do(t, raw)
	return teacher.DoKeyed(t, http.MethodPost, "/api/v1/imports/courses", map[string]any{"upload_id": up.ID, "org_unit_id": org, "code": "I-" + uuid.NewString()[:8]}, http.StatusAccepted)
}

// carries looks into a cartridge as another product would: QTI for the quiz, and
// the file as it is.
func carries(t testing.TB, raw, script []byte) {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	require.NoError(t, err)
	found := map[string]bool{}
	for _, f := range z.File {
		r, err := f.Open()
		require.NoError(t, err)
		text, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, r.Close())
		found["qti"] = found["qti"] || bytes.Contains(text, []byte("<questestinterop")) && bytes.Contains(text, []byte("cc.multiple_choice.v0p1"))
		found["file"] = found["file"] || bytes.Equal(text, script)
		found["assignment"] = found["assignment"] || bytes.Contains(text, []byte("imscc_extensions/assignment"))
	}
	require.Equal(t, map[string]bool{"qti": true, "file": true, "assignment": true}, found)
}
