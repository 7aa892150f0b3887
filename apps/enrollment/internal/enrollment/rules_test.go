package enrollment

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lms/apps/enrollment/internal/progress"
	"lms/shared/apperr"
	"lms/shared/contracts/events"
)

var now = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) *time.Time {
	t := now.Add(d)
	return &t
}

// Rule 30: bounds are included, on both sides.
func TestEffective(t *testing.T) {
	t.Parallel()
	const tick = time.Microsecond
	for name, c := range map[string]struct {
		e    Enrollment
		c    Course
		want State
	}{
		"no dates":                {Enrollment{State: Active}, Course{}, Active},
		"at the start":            {Enrollment{State: Active, StartsAt: at(0)}, Course{}, Active},
		"before the start":        {Enrollment{State: Active, StartsAt: at(tick)}, Course{}, Upcoming},
		"course begins now":       {Enrollment{State: Active}, Course{StartsAt: at(0)}, Active},
		"course begins later":     {Enrollment{State: Active}, Course{StartsAt: at(tick)}, Upcoming},
		"course ends now":         {Enrollment{State: Active}, Course{EndsAt: at(0)}, Active},
		"course ended":            {Enrollment{State: Active}, Course{EndsAt: at(-tick)}, Concluded},
		"access ends now":         {Enrollment{State: Active, AccessEndsAt: at(0)}, Course{}, Active},
		"access ended":            {Enrollment{State: Active, AccessEndsAt: at(-tick)}, Course{}, Expired},
		"completed, course ended": {Enrollment{State: Completed}, Course{EndsAt: at(-tick)}, Concluded},
		"completed, access ended": {Enrollment{State: Completed, AccessEndsAt: at(-tick)}, Course{}, Concluded},
		"completed":               {Enrollment{State: Completed, AccessEndsAt: at(0)}, Course{StartsAt: at(tick)}, Completed},
		"offer stands":            {Enrollment{State: Offered, AnswerBy: at(0)}, Course{}, Offered},
		"offer is over":           {Enrollment{State: Offered, AnswerBy: at(-tick)}, Course{}, Expired},
		"invitation is over":      {Enrollment{State: Invited, AnswerBy: at(-tick)}, Course{}, Expired},
		"suspended stays":         {Enrollment{State: Suspended, StartsAt: at(tick)}, Course{EndsAt: at(-tick)}, Suspended},
		"withdrawn stays":         {Enrollment{State: Withdrawn}, Course{StartsAt: at(tick)}, Withdrawn},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, c.e.Effective(c.c, now))
		})
	}
}

// Rule 28: the earliest end counts.
func TestUntil(t *testing.T) {
	t.Parallel()
	var e Enrollment
	require.Nil(t, e.Until(Course{}))
	e.SetEnds(at(2*time.Hour), at(time.Hour))
	require.Equal(t, at(time.Hour), e.AccessEndsAt)
	require.Equal(t, at(time.Hour), e.Until(Course{EndsAt: at(3 * time.Hour)}))
	require.Equal(t, at(time.Minute), e.Until(Course{EndsAt: at(time.Minute)}))
}

// Every state that is stored is reachable, can be left, and leads to stored states.
func TestStateMachine(t *testing.T) {
	t.Parallel()
	reached := map[State]bool{}
	for from, next := range moves {
		require.True(t, from == "" || from.Stored(), from)
		for _, to := range next {
			require.True(t, to.Stored(), to)
			require.NotEqual(t, from, to)
			reached[to] = true
		}
	}
	for _, s := range storedStates {
		require.True(t, reached[s], "%s is never reached", s)
		require.NotEmpty(t, moves[s], "%s is a dead end", s)
		require.Equal(t, s.Ended(), s.CanBecome(Requested) && s.CanBecome(Invited) && !s.TakesSeat() && s.CanBecome(Waitlisted) && s != Invited && s != Requested, s)
	}
	e := Enrollment{State: Withdrawn}
	require.Equal(t, "invalid_state", apperr.Code(e.move(Suspended, now)))
	n := int64(3)
	e = Enrollment{State: Waitlisted, WaitlistNumber: &n, AnswerBy: at(0)}
	require.NoError(t, e.move(Active, now))
	require.Nil(t, e.WaitlistNumber)
	require.Nil(t, e.AnswerBy)
}

func published() Course {
	return Course{ID: uuid.New(), Status: events.CoursePublished, EnrollmentMode: events.EnrollmentSelf, WaitlistEnabled: true}
}

