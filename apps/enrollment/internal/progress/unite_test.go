package progress

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lms/shared/contracts/events"
)

func someFacts(r *rapid.T, name string, possible *events.Hundredths) Facts {
	when := func(what string) *time.Time {
		if n := rapid.IntRange(-1, 50).Draw(r, name+what); n >= 0 {
			return at(time.Duration(n) * time.Minute)
		}
		return nil
	}
	f := Facts{
		ViewedAt: when("viewed"), DoneAt: when("done"), SubmittedAt: when("submitted"), ExcusedAt: when("excused"),
		Watched: rapid.IntRange(0, 100).Draw(r, name+"watched"),
	}
	if f.GradedAt = when("graded"); f.GradedAt != nil {
		score := events.Hundredths(rapid.Int64Range(0, 2000).Draw(r, name+"score"))
		f.Score, f.Possible = &score, possible
	}
	return f
}

// What either account had met is met by both together, not later; the order of the
// two says nothing.
func TestUnitedFactsMeetWhatEitherMet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		possible := h(float64(rapid.IntRange(1, 20).Draw(r, "possible")))
		a, b := someFacts(r, "a ", possible), someFacts(r, "b ", possible)
		both := a.unite(b)
		require.True(r, both.Equal(b.unite(a)))
		require.True(r, both.Equal(both.unite(a)), "again changes nothing")
		for _, kind := range []string{events.RequireView, events.RequireDone, events.RequireSubmit, events.RequireMinScore} {
			need := Requirement{Kind: kind, MinScore: *h(float64(rapid.IntRange(0, 100).Draw(r, "min"))), Unit: events.ScorePercent}
			for _, f := range []Facts{a, b} {
				if at, met := need.Met(f); met {
					united, still := need.Met(both)
					require.True(r, still, kind)
					if kind != events.RequireMinScore { // the time of a better score is its own
						require.False(r, united.After(at), kind)
					}
				}
			}
		}
	})
}
