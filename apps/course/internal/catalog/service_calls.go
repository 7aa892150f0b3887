package catalog

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// What other services tell by reliable call. The transaction is the receiver's, so
// that the call is remembered and its effect stored in one commit.

// SeatsState stores what enrollment says about the seats of a course.
func (s *Service) SeatsState(ctx context.Context, tx Tx, course uuid.UUID, state string) ([]uuid.UUID, error) {
	if !slices.Contains([]string{events.SeatsOpen, events.SeatsFew, events.SeatsFull}, state) {
		return nil, apperr.Invalid(apperr.Field{Path: "state", Code: "enum", Message: "One of: open, few, full."})
	}
	return s.told(ctx, tx, course, "course.seats", func(c *Course) { c.Seats = state })
}

// PriceSummary stores what payment says about the price of a course.
func (s *Service) PriceSummary(ctx context.Context, tx Tx, course uuid.UUID, price *events.CoursePrice) ([]uuid.UUID, error) {
	return s.told(ctx, tx, course, "course.price", func(c *Course) { c.Price = price })
}

func (s *Service) told(ctx context.Context, tx Tx, course uuid.UUID, action string, set func(*Course)) ([]uuid.UUID, error) {
	c, _, err := tx.LockCourse(ctx, course, uuid.Nil)
	if err != nil {
		return nil, err
	}
	before := c
	set(&c)
	c, err = s.store(ctx, tx, before, c, action, updated)
	if err != nil || c.Version == before.Version {
		return nil, err
	}
	return []uuid.UUID{c.ID}, nil
}

