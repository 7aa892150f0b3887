// Package outgoing is how notification reaches people and integrators: mail through
// the `email` binding, requests to public addresses.
package outgoing

import (
	"bytes"
	"context"
	"fmt"
	"net/mail"
	"strings"

	gomail "github.com/wneessen/go-mail"

	"lms/apps/notification/internal/notification"
)

// Binding is what Post needs of the sidecar; *dapr.Client is one.
type Binding interface {
	InvokeBinding(ctx context.Context, name, operation string, data []byte, meta map[string]string) ([]byte, error)
}

// Post sends mail through the `email` binding.
type Post struct {
	binding Binding
	from    *mail.Address
	domain  string
}

var _ notification.Post = (*Post)(nil)

// NewPost makes a post office that sends as from.
func NewPost(b Binding, from string) (*Post, error) {
	sender, err := mail.ParseAddress(from)
	if err != nil {
		return nil, fmt.Errorf("configuration: LMS_MAIL_FROM is not a mail address: %w", err)
	}
	_, domain, _ := strings.Cut(sender.Address, "@")
	return &Post{binding: b, from: sender, domain: domain}, nil
}

// Send implements notification.Post.
func (p *Post) Send(ctx context.Context, l notification.Letter) error {
	raw, err := p.Compose(l)
	if err != nil {
		return err
	}
	_, err = p.binding.InvokeBinding(ctx, "email", "create", raw, map[string]string{"emailTo": l.To, "fileName": l.ID.String() + ".eml"})
	return err
}

// Compose writes a mail as a whole message. Its Message-ID follows from the id: one
// that is sent twice, because the process died in between, is recognised as one.
func (p *Post) Compose(l notification.Letter) ([]byte, error) {
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := m.FromFormat(p.from.Name, p.from.Address); err != nil {
		return nil, fmt.Errorf("mail from: %w", err)
	}
	if err := m.To(l.To); err != nil {
		return nil, fmt.Errorf("mail to: %w", err)
	}
	m.Subject(l.Written.Subject)
	m.SetMessageIDWithValue(l.ID.String() + "@" + p.domain)
	m.SetDateWithValue(l.At)
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	if l.Unsubscribe != "" {
		m.SetGenHeader("List-Unsubscribe", "<"+l.Unsubscribe+">")
		m.SetGenHeader("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
	}
	m.SetBodyString(gomail.TypeTextPlain, l.Written.Text)
	m.AddAlternativeString(gomail.TypeTextHTML, l.Written.HTML)
	var out bytes.Buffer
	if _, err := m.WriteTo(&out); err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	return out.Bytes(), nil
}
