package coursework

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// Limits of groups.
const (
	maxGroupsOfCourse = 100
	maxDrop           = 1000
	maxNeverDrop      = 500
	maxWeight         = 1000_00 // percent
)

// GroupFields are what staff set of a group.
type GroupFields struct {
	Name        string
	Position    int
	Weight      Points
	DropLowest  int
	DropHighest int
	NeverDrop   []uuid.UUID
}

func (g *Group) set(f GroupFields) {
	g.Name, g.Position, g.Weight = strings.TrimSpace(f.Name), f.Position, f.Weight
	g.DropLowest, g.DropHighest, g.NeverDrop = f.DropLowest, f.DropHighest, orderedIDs(f.NeverDrop)
}

func orderedIDs(ids []uuid.UUID) []uuid.UUID {
	out := slices.Clone(ids)
	sortIDs(out)
	return slices.Compact(out)
}

// Fields are what staff set.
func (g Group) Fields() GroupFields {
	return GroupFields{
		Name: g.Name, Position: g.Position, Weight: g.Weight, DropLowest: g.DropLowest, DropHighest: g.DropHighest, NeverDrop: g.NeverDrop,
	}
}

func (g Group) check() error {
	var bad apperr.Fields
	bad.Require(g.Name != "" && len(g.Name) <= MaxTitle, "name", "length", "1 to 255 characters.")
	bad.Require(g.Position >= 0, "position", "range", "Not negative.")
	bad.Require(g.Weight >= 0 && g.Weight <= maxWeight, "weight", "range", "From 0 to 1000 percent.")
	bad.Require(g.DropLowest >= 0 && g.DropLowest <= maxDrop, "drop_lowest", "range", "From 0 to "+strconv.Itoa(maxDrop)+".")
	bad.Require(g.DropHighest >= 0 && g.DropHighest <= maxDrop, "drop_highest", "range", "From 0 to "+strconv.Itoa(maxDrop)+".")
	bad.Require(len(g.NeverDrop) <= maxNeverDrop, "never_drop", "too_many", "At most "+strconv.Itoa(maxNeverDrop)+".")
	return bad.Err()
}

func (g Group) audit(action string, changes map[string]work.Change) work.AuditEntry {
	return work.AuditEntry{
		Action: action, ResourceType: "assignment_group", ResourceID: g.ID, TenantID: g.TenantID, OrgUnitID: g.OrgUnitID, Changes: changes,
	}
}

// Groups are a course's groups in their order: for everybody in it.
func (s *Service) Groups(ctx context.Context, actor authz.Principal, course uuid.UUID) ([]Group, error) {
	st, err := s.standing(ctx, actor, course)
	if err != nil {
		return nil, err
	}
	return read(ctx, s, work.Tenant(st.TenantID), func(ctx context.Context, tx Tx) ([]Group, error) { return tx.Groups(ctx, course) })
}

// GroupByID reads one.
func (s *Service) GroupByID(ctx context.Context, actor authz.Principal, id uuid.UUID) (Group, error) {
	g, err := read(ctx, s, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (Group, error) { return tx.Group(ctx, id) })
	if err != nil {
		return Group{}, err
	}
	if _, err := s.standing(ctx, actor, g.CourseID); err != nil {
		return Group{}, unknownGroup(err)
	}
	return g, nil
}

func unknownGroup(err error) error {
	if apperr.IsKind(err, apperr.KindNotFound) {
		return apperr.NotFound("assignment group")
	}
	return err
}

// CreateGroup makes a group, the last one unless a position is given.
func (s *Service) CreateGroup(ctx context.Context, actor authz.Principal, course uuid.UUID, f GroupFields, last bool) (Group, error) {
	st, err := s.inCourse(ctx, actor, course, authz.AssignmentEdit)
	if err != nil {
		return Group{}, err
	}
	return inTx(ctx, s, work.Tenant(st.TenantID), func(ctx context.Context, tx Tx) (Group, error) {
		if _, err := tx.LockGrading(ctx, st.grading(course)); err != nil {
			return Group{}, err
		}
		all, err := tx.Groups(ctx, course)
		if err != nil {
			return Group{}, err
		}
		if len(all) >= maxGroupsOfCourse {
			return Group{}, apperr.Conflict("too_many_groups", "A course has at most "+strconv.Itoa(maxGroupsOfCourse)+" assignment groups.")
		}
		if last && len(all) > 0 {
			f.Position = all[len(all)-1].Position + 1
		}
		now := s.Now()
		g := Group{ID: s.NewID(), TenantID: st.TenantID, OrgUnitID: st.OrgUnitID, CourseID: course, CreatedAt: now, UpdatedAt: now, Version: 1}
		g.set(f)
		if err := g.check(); err != nil {
			return Group{}, err
		}
		if err := tx.InsertGroup(ctx, g); err != nil {
			return Group{}, err
		}
		return g, tx.Audit(ctx, g.audit("assignment_group.create", map[string]work.Change{"name": {To: g.Name}}))
	})
}

