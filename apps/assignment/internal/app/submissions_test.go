package app

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/assignment/internal/coursework"
	"lms/apps/assignment/internal/httpapi"
	"lms/shared/web"
)

func TestHandingIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.published(body{"submission_types": []string{"text", "link", "file"}, "file_extensions": []string{"pdf", "txt"}})
	pdf := w.upload(w.student, a, "Report.pdf", []byte("%PDF-1.7\n%âãÏÓ\nhello"))
	var s httpapi.Submission
	r := w.as(w.student).POST(path("assignments", a.ID, "submissions"), body{
		"text": `<p onclick="x()">Mine</p><script>alert(1)</script>`, "links": []string{"https://example.org/x"}, "file_ids": []uuid.UUID{pdf},
	}).Expect(201).JSON(&s)
	require.Equal(t, "/api/v1/submissions/"+s.ID.String(), r.Header.Get("Location"))
	require.Equal(t, "<p>Mine</p>", s.Text)
	require.Equal(t, 1, s.Attempt)
	require.Equal(t, "application/pdf", s.Files[0].MediaType)
	require.True(t, s.SubmittedAt.Equal(w.clock.Now()))
	require.Equal(t, []string{"submission_submitted"}, w.told(s.ID))

	// Progress learns of the attempt, and of no grade.
	report := w.report(w.student.UserID)
	require.True(t, report.Submission.SubmittedAt.Equal(s.SubmittedAt))
	require.Nil(t, report.Grade.Score)
	require.Equal(t, a.ID, *report.ResourceID)

	// The next attempt counts; the first is kept.
	second := w.submit(w.student, a)
	require.Equal(t, 2, second.Attempt)
	var all web.Items[httpapi.Submission]
	w.as(w.student).GET(path("assignments", a.ID, "submissions")).Expect(200).JSON(&all)
	require.Len(t, all.Items, 2)
	require.False(t, all.Items[0].Current)
	require.True(t, all.Items[1].Current)
	w.as(w.teacher).GET(path("assignments", a.ID, "submissions") + "?current=true").Expect(200).JSON(&all)
	require.Len(t, all.Items, 1)
	require.Equal(t, second.ID, all.Items[0].ID)
	require.True(t, *all.Items[0].NeedsGrading)

	// A file goes in once.
	w.as(w.student).POST(path("assignments", a.ID, "submissions"), body{"file_ids": []uuid.UUID{pdf}}).Expect(422).Field("file_ids", "unknown_file")
}

func TestWhoMayHandIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	draft, a := w.draft(nil), w.published(nil)
	to := func(x httpapi.Assignment) string { return path("assignments", x.ID, "submissions") }
	in := body{"text": "x"}
	w.as(w.student).POST(to(draft), in).Expect(404)
	w.as(w.stranger).POST(to(a), in).Expect(404)
	w.as(w.alien).POST(to(a), in).Expect(404)
	w.as(w.teacher).POST(to(a), in).Expect(403).Code("learners_only")
	concluded := w.person(w.tenant, "", uuid.Nil)
	w.friends.learners[concluded.UserID] = false
	w.as(concluded).POST(to(a), in).Expect(403).Code("read_only")
	w.as(concluded).GET(path("assignments", a.ID)).Expect(200)

	// The curriculum locks it, or shows it nowhere that a learner sees.
	w.friends.locked[a.ID] = []body{{"code": "module_prerequisite"}}
	p := w.as(w.student).POST(to(a), in).Expect(403).Code("item_locked").Problem()
	require.NotEmpty(t, p.All["reasons"])
	w.as(w.student).GET(path("assignments", a.ID)).Expect(403).Code("item_locked")
	delete(w.friends.locked, a.ID)
	w.submit(w.student, a)

	// Others' work is not there for learners.
	s := w.submit(w.student, a)
	other := w.learner()
	w.as(other).GET(path("submissions", s.ID)).Expect(404)
	w.as(other).GET(path("submissions", s.ID, "comments")).Expect(404)
	w.as(other).POST(path("submissions", s.ID, "withdraw"), nil).Expect(404)
	w.as(other).GET(path("assignments", a.ID, "grades", w.student.UserID)).Expect(404)
	w.as(w.alien).GET(path("submissions", s.ID)).Expect(404)
	w.as(w.assistant).GET(path("submissions", s.ID)).Expect(200)
	// Handing in and presigning are asked each time.
	n := len(w.friends.asked)
	w.submit(w.student, a)
	require.Greater(t, len(w.friends.asked), n)
}

