// Package enrollment is who learns in which course: enrolling under the seats
// that there are, the waiting list, the life of an enrollment, what a learner
// may open, progress as it comes in, and certificates (rules 1–15, 30–35). It
// decides; storage and neighbours are interfaces.
package enrollment

import (
	"slices"
	"time"

	"lms/shared/contracts/events"
)

// State is where an enrollment stands (rule 30).
type State string

// The stored states.
const (
	Invited    State = events.EnrollmentStateInvited
	Requested  State = events.EnrollmentStateRequested
	Waitlisted State = events.EnrollmentStateWaitlisted
	Offered    State = events.EnrollmentStateOffered
	Active     State = events.EnrollmentStateActive
	Completed  State = events.EnrollmentStateCompleted
	Withdrawn  State = events.EnrollmentStateWithdrawn
	Rejected   State = events.EnrollmentStateRejected
	Suspended  State = events.EnrollmentStateSuspended
	Expired    State = events.EnrollmentStateExpired
)

// What dates make of an active enrollment: never stored, both read-only.
const (
	Upcoming  State = "upcoming"  // before the start
	Concluded State = "concluded" // after the end
)

// storedStates are all states that a row can have.
var storedStates = [...]State{Invited, Requested, Waitlisted, Offered, Active, Completed, Withdrawn, Rejected, Suspended, Expired}

// Stored says whether s is a state that a row can have.
func (s State) Stored() bool { return slices.Contains(storedStates[:], s) }

// TakesSeat says whether an enrollment in the state takes a seat (rule 32); a
// completed one does so while its access runs.
func (s State) TakesSeat() bool {
	return s == Active || s == Completed || s == Suspended || s == Offered
}

// takesSeat is State.TakesSeat for one enrollment at now: a completed one gives
// its seat free when its access ends.
func (e Enrollment) takesSeat(now time.Time) bool {
	return e.State.TakesSeat() && (e.State != Completed || !after(now, e.AccessEndsAt))
}

// Ended says that the person is out, and may come in again (rule 31).
func (s State) Ended() bool { return s == Withdrawn || s == Rejected || s == Expired }

// Learning says that the person is in.
func (s State) Learning() bool { return s == Active || s == Completed }

// in says that the person has a place, also while it is suspended.
func (e Enrollment) in() bool { return e.State.Learning() || e.State == Suspended }

// moves are the state machine of rule 30: what each state can become. Coming in
// again from an ended state is a new start.
var moves = map[State][]State{
	"":         {Invited, Requested, Waitlisted, Offered, Active},
	Invited:    {Active, Completed, Waitlisted, Offered, Requested, Withdrawn, Expired},
	Requested:  {Active, Completed, Waitlisted, Offered, Rejected, Withdrawn, Invited},
	Waitlisted: {Active, Completed, Offered, Withdrawn},
	Offered:    {Active, Completed, Withdrawn, Expired},
	Active:     {Completed, Withdrawn, Suspended, Expired},
	Completed:  {Active, Withdrawn, Suspended},
	Suspended:  {Active, Completed, Withdrawn, Expired},
	Withdrawn:  {Invited, Requested, Waitlisted, Offered, Active, Completed},
	Rejected:   {Invited, Requested, Waitlisted, Offered, Active, Completed},
	Expired:    {Invited, Requested, Waitlisted, Offered, Active, Completed},
}

// CanBecome says whether the state machine allows the step.
func (s State) CanBecome(next State) bool { return slices.Contains(moves[s], next) }

// Effective is the state that dates make of the stored one at now; bounds are
// included (rule 30): at its start an enrollment is active, at its end it still is.
func (e Enrollment) Effective(c Course, now time.Time) State {
	switch e.State {
	case Invited, Offered:
		if e.AnswerBy != nil && now.After(*e.AnswerBy) {
			return Expired
		}
	case Active:
		switch {
		case after(now, e.AccessEndsAt):
			return Expired
		case before(now, e.StartsAt), before(now, c.StartsAt):
			return Upcoming
		case after(now, c.EndsAt):
			return Concluded
		}
	case Completed:
		if after(now, e.AccessEndsAt) || after(now, c.EndsAt) {
			return Concluded
		}
	}
	return e.State
}

func before(now time.Time, bound *time.Time) bool { return bound != nil && now.Before(*bound) }
func after(now time.Time, bound *time.Time) bool  { return bound != nil && now.After(*bound) }

// Until is when the right to change something ends: the earliest of enrollment,
// entitlement and course (rule 28); nil is never.
func (e Enrollment) Until(c Course) *time.Time { return earliest(e.AccessEndsAt, c.EndsAt) }

func earliest(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.Before(*a) {
		return b
	}
	return a
}
