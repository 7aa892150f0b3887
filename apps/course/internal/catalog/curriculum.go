package catalog

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/contracts/events"
)

// Limits of a curriculum.
const (
	MaxModules = 300
	MaxItems   = 2_000
	// MaxBody is the length of a text page, in bytes of sanitised HTML.
	MaxBody = 100_000
	// MaxBodies bounds the texts of all pages of a course, in bytes: a copy or an
	// export holds them in memory.
	MaxBodies = 32 << 20
	// MaxCurriculumBytes bounds the JSON of the curriculum's event. It stays below
	// the 256 KiB of any event, so that a resource's points or a relock, which are
	// not the editor's doing, still fit.
	MaxCurriculumBytes = 240 << 10
)

// Requirement is what completes an item (rules 1–6).
type Requirement = events.ItemRequirement

// requirementKinds says what can be asked of each kind of item: only a quiz or
// an assignment can be submitted and scored.
var requirementKinds = map[string][]string{
	events.ItemContent:    {events.RequireView, events.RequireDone},
	events.ItemQuiz:       {events.RequireView, events.RequireSubmit, events.RequireMinScore},
	events.ItemAssignment: {events.RequireView, events.RequireDone, events.RequireSubmit, events.RequireMinScore},
	events.ItemLink:       {events.RequireView, events.RequireDone},
	events.ItemPage:       {events.RequireView, events.RequireDone},
}

// Curriculum is the modules of a course in order.
type Curriculum struct {
	CourseID uuid.UUID
	Modules  []Module
}

// Module is a part of a curriculum, its items in order.
type Module struct {
	ID            uuid.UUID
	Title         string
	Published     bool
	UnlockAt      *time.Time
	Prerequisites []uuid.UUID
	Sequential    bool
	RequiredCount *int
	Relock        int64
	Items         []Item
}

// Item is one thing to do in a module. ResourceID is nil for links and pages, and
// for a content, quiz or assignment that is only a placeholder so far.
type Item struct {
	ID          uuid.UUID
	Kind        string
	Title       string
	Published   bool
	ResourceID  *uuid.UUID
	URL         string
	UnlockAt    *time.Time
	Requirement *Requirement
	PlacedAt    time.Time
	// Body is the new text of a page on its way to the store; nil leaves the text
	// as it is. It is not read with the curriculum.
	Body *string
	// Resource is what its owner last said about the resource; nil is unknown.
	Resource *Resource
}

// Resource is a content, quiz or assignment as its own service describes it.
type Resource struct {
	ID        uuid.UUID
	TenantID  uuid.UUID
	CourseID  *uuid.UUID
	Kind      string
	Title     string
	Published bool
	Deleted   bool
	Points    *events.Hundredths
}

// needsResource says whether items of the kind stand for another service's resource.
func needsResource(kind string) bool {
	return kind == events.ItemContent || kind == events.ItemQuiz || kind == events.ItemAssignment
}

// VisibleIn says whether learners see the item in the module: both are
// published, and so is the resource where the kind has one (rules 9, 10, 14).
func (i Item) VisibleIn(m Module) bool {
	if !i.Published || !m.Published {
		return false
	}
	if !needsResource(i.Kind) {
		return true
	}
	return i.ResourceID != nil && i.Resource != nil && i.Resource.Published && !i.Resource.Deleted
}

// Clone copies the curriculum so that the copy's modules and items can be changed.
func (c Curriculum) Clone() Curriculum {
	out := Curriculum{CourseID: c.CourseID, Modules: slices.Clone(c.Modules)}
	for i := range out.Modules {
		out.Modules[i].Items = slices.Clone(out.Modules[i].Items)
		out.Modules[i].Prerequisites = slices.Clone(out.Modules[i].Prerequisites)
	}
	return out
}

// Module finds a module.
func (c Curriculum) Module(id uuid.UUID) (int, bool) {
	i := slices.IndexFunc(c.Modules, func(m Module) bool { return m.ID == id })
	return i, i >= 0
}

