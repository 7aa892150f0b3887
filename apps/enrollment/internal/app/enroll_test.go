package app

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/enrollment/internal/enrollment"
	"lms/apps/enrollment/internal/httpapi"
	"lms/shared/authz"
	contract "lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
)

func enrollments(c contract.CourseState) string { return path("courses", c.ID, "enrollments") }

func TestEnrollingAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course()
	first := w.as(w.student).POST(enrollments(c), map[string]any{}).Expect(201)
	var e httpapi.Enrollment
	first.JSON(&e)
	require.Equal(t, "active", e.State)
	require.Equal(t, "active", e.EffectiveState)
	require.Equal(t, "self", e.Source)
	require.Equal(t, path("enrollments", e.ID), first.Header.Get("Location"))
	require.NotNil(t, e.ActivatedAt)
	require.Equal(t, []string{"activated"}, w.told(e.ID))
	w.as(w.student).POST(enrollments(c), map[string]any{}).Expect(409).Code("already_enrolled")
	// Rule 31: withdrawing deactivates, enrolling again takes the row up again.
	w.as(w.student).POST(path("enrollments", e.ID, "withdraw"), map[string]any{}).Expect(200)
	var again httpapi.Enrollment
	w.as(w.student).POST(enrollments(c), map[string]any{}).Expect(200).JSON(&again)
	require.Equal(t, e.ID, again.ID)
	require.Equal(t, "active", again.State)
	require.Equal(t, []string{"activated", "withdrawn", "activated"}, w.told(e.ID))
	var audited []string
	w.scan(&audited, `select array_agg(action order by at, id) from audit where resource_id = $1`, e.ID)
	require.Equal(t, []string{"enrollment.create", "enrollment.withdraw", "enrollment.create"}, audited)
}

func TestWithoutABodyOneEnrollsOneself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.as(w.student).POST(enrollments(w.course()), nil).Expect(201)
}

func TestARepeatedRequestHasOneEffect(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course()
	client := w.as(w.student).With("Idempotency-Key", "k1")
	first := client.POST(enrollments(c), map[string]any{}).Expect(201)
	second := client.POST(enrollments(c), map[string]any{}).Expect(201)
	require.JSONEq(t, string(first.Body), string(second.Body))
	require.Equal(t, first.ETag(), second.ETag())
	client.POST(enrollments(c), map[string]any{"waitlist": false}).Expect(422).Code("idempotency_key_reused")
	var n int
	w.scan(&n, `select count(*) from outbox`)
	require.Equal(t, 1, n)
}

func TestWhoMayKnowOfACourse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hidden := w.course(func(c *contract.CourseState) { c.Visibility = contract.VisibilityEnrolled })
	draft := w.course(func(c *contract.CourseState) { c.Status = contract.CourseDraft })
	open := w.course()
	w.as(w.student).POST(enrollments(hidden), nil).Expect(404)
	w.as(w.student).POST(enrollments(draft), nil).Expect(404)
	w.as(w.student).POST(path("courses", uuid.New(), "enrollments"), nil).Expect(404)
	w.as(w.alien).POST(enrollments(open), nil).Expect(404)
	w.client.Anonymous().POST(enrollments(open), nil).Expect(401)
	w.as(w.student).POST(enrollments(w.course(func(c *contract.CourseState) { c.EnrollmentMode = contract.EnrollmentInviteOnly })), nil).
		Expect(403).Code("invitation_required")
}

// Both bounds of the window are open.
func TestTheWindowHasInclusiveBounds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	now := w.clock.Now()
	opens, closes := now.Add(time.Hour), now.Add(2*time.Hour)
	c := w.course(func(c *contract.CourseState) { c.EnrollmentOpensAt, c.EnrollmentClosesAt = &opens, &closes })
	try := func(at time.Time, status int) {
		t.Helper()
		w.clock.Set(at)
		r := w.as(w.learner()).POST(enrollments(c), nil).Expect(status)
		if status == 409 {
			require.NotNil(t, r.Code("window_closed").Problem().All["closes_at"])
		}
	}
	try(opens.Add(-time.Microsecond), 409)
	try(opens, 201)
	try(closes, 201)
	try(closes.Add(time.Microsecond), 409)
	// Staff need not heed it.
	w.as(w.teacher).POST(enrollments(c), map[string]any{"user_id": w.learner().UserID}).Expect(201)
}

