package marking

import (
	"math/big"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"lms/shared/apperr"
)

// Answer is what somebody answers. Only the member of the question's kind is
// set.
type Answer struct {
	Choice  *string           `json:"choice,omitempty" maxLength:"16" doc:"single: the id of a choice"`
	Choices []string          `json:"choices,omitempty" maxItems:"50" doc:"multiple: ids of choices"`
	Value   *bool             `json:"value,omitempty" doc:"true_false"`
	Number  *string           `json:"number,omitempty" maxLength:"40" doc:"numeric: a decimal number as a text"`
	Text    *string           `json:"text,omitempty" maxLength:"200000" doc:"short_text, essay: plain text"`
	Pairs   map[string]string `json:"pairs,omitempty" doc:"matching: ids of prompts with the id of an option each"`
	Order   []string          `json:"order,omitempty" maxItems:"30" doc:"ordering: ids of all items, the first one first"`
}

// limits of an answer, in bytes.
const (
	maxShortText = 1_000
	maxEssay     = 200_000
)

// Blank says that nothing was answered.
func (a *Answer) Blank() bool {
	return a == nil || a.Choice == nil && len(a.Choices) == 0 && a.Value == nil && a.Number == nil &&
		(a.Text == nil || strings.TrimSpace(*a.Text) == "") && len(a.Pairs) == 0 && len(a.Order) == 0
}

// Accepts says whether an answer can be one to the question, whatever it is
// worth; what it says tells nothing of the right answer. A nil answer clears.
func (d Definition) Accepts(a *Answer) error {
	if a == nil {
		return nil
	}
	var f apperr.Fields
	for _, m := range []struct {
		set  bool
		path string
		fits bool
	}{
		{a.Choice != nil, "choice", d.Kind == Single},
		{a.Choices != nil, "choices", d.Kind == Multiple},
		{a.Value != nil, "value", d.Kind == TrueFalse},
		{a.Number != nil, "number", d.Kind == Numeric},
		{a.Text != nil, "text", d.Kind == ShortText || d.Kind == Essay},
		{a.Pairs != nil, "pairs", d.Kind == Matching},
		{a.Order != nil, "order", d.Kind == Ordering},
	} {
		f.Require(!m.set || m.fits, "answer."+m.path, "not_for_kind", "Not for this kind of question.")
	}
	if err := f.Err(); err != nil {
		return err
	}
	d.checkAnswer(&f, a)
	return f.Err()
}

func (d Definition) checkAnswer(f *apperr.Fields, a *Answer) {
	known := d.ids()
	unique := func(path string, ids []string) {
		seen := map[string]bool{}
		for _, id := range ids {
			f.Require(known[id], path, "unknown_id", "Not an id of this question.")
			f.Require(!seen[id], path, "not_unique", "An id is given twice.")
			seen[id] = true
		}
	}
	switch {
	case a.Choice != nil:
		unique("answer.choice", []string{*a.Choice})
	case a.Choices != nil:
		unique("answer.choices", a.Choices)
	case a.Number != nil:
		_, ok := number(*a.Number)
		f.Require(ok, "answer.number", "number", "A decimal number, such as -12.5.")
	case a.Text != nil && d.Kind == ShortText:
		f.Require(len(*a.Text) <= maxShortText, "answer.text", "too_long", "At most 1,000 bytes.")
	case a.Text != nil:
		f.Require(len(*a.Text) <= maxEssay, "answer.text", "too_long", "At most 200,000 bytes.")
		limit := d.Essay.MaxWords
		f.Require(limit == 0 || len(strings.Fields(*a.Text)) <= limit, "answer.text", "too_many_words", "More words than the question allows.")
	case a.Pairs != nil:
		for prompt, option := range a.Pairs {
			f.Require(d.isPrompt(prompt), "answer.pairs", "unknown_id", "Not a prompt of this question.")
			f.Require(d.isOption(option), "answer.pairs", "unknown_id", "Not an option of this question.")
		}
	case a.Order != nil:
		unique("answer.order", a.Order)
		f.Require(len(a.Order) == len(d.Ordering), "answer.order", "incomplete", "All items, each once.")
	}
}

func (d Definition) ids() map[string]bool {
	out := map[string]bool{}
	for _, c := range d.Choices {
		out[c.ID] = true
	}
	for _, i := range d.Ordering {
		out[i.ID] = true
	}
	return out
}

func (d Definition) isPrompt(id string) bool {
	return slices.ContainsFunc(d.Matching.Pairs, func(p Pair) bool { return p.ID == id })
}

func (d Definition) isOption(id string) bool {
	return slices.ContainsFunc(d.Matching.options(), func(i Item) bool { return i.ID == id })
}

var decimal = regexp.MustCompile(`^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$`)

// number reads a decimal number exactly. Its length bounds the work.
func number(s string) (*big.Rat, bool) {
	s = strings.TrimSpace(s)
	if len(s) > 40 || !decimal.MatchString(s) {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

func orZero(s string) string {
	if s == "" {
		return "0"
	}
	return s
}

// near says whether an answer is within the tolerance, its bound included.
func (n NumericAnswer) near(answer *big.Rat) bool {
	want, ok := number(n.Value)
	if !ok {
		return false
	}
	tolerance, ok := number(orZero(n.Tolerance))
	if !ok {
		return false
	}
	if n.Relative {
		tolerance.Mul(tolerance, new(big.Rat).Abs(want)).Quo(tolerance, big.NewRat(100, 1))
	}
	distance := new(big.Rat).Sub(answer, want)
	return distance.Abs(distance).Cmp(tolerance) <= 0
}

// normal is a text as the question compares it.
func (s Phrases) normal(text string) string {
	text = norm.NFC.String(text)
	if !s.Diacritics {
		var b strings.Builder
		for _, r := range norm.NFD.String(text) {
			if !unicode.Is(unicode.Mn, r) {
				b.WriteRune(r)
			}
		}
		text = norm.NFC.String(b.String())
	}
	if !s.Case {
		text = cases.Fold().String(text)
	}
	if !s.Whitespace {
		text = strings.Join(strings.Fields(text), " ")
	}
	return text
}

// fits says whether a text is the accepted one.
func (s Phrases) fits(accepted, text string) bool {
	accepted, text = s.normal(accepted), s.normal(text)
	if !s.Wildcards {
		return accepted == text
	}
	return wild(pattern(accepted), []rune(text))
}

// star stands for any text in a pattern; no text contains it, since it is no
// character.
const star rune = -1

func pattern(s string) []rune {
	var out []rune
	escaped := false
	for _, r := range s {
		switch {
		case escaped:
			if r != '*' && r != '\\' {
				out = append(out, '\\')
			}
			out, escaped = append(out, r), false
		case r == '\\':
			escaped = true
		case r == '*':
			out = append(out, star)
		default:
			out = append(out, r)
		}
	}
	if escaped {
		out = append(out, '\\')
	}
	return out
}

// wild matches in time proportional to both lengths, whatever the pattern.
func wild(p, s []rune) bool {
	i, j, back, mark := 0, 0, -1, 0
	for j < len(s) {
		switch {
		case i < len(p) && p[i] == star:
			back, mark = i, j
			i++
		case i < len(p) && p[i] == s[j]:
			i++
			j++
		case back >= 0:
			mark++
			i, j = back+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == star {
		i++
	}
	return i == len(p)
}
