package search

import (
	"html"
	"slices"
	"strings"

	"lms/apps/search/internal/language"
)

// Sizes of a highlight, in bytes.
const (
	fragmentSize = 220
	markOpen     = "<mark>"
	markClose    = "</mark>"
)

// marker marks in a text what made it match. What it gives is HTML: all of the text
// is escaped, and only <mark> is put in.
type marker struct {
	languages *language.Languages
	words     map[string]bool
	stems     map[string]bool
	begins    []string
	fuzzy     []string
	phrases   [][]string
}

func newMarker(l *language.Languages, q question, s strictness) *marker {
	m := &marker{languages: l, words: map[string]bool{}, stems: map[string]bool{}}
	for _, p := range q.parts {
		for _, words := range p.same {
			m.take(words)
		}
	}
	q.single(func(p asked) { m.ask(p, s) })
	return m
}

// ask marks what one word of a question, or words in quotes, found.
func (m *marker) ask(p asked, s strictness) {
	if p.not {
		return
	}
	if p.phrase {
		m.take(p.tokens)
		return
	}
	word := p.tokens[0].Word
	m.words[word] = true
	if p.begins {
		m.begins = append(m.begins, word)
	}
	near := []string{word}
	for _, stems := range p.stems {
		for _, stem := range stems {
			m.stems[stem] = true
		}
		near = append(near, stems...)
	}
	if s == exact || p.idle {
		return
	}
	for _, w := range near {
		if edits, _ := tolerance(w); edits > 0 {
			m.fuzzy = append(m.fuzzy, w)
		}
	}
	if edits, _ := tolerance(word); edits > 0 {
		m.begins = append(m.begins, word)
	}
}

func (m *marker) take(tokens []language.Token) {
	if len(tokens) == 1 {
		m.words[tokens[0].Word] = true
	} else {
		m.phrases = append(m.phrases, wordsOf(tokens))
	}
}

// highlights are the parts of a document in which something matched.
func (m *marker) highlights(s Source) map[string]string {
	out := map[string]string{}
	if len(m.words)+len(m.phrases) == 0 {
		return out
	}
	for name, text := range map[string]string{"title": s.Title, "description": s.Description, "text": s.Text} {
		if marked, ok := m.mark(text, language.Base(s.Language), name != "title"); ok {
			out[name] = marked
		}
	}
	return out
}

// mark gives the text, or the part of it with the most matches, as HTML.
func (m *marker) mark(text, lang string, cut bool) (string, bool) {
	tokens := language.Tokens(text)
	var hits []language.Token
	for i, t := range tokens {
		if n := m.phraseAt(tokens[i:]); n > 0 {
			hits = append(hits, tokens[i:i+n]...)
		} else if m.matches(lang, t) {
			hits = append(hits, t)
		}
	}
	if len(hits) == 0 {
		return "", false
	}
	from, to := 0, len(text)
	if cut && len(text) > fragmentSize {
		from, to = window(text, tokens, hits)
	}
	var b strings.Builder
	if from > 0 {
		b.WriteString("… ")
	}
	at := from
	for _, h := range hits {
		if h.Start < at || h.End > to {
			continue
		}
		b.WriteString(html.EscapeString(text[at:h.Start]))
		b.WriteString(markOpen)
		b.WriteString(html.EscapeString(text[h.Start:h.End]))
		b.WriteString(markClose)
		at = h.End
	}
	b.WriteString(html.EscapeString(text[at:to]))
	if to < len(text) {
		b.WriteString(" …")
	}
	return b.String(), true
}

func (m *marker) matches(lang string, t language.Token) bool {
	if m.words[t.Word] {
		return true
	}
	if slices.ContainsFunc(m.begins, func(b string) bool { return strings.HasPrefix(t.Word, b) }) {
		return true
	}
	stems := m.languages.Stems(lang, t)
	if slices.ContainsFunc(stems, func(s string) bool { return m.stems[s] }) {
		return true
	}
	for _, want := range m.fuzzy {
		edits, _ := tolerance(want)
		if language.Distance(t.Word, want, edits) <= edits {
			return true
		}
		if slices.ContainsFunc(stems, func(s string) bool { return language.Distance(s, want, edits) <= edits }) {
			return true
		}
	}
	return false
}

func (m *marker) phraseAt(tokens []language.Token) int {
	for _, p := range m.phrases {
		if len(tokens) >= len(p) && slices.Equal(wordsOf(tokens[:len(p)]), p) {
			return len(p)
		}
	}
	return 0
}

// window is the part of a text, between two words, in which the most matches stand.
func window(text string, tokens, hits []language.Token) (from, to int) {
	best, at := 0, 0
	for i := range hits {
		n := 0
		for j := i; j < len(hits) && hits[j].End-hits[i].Start <= fragmentSize*3/4; j++ {
			n++
		}
		if n > best {
			best, at = n, i
		}
	}
	want := hits[at].Start - fragmentSize/8
	for _, t := range tokens {
		if t.Start >= want {
			from = t.Start
			break
		}
	}
	if want <= 0 {
		from = 0
	}
	to = len(text)
	for _, t := range tokens {
		if t.End-from > fragmentSize {
			break
		}
		if t.End > from {
			to = t.End
		}
	}
	if len(text)-from <= fragmentSize {
		to = len(text)
	}
	return from, to
}

// markBeginnings marks the beginnings of words that were typed, as HTML.
func markBeginnings(title string, typed []language.Token) string {
	var b strings.Builder
	at := 0
	for _, t := range language.Tokens(title) {
		for _, w := range typed {
			n := len(w.Word)
			// Only where folding kept the letters' sizes is it known where they end.
			if !strings.HasPrefix(t.Word, w.Word) || t.Start < at {
				continue
			}
			if t.End-t.Start != len(t.Word) {
				n = t.End - t.Start
			}
			b.WriteString(html.EscapeString(title[at:t.Start]))
			b.WriteString(markOpen + html.EscapeString(title[t.Start:t.Start+n]) + markClose)
			at = t.Start + n
			break
		}
	}
	b.WriteString(html.EscapeString(title[at:]))
	return b.String()
}
