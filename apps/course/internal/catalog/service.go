package catalog

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// Service is everything that can be done with courses.
type Service struct {
	Store      Store
	Authz      authz.Source
	People     People
	Membership Membership
	Text       Text
	Views      *Views
	Now        func() time.Time
	NewID      func() uuid.UUID
}

func (s *Service) maker() Maker { return Maker{NewID: s.NewID, Now: s.Now()} }

// inTx runs a command once per idempotency key; what it gives back is kept as the
// answer.
func inTx[T any](ctx context.Context, s *Service, sc work.Scope, fn func(context.Context, Tx) (T, error)) (out T, err error) {
	err = s.Store.InTx(ctx, sc, func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &out, func() error {
			var err error
			out, err = fn(ctx, tx)
			return err
		})
	})
	return out, err
}

// CourseView is a course as one caller sees it.
type CourseView struct {
	Course
	// StaffRole is the caller's role in the course, or "".
	StaffRole string
	// Public says that everybody sees the same.
	Public bool
	// Staff says that the caller sees what is not published.
	Staff bool
}

// Course is a course that the caller may know of; any other is NotFound.
func (s *Service) Course(ctx context.Context, actor authz.Principal, id uuid.UUID) (CourseView, error) {
	c, role, err := s.Store.CourseFor(ctx, id, actor.UserID)
	if err != nil {
		return CourseView{}, err
	}
	seen, err := s.sees(ctx, actor, c.head(role))
	if err != nil {
		return CourseView{}, err
	}
	if !seen.staff {
		s.Views.Note(View{CourseID: c.ID, TenantID: c.TenantID, OrgUnitID: c.OrgUnitID, UserID: actor.UserID, ViewedAt: s.Now()})
	}
	return CourseView{Course: c, StaffRole: role, Public: seen.public, Staff: seen.staff}, nil
}

// sight is how a caller came to see a course.
type sight struct {
	staff  bool // sees drafts too
	public bool // as everybody does
}

// sees decides whether the caller may know of the course: its staff, holders of
// course:read in its org unit, everyone that its visibility names while it is published, and those who
// are enrolled while it is published or archived. Otherwise it is NotFound.
func (s *Service) sees(ctx context.Context, actor authz.Principal, h Head) (sight, error) {
	open := h.Status == events.CoursePublished && h.Visibility == events.VisibilityPublic
	if actor.Anonymous() {
		if open {
			return sight{public: true}, nil
		}
		return sight{}, apperr.NotFound("course")
	}
	policy, err := s.Authz.Policy(ctx)
	if err != nil {
		return sight{}, err
	}
	switch {
	case h.StaffRole != "" || policy.Allows(actor, authz.CourseRead, h.OrgUnitID):
		return sight{staff: true}, nil
	case open:
		return sight{public: true}, nil
	case h.Status == events.CourseDraft:
		return sight{}, apperr.NotFound("course")
	case h.Status == events.CoursePublished && h.Visibility == events.VisibilityOrganisation && actor.TenantID == h.TenantID:
		return sight{}, nil
	}
	verdict, err := s.Membership.May(ctx, actor.UserID, h.ID, nil)
	if err != nil {
		return sight{}, err
	}
	if !verdict.Allowed {
		return sight{}, apperr.NotFound("course")
	}
	return sight{}, nil
}

// allowed decides whether the caller may do something in a course: 404 for who may
// not know of it, 403 for who may not do it. The transaction of the change decides
// again (lock), since the staff can change in between.
func (s *Service) allowed(ctx context.Context, actor authz.Principal, id uuid.UUID, perm authz.Permission) (*authz.Policy, Head, error) {
	policy, err := s.Authz.Policy(ctx)
	if err != nil {
		return nil, Head{}, err
	}
	var h Head
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		h, err = tx.Head(ctx, id, actor.UserID)
		return err
	})
	if err != nil {
		return nil, Head{}, err
	}
	if policy.AllowsInCourse(actor, perm, h.OrgUnitID, h.StaffRole) {
		return policy, h, nil
	}
	if _, err := s.sees(ctx, actor, h); err != nil {
		return nil, Head{}, err
	}
	return nil, Head{}, apperr.Forbidden("This needs the permission " + string(perm) + " in the course.")
}

// allowedIn decides about an org unit: NotFound for one outside of the caller's reach.
func (s *Service) allowedIn(ctx context.Context, actor authz.Principal, unit uuid.UUID, perm authz.Permission) (*authz.Policy, uuid.UUID, error) {
	policy, err := authz.Knowing(ctx, s.Authz, actor, unit)
	if err != nil {
		return nil, uuid.Nil, err
	}
	tenant, ok := policy.Tenant(unit)
	if !ok || tenant != actor.TenantID && !policy.Allows(actor, perm, unit) {
		return nil, uuid.Nil, apperr.NotFound("org unit")
	}
	if !policy.Allows(actor, perm, unit) {
		return nil, uuid.Nil, apperr.Forbidden("This needs the permission " + string(perm) + " in the org unit.")
	}
	return policy, tenant, nil
}

// lock reads the course for a change and decides again.
func (s *Service) lock(ctx context.Context, tx Tx, policy *authz.Policy, actor authz.Principal, id uuid.UUID, perm authz.Permission) (Course, error) {
	c, role, err := tx.LockCourse(ctx, id, actor.UserID)
	if err != nil {
		return Course{}, err
	}
	if !policy.AllowsInCourse(actor, perm, c.OrgUnitID, role) {
		return Course{}, apperr.Forbidden("This needs the permission " + string(perm) + " in the course.")
	}
	c.OrgUnitPath = pathOf(policy, c.OrgUnitID, c.OrgUnitPath)
	return c, nil
}

// pathOf runs from the root to the unit; a unit that the policy does not know
// keeps the path that was known before.
func pathOf(policy *authz.Policy, unit uuid.UUID, known []uuid.UUID) []uuid.UUID {
	path := policy.Ancestors(unit)
	if len(path) == 0 {
		return known
	}
	slices.Reverse(path)
	return path
}

// emit tells a course event with the whole snapshot.
func (s *Service) emit(ctx context.Context, tx Tx, c Course, event func(events.CourseState) events.Event) error {
	staff, err := tx.Staff(ctx, c.ID)
	if err != nil {
		return err
	}
	return tx.Emit(ctx, event(c.State(staff)), c.meta())
}

func checkVersion(want *int64, have int64) error {
	if want != nil && *want != have {
		return apperr.VersionMismatch()
	}
	return nil
}