// ResourceState stores what content or assignment says about a resource, and shows
// it in every curriculum that has it. A deleted resource leaves placeholders.
func (s *Service) ResourceState(ctx context.Context, tx Tx, r Resource) ([]uuid.UUID, error) {
	if !needsResource(r.Kind) {
		return nil, apperr.Invalid(apperr.Field{Path: "kind", Code: "enum", Message: "One of: content, quiz, assignment."})
	}
	old, known, err := tx.LockResource(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	if known && (old.TenantID != r.TenantID || old.Kind != r.Kind) {
		return nil, apperr.Invalid(apperr.Field{Path: "resource_id", Code: "fixed", Message: "A resource keeps its organisation and its kind."})
	}
	courses, err := tx.CoursesWith(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	var touched []uuid.UUID
	// The old state is still bound here; the new one is bound after it is stored.
	for _, id := range courses {
		c, _, err := tx.LockCourse(ctx, id, uuid.Nil)
		if apperr.IsKind(err, apperr.KindNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		before, err := tx.Curriculum(ctx, id)
		if err != nil {
			return nil, err
		}
		after := before.rebind(r)
		if r.Deleted {
			after = after.Detach(r.ID)
		}
		if len(Differences(before.View(0, true), after.View(0, true))) == 0 {
			continue
		}
		c, _, err = s.saveCurriculum(ctx, tx, c, before, after, "resource_state", uuid.Nil)
		if err != nil {
			return nil, err
		}
		if err := tx.Audit(ctx, c.audit("curriculum.resource_state", map[string]work.Change{"resource_id": {To: r.ID}})); err != nil {
			return nil, err
		}
		touched = append(touched, id)
	}
	return touched, tx.PutResource(ctx, r, s.Now())
}

func (c Curriculum) rebind(r Resource) Curriculum {
	out := c.Clone()
	for mi := range out.Modules {
		for ii := range out.Modules[mi].Items {
			if item := &out.Modules[mi].Items[ii]; item.ResourceID != nil && *item.ResourceID == r.ID {
				item.Resource = &r
			}
		}
	}
	return out
}

// Usages says where a resource is placed.
func (s *Service) Usages(ctx context.Context, resource uuid.UUID) (out []Usage, err error) {
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		out, err = tx.Usages(ctx, resource)
		return err
	})
	return out, err
}

// PersonStatus is applied to the staff rows of a person: an inactive one's role
// gives nothing, a merged one's goes to whom they were merged into.
func (s *Service) PersonStatus(ctx context.Context, tx Tx, user uuid.UUID, active bool, mergedInto *uuid.UUID) ([]uuid.UUID, error) {
	rows, err := tx.StaffOf(ctx, user)
	if err != nil {
		return nil, err
	}
	var touched []uuid.UUID
	for _, m := range rows {
		if mergedInto == nil && m.Active == active {
			continue
		}
		err := s.restaff(ctx, tx, m.CourseID, "course.staff_status", func(staff []StaffMember) (added, removed []StaffMember, err error) {
			if mergedInto == nil {
				m.Active = active
				return []StaffMember{m}, nil, tx.PutStaff(ctx, m)
			}
			removed = []StaffMember{m}
			if err := tx.DeleteStaff(ctx, m.CourseID, user); err != nil {
				return nil, nil, err
			}
			if slices.ContainsFunc(staff, func(x StaffMember) bool { return x.UserID == *mergedInto }) {
				return nil, removed, nil
			}
			heir := m
			heir.UserID, heir.Active = *mergedInto, true
			return []StaffMember{heir}, removed, tx.PutStaff(ctx, heir)
		})
		if err != nil {
			return nil, err
		}
		touched = append(touched, m.CourseID)
	}
	return touched, nil
}

// restaff changes the staff of a course and tells it; a deleted course's staff
// changes silently.
func (s *Service) restaff(ctx context.Context, tx Tx, course uuid.UUID, action string, fn func([]StaffMember) (added, removed []StaffMember, err error)) error {
	c, _, err := tx.LockCourse(ctx, course, uuid.Nil)
	gone := apperr.IsKind(err, apperr.KindNotFound)
	if err != nil && !gone {
		return err
	}
	staff, err := tx.Staff(ctx, course)
	if err != nil {
		return err
	}
	added, removed, err := fn(staff)
	if err != nil || gone {
		return err
	}
	if staff, err = tx.Staff(ctx, course); err != nil {
		return err
	}
	return s.staffChanged(ctx, tx, c, staff, added, removed, action, nil)
}

// Erased says what became of a person's data.
type Erased struct {
	StaffRoles int
	// Kept is the number of rows that stay under the pseudonym: announcements,
	// versions and courses without their author.
	Kept int64
}

// ErasePerson forgets a person: staff roles and views are deleted, what they wrote
// for courses stays under the pseudonym.
func (s *Service) ErasePerson(ctx context.Context, tx Tx, user, pseudonym uuid.UUID) (Erased, error) {
	rows, err := tx.StaffOf(ctx, user)
	if err != nil {
		return Erased{}, err
	}
	for _, m := range rows {
		err := s.restaff(ctx, tx, m.CourseID, "course.staff_erase", func([]StaffMember) (added, removed []StaffMember, err error) {
			gone := m
			gone.UserID = pseudonym
			return nil, []StaffMember{gone}, tx.DeleteStaff(ctx, m.CourseID, user)
		})
		if err != nil {
			return Erased{}, err
		}
	}
	kept, err := tx.Forget(ctx, user, pseudonym)
	return Erased{StaffRoles: len(rows), Kept: kept}, err
}

// PersonData is everything that course keeps of a person.
type PersonData struct {
	Staff         []StaffMember
	Announcements []Announcement
	Views         []View
}

// ExportPerson gathers what is kept of a person.
func (s *Service) ExportPerson(ctx context.Context, tx Tx, user uuid.UUID) (out PersonData, err error) {
	if out.Staff, err = tx.StaffOf(ctx, user); err != nil {
		return PersonData{}, err
	}
	if out.Announcements, err = tx.AnnouncementsBy(ctx, user); err != nil {
		return PersonData{}, err
	}
	out.Views, err = tx.ViewsBy(ctx, user)
	return out, err
}
