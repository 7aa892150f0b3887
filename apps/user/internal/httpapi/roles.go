package httpapi

import (
	"cmp"
	"context"
	"net/url"
	"time"

	"github.com/google/uuid"

	"lms/apps/user/internal/identity"
	"lms/shared/authz"
	"lms/shared/patch"
	"lms/shared/web"
)

// Role is a named set of permissions.
type Role struct {
	Key         string             `json:"key" doc:"The id, or the name of a built-in role: what a grant names"`
	ID          *uuid.UUID         `json:"id,omitempty" doc:"Absent for built-in roles"`
	TenantID    *uuid.UUID         `json:"tenant_id,omitempty"`
	OrgUnitID   *uuid.UUID         `json:"org_unit_id,omitempty" doc:"Where, and below which, it may be granted"`
	Name        string             `json:"name"`
	Description string             `json:"description,omitempty"`
	Permissions []authz.Permission `json:"permissions"`
	Builtin     bool               `json:"builtin"`
	CreatedAt   *time.Time         `json:"created_at,omitempty"`
	UpdatedAt   *time.Time         `json:"updated_at,omitempty"`
}

func showRole(r identity.Role) Role {
	out := Role{Key: r.Key, Name: r.Name, Description: r.Description, Permissions: r.Permissions, Builtin: r.Builtin}
	if !r.Builtin {
		out.ID, out.TenantID, out.OrgUnitID, out.CreatedAt, out.UpdatedAt = &r.ID, &r.TenantID, &r.OrgUnitID, &r.CreatedAt, &r.UpdatedAt
	}
	if out.Permissions == nil {
		out.Permissions = []authz.Permission{}
	}
	return out
}

func shownRole(r identity.Role, err error) (*web.Resource[Role], error) {
	if err != nil {
		return nil, err
	}
	return web.Res(showRole(r), r.Version), nil
}

type listRolesInput struct {
	web.Page
	Sort string `query:"sort" enum:"name,-name,created_at,-created_at" default:"name" doc:"Of an organisation's own roles, which come after the built-in ones"`
}

func (a *API) listRoles(ctx context.Context, in *listRolesInput) (*web.List[Role], error) {
	p, err := a.Service.ListRoles(ctx, web.Actor(ctx), in.Sort, in.Request())
	return web.ListOf(p, showRole), err
}

type createRoleInput struct {
	Body struct {
		OrgUnitID   uuid.UUID          `json:"org_unit_id" doc:"Where, and below which, it may be granted"`
		Name        string             `json:"name" maxLength:"200" doc:"Unique in the organisation"`
		Description string             `json:"description,omitempty" maxLength:"1000"`
		Permissions []authz.Permission `json:"permissions" maxItems:"200" doc:"None that the caller does not hold"`
	}
}

func (a *API) createRole(ctx context.Context, in *createRoleInput) (*web.Resource[Role], error) {
	b := in.Body
	r, err := a.Service.CreateRole(ctx, web.Actor(ctx), identity.NewRole{OrgUnitID: b.OrgUnitID, Name: b.Name, Description: b.Description, Permissions: b.Permissions})
	if err != nil {
		return nil, err
	}
	return web.Created(showRole(r), r.Version, base+"/roles/"+url.PathEscape(r.Key)), nil
}

// ByKey is the input of an operation on one role: {key} in the path.
type ByKey struct {
	Key string `path:"key" maxLength:"64"`
}

func (a *API) getRole(ctx context.Context, in *ByKey) (*web.Resource[Role], error) {
	return shownRole(a.Service.GetRole(ctx, web.Actor(ctx), in.Key))
}

type updateRoleInput struct {
	ByKey
	web.IfMatch
	Body struct {
		Name        patch.Field[string]             `json:"name"`
		Description patch.Field[string]             `json:"description"`
		Permissions patch.Field[[]authz.Permission] `json:"permissions" doc:"Replaced as a whole"`
	}
}

func (a *API) updateRole(ctx context.Context, in *updateRoleInput) (*web.Resource[Role], error) {
	b := in.Body
	return shownRole(a.Service.UpdateRole(ctx, web.Actor(ctx), in.Key, in.Version(), identity.RolePatch{Name: b.Name, Description: b.Description, Permissions: b.Permissions}))
}

type deleteRoleInput struct {
	ByKey
	web.IfMatch
}

func (a *API) deleteRole(ctx context.Context, in *deleteRoleInput) (*web.Empty, error) {
	return nil, a.Service.DeleteRole(ctx, web.Actor(ctx), in.Key, in.Version())
}

// Permission is one thing that a role may allow.
type Permission struct {
	Key         authz.Permission `json:"key"`
	Description string           `json:"description"`
}

type listPermissionsInput struct{ web.Page }

func (a *API) listPermissions(_ context.Context, in *listPermissionsInput) (*web.List[Permission], error) {
	p, err := cut(authz.AllPermissions(), in.Page)
	texts := authz.Permissions()
	return web.ListOf(p, func(k authz.Permission) Permission { return Permission{Key: k, Description: texts[k]} }), err
}

// Scope is where a role is held.
type Scope struct {
	Kind string     `json:"kind" enum:"platform,org_unit" doc:"Roles in a course are given in the course"`
	ID   *uuid.UUID `json:"id,omitempty" doc:"Of the org unit; absent for the platform"`
}

func (s Scope) authz() authz.Scope {
	out := authz.Scope{Kind: authz.ScopeKind(s.Kind)}
	if s.ID != nil {
		out.ID = *s.ID
	}
	return out
}

// Grant is a role that a person holds somewhere.
type Grant struct {
	ID        uuid.UUID  `json:"id"`
	Role      string     `json:"role" doc:"The key of a role"`
	RoleName  string     `json:"role_name"`
	Scope     Scope      `json:"scope"`
	GrantedBy *uuid.UUID `json:"granted_by,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
}

func showGrant(g identity.Grant) Grant {
	name := g.RoleName
	if name == "" {
		for _, r := range identity.BuiltinRoles() {
			if r.Key == g.Role {
				name = r.Name
			}
		}
	}
	return Grant{
		ID: g.ID, Role: g.Role, RoleName: cmp.Or(name, g.Role), Scope: Scope{Kind: string(g.Scope.Kind), ID: optional(g.Scope.ID)},
		GrantedBy: g.GrantedBy, CreatedAt: g.CreatedAt,
	}
}

func (a *API) listGrants(ctx context.Context, in *listByIDInput) (*web.List[Grant], error) {
	grants, err := a.Service.ListGrants(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	p, err := cut(grants, in.Page)
	return web.ListOf(p, showGrant), err
}

type grantRoleInput struct {
	web.ByID
	Body struct {
		Role  string `json:"role" maxLength:"64" doc:"The key of a role; none that may do more than the caller"`
		Scope Scope  `json:"scope"`
	}
}

func (a *API) grantRole(ctx context.Context, in *grantRoleInput) (*web.Resource[Grant], error) {
	g, err := a.Service.GrantRole(ctx, web.Actor(ctx), in.ID, authz.Grant{Role: in.Body.Role, Scope: in.Body.Scope.authz()})
	if err != nil {
		return nil, err
	}
	return web.Created(showGrant(g), 0, at(user, in.ID)+"/roles/"+g.ID.String()), nil
}

type revokeRoleInput struct {
	web.ByID
	GrantID uuid.UUID `path:"grant_id"`
}

func (a *API) revokeRole(ctx context.Context, in *revokeRoleInput) (*web.Empty, error) {
	return nil, a.Service.RevokeRole(ctx, web.Actor(ctx), in.ID, in.GrantID)
}
