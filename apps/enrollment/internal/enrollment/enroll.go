package enrollment

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/enrollment/internal/progress"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// Waivers that staff can give.
const (
	WaivePrerequisites = "prerequisites"
	WaiveEntitlement   = "entitlement"
)

// NewEnrollment asks for a place in a course: for oneself, or by staff for
// another person.
type NewEnrollment struct {
	CourseID uuid.UUID
	UserID   uuid.UUID // uuid.Nil: the caller
	// NoWaitlist wants a seat or 409 course_full.
	NoWaitlist bool

	// The rest is for staff only.
	Invite         bool // the person is asked first
	InviteUntil    *time.Time
	Waive          []string
	StartsAt       *time.Time
	EndsAt         *time.Time
	ExternalSource string
	ExternalID     string

	source string // of an import
}

// Result is an enrollment after a command, as it was at that moment.
type Result struct {
	Enrollment Enrollment
	Effective  State
	// Position on the waiting list, from 1.
	Position int `json:",omitempty"`
	// Created: there was no row before (201, else 200).
	Created bool `json:",omitempty"`
}

func result(e Enrollment, c Course, now time.Time) Result {
	return Result{Enrollment: e, Effective: e.Effective(c, now)}
}

// Enroll brings a person into a course: at once, onto the waiting list, or as a
// request, as the course and its seats have it (rules 30–32).
func (s *Service) Enroll(ctx context.Context, actor authz.Principal, in NewEnrollment) (r Result, err error) {
	if in.UserID == uuid.Nil {
		in.UserID = actor.UserID
	}
	self := in.UserID == actor.UserID
	if err := in.validate(self, s.Now()); err != nil {
		return r, err
	}
	var card Card
	if !self {
		if card, err = s.person(ctx, in.UserID); err != nil {
			return r, err
		}
	}
	err = s.withCourse(ctx, in.CourseID, func(doubt func(error) error) error {
		return s.Store.InTx(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
			return tx.Once(ctx, &r, func() error {
				r, err = s.enroll(ctx, tx, actor, in, card, self)
				return doubt(err)
			})
		})
	})
	return r, err
}

func (in NewEnrollment) validate(self bool, now time.Time) error {
	var f apperr.Fields
	f.Require(in.StartsAt == nil || in.EndsAt == nil || !in.EndsAt.Before(*in.StartsAt), "ends_at", "before_start", "must not be before starts_at")
	f.Require(in.EndsAt == nil || in.EndsAt.After(now), "ends_at", "in_the_past", "must be in the future")
	f.Require(in.InviteUntil == nil || in.InviteUntil.After(now), "invite_until", "in_the_past", "must be in the future")
	f.Require((in.ExternalID == "") == (in.ExternalSource == ""), "external_id", "incomplete", "external_id and external_source belong together")
	for i, w := range in.Waive {
		f.Require(w == WaivePrerequisites || w == WaiveEntitlement, indexed("waive", i), "unknown", "is prerequisites or entitlement")
	}
	if self {
		f.Require(!in.Invite && len(in.Waive) == 0 && in.StartsAt == nil && in.EndsAt == nil && in.ExternalID == "" && in.InviteUntil == nil,
			"user_id", "staff_only", "waivers, dates, external ids and invitations are for staff who enroll others")
	}
	return f.Err()
}

// person finds somebody to be enrolled by another.
func (s *Service) person(ctx context.Context, id uuid.UUID) (Card, error) {
	cards, err := s.People.Cards(ctx, []uuid.UUID{id})
	if err != nil {
		return Card{}, err
	}
	card, ok := cards[id]
	if !ok {
		return Card{}, apperr.Invalid(apperr.Field{Path: "user_id", Code: "unknown", Message: "no such person"})
	}
	return card, nil
}

