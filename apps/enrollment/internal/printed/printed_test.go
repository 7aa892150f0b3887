package printed

import (
	"bytes"
	"compress/gzip"
	"io"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/image/font/sfnt"

	"lms/apps/enrollment/internal/enrollment"
	"lms/shared/contracts/events"
)

func sample() enrollment.Certificate {
	at := time.Date(2026, 3, 9, 8, 0, 0, 0, time.UTC)
	until, grade := at.AddDate(2, 0, 0), events.Hundredths(8750)
	return enrollment.Certificate{
		ID: uuid.New(), Code: "7HK2M4QXWJ5R3T8VYB6NCP9DFG7HK2M4", Name: "Łucja Đặng <b>Ω</b>", CourseCode: "BIO-101",
		CourseTitle: "Einführung in die Biologie & Genetik", CompletedAt: at, IssuedAt: at, ValidUntil: &until, Grade: &grade, Signatory: "Prof. Ada",
	}
}

func TestPDFIsOnePageAndAlwaysTheSame(t *testing.T) {
	t.Parallel()
	p, err := New()
	require.NoError(t, err)
	c := sample()
	first, err := p.PDF(c, "https://lms.test/api/v1/certificates/verify/"+c.Code)
	require.NoError(t, err)
	require.True(t, bytes.HasPrefix(first, []byte("%PDF-")))
	require.Equal(t, 1, bytes.Count(first, []byte("/Type /Page\n")))
	require.Contains(t, string(first), "/URI (https://lms.test/api/v1/certificates/verify/"+c.Code+")", "the link can be followed")
	second, err := p.PDF(c, "https://lms.test/api/v1/certificates/verify/"+c.Code)
	require.NoError(t, err)
	require.True(t, bytes.Equal(first, second), "an issued certificate is not made anew (rule 15)")
}

func TestPageEscapesAndSaysTheStatus(t *testing.T) {
	t.Parallel()
	p, err := New()
	require.NoError(t, err)
	c := sample()
	revoked := c.IssuedAt.AddDate(0, 1, 0)
	c.RevokedAt = &revoked
	html, err := p.HTML(c, "revoked", "https://lms.test/x")
	require.NoError(t, err)
	require.Contains(t, string(html), "This certificate was revoked.")
	require.Contains(t, string(html), "9 April 2026")
	require.Contains(t, string(html), "Łucja Đặng &lt;b&gt;Ω&lt;/b&gt;")
	require.NotContains(t, string(html), "<b>")
}

// Characters of every script that certificates claim to write have a glyph of
// their own: what has none is written as glyph 0, a box.
func TestNamesAreNotBoxes(t *testing.T) {
	t.Parallel()
	p, err := New()
	require.NoError(t, err)
	for name, size := range map[string]int{"王小明": 3, "山田 はなこ カナ": 9, "Anna 李 Müller": 13} {
		c := sample()
		c.Name = name
		pdf, err := p.PDF(c, "https://lms.test/x")
		require.NoError(t, err)
		require.True(t, bytes.Contains(pdf, []byte("/BaseFont /utf8droid")), name)
		var seen int
		for _, r := range runs(name) {
			seen += utf8.RuneCountInString(r.text)
			for _, ch := range r.text {
				require.Positive(t, glyph(t, r.font, ch), "%c in %s", ch, r.font)
			}
		}
		require.Equal(t, size, seen, "nothing of %s is left out", name)
	}
	pdf, err := p.PDF(sample(), "https://lms.test/x")
	require.NoError(t, err)
	require.False(t, bytes.Contains(pdf, []byte("/BaseFont /utf8droid")), "who needs no East Asian letters does not carry them")
}

// glyph is the number of a character's glyph in a font, 0 for none.
func glyph(t *testing.T, name string, r rune) int {
	t.Helper()
	raw := regular
	if name == fontEastAsian {
		zr, err := gzip.NewReader(bytes.NewReader(eastAsian))
		require.NoError(t, err)
		raw, err = io.ReadAll(zr)
		require.NoError(t, err)
	}
	f, err := sfnt.Parse(raw)
	require.NoError(t, err)
	i, err := f.GlyphIndex(nil, r)
	require.NoError(t, err)
	return int(i)
}
