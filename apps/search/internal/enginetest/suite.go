package enginetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/search/internal/search"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/page"
)

// Run runs all of it.
func Run(t *testing.T, open Open) {
	for name, test := range map[string]func(*testing.T, Open){
		"words in any inflection, by language": inflections,
		"typing mistakes":                      mistakes,
		"phrases, beginnings, exclusions":      syntax,
		"the better match comes first":         ranking,
		"highlights are harmless":              highlighting,
		"synonyms":                             synonyms,
		"filters":                              filtering,
		"facets respect the other filters":     facets,
		"who sees what":                        visibility,
		"who may see a great many":             manyKeys,
		"what one may not see shows nowhere":   secrets,
		"contents for those who are enrolled":  contents,
		"suggestions":                          suggestions,
		"pages are stable while others write":  pages,
		"sorting":                              sorting,
		"the newest version stays":             versions,
		"categories are renamed":               renaming,
		"courses are found by what is in them": outlines,
		"an index is made anew without a gap":  rebuilding,
		"any query is answered as by a model":  agreement,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open)
		})
	}
}

func inflections(t *testing.T, open Open) {
	w := newWorld(t, open)
	w.add(
		course(1, "Databases", "How tables are stored and queried."),
		course(2, "Grundlagen der Übersetzung", "Texte in andere Sprachen bringen.", in("de")),
		course(3, "Les chevaux et leurs soins", "Soigner un cheval.", in("fr-FR")),
		course(4, "Canciones de América", "La música popular.", in("es")),
		course(5, "Hội thoại tiếng Việt", "Nói chuyện hằng ngày.", in("vi")),
		course(6, "数学入門", "数と図形", in("ja")),
		course(7, "C++ for engineers", "Templates."),
	)
	ada := member(1)
	for question, want := range map[string]string{
		"database": "Databases", "querying": "Databases", "Übersetzungen": "Grundlagen der Übersetzung", "ubersetzung": "Grundlagen der Übersetzung",
		"uebersetzung": "Grundlagen der Übersetzung", "cheval": "Les chevaux et leurs soins", "cancion": "Canciones de América",
		"canción": "Canciones de América", "musica": "Canciones de América", "tieng viet": "Hội thoại tiếng Việt", "hội thoại": "Hội thoại tiếng Việt",
		"数学": "数学入門", "c++": "C++ for engineers", "the database": "Databases", "C-101": "Databases",
	} {
		w.finds(ada, question, want)
	}
	w.finds(ada, "nothing of the kind")
	w.finds(ada, "", "Databases", "Grundlagen der Übersetzung", "Les chevaux et leurs soins", "Canciones de América", "Hội thoại tiếng Việt", "数学入門", "C++ for engineers")
}

func mistakes(t *testing.T, open Open) {
	w := newWorld(t, open)
	w.add(course(1, "Photosynthesis in algae", "Light."), course(2, "Baking bread", "Flour."), course(3, "Glaciers", "Ice."))
	ada := member(1)
	for _, typed := range []string{"fotosynthesis", "photosynthsis", "pohtosynthesis", "photosynthesiss"} {
		found := w.search(ada, typed)
		require.Equal(t, []string{"Photosynthesis in algae"}, titles(found), typed)
		require.Equal(t, "similar", found.Match)
	}
	w.finds(ada, "braed", "Baking bread")
	w.finds(ada, "glasier", "Glaciers") // another inflection, misspelt
	require.Equal(t, "exact", w.search(ada, "glacier").Match)
	w.finds(ada, "brd")
	require.Equal(t, "partial", w.search(ada, "bread sourdough").Match)
	w.finds(ada, "bread sourdough", "Baking bread")
	require.Equal(t, "bread sourdough", w.told[len(w.told)-1].Terms)
}

