package catalog

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// StaffMember is a person of a course's staff. The role gives its permissions in
// this course only, and only while the person is active.
type StaffMember struct {
	CourseID uuid.UUID
	TenantID uuid.UUID
	UserID   uuid.UUID
	Role     string
	Active   bool
	AddedBy  uuid.UUID
	AddedAt  time.Time
}

func (m StaffMember) event() events.CourseStaff {
	return events.CourseStaff{UserID: m.UserID, Role: m.Role, Active: m.Active}
}

// StaffCard is a member of the staff with what readers see of the person.
type StaffCard struct {
	StaffMember
	Name      string
	AvatarURL string
}

// Staff lists the staff of a course that the caller may know, with names.
func (s *Service) Staff(ctx context.Context, actor authz.Principal, courseID uuid.UUID) ([]StaffCard, error) {
	if _, err := s.Course(ctx, actor, courseID); err != nil {
		return nil, err
	}
	var members []StaffMember
	err := s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) (err error) {
		members, err = tx.Staff(ctx, courseID)
		return err
	})
	if err != nil {
		return nil, err
	}
	ids := make([]uuid.UUID, len(members))
	for i, m := range members {
		ids[i] = m.UserID
	}
	people, err := s.People.Cards(ctx, ids)
	if err != nil {
		return nil, err
	}
	cards := make([]StaffCard, len(members))
	for i, m := range members {
		cards[i] = StaffCard{StaffMember: m, Name: people[m.UserID].Name, AvatarURL: people[m.UserID].AvatarURL}
	}
	return cards, nil
}

// PutStaff gives a person a role in the course, or another one. The person must
// be an active user of the course's tenant, and nobody can give what they do not
// hold in the course themselves.
func (s *Service) PutStaff(ctx context.Context, actor authz.Principal, courseID, userID uuid.UUID, role string) (StaffMember, error) {
	policy, head, err := s.allowed(ctx, actor, courseID, authz.CourseStaff)
	if err != nil {
		return StaffMember{}, err
	}
	if err := grantable(policy, actor, head, role); err != nil {
		return StaffMember{}, err
	}
	people, err := s.People.Cards(ctx, []uuid.UUID{userID})
	if err != nil {
		return StaffMember{}, err
	}
	if p, ok := people[userID]; !ok || !p.Active || p.TenantID != head.TenantID {
		return StaffMember{}, apperr.Invalid(apperr.Field{Path: "user", Code: "unknown_user", Message: "No such active person in this organisation."})
	}
	return inTx(ctx, s, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (StaffMember, error) {
		c, err := s.lock(ctx, tx, policy, actor, courseID, authz.CourseStaff)
		if err != nil {
			return StaffMember{}, err
		}
		staff, err := tx.Staff(ctx, courseID)
		if err != nil {
			return StaffMember{}, err
		}
		m := StaffMember{CourseID: courseID, TenantID: c.TenantID, UserID: userID, Role: role, Active: true, AddedBy: actor.UserID, AddedAt: s.Now()}
		at := slices.IndexFunc(staff, func(x StaffMember) bool { return x.UserID == userID })
		change := work.Change{To: role}
		switch {
		case at >= 0 && staff[at].Role == role && staff[at].Active:
			return staff[at], nil
		case at >= 0:
			change.From, m.AddedAt, m.AddedBy = staff[at].Role, staff[at].AddedAt, staff[at].AddedBy
			staff[at] = m
		case len(staff) >= MaxStaff:
			return StaffMember{}, apperr.Conflict("staff_full", fmt.Sprintf("A course has at most %d staff.", MaxStaff))
		default:
			staff = append(staff, m)
		}
		if err := tx.PutStaff(ctx, m); err != nil {
			return StaffMember{}, err
		}
		return m, s.staffChanged(ctx, tx, c, staff, []StaffMember{m}, nil, "course.staff_put", map[string]work.Change{userID.String(): change})
	})
}

// RemoveStaff takes a person's role in the course away.
func (s *Service) RemoveStaff(ctx context.Context, actor authz.Principal, courseID, userID uuid.UUID) error {
	policy, _, err := s.allowed(ctx, actor, courseID, authz.CourseStaff)
	if err != nil {
		return err
	}
	_, err = inTx(ctx, s, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (struct{}, error) {
		c, err := s.lock(ctx, tx, policy, actor, courseID, authz.CourseStaff)
		if err != nil {
			return struct{}{}, err
		}
		staff, err := tx.Staff(ctx, courseID)
		if err != nil {
			return struct{}{}, err
		}
		at := slices.IndexFunc(staff, func(x StaffMember) bool { return x.UserID == userID })
		if at < 0 {
			return struct{}{}, apperr.NotFound("member of the staff")
		}
		gone := staff[at]
		if err := tx.DeleteStaff(ctx, courseID, userID); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.staffChanged(ctx, tx, c, slices.Delete(staff, at, at+1), nil, []StaffMember{gone}, "course.staff_remove",
			map[string]work.Change{userID.String(): {From: gone.Role}})
	})
	return err
}

// staffChanged moves the course's version and tells everyone.
func (s *Service) staffChanged(ctx context.Context, tx Tx, c Course, staff, added, removed []StaffMember, action string, changes map[string]work.Change) error {
	c.Version++
	c.UpdatedAt = s.Now()
	if err := tx.UpdateCourse(ctx, c); err != nil {
		return err
	}
	e := events.CourseStaffChanged{CourseState: c.State(staff)}
	for _, m := range added {
		e.Added = append(e.Added, m.event())
	}
	for _, m := range removed {
		e.Removed = append(e.Removed, m.event())
	}
	if err := tx.Emit(ctx, e, c.meta()); err != nil {
		return err
	}
	return tx.Audit(ctx, c.audit(action, changes))
}

// grantable says whether the caller may give the role in the course: a built-in
// role of course staff, or a custom one of the course's tenant, without a
// permission that the caller lacks there.
func grantable(policy *authz.Policy, actor authz.Principal, head Head, role string) error {
	bad := apperr.Invalid(apperr.Field{Path: "role", Code: "unknown_role", Message: "One of instructor, teaching_assistant, or the id of a custom role."})
	if role != authz.RoleInstructor && role != authz.RoleTeachingAssistant {
		if _, err := uuid.Parse(role); err != nil || !policy.RoleIn(role, head.TenantID) {
			return bad
		}
	}
	any := false
	for _, perm := range authz.AllPermissions() {
		if !policy.RoleHas(role, perm) {
			continue
		}
		any = true
		if !policy.AllowsInCourse(actor, perm, head.OrgUnitID, head.StaffRole) {
			return apperr.Forbidden("The role has a permission that you do not hold in this course: " + string(perm) + ".")
		}
	}
	if !any {
		return bad
	}
	return nil
}
