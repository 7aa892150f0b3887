package identity

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/page"
	"lms/shared/work"
)

// ListOrgUnits lists the units of the actor's reach.
func (s *Service) ListOrgUnits(ctx context.Context, actor authz.Principal, f OrgUnitFilter) (p page.Page[OrgUnit], err error) {
	policy, err := s.policy(ctx)
	if err != nil {
		return p, err
	}
	f.Reach = policy.Reach(actor, authz.OrgUnitRead)
	if f.Reach.None() {
		return p, nil
	}
	err = s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		p, err = tx.ListOrgUnits(ctx, f)
		return err
	})
	return p, err
}

// GetOrgUnit reads a unit of the actor's reach.
func (s *Service) GetOrgUnit(ctx context.Context, actor authz.Principal, id uuid.UUID) (u OrgUnit, err error) {
	policy, err := s.policy(ctx)
	if err != nil {
		return u, err
	}
	err = s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		u, err = tx.OrgUnit(ctx, id)
		return err
	})
	if err == nil && (u.DeletedAt != nil || !policy.Allows(actor, authz.OrgUnitRead, id)) {
		return OrgUnit{}, apperr.NotFound("org unit")
	}
	return u, err
}

// CreateOrgUnit adds a unit under a parent, or a tenant.
func (s *Service) CreateOrgUnit(ctx context.Context, actor authz.Principal, in NewOrgUnit) (u OrgUnit, err error) {
	policy, err := s.policy(ctx)
	if err != nil {
		return u, err
	}
	now := s.Now()
	u = OrgUnit{
		ID: s.NewID(), ParentID: in.ParentID, Kind: in.Kind, Code: strings.TrimSpace(in.Code), Name: strings.TrimSpace(in.Name),
		ExternalIDs: in.ExternalIDs, CreatedAt: now, UpdatedAt: now, Version: 1,
	}
	if u.Kind == "" {
		u.Kind = "other"
	}
	if u.ExternalIDs == nil {
		u.ExternalIDs = []ExternalID{}
	}
	var f apperr.Fields
	u.check(&f)
	if in.ParentID != nil && !policy.Allows(actor, authz.OrgUnitManage, *in.ParentID) {
		f.Add("parent_id", "not_found", "No such org unit that you may change.")
	}
	if err := f.Err(); err != nil {
		return u, err
	}
	if in.ParentID == nil && !policy.AllowsPlatform(actor, authz.OrgUnitManage) {
		return u, apperr.Forbidden("Only the platform's administrators make organisations.")
	}
	err = s.Store.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &u, func() error { return s.insertOrgUnit(ctx, tx, &u) })
	})
	return u, err
}

// insertOrgUnit places a unit in the tree and tells.
func (s *Service) insertOrgUnit(ctx context.Context, tx Tx, u *OrgUnit) error {
	if u.ParentID == nil {
		u.TenantID, u.Path = u.ID, []uuid.UUID{u.ID}
	} else {
		parent, err := s.lockParent(ctx, tx, *u.ParentID)
		if err != nil {
			return err
		}
		if len(parent.Path) >= MaxDepth {
			return apperr.Conflict("too_deep", "A tree has at most 12 levels.")
		}
		u.TenantID, u.Path = parent.TenantID, append(slices.Clone(parent.Path), u.ID)
	}
	if err := tx.InsertOrgUnit(ctx, *u); err != nil {
		return err
	}
	if err := tx.BumpSnapshot(ctx); err != nil {
		return err
	}
	if err := tx.Emit(ctx, events.OrgUnitCreated{OrgUnitState: u.state()}, u.meta()); err != nil {
		return err
	}
	return tx.Audit(ctx, work.AuditEntry{
		Action: "org_unit.create", ResourceType: "org_unit", ResourceID: u.ID, TenantID: u.TenantID, OrgUnitID: u.ID,
		Changes: map[string]work.Change{"name": {To: u.Name}, "parent_id": {To: u.ParentID}},
	})
}

