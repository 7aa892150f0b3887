// Package texts writes messages: from templates per kind of message, language and
// part, shipped with the program, overridden by an operator's files, overridden by
// what was set through the API. A template is checked when it is loaded: one that
// does not parse, or that uses a variable that its kind does not have, is refused
// with its place.
package texts

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/text/language"
)

// Part is a piece of a message.
type Part string

// The parts. Title and Text are what the list shows; a mail is made from Subject,
// Mail and HTML, and where one of these is not there from Title, Text and the
// layout.
const (
	Title   Part = "title"
	Text    Part = "text"
	Subject Part = "subject"
	Mail    Part = "mail"
	HTML    Part = "html"
)

// Parts are all parts.
func Parts() []Part { return []Part{Title, Text, Subject, Mail, HTML} }

// Sizes of sources, in bytes.
const (
	maxLine   = 1 << 10  // title and subject
	maxSource = 32 << 10 // the others
)

// Key names a template.
type Key struct{ Kind, Locale string }

func (k Key) String() string { return k.Kind + "." + k.Locale }

// ParseKey reads "enrollment.activated.de-AT".
func ParseKey(s string) (Key, bool) {
	i := strings.LastIndexByte(s, '.')
	if i <= 0 {
		return Key{}, false
	}
	locale, ok := Canonical(s[i+1:])
	return Key{Kind: s[:i], Locale: locale}, ok
}

// Canonical writes a language tag as BCP 47 has it.
func Canonical(locale string) (string, bool) {
	tag, err := language.Parse(strings.ReplaceAll(locale, "_", "-"))
	if err != nil || tag == language.Und {
		return "", false
	}
	return tag.String(), true
}

// chain is where a text for a locale is looked for: de-AT, de, and the fallback.
func chain(locale, fallback string) []string {
	var out []string
	if l, ok := Canonical(locale); ok {
		for l != "" {
			out = append(out, l)
			i := strings.LastIndexByte(l, '-')
			l = l[:max(i, 0)]
		}
	}
	return append(out, fallback)
}

// Source is what one template consists of; a part that is empty is not overridden.
type Source map[Part]string

// Bundle is the sources of one language by kind.
type Bundle map[string]Source

var errBundle = errors.New("not in the form of a text bundle")

// ParseBundle reads a file of texts: a line "=== kind" begins a kind; "title: …" and
// "subject: …" are one line, "text:", "mail:" and "html:" begin parts that go on to
// the next marker. Lines of "#" before the first kind are comments.
func ParseBundle(name, raw string) (Bundle, error) {
	out := Bundle{}
	var kind string
	var part Part
	for i, line := range strings.Split(strings.ReplaceAll(raw, "\r\n", "\n"), "\n") {
		fail := func(what string) error { return fmt.Errorf("%s:%d: %s: %w", name, i+1, what, errBundle) }
		if rest, ok := strings.CutPrefix(line, "=== "); ok {
			kind, part = strings.TrimSpace(rest), ""
			if kind == "" || out[kind] != nil {
				return nil, fail("a kind without a name, or twice")
			}
			out[kind] = Source{}
			continue
		}
		if kind == "" {
			if t := strings.TrimSpace(line); t != "" && !strings.HasPrefix(t, "#") {
				return nil, fail("a text before the first kind")
			}
			continue
		}
		if p, value, ok := marker(line); ok {
			if _, twice := out[kind][p]; twice {
				return nil, fail("the part " + string(p) + " twice")
			}
			part = p
			out[kind][p] = value
			continue
		}
		if part != "" && part != Title && part != Subject {
			out[kind][part] += line + "\n"
		} else if strings.TrimSpace(line) != "" {
			return nil, fail("a line that belongs to no part")
		}
	}
	for _, s := range out {
		for p, v := range s {
			s[p] = strings.TrimSpace(v)
		}
	}
	return out, nil
}

func marker(line string) (Part, string, bool) {
	for _, p := range []Part{Title, Subject} {
		if v, ok := strings.CutPrefix(line, string(p)+":"); ok {
			return p, strings.TrimSpace(v), true
		}
	}
	for _, p := range []Part{Text, Mail, HTML} {
		if line == string(p)+":" {
			return p, "", true
		}
	}
	return "", "", false
}
