package postgres

import (
	"context"
	"reflect"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lms/apps/course/internal/catalog"
	"lms/shared/apperr"
	"lms/shared/contracts/events"
	"lms/shared/pg"
)

const documentForSQL = `
select ` + headColumns + `, case when c.curriculum_version <> $4 then d.published end as published_document,
  case when c.curriculum_version <> $4 and ($3 or exists (select 1 from course_staff s where s.course_id = c.id and s.user_id = $2 and s.active))
    then d.whole end as whole_document
from courses c join curriculum_documents d on d.course_id = c.id
where c.id = $1 and c.deleted_at is null`

// DocumentFor implements catalog.Store.
func (s *Store) DocumentFor(ctx context.Context, id, user uuid.UUID, full bool, known int64) (catalog.Head, catalog.Documents, error) {
	type row struct {
		catalog.Head
		PublishedDocument []byte
		WholeDocument     []byte
	}
	r, err := oneTrip[row](ctx, s.db, "course", documentForSQL, id, user, full, known)
	return r.Head, catalog.Documents{Full: r.WholeDocument, Published: r.PublishedDocument}, err
}

const documentsSQL = `select whole, published from curriculum_documents where course_id = $1`

// Documents implements catalog.Tx.
func (t tx) Documents(ctx context.Context, course uuid.UUID) (catalog.Documents, error) {
	type row struct{ Whole, Published []byte }
	r, err := pg.One[row](ctx, t, "course", documentsSQL, course)
	return catalog.Documents{Full: r.Whole, Published: r.Published}, err
}

const (
	modulesSQL = `
select id, title, published, unlock_at, prerequisites, sequential, required_count, relock from modules
where course_id = $1 order by position, id`
	itemsSQL = `
select i.id, i.module_id, i.kind, i.title, i.published, i.resource_id, i.url, i.unlock_at, i.requirement_kind, i.min_score, i.score_unit,
  i.placed_at, r.tenant_id as resource_tenant, r.course_id as resource_course, r.kind as resource_kind, r.title as resource_title,
  r.published as resource_published, r.deleted as resource_deleted, r.points as resource_points
from items i left join resources r on r.id = i.resource_id
where i.course_id = $1 order by i.module_id, i.position, i.id`
)

type moduleRow struct {
	ID            uuid.UUID
	Title         string
	Published     bool
	UnlockAt      *time.Time
	Prerequisites []uuid.UUID
	Sequential    bool
	RequiredCount *int
	Relock        int64
}

type itemRow struct {
	ID                uuid.UUID
	ModuleID          uuid.UUID
	Kind              string
	Title             string
	Published         bool
	ResourceID        *uuid.UUID
	URL               string
	UnlockAt          *time.Time
	RequirementKind   *string
	MinScore          *int64
	ScoreUnit         *string
	PlacedAt          time.Time
	ResourceTenant    *uuid.UUID
	ResourceCourse    *uuid.UUID
	ResourceKind      *string
	ResourceTitle     *string
	ResourcePublished *bool
	ResourceDeleted   *bool
	ResourcePoints    *int64
}

func (r itemRow) item() catalog.Item {
	i := catalog.Item{
		ID: r.ID, Kind: r.Kind, Title: r.Title, Published: r.Published, ResourceID: r.ResourceID, URL: r.URL, UnlockAt: r.UnlockAt, PlacedAt: r.PlacedAt,
	}
	if r.RequirementKind != nil {
		i.Requirement = &catalog.Requirement{Kind: *r.RequirementKind, MinScore: hundredths(r.MinScore)}
		if r.ScoreUnit != nil {
			i.Requirement.Unit = *r.ScoreUnit
		}
	}
	if r.ResourceID != nil && r.ResourceTenant != nil {
		i.Resource = &catalog.Resource{
			ID: *r.ResourceID, TenantID: *r.ResourceTenant, CourseID: r.ResourceCourse, Kind: *r.ResourceKind, Title: *r.ResourceTitle,
			Published: *r.ResourcePublished, Deleted: *r.ResourceDeleted, Points: hundredths(r.ResourcePoints),
		}
	}
	return i
}

