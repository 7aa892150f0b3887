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
	completed := make([]*time.Time, len(c.Modules))
	items := make([]ItemView, 0, len(c.items))
	for i := range c.Modules {
		m := &c.Modules[i]
		if !m.Published {
			continue
		}
		begin := len(items)
		mv := ModuleView{Module: m}
		mv.evaluateUnlock(c, r, completed, from, now)
		items = mv.evaluateItems(items, r, now)
		mv.Items = items[begin:len(items):len(items)]
		mv.evaluateState()
		completed[i] = mv.CompletedAt
		mv.contribute(&v)
		if v.Next == nil {
			v.Next = mv.next()
		}
		v.Modules = append(v.Modules, mv)
	}
	return v
}

// evaluateUnlock says since when a module is unlocked by the rules (rule 7) or
// because it was (rule 8), or why it is not.
func (mv *ModuleView) evaluateUnlock(c *Curriculum, r Record, completed []*time.Time, from, now time.Time) {
	m, kept := mv.Module, r.Modules[mv.Module.ID].KeptAt
	at, natural := from, true
	for _, earlier := range m.active {
		if completed[earlier] == nil {
			natural = false
		} else {
			at = later(at, *completed[earlier])
		}
	}
	if m.UnlockAt != nil {
		natural = natural && !m.UnlockAt.After(now)
		at = later(at, *m.UnlockAt)
	}
	switch {
	case kept != nil && (!natural || kept.Before(at)):
		mv.UnlockedAt, mv.kept = kept, true
	case natural:
		mv.UnlockedAt = &at
	default:
		mv.Reasons = locks(c, m, completed, now)
	}
}

// locks are the reasons of a locked module (rule 11).
func locks(c *Curriculum, m *Module, completed []*time.Time, now time.Time) []Reason {
	var reasons []Reason
	var missing []Missing
	for _, earlier := range m.active {
		if completed[earlier] == nil {
			missing = append(missing, Missing{ID: c.Modules[earlier].ID, Title: c.Modules[earlier].Title})
		}
	}
	if len(missing) > 0 {
		reasons = append(reasons, Reason{Code: ReasonModulePrerequisite, Missing: missing})
	}
	if m.UnlockAt != nil && m.UnlockAt.After(now) {
		reasons = append(reasons, Reason{Code: ReasonModuleUnlockAt, Until: m.UnlockAt})
	}
	return reasons
}

// evaluateItems opens items: in an unlocked module, when their date has come
// and, in a sequential module, all before them are completed.
func (mv *ModuleView) evaluateItems(out []ItemView, r Record, now time.Time) []ItemView {
	kept := r.Modules[mv.Module.ID].KeptItems
	var before []Missing
	opened := mv.UnlockedAt
	for i := range mv.Module.Items {
		it := &mv.Module.Items[i]
		if !it.Visible {
			continue
		}
		iv := ItemView{Item: it}
		if at, ok := r.Completed[it.ID]; ok {
			iv.CompletedAt = &at
		}
		dated := it.UnlockAt != nil && it.UnlockAt.After(now)
		switch {
		case mv.UnlockedAt != nil && !dated && len(before) == 0:
			iv.Open, iv.Since = true, opened
			if it.UnlockAt != nil && it.UnlockAt.After(*opened) {
				iv.Since = it.UnlockAt
			}
		case slices.Contains(kept, it.ID): // rule 8, also in a module that it was moved into
			iv.Open, iv.Since, iv.kept = true, mv.UnlockedAt, true
		default:
			iv.Reasons = itemLocks(mv.Reasons, it, before, dated)
		}
		if mv.Module.Sequential && it.Requirement.Kind != "" {
			if iv.CompletedAt == nil {
				before = append(before, Missing{ID: it.ID, Title: it.Title, Requirement: it.Requirement.Kind})
			} else if opened != nil && iv.CompletedAt.After(*opened) {
				opened = iv.CompletedAt
			}
		}
		out = append(out, iv)
	}
	return out
}

// itemLocks are the reasons of a locked item: the module's come first.
func itemLocks(module []Reason, it *Item, before []Missing, dated bool) []Reason {
	reasons := slices.Clip(module) // what is added goes into a copy
	if len(before) > 0 {
		reasons = append(reasons, Reason{Code: ReasonSequential, Missing: slices.Clip(before)})
	}
	if dated {
		reasons = append(reasons, Reason{Code: ReasonItemUnlockAt, Until: it.UnlockAt})
	}
	return reasons
}

// evaluateState applies rules 1 and 2.
func (mv *ModuleView) evaluateState() {
	mv.Needed = mv.Module.units
	if n := mv.Module.Needed; n > 0 {
		mv.Needed = min(n, mv.Needed)
	}
	met := 0
	for i := range mv.Items {
		if mv.Items[i].Item.firstInModule && mv.Items[i].CompletedAt != nil {
			met++
		}
	}
	mv.Met = min(met, mv.Needed)
	switch {
	case mv.UnlockedAt == nil:
		mv.State = Locked
	case mv.Met == mv.Needed:
		mv.State = Completed
		at := mv.completedAt()
		mv.CompletedAt = &at
	case mv.Met > 0:
		mv.State = Started
	default:
		mv.State = Unlocked
	}
}

// completedAt: of "N of M" the Nth earliest decides (rule 1); what asks for
// nothing is completed when it unlocks (rule 2).
func (mv *ModuleView) completedAt() time.Time {
	at := *mv.UnlockedAt
	if mv.Needed == 0 {
		return at
	}
	times := make([]time.Time, 0, len(mv.Items))
	for i := range mv.Items {
		if iv := &mv.Items[i]; iv.Item.firstInModule && iv.CompletedAt != nil {
			times = append(times, *iv.CompletedAt)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	return later(at, times[mv.Needed-1])
}

// contribute adds the module to the course's progress. Where all is required, a
// requirement that an earlier such module asked for already is not counted again
// (rule 14); "N of M" counts its N slots (rule 1).
func (mv *ModuleView) contribute(v *View) {
	if mv.Module.Needed > 0 {
		v.Required += mv.Needed
		v.Met += mv.Met
		return
	}
	for i := range mv.Items {
		if !mv.Items[i].Item.firstInCourse {
			continue
		}
		v.Required++
		if mv.Items[i].CompletedAt != nil {
			v.Met++
		}
	}
}

func (mv *ModuleView) next() *Item {
	if mv.State == Completed {
		return nil
	}
	for i := range mv.Items {
		if iv := &mv.Items[i]; iv.Open && iv.Item.counts() && iv.CompletedAt == nil {
			return iv.Item
		}
	}
	return nil
}
