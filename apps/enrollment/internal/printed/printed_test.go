package printed

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

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
	for _, name := range []string{"王小明", "山田 はなこ カナ", "Anna 李 Müller"} {
		c := sample()
		c.Name = name
		pdf, err := p.PDF(c, "https://lms.test/x")
		require.NoError(t, err)
		require.True(t, bytes.Contains(pdf, []byte("/BaseFont /utf8droid")), name)
	}
	pdf, err := p.PDF(sample(), "https://lms.test/x")
	require.NoError(t, err)
	require.False(t, bytes.Contains(pdf, []byte("/BaseFont /utf8droid")), "who needs no East Asian letters does not carry them")
}
