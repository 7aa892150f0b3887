package period_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lms/apps/analytics/internal/period"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	require.NoError(t, err)
	return z
}

func at(t *testing.T, z *time.Location, s string) time.Time {
	t.Helper()
	v, err := time.ParseInLocation("2006-01-02 15:04", s, z)
	require.NoError(t, err)
	return v
}

func TestDaysAtTheChangeOfClocks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		zone, from, to string
		hours          []int
		labels         []string
	}{
		{"Europe/Berlin", "2026-03-28 00:00", "2026-03-31 00:00", []int{24, 23, 24}, []string{"2026-03-28", "2026-03-29", "2026-03-30"}},
		{"Europe/Berlin", "2026-10-24 00:00", "2026-10-27 00:00", []int{24, 25, 24}, []string{"2026-10-24", "2026-10-25", "2026-10-26"}},
		// Midnight is skipped: the day begins at one.
		{"America/Sao_Paulo", "2018-11-03 00:00", "2018-11-06 00:00", []int{24, 23, 24}, []string{"2018-11-03", "2018-11-04", "2018-11-05"}},
		// A day that never was.
		{"Pacific/Apia", "2011-12-29 00:00", "2012-01-01 00:00", []int{24, 24}, []string{"2011-12-29", "2011-12-31"}},
		{"Asia/Kathmandu", "2026-01-01 00:00", "2026-01-02 00:00", []int{24}, []string{"2026-01-01"}},
	} {
		z := zone(t, c.zone)
		got, err := period.Cut(at(t, z, c.from), at(t, z, c.to), period.Day, z)
		require.NoError(t, err)
		var hours []int
		var labels []string
		for _, b := range got {
			hours = append(hours, int(b.End.Sub(b.Start)/time.Hour))
			labels = append(labels, b.Label)
		}
		require.Equal(t, c.hours, hours, "%s %s", c.zone, c.from)
		require.Equal(t, c.labels, labels, "%s %s", c.zone, c.from)
	}
}

func TestNamesOfLongerIntervals(t *testing.T) {
	t.Parallel()
	z := zone(t, "Europe/London")
	for every, want := range map[period.Interval][]string{
		period.Week:    {"2025-W52", "2026-W01", "2026-W02"},
		period.Month:   {"2025-12", "2026-01"},
		period.Quarter: {"2025-Q4", "2026-Q1"},
		period.Year:    {"2025", "2026"},
	} {
		got, err := period.Cut(at(t, z, "2025-12-28 10:00"), at(t, z, "2026-01-06 00:00"), every, z)
		require.NoError(t, err)
		var labels []string
		for _, b := range got {
			labels = append(labels, b.Label)
		}
		require.Equal(t, want, labels)
	}
	_, err := period.Cut(at(t, z, "2020-01-01 00:00"), at(t, z, "2026-01-01 00:00"), period.Day, z)
	require.Error(t, err, "too many days")
	_, err = period.Cut(at(t, z, "2026-01-01 00:00"), at(t, z, "2026-01-01 00:00"), period.Day, z)
	require.Error(t, err, "no time at all")
}

// TestBucketsCoverThePeriodOnce: in every zone they follow on each other without a
// hole, each is of one local date, and the spans say for every quarter of an hour
// the bucket that it is in.
func TestBucketsCoverThePeriodOnce(t *testing.T) {
	t.Parallel()
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Chatham", "Africa/Cairo", "Pacific/Apia"}
	rapid.Check(t, func(r *rapid.T) {
		z := zone(t, rapid.SampledFrom(zones).Draw(r, "zone"))
		from := time.Date(2009, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(0, 20*365*96).Draw(r, "from")) * 15 * time.Minute)
		to := from.Add(time.Duration(rapid.IntRange(1, 60*96).Draw(r, "length")) * 15 * time.Minute)
		every := rapid.SampledFrom([]period.Interval{period.Day, period.Week, period.Month, period.Quarter, period.Year}).Draw(r, "every")
		buckets, err := period.Cut(from, to, every, z)
		require.NoError(r, err)
		require.True(r, buckets[0].Start.Equal(from))
		require.True(r, buckets[len(buckets)-1].End.Equal(to))
		for i, b := range buckets {
			require.True(r, b.Start.Before(b.End))
			if i > 0 {
				require.True(r, b.Start.Equal(buckets[i-1].End))
				require.NotEqual(r, b.Label, buckets[i-1].Label)
			}
			if every == period.Day {
				require.Equal(r, b.Start.In(z).Format(time.DateOnly), b.End.Add(-time.Second).In(z).Format(time.DateOnly))
			}
		}
		spans := period.Spans(buckets)
		probe := from.Add(time.Duration(rapid.IntRange(0, int(to.Sub(from)/time.Minute)-1).Draw(r, "probe")) * time.Minute)
		want := 0
		for i, b := range buckets {
			if !probe.Before(b.Start) && probe.Before(b.End) {
				want = i + 1
			}
		}
		slot := probe.UTC().Hour()*4 + probe.UTC().Minute()/15
		var in []int
		for _, s := range spans {
			word, bit := s.AM, slot
			if slot >= 48 {
				word, bit = s.PM, slot-48
			}
			if s.Day.Equal(probe.UTC().Truncate(24*time.Hour)) && word&(1<<bit) != 0 {
				in = append(in, s.Bucket)
			}
		}
		require.Equal(r, []int{want}, in)
	})
}

// TestThePresentQuarterCounts: what was done a minute ago is active today.
func TestThePresentQuarterCounts(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 31, 12, 7, 0, 0, time.UTC)
	buckets, err := period.Cut(now.Add(-time.Hour), now, period.Day, time.UTC)
	require.NoError(t, err)
	spans := period.Spans(buckets)
	require.Len(t, spans, 1)
	require.NotZero(t, spans[0].PM&1, "the quarter from noon")
	require.Zero(t, spans[0].PM&^1, "and no more")
	require.EqualValues(t, 0b1111<<44, spans[0].AM)
}