func (s *Service) enroll(ctx context.Context, tx Tx, actor authz.Principal, in NewEnrollment, card Card, self bool) (Result, error) {
	now := s.Now()
	st, err := tx.Standing(ctx, in.CourseID, in.UserID, now)
	if err != nil {
		return Result{}, err
	}
	entry := Entry{Source: SourceSelf, NoWaitlist: in.NoWaitlist}
	if self {
		if err := s.visibleTo(ctx, actor, st); err != nil {
			return Result{}, err
		}
	} else {
		_, role, err := tx.Course(ctx, in.CourseID, actor.UserID)
		if err != nil {
			return Result{}, err
		}
		if err := s.may(ctx, actor, authz.EnrollmentCreate, st.Course, role); err != nil {
			return Result{}, err
		}
		if card.TenantID != st.Course.TenantID {
			return Result{}, apperr.Invalid(apperr.Field{Path: "user_id", Code: "unknown", Message: "no such person"})
		}
		entry.Source = SourceStaff
		if in.source != "" {
			entry.Source = in.source
		}
		for _, w := range in.Waive {
			entry.WaivePrerequisites = entry.WaivePrerequisites || w == WaivePrerequisites
			entry.WaiveEntitlement = entry.WaiveEntitlement || w == WaiveEntitlement
		}
	}
	state, err := st.Enter(entry, now)
	if in.Invite && (err == nil || apperr.Code(err) == errEntitlement.Code || apperr.Code(err) == errCourseFull.Code) {
		state, err = Invited, nil // the seat and the payment are looked at when the person accepts
	}
	if err != nil {
		return Result{}, err
	}
	e := s.row(st, in.UserID, now)
	previous := e.State
	e.Source, e.WaivedPrerequisites, e.WaivedEntitlement = entry.Source, entry.WaivePrerequisites, entry.WaiveEntitlement
	e.StartsAt, e.EndsAt = in.StartsAt, in.EndsAt
	e.Entitle(st.Entitlement)
	if in.ExternalID != "" {
		e.ExternalSource, e.ExternalID = in.ExternalSource, in.ExternalID
	}
	if state == Invited {
		until := now.Add(s.Settings.InviteFor)
		if in.InviteUntil != nil {
			until = *in.InviteUntil
		}
		e.AnswerBy = &until
	}
	if err := s.arrive(ctx, tx, &st, &e, state, arrival{now: now}); err != nil {
		return Result{}, err
	}
	return s.arrived(ctx, tx, &st, e, "enrollment.create", previous, now)
}

// arrived ends a command that brought somebody in: the audit trail, who can be
// promoted now, what the catalogue shows, and the answer.
func (s *Service) arrived(ctx context.Context, tx Tx, st *Standing, e Enrollment, action string, previous State, now time.Time) (Result, error) {
	if err := s.audit(ctx, tx, action, e, st.Course, stateChange(previous, e.State)); err != nil {
		return Result{}, err
	}
	promoted, err := s.fill(ctx, tx, st.Course, &st.Seats, now)
	if err != nil {
		return Result{}, err
	}
	if p, ok := promoted[e.ID]; ok {
		e = p
	}
	r := result(e, st.Course, now)
	r.Created = st.Existing == nil
	if e.State == Waitlisted {
		r.Position = st.Seats.Waiting
	}
	return r, nil
}

// visibleTo says whether somebody who enrolls alone may know of the course.
func (s *Service) visibleTo(ctx context.Context, actor authz.Principal, st Standing) error {
	if st.Existing != nil && st.Course.Published() {
		return nil
	}
	policy, err := s.Authz.Policy(ctx)
	if err != nil {
		return err
	}
	if !knows(policy, actor, st.Course, st.StaffRole) {
		return apperr.NotFound("course")
	}
	return nil
}

// row is the person's row: the one that there is (rule 31), or a new one. Who was
// out begins without the dates and waivers of before.
func (s *Service) row(st Standing, user uuid.UUID, now time.Time) Enrollment {
	if st.Existing != nil {
		e := *st.Existing
		if e.State.Ended() {
			e.StartsAt, e.ExpiryToldAt, e.WaivedPrerequisites, e.WaivedEntitlement = nil, nil, false, false
			e.EndsAt = nil
			e.Entitle(nil)
		}
		return e
	}
	return Enrollment{
		ID: s.NewID(), TenantID: st.Course.TenantID, CourseID: st.Course.ID, UserID: user,
		CreatedAt: now, UpdatedAt: now, StateChangedAt: now, Version: 1,
	}
}

// arrival says how somebody comes into a state.
type arrival struct {
	now      time.Time
	promoted bool
	approved bool
}

// arrive puts a person into the state that was decided, stores the row and tells
// it. Seats of st are kept true.
func (s *Service) arrive(ctx context.Context, tx Tx, st *Standing, e *Enrollment, state State, a arrival) error {
	was, fresh := *e, st.Existing == nil
	previous := was.State
	number := e.WaitlistNumber
	if state == Active && e.CompletedAt != nil {
		state = Completed // rule 13: it stays completed; rule 31: with its progress
	}
	if err := e.move(state, a.now); err != nil {
		return err
	}
	var begun *begun
	switch state {
	case Waitlisted:
		n, err := tx.DrawNumber(ctx, e.CourseID)
		if err != nil {
			return err
		}
		e.WaitlistNumber = &n
	case Offered:
		until := a.now.Add(s.Settings.OfferFor)
		e.AnswerBy = &until
	case Active, Completed:
		if e.ActivatedAt == nil {
			e.ActivatedAt = &a.now
		}
		b, err := s.begin(ctx, tx, e, st.Course, fresh, a.now)
		if err != nil {
			return err
		}
		begun = b
	}
	st.count(was, *e, a.now)
	if err := save(ctx, tx, e, fresh, begun); err != nil {
		return err
	}
	if err := s.tellArrival(ctx, tx, st.Course, *e, previous, number, a); err != nil || begun == nil {
		return err
	}
	return s.tellStep(ctx, tx, &begun.learner, begun.step, a.now)
}

