package marking

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lms/shared/apperr"
	"lms/shared/contracts/events"
)

func author() Author { return Author{Random: rand.Reader, HTML: func(s string) string { return s }} }

func prepared(t require.TestingT, d Definition) Definition {
	d, err := author().Prepare(d, nil)
	require.NoError(t, err)
	return d
}

func of(s string) *string { return &s }

func choices(right string) []Choice {
	var out []Choice
	for i, r := range right {
		out = append(out, Choice{Text: fmt.Sprintf("choice %d", i), Correct: r == '1'})
	}
	return out
}

func TestMultipleIsRightMinusWrongNotBelowZero(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		right, picked string
		points        events.Hundredths
		class         string
	}{
		{"110", "110", 100, ClassCorrect},
		{"110", "100", 50, ClassPartial},
		{"110", "101", 0, ClassWrong},
		{"110", "111", 50, ClassPartial},
		{"110", "001", 0, ClassWrong},
		{"1110", "1000", 33, ClassPartial},
		{"1110", "1100", 67, ClassPartial},
		{"110", "000", 0, ClassBlank},
	} {
		d := prepared(t, Definition{Kind: Multiple, Prompt: "?", Choices: choices(c.right)})
		a := &Answer{}
		for i, p := range c.picked {
			if p == '1' {
				a.Choices = append(a.Choices, d.Choices[i].ID)
			}
		}
		r := Mark(d, a)
		require.Equal(t, c.points, r.Credit.Points(100), "%s %s", c.right, c.picked)
		require.Equal(t, c.class, r.Class, "%s %s", c.right, c.picked)
	}
}

// TestMultipleAgainstAPlainModel compares with the sentence of the rule in exact
// fractions, for every set of choices.
func TestMultipleAgainstAPlainModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		right := rapid.SliceOfN(rapid.Bool(), 2, 8).Filter(func(b []bool) bool { return slices.Contains(b, true) }).Draw(t, "right")
		picked := rapid.SliceOfN(rapid.Bool(), len(right), len(right)).Draw(t, "picked")
		all := rapid.Bool().Draw(t, "all or nothing")
		possible := events.Hundredths(rapid.Int64Range(0, 10_000_00).Draw(t, "points"))
		d := Definition{Kind: Multiple, Prompt: "?", Scoring: Partial}
		if all {
			d.Scoring = AllOrNothing
		}
		for i, r := range right {
			d.Choices = append(d.Choices, Choice{Text: fmt.Sprint(i), Correct: r})
		}
		d = prepared(t, d)
		a, hits, misses, total := &Answer{}, 0, 0, 0
		for i := range right {
			if right[i] {
				total++
			}
			if picked[i] {
				a.Choices = append(a.Choices, d.Choices[i].ID)
				if right[i] {
					hits++
				} else {
					misses++
				}
			}
		}
		want := big.NewRat(int64(max(hits-misses, 0)), int64(total))
		if all && (hits != total || misses > 0) {
			want = new(big.Rat)
		}
		want.Mul(want, big.NewRat(int64(possible), 1))
		want.Add(want, big.NewRat(1, 2))
		floor := new(big.Int).Quo(want.Num(), want.Denom())
		require.Equal(t, floor.Int64(), int64(Mark(d, a).Credit.Points(possible)), "rounded half-up")
	})
}

func TestPointsStayWithinWhatIsPossible(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		den := rapid.Int64Range(1, 1000).Draw(t, "den")
		c := Credit{rapid.Int64Range(0, den).Draw(t, "num"), den}
		of := events.Hundredths(rapid.Int64Range(0, 1_000_000_00).Draw(t, "of"))
		p := c.Points(of)
		require.GreaterOrEqual(t, p, events.Hundredths(0))
		require.LessOrEqual(t, p, of)
		if c.Num == den {
			require.Equal(t, of, p)
		}
	})
}

