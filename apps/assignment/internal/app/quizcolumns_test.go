package app

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/assignment/internal/httpapi"
	contract "lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/work"
)

// quiz is a column that content told.
func (w *world) quiz(change func(*internalapi.QuizColumn)) internalapi.QuizColumn {
	w.t.Helper()
	c := internalapi.QuizColumn{
		QuizID: uuid.New(), TenantID: w.tenant, OrgUnitID: w.unit, CourseID: w.course, Title: "Quiz", Published: true, Points: 10_00,
	}
	if change != nil {
		change(&c)
	}
	call[internalapi.Done](w, internalapi.CallQuizColumn, "content", c.QuizID.String(), c)
	return c
}

func (w *world) scored(c internalapi.QuizColumn, user uuid.UUID, score contract.Hundredths, change func(*internalapi.QuizScore)) {
	w.t.Helper()
	at := w.clock.Now()
	q := internalapi.QuizScore{
		QuizID: c.QuizID, TenantID: w.tenant, CourseID: w.course, UserID: user, Score: &score, Posted: true, SubmittedAt: &at, DueAt: c.DueAt, GradedAt: &at,
	}
	if change != nil {
		change(&q)
	}
	call[internalapi.Done](w, internalapi.CallQuizScore, "content", user.String()+"/"+c.QuizID.String(), q)
}

func TestQuizzesAreColumnsThatOnlyContentChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	due := w.clock.Now().Add(time.Hour).Truncate(time.Microsecond)
	c := w.quiz(func(c *internalapi.QuizColumn) { c.DueAt = &due })
	w.latePolicy(10, 0, "hour")
	w.work()
	on := due.Add(60 * time.Second)
	w.scored(c, w.student.UserID, 8_00, func(q *internalapi.QuizScore) { q.SubmittedAt = &on })
	p := w.line(w.student.UserID)
	require.Equal(t, []string{"8", ""}, []string{shownPoints(p.Grades[0].Score), p.Grades[0].Status}, "a minute of grace (rule 17)")
	late := due.Add(60*time.Second + time.Hour + time.Second)
	w.scored(c, w.student.UserID, 8_00, func(q *internalapi.QuizScore) { q.SubmittedAt = &late })
	p = w.line(w.student.UserID)
	require.Equal(t, []string{"8", "2", "6", "late"}, []string{shownPoints(p.Grades[0].Entered), shownPoints(p.Grades[0].Deduction), shownPoints(p.Grades[0].Score), p.Grades[0].Status})
	require.Equal(t, "60", shownPoints(p.Totals.Current))

	w.scored(c, w.student.UserID, 9_00, func(q *internalapi.QuizScore) { q.Posted = false })
	require.Equal(t, "null", shownPoints(w.line(w.student.UserID).Totals.Posted.Current), "hidden by the quiz's feedback policy")
	excused := w.clock.Now()
	w.scored(c, w.student.UserID, 9_00, func(q *internalapi.QuizScore) { q.ExcusedAt = &excused })
	require.True(t, w.line(w.student.UserID).Grades[0].Excused)
	require.Equal(t, "null", shownPoints(w.line(w.student.UserID).Totals.Final))

	var group httpapi.AssignmentGroup
	w.as(w.teacher).POST(path("courses", w.course, "assignment-groups"), body{"name": "Quizzes"}).Expect(201).JSON(&group)
	at := path("courses", w.course, "gradebook", "columns", c.QuizID)
	tag := w.as(w.teacher).GET(at).Expect(200).Header.Get("ETag")
	w.as(w.teacher).With("If-Match", tag).PATCH(at, body{"group_id": group.ID}).Expect(200)
	w.as(w.student).With("If-Match", tag).PATCH(at, body{"group_id": nil}).Expect(403)
	w.as(w.teacher).With("If-Match", `"v99"`).PATCH(at, body{"group_id": nil}).Expect(412)
	c.Title = "Renamed"
	call[internalapi.Done](w, internalapi.CallQuizColumn, "content", c.QuizID.String(), c)
	g := w.gradebook()
	require.Equal(t, "Renamed", g.Columns[0].Title)
	require.Equal(t, group.ID, *g.Columns[0].GroupID, "where it stands is decided here")
	c.Deleted = true
	call[internalapi.Done](w, internalapi.CallQuizColumn, "content", c.QuizID.String(), c)
	require.Empty(t, w.gradebook().Columns)
	w.work()
	w.count()
	w.clean()
}

