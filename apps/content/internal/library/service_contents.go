package library

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/page"
	"lms/shared/work"
)

// NewContent asks for a content: in an org unit, or for a course, whose org unit
// it then belongs to. Body is the text of a page.
type NewContent struct {
	OrgUnitID *uuid.UUID
	CourseID  *uuid.UUID
	Kind      string
	Properties
	Body *string
}

// home decides where a new content goes, and that the caller may put it there.
func (s *Service) home(ctx context.Context, actor authz.Principal, in NewContent) (*authz.Policy, uuid.UUID, uuid.UUID, error) {
	if (in.OrgUnitID == nil) == (in.CourseID == nil) {
		return nil, uuid.Nil, uuid.Nil, apperr.Invalid(apperr.Field{Path: "org_unit_id", Code: "required", Message: "Name an org unit or a course, not both."})
	}
	if in.CourseID != nil {
		return s.courseHome(ctx, actor, *in.CourseID)
	}
	unit := *in.OrgUnitID
	policy, err := authz.Knowing(ctx, s.Authz, actor, unit)
	if err != nil {
		return nil, uuid.Nil, uuid.Nil, err
	}
	tenant, ok := policy.Tenant(unit)
	if !ok || tenant != actor.TenantID && !policy.Allows(actor, authz.ContentEdit, unit) {
		return nil, uuid.Nil, uuid.Nil, apperr.NotFound("org unit")
	}
	if !policy.Allows(actor, authz.ContentEdit, unit) {
		return nil, uuid.Nil, uuid.Nil, apperr.Forbidden("This needs the permission " + string(authz.ContentEdit) + " in the org unit.")
	}
	return policy, tenant, unit, nil
}

func (s *Service) courseHome(ctx context.Context, actor authz.Principal, course uuid.UUID) (*authz.Policy, uuid.UUID, uuid.UUID, error) {
	policy, err := s.Authz.Policy(ctx)
	if err != nil {
		return nil, uuid.Nil, uuid.Nil, err
	}
	v, err := s.Members.May(ctx, actor, course, nil, true)
	if err != nil {
		return nil, uuid.Nil, uuid.Nil, err
	}
	if !v.Allowed {
		return nil, uuid.Nil, uuid.Nil, apperr.NotFound("course")
	}
	if !policy.AllowsInCourse(actor, authz.ContentEdit, v.OrgUnitID, staffRole(v)) {
		return nil, uuid.Nil, uuid.Nil, apperr.Forbidden("This needs the permission " + string(authz.ContentEdit) + " in the course.")
	}
	return policy, v.TenantID, v.OrgUnitID, nil
}

// Create makes a content as a draft. A page has its first version at once. The answer
// waits a moment for course, so that what was made can be placed.
func (s *Service) Create(ctx context.Context, actor authz.Principal, in NewContent) (View, error) {
	policy, tenant, unit, err := s.home(ctx, actor, in)
	if err != nil {
		return View{}, err
	}
	in.Normalise()
	var f apperr.Fields
	f.Require(slices.Contains(Kinds, in.Kind), "kind", "enum", "One of: "+strings.Join(Kinds, ", ")+".")
	f.Require(in.Body == nil || in.Kind == events.ContentPage, "body", "not_allowed", "Only a page has a text.")
	if err := f.Err(); err != nil {
		return View{}, err
	}
	if err := in.Check(); err != nil {
		return View{}, err
	}
	var told uuid.UUID
	made, err := inTx(ctx, s, work.Tenant(tenant), func(ctx context.Context, tx Tx) (View, error) {
		now := s.Now()
		c := Content{
			ID: s.NewID(), TenantID: tenant, OrgUnitID: unit, OrgUnitPath: pathOf(policy, unit, []uuid.UUID{unit}), CourseID: in.CourseID,
			Kind: in.Kind, Properties: in.Properties, Status: events.ContentDraft, CreatedBy: actor.UserID, CreatedAt: now, UpdatedAt: now, Version: 1,
		}
		if err := tx.InsertContent(ctx, c); err != nil {
			return View{}, err
		}
		out := View{Content: c}
		if c.Kind == events.ContentPage {
			body := ""
			if in.Body != nil {
				body = *in.Body
			}
			v, err := s.write(ctx, tx, &c, body, actor.UserID)
			if err != nil {
				return View{}, err
			}
			if err := tx.UpdateContent(ctx, c); err != nil {
				return View{}, err
			}
			out = View{Content: c, File: &v}
		}
		if err := s.tell(ctx, tx, c, func(st events.ContentState) events.Event { return events.ContentCreated{ContentState: st} }); err != nil {
			return View{}, err
		}
		if told, err = s.tellCourse(ctx, tx, c); err != nil {
			return View{}, err
		}
		return out, tx.Audit(ctx, c.audit("content.create", map[string]work.Change{"title": {To: c.Title}, "kind": {To: c.Kind}}))
	})
	if err == nil {
		s.Calls.Settled(ctx, told, settleFor) // made it is in any case
	}
	return made, err
}

