package app

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/assignment/internal/httpapi"
	"lms/shared/pg"
	"lms/shared/web"
	"lms/shared/work"
)

func points(t *testing.T, d *httpapi.Decimal) string {
	t.Helper()
	if d == nil {
		return ""
	}
	return string(must(d.MarshalJSON()))
}

func TestGrading(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.published(nil)
	s := w.submit(w.student, a)
	g := w.grade(a, w.student.UserID, body{"score": 17.25, "comment": "Good.", "note": "read twice"})
	require.Equal(t, "17.25", points(t, g.Score))
	require.Equal(t, s.ID, *g.GradedAttempt)
	require.False(t, *g.NeedsGrading)
	var id uuid.UUID
	w.scan(&id, `select id from grades where assignment_id = $1`, a.ID)
	require.Equal(t, []string{"graded", "grade_posted"}, w.told(id), "it is posted at once where that is the policy")
	report := w.report(w.student.UserID)
	require.EqualValues(t, 1725, *report.Grade.Score)
	require.EqualValues(t, 2000, *report.Grade.Possible)
	require.NotNil(t, report.Submission.SubmittedAt, "each report has every section")

	mine, tag := w.gradeOf(w.student, a, w.student.UserID)
	require.Equal(t, "17.25", points(t, mine.Score))
	require.NotEmpty(t, tag)
	var comments web.Items[httpapi.Comment]
	w.as(w.student).GET(path("submissions", s.ID, "comments")).Expect(200).JSON(&comments)
	require.Equal(t, "Good.", comments.Items[0].Text)

	// A posted grade that changes is told as such; an excuse takes the score away.
	w.grade(a, w.student.UserID, body{"score": 18})
	w.grade(a, w.student.UserID, body{"excused": true})
	require.Equal(t, []string{"graded", "grade_posted", "graded", "grade_changed", "graded", "grade_changed"}, w.told(id))
	report = w.report(w.student.UserID)
	require.Nil(t, report.Grade.Score)
	require.NotNil(t, report.Grade.ExcusedAt)

	// Taken back.
	_, tag = w.gradeOf(w.teacher, a, w.student.UserID)
	w.as(w.teacher).With("If-Match", tag).DELETE(path("assignments", a.ID, "grades", w.student.UserID)).Expect(204)
	g, _ = w.gradeOf(w.teacher, a, w.student.UserID)
	require.Nil(t, g.Score)
	require.True(t, *g.NeedsGrading)

	var history web.Items[httpapi.Change]
	w.as(w.teacher).GET(path("submissions", s.ID, "history")).Expect(200).JSON(&history)
	var causes []string
	for _, h := range history.Items {
		causes = append(causes, h.Cause)
	}
	require.Equal(t, []string{"deleted", "graded", "graded", "graded", "submitted"}, causes)
	require.Equal(t, "read twice", history.Items[3].Note)
	require.Equal(t, w.teacher.UserID, *history.Items[3].ActorID)
	require.EqualValues(t, 1725, *history.Items[3].After.EnteredScore)
}

func TestAGradeNeedsNoSubmission(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.published(body{"due_at": w.clock.Now().Add(time.Hour)})
	_, tag := w.gradeOf(w.teacher, a, w.student.UserID)
	require.Equal(t, `"v1"`, tag, "the version of a grade that is not there yet")
	g := w.grade(a, w.student.UserID, body{"score": 3, "status": "late", "status_seconds": 7200})
	require.True(t, g.Late)
	require.EqualValues(t, 7200, g.SecondsLate)
	g = w.grade(a, w.student.UserID, body{"status": "missing"})
	require.True(t, g.Missing)
	require.Nil(t, g.Score)
	w.clock.Advance(2 * time.Hour)
	g = w.grade(a, w.student.UserID, body{"status": "none"})
	require.False(t, g.Missing)
	report := w.report(w.student.UserID)
	require.Nil(t, report.Submission.SubmittedAt, "rule 6: a grade is no attempt")
	put := func(entry any) {
		w.as(w.teacher).With("If-Match", `"v99"`).PUT(path("assignments", a.ID, "grades", w.student.UserID), entry).Expect(412)
	}
	put(body{"score": 1})
	w.as(w.teacher).PUT(path("assignments", a.ID, "grades", w.student.UserID), body{"score": 1}).Expect(428)
	w.as(w.teacher).With("If-Match", `"v1"`).PUT(path("assignments", a.ID, "grades", w.stranger.UserID), body{"score": 1}).Expect(404)
	w.as(w.teacher).With("If-Match", `"v1"`).PUT(path("assignments", a.ID, "grades", w.learner().UserID), body{"score": 1, "comment": "x"}).Expect(422).Field("comment", "no_submission")
}

