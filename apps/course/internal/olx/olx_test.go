package olx_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
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
		notes, err := olx.Write(&buf, in)
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
