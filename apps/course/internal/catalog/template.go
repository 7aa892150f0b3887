package catalog

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/page"
	"lms/shared/work"
)

// Template is a course kept to make others from: what it was when the template was
// made, whatever becomes of the course.
type Template struct {
	ID          uuid.UUID
	TenantID    uuid.UUID
	OrgUnitID   uuid.UUID
	Name        string
	Description string
	// Package is empty in lists.
	Package   Package
	Modules   int
	Items     int
	CreatedBy uuid.UUID
	CreatedAt time.Time
	Version   int64
}

func (t Template) audit(action string) work.AuditEntry {
	return work.AuditEntry{
		Action: action, ResourceType: "course_template", ResourceID: t.ID, TenantID: t.TenantID, OrgUnitID: t.OrgUnitID,
		Changes: map[string]work.Change{"name": {To: t.Name}},
	}
}

// CreateTemplate keeps a course as a template of its org unit. Dates are left out:
// they belong to one run of the course.
func (s *Service) CreateTemplate(ctx context.Context, actor authz.Principal, course uuid.UUID, name, description string) (Template, error) {
	policy, head, err := s.allowed(ctx, actor, course, authz.CourseExport)
	if err != nil {
		return Template{}, err
	}
	if _, _, err := s.allowedIn(ctx, actor, head.OrgUnitID, authz.TemplateManage); err != nil {
		return Template{}, err
	}
	return inTx(ctx, s, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (Template, error) {
		c, err := s.lock(ctx, tx, policy, actor, course, authz.CourseExport)
		if err != nil {
			return Template{}, err
		}
		pkg, err := s.pack(ctx, tx, c)
		if err != nil {
			return Template{}, err
		}
		pkg.undate()
		t := Template{
			ID: s.NewID(), TenantID: c.TenantID, OrgUnitID: c.OrgUnitID, Name: strings.TrimSpace(name), Description: description,
			Package: pkg, CreatedBy: actor.UserID, CreatedAt: s.Now(), Version: 1,
		}
		made := resultOf(c.ID, pkg)
		t.Modules, t.Items = made.Modules, made.Items
		var f apperr.Fields
		checkText(&f, "name", t.Name, 1, MaxTitle)
		checkText(&f, "description", description, 0, 2_000)
		if err := f.Err(); err != nil {
			return Template{}, err
		}
		if err := tx.InsertTemplate(ctx, t); err != nil {
			return Template{}, err
		}
		return t, tx.Audit(ctx, t.audit("course_template.create"))
	})
}

func (p *Package) undate() {
	if p.Settings != nil {
		s := *p.Settings
		s.EnrollmentOpensAt, s.EnrollmentClosesAt, s.StartsAt, s.EndsAt, s.TermID = nil, nil, nil, nil, nil
		p.Settings = &s
	}
	for mi := range p.Modules {
		p.Modules[mi].UnlockAt = nil
		for ii := range p.Modules[mi].Items {
			p.Modules[mi].Items[ii].UnlockAt = nil
		}
	}
}

// reach limits templates to where the caller may make courses.
func (s *Service) templateReach(ctx context.Context, actor authz.Principal) (authz.Reach, error) {
	policy, err := s.Authz.Policy(ctx)
	if err != nil {
		return authz.Reach{}, err
	}
	r := policy.Reach(actor, authz.CourseCreate)
	if r.None() {
		return r, apperr.Forbidden("This needs the permission " + string(authz.CourseCreate) + ".")
	}
	if r.All {
		return r, nil
	}
	// A template of a unit above serves its whole subtree.
	for _, id := range r.OrgUnits {
		r.OrgUnits = append(r.OrgUnits, policy.Ancestors(id)...)
	}
	return r, nil
}

// Templates lists the templates that the caller can make courses from, by name unless
// asked otherwise.
func (s *Service) Templates(ctx context.Context, actor authz.Principal, f ShelfFilter, p page.Request) (page.Page[Template], error) {
	r, err := s.templateReach(ctx, actor)
	if err != nil {
		return page.Page[Template]{}, err
	}
	if !r.All {
		f.OrgUnits = r.OrgUnits
	}
	var out page.Page[Template]
	err = s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (err error) {
		out, err = tx.ListTemplates(ctx, f, p)
		return err
	})
	return out, err
}

// Template is one template with its curriculum.
func (s *Service) Template(ctx context.Context, actor authz.Principal, id uuid.UUID) (Template, error) {
	if _, err := s.templateReach(ctx, actor); err != nil {
		return Template{}, err
	}
	var t Template
	err := s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (err error) {
		t, err = tx.Template(ctx, id)
		return err
	})
	return t, err
}

// DeleteTemplate removes a template; courses made from it stay.
func (s *Service) DeleteTemplate(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64) error {
	old, err := s.Template(ctx, actor, id)
	if err != nil {
		return err
	}
	if _, _, err := s.allowedIn(ctx, actor, old.OrgUnitID, authz.TemplateManage); err != nil {
		return err
	}
	_, err = inTx(ctx, s, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (struct{}, error) {
		t, err := tx.Template(ctx, id)
		if err != nil {
			return struct{}{}, err
		}
		if err := checkVersion(version, t.Version); err != nil {
			return struct{}{}, err
		}
		if err := tx.DeleteTemplate(ctx, id); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, tx.Audit(ctx, t.audit("course_template.delete"))
	})
	return err
}
