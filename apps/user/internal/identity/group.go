package identity

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/page"
	"lms/shared/patch"
	"lms/shared/work"
)

// Group is a set of people: of an org unit (a group, or a cohort that has a
// time), or one of a course's group set.
type Group struct {
	ID          uuid.UUID
	TenantID    uuid.UUID
	OrgUnitID   uuid.UUID
	Kind        string // group, cohort, course
	CourseID    *uuid.UUID
	SetID       *uuid.UUID
	Name        string
	Description string
	StartsOn    *time.Time // a date
	EndsOn      *time.Time // a date, included
	MaxMembers  *int
	MemberCount int
	CreatedBy   *uuid.UUID
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Version     int64
}

// GroupMember is a person in a group.
type GroupMember struct {
	GroupID   uuid.UUID
	UserID    uuid.UUID
	Name      string
	SortName  string
	CreatedAt time.Time
}

// GroupWithMembers is a group and the ids of its members.
type GroupWithMembers struct {
	Group
	Members []uuid.UUID
}

// NewGroup is what is said of a new group.
type NewGroup struct {
	OrgUnitID   uuid.UUID
	Kind        string // group or cohort
	Name        string
	Description string
	StartsOn    *time.Time
	EndsOn      *time.Time
	MaxMembers  *int
}

// GroupPatch is a merge patch of a group.
type GroupPatch struct {
	Name        patch.Field[string]
	Description patch.Field[string]
	StartsOn    patch.Field[time.Time]
	EndsOn      patch.Field[time.Time]
	MaxMembers  patch.Field[int]
}

// GroupFilter narrows a list of groups.
type GroupFilter struct {
	Query     string
	Kind      string
	OrgUnitID uuid.UUID
	CourseID  uuid.UUID
	SetID     uuid.UUID
	Member    uuid.UUID
	Sort      string // name, -name, created_at, -created_at
	Reach     authz.Reach
	Anyone    bool // the reach was checked otherwise
	Page      page.Request
}

// GroupSorts are the orders of a list of groups.
var GroupSorts = []string{"name", "-name", "created_at", "-created_at"}

func (g *Group) check(f *apperr.Fields) {
	checkName(f, "name", g.Name, true)
	f.Require(validText(g.Description, 2000), "description", "invalid", "At most 2000 characters.")
	f.Require(g.StartsOn == nil || g.EndsOn == nil || !g.EndsOn.Before(*g.StartsOn), "ends_on", "before_start", "Must not be before starts_on.")
	f.Require(g.MaxMembers == nil || *g.MaxMembers >= 1 && *g.MaxMembers <= 100_000, "max_members", "invalid", "1 to 100000.")
}

func dateText(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Format(time.DateOnly)
}

// state is the snapshot that events carry.
func (g Group) state() events.GroupState {
	return events.GroupState{
		ID: g.ID, TenantID: g.TenantID, OrgUnitID: g.OrgUnitID, Kind: g.Kind, CourseID: g.CourseID, SetID: g.SetID, Name: g.Name,
		StartsOn: dateText(g.StartsOn), EndsOn: dateText(g.EndsOn), Members: g.MemberCount,
		CreatedAt: g.CreatedAt, UpdatedAt: g.UpdatedAt, Version: g.Version,
	}
}

func (g Group) meta() work.Meta {
	m := work.Meta{TenantID: g.TenantID, OrgUnitID: g.OrgUnitID}
	if g.CourseID != nil {
		m.CourseID = *g.CourseID
	}
	return m
}

// ListGroups lists the groups of the actor's reach. Groups of courses are in
// the lists of their sets.
func (s *Service) ListGroups(ctx context.Context, actor authz.Principal, f GroupFilter) (p page.Page[Group], err error) {
	policy, err := s.policy(ctx)
	if err != nil {
		return p, err
	}
	f.Reach = policy.Reach(actor, authz.GroupRead)
	if f.Reach.None() {
		return p, nil
	}
	err = s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		p, err = tx.ListGroups(ctx, f)
		return err
	})
	return p, err
}