// begun is the progress of somebody who comes in.
type begun struct {
	learner Learner
	step    step
}

// begin evaluates it: what asks for nothing is completed at once (rule 2), and
// what was done before counts (rule 31).
func (s *Service) begin(ctx context.Context, tx Tx, e *Enrollment, c Course, fresh bool, now time.Time) (*begun, error) {
	b := begun{learner: Learner{Record: progress.NewRecord()}}
	if !fresh {
		stored, err := tx.LockLearner(ctx, e.CourseID, e.UserID)
		if err != nil {
			return nil, err
		}
		b.learner = stored
	}
	b.learner.Enrollment, b.learner.Course = *e, c
	var err error
	if b.step, err = s.step(ctx, tx, &b.learner, nil, now); err != nil {
		return nil, err
	}
	*e = b.learner.Enrollment
	return &b, nil
}

// save writes the row, and with it the progress that begins.
func save(ctx context.Context, tx Tx, e *Enrollment, fresh bool, b *begun) error {
	var rows ProgressSave
	if b != nil {
		rows = b.step.save
	}
	rows.Enrollment = nil
	if fresh {
		if err := tx.InsertEnrollment(ctx, *e); err != nil {
			return err
		}
	} else if err := tx.UpdateEnrollment(ctx, e); err != nil {
		return err
	}
	if rows.empty() {
		return nil
	}
	return tx.SaveProgress(ctx, []ProgressSave{rows})
}

// count keeps the seats true after a person moved between states.
func (st *Standing) count(was, is Enrollment, now time.Time) {
	from, to := was.State, is.State
	had, has := was.takesSeat(now) || st.Held != nil, is.takesSeat(now) || st.Held != nil
	switch {
	case has && !had:
		st.Seats.Taken++
	case had && !has:
		st.Seats.Taken--
	}
	if to == Waitlisted && from != Waitlisted {
		st.Seats.Waiting++
	}
	if from == Waitlisted && to != Waitlisted {
		st.Seats.Waiting--
	}
}

// move makes the step of the state machine (rule 30).
func (e *Enrollment) move(next State, now time.Time) error {
	if !e.State.CanBecome(next) {
		return apperr.Conflict("invalid_state", "The enrollment is "+string(e.State)+".").Detail("state", string(e.State))
	}
	if next != Waitlisted {
		e.WaitlistNumber = nil
	}
	if next != Invited && next != Offered {
		e.AnswerBy = nil
	}
	e.State, e.Reason, e.StateChangedAt, e.UpdatedAt = next, "", now, now
	return nil
}

func (s *Service) tellArrival(ctx context.Context, tx Tx, c Course, e Enrollment, previous State, number *int64, a arrival) error {
	state := snapshot(e, c, previous, a.now)
	var told []events.Event
	if a.approved {
		told = append(told, events.EnrollmentApproved{EnrollmentState: state})
	}
	if a.promoted && number != nil {
		told = append(told, events.EnrollmentPromoted{EnrollmentState: state, Number: *number})
	}
	switch e.State {
	case Invited:
		told = append(told, events.EnrollmentInvited{EnrollmentState: state, ExpiresAt: e.AnswerBy})
	case Requested:
		told = append(told, events.EnrollmentRequested{EnrollmentState: state})
	case Waitlisted:
		told = append(told, events.EnrollmentWaitlisted{EnrollmentState: state, Number: *e.WaitlistNumber})
	case Offered:
		told = append(told, events.EnrollmentOffered{EnrollmentState: state, ExpiresAt: *e.AnswerBy, CheckoutURL: s.CheckoutURL(c.ID)})
	case Active, Completed:
		told = append(told, events.EnrollmentActivated{EnrollmentState: state, Again: previous.Ended()})
	}
	for _, ev := range told {
		if err := tx.Emit(ctx, ev, meta(c)); err != nil {
			return err
		}
	}
	return nil
}

// CheckoutURL is where a person pays for an offered seat.
func (s *Service) CheckoutURL(course uuid.UUID) string {
	return s.Settings.CheckoutURL + "?course_id=" + course.String()
}

// tellSeats tells course when what its catalogue shows has changed.
func (s *Service) tellSeats(ctx context.Context, tx Tx, c Course, seats Seats) error {
	state := seats.State()
	if state == c.SeatsState {
		return nil
	}
	if err := tx.SetSeatsState(ctx, c.ID, state); err != nil {
		return err
	}
	_, err := tx.Call(ctx, work.Call{
		To: "course", Name: "seats-state", Key: c.ID.String(), TenantID: c.TenantID,
		Body: seatsState{CourseID: c.ID, State: state},
	})
	return err
}

// seatsState is the body of the reliable call seats-state, as course reads it.
type seatsState struct {
	CourseID uuid.UUID `json:"course_id"`
	State    string    `json:"state"`
}