// changeGroup locks the course's counting and the group, for somebody who may.
func (s *Service) changeGroup(ctx context.Context, actor authz.Principal, id uuid.UUID, version int64, fn func(context.Context, Tx, Group) (Group, error)) (Group, error) {
	g, err := s.GroupByID(ctx, actor, id)
	if err != nil {
		return Group{}, err
	}
	st, err := s.inCourse(ctx, actor, g.CourseID, authz.AssignmentEdit)
	if err != nil {
		return Group{}, unknownGroup(err)
	}
	return inTx(ctx, s, work.Tenant(st.TenantID), func(ctx context.Context, tx Tx) (Group, error) {
		if _, err := tx.LockGrading(ctx, st.grading(g.CourseID)); err != nil {
			return Group{}, err
		}
		g, err := tx.LockGroupRow(ctx, id)
		if err != nil {
			return Group{}, err
		}
		if version != g.Version {
			return Group{}, apperr.VersionMismatch()
		}
		return fn(ctx, tx, g)
	})
}

// UpdateGroup changes a group; everybody's totals follow.
func (s *Service) UpdateGroup(ctx context.Context, actor authz.Principal, id uuid.UUID, version int64, edit func(*GroupFields)) (Group, error) {
	return s.changeGroup(ctx, actor, id, version, func(ctx context.Context, tx Tx, g Group) (Group, error) {
		was := g
		f := g.Fields()
		edit(&f)
		g.set(f)
		if err := g.check(); err != nil {
			return Group{}, err
		}
		changes := map[string]work.Change{}
		note(changes, "name", was.Name, g.Name)
		note(changes, "position", was.Position, g.Position)
		note(changes, "weight", was.Weight, g.Weight)
		note(changes, "drop_lowest", was.DropLowest, g.DropLowest)
		note(changes, "drop_highest", was.DropHighest, g.DropHighest)
		if !slices.Equal(was.NeverDrop, g.NeverDrop) {
			changes["never_drop"] = work.Change{From: was.NeverDrop, To: g.NeverDrop}
		}
		if len(changes) == 0 {
			return was, nil
		}
		g.Version++
		g.UpdatedAt = s.Now()
		if err := tx.UpdateGroup(ctx, g); err != nil {
			return Group{}, err
		}
		return g, tx.Audit(ctx, g.audit("assignment_group.update", changes))
	})
}

// DeleteGroup deletes a group. What is in it goes to another group of the course,
// if one is named; else a group that is not empty stays (409 `in_use`).
func (s *Service) DeleteGroup(ctx context.Context, actor authz.Principal, id uuid.UUID, version int64, to *uuid.UUID) error {
	_, err := s.changeGroup(ctx, actor, id, version, func(ctx context.Context, tx Tx, g Group) (Group, error) {
		if to != nil {
			other, err := tx.Group(ctx, *to)
			if apperr.IsKind(err, apperr.KindNotFound) || err == nil && (other.CourseID != g.CourseID || other.ID == g.ID) {
				return g, apperr.Invalid(apperr.Field{Path: "query.move_to", Code: "unknown_group", Message: "No other such assignment group in the course."})
			}
			if err != nil {
				return g, err
			}
			now := s.Now()
			moved, err := tx.MoveGroup(ctx, g.ID, to, now)
			if err != nil {
				return g, err
			}
			for _, a := range moved {
				if err := tx.Emit(ctx, events.AssignmentUpdated{AssignmentState: a.state(now), Changed: []string{"group_id"}}, a.meta()); err != nil {
					return g, err
				}
			}
		}
		if err := tx.DeleteGroup(ctx, g.ID); err != nil {
			return g, err
		}
		return g, tx.Audit(ctx, g.audit("assignment_group.delete", map[string]work.Change{"name": {From: g.Name}}))
	})
	return err
}
