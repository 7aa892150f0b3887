package olx_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lms/apps/course/internal/catalog"
	"lms/apps/course/internal/catalogtest"
	"lms/apps/course/internal/olx"
	"lms/shared/apperr"
	"lms/shared/archive"
	"lms/shared/contracts/events"
)

func read(raw []byte) (catalog.Package, []catalog.Note, error) {
	return olx.Read(bytes.NewReader(raw), archive.Standard())
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := catalogtest.Package(t)
		var buf bytes.Buffer
		notes, err := olx.Write(&buf, in, nil)
		require.NoError(t, err)
		require.Len(t, notes, catalogtest.Placeholders(in))
		out, notes, err := read(buf.Bytes())
		require.NoError(t, err)
		require.Empty(t, notes)
		require.Equal(t, catalogtest.Comparable(in), catalogtest.Comparable(out))
	})
}

func packed(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var buf bytes.Buffer
	gz := gzip.NewWriter(&buf)
	w := tar.NewWriter(gz)
	for name, body := range files {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(body)), Typeflag: tar.TypeReg}))
		_, err := w.Write([]byte(body))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, gz.Close())
	return buf.Bytes()
}

func TestCourseOfOpenEdX(t *testing.T) {
	t.Parallel()
	pkg, notes, err := read(packed(t, map[string]string{
		"demo/course.xml":        `<course url_name="2026" org="edX" course="DemoX"/>`,
		"demo/course/2026.xml":   `<course display_name="Demo" language="en" start="&quot;2026-01-01T00:00:00Z&quot;"><chapter url_name="c1"/><chapter url_name="c2"/><wiki slug="x"/></course>`,
		"demo/chapter/c1.xml":    `<chapter display_name="Week 1" start="&quot;2026-02-01T00:00:00Z&quot;"><sequential url_name="s1"/></chapter>`,
		"demo/chapter/c2.xml":    `<chapter display_name="Staff only" visible_to_staff_only="true"/>`,
		"demo/sequential/s1.xml": `<sequential display_name="Lesson"><vertical url_name="v1"/><vertical display_name="Second" visible_to_staff_only="true"><html display_name="Inline"><p>hello <b>you</b></p></html></vertical></sequential>`,
		"demo/vertical/v1.xml": `<vertical display_name="First"><html url_name="h1"/><video url_name="w1"/><video url_name="w2"/><problem url_name="p1"/>
			<discussion/><lti_consumer display_name="Tool"/><openassessment display_name="Essay"/><poll display_name="Poll"/></vertical>`,
		"demo/html/h1.xml":    `<html filename="h1" display_name="Read me"/>`,
		"demo/html/h1.html":   `<p>see <a href="/static/a.pdf">a</a></p>`,
		"demo/video/w1.xml":   `<video display_name="Tube" youtube_id_1_0="abc123"/>`,
		"demo/video/w2.xml":   `<video display_name="Own"/>`,
		"demo/problem/p1.xml": `<problem display_name="Check"><multiplechoiceresponse/></problem>`,
	}))
	require.NoError(t, err)
	require.Equal(t, "Demo", pkg.Title)
	require.Len(t, pkg.Modules, 2)
	require.Equal(t, time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC), *pkg.Modules[0].UnlockAt)
	require.False(t, pkg.Modules[1].Published)
	type shown struct {
		kind, url string
		published bool
	}
	got := map[string]shown{}
	for _, i := range pkg.Modules[0].Items {
		got[i.Title] = shown{i.Kind, i.URL, i.Published}
	}
	require.Equal(t, map[string]shown{
		"Read me": {events.ItemPage, "", true}, "Tube": {events.ItemLink, "https://www.youtube.com/watch?v=abc123", true},
		"Own": {events.ItemContent, "", true}, "Check": {events.ItemQuiz, "", true}, "Essay": {events.ItemAssignment, "", true},
		"Inline": {events.ItemPage, "", false},
	}, got)
	require.Equal(t, "<p>hello <b>you</b></p>", pkg.Modules[0].Items[len(pkg.Modules[0].Items)-1].Body)
	codes := map[string]string{}
	for _, n := range notes {
		codes[n.Ref] = n.Code
	}
	require.Equal(t, map[string]string{"Read me": "linked_files", "First": "discussion", "Tool": "lti", "Poll": "element"}, codes)
}

