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
	"lms/shared/work"
)

// Grant is a role held by a person in the platform or an org unit.
type Grant struct {
	ID        uuid.UUID
	TenantID  uuid.UUID
	UserID    uuid.UUID
	Role      string
	RoleName  string
	Scope     authz.Scope
	GrantedBy *uuid.UUID
	CreatedAt time.Time
}

func (g Grant) authz() authz.Grant { return authz.Grant{Role: g.Role, Scope: g.Scope} }

func authzGrants(grants []Grant) []authz.Grant {
	out := make([]authz.Grant, len(grants))
	for i, g := range grants {
		out[i] = g.authz()
	}
	return out
}

// ListGrants lists the grants of a person whom the actor may see; a person
// reads the own ones.
func (s *Service) ListGrants(ctx context.Context, actor authz.Principal, id uuid.UUID) (grants []Grant, err error) {
	policy, err := s.policy(ctx)
	if err != nil {
		return nil, err
	}
	err = s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		if id != actor.UserID {
			if _, err := s.visible(ctx, tx, policy, actor, id, authz.RoleRead); err != nil {
				return err
			}
		}
		grants, err = tx.GrantsOf(ctx, id)
		return err
	})
	return grants, err
}

// checkGrant decides whether the actor may give a role in a scope, and names
// the role. tenant is that of who gets it.
func (s *Service) checkGrant(ctx context.Context, tx Tx, policy *authz.Policy, actor authz.Principal, tenant uuid.UUID, g authz.Grant) (Role, error) {
	invalid := func(path, code, message string) (Role, error) {
		return Role{}, apperr.Invalid(apperr.Field{Path: path, Code: code, Message: message})
	}
	switch g.Scope.Kind {
	case authz.ScopeCourse:
		return invalid("scope.kind", "course_scope", "Roles in a course are given in the course: staff there, learners by enrolling.")
	case authz.ScopePlatform:
		if g.Scope.ID != uuid.Nil {
			return invalid("scope.id", "not_allowed", "The platform has no id.")
		}
	case authz.ScopeOrgUnit:
		if t, ok := policy.Tenant(g.Scope.ID); !ok || t != tenant || !policy.Allows(actor, authz.RoleGrant, g.Scope.ID) {
			return invalid("scope.id", "not_found", "No such org unit where you may give roles.")
		}
	default:
		return invalid("scope.kind", "invalid", `Must be "platform" or "org_unit".`)
	}
	role, err := s.grantable(ctx, tx, policy, tenant, g)
	if err != nil {
		return Role{}, err
	}
	if g.Scope.Kind == authz.ScopePlatform && !policy.AllowsPlatform(actor, authz.RoleGrant) {
		return Role{}, apperr.Forbidden("Only the platform's administrators give roles for the platform.")
	}
	if !covers(policy, actor, g) {
		return Role{}, apperr.New(apperr.KindForbidden, "exceeds_own_permissions", "You cannot give what you do not have yourself.")
	}
	return role, nil
}

// grantable finds a role that can be held in a scope: an organisation's own
// role only within its org unit.
func (s *Service) grantable(ctx context.Context, tx Tx, policy *authz.Policy, tenant uuid.UUID, g authz.Grant) (Role, error) {
	unknown := apperr.Invalid(apperr.Field{Path: "role", Code: "not_found", Message: "There is no such role."})
	if role, ok := builtinRole(g.Role); ok {
		return role, nil
	}
	id, err := uuid.Parse(g.Role)
	if err != nil || id.String() != g.Role {
		return Role{}, unknown
	}
	role, err := tx.Role(ctx, id)
	if apperr.IsKind(err, apperr.KindNotFound) || err == nil && role.TenantID != tenant {
		return Role{}, unknown
	}
	if err != nil {
		return Role{}, err
	}
	if g.Scope.Kind != authz.ScopeOrgUnit || !slices.Contains(policy.Ancestors(g.Scope.ID), role.OrgUnitID) {
		return Role{}, apperr.Invalid(apperr.Field{Path: "scope", Code: "outside_role", Message: "The role is for another org unit."})
	}
	return role, nil
}

// GrantRole gives a person a role. Given already: nothing changes.
func (s *Service) GrantRole(ctx context.Context, actor authz.Principal, userID uuid.UUID, g authz.Grant) (out Grant, err error) {
	policy, err := s.policy(ctx)
	if err != nil {
		return out, err
	}
	err = s.Store.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &out, func() error {
			u, err := s.visible(ctx, tx, policy, actor, userID, authz.RoleRead)
			if err != nil {
				return err
			}
			if u.Status.Gone() {
				return apperr.NotFound("user")
			}
			role, err := s.checkGrant(ctx, tx, policy, actor, u.TenantID, g)
			if err != nil {
				return err
			}
			by := actor.UserID
			out = Grant{
				ID: s.NewID(), TenantID: u.TenantID, UserID: u.ID, Role: g.Role, RoleName: role.Name, Scope: g.Scope, GrantedBy: &by, CreatedAt: s.Now(),
			}
			return s.insertGrant(ctx, tx, &out)
		})
	})
	return out, err
}

