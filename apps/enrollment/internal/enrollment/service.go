package enrollment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// Settings that an operator can change.
type Settings struct {
	// PublicURL is where clients reach the gateway, without a slash at the end.
	PublicURL string
	// CheckoutURL is where an offer is paid for; course_id is added to its query.
	CheckoutURL string
	// OfferFor is how long an offered seat is kept (rule 35).
	OfferFor time.Duration
	// InviteFor is how long an invitation stands unless staff say otherwise.
	InviteFor time.Duration
	// HoldFor is the longest that a checkout may hold a seat.
	HoldFor time.Duration
	// NoticeBefore is how long before its end an enrollment is said to expire.
	NoticeBefore time.Duration
}

// Service is the use cases of enrollment.
type Service struct {
	Store     Store
	Authz     authz.Source
	Courses   CourseSource
	People    Directory
	Curricula *Curricula
	Settings  Settings
	Now       func() time.Time
	NewID     func() uuid.UUID
	Random    io.Reader

	asked sync.Map // course id → the last *question to course
}

const (
	// askAgainAfter is how long the answer of course about one course is enough.
	askAgainAfter = time.Second
	// askLimit bounds the question and the storing of its answer.
	askLimit = 5 * time.Second
)

// staleCopy says that the refusal rests on a copy of the course that may be old:
// course is asked once, then it is decided. It deliberately hides its cause from
// errors.As, so that the refusal is not kept as the answer to an idempotency key.
type staleCopy struct{ refusal error }

func (s *staleCopy) Error() string { return "the copy of the course may be old: " + s.refusal.Error() }

// withCourse runs fn, and once more after asking course when fn found the course
// unknown or closed (correctness.md, Asking): publish-then-enroll works at once
// and during an outage of the broker.
func (s *Service) withCourse(ctx context.Context, id uuid.UUID, fn func(doubt func(error) error) error) error {
	began := s.Now()
	var stale *staleCopy
	err := fn(func(err error) error {
		if closed(err) {
			return &staleCopy{err}
		}
		return err
	})
	if !errors.As(err, &stale) {
		return err
	}
	news, err := s.refresh(ctx, id, began)
	switch {
	case err != nil && apperr.Code(stale.refusal) == "not_found":
		// Nobody knows whether there is such a course: a client would believe a 404.
		return apperr.Unavailable("course_unknown", "Whether there is such a course cannot be told at the moment. Try again.").With(err)
	case !news:
		return stale.refusal
	}
	return fn(func(err error) error { return err })
}

func closed(err error) bool { return err != nil && closedCode(apperr.Code(err)) }

func closedCode(code string) bool {
	return code == "not_found" || code == errNotPublished.Code || code == errWindowClosed.Code
}

// RefusedByCopy says that a refusal rests on what is copied of the course, which may be
// older than what course knows.
func (h Held) RefusedByCopy() bool { return closedCode(h.Code) }

// RefusedByCopy says the same of an entitlement.
func (e Entitled) RefusedByCopy() bool { return closedCode(e.Code) }

// LookAtCourse brings the copy of a course up to date by asking course, for a caller
// that began at a time. A course that there is not is no error.
func (s *Service) LookAtCourse(ctx context.Context, id uuid.UUID, began time.Time) error {
	_, err := s.refresh(ctx, id, began)
	return err
}

// question is one look at course for a course. news and err may be read once
// done is closed.
type question struct {
	done    chan struct{}
	asked   time.Time
	settled time.Time
	news    bool // the copy was stored anew
	err     error
}

func (q *question) answered() bool {
	select {
	case <-q.done:
		return true
	default:
		return false
	}
}

// refresh reads a course from course and stores it by its seq. One question is
// asked at a time, and its answer serves all who wait for it. False means that
// the copy is as good as it gets: it was fresh when the caller began, or there is
// no such course. An error means that course does not answer.
func (s *Service) refresh(ctx context.Context, id uuid.UUID, began time.Time) (bool, error) {
	mine := &question{done: make(chan struct{}), asked: s.Now()}
	s.forgetAsked(mine.asked)
	for {
		other, busy := s.asked.LoadOrStore(id, mine)
		if !busy {
			s.ask(ctx, id, mine)
			return mine.news, mine.err
		}
		q := other.(*question) //nolint:forcetypeassert // only questions are stored
		early := !q.answered()
		select {
		case <-q.done:
		case <-ctx.Done():
			return false, fmt.Errorf("wait for course: %w", ctx.Err())
		}
		if q.err != nil && early {
			return false, q.err
		}
		if q.err == nil && mine.asked.Sub(q.asked) < askAgainAfter {
			return q.news && !q.settled.Before(began), nil
		}
		s.asked.CompareAndDelete(id, q)
	}
}

