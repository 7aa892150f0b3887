package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/dapr/components-contrib/bindings"
	"github.com/dapr/kit/logger"
	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"
)

const letter = "From: LMS <no-reply@lms.example>\r\nTo: an@example.org\r\nSubject: x\r\nMessage-ID: <7@lms.example>\r\nList-Unsubscribe: <https://lms.example/u>\r\n\r\n.hello\r\n"

// delivered is one message as the server accepted it.
type delivered struct {
	from string
	to   []string
	body string
}

// sink is an SMTP server that keeps what it is given.
type sink struct {
	mu     sync.Mutex
	mails  []delivered
	refuse bool
}

func (s *sink) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{sink: s}, nil }

type session struct {
	sink *sink
	mail delivered
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error { s.mail.from = from; return nil }
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mail.to = append(s.mail.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	body, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	if s.sink.refuse {
		return &smtp.SMTPError{Code: 554, Message: "not today"}
	}
	s.mail.body = string(body)
	s.sink.mails = append(s.sink.mails, s.mail)
	return nil
}

func (s *session) Reset()        { s.mail = delivered{} }
func (s *session) Logout() error { return nil }

// newSink starts a server and a binding that talks to it.
func newSink(t *testing.T, properties map[string]string) (*sink, bindings.OutputBinding) {
	t.Helper()
	s := &sink{}
	server := smtp.NewServer(s)
	server.Domain = "localhost"
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // ends with the server
	}()
	t.Cleanup(func() {
		_ = server.Close()
		_ = listener.Close() // the server knows it only once it serves
		<-served
	})
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	meta := bindings.Metadata{}
	meta.Properties = map[string]string{"host": "127.0.0.1", "port": port}
	for key, value := range properties {
		meta.Properties[key] = value
	}
	binding := newMailer(logger.NewLogger("test"))
	require.NoError(t, binding.Init(t.Context(), meta))
	return s, binding
}

var plaintext = map[string]string{"allowPlaintext": "true"}

func send(t *testing.T, binding bindings.OutputBinding, to string, data []byte) error {
	t.Helper()
	_, err := binding.Invoke(t.Context(), &bindings.InvokeRequest{
		Operation: bindings.CreateOperation, Data: data, Metadata: map[string]string{"emailTo": to, "fileName": "7.eml"},
	})
	return err
}

func TestMessageIsSentAsItIs(t *testing.T) {
	t.Parallel()
	for name, data := range map[string][]byte{
		"bytes, as over gRPC":            []byte(letter),
		"base64 in JSON, as over HTTP":   []byte(strconv.Quote(base64.StdEncoding.EncodeToString([]byte(letter)))),
		"base64 without the JSON quotes": []byte(base64.StdEncoding.EncodeToString([]byte(letter))),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, binding := newSink(t, plaintext)
			require.NoError(t, send(t, binding, "an@example.org; Binh <b@example.org>", data))
			require.Equal(t, []delivered{{
				from: "no-reply@lms.example", to: []string{"an@example.org", "b@example.org"}, body: letter,
			}}, server.mails)
		})
	}
}

func TestComponentNamesTheEnvelopeSender(t *testing.T) {
	t.Parallel()
	server, binding := newSink(t, map[string]string{"allowPlaintext": "true", "emailFrom": "bounce@lms.example"})
	require.NoError(t, send(t, binding, "an@example.org", []byte(letter)))
	require.Equal(t, "bounce@lms.example", server.mails[0].from)
}

// The component that this one replaces mixes up concurrent mails.
func TestConcurrentMailsKeepTheirRecipients(t *testing.T) {
	t.Parallel()
	server, binding := newSink(t, plaintext)
	const mails = 50
	var all sync.WaitGroup
	errs := make(chan error, mails)
	for n := range mails {
		all.Go(func() {
			address := fmt.Sprintf("p%d@example.org", n)
			errs <- send(t, binding, address, []byte("From: a@lms.example\r\nTo: "+address+"\r\n\r\n"+address+"\r\n"))
		})
	}
	all.Wait()
	for range mails {
		require.NoError(t, <-errs)
	}
	require.Len(t, server.mails, mails)
	for _, mail := range server.mails {
		require.Contains(t, mail.body, "\r\n\r\n"+mail.to[0]+"\r\n")
	}
}

func TestMailIsNotSent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		properties map[string]string
		to, data   string
		refuse     bool
		says       string
	}{
		"without TLS":         {nil, "an@example.org", letter, false, "offers no TLS"},
		"to nobody":           {plaintext, " ; ", letter, false, "emailTo is required"},
		"to no address":       {plaintext, "an@example.org\r\nRCPT TO:<x@y>", letter, false, "not an address"},
		"that is no message":  {plaintext, "an@example.org", "<p>hello</p>", false, "not an RFC 5322 message"},
		"without a sender":    {plaintext, "an@example.org", "Subject: x\r\n\r\nhello", false, "no From"},
		"the server refuses":  {plaintext, "an@example.org", letter, true, "not today"},
		"a login without TLS": {map[string]string{"user": "u", "password": "p"}, "an@example.org", letter, false, "offers no TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, binding := newSink(t, c.properties)
			server.refuse = c.refuse
			require.ErrorContains(t, send(t, binding, c.to, []byte(c.data)), c.says)
			require.Empty(t, server.mails)
		})
	}
}

func TestMailSettingsAreChecked(t *testing.T) {
	t.Parallel()
	for name, properties := range map[string]map[string]string{
		"no host":            {"port": "25"},
		"no port":            {"host": "mail"},
		"user, no password":  {"host": "mail", "port": "25", "user": "u"},
		"port is no number":  {"host": "mail", "port": "smtp"},
		"a password, no one": {"host": "mail", "port": "25", "password": "p"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			meta := bindings.Metadata{}
			meta.Properties = properties
			require.Error(t, newMailer(logger.NewLogger("test")).Init(t.Context(), meta))
		})
	}
}
