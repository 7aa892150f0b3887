package enrollment

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"lms/apps/enrollment/internal/progress"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/page"
	"lms/shared/work"
)

// maySee: the person, or who may see the roster; anybody else must not know.
func (s *Service) maySee(ctx context.Context, actor authz.Principal, l Listed) error {
	if l.UserID == actor.UserID {
		return nil
	}
	policy, err := s.Authz.Policy(ctx)
	if err != nil {
		return err
	}
	if policy.AllowsInCourse(actor, authz.EnrollmentRead, l.Course.OrgUnitID, l.StaffRole) {
		return nil
	}
	return apperr.NotFound("enrollment")
}

// Get reads one enrollment.
func (s *Service) Get(ctx context.Context, actor authz.Principal, id uuid.UUID) (l Listed, err error) {
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		if l, err = tx.Get(ctx, id, actor.UserID); err != nil {
			return err
		}
		return s.maySee(ctx, actor, l)
	})
	return l, err
}

// Mine are the enrollments of the caller, or of another person as far as the
// caller may see them.
func (s *Service) Mine(ctx context.Context, actor authz.Principal, f MineFilter, p page.Request) (out page.Page[Listed], err error) {
	if f.UserID == uuid.Nil {
		f.UserID = actor.UserID
	}
	if f.UserID != actor.UserID {
		policy, err := s.Authz.Policy(ctx)
		if err != nil {
			return out, err
		}
		reach := policy.Reach(actor, authz.EnrollmentRead)
		f.Reach, f.Viewer = &reach, actor.UserID
	}
	out, err = s.Store.Mine(ctx, scopeOf(actor), f, p)
	if err != nil || f.Reach == nil {
		return out, err
	}
	return s.withoutForeign(ctx, actor, out)
}

// withoutForeign leaves out what the viewer's role in a course does not show.
func (s *Service) withoutForeign(ctx context.Context, actor authz.Principal, p page.Page[Listed]) (page.Page[Listed], error) {
	kept := p.Items[:0]
	for _, l := range p.Items {
		switch err := s.maySee(ctx, actor, l); {
		case err == nil:
			kept = append(kept, l)
		case !apperr.IsKind(err, apperr.KindNotFound):
			return p, err
		}
	}
	p.Items = kept
	return p, nil
}

// NextItem is what a learner can do next.
type NextItem struct {
	ID       uuid.UUID
	Title    string
	Kind     string
	ModuleID uuid.UUID
}

// NextItems finds, by enrollment, what its learner can do next. Where a date or a
// changed curriculum may have moved it, it is judged anew.
func (s *Service) NextItems(ctx context.Context, actor authz.Principal, list []Listed) (map[uuid.UUID]NextItem, error) {
	out := map[uuid.UUID]NextItem{}
	now := s.Now()
	var rest []Listed // what the database must be asked for
	for _, l := range list {
		if l.State.Learning() && (l.stale(now) || s.addNext(ctx, nil, l, now, out) != nil) {
			rest = append(rest, l)
		}
	}
	if len(rest) == 0 {
		return out, nil
	}
	err := s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		for _, l := range rest {
			if err := s.addNext(ctx, tx, l, now, out); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

func (s *Service) addNext(ctx context.Context, tx Tx, l Listed, now time.Time, out map[uuid.UUID]NextItem) error {
	next, err := s.nextItem(ctx, tx, l, now)
	if err == nil && next != nil {
		out[l.ID] = *next
	}
	return err
}

// stale says that the stored next item may not be the next one any more.
func (l Listed) stale(now time.Time) bool {
	return l.CurriculumSeq != l.Course.CurriculumSeq || l.NextChangeAt != nil && !now.Before(*l.NextChangeAt)
}

func (s *Service) nextItem(ctx context.Context, tx Tx, l Listed, now time.Time) (*NextItem, error) {
	if l.stale(now) {
		learner, err := tx.Learner(ctx, l.CourseID, l.UserID)
		if err != nil {
			return nil, err
		}
		v, err := s.view(ctx, tx, &learner, now)
		if err != nil || v.Next == nil {
			return nil, err
		}
		return nextOf(*v.Next), nil
	}
	if l.NextItemID == nil {
		return nil, nil //nolint:nilnil // nothing to do is an answer
	}
	c, err := s.Curricula.Get(ctx, tx, l.CourseID, l.CurriculumSeq)
	if err != nil || c == nil {
		return nil, err
	}
	it, ok := c.Item(*l.NextItemID)
	if !ok {
		return nil, nil //nolint:nilnil // nothing to do is an answer
	}
	return nextOf(it), nil
}

func nextOf(it progress.Item) *NextItem {
	return &NextItem{ID: it.ID, Title: it.Title, Kind: it.Kind, ModuleID: it.ModuleID}
}

// Progress is all that is known of one learner's way through a course.
type Progress struct {
	Enrollment Enrollment
	Course     Course
	Effective  State
	View       progress.View
	Facts      map[uuid.UUID]progress.Facts
}

// MyProgress is the caller's progress in a course: what was acknowledged before
// is in it.
func (s *Service) MyProgress(ctx context.Context, actor authz.Principal, course uuid.UUID) (out Progress, err error) {
	look, err := s.Store.Look(ctx, scopeOf(actor), course, actor.UserID)
	if err != nil {
		return out, err
	}
	if look.Learner == nil || !look.Course.Readable() {
		return out, apperr.NotFound("course")
	}
	return s.progressOf(ctx, scopeOf(actor), *look.Learner)
}

// ProgressOf is the progress of an enrollment, for the person and for staff.
func (s *Service) ProgressOf(ctx context.Context, actor authz.Principal, id uuid.UUID) (out Progress, err error) {
	var l Learner
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		listed, err := tx.Get(ctx, id, actor.UserID)
		if err != nil {
			return err
		}
		if listed.UserID != actor.UserID {
			err := s.may(ctx, actor, authz.ProgressRead, listed.Course, listed.StaffRole)
			if apperr.IsKind(err, apperr.KindForbidden) {
				err = apperr.NotFound("enrollment").With(err)
			}
			if err != nil {
				return err
			}
		}
		l, err = tx.Learner(ctx, listed.CourseID, listed.UserID)
		return err
	})
	if err != nil {
		return out, err
	}
	return s.progressOf(ctx, scopeOf(actor), l)
}

