package catalog

import (
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
)

// Package is a course on its way somewhere: into a copy, a template, or a file in
// a foreign format. It knows no ids but keys of its own, so that it can become any
// number of courses.
type Package struct {
	Title       string                     `json:"title"`
	Code        string                     `json:"code,omitempty"`
	Description string                     `json:"description,omitempty"`
	Language    string                     `json:"language,omitempty"`
	Settings    *Settings                  `json:"settings,omitempty"`
	Completion  *events.CompletionSettings `json:"completion,omitempty"`
	// RequiredModules are the keys of Completion's modules.
	RequiredModules []string        `json:"required_modules,omitempty"`
	Modules         []PackageModule `json:"modules"`
	// Gradebook is how grades count, where a package carries it.
	Gradebook *PackagePart `json:"-"`
}

// PackageModule is a module of a package.
type PackageModule struct {
	Key           string        `json:"key"`
	Title         string        `json:"title"`
	Published     bool          `json:"published"`
	UnlockAt      *time.Time    `json:"unlock_at,omitempty"`
	Prerequisites []string      `json:"prerequisites,omitempty"`
	Sequential    bool          `json:"sequential,omitempty"`
	RequiredCount *int          `json:"required_count,omitempty"`
	Items         []PackageItem `json:"items"`
}

// PackageItem is an item of a package.
type PackageItem struct {
	Key       string `json:"key"`
	Kind      string `json:"kind"`
	Title     string `json:"title"`
	Published bool   `json:"published"`
	URL       string `json:"url,omitempty"`
	// Body is the HTML of a page.
	Body string `json:"body,omitempty"`
	// ResourceID names a resource of this installation that several courses may
	// use; a quiz or an assignment belongs to one course and becomes a placeholder.
	ResourceID  *uuid.UUID   `json:"resource_id,omitempty"`
	UnlockAt    *time.Time   `json:"unlock_at,omitempty"`
	Requirement *Requirement `json:"requirement,omitempty"`
	// Part is the content, quiz or assignment itself, where the package carries it.
	Part *PackagePart `json:"-"`
}

// PackagePart is what a package carries of another service's resource: documents
// that only that service reads and writes, or a file.
type PackagePart struct {
	// Ref names the part within its package: items with the same one share it.
	Ref string
	// Documents is a zip, Main the document in it to begin with.
	Documents []byte
	Main      string
	File      *PackageFile
}

// PackageFile is a file of a package.
type PackageFile struct {
	// Entry is its name in the archive; "" for one that only Object has.
	Entry     string
	Filename  string
	MediaType string
	// Object is where it lies in the object store.
	Object *internalapi.PartFile
}

// OpenObject gives a file of the object store to be read as a stream.
type OpenObject func(key string, fn func(io.Reader) error) error

// EntryName is a file's name as a part of a path in an archive.
func EntryName(filename string) string {
	name := strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`\/:*?"<>|`, r) {
			return '_'
		}
		return r
	}, filename)
	if strings.Trim(name, ".") == "" || len(name) > 500 {
		return "file" + path.Ext(name)
	}
	return name
}

// source is the id from which that of the item's new resource follows: the old
// one, else one made of the name that the package has for it.
func (i PackageItem) source() uuid.UUID {
	if i.ResourceID != nil {
		return *i.ResourceID
	}
	if i.Part == nil || i.Part.Ref == "" {
		return uuid.NewSHA1(uuid.Nil, []byte(i.Key))
	}
	return uuid.NewSHA1(uuid.Nil, []byte(i.Part.Ref))
}

// Statuses of a note in the report of an import, an export or a copy.
const (
	NoteDone        = "done"
	NoteMade        = "made"
	NotePending     = "pending"
	NotePlaceholder = "kept_as_placeholder"
	NoteUnknown     = "not_understood"
	NoteAdjusted    = "adjusted"
	NoteRefused     = "refused"
)

// Note is one row of the report: what became of one thing in a package.
type Note struct {
	// Ref names the thing: a path in the file, or its title.
	Ref     string
	Status  string
	Code    string
	Message string
}

// apply takes the settings of the package over, but for what names one course.
func (p Package) apply(s *Settings) {
	if p.Settings != nil {
		code, externalID, externalSource, plan := s.Code, s.ExternalID, s.ExternalSource, s.PricePlanID
		*s = *p.Settings
		s.Code, s.ExternalID, s.ExternalSource, s.PricePlanID = code, externalID, externalSource, plan
	}
	s.Title = p.Title
	if p.Description != "" {
		s.Description = p.Description
	}
	if p.Language != "" {
		s.Language = p.Language
	}
}

