package app

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/enrollment/internal/enrollment"
	"lms/apps/enrollment/internal/httpapi"
	"lms/shared/authz"
	contract "lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/inbox"
	"lms/shared/work"
)

func (w *world) progress(p authz.Principal, c contract.CourseState) httpapi.CourseProgress {
	w.t.Helper()
	var out httpapi.CourseProgress
	w.as(p).GET(path("courses", c.ID, "progress")).Expect(200).JSON(&out)
	return out
}

func (w *world) view(p authz.Principal, c contract.CourseState, it contract.CurriculumItem) httpapi.Standpoint {
	w.t.Helper()
	var out httpapi.Standpoint
	w.as(p).POST(path("courses", c.ID, "items", it.ID, "view"), nil).Expect(200).JSON(&out)
	return out
}

func TestProgressIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course()
	intro, task, test := needs(contract.RequireView), needs(contract.RequireDone), quiz(7000)
	plain := needs("")
	first, second := part("Basics", intro, plain, task), part("Test", test)
	first.Sequential = true
	second.Prerequisites = []uuid.UUID{first.ID}
	w.curriculum(c, first, second)
	e := w.enroll(w.student, c)
	require.Equal(t, httpapi.ProgressNumbers{Required: 3}, e.Progress)

	p := w.progress(w.student, c)
	require.Equal(t, intro.ID, p.NextItem.ID)
	require.Equal(t, "unlocked", p.Modules[0].State)
	require.Equal(t, "locked", p.Modules[1].State)
	require.Equal(t, "module_prerequisite", p.Modules[1].Reasons[0].Code)
	require.Equal(t, "Basics", p.Modules[1].Reasons[0].Missing[0].Title)
	// Rule 11: a locked item says why and what is missing.
	require.True(t, p.Modules[0].Items[2].Locked)
	require.Equal(t, []enrollment.Missing{{ID: intro.ID, Title: "view", Requirement: "view"}}, p.Modules[0].Items[2].Reasons[0].Missing)
	refused := w.as(w.student).POST(path("courses", c.ID, "items", task.ID, "done"), nil).Expect(403).Code("item_locked").Problem()
	require.Equal(t, "sequential", refused.All["reasons"].([]any)[0].(map[string]any)["code"])

	at := w.view(w.student, c, intro)
	require.Equal(t, 1, at.Progress.Met)
	require.Equal(t, "started", at.Module.State)
	require.Equal(t, at, w.view(w.student, c, intro), "a second view changes nothing")
	w.as(w.student).POST(path("courses", c.ID, "items", intro.ID, "done"), nil).Expect(409).Code("not_markable")
	w.as(w.student).POST(path("courses", c.ID, "items", uuid.New(), "view"), nil).Expect(404)
	w.as(w.learner()).POST(path("courses", c.ID, "items", intro.ID, "view"), nil).Expect(404)
	w.as(w.student).POST(path("courses", c.ID, "items", task.ID, "done"), map[string]any{}).Expect(200).JSON(&at)
	require.Equal(t, "completed", at.Module.State)
	require.Equal(t, test.ID, w.progress(w.student, c).NextItem.ID)

	// Rule 12: completed by the time of the criterion, not of the report.
	graded := w.clock.Now().Add(-time.Minute)
	w.clock.Advance(time.Hour)
	reply := w.report(w.student, c, test, scored(1000, 1000, graded))
	require.Equal(t, []uuid.UUID{test.ID}, reply.Completed)
	done := w.read(w.student, e.ID)
	require.Equal(t, "completed", done.State)
	require.Equal(t, 100, done.Progress.Percent)
	last := w.progress(w.student, c).Modules[1]
	require.Equal(t, graded, *last.Items[0].CompletedAt)
	require.Equal(t, *w.progress(w.student, c).Modules[0].CompletedAt, *done.CompletedAt, "the latest criterion")
	require.InDelta(t, 10.0, *last.Items[0].Score, 0)
	require.Equal(t, []string{
		"activated", "progress_changed", "progress_changed", "module_completed", "progress_changed", "module_completed", "course_completed",
	}, w.told(e.ID))

	// Rule 13: a regression shows in progress, the completion stays and is told once.
	w.report(w.student, c, test, scored(100, 1000, w.clock.Now()))
	require.Equal(t, 2, w.progress(w.student, c).Progress.Met)
	require.Equal(t, "completed", w.read(w.student, e.ID).State)
	w.report(w.student, c, test, scored(900, 1000, w.clock.Now()))
	completions := 0
	for _, e := range w.told(e.ID) {
		if e == "course_completed" {
			completions++
		}
	}
	require.Equal(t, 1, completions)
	w.as(w.teacher).GET(path("enrollments", e.ID, "progress")).Expect(200)
	w.as(w.learner()).GET(path("enrollments", e.ID, "progress")).Expect(404)
	w.as(w.student).DELETE(path("courses", c.ID, "items", task.ID, "done")).Expect(200)
	require.Equal(t, 2, w.progress(w.student, c).Progress.Met)
}