func TestNumericTolerancesIncludeTheirBounds(t *testing.T) {
	t.Parallel()
	half := 50
	d := prepared(t, Definition{Kind: Numeric, Prompt: "?", Numeric: []NumericAnswer{
		{Value: "9.81", Tolerance: "0.01"}, {Value: "10", Tolerance: "2", Relative: true, Credit: &half, Feedback: "nearly"},
	}})
	for answer, want := range map[string]events.Hundredths{
		"9.81": 100, "9.82": 100, "9.80": 100, "9.8200000000000000000001": 50, "9.79": 0, "9.8": 100, "10.2": 50, "10.21": 0, "+9.81": 100, "981e-2": 100,
		"\t9.81": 100, "0": 0, "-9.81": 0, "1e999": 0,
	} {
		a := &Answer{Number: of(answer)}
		require.NoError(t, d.Accepts(a), answer)
		require.Equal(t, want, Mark(d, a).Credit.Points(100), answer)
	}
	for _, answer := range []string{"", "abc", "NaN", "Inf", "0x10", "1/3", "1e9999", "--1", "1.2.3", strings.Repeat("9", 41)} {
		require.Error(t, d.Accepts(&Answer{Number: of(answer)}), answer)
	}
	// 0.1 + 0.2 is 0.3 here.
	d = prepared(t, Definition{Kind: Numeric, Prompt: "?", Numeric: []NumericAnswer{{Value: "0.3", Tolerance: "0"}}})
	require.Equal(t, ClassCorrect, Mark(d, &Answer{Number: of("0.30")}).Class)
	require.Equal(t, []string{"nearly"}, prepared(t, Definition{Kind: Numeric, Prompt: "?", Numeric: []NumericAnswer{
		{Value: "1"}, {Value: "2", Credit: &half, Feedback: "nearly"},
	}}).Feedback(&Answer{Number: of("2")}))
}

func TestShortTexts(t *testing.T) {
	t.Parallel()
	half := 50
	phrase := func(change func(*Phrases), texts ...string) Definition {
		p := &Phrases{}
		for _, text := range texts {
			p.Accepted = append(p.Accepted, Phrase{Text: text})
		}
		if change != nil {
			change(p)
		}
		return prepared(t, Definition{Kind: ShortText, Prompt: "?", ShortText: p})
	}
	for _, c := range []struct {
		d      Definition
		answer string
		want   events.Hundredths
	}{
		{phrase(nil, "Café au lait"), "cafe  AU lait ", 100},
		{phrase(func(p *Phrases) { p.Diacritics = true }, "Café"), "cafe", 0},
		{phrase(func(p *Phrases) { p.Diacritics = true }, "Caf\u00e9"), "Cafe\u0301", 100},
		{phrase(func(p *Phrases) { p.Case = true }, "DNA"), "dna", 0},
		{phrase(func(p *Phrases) { p.Whitespace = true }, "a b"), "a  b", 0},
		{phrase(nil, "Straße"), "STRASSE", 100},
		{phrase(func(p *Phrases) { p.Wildcards = true }, "mito*on"), "mitochondrion", 100},
		{phrase(func(p *Phrases) { p.Wildcards = true }, "*cell*"), "the cell wall", 100},
		{phrase(func(p *Phrases) { p.Wildcards = true }, `5\*3`), "5*3", 100},
		{phrase(func(p *Phrases) { p.Wildcards = true }, `5\*3`), "5x3", 0},
		{phrase(nil, "a*"), "abc", 0},
		{phrase(func(p *Phrases) { p.Accepted[1].Credit = &half }, "full", "part"), "part", 50},
		{phrase(func(p *Phrases) { p.Accepted[0].Credit, p.Wildcards = &half, true }, "*", "best"), "best", 100},
	} {
		require.Equal(t, c.want, Mark(c.d, &Answer{Text: of(c.answer)}).Credit.Points(100), "%s: %s", c.d.ShortText.Accepted[0].Text, c.answer)
	}
}

// TestWildcardsAgainstAPlainModel compares with a matcher that tries everything.
func TestWildcardsAgainstAPlainModel(t *testing.T) {
	t.Parallel()
	var model func(p, s []rune) bool
	model = func(p, s []rune) bool {
		switch {
		case len(p) == 0:
			return len(s) == 0
		case p[0] == star:
			return model(p[1:], s) || len(s) > 0 && model(p, s[1:])
		}
		return len(s) > 0 && p[0] == s[0] && model(p[1:], s[1:])
	}
	rapid.Check(t, func(t *rapid.T) {
		p := pattern(rapid.StringMatching(`[ab*]{0,8}`).Draw(t, "pattern"))
		s := []rune(rapid.StringMatching(`[ab]{0,10}`).Draw(t, "text"))
		require.Equal(t, model(p, s), wild(p, s))
	})
}

func TestAWildcardDoesNotRunAway(t *testing.T) {
	t.Parallel()
	require.False(t, wild(pattern(strings.Repeat("*a", 200)+"b"), []rune(strings.Repeat("a", 1000))))
}

