// Package progress decides how far a learner is in a course: which modules and
// items are open, which are completed and since when, and when the course is
// (rules 1–14). It is made of pure functions: what is known of a learner goes
// in as a Record, what follows comes out as a View, and time is an argument.
package progress

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/shared/contracts/events"
)

// Requirement is what completes an item; Kind "" asks for nothing.
type Requirement struct {
	Kind     string
	MinScore events.Hundredths // min_score only
	Unit     string            // percent or points (rule 3: said explicitly)
}

// Item is one place in a module.
type Item struct {
	ID       uuid.UUID
	ModuleID uuid.UUID
	Kind     string
	Title    string
	// Visible: item, module and resource are published (rules 9, 14).
	Visible bool
	// ResourceID is uuid.Nil for an item without one.
	ResourceID  uuid.UUID
	UnlockAt    *time.Time
	Requirement Requirement

	// What follows from the curriculum alone: whether the item is the first in its
	// module, and among the modules that want all, to ask for its unit (rule 14).
	firstInModule, firstInCourse bool
}

// Subject is what facts are kept of: the resource, so that an item placed twice
// shares what happened (rule 14), or the item itself where there is none.
func (i Item) Subject() uuid.UUID {
	if i.ResourceID != uuid.Nil {
		return i.ResourceID
	}
	return i.ID
}

// unit is what counts once (rule 14): one requirement on one subject.
type unit struct {
	subject     uuid.UUID
	requirement Requirement
}

func (i Item) unit() unit { return unit{i.Subject(), i.Requirement} }

// counts says whether the item asks for something that is visible (rule 10).
func (i Item) counts() bool { return i.Visible && i.Requirement.Kind != "" }

// Module is a module with its items in order.
type Module struct {
	ID            uuid.UUID
	Title         string
	Published     bool
	UnlockAt      *time.Time
	Prerequisites []uuid.UUID
	Sequential    bool
	// Needed is the N of "N of M" (rule 1); 0 is all.
	Needed int
	// Relock grows each time staff ask for re-locking (rule 8).
	Relock int64
	Items  []Item

	active []int // prerequisites that count, by position (rule 7)
	units  int   // distinct requirements that are visible
}

// Curriculum is a course's curriculum, indexed. It is never changed once made
// and may be shared.
type Curriculum struct {
	// Seq tells versions of one course's curriculum apart: it only grows.
	Seq     int64
	Version int64 // as course numbers it
	Modules []Module

	items     map[uuid.UUID]place
	subjects  map[uuid.UUID][]uuid.UUID
	moduleAt  map[uuid.UUID]int
	unlocksAt []time.Time // ascending, of all visible modules and items
}

type place struct{ module, item int }

// Compile makes a curriculum of the document that course sends; seq is the
// sequence number it came with.
func Compile(doc events.CurriculumState, seq int64) *Curriculum {
	c := &Curriculum{Seq: seq, Version: doc.Version, Modules: make([]Module, 0, len(doc.Modules))}
	for _, part := range doc.Modules {
		m := Module{
			ID: part.ID, Title: part.Title, Published: part.Published, UnlockAt: part.UnlockAt,
			Prerequisites: part.Prerequisites, Sequential: part.Sequential, Relock: part.Relock,
			Items: make([]Item, 0, len(part.Items)),
		}
		if part.RequiredCount != nil {
			m.Needed = max(*part.RequiredCount, 0)
		}
		for _, it := range part.Items {
			item := Item{
				ID: it.ID, ModuleID: part.ID, Kind: it.Kind, Title: it.Title,
				Visible: it.Visible && part.Published, UnlockAt: it.UnlockAt,
			}
			if it.ResourceID != nil {
				item.ResourceID = *it.ResourceID
			}
			if r := it.Requirement; r != nil {
				item.Requirement = Requirement{Kind: r.Kind, Unit: r.Unit}
				if r.MinScore != nil {
					item.Requirement.MinScore = *r.MinScore
				}
			}
			m.Items = append(m.Items, item)
		}
		c.Modules = append(c.Modules, m)
	}
	c.index()
	return c
}

func (c *Curriculum) index() {
	c.items = map[uuid.UUID]place{}
	c.subjects = map[uuid.UUID][]uuid.UUID{}
	c.moduleAt = map[uuid.UUID]int{}
	for mi, m := range c.Modules {
		c.moduleAt[m.ID] = mi
		if m.Published && m.UnlockAt != nil {
			c.unlocksAt = append(c.unlocksAt, *m.UnlockAt)
		}
		for ii, it := range m.Items {
			c.items[it.ID] = place{mi, ii}
			c.subjects[it.Subject()] = append(c.subjects[it.Subject()], it.ID)
			if it.Visible && it.UnlockAt != nil {
				c.unlocksAt = append(c.unlocksAt, *it.UnlockAt)
			}
		}
	}
	slices.SortFunc(c.unlocksAt, time.Time.Compare)
	c.derive()
}

// derive works out what no learner changes: which prerequisites count, and where
// each requirement is counted.
func (c *Curriculum) derive() {
	inCourse := map[unit]bool{}
	for mi := range c.Modules {
		m := &c.Modules[mi]
		for _, id := range m.Prerequisites {
			if at, ok := c.moduleAt[id]; ok && at < mi && c.Modules[at].Published && !slices.Contains(m.active, at) {
				m.active = append(m.active, at)
			}
		}
		inModule := map[unit]bool{}
		for ii := range m.Items {
			it := &m.Items[ii]
			if !it.counts() {
				continue
			}
			u := it.unit()
			it.firstInModule = !inModule[u]
			inModule[u] = true
			if m.Needed == 0 {
				it.firstInCourse = !inCourse[u]
				inCourse[u] = true
			}
		}
		m.units = len(inModule)
	}
}

// Item finds an item, also one that is not visible.
func (c *Curriculum) Item(id uuid.UUID) (Item, bool) {
	p, ok := c.items[id]
	if !ok {
		return Item{}, false
	}
	return c.Modules[p.module].Items[p.item], true
}

// at is an item that is known to be there.
func (c *Curriculum) at(id uuid.UUID) *Item {
	p := c.items[id]
	return &c.Modules[p.module].Items[p.item]
}

// Module finds a module, also one that is not published.
func (c *Curriculum) Module(id uuid.UUID) (Module, bool) {
	i, ok := c.moduleAt[id]
	if !ok {
		return Module{}, false
	}
	return c.Modules[i], true
}

// Places are the items that show a subject, in order of the curriculum.
func (c *Curriculum) Places(subject uuid.UUID) []uuid.UUID { return c.subjects[subject] }

// NextUnlock is the first unlock date after now: until then nothing opens by
// time alone. Nil is never.
func (c *Curriculum) NextUnlock(now time.Time) *time.Time {
	i, found := slices.BinarySearchFunc(c.unlocksAt, now, time.Time.Compare)
	for found && i < len(c.unlocksAt) && c.unlocksAt[i].Equal(now) {
		i++
	}
	if i >= len(c.unlocksAt) {
		return nil
	}
	at := c.unlocksAt[i]
	return &at
}

// Empty is a curriculum without modules.
func Empty() *Curriculum {
	c := &Curriculum{}
	c.index()
	return c
}

// Size is the number of items.
func (c *Curriculum) Size() int { return len(c.items) }
