package app

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/assignment/internal/coursework"
	"lms/apps/assignment/internal/httpapi"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
)

func shownPoints(d *httpapi.Decimal) string {
	if d == nil {
		return "null"
	}
	raw, err := d.MarshalJSON()
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// gradebook reads the document as the teacher, and checks that it is what it is
// described to be.
func (w *world) gradebook() httpapi.Gradebook {
	w.t.Helper()
	raw := w.as(w.teacher).GET(path("courses", w.course, "gradebook")).Expect(200).Body
	var out httpapi.Gradebook
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	require.NoError(w.t, dec.Decode(&out), string(raw))
	return out
}

func (w *world) line(user uuid.UUID) httpapi.GradebookPerson {
	w.t.Helper()
	for _, p := range w.gradebook().People {
		if p.UserID == user {
			return p
		}
	}
	require.Fail(w.t, "not in the gradebook")
	return httpapi.GradebookPerson{}
}

// cell is where a person stands in a column, wherever the gradebook has it.
func (w *world) cell(user, column uuid.UUID) *httpapi.GradebookCell {
	w.t.Helper()
	book := w.gradebook()
	at := slices.IndexFunc(book.Columns, func(c httpapi.GradebookColumn) bool { return c.ID == column })
	who := slices.IndexFunc(book.People, func(p httpapi.GradebookPerson) bool { return p.UserID == user })
	require.True(w.t, at >= 0 && who >= 0, "not in the gradebook")
	return book.People[who].Grades[at]
}

// put sends a PUT with the ETag of what is there.
func (w *world) put(p authz.Principal, at string, b body) map[string]any {
	w.t.Helper()
	var out map[string]any
	tag := w.as(p).GET(at).Expect(200).Header.Get("ETag")
	w.as(p).With("If-Match", tag).PUT(at, b).Expect(200).JSON(&out)
	return out
}

func (w *world) latePolicy(rate, floor float64, interval string) map[string]any {
	w.t.Helper()
	return w.put(w.teacher, path("courses", w.course, "late-policy"), body{
		"late":    body{"enabled": true, "rate": rate, "interval": interval, "floor": floor},
		"missing": body{"enabled": false, "rate": 100},
	})
}

// count brings in what moved everybody's totals, as the service's loop does.
func (w *world) count() {
	w.t.Helper()
	require.NoError(w.t, w.service.CountAll(w.t.Context()))
}

// clean says that every stored number is what it is computed to be.
func (w *world) clean() {
	w.t.Helper()
	require.Empty(w.t, w.differences(false))
}

func (w *world) differences(repair bool) (out []internalapi.Difference) {
	w.t.Helper()
	in := internalapi.RecomputeRequest{Repair: repair}
	for {
		got, err := w.service.Recompute(w.t.Context(), in)
		require.NoError(w.t, err)
		out = append(out, got.Differences...)
		if in.Cursor = got.NextCursor; in.Cursor == "" {
			return out
		}
	}
}

func TestAGradeMovesTheTotalsInTheSameTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.published(nil), w.published(body{"title": "Second", "points": 20})
	w.grade(a, w.student.UserID, body{"score": 15})
	p := w.line(w.student.UserID)
	require.Equal(t, []string{"75", "37.5", "F"}, []string{shownPoints(p.Totals.Current), shownPoints(p.Totals.Final), p.Totals.Letter})
	require.Equal(t, "37.5", shownPoints(p.Totals.Posted.Final))
	require.Len(t, p.Grades, 2)
	require.Nil(t, p.Grades[1], "nothing happened there yet")
	w.grade(b, w.student.UserID, body{"score": 20})
	require.Equal(t, "87.5", shownPoints(w.line(w.student.UserID).Totals.Final))

	calls := w.callsOf(internalapi.CallCourseGrade)
	require.Len(t, calls, 2, "enrollment is told of each change")
	require.InDelta(t, 87.5, calls[1]["final"], 0)
	require.Equal(t, "B+", calls[1]["letter"])
	require.Greater(t, calls[1]["version"], calls[0]["version"])
	var id uuid.UUID
	w.scan(&id, `select id from course_totals where user_id = $1`, w.student.UserID)
	require.Equal(t, []string{"course_grade_changed", "course_grade_changed"}, w.told(id))
	w.clean()
}

