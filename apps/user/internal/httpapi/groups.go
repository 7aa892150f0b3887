package httpapi

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/user/internal/identity"
	"lms/shared/apperr"
	"lms/shared/patch"
	"lms/shared/web"
)

// Group is a set of people: of an org unit, or one of a course's group set.
type Group struct {
	ID          uuid.UUID  `json:"id"`
	TenantID    uuid.UUID  `json:"tenant_id"`
	OrgUnitID   uuid.UUID  `json:"org_unit_id"`
	Kind        string     `json:"kind" enum:"group,cohort,course"`
	CourseID    *uuid.UUID `json:"course_id,omitempty"`
	GroupSetID  *uuid.UUID `json:"group_set_id,omitempty"`
	Name        string     `json:"name"`
	Description string     `json:"description,omitempty"`
	StartsOn    string     `json:"starts_on,omitempty" doc:"A date"`
	EndsOn      string     `json:"ends_on,omitempty" doc:"A date, included"`
	MaxMembers  *int       `json:"max_members,omitempty" doc:"Absent is unlimited"`
	MemberCount int        `json:"member_count"`
	CreatedBy   *uuid.UUID `json:"created_by,omitempty"`
	CreatedAt   time.Time  `json:"created_at"`
	UpdatedAt   time.Time  `json:"updated_at"`
}

func showGroup(g identity.Group) Group {
	return Group{
		ID: g.ID, TenantID: g.TenantID, OrgUnitID: g.OrgUnitID, Kind: g.Kind, CourseID: g.CourseID, GroupSetID: g.SetID,
		Name: g.Name, Description: g.Description, StartsOn: showDate(g.StartsOn), EndsOn: showDate(g.EndsOn),
		MaxMembers: g.MaxMembers, MemberCount: g.MemberCount, CreatedBy: g.CreatedBy, CreatedAt: g.CreatedAt, UpdatedAt: g.UpdatedAt,
	}
}

func showDate(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Format(time.DateOnly)
}

func shownGroup(g identity.Group, err error) (*web.Resource[Group], error) {
	if err != nil {
		return nil, err
	}
	return web.Res(showGroup(g), g.Version), nil
}

type listGroupsInput struct {
	web.Page
	Query     string    `query:"q" maxLength:"200" doc:"Part of the name"`
	Kind      string    `query:"kind" enum:"group,cohort,course"`
	OrgUnitID uuid.UUID `query:"org_unit_id"`
	CourseID  uuid.UUID `query:"course_id"`
	UserID    uuid.UUID `query:"user_id" doc:"Only groups that this person is in"`
	Sort      string    `query:"sort" enum:"name,-name,created_at,-created_at" default:"name"`
}

func (a *API) listGroups(ctx context.Context, in *listGroupsInput) (*web.List[Group], error) {
	p, err := a.Service.ListGroups(ctx, web.Actor(ctx), identity.GroupFilter{
		Query: in.Query, Kind: in.Kind, OrgUnitID: in.OrgUnitID, CourseID: in.CourseID, Member: in.UserID, Sort: in.Sort, Page: in.Request(),
	})
	return web.ListOf(p, showGroup), err
}

type createGroupInput struct {
	Body struct {
		OrgUnitID   uuid.UUID `json:"org_unit_id"`
		Kind        string    `json:"kind,omitempty" enum:"group,cohort" doc:"Absent: group"`
		Name        string    `json:"name" maxLength:"200"`
		Description string    `json:"description,omitempty" maxLength:"2000"`
		StartsOn    string    `json:"starts_on,omitempty" maxLength:"10" doc:"A date such as 2026-09-01"`
		EndsOn      string    `json:"ends_on,omitempty" maxLength:"10" doc:"A date, included"`
		MaxMembers  *int      `json:"max_members,omitempty" minimum:"1" maximum:"100000"`
	}
}