func TestEnter(t *testing.T) {
	t.Parallel()
	self, staff := Entry{Source: SourceSelf}, Entry{Source: SourceStaff}
	capacity := 1
	limited := func(taken, waiting int) func(*Standing) {
		return func(s *Standing) {
			s.Course.Capacity, s.Seats = &capacity, Seats{Limited: true, Capacity: 1, Taken: taken, Waiting: waiting}
		}
	}
	have := func(state State) func(*Standing) {
		return func(s *Standing) { s.Existing = &Enrollment{ID: uuid.New(), State: state} }
	}
	all := func(fs ...func(*Standing)) func(*Standing) {
		return func(s *Standing) {
			for _, f := range fs {
				f(s)
			}
		}
	}
	price := func(s *Standing) { s.Course.RequiresEntitlement = true }
	paid := func(s *Standing) { s.Entitlement = &Entitlement{State: "granted"} }
	for name, c := range map[string]struct {
		change func(*Standing)
		entry  Entry
		want   State
		code   string
	}{
		"free course":                 {all(), self, Active, ""},
		"draft":                       {func(s *Standing) { s.Course.Status = events.CourseDraft }, self, "", "course_unavailable"},
		"draft, by staff":             {func(s *Standing) { s.Course.Status = events.CourseDraft }, staff, Active, ""},
		"archived, by staff":          {func(s *Standing) { s.Course.Status = events.CourseArchived }, staff, "", "course_unavailable"},
		"ended, by staff":             {func(s *Standing) { s.Course.EndsAt = at(-1) }, staff, "", "window_closed"},
		"window over":                 {func(s *Standing) { s.Course.EnrollmentClosesAt = at(-1) }, self, "", "window_closed"},
		"window over, by staff":       {func(s *Standing) { s.Course.EnrollmentClosesAt = at(-1) }, staff, Active, ""},
		"prerequisite":                {func(s *Standing) { s.Missing = []uuid.UUID{uuid.New()} }, staff, "", "prerequisite_missing"},
		"deactivated":                 {func(s *Standing) { s.Person = &Person{Status: PersonDeactivated} }, self, "", "person_inactive"},
		"one seat":                    {limited(0, 0), self, Active, ""},
		"full":                        {limited(1, 0), self, Waitlisted, ""},
		"full, seat or nothing":       {limited(1, 0), Entry{Source: SourceSelf, NoWaitlist: true}, "", "course_full"},
		"full, no waiting list":       {all(limited(1, 0), func(s *Standing) { s.Course.WaitlistEnabled = false }), self, "", "course_full"},
		"free, but others wait":       {limited(0, 1), self, Waitlisted, ""},
		"lowered below what is taken": {limited(5, 0), self, Waitlisted, ""},
		"priced":                      {price, self, "", "entitlement_required"},
		"priced and paid":             {all(price, paid), self, Active, ""},
		"priced and full":             {all(price, limited(1, 0)), self, Waitlisted, ""},
		"own hold, paid":              {all(price, paid, limited(1, 0), func(s *Standing) { s.Held = &Hold{} }), Entry{Source: SourcePayment}, Active, ""},
		"approval":                    {func(s *Standing) { s.Course.EnrollmentMode = events.EnrollmentApproval }, self, Requested, ""},
		"approval, full":              {all(limited(1, 0), func(s *Standing) { s.Course.EnrollmentMode = events.EnrollmentApproval }), self, Requested, ""},
		"approval, by code":           {func(s *Standing) { s.Course.EnrollmentMode = events.EnrollmentApproval }, Entry{Source: SourceJoinCode}, Active, ""},
		"invitation only":             {func(s *Standing) { s.Course.EnrollmentMode = events.EnrollmentInviteOnly }, self, "", "invitation_required"},
		"again after withdrawal":      {have(Withdrawn), self, Active, ""},
		"again after expiry":          {have(Expired), self, Active, ""},
		"active":                      {have(Active), self, "", "already_enrolled"},
		"completed":                   {have(Completed), staff, "", "already_enrolled"},
		"suspended":                   {have(Suspended), staff, "", "already_enrolled"},
		"waits already":               {have(Waitlisted), self, "", "already_enrolled"},
		"requested, staff overtake":   {have(Requested), staff, Active, ""},
		"requested, again":            {have(Requested), self, "", "already_enrolled"},
		"offered, paid":               {all(have(Offered), price, paid, limited(1, 3)), Entry{Source: SourcePayment}, Active, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := Standing{Course: published()}
			c.change(&s)
			state, err := s.Enter(c.entry, now)
			require.Equal(t, c.code, apperr.Code(err))
			require.Equal(t, c.want, state)
		})
	}
}

