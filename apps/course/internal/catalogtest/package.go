// Package catalogtest makes course packages for tests of the formats that carry
// them.
package catalogtest

import (
	"fmt"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"lms/apps/course/internal/catalog"
	"lms/shared/contracts/events"
)

// Package draws a package with every kind of item, requirement and setting.
func Package(t *rapid.T) catalog.Package {
	pkg := catalog.Package{
		Title: text(t, "title"), Description: text(t, "description"), Language: rapid.SampledFrom([]string{"en", "de", "pt-BR"}).Draw(t, "language"),
		Modules: []catalog.PackageModule{},
	}
	for n := range rapid.IntRange(0, 4).Draw(t, "modules") {
		m := catalog.PackageModule{
			Key: fmt.Sprintf("key%d", n), Title: text(t, "module"), Published: rapid.Bool().Draw(t, "published"),
			UnlockAt: moment(t), Sequential: rapid.Bool().Draw(t, "sequential"),
		}
		if n > 0 && rapid.Bool().Draw(t, "prerequisite") {
			m.Prerequisites = []string{fmt.Sprintf("key%d", rapid.IntRange(0, n-1).Draw(t, "which"))}
		}
		if rapid.Bool().Draw(t, "n of m") {
			count := rapid.IntRange(1, 5).Draw(t, "count")
			m.RequiredCount = &count
		}
		for i := range rapid.IntRange(0, 5).Draw(t, "items") {
			m.Items = append(m.Items, item(t, fmt.Sprintf("key%d-%d", n, i)))
		}
		pkg.Modules = append(pkg.Modules, m)
	}
	return pkg
}

func item(t *rapid.T, key string) catalog.PackageItem {
	i := catalog.PackageItem{
		Key: key, Kind: rapid.SampledFrom([]string{events.ItemContent, events.ItemQuiz, events.ItemAssignment, events.ItemLink, events.ItemPage}).Draw(t, "kind"),
		Title: text(t, "item"), Published: rapid.Bool().Draw(t, "published"), UnlockAt: moment(t),
	}
	switch i.Kind {
	case events.ItemLink:
		i.URL = "https://example.org/?a=1&b=" + rapid.StringMatching(`[a-z0-9]{0,8}`).Draw(t, "query")
	case events.ItemPage:
		i.Body = "<p>" + rapid.SampledFrom([]string{"plain", "a &amp; b", "<em>x</em> < y", "ü 漢字", "]]>"}).Draw(t, "body") + "</p>"
	default:
		if rapid.Bool().Draw(t, "resource") {
			id := uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
			i.ResourceID = &id
		}
	}
	switch rapid.IntRange(0, 2).Draw(t, "requirement") {
	case 1:
		i.Requirement = &catalog.Requirement{Kind: events.RequireView}
	case 2:
		score := events.Hundredths(rapid.Int64Range(1, 100_00).Draw(t, "score"))
		i.Requirement = &catalog.Requirement{Kind: events.RequireMinScore, MinScore: &score, Unit: events.ScorePercent}
	}
	return i
}

func text(t *rapid.T, label string) string {
	return rapid.SampledFrom([]string{"Cells", "Q & A <1>", `"quoted" 'text'`, "Zellen über Gene", "漢字"}).Draw(t, label)
}

func moment(t *rapid.T) *time.Time {
	if rapid.Bool().Draw(t, "no date") {
		return nil
	}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.Int64Range(0, 1e9).Draw(t, "at")) * time.Microsecond)
	return &at
}

// Placeholders counts the items that a file format cannot carry whole.
func Placeholders(p catalog.Package) int {
	n := 0
	for _, m := range p.Modules {
		for _, i := range m.Items {
			if i.Kind != events.ItemLink && i.Kind != events.ItemPage {
				n++
			}
		}
	}
	return n
}

// Comparable gives modules and items keys by their places, and drops what belongs
// to one installation only.
func Comparable(p catalog.Package) catalog.Package {
	keys := map[string]string{}
	out := catalog.Package{Title: p.Title, Description: p.Description, Language: p.Language, Modules: []catalog.PackageModule{}}
	for mi, m := range p.Modules {
		keys[m.Key] = fmt.Sprintf("m%d", mi)
		m.Key = keys[m.Key]
		before := m.Prerequisites
		m.Prerequisites = nil
		for _, key := range before {
			m.Prerequisites = append(m.Prerequisites, keys[key])
		}
		items := m.Items
		m.Items = nil
		for ii, i := range items {
			i.Key = fmt.Sprintf("i%d", ii)
			m.Items = append(m.Items, i)
		}
		out.Modules = append(out.Modules, m)
	}
	return out
}
