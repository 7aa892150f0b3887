// Package enginetest is what every engine has to do, as tests: they find the same,
// count the same, and show the same to the same people.
package enginetest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/search/internal/language"
	"lms/apps/search/internal/search"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/journal/acts"
	"lms/shared/page"
	"lms/shared/record/recordtest"
)

// Open gives an empty engine of a test.
type Open func(t *testing.T) search.Engine

// now is the time of every world.
func now() time.Time { return time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC) }

// id makes ids that can be told apart, and do not change from run to run.
func id(kind, n byte) uuid.UUID {
	out := uuid.MustParse("0197c0de-0000-7000-8000-000000000000")
	out[14], out[15] = kind, n
	return out
}

// The two organisations, each with two org units below.
func tenant(n byte) uuid.UUID        { return id(1, n) }
func unit(tenant, n byte) uuid.UUID  { return id(2, tenant*16+n) }
func courseID(n byte) uuid.UUID      { return id(3, n) }
func contentID(n byte) uuid.UUID     { return id(4, n) }
func userID(n byte) uuid.UUID        { return id(5, n) }
func category(n byte) *uuid.UUID     { c := id(6, n); return &c }
func ptr[T any](v T) *T              { return &v }
func titles(f search.Found) []string { return titlesOf(f.Items) }

func titlesOf(items []search.Item) []string {
	out := []string{}
	for _, i := range items {
		out = append(out, i.Title)
	}
	return out
}

func policy() *authz.Policy {
	var units []authz.OrgUnit
	for t := byte(1); t <= 2; t++ {
		units = append(units, authz.OrgUnit{ID: tenant(t), TenantID: tenant(t)})
		for n := byte(1); n <= 2; n++ {
			units = append(units, authz.OrgUnit{ID: unit(t, n), ParentID: tenant(t), TenantID: tenant(t)})
		}
	}
	return authz.NewPolicy(authz.Snapshot{OrgUnits: units, Roles: authz.BuiltinRoles()})
}

// members answers for enrollment.
type members struct {
	mu   sync.Mutex
	of   map[uuid.UUID][]search.Membership
	away bool
}

func (m *members) CoursesOf(_ context.Context, user uuid.UUID) ([]search.Membership, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return nil, apperr.Unavailable("service_unavailable", "enrollment is away")
	}
	return m.of[user], nil
}

// world is an engine with a service on it.
type world struct {
	t       *testing.T
	engine  search.Engine
	service *search.Service
	indexer *search.Indexer
	maker   search.Maker
	members *members
	told    []search.Performed
}

func newWorld(t *testing.T, open Open) *world {
	t.Helper()
	w := &world{t: t, engine: open(t), maker: search.Maker{Languages: language.New()}, members: &members{of: map[uuid.UUID][]search.Membership{}}}
	source := authz.Fixed{P: policy()}
	store := recordtest.NewMemory(now)
	w.service = &search.Service{
		Engine: w.engine, Policy: source, Members: w.members, Languages: w.maker.Languages,
		Synonyms: search.NewSynonymStore(store, now, acts.New(store, source, now, uuid.New), slog.New(slog.DiscardHandler)), Now: now,
		Performed: func(p search.Performed) { w.told = append(w.told, p) },
	}
	w.indexer = &search.Indexer{Engine: w.engine, Maker: w.maker}
	return w
}

// course is a published course of the first organisation that everybody there sees.
func course(n byte, title, about string, change ...func(*events.CourseState)) events.CourseState {
	c := events.CourseState{
		ID: courseID(n), TenantID: tenant(1), OrgUnitID: unit(1, 1), Code: fmt.Sprintf("C-%d", 100+int(n)), Title: title, Description: about,
		Language: "en", Level: "beginner", Tags: []string{}, Status: events.CoursePublished, Visibility: events.VisibilityOrganisation,
		EnrollmentMode: events.EnrollmentSelf, Seats: events.SeatsOpen, UpdatedAt: now().Add(time.Duration(n) * time.Minute), Version: 1,
	}
	for _, f := range change {
		f(&c)
	}
	return c
}