func hundredths(v *int64) *events.Hundredths {
	if v == nil {
		return nil
	}
	h := events.Hundredths(*v)
	return &h
}

// Curriculum implements catalog.Tx.
func (t tx) Curriculum(ctx context.Context, course uuid.UUID) (catalog.Curriculum, error) {
	modules, err := pg.Many[moduleRow](ctx, t, modulesSQL, course)
	if err != nil {
		return catalog.Curriculum{}, err
	}
	items, err := pg.Many[itemRow](ctx, t, itemsSQL, course)
	if err != nil {
		return catalog.Curriculum{}, err
	}
	cur := catalog.Curriculum{CourseID: course, Modules: make([]catalog.Module, len(modules))}
	place := make(map[uuid.UUID]int, len(modules))
	for i, m := range modules {
		place[m.ID] = i
		cur.Modules[i] = catalog.Module{
			ID: m.ID, Title: m.Title, Published: m.Published, UnlockAt: m.UnlockAt, Prerequisites: m.Prerequisites,
			Sequential: m.Sequential, RequiredCount: m.RequiredCount, Relock: m.Relock, Items: []catalog.Item{},
		}
	}
	for _, r := range items {
		m := &cur.Modules[place[r.ModuleID]]
		m.Items = append(m.Items, r.item())
	}
	return cur, nil
}

const (
	saveModulesSQL = `
insert into modules (id, course_id, tenant_id, position, title, published, unlock_at, prerequisites, sequential, required_count, relock)
select id, $2, $3, position, title, published, unlock_at, prerequisites, sequential, required_count, relock
from jsonb_to_recordset($1::jsonb) as m (id uuid, position int, title text, published boolean, unlock_at timestamptz,
  prerequisites uuid[], sequential boolean, required_count int, relock bigint)
on conflict (id) do update set position = excluded.position, title = excluded.title, published = excluded.published,
  unlock_at = excluded.unlock_at, prerequisites = excluded.prerequisites, sequential = excluded.sequential,
  required_count = excluded.required_count, relock = excluded.relock
where modules.course_id = $2`
	saveItemsSQL = `
insert into items (id, course_id, module_id, tenant_id, position, kind, title, published, resource_id, url, unlock_at,
  requirement_kind, min_score, score_unit, placed_at)
select id, $2, module_id, $3, position, kind, title, published, resource_id, url, unlock_at, requirement_kind, min_score, score_unit, placed_at
from jsonb_to_recordset($1::jsonb) as i (id uuid, module_id uuid, position int, kind text, title text, published boolean, resource_id uuid,
  url text, unlock_at timestamptz, requirement_kind text, min_score bigint, score_unit text, placed_at timestamptz)
on conflict (id) do update set module_id = excluded.module_id, position = excluded.position, title = excluded.title,
  published = excluded.published, resource_id = excluded.resource_id, url = excluded.url, unlock_at = excluded.unlock_at,
  requirement_kind = excluded.requirement_kind, min_score = excluded.min_score, score_unit = excluded.score_unit
where items.course_id = $2`
	saveBodiesSQL = `
insert into page_bodies (item_id, course_id, tenant_id, body)
select item_id, $2, $3, body from jsonb_to_recordset($1::jsonb) as b (item_id uuid, body text)
on conflict (item_id) do update set body = excluded.body where page_bodies.course_id = $2`
	deleteItemsSQL   = `delete from items where course_id = $1 and id = any($2)`
	deleteModulesSQL = `delete from modules where course_id = $1 and id = any($2)`
	saveDocumentsSQL = `
insert into curriculum_documents (course_id, tenant_id, version, whole, published) values ($1, $2, $3, $4, $5)
on conflict (course_id) do update set version = excluded.version, whole = excluded.whole, published = excluded.published`
)

type savedModule struct {
	ID            uuid.UUID   `json:"id"`
	Position      int         `json:"position"`
	Title         string      `json:"title"`
	Published     bool        `json:"published"`
	UnlockAt      *time.Time  `json:"unlock_at"`
	Prerequisites []uuid.UUID `json:"prerequisites"`
	Sequential    bool        `json:"sequential"`
	RequiredCount *int        `json:"required_count"`
	Relock        int64       `json:"relock"`
}