// mayGroup decides whether the actor holds perm for a group: by the org unit,
// or in the course that it belongs to. It asks another service for the latter,
// so it is called outside a transaction.
func (s *Service) mayGroup(ctx context.Context, actor authz.Principal, g Group, perm authz.Permission) error {
	policy, err := s.policy(ctx)
	if err != nil {
		return err
	}
	if policy.Allows(actor, perm, g.OrgUnitID) {
		return nil
	}
	if g.CourseID != nil {
		return s.mayInCourse(ctx, policy, actor, *g.CourseID, perm)
	}
	if perm != authz.GroupRead && policy.Allows(actor, authz.GroupRead, g.OrgUnitID) {
		return apperr.Forbidden("You may see this group, but not change it.")
	}
	return apperr.NotFound("group")
}

// mayInCourse lets everybody of the course read, and its staff change who hold
// the permission by their role there.
func (s *Service) mayInCourse(ctx context.Context, policy *authz.Policy, actor authz.Principal, course uuid.UUID, perm authz.Permission) error {
	access, err := s.Courses.Access(ctx, actor, course)
	if err != nil {
		return err
	}
	if perm == authz.GroupRead || policy.AllowsInCourse(actor, perm, access.OrgUnitID, access.StaffRole) {
		return nil
	}
	return apperr.Forbidden("You may see the groups of this course, but not change them.")
}

func (s *Service) readGroup(ctx context.Context, actor authz.Principal, id uuid.UUID) (g Group, err error) {
	err = s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		g, err = tx.Group(ctx, id)
		return err
	})
	return g, err
}

// GetGroup reads a group that the actor may see; members see their own.
func (s *Service) GetGroup(ctx context.Context, actor authz.Principal, id uuid.UUID) (Group, error) {
	g, err := s.readGroup(ctx, actor, id)
	if err != nil {
		return g, err
	}
	if err := s.mayGroup(ctx, actor, g, authz.GroupRead); err != nil {
		if mine, merr := s.isMember(ctx, actor, id); merr != nil || !mine {
			return Group{}, err
		}
	}
	return g, nil
}

func (s *Service) isMember(ctx context.Context, actor authz.Principal, id uuid.UUID) (mine bool, err error) {
	err = s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		groups, err := tx.GroupsOf(ctx, actor.UserID)
		mine = slices.ContainsFunc(groups, func(g Group) bool { return g.ID == id })
		return err
	})
	return mine, err
}

// ListGroupMembers lists who is in a group, sorted.
func (s *Service) ListGroupMembers(ctx context.Context, actor authz.Principal, id uuid.UUID, sort string, q page.Request) (p page.Page[GroupMember], err error) {
	if _, err := s.GetGroup(ctx, actor, id); err != nil {
		return p, err
	}
	err = s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		p, err = tx.ListGroupMembers(ctx, id, sort, q)
		return err
	})
	return p, err
}

// CreateGroup makes a group or a cohort of an org unit.
func (s *Service) CreateGroup(ctx context.Context, actor authz.Principal, in NewGroup) (g Group, err error) {
	policy, err := s.policy(ctx)
	if err != nil {
		return g, err
	}
	now, by := s.Now(), actor.UserID
	g = Group{
		ID: s.NewID(), OrgUnitID: in.OrgUnitID, Kind: firstOf(in.Kind, events.GroupPlain), Name: strings.TrimSpace(in.Name), Description: in.Description,
		StartsOn: in.StartsOn, EndsOn: in.EndsOn, MaxMembers: in.MaxMembers, CreatedBy: &by, CreatedAt: now, UpdatedAt: now, Version: 1,
	}
	var f apperr.Fields
	g.check(&f)
	f.Require(g.Kind == events.GroupPlain || g.Kind == events.GroupCohort, "kind", "invalid", `Must be "group" or "cohort".`)
	if !policy.Allows(actor, authz.GroupManage, in.OrgUnitID) {
		f.Add("org_unit_id", "not_found", "No such org unit where you may make groups.")
	}
	if err := f.Err(); err != nil {
		return g, err
	}
	err = s.Store.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &g, func() error {
			unit, err := openUnit(ctx, tx, g.OrgUnitID)
			if err != nil {
				return err
			}
			g.TenantID = unit.TenantID
			return s.insertGroup(ctx, tx, g)
		})
	})
	return g, err
}

