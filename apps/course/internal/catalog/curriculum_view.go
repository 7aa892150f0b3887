package catalog

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/contracts/events"
)

// CurriculumView is the curriculum as one document for readers. It is derived
// with every change and kept ready, since it is read far more often than changed.
// Bodies of pages and addresses of links are not inside: they come with the single
// item, after the check that it is unlocked.
type CurriculumView struct {
	CourseID uuid.UUID    `json:"course_id"`
	Version  int64        `json:"version" doc:"Of the curriculum; it is its ETag, and that of every module and item."`
	Modules  []ModuleView `json:"modules"`
}

// ModuleView is a module of the document.
type ModuleView struct {
	ID            uuid.UUID   `json:"id"`
	Position      int         `json:"position" doc:"0 is the first."`
	Title         string      `json:"title"`
	Published     bool        `json:"published"`
	UnlockAt      *time.Time  `json:"unlock_at,omitempty"`
	Prerequisites []uuid.UUID `json:"prerequisites" doc:"Earlier modules that must be completed first."`
	Sequential    bool        `json:"sequential" doc:"Items open one after the other."`
	RequiredCount *int        `json:"required_count,omitempty" doc:"The N of 'N of M items'; absent for all."`
	Items         []ItemView  `json:"items"`
}

// ItemView is an item of the document.
type ItemView struct {
	ID          uuid.UUID          `json:"id"`
	ModuleID    uuid.UUID          `json:"module_id"`
	Position    int                `json:"position"`
	Kind        string             `json:"kind" enum:"content,quiz,assignment,link,page"`
	Title       string             `json:"title"`
	Published   bool               `json:"published"`
	Visible     bool               `json:"visible" doc:"Learners see it: the item, its module and its resource are published."`
	ResourceID  *uuid.UUID         `json:"resource_id,omitempty"`
	URL         string             `json:"url,omitempty"`
	Points      *events.Hundredths `json:"points,omitempty" doc:"Possible points of the resource."`
	UnlockAt    *time.Time         `json:"unlock_at,omitempty"`
	Requirement *Requirement       `json:"requirement,omitempty"`
	Body        string             `json:"body,omitempty" doc:"HTML of a page; only with the single item."`
}

// View is the document for staff (everything) or for learners (what is published,
// without addresses).
func (c Curriculum) View(version int64, staff bool) CurriculumView {
	out := CurriculumView{CourseID: c.CourseID, Version: version, Modules: []ModuleView{}}
	shown := map[uuid.UUID]bool{}
	for _, m := range c.Modules {
		if staff || m.Published {
			shown[m.ID] = true
			out.Modules = append(out.Modules, m.view(len(out.Modules), staff, shown))
		}
	}
	return out
}

func (m Module) view(position int, staff bool, shown map[uuid.UUID]bool) ModuleView {
	v := ModuleView{
		ID: m.ID, Position: position, Title: m.Title, Published: m.Published, UnlockAt: m.UnlockAt,
		Prerequisites: []uuid.UUID{}, Sequential: m.Sequential, RequiredCount: m.RequiredCount, Items: []ItemView{},
	}
	for _, p := range m.Prerequisites {
		if shown[p] {
			v.Prerequisites = append(v.Prerequisites, p)
		}
	}
	for _, i := range m.Items {
		if staff || i.VisibleIn(m) {
			v.Items = append(v.Items, i.view(m, len(v.Items), staff))
		}
	}
	return v
}

func (i Item) view(m Module, position int, staff bool) ItemView {
	v := ItemView{
		ID: i.ID, ModuleID: m.ID, Position: position, Kind: i.Kind, Title: i.Title,
		Published: i.Published, Visible: i.VisibleIn(m), ResourceID: i.ResourceID, UnlockAt: i.UnlockAt, Requirement: i.Requirement,
	}
	if staff {
		v.URL = i.URL
	}
	if i.Resource != nil {
		v.Points = i.Resource.Points
	}
	return v
}

// Documents are the two documents of a curriculum, ready to be sent.
type Documents struct {
	Full      []byte
	Published []byte
}

// Documents renders both documents under a version.
func (c Curriculum) Documents(version int64) (Documents, error) {
	full, err := json.Marshal(c.View(version, true))
	if err != nil {
		return Documents{}, apperr.Internal(err)
	}
	published, err := json.Marshal(c.View(version, false))
	if err != nil {
		return Documents{}, apperr.Internal(err)
	}
	return Documents{Full: full, Published: published}, nil
}
