package enginetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/search/internal/search"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
)

func of(t byte) func(*events.CourseState) {
	return func(c *events.CourseState) { c.TenantID, c.OrgUnitID = tenant(t), unit(t, 1) }
}

func status(s string) func(*events.CourseState) {
	return func(c *events.CourseState) { c.Status = s }
}

func seen(by string) func(*events.CourseState) {
	return func(c *events.CourseState) { c.Visibility = by }
}

func staff(n byte, active bool) func(*events.CourseState) {
	return func(c *events.CourseState) {
		c.Staff = append(c.Staff, events.CourseStaff{UserID: userID(n), Role: authz.RoleInstructor, Active: active})
	}
}

func visibility(t *testing.T, open Open) {
	w := newWorld(t, open)
	w.add(
		course(1, "Public", "x", seen(events.VisibilityPublic)), course(2, "Ours", "x"), course(3, "Theirs", "x", of(2)),
		course(4, "Their public", "x", of(2), seen(events.VisibilityPublic)), course(5, "Closed", "x", seen(events.VisibilityEnrolled)),
		course(6, "Draft", "x", status(events.CourseDraft), staff(3, true), staff(4, false)), course(7, "Archive", "x", status(events.CourseArchived)),
		course(8, "Draft there", "x", status(events.CourseDraft), func(c *events.CourseState) { c.OrgUnitID = unit(1, 2) }),
	)
	w.members.of[userID(2)] = []search.Membership{{CourseID: courseID(5), OrgUnitID: unit(1, 1)}, {CourseID: courseID(7), OrgUnitID: unit(1, 1)}}
	w.finds(authz.Principal{}, "", "Public", "Their public")
	w.finds(member(1), "", "Public", "Ours")
	w.finds(member(2), "", "Public", "Ours", "Closed")
	w.finds(member(3), "", "Public", "Ours", "Draft")
	w.finds(member(4), "", "Public", "Ours")
	here, there := authz.Scope{Kind: authz.ScopeOrgUnit, ID: unit(1, 1)}, authz.Scope{Kind: authz.ScopeOrgUnit, ID: unit(1, 2)}
	w.finds(holder(5, authz.RoleInstructor, here, 1), "", "Public", "Ours", "Closed", "Draft")
	w.finds(holder(5, authz.RoleInstructor, there, 1), "", "Public", "Ours", "Draft there")
	w.finds(holder(5, authz.RoleOrgAdmin, authz.Scope{Kind: authz.ScopeOrgUnit, ID: tenant(1)}, 1), "", "Public", "Ours", "Closed", "Draft", "Draft there")
	w.finds(holder(5, authz.RoleOrgAdmin, authz.Scope{Kind: authz.ScopeOrgUnit, ID: tenant(2)}, 2), "", "Theirs", "Their public")
	w.finds(holder(5, authz.RoleStudent, here, 1), "", "Public", "Ours")
	w.finds(holder(6, authz.RolePlatformAdmin, authz.Scope{Kind: authz.ScopePlatform}, 1), "", "Public", "Ours", "Theirs", "Their public", "Closed", "Draft", "Draft there")
	archive := func(p *search.Params) { p.Statuses = []string{events.CourseArchived} }
	require.Equal(t, []string{"Archive"}, titles(w.search(holder(5, authz.RoleInstructor, here, 1), "", archive)))
	require.Empty(t, titles(w.search(member(2), "", archive)))
	limited := holder(5, authz.RoleInstructor, here, 1)
	limited.Limited = []authz.Permission{authz.UserRead}
	w.finds(limited, "", "Public", "Ours")

	w.members.away = true
	found := w.search(member(2), "")
	require.True(t, found.Incomplete)
	require.ElementsMatch(t, []string{"Public", "Ours"}, titles(found))
}

