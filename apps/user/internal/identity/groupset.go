package identity

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/page"
	"lms/shared/work"
)

// GroupSet divides the learners of a course: a person is in one of its groups
// at most.
type GroupSet struct {
	ID         uuid.UUID
	TenantID   uuid.UUID
	OrgUnitID  uuid.UUID
	CourseID   uuid.UUID
	Name       string
	SelfSignup bool // learners may join a group by themselves
	MaxMembers *int // of each group
	Groups     int
	CreatedAt  time.Time
	UpdatedAt  time.Time
	Version    int64
}

// NewGroupSet is what is said of a new set.
type NewGroupSet struct {
	Name       string
	SelfSignup bool
	MaxMembers *int
	// Count makes that many empty groups at once.
	Count int
}

// MaxGroupsPerSet bounds a set.
const MaxGroupsPerSet = 500

// ListGroupSets lists the sets of a course to everybody of the course.
func (s *Service) ListGroupSets(ctx context.Context, actor authz.Principal, course uuid.UUID) (sets []GroupSet, err error) {
	if _, err := s.Courses.Access(ctx, actor, course); err != nil {
		return nil, err
	}
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		sets, err = tx.GroupSets(ctx, course)
		return err
	})
	return sets, err
}

// CreateGroupSet makes a set in a course, by its staff.
func (s *Service) CreateGroupSet(ctx context.Context, actor authz.Principal, course uuid.UUID, in NewGroupSet) (set GroupSet, err error) {
	policy, err := s.policy(ctx)
	if err != nil {
		return set, err
	}
	access, err := s.Courses.Access(ctx, actor, course)
	if err != nil {
		return set, err
	}
	if !policy.AllowsInCourse(actor, authz.GroupManage, access.OrgUnitID, access.StaffRole) {
		return set, apperr.Forbidden("You may see the groups of this course, but not change them.")
	}
	now := s.Now()
	set = GroupSet{
		ID: s.NewID(), TenantID: access.TenantID, OrgUnitID: access.OrgUnitID, CourseID: course, Name: strings.TrimSpace(in.Name),
		SelfSignup: in.SelfSignup, MaxMembers: in.MaxMembers, Groups: in.Count, CreatedAt: now, UpdatedAt: now, Version: 1,
	}
	var f apperr.Fields
	checkName(&f, "name", set.Name, true)
	f.Require(set.MaxMembers == nil || *set.MaxMembers >= 1 && *set.MaxMembers <= 1000, "max_members", "invalid", "1 to 1000.")
	f.Require(in.Count >= 0 && in.Count <= MaxGroupsPerSet, "group_count", "invalid", "0 to 500.")
	if err := f.Err(); err != nil {
		return set, err
	}
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &set, func() error {
			if err := tx.InsertGroupSet(ctx, set); err != nil {
				return err
			}
			for i := range in.Count {
				if err := s.insertGroup(ctx, tx, s.groupOf(set, set.Name+" "+strconv.Itoa(i+1), actor)); err != nil {
					return err
				}
			}
			return s.auditSet(ctx, tx, set, "group_set.create", map[string]work.Change{"name": {To: set.Name}})
		})
	})
	return set, err
}

func (s *Service) auditSet(ctx context.Context, tx Tx, set GroupSet, action string, changes map[string]work.Change) error {
	return tx.Audit(ctx, work.AuditEntry{
		Action: action, ResourceType: "group_set", ResourceID: set.ID, TenantID: set.TenantID, OrgUnitID: set.OrgUnitID, Changes: changes,
	})
}

func (s *Service) groupOf(set GroupSet, name string, actor authz.Principal) Group {
	now, by := s.Now(), actor.UserID
	course, id := set.CourseID, set.ID
	return Group{
		ID: s.NewID(), TenantID: set.TenantID, OrgUnitID: set.OrgUnitID, Kind: events.GroupCourse, CourseID: &course, SetID: &id,
		Name: name, MaxMembers: set.MaxMembers, CreatedBy: &by, CreatedAt: now, UpdatedAt: now, Version: 1,
	}
}

// groupSet reads a set of a course where the actor holds perm.
func (s *Service) groupSet(ctx context.Context, actor authz.Principal, id uuid.UUID, perm authz.Permission) (set GroupSet, err error) {
	policy, err := s.policy(ctx)
	if err != nil {
		return set, err
	}
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		set, err = tx.GroupSet(ctx, id)
		return err
	})
	if err != nil {
		return set, err
	}
	return set, s.mayInCourse(ctx, policy, actor, set.CourseID, perm)
}

// GetGroupSet reads a set, to everybody of the course.
func (s *Service) GetGroupSet(ctx context.Context, actor authz.Principal, id uuid.UUID) (GroupSet, error) {
	return s.groupSet(ctx, actor, id, authz.GroupRead)
}