// PackageOf packs a course: its settings, its curriculum and the texts of its pages.
func PackageOf(c Course, cur Curriculum, bodies map[uuid.UUID]string) Package {
	settings := c.Settings
	settings.ExternalID, settings.ExternalSource, settings.PricePlanID = "", "", nil
	completion := c.Completion
	p := Package{
		Title: c.Title, Code: c.Code, Description: c.Description, Language: c.Language,
		Settings: &settings, Completion: &completion, Modules: make([]PackageModule, len(cur.Modules)),
	}
	for _, id := range c.Completion.RequiredModules {
		p.RequiredModules = append(p.RequiredModules, id.String())
	}
	completion.RequiredModules = nil
	for mi, m := range cur.Modules {
		pm := PackageModule{
			Key: m.ID.String(), Title: m.Title, Published: m.Published, UnlockAt: m.UnlockAt,
			Sequential: m.Sequential, RequiredCount: m.RequiredCount, Items: make([]PackageItem, len(m.Items)),
		}
		for _, id := range m.Prerequisites {
			pm.Prerequisites = append(pm.Prerequisites, id.String())
		}
		for ii, i := range m.Items {
			pm.Items[ii] = PackageItem{
				Key: i.ID.String(), Kind: i.Kind, Title: i.Title, Published: i.Published, URL: i.URL, Body: bodies[i.ID],
				ResourceID: i.ResourceID, UnlockAt: i.UnlockAt, Requirement: i.Requirement,
			}
		}
		p.Modules[mi] = pm
	}
	return p
}

// Shift moves every date of the package.
func (p *Package) Shift(by time.Duration) {
	move := func(t **time.Time) {
		if *t != nil {
			moved := (*t).Add(by)
			*t = &moved
		}
	}
	if p.Settings != nil {
		s := *p.Settings
		for _, t := range []**time.Time{&s.EnrollmentOpensAt, &s.EnrollmentClosesAt, &s.StartsAt, &s.EndsAt} {
			move(t)
		}
		p.Settings = &s
	}
	p.Modules = slices.Clone(p.Modules)
	for mi := range p.Modules {
		m := &p.Modules[mi]
		move(&m.UnlockAt)
		m.Items = slices.Clone(m.Items)
		for ii := range m.Items {
			move(&m.Items[ii].UnlockAt)
		}
	}
}

// Unpacked is the curriculum that a package asks for.
type Unpacked struct {
	Curriculum
	// Keys gives the id of each module's key.
	Keys map[string]uuid.UUID
	// Open are items whose resource is not known here.
	Open []OpenItem
	// Notes tell what was adjusted because a rule would refuse it.
	Notes []Note
}

// OpenItem is an item of a new curriculum that has no resource yet.
type OpenItem struct {
	ID uuid.UUID
	Of PackageItem
}

// placeholder is the note of an item that stays without its resource.
func (o OpenItem) placeholder() Note {
	return Note{
		Ref: o.Of.Title, Status: NotePlaceholder, Code: "no_resource",
		Message: "The " + o.Of.Kind + " itself is not part of what was taken; the item keeps its place.",
	}
}

// Unpack makes the curriculum of a course, adjusted where a rule would refuse it.
func (p Package) Unpack(course uuid.UUID, mk Maker, known map[uuid.UUID]Resource, tenant uuid.UUID) Unpacked {
	out := Unpacked{Curriculum: Curriculum{CourseID: course, Modules: []Module{}}, Keys: map[string]uuid.UUID{}}
	u := unpacking{mk: mk, known: known, tenant: tenant, course: course}
	for _, pm := range p.Modules {
		if len(out.Modules) == MaxModules {
			u.note(pm.Title, NoteRefused, "too_many", "The curriculum has no room for more modules.")
			continue
		}
		m := u.module(pm, out.Keys)
		out.Keys[pm.Key] = m.ID
		out.Modules = append(out.Modules, m)
	}
	out.Open, out.Notes = u.open, u.notes
	return out
}

type unpacking struct {
	mk     Maker
	known  map[uuid.UUID]Resource
	tenant uuid.UUID
	course uuid.UUID
	items  int
	open   []OpenItem
	notes  []Note
}

func (u *unpacking) note(ref, status, code, message string) {
	u.notes = append(u.notes, Note{Ref: ref, Status: status, Code: code, Message: message})
}

