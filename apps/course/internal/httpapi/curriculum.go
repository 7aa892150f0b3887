package httpapi

import (
	"context"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/course/internal/catalog"
	"lms/shared/apperr"
	"lms/shared/patch"
	"lms/shared/web"
)

// Curriculum is the document for the OpenAPI; the domain keeps it ready as bytes.
type Curriculum struct {
	CourseID uuid.UUID `json:"course_id"`
	Version  int64     `json:"version" doc:"Of the curriculum; it is its ETag, and that of every module and item"`
	Modules  []Module  `json:"modules"`
}

// Module is a module with its items.
type Module struct {
	ID            uuid.UUID   `json:"id"`
	Position      int         `json:"position" doc:"0 is the first"`
	Title         string      `json:"title"`
	Published     bool        `json:"published"`
	UnlockAt      *time.Time  `json:"unlock_at,omitempty"`
	Prerequisites []uuid.UUID `json:"prerequisites" doc:"Earlier modules that must be completed first"`
	Sequential    bool        `json:"sequential" doc:"Items open one after the other"`
	RequiredCount *int        `json:"required_count,omitempty" doc:"The N of N-of-M; absent: all"`
	Items         []Item      `json:"items"`
}

// Item is an item of a module.
type Item struct {
	ID          uuid.UUID    `json:"id"`
	ModuleID    uuid.UUID    `json:"module_id"`
	Position    int          `json:"position"`
	Kind        string       `json:"kind" enum:"content,quiz,assignment,link,page"`
	Title       string       `json:"title"`
	Published   bool         `json:"published"`
	Visible     bool         `json:"visible" doc:"Learners see it: the item, its module and its resource are published"`
	ResourceID  *uuid.UUID   `json:"resource_id,omitempty"`
	URL         string       `json:"url,omitempty" doc:"Of a link; for learners only when the item is opened"`
	Points      *float64     `json:"points,omitempty" doc:"Possible points of the resource"`
	UnlockAt    *time.Time   `json:"unlock_at,omitempty"`
	Requirement *Requirement `json:"requirement,omitempty"`
	Body        string       `json:"body,omitempty" doc:"HTML of a page; only when the item is opened"`
}

// Requirement is what completes an item. A content, link or page can ask for view
// or done; a quiz for view, submit or min_score; an assignment for all four.
type Requirement struct {
	Kind     string   `json:"kind" enum:"view,done,submit,min_score"`
	MinScore *float64 `json:"min_score,omitempty" doc:"With kind min_score; at most two decimals"`
	Unit     string   `json:"unit,omitempty" doc:"With kind min_score: percent or points"`
}

func showModule(m catalog.ModuleView) Module {
	out := Module{
		ID: m.ID, Position: m.Position, Title: m.Title, Published: m.Published, UnlockAt: m.UnlockAt, Prerequisites: m.Prerequisites,
		Sequential: m.Sequential, RequiredCount: m.RequiredCount, Items: make([]Item, len(m.Items)),
	}
	for i, item := range m.Items {
		out.Items[i] = showItem(item)
	}
	return out
}

func showItem(i catalog.ItemView) Item {
	out := Item{
		ID: i.ID, ModuleID: i.ModuleID, Position: i.Position, Kind: i.Kind, Title: i.Title, Published: i.Published, Visible: i.Visible,
		ResourceID: i.ResourceID, URL: i.URL, Points: decimal(i.Points), UnlockAt: i.UnlockAt, Body: i.Body,
	}
	if r := i.Requirement; r != nil {
		out.Requirement = &Requirement{Kind: r.Kind, MinScore: decimal(r.MinScore), Unit: r.Unit}
	}
	return out
}

func (r *Requirement) domain(f *apperr.Fields, path string) *catalog.Requirement {
	if r == nil {
		return nil
	}
	return &catalog.Requirement{Kind: r.Kind, MinScore: hundredths(f, path+"requirement.min_score", r.MinScore), Unit: r.Unit}
}

// documentCurriculum gives the schema to the two operations that write the ready
// document themselves.
func documentCurriculum(r *web.Router) {
	doc := r.OpenAPI()
	path := doc.Paths[course+"/curriculum"]
	schema := doc.Components.Schemas.Schema(reflect.TypeFor[Curriculum](), true, "Curriculum")
	if path.Get != nil {
		path.Get.Responses[strconv.Itoa(http.StatusOK)].Content["application/json"].Schema = schema
	}
	if path.Put != nil {
		path.Put.Responses[strconv.Itoa(http.StatusOK)].Content["application/json"].Schema = schema
	}
}

type getCurriculumInput struct {
	web.ByID
	web.IfNoneMatch
}

func (a *API) getCurriculum(ctx context.Context, in *getCurriculumInput, w http.ResponseWriter, _ *http.Request) error {
	doc, err := a.Service.Curriculum(ctx, web.Actor(ctx), in.ID, knownVersion(in.IfNoneMatch.IfNoneMatch))
	if err != nil {
		return err
	}
	shared(ctx, doc.Public)
	w.Header().Set("ETag", web.ETag(doc.Version))
	if in.Matches(doc.Version) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return writeJSON(w, doc.JSON)
}

