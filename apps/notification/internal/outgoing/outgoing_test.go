package outgoing_test

import (
	"bytes"
	"context"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/notification/internal/notification"
	"lms/apps/notification/internal/outgoing"
	"lms/apps/notification/internal/texts"
)

type binding struct {
	data []byte
	meta map[string]string
}

func (b *binding) InvokeBinding(_ context.Context, name, operation string, data []byte, meta map[string]string) ([]byte, error) {
	b.data, b.meta = data, meta
	return nil, nil
}

func TestAMailIsAWholeMessage(t *testing.T) {
	t.Parallel()
	b := &binding{}
	p, err := outgoing.NewPost(b, "LMS <no-reply@lms.example>")
	require.NoError(t, err)
	l := notification.Letter{
		ID: uuid.New(), To: "ada@example.test", At: time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC), Unsubscribe: "https://lms.example/u?token=x",
		Written: texts.Written{Subject: "Grüße", Text: "Hallo ä\n", HTML: "<p>Hallo ä</p>"},
	}
	require.NoError(t, p.Send(t.Context(), l))
	require.Equal(t, map[string]string{"emailTo": "ada@example.test", "fileName": l.ID.String() + ".eml"}, b.meta)
	m, err := mail.ReadMessage(bytes.NewReader(b.data))
	require.NoError(t, err)
	require.Equal(t, "<"+l.ID.String()+"@lms.example>", m.Header.Get("Message-Id"))
	require.Equal(t, "<https://lms.example/u?token=x>", m.Header.Get("List-Unsubscribe"))
	require.Equal(t, "List-Unsubscribe=One-Click", m.Header.Get("List-Unsubscribe-Post"))
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	require.NoError(t, err)
	require.Equal(t, "Grüße", subject)
	require.Empty(t, m.Header.Get("X-Mailer"), "it says nothing of our libraries")
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	require.NoError(t, err)
	require.Equal(t, "multipart/alternative", kind)
	parts := multipart.NewReader(m.Body, params["boundary"])
	for _, want := range []string{"text/plain", "text/html"} {
		part, err := parts.NextRawPart()
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(part.Header.Get("Content-Type"), want))
		body, err := io.ReadAll(quotedprintable.NewReader(part))
		require.NoError(t, err)
		require.Contains(t, string(body), "Hallo ä")
	}
	first := bytes.Clone(b.data)
	require.NoError(t, p.Send(t.Context(), l))
	head := func(raw []byte) string { s, _, _ := strings.Cut(string(raw), "Content-Type:"); return s }
	require.Equal(t, head(first), head(b.data), "sent again it is the same message")

	l.To = "ada@example.test\r\nBcc: all@example.test"
	require.Error(t, p.Send(t.Context(), l))
}

func TestAddressesThatAreNotReached(t *testing.T) {
	t.Parallel()
	p, err := outgoing.NewPoster(nil)
	require.NoError(t, err)
	for _, host := range []string{
		"127.0.0.1", "127.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "192.0.2.1", "198.18.0.1", "224.0.0.1",
		"255.255.255.255", "240.0.0.1", "[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[fd12::1]", "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "[64:ff9b::7f00:1]",
		"[2002:7f00:1::]", "[2001:db8::1]", "[ff02::1]", "[::127.0.0.1]", "localhost", "a.localhost", "db.internal", "printer.local", "postgres",
	} {
		u, err := url.Parse("https://" + host + "/x")
		require.NoError(t, err)
		require.Error(t, p.Check(u), host)
		_, err = p.Post(t.Context(), u.String(), nil, nil)
		require.Error(t, err, host)
	}
	for _, host := range []string{"93.184.216.34", "[2606:2800:220:1::1]", "hooks.example.com"} {
		u, err := url.Parse("https://" + host + "/x")
		require.NoError(t, err)
		require.NoError(t, p.Check(u), host)
	}
	u, err := url.Parse("http://hooks.example.com/x")
	require.NoError(t, err)
	require.Error(t, p.Check(u), "no TLS")
}

// A public name may stand for a private address: only the dial knows.
func TestANameThatLeadsToThisMachineIsRefusedWhenDialled(t *testing.T) {
	t.Parallel()
	reached := false
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	t.Cleanup(server.Close)
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "https://"), ":")
	p, err := outgoing.NewPoster([]string{"203.0.113.0/24"}) // names are not judged, addresses are
	require.NoError(t, err)
	_, err = p.Post(t.Context(), "https://localhost:"+port+"/", nil, []byte("{}"))
	require.ErrorIs(t, err, outgoing.ErrNotPublic)
	require.False(t, reached)
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	reached := false
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	t.Cleanup(inside.Close)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, inside.URL, http.StatusTemporaryRedirect)
	}))
	t.Cleanup(server.Close)
	p, err := outgoing.NewPoster([]string{"127.0.0.0/8"})
	require.NoError(t, err)
	answer, err := p.Post(t.Context(), server.URL, map[string]string{"Lms-Event": "x"}, []byte("{}"))
	require.NoError(t, err)
	require.Equal(t, http.StatusTemporaryRedirect, answer.Status)
	require.False(t, reached)
}

func TestFailuresSayNothingOfOurNetwork(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	address := server.URL
	server.Close()
	p, err := outgoing.NewPoster([]string{"127.0.0.0/8"})
	require.NoError(t, err)
	_, err = p.Post(t.Context(), address, nil, nil)
	require.EqualError(t, err, "it could not be reached")
	_, err = outgoing.NewPoster([]string{"nonsense"})
	require.Error(t, err)
}