func (s *Service) insertGroup(ctx context.Context, tx Tx, g Group) error {
	if err := tx.InsertGroup(ctx, g); err != nil {
		return err
	}
	if err := tx.Emit(ctx, events.GroupCreated{GroupState: g.state()}, g.meta()); err != nil {
		return err
	}
	return s.auditGroup(ctx, tx, g, "group.create", map[string]work.Change{"name": {To: g.Name}})
}

func (s *Service) auditGroup(ctx context.Context, tx Tx, g Group, action string, changes map[string]work.Change) error {
	return tx.Audit(ctx, work.AuditEntry{
		Action: action, ResourceType: "group", ResourceID: g.ID, TenantID: g.TenantID, OrgUnitID: g.OrgUnitID, Changes: changes,
	})
}

// onGroup locks a group that the actor may manage, and runs fn.
func (s *Service) onGroup(ctx context.Context, actor authz.Principal, id uuid.UUID, fn func(context.Context, Tx, *Group) error) (g Group, err error) {
	known, err := s.readGroup(ctx, actor, id)
	if err != nil {
		return g, err
	}
	if err := s.mayGroup(ctx, actor, known, authz.GroupManage); err != nil {
		return g, err
	}
	err = s.Store.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		if g, err = tx.LockGroup(ctx, id); err != nil {
			return err
		}
		return fn(ctx, tx, &g)
	})
	return g, err
}

// UpdateGroup changes a group.
func (s *Service) UpdateGroup(ctx context.Context, actor authz.Principal, id uuid.UUID, version int64, p GroupPatch) (Group, error) {
	return s.onGroup(ctx, actor, id, func(ctx context.Context, tx Tx, g *Group) error {
		if g.Version != version {
			return apperr.VersionMismatch()
		}
		before := *g
		p.Name.Apply(&g.Name)
		p.Description.Apply(&g.Description)
		p.StartsOn.ApplyPtr(&g.StartsOn)
		p.EndsOn.ApplyPtr(&g.EndsOn)
		p.MaxMembers.ApplyPtr(&g.MaxMembers)
		g.Name = strings.TrimSpace(g.Name)
		var f apperr.Fields
		g.check(&f)
		f.Require(g.MaxMembers == nil || *g.MaxMembers >= g.MemberCount, "max_members", "below_members", "More people are in the group already.")
		if err := f.Err(); err != nil {
			return err
		}
		changes := diffGroups(before, *g)
		if len(changes) == 0 {
			return nil
		}
		g.Version, g.UpdatedAt = before.Version+1, s.Now()
		if err := tx.UpdateGroup(ctx, *g); err != nil {
			return err
		}
		if err := tx.Emit(ctx, events.GroupUpdated{GroupState: g.state()}, g.meta()); err != nil {
			return err
		}
		return s.auditGroup(ctx, tx, *g, "group.update", changes)
	})
}

func diffGroups(a, b Group) map[string]work.Change {
	c := map[string]work.Change{}
	if a.Name != b.Name {
		c["name"] = work.Change{From: a.Name, To: b.Name}
	}
	if a.Description != b.Description {
		c["description"] = work.Change{From: a.Description, To: b.Description}
	}
	if from, to := dateText(a.StartsOn), dateText(b.StartsOn); from != to {
		c["starts_on"] = work.Change{From: from, To: to}
	}
	if from, to := dateText(a.EndsOn), dateText(b.EndsOn); from != to {
		c["ends_on"] = work.Change{From: from, To: to}
	}
	if (a.MaxMembers == nil) != (b.MaxMembers == nil) || a.MaxMembers != nil && *a.MaxMembers != *b.MaxMembers {
		c["max_members"] = work.Change{From: a.MaxMembers, To: b.MaxMembers}
	}
	return c
}

// DeleteGroup deletes a group with its memberships.
func (s *Service) DeleteGroup(ctx context.Context, actor authz.Principal, id uuid.UUID, version int64) error {
	_, err := s.onGroup(ctx, actor, id, func(ctx context.Context, tx Tx, g *Group) error {
		if g.Version != version {
			return apperr.VersionMismatch()
		}
		return s.deleteGroup(ctx, tx, *g)
	})
	return err
}