func TestMatchingAndOrderingGivePartsForParts(t *testing.T) {
	t.Parallel()
	d := prepared(t, Definition{Kind: Matching, Prompt: "?", Matching: &Pairing{
		Pairs:       []Pair{{Prompt: "France", Match: "Paris"}, {Prompt: "Italy", Match: "Rome"}, {Prompt: "Corsica", Match: "Paris"}},
		Distractors: []Item{{Text: "Bonn"}},
	}})
	require.Equal(t, d.Matching.Pairs[0].MatchID, d.Matching.Pairs[2].MatchID, "one option for both")
	require.Len(t, d.Show(nil).Options, 3)
	paris, rome := d.Matching.Pairs[0].MatchID, d.Matching.Pairs[1].MatchID
	a := &Answer{Pairs: map[string]string{d.Matching.Pairs[0].ID: paris, d.Matching.Pairs[1].ID: paris, d.Matching.Pairs[2].ID: paris}}
	require.NoError(t, d.Accepts(a))
	require.Equal(t, events.Hundredths(67), Mark(d, a).Credit.Points(100))
	a.Pairs[d.Matching.Pairs[1].ID] = rome
	require.Equal(t, ClassCorrect, Mark(d, a).Class)
	require.Error(t, d.Accepts(&Answer{Pairs: map[string]string{"x": paris}}))
	require.Error(t, d.Accepts(&Answer{Pairs: map[string]string{d.Matching.Pairs[0].ID: "x"}}))

	o := prepared(t, Definition{Kind: Ordering, Prompt: "?", Ordering: []Item{{Text: "a"}, {Text: "b"}, {Text: "c"}, {Text: "d"}}})
	id := func(i int) string { return o.Ordering[i].ID }
	require.Equal(t, events.Hundredths(50), Mark(o, &Answer{Order: []string{id(0), id(1), id(3), id(2)}}).Credit.Points(100))
	require.Error(t, o.Accepts(&Answer{Order: []string{id(0), id(1)}}))
	require.Error(t, o.Accepts(&Answer{Order: []string{id(0), id(0), id(1), id(2)}}))
	o.Scoring = AllOrNothing
	require.Equal(t, events.Hundredths(0), Mark(o, &Answer{Order: []string{id(0), id(1), id(3), id(2)}}).Credit.Points(100))
}

func TestAnEssayWaitsForAPersonUnlessItIsBlank(t *testing.T) {
	t.Parallel()
	d := prepared(t, Definition{Kind: Essay, Prompt: "?", Essay: &Prose{MaxWords: 3}})
	require.True(t, Mark(d, &Answer{Text: of("some words")}).Manual)
	blank := Mark(d, &Answer{Text: of(" \n")})
	require.False(t, blank.Manual)
	require.Equal(t, ClassBlank, blank.Class)
	require.False(t, Mark(d, nil).Manual)
	require.Error(t, d.Accepts(&Answer{Text: of("one two three four")}))
}

// definitions of every kind whose secrets are marked.
func definitions() []Definition {
	secret := "SECRET"
	half := 50
	return []Definition{
		{Kind: Single, Prompt: "p", GeneralFeedback: secret, Choices: []Choice{{Text: "a", Correct: true, Feedback: secret}, {Text: "b", Feedback: secret}}},
		{Kind: Multiple, Prompt: "p", GeneralFeedback: secret, Choices: []Choice{{Text: "a", Correct: true, Feedback: secret}, {Text: "b", Correct: true}}},
		{Kind: TrueFalse, Prompt: "p", GeneralFeedback: secret, TrueFalse: &Statement{Answer: true, TrueFeedback: secret, FalseFeedback: secret}},
		{Kind: Numeric, Prompt: "p", GeneralFeedback: secret, Numeric: []NumericAnswer{{Value: "42.4242", Feedback: secret}, {Value: "42.4243", Credit: &half}}},
		{Kind: ShortText, Prompt: "p", GeneralFeedback: secret, ShortText: &Phrases{Accepted: []Phrase{{Text: secret, Feedback: secret}}}},
		{Kind: Matching, Prompt: "p", GeneralFeedback: secret, Matching: &Pairing{Pairs: []Pair{{Prompt: "x", Match: "y"}, {Prompt: "z", Match: "w"}}}},
		{Kind: Ordering, Prompt: "p", GeneralFeedback: secret, Ordering: []Item{{Text: "1"}, {Text: "2"}}},
		{Kind: Essay, Prompt: "p", GeneralFeedback: secret, Essay: &Prose{GraderNotes: secret}},
	}
}

func TestWhatIsShownTellsNothing(t *testing.T) {
	t.Parallel()
	for _, d := range definitions() {
		d = prepared(t, d)
		raw, err := json.Marshal(d.Show(nil))
		require.NoError(t, err)
		for _, word := range []string{"SECRET", "correct", "42.424", "answer", "match"} {
			require.NotContains(t, strings.ReplaceAll(string(raw), `"matching"`, ""), word, d.Kind)
		}
	}
}

