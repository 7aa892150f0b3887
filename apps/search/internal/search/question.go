package search

import (
	"slices"
	"strings"

	"lms/apps/search/internal/language"
)

// maxAsked is how much of a question is looked for.
const maxAsked = 20 // words

// asked is one word, or words in quotes, that somebody looks for.
type asked struct {
	tokens []language.Token
	stems  [][]string // of each token
	phrase bool       // stands as it is, in quotes
	begins bool       // the beginning of a word: bio*
	not    bool       // -word: without it
	idle   bool       // carries no meaning in the language of the question
	// same are what means the same, each as words.
	same [][]language.Token
	// words are the parts of a term of several words that has synonyms.
	words []asked
}

// question is what somebody typed, taken apart.
type question struct {
	parts []asked
	lang  string // of what is looked for, "" for any
}

// parse takes apart what somebody typed: words, "words in quotes", begin*, -without.
func parse(l *language.Languages, syn *synonyms, text, lang string) question {
	q := question{lang: lang}
	words := 0
	for text = strings.TrimSpace(text); text != "" && words < maxAsked; text = strings.TrimSpace(text) {
		var p asked
		if rest, ok := strings.CutPrefix(text, "-"); ok && rest != "" && rest[0] != ' ' {
			p.not, text = true, rest
		}
		var piece string
		if rest, ok := strings.CutPrefix(text, `"`); ok {
			piece, text, _ = strings.Cut(rest, `"`)
			p.phrase = true
		} else {
			piece, text, _ = strings.Cut(text, " ")
			p.begins = strings.HasSuffix(piece, "*")
		}
		for _, t := range language.Tokens(piece) {
			if words++; words > maxAsked {
				break
			}
			p.tokens = append(p.tokens, t)
		}
		q.add(l, p)
	}
	q.findIdle(l)
	syn.apply(&q)
	return q
}

// add takes a piece; one without quotes that holds several words is several.
func (q *question) add(l *language.Languages, p asked) {
	if p.phrase && len(p.tokens) > 1 {
		q.parts = append(q.parts, p)
		return
	}
	for i, t := range p.tokens {
		one := asked{tokens: []language.Token{t}, not: p.not, phrase: p.phrase, begins: p.begins && i == len(p.tokens)-1}
		if !one.phrase {
			one.stems = [][]string{l.StemsAsked(q.lang, t)}
		}
		q.parts = append(q.parts, one)
	}
}

// findIdle marks words that carry no meaning: in the language that was named, else in
// the one in which at least two do, else in English. Where all words would be idle
// none is: somebody looks for them.
func (q *question) findIdle(l *language.Languages) {
	lang := q.lang
	if lang == "" {
		lang = "en"
		var all []language.Token
		for _, p := range q.parts {
			all = append(all, p.tokens...)
		}
		best := max(1, l.StopsIn(all)["en"])
		for name, n := range l.StopsIn(all) {
			if n > best || n == best && n > 1 && lang != "en" && name < lang {
				lang, best = name, n
			}
		}
	}
	meant := 0
	for i := range q.parts {
		p := &q.parts[i]
		p.idle = !p.phrase && !p.not && !p.begins && l.Stop(lang, p.tokens[0].Word)
		if !p.idle && !p.not {
			meant++
		}
	}
	if meant == 0 {
		for i := range q.parts {
			q.parts[i].idle = false
		}
	}
}

// empty says that nothing is asked for.
func (q *question) empty() bool {
	return !slices.ContainsFunc(q.parts, func(p asked) bool { return !p.not })
}

// strictness is how much of a question a document has to match. The next one is
// tried where nothing matches.
type strictness int

const (
	exact   strictness = iota // every word, in any inflection
	similar                   // every word, with some letters wrong or without its end
	partial                   // half of the words, in the same way
	strictnesses
)

// name of a strictness, as an answer says it.
func (s strictness) name() string { return [...]string{"exact", "similar", "partial"}[s] }

// possible says whether a strictness can find more than the one before it.
func (q *question) possible(s strictness) bool {
	words := 0
	for _, p := range q.parts {
		if !p.not && !p.idle {
			words++
		}
	}
	return s < partial || words > 1
}

// What a word is worth by where it stands. Nothing of it depends on how often a word
// is used elsewhere: an unchanged document keeps its place while others change, and
// nobody learns from an order what is written in what they may not see. All are
// multiples of 1/8, which every engine adds up exactly.
const (
	worthCode    = 12.0
	worthTitle   = 10.0
	worthTag     = 6.0
	worthAbout   = 3.0
	worthText    = 1.5
	stemmed      = 0.75 // another inflection
	misspelt     = 0.5
	alike        = 0.5 // a synonym
	worthPhrase  = 6.0 // all words of the question in a row, in the title
	worthNearby  = 2.0 // the same in the description
	idleShare    = 0.25
	fewestFuzzy  = 4 // letters of a word that may have one wrong
	fewestFuzzy2 = 8 // and two
	freeStart    = 6 // letters of a word whose first one may be wrong
)