// Rules 17 and 21, to the microsecond.
func TestTheWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	from := w.clock.Now().Add(time.Hour)
	due, cutoff := from.Add(time.Hour), from.Add(2*time.Hour)
	a := w.published(body{"available_from": from, "due_at": due, "cutoff_at": cutoff})
	refused := func(code string) {
		t.Helper()
		w.as(w.student).POST(path("assignments", a.ID, "submissions"), body{"text": "x"}).Expect(409).Code(code)
		w.as(w.student).POST(path("assignments", a.ID, "uploads"), announced("x.txt", []byte("x"))).Expect(409).Code(code)
	}
	w.clock.Set(from.Add(-time.Microsecond))
	refused("window_not_open")
	w.clock.Set(from)
	w.submit(w.student, a)
	w.clock.Set(due)
	require.Zero(t, w.submit(w.student, a).SecondsLate, "exactly at the due time is on time")
	w.clock.Set(due.Add(time.Microsecond))
	require.EqualValues(t, 1, w.submit(w.student, a).SecondsLate)
	w.clock.Set(cutoff)
	require.EqualValues(t, 3600, w.submit(w.student, a).SecondsLate, "open while now ≤ cutoff")
	w.clock.Set(cutoff.Add(time.Microsecond))
	refused("window_closed")
	w.clock.Set(cutoff.Add(time.Second))
	refused("window_closed")
	w.clock.Set(cutoff)

	// An extension moves due time and cutoff; the lock is nobody's to move.
	late := cutoff.Add(time.Hour)
	w.as(w.teacher).PUT(path("assignments", a.ID, "overrides", w.student.UserID), body{"due_at": late}).Expect(200)
	w.clock.Set(late)
	require.Zero(t, w.submit(w.student, a).SecondsLate)
	other := w.learner()
	w.as(other).POST(path("assignments", a.ID, "submissions"), body{"text": "x"}).Expect(409).Code("window_closed")
	lock := late.Add(-time.Minute)
	r := w.as(w.teacher).GET(path("assignments", a.ID)).Expect(200)
	w.as(w.teacher).With("If-Match", r.ETag()).PATCH(path("assignments", a.ID), body{"lock_at": lock}).Expect(200)
	refused("assignment_locked")
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	due := w.clock.Now().Add(time.Hour)
	a := w.published(body{"due_at": due, "attempts": 1})
	cohort := uuid.New()
	w.friends.groups[cohort] = []uuid.UUID{w.student.UserID}
	at := func(kind string, id uuid.UUID) string { return path("assignments", a.ID, kind, id) }
	// The most generous of person, group and cohort wins (rule 21).
	w.as(w.teacher).PUT(at("overrides", w.student.UserID), body{"due_at": due.Add(time.Hour), "attempts": 3, "reason": "ill"}).Expect(200)
	w.as(w.teacher).PUT(at("group-overrides", cohort), body{"due_at": due.Add(2 * time.Hour), "attempts": 2}).Expect(200)
	var seen httpapi.Assignment
	w.as(w.student).GET(path("assignments", a.ID)).Expect(200).JSON(&seen)
	require.Equal(t, due.Add(2*time.Hour), *seen.Mine.DueAt)
	require.Equal(t, 3, *seen.Mine.Attempts)
	other := w.learner()
	w.as(other).GET(path("assignments", a.ID)).Expect(200).JSON(&seen)
	require.Equal(t, due, *seen.Mine.DueAt)
	require.Equal(t, 1, *seen.Mine.Attempts)
	// One that is nearer takes nothing away.
	w.as(w.teacher).PUT(at("overrides", other.UserID), body{"due_at": due.Add(-time.Minute)}).Expect(200)
	w.as(other).GET(path("assignments", a.ID)).Expect(200).JSON(&seen)
	require.Equal(t, due, *seen.Mine.DueAt)

	w.submit(other, a)
	w.as(other).POST(path("assignments", a.ID, "submissions"), body{"text": "again"}).Expect(409).Code("attempts_used_up")
	w.as(w.teacher).PUT(at("overrides", other.UserID), body{"unlimited_attempts": true}).Expect(200)
	w.submit(other, a)

	var list web.Items[httpapi.Override]
	w.as(w.assistant).GET(path("assignments", a.ID, "overrides")).Expect(200).JSON(&list)
	require.Len(t, list.Items, 3)
	w.as(w.assistant).PUT(at("overrides", other.UserID), body{"attempts": 2}).Expect(403)
	w.as(w.student).GET(path("assignments", a.ID, "overrides")).Expect(403)
	w.as(w.teacher).PUT(at("overrides", w.stranger.UserID), body{"attempts": 2}).Expect(404)
	w.as(w.teacher).PUT(at("overrides", other.UserID), body{}).Expect(422)
	w.as(w.teacher).With("If-Match", `"v1"`).DELETE(at("overrides", other.UserID)).Expect(412)
	w.as(w.teacher).With("If-Match", `"v2"`).DELETE(at("overrides", other.UserID)).Expect(204)
	w.as(w.teacher).DELETE(at("overrides", other.UserID)).Expect(404)
	require.Contains(t, w.told(a.ID), "override_changed")
	// An extension granted afterwards makes late work timely again (rule 19).
	w.clock.Set(due.Add(time.Hour))
	third := w.learner()
	w.submit(third, a)
	w.work()
	g, _ := w.gradeOf(w.teacher, a, third.UserID)
	require.True(t, g.Late)
	w.as(w.teacher).PUT(at("overrides", third.UserID), body{"due_at": due.Add(3 * time.Hour)}).Expect(200)
	w.work()
	g, _ = w.gradeOf(w.teacher, a, third.UserID)
	require.False(t, g.Late)
}

