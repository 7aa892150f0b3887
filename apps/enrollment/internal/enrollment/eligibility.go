package enrollment

import (
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/contracts/events"
)

// Standing is all that decides whether and how a person gets into a course.
type Standing struct {
	Course   Course
	Existing *Enrollment // rule 31: the one row, if there is one
	Seats    Seats
	// Held is the person's own live hold: its seat is counted as taken.
	Held *Hold
	// Missing are prerequisite courses that the person has not completed.
	Missing []uuid.UUID
	// Entitlement is the best valid one.
	Entitlement *Entitlement
	// Person is set when user said something of the person.
	Person *Person
	// StaffRole is the role that the person has in the course.
	StaffRole string
}

// Entry is how somebody comes in.
type Entry struct {
	Source string
	// Waive leaves a check out; only staff can.
	WaivePrerequisites bool
	WaiveEntitlement   bool
	// NoWaitlist wants a seat or nothing.
	NoWaitlist bool
}

// bySelf says that the person acts alone, so that the course's mode counts.
func (e Entry) bySelf() bool { return e.Source == SourceSelf }

// byStaff says that staff act, who need not heed window, mode and visibility.
func (e Entry) byStaff() bool { return e.Source == SourceStaff || e.Source == SourceImport }

// Errors that clients branch on (api.md).
var (
	errAlreadyEnrolled = apperr.Conflict("already_enrolled", "The person is in the course already.")
	errWindowClosed    = apperr.Conflict("window_closed", "Enrollment is not open now.")
	errPrerequisite    = apperr.Conflict("prerequisite_missing", "Other courses must be completed first.")
	errCourseFull      = apperr.Conflict("course_full", "The course has no free seat.")
	errEntitlement     = apperr.New(apperr.KindPaymentRequired, "entitlement_required", "The course must be paid for first.")
	errInvitation      = apperr.New(apperr.KindForbidden, "invitation_required", "One gets into this course by invitation only.")
	errNotPublished    = apperr.Conflict("course_unavailable", "The course is not published.")
	errPersonInactive  = apperr.Conflict("person_inactive", "The account of the person is not active.")
	errSuspended       = apperr.Conflict("already_enrolled", "The enrollment is suspended.")
)

// Check runs every check but the seats (rules 30–32): published, window,
// prerequisites, entitlement; promotion runs the same. It does not look at the
// mode of the course.
func (s Standing) Check(e Entry, now time.Time) error {
	switch {
	case s.Person != nil && s.Person.Status != PersonActive:
		return errPersonInactive
	case s.Course.Deleted || s.Course.Status == events.CourseArchived:
		return errNotPublished
	case !s.Course.Published() && !e.byStaff():
		return errNotPublished
	case !e.byStaff() && !s.Course.WindowOpen(now), after(now, s.Course.EndsAt):
		return windowClosed(s.Course)
	case len(s.Missing) > 0 && !e.WaivePrerequisites:
		return errPrerequisite.Detail("courses", s.Missing)
	}
	return nil
}

func windowClosed(c Course) error {
	err := errWindowClosed
	if c.EnrollmentOpensAt != nil {
		err = err.Detail("opens_at", *c.EnrollmentOpensAt)
	}
	if c.EnrollmentClosesAt != nil {
		err = err.Detail("closes_at", *c.EnrollmentClosesAt)
	}
	return err
}

// NeedsPayment says whether the course has a price that nobody paid or waived.
func (s Standing) NeedsPayment(waived bool) bool {
	return s.Course.RequiresEntitlement && s.Entitlement == nil && !waived
}

// Enter decides the state in which a person comes in, or why not.
func (s Standing) Enter(e Entry, now time.Time) (State, error) {
	if err := s.again(e); err != nil {
		return "", err
	}
	if err := s.Check(e, now); err != nil {
		return "", err
	}
	if e.bySelf() {
		switch s.Course.EnrollmentMode {
		case events.EnrollmentInviteOnly:
			return "", errInvitation
		case events.EnrollmentApproval:
			return Requested, nil
		}
	}
	return s.Seat(e)
}

// again says whether the existing row lets the person come in (rule 31).
func (s Standing) again(e Entry) error {
	if s.Existing == nil || s.Existing.State.Ended() {
		return nil
	}
	switch s.Existing.State {
	case Suspended:
		return errSuspended.Detail("enrollment_id", s.Existing.ID).Detail("state", string(s.Existing.State))
	case Invited, Requested:
		if !e.bySelf() { // staff, a code or a payment overtake the queue
			return nil
		}
	case Offered, Waitlisted:
		if e.Source == SourcePayment {
			return nil
		}
	}
	return errAlreadyEnrolled.Detail("enrollment_id", s.Existing.ID).Detail("state", string(s.Existing.State))
}

// Seat decides what the seats allow (rule 32). Who waits goes first: a free seat
// is not for newcomers while there is a waiting list. A held or offered seat is
// the person's own.
func (s Standing) Seat(e Entry) (State, error) {
	pay := s.NeedsPayment(e.WaiveEntitlement)
	own := s.Held != nil || s.Existing != nil && s.Existing.State == Offered
	if own || !s.Seats.Limited || s.Seats.Free() > 0 && s.Seats.Waiting == 0 {
		if pay {
			return "", errEntitlement.Detail("course_id", s.Course.ID)
		}
		return Active, nil
	}
	if e.NoWaitlist || !s.Course.WaitlistEnabled {
		return "", errCourseFull
	}
	return Waitlisted, nil
}

// Promote decides what a person from the waiting list gets when a seat is free:
// the seat, or in a priced course an offer of it (rule 35). The checks are those
// of enrolling (rule 32); staff's waivers stand.
func (s Standing) Promote(now time.Time) (State, error) {
	e := Entry{Source: s.Existing.Source, WaivePrerequisites: s.Existing.WaivedPrerequisites}
	if err := s.Check(e, now); err != nil {
		return "", err
	}
	if s.NeedsPayment(s.Existing.WaivedEntitlement) {
		return Offered, nil
	}
	return Active, nil
}
