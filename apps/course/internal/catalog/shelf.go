package catalog

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/page"
	"lms/shared/work"
)

// MaxCategoryDepth bounds the tree of categories.
const MaxCategoryDepth = 6

// Category is a node of a tenant's tree of subjects. Names are unique among
// siblings, whatever their case.
type Category struct {
	ID        uuid.UUID
	TenantID  uuid.UUID
	ParentID  *uuid.UUID
	Name      string
	CreatedAt time.Time
	UpdatedAt time.Time
	Version   int64
}

func (c Category) audit(action string, changes map[string]work.Change) work.AuditEntry {
	return work.AuditEntry{Action: action, ResourceType: "category", ResourceID: c.ID, TenantID: c.TenantID, Changes: changes}
}

// tenantFor is the tenant that a caller manages shelves in: the one asked for, or
// their own.
func (s *Service) tenantFor(ctx context.Context, actor authz.Principal, asked *uuid.UUID, perm authz.Permission) (uuid.UUID, error) {
	tenant := actor.TenantID
	if asked != nil {
		tenant = *asked
	}
	_, root, err := s.allowedIn(ctx, actor, tenant, perm)
	if err != nil {
		return uuid.Nil, err
	}
	if root != tenant {
		return uuid.Nil, apperr.Invalid(apperr.Field{Path: "tenant_id", Code: "not_root", Message: "Not the root of an organisation."})
	}
	return tenant, nil
}

// CreateCategory makes a category, below another one or at the top.
func (s *Service) CreateCategory(ctx context.Context, actor authz.Principal, tenantID *uuid.UUID, name string, parent *uuid.UUID) (Category, error) {
	tenant, err := s.tenantFor(ctx, actor, tenantID, authz.CategoryManage)
	if err != nil {
		return Category{}, err
	}
	return inTx(ctx, s, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (Category, error) {
		now := s.Now()
		c := Category{ID: s.NewID(), TenantID: tenant, ParentID: parent, Name: strings.TrimSpace(name), CreatedAt: now, UpdatedAt: now, Version: 1}
		if err := s.place(ctx, tx, c); err != nil {
			return Category{}, err
		}
		if err := tx.InsertCategory(ctx, c); err != nil {
			return Category{}, err
		}
		return c, tx.Audit(ctx, c.audit("category.create", map[string]work.Change{"name": {To: c.Name}}))
	})
}

// place checks the name, and that the category with all below it fits under its
// parent without a circle.
func (s *Service) place(ctx context.Context, tx Tx, c Category) error {
	var f apperr.Fields
	checkText(&f, "name", c.Name, 1, 100)
	if err := f.Err(); err != nil || c.ParentID == nil {
		return err
	}
	if err := tx.LockCategories(ctx, c.TenantID); err != nil {
		return err
	}
	path, err := tx.CategoryPath(ctx, *c.ParentID)
	if err != nil {
		return err
	}
	if len(path) == 0 || path[0].TenantID != c.TenantID {
		return orUnknown(nil, "parent_id", "unknown_category", "No such category in this organisation.")
	}
	for _, above := range path {
		if above.ID == c.ID {
			return orUnknown(nil, "parent_id", "circle", "A category cannot be below itself.")
		}
	}
	height, err := tx.CategoryHeight(ctx, c.ID)
	if err != nil {
		return err
	}
	if len(path)+1+height > MaxCategoryDepth {
		return orUnknown(nil, "parent_id", "too_deep", fmt.Sprintf("At most %d levels.", MaxCategoryDepth))
	}
	return nil
}

// Category is one category of the caller's tenant.
func (s *Service) Category(ctx context.Context, actor authz.Principal, id uuid.UUID) (c Category, err error) {
	err = s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		c, err = tx.Category(ctx, id)
		return err
	})
	return c, err
}

// Categories lists the categories of the caller's tenant by name.
func (s *Service) Categories(ctx context.Context, actor authz.Principal, f ShelfFilter, p page.Request) (out page.Page[Category], err error) {
	err = s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		out, err = tx.ListCategories(ctx, f, p)
		return err
	})
	return out, err
}

