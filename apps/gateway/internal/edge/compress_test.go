package edge_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/shared/testkit"
)

func TestCompression(t *testing.T) {
	t.Parallel()
	w := start(t)
	c, _ := w.user(t)
	large := `{"a":"` + strings.Repeat("lorem ipsum ", 5000) + `"}`
	zip := c.With("Accept-Encoding", "br, gzip;q=0.8")
	w.sidecar.answers(reply("application/json; charset=utf-8", large, "ETag", `"v1"`))
	res := zip.GET("/api/v1/users").Expect(200)
	require.Equal(t, "gzip", res.Header.Get("Content-Encoding"))
	require.Equal(t, `W/"v1"`, res.ETag())
	require.Equal(t, "Accept-Encoding", res.Header.Get("Vary"))
	require.Less(t, len(res.Body), 2000)
	z, err := gzip.NewReader(bytes.NewReader(res.Body))
	require.NoError(t, err)
	plain, err := io.ReadAll(z)
	require.NoError(t, err)
	require.Equal(t, large, string(plain))
	res = c.GET("/api/v1/users").Expect(200)
	require.Equal(t, large, string(res.Body))
	require.Equal(t, `"v1"`, res.ETag())
	require.Empty(t, res.Header.Get("Content-Encoding"))

	none := func(path string, client *testkit.Client, answer func(string, http.ResponseWriter, *http.Request)) {
		t.Helper()
		w.sidecar.answers(answer)
		require.Empty(t, client.GET(path).Expect(200).Header.Get("Content-Encoding"))
	}
	none("/api/v1/users", zip, reply("application/json", `{}`))
	none("/api/v1/users", zip, reply("application/pdf", large))
	none("/api/v1/users", zip, reply("application/json", large, "Cache-Control", "no-transform"))
	none("/api/v1/users", zip, reply("application/json", large, "Content-Range", "bytes 0-1/2"))
	none("/api/v1/auth/sessions", zip, reply("application/json", large))
	for _, accept := range []string{"identity", "gzip;q=0", "*;q=0", "br"} {
		none("/api/v1/users", c.With("Accept-Encoding", accept), reply("application/json", large))
	}
}

// What a service compressed, for the sidecars' sake, goes through as it is, and is
// made plain for who cannot read it.
func TestCompressedAnswers(t *testing.T) {
	t.Parallel()
	w := start(t)
	c, _ := w.user(t)
	large := strings.Repeat("a,b,c\n", 5000)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := io.WriteString(z, large)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	answers := func(body string) {
		w.sidecar.answers(func(_ string, rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") != "gzip" {
				reply("text/csv", large)("", rw, r)
				return
			}
			reply("text/csv", body, "Content-Encoding", "gzip", "Vary", "Accept", "Vary", "Accept-Encoding")("", rw, r)
		})
	}
	answers(packed.String())
	res := c.With("Accept-Encoding", "gzip").GET("/api/v1/users").Expect(200)
	require.Equal(t, "gzip", res.Header.Get("Content-Encoding"))
	require.Equal(t, packed.Bytes(), res.Body)
	for _, accept := range []string{"identity", "gzip;q=0", "br"} {
		res = c.With("Accept-Encoding", accept).GET("/api/v1/users").Expect(200)
		require.Empty(t, res.Header.Get("Content-Encoding"))
		require.Equal(t, large, string(res.Body))
		require.Equal(t, []string{"Accept", "Accept-Encoding"}, res.Header.Values("Vary"))
	}
	require.Empty(t, c.GET("/api/v1/auth/sessions").Expect(200).Header.Get("Content-Encoding"), "a route that nothing may compress")
	answers("no gzip")
	c.With("Accept-Encoding", "identity").GET("/api/v1/users").Expect(503)
}
