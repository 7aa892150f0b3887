package cartridge_test

import (
	"archive/zip"
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lms/apps/course/internal/cartridge"
	"lms/apps/course/internal/catalog"
	"lms/apps/course/internal/catalogtest"
	"lms/shared/apperr"
	"lms/shared/archive"
	"lms/shared/contracts/events"
)

func read(t require.TestingT, raw []byte) (catalog.Package, []catalog.Note, error) {
	pkg, notes, _, err := cartridge.Read(bytes.NewReader(raw), int64(len(raw)), archive.Standard())
	return pkg, notes, err
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := catalogtest.Package(t)
		var buf bytes.Buffer
		notes, err := cartridge.Write(&buf, in, nil)
		require.NoError(t, err)
		require.Len(t, notes, catalogtest.Placeholders(in))
		out, notes, err := read(t, buf.Bytes())
		require.NoError(t, err)
		require.Empty(t, notes)
		require.Equal(t, catalogtest.Comparable(in), catalogtest.Comparable(out))
	})
}

func zipped(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for name, body := range files {
		w, err := z.Create(name)
		require.NoError(t, err)
		_, err = w.Write([]byte(body))
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return buf.Bytes()
}

// foreign is a cartridge as other products write it: an older namespace, a wrapping
// item, nested folders, loose items, and kinds that are not understood.
const foreign = `<?xml version="1.0" encoding="UTF-8"?>
<manifest identifier="x" xmlns="http://www.imsglobal.org/xsd/imsccv1p1/imscp_v1p1" xmlns:lom="http://ltsc.ieee.org/xsd/imsccv1p1/LOM/manifest">
 <metadata><schema>IMS Common Cartridge</schema><schemaversion>1.1.0</schemaversion>
  <lom:lom><lom:general><lom:title><lom:string>Biology</lom:string></lom:title><lom:language>en</lom:language></lom:general></lom:lom></metadata>
 <organizations><organization identifier="o" structure="rooted-hierarchy"><item identifier="root">
  <item identifier="loose" identifierref="r_page"><title>Syllabus</title></item>
  <item identifier="m1"><title>Week 1</title>
   <item identifier="a" identifierref="r_link"><title>A link</title></item>
   <item identifier="folder"><title>More</title><item identifier="b" identifierref="r_quiz"><title>Quiz</title></item></item>
   <item identifier="c" identifierref="r_task"><title>Essay</title></item>
   <item identifier="d" identifierref="r_talk"><title>Talk</title></item>
   <item identifier="e" identifierref="r_tool"><title>Tool</title></item>
   <item identifier="f" identifierref="r_pdf"><title>Slides</title></item>
   <item identifier="g" identifierref="r_none"><title>Gone</title></item>
   <item identifier="h" identifierref="r_odd"><title>Odd</title></item>
  </item></item></organization></organizations>
 <resources>
  <resource identifier="r_page" type="webcontent" href="wiki/syllabus.html"><file href="wiki/syllabus.html"/></resource>
  <resource identifier="r_link" type="imswl_xmlv1p1"><file href="link.xml"/></resource>
  <resource identifier="r_quiz" type="imsqti_xmlv1p2/imscc_xmlv1p1/assessment"><file href="quiz.xml"/></resource>
  <resource identifier="r_task" type="assignment_xmlv1p0" href="task.xml"/>
  <resource identifier="r_talk" type="imsdt_xmlv1p1"><file href="talk.xml"/></resource>
  <resource identifier="r_tool" type="imsbasiclti_xmlv1p0"><file href="tool.xml"/></resource>
  <resource identifier="r_pdf" type="webcontent" href="slides.pdf"/>
  <resource identifier="r_odd" type="something/else" href="odd.bin"/>
 </resources>
</manifest>`

func TestForeignCartridge(t *testing.T) {
	t.Parallel()
	pkg, notes, err := read(t, zipped(t, map[string]string{
		"imsmanifest.xml":    foreign,
		"wiki/syllabus.html": `<html><head><title>no</title></head><BODY class="x"><h1>Plan</h1><img src="$IMS-CC-FILEBASE$/a.png"></BODY></html>`,
		"link.xml":           `<webLink xmlns="http://www.imsglobal.org/xsd/imsccv1p1/imswl_v1p1"><title>A</title><url href="https://example.org/a?b=1&amp;c=2"/></webLink>`,
	}))
	require.NoError(t, err)
	require.Equal(t, "Biology", pkg.Title)
	require.Equal(t, "en", pkg.Language)
	require.Len(t, pkg.Modules, 2)
	require.Equal(t, `<h1>Plan</h1><img src="$IMS-CC-FILEBASE$/a.png">`, pkg.Modules[0].Items[0].Body)
	kinds := map[string]string{}
	for _, i := range pkg.Modules[1].Items {
		kinds[i.Title] = i.Kind
	}
	require.Equal(t, map[string]string{"A link": events.ItemLink, "Quiz": events.ItemQuiz, "Essay": events.ItemAssignment, "Slides": events.ItemContent}, kinds)
	require.Equal(t, "https://example.org/a?b=1&c=2", pkg.Modules[1].Items[0].URL)
	got := map[string]string{}
	for _, n := range notes {
		got[n.Ref] = n.Code
	}
	require.Equal(t, map[string]string{
		"Syllabus": "linked_files", "Quiz": "no_documents", "Essay": "no_documents", "Slides": "no_file", "More": "flattened", "Talk": "discussion", "Tool": "lti", "Gone": "no_resource", "Odd": "resource_type",
	}, got)
}

func TestNoCartridge(t *testing.T) {
	t.Parallel()
	entity := `<?xml version="1.0"?><!DOCTYPE manifest [<!ENTITY x SYSTEM "file:///etc/passwd">]><manifest><organizations><organization><item><title>&x;</title></item></organization></organizations></manifest>`
	deep := "<manifest><organizations><organization>" + strings.Repeat("<item>", 200) + strings.Repeat("</item>", 200) + "</organization></organizations></manifest>"
	for name, files := range map[string]map[string]string{
		"no manifest":      {"a.txt": "x"},
		"not XML":          {"imsmanifest.xml": "nope"},
		"something else":   {"imsmanifest.xml": "<html/>"},
		"nothing inside":   {"imsmanifest.xml": "<manifest/>"},
		"entity":           {"imsmanifest.xml": entity},
		"nested too deep":  {"imsmanifest.xml": deep},
		"truncated inside": {"imsmanifest.xml": foreign[:len(foreign)/2]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := read(t, zipped(t, files))
			require.True(t, apperr.IsKind(err, apperr.KindInvalid), "%v", err)
			require.Equal(t, "not_a_cartridge", apperr.From(err).Fields[0].Code)
		})
	}
}