func (a *API) createGroup(ctx context.Context, in *createGroupInput) (*web.Resource[Group], error) {
	b := in.Body
	n := identity.NewGroup{OrgUnitID: b.OrgUnitID, Kind: b.Kind, Name: b.Name, Description: b.Description, MaxMembers: b.MaxMembers}
	var f apperr.Fields
	if b.StartsOn != "" {
		t := parseDate(&f, "starts_on", b.StartsOn)
		n.StartsOn = &t
	}
	if b.EndsOn != "" {
		t := parseDate(&f, "ends_on", b.EndsOn)
		n.EndsOn = &t
	}
	if err := f.Err(); err != nil {
		return nil, err
	}
	g, err := a.Service.CreateGroup(ctx, web.Actor(ctx), n)
	if err != nil {
		return nil, err
	}
	return web.Created(showGroup(g), g.Version, at(group, g.ID)), nil
}

func (a *API) getGroup(ctx context.Context, in *web.ByID) (*web.Resource[Group], error) {
	return shownGroup(a.Service.GetGroup(ctx, web.Actor(ctx), in.ID))
}

type updateGroupInput struct {
	web.ByID
	web.IfMatch
	Body struct {
		Name        patch.Field[string] `json:"name"`
		Description patch.Field[string] `json:"description"`
		StartsOn    patch.Field[string] `json:"starts_on" doc:"A date"`
		EndsOn      patch.Field[string] `json:"ends_on" doc:"A date, included"`
		MaxMembers  patch.Field[int]    `json:"max_members" doc:"null is unlimited"`
	}
}

// dateField reads a date of a merge patch.
func dateField(f *apperr.Fields, path string, v patch.Field[string]) patch.Field[time.Time] {
	out := patch.Field[time.Time]{Set: v.Set, Null: v.Null}
	if v.Set && !v.Null {
		out.Value = parseDate(f, path, v.Value)
	}
	return out
}

func (a *API) updateGroup(ctx context.Context, in *updateGroupInput) (*web.Resource[Group], error) {
	b := in.Body
	var f apperr.Fields
	p := identity.GroupPatch{
		Name: b.Name, Description: b.Description, StartsOn: dateField(&f, "starts_on", b.StartsOn), EndsOn: dateField(&f, "ends_on", b.EndsOn), MaxMembers: b.MaxMembers,
	}
	if err := f.Err(); err != nil {
		return nil, err
	}
	return shownGroup(a.Service.UpdateGroup(ctx, web.Actor(ctx), in.ID, in.Version(), p))
}

func (a *API) deleteGroup(ctx context.Context, in *versionedInput) (*web.Empty, error) {
	return nil, a.Service.DeleteGroup(ctx, web.Actor(ctx), in.ID, in.Version())
}

// GroupMember is a person in a group.
type GroupMember struct {
	UserID  uuid.UUID `json:"user_id"`
	Name    string    `json:"name"`
	AddedAt time.Time `json:"added_at"`
}

type listGroupMembersInput struct {
	web.ByID
	web.Page
	Sort string `query:"sort" enum:"added_at,-added_at,name,-name" default:"added_at"`
}

func (a *API) listGroupMembers(ctx context.Context, in *listGroupMembersInput) (*web.List[GroupMember], error) {
	p, err := a.Service.ListGroupMembers(ctx, web.Actor(ctx), in.ID, in.Sort, in.Request())
	return web.ListOf(p, func(m identity.GroupMember) GroupMember {
		return GroupMember{UserID: m.UserID, Name: m.Name, AddedAt: m.CreatedAt}
	}), err
}

func (a *API) putGroupMember(ctx context.Context, in *memberInput) (*web.Resource[Group], error) {
	return shownGroup(a.Service.AddToGroup(ctx, web.Actor(ctx), in.ID, in.UserID))
}

func (a *API) removeGroupMember(ctx context.Context, in *memberInput) (*web.Empty, error) {
	return nil, a.Service.RemoveFromGroup(ctx, web.Actor(ctx), in.ID, in.UserID)
}

func (a *API) joinGroup(ctx context.Context, in *web.ByID) (*web.Resource[Group], error) {
	return shownGroup(a.Service.JoinGroup(ctx, web.Actor(ctx), in.ID))
}