func (s *Service) progressOf(ctx context.Context, sc work.Scope, l Learner) (Progress, error) {
	now := s.Now()
	v, err := s.viewOf(ctx, sc, &l, now)
	if err != nil {
		return Progress{}, err
	}
	return Progress{
		Enrollment: l.Enrollment, Course: l.Course, Effective: l.Enrollment.Effective(l.Course, now),
		View: v, Facts: l.Record.Facts,
	}, nil
}

// viewOf is view, which needs the database only where a version of the curriculum
// is not at hand.
func (s *Service) viewOf(ctx context.Context, sc work.Scope, l *Learner, now time.Time) (v progress.View, err error) {
	if v, err = s.view(ctx, nil, l, now); !errors.Is(err, errNotAtHand) {
		return v, err
	}
	err = s.Store.Read(ctx, sc, func(ctx context.Context, tx Tx) error {
		v, err = s.view(ctx, tx, l, now)
		return err
	})
	return v, err
}

// Roster is a course's enrollments, for staff.
func (s *Service) Roster(ctx context.Context, actor authz.Principal, f RosterFilter, p page.Request) (out page.Page[Listed], err error) {
	err = s.inCourse(ctx, actor, f.CourseID, authz.EnrollmentRead, func(ctx context.Context, tx Tx, _ Course) error {
		out, err = tx.Roster(ctx, f, p)
		return err
	})
	return out, err
}

// ProgressReport is how far a course's learners are, for staff.
func (s *Service) ProgressReport(ctx context.Context, actor authz.Principal, f RosterFilter, p page.Request) (out page.Page[Listed], err error) {
	err = s.inCourse(ctx, actor, f.CourseID, authz.ProgressRead, func(ctx context.Context, tx Tx, _ Course) error {
		out, err = tx.Roster(ctx, f, p)
		return err
	})
	return out, err
}

// Summarize is a course in numbers, with its modules by id.
func (s *Service) Summarize(ctx context.Context, actor authz.Principal, course uuid.UUID) (sum Summary, c *progress.Curriculum, err error) {
	err = s.inCourse(ctx, actor, course, authz.ProgressRead, func(ctx context.Context, tx Tx, known Course) error {
		if sum, err = tx.Summary(ctx, course); err != nil {
			return err
		}
		c, err = s.Curricula.Get(ctx, tx, course, known.CurriculumSeq)
		return err
	})
	return sum, c, err
}

// Waitlist is who waits for a seat, in order (rule 32), for staff.
func (s *Service) Waitlist(ctx context.Context, actor authz.Principal, course uuid.UUID, p page.Request) (out page.Page[Listed], err error) {
	err = s.inCourse(ctx, actor, course, authz.EnrollmentRead, func(ctx context.Context, tx Tx, _ Course) error {
		out, err = tx.Waitlist(ctx, course, p)
		return err
	})
	return out, err
}

// Members is a page of a course's people, for other services.
func (s *Service) Members(ctx context.Context, course uuid.UUID, states []State, staff bool, after uuid.UUID, limit int) (out []Member, err error) {
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		out, err = tx.Members(ctx, course, states, staff, after, limit)
		return err
	})
	return out, err
}

// CoursesOf are the courses in which a person learns or teaches now, for other
// services.
func (s *Service) CoursesOf(ctx context.Context, user uuid.UUID) (out []Belonging, err error) {
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		out, err = tx.CoursesOf(ctx, user)
		return err
	})
	return out, err
}

// RefundFacts is what payment needs to know before a self-service refund (rule 33).
func (s *Service) RefundFacts(ctx context.Context, course, user uuid.UUID) (ever bool, starts *time.Time, err error) {
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		ever, starts, err = tx.RefundFacts(ctx, course, user)
		return err
	})
	return ever, starts, err
}

// EntitlementStanding is an entitlement as it is stored, with the person's enrollment
// in its course.
type EntitlementStanding struct {
	ID         uuid.UUID
	State      string
	ValidUntil *time.Time
	Enrollment string // its stored state, "" for none
	Waived     bool
}

// EntitlementStandings is what payment compares its own entitlements with.
func (s *Service) EntitlementStandings(ctx context.Context, ids []uuid.UUID) (out []EntitlementStanding, err error) {
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		out, err = tx.EntitlementStandings(ctx, ids)
		return err
	})
	return out, err
}

// Names of people for a list; while user is away the list is shown without.
func (s *Service) Names(ctx context.Context, list []Listed) map[uuid.UUID]Card {
	ids := make([]uuid.UUID, 0, len(list))
	for _, l := range list {
		ids = append(ids, l.UserID)
	}
	if len(ids) == 0 {
		return nil
	}
	cards, err := s.People.Cards(ctx, ids)
	if err != nil {
		return nil
	}
	return cards
}