func TestTheOrderIsTheSameForTheSameSource(t *testing.T) {
	t.Parallel()
	d := prepared(t, Definition{Kind: Ordering, Prompt: "?", Ordering: []Item{{Text: "a"}, {Text: "b"}, {Text: "c"}, {Text: "d"}}})
	seen := map[string]bool{}
	for seed := range uint64(200) {
		order := d.Arrange(false, mathrand.New(mathrand.NewPCG(seed, 1)))
		require.Equal(t, order, d.Arrange(false, mathrand.New(mathrand.NewPCG(seed, 1))))
		require.ElementsMatch(t, order, []string{d.Ordering[0].ID, d.Ordering[1].ID, d.Ordering[2].ID, d.Ordering[3].ID})
		var shown []string
		for _, i := range d.Show(order).Items {
			shown = append(shown, i.ID)
		}
		require.Equal(t, order, shown)
		seen[strings.Join(order, " ")] = true
	}
	require.Len(t, seen, 24, "every order comes up")
}

func TestAuthorsAreToldAllThatIsWrong(t *testing.T) {
	t.Parallel()
	over := 101
	for _, c := range []struct {
		d          Definition
		path, code string
	}{
		{Definition{Kind: "riddle", Prompt: "?"}, "kind", "enum"},
		{Definition{Kind: Single, Choices: choices("10")}, "prompt", "required"},
		{Definition{Kind: Single, Prompt: "?", Choices: choices("11")}, "choices", "one_correct"},
		{Definition{Kind: Single, Prompt: "?", Choices: choices("00")}, "choices", "one_correct"},
		{Definition{Kind: Multiple, Prompt: "?", Choices: choices("00")}, "choices", "none_correct"},
		{Definition{Kind: Multiple, Prompt: "?", Choices: choices("1")}, "choices", "range"},
		{Definition{Kind: TrueFalse, Prompt: "?"}, "true_false", "required"},
		{Definition{Kind: TrueFalse, Prompt: "?", TrueFalse: &Statement{}, Choices: choices("10")}, "choices", "not_for_kind"},
		{Definition{Kind: Numeric, Prompt: "?", Numeric: []NumericAnswer{{Value: "x"}}}, "numeric[0].value", "number"},
		{Definition{Kind: Numeric, Prompt: "?", Numeric: []NumericAnswer{{Value: "1", Tolerance: "-1"}}}, "numeric[0].tolerance", "number"},
		{Definition{Kind: Numeric, Prompt: "?", Numeric: []NumericAnswer{{Value: "1", Credit: &over}}}, "numeric[0].credit", "range"},
		{Definition{Kind: ShortText, Prompt: "?"}, "short_text", "range"},
		{Definition{Kind: Matching, Prompt: "?", Matching: &Pairing{Pairs: []Pair{{Prompt: "a", Match: "b"}}}}, "matching", "too_few"},
		{Definition{Kind: Matching, Prompt: "?", Matching: &Pairing{Pairs: []Pair{{Prompt: "a", Match: "b"}}, Distractors: []Item{{Text: "b"}}}}, "matching.distractors[0].text", "not_unique"},
		{Definition{Kind: Ordering, Prompt: "?", Ordering: []Item{{Text: "a"}}}, "ordering", "range"},
		{Definition{Kind: Essay, Prompt: "?", Scoring: Partial}, "scoring", "not_for_kind"},
		{Definition{Kind: Single, Prompt: "?", Choices: []Choice{{ID: "mine", Text: "a", Correct: true}, {Text: "b"}}}, "choices[0].id", "unknown_id"},
	} {
		_, err := author().Prepare(c.d, nil)
		require.Error(t, err, c.path)
		require.True(t, slices.ContainsFunc(apperr.From(err).Fields, func(f apperr.Field) bool { return f.Path == c.path && f.Code == c.code }), "%s %s in %v", c.path, c.code, err)
	}
}

func TestChoicesKeepTheirIDsOverVersions(t *testing.T) {
	t.Parallel()
	first := prepared(t, Definition{Kind: Single, Prompt: "?", Choices: choices("10")})
	next := Definition{Kind: Single, Prompt: "?", Choices: []Choice{first.Choices[1], first.Choices[0], {Text: "new"}}}
	second, err := author().Prepare(next, &first)
	require.NoError(t, err)
	require.Equal(t, first.Choices[1].ID, second.Choices[0].ID)
	require.NotEmpty(t, second.Choices[2].ID)
	next.Choices[1].ID = first.Choices[1].ID
	_, err = author().Prepare(next, &first)
	require.Error(t, err, "an id twice")
}
