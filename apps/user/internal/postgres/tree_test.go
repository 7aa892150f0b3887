package postgres_test

import (
	"context"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lms/apps/user/internal/identity"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/page"
)

// place writes u and all of its subtree below a parent, whether that makes
// sense or not.
func place(ctx context.Context, tx identity.Tx, u identity.OrgUnit, parent identity.OrgUnit, reversed bool) error {
	subtree, err := tx.LockSubtree(ctx, u.ID)
	if err != nil {
		return err
	}
	cut := len(subtree[0].Path) - 1
	for i := range subtree {
		subtree[i].Path = append(slices.Clone(parent.Path), subtree[i].Path[cut:]...)
		subtree[i].Version++
	}
	subtree[0].ParentID = &parent.ID
	if reversed {
		slices.Reverse(subtree)
	}
	for _, s := range subtree {
		if err := tx.UpdateOrgUnit(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// Whatever is written, what is committed is a tree: each path is that of the
// parent and the unit itself, and no unit is above itself.
func TestWhateverIsWrittenTheTreeStaysATree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rapid.Check(t, func(rt *rapid.T) {
		units := []identity.OrgUnit{w.tenant("T")}
		for i := range rapid.IntRange(2, 7).Draw(rt, "units") {
			units = append(units, w.unit(units[rapid.IntRange(0, i).Draw(rt, "parent")], "U"))
		}
		for range rapid.IntRange(1, 5).Draw(rt, "moves") {
			u := units[rapid.IntRange(1, len(units)-1).Draw(rt, "unit")]
			p := units[rapid.IntRange(0, len(units)-1).Draw(rt, "to")]
			reversed := rapid.Bool().Draw(rt, "reversed")
			cycle := false
			err := w.try(func(ctx context.Context, tx identity.Tx) error {
				parent, err := tx.OrgUnit(ctx, p.ID)
				if err != nil {
					return err
				}
				cycle = slices.Contains(parent.Path, u.ID)
				return place(ctx, tx, u, parent, reversed)
			})
			require.Equal(rt, cycle, err != nil, "%v", err)
		}
		broken := w.count(`
select count(*) from org_units u left join org_units p on p.id = u.parent_id
where u.tenant_id = $1 and (u.path <> coalesce(p.path, '{}') || u.id or u.parent_id is null and u.id <> u.tenant_id
  or cardinality(u.path) <> (select count(distinct x) from unnest(u.path) x))`, units[0].ID)
		require.Zero(rt, broken)
	})
}

func TestChildrenCannotBeLeftBehindNorPathsInvented(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.unit(w.root, "A"), w.unit(w.root, "B")
	w.unit(a, "A1")
	other := w.tenant("Other")
	update := func(u identity.OrgUnit) error {
		u.Version++
		return w.try(func(ctx context.Context, tx identity.Tx) error { return tx.UpdateOrgUnit(ctx, u) })
	}
	moved := a
	moved.ParentID, moved.Path = &b.ID, []uuid.UUID{w.root.ID, b.ID, a.ID}
	require.ErrorContains(t, update(moved), "left behind")
	lying := b
	lying.Path = []uuid.UUID{w.root.ID, a.ID, b.ID}
	require.Error(t, update(lying), "a path that does not end in the parent")
	abroad := b
	abroad.ParentID, abroad.Path = &other.ID, []uuid.UUID{other.ID, b.ID}
	require.Error(t, update(abroad), "another tenant's tree")
	orphan := b
	orphan.ParentID, orphan.Path = nil, []uuid.UUID{b.ID}
	require.Error(t, update(orphan), "a root is its own tenant")

	deep := w.root
	for range identity.MaxDepth - 1 {
		deep = w.unit(deep, "D")
	}
	require.Error(t, w.try(func(ctx context.Context, tx identity.Tx) error {
		return tx.InsertOrgUnit(ctx, childOf(deep, "too deep"))
	}))
}

func TestTwoMovesThatTogetherMakeACycleDoNotBothHappen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.unit(w.root, "A"), w.unit(w.root, "B")
	errs := together(2, func(i int) error {
		u, to := a, b
		if i == 1 {
			u, to = b, a
		}
		return w.try(func(ctx context.Context, tx identity.Tx) error {
			if err := tx.LockTree(ctx, u.TenantID); err != nil {
				return err
			}
			parent, err := tx.OrgUnit(ctx, to.ID)
			if err != nil {
				return err
			}
			if slices.Contains(parent.Path, u.ID) {
				return apperr.Conflict("cycle", "")
			}
			return place(ctx, tx, u, parent, false)
		})
	})
	codes := []string{apperr.Code(errs[0]), apperr.Code(errs[1])}
	slices.Sort(codes)
	require.Equal(t, []string{"", "cycle"}, codes)
}

func TestCodesAndExternalIDsOfUnitsAreOnePerTenantWhileTheUnitIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ext := []identity.ExternalID{{Source: "sis", ID: "1"}}
	a := childOf(w.root, "A")
	a.Code, a.ExternalIDs = "MATH", ext
	insert := func(u identity.OrgUnit) error {
		return w.try(func(ctx context.Context, tx identity.Tx) error { return tx.InsertOrgUnit(ctx, u) })
	}
	require.NoError(t, insert(a))
	b := childOf(w.root, "B")
	b.Code = "math"
	require.Equal(t, "code_taken", apperr.Code(insert(b)))
	b.Code, b.ExternalIDs = "", ext
	require.Equal(t, "external_id_taken", apperr.Code(insert(b)))
	now := a.CreatedAt
	a.DeletedAt, a.ArchivedAt, a.Version = &now, &now, 2
	w.do(func(ctx context.Context, tx identity.Tx) error { return tx.UpdateOrgUnit(ctx, a) })
	b.Code = "math"
	require.NoError(t, insert(b))
	w.do(func(ctx context.Context, tx identity.Tx) error {
		p, err := tx.ListOrgUnits(ctx, identity.OrgUnitFilter{Reach: authz.Reach{All: true}, Code: "Math", Page: page.Request{}})
		require.Len(t, p.Items, 1)
		require.Equal(t, b.ID, p.Items[0].ID)
		return err
	})
}

func TestWhatKeepsAUnitIsCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.unit(w.root, "A")
	w.unit(a, "A1")
	u := person(a, "Ada", "")
	w.insert(u)
	w.do(func(ctx context.Context, tx identity.Tx) error {
		_, err := tx.InsertGrant(ctx, identity.Grant{
			ID: uuid.New(), TenantID: a.TenantID, UserID: u.ID, Role: authz.RoleOrgAdmin, Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: a.ID}, CreatedAt: a.CreatedAt,
		})
		if err != nil {
			return err
		}
		return tx.InsertGroupSet(ctx, identity.GroupSet{
			ID: uuid.New(), TenantID: a.TenantID, OrgUnitID: a.ID, CourseID: uuid.New(), Name: "S", CreatedAt: a.CreatedAt, UpdatedAt: a.CreatedAt, Version: 1,
		})
	})
	w.do(func(ctx context.Context, tx identity.Tx) error {
		uses, err := tx.OrgUnitUses(ctx, a.ID)
		require.Equal(t, map[string]int{"org_units": 1, "users": 1, "grants": 1, "group_sets": 1}, uses)
		return err
	})
}