func syntax(t *testing.T, open Open) {
	w := newWorld(t, open)
	w.add(
		course(1, "Machine learning", "Learning from data."), course(2, "Learning to use a machine", "For workshops."),
		course(3, "Microbiology", "Small life."), course(4, "Biology of birds", "Feathers."),
	)
	ada := member(1)
	w.finds(ada, `"machine learning"`, "Machine learning")
	w.finds(ada, "machine learning", "Machine learning", "Learning to use a machine")
	w.finds(ada, "bio*", "Biology of birds")
	w.finds(ada, "micro*", "Microbiology")
	w.finds(ada, "learning -workshop", "Machine learning")
	w.finds(ada, "-machine", "Microbiology", "Biology of birds")
	for _, odd := range []string{`"`, "-", "*", `""`, "- -", `"unclosed machine`, "((&|~^:\\/", "\x00"} {
		w.search(ada, odd)
	}
}

func ranking(t *testing.T, open Open) {
	w := newWorld(t, open)
	w.add(
		course(1, "History of art", "Also a little statistics."),
		course(2, "Statistics", "Numbers."),
		course(3, "Statistics, advanced", "More numbers."),
		course(4, "Data science", "Numbers.", func(c *events.CourseState) { c.Tags = []string{"statistics"} }),
	)
	require.Equal(t, []string{"Statistics", "Statistics, advanced", "Data science", "History of art"}, titles(w.search(member(1), "statistics")))
	require.Equal(t, "Statistics, advanced", titles(w.search(member(1), "advanced statistics"))[0])
}

func highlighting(t *testing.T, open Open) {
	w := newWorld(t, open)
	w.add(course(1, `<script>alert("cells")</script>`, "Living <b>cells</b> & more of it "+fmt.Sprintf("%0500d", 1)+" more text"))
	item := w.search(member(1), "cell").Items[0]
	require.Equal(t, `&lt;script&gt;alert(&#34;<mark>cells</mark>&#34;)&lt;/script&gt;`, item.Highlights["title"])
	require.Contains(t, item.Highlights["description"], "Living &lt;b&gt;<mark>cells</mark>&lt;/b&gt; &amp;")
	list, err := w.service.Suggest(t.Context(), member(1), "cel", nil, 5)
	require.NoError(t, err)
	require.Contains(t, list[0].Highlight, "&#34;<mark>cel</mark>ls&#34;")
}

func synonyms(t *testing.T, open Open) {
	w := newWorld(t, open)
	w.add(course(1, "Machine learning", "Data."), course(2, "ML in practice", "Models."), course(3, "Car repair", "Engines."))
	ada := member(1)
	w.finds(ada, "ml", "ML in practice")
	_, err := w.service.Synonyms.Set(t.Context(), [][]string{{"ML", "machine learning"}, {"car", "automobile"}}, 1)
	require.NoError(t, err)
	w.finds(ada, "ml", "ML in practice", "Machine learning")
	w.finds(ada, "machine learning", "ML in practice", "Machine learning")
	w.finds(ada, "automobile", "Car repair")
	w.finds(ada, "automobile repair", "Car repair")
	require.Equal(t, "ML in practice", titles(w.search(ada, "ml"))[0], "the word itself is worth more")
}