func TestGradesThatMakeNoSense(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.published(body{"extra_points": 2})
	to := path("assignments", a.ID, "grades", w.student.UserID)
	put := func(entry any) *resp { return &resp{w.as(w.teacher).With("If-Match", `"v1"`).PUT(to, entry)} }
	for raw, code := range map[string]string{
		`{"score":22.01}`: "score_above_possible", `{"score":-0.01}`: "range", `{"score":1e1}`: "decimals", `{"score":1.001}`: "decimals",
		`{"score":"7"}`: "", `{"score":true}`: "",
	} {
		r := put(raw).Expect(422)
		if code != "" {
			r.Field("score", code)
		}
	}
	for _, raw := range []string{`{"score":NaN}`, `{"score":Infinity}`, `{"score":-Infinity}`, `{"score":+1}`, `{"score":.5}`} {
		put(raw).Expect(400)
	}
	put(body{"score": 1, "grade": "2"}).Expect(422).Field("grade", "pair")
	put(body{"score": 1, "excused": true}).Expect(422).Field("excused", "pair")
	put(body{"status_seconds": 3}).Expect(422).Field("status_seconds", "pair")
	put(body{"status": "never"}).Expect(422)
	put(body{"rubric": []body{{"criterion_id": uuid.New(), "points": 1}}}).Expect(422).Field("rubric", "no_rubric")
	put(body{"score": 1, "submission_id": uuid.New()}).Expect(422).Field("submission_id", "unknown_submission")
	put(body{"score": 1, "grader_id": uuid.New()}).Expect(422)
	put(body{"score": 22}).Expect(200) // declared as extra
	w.as(w.student).With("If-Match", `"v2"`).PUT(to, body{"score": 20}).Expect(403)
	w.as(w.alien).With("If-Match", `"v2"`).PUT(to, body{"score": 20}).Expect(404)
	none := w.published(body{"grading_type": "not_graded"})
	w.as(w.teacher).With("If-Match", `"v1"`).PUT(path("assignments", none.ID, "grades", w.student.UserID), body{"score": 0}).Expect(422).Field("score", "not_graded")
}

func TestKindsOfGrading(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct{ kind, grade, score string }{
		{"points", "12.5", "12.5"},
		{"points", "50%", "10"},
		{"percent", "87.5", "17.5"},
		{"percent", "33.33%", "6.67"},
		{"letter", "A", "20"},
		{"pass_fail", "pass", "20"},
		{"pass_fail", "Fail", "0"},
	} {
		a := w.published(body{"grading_type": c.kind})
		g := w.grade(a, w.student.UserID, body{"grade": c.grade})
		require.Equal(t, c.score, points(t, g.Score), "%s %s", c.kind, c.grade)
		require.Equal(t, c.grade, g.Grade)
	}
	for kind, grade := range map[string]string{"letter": "Z", "pass_fail": "7", "points": "1e1", "percent": "-1%"} {
		a := w.published(body{"grading_type": kind})
		w.as(w.teacher).With("If-Match", `"v1"`).PUT(path("assignments", a.ID, "grades", w.student.UserID), body{"grade": grade}).Expect(422).Field("grade", "unknown_grade")
	}
}

// Of two who grade at once one is refused, also where there was no grade yet.
func TestTwoGradersAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.published(nil)
	for _, version := range []string{`"v1"`, `"v2"`} {
		var wg sync.WaitGroup
		status := make([]int, 2)
		for i := range status {
			wg.Go(func() {
				status[i] = w.as(w.teacher).With("If-Match", version).PUT(path("assignments", a.ID, "grades", w.student.UserID), body{"score": i}).Status
			})
		}
		wg.Wait()
		slices.Sort(status)
		require.Equal(t, []int{200, 412}, status)
	}
	var n int
	w.scan(&n, `select count(*) from grade_history where assignment_id = $1`, a.ID)
	require.Equal(t, 2, n)
}

