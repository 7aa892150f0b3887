package report_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lms/apps/analytics/internal/report"
)

// TestTheCatalogueIsComplete: each report says what it is, under a name and with
// columns of its own.
func TestTheCatalogueIsComplete(t *testing.T) {
	t.Parallel()
	names := map[report.Name]bool{}
	for _, r := range report.Catalogue() {
		require.False(t, names[r.Name], r.Name)
		names[r.Name] = true
		require.Greater(t, len(r.Definition), 60, r.Name)
		require.NotEmpty(t, r.Title)
		require.Equal(t, r.Time == report.Buckets || r.Time == report.AtTheEnd, r.Interval != "", r.Name)
		keys := map[string]bool{}
		for _, c := range r.Columns {
			require.False(t, keys[c.Key], "%s.%s", r.Name, c.Key)
			keys[c.Key] = true
			require.NotEmpty(t, c.Title)
			require.NotEmpty(t, c.Kind)
		}
	}
}

func TestDatesAreMeantWholeInTheirZone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ zone, from, to, begin, end string }{
		{"UTC", "2026-03-09", "2026-03-09", "2026-03-09T00:00:00Z", "2026-03-10T00:00:00Z"},
		{"Europe/Berlin", "2026-03-29", "2026-03-29", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},
		{"America/Sao_Paulo", "2018-11-04", "2018-11-04", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"},
		{"Europe/Berlin", "2026-03-29T00:00:00+05:00", "2026-03-30T12:00:00Z", "2026-03-28T19:00:00Z", "2026-03-30T12:00:00Z"},
	} {
		begin, end, err := report.Bounds(c.from, c.to, c.zone)
		require.NoError(t, err)
		require.Equal(t, c.begin, begin.Format(time.RFC3339), c.zone)
		require.Equal(t, c.end, end.Format(time.RFC3339), c.zone)
	}
	begin, end, err := report.Bounds("", "", "UTC")
	require.NoError(t, err)
	require.Nil(t, begin)
	require.Nil(t, end)
	_, _, err = report.Bounds("9.3.2026", "tomorrow", "UTC")
	require.Error(t, err)
}

func TestAPeriodThatIsNotSaidIsTheLastThirtyDays(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)
	r, ok := report.Find(report.ActiveLearners)
	require.True(t, ok)
	p, err := r.Ask(report.Query{TimeZone: "Europe/Berlin"}, now)
	require.NoError(t, err)
	require.Equal(t, "2026-02-28T23:00:00Z", p.From.Format(time.RFC3339), "from the beginning of a day there")
	require.Equal(t, now, p.To)
	require.Len(t, p.Buckets, 31)
}

// TestNoCellIsAFormula: whatever a text is, a spreadsheet takes it for a text, and
// the text can be had again.
func TestNoCellIsAFormula(t *testing.T) {
	t.Parallel()
	columns := []report.Column{{Key: "a", Kind: report.KindText}, {Key: "n", Kind: report.KindCount}}
	rapid.Check(t, func(r *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "|x", "%y"})).Draw(r, "text")
		text = strings.ReplaceAll(text, "\r", "") // encoding/csv reads \r\n as \n
		n := rapid.Int64().Draw(r, "n")
		var b bytes.Buffer
		w, err := report.NewWriter(&b, report.CSV, columns)
		require.NoError(r, err)
		require.NoError(r, w.Row([]any{text, n}))
		require.NoError(r, w.Close())
		rows, err := csv.NewReader(&b).ReadAll()
		require.NoError(r, err)
		got := rows[1][0]
		require.False(r, got != "" && strings.ContainsRune("=+-@\t\n|%", rune(got[0])), "%q", got)
		require.True(r, got == text || got == "'"+text)
	})
}

func TestALineOfNDJSONIsAnObjectInTheOrderOfColumns(t *testing.T) {
	t.Parallel()
	id := uuid.New()
	var b bytes.Buffer
	w, err := report.NewWriter(&b, report.NDJSON, []report.Column{{Key: "z"}, {Key: "a"}, {Key: "none"}, {Key: "why"}})
	require.NoError(t, err)
	require.NoError(t, w.Row([]any{id, int64(7), nil, []string{"a", "b"}}))
	require.NoError(t, w.Close())
	require.Equal(t, `{"z":"`+id.String()+`","a":7,"none":null,"why":["a","b"]}`+"\n", b.String())
	require.True(t, json.Valid(b.Bytes()))
}

func TestReasonsAreSpelledOut(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)
	active := now.AddDate(0, 0, -21)
	progress, expected, grade := int64(2500), int64(8333), int64(4975)
	s := report.Standing{EnrolledAt: now.AddDate(0, 0, -9), LastActivityAt: &active, Missing: 2, Progress: &progress, Expected: &expected, Grade: &grade}
	for reason, want := range map[string]string{
		"inactive":     "Nothing done for 21 days, last on 2026-03-10.",
		"not_begun":    "Nothing done yet, 9 days after enrolling.",
		"missing_work": "2 assignments were due and not handed in.",
		"low_grade":    "The current grade is 49.75 %, below 50 %.",
		"behind":       "25 % of the requirements are met, 83.33 % of the time has passed.",
	} {
		require.Equal(t, want, report.Why(reason, s, now))
	}
}
