package progress

import (
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/shared/contracts/events"
)

// Change is what happened to a learner: facts became known, or the curriculum
// changed, or only time passed.
type Change struct {
	// Old is the curriculum that the record was made under; nil at the beginning,
	// and when it is not known any more: then only what the record keeps is kept.
	Old *Curriculum
	New *Curriculum
	// Facts replace those of their subjects.
	Facts map[uuid.UUID]Facts
	// From is when the access began, Now the time of the change.
	From, Now time.Time
	// Seen is the view under Old at Now, where the caller has it already.
	Seen *View
}

// Outcome is the record after a change, and what to store and to tell of it.
type Outcome struct {
	Record Record
	// Before is the view right before the change, under the old curriculum; empty
	// without one.
	Before View
	After  View
	// Subjects and Kept name the entries of Record.Facts and Record.Modules that
	// changed.
	Subjects []uuid.UUID
	Kept     []uuid.UUID
	// Completed and Regressed are the items that became completed, or are no
	// longer; Moved are completed since another time.
	Completed []uuid.UUID
	Regressed []uuid.UUID
	Moved     []uuid.UUID
}

// ModulesCompleted are the modules that the change completed.
func (o Outcome) ModulesCompleted() []ModuleView {
	var out []ModuleView
	for _, mv := range o.After.Modules {
		was, ok := o.Before.Module(mv.Module.ID)
		if mv.State == Completed && (!ok || was.State != Completed) {
			out = append(out, mv)
		}
	}
	return out
}

// Apply makes the record after a change. r is not modified.
func Apply(r Record, ch Change) Outcome {
	out := Outcome{Record: Record{Facts: cloneFacts(r.Facts), Completed: map[uuid.UUID]time.Time{}, Modules: r.Modules}}
	switch {
	case ch.Seen != nil:
		out.Before = *ch.Seen
	case ch.Old != nil:
		out.Before = Evaluate(ch.Old, r, ch.From, ch.Now)
	}
	maps.Copy(out.Record.Facts, ch.Facts)
	evidence(ch.New, out.Record.Facts)
	complete(r, ch, out.Record)
	out.keepOpen(ch)
	out.compare(r)
	return out
}

func cloneFacts(m map[uuid.UUID]Facts) map[uuid.UUID]Facts {
	out := make(map[uuid.UUID]Facts, len(m)+1)
	maps.Copy(out, m)
	return out
}

// evidence notes a view where other work on a subject shows one (rule 5). It is
// noted as a fact, since a view sticks (rule 3).
func evidence(c *Curriculum, facts map[uuid.UUID]Facts) {
	for subject, f := range facts {
		if f.ViewedAt != nil {
			continue
		}
		seen := f.evidentView()
		for _, id := range c.subjects[subject] {
			if it := c.at(id); it.Visible && it.Requirement.Kind == events.RequireMinScore && it.Requirement.reached(f) {
				seen = earlier(seen, f.GradedAt)
			}
		}
		if seen != nil {
			f.ViewedAt = seen
			facts[subject] = f
		}
	}
}

// complete decides each visible item anew (rule 3). What was completed and still
// is, under the same requirement, keeps its time. Nothing is met without facts.
func complete(r Record, ch Change, next Record) {
	for subject, f := range next.Facts {
		for _, id := range ch.New.subjects[subject] {
			it := ch.New.at(id)
			if !it.counts() {
				continue
			}
			at, met := it.Requirement.Met(f)
			if !met {
				continue
			}
			if since, was := r.Completed[id]; was && sameRequirement(ch, it) {
				at = since
			}
			next.Completed[id] = at
		}
	}
}

func sameRequirement(ch Change, it *Item) bool {
	if ch.Old == nil || ch.Old == ch.New {
		return true
	}
	was, ok := ch.Old.Item(it.ID)
	return ok && was.unit() == it.unit()
}

