package catalog

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lms/shared/apperr"
	"lms/shared/contracts/events"
)

func maker() Maker {
	return Maker{NewID: func() uuid.UUID { return uuid.Must(uuid.NewV7()) }, Now: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)}
}

func page1(title string, r *Requirement) ItemDraft {
	return ItemDraft{Kind: events.ItemPage, Title: title, Published: true, Requirement: r}
}

func view() *Requirement { return &Requirement{Kind: events.RequireView} }

func two() *int { n := 2; return &n }

func sample(t require.TestingT) Curriculum {
	c, err := Curriculum{CourseID: uuid.Must(uuid.NewV7())}.Replace(CurriculumDraft{Modules: []ModuleDraft{
		{Key: "a", Title: "A", Published: true, Items: []ItemDraft{page1("a1", view()), page1("a2", view()), page1("a3", nil)}},
		{Key: "b", Title: "B", Published: true, Prerequisites: []string{"a"}, Sequential: true, Items: []ItemDraft{page1("b1", view())}},
		{Key: "c", Title: "C", Prerequisites: []string{"a", "b"}, RequiredCount: two(), Items: []ItemDraft{page1("c1", view()), page1("c2", view())}},
	}}, maker())
	require.NoError(t, err)
	return c
}

func codes(err error) map[string]string {
	out := map[string]string{}
	if err == nil {
		return out
	}
	for _, f := range apperr.From(err).Fields {
		out[f.Path] = f.Code
	}
	return out
}

// draftOf is the draft that asks for the curriculum as it is.
func draftOf(c Curriculum) CurriculumDraft {
	d := CurriculumDraft{}
	for _, m := range c.Modules {
		id := m.ID
		md := ModuleDraft{ID: &id, Title: m.Title, Published: m.Published, UnlockAt: m.UnlockAt, Sequential: m.Sequential, RequiredCount: m.RequiredCount}
		for _, p := range m.Prerequisites {
			md.Prerequisites = append(md.Prerequisites, p.String())
		}
		for _, i := range m.Items {
			iid := i.ID
			md.Items = append(md.Items, ItemDraft{
				ID: &iid, Kind: i.Kind, Title: i.Title, Published: i.Published, ResourceID: i.ResourceID, URL: i.URL, UnlockAt: i.UnlockAt, Requirement: i.Requirement,
			})
		}
		d.Modules = append(d.Modules, md)
	}
	return d
}

func ids(c Curriculum) []uuid.UUID {
	out := []uuid.UUID{}
	for _, m := range c.Modules {
		out = append(out, m.ID)
		for _, i := range m.Items {
			out = append(out, i.ID)
		}
	}
	return out
}

func TestReplaceWithItselfChangesNothing(t *testing.T) {
	t.Parallel()
	c := sample(t)
	c.Modules[0].Relock = 3
	again, err := c.Replace(draftOf(c), maker())
	require.NoError(t, err)
	require.Equal(t, c.View(1, true), again.View(1, true))
	require.Equal(t, int64(3), again.Modules[0].Relock, "identity keeps the relock count")
}

func TestReplaceRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	c := sample(t)
	other := uuid.Must(uuid.NewV7())
	tests := map[string]struct {
		change func(*CurriculumDraft)
		path   string
		code   string
	}{
		"unknown module":     {func(d *CurriculumDraft) { d.Modules[0].ID = &other }, "modules[0].id", "unknown_id"},
		"unknown item":       {func(d *CurriculumDraft) { d.Modules[0].Items[1].ID = &other }, "modules[0].items[1].id", "unknown_id"},
		"item used twice":    {func(d *CurriculumDraft) { d.Modules[1].Items[0].ID = d.Modules[0].Items[0].ID }, "modules[1].items[0].id", "unknown_id"},
		"module used twice":  {func(d *CurriculumDraft) { d.Modules[1].ID = d.Modules[0].ID }, "modules[1].id", "unknown_id"},
		"kind changes":       {func(d *CurriculumDraft) { d.Modules[0].Items[0].Kind = events.ItemQuiz }, "modules[0].items[0].kind", "fixed"},
		"later prerequisite": {func(d *CurriculumDraft) { slices.Reverse(d.Modules) }, "modules[0].prerequisites[0]", "not_earlier"},
		"own prerequisite":   {func(d *CurriculumDraft) { d.Modules[0].Prerequisites = []string{d.Modules[0].ID.String()} }, "modules[0].prerequisites[0]", "not_earlier"},
		"prerequisite twice": {func(d *CurriculumDraft) {
			d.Modules[1].Prerequisites = append(d.Modules[1].Prerequisites, d.Modules[0].ID.String())
		}, "modules[1].prerequisites[1]", "duplicate"},
		"N of fewer than N":  {func(d *CurriculumDraft) { d.Modules[1].RequiredCount = two() }, "modules[1].required_count", "range"},
		"no title":           {func(d *CurriculumDraft) { d.Modules[0].Title = "  " }, "modules[0].title", "required"},
		"submit of a page":   {func(d *CurriculumDraft) { d.Modules[0].Items[0].Requirement = &Requirement{Kind: events.RequireSubmit} }, "modules[0].items[0].requirement.kind", "enum"},
		"resource of a page": {func(d *CurriculumDraft) { d.Modules[0].Items[0].ResourceID = &other }, "modules[0].items[0].resource_id", "not_allowed"},
		"address of a page":  {func(d *CurriculumDraft) { d.Modules[0].Items[0].URL = "https://example.org" }, "modules[0].items[0].url", "not_allowed"},
		"link to a script": {func(d *CurriculumDraft) {
			d.Modules[0].Items = append(d.Modules[0].Items, ItemDraft{Kind: events.ItemLink, Title: "x", URL: "javascript:alert(1)"})
		}, "modules[0].items[3].url", "url"},
		"min_score of a page": {func(d *CurriculumDraft) {
			s := events.Hundredths(100)
			d.Modules[0].Items[0].Requirement = &Requirement{Kind: events.RequireView, MinScore: &s}
		}, "modules[0].items[0].requirement.min_score", "not_allowed"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := draftOf(c)
			tc.change(&d)
			_, err := c.Replace(d, maker())
			require.Equal(t, tc.code, codes(err)[tc.path], "%v", err)
			require.True(t, apperr.IsKind(err, apperr.KindInvalid))
		})
	}
}

func TestMinScoreSaysItsUnit(t *testing.T) {
	t.Parallel()
	score := func(h events.Hundredths, unit string) *Requirement {
		return &Requirement{Kind: events.RequireMinScore, MinScore: &h, Unit: unit}
	}
	tests := map[string]struct {
		r    *Requirement
		want map[string]string
	}{
		"percent":          {score(100_00, events.ScorePercent), map[string]string{}},
		"over 100 percent": {score(100_01, events.ScorePercent), map[string]string{"requirement.min_score": "range"}},
		"points":           {score(250_00, events.ScorePoints), map[string]string{}},
		"nothing":          {score(0, events.ScorePoints), map[string]string{"requirement.min_score": "range"}},
		"no unit":          {score(50_00, ""), map[string]string{"requirement.unit": "enum"}},
		"no score":         {&Requirement{Kind: events.RequireMinScore, Unit: events.ScorePercent}, map[string]string{"requirement.min_score": "required"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := sample(t)
			_, _, err := c.AddItem(c.Modules[0].ID, ItemDraft{Kind: events.ItemQuiz, Title: "q", Requirement: tc.r}, nil, maker())
			require.Equal(t, tc.want, codes(err), "fields are relative to the item")
		})
	}
}

