package app

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/assignment/internal/coursework"
	"lms/apps/assignment/internal/httpapi"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/testkit"
	"lms/shared/work"
)

func (w *world) sweepQuizzes(after time.Duration) {
	w.t.Helper()
	w.clock.Advance(after)
	require.NoError(w.t, w.service.SweepQuizzes(w.t.Context()))
}

// TestOnesOwnDueTimeOfAQuizPassesToo: who was given more time is not missing when
// all others are, and is when the own time has passed.
func TestOnesOwnDueTimeOfAQuizPassesToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	due := w.clock.Now().Add(time.Hour)
	own := due.Add(24 * time.Hour)
	c := w.quiz(func(c *internalapi.QuizColumn) { c.DueAt = &due })
	slow := w.learner()
	w.scored(c, slow.UserID, 0, func(q *internalapi.QuizScore) {
		q.Score, q.SubmittedAt, q.GradedAt, q.DueAt = nil, nil, nil, &own
	})
	missing := func(p authz.Principal) bool {
		var n int
		w.scan(&n, `select count(*) from quiz_scores where user_id = $1 and missing_at is not null`, p.UserID)
		return n == 1
	}
	w.sweepQuizzes(time.Hour + 2*time.Minute)
	require.True(t, missing(w.student))
	require.False(t, missing(slow))
	w.sweepQuizzes(23 * time.Hour)
	require.False(t, missing(slow))
	w.sweepQuizzes(time.Hour)
	require.True(t, missing(slow))
	w.clean()
}

// TestAQuizThatCannotBeSweptHoldsUpNoOther.
func TestAQuizThatCannotBeSweptHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	due := w.clock.Now().Add(time.Hour)
	earlier := due.Add(-time.Minute)
	bad := w.quiz(func(c *internalapi.QuizColumn) { c.DueAt = &earlier })
	w.quiz(func(c *internalapi.QuizColumn) { c.DueAt = &due })
	_, err := testkit.OwnerDB(t, w.pool).Exec(t.Context(), `alter table quiz_scores add constraint none_of_this check (quiz_id <> '`+bad.QuizID.String()+`')`)
	require.NoError(t, err)
	w.clock.Advance(2 * time.Hour)
	require.Error(t, w.service.SweepQuizzes(t.Context()))
	var n int
	w.scan(&n, `select count(*) from quiz_scores where missing_at is not null`)
	require.Equal(t, 1, n)
}

// TestNoTransactionWaitsForWhoReadsAGradebookSlowly.
func TestNoTransactionWaitsForWhoReadsAGradebookSlowly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.published(nil)
	w.grade(a, w.student.UserID, body{"score": 10})
	idle := func() (n int) {
		require.NoError(t, w.pool.QueryRow(t.Context(), `select count(*) from pg_stat_activity where datname = current_database() and state = 'idle in transaction'`).Scan(&n))
		return n
	}
	lines := 0
	err := w.service.ReadGradebook(t.Context(), w.teacher, w.course, func(coursework.Gradebook) error {
		require.Zero(t, idle())
		return nil
	}, func(*coursework.Row) error {
		lines++
		require.Zero(t, idle())
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, 1, lines)
}

// TestTwoWhoGradeManyAtOnceDoNotBlockEachOther: whatever the order of their rows.
func TestTwoWhoGradeManyAtOnceDoNotBlockEachOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, second := w.published(nil), w.published(body{"title": "Another"})
	var rows []body
	for range 30 {
		rows = append(rows, body{"user_id": w.learner().UserID, "score": 10})
	}
	turned := slices.Clone(rows)
	slices.Reverse(turned)
	for range 3 {
		var wg sync.WaitGroup
		for a, list := range map[uuid.UUID][]body{first.ID: rows, second.ID: turned} {
			wg.Go(func() {
				w.as(w.teacher).POST(path("assignments", a, "grades", "bulk"), body{"mode": "each", "grades": list}).Expect(200)
			})
		}
		wg.Wait()
	}
	w.clean()
}

