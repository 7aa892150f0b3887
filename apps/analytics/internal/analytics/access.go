package analytics

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"lms/apps/analytics/internal/report"
	"lms/shared/apperr"
	"lms/shared/authz"
)

// reach is where a caller may look.
type reach struct {
	policy *authz.Policy
	units  authz.Reach
	taught []uuid.UUID // courses in which the caller has a role that may
}

func (r reach) none() bool { return r.units.None() && len(r.taught) == 0 }

// reachOf finds out where a caller holds a permission: org units by the token,
// courses by asking enrollment.
func (s *Service) reachOf(ctx context.Context, actor authz.Principal, perm authz.Permission) (reach, error) {
	policy, err := authz.Knowing(ctx, s.Authz, actor, uuid.Nil)
	if err != nil {
		return reach{}, err
	}
	r := reach{policy: policy, units: policy.Reach(actor, perm)}
	if r.units.All || perm != authz.ReportRead || actor.Limited != nil && !slices.Contains(actor.Limited, perm) {
		return r, nil
	}
	taught, err := s.Courses.Taught(ctx, actor)
	if err != nil {
		return reach{}, err
	}
	for course, role := range taught {
		if policy.RoleHas(role, perm) {
			r.taught = append(r.taught, course)
		}
	}
	return r, nil
}

func forbidden(perm authz.Permission) error {
	return apperr.Forbidden("You may not read this.").Detail("permission", perm)
}

// permissionFor is what reading a report takes, besides report:read.
func permissionFor(a report.About) authz.Permission {
	if a == report.AboutMoney {
		return authz.OrderRead
	}
	return authz.ReportRead
}

// limits are what a caller may see of what a query asks for.
type limits struct {
	courses  []uuid.UUID // nil: no limit
	orgUnits []uuid.UUID // nil: no limit
	users    []uuid.UUID // nil: no limit
}

// limit finds out what a caller may see of what a query asks for. What one may not
// know of is not found.
func (s *Service) limit(ctx context.Context, tx Tx, actor authz.Principal, r report.Report, q report.Query, at reach) (l limits, err error) {
	if at.none() {
		return l, forbidden(permissionFor(r.About))
	}
	within, err := subtree(at.policy, q.OrgUnitID)
	if err != nil {
		return l, err
	}
	units := overlap(at.units, within)
	known := units == nil || len(units) > 0
	switch r.About {
	case report.AboutSearches:
		if !at.units.All && !at.policy.Allows(actor, authz.ReportRead, actor.TenantID) {
			return l, forbidden(authz.ReportRead)
		}
	case report.AboutMoney:
		l.orgUnits = units
		if q.CourseID != nil {
			l.courses = []uuid.UUID{*q.CourseID}
		}
	case report.AboutLearning:
		if l.courses, err = s.courses(ctx, tx, q, at, within); err != nil {
			return l, err
		}
		l.orgUnits = units
		known = known || within == nil || len(l.courses) > 0 // who teaches there knows of it
	}
	if !known {
		return l, apperr.NotFound("org unit")
	}
	l.users, err = s.cohort(ctx, tx, q.CohortID, at)
	return l, err
}

func subtree(p *authz.Policy, unit *uuid.UUID) ([]uuid.UUID, error) {
	if unit == nil {
		return nil, nil
	}
	within := p.Subtree(*unit)
	if len(within) == 0 {
		return nil, apperr.NotFound("org unit")
	}
	return within, nil
}

// overlap is what is both in reach and within; nil for no limit.
func overlap(r authz.Reach, within []uuid.UUID) []uuid.UUID {
	if r.All {
		return within
	}
	out := slices.Clone(r.OrgUnits)
	if within != nil {
		out = slices.DeleteFunc(out, func(id uuid.UUID) bool { return !slices.Contains(within, id) })
	}
	if out == nil {
		out = []uuid.UUID{}
	}
	return out
}

// courses are those that are meant and in reach; nil for all there are.
func (s *Service) courses(ctx context.Context, tx Tx, q report.Query, at reach, within []uuid.UUID) ([]uuid.UUID, error) {
	if at.units.All && within == nil && q.CourseID == nil {
		return nil, nil
	}
	ids, err := tx.Courses(ctx, CourseFilter{All: at.units.All, OrgUnits: at.units.OrgUnits, Courses: at.taught, Within: within})
	if err != nil || q.CourseID == nil {
		return ids, err
	}
	if !slices.Contains(ids, *q.CourseID) {
		return nil, apperr.NotFound("course")
	}
	return []uuid.UUID{*q.CourseID}, nil
}

// cohort are the people of a group that the caller may look at: one of an org unit
// or of a course in reach.
func (s *Service) cohort(ctx context.Context, tx Tx, id *uuid.UUID, at reach) ([]uuid.UUID, error) {
	if id == nil {
		return nil, nil
	}
	c, err := tx.CohortMembers(ctx, *id)
	if err != nil {
		return nil, err
	}
	inUnit := c.OrgUnitID != nil && slices.Contains(at.units.OrgUnits, *c.OrgUnitID)
	inCourse := c.CourseID != nil && slices.Contains(at.taught, *c.CourseID)
	if !at.units.All && !inUnit && !inCourse {
		return nil, apperr.NotFound("cohort")
	}
	if c.Members == nil {
		c.Members = []uuid.UUID{}
	}
	return c.Members, nil
}
