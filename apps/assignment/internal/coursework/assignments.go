package coursework

import (
	"context"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/page"
	"lms/shared/work"
)

// Seen is an assignment as one person sees it.
type Seen struct {
	Assignment
	Staff bool
	// Window is the viewer's own (rule 21); for staff that of everybody.
	Window Window
	// Mine is where a learner stands, what is hidden taken out (rule 25).
	Mine *Grade
}

// CreateAssignment makes a draft in a course. course is told of it at once, since
// only known resources may be placed in a curriculum.
func (s *Service) CreateAssignment(ctx context.Context, actor authz.Principal, course uuid.UUID, edit func(*AssignmentFields)) (Assignment, error) {
	st, err := s.inCourse(ctx, actor, course, authz.AssignmentEdit)
	if err != nil {
		return Assignment{}, err
	}
	return inTx(ctx, s, work.Tenant(st.TenantID), func(ctx context.Context, tx Tx) (Assignment, error) {
		fields := s.DefaultFields()
		edit(&fields)
		now := s.Now()
		a := Assignment{
			ID: s.NewID(), TenantID: st.TenantID, OrgUnitID: st.OrgUnitID, CourseID: course, AssignmentFields: fields,
			CreatedBy: optionalID(actor.UserID), CreatedAt: now, UpdatedAt: now, Version: 1,
		}
		if err := s.settle(&a.AssignmentFields); err != nil {
			return Assignment{}, err
		}
		if err := tx.InsertAssignment(ctx, a); err != nil {
			return Assignment{}, err
		}
		if err := tx.Audit(ctx, a.audit("assignment.create", map[string]work.Change{"title": {To: a.Title}})); err != nil {
			return Assignment{}, err
		}
		if err := tx.Emit(ctx, events.AssignmentCreated{AssignmentState: a.state(now)}, a.meta()); err != nil {
			return Assignment{}, err
		}
		return a, s.tellCourse(ctx, tx, a)
	})
}

// Assignments lists a course's assignments: all to who may edit or grade, to
// learners what is published.
func (s *Service) Assignments(ctx context.Context, actor authz.Principal, f AssignmentFilter, p page.Request) (page.Page[Assignment], bool, error) {
	st, err := s.standing(ctx, actor, f.CourseID)
	if err != nil {
		return page.Page[Assignment]{}, false, err
	}
	if !st.Staff {
		published := true
		f.Published = &published
	}
	out, err := read(ctx, s, work.Tenant(st.TenantID), func(ctx context.Context, tx Tx) (page.Page[Assignment], error) {
		return tx.ListAssignments(ctx, f, p)
	})
	return out, st.Staff, err
}

// Assignment is one assignment: a draft only for staff, a locked one only for them
// too (403 `item_locked`).
func (s *Service) Assignment(ctx context.Context, actor authz.Principal, id uuid.UUID) (Seen, error) {
	a, err := s.find(ctx, actor, id)
	if err != nil {
		return Seen{}, err
	}
	st, err := s.sees(ctx, actor, a)
	if err != nil {
		return Seen{}, err
	}
	return Seen{Assignment: a, Staff: st.Staff, Window: Effective(a.AssignmentFields, nil)}, nil
}

// find reads an assignment among those of the caller's tenant.
func (s *Service) find(ctx context.Context, actor authz.Principal, id uuid.UUID) (Assignment, error) {
	return read(ctx, s, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (Assignment, error) { return tx.Assignment(ctx, id) })
}

// sees decides whether the caller may open the assignment.
func (s *Service) sees(ctx context.Context, actor authz.Principal, a Assignment) (Standing, error) {
	st, err := s.standing(ctx, actor, a.CourseID)
	switch {
	case apperr.IsKind(err, apperr.KindNotFound):
		return st, apperr.NotFound("assignment")
	case err != nil || st.Staff:
		return st, err
	case !a.Published:
		return st, apperr.NotFound("assignment")
	}
	return st, s.unlocked(ctx, actor, a, See)
}

// unlocked asks whether the curriculum lets a learner at the assignment. One that
// no curriculum shows is held back by none.
func (s *Service) unlocked(ctx context.Context, actor authz.Principal, a Assignment, action Action) error {
	ask := Ask{Actor: actor, UserID: actor.UserID, CourseID: a.CourseID, ResourceID: &a.ID, Action: action}
	v, err := s.Access.May(ctx, ask)
	if err != nil || v.Allowed {
		return err
	}
	if v.Code != DeniedUnknown {
		return denied(v, "assignment")
	}
	placed, err := s.Access.Placed(ctx, a.ID)
	if err != nil {
		return err
	}
	if placed {
		return apperr.NotFound("assignment")
	}
	ask.ResourceID = nil
	if v, err = s.Access.May(ctx, ask); err != nil || v.Allowed {
		return err
	}
	return denied(v, "assignment")
}

// tellCourse says to course what the curriculum shows of the assignment.
func (s *Service) tellCourse(ctx context.Context, tx Tx, a Assignment) error {
	state := internalapi.ResourceState{
		ResourceID: a.ID, TenantID: a.TenantID, CourseID: &a.CourseID, Kind: events.ItemAssignment, Title: a.Title,
		Published: a.Published, Deleted: a.DeletedAt != nil,
	}
	if a.GradingType != GradeNotGraded {
		state.Points = &a.Points
	}
	_, err := tx.Call(ctx, work.Call{To: "course", Name: internalapi.CallResourceState, Key: a.ID.String(), TenantID: a.TenantID, Body: state})
	return err
}
