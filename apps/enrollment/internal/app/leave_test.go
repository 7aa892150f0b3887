package app

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/enrollment/internal/httpapi"
	contract "lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
)

// Rule 32: a completed enrollment takes a seat while its access runs. One that
// ended gives no second seat free when the person leaves.
func TestWhoseAccessEndedLeavesNoSeat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course(seats(1))
	it := needs(contract.RequireView)
	w.curriculum(c, part("M", it))
	done, holder, waiter := w.learner(), w.learner(), w.learner()
	var first httpapi.Enrollment
	w.as(w.teacher).POST(enrollments(c), map[string]any{"user_id": done.UserID, "ends_at": w.clock.Now().Add(time.Hour)}).Expect(201).JSON(&first)
	w.view(done, c, it)
	require.Equal(t, "completed", w.read(done, first.ID).State)
	w.clock.Advance(2 * time.Hour)
	require.Equal(t, "active", w.enroll(holder, c).State)
	waiting := w.enroll(waiter, c)
	require.Equal(t, "waitlisted", waiting.State)
	w.as(done).POST(path("enrollments", first.ID, "withdraw"), nil).Expect(200)
	require.Equal(t, "waitlisted", w.read(waiter, waiting.ID).State)
}

// A suspension is ended by who made it, not by leaving and coming in again.
func TestWhoIsSuspendedCannotLeaveToComeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course()
	e := w.enroll(w.student, c)
	w.as(w.teacher).POST(path("enrollments", e.ID, "suspend"), nil).Expect(200)
	w.as(w.student).POST(path("enrollments", e.ID, "withdraw"), nil).Expect(403).Code("suspended")
	w.as(w.student).POST(enrollments(c), nil).Expect(409).Code("already_enrolled")
	require.Equal(t, "suspended", w.read(w.student, e.ID).State)
	w.as(w.teacher).POST(path("enrollments", e.ID, "withdraw"), nil).Expect(200)
}

// A grade that comes while the job looks whether a certificate is due is looked
// at by a job of its own.
func TestAGradeDuringTheIssueIsNotLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pass := contract.Hundredths(5000)
	c := w.course(func(c *contract.CourseState) { c.Completion.Certificate.MinGrade = &pass })
	it := needs(contract.RequireView)
	w.curriculum(c, part("M", it))
	w.enroll(w.student, c)
	w.view(w.student, c, it)
	conn, err := w.pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	_, err = conn.Exec(t.Context(), `select set_config('lms.tenant', '*', false)`)
	require.NoError(t, err)
	running, err := conn.Exec(t.Context(), `update job set state = 'running' where kind = 'issue-certificate'`)
	require.NoError(t, err)
	require.EqualValues(t, 1, running.RowsAffected())
	call[internalapi.ProgressReply](w, internalapi.CallCourseGrade, "assignment", w.student.UserID.String(),
		internalapi.CourseGrade{UserID: w.student.UserID, CourseID: c.ID, Final: &pass, GradedAt: w.clock.Now(), Version: 1})
	var queued int
	w.scan(&queued, `select count(*) from job where kind = 'issue-certificate' and state = 'queued'`)
	require.Equal(t, 1, queued)
}

// One enrollment that cannot be expired keeps nobody else from what the sweep
// does, and is still told of.
func TestTheSweepGoesOnPastWhatFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course(seats(1))
	ends := w.clock.Now().Add(time.Hour)
	var first, lost httpapi.Enrollment
	w.as(w.teacher).POST(enrollments(c), map[string]any{"user_id": w.student.UserID, "ends_at": ends}).Expect(201).JSON(&first)
	w.as(w.teacher).POST(enrollments(w.course()), map[string]any{"user_id": w.student.UserID, "ends_at": ends.Add(-time.Minute)}).Expect(201).JSON(&lost)
	waiting := w.enroll(w.learner(), c)
	conn, err := w.pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	_, err = conn.Exec(t.Context(), `select set_config('lms.tenant', '*', false)`)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `update enrollments set course_id = id where id = $1`, lost.ID) // of a course that nobody knows
	require.NoError(t, err)
	// More of them than the sweep looks at at once, all due before the others.
	_, err = conn.Exec(t.Context(), `
insert into enrollments (id, tenant_id, course_id, user_id, state, source, ends_at, activated_at, state_changed_at, created_at, updated_at)
select gen_random_uuid(), tenant_id, gen_random_uuid(), gen_random_uuid(), state, source, ends_at, activated_at, state_changed_at, created_at, updated_at
from enrollments, generate_series(1, 250) where id = $1`, lost.ID)
	require.NoError(t, err)
	w.clock.Advance(2 * time.Hour)
	require.ErrorContains(t, w.service.Sweep(t.Context()), lost.ID.String())
	require.Equal(t, "expired", w.read(w.student, first.ID).State)
	var state string
	w.scan(&state, `select state from enrollments where id = $1`, waiting.ID)
	require.Equal(t, "active", state)
}
