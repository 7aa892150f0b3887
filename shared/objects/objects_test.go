package objects_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lms/shared/apperr"
	"lms/shared/objects"
)

type world struct {
	*objects.Store
	dir string
	url string
	now time.Time
}

// files is a file:// store behind a server.
func files(t *testing.T) *world {
	t.Helper()
	w := &world{dir: filepath.Join(t.TempDir(), "objects"), now: time.Now()}
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	w.url = srv.URL
	var err error
	w.Store, err = objects.Open(context.Background(), "file://"+w.dir, objects.Options{
		PublicURL:  srv.URL,
		SigningKey: func(context.Context) ([]byte, error) { return bytes.Repeat([]byte("k"), 32), nil },
		Now:        func() time.Time { return w.now },
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Close()) })
	mux.Handle("/objects/", objects.FileHandler(w.Store))
	return w
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func send(t *testing.T, method, u string, body []byte, headers map[string]string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, u, bytes.NewReader(body))
	require.NoError(t, err)
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	got, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(got)
}

func (w *world) leftovers(t *testing.T) []os.DirEntry {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(w.dir, ".incoming"))
	if !os.IsNotExist(err) {
		require.NoError(t, err)
	}
	return entries
}

func TestUploadVerifyDownload(t *testing.T) {
	t.Parallel()
	w, ctx := files(t), context.Background()
	body := append([]byte("%PDF-1.7\n"), bytes.Repeat([]byte("0123456789"), 20_000)...)
	key := objects.Key(uuid.New(), "content", uuid.New(), "v1")
	put, err := w.PresignPut(ctx, key, int64(len(body)), "application/pdf", sum(body), time.Minute)
	require.NoError(t, err)
	for range 2 { // the same bytes may be sent again
		resp, text := send(t, put.Method, put.URL, body, put.Headers)
		require.Equal(t, http.StatusNoContent, resp.StatusCode, text)
	}
	kind, err := w.Verify(ctx, key, int64(len(body)), sum(body))
	require.NoError(t, err)
	require.Equal(t, "application/pdf", kind)
	require.Empty(t, w.leftovers(t))

	get, err := w.PresignGet(ctx, key, objects.Download{Filename: "Bài giảng \"1\".pdf", Type: "application/pdf", Inline: true})
	require.NoError(t, err)
	resp, text := send(t, http.MethodGet, get.URL, nil, nil)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, string(body), text)
	require.Equal(t, "application/pdf", resp.Header.Get("Content-Type"))
	require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
	require.Equal(t, `inline; filename*=utf-8''B%C3%A0i%20gi%E1%BA%A3ng%20%221%22.pdf`, resp.Header.Get("Content-Disposition"))

	resp, text = send(t, http.MethodGet, get.URL, nil, map[string]string{"Range": "bytes=9-18"})
	require.Equal(t, http.StatusPartialContent, resp.StatusCode)
	require.Equal(t, "0123456789", text)
	resp, _ = send(t, http.MethodGet, get.URL, nil, map[string]string{"Range": "bytes=999999999-"})
	require.Equal(t, http.StatusRequestedRangeNotSatisfiable, resp.StatusCode)
	resp, _ = send(t, http.MethodGet, get.URL, nil, map[string]string{"If-None-Match": resp.Header.Get("ETag")})
	require.Equal(t, http.StatusOK, resp.StatusCode, "416 carries no ETag")
	resp, text = send(t, http.MethodHead, get.URL, nil, nil)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.EqualValues(t, len(body), resp.ContentLength)
	require.Empty(t, text)
}