func filtering(t *testing.T, open Open) {
	w := newWorld(t, open)
	price := func(amount int64) func(*events.CourseState) {
		return func(c *events.CourseState) {
			c.RequiresEntitlement, c.Price = true, &events.CoursePrice{Amount: amount, Currency: "EUR"}
		}
	}
	w.add(
		course(1, "Free and open", "x", func(c *events.CourseState) { c.Tags = []string{"Alpha", "beta"}; c.CategoryID = category(1) }),
		course(2, "Cheap", "x", price(1000), in("de-AT"), func(c *events.CourseState) { c.Level = "advanced" }),
		course(3, "Dear", "x", price(9900), func(c *events.CourseState) { c.OrgUnitID = unit(1, 2) }),
		course(4, "Over", "x", func(c *events.CourseState) { c.EnrollmentClosesAt = ptr(now().Add(-time.Hour)) }),
		course(5, "Not yet", "x", func(c *events.CourseState) { c.EnrollmentOpensAt = ptr(now().Add(time.Hour)) }),
		course(6, "Taken", "x", func(c *events.CourseState) { c.Seats = events.SeatsFull }),
		course(7, "By invitation", "x", func(c *events.CourseState) { c.EnrollmentMode = events.EnrollmentInviteOnly }),
	)
	for name, c := range map[string]struct {
		change func(*search.Params)
		want   []string
	}{
		"tag":       {func(p *search.Params) { p.Tags = []string{"ALPHA"} }, []string{"Free and open"}},
		"category":  {func(p *search.Params) { p.Categories = []uuid.UUID{*category(1)} }, []string{"Free and open"}},
		"language":  {func(p *search.Params) { p.Languages = []string{"de"} }, []string{"Cheap"}},
		"level":     {func(p *search.Params) { p.Levels = []string{"advanced"} }, []string{"Cheap"}},
		"paid":      {func(p *search.Params) { p.Prices = []string{search.PricePaid} }, []string{"Cheap", "Dear"}},
		"amount":    {func(p *search.Params) { p.Currency, p.MaxAmount = "eur", ptr(int64(5000)) }, []string{"Cheap"}},
		"unit":      {func(p *search.Params) { p.OrgUnits = []uuid.UUID{unit(1, 2)} }, []string{"Dear"}},
		"open":      {func(p *search.Params) { p.Availability = []string{search.AvailableOpen} }, []string{"Cheap", "Dear", "Free and open"}},
		"later":     {func(p *search.Params) { p.Availability = []string{search.AvailableUpcoming} }, []string{"Not yet"}},
		"over":      {func(p *search.Params) { p.Availability = []string{search.AvailableClosed} }, []string{"Over"}},
		"full":      {func(p *search.Params) { p.Availability = []string{search.AvailableFull} }, []string{"Taken"}},
		"two":       {func(p *search.Params) { p.Availability = []string{"full", "invite"} }, []string{"By invitation", "Taken"}},
		"both":      {func(p *search.Params) { p.Prices, p.Levels = []string{"paid"}, []string{"beginner"} }, []string{"Dear"}},
		"nowhere":   {func(p *search.Params) { p.OrgUnits = []uuid.UUID{uuid.New()} }, []string{}},
		"no course": {func(p *search.Params) { p.Types = []string{search.TypeContent} }, []string{}},
	} {
		found := w.search(member(1), "", c.change)
		got := titles(found)
		slices.Sort(got)
		require.Equal(t, c.want, got, name)
		for _, item := range found.Items {
			if name == "open" || name == "full" {
				require.Equal(t, name, item.Availability)
			}
		}
	}
	_, err := w.service.Search(t.Context(), member(1), search.Params{MaxAmount: ptr(int64(1))}, page.Request{})
	require.Error(t, err, "an amount of what?")
	w.service.Now = func() time.Time { return now().AddDate(20, 0, 0) }
	found := w.search(member(1), "", func(p *search.Params) { p.Availability = []string{search.AvailableOpen} })
	require.ElementsMatch(t, []string{"Cheap", "Dear", "Free and open", "Not yet"}, titles(found), "what has no end does not end")
}