// Item finds an item by the positions of its module and itself.
func (c Curriculum) Item(id uuid.UUID) (module, item int, ok bool) {
	for mi, m := range c.Modules {
		if ii := slices.IndexFunc(m.Items, func(i Item) bool { return i.ID == id }); ii >= 0 {
			return mi, ii, true
		}
	}
	return 0, 0, false
}

// has says whether the item is in the module.
func (c Curriculum) has(module, item uuid.UUID) bool {
	mi, _, ok := c.Item(item)
	return ok && c.Modules[mi].ID == module
}

// writesBodies says whether texts of pages are on their way to the store.
func (c Curriculum) writesBodies() bool {
	for _, m := range c.Modules {
		if slices.ContainsFunc(m.Items, func(i Item) bool { return i.Body != nil }) {
			return true
		}
	}
	return false
}

// Resources are the ids of all placed resources, each once.
func (c Curriculum) Resources() []uuid.UUID {
	var out []uuid.UUID
	seen := map[uuid.UUID]bool{}
	for _, m := range c.Modules {
		for _, i := range m.Items {
			if i.ResourceID != nil && !seen[*i.ResourceID] {
				seen[*i.ResourceID] = true
				out = append(out, *i.ResourceID)
			}
		}
	}
	return out
}

// Bind gives every item what is known of its resource. A resource of another
// tenant, of another course, of another kind or a deleted one is 422.
func (c *Curriculum) Bind(tenant uuid.UUID, known map[uuid.UUID]Resource) error {
	var f apperr.Fields
	for mi := range c.Modules {
		for ii := range c.Modules[mi].Items {
			item := &c.Modules[mi].Items[ii]
			item.Resource = nil
			if item.ResourceID == nil {
				continue
			}
			r, ok := known[*item.ResourceID]
			path := fmt.Sprintf("modules[%d].items[%d].resource_id", mi, ii)
			switch {
			case !ok || r.TenantID != tenant || r.Deleted || r.CourseID != nil && *r.CourseID != c.CourseID:
				f.Add(path, "unknown_resource", "No such "+item.Kind+" can be placed here.")
			case r.Kind != item.Kind:
				f.Add(path, "wrong_kind", "It is a "+r.Kind+", not a "+item.Kind+".")
			default:
				item.Resource = &r
			}
		}
	}
	return f.Err()
}

// Check collects everything that is wrong with the curriculum.
func (c Curriculum) Check() error {
	var f apperr.Fields
	f.Require(len(c.Modules) <= MaxModules, "modules", "too_many", fmt.Sprintf("At most %d modules.", MaxModules))
	total := 0
	earlier := map[uuid.UUID]bool{}
	for mi, m := range c.Modules {
		path := fmt.Sprintf("modules[%d].", mi)
		m.check(&f, path, earlier)
		for ii, item := range m.Items {
			item.check(&f, fmt.Sprintf("%sitems[%d].", path, ii))
		}
		earlier[m.ID] = true
		total += len(m.Items)
	}
	f.Require(total <= MaxItems, "modules", "too_many_items", fmt.Sprintf("At most %d items in all.", MaxItems))
	if len(f) == 0 {
		size, err := c.size()
		if err != nil {
			return err
		}
		f.Require(size <= MaxCurriculumBytes, "modules", "too_large",
			fmt.Sprintf("The curriculum takes %d KiB; at most %d KiB are possible. Use fewer items or shorter titles.", size>>10, MaxCurriculumBytes>>10))
	}
	return f.Err()
}

func (c Curriculum) size() (int, error) {
	raw, err := json.Marshal(events.CurriculumChanged{CurriculumState: c.State(Course{ID: c.CourseID})})
	if err != nil {
		return 0, apperr.Internal(err)
	}
	return len(raw), nil
}

func (m Module) check(f *apperr.Fields, path string, earlier map[uuid.UUID]bool) {
	checkText(f, path+"title", m.Title, 1, MaxTitle)
	for i, p := range m.Prerequisites {
		// Rule 7: only modules positioned earlier count; a later one, or the module
		// itself, could never be completed first.
		f.Require(earlier[p], fmt.Sprintf("%sprerequisites[%d]", path, i), "not_earlier", "A prerequisite must be a module positioned earlier.")
		f.Require(!slices.Contains(m.Prerequisites[:i], p), fmt.Sprintf("%sprerequisites[%d]", path, i), "duplicate", "Named twice.")
	}
	if m.RequiredCount != nil {
		of := 0
		for _, item := range m.Items {
			if item.Requirement != nil {
				of++
			}
		}
		// Rule 1: N of M with 1 ≤ N ≤ M, M being the items that have a requirement.
		f.Require(*m.RequiredCount >= 1 && *m.RequiredCount <= of, path+"required_count", "range",
			fmt.Sprintf("Between 1 and the number of items with a requirement (%d).", of))
	}
}

