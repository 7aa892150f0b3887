package progress

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// ModuleRecord is what must be remembered of a module that the curriculum alone
// would lock again (rule 8).
type ModuleRecord struct {
	// KeptAt is since when the module is open although it would be locked now, or
	// would have opened later.
	KeptAt *time.Time
	// KeptItems are open although they would be locked now.
	KeptItems []uuid.UUID
}

// Empty says that there is nothing to remember.
func (m ModuleRecord) Empty() bool { return m.KeptAt == nil && len(m.KeptItems) == 0 }

// Record is all that is stored of one learner in one course.
type Record struct {
	// Facts by subject.
	Facts map[uuid.UUID]Facts
	// Completed says since when an item is completed.
	Completed map[uuid.UUID]time.Time
	// Modules by id, where there is something to remember.
	Modules map[uuid.UUID]ModuleRecord
}

// NewRecord is that of somebody who has not begun.
func NewRecord() Record {
	return Record{Facts: map[uuid.UUID]Facts{}, Completed: map[uuid.UUID]time.Time{}, Modules: map[uuid.UUID]ModuleRecord{}}
}

// State is where a learner stands in a module (rule 1).
type State string

// The states of a module.
const (
	Locked    State = "locked"
	Unlocked  State = "unlocked"
	Started   State = "started"
	Completed State = "completed"
)

// Codes of reasons.
const (
	ReasonModulePrerequisite = "module_prerequisite"
	ReasonModuleUnlockAt     = "module_unlock_at"
	ReasonItemUnlockAt       = "item_unlock_at"
	ReasonSequential         = "sequential"
)

// Reason is one thing that keeps a module or item locked (rule 11).
type Reason struct {
	Code    string
	Until   *time.Time // time alone opens it then
	Missing []Missing
}

// Missing is a module or item to complete first.
type Missing struct {
	ID          uuid.UUID
	Title       string
	Requirement string
}

// View is where a learner stands, by modules that are published and items that
// are visible (rule 9).
type View struct {
	Modules []ModuleView
	// Required and Met count requirements (rules 1, 10, 14).
	Required, Met int
	// Next is the first open item whose requirement is not met.
	Next *Item
}

// ModuleView is a module's part of a View.
type ModuleView struct {
	Module      *Module
	State       State
	UnlockedAt  *time.Time
	CompletedAt *time.Time
	Reasons     []Reason // why it is locked
	// Needed and Met count what the module asks for: min(N, visible) of "N of M".
	Needed, Met int
	Items       []ItemView

	kept bool // open, or open since then, only because it was (rule 8)
}

// ItemView is an item's part of a View.
type ItemView struct {
	Item        *Item
	Open        bool
	Since       *time.Time // it is open, as far as is known
	Reasons     []Reason   // why it is locked: the module's come first
	CompletedAt *time.Time

	kept bool // open only because it was (rule 8)
}

// Item finds an item in the view; one that is not visible is not there.
func (v View) Item(id uuid.UUID) (ItemView, bool) {
	for _, m := range v.Modules {
		for _, it := range m.Items {
			if it.Item.ID == id {
				return it, true
			}
		}
	}
	return ItemView{}, false
}

// Module finds a module in the view.
func (v View) Module(id uuid.UUID) (ModuleView, bool) {
	for _, m := range v.Modules {
		if m.Module.ID == id {
			return m, true
		}
	}
	return ModuleView{}, false
}

// Percent is the progress in whole percent, rounded down, so that 100 means all.
func Percent(met, required int) int {
	if required == 0 {
		return 0
	}
	return met * 100 / required
}

// Evaluate computes where a learner stands at now. from is when the access
// began: nothing opened before. Only modules positioned earlier count as
// prerequisites, so one pass in order re-evaluates all dependants, and cycles
// cannot be (rules 7, 9).
func Evaluate(c *Curriculum, r Record, from, now time.Time) View {
	v := View{Modules: make([]ModuleView, 0, len(c.Modules))}
	counted := map[unit]bool{}
	completed := make(map[uuid.UUID]*time.Time, len(c.Modules))
	for i := range c.Modules {
		m := &c.Modules[i]
		if !m.Published {
			continue
		}
		mv := evaluateModule(c, m, r, completed, from, now)
		completed[m.ID] = mv.CompletedAt
		required, met := mv.contribution(r, counted)
		v.Required += required
		v.Met += met
		if v.Next == nil {
			v.Next = mv.next()
		}
		v.Modules = append(v.Modules, mv)
	}
	return v
}

func evaluateModule(c *Curriculum, m *Module, r Record, completed map[uuid.UUID]*time.Time, from, now time.Time) ModuleView {
	mv := ModuleView{Module: m, Items: make([]ItemView, 0, len(m.Items))}
	kept := r.Modules[m.ID]
	unlockedAt, reasons := unlock(c, m, completed, from, now)
	switch {
	case kept.KeptAt != nil && (len(reasons) > 0 || kept.KeptAt.Before(unlockedAt)): // rule 8
		mv.UnlockedAt, mv.kept = kept.KeptAt, true
	case len(reasons) == 0:
		mv.UnlockedAt = &unlockedAt
	default:
		mv.Reasons = reasons
	}
	mv.evaluateItems(r, kept, now)
	mv.evaluateState(r)
	return mv
}