// DeleteGroupSet deletes a set with its groups.
func (s *Service) DeleteGroupSet(ctx context.Context, actor authz.Principal, id uuid.UUID, version int64) error {
	if _, err := s.groupSet(ctx, actor, id, authz.GroupManage); err != nil {
		return err
	}
	return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		set, err := tx.LockGroupSet(ctx, id)
		if err != nil {
			return err
		}
		if set.Version != version {
			return apperr.VersionMismatch()
		}
		groups, err := tx.GroupsOfSet(ctx, id)
		if err != nil {
			return err
		}
		for _, g := range groups {
			if err := s.deleteGroup(ctx, tx, g.Group); err != nil {
				return err
			}
		}
		if err := tx.DeleteGroupSet(ctx, id); err != nil {
			return err
		}
		return s.auditSet(ctx, tx, set, "group_set.delete", map[string]work.Change{"name": {From: set.Name}})
	})
}

// ListGroupsOfSet lists the groups of a set.
func (s *Service) ListGroupsOfSet(ctx context.Context, actor authz.Principal, id uuid.UUID, q page.Request) (p page.Page[Group], err error) {
	if _, err := s.groupSet(ctx, actor, id, authz.GroupRead); err != nil {
		return p, err
	}
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		p, err = tx.ListGroups(ctx, GroupFilter{SetID: id, Anyone: true, Sort: "name", Page: q})
		return err
	})
	return p, err
}

// AddGroupToSet makes a group in a set.
func (s *Service) AddGroupToSet(ctx context.Context, actor authz.Principal, id uuid.UUID, name string) (g Group, err error) {
	if _, err := s.groupSet(ctx, actor, id, authz.GroupManage); err != nil {
		return g, err
	}
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &g, func() error {
			set, err := tx.LockGroupSet(ctx, id)
			if err != nil {
				return err
			}
			if set.Groups >= MaxGroupsPerSet {
				return apperr.Conflict("too_many_groups", "A set has at most 500 groups.")
			}
			g = s.groupOf(set, strings.TrimSpace(name), actor)
			var f apperr.Fields
			g.check(&f)
			if err := f.Err(); err != nil {
				return err
			}
			set.Groups++
			set.Version, set.UpdatedAt = set.Version+1, s.Now()
			if err := tx.UpdateGroupSet(ctx, set); err != nil {
				return err
			}
			return s.insertGroup(ctx, tx, g)
		})
	})
	return g, err
}

// JoinGroup lets a learner of the course join a group of a set that allows it,
// leaving the group of the set that the learner was in.
func (s *Service) JoinGroup(ctx context.Context, actor authz.Principal, id uuid.UUID) (g Group, err error) {
	known, err := s.readGroup(ctx, actor, id)
	if err != nil || known.CourseID == nil {
		return g, cmp.Or(err, error(apperr.NotFound("group")))
	}
	if _, err := s.Courses.Access(ctx, actor, *known.CourseID); err != nil {
		return g, err
	}
	learners, err := s.Courses.Learners(ctx, *known.CourseID)
	if err != nil {
		return g, err
	}
	if !slices.Contains(learners, actor.UserID) {
		return g, apperr.Forbidden("Only learners of the course join its groups.")
	}
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		set, err := tx.LockGroupSet(ctx, *known.SetID)
		if err != nil {
			return err
		}
		if !set.SelfSignup {
			return apperr.Forbidden("Groups of this set are made by the course's staff.")
		}
		groups, err := tx.GroupsOfSet(ctx, set.ID)
		if err != nil {
			return err
		}
		for i := range groups {
			if groups[i].ID != id && slices.Contains(groups[i].Members, actor.UserID) {
				if _, err := s.removeFromGroup(ctx, tx, &groups[i].Group, actor.UserID); err != nil {
					return err
				}
			}
		}
		if g, err = tx.LockGroup(ctx, id); err != nil {
			return err
		}
		return s.addToGroup(ctx, tx, &g, actor.UserID)
	})
	return g, err
}

// AssignMode is how learners are divided.
type AssignMode string

// The modes: random ignores who is where only for people without a group;
// even moves as few people as it can.
const (
	// AssignRandom puts every learner without a group into one, in random order,
	// always into a smallest group.
	AssignRandom AssignMode = "random"
	// AssignEven does the same in the order of names, then moves people from the
	// largest to the smallest groups until no two differ by more than one.
	AssignEven AssignMode = "even"
)

// Assignment is what an assignment of learners did.
type Assignment struct {
	Assigned int
	Moved    int
	Left     int // found no place: every group is full
}

