// Package language turns text into words and stems, each by the rules of its
// language: what is indexed and what is asked for is cut here, and an engine only
// stores and compares. So both engines find the same.
package language

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/blevesearch/bleve/v2/analysis"
	"github.com/blevesearch/bleve/v2/analysis/lang/de"
	"github.com/blevesearch/bleve/v2/analysis/lang/en"
	"github.com/blevesearch/bleve/v2/analysis/lang/es"
	"github.com/blevesearch/bleve/v2/analysis/lang/fr"
	"github.com/blevesearch/bleve/v2/analysis/lang/it"
	"github.com/blevesearch/bleve/v2/analysis/lang/nl"
	"github.com/blevesearch/bleve/v2/analysis/lang/pt"
	"github.com/blevesearch/snowballstem"
	"github.com/blevesearch/snowballstem/dutch"
	"github.com/blevesearch/snowballstem/english"
	"github.com/blevesearch/snowballstem/french"
	"github.com/blevesearch/snowballstem/german"
	"github.com/blevesearch/snowballstem/italian"
	"github.com/blevesearch/snowballstem/portuguese"
	"github.com/blevesearch/snowballstem/spanish"
	"golang.org/x/text/unicode/norm"
)

// Version names the rules: an index that was made by others has to be made anew.
const Version = "1"

// maxWord is the longest word that is indexed, in bytes; the rest of it is cut.
const maxWord = 64

// Token is a word of a text: folded to small letters without accents, and where in
// the text it stands, in bytes.
type Token struct {
	Word       string
	Start, End int
	raw        string // small letters with their accents, which stemmers need
}

// rules of a language. stem is nil where words do not inflect.
type rules struct {
	stem func(*snowballstem.Env) bool
	stop map[string]bool
	// umlauts: ae, oe and ue may stand for ä, ö and ü.
	umlauts bool
}

// Languages know the rules of every language that has some. A value is made once
// and shared; it is never changed.
type Languages struct{ of map[string]rules }

// New reads the rules.
func New() *Languages {
	return &Languages{of: map[string]rules{
		"en": {stem: english.Stem, stop: stopWords(en.EnglishStopWords)},
		"de": {stem: german.Stem, stop: stopWords(de.GermanStopWords), umlauts: true},
		"fr": {stem: french.Stem, stop: stopWords(fr.FrenchStopWords)},
		"es": {stem: spanish.Stem, stop: stopWords(es.SpanishStopWords)},
		"it": {stem: italian.Stem, stop: stopWords(it.ItalianStopWords)},
		"pt": {stem: portuguese.Stem, stop: stopWords(pt.PortugueseStopWords)},
		"nl": {stem: dutch.Stem, stop: stopWords(nl.DutchStopWords)},
		// Vietnamese words do not inflect: folding makes those without marks match.
		"vi": {stop: stopWords([]byte("và\ncủa\nlà\ncác\nnhững\ncho\ntrong\nvới\nmột\ncó\nđược\nnày\nđó\nkhi\ntừ\nvề"))},
	}}
}

func stopWords(list []byte) map[string]bool {
	words := analysis.NewTokenMap()
	if err := words.LoadBytes(list); err != nil {
		panic("language: stop words: " + err.Error()) // they are part of the program
	}
	out := make(map[string]bool, len(words))
	for w := range words {
		out[Fold(w)] = true
	}
	return out
}

// Base is the language of a BCP 47 tag: "de" of "de-AT".
func Base(tag string) string {
	base, _, _ := strings.Cut(strings.ToLower(tag), "-")
	return base
}

