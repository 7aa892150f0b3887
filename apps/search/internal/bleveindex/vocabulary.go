package bleveindex

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"lms/apps/search/internal/language"
	"lms/apps/search/internal/search"
)

// vocabulary is the words of some fields of a segment, laid out to be looked through
// for those that are nearly a given one.
type vocabulary struct {
	text    string   // one after the other
	starts  []uint32 // of each word in text, and the end
	letters []uint64 // of each word: which letters it has
	lengths []uint8  // of each word, in letters
}

// alike are the fields with words of the same kind as one: who looks for a misspelt
// word looks for it in all of them.
func alike(field string) []string {
	s := search.Schema()
	if slices.Contains(s.Phrases, field) {
		return s.Phrases
	}
	if !strings.HasSuffix(field, stemsSuffix) {
		return []string{field}
	}
	var out []string
	for _, f := range s.Words {
		if strings.HasSuffix(f, stemsSuffix) {
			out = append(out, f)
		}
	}
	return out
}

// stemsSuffix ends the names of fields that hold stems.
const stemsSuffix = "_s"

func newVocabulary(p *part, fields []string) (*vocabulary, error) {
	words := map[string]struct{}{}
	for _, f := range fields {
		err := p.each(f, nil, nil, func(term string) error {
			words[term] = struct{}{}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	v := &vocabulary{starts: make([]uint32, 1, len(words)+1), letters: make([]uint64, 0, len(words)), lengths: make([]uint8, 0, len(words))}
	var text strings.Builder
	for w := range maps.Keys(words) {
		text.WriteString(w)
		v.starts = append(v.starts, uint32(text.Len())) // the words of a segment are less than 4 GiB
		v.letters = append(v.letters, language.LettersOf(w))
		v.lengths = append(v.lengths, uint8(min(utf8.RuneCountInString(w), longest))) // is bounded
	}
	v.text = text.String()
	return v, nil
}

// longest is the most letters that are counted: words that are indexed have fewer.
const longest = 255

// near are the words at most some edits away from one, with the same first letters.
func (v *vocabulary) near(word string, edits, prefix int) []string {
	wanted := []rune(word)
	same := string(wanted[:min(prefix, len(wanted))])
	near := language.NewNear(word, edits)
	var out []string
	for i, letters := range v.letters {
		if !near.Possible(letters, int(v.lengths[i])) {
			continue
		}
		candidate := v.text[v.starts[i]:v.starts[i+1]]
		if strings.HasPrefix(candidate, same) && near.Matches(candidate) {
			out = append(out, candidate)
		}
	}
	return out
}
