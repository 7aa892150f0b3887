// Package mails writes the messages of the user service, in English and
// German. A message is a few paragraphs of text and at most one link; its HTML
// is the same paragraphs in a plain layout, escaped by the template.
package mails

import (
	"bytes"
	"embed"
	"fmt"
	htmltemplate "html/template"
	"regexp"
	"strings"
	texttemplate "text/template"
	"time"

	"lms/apps/user/internal/identity"
)

//go:embed *.tmpl
var files embed.FS

// Texts implements identity.Mails.
type Texts struct {
	texts  map[string]*texttemplate.Template // by language
	layout *htmltemplate.Template
}

// Languages are those that messages are written in; the first is for everybody
// else.
var languages = []string{"en", "de"}

// New reads the embedded templates.
func New() (*Texts, error) {
	t := &Texts{texts: map[string]*texttemplate.Template{}}
	for _, lang := range languages {
		parsed, err := texttemplate.New(lang).Funcs(texttemplate.FuncMap{"when": when(lang)}).Option("missingkey=error").ParseFS(files, lang+".tmpl")
		if err != nil {
			return nil, fmt.Errorf("mail texts: %w", err)
		}
		t.texts[lang] = parsed
	}
	layout, err := htmltemplate.New("layout").ParseFS(files, "layout.html.tmpl")
	if err != nil {
		return nil, fmt.Errorf("mail layout: %w", err)
	}
	t.layout = layout
	return t, nil
}

func when(lang string) func(time.Time) string {
	layout := "2 January 2006, 15:04 MST"
	if lang == "de" {
		layout = "02.01.2006, 15:04 MST"
	}
	return func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.Format(layout)
	}
}

func language(locale string) string {
	base, _, _ := strings.Cut(strings.ToLower(locale), "-")
	for _, l := range languages {
		if l == base {
			return l
		}
	}
	return languages[0]
}

type page struct {
	Lang, Subject, Action, Link, Footer string
	Paragraphs                          []string
}

// oneLine keeps what people write about themselves from becoming more than
// text: no line of its own, no header, no link that a mail program would make
// clickable.
var newlines = regexp.MustCompile(`[\r\n\t\x00]+`)

func plain(s string) string { return strings.TrimSpace(newlines.ReplaceAllString(s, " ")) }

// noLinks breaks addresses in a name that a stranger chose: "visit evil.example"
// must not be clickable in a mail of ours.
func noLinks(s string) string {
	s = plain(s)
	for _, mark := range []string{"://", "www.", "@"} {
		if strings.Contains(strings.ToLower(s), mark) {
			return ""
		}
	}
	if r := []rune(s); len(r) > 80 {
		return string(r[:80])
	}
	return s
}

// Render implements identity.Mails.
func (t *Texts) Render(kind identity.MailKind, locale string, d identity.MailData) (subject, text, html string, err error) {
	lang := language(locale)
	d.Name, d.Detail, d.Device, d.Email, d.IP = noLinks(d.Name), plain(d.Detail), noLinks(d.Device), plain(d.Email), plain(d.IP)
	part := func(name string) string {
		var b bytes.Buffer
		if e := t.texts[lang].ExecuteTemplate(&b, name, d); e != nil && err == nil {
			err = fmt.Errorf("mail %s (%s): %w", name, lang, e)
		}
		return strings.TrimSpace(b.String())
	}
	subject = plain(part(string(kind) + ".subject"))
	body := part("greeting") + "\n\n" + part(string(kind)+".body")
	footer := part("footer")
	p := page{Lang: lang, Subject: subject, Footer: footer, Link: d.Link}
	if d.Link != "" {
		p.Action = part(string(kind) + ".action")
	}
	if err != nil {
		return "", "", "", err
	}
	for para := range strings.SplitSeq(body, "\n\n") {
		if para = strings.TrimSpace(para); para != "" {
			p.Paragraphs = append(p.Paragraphs, strings.Join(strings.Fields(para), " "))
		}
	}
	text = strings.Join(p.Paragraphs, "\n\n")
	if d.Link != "" {
		text += "\n\n" + p.Action + ":\n" + d.Link
	}
	text += "\n\n-- \n" + footer + "\n"
	var b bytes.Buffer
	if err := t.layout.ExecuteTemplate(&b, "layout.html.tmpl", p); err != nil {
		return "", "", "", fmt.Errorf("mail layout: %w", err)
	}
	return subject, text, b.String(), nil
}
