package grading

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lms/shared/apperr"
)

func TestLettersBeginAtTheirBounds(t *testing.T) {
	t.Parallel()
	s := Standard()
	for percent, want := range map[Hundredths]string{
		120_00: "A", 94_00: "A", 93_99: "A-", 90_00: "A-", 89_99: "B+", 61_00: "D-", 60_99: "F", 0: "F", -5_00: "F",
	} {
		require.Equal(t, want, s.Letter(&percent), percent)
	}
	require.Empty(t, s.Letter(nil))
}

func TestALetterIsEnteredAsTheHighestScoreThatGetsIt(t *testing.T) {
	t.Parallel()
	s := Standard()
	for _, c := range []struct {
		name     string
		possible Hundredths
		want     Hundredths
	}{{"A", 20_00, 20_00}, {"a-", 20_00, 18_79}, {"B+", 100_00, 89_99}, {" F ", 10_00, 6_09}} {
		got, ok := s.Points(c.name, c.possible)
		require.True(t, ok, c.name)
		require.Equal(t, c.want, got, c.name)
	}
	for _, c := range []struct {
		name     string
		possible Hundredths
	}{{"E", 20_00}, {"", 20_00}, {"A", 0}, {"B+", 1}} {
		_, ok := s.Points(c.name, c.possible)
		require.False(t, ok, c)
	}
}

func TestEnteringALetterShowsTheLetter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var grades []Grade
		from := Hundredths(0)
		for i := range rapid.IntRange(1, 8).Draw(t, "grades") {
			grades = append(grades, Grade{Name: "G" + strconv.Itoa(i), From: from})
			from += Hundredths(rapid.IntRange(1, 30_00).Draw(t, "step"))
		}
		s, err := NewScheme(grades)
		require.NoError(t, err)
		possible := Hundredths(rapid.IntRange(1, 500_00).Draw(t, "possible"))
		name := rapid.SampledFrom(grades).Draw(t, "grade").Name
		score, ok := s.Points(name, possible)
		if ok {
			require.Equal(t, name, s.Text(Letter, score, possible))
		}
		percent := Hundredths(rapid.IntRange(-10_00, 300_00).Draw(t, "percent"))
		require.NotEmpty(t, s.Letter(&percent), "every percent has a letter")
		if higher := percent + 1; s.Letter(&higher) != s.Letter(&percent) {
			require.Equal(t, higher, s.For(higher).From)
		}
	})
}

func TestSchemesThatLeaveSomethingOpenAreRefused(t *testing.T) {
	t.Parallel()
	for name, grades := range map[string][]Grade{
		"none":                     {},
		"nothing begins at 0":      {{Name: "A", From: 1}},
		"the same name":            {{Name: "A", From: 50_00}, {Name: "a", From: 0}},
		"the same bound":           {{Name: "A", From: 0}, {Name: "B", From: 0}},
		"a name that is empty":     {{Name: "", From: 0}},
		"a bound below 0":          {{Name: "A", From: -1}, {Name: "B", From: 0}},
		"points for some":          {{Name: "A", From: 50_00, Points: ptr(Hundredths(4_00))}, {Name: "B", From: 0}},
		"points that are negative": {{Name: "B", From: 0, Points: ptr(Hundredths(-1))}},
	} {
		_, err := NewScheme(grades)
		require.True(t, apperr.IsKind(err, apperr.KindInvalid), name)
	}
	s, err := NewScheme([]Grade{{Name: "F", From: 0}, {Name: "P", From: 50_00}})
	require.NoError(t, err)
	require.Equal(t, "P", s[0].Name, "sorted")
	_, err = NewScheme(Standard())
	require.NoError(t, err)
}

func TestScoresAreShownByTheirKind(t *testing.T) {
	t.Parallel()
	s := Standard()
	for _, c := range []struct {
		kind            Kind
		score, possible Hundredths
		want            string
	}{
		{Points, 17_50, 20_00, "17.5"},
		{Percent, 17_50, 20_00, "87.5%"},
		{Percent, 3_00, 0, "3"},
		{Letter, 17_50, 20_00, "B+"},
		{Letter, 1_00, 0, ""},
		{GPA, 17_50, 20_00, "3.3"},
		{PassFail, 1_00, 1_00, Pass},
		{PassFail, 0, 1_00, Fail},
		{Ungraded, 1_00, 1_00, ""},
	} {
		require.Equal(t, c.want, s.Text(c.kind, c.score, c.possible), c)
	}
}

func TestRoundingIsHalfUpAwayFromZero(t *testing.T) {
	t.Parallel()
	for score, want := range map[Hundredths]Hundredths{1: 13, -1: -13, 3: 38, -3: -38} { // eighths of a hundredth
		require.Equal(t, want, *Share(score, 8_00), score)
	}
	require.Nil(t, Share(1, 0))
}