// lockParent reads a unit that takes children, once the tenant's tree is still.
func (s *Service) lockParent(ctx context.Context, tx Tx, id uuid.UUID) (OrgUnit, error) {
	parent, err := openParent(ctx, tx, id)
	if err != nil {
		return OrgUnit{}, err
	}
	if err := tx.LockTree(ctx, parent.TenantID); err != nil {
		return OrgUnit{}, err
	}
	return openParent(ctx, tx, id) // as it is now that nobody else moves it
}

func openParent(ctx context.Context, tx Tx, id uuid.UUID) (OrgUnit, error) {
	parent, err := tx.OrgUnit(ctx, id)
	if apperr.IsKind(err, apperr.KindNotFound) || err == nil && parent.DeletedAt != nil {
		return parent, apperr.Invalid(apperr.Field{Path: "parent_id", Code: "not_found", Message: "No such org unit."})
	}
	if err == nil && parent.ArchivedAt != nil {
		return parent, apperr.Invalid(apperr.Field{Path: "parent_id", Code: "archived", Message: "The org unit is archived."})
	}
	return parent, err
}

// changeUnit locks tree and unit for somebody who may manage it, and runs fn.
func (s *Service) changeUnit(ctx context.Context, actor authz.Principal, id uuid.UUID, fn func(context.Context, Tx, *authz.Policy, *OrgUnit) error) (u OrgUnit, err error) {
	policy, err := s.policy(ctx)
	if err != nil {
		return u, err
	}
	if !policy.Allows(actor, authz.OrgUnitManage, id) {
		if policy.Allows(actor, authz.OrgUnitRead, id) {
			return u, apperr.Forbidden("You may see this org unit, but not change it.")
		}
		return u, apperr.NotFound("org unit")
	}
	err = s.Store.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &u, func() error {
			if u, err = tx.OrgUnit(ctx, id); err != nil {
				return err
			}
			if err := tx.LockTree(ctx, u.TenantID); err != nil {
				return err
			}
			if u, err = tx.LockOrgUnit(ctx, id); err != nil {
				return err
			}
			if u.DeletedAt != nil {
				return apperr.NotFound("org unit")
			}
			return fn(ctx, tx, policy, &u)
		})
	})
	return u, err
}

// UpdateOrgUnit renames a unit or changes what it is.
func (s *Service) UpdateOrgUnit(ctx context.Context, actor authz.Principal, id uuid.UUID, version int64, p OrgUnitPatch) (OrgUnit, error) {
	return s.changeUnit(ctx, actor, id, func(ctx context.Context, tx Tx, _ *authz.Policy, u *OrgUnit) error {
		if u.Version != version {
			return apperr.VersionMismatch()
		}
		before := *u
		p.Name.Apply(&u.Name)
		p.Code.Apply(&u.Code)
		p.Kind.Apply(&u.Kind)
		p.ExternalIDs.Apply(&u.ExternalIDs)
		u.Name, u.Code = strings.TrimSpace(u.Name), strings.TrimSpace(u.Code)
		if u.ExternalIDs == nil {
			u.ExternalIDs = []ExternalID{}
		}
		var f apperr.Fields
		u.check(&f)
		if err := f.Err(); err != nil {
			return err
		}
		return s.saveUnit(ctx, tx, before, u, "org_unit.update")
	})
}