func TestPathsInsideOfAManifestStayInside(t *testing.T) {
	t.Parallel()
	m := `<manifest><organizations><organization><item><item identifier="m"><title>M</title><item identifier="i" identifierref="r"><title>Page</title></item></item></item></organization></organizations>
	<resources><resource identifier="r" type="webcontent" href="../../../etc/passwd.html"/></resources></manifest>`
	pkg, notes, err := read(t, zipped(t, map[string]string{"imsmanifest.xml": m}))
	require.NoError(t, err)
	require.Empty(t, pkg.Modules[0].Items)
	require.Equal(t, "no_file", notes[0].Code)
}

func TestACartridgeCarriesWhatOtherServicesGave(t *testing.T) {
	t.Parallel()
	in, files := catalogtest.Carrying(t)
	var buf bytes.Buffer
	notes, err := cartridge.Write(&buf, in, files.Open)
	require.NoError(t, err)
	require.Empty(t, notes)
	raw := buf.Bytes()
	out, notes, inside, err := cartridge.Read(bytes.NewReader(raw), int64(len(raw)), archive.Standard())
	require.NoError(t, err)
	require.Empty(t, notes)
	items := out.Modules[0].Items
	require.Equal(t, catalogtest.Documents(t, in.Modules[0].Items[0].Part), catalogtest.Documents(t, items[0].Part))
	require.Equal(t, catalogtest.Documents(t, in.Modules[0].Items[1].Part), catalogtest.Documents(t, items[1].Part))
	require.Equal(t, catalogtest.Documents(t, in.Gradebook), catalogtest.Documents(t, out.Gradebook))
	file := items[2].Part.File
	require.Equal(t, "Sl_ides.pdf", file.Filename, "a name that leads nowhere else")
	require.Equal(t, "application/pdf", file.MediaType)
	require.NoError(t, inside.Each([]string{file.Entry}, func(_ string, r io.Reader) error {
		got, err := io.ReadAll(r)
		require.Equal(t, files.Content, string(got))
		return err
	}))
	require.Equal(t, catalogtest.Documents(t, in.Modules[0].Items[3].Part), catalogtest.Documents(t, items[3].Part), "a page of the library")
	require.Equal(t, events.ItemContent, items[3].Kind)
	manifest := unzipped(t, raw, "imsmanifest.xml")
	require.Contains(t, manifest, `type="imsqti_xmlv1p2/imscc_xmlv1p3/assessment" href="parts/1/assessment.xml"`)
	require.Contains(t, manifest, `type="assignment_xmlv1p0" href="parts/2/assignment.xml"`)
}

func unzipped(t *testing.T, raw []byte, name string) string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	require.NoError(t, err)
	f, err := z.Open(name)
	require.NoError(t, err)
	got, err := io.ReadAll(f)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	return string(got)
}