// manyKeys: whoever teaches in many large courses holds a key for each content of them.
func manyKeys(t *testing.T, open Open) {
	w := newWorld(t, open)
	c, text := content(1, "Script", "x")
	w.write(w.maker.Content(c, text, 1))
	keys := make([]string, 70_000)
	for i := range keys {
		keys[i] = fmt.Sprintf("content:%d", i)
	}
	for _, at := range []int{0, len(keys) - 1} {
		held := slices.Clone(keys)
		held[at] = "content:" + c.ID.String()
		res, err := w.engine.Search(t.Context(), search.Request{Query: search.In{Field: search.KeyAudience, Values: held}, Size: 1})
		require.NoError(t, err)
		require.Equal(t, 1, res.Total)
	}
}

// secrets: what a caller may not see changes nothing of what they get, not even a
// count, a facet, a suggestion, or how their words are understood.
func secrets(t *testing.T, open Open) {
	w := newWorld(t, open)
	mine := []events.CourseState{course(1, "Enzymes", "How they work."), course(2, "Cells", "With enzymes.")}
	w.add(mine...)
	ask := func() []any {
		var out []any
		for _, text := range []string{"", "enzymes", "enzimes", "zymurgy", "enzymes zymurgy", "secret", "enz*"} {
			f := w.search(member(1), text, func(p *search.Params) { p.Facets = search.Facets() })
			out = append(out, f.Total, f.Match, f.Facets, titles(f))
			for _, i := range f.Items {
				out = append(out, i.Highlights)
			}
		}
		for _, text := range []string{"enz", "z", "s", "enzimes"} {
			list, err := w.service.Suggest(t.Context(), member(1), text, nil, 10)
			require.NoError(t, err)
			out = append(out, list)
		}
		return out
	}
	before := ask()
	hidden := []events.CourseState{}
	for n := byte(20); n < 30; n++ {
		hidden = append(hidden, course(n, "Zymurgy secret enzimes enzymes", "enzymes", of(2), func(c *events.CourseState) {
			c.Tags, c.Level, c.Language, c.CategoryID = []string{"hidden"}, "secret", "xx", category(9)
		}), course(n+10, "Draft zymurgy enzimes", "secret", status(events.CourseDraft)), course(n+20, "Archived enzimes", "x", status(events.CourseArchived)),
			course(n+30, "Enrolled zymurgy enzimes", "x", seen(events.VisibilityEnrolled)))
	}
	w.add(hidden...)
	c, text := content(1, "Secret zymurgy", "enzimes")
	w.write(w.maker.Content(c, text, 1))
	require.Equal(t, before, ask())
}

func contents(t *testing.T, open Open) {
	w := newWorld(t, open)
	w.add(course(1, "Cells", "x"), course(2, "Archive", "x", status(events.CourseArchived)), course(3, "Other", "x"))
	doc := func(n byte, title, text string, change ...func(*events.ContentState)) search.Document {
		c, text := content(n, title, text, change...)
		return w.maker.Content(c, text, 1)
	}
	w.write(
		doc(1, "Script", "Mitochondria are the powerhouse."), doc(2, "Hidden item", "mitochondria"), doc(3, "Unplaced", "mitochondria"),
		doc(4, "Draft", "mitochondria", func(c *events.ContentState) { c.Status = events.ContentDraft }), doc(5, "In the archive", "mitochondria"),
		doc(6, "Made for it", "mitochondria", func(c *events.ContentState) { c.Status, c.CourseID = events.ContentDraft, ptr(courseID(1)) }),
		w.place(1, []byte{1, 4}, []byte{2}), w.place(2, []byte{5}, nil),
	)
	w.members.of[userID(2)] = []search.Membership{{CourseID: courseID(1)}, {CourseID: courseID(2)}}
	w.members.of[userID(3)] = []search.Membership{{CourseID: courseID(1), OrgUnitID: unit(1, 1), Staff: true, Role: authz.RoleInstructor}}
	w.finds(authz.Principal{}, "mitochondria")
	w.finds(member(1), "mitochondria")
	w.finds(member(2), "mitochondria", "Script")
	w.finds(member(3), "mitochondria", "Script", "Hidden item", "Draft", "Made for it")
	item := w.search(member(2), "powerhouse").Items[0]
	require.Equal(t, []uuid.UUID{courseID(1)}, item.Courses)
	require.Equal(t, "Mitochondria are the <mark>powerhouse</mark>.", item.Highlights["text"])
	w.finds(holder(5, authz.RoleInstructor, authz.Scope{Kind: authz.ScopeOrgUnit, ID: unit(1, 1)}, 1), "mitochondria", "Script", "Hidden item", "Unplaced", "Draft", "In the archive", "Made for it")

	// The course goes back to draft: its contents are gone for learners at once.
	w.write(w.maker.Course(course(1, "Cells", "x", status(events.CourseDraft)), 2, search.Around{}))
	w.finds(member(2), "mitochondria")
	w.finds(member(3), "mitochondria", "Script", "Hidden item", "Draft", "Made for it")
}