// CategoryEdit changes a category. A parent of nil moves it to the top.
type CategoryEdit func(name *string, parent **uuid.UUID)

// UpdateCategory renames or moves a category.
func (s *Service) UpdateCategory(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64, edit CategoryEdit) (Category, error) {
	old, err := s.Category(ctx, actor, id)
	if err != nil {
		return Category{}, err
	}
	if _, err := s.tenantFor(ctx, actor, &old.TenantID, authz.CategoryManage); err != nil {
		return Category{}, err
	}
	return inTx(ctx, s, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (Category, error) {
		c, err := tx.Category(ctx, id)
		if err != nil {
			return Category{}, err
		}
		if err := checkVersion(version, c.Version); err != nil {
			return Category{}, err
		}
		before := c
		edit(&c.Name, &c.ParentID)
		c.Name = strings.TrimSpace(c.Name)
		if c.Name == before.Name && equalID(c.ParentID, before.ParentID) {
			return before, nil
		}
		if err := s.place(ctx, tx, c); err != nil {
			return Category{}, err
		}
		c.Version++
		c.UpdatedAt = s.Now()
		if err := tx.UpdateCategory(ctx, c); err != nil {
			return Category{}, err
		}
		e := events.CategoryRenamed{CategoryID: c.ID, TenantID: c.TenantID, ParentID: c.ParentID, Name: c.Name, OldName: before.Name}
		if err := tx.Emit(ctx, e, work.Meta{TenantID: c.TenantID, OrgUnitID: c.TenantID}); err != nil {
			return Category{}, err
		}
		return c, tx.Audit(ctx, c.audit("category.update", map[string]work.Change{
			"name": {From: before.Name, To: c.Name}, "parent_id": {From: before.ParentID, To: c.ParentID},
		}))
	})
}

// DeleteCategory removes a category without courses and without categories below
// it (409 `in_use`).
func (s *Service) DeleteCategory(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64) error {
	old, err := s.Category(ctx, actor, id)
	if err != nil {
		return err
	}
	if _, err := s.tenantFor(ctx, actor, &old.TenantID, authz.CategoryManage); err != nil {
		return err
	}
	_, err = inTx(ctx, s, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (struct{}, error) {
		if err := tx.LockCategories(ctx, old.TenantID); err != nil {
			return struct{}{}, err
		}
		c, err := tx.Category(ctx, id)
		if err != nil {
			return struct{}{}, err
		}
		if err := checkVersion(version, c.Version); err != nil {
			return struct{}{}, err
		}
		courses, children, err := tx.CategoryUse(ctx, id)
		if err != nil {
			return struct{}{}, err
		}
		if courses+children > 0 {
			return struct{}{}, apperr.Conflict("in_use", "The category still has courses or categories.").
				Detail("courses", courses).Detail("categories", children)
		}
		if err := tx.DeleteCategory(ctx, id); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, tx.Audit(ctx, c.audit("category.delete", map[string]work.Change{"name": {From: c.Name}}))
	})
	return err
}

// Term is a period in which courses run. A course that gets a term and has no
// dates of its own takes the term's.
type Term struct {
	ID        uuid.UUID
	TenantID  uuid.UUID
	OrgUnitID uuid.UUID
	TermFields
	CreatedAt time.Time
	UpdatedAt time.Time
	Version   int64
}

// TermFields are the properties of a term that its managers set.
type TermFields struct {
	Code     string     `json:"code"`
	Name     string     `json:"name"`
	StartsAt *time.Time `json:"starts_at"`
	EndsAt   *time.Time `json:"ends_at"`
}

func (t *TermFields) settle() error {
	t.Code, t.Name = strings.TrimSpace(t.Code), strings.TrimSpace(t.Name)
	t.StartsAt, t.EndsAt = stored(t.StartsAt), stored(t.EndsAt)
	var f apperr.Fields
	checkText(&f, "code", t.Code, 1, MaxCode)
	checkText(&f, "name", t.Name, 1, MaxTitle)
	checkOrder(&f, "ends_at", t.StartsAt, t.EndsAt)
	return f.Err()
}

