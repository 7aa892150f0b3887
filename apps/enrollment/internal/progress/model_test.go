package progress

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/shared/contracts/events"
)

// model is the rules written down a second time, plainly and without any thought
// of speed or storage: it remembers everything that was ever open and looks at
// everything again and again until nothing changes.
type model struct {
	doc         events.CurriculumState
	from        time.Time
	facts       map[uuid.UUID]Facts
	itemDone    map[uuid.UUID]time.Time
	moduleSince map[uuid.UUID]time.Time // ever unlocked, first
	itemEver    map[uuid.UUID]bool
}

func newModel(doc events.CurriculumState, from time.Time) *model {
	return &model{
		doc: doc, from: from, facts: map[uuid.UUID]Facts{}, itemDone: map[uuid.UUID]time.Time{},
		moduleSince: map[uuid.UUID]time.Time{}, itemEver: map[uuid.UUID]bool{},
	}
}

func subjectOf(it events.CurriculumItem) uuid.UUID {
	if it.ResourceID != nil {
		return *it.ResourceID
	}
	return it.ID
}

func visible(m events.CurriculumPart, it events.CurriculumItem) bool {
	return m.Published && it.Visible
}

// reaches is rule 3 in floating point with a margin: the generator draws scores
// whose percentages are far apart.
func reaches(r events.ItemRequirement, f Facts) bool {
	if f.Score == nil {
		return false
	}
	if r.Unit == events.ScorePoints {
		return float64(*f.Score) >= float64(*r.MinScore)-1e-6
	}
	return f.Possible != nil && *f.Possible > 0 &&
		float64(*f.Score)/float64(*f.Possible)*100 >= float64(*r.MinScore)/100-1e-6
}

// met says whether a requirement is satisfied and the time of the criterion.
func met(r events.ItemRequirement, f Facts) *time.Time {
	var at *time.Time
	switch r.Kind {
	case events.RequireView:
		at = f.ViewedAt
	case events.RequireDone:
		at = f.DoneAt
	case events.RequireSubmit:
		at = f.SubmittedAt
	case events.RequireMinScore:
		if reaches(r, f) {
			at = f.GradedAt
		}
	}
	if f.ExcusedAt != nil && (at == nil || f.ExcusedAt.Before(*at)) {
		at = f.ExcusedAt
	}
	return at
}

// settleFacts is rule 5: other work shows a view, and a view sticks.
func (m *model) settleFacts() {
	for subject, f := range m.facts {
		if f.ViewedAt != nil {
			continue
		}
		var seen []time.Time
		if f.DoneAt != nil {
			seen = append(seen, *f.DoneAt)
		}
		if f.SubmittedAt != nil {
			seen = append(seen, *f.SubmittedAt)
		}
		for _, mod := range m.doc.Modules {
			for _, it := range mod.Items {
				if visible(mod, it) && subjectOf(it) == subject && it.Requirement != nil &&
					it.Requirement.Kind == events.RequireMinScore && reaches(*it.Requirement, f) {
					seen = append(seen, *f.GradedAt)
				}
			}
		}
		if len(seen) > 0 {
			first := slices.MinFunc(seen, time.Time.Compare)
			f.ViewedAt = &first
			m.facts[subject] = f
		}
	}
}

func requirementIn(doc events.CurriculumState, id uuid.UUID) (uuid.UUID, *events.ItemRequirement) {
	for _, mod := range doc.Modules {
		for _, it := range mod.Items {
			if it.ID == id {
				return subjectOf(it), it.Requirement
			}
		}
	}
	return uuid.Nil, nil
}

func sameAsk(a, b *events.ItemRequirement) bool {
	if a == nil || b == nil {
		return a == b
	}
	sameScore := a.MinScore == nil && b.MinScore == nil || a.MinScore != nil && b.MinScore != nil && *a.MinScore == *b.MinScore
	return a.Kind == b.Kind && a.Unit == b.Unit && sameScore
}

// settleItems is rules 3–6 and 12: who is still completed under the same
// requirement keeps the time.
func (m *model) settleItems(old events.CurriculumState) {
	next := map[uuid.UUID]time.Time{}
	for _, mod := range m.doc.Modules {
		for _, it := range mod.Items {
			if !visible(mod, it) || it.Requirement == nil {
				continue
			}
			at := met(*it.Requirement, m.facts[subjectOf(it)])
			if at == nil {
				continue
			}
			next[it.ID] = *at
			subject, ask := requirementIn(old, it.ID)
			if was, ok := m.itemDone[it.ID]; ok && subject == subjectOf(it) && sameAsk(ask, it.Requirement) {
				next[it.ID] = was
			}
		}
	}
	m.itemDone = next
}

type modelModule struct {
	unlocked    bool
	since       time.Time
	needed, met int
	completedAt *time.Time
}

// look finds the state of all modules by repeating until nothing changes, and
// remembers what is open.
func (m *model) look(now time.Time) map[uuid.UUID]modelModule {
	out := map[uuid.UUID]modelModule{}
	for range len(m.doc.Modules) + 1 {
		for i, mod := range m.doc.Modules {
			if mod.Published {
				out[mod.ID] = m.lookAt(i, mod, out, now)
			}
		}
	}
	for _, mod := range m.doc.Modules {
		state := out[mod.ID]
		if state.unlocked {
			m.moduleSince[mod.ID] = state.since
		}
		for i, it := range mod.Items {
			if visible(mod, it) && m.opens(mod, i, state, now) {
				m.itemEver[it.ID] = true
			}
		}
	}
	return out
}

