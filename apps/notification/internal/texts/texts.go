package texts

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync/atomic"

	"lms/apps/notification/internal/catalog"
	"lms/apps/notification/internal/person"
)

//go:embed shipped
var shipped embed.FS

// Fallback is the language of those whose own has no texts.
const Fallback = "en"

// labels is the kind that holds what the layout of every mail needs.
const labels = "labels"

// Origin is where a text comes from.
type Origin string

// The origins, the strongest first.
const (
	ByAPI   Origin = "api"
	ByFile  Origin = "file"
	Shipped Origin = "shipped"
)

type layer map[Key]*compiled

// Texts writes messages. Layers are replaced as a whole; what is written meanwhile
// uses the one before.
type Texts struct {
	kinds   map[string]catalog.Kind
	shipped layer
	files   atomic.Pointer[layer]
	api     atomic.Pointer[layer]
	layout  *htmltemplate.Template
}

// New compiles the texts that are shipped.
func New(c *catalog.Catalog) (*Texts, error) {
	t := &Texts{kinds: map[string]catalog.Kind{}}
	for _, k := range append(c.Kinds(), labelKinds()...) {
		t.kinds[k.Key] = k
	}
	sub, err := fs.Sub(shipped, "shipped")
	if err != nil {
		return nil, fmt.Errorf("texts: %w", err)
	}
	if t.shipped, err = t.load(sub); err != nil {
		return nil, fmt.Errorf("shipped texts: %w", err)
	}
	t.files.Store(&layer{})
	t.api.Store(&layer{})
	t.layout, err = htmltemplate.ParseFS(shipped, "shipped/layout.html.tmpl")
	if err != nil {
		return nil, fmt.Errorf("layout: %w", err)
	}
	return t, nil
}

// labelKinds are the pieces around a message and the digest.
func labelKinds() []catalog.Kind {
	text := func(name, sample string, optional bool) catalog.Variable {
		return catalog.Variable{Name: name, Type: catalog.Text, Sample: sample, Optional: optional}
	}
	return []catalog.Kind{
		{Key: labels + ".greeting"},
		{Key: labels + ".open"},
		{Key: labels + ".footer"},
		{Key: labels + ".transactional"},
		{Key: labels + ".unsubscribe"},
		{Key: labels + ".unsubscribed"},
		{Key: labels + ".digest", Variables: []catalog.Variable{
			{Name: "count", Type: catalog.Number, Sample: "12"}, text("weekly", "yes", true),
		}},
		{Key: labels + ".more", Variables: []catalog.Variable{{Name: "count", Type: catalog.Number, Sample: "3"}}},
	}
}

// load compiles every <locale>.tmpl of a folder. All mistakes are told together.
func (t *Texts) load(folder fs.FS) (layer, error) {
	out := layer{}
	entries, err := fs.ReadDir(folder, ".")
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, e := range entries {
		stem, ok := strings.CutSuffix(e.Name(), ".tmpl")
		if e.IsDir() || !ok || strings.HasSuffix(stem, ".html") {
			continue
		}
		locale, ok := Canonical(stem)
		if !ok {
			errs = append(errs, fmt.Errorf("%s: the name is no language", e.Name()))
			continue
		}
		raw, err := fs.ReadFile(folder, path.Clean(e.Name()))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, t.loadBundle(out, e.Name(), locale, string(raw)))
	}
	return out, errors.Join(errs...)
}

func (t *Texts) loadBundle(into layer, name, locale, raw string) error {
	bundle, err := ParseBundle(name, raw)
	if err != nil {
		return err
	}
	var errs []error
	for kind, source := range bundle {
		k, ok := t.kinds[kind]
		if !ok {
			errs = append(errs, fmt.Errorf("%s: there is no kind %s", name, kind))
			continue
		}
		c, err := compile(k, source)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue
		}
		into[Key{kind, locale}] = c
	}
	return errors.Join(errs...)
}

// UseFolder takes an operator's folder. When something in it is refused, what was
// in use stays.
func (t *Texts) UseFolder(folder fs.FS) error {
	l, err := t.load(folder)
	if err != nil {
		return err
	}
	t.files.Store(&l)
	return nil
}

// UseOverrides takes what was set through the API. One that this program refuses
// (it was set with another version) is left out and named in the error; the others
// are used.
func (t *Texts) UseOverrides(overrides map[Key]Source) error {
	l := layer{}
	var errs []error
	for key, source := range overrides {
		c, err := t.Check(key, source)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
			continue
		}
		l[key] = c
	}
	t.api.Store(&l)
	return errors.Join(errs...)
}

var errKind = errors.New("there is no such kind of message")

// Check compiles a template without using it.
func (t *Texts) Check(key Key, source Source) (*compiled, error) { //nolint:revive // opaque on purpose
	k, ok := t.kinds[key.Kind]
	if !ok {
		return nil, errKind
	}
	return compile(k, source)
}

// Kind is a kind of message that has texts.
func (t *Texts) Kind(key string) (catalog.Kind, bool) {
	k, ok := t.kinds[key]
	return k, ok
}

type layered struct {
	origin Origin
	layer  layer
}

func (t *Texts) layers() []layered {
	return []layered{{ByAPI, *t.api.Load()}, {ByFile, *t.files.Load()}, {Shipped, t.shipped}}
}

// find is the text of a part: of the first language of the chain that has the kind.
func (t *Texts) find(kind, locale string, p Part) (executor, string, Origin) {
	for _, l := range chain(locale, Fallback) {
		has := false
		for _, y := range t.layers() {
			c := y.layer[Key{kind, l}]
			if c == nil {
				continue
			}
			if e := c.parts[p]; e != nil {
				return e, l, y.origin
			}
			has = has || c.parts[Title] != nil
		}
		if has {
			return nil, l, ""
		}
	}
	return nil, Fallback, ""
}