// knownVersion is the version behind a single tag of ours, 0 for anything else.
func knownVersion(tag string) int64 {
	m := web.OptionalIfMatch{IfMatch: tag}
	v, _ := m.Version()
	return v
}

func writeJSON(w http.ResponseWriter, raw []byte) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
	_, err := w.Write(raw)
	return err
}

type putCurriculumInput struct {
	web.ByID
	web.IfMatch
	Body struct {
		Modules []ModuleInput `json:"modules" maxItems:"300" doc:"Known ids keep identity and progress; what comes without id is new; what is absent is deleted"`
	}
}

// ModuleInput is a module of a curriculum that is put.
type ModuleInput struct {
	ID            *uuid.UUID  `json:"id,omitempty" doc:"Of a known module; absent for a new one"`
	Key           string      `json:"key,omitempty" maxLength:"64" doc:"Names a new module inside this document, for prerequisites"`
	Title         string      `json:"title"`
	Published     *bool       `json:"published,omitempty" default:"true"`
	UnlockAt      *time.Time  `json:"unlock_at,omitempty"`
	Prerequisites []string    `json:"prerequisites,omitempty" doc:"Ids or keys of earlier modules"`
	Sequential    bool        `json:"sequential,omitempty"`
	RequiredCount *int        `json:"required_count,omitempty"`
	Items         []ItemInput `json:"items,omitempty" maxItems:"2000"`
}

// ItemInput is an item of a curriculum that is put, or a new item.
type ItemInput struct {
	ID          *uuid.UUID   `json:"id,omitempty" doc:"Of a known item; absent for a new one"`
	Kind        string       `json:"kind" enum:"content,quiz,assignment,link,page"`
	Title       string       `json:"title"`
	Published   *bool        `json:"published,omitempty" default:"true"`
	ResourceID  *uuid.UUID   `json:"resource_id,omitempty" doc:"The content, quiz or assignment; absent for a placeholder"`
	URL         string       `json:"url,omitempty"`
	Body        *string      `json:"body,omitempty" doc:"HTML of a page; absent keeps what is there"`
	UnlockAt    *time.Time   `json:"unlock_at,omitempty"`
	Requirement *Requirement `json:"requirement,omitempty"`
}

func (m ModuleInput) draft(f *apperr.Fields, path string) catalog.ModuleDraft {
	d := catalog.ModuleDraft{
		ID: m.ID, Key: m.Key, Title: m.Title, Published: orTrue(m.Published), UnlockAt: m.UnlockAt, Prerequisites: m.Prerequisites,
		Sequential: m.Sequential, RequiredCount: m.RequiredCount, Items: make([]catalog.ItemDraft, len(m.Items)),
	}
	for i, item := range m.Items {
		d.Items[i] = item.draft(f, path+"items["+strconv.Itoa(i)+"].")
	}
	return d
}

func (i ItemInput) draft(f *apperr.Fields, path string) catalog.ItemDraft {
	return catalog.ItemDraft{
		ID: i.ID, Kind: i.Kind, Title: i.Title, Published: orTrue(i.Published), ResourceID: i.ResourceID, URL: strings.TrimSpace(i.URL),
		Body: i.Body, UnlockAt: i.UnlockAt, Requirement: i.Requirement.domain(f, path),
	}
}

func orTrue(b *bool) bool { return b == nil || *b }

func (a *API) putCurriculum(ctx context.Context, in *putCurriculumInput, w http.ResponseWriter, _ *http.Request) error {
	var f apperr.Fields
	d := catalog.CurriculumDraft{Modules: make([]catalog.ModuleDraft, len(in.Body.Modules))}
	for i, m := range in.Body.Modules {
		d.Modules[i] = m.draft(&f, "modules["+strconv.Itoa(i)+"].")
	}
	if err := f.Err(); err != nil {
		return err
	}
	out, err := a.Service.PutCurriculum(ctx, web.Actor(ctx), in.ID, required(&in.IfMatch), d)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", web.ETag(out.Version))
	return writeJSON(w, out.Document)
}

type listModulesInput struct {
	web.ByID
	web.Page
}

