package catalog

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// Document is the curriculum as the caller sees it, ready to be sent.
type Document struct {
	JSON    []byte
	Version int64
	Public  bool
	Staff   bool
}

// Curriculum gives the ready document: everything to holders of course:read in the
// course, what is published to everyone else who may know the course. A caller who
// has the version known already gets no JSON; 0 is none.
func (s *Service) Curriculum(ctx context.Context, actor authz.Principal, id uuid.UUID, known int64) (Document, error) {
	// Who can see drafts only as staff of a course gets the whole document by that.
	full := false
	if len(actor.Grants) > 0 {
		policy, err := s.Authz.Policy(ctx)
		if err != nil {
			return Document{}, err
		}
		full = policy.AllowsSomewhere(actor, authz.CourseRead)
	}
	h, docs, err := s.Store.DocumentFor(ctx, id, actor.UserID, full, known)
	if err != nil {
		return Document{}, err
	}
	seen, err := s.sees(ctx, actor, h)
	if err != nil {
		return Document{}, err
	}
	out := Document{JSON: docs.Published, Version: h.CurriculumVersion, Public: seen.public, Staff: seen.staff}
	if seen.staff {
		out.JSON = docs.Full
	}
	return out, nil
}

// CurriculumView is Curriculum for who needs parts of it.
func (s *Service) CurriculumView(ctx context.Context, actor authz.Principal, id uuid.UUID) (CurriculumView, error) {
	doc, err := s.Curriculum(ctx, actor, id, 0)
	if err != nil {
		return CurriculumView{}, err
	}
	var v CurriculumView
	if err := json.Unmarshal(doc.JSON, &v); err != nil {
		return CurriculumView{}, apperr.Internal(err)
	}
	return v, nil
}

// Module is one module as the caller sees it.
func (s *Service) Module(ctx context.Context, actor authz.Principal, course, module uuid.UUID) (ModuleView, int64, error) {
	v, err := s.CurriculumView(ctx, actor, course)
	if err != nil {
		return ModuleView{}, 0, err
	}
	at := slices.IndexFunc(v.Modules, func(m ModuleView) bool { return m.ID == module })
	if at < 0 {
		return ModuleView{}, 0, apperr.NotFound("module")
	}
	return v.Modules[at], v.Version, nil
}

// Item is one item with the text of a page or the address of a link. A learner
// gets it when enrollment says that it is unlocked; a locked one is 403
// `item_locked` with the reasons (rule 11).
func (s *Service) Item(ctx context.Context, actor authz.Principal, course, module, item uuid.UUID) (ItemView, int64, error) {
	doc, err := s.Curriculum(ctx, actor, course, 0)
	if err != nil {
		return ItemView{}, 0, err
	}
	var v CurriculumView
	if err := json.Unmarshal(doc.JSON, &v); err != nil {
		return ItemView{}, 0, apperr.Internal(err)
	}
	found, ok := v.item(module, item)
	if !ok {
		return ItemView{}, 0, apperr.NotFound("item")
	}
	if !doc.Staff {
		if err := s.unlocked(ctx, actor, course, item); err != nil {
			return ItemView{}, 0, err
		}
	}
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		cur, err := tx.Curriculum(ctx, course)
		if err != nil {
			return err
		}
		mi, ii, ok := cur.Item(item)
		if !ok {
			return apperr.NotFound("item")
		}
		found.URL = cur.Modules[mi].Items[ii].URL
		if found.Kind == events.ItemPage {
			found.Body, err = tx.Body(ctx, item)
		}
		return err
	})
	return found, v.Version, err
}

func (v CurriculumView) item(module, item uuid.UUID) (ItemView, bool) {
	for _, m := range v.Modules {
		if m.ID != module {
			continue
		}
		for _, i := range m.Items {
			if i.ID == item {
				return i, true
			}
		}
	}
	return ItemView{}, false
}