// Rules 3–6 as reports tell them.
func TestReports(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course()
	res := uuid.New()
	submit := needs(contract.RequireSubmit)
	submit.Kind, submit.ResourceID = contract.ItemAssignment, &res
	seen := needs(contract.RequireView)
	seen.Kind, seen.ResourceID = contract.ItemAssignment, &res
	video := needs(contract.RequireView)
	clip := uuid.New()
	video.Kind, video.ResourceID = contract.ItemContent, &clip
	w.curriculum(c, part("M", submit, video), part("N", seen))
	e := w.enroll(w.student, c)
	met := func() int { return w.progress(w.student, c).Progress.Met }
	now := w.clock.Now()

	// Rule 6: a grade without an attempt does not submit.
	score, possible := contract.Hundredths(500), contract.Hundredths(500)
	w.report(w.student, c, submit, func(r *internalapi.ProgressReport) {
		r.Grade = &internalapi.GradeSection{Score: &score, Possible: &possible, GradedAt: &now}
	})
	require.Zero(t, met())
	// Rule 5 and 14: the submission is a view of the other place, too.
	reply := w.report(w.student, c, submit, func(r *internalapi.ProgressReport) {
		r.Submission = &internalapi.SubmissionSection{SubmittedAt: &now}
	})
	require.ElementsMatch(t, []uuid.UUID{submit.ID, seen.ID}, reply.Completed)
	require.Equal(t, 2, met())
	// Withdrawn: no attempt any more; the view sticks (rule 3).
	w.report(w.student, c, submit, func(r *internalapi.ProgressReport) { r.Submission = &internalapi.SubmissionSection{} })
	require.Equal(t, 1, met())
	// Rule 4: excused satisfies anything, as long as it stands.
	w.report(w.student, c, submit, func(r *internalapi.ProgressReport) { r.Grade = &internalapi.GradeSection{ExcusedAt: &now} })
	require.Equal(t, 2, met())
	w.report(w.student, c, submit, func(r *internalapi.ProgressReport) { r.Grade = &internalapi.GradeSection{} })
	require.Equal(t, 1, met())
	// A recording counts as seen when all of it was.
	w.report(w.student, c, video, func(r *internalapi.ProgressReport) { r.Watched = &internalapi.WatchedSection{Percent: 99, At: now} })
	require.Equal(t, 1, met())
	w.report(w.student, c, video, func(r *internalapi.ProgressReport) { r.Watched = &internalapi.WatchedSection{Percent: 100, At: now} })
	require.Equal(t, 2, met())
	require.Equal(t, "not_enrolled", w.report(w.learner(), c, video, func(r *internalapi.ProgressReport) { r.ViewedAt = &now }).Ignored)

	var changes []string
	w.scan(&changes, `select array_agg(event->'data'->>'change' order by seq) from outbox where aggregate_id = $1 and type like '%progress_changed%'`, e.ID)
	require.Equal(t, []string{
		"scored", "scored", "submitted", "submitted", "unsubmitted", "unsubmitted", "excused", "excused", "unexcused", "unexcused", "watched", "watched",
	}, changes)
}

// A report that was overtaken by a newer one is dropped (correctness.md).
func TestAnOlderReportNeverOverwrites(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course()
	test := quiz(7000)
	w.curriculum(c, part("M", test))
	w.enroll(w.student, c)
	body := func(points contract.Hundredths) internalapi.ProgressReport {
		now, possible := w.clock.Now(), contract.Hundredths(10000)
		return internalapi.ProgressReport{
			UserID: w.student.UserID, CourseID: c.ID, ResourceID: test.ResourceID,
			Grade: &internalapi.GradeSection{Score: &points, Possible: &possible, GradedAt: &now},
		}
	}
	callAt[internalapi.ProgressReply](w, internalapi.CallProgressReport, "assignment", "k", 2, body(6000))
	callAt[internalapi.ProgressReply](w, internalapi.CallProgressReport, "assignment", "k", 1, body(8000))
	require.Zero(t, w.progress(w.student, c).Progress.Met)
}