func (a *API) listModules(ctx context.Context, in *listModulesInput) (*web.List[Module], error) {
	v, err := a.Service.CurriculumView(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	p, err := cut(v.Modules, in.Page)
	out := web.ListOf(p, showModule)
	out.ETag = web.ETag(v.Version)
	return out, err
}

type moduleInput struct {
	web.ByID
	ModuleID uuid.UUID `path:"module_id"`
}

func (a *API) getModule(ctx context.Context, in *moduleInput) (*web.Resource[Module], error) {
	m, version, err := a.Service.Module(ctx, web.Actor(ctx), in.ID, in.ModuleID)
	if err != nil {
		return nil, err
	}
	return web.Res(showModule(m), version), nil
}

type addModuleInput struct {
	web.ByID
	web.OptionalIfMatch
	Body struct {
		Title         string      `json:"title"`
		Published     *bool       `json:"published,omitempty" default:"true"`
		UnlockAt      *time.Time  `json:"unlock_at,omitempty"`
		Prerequisites []uuid.UUID `json:"prerequisites,omitempty" doc:"Earlier modules"`
		Sequential    bool        `json:"sequential,omitempty"`
		RequiredCount *int        `json:"required_count,omitempty"`
		Items         []ItemInput `json:"items,omitempty" maxItems:"2000"`
		Position      *int        `json:"position,omitempty" minimum:"0" doc:"0 is the first; absent: the end"`
	}
}

func (a *API) addModule(ctx context.Context, in *addModuleInput) (*web.Resource[Module], error) {
	var f apperr.Fields
	b := in.Body
	d := ModuleInput{
		Title: b.Title, Published: b.Published, UnlockAt: b.UnlockAt, Sequential: b.Sequential, RequiredCount: b.RequiredCount, Items: b.Items,
	}.draft(&f, "")
	for _, p := range b.Prerequisites {
		d.Prerequisites = append(d.Prerequisites, p.String())
	}
	if err := f.Err(); err != nil {
		return nil, err
	}
	out, err := a.Service.AddModule(ctx, web.Actor(ctx), in.ID, wanted(&in.OptionalIfMatch), d, b.Position)
	if err != nil {
		return nil, err
	}
	return web.Created(showModule(*out.Module), out.Version, "/api/v1/courses/"+in.ID.String()+"/modules/"+out.Module.ID.String()), nil
}

type updateModuleInput struct {
	web.ByID
	web.IfMatch
	ModuleID uuid.UUID `path:"module_id"`
	Body     struct {
		Title         patch.Field[string]      `json:"title"`
		Published     patch.Field[bool]        `json:"published"`
		UnlockAt      patch.Field[time.Time]   `json:"unlock_at"`
		Prerequisites patch.Field[[]uuid.UUID] `json:"prerequisites"`
		Sequential    patch.Field[bool]        `json:"sequential"`
		RequiredCount patch.Field[int]         `json:"required_count" doc:"null: all"`
		Position      patch.Field[int]         `json:"position" doc:"0 is the first"`
	}
}

func (a *API) updateModule(ctx context.Context, in *updateModuleInput) (*web.Resource[Module], error) {
	b := in.Body
	var position *int
	b.Position.ApplyPtr(&position)
	out, err := a.Service.EditModule(ctx, web.Actor(ctx), in.ID, in.ModuleID, required(&in.IfMatch), position, func(m *catalog.Module) {
		if b.Title.Apply(&m.Title) {
			m.Title = strings.TrimSpace(m.Title)
		}
		b.Published.Apply(&m.Published)
		b.UnlockAt.ApplyPtr(&m.UnlockAt)
		b.Prerequisites.Apply(&m.Prerequisites)
		b.Sequential.Apply(&m.Sequential)
		b.RequiredCount.ApplyPtr(&m.RequiredCount)
	})
	if err != nil {
		return nil, err
	}
	return web.Res(showModule(*out.Module), out.Version), nil
}

type removeModuleInput struct {
	web.ByID
	web.IfMatch
	ModuleID uuid.UUID `path:"module_id"`
}

func (a *API) removeModule(ctx context.Context, in *removeModuleInput) (*web.Empty, error) {
	_, err := a.Service.RemoveModule(ctx, web.Actor(ctx), in.ID, in.ModuleID, required(&in.IfMatch))
	return nil, err
}

// Changed is what is left to say after a change of the curriculum as a whole.
type Changed struct {
	CourseID uuid.UUID `json:"course_id"`
	Version  int64     `json:"version" doc:"Of the curriculum: its new ETag"`
}

func changed(id uuid.UUID, e catalog.Edited) *web.Resource[Changed] {
	return web.Res(Changed{CourseID: id, Version: e.Version}, e.Version)
}

type orderModulesInput struct {
	web.ByID
	web.OptionalIfMatch
	Body struct {
		ModuleIDs []uuid.UUID `json:"module_ids" maxItems:"300" doc:"Every module, once, in the new order"`
	}
}

func (a *API) orderModules(ctx context.Context, in *orderModulesInput) (*web.Resource[Changed], error) {
	out, err := a.Service.OrderModules(ctx, web.Actor(ctx), in.ID, wanted(&in.OptionalIfMatch), in.Body.ModuleIDs)
	if err != nil {
		return nil, err
	}
	return changed(in.ID, out), nil
}

type relockInput struct {
	web.ByID
	web.OptionalIfMatch
	ModuleID uuid.UUID `path:"module_id"`
}

func (a *API) relockModule(ctx context.Context, in *relockInput) (*web.Resource[Changed], error) {
	out, err := a.Service.Relock(ctx, web.Actor(ctx), in.ID, in.ModuleID, wanted(&in.OptionalIfMatch))
	if err != nil {
		return nil, err
	}
	return changed(in.ID, out), nil
}
