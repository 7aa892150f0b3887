package itemstats

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func one(earned ...int64) Attempt[string] {
	a := Attempt[string]{Questions: map[string]Answered{}}
	for i, e := range earned {
		a.Questions[string(rune('a'+i))] = Answered{Earned: e, Possible: 100, Class: "correct", Picked: []string{"x"}}
		a.Score += e
		a.Possible += 100
	}
	return a
}

func TestAQuestionThatTellsGoodFromBad(t *testing.T) {
	t.Parallel()
	// a is answered by those who know, b by those who do not, c by everybody.
	items := Items([]Attempt[string]{
		one(100, 0, 100, 100), one(100, 0, 100, 100), one(100, 0, 100, 100), one(0, 100, 100, 0), one(0, 100, 100, 0), one(0, 100, 100, 0),
	})
	require.InDelta(t, 0.5, *items["a"].Facility, 1e-9)
	require.InDelta(t, 1, *items["a"].Discrimination, 1e-9)
	require.InDelta(t, 1, *items["c"].Facility, 1e-9)
	require.Nil(t, items["c"].PointBiserial, "it never differs")
	require.InDelta(t, 0, *items["c"].Discrimination, 1e-9)
	require.Less(t, *items["b"].Discrimination, 0.0)
	require.Equal(t, 6, items["a"].Picked["x"])
	require.Equal(t, map[string]int{"correct": 6}, items["a"].Classes)
}

func TestThePointBiserialIsTheTextbooks(t *testing.T) {
	t.Parallel()
	// Right or wrong against the rest: (M1 − M0) ÷ s × √(p q), with s over n.
	rest := []int64{90, 80, 70, 30, 20}
	right := []bool{true, true, false, true, false}
	var attempts []Attempt[string]
	for i := range rest {
		var e int64
		if right[i] {
			e = 100
		}
		attempts = append(attempts, Attempt[string]{Score: e + rest[i], Possible: 200, Questions: map[string]Answered{"q": {Earned: e, Possible: 100}}})
	}
	m1, m0, m := (90.0+80+30)/3, (70.0+20)/2, (90.0+80+70+30+20)/5
	var s float64
	for _, r := range rest {
		s += (float64(r) - m) * (float64(r) - m)
	}
	want := (m1 - m0) / math.Sqrt(s/5) * math.Sqrt(3.0/5*2.0/5)
	require.InDelta(t, want, *Items(attempts)["q"].PointBiserial, 1e-9)
}

func TestNothingIsEverNaN(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var attempts []Attempt[string]
		for range rapid.IntRange(0, 12).Draw(t, "n") {
			p := rapid.Int64Range(0, 3).Draw(t, "possible") * 100
			e := rapid.Int64Range(0, p).Draw(t, "earned")
			attempts = append(attempts, Attempt[string]{Score: e, Possible: p, Questions: map[string]Answered{"q": {Earned: e, Possible: p}}})
		}
		s := Scores(attempts)
		for _, v := range []*float64{s.Mean, s.Median, s.Lowest, s.Highest} {
			require.True(t, v == nil || *v >= 0 && *v <= 1)
		}
		require.True(t, s.Deviation == nil || !math.IsNaN(*s.Deviation))
		for _, it := range Items(attempts) {
			require.True(t, it.Facility == nil || *it.Facility >= 0 && *it.Facility <= 1)
			for _, v := range []*float64{it.Discrimination, it.PointBiserial} {
				require.True(t, v == nil || *v >= -1 && *v <= 1)
			}
		}
	})
}

func TestTheMedianOfAnEvenNumberIsInTheMiddle(t *testing.T) {
	t.Parallel()
	s := Scores([]Attempt[string]{one(0), one(100), one(50), one(100)})
	require.InDelta(t, 0.75, *s.Median, 1e-9)
	require.InDelta(t, 0.625, *s.Mean, 1e-9)
}