// What is known of a resource counts when the resource is placed, and what was
// done before a withdrawal counts afterwards (rule 31).
func TestFactsWaitForTheirPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course()
	w.curriculum(c, part("M", needs(contract.RequireView)))
	e := w.enroll(w.student, c)
	test := quiz(5000)
	w.report(w.student, c, test, scored(9000, 10000, w.clock.Now()))
	w.curriculum(c, part("M", test))
	require.Equal(t, 1, w.progress(w.student, c).Progress.Met, "also before the recalculation")
	w.work()
	require.Equal(t, "completed", w.read(w.student, e.ID).State)

	other := w.learner()
	o := w.enroll(other, c)
	w.as(other).POST(path("enrollments", o.ID, "withdraw"), nil).Expect(200)
	w.report(other, c, test, scored(9000, 10000, w.clock.Now()))
	require.Equal(t, []string{"activated", "withdrawn"}, w.told(o.ID))
	var again httpapi.Enrollment
	w.as(other).POST(enrollments(c), nil).Expect(200).JSON(&again)
	require.Equal(t, "completed", again.State)
	require.Equal(t, []string{"activated", "withdrawn", "activated", "module_completed", "course_completed"}, w.told(o.ID))
}

// A changed curriculum is judged for everybody, in the background; nothing that was
// open locks again unless staff ask for it (rule 8).
func TestCurriculumChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course()
	a, b, x := needs(contract.RequireView), needs(contract.RequireView), needs(contract.RequireDone)
	m, n := part("One", a, b), part("Two", x)
	w.curriculum(c, m, n)
	people := []authz.Principal{w.learner(), w.learner(), w.learner()}
	var list []httpapi.Enrollment
	for _, p := range people {
		list = append(list, w.enroll(p, c))
		w.view(p, c, a)
	}
	// Tightened: Two now wants One, and One is in order.
	n.Prerequisites, m.Sequential = []uuid.UUID{m.ID}, true
	m.Items = []contract.CurriculumItem{b, a}
	w.curriculum(c, m, n)
	for _, when := range []string{"at once", "after the recalculation"} {
		p := w.progress(people[0], c)
		require.Equal(t, "unlocked", p.Modules[1].State, when)
		require.False(t, p.Modules[0].Items[1].Locked, when)
		w.work()
	}
	require.NotContains(t, w.told(list[0].ID), "progress_recalculated", "the numbers are the same")
	// Who comes now meets the new rules.
	require.Equal(t, "locked", func() string { w.enroll(w.student, c); return w.progress(w.student, c).Modules[1].State }())
	// Staff ask for it.
	n.Relock++
	m.Items = []contract.CurriculumItem{a}
	m.Items = append(m.Items, b)
	hidden := needs(contract.RequireView)
	hidden.Visible = false
	m.Items = append(m.Items, needs(contract.RequireView), hidden)
	w.curriculum(c, m, n)
	w.work()
	p := w.progress(people[0], c)
	require.Equal(t, "locked", p.Modules[1].State)
	require.Len(t, p.Modules[0].Items, 3, "rule 9: what is not visible has no progress")
	for _, e := range list {
		require.Contains(t, w.told(e.ID), "progress_recalculated")
		require.Equal(t, 4, w.read(w.teacher, e.ID).Progress.Required)
	}
	var versions int
	require.NoError(t, w.service.Sweep(t.Context()))
	w.scan(&versions, `select count(*) from curricula`)
	require.Equal(t, 1, versions, "older ones are pruned")
}

// A module that asks for nothing completes when its date comes, though nobody acts
// (rules 2, 7).
func TestDatesOpenByThemselves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course()
	a := needs(contract.RequireView)
	opens := w.clock.Now().Add(time.Hour)
	m, n := part("One", a), part("Later")
	n.UnlockAt = &opens
	w.curriculum(c, m, n)
	e := w.enroll(w.student, c)
	w.view(w.student, c, a)
	require.Equal(t, "module_unlock_at", w.progress(w.student, c).Modules[1].Reasons[0].Code)
	require.Equal(t, "active", w.read(w.student, e.ID).State)
	w.clock.Set(opens)
	require.Equal(t, "completed", w.progress(w.student, c).Modules[1].State)
	require.NoError(t, w.service.Sweep(t.Context()))
	done := w.read(w.student, e.ID)
	require.Equal(t, "completed", done.State)
	require.Equal(t, opens, *done.CompletedAt)
}

