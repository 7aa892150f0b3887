package app

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/enrollment/internal/httpapi"
	"lms/shared/authz"
	contract "lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
)

// retell changes an entitlement that was told before.
func retell(w *world, in internalapi.Entitlement, change func(*internalapi.Entitlement)) internalapi.EntitlementReply {
	change(&in)
	return call[internalapi.EntitlementReply](w, internalapi.CallEntitlement, "payment", in.EntitlementID.String(), in)
}

func revoke(e *internalapi.Entitlement) { e.State = internalapi.EntitlementRevoked }

func (w *world) ends(p authz.Principal, c contract.CourseState) *time.Time {
	var ends *time.Time
	w.scan(&ends, `select access_ends_at from enrollments where course_id = $1 and user_id = $2`, c.ID, p.UserID)
	return ends
}

// Whom staff let in without payment, an entitlement gives no end, and its
// revocation takes nothing.
func TestWhoNeedsNoEntitlementIsNotEndedByOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course(priced)
	waived := w.learner()
	var e httpapi.Enrollment
	w.as(w.teacher).POST(enrollments(c), map[string]any{"user_id": waived.UserID, "waive": []string{"entitlement"}}).Expect(201).JSON(&e)
	until := w.clock.Now().Add(time.Hour)
	_, granted := entitle(w, waived, c, func(e *internalapi.Entitlement) { e.ValidUntil = &until })
	require.Nil(t, w.ends(waived, c))
	retell(w, granted, revoke)
	require.Equal(t, "active", w.read(waived, e.ID).State)
}

// Who came in while the course was free stays when it has a price, whatever
// becomes of an entitlement that was bought later.
func TestWhoCameInForFreeStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course()
	e := w.enroll(w.student, c)
	c.RequiresEntitlement = true
	w.tell(contract.TypeCourseUpdated, c.ID, c)
	until := w.clock.Now().Add(time.Hour)
	_, granted := entitle(w, w.student, c, func(e *internalapi.Entitlement) { e.ValidUntil = &until })
	require.Nil(t, w.ends(w.student, c))
	retell(w, granted, revoke)
	require.Equal(t, "active", w.read(w.student, e.ID).State)
	require.Equal(t, []string{"activated"}, w.told(e.ID))
}

// A period that follows the running one moves the end; one that begins after a
// gap, or has not begun, neither takes the end away nor moves it.
func TestPeriodsThatFollowOneAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course(priced)
	day := func(n int) *time.Time {
		at := w.clock.Now().Add(time.Duration(n) * 24 * time.Hour)
		return &at
	}
	first, second, fourth := day(10), day(20), day(30)
	reply, granted := entitle(w, w.student, c, func(e *internalapi.Entitlement) { e.Enroll, e.ValidUntil = true, first })
	require.True(t, reply.Enrolled)
	gap := day(21)
	entitle(w, w.student, c, func(e *internalapi.Entitlement) { e.ValidFrom, e.ValidUntil = gap, fourth })
	require.WithinDuration(t, *first, *w.ends(w.student, c), time.Millisecond)
	entitle(w, w.student, c, func(e *internalapi.Entitlement) { e.ValidFrom, e.ValidUntil = first, second })
	require.WithinDuration(t, *second, *w.ends(w.student, c), time.Millisecond)
	// The running one is moved into the future: nothing is valid now.
	retell(w, granted, func(e *internalapi.Entitlement) { e.ValidFrom, e.ValidUntil = gap, fourth })
	require.WithinDuration(t, *second, *w.ends(w.student, c), time.Millisecond)
}

// Whose access ended after completion gave the seat free (rule 32): moving the end
// takes one anew, and moving it back gives it to who waits.
func TestMovingTheEndTakesAndGivesSeats(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course(seats(1))
	it := needs(contract.RequireView)
	w.curriculum(c, part("M", it))
	done, holder := w.learner(), w.learner()
	var e httpapi.Enrollment
	w.as(w.teacher).POST(enrollments(c), map[string]any{"user_id": done.UserID, "ends_at": w.clock.Now().Add(time.Hour)}).Expect(201).JSON(&e)
	w.view(done, c, it)
	w.clock.Advance(2 * time.Hour)
	held := w.enroll(holder, c)
	require.Equal(t, "active", held.State)
	move := func(by time.Duration) map[string]any { return map[string]any{"ends_at": w.clock.Now().Add(by)} }
	at := path("enrollments", e.ID)
	tag := w.as(w.teacher).GET(at).Expect(200).ETag()
	w.as(w.teacher).With("If-Match", tag).PATCH(at, move(time.Hour)).Expect(409).Code("course_full")
	w.as(holder).POST(path("enrollments", held.ID, "withdraw"), nil).Expect(200)
	w.as(w.teacher).With("If-Match", tag).PATCH(at, move(time.Hour)).Expect(200)
	waiting := w.enroll(w.student, c)
	require.Equal(t, "waitlisted", waiting.State)
	tag = w.as(w.teacher).GET(at).Expect(200).ETag()
	w.as(w.teacher).With("If-Match", tag).PATCH(at, move(-time.Minute)).Expect(200)
	require.Equal(t, "active", w.read(w.student, waiting.ID).State)
}