func TestBulkGrading(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.published(nil)
	p, q, r := w.student.UserID, w.learner().UserID, w.learner().UserID
	to := path("assignments", a.ID, "grades", "bulk")
	rows := []body{{"user_id": p, "score": 5}, {"user_id": q, "score": 21}, {"user_id": w.stranger.UserID, "score": 1}, {"user_id": r, "score": 7, "version": 9}}
	refused := w.as(w.teacher).POST(to, body{"grades": rows}).Expect(422)
	refused.Field("grades[1].score", "score_above_possible").Field("grades[2].user_id", "not_found").Field("grades[3].user_id", "version_mismatch")
	var n int
	w.scan(&n, `select count(*) from grades`)
	require.Zero(t, n, "all or none")

	var done httpapi.BulkResults
	w.as(w.teacher).POST(to, body{"mode": "each", "grades": rows}).Expect(200).JSON(&done)
	require.Equal(t, 1, done.Graded)
	require.Equal(t, 3, done.Refused)
	require.Equal(t, "graded", done.Results[0].Status)
	require.Equal(t, "5", points(t, done.Results[0].Score))
	require.Equal(t, "version_mismatch", done.Results[3].Code)
	w.as(w.teacher).POST(to, body{"mode": "each", "grades": []body{{"user_id": r, "score": 7, "comment": "of nothing"}}}).Expect(200).JSON(&done)
	require.Equal(t, 1, done.Refused)
	w.scan(&n, `select count(*) from grades`)
	require.Equal(t, 1, n, "nothing of a refused row is written")
	w.as(w.teacher).POST(to, body{"grades": []body{{"user_id": p, "score": 6, "version": 2}, {"user_id": q, "grade": "50%"}, {"user_id": r, "excused": true}}}).Expect(200).JSON(&done)
	require.Equal(t, 3, done.Graded)
	w.as(w.teacher).POST(to, body{"grades": []body{{"user_id": p}, {"user_id": p}}}).Expect(422).Field("grades", "duplicate")
	w.as(w.student).POST(to, body{"grades": []body{{"user_id": p, "score": 1}}}).Expect(403)
	w.as(w.teacher).POST(to, `{"grades":[{"user_id":"`+p.String()+`","score":1e2}]}`).Expect(422).Field("grades[0].score", "decimals")
}

// Rule 25: a learner sees nothing of a hidden grade, anywhere: the raw bytes of
// every answer are searched.
func TestHiddenGradesAreHiddenEverywhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rubric := w.rubric()
	a := w.published(body{"posting": "manual", "rubric_id": rubric.ID, "grading_type": "points"})
	s := w.submit(w.student, a)
	secrets := []string{"13.37", "1337", "TOPSECRETWORDS", "CRITERIONWORDS"}
	w.grade(a, w.student.UserID, body{
		"score": 13.37, "comment": "TOPSECRETWORDS", "status": "late", "status_seconds": 4242,
		"rubric": []body{{"criterion_id": rubric.Criteria[0].ID, "level_id": rubric.Criteria[0].Levels[0].ID, "comment": "CRITERIONWORDS"}},
	})
	pages := []string{
		path("courses", w.course, "assignments"), path("assignments", a.ID), path("assignments", a.ID, "submissions"), path("submissions", s.ID),
		path("submissions", s.ID, "comments"), path("submissions", s.ID, "history"), path("assignments", a.ID, "grades", w.student.UserID),
	}
	look := func(shown bool) {
		t.Helper()
		found := map[string]bool{}
		for _, p := range pages {
			r := w.as(w.student).GET(p).Expect(200)
			for _, secret := range append(secrets, "4242", w.teacher.UserID.String(), "graded") {
				if strings.Contains(string(r.Body), secret) {
					require.True(t, shown, "%s shows %s: %s", p, secret, r.Body)
					found[secret] = true
				}
			}
			require.False(t, !shown && strings.Contains(r.Header.Get("ETag"), "v3"), "the version would tell that something happened")
		}
		require.Equal(t, shown, found["13.37"] && found["TOPSECRETWORDS"] && found["CRITERIONWORDS"])
	}
	look(false)
	require.Nil(t, w.report(w.student.UserID).Grade.Score)
	var posted, told int
	w.scan(&posted, `select count(*) from outbox where type like '%.grade_posted%' or type like '%.grade_changed%'`)
	require.Zero(t, posted)
	w.scan(&told, `select count(*) from outbox where type like '%commented%' and event::text like '%"recipient_ids":[]%'`)
	require.Equal(t, 1, told, "nobody is told of words that are hidden")

	var done httpapi.Posted
	w.as(w.teacher).POST(path("assignments", a.ID, "grades", "post"), nil).Expect(200).JSON(&done)
	require.Equal(t, httpapi.Posted{Changed: 1, Grades: 1}, done)
	look(true)
	require.EqualValues(t, 1337, *w.report(w.student.UserID).Grade.Score)
	w.as(w.teacher).POST(path("assignments", a.ID, "grades", "post"), nil).Expect(200).JSON(&done)
	require.Zero(t, done.Changed, "again is nothing")

	w.as(w.teacher).POST(path("assignments", a.ID, "grades", "hide"), body{"user_ids": []uuid.UUID{w.student.UserID}}).Expect(200).JSON(&done)
	require.Equal(t, 1, done.Changed)
	require.Nil(t, w.report(w.student.UserID).Grade.Score)
	look(false)
	var hidden string
	w.scan(&hidden, `select event::text from outbox where type like '%grade_hidden%'`)
	require.NotContains(t, hidden, "13.37")
	w.as(w.student).POST(path("assignments", a.ID, "grades", "post"), nil).Expect(403)
}