func content(n byte, title, text string, change ...func(*events.ContentState)) (events.ContentState, string) {
	c := events.ContentState{
		ID: contentID(n), TenantID: tenant(1), OrgUnitID: unit(1, 1), Kind: events.ContentPDF, Title: title, Language: "en",
		Status: events.ContentStatusPublished, UpdatedAt: now(), Version: 1,
	}
	for _, f := range change {
		f(&c)
	}
	return c, text
}

func in(lang string) func(*events.CourseState) {
	return func(c *events.CourseState) { c.Language = lang }
}

// add writes courses at version 1.
func (w *world) add(courses ...events.CourseState) {
	w.t.Helper()
	var docs []search.Document
	for _, c := range courses {
		docs = append(docs, w.maker.Course(c, 1, search.Around{}))
	}
	w.write(docs...)
}

func (w *world) write(docs ...search.Document) {
	w.t.Helper()
	require.NoError(w.t, w.engine.Write(w.t.Context(), docs))
	w.visible()
}

// change is something that is told.
func change(t *testing.T, typ string, seq int64, v any) search.Change {
	t.Helper()
	raw, err := json.Marshal(v)
	require.NoError(t, err)
	return search.Change{Type: typ, Seq: seq, Data: raw}
}

// apply has the index take what is told, which need not be found yet.
func (w *world) apply(changes ...search.Change) {
	w.t.Helper()
	for _, err := range w.indexer.Apply(w.t.Context(), changes) {
		require.NoError(w.t, err)
	}
}

func (w *world) tell(changes ...search.Change) {
	w.t.Helper()
	w.apply(changes...)
	w.visible()
}

// visible waits until what was written is found.
func (w *world) visible() {
	w.t.Helper()
	if r, ok := w.engine.(interface {
		Refresh(ctx context.Context) error
	}); ok {
		require.NoError(w.t, r.Refresh(w.t.Context()))
	}
}

func (w *world) place(course byte, visible, hidden []byte) search.Document {
	items := []events.CurriculumItem{{ID: uuid.New(), Kind: events.ItemPage, Title: "Page", Visible: true}}
	for _, n := range visible {
		items = append(items, events.CurriculumItem{ID: uuid.New(), Kind: events.ItemContent, ResourceID: ptr(contentID(n)), Visible: true})
	}
	for _, n := range hidden {
		items = append(items, events.CurriculumItem{ID: uuid.New(), Kind: events.ItemContent, ResourceID: ptr(contentID(n))})
	}
	return w.maker.Outline(events.CurriculumState{CourseID: courseID(course), TenantID: tenant(1), Modules: []events.CurriculumPart{{Items: items}}}, 1)
}

// member is a person of the first organisation without a role.
func member(n byte) authz.Principal {
	return authz.Principal{UserID: userID(n), TenantID: tenant(1), OrgUnitID: unit(1, 1)}
}

func holder(n byte, role string, scope authz.Scope, of byte) authz.Principal {
	p := authz.Principal{UserID: userID(n), TenantID: tenant(of), OrgUnitID: unit(of, 1)}
	p.Grants = []authz.Grant{{Role: role, Scope: scope}}
	return p
}

func (w *world) search(as authz.Principal, text string, change ...func(*search.Params)) search.Found {
	w.t.Helper()
	p := search.Params{Text: text}
	for _, f := range change {
		f(&p)
	}
	found, err := w.service.Search(w.t.Context(), as, p, page.Request{Limit: 200})
	require.NoError(w.t, err)
	require.Len(w.t, found.Items, found.Total, "the count is of what is shown")
	return found
}

func (w *world) finds(as authz.Principal, text string, want ...string) {
	w.t.Helper()
	got := titles(w.search(as, text))
	slices.Sort(got)
	if want == nil {
		want = []string{}
	}
	slices.Sort(want)
	require.Equal(w.t, want, got, "%q", text)
}
