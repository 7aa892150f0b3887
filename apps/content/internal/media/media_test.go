package media

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func ptr[T any](v T) *T { return &v }

func TestWhatFilesTell(t *testing.T) {
	t.Parallel()
	opus := "OpusHead\x01\x02\x38\x01\x80\xbb\x00\x00\x00\x00\x00"
	vorbis := "\x01vorbis\x00\x00\x00\x00\x02\x44\xac\x00\x00"
	recorder := wavFile(16_000, 32_000)
	binary.LittleEndian.PutUint32(recorder[52:], 1<<31) // it was cut off: data claims more
	for name, tc := range map[string]struct {
		kind string
		file []byte
		want Facts
	}{
		"mp4":                     {"video/mp4", mp4File(1000, 754_000, 1920, 1080), Facts{Width: ptr(1920), Height: ptr(1080), DurationMS: ptr(int64(754_000))}},
		"mp4 in other ticks":      {"video/quicktime", mp4File(90_000, 180_090, 640, 360), Facts{Width: ptr(640), Height: ptr(360), DurationMS: ptr(int64(2001))}},
		"mp4 in fragments":        {"video/mp4", mp4Fragmented(1000, 61_500), Facts{DurationMS: ptr(int64(61_500))}},
		"m4a":                     {"audio/mp4", mp4File(1000, 3000, 10, 10), Facts{DurationMS: ptr(int64(3000))}},
		"webm":                    {"video/webm", webmFile(12_345.6, 1280, 720), Facts{Width: ptr(1280), Height: ptr(720), DurationMS: ptr(int64(12_346))}},
		"mp3 with a header":       {"audio/mpeg", mp3File(1000, true), Facts{DurationMS: ptr(int64(26_122))}},
		"mp3 without":             {"audio/mpeg", mp3File(1000, false), Facts{DurationMS: ptr(int64(26_122))}},
		"wav":                     {"audio/wav", wavFile(16_000, 32_000), Facts{DurationMS: ptr(int64(2000))}},
		"wav that was cut off":    {"audio/wav", recorder, Facts{DurationMS: ptr(int64(2000))}},
		"flac":                    {"audio/flac", flacFile(44_100, 441_000), Facts{DurationMS: ptr(int64(10_000))}},
		"opus":                    {"audio/ogg", oggFile(opus, 48_312), Facts{DurationMS: ptr(int64(1000))}},
		"vorbis":                  {"audio/ogg", oggFile(vorbis, 88_200), Facts{DurationMS: ptr(int64(2000))}},
		"png":                     {"image/png", picture(t, "png"), Facts{Width: ptr(64), Height: ptr(48)}},
		"jpeg":                    {"image/jpeg", picture(t, "jpeg"), Facts{Width: ptr(64), Height: ptr(48)}},
		"gif":                     {"image/gif", picture(t, "gif"), Facts{Width: ptr(64), Height: ptr(48)}},
		"webp":                    {"image/webp", picture(t, "webp"), Facts{Width: ptr(64), Height: ptr(48)}},
		"pdf with a table":        {"application/pdf", pdfTable(t, 13), Facts{Pages: ptr(13)}},
		"pdf with streams":        {"application/pdf", pdfStreams(7), Facts{Pages: ptr(7)}},
		"pdf that was changed":    {"application/pdf", changedPDF(t), Facts{Pages: ptr(2)}},
		"pdf without an end":      {"application/pdf", pdfTable(t, 3)[:700], Facts{}},
		"a picture that is none":  {"image/png", []byte("\x89PNG\r\n\x1a\n"), Facts{}},
		"a movie without its map": {"video/mp4", mp4Box("ftyp", []byte("isom")), Facts{}},
		"nothing":                 {"video/mp4", nil, Facts{}},
		"something else":          {"text/plain", []byte("hello"), Facts{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, Probe(bytes.NewReader(tc.file), int64(len(tc.file)), tc.kind))
		})
	}
}

// changedPDF has a page removed by an incremental update: the newest table wins.
func changedPDF(t *testing.T) []byte {
	t.Helper()
	old := pdfTable(t, 3)
	start, ok := integer(old[bytes.LastIndex(old, []byte("startxref"))+9:])
	require.True(t, ok)
	at := len(old)
	b := bytes.NewBuffer(old)
	b.WriteString("1 0 obj\n<</Type /Pages\n/Kids [3 0 R 5 0 R ]\n/Count 2\n>>\nendobj\n")
	table := b.Len()
	fmt.Fprintf(b, "xref\n0 1\n0000000000 65535 f \n1 1\n%010d 00000 n \ntrailer\n<</Size 99 /Root %s /Prev %d>>\nstartxref\n%d\n%%%%EOF\n", at, rootOf(t, old), start, table)
	return b.Bytes()
}

func rootOf(t *testing.T, file []byte) string {
	t.Helper()
	dict, _ := dictionary(file[bytes.LastIndex(file, []byte("trailer")):])
	return strings.TrimSpace(string(value(dict, "Root")))
}

