package app

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lms/apps/enrollment/internal/httpapi"
	"lms/shared/authz"
	contract "lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
)

// A person who paid with one account and was invited with the other keeps what was
// paid for, what was learned and the certificate, whichever account goes.
func TestAMergeKeepsTheBetterEnrollment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course(priced, seats(2))
	it, more := needs(contract.RequireView), needs(contract.RequireDone)
	w.curriculum(c, part("M", it))
	paid, invited := w.learner(), w.learner()
	until := w.clock.Now().Add(30 * 24 * time.Hour)
	reply, _ := entitle(w, paid, c, func(e *internalapi.Entitlement) { e.Enroll, e.ValidUntil = true, &until })
	require.True(t, reply.Enrolled)
	w.view(paid, c, it)
	w.work()
	var cert httpapi.Certificate
	w.as(paid).GET(path("enrollments", *reply.EnrollmentID, "certificate")).Expect(200).JSON(&cert)
	var invitation httpapi.Enrollment
	w.as(w.teacher).POST(enrollments(c), map[string]any{"user_id": invited.UserID, "invite": true}).Expect(201).JSON(&invitation)

	w.setPerson(paid, internalapi.PersonMerged, &invited.UserID)
	e := w.read(invited, *reply.EnrollmentID)
	require.Equal(t, "completed", e.State)
	require.Equal(t, invited.UserID, e.UserID)
	require.WithinDuration(t, until, *e.AccessEndsAt, time.Millisecond)
	var kept httpapi.Certificate
	w.as(invited).GET(path("enrollments", e.ID, "certificate")).Expect(200).JSON(&kept)
	require.Equal(t, cert.Code, kept.Code)
	require.Equal(t, "withdrawn", w.read(w.teacher, invitation.ID).State)
	require.Equal(t, []string{"invited", "withdrawn"}, w.told(invitation.ID))
	require.NotContains(t, w.told(e.ID), "withdrawn")

	// The entitlement is the other's now: what it grants, and when it ends, is too.
	w.curriculum(c, part("M", it, more))
	w.as(invited).POST(path("courses", c.ID, "items", more.ID, "done"), nil).Expect(200)
	var left int
	w.scan(&left, `select count(*) from entitlements where user_id = $1`, paid.UserID)
	require.Zero(t, left)
}

// A suspension is not shaken off by becoming somebody else.
func TestASuspensionOutlivesAMerge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course()
	w.curriculum(c, part("M", needs(contract.RequireView)))
	barred, other := w.learner(), w.learner()
	e := w.enroll(barred, c)
	stays := w.enroll(other, c)
	w.as(w.teacher).POST(path("enrollments", e.ID, "suspend"), nil).Expect(200)
	w.setPerson(barred, internalapi.PersonMerged, &other.UserID)
	require.Equal(t, "suspended", w.read(other, stays.ID).State)
	require.Contains(t, w.told(stays.ID), "suspended")
	w.as(w.teacher).POST(path("enrollments", stays.ID, "reactivate"), nil).Expect(200)
}

// A seat that is held for a checkout goes along, or is given back where the other
// account holds one.
func TestHeldSeatsAreMerged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	both, one := w.course(priced, seats(2)), w.course(priced, seats(1))
	from, to, waiter := w.learner(), w.learner(), w.learner()
	hold := func(p authz.Principal, c contract.CourseState) uuid.UUID {
		h := internalapi.SeatHold{HoldID: uuid.New(), UserID: p.UserID, CourseID: c.ID, ExpiresAt: w.clock.Now().Add(time.Hour)}
		require.True(t, call[internalapi.SeatHoldReply](w, internalapi.CallSeatHold, "payment", h.HoldID.String(), h).Held)
		return h.HoldID
	}
	goes, stays, moves := hold(from, both), hold(to, both), hold(from, one)
	waiting := w.enroll(waiter, both)
	require.Equal(t, "waitlisted", waiting.State)
	w.setPerson(from, internalapi.PersonMerged, &to.UserID)
	require.Equal(t, "offered", w.read(waiter, waiting.ID).State, "one of two held seats is free")
	for id, state := range map[uuid.UUID]string{goes: "released", stays: "held", moves: "held"} {
		var got string
		w.scan(&got, `select state from seat_holds where id = $1`, id)
		require.Equal(t, state, got)
	}
	reply, _ := entitle(w, to, one, func(e *internalapi.Entitlement) { e.Enroll, e.HoldID = true, &moves })
	require.True(t, reply.Enrolled)
}