func TestAChangeOfTheLatePolicyReappliesAndKeepsBothNumbers(t *testing.T) { // rules 19, 20
	t.Parallel()
	w := newWorld(t)
	due := w.clock.Now().Add(time.Hour)
	a := w.published(body{"due_at": due})
	w.clock.Advance(26 * time.Hour)
	w.submit(w.student, a)
	w.grade(a, w.student.UserID, body{"score": 18})
	require.Equal(t, "90", shownPoints(w.line(w.student.UserID).Totals.Current))

	set := w.latePolicy(10, 0, "day")
	require.NotEmpty(t, set["job_id"])
	w.work()
	cell := w.line(w.student.UserID).Grades[0]
	require.Equal(t, []string{"18", "4", "14", "late"}, []string{shownPoints(cell.Entered), shownPoints(cell.Deduction), shownPoints(cell.Score), cell.Status})
	require.Equal(t, "70", shownPoints(w.line(w.student.UserID).Totals.Current))

	w.latePolicy(5, 0, "day")
	w.work()
	require.Equal(t, "16", shownPoints(w.line(w.student.UserID).Grades[0].Score))
	var history []string
	w.scan(&history, `select array_agg((before ->> 'score') || '>' || (after ->> 'score') || ' ' || (actor_id = $1)::text order by at, id) from grade_history where cause = 'policy'`, w.teacher.UserID)
	require.Equal(t, []string{"18>14 true", "14>16 true"}, history, "both numbers, and who")
	require.Contains(t, w.told(w.gradeID(a, w.student.UserID)), "lateness_changed")

	same := w.latePolicy(5, 0, "day")
	require.Nil(t, same["job_id"], "nothing changed, nothing to do")
	w.clean()
}

func (w *world) gradeID(a httpapi.Assignment, user uuid.UUID) (id uuid.UUID) {
	w.scan(&id, `select id from grades where assignment_id = $1 and user_id = $2`, a.ID, user)
	return id
}

func TestWhatMovesEverybodysTotalsIsSeenAtOnce(t *testing.T) { // rules 22, 23
	t.Parallel()
	w := newWorld(t)
	group := func(name string, more body) httpapi.AssignmentGroup {
		b := body{"name": name}
		for k, v := range more {
			b[k] = v
		}
		var g httpapi.AssignmentGroup
		w.as(w.teacher).POST(path("courses", w.course, "assignment-groups"), b).Expect(201).JSON(&g)
		return g
	}
	homework, exams := group("Homework", body{"weight": 40}), group("Exams", body{"weight": 60})
	a, b := w.published(body{"group_id": homework.ID, "points": 10}), w.published(body{"group_id": homework.ID, "points": 10, "title": "B"})
	c := w.published(body{"group_id": exams.ID, "points": 100, "title": "C"})
	for _, x := range []struct {
		a     httpapi.Assignment
		score float64
	}{{a, 2}, {b, 8}, {c, 50}} {
		w.grade(x.a, w.student.UserID, body{"score": x.score})
	}
	total := func() string { return shownPoints(w.line(w.student.UserID).Totals.Current) }
	require.Equal(t, "50", total())
	w.put(w.teacher, path("courses", w.course, "grading-settings"), body{"weighted": true, "scheme_id": nil, "show_totals": true})
	require.Equal(t, "50", total(), "40 % of 50 and 60 % of 50")

	at := path("assignment-groups", homework.ID)
	tag := w.as(w.teacher).GET(at).Expect(200).Header.Get("ETag")
	w.as(w.teacher).PATCH(at, body{"drop_lowest": 1}).Expect(428)
	w.as(w.teacher).With("If-Match", tag).PATCH(at, body{"drop_lowest": 1}).Expect(200)
	w.as(w.teacher).With("If-Match", tag).PATCH(at, body{"drop_lowest": 2}).Expect(412)
	require.Equal(t, "62", total(), "before any loop has stored it: 40 % of 80 and 60 % of 50")
	var stored int64
	w.scan(&stored, `select current from course_totals where user_id = $1`, w.student.UserID)
	require.EqualValues(t, 5000, stored)
	w.count()
	w.scan(&stored, `select current from course_totals where user_id = $1`, w.student.UserID)
	require.EqualValues(t, 6200, stored)
	w.clean()

	var own httpapi.MyGrades
	w.as(w.student).GET(path("courses", w.course, "grades")).Expect(200).JSON(&own)
	require.Equal(t, "62", shownPoints(own.Totals.Current))
	require.True(t, own.Items[0].Dropped)

	tag = w.as(w.teacher).GET(at).Expect(200).Header.Get("ETag")
	w.as(w.teacher).With("If-Match", tag).DELETE(at).Expect(409).Code("in_use")
	w.as(w.teacher).With("If-Match", tag).DELETE(at + "?move_to=" + exams.ID.String()).Expect(204)
	require.Equal(t, "50", total(), "60 of 120")
	w.as(w.teacher).POST(path("courses", w.course, "assignment-groups"), body{"name": "Exams"}).Expect(409).Code("name_taken")
}

