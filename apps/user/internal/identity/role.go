package identity

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/page"
	"lms/shared/patch"
	"lms/shared/work"
)

// Role is a named set of permissions: built in (no id, no tenant), or one of an
// organisation's own, which may be granted in its org unit and below.
type Role struct {
	ID          uuid.UUID
	Key         string
	TenantID    uuid.UUID
	OrgUnitID   uuid.UUID
	Name        string
	Description string
	Permissions []authz.Permission
	Builtin     bool
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Version     int64
}

// NewRole is what is said of a new role.
type NewRole struct {
	OrgUnitID   uuid.UUID
	Name        string
	Description string
	Permissions []authz.Permission
}

// RolePatch is a merge patch of a role.
type RolePatch struct {
	Name        patch.Field[string]
	Description patch.Field[string]
	Permissions patch.Field[[]authz.Permission]
}

// BuiltinRoles are the roles that every installation has.
func BuiltinRoles() []Role {
	builtin := authz.BuiltinRoles()
	out := make([]Role, len(builtin))
	for i, r := range builtin {
		out[i] = Role{Key: r.Key, Name: r.Name, Permissions: r.Permissions, Builtin: true, Version: 1}
	}
	return out
}

func builtinRole(key string) (Role, bool) {
	for _, r := range BuiltinRoles() {
		if r.Key == key {
			return r, true
		}
	}
	return Role{}, false
}

func (r *Role) check(f *apperr.Fields) {
	checkName(f, "name", r.Name, true)
	f.Require(validText(r.Description, 1000), "description", "invalid", "At most 1000 characters.")
	f.Require(len(r.Permissions) > 0, "permissions", "required", "A role needs a permission at least.")
	known := authz.Permissions()
	for _, p := range r.Permissions {
		_, ok := known[p]
		f.Require(ok, "permissions", "unknown", "There is no permission "+string(p)+".")
	}
	r.Permissions = slices.Compact(slices.Sorted(slices.Values(r.Permissions)))
}

// holdsAll says whether the actor holds every permission at a unit: nobody
// makes a role that can do more than its maker.
func holdsAll(p *authz.Policy, actor authz.Principal, perms []authz.Permission, unit uuid.UUID) (authz.Permission, bool) {
	for _, perm := range perms {
		if !p.Allows(actor, perm, unit) {
			return perm, false
		}
	}
	return "", true
}

func errExceeds(perm authz.Permission) error {
	return apperr.New(apperr.KindForbidden, "exceeds_own_permissions", "You cannot give what you do not have yourself.").Detail("permission", perm)
}

// ListRoles lists the built-in roles on the first page, then, sorted, those of the
// actor's organisations.
func (s *Service) ListRoles(ctx context.Context, actor authz.Principal, sort string, q page.Request) (p page.Page[Role], err error) {
	policy, err := s.policy(ctx)
	if err != nil {
		return p, err
	}
	reach := policy.Reach(actor, authz.RoleRead)
	err = s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		p, err = tx.ListRoles(ctx, []uuid.UUID{actor.TenantID}, reach.All, sort, q)
		return err
	})
	if err == nil && q.Cursor == "" {
		p.Items = append(BuiltinRoles(), p.Items...)
	}
	return p, err
}

// GetRole reads a role by key: of the built-in ones, or an id.
func (s *Service) GetRole(ctx context.Context, actor authz.Principal, key string) (r Role, err error) {
	if r, ok := builtinRole(key); ok {
		return r, nil
	}
	id, err := uuid.Parse(key)
	if err != nil {
		return r, apperr.NotFound("role")
	}
	policy, err := s.policy(ctx)
	if err != nil {
		return r, err
	}
	err = s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		r, err = tx.Role(ctx, id)
		return err
	})
	if err == nil && !policy.AllowsPlatform(actor, authz.RoleRead) && r.TenantID != actor.TenantID {
		return Role{}, apperr.NotFound("role")
	}
	return r, err
}