func TestPrerequisiteCourses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	basics := w.course()
	it := needs(contract.RequireView)
	w.curriculum(basics, part("M", it))
	next := w.course(func(c *contract.CourseState) { c.PrerequisiteCourses = []uuid.UUID{basics.ID} })
	missing := w.as(w.student).POST(enrollments(next), nil).Expect(409).Code("prerequisite_missing").Problem()
	require.Equal(t, []any{basics.ID.String()}, missing.All["courses"])
	w.enroll(w.student, basics)
	w.as(w.student).POST(enrollments(next), nil).Expect(409).Code("prerequisite_missing")
	w.as(w.student).POST(path("courses", basics.ID, "items", it.ID, "view"), nil).Expect(200)
	w.as(w.student).POST(enrollments(next), nil).Expect(201)
	other := w.learner()
	w.as(w.teacher).POST(enrollments(next), map[string]any{"user_id": other.UserID}).Expect(409).Code("prerequisite_missing")
	w.as(w.teacher).POST(enrollments(next), map[string]any{"user_id": other.UserID, "waive": []string{"prerequisites"}}).Expect(201)
}

func TestRequestsAreApprovedOrRejected(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course(func(c *contract.CourseState) { c.EnrollmentMode = contract.EnrollmentApproval }, seats(1))
	first, second, third := w.learner(), w.learner(), w.learner()
	ask := func(p authz.Principal) httpapi.Enrollment {
		e := w.enroll(p, c)
		require.Equal(t, "requested", e.State)
		return e
	}
	a, b, d := ask(first), ask(second), ask(third)
	w.as(first).POST(path("enrollments", a.ID, "approve"), nil).Expect(403)
	w.as(second).POST(path("enrollments", a.ID, "approve"), nil).Expect(404)
	var got httpapi.Enrollment
	w.as(w.teacher).POST(path("enrollments", a.ID, "approve"), nil).Expect(200).JSON(&got)
	require.Equal(t, "active", got.State)
	require.Equal(t, []string{"requested", "approved", "activated"}, w.told(a.ID))
	w.as(w.teacher).POST(path("enrollments", a.ID, "approve"), nil).Expect(409).Code("invalid_state")
	w.as(w.teacher).POST(path("enrollments", b.ID, "approve"), nil).Expect(200).JSON(&got)
	require.Equal(t, "waitlisted", got.State)
	require.Equal(t, []string{"requested", "approved", "waitlisted"}, w.told(b.ID))
	w.as(w.teacher).POST(path("enrollments", d.ID, "reject"), map[string]any{"reason": "too late"}).Expect(200).JSON(&got)
	require.Equal(t, "rejected", got.State)
	require.Equal(t, "too late", got.Reason)
	require.Equal(t, []string{"requested", "rejected"}, w.told(d.ID))
	require.Equal(t, "requested", func() string { // rule 31
		var e httpapi.Enrollment
		w.as(third).POST(enrollments(c), nil).Expect(200).JSON(&e)
		return e.State
	}())
}