// Attempts of one person are numbered one after the other, whoever comes at once.
func TestAttemptsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.published(body{"attempts": 3})
	var wg sync.WaitGroup
	status := make([]int, 12)
	for i := range status {
		wg.Go(func() {
			status[i] = w.as(w.student).POST(path("assignments", a.ID, "submissions"), body{"text": fmt.Sprint(i)}).Status
		})
	}
	wg.Wait()
	won := 0
	for _, s := range status {
		if s == 201 {
			won++
		} else {
			require.Equal(t, 409, s)
		}
	}
	require.Equal(t, 3, won)
	var numbers []int
	w.scan(&numbers, `select array_agg(attempt order by attempt) from submissions where assignment_id = $1`, a.ID)
	require.Equal(t, []int{1, 2, 3}, numbers)
}

func TestARepeatedRequestHandsInOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.published(nil)
	client := w.as(w.student).With("Idempotency-Key", "one")
	first := client.POST(path("assignments", a.ID, "submissions"), body{"text": "x"}).Expect(201)
	again := client.POST(path("assignments", a.ID, "submissions"), body{"text": "x"}).Expect(201)
	require.JSONEq(t, string(first.Body), string(again.Body))
	client.POST(path("assignments", a.ID, "submissions"), body{"text": "y"}).Expect(422).Code("idempotency_key_reused")
	var n int
	w.scan(&n, `select count(*) from submissions`)
	require.Equal(t, 1, n)

	// While enrollment takes no calls the answer says that progress comes later.
	w.friends.away = true
	w.clock.Advance(time.Second)
	var s httpapi.Submission
	w.as(w.student).POST(path("assignments", a.ID, "submissions"), body{"text": "x"}).Expect(201).JSON(&s)
	require.True(t, s.ProgressPending)
}

func TestWhatCannotBeHandedIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	links := w.published(body{"submission_types": []string{"link"}})
	to := path("assignments", links.ID, "submissions")
	for _, bad := range []string{"javascript:alert(1)", "ftp://x", "https://", "//x", "https://u:p@x.org", "https://x.org/" + strings.Repeat("a", 2000)} {
		w.as(w.student).POST(to, body{"links": []string{bad}}).Expect(422).Field("links[0]", "invalid_link")
	}
	w.as(w.student).POST(to, body{"text": "x", "links": []string{"https://x.org"}}).Expect(422).Field("text", "type_not_allowed")
	w.as(w.student).POST(to, body{}).Expect(422).Field("text", "required")
	w.as(w.student).POST(path("assignments", links.ID, "uploads"), announced("x.pdf", []byte("x"))).Expect(422).Field("filename", "type_not_allowed")
	text := w.published(body{"submission_types": []string{"text"}})
	w.as(w.student).POST(path("assignments", text.ID, "submissions"), body{"text": "<p> </p><script>x</script>"}).Expect(422).Field("text", "required")
	paper := w.published(body{"submission_types": []string{}})
	w.as(w.student).POST(path("assignments", paper.ID, "submissions"), body{"text": "x"}).Expect(409).Code("nothing_to_submit")
}