// keepOpen makes the After view and remembers what was open before the change
// and would be locked after it (rule 8), but for what staff asked to re-lock.
// What is kept is kept per change, so that only exceptions are stored.
func (out *Outcome) keepOpen(ch Change) {
	keep := make(map[uuid.UUID]ModuleRecord, len(out.Record.Modules))
	if ch.Old == ch.New && len(out.Record.Modules) == 0 {
		out.After = Evaluate(ch.New, out.Record, ch.From, ch.Now)
		if !out.lostAnything() {
			return
		}
	}
	open := out.Before.open()
	for _, was := range out.Record.Modules { // also of what was hidden, wherever it is now
		for _, item := range was.KeptItems {
			if _, ok := open[item]; !ok {
				open[item] = nil
			}
		}
	}
	for i := range ch.New.Modules {
		m := &ch.New.Modules[i]
		if kept := keptIn(m, ch.Old, out.Record.Modules[m.ID], open); !kept.Empty() {
			keep[m.ID] = kept
		}
	}
	all := Record{Facts: out.Record.Facts, Completed: out.Record.Completed, Modules: keep}
	out.After = Evaluate(ch.New, all, ch.From, ch.Now)
	for _, mv := range out.After.Modules {
		kept := keep[mv.Module.ID]
		if !mv.kept {
			kept.KeptAt = nil
		}
		kept.KeptItems = slices.DeleteFunc(kept.KeptItems, func(id uuid.UUID) bool {
			iv, visible := mv.item(id)
			return visible && !iv.kept
		})
		if kept.Empty() {
			delete(keep, mv.Module.ID)
		} else {
			keep[mv.Module.ID] = kept
		}
	}
	out.Record.Modules = keep
}

// lostAnything says whether something that was open would be locked, or would have
// opened later, under the same curriculum, so that both views have the same places.
func (out *Outcome) lostAnything() bool {
	for i := range out.Before.Modules {
		was, is := &out.Before.Modules[i], &out.After.Modules[i]
		if was.UnlockedAt != nil && (is.UnlockedAt == nil || is.UnlockedAt.After(*was.UnlockedAt)) {
			return true
		}
		for j := range was.Items {
			if was.Items[j].Open && !is.Items[j].Open {
				return true
			}
		}
	}
	return false
}

// keptIn is what may have to be kept of a module: what was kept already and what
// was open, nothing when its relock number grew.
func keptIn(m *Module, old *Curriculum, was ModuleRecord, open map[uuid.UUID]*time.Time) ModuleRecord {
	if old != nil {
		if before, ok := old.Module(m.ID); ok && m.Relock > before.Relock {
			return ModuleRecord{}
		}
	}
	kept := ModuleRecord{KeptAt: was.KeptAt}
	if since, ok := open[m.ID]; ok {
		kept.KeptAt = since
	}
	for i := range m.Items {
		id := m.Items[i].ID
		if _, ok := open[id]; ok {
			kept.KeptItems = append(kept.KeptItems, id)
		}
	}
	return kept
}

// open is every unlocked module and open item, with its time.
func (v View) open() map[uuid.UUID]*time.Time {
	out := make(map[uuid.UUID]*time.Time, 4*len(v.Modules))
	for _, mv := range v.Modules {
		if mv.UnlockedAt != nil {
			out[mv.Module.ID] = mv.UnlockedAt
		}
		for _, iv := range mv.Items {
			if iv.Open {
				out[iv.Item.ID] = iv.Since
			}
		}
	}
	return out
}

func (mv ModuleView) item(id uuid.UUID) (ItemView, bool) {
	for _, iv := range mv.Items {
		if iv.Item.ID == id {
			return iv, true
		}
	}
	return ItemView{}, false
}

// compare lists what changed.
func (out *Outcome) compare(r Record) {
	for subject, f := range out.Record.Facts {
		if !f.Equal(r.Facts[subject]) {
			out.Subjects = append(out.Subjects, subject)
		}
	}
	for id, at := range out.Record.Completed {
		if was, ok := r.Completed[id]; !ok {
			out.Completed = append(out.Completed, id)
		} else if !was.Equal(at) {
			out.Moved = append(out.Moved, id)
		}
	}
	for id := range r.Completed {
		if _, ok := out.Record.Completed[id]; !ok {
			out.Regressed = append(out.Regressed, id)
		}
	}
	for id, kept := range out.Record.Modules {
		if !kept.equal(r.Modules[id]) {
			out.Kept = append(out.Kept, id)
		}
	}
	for id := range r.Modules {
		if _, ok := out.Record.Modules[id]; !ok {
			out.Kept = append(out.Kept, id)
		}
	}
	// In a stable order, so that what is stored and told does not depend on maps.
	for _, ids := range [][]uuid.UUID{out.Subjects, out.Completed, out.Moved, out.Regressed, out.Kept} {
		slices.SortFunc(ids, compareIDs)
	}
}

func (m ModuleRecord) equal(o ModuleRecord) bool {
	return sameTime(m.KeptAt, o.KeptAt) && slices.Equal(m.KeptItems, o.KeptItems)
}

func compareIDs(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) }