func TestInvitations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course(func(c *contract.CourseState) {
		c.EnrollmentMode, c.Visibility = contract.EnrollmentInviteOnly, contract.VisibilityEnrolled
	})
	invite := func(p authz.Principal) httpapi.Enrollment {
		var e httpapi.Enrollment
		w.as(w.teacher).POST(enrollments(c), map[string]any{"user_id": p.UserID, "invite": true}).Expect(201).JSON(&e)
		require.Equal(t, "invited", e.State)
		return e
	}
	yes, no, late := w.learner(), w.learner(), w.learner()
	a, b, d := invite(yes), invite(no), invite(late)
	w.as(w.teacher).POST(path("enrollments", a.ID, "accept"), nil).Expect(403)
	var got httpapi.Enrollment
	w.as(yes).POST(path("enrollments", a.ID, "accept"), nil).Expect(200).JSON(&got)
	require.Equal(t, "active", got.State)
	require.Equal(t, "invitation", got.Source)
	require.Equal(t, []string{"invited", "activated"}, w.told(a.ID))
	w.as(no).POST(path("enrollments", b.ID, "decline"), nil).Expect(200).JSON(&got)
	require.Equal(t, "withdrawn", got.State)
	require.Equal(t, []string{"invited", "declined"}, w.told(b.ID))
	// The end of an invitation is included; the sweep stores it.
	w.clock.Set(*d.AnswerBy)
	require.NoError(t, w.service.Sweep(t.Context()))
	require.Equal(t, "invited", w.read(late, d.ID).State)
	w.clock.Advance(time.Second)
	require.Equal(t, "expired", w.read(late, d.ID).EffectiveState)
	w.as(late).POST(path("enrollments", d.ID, "accept"), nil).Expect(409).Code("answer_overdue")
	require.NoError(t, w.service.Sweep(t.Context()))
	require.Equal(t, "expired", w.read(late, d.ID).State)
	require.Equal(t, []string{"invited", "expired"}, w.told(d.ID))
}

// Publish-then-enroll works at once: course is asked for what is not known or
// seems closed, and once only.
func TestCourseIsAskedForWhatIsUnknownOrClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.state()
	w.friends.courses[c.ID] = enrollment.CourseSnapshot{State: c, Seq: 7}
	client := w.as(w.student).With("Idempotency-Key", "k")
	client.POST(enrollments(c), nil).Expect(201)
	require.Equal(t, 1, w.friends.asked)

	draft := w.course(func(c *contract.CourseState) { c.Status = contract.CourseDraft })
	w.as(w.student).POST(enrollments(draft), nil).Expect(404)
	require.Equal(t, 2, w.friends.asked)
	draft.Status = contract.CoursePublished
	w.friends.courses[draft.ID] = enrollment.CourseSnapshot{State: draft, Seq: 1000}
	w.as(w.student).POST(enrollments(draft), nil).Expect(404)
	require.Equal(t, 2, w.friends.asked, "asked a moment ago")
	w.clock.Advance(2 * time.Second)
	w.as(w.student).POST(enrollments(draft), nil).Expect(201)

	// An older event that arrives later changes nothing.
	old := draft
	old.Title = "before"
	w.tell(contract.TypeCourseUpdated, draft.ID, old)
	var title string
	w.scan(&title, `select title from courses where id = $1`, draft.ID)
	require.Equal(t, "A course", title)
}

func TestStaffEnrollOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course()
	p := w.learner()
	body := map[string]any{"user_id": p.UserID, "external_source": "sis", "external_id": "4711"}
	w.as(w.student).POST(enrollments(c), body).Expect(403)
	w.as(w.teacher).POST(enrollments(c), map[string]any{"user_id": uuid.New()}).Expect(422).Field("user_id", "unknown")
	w.as(w.teacher).POST(enrollments(c), map[string]any{"user_id": w.alien.UserID}).Expect(422).Field("user_id", "unknown")
	w.as(w.alien).POST(enrollments(c), body).Expect(404)
	w.as(w.student).POST(enrollments(c), map[string]any{"waive": []string{"prerequisites"}}).Expect(422).Field("user_id", "staff_only")
	var e httpapi.Enrollment
	w.as(w.teacher).POST(enrollments(c), body).Expect(201).JSON(&e)
	require.Equal(t, "staff", e.Source)
	require.Equal(t, "4711", e.ExternalID)
	w.as(w.admin).POST(enrollments(c), map[string]any{"user_id": w.learner().UserID, "external_source": "sis", "external_id": "4711"}).
		Expect(409).Code("external_id_taken")
	w.as(w.admin).POST(enrollments(c), map[string]any{"user_id": w.learner().UserID, "starts_at": "2030-01-02T00:00:00Z", "ends_at": "2030-01-01T00:00:00Z"}).
		Expect(422).Field("ends_at", "before_start")
	// The unknown is refused.
	w.as(w.teacher).POST(enrollments(c), map[string]any{"state": "active"}).Expect(422)
}

