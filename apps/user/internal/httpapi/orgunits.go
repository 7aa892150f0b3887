package httpapi

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/user/internal/identity"
	"lms/shared/patch"
	"lms/shared/web"
)

// OrgUnit is a node of an organisation's tree.
type OrgUnit struct {
	ID          uuid.UUID             `json:"id"`
	TenantID    uuid.UUID             `json:"tenant_id" doc:"The root of its tree"`
	ParentID    *uuid.UUID            `json:"parent_id,omitempty" doc:"Absent for a root"`
	Path        []uuid.UUID           `json:"path" doc:"From the root to the org unit itself"`
	Kind        string                `json:"kind" enum:"organisation,faculty,department,school,class,other"`
	Code        string                `json:"code,omitempty"`
	Name        string                `json:"name"`
	ExternalIDs []identity.ExternalID `json:"external_ids"`
	Archived    bool                  `json:"archived"`
	ArchivedAt  *time.Time            `json:"archived_at,omitempty"`
	CreatedAt   time.Time             `json:"created_at"`
	UpdatedAt   time.Time             `json:"updated_at"`
}

func showOrgUnit(u identity.OrgUnit) OrgUnit {
	out := OrgUnit{
		ID: u.ID, TenantID: u.TenantID, ParentID: u.ParentID, Path: u.Path, Kind: u.Kind, Code: u.Code, Name: u.Name, ExternalIDs: u.ExternalIDs,
		Archived: u.ArchivedAt != nil, ArchivedAt: u.ArchivedAt, CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt,
	}
	if out.ExternalIDs == nil {
		out.ExternalIDs = []identity.ExternalID{}
	}
	return out
}

func shownUnit(u identity.OrgUnit, err error) (*web.Resource[OrgUnit], error) {
	if err != nil {
		return nil, err
	}
	return web.Res(showOrgUnit(u), u.Version), nil
}

type listOrgUnitsInput struct {
	web.Page
	Query          string    `query:"q" maxLength:"200" doc:"Part of the name or the code"`
	ParentID       uuid.UUID `query:"parent_id" doc:"Only those directly below"`
	Roots          bool      `query:"roots" doc:"Only organisations themselves"`
	Under          uuid.UUID `query:"under" doc:"The org unit and all below it"`
	Kind           string    `query:"kind" enum:"organisation,faculty,department,school,class,other"`
	Archived       string    `query:"archived" enum:"true,false" doc:"Absent: both"`
	Code           string    `query:"code" maxLength:"64"`
	ExternalSource string    `query:"external_source" maxLength:"64"`
	ExternalID     string    `query:"external_id" maxLength:"200"`
	Sort           string    `query:"sort" enum:"name,-name,created_at,-created_at" default:"name"`
}

func (a *API) listOrgUnits(ctx context.Context, in *listOrgUnitsInput) (*web.List[OrgUnit], error) {
	f := identity.OrgUnitFilter{
		Query: in.Query, ParentID: optional(in.ParentID), Root: in.Roots, Kind: in.Kind, Code: in.Code,
		ExternalSource: in.ExternalSource, ExternalID: in.ExternalID, Sort: in.Sort, Page: in.Request(),
	}
	if in.Under != uuid.Nil {
		f.Under = []uuid.UUID{in.Under}
	}
	if in.Archived != "" {
		archived := in.Archived == "true"
		f.Archived = &archived
	}
	p, err := a.Service.ListOrgUnits(ctx, web.Actor(ctx), f)
	return web.ListOf(p, showOrgUnit), err
}

type createOrgUnitInput struct {
	Body struct {
		Name        string                `json:"name" maxLength:"200"`
		ParentID    *uuid.UUID            `json:"parent_id,omitempty" doc:"Absent: a new organisation, by administrators of the platform"`
		Kind        string                `json:"kind,omitempty" enum:"organisation,faculty,department,school,class,other"`
		Code        string                `json:"code,omitempty" maxLength:"64" doc:"Unique in the organisation"`
		ExternalIDs []identity.ExternalID `json:"external_ids,omitempty" maxItems:"10"`
	}
}

func (a *API) createOrgUnit(ctx context.Context, in *createOrgUnitInput) (*web.Resource[OrgUnit], error) {
	b := in.Body
	u, err := a.Service.CreateOrgUnit(ctx, web.Actor(ctx), identity.NewOrgUnit{
		ParentID: b.ParentID, Kind: b.Kind, Code: b.Code, Name: b.Name, ExternalIDs: b.ExternalIDs,
	})
	if err != nil {
		return nil, err
	}
	return web.Created(showOrgUnit(u), u.Version, at(orgUnit, u.ID)), nil
}

func (a *API) getOrgUnit(ctx context.Context, in *web.ByID) (*web.Resource[OrgUnit], error) {
	return shownUnit(a.Service.GetOrgUnit(ctx, web.Actor(ctx), in.ID))
}