func TestWhatABrowserMightRunIsNeverInline(t *testing.T) {
	t.Parallel()
	w, ctx := files(t), context.Background()
	wr, err := w.NewWriter(ctx, "a/page", "text/html")
	require.NoError(t, err)
	_, err = io.WriteString(wr, "<script>")
	require.NoError(t, err)
	require.NoError(t, wr.Close())
	for _, kind := range []string{"text/html", "image/svg+xml", "application/xhtml+xml", "nonsense", ""} {
		get, err := w.PresignGet(ctx, "a/page", objects.Download{Filename: "x", Type: kind, Inline: true})
		require.NoError(t, err)
		resp, _ := send(t, http.MethodGet, get.URL, nil, nil)
		require.Equal(t, "attachment; filename=x", resp.Header.Get("Content-Disposition"), kind)
		require.Contains(t, resp.Header.Get("Content-Security-Policy"), "sandbox")
	}
}

func TestAnUploadMustBeWhatWasAnnounced(t *testing.T) {
	t.Parallel()
	w, ctx := files(t), context.Background()
	body := []byte("hello")
	put, err := w.PresignPut(ctx, "t/k", 5, "text/plain", sum(body), time.Minute)
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		body   string
		kind   string
		status int
		code   string
	}{
		"other bytes": {"jello", "text/plain", 422, "checksum_mismatch"},
		"too long":    {"hello!", "text/plain", 422, "size_mismatch"},
		"too short":   {"hell", "text/plain", 422, "size_mismatch"},
		"other type":  {"hello", "text/html", 415, "content_type_mismatch"},
		"no type":     {"hello", "", 415, "content_type_mismatch"},
	} {
		t.Run(name, func(t *testing.T) {
			resp, text := send(t, http.MethodPut, put.URL, []byte(tc.body), map[string]string{"Content-Type": tc.kind})
			require.Equal(t, tc.status, resp.StatusCode)
			require.Contains(t, text, tc.code)
			require.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"))
		})
	}
	require.Empty(t, w.leftovers(t))
	_, err = w.Verify(ctx, "t/k", 5, "")
	require.True(t, apperr.IsKind(err, apperr.KindNotFound))

	pr, pw := io.Pipe()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, put.URL, pr)
	require.NoError(t, err)
	req.ContentLength = 5
	req.Header.Set("Content-Type", "text/plain")
	go func() { _, _ = pw.Write([]byte("he")); pw.CloseWithError(io.ErrClosedPipe) }()
	_, err = http.DefaultClient.Do(req) // there is none
	require.Error(t, err, "the client broke off")
	require.Eventually(t, func() bool { return len(w.leftovers(t)) == 0 }, 5*time.Second, 10*time.Millisecond)
	_, err = w.Stat(ctx, "t/k")
	require.True(t, apperr.IsKind(err, apperr.KindNotFound))
}

func TestALinkIsGoodForOneThingOnly(t *testing.T) {
	t.Parallel()
	w, ctx := files(t), context.Background()
	put, err := w.PresignPut(ctx, "t/k", 5, "text/plain", "", time.Minute)
	require.NoError(t, err)
	change := func(name, value string) string {
		u, err := url.Parse(put.URL)
		require.NoError(t, err)
		q := u.Query()
		q.Set(name, value)
		u.RawQuery = q.Encode()
		return u.String()
	}
	for _, u := range []string{
		change("size", "6"), change("type", "text/html"), change("expires", "99999999999"), change("signature", ""), change("more", "1"),
		strings.Replace(put.URL, "/t/k", "/t/other", 1),
	} {
		resp, text := send(t, http.MethodPut, u, []byte("hello"), put.Headers)
		require.Equal(t, http.StatusForbidden, resp.StatusCode, u)
		require.Contains(t, text, "link_invalid")
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete, http.MethodPost} {
		resp, _ := send(t, method, put.URL, nil, nil)
		require.Equal(t, http.StatusForbidden, resp.StatusCode, method)
	}
	for _, p := range []string{"/objects/../etc/passwd", "/objects/.incoming/x", "/objects/t/..%2f..%2fx", "/objects/", "/objects/t/k.attrs"} {
		req := httptest.NewRequest(http.MethodGet, w.url+p, nil)
		rec := httptest.NewRecorder()
		objects.FileHandler(w.Store).ServeHTTP(rec, req)
		require.Equal(t, http.StatusNotFound, rec.Code, p)
	}
	w.now = w.now.Add(2 * time.Minute)
	resp, text := send(t, http.MethodPut, put.URL, []byte("hello"), put.Headers)
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
	require.Contains(t, text, "link_expired")
}