func TestAPricedCourseWantsAnEntitlement(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course(priced)
	w.as(w.student).POST(enrollments(c), nil).Expect(402).Code("entitlement_required")
	entitle(w, w.student, c, func(*internalapi.Entitlement) {})
	w.as(w.student).POST(enrollments(c), nil).Expect(201)
	w.as(w.teacher).POST(enrollments(c), map[string]any{"user_id": w.learner().UserID}).Expect(402)
	w.as(w.teacher).POST(enrollments(c), map[string]any{"user_id": w.learner().UserID, "waive": []string{"entitlement"}}).Expect(201)
}

// entitle tells an entitlement as payment would, and gives its reply and body.
func entitle(w *world, p authz.Principal, c contract.CourseState, change func(*internalapi.Entitlement)) (internalapi.EntitlementReply, internalapi.Entitlement) {
	in := internalapi.Entitlement{EntitlementID: uuid.New(), UserID: p.UserID, CourseID: c.ID, State: internalapi.EntitlementGranted}
	change(&in)
	return call[internalapi.EntitlementReply](w, internalapi.CallEntitlement, "payment", in.EntitlementID.String(), in), in
}

func TestSuspendReactivateUpdateReset(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course()
	it := needs(contract.RequireDone)
	w.curriculum(c, part("M", it))
	e := w.enroll(w.student, c)
	at := func(action string) string { return path("enrollments", e.ID, action) }
	w.as(w.student).POST(at("suspend"), nil).Expect(403)
	w.as(w.teacher).POST(at("suspend"), map[string]any{"reason": "fee"}).Expect(200)
	w.as(w.student).POST(enrollments(c), nil).Expect(409).Code("already_enrolled")
	w.as(w.student).POST(path("courses", c.ID, "items", it.ID, "done"), nil).Expect(403).Code("suspended")
	w.as(w.teacher).POST(at("reactivate"), nil).Expect(200)
	w.as(w.student).POST(path("courses", c.ID, "items", it.ID, "done"), nil).Expect(200)
	got := w.as(w.teacher).GET(path("enrollments", e.ID)).Expect(200)
	require.Equal(t, "completed", w.read(w.student, e.ID).State)

	// Dates: If-Match is needed, and a merge patch with null clears.
	body := map[string]any{"ends_at": w.clock.Now().Add(time.Hour)}
	w.as(w.teacher).PATCH(path("enrollments", e.ID), body).Expect(428)
	w.as(w.teacher).With("If-Match", `"v1"`).PATCH(path("enrollments", e.ID), body).Expect(412)
	w.as(w.student).With("If-Match", got.ETag()).PATCH(path("enrollments", e.ID), body).Expect(403)
	moved := w.as(w.teacher).With("If-Match", got.ETag()).PATCH(path("enrollments", e.ID), body).Expect(200)
	require.NotEqual(t, got.ETag(), moved.ETag())
	w.as(w.teacher).With("If-Match", got.ETag()).PATCH(path("enrollments", e.ID), body).Expect(412)
	w.as(w.teacher).With("If-Match", moved.ETag()).PATCH(path("enrollments", e.ID), map[string]any{"ends_at": nil}).Expect(200)
	require.Nil(t, w.read(w.student, e.ID).EndsAt)
	require.Equal(t, http.StatusNotModified, w.as(w.student).With("If-None-Match", w.as(w.student).GET(path("enrollments", e.ID)).ETag()).GET(path("enrollments", e.ID)).Status)

	// Rule 13: only staff can reset a completion.
	w.as(w.student).POST(at("reset"), nil).Expect(403)
	w.as(w.teacher).POST(at("reset"), nil).Expect(200)
	fresh := w.read(w.student, e.ID)
	require.Equal(t, "active", fresh.State)
	require.Nil(t, fresh.CompletedAt)
	require.Equal(t, 0, fresh.Progress.Met)
	require.Equal(t, []string{
		"activated", "suspended", "reactivated", "progress_changed", "module_completed", "course_completed", "dates_changed", "dates_changed", "progress_recalculated",
	}, w.told(e.ID))
}