// write makes the text of a page its next and current version.
func (s *Service) write(ctx context.Context, tx Tx, c *Content, raw string, by uuid.UUID) (Version, error) {
	body := s.Text.HTML(raw)
	if len(body) > MaxBody {
		return Version{}, apperr.Invalid(apperr.Field{Path: "body", Code: "too_long", Message: "At most 512 KiB."})
	}
	last, err := tx.LastVersion(ctx, c.ID)
	if err != nil {
		return Version{}, err
	}
	sum := sha256.Sum256([]byte(body))
	v := Version{
		ContentID: c.ID, TenantID: c.TenantID, Number: last + 1, MediaType: "text/html", Size: int64(len(body)), SHA256: hex.EncodeToString(sum[:]),
		Body: body, Text: s.Text.Plain(body), CreatedBy: by, CreatedAt: s.Now(),
	}
	c.Current = v.Number
	return v, tx.InsertVersion(ctx, v)
}

// View is a content as one caller sees it.
type View struct {
	Content
	// File is the current version, nil while there is none.
	File *Version
	// Captions and Renditions of it; not in lists.
	Captions   []Caption
	Renditions []Rendition
	// Pending says that enrollment has not heard yet that it was opened.
	Pending bool
}

// Contents lists what the caller may see of the library: in org units by
// content:read, or of a course whose staff they are.
func (s *Service) Contents(ctx context.Context, actor authz.Principal, f Filter, p page.Request) (page.Page[View], error) {
	policy, err := s.Authz.Policy(ctx)
	if err != nil {
		return page.Page[View]{}, err
	}
	f.Reach = policy.Reach(actor, authz.ContentRead)
	if f.CourseID != nil {
		v, err := s.Members.May(ctx, actor, *f.CourseID, nil, false)
		if err != nil {
			return page.Page[View]{}, err
		}
		if v.Allowed && policy.AllowsInCourse(actor, authz.ContentRead, v.OrgUnitID, staffRole(v)) {
			f.Reach = authz.Reach{All: true}
		}
	}
	if f.Reach.None() {
		return page.Page[View]{Items: []View{}}, nil
	}
	var out page.Page[View]
	err = s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		found, err := tx.ListContents(ctx, f, p)
		if err != nil {
			return err
		}
		ids := make([]uuid.UUID, len(found.Items))
		for i, c := range found.Items {
			ids[i] = c.ID
		}
		files, err := tx.CurrentVersions(ctx, ids)
		if err != nil {
			return err
		}
		out = page.Map(found, func(c Content) View {
			v := View{Content: c}
			if file, ok := files[c.ID]; ok {
				v.File = &file
			}
			return v
		})
		return nil
	})
	return out, err
}

func (s *Service) view(ctx context.Context, c Content) (out View, err error) {
	err = s.Store.Read(ctx, work.Tenant(c.TenantID), func(ctx context.Context, tx Tx) error {
		out, err = viewIn(ctx, tx, c)
		return err
	})
	return out, err
}

func viewIn(ctx context.Context, tx Tx, c Content) (View, error) {
	out := View{Content: c}
	var err error
	if recording(c.Kind) {
		if out.Captions, err = tx.Captions(ctx, c.ID); err != nil {
			return out, err
		}
	}
	if c.Current == 0 {
		return out, nil
	}
	v, err := tx.Version(ctx, c.ID, c.Current)
	if err != nil {
		return out, err
	}
	v.Text = "" // for searches only
	out.File = &v
	if !recording(c.Kind) {
		return out, nil
	}
	out.Renditions, err = tx.Renditions(ctx, c.ID, c.Current)
	return out, err
}