func (s *Service) insertGrant(ctx context.Context, tx Tx, g *Grant) error {
	u, err := tx.LockUser(ctx, g.UserID)
	if err != nil {
		return err
	}
	added, err := tx.InsertGrant(ctx, *g)
	if err != nil {
		return err
	}
	if !added {
		return s.sameGrant(ctx, tx, g)
	}
	if err := tx.Emit(ctx, events.RoleGranted{
		GrantID: g.ID, UserID: g.UserID, TenantID: g.TenantID, Role: g.Role, RoleName: g.RoleName,
		ScopeKind: string(g.Scope.Kind), ScopeID: scopeID(g.Scope), At: g.CreatedAt,
	}, u.meta()); err != nil {
		return err
	}
	return s.noteGrant(ctx, tx, u, *g, "role.grant", work.Change{To: g.authz()})
}

// sameGrant replaces g by the equal one that the person holds already.
func (s *Service) sameGrant(ctx context.Context, tx Tx, g *Grant) error {
	held, err := tx.GrantsOf(ctx, g.UserID)
	if err != nil {
		return err
	}
	for _, h := range held {
		if h.authz() == g.authz() {
			*g = h
		}
	}
	return nil
}

// noteGrant audits a change of grants and makes access tokens of before stale.
func (s *Service) noteGrant(ctx context.Context, tx Tx, u User, g Grant, action string, change work.Change) error {
	u.Epoch++
	if err := tx.SetEpoch(ctx, u.ID, u.Epoch); err != nil {
		return err
	}
	if err := s.Calls.EndSessions(ctx, tx, SessionEnd{Subject: u.ID, TenantID: u.TenantID, Reason: "roles_changed", EpochOnly: true, Epoch: u.Epoch}); err != nil {
		return err
	}
	if err := s.security(ctx, tx, SecurityEvent{
		Kind: strings.ReplaceAll(action, ".", "_"), UserID: u.ID, TenantID: u.TenantID,
		Details: map[string]string{"role": g.Role, "scope": string(g.Scope.Kind)},
	}); err != nil {
		return err
	}
	return tx.Audit(ctx, work.AuditEntry{
		Action: action, ResourceType: "user", ResourceID: u.ID, TenantID: u.TenantID, OrgUnitID: u.OrgUnitID,
		Changes: map[string]work.Change{"grant": change},
	})
}

func scopeID(s authz.Scope) *uuid.UUID {
	if s.ID == uuid.Nil {
		return nil
	}
	id := s.ID
	return &id
}

// RevokeRole takes a role from a person: one that the actor could give.
func (s *Service) RevokeRole(ctx context.Context, actor authz.Principal, userID, grantID uuid.UUID) error {
	policy, err := s.policy(ctx)
	if err != nil {
		return err
	}
	return s.Store.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		if _, err := s.visible(ctx, tx, policy, actor, userID, authz.RoleRead); err != nil {
			return err
		}
		u, err := tx.LockUser(ctx, userID)
		if err != nil {
			return err
		}
		grants, err := tx.GrantsOf(ctx, userID)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(grants, func(g Grant) bool { return g.ID == grantID })
		if i < 0 {
			return apperr.NotFound("grant")
		}
		g := grants[i]
		if !policy.Allows(actor, authz.RoleGrant, g.Scope.ID) || !covers(policy, actor, g.authz()) {
			return apperr.New(apperr.KindForbidden, "exceeds_own_permissions", "You cannot take what you could not give.")
		}
		if g.Role == authz.RolePlatformAdmin && g.Scope.Kind == authz.ScopePlatform {
			if err := keepAnAdmin(ctx, tx, userID); err != nil {
				return err
			}
		}
		return s.deleteGrant(ctx, tx, u, g)
	})
}

func (s *Service) deleteGrant(ctx context.Context, tx Tx, u User, g Grant) error {
	if err := tx.DeleteGrant(ctx, g.ID); err != nil {
		return err
	}
	if err := tx.Emit(ctx, events.RoleRevoked{
		GrantID: g.ID, UserID: g.UserID, TenantID: g.TenantID, Role: g.Role, RoleName: g.RoleName,
		ScopeKind: string(g.Scope.Kind), ScopeID: scopeID(g.Scope), At: s.Now(),
	}, u.meta()); err != nil {
		return err
	}
	return s.noteGrant(ctx, tx, u, g, "role.revoke", work.Change{From: g.authz()})
}
