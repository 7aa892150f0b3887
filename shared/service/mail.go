package service

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/mail"
	"strings"

	"github.com/google/uuid"
	gomail "github.com/wneessen/go-mail"

	"lms/shared/outbox"
	"lms/shared/pg"
	"lms/shared/work"
)

// composer writes mail as whole messages for the `email` binding. The
// Message-ID is made from the row's id: a message that is sent twice, because
// the process died in between, is recognised as one.
func composer(from string) (outbox.Composer, error) {
	sender, err := mail.ParseAddress(from)
	if err != nil {
		return nil, fmt.Errorf("configuration: LMS_MAIL_FROM is not a mail address: %w", err)
	}
	_, domain, _ := strings.Cut(sender.Address, "@")
	return func(id uuid.UUID, row pg.PendingCall) ([]byte, map[string]string, error) {
		var in work.Mail
		if err := json.Unmarshal(row.Body, &in); err != nil {
			return nil, nil, fmt.Errorf("mail: %w", err)
		}
		m := gomail.NewMsg()
		if err := m.FromFormat(sender.Name, sender.Address); err != nil {
			return nil, nil, fmt.Errorf("mail from: %w", err)
		}
		if err := m.To(in.To); err != nil {
			return nil, nil, fmt.Errorf("mail to: %w", err)
		}
		m.Subject(in.Subject)
		m.SetMessageIDWithValue(id.String() + "@" + domain)
		m.SetDateWithValue(row.CreatedAt)
		m.SetGenHeader("Auto-Submitted", "auto-generated")
		m.SetBodyString(gomail.TypeTextPlain, in.Text)
		if in.HTML != "" {
			m.AddAlternativeString(gomail.TypeTextHTML, in.HTML)
		}
		var out bytes.Buffer
		if _, err := m.WriteTo(&out); err != nil {
			return nil, nil, fmt.Errorf("mail: %w", err)
		}
		return out.Bytes(), map[string]string{"emailTo": in.To, "fileName": id.String() + ".eml"}, nil
	}, nil
}