type savedItem struct {
	ID              uuid.UUID  `json:"id"`
	ModuleID        uuid.UUID  `json:"module_id"`
	Position        int        `json:"position"`
	Kind            string     `json:"kind"`
	Title           string     `json:"title"`
	Published       bool       `json:"published"`
	ResourceID      *uuid.UUID `json:"resource_id"`
	URL             string     `json:"url"`
	UnlockAt        *time.Time `json:"unlock_at"`
	RequirementKind *string    `json:"requirement_kind"`
	MinScore        *int64     `json:"min_score"`
	ScoreUnit       *string    `json:"score_unit"`
	PlacedAt        time.Time  `json:"placed_at"`
}

type savedBody struct {
	ItemID uuid.UUID `json:"item_id"`
	Body   string    `json:"body"`
}

// rowsOf flattens a curriculum into the rows that are stored of it.
func rowsOf(c catalog.Curriculum) (modules map[uuid.UUID]savedModule, items map[uuid.UUID]savedItem, bodies []savedBody) {
	modules, items = map[uuid.UUID]savedModule{}, map[uuid.UUID]savedItem{}
	for mi, m := range c.Modules {
		prerequisites := m.Prerequisites
		if prerequisites == nil {
			prerequisites = []uuid.UUID{}
		}
		modules[m.ID] = savedModule{
			ID: m.ID, Position: mi, Title: m.Title, Published: m.Published, UnlockAt: m.UnlockAt, Prerequisites: prerequisites,
			Sequential: m.Sequential, RequiredCount: m.RequiredCount, Relock: m.Relock,
		}
		for ii, i := range m.Items {
			row := savedItem{
				ID: i.ID, ModuleID: m.ID, Position: ii, Kind: i.Kind, Title: i.Title, Published: i.Published,
				ResourceID: i.ResourceID, URL: i.URL, UnlockAt: i.UnlockAt, PlacedAt: i.PlacedAt,
			}
			if r := i.Requirement; r != nil {
				row.RequirementKind = &r.Kind
				if r.MinScore != nil {
					score := int64(*r.MinScore)
					row.MinScore, row.ScoreUnit = &score, &r.Unit
				}
			}
			items[i.ID] = row
			if i.Body != nil {
				bodies = append(bodies, savedBody{ItemID: i.ID, Body: *i.Body})
			}
		}
	}
	return modules, items, bodies
}

// delta is what of after is new or different, and what of before is gone.
func delta[T any](before, after map[uuid.UUID]T) (write []T, gone []uuid.UUID) {
	for id, row := range after {
		if old, ok := before[id]; !ok || !reflect.DeepEqual(old, row) {
			write = append(write, row)
		}
	}
	for id := range before {
		if _, ok := after[id]; !ok {
			gone = append(gone, id)
		}
	}
	return write, gone
}

// SaveCurriculum implements catalog.Tx: all statements go in one round trip. Items
// are written before they are deleted, and modules deleted last, so that an item
// can move out of a module that goes.
func (t tx) SaveCurriculum(ctx context.Context, c catalog.Course, before, after catalog.Curriculum, docs catalog.Documents) error {
	oldModules, oldItems, _ := rowsOf(before)
	newModules, newItems, bodies := rowsOf(after)
	modules, goneModules := delta(oldModules, newModules)
	items, goneItems := delta(oldItems, newItems)
	b := &pgx.Batch{}
	if len(modules) > 0 {
		b.Queue(saveModulesSQL, modules, c.ID, c.TenantID)
	}
	if len(items) > 0 {
		b.Queue(saveItemsSQL, items, c.ID, c.TenantID)
	}
	if len(bodies) > 0 {
		b.Queue(saveBodiesSQL, bodies, c.ID, c.TenantID)
	}
	if len(goneItems) > 0 {
		b.Queue(deleteItemsSQL, c.ID, goneItems)
	}
	if len(goneModules) > 0 {
		b.Queue(deleteModulesSQL, c.ID, goneModules)
	}
	b.Queue(saveDocumentsSQL, c.ID, c.TenantID, c.CurriculumVersion, docs.Full, docs.Published)
	return t.SendBatch(ctx, b).Close()
}