// account is one of the two accounts of a person in a course.
type account struct {
	who   authz.Principal
	state string
	id    uuid.UUID // of the enrollment
}

var worth = []string{"", "withdrawn", "invited", "suspended", "active", "completed"}

// Whatever two accounts are in a course, and whichever of them goes: the one that
// stays has one row, the better state, all that either learned, a certificate that
// verifies, and as many seats are taken as people are in.
func TestMergesLoseNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rapid.Check(t, func(r *rapid.T) {
		c := w.course(seats(3))
		items := []contract.CurriculumItem{needs(contract.RequireView), needs(contract.RequireDone), quiz(5000)}
		w.curriculum(c, part("M", items...))
		accounts := [2]account{w.account(r, c, items), w.account(r, c, items)}
		from, to := accounts[0], accounts[1]
		before := [2]map[string]bool{w.learned(from), w.learned(to)}
		codes := append(w.codes(from), w.codes(to)...)

		w.setPerson(from.who, internalapi.PersonMerged, &to.who.UserID)

		var rows []string
		w.scan(&rows, `select coalesce(array_agg(state), '{}') from enrollments where course_id = $1 and user_id = $2`, c.ID, to.who.UserID)
		best := max(slices.Index(worth, from.state), slices.Index(worth, to.state))
		if best == 0 {
			require.Empty(r, rows)
			return
		}
		want := worth[best]
		if want == "active" && (before[0]["completed"] || before[1]["completed"]) {
			want = "completed" // rule 13: it stays
		}
		if from.state == "suspended" || to.state == "suspended" {
			want = "suspended"
		}
		require.Len(r, rows, 1)
		if want == "active" && rows[0] == "completed" {
			want = "completed" // what neither had completed alone
		}
		require.Equal(r, want, rows[0])
		var id uuid.UUID
		w.scan(&id, `select id from enrollments where course_id = $1 and user_id = $2`, c.ID, to.who.UserID)
		after := w.learned(account{id: id})
		for _, had := range before {
			for what := range had {
				require.True(r, after[what], "lost: %s", what)
			}
		}
		for _, code := range codes {
			var owner uuid.UUID
			w.scan(&owner, `select user_id from certificates where code = $1 and revoked_at is null`, code)
			require.Equal(r, to.who.UserID, owner)
		}
		var in, live int
		w.scan(&in, `select count(*) from enrollments where course_id = $1 and state in ('active', 'completed', 'suspended')`, c.ID)
		w.scan(&live, `select count(*) from enrollments where user_id = $1 and state not in ('withdrawn', 'rejected', 'expired')`, from.who.UserID)
		require.LessOrEqual(r, in, 1)
		require.Zero(r, live, "of who is merged")
	})
	require.Empty(t, w.recompute(false).Differences, "what is stored follows from the facts")
}