// Rule 30: dates make upcoming and concluded, bounds included, both read-only; the
// end of the enrollment itself expires it, which the sweep stores.
func TestEffectiveStates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	now := w.clock.Now()
	starts, ends := now.Add(time.Hour), now.Add(3*time.Hour)
	c := w.course(func(c *contract.CourseState) { c.StartsAt, c.EndsAt = &starts, &ends })
	it := needs(contract.RequireView)
	w.curriculum(c, part("M", it))
	own := ends.Add(-time.Hour)
	other := w.learner()
	e := w.enroll(w.student, c)
	var limited httpapi.Enrollment
	w.as(w.teacher).POST(enrollments(c), map[string]any{"user_id": other.UserID, "ends_at": own}).Expect(201).JSON(&limited)
	is := func(at time.Time, want, wantLimited string) {
		t.Helper()
		w.clock.Set(at)
		require.Equal(t, want, w.read(w.student, e.ID).EffectiveState)
		require.Equal(t, wantLimited, w.read(other, limited.ID).EffectiveState)
	}
	view := path("courses", c.ID, "items", it.ID, "view")
	is(starts.Add(-time.Microsecond), "upcoming", "upcoming")
	w.as(w.student).POST(view, nil).Expect(403).Code("read_only")
	w.as(w.student).GET(path("courses", c.ID, "progress")).Expect(200)
	is(starts, "active", "active")
	w.as(w.student).POST(view, nil).Expect(200)
	is(own, "completed", "active")
	is(own.Add(time.Microsecond), "completed", "expired")
	require.NoError(t, w.service.Sweep(t.Context()))
	require.Equal(t, "expired", w.read(other, limited.ID).State)
	w.as(w.teacher).POST(path("enrollments", limited.ID, "reactivate"), nil).Expect(409).Code("access_ended")
	is(ends.Add(time.Microsecond), "concluded", "expired")
	w.as(w.student).POST(view, nil).Expect(403).Code("read_only")
}

// Many come at once to a course that is published and not known here yet: course
// is asked once, and nobody is told that there is no such course.
func TestManyAtOnceEnrollInACourseNotKnownYet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.state()
	w.friends.courses[c.ID] = enrollment.CourseSnapshot{State: c, Seq: 7}
	w.friends.answer = make(chan struct{})
	people := make([]authz.Principal, 8)
	for i := range people {
		people[i] = w.learner()
	}
	statuses := make([]int, len(people))
	var wg sync.WaitGroup
	for i, p := range people {
		wg.Go(func() { statuses[i] = w.as(p).POST(enrollments(c), map[string]any{}).Status })
	}
	require.Eventually(t, func() bool { return w.friends.waiting.Load() > 0 }, 5*time.Second, time.Millisecond)
	close(w.friends.answer)
	wg.Wait()
	for _, status := range statuses {
		require.Equal(t, 201, status)
	}
	require.Equal(t, 1, w.friends.asked)
}

// While course is away nobody knows whether there is such a course: that is no
// 404, which a client would believe.
func TestACourseNotKnownYetWhileCourseIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.state()
	w.friends.away = true
	w.as(w.student).POST(enrollments(c), map[string]any{}).Expect(503)
	w.friends.away = false
	w.friends.courses[c.ID] = enrollment.CourseSnapshot{State: c, Seq: 7}
	w.enroll(w.student, c) // also at once: no answer is not remembered
}
