package language

import (
	"math/bits"
	"unicode/utf8"
)

// Near finds words that are nearly a given one: letters put in, left out, replaced, or
// swapped with their neighbour, as Distance counts them. It is made once to look
// through many words.
type Near struct {
	word    string
	edits   int
	letters int
	set     uint64
	// at has, for each letter of the word, a bit for every place at which it stands.
	ascii [utf8.RuneSelf]uint64
	other map[rune]uint64
}

// maxNear is the longest word that is compared by bits.
const maxNear = 64

// NewNear looks for words at most some edits away.
func NewNear(word string, edits int) *Near {
	n := &Near{word: word, edits: edits, letters: utf8.RuneCountInString(word), set: LettersOf(word)}
	i := 0
	for _, r := range word {
		if r < utf8.RuneSelf {
			n.ascii[r] |= 1 << i
		} else {
			if n.other == nil {
				n.other = map[rune]uint64{}
			}
			n.other[r] |= 1 << i
		}
		i++
	}
	return n
}

// LettersOf has a bit for each letter of a word. Some letters share one.
func LettersOf(word string) (out uint64) {
	for _, r := range word {
		out |= 1 << (uint32(r) & 63) // any bits will do
	}
	return out
}

// Possible says, of a word of which only the letters and their number are known,
// whether it may be near: an edit adds a letter, takes one away, or both.
func (n *Near) Possible(letters uint64, count int) bool {
	d := count - n.letters
	return d <= n.edits && -d <= n.edits && bits.OnesCount64(letters^n.set) <= 2*n.edits
}

// Matches says whether a word is near.
func (n *Near) Matches(word string) bool {
	if n.letters == 0 || n.letters > maxNear {
		return Distance(n.word, word, n.edits) <= n.edits
	}
	// Columns of the table that Distance fills, as bits: where it goes up and down
	// from one row to the next (H. Hyyrö, "A bit-vector algorithm for computing
	// Levenshtein and Damerau edit distances", 2003).
	up, down, same, before := ^uint64(0), uint64(0), uint64(0), uint64(0)
	last := uint64(1) << (n.letters - 1)
	distance := n.letters
	for _, r := range word {
		here := n.places(r)
		swapped := ((^same & here) << 1) & before
		same = (((here & up) + up) ^ up) | here | down | swapped
		right := down | ^(same | up)
		left := same & up
		if right&last != 0 {
			distance++
		}
		if left&last != 0 {
			distance--
		}
		right = right<<1 | 1
		left <<= 1
		up = left | ^(same | right)
		down = right & same
		before = here
	}
	return distance <= n.edits
}

func (n *Near) places(r rune) uint64 {
	if r < utf8.RuneSelf {
		return n.ascii[r]
	}
	return n.other[r]
}