func TestALearnerSeesNothingOfWhatIsNotPosted(t *testing.T) { // rule 25
	t.Parallel()
	w := newWorld(t)
	open, secret := w.published(body{"title": "Open"}), w.published(body{"title": "Secret", "posting": "manual"})
	w.grade(open, w.student.UserID, body{"score": 20})
	w.grade(secret, w.student.UserID, body{"score": 3.17, "note": "why-not-seen"})
	raw := w.as(w.student).GET(path("courses", w.course, "grades")).Expect(200).Body
	for _, hidden := range []string{"3.17", "3,17", "317", "why-not-seen", "57.9", "version"} {
		require.NotContains(t, string(raw), hidden)
	}
	var own httpapi.MyGrades
	require.NoError(t, json.Unmarshal(raw, &own))
	require.Equal(t, []string{"100", "50"}, []string{shownPoints(own.Totals.Current), shownPoints(own.Totals.Final)})
	require.Equal(t, "57.93", shownPoints(w.line(w.student.UserID).Totals.Current), "staff see it")
	for _, call := range w.callsOf(internalapi.CallCourseGrade) {
		require.NotContains(t, []any{57.93}, call["current"])
	}
	w.as(w.teacher).POST(path("assignments", secret.ID, "grades", "post"), body{}).Expect(200)
	w.as(w.student).GET(path("courses", w.course, "grades")).Expect(200).JSON(&own)
	require.Equal(t, "57.93", shownPoints(own.Totals.Current))

	w.put(w.teacher, path("courses", w.course, "grading-settings"), body{"weighted": false, "scheme_id": nil, "show_totals": false})
	raw = w.as(w.student).GET(path("courses", w.course, "grades")).Expect(200).Body
	require.NotContains(t, string(raw), "57.93")
	require.NotContains(t, string(raw), "totals")
	w.clean()
}

func TestTheGradebookAsCSVCannotCompute(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.friends.cards[w.student.UserID] = coursework.Card{ID: w.student.UserID, Name: `=HYPERLINK("http://x")`, SortName: "a"}
	a := w.published(body{"title": "=1+1", "grading_type": "letter"})
	w.grade(a, w.student.UserID, body{"grade": "B+"})
	res := w.as(w.teacher).With("Accept", "text/csv").GET(path("courses", w.course, "gradebook")).Expect(200)
	require.Contains(t, res.Header.Get("Content-Type"), "text/csv")
	lines, err := csv.NewReader(bytes.NewReader(res.Body)).ReadAll()
	require.NoError(t, err)
	for _, line := range lines {
		for _, cell := range line {
			require.False(t, cell != "" && strings.ContainsRune("=+-@\t\r|%", rune(cell[0])), cell)
		}
	}
	require.Equal(t, "B+", lines[1][3])
	require.Equal(t, `'=HYPERLINK("http://x")`, lines[1][1])
}

func TestErasedPeopleHaveNoName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.published(nil)
	w.grade(a, w.student.UserID, body{"score": 10})
	name := w.line(w.student.UserID).Name
	require.NotEmpty(t, name)
	pseudonym := uuid.New()
	w.friends.mu.Lock()
	delete(w.friends.cards, w.student.UserID)
	delete(w.friends.learners, w.student.UserID)
	w.friends.mu.Unlock()
	call[internalapi.ErasePersonReply](w, internalapi.CallErasePerson, "user", w.student.UserID.String(), internalapi.ErasePerson{
		UserID: w.student.UserID, TenantID: w.tenant, Pseudonym: pseudonym,
	})
	raw := string(w.as(w.teacher).GET(path("courses", w.course, "gradebook")).Expect(200).Body)
	require.NotContains(t, raw, name)
	require.NotContains(t, raw, w.student.UserID.String())
	require.Equal(t, "50", shownPoints(w.line(pseudonym).Totals.Current), "the numbers stay")
	w.clean()
}

func TestStaffSetAFinalGrade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.published(nil)
	w.grade(a, w.student.UserID, body{"score": 11})
	at := path("courses", w.course, "final-grades", w.student.UserID)
	out := w.put(w.teacher, at, body{"percent": 80, "reason": "extra work"})
	require.InDelta(t, 80, out["final"], 0)
	require.InDelta(t, 55, out["computed"], 0)
	p := w.line(w.student.UserID)
	require.True(t, p.Totals.Overridden)
	require.Equal(t, []string{"55", "80", "B-"}, []string{shownPoints(p.Totals.Current), shownPoints(p.Totals.Final), p.Totals.Letter})
	calls := w.callsOf(internalapi.CallCourseGrade)
	require.InDelta(t, 80, calls[len(calls)-1]["final"], 0)

	w.grade(a, w.student.UserID, body{"score": 1})
	require.Equal(t, "80", shownPoints(w.line(w.student.UserID).Totals.Final), "it survives other grades")
	w.as(w.teacher).With("If-Match", `"v1"`).PUT(at, body{"percent": 10, "reason": "late"}).Expect(412)
	w.as(w.teacher).PUT(at, body{"percent": 10, "reason": "late"}).Expect(428)
	w.as(w.student).GET(at).Expect(403)
	w.as(w.alien).GET(at).Expect(404)
	w.as(w.teacher).GET(path("courses", w.course, "final-grades", uuid.New())).Expect(404)
	out = w.put(w.teacher, at, body{"percent": nil, "reason": "a mistake"})
	require.InDelta(t, 5, out["final"], 0)
	require.Len(t, out["history"], 2)
	w.clean()
}

func TestWhoMayReadAndChangeHowACourseCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.published(nil)
	scheme := body{"course_id": w.course, "name": "Pass", "grades": []body{{"name": "P", "from": 50}, {"name": "F", "from": 0}}}
	policy := body{"late": body{"enabled": true, "rate": 10, "interval": "day", "floor": 0}, "missing": body{"enabled": false, "rate": 0}}
	for at, in := range map[string]body{
		path("courses", w.course, "grading-settings"): {"weighted": true, "scheme_id": nil, "show_totals": true},
		path("courses", w.course, "late-policy"):      policy,
	} {
		for _, p := range []authz.Principal{w.teacher, w.admin, w.student} {
			w.as(p).GET(at).Expect(200)
		}
		w.as(w.alien).GET(at).Expect(404)
		w.as(w.stranger).GET(at).Expect(404)
		w.as(w.student).With("If-Match", `"v1"`).PUT(at, in).Expect(403)
		w.as(w.alien).With("If-Match", `"v1"`).PUT(at, in).Expect(404)
		w.as(w.teacher).PUT(at, in).Expect(428)
		w.as(w.teacher).With("If-Match", `"v1"`).PUT(at, in).Expect(200)
		w.as(w.teacher).With("If-Match", `"v1"`).PUT(at, in).Expect(412)
	}
	bad := body{"late": body{"enabled": true, "rate": 100.01, "interval": "day", "floor": -1}, "missing": body{"enabled": false, "rate": 1e3}}
	w.as(w.teacher).With("If-Match", `"v2"`).PUT(path("courses", w.course, "late-policy"), bad).Expect(422)
	w.as(w.student).GET(path("courses", w.course, "gradebook")).Expect(403)
	w.as(w.alien).GET(path("courses", w.course, "gradebook")).Expect(404)
	w.as(w.teacher).GET(path("courses", w.course, "grades")).Expect(403)
	w.as(w.alien).GET(path("courses", w.course, "grades")).Expect(404)
	w.as(w.student).POST("/api/v1/grading-schemes", scheme).Expect(403)
	var made httpapi.GradingScheme
	w.as(w.teacher).POST("/api/v1/grading-schemes", scheme).Expect(201).JSON(&made)
	w.as(w.teacher).POST("/api/v1/grading-schemes", scheme).Expect(409).Code("name_taken")
	scheme["grades"] = []body{{"name": "P", "from": 50}}
	w.as(w.teacher).POST("/api/v1/grading-schemes", scheme).Expect(422)
	w.as(w.teacher).POST("/api/v1/grading-schemes", body{"org_unit_id": w.unit, "name": "Unit's", "grades": []body{{"name": "F", "from": 0}}}).Expect(403)
	w.as(w.admin).POST("/api/v1/grading-schemes", body{"org_unit_id": w.unit, "name": "Unit's", "grades": []body{{"name": "F", "from": 0}}}).Expect(201)
	w.as(w.alien).POST("/api/v1/grading-schemes", body{"org_unit_id": w.unit, "name": "Other", "grades": []body{{"name": "F", "from": 0}}}).Expect(404)
	var list struct{ Items []httpapi.GradingScheme }
	w.as(w.teacher).GET("/api/v1/grading-schemes?course_id=" + w.course.String()).Expect(200).JSON(&list)
	require.Len(t, list.Items, 2)
	w.as(w.alien).GET("/api/v1/grading-schemes/" + made.ID.String()).Expect(404)
	w.put(w.teacher, path("courses", w.course, "grading-settings"), body{"weighted": false, "scheme_id": made.ID, "show_totals": true})
	at := path("courses", w.course, "grading-settings")
	tag := w.as(w.teacher).GET(at).Header.Get("ETag")
	w.as(w.teacher).With("If-Match", tag).PUT(at, body{"weighted": false, "scheme_id": uuid.New(), "show_totals": true}).Expect(422)
}