func TestAnArchiveCarriesWhatOtherServicesGave(t *testing.T) {
	t.Parallel()
	in, files := catalogtest.Carrying(t)
	problem := `<problem display_name="Sum"><p>1 + 1?</p><numericalresponse answer="2"/></problem>`
	in.Modules[0].Items[0].Part = catalogtest.Part(t, "problem1.xml", map[string]string{"problem1.xml": problem, "quiz.json": `{"title":"A quiz"}`})
	in.Modules[0].Items[1].Part = catalogtest.Part(t, "openassessment1.xml", map[string]string{
		"openassessment1.xml": "<openassessment><title>A task</title></openassessment>", "assignment.json": `{"title":"A task"}`,
	})
	var buf bytes.Buffer
	notes, err := olx.Write(&buf, in, files.Open)
	require.NoError(t, err)
	require.Empty(t, notes)
	out, notes, err := read(buf.Bytes())
	require.NoError(t, err)
	require.Empty(t, notes)
	items := out.Modules[0].Items
	require.Len(t, items, 4)
	for n, kind := range []string{events.ItemQuiz, events.ItemAssignment, events.ItemContent, events.ItemContent} {
		require.Equal(t, kind, items[n].Kind)
		require.Equal(t, in.Modules[0].Items[n].ResourceID, items[n].ResourceID)
	}
	quiz := catalogtest.Documents(t, items[0].Part)
	require.JSONEq(t, `{"title":"A quiz"}`, quiz["quiz.json"])
	require.Contains(t, quiz["problem1.xml"], `<numericalresponse answer="2"/>`)
	require.JSONEq(t, `{"title":"A task"}`, catalogtest.Documents(t, items[1].Part)["assignment.json"])
	require.Equal(t, catalogtest.Documents(t, in.Gradebook), catalogtest.Documents(t, out.Gradebook))
	require.Equal(t, catalogtest.Documents(t, in.Modules[0].Items[3].Part), catalogtest.Documents(t, items[3].Part), "a page of the library")
	file := items[2].Part.File
	require.Equal(t, "application/pdf", file.MediaType)
	require.NoError(t, archive.EachTarGzip(bytes.NewReader(buf.Bytes()), []string{file.Entry}, func(name string, r io.Reader) error {
		require.Equal(t, file.Entry, name)
		got, err := io.ReadAll(r)
		require.Equal(t, files.Content, string(got))
		return err
	}))
}

func TestProblemsOfAVerticalAreOneQuiz(t *testing.T) {
	t.Parallel()
	pkg, notes, err := read(packed(t, map[string]string{
		"course.xml": `<course><chapter display_name="C"><sequential display_name="S"><vertical display_name="Check yourself">
			<problem display_name="One" url_name="a"/><html display_name="Between"><p>x</p></html><problem display_name="Two"><p>y</p></problem></vertical></sequential></chapter></course>`,
		"problem/a.xml": `<problem><p>x</p></problem>`,
	}))
	require.NoError(t, err)
	require.Empty(t, notes)
	require.Len(t, pkg.Modules[0].Items, 2)
	require.Equal(t, "Check yourself", pkg.Modules[0].Items[0].Title)
	documents := catalogtest.Documents(t, pkg.Modules[0].Items[0].Part)
	require.Len(t, documents, 2)
	require.Contains(t, documents["problem1.xml"], `display_name="One"`)
}

func TestNoOLX(t *testing.T) {
	t.Parallel()
	for name, files := range map[string]map[string]string{
		"no course":    {"a.xml": "<a/>"},
		"not XML":      {"course.xml": "nope"},
		"not a course": {"course.xml": "<html/>"},
		"bad chapter":  {"course.xml": `<course><chapter url_name="c"/></course>`, "chapter/c.xml": "<chapter>"},
		"a circle": {
			"course.xml": `<course><chapter url_name="c"/></course>`, "chapter/c.xml": `<chapter><vertical url_name="v"/></chapter>`,
			"vertical/v.xml": `<vertical><vertical url_name="v"/><vertical url_name="v"/></vertical>`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := read(packed(t, files))
			require.True(t, apperr.IsKind(err, apperr.KindInvalid), "%v", err)
			require.Equal(t, "not_olx", apperr.From(err).Fields[0].Code)
		})
	}
}

func TestNamesStayInside(t *testing.T) {
	t.Parallel()
	pkg, notes, err := read(packed(t, map[string]string{
		"course.xml": `<course><chapter display_name="C"><sequential display_name="S"><html display_name="Page" filename="../../../../etc/passwd"/></sequential></chapter></course>`,
	}))
	require.NoError(t, err)
	require.Empty(t, pkg.Modules[0].Items)
	require.Equal(t, "no_file", notes[0].Code)
}
