package postgres_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/user/internal/identity"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/clock"
	"lms/shared/page"
)

func (w world) groupSet() identity.GroupSet {
	w.t.Helper()
	now := clock.Now()
	s := identity.GroupSet{ID: clock.NewID(), TenantID: w.root.ID, OrgUnitID: w.root.ID, CourseID: uuid.New(), Name: "Teams", CreatedAt: now, UpdatedAt: now, Version: 1}
	w.do(func(ctx context.Context, tx identity.Tx) error { return tx.InsertGroupSet(ctx, s) })
	return s
}

func (w world) groupOf(s identity.GroupSet, name string, most int) identity.Group {
	w.t.Helper()
	g := identity.Group{
		ID: clock.NewID(), TenantID: s.TenantID, OrgUnitID: s.OrgUnitID, Kind: "course", CourseID: &s.CourseID, SetID: &s.ID, Name: name, MaxMembers: &most,
		CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt, Version: 1,
	}
	w.do(func(ctx context.Context, tx identity.Tx) error { return tx.InsertGroup(ctx, g) })
	return g
}

func TestAGroupNeverHoldsMoreThanItMayAndCountsRight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const room, crowd = 3, 10
	g := w.groupOf(w.groupSet(), "A", room)
	users := make([]identity.User, crowd)
	for i := range users {
		users[i] = w.user("P", "")
	}
	joined := 0
	for _, err := range together(crowd, func(i int) error {
		return w.try(func(ctx context.Context, tx identity.Tx) error {
			_, err := tx.AddGroupMember(ctx, g, users[i].ID, clock.Now())
			return err
		})
	}) {
		if err == nil {
			joined++
			continue
		}
		require.Equal(t, "group_full", apperr.Code(err))
	}
	require.Equal(t, room, joined)
	count := func() int { return w.count(`select member_count from groups where id = $1`, g.ID) }
	require.Equal(t, room, count())
	require.Equal(t, room, w.count(`select count(*) from group_members where group_id = $1`, g.ID))
	w.do(func(ctx context.Context, tx identity.Tx) error {
		members, err := tx.GroupMembers(ctx, []uuid.UUID{g.ID}, page.Request{Limit: 1000}, 1000)
		require.Len(t, members.Items, room)
		require.NoError(t, err)
		added, err := tx.AddGroupMember(ctx, g, members.Items[0].UserID, clock.Now())
		require.False(t, added, "in it already, although it is full")
		require.NoError(t, err)
		for _, wanted := range []bool{true, false} {
			removed, err := tx.DeleteGroupMember(ctx, g.ID, members.Items[0].UserID)
			require.Equal(t, wanted, removed)
			require.NoError(t, err)
		}
		return nil
	})
	require.Equal(t, room-1, count())
}

func TestAPersonIsInOneGroupOfASet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.groupSet()
	a, b := w.groupOf(set, "A", 9), w.groupOf(set, "B", 9)
	ada := w.user("Ada", "")
	in := 0
	for _, err := range together(8, func(i int) error {
		return w.try(func(ctx context.Context, tx identity.Tx) error {
			_, err := tx.AddGroupMember(ctx, []identity.Group{a, b}[i%2], ada.ID, clock.Now())
			return err
		})
	}) {
		if err == nil {
			in++
			continue
		}
		require.Equal(t, "other_group", apperr.Code(err))
	}
	require.Equal(t, 4, in, "those who put the person where she is have nothing to do")
	w.do(func(ctx context.Context, tx identity.Tx) error {
		groups, err := tx.GroupsOf(ctx, ada.ID)
		require.Len(t, groups, 1)
		require.Equal(t, 1, groups[0].MemberCount)
		require.NoError(t, err)
		all, err := tx.GroupsOfSet(ctx, set.ID)
		require.Len(t, all, 2)
		require.Len(t, append(all[0].Members, all[1].Members...), 1)
		return err
	})
}

func TestGroupsOfCoursesAreInTheListsOfTheirCourse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.groupSet()
	w.groupOf(set, "A", 9)
	plain := identity.Group{ID: clock.NewID(), TenantID: w.root.ID, OrgUnitID: w.root.ID, Kind: "group", Name: "G", CreatedAt: set.CreatedAt, UpdatedAt: set.CreatedAt, Version: 1}
	day := set.CreatedAt.Truncate(24 * 3600e9)
	plain.StartsOn = &day
	w.do(func(ctx context.Context, tx identity.Tx) error { return tx.InsertGroup(ctx, plain) })
	for _, c := range []struct {
		filter identity.GroupFilter
		names  []string
	}{
		{identity.GroupFilter{Sort: "name", Reach: authz.Reach{All: true}}, []string{"G"}},
		{identity.GroupFilter{Sort: "name", Reach: authz.Reach{OrgUnits: []uuid.UUID{w.root.ID}}}, []string{"G"}},
		{identity.GroupFilter{Sort: "name"}, []string{}},
		{identity.GroupFilter{Sort: "-name", Anyone: true, SetID: set.ID}, []string{"A"}},
		{identity.GroupFilter{Sort: "created_at", Anyone: true, CourseID: set.CourseID}, []string{"A"}},
	} {
		w.do(func(ctx context.Context, tx identity.Tx) error {
			p, err := tx.ListGroups(ctx, c.filter)
			names := []string{}
			for _, g := range p.Items {
				names = append(names, g.Name)
			}
			require.Equal(t, c.names, names)
			return err
		})
	}
	w.do(func(ctx context.Context, tx identity.Tx) error {
		g, err := tx.Group(ctx, plain.ID)
		require.Equal(t, plain, g)
		require.NoError(t, err)
		s, err := tx.GroupSet(ctx, set.ID)
		require.Equal(t, 1, s.Groups)
		return err
	})
	same := plain
	same.ID, same.Kind, same.CourseID, same.SetID, same.Name, same.StartsOn = clock.NewID(), "course", &set.CourseID, &set.ID, "a", nil
	err := w.try(func(ctx context.Context, tx identity.Tx) error { return tx.InsertGroup(ctx, same) })
	require.Equal(t, "name_taken", apperr.Code(err))
}