// AssignGroups divides the learners of a set's course among its groups.
func (s *Service) AssignGroups(ctx context.Context, actor authz.Principal, id uuid.UUID, mode AssignMode) (out Assignment, err error) {
	if mode != AssignRandom && mode != AssignEven {
		return out, apperr.Invalid(apperr.Field{Path: "mode", Code: "invalid", Message: `Must be "random" or "even".`})
	}
	set, err := s.groupSet(ctx, actor, id, authz.GroupManage)
	if err != nil {
		return out, err
	}
	learners, err := s.Courses.Learners(ctx, set.CourseID)
	if err != nil {
		return out, err
	}
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &out, func() error {
			if set, err = tx.LockGroupSet(ctx, id); err != nil {
				return err
			}
			groups, err := tx.GroupsOfSet(ctx, id)
			if err != nil {
				return err
			}
			if len(groups) == 0 {
				return apperr.Conflict("no_groups", "The set has no groups yet.")
			}
			order, err := s.inOrder(ctx, tx, learners, mode)
			if err != nil {
				return err
			}
			plan, left := planAssignment(groups, order, mode == AssignEven)
			out = Assignment{Left: left}
			return s.applyPlan(ctx, tx, groups, plan, &out)
		})
	})
	return out, err
}

// inOrder orders the learners that are known here, by chance or by name.
func (s *Service) inOrder(ctx context.Context, tx Tx, learners []uuid.UUID, mode AssignMode) ([]uuid.UUID, error) {
	users, err := tx.Cards(ctx, learners)
	if err != nil {
		return nil, err
	}
	users = slices.DeleteFunc(users, func(u User) bool { return u.Status.Gone() })
	slices.SortFunc(users, func(a, b User) int {
		return cmp.Or(strings.Compare(a.SortName, b.SortName), strings.Compare(a.ID.String(), b.ID.String()))
	})
	ids := make([]uuid.UUID, len(users))
	for i, u := range users {
		ids[i] = u.ID
	}
	if mode == AssignRandom {
		shuffle(ids, s.randomBytes(8*len(ids)))
	}
	return ids, nil
}

// shuffle is Fisher and Yates' with given random bytes, eight per element.
func shuffle(ids []uuid.UUID, random []byte) {
	for i := len(ids) - 1; i > 0; i-- {
		j := int(binary.BigEndian.Uint64(random[8*i:]) % uint64(i+1))
		ids[i], ids[j] = ids[j], ids[i]
	}
}

// move puts a person into group To, from group From (-1: none yet).
type move struct {
	User     uuid.UUID
	From, To int
}

// planAssignment decides who goes where: each person without a group into a
// smallest group that has room, in the given order; and with even, out of groups
// with two or more above the smallest, until none differ by more than one, as far
// as limits allow and learners are there to be moved. Who is not a learner any more
// keeps the place and is not moved.
func planAssignment(groups []GroupWithMembers, learners []uuid.UUID, even bool) (plan []move, left int) {
	sizes := make([]int, len(groups))
	placed := map[uuid.UUID]int{}
	for i, g := range groups {
		sizes[i] = len(g.Members)
		for _, m := range g.Members {
			placed[m] = i
		}
	}
	room := func(i int) bool { return groups[i].MaxMembers == nil || sizes[i] < *groups[i].MaxMembers }
	smallest := func() int {
		best := -1
		for i := range groups {
			if room(i) && (best < 0 || sizes[i] < sizes[best]) {
				best = i
			}
		}
		return best
	}
	for _, id := range learners {
		if _, has := placed[id]; has {
			continue
		}
		to := smallest()
		if to < 0 {
			left++
			continue
		}
		plan = append(plan, move{User: id, From: -1, To: to})
		placed[id] = to
		sizes[to]++
	}
	if !even {
		return plan, left
	}
	for i := len(learners) - 1; i >= 0; i-- {
		id := learners[i]
		from, has := placed[id]
		to := smallest()
		if !has || to < 0 || sizes[from]-sizes[to] < 2 {
			continue
		}
		sizes[from]--
		sizes[to]++
		placed[id] = to
		plan = append(plan, move{User: id, From: from, To: to})
	}
	return plan, left
}

func (s *Service) applyPlan(ctx context.Context, tx Tx, groups []GroupWithMembers, plan []move, out *Assignment) error {
	for _, m := range plan {
		if m.From >= 0 {
			if _, err := s.removeFromGroup(ctx, tx, &groups[m.From].Group, m.User); err != nil {
				return err
			}
			out.Moved++
		} else {
			out.Assigned++
		}
		if err := s.addToGroup(ctx, tx, &groups[m.To].Group, m.User); err != nil {
			return err
		}
	}
	return nil
}

// CourseGroups answers other services: every set of a course with its groups.
func (s *Service) CourseGroups(ctx context.Context, course uuid.UUID) (sets []GroupSet, groups map[uuid.UUID][]GroupWithMembers, err error) {
	groups = map[uuid.UUID][]GroupWithMembers{}
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		if sets, err = tx.GroupSets(ctx, course); err != nil {
			return err
		}
		for _, set := range sets {
			if groups[set.ID], err = tx.GroupsOfSet(ctx, set.ID); err != nil {
				return err
			}
		}
		return nil
	})
	return sets, groups, err
}