// library answers for the owning services, and lets a test write while it is read.
type library struct {
	courses []events.CourseState
	during  func()
	once    sync.Once
}

func (l *library) Courses(_ context.Context, cursor string) ([]internalapi.CourseDocument, string, error) {
	l.once.Do(l.during)
	at := 0
	if cursor != "" {
		at = int(cursor[0])
	}
	if at >= len(l.courses) {
		return nil, "", nil
	}
	page := []internalapi.CourseDocument{{Course: l.courses[at], Curriculum: events.CurriculumState{CourseID: l.courses[at].ID}, Seq: 5}}
	return page, string([]byte{byte(at + 1)}), nil
}

func (l *library) Contents(context.Context, string) ([]internalapi.ContentDocument, string, error) {
	c, text := content(1, "Script", "mitochondria")
	return []internalapi.ContentDocument{{Content: c, Text: text, Seq: 2}}, "", nil
}

func rebuilding(t *testing.T, open Open) {
	w := newWorld(t, open)
	filled, err := w.engine.Filled(t.Context(), search.Rules())
	require.NoError(t, err)
	require.False(t, filled, "an index that was never made whole")
	w.add(course(1, "Stays", "x"), course(2, "No longer there", "x"))
	src := &library{courses: []events.CourseState{course(1, "Stays", "x"), course(3, "Was missing", "x"), course(5, "Older than what is told", "x")}}
	src.during = func() {
		w.finds(member(1), "", "Stays", "No longer there") // the old one answers
		w.write(w.maker.Course(course(4, "Told meanwhile", "x"), 1, search.Around{}), w.maker.Course(course(5, "Newer", "x"), 6, search.Around{}))
		w.finds(member(1), "", "Stays", "No longer there", "Told meanwhile", "Newer")
	}
	b := search.Builder{Engine: w.engine, Maker: w.maker, Sources: src}
	var last, total int64
	require.NoError(t, b.Rebuild(t.Context(), func(d, n int64) error { last, total = d, n; return nil }))
	require.Equal(t, total, last)
	w.visible()
	w.finds(member(1), "", "Stays", "Was missing", "Told meanwhile", "Newer")
	filled, err = w.engine.Filled(t.Context(), search.Rules())
	require.NoError(t, err)
	require.True(t, filled)
	filled, err = w.engine.Filled(t.Context(), "other rules")
	require.NoError(t, err)
	require.False(t, filled)

	// One that fails leaves the index as it was; one that is begun again goes first.
	fails := search.Builder{Engine: w.engine, Maker: w.maker, Sources: src}
	require.ErrorIs(t, fails.Rebuild(t.Context(), func(int64, int64) error { return context.Canceled }), context.Canceled)
	first, err := w.engine.Begin(t.Context(), "1")
	require.NoError(t, err)
	second, err := w.engine.Begin(t.Context(), "2")
	require.NoError(t, err)
	require.Error(t, first.Commit(t.Context()))
	require.NoError(t, second.Abort(t.Context()))
	w.finds(member(1), "", "Stays", "Was missing", "Told meanwhile", "Newer")
}
