// Package catalogtest makes course packages for tests of the formats that carry
// them.
package catalogtest

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lms/apps/course/internal/catalog"
	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
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

// Files stands for the object store.
type Files struct{ Content string }

// Open implements catalog.OpenObject: every file has the same content.
func (f Files) Open(_ string, fn func(io.Reader) error) error {
	return fn(strings.NewReader(f.Content))
}

// Part is a part with documents.
func Part(t require.TestingT, main string, documents map[string]string) *catalog.PackagePart {
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for name, text := range documents {
		w, err := z.Create(name)
		require.NoError(t, err)
		_, err = w.Write([]byte(text))
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return &catalog.PackagePart{Ref: uuid.NewString(), Documents: buf.Bytes(), Main: main}
}

// Carrying is a package with a quiz, an assignment, a file, a page of the library and
// a gradebook in it, as other services give them out.
func Carrying(t require.TestingT) (catalog.Package, Files) {
	files := Files{Content: "%PDF-1.7 something"}
	id := func() *uuid.UUID {
		x := uuid.New()
		return &x
	}
	object := &internalapi.PartFile{ObjectKey: "t/contents/x/f-1", Filename: "Sl/ides.pdf", MediaType: "application/pdf", Size: int64(len(files.Content))}
	return catalog.Package{
		Title: "Carried",
		Modules: []catalog.PackageModule{{Key: "m", Title: "M", Published: true, Items: []catalog.PackageItem{
			{Key: "quiz", Kind: events.ItemQuiz, Title: "A quiz", Published: true, ResourceID: id(), Part: Part(t, "assessment.xml", map[string]string{
				"assessment.xml": "<questestinterop/>", "quiz.json": `{"title":"A quiz"}`,
			})},
			{Key: "task", Kind: events.ItemAssignment, Title: "A task", ResourceID: id(), Part: Part(t, "assignment.xml", map[string]string{
				"assignment.xml": "<assignment/>", "assignment.json": `{"title":"A task"}`,
			})},
			{Key: "file", Kind: events.ItemContent, Title: "Slides", ResourceID: id(), Part: &catalog.PackagePart{
				Ref: "file", File: &catalog.PackageFile{Filename: object.Filename, MediaType: object.MediaType, Object: object},
			}},
			{Key: "page", Kind: events.ItemContent, Title: "Read me", ResourceID: id(), Part: Part(t, "page.html", map[string]string{"page.html": "<p>Hi</p>"})},
		}}},
		Gradebook: Part(t, "gradebook.json", map[string]string{"gradebook.json": "{}"}),
	}, files
}

// Documents are those of a part by name.
func Documents(t require.TestingT, p *catalog.PackagePart) map[string]string {
	require.NotNil(t, p)
	z, err := zip.NewReader(bytes.NewReader(p.Documents), int64(len(p.Documents)))
	require.NoError(t, err)
	out := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		require.NoError(t, err)
		raw, err := io.ReadAll(r)
		require.NoError(t, err)
		out[f.Name] = string(raw)
	}
	return out
}