func facets(t *testing.T, open Open) {
	w := newWorld(t, open)
	level := func(level string) func(*events.CourseState) {
		return func(c *events.CourseState) {
			c.Level, c.CategoryID, c.CategoryName, c.Tags = level, category(1), "Science", []string{"t"}
		}
	}
	w.add(
		course(1, "Cells one", "x", level("beginner")), course(2, "Cells two", "x", level("beginner"), in("de")),
		course(3, "Cells three", "x", level("advanced")), course(4, "Stars", "x", level("expert")),
		course(5, "Cells full", "x", func(c *events.CourseState) { c.Seats = events.SeatsFull }),
	)
	count := func(f search.Found, name string) map[string]int {
		out := map[string]int{}
		for _, v := range f.Facets[name] {
			out[v.Value] = v.Count
		}
		return out
	}
	all := func(p *search.Params) { p.Facets = append(search.Facets(), search.Facets()...) } // twice is once
	f := w.search(member(1), "cells", all)
	require.Equal(t, map[string]int{"beginner": 3, "advanced": 1}, count(f, "level"))
	require.Equal(t, map[string]int{"en": 3, "de": 1}, count(f, "language"))
	require.Equal(t, map[string]int{"open": 3, "full": 1}, count(f, "availability"))
	require.Equal(t, map[string]int{"free": 4}, count(f, "price"))
	require.Equal(t, map[string]int{"t": 3}, count(f, "tag"))
	require.Equal(t, map[string]int{"course": 4}, count(f, "type"))
	require.Equal(t, map[string]int{"published": 4}, count(f, "status"))
	require.Equal(t, map[string]int{unit(1, 1).String(): 4}, count(f, "org_unit"))
	require.Equal(t, []search.FacetValue{{Value: category(1).String(), Label: "Science", Count: 3}}, f.Facets["category"])
	f = w.search(member(1), "cells", all, func(p *search.Params) { p.Levels = []string{"beginner"} })
	require.Equal(t, map[string]int{"beginner": 3, "advanced": 1}, count(f, "level"), "its own filter is left out")
	require.Equal(t, map[string]int{"en": 2, "de": 1}, count(f, "language"), "the others' is not")
	f = w.search(member(1), "cells", all, func(p *search.Params) { p.Levels, p.Languages = []string{"advanced"}, []string{"de"} })
	require.Empty(t, f.Items)
	require.Equal(t, map[string]int{"beginner": 1}, count(f, "level"))
	require.Equal(t, map[string]int{"en": 1}, count(f, "language"))
}

func suggestions(t *testing.T, open Open) {
	w := newWorld(t, open)
	w.add(
		course(1, "Machine learning", "x"), course(2, "Machinery of life", "x"), course(3, "Life drawing", "x"),
		course(4, "Machine learning", "another one"), course(5, "Đại số", "x", in("vi")),
		course(6, "Machinations", "x", func(c *events.CourseState) { c.TenantID, c.OrgUnitID = tenant(2), unit(2, 1) }),
	)
	suggest := func(as authz.Principal, text string) []string {
		list, err := w.service.Suggest(t.Context(), as, text, nil, 5)
		require.NoError(t, err)
		out := []string{}
		for _, s := range list {
			out = append(out, s.Text)
		}
		return out
	}
	require.Equal(t, []string{"Machine learning", "Machinery of life"}, suggest(member(1), "mach"), "each title once")
	require.Equal(t, []string{"Machine learning"}, suggest(member(1), "learning ma"))
	require.Equal(t, []string{"Machinery of life"}, suggest(member(1), "machinery of li"))
	require.Equal(t, []string{"Machine learning", "Machinery of life"}, suggest(member(1), "mahcine")[:2], "a mistake")
	require.Equal(t, []string{"Đại số"}, suggest(member(1), "dai s"))
	require.Empty(t, suggest(member(1), "zzz"))
	require.Empty(t, suggest(member(1), "  "))
	require.Empty(t, suggest(authz.Principal{}, "mach"))
}

// pages walks through results while other documents are written, changed and taken
// away: what stayed as it was comes exactly once.
func pages(t *testing.T, open Open) {
	w := newWorld(t, open)
	var stay []events.CourseState
	for n := byte(1); n <= 40; n++ {
		title := fmt.Sprintf("Cells, part %d", n)
		if n%3 == 0 {
			title = fmt.Sprintf("Life %d", n)
		}
		stay = append(stay, course(n, title, "About cells."))
	}
	w.add(stay...)
	for _, sort := range search.Sorts() {
		var got []string
		cursor, middle := "", ""
		for n := byte(100); ; n++ {
			p := search.Params{Text: "cells", Sort: sort}
			found, err := w.service.Search(t.Context(), member(1), p, page.Request{Limit: 7, Cursor: cursor})
			require.NoError(t, err)
			for _, i := range found.Items {
				if i.ID[15] < 100 {
					got = append(got, i.Title)
				}
			}
			w.write(w.maker.Course(course(n, "Cells cells cells", "cells"), 2, search.Around{}), w.maker.Course(course(n-2, "x", "y", func(c *events.CourseState) { c.Deleted = n%2 == 0 }), 3, search.Around{}))
			if cursor = found.NextCursor; cursor == "" {
				break
			}
			middle = cursor
			_, err = w.service.Search(t.Context(), member(1), search.Params{Text: "other", Sort: sort}, page.Request{Cursor: cursor})
			require.Error(t, err, "a cursor goes on with its own search")
		}
		_, err := w.service.Search(t.Context(), member(1), search.Params{Text: "cells", Sort: sort}, page.Request{Cursor: madeUp(t, middle)})
		require.Equal(t, sort == "relevance", apperr.IsKind(err, apperr.KindMalformed), "%s: %v", sort, err)
		require.Len(t, got, 40, sort)
		slices.Sort(got)
		require.Len(t, slices.Compact(got), 40, sort)
	}
}