func TestListDeleteAndRead(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"file", "mem"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			address := "mem://"
			if scheme == "file" {
				address = "file://" + t.TempDir()
			}
			s, err := objects.Open(ctx, address, objects.Options{})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			for _, k := range []string{"a/1", "a/2", "b/1"} {
				w, err := s.NewWriter(ctx, k, "text/plain")
				require.NoError(t, err)
				_, err = io.WriteString(w, k)
				require.NoError(t, err)
				require.NoError(t, w.Close())
			}
			var keys []string
			require.NoError(t, s.List(ctx, "a/", func(i objects.Info) error { keys = append(keys, i.Key); return nil }))
			require.Equal(t, []string{"a/1", "a/2"}, keys)
			r, err := s.NewReader(ctx, "a/1")
			require.NoError(t, err)
			b, err := io.ReadAll(r)
			require.NoError(t, err)
			require.NoError(t, r.Close())
			require.Equal(t, "a/1", string(b))
			require.NoError(t, s.Delete(ctx, "a/1"))
			require.NoError(t, s.Delete(ctx, "a/1"))
			_, err = s.NewReader(ctx, "a/1")
			require.True(t, apperr.IsKind(err, apperr.KindNotFound))
			_, err = s.Verify(ctx, "a/2", 4, "")
			require.Contains(t, err.Error(), "size_mismatch")
			_, err = s.Verify(ctx, "a/2", 3, sum([]byte("x")))
			require.Contains(t, err.Error(), "checksum_mismatch")
		})
	}
}

func TestS3LinksBindSizeTypeAndChecksum(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "id")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "key")
	s, err := objects.Open(context.Background(), "s3://bucket?region=eu-west-1&endpoint=http://127.0.0.1:9&use_path_style=true", objects.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	put, err := s.PresignPut(context.Background(), "t/k", 5, "text/plain", sum([]byte("hello")), time.Minute)
	require.NoError(t, err)
	u, err := url.Parse(put.URL)
	require.NoError(t, err)
	require.Equal(t, "/bucket/t/k", u.Path)
	require.Equal(t, "content-length;content-type;host;x-amz-checksum-sha256", u.Query().Get("X-Amz-SignedHeaders"))
	require.Equal(t, "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=", put.Headers["X-Amz-Checksum-Sha256"])
	require.Equal(t, "60", u.Query().Get("X-Amz-Expires"))
	get, err := s.PresignGet(context.Background(), "t/k", objects.Download{Filename: "a.txt", Type: "text/plain"})
	require.NoError(t, err)
	u, err = url.Parse(get.URL)
	require.NoError(t, err)
	require.Equal(t, "attachment; filename=a.txt", u.Query().Get("response-content-disposition"))
}

func TestKeys(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "/a", "a/", "a//b", "..", "a/../b", "a/.b", "a b", "a\nb", "a/b.attrs", "ä", strings.Repeat("a", 513), `a\b`} {
		require.False(t, objects.ValidKey(bad), bad)
	}
	rapid.Check(t, func(t *rapid.T) {
		id := uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		require.True(t, objects.ValidKey(objects.Key(id, "content", id, "v1")))
		// What is a valid key never leaves the folder.
		if k := rapid.StringMatching(`[a-zA-Z0-9./_\\-]{1,20}`).Draw(t, "key"); objects.ValidKey(k) {
			require.True(t, filepath.IsLocal(k))
			require.Equal(t, k, filepath.Clean(k))
		}
	})
}