// change locks a content, lets fn change it, and stores and tells what became of
// it. fn gives the names of the fields that differ; none writes nothing.
func (s *Service) change(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64, action string,
	event func(events.ContentState, []string) events.Event, fn func(ctx context.Context, tx Tx, c *Content) (map[string]work.Change, error),
) (View, error) {
	policy, known, err := s.allowed(ctx, actor, id, authz.ContentEdit)
	if err != nil {
		return View{}, err
	}
	return inTx(ctx, s, work.Tenant(known.TenantID), func(ctx context.Context, tx Tx) (View, error) {
		c, err := tx.LockContent(ctx, id)
		if err != nil {
			return View{}, err
		}
		if err := checkVersion(version, c.Version); err != nil {
			return View{}, err
		}
		before := c
		differs, err := fn(ctx, tx, &c)
		if err != nil {
			return View{}, err
		}
		if len(differs) > 0 {
			c.OrgUnitPath = pathOf(policy, c.OrgUnitID, c.OrgUnitPath)
			if err := s.store(ctx, tx, before, &c, action, event, differs); err != nil {
				return View{}, err
			}
		}
		return viewIn(ctx, tx, c)
	})
}

// store writes a changed content and tells everybody.
func (s *Service) store(ctx context.Context, tx Tx, before Content, c *Content, action string,
	event func(events.ContentState, []string) events.Event, differs map[string]work.Change,
) error {
	c.Version++
	c.UpdatedAt = s.Now()
	if err := tx.UpdateContent(ctx, *c); err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(differs))
	if err := s.tell(ctx, tx, *c, func(st events.ContentState) events.Event { return event(st, names) }); err != nil {
		return err
	}
	if before.Title != c.Title || before.Status != c.Status || c.DeletedAt != nil {
		if _, err := s.tellCourse(ctx, tx, *c); err != nil {
			return err
		}
	}
	return tx.Audit(ctx, c.audit(action, differs))
}

func updated(st events.ContentState, names []string) events.Event {
	return events.ContentUpdated{ContentState: st, Changed: names}
}

// Edit changes properties; body replaces the text of a page.
type Edit struct {
	Apply func(*Properties)
	Body  *string
}

// Update changes a content's properties, and the text of a page: a changed text is
// a new version.
func (s *Service) Update(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64, edit Edit) (View, error) {
	return s.change(ctx, actor, id, version, "content.update", updated, func(ctx context.Context, tx Tx, c *Content) (map[string]work.Change, error) {
		before := c.Properties
		before.Tags = slices.Clone(before.Tags)
		edit.Apply(&c.Properties)
		c.Normalise()
		if err := c.Check(); err != nil {
			return nil, err
		}
		differs := changed(before, c.Properties)
		if edit.Body == nil {
			return differs, nil
		}
		if c.Kind != events.ContentPage {
			return nil, apperr.Invalid(apperr.Field{Path: "body", Code: "not_allowed", Message: "Only a page has a text."})
		}
		old, err := tx.Version(ctx, c.ID, c.Current)
		if err != nil {
			return nil, err
		}
		if s.Text.HTML(*edit.Body) == old.Body {
			return differs, nil
		}
		v, err := s.write(ctx, tx, c, *edit.Body, actor.UserID)
		differs["file"] = work.Change{From: old.Number, To: v.Number}
		return differs, err
	})
}

// Publish lets learners see a content where it is placed.
func (s *Service) Publish(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64) (View, error) {
	event := func(st events.ContentState, _ []string) events.Event {
		return events.ContentPublished{ContentState: st}
	}
	return s.change(ctx, actor, id, version, "content.publish", event, func(_ context.Context, _ Tx, c *Content) (map[string]work.Change, error) {
		if c.Published() {
			return nil, nil
		}
		if c.Current == 0 {
			return nil, apperr.Conflict("nothing_to_publish", "Upload a file first.")
		}
		now := s.Now()
		c.Status, c.PublishedAt = events.ContentStatusPublished, &now
		return map[string]work.Change{"status": {From: events.ContentDraft, To: c.Status}}, nil
	})
}

// Unpublish takes it back to draft.
func (s *Service) Unpublish(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64) (View, error) {
	event := func(st events.ContentState, _ []string) events.Event {
		return events.ContentUnpublished{ContentState: st}
	}
	return s.change(ctx, actor, id, version, "content.unpublish", event, func(_ context.Context, _ Tx, c *Content) (map[string]work.Change, error) {
		if !c.Published() {
			return nil, nil
		}
		c.Status, c.PublishedAt = events.ContentDraft, nil
		return map[string]work.Change{"status": {From: events.ContentStatusPublished, To: c.Status}}, nil
	})
}
