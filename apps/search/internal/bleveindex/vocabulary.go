package bleveindex

import (
	"math/bits"
	"strings"
	"unicode/utf8"

	"lms/apps/search/internal/language"
)

// vocabulary is the words of a field in a segment, laid out to be looked through for
// those that are nearly a given one.
type vocabulary struct {
	text    string   // one after the other
	starts  []uint32 // of each word in text, and the end
	letters []uint64 // of each word: which letters it has
	lengths []uint8  // of each word, in letters
}

func newVocabulary(p *part, field string) (*vocabulary, error) {
	v := &vocabulary{starts: []uint32{0}}
	var text strings.Builder
	err := p.each(field, nil, nil, func(term string) error {
		text.WriteString(term)
		v.starts = append(v.starts, uint32(text.Len())) //nolint:gosec // the words of a segment are less than 4 GiB
		v.letters = append(v.letters, lettersOf(term))
		v.lengths = append(v.lengths, lengthOf(term))
		return nil
	})
	v.text = text.String()
	return v, err
}

// lettersOf has a bit for each letter of a word. Some letters share one.
func lettersOf(word string) (out uint64) {
	for _, r := range word {
		out |= 1 << (uint32(r) & 63) //nolint:gosec // any bits will do
	}
	return out
}

const longest = 255

func lengthOf(word string) uint8 { return uint8(min(utf8.RuneCountInString(word), longest)) } //nolint:gosec // is bounded

// near are the words at most some edits away from one, with the same first letters.
// An edit adds a letter, takes one away, or both: few words have to be looked at
// closely.
func (v *vocabulary) near(word string, edits, prefix int) []string {
	letters, length := lettersOf(word), int(lengthOf(word))
	wanted := []rune(word)
	same := string(wanted[:min(prefix, len(wanted))])
	var out []string
	for i, have := range v.letters {
		if bits.OnesCount64(have^letters) > 2*edits {
			continue
		}
		if n := int(v.lengths[i]) - length; n > edits || -n > edits {
			continue
		}
		candidate := v.text[v.starts[i]:v.starts[i+1]]
		if strings.HasPrefix(candidate, same) && language.Distance(word, candidate, edits) <= edits {
			out = append(out, candidate)
		}
	}
	return out
}