func (s *Service) deleteGroup(ctx context.Context, tx Tx, g Group) error {
	if err := tx.DeleteGroup(ctx, g.ID); err != nil {
		return err
	}
	g.MemberCount = 0
	state := g.state()
	state.Deleted = true
	if err := tx.Emit(ctx, events.GroupDeletedEvent{GroupState: state}, g.meta()); err != nil {
		return err
	}
	return s.auditGroup(ctx, tx, g, "group.delete", map[string]work.Change{"name": {From: g.Name}})
}

// AddToGroup puts a person into a group: somebody of the same organisation
// whom the actor may see, or for a group of a course, somebody who learns there.
func (s *Service) AddToGroup(ctx context.Context, actor authz.Principal, id, userID uuid.UUID) (Group, error) {
	known, err := s.readGroup(ctx, actor, id)
	if err != nil {
		return known, err
	}
	var learners []uuid.UUID
	if known.CourseID != nil {
		if err := s.mayGroup(ctx, actor, known, authz.GroupManage); err != nil {
			return Group{}, err
		}
		if learners, err = s.Courses.Learners(ctx, *known.CourseID); err != nil {
			return Group{}, err
		}
	}
	policy, err := s.policy(ctx)
	if err != nil {
		return Group{}, err
	}
	return s.onGroup(ctx, actor, id, func(ctx context.Context, tx Tx, g *Group) error {
		if g.CourseID != nil {
			if !slices.Contains(learners, userID) {
				return apperr.Invalid(apperr.Field{Path: "user", Code: "not_enrolled", Message: "The person does not learn in this course."})
			}
			return s.addToGroup(ctx, tx, g, userID)
		}
		u, err := s.visible(ctx, tx, policy, actor, userID, authz.UserRead)
		if err != nil {
			return err
		}
		if u.TenantID != g.TenantID || u.Status.Gone() {
			return apperr.NotFound("user")
		}
		return s.addToGroup(ctx, tx, g, userID)
	})
}

// addToGroup adds to a locked group, and tells.
func (s *Service) addToGroup(ctx context.Context, tx Tx, g *Group, userID uuid.UUID) error {
	now := s.Now()
	added, err := tx.AddGroupMember(ctx, *g, userID, now)
	if err != nil || !added {
		return err
	}
	g.MemberCount++
	if err := tx.Emit(ctx, events.GroupMemberAdded{
		GroupID: g.ID, UserID: userID, TenantID: g.TenantID, Kind: g.Kind, CourseID: g.CourseID, SetID: g.SetID, At: now,
	}, g.meta()); err != nil {
		return err
	}
	return s.auditGroup(ctx, tx, *g, "group.add_member", map[string]work.Change{"user_id": {To: userID}})
}

// RemoveFromGroup takes a person out of a group.
func (s *Service) RemoveFromGroup(ctx context.Context, actor authz.Principal, id, userID uuid.UUID) error {
	_, err := s.onGroup(ctx, actor, id, func(ctx context.Context, tx Tx, g *Group) error {
		removed, err := s.removeFromGroup(ctx, tx, g, userID)
		if err == nil && !removed {
			return apperr.NotFound("member")
		}
		return err
	})
	return err
}

func (s *Service) removeFromGroup(ctx context.Context, tx Tx, g *Group, userID uuid.UUID) (bool, error) {
	removed, err := tx.DeleteGroupMember(ctx, g.ID, userID)
	if err != nil || !removed {
		return false, err
	}
	g.MemberCount--
	if err := tx.Emit(ctx, events.GroupMemberRemoved{
		GroupID: g.ID, UserID: userID, TenantID: g.TenantID, Kind: g.Kind, CourseID: g.CourseID, SetID: g.SetID, At: s.Now(),
	}, g.meta()); err != nil {
		return false, err
	}
	return true, s.auditGroup(ctx, tx, *g, "group.remove_member", map[string]work.Change{"user_id": {From: userID}})
}

// leaveGroups takes a person out of every group, when the account ends.
func (s *Service) leaveGroups(ctx context.Context, tx Tx, u User) error {
	groups, err := tx.LockGroupsOf(ctx, u.ID)
	if err != nil {
		return err
	}
	for i := range groups {
		if _, err := s.removeFromGroup(ctx, tx, &groups[i], u.ID); err != nil {
			return err
		}
	}
	return nil
}
