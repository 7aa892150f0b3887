package coursework

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/work"
)

// target is whom a grader named, with all whom the grade is for.
type target struct {
	user    uuid.UUID
	members []uuid.UUID // of the group, the person included
	err     error
}

// targets are all whom a grader named.
type targets struct {
	a     Assignment
	ext   extensions
	actor uuid.UUID
	found map[uuid.UUID]target // by the name that was used
	users []uuid.UUID          // all of them with their groups
}

// targets looks up people, and asks other services what is needed of them, before
// any row is locked.
func (s *Service) targets(ctx context.Context, actor authz.Principal, id uuid.UUID, names []uuid.UUID) (targets, error) {
	a, err := s.grader(ctx, actor, id)
	if err != nil {
		return targets{}, err
	}
	_, ext, err := s.extended(ctx, work.Tenant(a.TenantID), id)
	if err != nil {
		return targets{}, err
	}
	t := targets{a: a, ext: ext, actor: actor.UserID, found: map[uuid.UUID]target{}}
	var strangers []uuid.UUID
	err = s.Store.Read(ctx, work.Tenant(a.TenantID), func(ctx context.Context, tx Tx) error {
		for _, name := range names {
			g, err := resolve(ctx, tx, a, name)
			switch {
			case apperr.IsKind(err, apperr.KindNotFound):
				t.found[name] = target{err: err}
			case err != nil:
				return err
			case g == nil:
				t.found[name] = target{user: name}
				strangers = append(strangers, name)
			default:
				t.found[name] = target{user: g.UserID}
			}
		}
		return nil
	})
	if err != nil {
		return targets{}, err
	}
	if err := s.admit(ctx, a, strangers, t.found); err != nil {
		return targets{}, err
	}
	return t, s.withGroups(ctx, &t)
}

// admit refuses people without a row who do not learn in the course.
func (s *Service) admit(ctx context.Context, a Assignment, strangers []uuid.UUID, found map[uuid.UUID]target) error {
	const few = 3
	if len(strangers) <= few {
		for _, id := range strangers {
			err := s.learns(ctx, a.CourseID, id)
			if err != nil && !apperr.IsKind(err, apperr.KindNotFound) {
				return err
			}
			found[id] = target{user: id, err: err}
		}
		return nil
	}
	learners := map[uuid.UUID]bool{}
	err := s.eachLearners(ctx, a.CourseID, func(ids []uuid.UUID) error {
		for _, id := range ids {
			learners[id] = true
		}
		return nil
	})
	for _, id := range strangers {
		if !learners[id] {
			found[id] = target{err: apperr.NotFound("learner in the course")}
		}
	}
	return err
}

// eachLearners pages through those who learn in a course.
func (s *Service) eachLearners(ctx context.Context, course uuid.UUID, fn func([]uuid.UUID) error) error {
	cursor := ""
	for {
		ids, next, err := s.Access.Learners(ctx, course, cursor)
		if err != nil {
			return err
		}
		if err := fn(ids); err != nil || next == "" {
			return err
		}
		cursor = next
	}
}

// withGroups adds those with whom a person works in a group.
func (s *Service) withGroups(ctx context.Context, t *targets) error {
	var groups []CourseGroup
	if t.a.GroupSetID != nil {
		var err error
		if groups, err = s.People.CourseGroups(ctx, t.a.CourseID); err != nil {
			return err
		}
	}
	for name, x := range t.found {
		if x.err != nil {
			continue
		}
		x.members = []uuid.UUID{x.user}
		for _, g := range groups {
			if g.SetID == *t.a.GroupSetID && slices.Contains(g.Members, x.user) {
				x.members = slices.Clone(g.Members)
			}
		}
		t.found[name] = x
		t.users = append(t.users, x.members...)
	}
	slices.SortFunc(t.users, compareIDs)
	t.users = slices.Compact(t.users)
	return nil
}
