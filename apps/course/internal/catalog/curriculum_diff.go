package catalog

import (
	"maps"
	"reflect"
	"slices"

	"github.com/google/uuid"
)

// CurriculumChange is one difference between two versions of a curriculum.
type CurriculumChange struct {
	Change string    `json:"change" enum:"added,removed,changed,moved"`
	What   string    `json:"what" enum:"module,item"`
	ID     uuid.UUID `json:"id"`
	Title  string    `json:"title"`
	Fields []string  `json:"fields,omitempty" doc:"Which properties changed."`
}

// Differences lists what learners see differently in the new document: modules
// first, then items, each in the order of the new document, removals last.
func Differences(before, after CurriculumView) []CurriculumChange {
	out := differences(modulesOf(before), modulesOf(after), "module")
	return append(out, differences(itemsOf(before), itemsOf(after), "item")...)
}

// seen is a module or item as the comparison sees it: its value without its
// place, and the module that an item is in.
type seen struct {
	id    uuid.UUID
	title string
	group uuid.UUID
	value any
}

func modulesOf(v CurriculumView) []seen {
	out := make([]seen, len(v.Modules))
	for i, m := range v.Modules {
		id := m.ID
		m.Position, m.Items = 0, nil
		out[i] = seen{id: id, title: m.Title, value: m}
	}
	return out
}

func itemsOf(v CurriculumView) []seen {
	var out []seen
	for _, m := range v.Modules {
		for _, i := range m.Items {
			module := i.ModuleID
			i.Position, i.ModuleID = 0, uuid.Nil
			out = append(out, seen{id: i.ID, title: i.Title, group: module, value: i})
		}
	}
	return out
}

func differences(before, after []seen, what string) []CurriculumChange {
	old := make(map[uuid.UUID]seen, len(before))
	for _, s := range before {
		old[s.id] = s
	}
	var out []CurriculumChange
	moved := movedBetween(before, after)
	for _, s := range after {
		was, ok := old[s.id]
		delete(old, s.id)
		if !ok {
			out = append(out, CurriculumChange{Change: "added", What: what, ID: s.id, Title: s.title})
			continue
		}
		if fields := fieldsThatDiffer(was.value, s.value); len(fields) > 0 {
			out = append(out, CurriculumChange{Change: "changed", What: what, ID: s.id, Title: s.title, Fields: fields})
		}
		if moved[s.id] {
			out = append(out, CurriculumChange{Change: "moved", What: what, ID: s.id, Title: s.title})
		}
	}
	for _, s := range before {
		if _, gone := old[s.id]; gone {
			out = append(out, CurriculumChange{Change: "removed", What: what, ID: s.id, Title: s.title})
		}
	}
	return out
}

// movedBetween names what changed its group, or is not part of the longest run
// that kept its order.
func movedBetween(before, after []seen) map[uuid.UUID]bool {
	place := make(map[uuid.UUID]int, len(before))
	group := make(map[uuid.UUID]uuid.UUID, len(before))
	for i, s := range before {
		place[s.id], group[s.id] = i, s.group
	}
	var kept []seen
	moved := map[uuid.UUID]bool{}
	for _, s := range after {
		if _, ok := place[s.id]; !ok {
			continue
		}
		if group[s.id] != s.group {
			moved[s.id] = true
			continue
		}
		kept = append(kept, s)
	}
	for i := range notIncreasing(kept, func(s seen) int { return place[s.id] }) {
		moved[kept[i].id] = true
	}
	return moved
}

// notIncreasing gives the positions outside of a longest increasing subsequence.
func notIncreasing(list []seen, key func(seen) int) map[int]bool {
	tails, previous := []int{}, make([]int, len(list))
	for i, s := range list {
		at, _ := slices.BinarySearchFunc(tails, key(s), func(t, k int) int { return key(list[t]) - k })
		previous[i] = -1
		if at > 0 {
			previous[i] = tails[at-1]
		}
		if at == len(tails) {
			tails = append(tails, i)
		} else {
			tails[at] = i
		}
	}
	outside := map[int]bool{}
	for i := range list {
		outside[i] = true
	}
	if len(tails) > 0 {
		for i := tails[len(tails)-1]; i >= 0; i = previous[i] {
			delete(outside, i)
		}
	}
	return outside
}

func fieldsThatDiffer(a, b any) []string {
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	names := map[string]bool{}
	for i := range va.NumField() {
		if !reflect.DeepEqual(va.Field(i).Interface(), vb.Field(i).Interface()) {
			names[jsonName(va.Type().Field(i))] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func jsonName(f reflect.StructField) string {
	name := f.Tag.Get("json")
	for i, r := range name {
		if r == ',' {
			return name[:i]
		}
	}
	return name
}