func TestHostileFilesEndSoon(t *testing.T) {
	t.Parallel()
	loop := []byte("%PDF-1.4\nxref\n0 1\n0000000000 65535 f \ntrailer\n<</Root 9 0 R /Prev 9>>\nstartxref\n9\n%%EOF\n")
	zeros := deflate(make([]byte, 72<<20))
	inflated := fmt.Appendf(nil, "%%PDF-1.5\n1 0 obj\n<< /Type /XRef /W [1 2 1] /Size 5 /Root 1 0 R /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream\nstartxref\n9\n%%%%EOF\n", len(zeros), zeros)
	for name, tc := range map[string]struct {
		kind string
		file []byte
	}{
		"a table that names itself":   {"application/pdf", loop},
		"a stream that explodes":      {"application/pdf", inflated},
		"a box larger than the file":  {"video/mp4", append(u32(1<<31), "moovxxxx"...)},
		"a box of no size in another": {"video/mp4", mp4Box("moov", append(u32(4), "mvhd"...))},
		"an element without an end":   {"video/webm", append(u32(mkvSegment), 0x08, 0xff, 0xff, 0xff, 0xff)},
		"many small boxes":            {"video/mp4", bytes.Repeat(mp4Box("free"), 200_000)},
		"tags upon tags":              {"audio/mpeg", []byte("ID3\x04\x00\x00\x7f\x7f\x7f\x7f")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			require.Equal(t, Facts{}, Probe(bytes.NewReader(tc.file), int64(len(tc.file)), tc.kind))
			require.Less(t, time.Since(began), 5*time.Second)
		})
	}
}

func TestArchives(t *testing.T) {
	t.Parallel()
	open := func(file []byte) (*Archive, error) { return OpenArchive(bytes.NewReader(file), int64(len(file))) }
	a, err := open(docx(t))
	require.NoError(t, err)
	require.Equal(t, office+"wordprocessingml.document", a.MediaType)
	a, err = open(zipFile(t, map[string]string{"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": "<x/>"}))
	require.NoError(t, err)
	require.Equal(t, "application/vnd.oasis.opendocument.text", a.MediaType)
	a, err = open(zipFile(t, map[string]string{"data.csv": "1,2"}))
	require.NoError(t, err)
	require.Equal(t, "application/zip", a.MediaType)
	_, err = open(bomb(t))
	require.ErrorIs(t, err, ErrUnsafe)
	_, err = open(docx(t)[:50])
	require.ErrorIs(t, err, ErrUnsafe)
	many := map[string]string{}
	for i := range MaxEntries + 1 {
		many[fmt.Sprint(i)] = ""
	}
	_, err = open(zipFile(t, many))
	require.ErrorIs(t, err, ErrUnsafe)
}

func TestTextsOfFiles(t *testing.T) {
	t.Parallel()
	text := func(file []byte, kind string) string { return Text(bytes.NewReader(file), int64(len(file)), kind) }
	require.Equal(t, "Cells & genes\nSecond", text(docx(t), office+"wordprocessingml.document"))
	require.Equal(t, "a,b", text([]byte("a,\xff\x00b"), "text/csv"))
	require.Empty(t, text(bomb(t), office+"wordprocessingml.document"))
	require.Empty(t, text([]byte("%PDF"), "application/pdf"))
	long := text([]byte(strings.Repeat("ä", MaxText)), "text/plain")
	require.Len(t, long, MaxText)
	big := zipFile(t, map[string]string{"[Content_Types].xml": "x", "word/document.xml": "<p>" + strings.Repeat("word ", 1<<20) + "</p>"})
	require.LessOrEqual(t, len(text(big, office+"wordprocessingml.document")), MaxText)
}

// FuzzProbe: no file makes a look panic, or last.
func FuzzProbe(f *testing.F) {
	kinds := []string{"application/pdf", "image/png", "image/webp", "video/mp4", "video/webm", "audio/mpeg", "audio/wav", "audio/flac", "audio/ogg", office + "wordprocessingml.document"}
	for i, file := range [][]byte{
		pdfStreams(7), picture(f, "png"), picture(f, "webp"), mp4File(1000, 7000, 64, 48), webmFile(1000, 64, 48), mp3File(3, true), wavFile(100, 100),
		flacFile(44_100, 9), oggFile("OpusHead\x01\x02\x38\x01\x80\xbb\x00\x00\x00\x00\x00", 9), docx(f),
	} {
		f.Add(file, byte(i))
	}
	f.Add(pdfTable(f, 1), byte(0))
	f.Fuzz(func(t *testing.T, file []byte, kind byte) {
		began := time.Now()
		r, mediaType := bytes.NewReader(file), kinds[int(kind)%len(kinds)]
		facts := Probe(r, int64(len(file)), mediaType)
		if facts.DurationMS != nil && (*facts.DurationMS < 1 || *facts.DurationMS > maxDuration) {
			t.Fatalf("a duration of %d", *facts.DurationMS)
		}
		if text := Text(r, int64(len(file)), mediaType); len(text) > MaxText {
			t.Fatalf("a text of %d bytes", len(text))
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Fatalf("it took %s", took)
		}
	})
}