type place struct {
	words, stems string
	worth        float64
}

func places() []place {
	return []place{
		{CodeWords, "", worthCode},
		{TitleWords, TitleStems, worthTitle},
		{TagWords, TagStems, worthTag},
		{AboutWords, AboutStems, worthAbout},
		{TextWords, TextStems, worthText},
	}
}

// query is the question as a query.
func (q *question) query(s strictness) Query {
	if len(q.parts) == 0 {
		return nil
	}
	var must, should, not []Query
	for _, p := range q.parts {
		switch {
		case p.not:
			not = append(not, p.query(exact, 1))
		case p.idle:
			should = append(should, p.query(exact, idleShare))
		default:
			must = append(must, p.query(s, 1))
		}
	}
	if run := q.run(); len(run) > 1 {
		should = append(should, Phrase{TitleWords, run, worthPhrase}, Phrase{AboutWords, run, worthNearby})
	}
	out := Scored{Should: should, Not: not}
	switch {
	case len(must) == 0:
	case s == partial && len(must) > 1:
		out.Must = Most{Of: must, Least: (len(must) + 1) / 2}
	default:
		out.Must = All(must)
	}
	return out
}

// single gives the words of the question one by one.
func (q *question) single(do func(asked)) {
	for _, p := range q.parts {
		if len(p.words) == 0 {
			do(p)
		}
		for _, w := range p.words {
			do(w)
		}
	}
}

// run are all words in their order, if they are nothing but words.
func (q *question) run() []string {
	var out []string
	for _, p := range q.parts {
		if p.not || p.begins || p.phrase {
			return nil
		}
		out = append(out, wordsOf(p.tokens)...)
	}
	return out
}

// query of one part, worth a share.
func (p asked) query(s strictness, share float64) Query {
	var out Best
	switch {
	case len(p.words) > 0:
		var each All
		for _, w := range p.words {
			each = append(each, w.query(s, share))
		}
		out = append(out, each)
	case p.phrase && len(p.tokens) > 1:
		for _, at := range places() {
			if at.stems != "" {
				out = append(out, Phrase{at.words, wordsOf(p.tokens), at.worth * share})
			}
		}
	default:
		for _, at := range places() {
			out = append(out, p.at(at, s, share)...)
		}
	}
	for _, words := range p.same {
		out = append(out, sameAs(words, share*alike))
	}
	return out
}

func (p asked) at(at place, s strictness, share float64) []Query {
	word := p.tokens[0].Word
	out := []Query{Term{at.words, word, at.worth * share}}
	if p.begins {
		out = append(out, Prefix{at.words, word, at.worth * stemmed * share})
	}
	if at.stems != "" && len(p.stems) > 0 {
		for _, stem := range p.stems[0] {
			out = append(out, Term{at.stems, stem, at.worth * stemmed * share})
		}
	}
	if s == exact || p.phrase || at.stems == "" {
		return out
	}
	if edits, prefix := tolerance(word); edits > 0 {
		out = append(out, Fuzzy{at.words, word, edits, prefix, at.worth * misspelt * share}, Prefix{at.words, word, at.worth * misspelt * share})
	}
	if len(p.stems) > 0 {
		for _, stem := range p.stems[0] {
			if edits, prefix := tolerance(stem); edits > 0 {
				out = append(out, Fuzzy{at.stems, stem, edits, prefix, at.worth * misspelt * share})
			}
		}
	}
	return out
}

// tolerance is how many letters of a word may be wrong, and how many of the first
// ones must be right. Numbers have to be right.
func tolerance(word string) (edits, prefix int) {
	letters := 0
	for _, r := range word {
		if r >= '0' && r <= '9' {
			return 0, 0
		}
		letters++
	}
	if letters < freeStart {
		prefix = 1
	}
	switch {
	case letters < fewestFuzzy:
		return 0, 0
	case letters < fewestFuzzy2:
		return 1, prefix
	}
	return 2, 0
}

// sameAs finds what means the same: all its words in one place.
func sameAs(words []language.Token, share float64) Query {
	var out Best
	for _, at := range places() {
		if len(words) == 1 {
			out = append(out, Term{at.words, words[0].Word, at.worth * share})
		} else if at.stems != "" {
			out = append(out, Phrase{at.words, wordsOf(words), at.worth * share})
		}
	}
	return out
}

func wordsOf(tokens []language.Token) []string {
	out := make([]string, len(tokens))
	for i, t := range tokens {
		out[i] = t.Word
	}
	return out
}
