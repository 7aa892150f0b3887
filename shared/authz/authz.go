// Package authz decides who may do what: a permission is `resource:action`, a
// role a named set of permissions, a grant a role in a scope. It does no I/O;
// roles and the tree of org units come as one Snapshot from the user service.
package authz

import (
	"context"
	"slices"

	"github.com/google/uuid"
)

// ScopeKind says where a grant holds.
type ScopeKind string

// The scopes: the whole platform, an org unit with its subtree, one course.
const (
	ScopePlatform ScopeKind = "platform"
	ScopeOrgUnit  ScopeKind = "org_unit"
	ScopeCourse   ScopeKind = "course"
)

// Scope is where a grant holds; ID is nil for the platform.
type Scope struct {
	Kind ScopeKind `json:"kind"`
	ID   uuid.UUID `json:"id"`
}

// The built-in roles' keys. A custom role's key is its id.
const (
	RolePlatformAdmin     = "platform_admin"
	RoleOrgAdmin          = "org_admin"
	RoleInstructor        = "instructor"
	RoleTeachingAssistant = "teaching_assistant"
	RoleStudent           = "student"
)

// Grant is a role held in a scope.
type Grant struct {
	Role  string `json:"role"`
	Scope Scope  `json:"scope"`
}

// Principal is who calls: a user with a session, or a service.
type Principal struct {
	UserID       uuid.UUID
	SessionID    uuid.UUID
	TenantID     uuid.UUID // root org unit
	OrgUnitID    uuid.UUID // home org unit
	Service      string    // set for a service's own token; UserID is nil then
	Grants       []Grant   // in platform and org units only; courses know theirs
	Impersonator uuid.UUID // who acts as UserID, RFC 8693 `act`
	ReadOnly     bool
	Limited      []Permission // nil: all that the grants give; else only these
}

// HasPlatformGrant says whether any role is held for the whole platform.
func (p Principal) HasPlatformGrant() bool {
	return slices.ContainsFunc(p.Grants, func(g Grant) bool { return g.Scope.Kind == ScopePlatform })
}

// Anonymous says that nobody is signed in.
func (p Principal) Anonymous() bool { return p.UserID == uuid.Nil && p.Service == "" }

func (p Principal) limitedFrom(perm Permission) bool {
	return p.Limited != nil && !slices.Contains(p.Limited, perm)
}

// OrgUnit is a node of the tree; TenantID is its root, ParentID nil at a root.
type OrgUnit struct {
	ID       uuid.UUID `json:"id"`
	ParentID uuid.UUID `json:"parent_id"`
	TenantID uuid.UUID `json:"tenant_id"`
	Archived bool      `json:"archived,omitempty"`
}

// Role is a named set of permissions. TenantID is nil for built-in roles.
type Role struct {
	Key         string       `json:"key"`
	Name        string       `json:"name"`
	TenantID    uuid.UUID    `json:"tenant_id"`
	Permissions []Permission `json:"permissions"`
}

// Snapshot is all that a decision needs besides the caller.
type Snapshot struct {
	Version  string    `json:"version"`
	OrgUnits []OrgUnit `json:"org_units"`
	Roles    []Role    `json:"roles"`
}

// Source gives the current policy. Implementations cache it for seconds and
// fail closed when it is too old.
type Source interface {
	Policy(ctx context.Context) (*Policy, error)
}

// Fixed is a Source that always gives the same policy: for tests.
type Fixed struct{ P *Policy }

// Policy returns the fixed policy.
func (f Fixed) Policy(context.Context) (*Policy, error) { return f.P, nil }

// Policy is an indexed Snapshot; it is never changed once made.
type Policy struct {
	Version  string
	units    map[uuid.UUID]OrgUnit
	children map[uuid.UUID][]uuid.UUID
	roles    map[string]map[Permission]bool
	owners   map[string]uuid.UUID // of the roles that are no built-in ones
}

// NewPolicy indexes a snapshot.
func NewPolicy(s Snapshot) *Policy {
	p := &Policy{
		Version:  s.Version,
		units:    make(map[uuid.UUID]OrgUnit, len(s.OrgUnits)),
		children: make(map[uuid.UUID][]uuid.UUID, len(s.OrgUnits)),
		roles:    make(map[string]map[Permission]bool, len(s.Roles)),
		owners:   map[string]uuid.UUID{},
	}
	for _, u := range s.OrgUnits {
		p.units[u.ID] = u
		if u.ParentID != uuid.Nil {
			p.children[u.ParentID] = append(p.children[u.ParentID], u.ID)
		}
	}
	for _, r := range s.Roles {
		set := make(map[Permission]bool, len(r.Permissions))
		for _, perm := range r.Permissions {
			set[perm] = true
		}
		p.roles[r.Key] = set
		if r.TenantID != uuid.Nil {
			p.owners[r.Key] = r.TenantID
		}
	}
	return p
}

// RoleHas says whether a role has a permission; an unknown role has none.
func (p *Policy) RoleHas(role string, perm Permission) bool { return p.roles[role][perm] }

// RoleIn says whether a role may be held in a tenant: a built-in one, or one of
// the tenant's own.
func (p *Policy) RoleIn(role string, tenant uuid.UUID) bool {
	_, known := p.roles[role]
	owner, owned := p.owners[role]
	return known && (!owned || owner == tenant)
}