// Fold makes small letters without accents: "Übung" and "ubung" are one word, and so
// are "đại" and "dai".
func Fold(s string) string {
	plain := true
	for i := range len(s) {
		if c := s[i]; c >= utf8.RuneSelf || c >= 'A' && c <= 'Z' {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	var b strings.Builder
	for _, r := range norm.NFKD.String(s) {
		switch r = unicode.ToLower(r); {
		case unicode.Is(unicode.Mn, r):
		case r == 'ß':
			b.WriteString("ss")
		case r == 'đ':
			b.WriteByte('d')
		case r == 'ø':
			b.WriteByte('o')
		case r == 'ł':
			b.WriteByte('l')
		case r == 'æ':
			b.WriteString("ae")
		case r == 'œ':
			b.WriteString("oe")
		case r == 'ı':
			b.WriteByte('i')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Tokens cuts a text into words: letters and digits that stand together, with + and #
// right behind them (C++, F#). Scripts that are written without spaces give a word
// for each character.
func Tokens(text string) []Token {
	var out []Token
	start := -1
	cut := func(end int) {
		if start >= 0 {
			out = appendToken(out, text, start, end)
			start = -1
		}
	}
	for i, r := range text {
		switch {
		case unspaced(r):
			cut(i)
			out = appendToken(out, text, i, i+utf8.RuneLen(r))
		case unicode.IsLetter(r) || unicode.IsDigit(r) || start >= 0 && (unicode.IsMark(r) || r == '+' || r == '#'):
			if start < 0 {
				start = i
			}
		default:
			cut(i)
		}
	}
	cut(len(text))
	return out
}

func unspaced(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer)
}

func appendToken(out []Token, text string, start, end int) []Token {
	raw := strings.ToLower(norm.NFC.String(text[start:end]))
	word := Fold(raw)
	if len(word) > maxWord {
		word = strings.ToValidUTF8(word[:maxWord], "")
	}
	if word == "" {
		return out
	}
	return append(out, Token{Word: word, Start: start, End: end, raw: raw})
}

// Stop says whether a word carries no meaning of its own in a language.
func (l *Languages) Stop(lang, word string) bool { return l.of[lang].stop[word] }

// StopsIn counts, by language, the words that carry no meaning there.
func (l *Languages) StopsIn(words []Token) map[string]int {
	out := map[string]int{}
	for lang, r := range l.of {
		for _, w := range words {
			if r.stop[w.Word] {
				out[lang]++
			}
		}
	}
	return out
}

// Stems are the stems of a word in a language, folded: one that was written with its
// accents and one without them, as people type it. A word without meaning of its own
// has none; nor has any word of a language whose words do not inflect, or that is not
// known.
func (l *Languages) Stems(lang string, t Token) []string {
	r := l.of[lang]
	if r.stem == nil || r.stop[t.Word] || len(t.raw) > maxWord {
		return nil
	}
	out := []string{stem(r.stem, t.raw)}
	if t.raw != t.Word {
		out = appendNew(out, stem(r.stem, t.Word))
	}
	return out
}

// StemsAsked are the stems by which a word is looked for when the language of what
// is sought is not known: those of every language, or of the one that is named.
func (l *Languages) StemsAsked(only string, t Token) []string {
	var out []string
	for lang, r := range l.of {
		if only != "" && lang != only {
			continue
		}
		for _, s := range l.Stems(lang, t) {
			out = appendNew(out, s)
		}
		if r.umlauts {
			if plain := umlauts.Replace(t.Word); plain != t.Word {
				for _, s := range l.Stems(lang, Token{Word: plain, raw: plain}) {
					out = appendNew(out, s)
				}
			}
		}
	}
	return out
}

// umlauts takes the e out of what may be written instead of an umlaut.
var umlauts = strings.NewReplacer("ae", "a", "oe", "o", "ue", "u") //nolint:gochecknoglobals // never changed

func stem(by func(*snowballstem.Env) bool, word string) string {
	env := snowballstem.NewEnv(word)
	by(env)
	return Fold(env.Current())
}

func appendNew(out []string, s string) []string {
	for _, have := range out {
		if have == s {
			return out
		}
	}
	return append(out, s)
}

// Distance is how many letters must be put in, left out, replaced or swapped with
// their neighbour to make one word of the other; anything above most counts as
// most+1.
func Distance(a, b string, most int) int {
	x, y := []rune(a), []rune(b)
	if len(x)-len(y) > most || len(y)-len(x) > most {
		return most + 1
	}
	before, last, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		best := i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(row[j-1]+1, last[j]+1, last[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
			best = min(best, row[j])
		}
		if best > most {
			return most + 1
		}
		before, last, row = last, row, before
	}
	return min(last[len(y)], most+1)
}
