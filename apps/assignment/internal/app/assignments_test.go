package app

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/assignment/internal/httpapi"
	"lms/shared/web"
)

func TestCreatingAnAssignment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.draft(body{"description": `<p onclick="x()">Write.</p><script>alert(1)</script>`, "points": 12.5})
	require.Equal(t, "<p>Write.</p>", a.Description)
	require.Equal(t, []string{"file", "text"}, a.SubmissionTypes)
	require.False(t, a.Published)
	require.Equal(t, []string{"created"}, w.told(a.ID))
	told := w.callsOf("resource-state")
	require.Len(t, told, 1)
	require.Equal(t, "assignment", told[0]["kind"])
	require.InDelta(t, 12.5, told[0]["points"], 0)
	require.Equal(t, false, told[0]["published"])
	var call uuid.UUID
	w.scan(&call, `select id from outbox_call where name = 'resource-state'`)
	require.Equal(t, []uuid.UUID{call}, w.friends.waited, "what was made can be placed at once")

	var again httpapi.Assignment
	w.as(w.assistant).GET(path("assignments", a.ID)).Expect(200).JSON(&again)
	require.Equal(t, a, again)
	w.as(w.student).GET(path("assignments", a.ID)).Expect(404)
	var list web.Items[httpapi.Assignment]
	w.as(w.student).GET(path("courses", w.course, "assignments")).Expect(200).JSON(&list)
	require.Empty(t, list.Items)
}

func TestWhoMayCreateAssignments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	to := path("courses", w.course, "assignments")
	w.as(w.assistant).POST(to, body{"title": "x"}).Expect(403)
	w.as(w.student).POST(to, body{"title": "x"}).Expect(403)
	w.as(w.stranger).POST(to, body{"title": "x"}).Expect(404)
	w.as(w.admin).POST(to, body{"title": "x"}).Expect(201)
}

func TestAssignmentsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.as(w.teacher).POST(path("courses", w.course, "assignments"), body{
		"title": " ", "points": -1, "attempts": 0, "max_files": 51, "file_extensions": []string{"p d"},
		"submission_types": []string{"carrier_pigeon"}, "due_at": "2026-02-01T00:00:00Z", "cutoff_at": "2026-01-01T00:00:00Z",
	}).Expect(422)
	for field, code := range map[string]string{
		"title": "length", "points": "range", "attempts": "range", "max_files": "range", "file_extensions[0]": "invalid",
		"submission_types": "enum", "cutoff_at": "order",
	} {
		r.Field(field, code)
	}
	w.as(w.teacher).POST(path("courses", w.course, "assignments"), `{"title":"x","points":1e2}`).Expect(422).Field("points", "decimals")
	w.as(w.teacher).POST(path("courses", w.course, "assignments"), `{"title":"x","points":1.005}`).Expect(422).Field("points", "decimals")
	w.as(w.teacher).POST(path("courses", w.course, "assignments"), `{"title":"x","points":NaN}`).Expect(400)
}

func TestAGradingSchemeOfAnotherPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := path("courses", w.course, "assignments")
	w.as(w.teacher).POST(at, body{"title": "Essay", "grading_type": "letter", "scheme_id": uuid.New()}).Expect(422).Field("scheme_id", "unknown_scheme")
	var own httpapi.GradingScheme
	w.as(w.teacher).POST("/api/v1/grading-schemes", body{"course_id": w.course, "name": "Own", "grades": []body{{"name": "Good", "from": 50}, {"name": "Bad", "from": 0}}}).Expect(201).JSON(&own)
	w.as(w.teacher).POST(at, body{"title": "Essay", "grading_type": "letter", "scheme_id": own.ID}).Expect(201)
}