func TestLimitsOfACurriculum(t *testing.T) {
	t.Parallel()
	c := Curriculum{CourseID: uuid.Must(uuid.NewV7())}
	full := ModuleDraft{Title: "M"}
	for range MaxItems + 1 {
		full.Items = append(full.Items, ItemDraft{Kind: events.ItemPage, Title: "p"})
	}
	_, err := c.Replace(CurriculumDraft{Modules: []ModuleDraft{full}}, maker())
	require.Equal(t, "too_many_items", codes(err)["modules"])

	full.Items = full.Items[:MaxItems]
	_, err = c.Replace(CurriculumDraft{Modules: []ModuleDraft{full}}, maker())
	require.NoError(t, err, "as many short items as there may be fit into an event")

	for i := range full.Items {
		full.Items[i].Title = "a title that is rather long, as titles of items can be: up to 255 characters"
	}
	_, err = c.Replace(CurriculumDraft{Modules: []ModuleDraft{full}}, maker())
	require.Equal(t, "too_large", codes(err)["modules"])

	var many CurriculumDraft
	for range MaxModules + 1 {
		many.Modules = append(many.Modules, ModuleDraft{Title: "m"})
	}
	_, err = c.Replace(many, maker())
	require.Equal(t, "too_many", codes(err)["modules"])
}

// TestEditsKeepTheRules runs random edits against a plain model: the list of ids in
// order. Whatever succeeds leaves a curriculum that passes every check and differs
// from the model in nothing; whatever fails changes nothing.
func TestEditsKeepTheRules(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := sample(t)
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			before, want := c.Clone(), ids(c)
			next, model, err := randomEdit(t, c, want)
			require.Equal(t, before, c, "an edit leaves its receiver alone")
			if err != nil {
				e := apperr.From(err)
				require.Contains(t, []apperr.Kind{apperr.KindInvalid, apperr.KindNotFound}, e.Kind)
				continue
			}
			require.NoError(t, next.Check())
			require.Equal(t, model, ids(next))
			requireEarlierPrerequisites(t, next)
			c = next
		}
	})
}

func requireEarlierPrerequisites(t require.TestingT, c Curriculum) {
	seen := map[uuid.UUID]bool{}
	for _, m := range c.Modules {
		for _, p := range m.Prerequisites {
			require.True(t, seen[p], "rule 7")
		}
		seen[m.ID] = true
	}
}

func randomEdit(t *rapid.T, c Curriculum, model []uuid.UUID) (Curriculum, []uuid.UUID, error) {
	if len(c.Modules) == 0 {
		next, id, err := c.AddModule(ModuleDraft{Title: "first"}, nil, maker())
		return next, []uuid.UUID{id}, err
	}
	m := c.Modules[rapid.IntRange(0, len(c.Modules)-1).Draw(t, "module")]
	start := slices.Index(model, m.ID)
	switch rapid.SampledFrom([]string{"add module", "add item", "remove module", "remove item", "shuffle modules", "shuffle items", "move", "rename", "relock"}).Draw(t, "edit") {
	case "add module":
		d := ModuleDraft{Title: "new"}
		if rapid.Bool().Draw(t, "prerequisite") {
			d.Prerequisites = []string{m.ID.String()}
		}
		next, id, err := c.AddModule(d, nil, maker())
		return next, append(slices.Clone(model), id), err
	case "add item":
		at := rapid.IntRange(0, len(m.Items)).Draw(t, "at")
		next, id, err := c.AddItem(m.ID, page1("i", view()), &at, maker())
		return next, slices.Insert(slices.Clone(model), start+1+at, id), err
	case "remove module":
		next, err := c.RemoveModule(m.ID)
		return next, without(model, append(itemIDs(m), m.ID)), err
	case "remove item":
		if len(m.Items) == 0 {
			return c, model, nil
		}
		i := m.Items[rapid.IntRange(0, len(m.Items)-1).Draw(t, "item")].ID
		next, err := c.RemoveItem(i)
		return next, without(model, []uuid.UUID{i}), err
	case "shuffle modules":
		order := make([]uuid.UUID, len(c.Modules))
		for i, m := range c.Modules {
			order[i] = m.ID
		}
		order = rapid.Permutation(order).Draw(t, "order")
		next, err := c.OrderModules(order)
		want := []uuid.UUID{}
		for _, id := range order {
			at, _ := c.Module(id)
			want = append(append(want, id), itemIDs(c.Modules[at])...)
		}
		return next, want, err
	case "shuffle items":
		order := rapid.Permutation(itemIDs(m)).Draw(t, "order")
		next, err := c.OrderItems(m.ID, order)
		want := slices.Clone(model)
		copy(want[start+1:], order)
		return next, want, err
	case "move":
		if len(m.Items) == 0 {
			return c, model, nil
		}
		item := m.Items[rapid.IntRange(0, len(m.Items)-1).Draw(t, "item")].ID
		to := c.Modules[rapid.IntRange(0, len(c.Modules)-1).Draw(t, "to")].ID
		at := 0
		next, err := c.EditItem(item, &to, &at, func(*Item) {})
		want := without(model, []uuid.UUID{item})
		return next, slices.Insert(want, slices.Index(want, to)+1, item), err
	case "rename":
		next, err := c.EditModule(m.ID, nil, func(m *Module) { m.Title = "renamed" })
		return next, model, err
	default:
		next, err := c.RelockModule(m.ID)
		if err == nil {
			at, _ := next.Module(m.ID)
			require.Equal(t, m.Relock+1, next.Modules[at].Relock)
		}
		return next, model, err
	}
}

