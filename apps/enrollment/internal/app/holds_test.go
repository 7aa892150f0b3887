package app

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/enrollment/internal/enrollment"
	contract "lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
)

// A newer checkout's hold takes the older one's seat over, in any order of their
// messages, and ends it also where it is refused itself.
func TestAHoldThatReplacesAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course(seats(1), priced)
	older, newer, newest := uuid.New(), uuid.New(), uuid.New()
	require.True(t, w.hold(w.student, c, older, time.Minute).Held)
	require.True(t, w.hold(w.student, c, newer, time.Minute, older).Held)
	require.Equal(t, "course_full", w.hold(w.learner(), c, uuid.New(), time.Minute).Code)
	require.True(t, w.hold(w.student, c, newest, time.Minute, newer).Held)
	require.Equal(t, "released", w.hold(w.student, c, newer, time.Minute, older).Code, "comes once more, too late")
	require.Equal(t, "released", w.hold(w.student, c, older, time.Minute).Code)
	require.Equal(t, "course_full", w.hold(w.learner(), c, uuid.New(), time.Minute).Code)

	unheard := uuid.New()
	archived := c
	archived.Status = contract.CourseArchived
	w.tell(contract.TypeCourseUpdated, c.ID, archived)
	require.Equal(t, "course_unavailable", w.hold(w.student, c, uuid.New(), time.Minute, newest, unheard).Code)
	w.tell(contract.TypeCourseUpdated, c.ID, c)
	require.Equal(t, "released", w.hold(w.student, c, unheard, time.Minute).Code)
	require.True(t, w.hold(w.learner(), c, uuid.New(), time.Minute).Held, "the seat is free")
}

// What was published a moment ago is for sale, although its event is still on the way:
// the copy that says no is looked at once more.
func TestACourseThatWasJustPublishedIsForSale(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course(seats(1), priced, func(c *contract.CourseState) { c.Status = contract.CourseDraft })
	require.Equal(t, "course_unavailable", w.hold(w.student, c, uuid.New(), time.Minute).Code, "course says so too")
	published := c
	published.Status = contract.CoursePublished
	w.friends.courses[c.ID] = enrollment.CourseSnapshot{State: published, Seq: w.seq + 1}
	w.clock.Advance(2 * time.Second)
	hold := uuid.New()
	require.True(t, w.hold(w.student, c, hold, time.Minute).Held)

	unknown := w.state(priced)
	w.friends.courses[unknown.ID] = enrollment.CourseSnapshot{State: unknown, Seq: 3}
	paid, _ := entitle(w, w.student, unknown, func(e *internalapi.Entitlement) { e.Enroll = true })
	require.True(t, paid.Enrolled, paid.Code)
}