// Seats stay between what is taken and the capacity, whatever people do: a seat is
// given only when one is free, and no step changes the count by more than one
// (rule 32).
func TestSeatsAreCounted(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.IntRange(0, 4).Draw(t, "capacity")
		seats := Seats{Limited: true, Capacity: capacity}
		people := make([]State, 8)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			i := rapid.IntRange(0, len(people)-1).Draw(t, "who")
			st := Standing{Course: published(), Seats: seats}
			if people[i] != "" {
				st.Existing = &Enrollment{State: people[i]}
			}
			next := Withdrawn
			if people[i] == "" || people[i].Ended() {
				state, err := st.Enter(Entry{Source: SourceSelf}, now)
				require.NoError(t, err)
				next = state
			}
			st.count(Enrollment{State: people[i]}, Enrollment{State: next}, now)
			people[i], seats = next, st.Seats
			taken, waiting := 0, 0
			for _, s := range people {
				if s.TakesSeat() {
					taken++
				}
				if s == Waitlisted {
					waiting++
				}
			}
			require.Equal(t, taken, seats.Taken)
			require.Equal(t, waiting, seats.Waiting)
			require.LessOrEqual(t, taken, capacity)
		}
	})
}

func TestSeatsState(t *testing.T) {
	t.Parallel()
	for want, list := range map[string][]Seats{
		events.SeatsOpen: {{}, {Limited: true, Capacity: 10, Taken: 8}, {Limited: true, Capacity: 100, Taken: 89}},
		events.SeatsFew:  {{Limited: true, Capacity: 10, Taken: 9}, {Limited: true, Capacity: 100, Taken: 90}},
		events.SeatsFull: {{Limited: true, Capacity: 1, Taken: 1}, {Limited: true, Capacity: 1, Taken: 4}, {Limited: true}, {Limited: true, Capacity: 9, Waiting: 1}},
	} {
		for _, s := range list {
			require.Equal(t, want, s.State(), "%+v", s)
		}
	}
}

// Rule 15, each condition by itself.
func TestEarned(t *testing.T) {
	t.Parallel()
	pass, grade := events.Hundredths(6000), events.Hundredths(6000)
	e := Enrollment{State: Completed, CompletedAt: at(0), GradeFinal: &grade, GradedAt: at(0)}
	c := Course{Completion: events.CompletionSettings{Certificate: events.CertificateSettings{Enabled: true, MinGrade: &pass}}}
	require.NoError(t, Earned(e, c, false), "exactly the grade that passes")
	grade--
	require.Error(t, Earned(e, c, false))
	require.NoError(t, Earned(e, c, true), "the allowlist stands for the grade")
	e.GradeFinal = nil
	require.Error(t, Earned(e, c, false))
	out := e
	out.State = Withdrawn
	require.Error(t, Earned(out, c, true))
	open := e
	open.State, open.CompletedAt = Active, nil
	require.Error(t, Earned(open, c, true))
	c.Completion.Certificate.Enabled = false
	require.Error(t, Earned(e, c, true))
}

func TestEntitlementBounds(t *testing.T) {
	t.Parallel()
	e := Entitlement{State: "granted", ValidFrom: at(0), ValidUntil: at(0)}
	require.True(t, e.Valid(now))
	require.False(t, e.Valid(now.Add(1)))
	require.False(t, e.Valid(now.Add(-1)))
	forever := Entitlement{State: "granted"}
	require.Equal(t, &[]Entitlement{e, forever}[1], Current([]Entitlement{e, forever}, now))
	require.Nil(t, Current([]Entitlement{{State: "revoked"}}, now))
}

func TestNormalizeCode(t *testing.T) {
	t.Parallel()
	require.Equal(t, "1001ABCD", NormalizeCode(" ioO l-ab cd"))
}

func TestCurriculaAreBounded(t *testing.T) {
	t.Parallel()
	c := NewCurricula(3)
	key := func(n int64) curriculumKey { return curriculumKey{seq: n} }
	for n := range int64(5) {
		c.keep(key(n), progress.Empty())
	}
	require.Nil(t, c.lookup(key(0)))
	require.Nil(t, c.lookup(key(1)))
	require.NotNil(t, c.lookup(key(2)))
	c.keep(key(9), progress.Empty())
	require.NotNil(t, c.lookup(key(2)), "the last used stays")
	require.Nil(t, c.lookup(key(3)))
}