func itemIDs(m Module) []uuid.UUID {
	out := make([]uuid.UUID, len(m.Items))
	for i, item := range m.Items {
		out[i] = item.ID
	}
	return out
}

func without(model, gone []uuid.UUID) []uuid.UUID {
	return slices.DeleteFunc(slices.Clone(model), func(id uuid.UUID) bool { return slices.Contains(gone, id) })
}

func TestRemovingAModuleFreesItsDependants(t *testing.T) {
	t.Parallel()
	c := sample(t)
	next, err := c.RemoveModule(c.Modules[0].ID)
	require.NoError(t, err)
	require.Empty(t, next.Modules[0].Prerequisites)
	require.Equal(t, []uuid.UUID{c.Modules[1].ID}, next.Modules[1].Prerequisites)
}

func TestRemovingAnItemThatIsAskedFor(t *testing.T) {
	t.Parallel()
	c := sample(t)
	_, err := c.RemoveItem(c.Modules[2].Items[0].ID)
	require.Equal(t, "range", codes(err)["required_count"], "2 of 2 cannot become 2 of 1")
}

func TestReorderNamesEachOnce(t *testing.T) {
	t.Parallel()
	c := sample(t)
	a, b := c.Modules[0].ID, c.Modules[1].ID
	for _, order := range [][]uuid.UUID{{a, b}, {a, b, b}, {a, b, uuid.Must(uuid.NewV7())}, nil} {
		_, err := c.OrderModules(order)
		require.Equal(t, "not_a_permutation", codes(err)["module_ids"])
	}
}

func TestVisibilityFollowsItemModuleAndResource(t *testing.T) {
	t.Parallel()
	resource := uuid.Must(uuid.NewV7())
	tests := map[string]struct {
		module, item bool
		kind         string
		resource     *Resource
		want         bool
	}{
		"page":                 {true, true, events.ItemPage, nil, true},
		"hidden item":          {true, false, events.ItemPage, nil, false},
		"hidden module":        {false, true, events.ItemPage, nil, false},
		"placeholder":          {true, true, events.ItemQuiz, nil, false},
		"published quiz":       {true, true, events.ItemQuiz, &Resource{Published: true}, true},
		"unpublished quiz":     {true, true, events.ItemQuiz, &Resource{}, false},
		"deleted after all":    {true, true, events.ItemQuiz, &Resource{Published: true, Deleted: true}, false},
		"hidden item, is quiz": {true, false, events.ItemQuiz, &Resource{Published: true}, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := Item{Kind: tc.kind, Published: tc.item, Resource: tc.resource}
			if tc.resource != nil {
				i.ResourceID = &resource
			}
			require.Equal(t, tc.want, i.VisibleIn(Module{Published: tc.module}))
		})
	}
}

