package catalog

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/page"
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
// course, what is published to everyone else who may know the course.
func (s *Service) Curriculum(ctx context.Context, actor authz.Principal, id uuid.UUID) (Document, error) {
	h, docs, err := s.Store.DocumentFor(ctx, id, actor.UserID, len(actor.Grants) > 0)
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
	doc, err := s.Curriculum(ctx, actor, id)
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
	doc, err := s.Curriculum(ctx, actor, course)
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
	// apply gives the new curriculum, and the id of what it added.
	apply func(cur Curriculum, mk Maker) (Curriculum, uuid.UUID, error)
}

// plain is an edit that adds nothing.
func plain(c Curriculum, err error) (Curriculum, uuid.UUID, error) { return c, uuid.Nil, err }

// Edited is the outcome of an edit.
type Edited struct {
	Version int64
	// ID is the module or item that was added.
	ID uuid.UUID
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
		after, added, err := e.apply(before, s.maker())
		if err != nil {
			return Edited{}, err
		}
		s.clean(&after)
		if err := s.bind(ctx, tx, c, before, &after); err != nil {
			return Edited{}, err
		}
		c, err = s.saveCurriculum(ctx, tx, c, before, after, e.reason, actor.UserID)
		if err != nil {
			return Edited{}, err
		}
		return Edited{Version: c.CurriculumVersion, ID: added}, tx.Audit(ctx, c.audit(e.action, summary(before, after)))
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
func (s *Service) saveCurriculum(ctx context.Context, tx Tx, c Course, before, after Curriculum, reason string, by uuid.UUID) (Course, error) {
	old, err := before.Documents(c.CurriculumVersion)
	if err != nil {
		return Course{}, err
	}
	c.CurriculumVersion++
	c.UpdatedAt = s.Now()
	docs, err := after.Documents(c.CurriculumVersion)
	if err != nil {
		return Course{}, err
	}
	c.dropRequired(after)
	if err := tx.SaveCurriculum(ctx, c, before, after, docs); err != nil {
		return Course{}, err
	}
	if err := tx.UpdateCourse(ctx, c); err != nil {
		return Course{}, err
	}
	if c.Status == events.CoursePublished {
		if err := s.keepVersion(ctx, tx, c, &versionChange{before: old.Published, after: docs.Published}, by, reason); err != nil {
			return Course{}, err
		}
	}
	return c, tx.Emit(ctx, events.CurriculumChanged{
		CurriculumState: after.State(c, c.UpdatedAt), CourseStatus: c.Status, Reason: reason,
	}, c.meta())
}

// dropRequired takes modules that are gone out of the completion settings. A
// course that asked for none but those then asks for all modules.
func (c *Course) dropRequired(after Curriculum) {
	kept := make([]uuid.UUID, 0, len(c.Completion.RequiredModules))
	for _, id := range c.Completion.RequiredModules {
		if _, ok := after.Module(id); ok {
			kept = append(kept, id)
		}
	}
	if len(kept) == len(c.Completion.RequiredModules) {
		return
	}
	c.Completion.RequiredModules = kept
	if len(kept) == 0 {
		c.Completion.Mode, c.Completion.RequiredModules = events.CompleteModules, nil
	}
}

// PutCurriculum replaces the curriculum as a whole; see Curriculum.Replace.
func (s *Service) PutCurriculum(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64, d CurriculumDraft) (Edited, error) {
	return s.edit(ctx, actor, id, edit{action: "curriculum.replace", version: version, reason: "edited", apply: func(c Curriculum, mk Maker) (Curriculum, uuid.UUID, error) {
		return plain(c.Replace(d, mk))
	}})
}

// AddModule adds a module; Edited.ID is its id.
func (s *Service) AddModule(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64, d ModuleDraft, position *int) (Edited, error) {
	return s.edit(ctx, actor, id, edit{action: "curriculum.module_add", version: version, reason: "edited", apply: func(c Curriculum, mk Maker) (Curriculum, uuid.UUID, error) {
		return c.AddModule(d, position, mk)
	}})
}

// AddItem adds an item to a module; Edited.ID is its id.
func (s *Service) AddItem(ctx context.Context, actor authz.Principal, id, module uuid.UUID, version *int64, d ItemDraft, position *int) (Edited, error) {
	return s.edit(ctx, actor, id, edit{action: "curriculum.item_add", version: version, reason: "edited", apply: func(c Curriculum, mk Maker) (Curriculum, uuid.UUID, error) {
		return c.AddItem(module, d, position, mk)
	}})
}

// EditModule changes a module and perhaps its place.
func (s *Service) EditModule(ctx context.Context, actor authz.Principal, id, module uuid.UUID, version *int64, position *int, change func(*Module)) (Edited, error) {
	return s.edit(ctx, actor, id, edit{action: "curriculum.module_update", version: version, reason: "edited", apply: func(c Curriculum, _ Maker) (Curriculum, uuid.UUID, error) {
		return plain(c.EditModule(module, position, change))
	}})
}

// EditItem changes an item and perhaps its place.
func (s *Service) EditItem(ctx context.Context, actor authz.Principal, id, item uuid.UUID, version *int64, module *uuid.UUID, position *int, change func(*Item)) (Edited, error) {
	return s.edit(ctx, actor, id, edit{action: "curriculum.item_update", version: version, reason: "edited", apply: func(c Curriculum, _ Maker) (Curriculum, uuid.UUID, error) {
		return plain(c.EditItem(item, module, position, change))
	}})
}

// RemoveModule removes a module with its items.
func (s *Service) RemoveModule(ctx context.Context, actor authz.Principal, id, module uuid.UUID, version *int64) (Edited, error) {
	return s.edit(ctx, actor, id, edit{action: "curriculum.module_remove", version: version, reason: "edited", apply: func(c Curriculum, _ Maker) (Curriculum, uuid.UUID, error) {
		return plain(c.RemoveModule(module))
	}})
}

// RemoveItem removes an item.
func (s *Service) RemoveItem(ctx context.Context, actor authz.Principal, id, item uuid.UUID, version *int64) (Edited, error) {
	return s.edit(ctx, actor, id, edit{action: "curriculum.item_remove", version: version, reason: "edited", apply: func(c Curriculum, _ Maker) (Curriculum, uuid.UUID, error) {
		return plain(c.RemoveItem(item))
	}})
}

// OrderModules puts all modules into an order.
func (s *Service) OrderModules(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64, ids []uuid.UUID) (Edited, error) {
	return s.edit(ctx, actor, id, edit{action: "curriculum.modules_reorder", version: version, reason: "edited", apply: func(c Curriculum, _ Maker) (Curriculum, uuid.UUID, error) {
		return plain(c.OrderModules(ids))
	}})
}

// OrderItems puts all items of a module into an order.
func (s *Service) OrderItems(ctx context.Context, actor authz.Principal, id, module uuid.UUID, version *int64, ids []uuid.UUID) (Edited, error) {
	return s.edit(ctx, actor, id, edit{action: "curriculum.items_reorder", version: version, reason: "edited", apply: func(c Curriculum, _ Maker) (Curriculum, uuid.UUID, error) {
		return plain(c.OrderItems(module, ids))
	}})
}

// Relock asks for a module to be locked again where its conditions are not met
// any more (rule 8).
func (s *Service) Relock(ctx context.Context, actor authz.Principal, id, module uuid.UUID, version *int64) (Edited, error) {
	return s.edit(ctx, actor, id, edit{action: "curriculum.relock", version: version, reason: "relock", apply: func(c Curriculum, _ Maker) (Curriculum, uuid.UUID, error) {
		return plain(c.RelockModule(module))
	}})
}

// CurriculumVersion is what learners saw from a moment on. Versions begin with the
// publication of a course and count by one.
type CurriculumVersion struct {
	CourseID  uuid.UUID
	TenantID  uuid.UUID
	Number    int64
	Version   int64
	CreatedAt time.Time
	CreatedBy *uuid.UUID
	Reason    string
	Changes   []CurriculumChange
	// Document is the published document; empty in lists.
	Document json.RawMessage
}

type versionChange struct{ before, after []byte }

// keepVersion keeps what learners see now, unless they see what they saw before.
// Without a change given (at publication) the present document is compared with
// the last one that was kept.
func (s *Service) keepVersion(ctx context.Context, tx Tx, c Course, ch *versionChange, by uuid.UUID, reason string) error {
	if ch == nil {
		var err error
		if ch, err = s.sinceLastVersion(ctx, tx, c.ID); err != nil {
			return err
		}
	}
	var before, after CurriculumView
	if err := json.Unmarshal(ch.after, &after); err != nil {
		return apperr.Internal(err)
	}
	if ch.before != nil {
		if err := json.Unmarshal(ch.before, &before); err != nil {
			return apperr.Internal(err)
		}
	}
	changes := Differences(before, after)
	if ch.before != nil && len(changes) == 0 {
		return nil
	}
	v := CurriculumVersion{
		CourseID: c.ID, TenantID: c.TenantID, Version: c.CurriculumVersion, CreatedAt: s.Now(), Reason: reason,
		Changes: changes, Document: ch.after,
	}
	if by != uuid.Nil {
		v.CreatedBy = &by
	}
	return tx.InsertVersion(ctx, v)
}

func (s *Service) sinceLastVersion(ctx context.Context, tx Tx, course uuid.UUID) (*versionChange, error) {
	docs, err := tx.Documents(ctx, course)
	if err != nil {
		return nil, err
	}
	ch := &versionChange{after: docs.Published}
	last, err := tx.Versions(ctx, course, page.Request{Limit: 1})
	if err != nil || len(last.Items) == 0 {
		return ch, err
	}
	v, err := tx.Version(ctx, course, last.Items[0].Number)
	ch.before = v.Document
	return ch, err
}

// Versions lists the versions of the published curriculum, newest first, to holders
// of course:read in the course.
func (s *Service) Versions(ctx context.Context, actor authz.Principal, id uuid.UUID, p page.Request) (page.Page[CurriculumVersion], error) {
	if _, _, err := s.allowed(ctx, actor, id, authz.CourseRead); err != nil {
		return page.Page[CurriculumVersion]{}, err
	}
	var out page.Page[CurriculumVersion]
	err := s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (err error) {
		out, err = tx.Versions(ctx, id, p)
		return err
	})
	return out, err
}

// Version is one version with its document.
func (s *Service) Version(ctx context.Context, actor authz.Principal, id uuid.UUID, number int64) (CurriculumVersion, error) {
	if _, _, err := s.allowed(ctx, actor, id, authz.CourseRead); err != nil {
		return CurriculumVersion{}, err
	}
	var out CurriculumVersion
	err := s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (err error) {
		out, err = tx.Version(ctx, id, number)
		return err
	})
	return out, err
}
