// Package mails writes the security messages of the user service, as text and
// as HTML, in the language nearest to the reader's.
package mails

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	htmltemplate "html/template"
	"io/fs"
	"path"
	"strings"
	"text/template"
	"time"

	"golang.org/x/text/language"

	"lms/apps/user/internal/identity"
)

//go:embed texts/*.json layout.html
var files embed.FS

// source is one message in one language: templates over identity.MailData.
type source struct {
	Subject string   `json:"subject"`
	Lines   []string `json:"lines"`
	Action  string   `json:"action,omitempty"` // what the link is called; none without
}

type locale struct {
	Greeting  string                       `json:"greeting"`
	Anonymous string                       `json:"anonymous"` // the greeting without a name
	Closing   string                       `json:"closing"`
	TimeForm  string                       `json:"time_form"` // Go reference time
	Messages  map[identity.MailKind]source `json:"messages"`
}

type message struct {
	subject *template.Template
	lines   []*template.Template
	action  string
}

// Mails implements identity.Mails.
type Mails struct {
	matcher language.Matcher
	locales []locale
	parsed  []map[identity.MailKind]message
	layout  *htmltemplate.Template
}

// Kinds are all messages; every language has each of them.
func Kinds() []identity.MailKind {
	return []identity.MailKind{
		identity.MailInvitation, identity.MailVerification, identity.MailRegistration, identity.MailAlreadyHere, identity.MailReset,
		identity.MailPasswordChanged, identity.MailEmailChange, identity.MailEmailChangeAsked, identity.MailEmailChanged, identity.MailNewDevice,
		identity.MailMFAEnabled, identity.MailMFADisabled, identity.MailImpersonated, identity.MailExportReady, identity.MailDeactivated,
		identity.MailTokenCreated,
	}
}

// New reads the texts; a message that is missing or does not parse is an error.
func New() (*Mails, error) {
	m := &Mails{}
	names, err := fs.Glob(files, "texts/*.json")
	if err != nil {
		return nil, fmt.Errorf("mail texts: %w", err)
	}
	var tags []language.Tag
	// The first language is the one that others fall back to.
	for _, name := range append([]string{"texts/en.json"}, names...) {
		tag := language.Make(strings.TrimSuffix(path.Base(name), ".json"))
		if len(tags) > 0 && tag == tags[0] {
			continue
		}
		if err := m.add(name); err != nil {
			return nil, fmt.Errorf("mail texts %s: %w", name, err)
		}
		tags = append(tags, tag)
	}
	m.matcher = language.NewMatcher(tags)
	if m.layout, err = htmltemplate.ParseFS(files, "layout.html"); err != nil {
		return nil, fmt.Errorf("mail layout: %w", err)
	}
	return m, nil
}

func (m *Mails) add(name string) error {
	raw, err := files.ReadFile(name)
	if err != nil {
		return err
	}
	var l locale
	if err := json.Unmarshal(raw, &l); err != nil {
		return err
	}
	parsed := map[identity.MailKind]message{}
	for _, kind := range Kinds() {
		src, ok := l.Messages[kind]
		if !ok {
			return fmt.Errorf("no message %s", kind)
		}
		if parsed[kind], err = parse(src); err != nil {
			return fmt.Errorf("message %s: %w", kind, err)
		}
	}
	m.locales, m.parsed = append(m.locales, l), append(m.parsed, parsed)
	return nil
}

func parse(src source) (out message, err error) {
	one := func(text string) (*template.Template, error) {
		t, err := template.New("").Option("missingkey=error").Parse(text)
		if err != nil {
			return nil, err
		}
		// A field that does not exist is found now, not when a mail is due.
		return t, t.Execute(&bytes.Buffer{}, shown{})
	}
	if out.subject, err = one(src.Subject); err != nil {
		return out, err
	}
	for _, line := range src.Lines {
		t, err := one(line)
		if err != nil {
			return out, err
		}
		out.lines = append(out.lines, t)
	}
	out.action = src.Action
	return out, nil
}

// shown is MailData with times in words.
type shown struct {
	Name, Link, Email, IP, Device, Detail string
	When, Expires                         string
}

// Render implements identity.Mails.
func (m *Mails) Render(kind identity.MailKind, wanted string, d identity.MailData) (subject, text, html string, err error) {
	tag, err := language.Parse(wanted)
	if err != nil {
		tag = language.English // nobody is left without a mail for a bad setting
	}
	_, i, _ := m.matcher.Match(tag)
	l := m.locales[i]
	msg, ok := m.parsed[i][kind]
	if !ok {
		return "", "", "", fmt.Errorf("no message %s", kind)
	}
	v := shown{
		Name: oneLine(d.Name), Link: d.Link, Email: oneLine(d.Email), IP: oneLine(d.IP), Device: oneLine(d.Device), Detail: oneLine(d.Detail),
		When: inWords(d.When, l.TimeForm), Expires: inWords(d.Expires, l.TimeForm),
	}
	if subject, err = execute(msg.subject, v); err != nil {
		return "", "", "", err
	}
	page := layout{Greeting: l.Anonymous, Closing: l.Closing, Subject: subject}
	if v.Name != "" {
		page.Greeting = strings.ReplaceAll(l.Greeting, "{name}", v.Name)
	}
	for _, t := range msg.lines {
		line, err := execute(t, v)
		if err != nil {
			return "", "", "", err
		}
		page.Lines = append(page.Lines, line)
	}
	if d.Link != "" && msg.action != "" {
		page.Action, page.Link = msg.action, d.Link
	}
	var b bytes.Buffer
	if err := m.layout.ExecuteTemplate(&b, "layout.html", page); err != nil {
		return "", "", "", fmt.Errorf("mail %s: %w", kind, err)
	}
	return subject, page.text(), b.String(), nil
}

type layout struct {
	Subject, Greeting, Closing string
	Lines                      []string
	Action, Link               string
}

func (p layout) text() string {
	parts := append([]string{p.Greeting}, p.Lines...)
	if p.Link != "" {
		parts = append(parts, p.Action+":\n"+p.Link)
	}
	return strings.Join(append(parts, p.Closing), "\n\n") + "\n"
}

func execute(t *template.Template, v shown) (string, error) {
	var b strings.Builder
	if err := t.Execute(&b, v); err != nil {
		return "", fmt.Errorf("mail text: %w", err)
	}
	return b.String(), nil
}

// oneLine keeps what people typed from making lines of its own in a mail.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func inWords(t time.Time, form string) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(form)
}
