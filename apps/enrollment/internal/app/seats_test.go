package app

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"lms/apps/enrollment/internal/enrollment"
	"lms/apps/enrollment/internal/httpapi"
	"lms/shared/apperr"
	"lms/shared/authz"
	contract "lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/testkit"
)

// waitlist is the order of a waiting list as staff see it.
func (w *world) waitlist(c contract.CourseState) []uuid.UUID {
	w.t.Helper()
	var ids []uuid.UUID
	cursor := ""
	for {
		var list struct {
			Items []httpapi.Enrollment `json:"items"`
			Next  string               `json:"next_cursor"`
		}
		w.as(w.teacher).GET(path("courses", c.ID, "waitlist") + "?limit=200&cursor=" + cursor).Expect(200).JSON(&list)
		for _, e := range list.Items {
			ids = append(ids, e.ID)
			require.Equal(w.t, len(ids), e.Position)
		}
		if cursor = list.Next; cursor == "" {
			return ids
		}
	}
}

// Rule 32: one seat, 1,000 racers: exactly one is in, the rest wait in the order
// of their numbers, without a hole.
func TestAThousandRaceForOneSeat(t *testing.T) {
	t.Parallel()
	const racers = 1000
	w := newWorld(t)
	c := w.course(seats(1))
	people := make([]authz.Principal, racers)
	for i := range people {
		people[i] = w.learner()
	}
	var mu sync.Mutex
	byState := map[enrollment.State]int{}
	positions := map[int]int{}
	var group errgroup.Group
	group.SetLimit(64)
	for _, p := range people {
		group.Go(func() error {
			r, err := w.service.Enroll(t.Context(), p, enrollment.NewEnrollment{CourseID: c.ID})
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			byState[r.Enrollment.State]++
			if r.Position > 0 {
				positions[r.Position]++
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	require.Equal(t, map[enrollment.State]int{enrollment.Active: 1, enrollment.Waitlisted: racers - 1}, byState)
	require.Len(t, positions, racers-1, "each was told another place")
	for i := 1; i < racers; i++ {
		require.Equal(t, 1, positions[i])
	}
	var numbers []int64
	w.scan(&numbers, `select array_agg(waitlist_number order by created_at, id) from enrollments where state = 'waitlisted'`)
	require.Len(t, numbers, racers-1)
	var lowest, highest, distinct int
	w.scan(&lowest, `select min(waitlist_number) from enrollments`)
	w.scan(&highest, `select max(waitlist_number) from enrollments`)
	w.scan(&distinct, `select count(distinct waitlist_number) from enrollments`)
	require.Equal(t, []int{1, racers - 1, racers - 1}, []int{lowest, highest, distinct})
	require.Len(t, w.waitlist(c), racers-1)
	told := w.callsOf("seats-state")
	require.Len(t, told, 1, "the catalogue is told once")
	require.Equal(t, "full", told[0]["state"])
}

// The database itself refuses a seat too many, whatever the code does.
func TestTheDatabaseGuardsTheSeats(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course(seats(1))
	w.enroll(w.student, c)
	waiting := w.enroll(w.learner(), c)
	require.Equal(t, "waitlisted", waiting.State)
	conn, err := w.pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	_, err = conn.Exec(t.Context(), `select set_config('lms.tenant', '*', false)`)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `update enrollments set state = 'active', waitlist_number = null, activated_at = created_at where id = $1`, waiting.ID)
	require.ErrorContains(t, err, "no free seat")
	_, err = conn.Exec(t.Context(), `update enrollments set state = 'completed' where state = 'active'`)
	require.ErrorContains(t, err, "enrollments_completed")
}

func TestWhoLeavesMakesRoomInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course(seats(2))
	people := []authz.Principal{w.learner(), w.learner(), w.learner(), w.learner(), w.learner()}
	list := make([]httpapi.Enrollment, len(people))
	for i, p := range people {
		list[i] = w.enroll(p, c)
	}
	require.Equal(t, 1, list[2].Position)
	require.Equal(t, 3, list[4].Position)
	// A suspension keeps the seat.
	w.as(w.teacher).POST(path("enrollments", list[0].ID, "suspend"), nil).Expect(200)
	require.Len(t, w.waitlist(c), 3)
	w.as(people[3]).POST(path("enrollments", list[3].ID, "withdraw"), nil).Expect(200)
	w.as(people[1]).POST(path("enrollments", list[1].ID, "withdraw"), nil).Expect(200)
	require.Equal(t, "active", w.read(people[2], list[2].ID).State)
	require.Equal(t, []string{"waitlisted", "promoted", "activated"}, w.told(list[2].ID))
	require.Equal(t, []uuid.UUID{list[4].ID}, w.waitlist(c))
	// Who comes again is the last.
	w.as(people[1]).POST(enrollments(c), nil).Expect(200)
	require.Equal(t, []uuid.UUID{list[4].ID, list[1].ID}, w.waitlist(c))
	w.as(w.learner()).POST(enrollments(c), map[string]any{"waitlist": false}).Expect(409).Code("course_full")
}

// Raising promotes, lowering removes nobody (rule 32), and no limit lets all in.
func TestCapacityChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course(seats(1))
	var list []httpapi.Enrollment
	for range 5 {
		list = append(list, w.enroll(w.learner(), c))
	}
	states := func() (active, waiting int) {
		w.scan(&active, `select count(*) from enrollments where state = 'active'`)
		w.scan(&waiting, `select count(*) from enrollments where state = 'waitlisted'`)
		return active, waiting
	}
	set := func(change func(*contract.CourseState)) {
		change(&c)
		w.tell(contract.TypeCourseUpdated, c.ID, c)
		w.work()
	}
	set(seats(3))
	active, waiting := states()
	require.Equal(t, []int{3, 2}, []int{active, waiting})
	require.Contains(t, w.told(list[2].ID), "promoted")
	set(seats(1))
	active, waiting = states()
	require.Equal(t, []int{3, 2}, []int{active, waiting})
	set(func(c *contract.CourseState) { c.Capacity = nil })
	active, waiting = states()
	require.Equal(t, []int{5, 0}, []int{active, waiting})
	told := w.callsOf("seats-state")
	require.Equal(t, "open", told[len(told)-1]["state"])
}

// Promotion runs every check of enrolling again: who may not come in keeps the
// place, the next one is promoted (rule 32).
func TestPromotionChecksAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	basics := w.course()
	it := needs(contract.RequireDone)
	w.curriculum(basics, part("M", it))
	c := w.course(seats(1))
	holder, first, second := w.learner(), w.learner(), w.learner()
	seat := w.enroll(holder, c)
	a, b := w.enroll(first, c), w.enroll(second, c)
	c.PrerequisiteCourses = []uuid.UUID{basics.ID}
	w.tell(contract.TypeCourseUpdated, c.ID, c)
	w.enroll(second, basics)
	w.as(second).POST(path("courses", basics.ID, "items", it.ID, "done"), nil).Expect(200)
	w.as(holder).POST(path("enrollments", seat.ID, "withdraw"), nil).Expect(200)
	require.Equal(t, "active", w.read(second, b.ID).State)
	require.Equal(t, "waitlisted", w.read(first, a.ID).State)
	require.Equal(t, []uuid.UUID{a.ID}, w.waitlist(c))
	// The window counts too.
	w.as(second).POST(path("enrollments", b.ID, "withdraw"), nil).Expect(200)
	closed := w.clock.Now().Add(-time.Hour)
	c.PrerequisiteCourses, c.EnrollmentClosesAt = nil, &closed
	w.tell(contract.TypeCourseUpdated, c.ID, c)
	require.NoError(t, w.service.Sweep(t.Context()))
	require.Equal(t, "waitlisted", w.read(first, a.ID).State)
	c.EnrollmentClosesAt = nil
	w.tell(contract.TypeCourseUpdated, c.ID, c)
	require.NoError(t, w.service.Sweep(t.Context()))
	require.Equal(t, "active", w.read(first, a.ID).State)
}