func (s *Service) unlocked(ctx context.Context, actor authz.Principal, course, item uuid.UUID) error {
	if actor.Anonymous() {
		return apperr.Unauthenticated("unauthenticated", "Sign in to open the items of a course.")
	}
	verdict, err := s.Membership.May(ctx, actor.UserID, course, &item)
	switch {
	case err != nil:
		return err
	case verdict.Allowed:
		return nil
	case !verdict.Enrolled:
		return apperr.New(apperr.KindForbidden, "enrollment_required", "Enroll in the course to open its items.").Detail("reasons", verdict.Reasons)
	default:
		return apperr.New(apperr.KindForbidden, "item_locked", "The item is locked.").Detail("reasons", verdict.Reasons)
	}
}

// edit is one change of a curriculum: all piecewise edits and the replacement of
// the whole go through it, so that one version guards them all.
type edit struct {
	action  string
	version *int64
	reason  string
	// apply gives the new curriculum, and the id of the module or item that the edit
	// is about, if it is about one.
	apply func(cur Curriculum, mk Maker) (Curriculum, uuid.UUID, error)
}

// whole is the outcome of an edit that is about no single module or item.
func whole(c Curriculum, err error) (Curriculum, uuid.UUID, error) { return c, uuid.Nil, err }

// Edited is the outcome of an edit, as staff see it.
type Edited struct {
	Version int64
	// Module or Item is what the edit was about.
	Module *ModuleView
	Item   *ItemView
	// Document is the whole curriculum. It is not kept for a repeated request.
	Document []byte `json:"-"`
}

func editedOf(version int64, after Curriculum, id uuid.UUID, docs Documents) Edited {
	out := Edited{Version: version, Document: docs.Full}
	if id == uuid.Nil {
		return out
	}
	for _, m := range after.View(version, true).Modules {
		if m.ID == id {
			out.Module = &m
			return out
		}
		for _, i := range m.Items {
			if i.ID == id {
				out.Item = &i
			}
		}
	}
	if mi, ii, ok := after.Item(id); ok && after.Modules[mi].Items[ii].Body != nil {
		out.Item.Body = *after.Modules[mi].Items[ii].Body
	}
	return out
}

func (s *Service) edit(ctx context.Context, actor authz.Principal, id uuid.UUID, e edit) (Edited, error) {
	policy, _, err := s.allowed(ctx, actor, id, authz.CurriculumEdit)
	if err != nil {
		return Edited{}, err
	}
	return inTx(ctx, s, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (Edited, error) {
		c, err := s.lock(ctx, tx, policy, actor, id, authz.CurriculumEdit)
		if err != nil {
			return Edited{}, err
		}
		if err := checkVersion(e.version, c.CurriculumVersion); err != nil {
			return Edited{}, err
		}
		if err := c.writable(); err != nil {
			return Edited{}, err
		}
		before, err := tx.Curriculum(ctx, id)
		if err != nil {
			return Edited{}, err
		}
		after, target, err := e.apply(before, s.maker())
		if err != nil {
			return Edited{}, err
		}
		s.clean(&after)
		if err := s.bind(ctx, tx, c, before, &after); err != nil {
			return Edited{}, relativeTo(after.pathTo(target), err)
		}
		c, docs, err := s.saveCurriculum(ctx, tx, c, before, after, e.reason, actor.UserID)
		if err != nil {
			return Edited{}, err
		}
		return editedOf(c.CurriculumVersion, after, target, docs), tx.Audit(ctx, c.audit(e.action, summary(before, after)))
	})
}

// bind gives every item of the edited curriculum its resource. Resources that the
// course already had are kept in step by its lock; new ones are locked, so that
// their deletion waits and then finds them here.
func (s *Service) bind(ctx context.Context, tx Tx, c Course, before Curriculum, after *Curriculum) error {
	known := map[uuid.UUID]Resource{}
	for _, m := range before.Modules {
		for _, i := range m.Items {
			if i.Resource != nil {
				known[i.Resource.ID] = *i.Resource
			}
		}
	}
	var placed []uuid.UUID
	for _, id := range after.Resources() {
		if _, ok := known[id]; !ok {
			placed = append(placed, id)
		}
	}
	if len(placed) > 0 {
		fresh, err := tx.ShareResources(ctx, placed)
		if err != nil {
			return err
		}
		maps.Copy(known, fresh)
	}
	return after.Bind(c.TenantID, known)
}