// TestWhoChangedGroupsStandsByTheirNewWork: taking back the old group's attempt does
// not touch it.
func TestWhoChangedGroupsStandsByTheirNewWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set, old, other := uuid.New(), uuid.New(), uuid.New()
	mate, third := w.learner(), w.learner()
	w.friends.sets[w.course] = []coursework.CourseGroup{
		{ID: old, SetID: set, Members: []uuid.UUID{w.student.UserID, mate.UserID}}, {ID: other, SetID: set, Members: []uuid.UUID{third.UserID}},
	}
	a := w.published(body{"group_set_id": set})
	theirs := w.submit(mate, a)
	w.friends.mu.Lock()
	w.friends.sets[w.course] = []coursework.CourseGroup{
		{ID: old, SetID: set, Members: []uuid.UUID{mate.UserID}}, {ID: other, SetID: set, Members: []uuid.UUID{third.UserID, w.student.UserID}},
	}
	w.friends.mu.Unlock()
	mine := w.submit(w.student, a)
	w.as(mate).POST(path("submissions", theirs.ID, "withdraw"), nil).Expect(200)
	var counts uuid.UUID
	w.scan(&counts, `select submission_id from grades where assignment_id = $1 and user_id = $2`, a.ID, w.student.UserID)
	require.Equal(t, mine.ID, counts)
	var gone bool
	w.scan(&gone, `select submission_id is null from grades where assignment_id = $1 and user_id = $2`, a.ID, mate.UserID)
	require.True(t, gone)
}

func TestWhatMovesToAnotherGroupIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var from, to httpapi.AssignmentGroup
	w.as(w.teacher).POST(path("courses", w.course, "assignment-groups"), body{"name": "From"}).Expect(201).JSON(&from)
	w.as(w.teacher).POST(path("courses", w.course, "assignment-groups"), body{"name": "To"}).Expect(201).JSON(&to)
	a := w.draft(body{"group_id": from.ID})
	tag := w.as(w.teacher).GET(path("assignment-groups", from.ID)).Expect(200).ETag()
	w.as(w.teacher).With("If-Match", tag).DELETE(path("assignment-groups", from.ID) + "?move_to=" + to.ID.String()).Expect(http.StatusNoContent)
	require.Equal(t, []string{"created", "updated"}, w.told(a.ID))
}

func TestARepeatedLatePolicyIsAnsweredAlike(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := work.WithIdempotency(t.Context(), work.Idempotency{Caller: "x", Route: "PUT late policy", Key: uuid.NewString()})
	in := coursework.LatePolicyFields{Late: true, LateRate: 1000, LateInterval: "day", MissingRate: 10_000}
	first, err := w.service.PutLatePolicy(ctx, w.teacher, w.course, 1, in)
	require.NoError(t, err)
	again, err := w.service.PutLatePolicy(ctx, w.teacher, w.course, 1, in)
	require.NoError(t, err)
	require.NotNil(t, first.Job)
	require.NotNil(t, again.Job)
	require.Equal(t, first.Job.ID, again.Job.ID)
	require.Equal(t, first.Grading.PolicyVersion, again.Grading.PolicyVersion)
}

func TestPermissionIsAskedBeforeTheForm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bad := body{"course_id": w.course, "name": "", "grades": []body{{"name": "P", "from": 50}}}
	w.as(w.student).POST("/api/v1/grading-schemes", bad).Expect(403)
	w.as(w.alien).POST("/api/v1/grading-schemes", bad).Expect(404)
	policy := body{"late": body{"enabled": true, "rate": 1000, "interval": "day", "floor": 0}, "missing": body{"enabled": false, "rate": 100}}
	w.as(w.student).With("If-Match", `"v1"`).PUT(path("courses", w.course, "late-policy"), policy).Expect(403)
}

// TestWhoEnrollsLateIsToldThatWorkIsDue.
func TestWhoEnrollsLateIsToldThatWorkIsDue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.published(body{"due_at": w.clock.Now().Add(5 * time.Hour)})
	told := func() (n int) {
		w.scan(&n, `select count(*) from due_notices where assignment_id = $1`, a.ID)
		return n
	}
	sweep := func() { require.NoError(t, w.service.Sweep(context.WithoutCancel(t.Context()))) }
	sweep()
	require.Equal(t, 1, told())
	w.learner()
	sweep()
	require.Equal(t, 1, told(), "not looked at again at once")
	w.clock.Advance(16 * time.Minute)
	sweep()
	require.Equal(t, 2, told())
	w.clock.Advance(16 * time.Minute)
	sweep()
	require.Equal(t, 2, told(), "nobody twice")
}