// madeUp is a cursor that goes on behind a place that is none.
func madeUp(t *testing.T, cursor string) string {
	t.Helper()
	var question string
	var strict int
	var after []string
	_, err := page.Decode(cursor, &question, &strict, &after)
	require.NoError(t, err)
	after[0] = "nowhere"
	return page.Encode(question, strict, after)
}

func sorting(t *testing.T, open Open) {
	w := newWorld(t, open)
	set := func(days int, amount int64) func(*events.CourseState) {
		return func(c *events.CourseState) {
			c.StartsAt, c.UpdatedAt = ptr(now().AddDate(0, 0, days)), now().AddDate(0, 0, -days)
			if amount > 0 {
				c.Price = &events.CoursePrice{Amount: amount, Currency: "EUR"}
			}
		}
	}
	w.add(course(1, "beta", "x", set(1, 500)), course(2, "Alpha", "x", set(2, 0)), course(3, "Östliches", "x", set(3, 20_000)), course(4, "ostend", "x", set(4, 3000)))
	for sort, want := range map[string][]string{
		"title": {"Alpha", "beta", "ostend", "Östliches"}, "-title": {"Östliches", "ostend", "beta", "Alpha"},
		"starts_at": {"beta", "Alpha", "Östliches", "ostend"}, "updated_at": {"ostend", "Östliches", "Alpha", "beta"},
		"price": {"Alpha", "beta", "ostend", "Östliches"}, "-price": {"Östliches", "ostend", "beta", "Alpha"},
	} {
		require.Equal(t, want, titles(w.search(member(1), "", func(p *search.Params) { p.Sort = sort })), sort)
	}
}

func versions(t *testing.T, open Open) {
	w := newWorld(t, open)
	at := func(title string, version int64) search.Document {
		return w.maker.Course(course(1, title, "x"), version, search.Around{})
	}
	gone := func(version int64) search.Document {
		return w.maker.Course(course(1, "x", "x", func(c *events.CourseState) { c.Deleted = true }), version, search.Around{})
	}
	w.write(at("second", 2))
	w.write(at("first", 1))
	w.finds(member(1), "", "second")
	w.write(at("fourth", 4), at("third", 3), at("fourth", 4))
	w.finds(member(1), "", "fourth")
	w.write(gone(5))
	w.finds(member(1), "")
	w.write(at("late", 4))
	w.finds(member(1), "")
	known, err := w.engine.Fetch(t.Context(), []string{search.DocumentID("course", courseID(1)), search.DocumentID("course", courseID(9))})
	require.NoError(t, err)
	require.Empty(t, known)
	again := at("again", 6)
	w.write(again)
	w.finds(member(1), "", "again")
	known, err = w.engine.Fetch(t.Context(), []string{again.ID})
	require.NoError(t, err)
	require.Equal(t, string(again.Source), string(known[again.ID].Source), "to the byte, since that is what the check compares")
}