// account brings a new person into a drawn state, with drawn progress.
func (w *world) account(r *rapid.T, c contract.CourseState, items []contract.CurriculumItem) account {
	a := account{who: w.learner(), state: rapid.SampledFrom(worth).Draw(r, "state")}
	switch a.state {
	case "":
		return a
	case "invited":
		var e httpapi.Enrollment
		w.as(w.teacher).POST(enrollments(c), map[string]any{"user_id": a.who.UserID, "invite": true}).Expect(201).JSON(&e)
		a.id = e.ID
		return a
	}
	a.id = w.enroll(a.who, c).ID
	w.clock.Advance(time.Second)
	todo := rapid.SliceOfNDistinct(rapid.IntRange(0, 2), 0, 2, rapid.ID[int]).Draw(r, "done")
	if a.state == "completed" || rapid.Bool().Draw(r, "completed before") && a.state != "active" {
		todo = []int{0, 1, 2}
	}
	for _, i := range todo {
		switch i {
		case 0:
			w.view(a.who, c, items[0])
		case 1:
			w.as(a.who).POST(path("courses", c.ID, "items", items[1].ID, "done"), nil).Expect(200)
		case 2:
			w.report(a.who, c, items[2], scored(contract.Hundredths(rapid.Int64Range(1, 1000).Draw(r, "score")*10), 10000, w.clock.Now()))
		}
	}
	if slices.Equal(todo, []int{0, 1, 2}) && (a.state == "completed" || w.read(a.who, a.id).State != "completed") {
		w.report(a.who, c, items[2], scored(9000, 10000, w.clock.Now()))
		w.work()
	}
	switch a.state {
	case "withdrawn":
		w.as(w.teacher).POST(path("enrollments", a.id, "withdraw"), nil).Expect(200)
	case "suspended":
		w.as(w.teacher).POST(path("enrollments", a.id, "suspend"), nil).Expect(200)
	case "active":
		if w.read(a.who, a.id).State == "completed" {
			a.state = "completed"
		}
	}
	return a
}

// learned names what is known of an account's enrollment that must not be lost.
func (w *world) learned(a account) map[string]bool {
	out := map[string]bool{}
	var facts []string
	w.scan(&facts, `
select coalesce(array_agg(fact), '{}') from (
  select 'viewed ' || subject_id as fact from item_progress where enrollment_id = $1 and viewed_at is not null
  union all select 'done ' || subject_id from item_progress where enrollment_id = $1 and done_at is not null
  union all select 'submitted ' || subject_id from item_progress where enrollment_id = $1 and submitted_at is not null
  union all select 'at least ' || s || ' ' || subject_id from item_progress, generate_series(0, score / 1000) s where enrollment_id = $1
  union all select 'completed' from enrollments where id = $1 and completed_at is not null) x`, a.id)
	for _, f := range facts {
		out[f] = true
	}
	return out
}

func (w *world) codes(a account) (codes []string) {
	w.scan(&codes, `select coalesce(array_agg(code), '{}') from certificates where enrollment_id = $1`, a.id)
	return codes
}

// The external id goes along, and the grades of the account that stays are taken,
// however many the other one had.
func TestAMergeKeepsExternalIDsAndTakesGrades(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	both, one := w.course(), w.course()
	it := needs(contract.RequireView)
	w.curriculum(both, part("M", it))
	from, to := w.learner(), w.learner()
	w.as(w.teacher).POST(enrollments(both), map[string]any{"user_id": from.UserID, "external_source": "sis", "external_id": "4711"}).Expect(201)
	w.enroll(from, one)
	stays := w.enroll(to, both)
	w.view(to, both, it)
	grade := func(p authz.Principal, c contract.CourseState, final contract.Hundredths, version int64) {
		call[internalapi.ProgressReply](w, internalapi.CallCourseGrade, "assignment", p.UserID.String()+c.ID.String(),
			internalapi.CourseGrade{UserID: p.UserID, CourseID: c.ID, Final: &final, GradedAt: w.clock.Now(), Version: version})
	}
	grade(from, one, 5000, 9)
	grade(from, both, 5000, 9)
	w.setPerson(from, internalapi.PersonMerged, &to.UserID)
	require.Equal(t, "4711", w.read(w.teacher, stays.ID).ExternalID)
	w.clock.Advance(time.Minute)
	for _, c := range []contract.CourseState{both, one} {
		grade(to, c, 8000, 1)
		var final int64
		w.scan(&final, `select grade_final from enrollments where course_id = $1 and user_id = $2`, c.ID, to.UserID)
		require.EqualValues(t, 8000, final)
	}
}