// GroupSet divides the learners of a course: a person is in one of its groups
// at most.
type GroupSet struct {
	ID         uuid.UUID `json:"id"`
	CourseID   uuid.UUID `json:"course_id"`
	Name       string    `json:"name"`
	SelfSignup bool      `json:"self_signup" doc:"Learners may join a group by themselves"`
	MaxMembers *int      `json:"max_members,omitempty" doc:"Of each group; absent is unlimited"`
	GroupCount int       `json:"group_count"`
	CreatedAt  time.Time `json:"created_at"`
	UpdatedAt  time.Time `json:"updated_at"`
}

func showGroupSet(s identity.GroupSet) GroupSet {
	return GroupSet{
		ID: s.ID, CourseID: s.CourseID, Name: s.Name, SelfSignup: s.SelfSignup, MaxMembers: s.MaxMembers, GroupCount: s.Groups,
		CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt,
	}
}

func (a *API) listGroupSets(ctx context.Context, in *listByIDInput) (*web.List[GroupSet], error) {
	sets, err := a.Service.ListGroupSets(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	p, err := cut(sets, in.Page)
	return web.ListOf(p, showGroupSet), err
}

type createGroupSetInput struct {
	web.ByID
	Body struct {
		Name       string `json:"name" maxLength:"200" doc:"Unique in the course"`
		SelfSignup bool   `json:"self_signup,omitempty" doc:"Learners may join a group by themselves"`
		MaxMembers *int   `json:"max_members,omitempty" minimum:"1" maximum:"1000" doc:"Of each group"`
		GroupCount int    `json:"group_count,omitempty" minimum:"0" maximum:"500" doc:"Make as many empty groups at once"`
	}
}

func (a *API) createGroupSet(ctx context.Context, in *createGroupSetInput) (*web.Resource[GroupSet], error) {
	b := in.Body
	s, err := a.Service.CreateGroupSet(ctx, web.Actor(ctx), in.ID, identity.NewGroupSet{
		Name: b.Name, SelfSignup: b.SelfSignup, MaxMembers: b.MaxMembers, Count: b.GroupCount,
	})
	if err != nil {
		return nil, err
	}
	return web.Created(showGroupSet(s), s.Version, at(groupSet, s.ID)), nil
}

func (a *API) getGroupSet(ctx context.Context, in *web.ByID) (*web.Resource[GroupSet], error) {
	s, err := a.Service.GetGroupSet(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return web.Res(showGroupSet(s), s.Version), nil
}

func (a *API) deleteGroupSet(ctx context.Context, in *versionedInput) (*web.Empty, error) {
	return nil, a.Service.DeleteGroupSet(ctx, web.Actor(ctx), in.ID, in.Version())
}

func (a *API) listGroupsOfSet(ctx context.Context, in *listByIDInput) (*web.List[Group], error) {
	p, err := a.Service.ListGroupsOfSet(ctx, web.Actor(ctx), in.ID, in.Request())
	return web.ListOf(p, showGroup), err
}

type addGroupInput struct {
	web.ByID
	Body struct {
		Name string `json:"name" maxLength:"200" doc:"Unique in the set"`
	}
}

func (a *API) addGroupToSet(ctx context.Context, in *addGroupInput) (*web.Resource[Group], error) {
	g, err := a.Service.AddGroupToSet(ctx, web.Actor(ctx), in.ID, in.Body.Name)
	if err != nil {
		return nil, err
	}
	return web.Created(showGroup(g), g.Version, at(group, g.ID)), nil
}

// Assignment is what an assignment of learners did.
type Assignment struct {
	Assigned int `json:"assigned" doc:"Were in no group before"`
	Moved    int `json:"moved"`
	Left     int `json:"left" doc:"Found no place: every group is full"`
}

type assignInput struct {
	web.ByID
	Body struct {
		Mode string `json:"mode" enum:"random,even" doc:"random: who is in no group goes into a smallest one, by chance. even: the same by name, then as few as possible move until no two groups differ by more than one"`
	}
}

func (a *API) assignGroups(ctx context.Context, in *assignInput) (*web.Resource[Assignment], error) {
	out, err := a.Service.AssignGroups(ctx, web.Actor(ctx), in.ID, identity.AssignMode(in.Body.Mode))
	if err != nil {
		return nil, err
	}
	return web.Res(Assignment(out), 0), nil
}
