package catalog

import (
	"fmt"
	"slices"

	"github.com/google/uuid"

	"lms/shared/apperr"
)

// Every edit below leaves its receiver as it is and returns the whole new
// curriculum, checked as a whole: a small edit can break a rule elsewhere, as when
// a module moves before its prerequisite.

func modulePath(i int) string { return fmt.Sprintf("modules[%d].", i) }

func itemPath(m, i int) string { return fmt.Sprintf("modules[%d].items[%d].", m, i) }

// pathTo is the path of the fields of a module or item, "" for none.
func (c Curriculum) pathTo(id uuid.UUID) string {
	if mi, ok := c.Module(id); ok {
		return modulePath(mi)
	}
	if mi, ii, ok := c.Item(id); ok {
		return itemPath(mi, ii)
	}
	return ""
}

// insertAt puts v at the position, or at the end for nil; a position beyond the
// end is the end.
func insertAt[T any](list []T, position *int, v T) ([]T, int) {
	at := len(list)
	if position != nil {
		at = min(max(*position, 0), len(list))
	}
	return slices.Insert(list, at, v), at
}

// AddModule adds a module, its items included, at a position (0 is the first).
func (c Curriculum) AddModule(d ModuleDraft, position *int, mk Maker) (Curriculum, uuid.UUID, error) {
	out := c.Clone()
	r := replacing{mk: mk, names: map[string]uuid.UUID{}}
	for _, m := range out.Modules {
		r.names[m.ID.String()] = m.ID
	}
	m := r.module(d, "")
	if err := r.f.Err(); err != nil {
		return Curriculum{}, uuid.Nil, err
	}
	var at int
	out.Modules, at = insertAt(out.Modules, position, m)
	return out, m.ID, relativeTo(modulePath(at), out.Check())
}

// EditModule changes the properties of a module, and its place for a position.
func (c Curriculum) EditModule(id uuid.UUID, position *int, edit func(*Module)) (Curriculum, error) {
	out := c.Clone()
	at, ok := out.Module(id)
	if !ok {
		return Curriculum{}, apperr.NotFound("module")
	}
	m := out.Modules[at]
	edit(&m)
	m.UnlockAt = stored(m.UnlockAt)
	out.Modules[at] = m
	if position != nil {
		out.Modules = slices.Delete(out.Modules, at, at+1)
		out.Modules, at = insertAt(out.Modules, position, m)
	}
	return out, relativeTo(modulePath(at), out.Check())
}

// RemoveModule removes a module with its items, and it from the prerequisites of
// all others: what is gone cannot be completed.
func (c Curriculum) RemoveModule(id uuid.UUID) (Curriculum, error) {
	out := c.Clone()
	at, ok := out.Module(id)
	if !ok {
		return Curriculum{}, apperr.NotFound("module")
	}
	out.Modules = slices.Delete(out.Modules, at, at+1)
	for i := range out.Modules {
		out.Modules[i].Prerequisites = slices.DeleteFunc(out.Modules[i].Prerequisites, func(p uuid.UUID) bool { return p == id })
	}
	return out, out.Check()
}

// OrderModules puts the modules into the order of ids, which names each once.
func (c Curriculum) OrderModules(ids []uuid.UUID) (Curriculum, error) {
	out := c.Clone()
	ordered, err := inOrder(out.Modules, ids, "module_ids", func(m Module) uuid.UUID { return m.ID })
	if err != nil {
		return Curriculum{}, err
	}
	out.Modules = ordered
	return out, out.Check()
}

// AddItem adds an item to a module at a position.
func (c Curriculum) AddItem(module uuid.UUID, d ItemDraft, position *int, mk Maker) (Curriculum, uuid.UUID, error) {
	out := c.Clone()
	mi, ok := out.Module(module)
	if !ok {
		return Curriculum{}, uuid.Nil, apperr.NotFound("module")
	}
	item := newItem(d, mk)
	var at int
	out.Modules[mi].Items, at = insertAt(out.Modules[mi].Items, position, item)
	return out, item.ID, relativeTo(itemPath(mi, at), out.Check())
}