func TestLearnersSeeNoDraftsAndNoAddresses(t *testing.T) {
	t.Parallel()
	c, err := Curriculum{}.Replace(CurriculumDraft{Modules: []ModuleDraft{
		{Key: "hidden", Title: "hidden", Items: []ItemDraft{page1("secret", nil)}},
		{Title: "open", Published: true, Prerequisites: []string{"hidden"}, Items: []ItemDraft{
			{Kind: events.ItemLink, Title: "link", URL: "https://example.org/answers", Published: true},
			{Kind: events.ItemPage, Title: "draft"},
			{Kind: events.ItemQuiz, Title: "placeholder", Published: true},
		}},
	}}, maker())
	require.NoError(t, err)
	docs, err := c.Documents(7)
	require.NoError(t, err)
	for _, secret := range []string{"hidden", "secret", "example.org", "draft", "placeholder"} {
		require.NotContains(t, string(docs.Published), secret)
		require.Contains(t, string(docs.Full), secret)
	}
	v := c.View(7, false)
	require.Len(t, v.Modules, 1)
	require.Equal(t, 0, v.Modules[0].Position)
	require.Empty(t, v.Modules[0].Prerequisites, "a module that is not shown is not named")
	require.Len(t, v.Modules[0].Items, 1)
}

func TestBindRefusesForeignResources(t *testing.T) {
	t.Parallel()
	tenant, course, other, id := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
	tests := map[string]struct {
		r    *Resource
		code string
	}{
		"unknown":        {nil, "unknown_resource"},
		"other tenant":   {&Resource{TenantID: other, Kind: events.ItemQuiz}, "unknown_resource"},
		"other course":   {&Resource{TenantID: tenant, CourseID: &other, Kind: events.ItemQuiz}, "unknown_resource"},
		"deleted":        {&Resource{TenantID: tenant, Kind: events.ItemQuiz, Deleted: true}, "unknown_resource"},
		"another kind":   {&Resource{TenantID: tenant, Kind: events.ItemContent}, "wrong_kind"},
		"its own course": {&Resource{TenantID: tenant, CourseID: &course, Kind: events.ItemQuiz}, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := Curriculum{CourseID: course, Modules: []Module{{Items: []Item{{Kind: events.ItemQuiz, ResourceID: &id}}}}}
			known := map[uuid.UUID]Resource{}
			if tc.r != nil {
				known[id] = *tc.r
			}
			require.Equal(t, tc.code, codes(c.Bind(tenant, known))["modules[0].items[0].resource_id"])
		})
	}
}

func TestDifferencesNameWhatMoved(t *testing.T) {
	t.Parallel()
	c := sample(t)
	for i := range c.Modules {
		c.Modules[i].Published = true
	}
	before := c.View(1, false)
	require.Empty(t, Differences(before, c.View(2, false)))

	after, id, err := c.AddItem(c.Modules[0].ID, page1("new", nil), new(int), maker())
	require.NoError(t, err)
	moved := c.Modules[2].Items[1].ID
	after, err = after.EditItem(moved, &c.Modules[1].ID, nil, func(i *Item) { i.Title = "c2 elsewhere" })
	require.Equal(t, "range", codes(err)["modules[2].required_count"])
	_ = after
	after, _, err = c.AddItem(c.Modules[0].ID, page1("new", nil), new(int), maker())
	require.NoError(t, err)
	after, err = after.EditItem(c.Modules[0].Items[2].ID, nil, new(int), func(i *Item) { i.Title = "a3 first" })
	require.NoError(t, err)
	diff := Differences(before, after.View(2, false))
	require.Len(t, diff, 3)
	byChange := map[string]CurriculumChange{}
	for _, d := range diff {
		byChange[d.Change] = d
	}
	require.Equal(t, "new", byChange["added"].Title)
	require.Equal(t, []string{"title"}, byChange["changed"].Fields)
	require.Equal(t, c.Modules[0].Items[2].ID, byChange["moved"].ID, "only what left its order moved")
	_ = id
}

func TestDifferencesAreEmptyOnlyForEqualDocuments(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := sample(t)
		next, _, err := randomEdit(t, c, ids(c))
		if err != nil {
			return
		}
		a, b := c.View(0, true), next.View(0, true)
		same := len(Differences(a, b)) == 0
		rawA, _ := c.Documents(0)
		rawB, _ := next.Documents(0)
		require.Equal(t, string(rawA.Full) == string(rawB.Full), same)
	})
}