func (t Term) audit(action string, changes map[string]work.Change) work.AuditEntry {
	return work.AuditEntry{Action: action, ResourceType: "term", ResourceID: t.ID, TenantID: t.TenantID, OrgUnitID: t.OrgUnitID, Changes: changes}
}

// CreateTerm makes a term of an org unit. Codes are unique in a tenant (409).
func (s *Service) CreateTerm(ctx context.Context, actor authz.Principal, unit uuid.UUID, in TermFields) (Term, error) {
	_, tenant, err := s.allowedIn(ctx, actor, unit, authz.TermManage)
	if err != nil {
		return Term{}, err
	}
	return inTx(ctx, s, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (Term, error) {
		now := s.Now()
		t := Term{ID: s.NewID(), TenantID: tenant, OrgUnitID: unit, TermFields: in, CreatedAt: now, UpdatedAt: now, Version: 1}
		if err := t.settle(); err != nil {
			return Term{}, err
		}
		if err := tx.InsertTerm(ctx, t); err != nil {
			return Term{}, err
		}
		changes, err := changesOf(TermFields{}, t.TermFields)
		if err != nil {
			return Term{}, err
		}
		return t, tx.Audit(ctx, t.audit("term.create", changes))
	})
}

// Term is one term of the caller's tenant.
func (s *Service) Term(ctx context.Context, actor authz.Principal, id uuid.UUID) (t Term, err error) {
	err = s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		t, err = tx.Term(ctx, id)
		return err
	})
	return t, err
}

// Terms lists the terms of the caller's tenant, the latest first unless asked
// otherwise.
func (s *Service) Terms(ctx context.Context, actor authz.Principal, f ShelfFilter, p page.Request) (out page.Page[Term], err error) {
	err = s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		out, err = tx.ListTerms(ctx, f, p)
		return err
	})
	return out, err
}

// UpdateTerm changes a term. Courses that took its dates keep theirs.
func (s *Service) UpdateTerm(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64, edit func(*TermFields)) (Term, error) {
	old, err := s.Term(ctx, actor, id)
	if err != nil {
		return Term{}, err
	}
	if _, _, err := s.allowedIn(ctx, actor, old.OrgUnitID, authz.TermManage); err != nil {
		return Term{}, err
	}
	return inTx(ctx, s, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (Term, error) {
		t, err := tx.Term(ctx, id)
		if err != nil {
			return Term{}, err
		}
		if err := checkVersion(version, t.Version); err != nil {
			return Term{}, err
		}
		before := t.TermFields
		edit(&t.TermFields)
		if err := t.settle(); err != nil {
			return Term{}, err
		}
		changes, err := changesOf(before, t.TermFields)
		if err != nil || len(changes) == 0 {
			return t, err
		}
		t.Version++
		t.UpdatedAt = s.Now()
		if err := tx.UpdateTerm(ctx, t); err != nil {
			return Term{}, err
		}
		return t, tx.Audit(ctx, t.audit("term.update", changes))
	})
}

// DeleteTerm removes a term that no course names (409 `in_use`).
func (s *Service) DeleteTerm(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64) error {
	old, err := s.Term(ctx, actor, id)
	if err != nil {
		return err
	}
	if _, _, err := s.allowedIn(ctx, actor, old.OrgUnitID, authz.TermManage); err != nil {
		return err
	}
	_, err = inTx(ctx, s, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (struct{}, error) {
		t, err := tx.Term(ctx, id)
		if err != nil {
			return struct{}{}, err
		}
		if err := checkVersion(version, t.Version); err != nil {
			return struct{}{}, err
		}
		n, err := tx.TermUse(ctx, id)
		if err != nil {
			return struct{}{}, err
		}
		if n > 0 {
			return struct{}{}, apperr.Conflict("in_use", "Courses name this term.").Detail("courses", n)
		}
		if err := tx.DeleteTerm(ctx, id); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, tx.Audit(ctx, t.audit("term.delete", map[string]work.Change{"code": {From: t.Code}}))
	})
	return err
}