// Who grades anonymously sees aliases that stay the same, and never whose work it
// is, until grades are posted: the raw bytes of every answer are searched.
func TestAnonymousGrading(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.as(w.teacher).POST(path("courses", w.course, "assignments"), body{"title": "x", "anonymous": true, "posting": "automatic"}).Expect(422).Field("posting", "anonymous_needs_manual")
	a := w.published(body{"anonymous": true, "due_at": w.clock.Now().Add(time.Hour)})
	require.Equal(t, "manual", a.Posting)
	mate := w.learner()
	file := w.upload(w.student, a, "essay-by-Sam.txt", []byte("words"))
	w.as(w.student).POST(path("assignments", a.ID, "submissions"), body{"file_ids": []uuid.UUID{file}}).Expect(201)
	w.submit(mate, a)
	var list web.Items[httpapi.Submission]
	w.as(w.teacher).GET(path("assignments", a.ID, "submissions")).Expect(200).JSON(&list)
	require.Len(t, list.Items, 2)
	mine := list.Items[0]
	require.NotNil(t, mine.Alias)
	w.as(w.student).POST(path("submissions", mine.ID, "comments"), body{"text": "Please look at page two."}).Expect(201)
	var again web.Items[httpapi.Submission]
	w.as(w.assistant).GET(path("assignments", a.ID, "submissions")).Expect(200).JSON(&again)
	require.Equal(t, mine.Alias, again.Items[0].Alias, "it stays the same")

	alias := path("assignments", a.ID, "grades", *mine.Alias)
	tag := w.as(w.teacher).GET(alias).Expect(200).ETag()
	w.as(w.teacher).With("If-Match", tag).PUT(alias, body{"score": 9, "comment": "Seen."}).Expect(200)
	pages := []string{
		path("assignments", a.ID, "submissions"), path("submissions", mine.ID), path("submissions", mine.ID, "comments"), path("submissions", mine.ID, "history"),
		alias, path("assignments", a.ID, "grades"), path("submissions", mine.ID, "files", mine.Files[0].ID), "/api/v1/me/to-grade", path("assignments", a.ID, "submissions") + "?user_id=" + mine.Alias.String(),
	}
	for _, p := range pages {
		r := w.as(w.teacher).GET(p).Expect(200)
		for _, name := range []string{w.student.UserID.String(), mate.UserID.String(), "essay-by-Sam", "Sam"} {
			require.NotContains(t, string(r.Body), name, p)
		}
	}
	// Naming a person finds nothing, and tells nothing.
	real := path("assignments", a.ID, "grades", w.student.UserID)
	w.as(w.teacher).GET(real).Expect(404)
	w.as(w.teacher).With("If-Match", `"v1"`).PUT(real, body{"score": 1}).Expect(404)
	w.as(w.teacher).GET(path("assignments", a.ID, "submissions") + "?user_id=" + w.student.UserID.String()).Expect(200).JSON(&list)
	require.Empty(t, list.Items)
	w.as(w.teacher).POST(path("assignments", a.ID, "grades", "bulk"), body{"grades": []body{{"user_id": mine.Alias, "score": 10}}}).Expect(200)
	// The archive has aliases for folders.
	r := w.as(w.teacher).GET(path("assignments", a.ID)).Expect(200)
	w.as(w.teacher).With("If-Match", r.ETag()).PATCH(path("assignments", a.ID), body{"anonymous": false}).Expect(409).Code("has_submissions")

	w.as(w.teacher).POST(path("assignments", a.ID, "grades", "post"), nil).Expect(200)
	w.as(w.teacher).GET(path("assignments", a.ID, "submissions")).Expect(200).JSON(&list)
	require.Equal(t, w.student.UserID, *list.Items[0].UserID)
	require.NotNil(t, list.Items[1].Alias, "what is not graded is not posted")
	w.as(w.teacher).GET(real).Expect(200)
}