// CreateRole makes a role of an organisation's own.
func (s *Service) CreateRole(ctx context.Context, actor authz.Principal, in NewRole) (r Role, err error) {
	policy, err := s.policy(ctx)
	if err != nil {
		return r, err
	}
	now := s.Now()
	r = Role{
		ID: s.NewID(), OrgUnitID: in.OrgUnitID, Name: strings.TrimSpace(in.Name), Description: in.Description,
		Permissions: slices.Clone(in.Permissions), CreatedAt: now, UpdatedAt: now, Version: 1,
	}
	r.Key = r.ID.String()
	var f apperr.Fields
	r.check(&f)
	if !policy.Allows(actor, authz.RoleManage, in.OrgUnitID) {
		f.Add("org_unit_id", "not_found", "No such org unit where you may make roles.")
	}
	if err := f.Err(); err != nil {
		return r, err
	}
	if perm, ok := holdsAll(policy, actor, r.Permissions, in.OrgUnitID); !ok {
		return r, errExceeds(perm)
	}
	err = s.Store.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &r, func() error {
			unit, err := openUnit(ctx, tx, r.OrgUnitID)
			if err != nil {
				return err
			}
			r.TenantID = unit.TenantID
			if err := tx.InsertRole(ctx, r); err != nil {
				return err
			}
			return s.noteRole(ctx, tx, r, "role.create", map[string]work.Change{"name": {To: r.Name}, "permissions": {To: r.Permissions}})
		})
	})
	return r, err
}

func (s *Service) noteRole(ctx context.Context, tx Tx, r Role, action string, changes map[string]work.Change) error {
	if err := tx.BumpSnapshot(ctx); err != nil {
		return err
	}
	return tx.Audit(ctx, work.AuditEntry{
		Action: action, ResourceType: "role", ResourceID: r.ID, TenantID: r.TenantID, OrgUnitID: r.OrgUnitID, Changes: changes,
	})
}

// changeRole locks a role that the actor may manage and whose permissions the
// actor holds, and runs fn.
func (s *Service) changeRole(ctx context.Context, actor authz.Principal, key string, version int64, fn func(context.Context, Tx, *authz.Policy, *Role) error) (r Role, err error) {
	if _, ok := builtinRole(key); ok {
		return r, apperr.Forbidden("Built-in roles cannot be changed.")
	}
	id, err := uuid.Parse(key)
	if err != nil {
		return r, apperr.NotFound("role")
	}
	policy, err := s.policy(ctx)
	if err != nil {
		return r, err
	}
	err = s.Store.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		if r, err = tx.LockRole(ctx, id); err != nil {
			return err
		}
		if !policy.Allows(actor, authz.RoleManage, r.OrgUnitID) {
			if r.TenantID == actor.TenantID {
				return apperr.Forbidden("The role belongs to an org unit that you do not manage.")
			}
			return apperr.NotFound("role")
		}
		if r.Version != version {
			return apperr.VersionMismatch()
		}
		if perm, ok := holdsAll(policy, actor, r.Permissions, r.OrgUnitID); !ok {
			return errExceeds(perm)
		}
		return fn(ctx, tx, policy, &r)
	})
	return r, err
}

// UpdateRole changes a role. Who holds it gets the new permissions within
// seconds; access tokens need not change, since they name the role only.
func (s *Service) UpdateRole(ctx context.Context, actor authz.Principal, key string, version int64, p RolePatch) (Role, error) {
	return s.changeRole(ctx, actor, key, version, func(ctx context.Context, tx Tx, policy *authz.Policy, r *Role) error {
		before := *r
		p.Name.Apply(&r.Name)
		p.Description.Apply(&r.Description)
		if p.Permissions.Set {
			r.Permissions = slices.Clone(p.Permissions.Value)
		}
		r.Name = strings.TrimSpace(r.Name)
		var f apperr.Fields
		r.check(&f)
		if err := f.Err(); err != nil {
			return err
		}
		if perm, ok := holdsAll(policy, actor, r.Permissions, r.OrgUnitID); !ok {
			return errExceeds(perm)
		}
		changes := map[string]work.Change{}
		if before.Name != r.Name {
			changes["name"] = work.Change{From: before.Name, To: r.Name}
		}
		if before.Description != r.Description {
			changes["description"] = work.Change{From: before.Description, To: r.Description}
		}
		if !slices.Equal(before.Permissions, r.Permissions) {
			changes["permissions"] = work.Change{From: before.Permissions, To: r.Permissions}
		}
		if len(changes) == 0 {
			return nil
		}
		r.Version, r.UpdatedAt = before.Version+1, s.Now()
		if err := tx.UpdateRole(ctx, *r); err != nil {
			return err
		}
		return s.noteRole(ctx, tx, *r, "role.update", changes)
	})
}

// DeleteRole deletes a role that nobody holds.
func (s *Service) DeleteRole(ctx context.Context, actor authz.Principal, key string, version int64) error {
	_, err := s.changeRole(ctx, actor, key, version, func(ctx context.Context, tx Tx, _ *authz.Policy, r *Role) error {
		if err := tx.DeleteRole(ctx, r.ID); err != nil {
			return err
		}
		return s.noteRole(ctx, tx, *r, "role.delete", map[string]work.Change{"name": {From: r.Name}})
	})
	return err
}