const (
	bodiesSQL    = `select item_id, body from page_bodies where course_id = $1`
	bodyBytesSQL = `select coalesce(sum(octet_length(body)), 0)::bigint from page_bodies where course_id = $1`
	bodySQL      = `select coalesce((select body from page_bodies where item_id = $1), '')`
)

// Bodies implements catalog.Tx.
func (t tx) Bodies(ctx context.Context, course uuid.UUID) (map[uuid.UUID]string, error) {
	rows, err := pg.Many[savedBody](ctx, t, bodiesSQL, course)
	out := make(map[uuid.UUID]string, len(rows))
	for _, r := range rows {
		out[r.ItemID] = r.Body
	}
	return out, err
}

// Body implements catalog.Tx.
func (t tx) Body(ctx context.Context, item uuid.UUID) (string, error) {
	return pg.Scalar[string](ctx, t, "item", bodySQL, item)
}

// BodyBytes implements catalog.Tx.
func (t tx) BodyBytes(ctx context.Context, course uuid.UUID) (int64, error) {
	return pg.Scalar[int64](ctx, t, "course", bodyBytesSQL, course)
}

const (
	resourceColumns   = `id, tenant_id, course_id, kind, title, published, deleted, points`
	shareResourcesSQL = `select ` + resourceColumns + ` from resources where id = any($1) order by id for share`
	lockResourceSQL   = `select ` + resourceColumns + ` from resources where id = $1 for update`
	putResourceSQL    = `
insert into resources (id, tenant_id, course_id, kind, title, published, deleted, points, updated_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (id) do update set course_id = excluded.course_id, title = excluded.title, published = excluded.published,
  deleted = excluded.deleted, points = excluded.points, updated_at = excluded.updated_at`
	coursesWithSQL = `select distinct course_id from items where resource_id = $1 order by course_id`
	usagesSQL      = `
select i.course_id, c.title as course_title, c.status as course_status, i.module_id, i.id as item_id, i.title as item_title, i.placed_at
from items i join courses c on c.id = i.course_id
where i.resource_id = $1 and c.deleted_at is null order by i.placed_at, i.id limit 1000`
)

// ShareResources implements catalog.Tx.
func (t tx) ShareResources(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]catalog.Resource, error) {
	if len(ids) == 0 {
		return map[uuid.UUID]catalog.Resource{}, nil
	}
	rows, err := pg.Many[catalog.Resource](ctx, t, shareResourcesSQL, ids)
	out := make(map[uuid.UUID]catalog.Resource, len(rows))
	for _, r := range rows {
		out[r.ID] = r
	}
	return out, err
}

// LockResource implements catalog.Tx.
func (t tx) LockResource(ctx context.Context, id uuid.UUID) (catalog.Resource, bool, error) {
	r, err := pg.One[catalog.Resource](ctx, t, "resource", lockResourceSQL, id)
	if apperr.IsKind(err, apperr.KindNotFound) {
		return catalog.Resource{}, false, nil
	}
	return r, err == nil, err
}

// PutResource implements catalog.Tx.
func (t tx) PutResource(ctx context.Context, r catalog.Resource, at time.Time) error {
	_, err := pg.Exec(ctx, t, putResourceSQL, r.ID, r.TenantID, r.CourseID, r.Kind, r.Title, r.Published, r.Deleted, r.Points, at)
	return err
}

// CoursesWith implements catalog.Tx.
func (t tx) CoursesWith(ctx context.Context, resource uuid.UUID) ([]uuid.UUID, error) {
	return pg.Column[uuid.UUID](ctx, t, coursesWithSQL, resource)
}

// Usages implements catalog.Tx.
func (t tx) Usages(ctx context.Context, resource uuid.UUID) ([]catalog.Usage, error) {
	return pg.Many[catalog.Usage](ctx, t, usagesSQL, resource)
}