func TestToGrade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.published(nil), w.published(body{"title": "Second"})
	w.submit(w.student, b)
	w.clock.Advance(time.Minute)
	w.submit(w.student, a)
	w.submit(w.learner(), a)
	var list web.Items[httpapi.Waiting]
	w.as(w.assistant).GET("/api/v1/me/to-grade").Expect(200).JSON(&list)
	require.Len(t, list.Items, 2)
	require.Equal(t, "Second", list.Items[0].Title, "the oldest first")
	require.Equal(t, 2, list.Items[1].Submissions)
	w.grade(b, w.student.UserID, body{"score": 1})
	w.as(w.teacher).GET("/api/v1/me/to-grade").Expect(200).JSON(&list)
	require.Len(t, list.Items, 1)
	// A new attempt waits again.
	w.clock.Advance(time.Minute)
	w.submit(w.student, b)
	w.as(w.teacher).GET("/api/v1/me/to-grade").Expect(200).JSON(&list)
	require.Len(t, list.Items, 2)
	w.as(w.student).GET("/api/v1/me/to-grade").Expect(200).JSON(&list)
	require.Empty(t, list.Items)
}

// The history only grows, whatever somebody's code does.
func TestHistoryOnlyGrows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.published(nil)
	w.grade(a, w.student.UserID, body{"score": 1})
	for _, sql := range []string{`update grade_history set note = 'x'`, `delete from grade_history`, `update grade_history set before = null`} {
		err := w.db.InTx(t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
			_, err := u.Exec(ctx, sql)
			return err
		})
		require.True(t, pg.Violates(err, "grade_history_only_grows"), sql)
	}
}

// A comment has nothing to stand at where nothing was handed in: the row is refused
// as a whole, and no grade is written behind the answer's back.
func TestARefusedRowWritesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.published(nil)
	p, q := w.student.UserID, w.learner().UserID
	var done httpapi.BulkResults
	w.as(w.teacher).POST(path("assignments", a.ID, "grades", "bulk"), body{"mode": "each", "grades": []body{
		{"user_id": p, "score": 5, "comment": "Well done."}, {"user_id": q, "score": 7},
	}}).Expect(200).JSON(&done)
	require.Equal(t, []string{"refused", "graded"}, []string{done.Results[0].Status, done.Results[1].Status})
	g, _ := w.gradeOf(w.teacher, a, p)
	require.Nil(t, g.Score)
}

func TestNobodyIsNotEverybody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.published(body{"posting": "manual"})
	w.grade(a, w.student.UserID, body{"score": 5})
	w.as(w.teacher).POST(path("assignments", a.ID, "grades", "post"), body{"user_ids": []uuid.UUID{}}).Expect(422).Field("user_ids", "required")
	g, _ := w.gradeOf(w.student, a, w.student.UserID)
	require.Nil(t, g.Score)
}

// What a score is worth follows the possible points (rule 3).
func TestOtherPointsAreReportedWithEveryPostedScore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.published(body{"points": 20})
	w.grade(a, w.student.UserID, body{"score": 10})
	require.EqualValues(t, 20_00, *w.report(w.student.UserID).Grade.Possible)
	tag := w.as(w.teacher).GET(path("assignments", a.ID)).Expect(200).ETag()
	w.as(w.teacher).With("If-Match", tag).PATCH(path("assignments", a.ID), body{"points": 40}).Expect(200)
	w.work()
	report := w.report(w.student.UserID)
	require.EqualValues(t, 40_00, *report.Grade.Possible)
	require.EqualValues(t, 10_00, *report.Grade.Score)
}