func diffUnits(a, b OrgUnit) map[string]work.Change {
	c := map[string]work.Change{}
	if a.Name != b.Name {
		c["name"] = work.Change{From: a.Name, To: b.Name}
	}
	if a.Code != b.Code {
		c["code"] = work.Change{From: a.Code, To: b.Code}
	}
	if a.Kind != b.Kind {
		c["kind"] = work.Change{From: a.Kind, To: b.Kind}
	}
	if !slices.Equal(a.Path, b.Path) {
		c["path"] = work.Change{From: a.Path, To: b.Path}
	}
	if (a.ArchivedAt == nil) != (b.ArchivedAt == nil) {
		c["archived"] = work.Change{From: a.ArchivedAt != nil, To: b.ArchivedAt != nil}
	}
	if (a.DeletedAt == nil) != (b.DeletedAt == nil) {
		c["deleted"] = work.Change{From: a.DeletedAt != nil, To: b.DeletedAt != nil}
	}
	if !slices.Equal(a.ExternalIDs, b.ExternalIDs) {
		c["external_ids"] = work.Change{From: a.ExternalIDs, To: b.ExternalIDs}
	}
	return c
}

// saveUnit writes the next version of a unit, and tells what changed.
func (s *Service) saveUnit(ctx context.Context, tx Tx, before OrgUnit, u *OrgUnit, action string) error {
	changes := diffUnits(before, *u)
	if len(changes) == 0 {
		return nil
	}
	u.Version, u.UpdatedAt = before.Version+1, s.Now()
	if err := tx.UpdateOrgUnit(ctx, *u); err != nil {
		return err
	}
	if err := tx.BumpSnapshot(ctx); err != nil {
		return err
	}
	names := make([]string, 0, len(changes))
	for name := range changes {
		names = append(names, name)
	}
	slices.Sort(names)
	var e events.Event = events.OrgUnitChanged{OrgUnitState: u.state(), Changed: names}
	if action == "org_unit.archive" {
		e = events.OrgUnitArchived{OrgUnitState: u.state()}
	}
	if err := tx.Emit(ctx, e, u.meta()); err != nil {
		return err
	}
	return tx.Audit(ctx, work.AuditEntry{
		Action: action, ResourceType: "org_unit", ResourceID: u.ID, TenantID: u.TenantID, OrgUnitID: u.ID, Changes: changes,
	})
}

// MoveOrgUnit puts a unit with its subtree under another parent of the same
// tenant, one that the actor may change too. Every unit below gets its new path
// and says so.
func (s *Service) MoveOrgUnit(ctx context.Context, actor authz.Principal, id, parentID uuid.UUID, version int64) (OrgUnit, error) {
	return s.changeUnit(ctx, actor, id, func(ctx context.Context, tx Tx, policy *authz.Policy, u *OrgUnit) error {
		if u.Version != version {
			return apperr.VersionMismatch()
		}
		if u.ParentID == nil {
			return apperr.Conflict("root", "An organisation itself cannot be moved.")
		}
		if !policy.Allows(actor, authz.OrgUnitManage, parentID) {
			return apperr.Invalid(apperr.Field{Path: "parent_id", Code: "not_found", Message: "No such org unit that you may change."})
		}
		parent, err := openParent(ctx, tx, parentID)
		if err != nil {
			return err
		}
		if parent.TenantID != u.TenantID {
			return apperr.Invalid(apperr.Field{Path: "parent_id", Code: "other_tenant", Message: "An org unit stays in its organisation."})
		}
		before, err := tx.LockSubtree(ctx, id)
		if err != nil {
			return err
		}
		after, err := moveUnder(before, parent)
		if err != nil {
			return err
		}
		for i := range after {
			if err := s.saveUnit(ctx, tx, before[i], &after[i], "org_unit.move"); err != nil {
				return err
			}
		}
		*u = after[0]
		return nil
	})
}

