package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/smtp"
	"strconv"
	"strings"
	"time"

	"github.com/dapr/components-contrib/bindings"
	"github.com/dapr/components-contrib/metadata"
	"github.com/dapr/kit/logger"
	kitmetadata "github.com/dapr/kit/metadata"
)

const (
	mailDialTimeout = 10 * time.Second
	// mailSessionTimeout bounds one delivery when the caller sets no deadline.
	mailSessionTimeout = 60 * time.Second
	// implicitTLSPort is the submission port that speaks TLS from the first byte.
	implicitTLSPort = 465
)

// mailer is bindings.smtp for whole messages: the data of the operation
// "create" is an RFC 5322 message, sent to the addresses of the request's
// emailTo (separated by ";") as it is.
//
// The stock component composes the message itself and cannot serve: it has no
// Message-ID, no text part and no List-Unsubscribe, and it writes each
// request's addresses into the settings that all requests share, so that two
// concurrent sends can exchange their recipients.
type mailer struct {
	log      logger.Logger
	settings mailSettings
}

type mailSettings struct {
	Host      string `mapstructure:"host"`
	Port      int    `mapstructure:"port"`
	User      string `mapstructure:"user"`
	Password  string `mapstructure:"password"`
	EmailFrom string `mapstructure:"emailFrom"` // envelope sender; the message's From where it is empty
	// AllowPlaintext permits a server that offers no TLS. Mails carry
	// password-reset links: without TLS whoever is on the path can strip
	// STARTTLS and read them.
	AllowPlaintext bool `mapstructure:"allowPlaintext"`
	SkipTLSVerify  bool `mapstructure:"skipTLSVerify"`
}

func newMailer(log logger.Logger) bindings.OutputBinding { return &mailer{log: log} }

// Init reads the settings; it does not connect.
func (m *mailer) Init(_ context.Context, meta bindings.Metadata) error {
	if err := kitmetadata.DecodeMetadata(meta.Properties, &m.settings); err != nil {
		return fmt.Errorf("smtp binding: %w", err)
	}
	if m.settings.Host == "" || m.settings.Port == 0 {
		return errors.New("smtp binding: host and port are required")
	}
	if (m.settings.User == "") != (m.settings.Password == "") {
		return errors.New("smtp binding: user and password come together")
	}
	if m.settings.SkipTLSVerify {
		m.log.Warn("smtp binding: the server's certificate is not verified")
	}
	return nil
}

func (m *mailer) Operations() []bindings.OperationKind {
	return []bindings.OperationKind{bindings.CreateOperation}
}

// Invoke sends one message. It returns without error only when the server has
// taken responsibility for it (its reply to the end of the data).
func (m *mailer) Invoke(ctx context.Context, req *bindings.InvokeRequest) (*bindings.InvokeResponse, error) {
	message := messageBytes(req.Data)
	parsed, err := mail.ReadMessage(bytes.NewReader(message))
	if err != nil {
		return nil, fmt.Errorf("smtp binding: the data is not an RFC 5322 message: %w", err)
	}
	sender, err := m.sender(parsed)
	if err != nil {
		return nil, err
	}
	recipients, err := recipients(req.Metadata["emailTo"])
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, mailSessionTimeout)
	defer cancel()
	if err := m.send(ctx, sender, recipients, message); err != nil {
		return nil, fmt.Errorf("smtp binding: %w", err)
	}
	return nil, nil //nolint:nilnil // the component interface's way to say "no answer"
}

func (m *mailer) GetComponentMetadata() metadata.MetadataMap { return nil }

func (m *mailer) Close() error { return nil }

// messageBytes undoes what the HTTP API does to the data: it hands on a JSON
// string with its quotes, and bytes travel in it as base64.
func messageBytes(data []byte) []byte {
	if unquoted, err := strconv.Unquote(string(data)); err == nil {
		data = []byte(unquoted)
	}
	if decoded, err := base64.StdEncoding.DecodeString(string(data)); err == nil {
		data = decoded
	}
	return data
}

func (m *mailer) sender(parsed *mail.Message) (string, error) {
	if m.settings.EmailFrom != "" {
		return m.settings.EmailFrom, nil
	}
	from, err := parsed.Header.AddressList("From")
	if err != nil || len(from) == 0 {
		return "", errors.New("smtp binding: the message has no From and the component no emailFrom")
	}
	return from[0].Address, nil
}

func recipients(list string) ([]string, error) {
	var to []string
	for entry := range strings.SplitSeq(list, ";") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		address, err := mail.ParseAddress(entry)
		if err != nil {
			return nil, errors.New("smtp binding: emailTo holds what is not an address")
		}
		to = append(to, address.Address)
	}
	if len(to) == 0 {
		return nil, errors.New("smtp binding: emailTo is required")
	}
	return to, nil
}

func (m *mailer) send(ctx context.Context, from string, to []string, message []byte) error {
	client, err := m.connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()

	if err := client.Mail(from); err != nil {
		return fmt.Errorf("sender refused: %w", err)
	}
	for _, address := range to {
		if err := client.Rcpt(address); err != nil {
			return fmt.Errorf("recipient refused: %w", err)
		}
	}
	body, err := client.Data()
	if err != nil {
		return fmt.Errorf("begin the data: %w", err)
	}
	if _, err := body.Write(message); err != nil {
		return fmt.Errorf("write the message: %w", err)
	}
	if err := body.Close(); err != nil {
		return fmt.Errorf("message refused: %w", err)
	}
	if err := client.Quit(); err != nil {
		// The server already answered for the message; an error here must
		// not make the caller send it again.
		m.log.Debugf("smtp binding: quit: %v", err)
	}
	return nil
}

// connect returns a session that is encrypted (unless the settings allow
// otherwise) and signed in (where the settings name a user).
func (m *mailer) connect(ctx context.Context) (*smtp.Client, error) {
	address := net.JoinHostPort(m.settings.Host, strconv.Itoa(m.settings.Port))
	secure := &tls.Config{
		ServerName:         m.settings.Host,
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: m.settings.SkipTLSVerify, //nolint:gosec // an explicit setting, warned about at the start
	}
	conn, err := (&net.Dialer{Timeout: mailDialTimeout}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return nil, errors.Join(fmt.Errorf("set the deadline: %w", err), conn.Close())
		}
	}
	if m.settings.Port == implicitTLSPort {
		conn = tls.Client(conn, secure)
	}
	client, err := smtp.NewClient(conn, m.settings.Host)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("greet: %w", err), conn.Close())
	}
	if err := m.protect(client, secure); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return client, nil
}

func (m *mailer) protect(client *smtp.Client, secure *tls.Config) error {
	if m.settings.Port != implicitTLSPort {
		offered, _ := client.Extension("STARTTLS")
		switch {
		case offered:
			if err := client.StartTLS(secure); err != nil {
				return fmt.Errorf("start TLS: %w", err)
			}
		case !m.settings.AllowPlaintext:
			return errors.New("the server offers no TLS and allowPlaintext is not set")
		}
	}
	if m.settings.User == "" {
		return nil
	}
	if err := client.Auth(smtp.PlainAuth("", m.settings.User, m.settings.Password, m.settings.Host)); err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	return nil
}