func (u *unpacking) module(pm PackageModule, keys map[string]uuid.UUID) Module {
	m := Module{
		ID: u.mk.NewID(), Title: u.title(pm.Title, "Module"), Published: pm.Published, UnlockAt: stored(pm.UnlockAt),
		Prerequisites: []uuid.UUID{}, Sequential: pm.Sequential, Items: []Item{},
	}
	for _, key := range pm.Prerequisites {
		if id, ok := keys[key]; ok && !slices.Contains(m.Prerequisites, id) {
			m.Prerequisites = append(m.Prerequisites, id)
		} else if !ok {
			u.note(pm.Title, NoteAdjusted, "not_earlier", "A prerequisite that is no earlier module was left out.")
		}
	}
	required := 0
	for _, pi := range pm.Items {
		if u.items == MaxItems {
			u.note(pi.Title, NoteRefused, "too_many_items", "The curriculum has no room for more items.")
			continue
		}
		if i, ok := u.item(pi); ok {
			u.items++
			m.Items = append(m.Items, i)
			if i.Requirement != nil {
				required++
			}
		}
	}
	if pm.RequiredCount != nil && *pm.RequiredCount >= 1 && required > 0 {
		n := min(*pm.RequiredCount, required)
		m.RequiredCount = &n
	}
	if pm.RequiredCount != nil && (m.RequiredCount == nil || *m.RequiredCount != *pm.RequiredCount) {
		u.note(pm.Title, NoteAdjusted, "required_count", "The module asks for fewer items than it did: some have no requirement.")
	}
	return m
}

func (u *unpacking) item(pi PackageItem) (Item, bool) {
	i := Item{
		ID: u.mk.NewID(), Kind: pi.Kind, Title: u.title(pi.Title, "Item"), Published: pi.Published, URL: pi.URL,
		UnlockAt: stored(pi.UnlockAt), Requirement: pi.Requirement, PlacedAt: u.mk.Now,
	}
	if pi.Kind == events.ItemPage {
		body := pi.Body
		i.Body = &body
		if len(body) > MaxBody {
			u.note(pi.Title, NoteRefused, "too_long", "The page is longer than 100,000 bytes.")
			return Item{}, false
		}
	}
	if _, ok := requirementKinds[pi.Kind]; !ok {
		u.note(pi.Title, NoteRefused, "unknown_kind", "There is no such kind of item: "+pi.Kind+".")
		return Item{}, false
	}
	if pi.Kind == events.ItemLink && !webURL(pi.URL, "https", "http") {
		u.note(pi.Title, NoteRefused, "bad_url", "The link's address is not a web address.")
		return Item{}, false
	}
	if i.Requirement != nil && !validRequirement(*i.Requirement, pi.Kind) {
		u.note(pi.Title, NoteAdjusted, "requirement", "What completes the item cannot be asked of its kind and was left out.")
		i.Requirement = nil
	}
	if needsResource(pi.Kind) {
		u.resource(pi, &i)
	}
	return i, true
}

// resource keeps a library content that this installation has; all else is open
// until its own service has a resource for it.
func (u *unpacking) resource(pi PackageItem, i *Item) {
	if pi.ResourceID != nil {
		r, ok := u.known[*pi.ResourceID]
		if ok && r.TenantID == u.tenant && !r.Deleted && r.Kind == pi.Kind && (r.CourseID == nil || *r.CourseID == u.course) {
			id := r.ID
			i.ResourceID, i.Resource = &id, &r
			return
		}
	}
	u.open = append(u.open, OpenItem{ID: i.ID, Of: pi})
}

func (u *unpacking) title(title, otherwise string) string {
	runes := []rune(title)
	switch {
	case len(runes) == 0:
		return otherwise
	case len(runes) > MaxTitle:
		return string(runes[:MaxTitle])
	default:
		return title
	}
}

func validRequirement(r Requirement, kind string) bool {
	var f apperr.Fields
	checkRequirement(&f, "", r, kind, requirementKinds[kind])
	return len(f) == 0
}

// BodyOf is what stands between the body tags of an HTML document, or the whole
// text where there are none.
func BodyOf(document string) string {
	lower := asciiLower(document)
	if at := strings.Index(lower, "<body"); at >= 0 {
		if end := strings.IndexByte(lower[at:], '>'); end >= 0 {
			document, lower = document[at+end+1:], lower[at+end+1:]
		}
	}
	if at := strings.LastIndex(lower, "</body"); at >= 0 {
		document = document[:at]
	}
	return document
}

// asciiLower keeps every byte in its place, which strings.ToLower does not.
func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// ParseRequirement reads a requirement from texts, as files carry it; nil for none.
// Whether it fits the kind of its item is decided where the package is unpacked.
func ParseRequirement(kind, score, unit string) *Requirement {
	if kind == "" {
		return nil
	}
	r := &Requirement{Kind: kind, Unit: unit}
	if score != "" {
		var h events.Hundredths
		if h.UnmarshalJSON([]byte(score)) == nil {
			r.MinScore = &h
		}
	}
	return r
}