// summary is what the audit trail keeps of an edit: the counts, not the document.
func summary(before, after Curriculum) map[string]work.Change {
	count := func(c Curriculum) (items int) {
		for _, m := range c.Modules {
			items += len(m.Items)
		}
		return items
	}
	out := map[string]work.Change{"modules": {From: len(before.Modules), To: len(after.Modules)}, "items": {From: count(before), To: count(after)}}
	if diff := Differences(before.View(0, true), after.View(0, true)); len(diff) > 0 {
		out["changes"] = work.Change{To: diff[:min(len(diff), 50)]}
	}
	return out
}

// clean makes the new texts of pages harmless.
func (s *Service) clean(c *Curriculum) {
	for mi := range c.Modules {
		for ii := range c.Modules[mi].Items {
			if item := &c.Modules[mi].Items[ii]; item.Body != nil {
				body := s.Text.HTML(*item.Body)
				item.Body = &body
			}
		}
	}
}

// saveCurriculum writes a changed curriculum under the next version: its rows, the
// ready documents, the event and, where learners see a difference, a version.
func (s *Service) saveCurriculum(ctx context.Context, tx Tx, c Course, before, after Curriculum, reason string, by uuid.UUID) (Course, Documents, error) {
	old, err := before.Documents(c.CurriculumVersion)
	if err != nil {
		return Course{}, Documents{}, err
	}
	c.CurriculumVersion++
	c.CurriculumChangedAt = s.Now()
	docs, err := after.Documents(c.CurriculumVersion)
	if err != nil {
		return Course{}, Documents{}, err
	}
	dropped := c.dropRequired(after)
	if dropped {
		c.Version++
		c.UpdatedAt = s.Now()
	}
	if err := tx.SaveCurriculum(ctx, c, before, after, docs); err != nil {
		return Course{}, Documents{}, err
	}
	if after.writesBodies() {
		size, err := tx.BodyBytes(ctx, c.ID)
		if err != nil {
			return Course{}, Documents{}, err
		}
		if size > MaxBodies {
			return Course{}, Documents{}, apperr.Invalid(apperr.Field{Path: "modules", Code: "bodies_too_large", Message: "The texts of all pages take more than 32 MiB."})
		}
	}
	if err := tx.UpdateCourse(ctx, c); err != nil {
		return Course{}, Documents{}, err
	}
	if c.Status == events.CoursePublished {
		if err := s.keepVersion(ctx, tx, c, &versionChange{before: old.Published, after: docs.Published}, by, reason); err != nil {
			return Course{}, Documents{}, err
		}
	}
	err = tx.Emit(ctx, events.CurriculumChanged{CurriculumState: after.State(c), CourseStatus: c.Status, Reason: reason}, c.meta())
	if err != nil || !dropped {
		return c, docs, err
	}
	return c, docs, s.emit(ctx, tx, c, func(st events.CourseState) events.Event { return updated(st, []string{"completion"}) })
}

// dropRequired takes modules that are gone out of the completion settings. A
// course that asked for none but those then asks for all modules.
func (c *Course) dropRequired(after Curriculum) bool {
	kept := make([]uuid.UUID, 0, len(c.Completion.RequiredModules))
	for _, id := range c.Completion.RequiredModules {
		if _, ok := after.Module(id); ok {
			kept = append(kept, id)
		}
	}
	if len(kept) == len(c.Completion.RequiredModules) {
		return false
	}
	c.Completion.RequiredModules = kept
	if len(kept) == 0 {
		c.Completion.Mode, c.Completion.RequiredModules = events.CompleteModules, nil
	}
	return true
}

// PutCurriculum replaces the curriculum as a whole; see Curriculum.Replace.
func (s *Service) PutCurriculum(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64, d CurriculumDraft) (Edited, error) {
	return s.edit(ctx, actor, id, edit{action: "curriculum.replace", version: version, reason: "edited", apply: func(c Curriculum, mk Maker) (Curriculum, uuid.UUID, error) {
		return whole(c.Replace(d, mk))
	}})
}

// AddModule adds a module.
func (s *Service) AddModule(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64, d ModuleDraft, position *int) (Edited, error) {
	return s.edit(ctx, actor, id, edit{action: "curriculum.module_add", version: version, reason: "edited", apply: func(c Curriculum, mk Maker) (Curriculum, uuid.UUID, error) {
		return c.AddModule(d, position, mk)
	}})
}

