package identity

import (
	"context"
	"slices"

	"lms/apps/user/internal/roster"
	"lms/shared/apperr"
	"lms/shared/authz"
)

// Org makes or changes the org unit of a row.
func (im *Importer) Org(ctx context.Context, o roster.Org) (Outcome, error) {
	if len(o.Problems) > 0 {
		return problem(o.Problems[0]), nil
	}
	policy, err := im.s.policy(ctx)
	if err != nil {
		return Outcome{}, err
	}
	out, err := im.row(ctx, func(ctx context.Context, tx Tx) (Outcome, error) {
		ext := ExternalID{Source: im.o.Source, ID: o.ID}
		known, err := tx.OrgUnitByExternalID(ctx, im.base.TenantID, ext)
		if err == nil {
			return im.changeOrg(ctx, tx, policy, known, o)
		}
		if !apperr.IsKind(err, apperr.KindNotFound) {
			return Outcome{}, err
		}
		if o.Deleted {
			return Outcome{Status: "skipped", Code: "not_here"}, nil
		}
		return im.makeOrg(ctx, tx, policy, ext, o)
	})
	if err == nil && im.o.DryRun && out.Status == "created" {
		im.planned[o.ID] = true
	}
	return out, err
}

func (im *Importer) makeOrg(ctx context.Context, tx Tx, policy *authz.Policy, ext ExternalID, o roster.Org) (Outcome, error) {
	parent := im.base
	if o.ParentID != "" && !im.planned[o.ParentID] {
		p, err := tx.OrgUnitByExternalID(ctx, im.base.TenantID, ExternalID{Source: im.o.Source, ID: o.ParentID})
		if err != nil && !apperr.IsKind(err, apperr.KindNotFound) {
			return Outcome{}, err
		}
		if err != nil || p.DeletedAt != nil {
			return Outcome{Status: "failed", Code: "parentSourcedId:not_found", Message: "The parent is not known."}, nil //nolint:nilerr // the row is told what is wrong
		}
		parent = p
	}
	if !policy.Allows(im.actor, authz.OrgUnitManage, im.base.ID) || !slices.Contains(parent.Path, im.base.ID) {
		return Outcome{Status: "failed", Code: "forbidden", Message: "You may not make org units there."}, nil
	}
	now := im.s.Now()
	id := parent.ID
	u := OrgUnit{
		ID: im.s.NewID(), ParentID: &id, Kind: o.Kind, Code: o.Code, Name: o.Name, ExternalIDs: []ExternalID{ext}, CreatedAt: now, UpdatedAt: now, Version: 1,
	}
	var f apperr.Fields
	u.check(&f)
	if err := f.Err(); err != nil {
		return Outcome{}, err
	}
	if err := im.s.insertOrgUnit(ctx, tx, &u); err != nil {
		return Outcome{}, err
	}
	return Outcome{Status: "created", UnitID: u.ID}, nil
}

func (im *Importer) changeOrg(ctx context.Context, tx Tx, policy *authz.Policy, known OrgUnit, o roster.Org) (Outcome, error) {
	if known.DeletedAt != nil || o.Deleted {
		return Outcome{Status: "skipped", Code: "left_alone", Message: "Org units are not deleted by an import.", UnitID: known.ID}, nil
	}
	if !im.o.Update {
		return Outcome{Status: "unchanged", UnitID: known.ID}, nil
	}
	if !policy.Allows(im.actor, authz.OrgUnitManage, known.ID) {
		return Outcome{Status: "failed", Code: "forbidden", Message: "You may not change this org unit."}, nil
	}
	if err := tx.LockTree(ctx, known.TenantID); err != nil {
		return Outcome{}, err
	}
	before, err := tx.LockOrgUnit(ctx, known.ID)
	if err != nil {
		return Outcome{}, err
	}
	u := before
	u.Name, u.Kind = firstOf(o.Name, u.Name), firstOf(o.Kind, u.Kind)
	u.Code = firstOf(o.Code, u.Code)
	var f apperr.Fields
	u.check(&f)
	if err := f.Err(); err != nil {
		return Outcome{}, err
	}
	if err := im.s.saveUnit(ctx, tx, before, &u, "org_unit.update"); err != nil {
		return Outcome{}, err
	}
	if u.Version == before.Version {
		return Outcome{Status: "unchanged", UnitID: u.ID}, nil
	}
	return Outcome{Status: "updated", UnitID: u.ID}, nil
}