// Rule 33: a refund ends the access, staff may keep it, and the end of a
// subscription moves the end of access.
func TestEntitlementsDecideAccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course(priced)
	until := w.clock.Now().Add(30 * 24 * time.Hour)
	granted, grant := entitle(w, w.student, c, func(e *internalapi.Entitlement) { e.Enroll, e.ValidUntil = true, &until })
	require.True(t, granted.Enrolled)
	id := *granted.EnrollmentID
	require.Equal(t, until, *w.read(w.student, id).AccessEndsAt)
	again := func(change func(*internalapi.Entitlement)) internalapi.EntitlementReply {
		change(&grant)
		return call[internalapi.EntitlementReply](w, internalapi.CallEntitlement, "payment", grant.EntitlementID.String(), grant)
	}
	renewed := until.Add(30 * 24 * time.Hour)
	again(func(e *internalapi.Entitlement) { e.ValidUntil = &renewed })
	require.Equal(t, renewed, *w.read(w.student, id).AccessEndsAt)
	require.Equal(t, []string{"activated", "dates_changed"}, w.told(id))
	refunded := again(func(e *internalapi.Entitlement) { e.State, e.Reason = internalapi.EntitlementRevoked, "refund" })
	require.False(t, refunded.Enrolled)
	out := w.read(w.student, id)
	require.Equal(t, []string{"withdrawn", "refund"}, []string{out.State, out.Reason})

	keeper := w.learner()
	kept, body := entitle(w, keeper, c, func(e *internalapi.Entitlement) { e.Enroll = true })
	body.State, body.KeepAccess = internalapi.EntitlementRevoked, true
	after := call[internalapi.EntitlementReply](w, internalapi.CallEntitlement, "payment", body.EntitlementID.String(), body)
	require.True(t, after.Enrolled)
	require.Equal(t, "active", w.read(keeper, *kept.EnrollmentID).State)
}

// A call that was overtaken changes nothing, and a repeated one gets its reply.
func TestOlderEntitlementCallsAreDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course(priced)
	id := uuid.New()
	in := internalapi.Entitlement{EntitlementID: id, UserID: w.student.UserID, CourseID: c.ID, State: internalapi.EntitlementRevoked, Enroll: true}
	callAt[internalapi.EntitlementReply](w, internalapi.CallEntitlement, "payment", id.String(), 2, in)
	in.State = internalapi.EntitlementGranted
	callAt[internalapi.EntitlementReply](w, internalapi.CallEntitlement, "payment", id.String(), 1, in)
	var n int
	w.scan(&n, `select count(*) from enrollments`)
	require.Zero(t, n)
	var state string
	w.scan(&state, `select state from entitlements`)
	require.Equal(t, "revoked", state)
}

// What payment has priced is closed to who has not paid before course tells of it, and
// before the course is known here at all.
func TestAPriceCountsBeforeCourseTellsOfIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course()
	price := func(id uuid.UUID, is bool) {
		call[internalapi.Done](w, internalapi.CallCoursePriced, "payment", id.String(), internalapi.CoursePriced{CourseID: id, Priced: is})
	}
	price(c.ID, true)
	w.as(w.student).POST(enrollments(c), map[string]any{}).Expect(402).Code("entitlement_required")
	reply, _ := entitle(w, w.student, c, func(e *internalapi.Entitlement) { e.Enroll = true })
	require.True(t, reply.Enrolled)

	other := w.learner()
	price(c.ID, false)
	w.enroll(other, c)
	c.RequiresEntitlement = true
	w.tell(contract.TypeCourseUpdated, c.ID, c)
	w.as(w.learner()).POST(enrollments(c), map[string]any{}).Expect(402)
	price(c.ID, true)
	price(c.ID, false)
	w.as(w.learner()).POST(enrollments(c), map[string]any{}).Expect(402).Code("entitlement_required")

	next := uuid.New()
	price(next, true)
	d := w.course(func(s *contract.CourseState) { s.ID = next })
	w.as(w.student).POST(enrollments(d), map[string]any{}).Expect(402).Code("entitlement_required")
}