// ask settles a question. No answer is not remembered: who comes next asks anew.
func (s *Service) ask(ctx context.Context, id uuid.UUID, q *question) {
	defer close(q.done)
	q.news, q.err = s.fetch(context.WithoutCancel(ctx), id) // others wait for it too
	q.settled = s.Now()
}

func (s *Service) fetch(ctx context.Context, id uuid.UUID) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	course, curriculum, err := s.Courses.Course(ctx, id)
	if err != nil || course == nil {
		return false, err
	}
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		if err := s.ApplyCourses(ctx, tx, []CourseSnapshot{*course}); err != nil {
			return err
		}
		if curriculum == nil {
			return nil
		}
		return s.ApplyCurricula(ctx, tx, []CurriculumSnapshot{*curriculum})
	})
	return err == nil, err
}

// forgetAsked keeps the memory of questions bounded by their age.
func (s *Service) forgetAsked(now time.Time) {
	s.asked.Range(func(id, v any) bool {
		if q := v.(*question); q.answered() && now.Sub(q.asked) >= askAgainAfter { //nolint:forcetypeassert // only questions are stored
			s.asked.CompareAndDelete(id, q)
		}
		return true
	})
}

// may says whether the caller holds a permission in a course: 404 for who may
// not even know of it, 403 for who may see but not act.
func (s *Service) may(ctx context.Context, actor authz.Principal, perm authz.Permission, c Course, staffRole string) error {
	policy, err := s.Authz.Policy(ctx)
	if err != nil {
		return err
	}
	if policy.AllowsInCourse(actor, perm, c.OrgUnitID, staffRole) {
		return nil
	}
	if knows(policy, actor, c, staffRole) {
		return apperr.Forbidden("You may not do this in the course.").Detail("permission", perm)
	}
	return apperr.NotFound("course")
}

// knows says whether the caller may know of the course without being enrolled.
func knows(policy *authz.Policy, actor authz.Principal, c Course, staffRole string) bool {
	switch {
	case staffRole != "", policy.AllowsInCourse(actor, authz.CourseRead, c.OrgUnitID, staffRole):
		return true
	case !c.Published():
		return false
	}
	return c.Visibility == events.VisibilityPublic || c.Visibility == events.VisibilityOrganisation && actor.TenantID == c.TenantID
}

// meta places an event of a course.
func meta(c Course) work.Meta {
	return work.Meta{TenantID: c.TenantID, OrgUnitID: c.OrgUnitID, CourseID: c.ID}
}

// audit notes what a person did with an enrollment; what the system does by
// itself is told by events.
func (s *Service) audit(ctx context.Context, tx Tx, action string, e Enrollment, c Course, changes map[string]work.Change) error {
	if work.ActorFrom(ctx).Principal.UserID == uuid.Nil {
		return nil
	}
	return tx.Audit(ctx, work.AuditEntry{
		Action: action, ResourceType: "enrollment", ResourceID: e.ID, TenantID: e.TenantID, OrgUnitID: c.OrgUnitID, Changes: changes,
	})
}

func stateChange(from, to State) map[string]work.Change {
	return map[string]work.Change{"state": {From: string(from), To: string(to)}}
}

// snapshot is the enrollment as events tell it.
func snapshot(e Enrollment, c Course, previous State, now time.Time) events.EnrollmentState {
	return events.EnrollmentState{
		EnrollmentID: e.ID, TenantID: e.TenantID, OrgUnitID: c.OrgUnitID, CourseID: c.ID, CourseCode: c.Code, CourseTitle: c.Title,
		UserID: e.UserID, State: string(e.State), PreviousState: string(previous), Source: e.Source,
		StartsAt: e.StartsAt, EndsAt: e.AccessEndsAt, Required: e.Required, Met: e.Met, CompletedAt: e.CompletedAt, At: now,
	}
}