func TestWithdrawing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.published(body{"attempts": 1, "cutoff_at": w.clock.Now().Add(time.Hour)})
	s := w.submit(w.student, a)
	w.as(w.teacher).POST(path("submissions", s.ID, "withdraw"), nil).Expect(403)
	w.as(w.student).POST(path("submissions", s.ID, "withdraw"), nil).Expect(200)
	require.Equal(t, []string{"submission_submitted", "submission_withdrawn"}, w.told(s.ID))
	require.Nil(t, w.report(w.student.UserID).Submission.SubmittedAt)
	// The attempt is given back; again is once.
	w.as(w.student).POST(path("submissions", s.ID, "withdraw"), nil).Expect(200)
	second := w.submit(w.student, a)
	require.Equal(t, 2, second.Attempt)
	w.grade(a, w.student.UserID, body{"score": 7})
	w.as(w.student).POST(path("submissions", second.ID, "withdraw"), nil).Expect(409).Code("already_graded")
	other := w.learner()
	third := w.submit(other, a)
	w.clock.Advance(2 * time.Hour)
	w.as(other).POST(path("submissions", third.ID, "withdraw"), nil).Expect(409).Code("window_closed")
}

func TestGroupWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set, group := uuid.New(), uuid.New()
	mate, loner := w.learner(), w.learner()
	w.friends.sets[w.course] = []coursework.CourseGroup{
		{ID: group, SetID: set, Name: "A", Members: []uuid.UUID{w.student.UserID, mate.UserID}},
		{ID: uuid.New(), SetID: uuid.New(), Members: []uuid.UUID{loner.UserID}},
	}
	a := w.published(body{"group_set_id": set})
	w.as(loner).POST(path("assignments", a.ID, "submissions"), body{"text": "x"}).Expect(409).Code("no_group")
	s := w.submit(w.student, a)
	require.ElementsMatch(t, []uuid.UUID{w.student.UserID, mate.UserID}, s.MemberIDs)
	// It is the work of both.
	w.as(mate).GET(path("submissions", s.ID)).Expect(200)
	require.NotNil(t, w.report(mate.UserID).Submission.SubmittedAt)
	require.Equal(t, 2, w.submit(mate, a).Attempt)
	// Both are graded together, unless one is graded apart.
	w.grade(a, mate.UserID, body{"score": 15})
	mine, _ := w.gradeOf(w.student, a, w.student.UserID)
	require.JSONEq(t, "15", string(must(mine.Score.MarshalJSON())))
	w.grade(a, mate.UserID, body{"score": 10, "individual": true})
	w.grade(a, w.student.UserID, body{"score": 20})
	theirs, _ := w.gradeOf(mate, a, mate.UserID)
	require.JSONEq(t, "10", string(must(theirs.Score.MarshalJSON())))
	require.True(t, theirs.Individual)
	// Group work cannot be torn apart.
	r := w.as(w.teacher).GET(path("assignments", a.ID)).Expect(200)
	w.as(w.teacher).With("If-Match", r.ETag()).PATCH(path("assignments", a.ID), body{"group_set_id": nil}).Expect(409).Code("has_submissions")

	// Two of a group at once: one after the other.
	var wg sync.WaitGroup
	for _, p := range []int{0, 1, 0, 1, 0, 1} {
		who := w.student
		if p == 1 {
			who = mate
		}
		wg.Go(func() { w.as(who).POST(path("assignments", a.ID, "submissions"), body{"text": "x"}).Expect(201) })
	}
	wg.Wait()
	var n, highest int
	w.scan(&n, `select count(*) from submissions where assignment_id = $1`, a.ID)
	w.scan(&highest, `select max(attempt) from submissions where assignment_id = $1`, a.ID)
	require.Equal(t, 8, n)
	require.Equal(t, 8, highest)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
