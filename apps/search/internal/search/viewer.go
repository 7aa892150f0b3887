package search

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
)

// Every document names its audience by keys, and every caller holds some: a caller
// finds what they share a key with. So who may see what is a part of each query, of
// its counts, facets and suggestions.
//
//	any                  everybody who may see all
//	public               everybody
//	tenant:<id>          everybody of an organisation
//	within:<id>          holders of course:read or content:read in a whole organisation
//	unit:<id>            the same in an org unit
//	staff:<user>         a person of a course's staff
//	course:<id>          learners of a published course
//	made:<id>            staff of the course that a content was made for
//	content:<id>         learners of a published course that shows a published content
//	shown:<id>           staff of a course that shows a content
func courseAudience(c events.CourseState) []string {
	out := []string{"any", "within:course:" + c.TenantID.String(), "unit:course:" + c.OrgUnitID.String()}
	for _, s := range c.Staff {
		if s.Active {
			out = append(out, "staff:"+s.UserID.String())
		}
	}
	if c.Status != events.CoursePublished {
		return out
	}
	out = append(out, "course:"+c.ID.String())
	switch c.Visibility {
	case events.VisibilityPublic:
		out = append(out, "public")
	case events.VisibilityOrganisation:
		out = append(out, "tenant:"+c.TenantID.String())
	}
	return out
}

func contentAudience(c events.ContentState) []string {
	out := []string{"any", "within:content:" + c.TenantID.String(), "unit:content:" + c.OrgUnitID.String(), "shown:" + c.ID.String()}
	if c.CourseID != nil {
		out = append(out, "made:"+c.CourseID.String())
	}
	if c.Status == events.ContentStatusPublished {
		out = append(out, "content:"+c.ID.String())
	}
	return out
}

// Membership is a course in which a person learns or teaches now.
type Membership struct {
	CourseID, OrgUnitID uuid.UUID
	Staff               bool
	Role                string
}

// Members asks enrollment.
type Members interface {
	CoursesOf(ctx context.Context, user uuid.UUID) ([]Membership, error)
}

// Viewer is a caller with the keys that they hold.
type Viewer struct {
	Keys []string
	// Tenant limits everything to an organisation; nil for visitors and for those
	// who may see all.
	Tenant *uuid.UUID
	// Incomplete says that nobody could be asked where the person learns: what only
	// that would open is left out.
	Incomplete bool
	// showing are the caller's courses by the contents that they show.
	showing map[uuid.UUID][]uuid.UUID
}

// filter is the part of every query that says who asks.
func (v Viewer) filter() Query {
	mine := In{KeyAudience, v.Keys}
	if v.Tenant == nil {
		return mine
	}
	return All{mine, In{KeyTenant, []string{v.Tenant.String()}}}
}

// viewer finds out which keys a caller holds.
func (s *Service) viewer(ctx context.Context, actor authz.Principal) (Viewer, error) {
	if actor.Anonymous() {
		return Viewer{Keys: []string{"public"}}, nil
	}
	policy, err := s.Policy.Policy(ctx)
	if err != nil {
		return Viewer{}, err
	}
	if policy.Reach(actor, authz.CourseRead).All && policy.Reach(actor, authz.ContentRead).All {
		return Viewer{Keys: []string{"any"}}, nil
	}
	tenant := actor.TenantID
	v := Viewer{Tenant: &tenant, Keys: []string{"public", "tenant:" + tenant.String(), "staff:" + actor.UserID.String()}}
	for kind, perm := range map[string]authz.Permission{TypeCourse: authz.CourseRead, TypeContent: authz.ContentRead} {
		reach := policy.Reach(actor, perm)
		if reach.All || slices.Contains(reach.OrgUnits, tenant) {
			v.Keys = append(v.Keys, "within:"+kind+":"+tenant.String())
			continue
		}
		for _, unit := range reach.OrgUnits {
			v.Keys = append(v.Keys, "unit:"+kind+":"+unit.String())
		}
	}
	mine, err := s.Members.CoursesOf(ctx, actor.UserID)
	if apperr.IsKind(err, apperr.KindUnavailable) {
		v.Incomplete = true
		return v, nil
	}
	if err != nil {
		return Viewer{}, err
	}
	if err := s.addCourses(ctx, &v, policy, actor, mine); err != nil {
		return Viewer{}, err
	}
	slices.Sort(v.Keys) // the same caller asks the same
	v.Keys = slices.Compact(v.Keys)
	return v, nil
}

// addCourses adds what the courses of a person open: whether a course is published,
// and what it shows, is looked up now and is no copy in each content.
func (s *Service) addCourses(ctx context.Context, v *Viewer, policy *authz.Policy, actor authz.Principal, mine []Membership) error {
	if len(mine) == 0 {
		return nil
	}
	ids := make([]string, 0, 2*len(mine))
	for _, m := range mine {
		ids = append(ids, DocumentID(TypeCourse, m.CourseID), DocumentID(typeOutline, m.CourseID))
	}
	known, err := s.Engine.Fetch(ctx, ids)
	if err != nil {
		return err
	}
	v.showing = map[uuid.UUID][]uuid.UUID{}
	for _, m := range mine {
		course, ok := known[DocumentID(TypeCourse, m.CourseID)]
		if !ok {
			continue
		}
		var c struct {
			Status string `json:"status"`
		}
		var o outlineSource
		if err := json.Unmarshal(course.Source, &c); err != nil {
			return apperr.Internal(err)
		}
		if outline, ok := known[DocumentID(typeOutline, m.CourseID)]; ok {
			if err := json.Unmarshal(outline.Source, &o); err != nil {
				return apperr.Internal(err)
			}
		}
		switch {
		case m.Staff && policy.AllowsInCourse(actor, authz.ContentRead, m.OrgUnitID, m.Role):
			v.Keys = append(v.Keys, "made:"+m.CourseID.String())
			v.show(m.CourseID, "shown:", slices.Concat(o.Visible, o.Hidden))
		case !m.Staff && c.Status == events.CoursePublished:
			v.Keys = append(v.Keys, "course:"+m.CourseID.String())
			v.show(m.CourseID, "content:", o.Visible)
		}
	}
	return nil
}

func (v *Viewer) show(course uuid.UUID, key string, contents []uuid.UUID) {
	for _, id := range contents {
		v.Keys = append(v.Keys, key+id.String())
		if !slices.Contains(v.showing[id], course) {
			v.showing[id] = append(v.showing[id], course)
		}
	}
}