func renaming(t *testing.T, open Open) {
	w := newWorld(t, open)
	named := course(1, "Cells", "x", func(c *events.CourseState) { c.CategoryID, c.CategoryName = category(1), "Old name" })
	w.tell(change(t, events.TypeCourseUpdated, 3, named))
	w.finds(member(1), "old name", "Cells")
	w.tell(change(t, events.TypeCategoryRenamed, 1, events.CategoryRenamed{CategoryID: *category(1), TenantID: tenant(1), Name: "Novel subjects", OldName: "Old name"}))
	w.finds(member(1), "novel", "Cells")
	w.finds(member(1), "old")
	w.tell(change(t, events.TypeCourseUpdated, 3, named), change(t, events.TypeCourseViewed, 9, map[string]string{}))
	w.finds(member(1), "novel", "Cells") // what was told before is told again
	errs := w.indexer.Apply(t.Context(), []search.Change{{Type: events.TypeCourseUpdated, Seq: 4, Data: []byte(`"`)}, change(t, events.TypeCourseUpdated, 5, course(2, "Good", "x"))})
	require.Error(t, errs[0])
	require.NoError(t, errs[1])
	w.visible()
	w.finds(member(1), "good", "Good")

	// A name that changes before the course is found that was told right before.
	in := func(n byte, title string) search.Change {
		return change(t, events.TypeCourseUpdated, 1, course(n, title, "x", func(c *events.CourseState) { c.CategoryID, c.CategoryName = category(n), "Once" }))
	}
	renamed := func(n byte) search.Change {
		return change(t, events.TypeCategoryRenamed, 1, events.CategoryRenamed{CategoryID: *category(n), TenantID: tenant(1), Name: "Afterwards", OldName: "Once"})
	}
	for _, batch := range [][]search.Change{{in(3, "At once")}, {renamed(3)}, {in(4, "In one batch"), renamed(4)}} {
		w.apply(batch...)
	}
	w.visible()
	w.finds(member(1), "afterwards", "At once", "In one batch")
}

// outlines: a course is found by the titles that its curriculum shows, whichever of the
// two is told first, and again.
func outlines(t *testing.T, open Open) {
	w := newWorld(t, open)
	state := course(1, "Cells", "x", func(c *events.CourseState) { c.CategoryID, c.CategoryName = category(1), "Old name" })
	curriculum := func(module string) events.CurriculumState {
		return events.CurriculumState{CourseID: courseID(1), TenantID: tenant(1), Modules: []events.CurriculumPart{
			{Title: module, Published: true, Items: []events.CurriculumItem{
				{ID: uuid.New(), Kind: events.ItemPage, Title: "Spindle apparatus", Visible: true}, {ID: uuid.New(), Kind: events.ItemPage, Title: "Unfinished page"},
			}},
			{Title: "Planned module"},
		}}
	}
	ada := member(1)
	w.tell(change(t, events.TypeCurriculumChanged, 2, curriculum("Mitosis")))
	w.finds(ada, "mitosis")
	w.tell(change(t, events.TypeCourseUpdated, 3, state))
	for _, question := range []string{"mitosis", "spindles", "cell mitosis"} {
		w.finds(ada, question, "Cells")
	}
	require.Contains(t, w.search(ada, "mitosis").Items[0].Highlights["text"], "<mark>Mitosis</mark>")
	for _, hidden := range []string{"unfinished", "planned"} {
		w.finds(ada, hidden)
	}
	w.finds(authz.Principal{}, "mitosis")

	state.Title = "Living cells"
	w.tell(change(t, events.TypeCurriculumChanged, 4, curriculum("Meiosis")), change(t, events.TypeCourseUpdated, 5, state))
	w.finds(ada, "mitosis")
	w.finds(ada, "meiosis", "Living cells")
	w.tell(change(t, events.TypeCurriculumChanged, 2, curriculum("Mitosis")))
	w.finds(ada, "mitosis")
	w.tell(change(t, events.TypeCategoryRenamed, 1, events.CategoryRenamed{CategoryID: *category(1), TenantID: tenant(1), Name: "Novel subjects", OldName: "Old name"}))
	w.finds(ada, "novel meiosis", "Living cells")
	w.tell(change(t, events.TypeCurriculumChanged, 6, events.CurriculumState{CourseID: courseID(1), TenantID: tenant(1)}))
	w.finds(ada, "meiosis")
	w.finds(ada, "novel", "Living cells")
}