// AddItem adds an item to a module.
func (s *Service) AddItem(ctx context.Context, actor authz.Principal, id, module uuid.UUID, version *int64, d ItemDraft, position *int) (Edited, error) {
	return s.edit(ctx, actor, id, edit{action: "curriculum.item_add", version: version, reason: "edited", apply: func(c Curriculum, mk Maker) (Curriculum, uuid.UUID, error) {
		return c.AddItem(module, d, position, mk)
	}})
}

// EditModule changes a module and perhaps its place.
func (s *Service) EditModule(ctx context.Context, actor authz.Principal, id, module uuid.UUID, version *int64, position *int, change func(*Module)) (Edited, error) {
	return s.edit(ctx, actor, id, edit{action: "curriculum.module_update", version: version, reason: "edited", apply: func(c Curriculum, _ Maker) (Curriculum, uuid.UUID, error) {
		next, err := c.EditModule(module, position, change)
		return next, module, err
	}})
}

// EditItem changes an item of a module and perhaps its place.
func (s *Service) EditItem(ctx context.Context, actor authz.Principal, id, in, item uuid.UUID, version *int64, module *uuid.UUID, position *int, change func(*Item)) (Edited, error) {
	return s.edit(ctx, actor, id, edit{action: "curriculum.item_update", version: version, reason: "edited", apply: func(c Curriculum, _ Maker) (Curriculum, uuid.UUID, error) {
		if !c.has(in, item) {
			return Curriculum{}, uuid.Nil, apperr.NotFound("item")
		}
		next, err := c.EditItem(item, module, position, change)
		return next, item, err
	}})
}

// RemoveModule removes a module with its items.
func (s *Service) RemoveModule(ctx context.Context, actor authz.Principal, id, module uuid.UUID, version *int64) (Edited, error) {
	return s.edit(ctx, actor, id, edit{action: "curriculum.module_remove", version: version, reason: "edited", apply: func(c Curriculum, _ Maker) (Curriculum, uuid.UUID, error) {
		return whole(c.RemoveModule(module))
	}})
}

// RemoveItem removes an item of a module.
func (s *Service) RemoveItem(ctx context.Context, actor authz.Principal, id, in, item uuid.UUID, version *int64) (Edited, error) {
	return s.edit(ctx, actor, id, edit{action: "curriculum.item_remove", version: version, reason: "edited", apply: func(c Curriculum, _ Maker) (Curriculum, uuid.UUID, error) {
		if !c.has(in, item) {
			return Curriculum{}, uuid.Nil, apperr.NotFound("item")
		}
		return whole(c.RemoveItem(item))
	}})
}

// OrderModules puts all modules into an order.
func (s *Service) OrderModules(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64, ids []uuid.UUID) (Edited, error) {
	return s.edit(ctx, actor, id, edit{action: "curriculum.modules_reorder", version: version, reason: "edited", apply: func(c Curriculum, _ Maker) (Curriculum, uuid.UUID, error) {
		return whole(c.OrderModules(ids))
	}})
}

// OrderItems puts all items of a module into an order.
func (s *Service) OrderItems(ctx context.Context, actor authz.Principal, id, module uuid.UUID, version *int64, ids []uuid.UUID) (Edited, error) {
	return s.edit(ctx, actor, id, edit{action: "curriculum.items_reorder", version: version, reason: "edited", apply: func(c Curriculum, _ Maker) (Curriculum, uuid.UUID, error) {
		return whole(c.OrderItems(module, ids))
	}})
}

// Relock asks for a module to be locked again where its conditions are not met
// any more (rule 8).
func (s *Service) Relock(ctx context.Context, actor authz.Principal, id, module uuid.UUID, version *int64) (Edited, error) {
	return s.edit(ctx, actor, id, edit{action: "curriculum.relock", version: version, reason: "relock", apply: func(c Curriculum, _ Maker) (Curriculum, uuid.UUID, error) {
		next, err := c.RelockModule(module)
		return next, module, err
	}})
}