// ArchiveOrgUnit closes a unit with its subtree for new things, or opens it
// again. Grants and members stay.
func (s *Service) ArchiveOrgUnit(ctx context.Context, actor authz.Principal, id uuid.UUID, archive bool) (OrgUnit, error) {
	return s.changeUnit(ctx, actor, id, func(ctx context.Context, tx Tx, _ *authz.Policy, u *OrgUnit) error {
		if u.ParentID == nil && archive {
			roots, err := tx.Roots(ctx)
			if err != nil {
				return err
			}
			if len(roots) == 1 {
				return apperr.Conflict("last_organisation", "The only organisation cannot be archived.")
			}
		}
		if !archive && u.ParentID != nil {
			if _, err := openParent(ctx, tx, *u.ParentID); err != nil {
				return apperr.Conflict("parent_archived", "Restore the org unit above first.")
			}
		}
		units, err := tx.LockSubtree(ctx, id)
		if err != nil {
			return err
		}
		now := s.Now()
		for _, before := range units {
			after := before
			action := "org_unit.archive"
			if archive && before.ArchivedAt == nil {
				after.ArchivedAt = &now
			}
			if !archive && before.ID == id {
				after.ArchivedAt, action = nil, "org_unit.restore"
			}
			if err := s.saveUnit(ctx, tx, before, &after, action); err != nil {
				return err
			}
			if before.ID == id {
				*u = after
			}
		}
		return nil
	})
}

// DeleteOrgUnit deletes an empty unit: one with units below, people, groups,
// grants, roles or service accounts is 409 `in_use`.
func (s *Service) DeleteOrgUnit(ctx context.Context, actor authz.Principal, id uuid.UUID, version int64) error {
	_, err := s.changeUnit(ctx, actor, id, func(ctx context.Context, tx Tx, _ *authz.Policy, u *OrgUnit) error {
		if u.Version != version {
			return apperr.VersionMismatch()
		}
		if u.ParentID == nil {
			return apperr.Conflict("root", "An organisation itself cannot be deleted; archive it.")
		}
		uses, err := tx.OrgUnitUses(ctx, id)
		if err != nil {
			return err
		}
		if len(uses) > 0 {
			return apperr.Conflict("in_use", "The org unit is not empty.").Detail("uses", uses)
		}
		before := *u
		now := s.Now()
		u.DeletedAt = &now
		if u.ArchivedAt == nil {
			u.ArchivedAt = &now
		}
		return s.saveUnit(ctx, tx, before, u, "org_unit.delete")
	})
	return err
}

// ListMembers lists the people of a unit: those whose home it is, and the
// others.
func (s *Service) ListMembers(ctx context.Context, actor authz.Principal, f MemberFilter) (p page.Page[Member], err error) {
	policy, err := s.policy(ctx)
	if err != nil {
		return p, err
	}
	if !policy.Allows(actor, authz.OrgUnitRead, f.OrgUnitID) {
		return p, apperr.NotFound("org unit")
	}
	err = s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		if _, err := tx.OrgUnit(ctx, f.OrgUnitID); err != nil {
			return err
		}
		p, err = tx.ListMembers(ctx, f)
		return err
	})
	return p, err
}

// PutMember makes a person a member of a unit, or with home moves the person's
// home there. Both units must be ones that the actor may change.
func (s *Service) PutMember(ctx context.Context, actor authz.Principal, unitID, userID uuid.UUID, title string, home bool) (m Member, err error) {
	var f apperr.Fields
	f.Require(validLine(title, MaxName), "title", "invalid", "At most 200 characters on one line.")
	if err := f.Err(); err != nil {
		return m, err
	}
	policy, err := s.policy(ctx)
	if err != nil {
		return m, err
	}
	if !policy.Allows(actor, authz.OrgUnitManage, unitID) {
		return m, apperr.NotFound("org unit")
	}
	err = s.Store.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		unit, err := openUnit(ctx, tx, unitID)
		if err != nil {
			return err
		}
		u, err := s.visible(ctx, tx, policy, actor, userID, authz.UserRead)
		if err != nil {
			return err
		}
		if u.TenantID != unit.TenantID || u.Status.Gone() {
			return apperr.NotFound("user")
		}
		m = Member{OrgUnitID: unit.ID, UserID: u.ID, TenantID: u.TenantID, Name: u.Name, Email: u.Email, Status: u.Status, Title: title, CreatedAt: s.Now()}
		if home && u.OrgUnitID != unit.ID {
			m.Home = true
			return s.moveHome(ctx, tx, policy, actor, u.ID, unit)
		}
		if u.OrgUnitID == unit.ID {
			m.Home, m.CreatedAt = true, u.CreatedAt
			return nil
		}
		return s.addMember(ctx, tx, m, unit)
	})
	return m, err
}