func TestAQuizThatNobodyBeganIsMissing(t *testing.T) { // rule 18
	t.Parallel()
	w := newWorld(t)
	due := w.clock.Now().Add(time.Hour)
	c := w.quiz(func(c *internalapi.QuizColumn) { c.DueAt = &due })
	w.put(w.teacher, path("courses", w.course, "late-policy"), body{
		"late": body{"enabled": false, "rate": 0, "interval": "day", "floor": 0}, "missing": body{"enabled": true, "rate": 75},
	})
	other := w.learner()
	w.scored(c, other.UserID, 7_00, nil)
	require.NoError(t, w.service.SweepQuizzes(t.Context()))
	require.Nil(t, w.line(w.student.UserID).Grades[0], "not before it is due")
	w.clock.Advance(2 * time.Hour)
	require.NoError(t, w.service.SweepQuizzes(t.Context()))
	p := w.line(w.student.UserID)
	require.Equal(t, []string{"2.5", "missing", "25"}, []string{shownPoints(p.Grades[0].Score), p.Grades[0].Status, shownPoints(p.Totals.Posted.Current)})
	require.Equal(t, "7", shownPoints(w.line(other.UserID).Grades[0].Score))
	w.work()
	w.clean()
}

func TestTwoGradersOfOnePersonAreBothCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const n = 6
	var all []httpapi.Assignment
	for range n {
		all = append(all, w.published(body{"points": 10}))
	}
	at := make([]string, n)
	tags := make([]string, n)
	for i, a := range all {
		at[i] = path("assignments", a.ID, "grades", w.student.UserID)
		tags[i] = w.as(w.teacher).GET(at[i]).Expect(200).Header.Get("ETag")
	}
	together(n, func(i int) { w.as(w.teacher).With("If-Match", tags[i]).PUT(at[i], body{"score": 5}).Expect(200) })
	require.Equal(t, "50", shownPoints(w.line(w.student.UserID).Totals.Final))
	w.clean()
}

func TestAPolicyNeverMissesAGradeThatIsBeingEntered(t *testing.T) { // rule 19
	t.Parallel()
	w := newWorld(t)
	due := w.clock.Now().Add(time.Hour)
	const n = 8
	var all []httpapi.Assignment
	for range n {
		all = append(all, w.published(body{"due_at": due, "points": 10}))
	}
	w.clock.Advance(90 * time.Minute)
	for _, a := range all {
		w.submit(w.student, a)
	}
	at := path("courses", w.course, "late-policy")
	tag := w.as(w.teacher).GET(at).Expect(200).Header.Get("ETag")
	tags := make([]string, n)
	for i, a := range all {
		tags[i] = w.as(w.teacher).GET(path("assignments", a.ID, "grades", w.student.UserID)).Expect(200).Header.Get("ETag")
	}
	statuses := make([]int, 2)
	together(n+2, func(i int) {
		if i < 2 { // two change the policy at once: one of them has read what is old
			res := w.as(w.teacher).With("If-Match", tag).PUT(at, body{
				"late": body{"enabled": true, "rate": 10 * (i + 1), "interval": "day", "floor": 0}, "missing": body{"enabled": false, "rate": 0},
			})
			statuses[i] = res.Status
			return
		}
		w.as(w.teacher).With("If-Match", tags[i-2]).PUT(path("assignments", all[i-2].ID, "grades", w.student.UserID), body{"score": 8}).Expect(200)
	})
	require.ElementsMatch(t, []int{200, 412}, statuses)
	w.work()
	w.clean()
	var deductions []int64
	w.scan(&deductions, `select array_agg(distinct deduction) from grades`)
	require.Len(t, deductions, 1, "all by the one policy that holds")
	require.NotZero(t, deductions[0])
}

func TestWhatIsStoredOtherwiseIsFoundAndRepaired(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	due := w.clock.Now().Add(time.Hour)
	a := w.published(body{"due_at": due})
	c := w.quiz(nil)
	w.latePolicy(10, 0, "day")
	w.clock.Advance(2 * time.Hour)
	w.submit(w.student, a)
	w.grade(a, w.student.UserID, body{"score": 18})
	w.scored(c, w.student.UserID, 5_00, nil)
	w.work()
	w.count()
	w.clean()
	for _, damage := range []string{
		`update grades set deduction = 1`, `update grades set seconds_late = seconds_late + 7`,
		`update quiz_scores set deduction = 100`, `update course_totals set posted_final = 1, letter = 'Z'`,
	} {
		_, err := w.pool.Exec(work.WithActor(t.Context(), work.Actor{}), `begin; select set_config('lms.tenant', '*', true); `+damage+`; commit`)
		require.NoError(t, err)
		found := w.differences(false)
		require.NotEmpty(t, found, damage)
		w.differences(true)
		w.clean()
	}
}