type updateOrgUnitInput struct {
	web.ByID
	web.IfMatch
	Body struct {
		Name        patch.Field[string]                `json:"name"`
		Kind        patch.Field[string]                `json:"kind" doc:"organisation, faculty, department, school, class or other"`
		Code        patch.Field[string]                `json:"code"`
		ExternalIDs patch.Field[[]identity.ExternalID] `json:"external_ids" doc:"Replaced as a whole; at most 10, one per source"`
	}
}

func (a *API) updateOrgUnit(ctx context.Context, in *updateOrgUnitInput) (*web.Resource[OrgUnit], error) {
	b := in.Body
	p := identity.OrgUnitPatch{Name: b.Name, Code: b.Code, Kind: b.Kind, ExternalIDs: b.ExternalIDs}
	return shownUnit(a.Service.UpdateOrgUnit(ctx, web.Actor(ctx), in.ID, in.Version(), p))
}

func (a *API) deleteOrgUnit(ctx context.Context, in *versionedInput) (*web.Empty, error) {
	return nil, a.Service.DeleteOrgUnit(ctx, web.Actor(ctx), in.ID, in.Version())
}

type moveOrgUnitInput struct {
	web.ByID
	web.IfMatch
	Body struct {
		ParentID uuid.UUID `json:"parent_id" doc:"In the same organisation"`
	}
}

func (a *API) moveOrgUnit(ctx context.Context, in *moveOrgUnitInput) (*web.Resource[OrgUnit], error) {
	return shownUnit(a.Service.MoveOrgUnit(ctx, web.Actor(ctx), in.ID, in.Body.ParentID, in.Version()))
}

func (a *API) archiveOrgUnit(ctx context.Context, in *web.ByID) (*web.Resource[OrgUnit], error) {
	return shownUnit(a.Service.ArchiveOrgUnit(ctx, web.Actor(ctx), in.ID, true))
}

func (a *API) restoreOrgUnit(ctx context.Context, in *web.ByID) (*web.Resource[OrgUnit], error) {
	return shownUnit(a.Service.ArchiveOrgUnit(ctx, web.Actor(ctx), in.ID, false))
}

// Member is a person in an org unit.
type Member struct {
	UserID    uuid.UUID `json:"user_id"`
	OrgUnitID uuid.UUID `json:"org_unit_id"`
	Name      string    `json:"name"`
	Email     string    `json:"email,omitempty"`
	Status    string    `json:"status" enum:"invited,active,deactivated,deleted,merged"`
	Title     string    `json:"title,omitempty" doc:"What the person is there"`
	Home      bool      `json:"home" doc:"The org unit is the person's home"`
	CreatedAt time.Time `json:"created_at"`
}

func showMember(m identity.Member) Member {
	return Member{
		UserID: m.UserID, OrgUnitID: m.OrgUnitID, Name: m.Name, Email: m.Email, Status: string(m.Status), Title: m.Title, Home: m.Home, CreatedAt: m.CreatedAt,
	}
}

type listMembersInput struct {
	web.ByID
	web.Page
	Query string `query:"q" maxLength:"200" doc:"Words, each the beginning of a word of the name or the address"`
	Sort  string `query:"sort" enum:"name,-name,created_at,-created_at" default:"name" doc:"created_at: since when they belong to it"`
}

func (a *API) listMembers(ctx context.Context, in *listMembersInput) (*web.List[Member], error) {
	p, err := a.Service.ListMembers(ctx, web.Actor(ctx), identity.MemberFilter{OrgUnitID: in.ID, Query: in.Query, Sort: in.Sort, Page: in.Request()})
	return web.ListOf(p, showMember), err
}

type memberInput struct {
	web.ByID
	UserID uuid.UUID `path:"user_id"`
}

func (a *API) getMember(ctx context.Context, in *memberInput) (*web.Resource[Member], error) {
	m, err := a.Service.GetMember(ctx, web.Actor(ctx), in.ID, in.UserID)
	if err != nil {
		return nil, err
	}
	return web.Res(showMember(m), 0), nil
}

type putMemberInput struct {
	web.ByID
	UserID uuid.UUID `path:"user_id"`
	Body   *Membership
}

// Membership is how a person belongs to an org unit; the body may be left out.
type Membership struct {
	Title string `json:"title,omitempty" maxLength:"200"`
	Home  bool   `json:"home,omitempty" doc:"Make the org unit the person's home"`
}

func (a *API) putMember(ctx context.Context, in *putMemberInput) (*web.Resource[Member], error) {
	var b Membership
	if in.Body != nil {
		b = *in.Body
	}
	m, err := a.Service.PutMember(ctx, web.Actor(ctx), in.ID, in.UserID, b.Title, b.Home)
	if err != nil {
		return nil, err
	}
	return web.Res(showMember(m), 0), nil
}

func (a *API) removeMember(ctx context.Context, in *memberInput) (*web.Empty, error) {
	return nil, a.Service.RemoveMember(ctx, web.Actor(ctx), in.ID, in.UserID)
}