// More of the list are passed over than one step looks at: those behind them are
// found all the same.
func TestPromotionLooksBehindThoseWhoMustWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	basics := w.course()
	it := needs(contract.RequireDone)
	w.curriculum(basics, part("M", it))
	c := w.course(seats(1))
	holder, last := w.learner(), w.learner()
	seat := w.enroll(holder, c)
	for range 105 {
		w.enroll(w.learner(), c)
	}
	waiting := w.enroll(last, c)
	w.enroll(last, basics)
	w.as(last).POST(path("courses", basics.ID, "items", it.ID, "done"), nil).Expect(200)
	c.PrerequisiteCourses = []uuid.UUID{basics.ID}
	w.tell(contract.TypeCourseUpdated, c.ID, c)
	w.as(holder).POST(path("enrollments", seat.ID, "withdraw"), nil).Expect(200)
	require.Equal(t, 106, w.read(last, waiting.ID).Position)
	require.NoError(t, w.service.Sweep(t.Context()))
	require.Equal(t, "active", w.read(last, waiting.ID).State)
}

// The sweep turns the end of access into a fact and gives the seat on.
func TestAnExpiredSeatIsGivenOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course(seats(1))
	holder, next := w.learner(), w.learner()
	ends := w.clock.Now().Add(10 * 24 * time.Hour)
	var seat httpapi.Enrollment
	w.as(w.teacher).POST(enrollments(c), map[string]any{"user_id": holder.UserID, "ends_at": ends}).Expect(201).JSON(&seat)
	waiting := w.enroll(next, c)
	require.NoError(t, w.service.Sweep(t.Context()))
	require.Equal(t, []string{"activated"}, w.told(seat.ID), "the end is far")
	w.clock.Advance(5 * 24 * time.Hour)
	require.NoError(t, w.service.Sweep(t.Context()))
	require.NoError(t, w.service.Sweep(t.Context()))
	require.Equal(t, []string{"activated", "expiring_soon"}, w.told(seat.ID), "said once")
	w.clock.Set(ends)
	require.NoError(t, w.service.Sweep(t.Context()))
	require.Equal(t, "waitlisted", w.read(next, waiting.ID).State)
	w.clock.Advance(time.Second)
	require.NoError(t, w.service.Sweep(t.Context()))
	require.Equal(t, "expired", w.read(holder, seat.ID).State)
	require.Equal(t, "active", w.read(next, waiting.ID).State)
}

