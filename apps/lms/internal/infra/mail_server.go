package infra

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/google/uuid"
)

// maxMail bounds one message.
const maxMail = 16 << 20

// ServeMail is an SMTP server that delivers nothing: each message becomes a file
// of its own in dir, readable by its owner only. It ends with ctx.
func ServeMail(ctx context.Context, listen, dir string) error {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("listen for mail: %w", err)
	}
	srv := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &mailSession{dir}, nil }))
	srv.Domain, srv.MaxMessageBytes, srv.MaxRecipients = "localhost", maxMail, 100
	srv.ReadTimeout, srv.WriteTimeout = time.Minute, time.Minute
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve mail: %w", err)
	case <-ctx.Done():
	}
	if err := srv.Close(); err != nil {
		return fmt.Errorf("stop serving mail: %w", err)
	}
	if err := <-done; err != nil && !errors.Is(err, smtp.ErrServerClosed) {
		return fmt.Errorf("serve mail: %w", err)
	}
	return nil
}

// mailSession takes messages of one connection.
type mailSession struct{ dir string }

func (mailSession) Reset()                               {}
func (mailSession) Logout() error                        { return nil }
func (mailSession) Mail(string, *smtp.MailOptions) error { return nil }
func (mailSession) Rcpt(string, *smtp.RcptOptions) error { return nil }

// Data answers for the message only when the file is whole.
func (s mailSession) Data(r io.Reader) error {
	id, err := uuid.NewV7() // file names in the order of arrival
	if err != nil {
		return fmt.Errorf("name the message: %w", err)
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("read the message: %w", err)
	}
	file := filepath.Join(s.dir, id.String()+".eml")
	if err := os.WriteFile(file+".new", raw, 0o600); err != nil {
		return fmt.Errorf("keep the message: %w", err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return fmt.Errorf("keep the message: %w", err)
	}
	return nil
}