func (m *model) lookAt(position int, mod events.CurriculumPart, others map[uuid.UUID]modelModule, now time.Time) modelModule {
	state := modelModule{unlocked: true, since: m.from}
	for j, earlier := range m.doc.Modules {
		if j < position && earlier.Published && slices.Contains(mod.Prerequisites, earlier.ID) {
			if at := others[earlier.ID].completedAt; at == nil {
				state.unlocked = false
			} else if at.After(state.since) {
				state.since = *at
			}
		}
	}
	if mod.UnlockAt != nil && mod.UnlockAt.After(now) {
		state.unlocked = false
	} else if mod.UnlockAt != nil && mod.UnlockAt.After(state.since) {
		state.since = *mod.UnlockAt
	}
	if ever, ok := m.moduleSince[mod.ID]; ok && (!state.unlocked || ever.Before(state.since)) {
		state.unlocked, state.since = true, ever
	}
	times := m.distinctTimes([]events.CurriculumPart{mod})
	state.needed = len(times)
	if mod.RequiredCount != nil && *mod.RequiredCount < state.needed {
		state.needed = *mod.RequiredCount
	}
	done := doneTimes(times)
	state.met = min(len(done), state.needed)
	if state.unlocked && state.met == state.needed {
		at := state.since
		for _, d := range done[:state.needed] {
			if d.After(at) {
				at = d
			}
		}
		state.completedAt = &at
	}
	return state
}

// distinctTimes has one entry per distinct requirement on a subject: the time it
// was met, or zero (rules 10, 14).
func (m *model) distinctTimes(mods []events.CurriculumPart) []time.Time {
	type asked struct {
		subject uuid.UUID
		ask     events.ItemRequirement
		score   events.Hundredths
	}
	seen := map[asked]bool{}
	var out []time.Time
	for _, mod := range mods {
		for _, it := range mod.Items {
			if !visible(mod, it) || it.Requirement == nil {
				continue
			}
			key := asked{subject: subjectOf(it), ask: *it.Requirement}
			if it.Requirement.MinScore != nil {
				key.score = *it.Requirement.MinScore
			}
			key.ask.MinScore = nil
			if !seen[key] {
				seen[key] = true
				out = append(out, m.itemDone[it.ID])
			}
		}
	}
	return out
}

func doneTimes(times []time.Time) []time.Time {
	var done []time.Time
	for _, t := range times {
		if !t.IsZero() {
			done = append(done, t)
		}
	}
	slices.SortFunc(done, time.Time.Compare)
	return done
}

func (m *model) opens(mod events.CurriculumPart, i int, state modelModule, now time.Time) bool {
	it := mod.Items[i]
	if m.itemEver[it.ID] {
		return true
	}
	if !state.unlocked || it.UnlockAt != nil && it.UnlockAt.After(now) {
		return false
	}
	if mod.Sequential {
		for _, before := range mod.Items[:i] {
			if _, done := m.itemDone[before.ID]; visible(mod, before) && before.Requirement != nil && !done {
				return false
			}
		}
	}
	return true
}

// totals is rule 10: all distinct requirements of the modules that want all, plus
// min(N, visible) of the others (rule 1).
func (m *model) totals(states map[uuid.UUID]modelModule) (required, met int) {
	var whole []events.CurriculumPart
	for _, mod := range m.doc.Modules {
		switch {
		case !mod.Published:
		case mod.RequiredCount != nil:
			required += states[mod.ID].needed
			met += states[mod.ID].met
		default:
			whole = append(whole, mod)
		}
	}
	times := m.distinctTimes(whole)
	return required + len(times), met + len(doneTimes(times))
}

// change applies a step as the rules tell it: look once more at how it was, then
// change, then look at how it is.
func (m *model) change(doc events.CurriculumState, facts map[uuid.UUID]Facts, now time.Time) map[uuid.UUID]modelModule {
	m.look(now)
	old := m.doc
	m.doc = doc
	for subject, f := range facts {
		m.facts[subject] = f
	}
	for _, mod := range doc.Modules { // rule 8: unless staff ask for it
		for _, was := range old.Modules {
			if mod.ID == was.ID && mod.Relock > was.Relock {
				delete(m.moduleSince, mod.ID)
				for _, it := range mod.Items {
					delete(m.itemEver, it.ID)
				}
			}
		}
	}
	m.forget(doc)
	m.settleFacts()
	m.settleItems(old)
	return m.look(now)
}

// forget drops what is no longer in the curriculum at all.
func (m *model) forget(doc events.CurriculumState) {
	modules, items := map[uuid.UUID]bool{}, map[uuid.UUID]bool{}
	for _, mod := range doc.Modules {
		modules[mod.ID] = true
		for _, it := range mod.Items {
			items[it.ID] = true
		}
	}
	for id := range m.moduleSince {
		if !modules[id] {
			delete(m.moduleSince, id)
		}
	}
	for id := range m.itemEver {
		if !items[id] {
			delete(m.itemEver, id)
		}
	}
}