func (w *world) hold(p authz.Principal, c contract.CourseState, id uuid.UUID, d time.Duration, replaces ...uuid.UUID) internalapi.SeatHoldReply {
	w.t.Helper()
	return call[internalapi.SeatHoldReply](w, internalapi.CallSeatHold, "payment", id.String(),
		internalapi.SeatHold{HoldID: id, CourseID: c.ID, UserID: p.UserID, ExpiresAt: w.clock.Now().Add(d), Replaces: replaces})
}

func (w *world) releaseHold(p authz.Principal, c contract.CourseState, id uuid.UUID) internalapi.SeatReleaseReply {
	w.t.Helper()
	return call[internalapi.SeatReleaseReply](w, internalapi.CallSeatRelease, "payment", id.String(),
		internalapi.SeatRelease{HoldID: id, CourseID: c.ID, UserID: p.UserID})
}

// Rule 35: a checkout holds a free seat for a limited time.
func TestCheckoutHoldsASeat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course(seats(1), priced)
	buyer, other := w.learner(), w.learner()
	hold := uuid.New()
	reply := w.hold(buyer, c, hold, 10*time.Minute)
	require.True(t, reply.Held, reply.Code)
	require.Equal(t, "course_full", w.hold(other, c, uuid.New(), time.Minute).Code)
	require.Equal(t, "full", w.callsOf("seats-state")[0]["state"])
	waiting := w.enroll(other, c)
	require.Equal(t, "waitlisted", waiting.State)

	// Paid in time: the held seat becomes the enrollment.
	paid, _ := entitle(w, buyer, c, func(e *internalapi.Entitlement) { e.Enroll, e.HoldID = true, &hold })
	require.True(t, paid.Enrolled, paid.Code)
	require.Equal(t, "payment", w.read(buyer, *paid.EnrollmentID).Source)
	require.Equal(t, "waitlisted", w.read(other, waiting.ID).State)
	require.Equal(t, "already_enrolled", w.hold(buyer, c, uuid.New(), time.Minute).Code)
}