// EditItem changes an item, and its place for a module or a position. The kind
// cannot change.
func (c Curriculum) EditItem(id uuid.UUID, module *uuid.UUID, position *int, edit func(*Item)) (Curriculum, error) {
	out := c.Clone()
	mi, at, ok := out.Item(id)
	if !ok {
		return Curriculum{}, apperr.NotFound("item")
	}
	item := out.Modules[mi].Items[at]
	kind := item.Kind
	edit(&item)
	item.UnlockAt, item.ID, item.Kind = stored(item.UnlockAt), id, kind
	out.Modules[mi].Items[at] = item
	if module != nil && *module != out.Modules[mi].ID {
		target, ok := out.Module(*module)
		if !ok {
			return Curriculum{}, apperr.Invalid(apperr.Field{Path: "module_id", Code: "unknown_id", Message: "The curriculum has no such module."})
		}
		out.Modules[mi].Items = slices.Delete(out.Modules[mi].Items, at, at+1)
		mi = target
		out.Modules[mi].Items, at = insertAt(out.Modules[mi].Items, position, item)
	} else if position != nil {
		out.Modules[mi].Items = slices.Delete(out.Modules[mi].Items, at, at+1)
		out.Modules[mi].Items, at = insertAt(out.Modules[mi].Items, position, item)
	}
	return out, relativeTo(itemPath(mi, at), out.Check())
}

// RemoveItem removes an item. It is 422 where the module would then ask for more
// items than it has (rule 1): lowering what was asked is for its editor to decide.
func (c Curriculum) RemoveItem(id uuid.UUID) (Curriculum, error) {
	out := c.Clone()
	mi, at, ok := out.Item(id)
	if !ok {
		return Curriculum{}, apperr.NotFound("item")
	}
	out.Modules[mi].Items = slices.Delete(out.Modules[mi].Items, at, at+1)
	return out, relativeTo(modulePath(mi), out.Check())
}

// OrderItems puts the items of a module into the order of ids, which names each once.
func (c Curriculum) OrderItems(module uuid.UUID, ids []uuid.UUID) (Curriculum, error) {
	out := c.Clone()
	mi, ok := out.Module(module)
	if !ok {
		return Curriculum{}, apperr.NotFound("module")
	}
	ordered, err := inOrder(out.Modules[mi].Items, ids, "item_ids", func(i Item) uuid.UUID { return i.ID })
	if err != nil {
		return Curriculum{}, err
	}
	out.Modules[mi].Items = ordered
	return out, out.Check()
}

// RelockModule asks for the module to be decided anew for everyone (rule 8).
func (c Curriculum) RelockModule(id uuid.UUID) (Curriculum, error) {
	return c.EditModule(id, nil, func(m *Module) { m.Relock++ })
}

// Detach makes every item of a resource a placeholder.
func (c Curriculum) Detach(resource uuid.UUID) Curriculum {
	out := c.Clone()
	for mi := range out.Modules {
		for ii := range out.Modules[mi].Items {
			if item := &out.Modules[mi].Items[ii]; item.ResourceID != nil && *item.ResourceID == resource {
				item.ResourceID, item.Resource = nil, nil
			}
		}
	}
	return out
}

func inOrder[T any](list []T, ids []uuid.UUID, path string, id func(T) uuid.UUID) ([]T, error) {
	bad := apperr.Invalid(apperr.Field{Path: path, Code: "not_a_permutation", Message: "Name each that there is exactly once."})
	byID := make(map[uuid.UUID]T, len(list))
	for _, v := range list {
		byID[id(v)] = v
	}
	if len(ids) != len(list) {
		return nil, bad
	}
	out := make([]T, 0, len(ids))
	for _, want := range ids {
		v, ok := byID[want]
		if !ok {
			return nil, bad
		}
		delete(byID, want)
		out = append(out, v)
	}
	return out, nil
}