// unlock says since when a module is unlocked by the rules alone, or why it is
// not (rule 7). Prerequisites that are unpublished or positioned later do not count.
func unlock(c *Curriculum, m *Module, completed map[uuid.UUID]*time.Time, from, now time.Time) (time.Time, []Reason) {
	at := from
	var reasons []Reason
	var missing []Missing
	for _, id := range m.Prerequisites {
		done, active := completed[id]
		switch {
		case !active:
		case done == nil:
			missing = append(missing, Missing{ID: id, Title: c.Modules[c.moduleAt[id]].Title})
		default:
			at = later(at, *done)
		}
	}
	if len(missing) > 0 {
		reasons = append(reasons, Reason{Code: ReasonModulePrerequisite, Missing: missing})
	}
	if m.UnlockAt != nil {
		if m.UnlockAt.After(now) {
			reasons = append(reasons, Reason{Code: ReasonModuleUnlockAt, Until: m.UnlockAt})
		} else {
			at = later(at, *m.UnlockAt)
		}
	}
	return at, reasons
}

// evaluateItems opens items: in an unlocked module, when their date has come
// and, in a sequential module, all before them are completed.
func (mv *ModuleView) evaluateItems(r Record, kept ModuleRecord, now time.Time) {
	var before []Missing
	var opened time.Time
	if mv.UnlockedAt != nil {
		opened = *mv.UnlockedAt
	}
	for i := range mv.Module.Items {
		it := &mv.Module.Items[i]
		if !it.Visible {
			continue
		}
		iv := ItemView{Item: it, Reasons: mv.Reasons}
		if at, ok := r.Completed[it.ID]; ok {
			iv.CompletedAt = &at
		}
		own := itemReasons(it, before, now)
		switch {
		case mv.UnlockedAt != nil && len(own) == 0:
			since := opened
			if it.UnlockAt != nil {
				since = later(since, *it.UnlockAt)
			}
			iv.Open, iv.Since, iv.Reasons = true, &since, nil
		case slices.Contains(kept.KeptItems, it.ID): // rule 8, also in a module that it was moved into
			iv.Open, iv.Since, iv.Reasons, iv.kept = true, mv.UnlockedAt, nil, true
		default:
			iv.Reasons = slices.Concat(iv.Reasons, own)
		}
		if mv.Module.Sequential && it.Requirement.Kind != "" {
			if iv.CompletedAt == nil {
				before = append(before, Missing{ID: it.ID, Title: it.Title, Requirement: it.Requirement.Kind})
			} else {
				opened = later(opened, *iv.CompletedAt)
			}
		}
		mv.Items = append(mv.Items, iv)
	}
}

func itemReasons(it *Item, before []Missing, now time.Time) []Reason {
	var reasons []Reason
	if len(before) > 0 {
		reasons = append(reasons, Reason{Code: ReasonSequential, Missing: slices.Clip(before)})
	}
	if it.UnlockAt != nil && it.UnlockAt.After(now) {
		reasons = append(reasons, Reason{Code: ReasonItemUnlockAt, Until: it.UnlockAt})
	}
	return reasons
}

// evaluateState applies rules 1 and 2.
func (mv *ModuleView) evaluateState(r Record) {
	units := map[unit]bool{}
	var times []time.Time
	for _, iv := range mv.Items {
		if !iv.Item.counts() || units[iv.Item.unit()] {
			continue
		}
		units[iv.Item.unit()] = true
		if at, ok := r.Completed[iv.Item.ID]; ok {
			times = append(times, at)
		}
	}
	mv.Needed = len(units)
	if n := mv.Module.Needed; n > 0 {
		mv.Needed = min(n, len(units))
	}
	mv.Met = min(len(times), mv.Needed)
	switch {
	case mv.UnlockedAt == nil:
		mv.State = Locked
	case mv.Met == mv.Needed:
		mv.State = Completed
		at := *mv.UnlockedAt // rule 2: asks for nothing, completed at once
		if mv.Needed > 0 {
			slices.SortFunc(times, time.Time.Compare)
			at = later(at, times[mv.Needed-1]) // of "N of M" the Nth earliest
		}
		mv.CompletedAt = &at
	case mv.Met > 0:
		mv.State = Started
	default:
		mv.State = Unlocked
	}
}

// contribution is what the module adds to the course's progress. Where all is
// required, a requirement that an earlier such module asked for already is not
// counted again (rule 14); "N of M" counts its N slots (rule 1).
func (mv ModuleView) contribution(r Record, counted map[unit]bool) (required, met int) {
	if mv.Module.Needed > 0 {
		return mv.Needed, mv.Met
	}
	for _, iv := range mv.Items {
		if !iv.Item.counts() || counted[iv.Item.unit()] {
			continue
		}
		counted[iv.Item.unit()] = true
		required++
		if _, ok := r.Completed[iv.Item.ID]; ok {
			met++
		}
	}
	return required, met
}

func (mv ModuleView) next() *Item {
	if mv.State == Completed {
		return nil
	}
	for _, iv := range mv.Items {
		if iv.Open && iv.Item.counts() && iv.CompletedAt == nil {
			return iv.Item
		}
	}
	return nil
}