func TestAnAbandonedCheckoutGivesTheSeatBack(t *testing.T) {
	t.Parallel()
	for name, abandon := range map[string]func(w *world, p authz.Principal, c contract.CourseState, hold uuid.UUID){
		"released": func(w *world, p authz.Principal, c contract.CourseState, hold uuid.UUID) {
			require.True(w.t, w.releaseHold(p, c, hold).Released)
			require.Equal(w.t, "released", w.hold(p, c, hold, time.Minute).Code, "stays released")
		},
		"lapsed": func(w *world, _ authz.Principal, _ contract.CourseState, _ uuid.UUID) {
			w.clock.Advance(11 * time.Minute)
			require.NoError(w.t, w.service.Sweep(w.t.Context()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c := w.course(seats(1), priced)
			buyer, other := w.learner(), w.learner()
			hold := uuid.New()
			require.True(t, w.hold(buyer, c, hold, 10*time.Minute).Held)
			waiting := w.enroll(other, c)
			abandon(w, buyer, c, hold)
			// In a priced course promotion is an offer with an end and a link to pay.
			offered := w.read(other, waiting.ID)
			require.Equal(t, "offered", offered.State)
			require.Equal(t, []string{"waitlisted", "promoted", "offered"}, w.told(waiting.ID))
			require.Equal(t, "https://lms.test/checkout?course_id="+c.ID.String(), offered.CheckoutURL)
			require.Equal(t, w.clock.Now().Add(48*time.Hour), *offered.AnswerBy)
			// Payment after the hold lapsed finds no seat: payment refunds itself.
			late, _ := entitle(w, buyer, c, func(e *internalapi.Entitlement) { e.Enroll, e.HoldID = true, &hold })
			require.False(t, late.Enrolled)
			require.Equal(t, "course_full", late.Code)
			w.as(other).POST(path("enrollments", waiting.ID, "accept"), nil).Expect(402).Code("entitlement_required")
			paid, _ := entitle(w, other, c, func(e *internalapi.Entitlement) { e.Enroll = true })
			require.True(t, paid.Enrolled, paid.Code)
			require.Equal(t, "active", w.read(other, waiting.ID).State)
		})
	}
}

// A release that overtakes its hold wins.
func TestAReleaseThatComesFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course(seats(1), priced)
	hold := uuid.New()
	require.False(t, w.releaseHold(w.student, c, hold).Released)
	require.Equal(t, "released", w.hold(w.student, c, hold, time.Minute).Code)
	require.True(t, w.hold(w.student, c, uuid.New(), time.Minute).Held)
}

func TestPaymentAfterTheHoldTakesAFreeSeat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course(seats(1), priced)
	hold := uuid.New()
	require.True(t, w.hold(w.student, c, hold, time.Minute).Held)
	w.clock.Advance(2 * time.Minute)
	paid, _ := entitle(w, w.student, c, func(e *internalapi.Entitlement) { e.Enroll, e.HoldID = true, &hold })
	require.True(t, paid.Enrolled, paid.Code)
}

func TestAnOfferThatIsNotTakenUpGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course(seats(1), priced)
	hold := uuid.New()
	require.True(t, w.hold(w.student, c, hold, time.Minute).Held)
	first, second, third := w.learner(), w.learner(), w.learner()
	a, b, d := w.enroll(first, c), w.enroll(second, c), w.enroll(third, c)
	w.releaseHold(w.student, c, hold)
	require.Equal(t, "offered", w.read(first, a.ID).State)
	// A checkout of the offer keeps it open.
	w.clock.Advance(47*time.Hour + 50*time.Minute)
	require.True(t, w.hold(first, c, uuid.New(), 30*time.Minute).Held)
	w.clock.Advance(20 * time.Minute)
	require.NoError(t, w.service.Sweep(t.Context()))
	require.Equal(t, "offered", w.read(first, a.ID).State)
	w.clock.Advance(20 * time.Minute)
	require.NoError(t, w.service.Sweep(t.Context()))
	require.Equal(t, "expired", w.read(first, a.ID).State)
	require.Equal(t, []string{"waitlisted", "promoted", "offered", "offer_expired"}, w.told(a.ID))
	require.Equal(t, "offered", w.read(second, b.ID).State)
	w.as(second).POST(path("enrollments", b.ID, "decline"), nil).Expect(200)
	require.Contains(t, w.told(b.ID), "declined")
	require.Equal(t, "offered", w.read(third, d.ID).State)
}

func TestJoinCodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course(func(c *contract.CourseState) {
		c.EnrollmentMode, c.Visibility = contract.EnrollmentInviteOnly, contract.VisibilityEnrolled
	})
	codes := path("courses", c.ID, "join-codes")
	w.as(w.student).POST(codes, map[string]any{}).Expect(404)
	var code httpapi.JoinCode
	w.as(w.teacher).POST(codes, map[string]any{"max_uses": 2, "label": "autumn"}).Expect(201).JSON(&code)
	require.Len(t, code.Code, 16)
	join := func(p authz.Principal, code string, status int) httpapi.Enrollment {
		t.Helper()
		var e httpapi.Enrollment
		r := w.as(p).POST("/api/v1/join", map[string]any{"code": code}).Expect(status)
		if status < 300 {
			r.JSON(&e)
		}
		return e
	}
	typed := fmt.Sprintf("%s-%s", code.Code[:8], code.Code[8:])
	first := w.learner()
	require.Equal(t, "join_code", join(first, typed, 201).Source)
	join(first, code.Code, 409)
	join(w.alien, code.Code, 404)
	join(w.learner(), "0000000000000000", 404)
	// Two more race for the last use.
	var mu sync.Mutex
	results := map[string]int{}
	var group errgroup.Group
	for range 8 {
		p := w.learner()
		group.Go(func() error {
			_, err := w.service.Join(t.Context(), p, code.Code)
			mu.Lock()
			defer mu.Unlock()
			results[apperr.Code(err)]++
			return nil
		})
	}
	require.NoError(t, group.Wait())
	require.Equal(t, map[string]int{"": 1, "join_code_used_up": 7}, results)
	var list struct{ Items []httpapi.JoinCode }
	w.as(w.teacher).GET(codes).Expect(200).JSON(&list)
	require.Equal(t, 2, list.Items[0].Uses)
	require.False(t, list.Items[0].Usable)

	var open httpapi.JoinCode
	w.as(w.teacher).POST(codes, map[string]any{"expires_at": w.clock.Now().Add(time.Hour)}).Expect(201).JSON(&open)
	w.as(w.student).DELETE(path("join-codes", open.ID)).Expect(404)
	w.as(w.teacher).DELETE(path("join-codes", open.ID)).Expect(204)
	join(w.learner(), open.Code, 409)
}

// Whoever looks at a course just before its seats are limited must not count them
// without the lock: they would be refused a seat that others have, and get no place
// in the row.
func TestSeatsThatAreLimitedMeanwhileAreCountedUnderTheLock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course()
	late, first := w.learner(), w.learner()
	again := w.enroll(late, c)
	other := w.enroll(first, c)
	for _, e := range []struct {
		who authz.Principal
		id  uuid.UUID
	}{{late, again.ID}, {first, other.ID}} {
		w.as(e.who).POST(path("enrollments", e.id, "withdraw"), nil).Expect(200)
	}

	// The learner's request has looked for seats, and waits for the learner's row.
	row := w.begin(`select from enrollments where id = $1 for update`, again.ID)
	answer := make(chan *testkit.Response, 1)
	go func() { answer <- w.as(late).POST(enrollments(c), map[string]any{}) }()
	w.blocked()

	c.Capacity, c.WaitlistEnabled = new(1), true
	w.tell(contract.TypeCourseUpdated, c.ID, c)
	seat := w.begin(`select from courses where id = $1 for no key update`, c.ID)
	require.NoError(t, row.Rollback(t.Context()))
	w.blocked()
	_, err := seat.Exec(t.Context(), `update enrollments set state = 'active' where id = $1`, other.ID)
	require.NoError(t, err)
	require.NoError(t, seat.Commit(t.Context()))

	var got httpapi.Enrollment
	(<-answer).Expect(200).JSON(&got)
	require.Equal(t, "waitlisted", got.State)
}
