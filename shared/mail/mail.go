// Package mail makes a MIME message of an outbox row, for the `email` output
// binding: the `.eml` file that localstorage writes, or what SMTP sends.
package mail

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	gomail "github.com/wneessen/go-mail"

	"lms/shared/pg"
	"lms/shared/work"
)

// Composer makes messages from one sender.
type Composer struct {
	From   string // RFC 5322 address: "Learning <no-reply@example.org>"
	Domain string // right side of Message-IDs
}

// Compose is an outbox.Composer. The Message-ID is derived from the row's id,
// so that a message sent twice can be recognised as one.
func (c Composer) Compose(id uuid.UUID, row pg.PendingCall) ([]byte, map[string]string, error) {
	var m work.Mail
	if err := json.Unmarshal(row.Body, &m); err != nil {
		return nil, nil, fmt.Errorf("mail row: %w", err)
	}
	raw, err := c.message(id, row, m)
	if err != nil {
		return nil, nil, err
	}
	return raw, map[string]string{
		"operation": "create", "fileName": row.CreatedAt.UTC().Format("20060102T150405.000") + "-" + id.String() + ".eml",
		"emailTo": m.To, "emailFrom": c.From, "subject": m.Subject, "mime": "message/rfc822",
	}, nil
}

func (c Composer) message(id uuid.UUID, row pg.PendingCall, m work.Mail) ([]byte, error) {
	msg := gomail.NewMsg()
	if err := msg.From(c.From); err != nil {
		return nil, fmt.Errorf("sender: %w", err)
	}
	if err := msg.To(m.To); err != nil {
		return nil, fmt.Errorf("recipient: %w", err)
	}
	msg.Subject(m.Subject)
	msg.SetDateWithValue(row.CreatedAt)
	msg.SetMessageIDWithValue(id.String() + "@" + c.Domain)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	var b bytes.Buffer
	if _, err := msg.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("message: %w", err)
	}
	return b.Bytes(), nil
}
