package catalog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
)

// CurriculumDraft is a whole curriculum as an editor sends it.
type CurriculumDraft struct{ Modules []ModuleDraft }

// ModuleDraft is a module as an editor sends it: with the id of a known module,
// or without one for a new module. Key names a new module inside the document, so
// that the prerequisites of later ones can point at it; it is not kept.
type ModuleDraft struct {
	ID        *uuid.UUID
	Key       string
	Title     string
	Published bool
	UnlockAt  *time.Time
	// Prerequisites are ids or keys.
	Prerequisites []string
	Sequential    bool
	RequiredCount *int
	Items         []ItemDraft
}

// ItemDraft is an item as an editor sends it.
type ItemDraft struct {
	ID          *uuid.UUID
	Kind        string
	Title       string
	Published   bool
	ResourceID  *uuid.UUID
	URL         string
	Body        *string
	UnlockAt    *time.Time
	Requirement *Requirement
}

// Maker gives new things their id and time.
type Maker struct {
	NewID func() uuid.UUID
	Now   time.Time
}

// Replace is the curriculum that the draft asks for: known ids keep their
// identity (and with it progress, the text of a page, the relock count), ids that
// are unknown or used twice are 422, entries without id are new, absent ones are gone.
func (c Curriculum) Replace(d CurriculumDraft, mk Maker) (Curriculum, error) {
	r := replacing{mk: mk, modules: map[uuid.UUID]Module{}, items: map[uuid.UUID]Item{}, names: map[string]uuid.UUID{}}
	for _, m := range c.Modules {
		r.modules[m.ID] = m
		for _, i := range m.Items {
			r.items[i.ID] = i
		}
	}
	out := Curriculum{CourseID: c.CourseID, Modules: make([]Module, len(d.Modules))}
	for mi, m := range d.Modules {
		out.Modules[mi] = r.module(m, fmt.Sprintf("modules[%d].", mi))
	}
	if err := r.f.Err(); err != nil {
		return Curriculum{}, err
	}
	return out, out.Check()
}

// replacing holds what is left of the old curriculum: an id is taken out when it
// is used, so that its second use is unknown.
type replacing struct {
	mk      Maker
	modules map[uuid.UUID]Module
	items   map[uuid.UUID]Item
	names   map[string]uuid.UUID
	f       apperr.Fields
}

func (r *replacing) module(d ModuleDraft, path string) Module {
	var m Module
	if d.ID == nil {
		m.ID = r.mk.NewID()
	} else if known, ok := r.modules[*d.ID]; ok {
		m = known
		delete(r.modules, *d.ID)
	} else {
		r.f.Add(path+"id", "unknown_id", "The curriculum has no such module, or it is named twice. A new one comes without id.")
	}
	m.Title, m.Published, m.Sequential, m.RequiredCount = strings.TrimSpace(d.Title), d.Published, d.Sequential, d.RequiredCount
	m.UnlockAt = stored(d.UnlockAt)
	m.Prerequisites = make([]uuid.UUID, 0, len(d.Prerequisites))
	for i, name := range d.Prerequisites {
		id, ok := r.names[name]
		if !ok {
			r.f.Add(fmt.Sprintf("%sprerequisites[%d]", path, i), "not_earlier", "A prerequisite must be the id or key of a module positioned earlier.")
		}
		m.Prerequisites = append(m.Prerequisites, id)
	}
	if d.Key != "" {
		if _, taken := r.names[d.Key]; taken {
			r.f.Add(path+"key", "duplicate", "The key is used twice.")
		}
		r.names[d.Key] = m.ID
	}
	r.names[m.ID.String()] = m.ID
	m.Items = make([]Item, len(d.Items))
	for i, item := range d.Items {
		m.Items[i] = r.item(item, fmt.Sprintf("%sitems[%d].", path, i))
	}
	return m
}

func (r *replacing) item(d ItemDraft, path string) Item {
	if d.ID == nil {
		return newItem(d, r.mk)
	}
	known, ok := r.items[*d.ID]
	if !ok {
		r.f.Add(path+"id", "unknown_id", "The curriculum has no such item, or it is named twice. A new one comes without id.")
		return Item{}
	}
	delete(r.items, *d.ID)
	// Progress hangs on the id, and what can be asked of an item on its kind.
	r.f.Require(d.Kind == known.Kind, path+"kind", "fixed", "The kind of an item cannot change. Remove it and add a new one.")
	return newItem(d, Maker{NewID: func() uuid.UUID { return known.ID }, Now: known.PlacedAt})
}

func newItem(d ItemDraft, mk Maker) Item {
	return Item{
		ID: mk.NewID(), Kind: d.Kind, Title: strings.TrimSpace(d.Title), Published: d.Published,
		ResourceID: d.ResourceID, URL: d.URL, Body: d.Body, UnlockAt: stored(d.UnlockAt), Requirement: d.Requirement, PlacedAt: mk.Now,
	}
}

// relativeTo cuts the path of one module or item off the fields of an error, so
// that a piecewise edit names the fields of its own body.
func relativeTo(prefix string, err error) error {
	var e *apperr.Error
	if err == nil || !errors.As(err, &e) || len(e.Fields) == 0 {
		return err
	}
	fields := slices.Clone(e.Fields)
	for i := range fields {
		fields[i].Path = strings.TrimPrefix(fields[i].Path, prefix)
	}
	return apperr.Invalid(fields...)
}