// part writes one part, "" if there is none.
func (t *Texts) part(kind catalog.Kind, p Part, locale string, data map[string]any) (string, error) {
	e, _, _ := t.find(kind.Key, locale, p)
	if e == nil {
		return "", nil
	}
	out, err := write(e, data)
	if err != nil {
		return "", fmt.Errorf("%s of %s (%s): %w", p, kind.Key, locale, err)
	}
	return strings.TrimSpace(out), nil
}

var errNoKind = errors.New("no such kind")

// List writes the line of the list.
func (t *Texts) List(kind string, r Reader, vars map[string]string, link string) (title, text string, err error) {
	k, ok := t.kinds[kind]
	if !ok {
		return "", "", fmt.Errorf("%s: %w", kind, errNoKind)
	}
	data := values(k, r, vars, link)
	if title, err = t.part(k, Title, r.Locale, data); err != nil {
		return "", "", err
	}
	text, err = t.part(k, Text, r.Locale, data)
	return oneLine(title), text, err
}

// Written is a mail.
type Written struct{ Subject, Text, HTML string }

// Letter is what a mail is written from.
type Letter struct {
	Kind        string
	Vars        map[string]string
	Link        string
	Unsubscribe string // "" for a transactional one
	Items       []person.Item
	More        int
}

type page struct {
	Lang, Subject, Action, Link, Footer string
	Paragraphs                          []string
	Body                                htmltemplate.HTML
	Items                               []person.Item
	More                                string
	Unsubscribe, UnsubscribeLabel       string
}

// label is a piece around a message.
func (t *Texts) label(name string, r Reader, vars map[string]string) (string, error) {
	k := t.kinds[labels+"."+name]
	return t.part(k, Title, r.Locale, values(k, r, vars, ""))
}

// Mail writes a mail.
func (t *Texts) Mail(l Letter, r Reader) (Written, error) {
	if l.Kind == person.DigestKind {
		return t.digest(l, r)
	}
	k, ok := t.kinds[l.Kind]
	if !ok {
		return Written{}, fmt.Errorf("%s: %w", l.Kind, errNoKind)
	}
	data := values(k, r, l.Vars, l.Link)
	var parts [5]string
	for i, p := range Parts() {
		var err error
		if parts[i], err = t.part(k, p, r.Locale, data); err != nil {
			return Written{}, err
		}
	}
	title, text, subject, mail, html := parts[0], parts[1], parts[2], parts[3], parts[4]
	if subject == "" {
		subject = title
	}
	if mail == "" {
		mail = text
	}
	// What html/template wrote has been escaped by it.
	p := page{Subject: oneLine(subject), Link: l.Link, Body: htmltemplate.HTML(html), Unsubscribe: l.Unsubscribe} //nolint:gosec // see above
	return t.letter(p, mail, r)
}

func (t *Texts) digest(l Letter, r Reader) (Written, error) {
	count := fmt.Sprint(len(l.Items) + l.More)
	weekly := ""
	if slices.ContainsFunc(l.Items, func(i person.Item) bool { return i.Period == person.Weekly }) {
		weekly = "yes"
	}
	subject, err := t.label("digest", r, map[string]string{"count": count, "weekly": weekly})
	if err != nil {
		return Written{}, err
	}
	p := page{Subject: oneLine(subject), Items: l.Items, Unsubscribe: l.Unsubscribe}
	if l.More > 0 {
		if p.More, err = t.label("more", r, map[string]string{"count": fmt.Sprint(l.More)}); err != nil {
			return Written{}, err
		}
	}
	return t.letter(p, "", r)
}

// letter puts the frame around a message.
func (t *Texts) letter(p page, body string, r Reader) (out Written, err error) {
	say := func(name string) string {
		s, e := t.label(name, r, nil)
		err = errors.Join(err, e)
		return s
	}
	greeting := say("greeting")
	p.Lang, p.Footer, p.UnsubscribeLabel = base(r.Locale), say("footer"), say("unsubscribe")
	if p.Unsubscribe == "" {
		p.Footer = say("transactional")
	}
	if p.Link != "" {
		p.Action = say("open")
	}
	if err != nil {
		return out, err
	}
	paragraphs := []string{greeting}
	for para := range strings.SplitSeq(body, "\n\n") {
		if para = strings.TrimSpace(para); para != "" {
			paragraphs = append(paragraphs, para)
		}
	}
	p.Paragraphs = paragraphs
	if p.Body != "" {
		p.Paragraphs = paragraphs[:1]
	}
	out.Subject, out.Text = p.Subject, plainText(p, paragraphs)
	var b bytes.Buffer
	if err := t.layout.ExecuteTemplate(&b, "layout.html.tmpl", p); err != nil {
		return out, fmt.Errorf("layout: %w", err)
	}
	out.HTML = b.String()
	return out, nil
}

func plainText(p page, paragraphs []string) string {
	var b strings.Builder
	b.WriteString(strings.Join(paragraphs, "\n\n"))
	for _, it := range p.Items {
		b.WriteString("\n\n* " + it.Title)
		if it.Text != "" {
			b.WriteString("\n  " + strings.ReplaceAll(it.Text, "\n", "\n  "))
		}
		if it.Link != "" {
			b.WriteString("\n  " + it.Link)
		}
	}
	if p.More != "" {
		b.WriteString("\n\n" + p.More)
	}
	if p.Link != "" {
		b.WriteString("\n\n" + p.Action + ":\n" + p.Link)
	}
	b.WriteString("\n\n-- \n" + p.Footer + "\n")
	if p.Unsubscribe != "" {
		b.WriteString(p.UnsubscribeLabel + ": " + p.Unsubscribe + "\n")
	}
	return b.String()
}