func (s *Service) addMember(ctx context.Context, tx Tx, m Member, unit OrgUnit) error {
	added, err := tx.PutMember(ctx, m)
	if err != nil || !added {
		return err
	}
	if err := tx.Emit(ctx, events.OrgMemberAdded{
		UserID: m.UserID, TenantID: m.TenantID, OrgUnitID: unit.ID, OrgUnitPath: unit.Path, Title: m.Title, At: s.Now(),
	}, unit.meta()); err != nil {
		return err
	}
	return tx.Audit(ctx, work.AuditEntry{
		Action: "org_unit.add_member", ResourceType: "user", ResourceID: m.UserID, TenantID: m.TenantID, OrgUnitID: unit.ID,
		Changes: map[string]work.Change{"org_unit": {To: unit.ID}, "title": {To: m.Title}},
	})
}

// moveHome changes where a person belongs. Access tokens carry the home unit,
// so those of before become stale.
func (s *Service) moveHome(ctx context.Context, tx Tx, policy *authz.Policy, actor authz.Principal, id uuid.UUID, unit OrgUnit) error {
	before, err := s.changeable(ctx, tx, policy, actor, id, authz.OrgUnitManage, false)
	if err != nil {
		return err
	}
	u := before
	u.OrgUnitID = unit.ID
	if _, err := s.removeMember(ctx, tx, u, unit); err != nil {
		return err
	}
	u.Epoch++
	if err := s.Calls.EndSessions(ctx, tx, SessionEnd{Subject: u.ID, TenantID: u.TenantID, Reason: "home_changed", EpochOnly: true, Epoch: u.Epoch}); err != nil {
		return err
	}
	return s.saveUser(ctx, tx, before, &u, "user.move_home")
}

// RemoveMember takes a person out of a unit; the home cannot be left so.
func (s *Service) RemoveMember(ctx context.Context, actor authz.Principal, unitID, userID uuid.UUID) error {
	policy, err := s.policy(ctx)
	if err != nil {
		return err
	}
	if !policy.Allows(actor, authz.OrgUnitManage, unitID) {
		return apperr.NotFound("org unit")
	}
	return s.Store.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		unit, err := tx.OrgUnit(ctx, unitID)
		if err != nil {
			return err
		}
		u, err := tx.User(ctx, userID)
		if err != nil {
			return err
		}
		if u.OrgUnitID == unitID {
			return apperr.Conflict("home_org_unit", "This is the person's home: give another one first.")
		}
		removed, err := s.removeMember(ctx, tx, u, unit)
		if err == nil && !removed {
			return apperr.NotFound("member")
		}
		return err
	})
}

func (s *Service) removeMember(ctx context.Context, tx Tx, u User, unit OrgUnit) (bool, error) {
	removed, err := tx.DeleteMember(ctx, unit.ID, u.ID)
	if err != nil || !removed {
		return removed, err
	}
	if err := tx.Emit(ctx, events.OrgMemberRemoved{UserID: u.ID, TenantID: u.TenantID, OrgUnitID: unit.ID, At: s.Now()}, unit.meta()); err != nil {
		return false, err
	}
	return true, tx.Audit(ctx, work.AuditEntry{
		Action: "org_unit.remove_member", ResourceType: "user", ResourceID: u.ID, TenantID: u.TenantID, OrgUnitID: unit.ID,
		Changes: map[string]work.Change{"org_unit": {From: unit.ID}},
	})
}