// Tenant is the root above an org unit.
func (p *Policy) Tenant(orgUnit uuid.UUID) (uuid.UUID, bool) {
	u, ok := p.units[orgUnit]
	return u.TenantID, ok
}

// OrgUnit is a unit of the tree.
func (p *Policy) OrgUnit(id uuid.UUID) (OrgUnit, bool) {
	u, ok := p.units[id]
	return u, ok
}

// Ancestors are the unit itself and all above it, the root last. A cycle,
// which the user service does not allow, ends the walk.
func (p *Policy) Ancestors(orgUnit uuid.UUID) []uuid.UUID {
	var out []uuid.UUID
	for id := orgUnit; id != uuid.Nil && !slices.Contains(out, id); id = p.units[id].ParentID {
		if _, ok := p.units[id]; !ok {
			break
		}
		out = append(out, id)
	}
	return out
}

// Subtree is the unit itself and all below it.
func (p *Policy) Subtree(orgUnit uuid.UUID) []uuid.UUID {
	if _, ok := p.units[orgUnit]; !ok {
		return nil
	}
	out := []uuid.UUID{orgUnit}
	seen := map[uuid.UUID]bool{orgUnit: true}
	for i := 0; i < len(out); i++ {
		for _, c := range p.children[out[i]] {
			if !seen[c] {
				seen[c] = true
				out = append(out, c)
			}
		}
	}
	return out
}

// Allows says whether the caller holds the permission for an org unit: by a
// grant for the platform, the unit, or a unit above it.
func (p *Policy) Allows(pr Principal, perm Permission, orgUnit uuid.UUID) bool {
	if pr.limitedFrom(perm) {
		return false
	}
	for _, g := range pr.Grants {
		if !p.RoleHas(g.Role, perm) {
			continue
		}
		if g.Scope.Kind == ScopePlatform || g.Scope.Kind == ScopeOrgUnit && p.above(g.Scope.ID, orgUnit) {
			return true
		}
	}
	return false
}

func (p *Policy) above(ancestor, unit uuid.UUID) bool {
	for steps := 0; unit != uuid.Nil && steps < 64; steps++ {
		if unit == ancestor {
			return true
		}
		unit = p.units[unit].ParentID
	}
	return false
}

// AllowsPlatform says whether the caller holds the permission for the whole
// platform.
func (p *Policy) AllowsPlatform(pr Principal, perm Permission) bool {
	return p.Allows(pr, perm, uuid.Nil)
}

// AllowsSomewhere says whether the caller holds the permission in any scope.
func (p *Policy) AllowsSomewhere(pr Principal, perm Permission) bool {
	return !pr.limitedFrom(perm) &&
		slices.ContainsFunc(pr.Grants, func(g Grant) bool { return p.RoleHas(g.Role, perm) })
}

// Reach is where a caller holds a permission, for the filter of a list.
type Reach struct {
	All      bool
	OrgUnits []uuid.UUID // every unit of the subtrees, if not All
}

// None says that the permission is held nowhere.
func (r Reach) None() bool { return !r.All && len(r.OrgUnits) == 0 }

// Reach is the reach of a permission for a caller.
func (p *Policy) Reach(pr Principal, perm Permission) Reach {
	var r Reach
	if pr.limitedFrom(perm) {
		return r
	}
	seen := map[uuid.UUID]bool{}
	for _, g := range pr.Grants {
		if !p.RoleHas(g.Role, perm) {
			continue
		}
		if g.Scope.Kind == ScopePlatform {
			return Reach{All: true}
		}
		if g.Scope.Kind != ScopeOrgUnit {
			continue
		}
		for _, id := range p.Subtree(g.Scope.ID) {
			if !seen[id] {
				seen[id] = true
				r.OrgUnits = append(r.OrgUnits, id)
			}
		}
	}
	return r
}

// AllowsInCourse is Allows for a course of an org unit in which the caller
// holds staffRole ("" for none). A role of another tenant gives nothing.
func (p *Policy) AllowsInCourse(pr Principal, perm Permission, orgUnit uuid.UUID, staffRole string) bool {
	if p.Allows(pr, perm, orgUnit) {
		return true
	}
	return staffRole != "" && !pr.limitedFrom(perm) && p.RoleHas(staffRole, perm) && p.RoleIn(staffRole, p.units[orgUnit].TenantID)
}

// Renewer is a Source that can be asked for what it does not know yet.
type Renewer interface {
	Source
	// Renew gives a policy that was made after the call began. It fails where
	// nobody can be asked.
	Renew(ctx context.Context) (*Policy, error)
}

// Knows says whether the policy knows a unit (nil: none is meant) and every
// role that the caller holds.
func (p *Policy) Knows(pr Principal, orgUnit uuid.UUID) bool {
	if _, ok := p.units[orgUnit]; orgUnit != uuid.Nil && !ok {
		return false
	}
	return !slices.ContainsFunc(pr.Grants, func(g Grant) bool { _, ok := p.roles[g.Role]; return !ok })
}

// Knowing is the policy of a source, made anew if it is of before a unit or a
// role that the caller names: who has just made an org unit can use it at once.
func Knowing(ctx context.Context, s Source, pr Principal, orgUnit uuid.UUID) (*Policy, error) {
	p, err := s.Policy(ctx)
	if err != nil || p.Knows(pr, orgUnit) {
		return p, err
	}
	if r, ok := s.(Renewer); ok {
		return r.Renew(ctx)
	}
	return p, nil
}
