package library

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func drawn(t *rapid.T, name string, most int64) []Interval {
	n := rapid.IntRange(0, 30).Draw(t, name)
	out := make([]Interval, n)
	for i := range out {
		out[i] = Interval{From: rapid.Int64Range(-1000, most).Draw(t, "from"), To: rapid.Int64Range(-1000, most).Draw(t, "to")}
	}
	return out
}

// TestMergedIsTheSetOfItsMoments compares merging with a plain set of milliseconds.
func TestMergedIsTheSetOfItsMoments(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := drawn(t, "intervals", 300)
		moments := map[int64]bool{}
		for _, i := range all {
			for at := i.From; at < i.To; at++ {
				moments[at] = true
			}
		}
		got := merged(all, 0)
		require.EqualValues(t, len(moments), got.Length())
		for n, i := range got {
			require.Less(t, i.From, i.To)
			require.True(t, n == 0 || got[n-1].To < i.From, "apart and in order: %v", got)
			for at := i.From; at < i.To; at++ {
				require.True(t, moments[at])
			}
		}
	})
}

// TestPlausibleNeverExceedsTheClock: whatever a player says, no more is taken than
// there was time for, and nothing outside of the recording.
func TestPlausibleNeverExceedsTheClock(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		length := rapid.Int64Range(1, 100_000).Draw(t, "length")
		elapsed := time.Duration(rapid.Int64Range(-1000, 100_000).Draw(t, "elapsed")) * time.Millisecond
		rate := rapid.Float64Range(-1, 10).Draw(t, "rate")
		said := drawn(t, "said", 200_000)
		got := plausible(said, &length, elapsed, rate)
		var sum int64
		for _, i := range got {
			require.GreaterOrEqual(t, i.From, int64(0))
			require.LessOrEqual(t, i.To, length)
			require.Less(t, i.From, i.To)
			sum += i.Length()
		}
		require.LessOrEqual(t, sum, int64(float64(max(elapsed, 0).Milliseconds())*min(max(rate, 0.1), MaxRate))+grace.Milliseconds())
	})
}

func TestAddingKeepsWhatWasKnownAndStaysSmall(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var known Intervals
		for range rapid.IntRange(1, 5).Draw(t, "reports") {
			more := drawn(t, "more", 10_000_000)
			before := known
			known = known.add(more)
			require.LessOrEqual(t, len(known), MaxIntervals)
			require.GreaterOrEqual(t, known.Length(), before.Length())
			require.Equal(t, known.flat(), unflat(known.flat()).flat())
			require.Equal(t, known.flat(), known.add(nil).flat(), "nothing new changes nothing")
		}
	})
	var many Intervals
	for i := range int64(2000) {
		many = many.add([]Interval{{From: i * 10_000, To: i*10_000 + 1}})
	}
	require.Len(t, many, MaxIntervals)
}

func TestPercentIsRoundedDownAndFullWhenLessThanASecondIsMissing(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		to, length int64
		want       int
	}{{0, 10_000, 0}, {99, 10_000, 0}, {100, 10_000, 1}, {8_999, 10_000, 89}, {9_000, 10_000, 100}, {10_000, 10_000, 100}, {1, 500, 100}, {0, 500, 0}} {
		require.Equal(t, tc.want, Intervals{{0, tc.to}}.percent(tc.length), "%d of %d", tc.to, tc.length)
	}
}

func TestATextIsCutWhereItsJSONWouldBeTooLong(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		most := rapid.IntRange(2, 60).Draw(t, "most")
		got, shortened := cut(text, most)
		raw, err := json.Marshal(got)
		require.NoError(t, err)
		require.LessOrEqual(t, len(raw), most)
		require.Equal(t, shortened, got != text)
	})
}

func TestWhatAFileMayBeAnnouncedAs(t *testing.T) {
	t.Parallel()
	require.True(t, fits("audio/mp4", "video/mp4"))
	require.True(t, fits("text/csv", "text/plain"))
	require.True(t, fits("application/msword", "application/x-ole-storage"))
	for _, pair := range [][2]string{{"text/plain", "text/html"}, {"video/mp4", "video/webm"}, {"image/png", "image/jpeg"}, {"application/pdf", "application/zip"}} {
		require.False(t, fits(pair[0], pair[1]), pair)
	}
	for _, kind := range Kinds {
		for _, mediaType := range MediaTypes(kind) {
			require.NotContains(t, mediaType, "html")
			require.NotContains(t, mediaType, "svg")
		}
	}
}