func (i Item) check(f *apperr.Fields, path string) {
	checkText(f, path+"title", i.Title, 1, MaxTitle)
	kinds, ok := requirementKinds[i.Kind]
	if !ok {
		f.Add(path+"kind", "enum", "One of: content, quiz, assignment, link, page.")
		return
	}
	if i.Kind == events.ItemLink {
		f.Require(webURL(i.URL, "https", "http"), path+"url", "url", "An http or https address of at most 2,000 characters.")
	} else {
		f.Require(i.URL == "", path+"url", "not_allowed", "Only a link has an address.")
	}
	f.Require(i.ResourceID == nil || needsResource(i.Kind), path+"resource_id", "not_allowed", "A "+i.Kind+" has no resource.")
	if i.Body != nil {
		f.Require(i.Kind == events.ItemPage, path+"body", "not_allowed", "Only a page has a body.")
		f.Require(len(*i.Body) <= MaxBody, path+"body", "too_long", fmt.Sprintf("At most %d bytes.", MaxBody))
	}
	if i.Requirement != nil {
		checkRequirement(f, path+"requirement.", *i.Requirement, i.Kind, kinds)
	}
}

func checkRequirement(f *apperr.Fields, path string, r Requirement, kind string, allowed []string) {
	f.Require(slices.Contains(allowed, r.Kind), path+"kind", "enum",
		"What can be asked of a "+kind+": "+strings.Join(allowed, ", ")+".")
	if r.Kind != events.RequireMinScore {
		f.Require(r.MinScore == nil, path+"min_score", "not_allowed", "Only min_score has a score.")
		f.Require(r.Unit == "", path+"unit", "not_allowed", "Only min_score has a unit.")
		return
	}
	// Rule 3: percent or points, said explicitly.
	checkOneOf(f, path+"unit", r.Unit, events.ScorePercent, events.ScorePoints)
	switch {
	case r.MinScore == nil:
		f.Add(path+"min_score", "required", "A min_score needs its score.")
	case *r.MinScore <= 0:
		f.Add(path+"min_score", "range", "More than 0.")
	case r.Unit == events.ScorePercent && *r.MinScore > 100_00:
		f.Add(path+"min_score", "range", "At most 100 percent.")
	case *r.MinScore > 1_000_000_00:
		f.Add(path+"min_score", "range", "At most 1,000,000 points.")
	}
}

// State is the curriculum as events carry it.
func (c Curriculum) State(course Course) events.CurriculumState {
	out := events.CurriculumState{
		CourseID: course.ID, TenantID: course.TenantID, OrgUnitID: course.OrgUnitID,
		Version: course.CurriculumVersion, ChangedAt: course.CurriculumChangedAt, Modules: make([]events.CurriculumPart, len(c.Modules)),
	}
	for mi, m := range c.Modules {
		part := events.CurriculumPart{
			ID: m.ID, Title: m.Title, Published: m.Published, UnlockAt: m.UnlockAt, Prerequisites: m.Prerequisites,
			Sequential: m.Sequential, RequiredCount: m.RequiredCount, Relock: m.Relock, Items: make([]events.CurriculumItem, len(m.Items)),
		}
		for ii, i := range m.Items {
			item := events.CurriculumItem{
				ID: i.ID, Kind: i.Kind, Title: i.Title, Published: i.Published, Visible: i.VisibleIn(m),
				ResourceID: i.ResourceID, UnlockAt: i.UnlockAt, Requirement: i.Requirement,
			}
			if i.Resource != nil {
				item.Points = i.Resource.Points
			}
			part.Items[ii] = item
		}
		out.Modules[mi] = part
	}
	return out
}