// Completion can ask for a posted grade, for some modules only, or for nothing.
func TestCompletionSettings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pass := contract.Hundredths(6000)
	c := w.course(func(c *contract.CourseState) { c.Completion.MinGrade = &pass })
	a := needs(contract.RequireView)
	w.curriculum(c, part("M", a))
	e := w.enroll(w.student, c)
	w.view(w.student, c, a)
	require.Equal(t, "active", w.read(w.student, e.ID).State)
	grade := func(final contract.Hundredths, version int64, at time.Time) {
		call[internalapi.ProgressReply](w, internalapi.CallCourseGrade, "assignment", w.student.UserID.String()+"/"+c.ID.String(),
			internalapi.CourseGrade{UserID: w.student.UserID, CourseID: c.ID, Current: &final, Final: &final, Letter: "C", GradedAt: at, Version: version})
	}
	grade(5900, 1, w.clock.Now())
	require.Equal(t, "active", w.read(w.student, e.ID).State)
	graded := w.clock.Advance(time.Hour)
	grade(6000, 2, graded)
	done := w.read(w.student, e.ID)
	require.Equal(t, "completed", done.State)
	require.Equal(t, graded, *done.CompletedAt)
	require.InDelta(t, 60, *done.Grade.Final, 0)

	// Loosened settings are judged for everybody.
	never := w.course(func(c *contract.CourseState) { c.Completion.Mode = contract.CompleteNever })
	w.curriculum(never, part("M", a))
	n := w.enroll(w.student, never)
	w.view(w.student, never, a)
	require.Equal(t, "active", w.read(w.student, n.ID).State)
	never.Completion.Mode = contract.CompleteModules
	w.tell(contract.TypeCourseUpdated, never.ID, never)
	w.work()
	require.Equal(t, "completed", w.read(w.student, n.ID).State)
}

// Redelivered and shuffled events of course leave the newest.
func TestCopiesFollowTheNewestEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.state()
	batch := make([]inbox.Event, 0, 30)
	for seq := int64(1); seq <= 10; seq++ {
		next := c
		n := int(seq)
		next.Capacity = &n
		batch = append(batch, w.event(contract.TypeCourseUpdated, c.ID, seq*2, next))
		doc := contract.CurriculumState{CourseID: c.ID, TenantID: c.TenantID, OrgUnitID: c.OrgUnitID, Version: seq, ChangedAt: w.clock.Now()}
		batch = append(batch, w.event(contract.TypeCurriculumChanged, c.ID, seq*2+1, contract.CurriculumChanged{CurriculumState: doc}))
	}
	for _, order := range [][]int{{19, 0, 5, 1, 18, 7}, {3, 19, 18, 2, 2}, {0, 1, 2, 3}} {
		var some []inbox.Event
		for _, i := range order {
			some = append(some, batch[i])
		}
		for _, err := range w.inbox.Apply(t.Context(), some) {
			require.NoError(t, err)
		}
	}
	var capacity, curriculum int
	w.scan(&capacity, `select capacity from courses where id = $1`, c.ID)
	w.scan(&curriculum, `select curriculum_seq from courses where id = $1`, c.ID)
	require.Equal(t, []int{10, 21}, []int{capacity, curriculum})
	var buried int
	w.scan(&buried, `select count(*) from dead_letter`)
	require.Zero(t, buried)
	// Staff follow the snapshot.
	c.Staff = nil
	for _, err := range w.inbox.Apply(t.Context(), []inbox.Event{w.event(contract.TypeCourseStaffChanged, c.ID, 99, c)}) {
		require.NoError(t, err)
	}
	w.as(w.teacher).GET(path("courses", c.ID, "enrollments")).Expect(403)
}

func TestADeletedCourseLetsEverybodyGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course()
	e := w.enroll(w.student, c)
	c.Deleted = true
	w.tell(contract.TypeCourseDeleted, c.ID, c)
	w.work()
	require.Equal(t, []string{"activated", "withdrawn"}, w.told(e.ID))
	require.NoError(t, w.service.Store.Read(t.Context(), work.AllTenants(), func(ctx context.Context, tx enrollment.Tx) error {
		l, err := tx.Get(ctx, e.ID, uuid.Nil)
		require.Equal(t, "course_deleted", l.Reason)
		return err
	}))
}
