package objects_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/apperr"
	"lms/shared/objects"
	"lms/shared/testkit/s3test"
)

// TestEveryStoreDoesTheSame runs one suite against a folder and against a real S3
// server.
func TestEveryStoreDoesTheSame(t *testing.T) { //nolint:paralleltest // S3's credentials are in the environment
	s3test.Env(t)
	server := s3test.Start(t)
	s3, err := objects.Open(t.Context(), server.Bucket(t), objects.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s3.Close()) })
	prefixed, err := objects.Open(t.Context(), server.Bucket(t)+"&prefix=lms/", objects.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, prefixed.Close()) })
	for name, store := range map[string]*objects.Store{"files": files(t).Store, "s3": s3, "s3 below a prefix": prefixed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			suite := suite{store}
			t.Run("an upload arrives as announced", suite.single)
			t.Run("other bytes are refused", suite.refused)
			t.Run("what is verified is out of reach", suite.moved)
			t.Run("an upload in pieces", suite.pieces)
			t.Run("an upload in pieces that is given up", suite.givenUp)
			t.Run("reading here and there", suite.random)
		})
	}
}

type suite struct{ *objects.Store }

func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = r.Read(b) // never fails
	return b
}

func newKey(name string) string { return objects.Key(uuid.New(), "contents", uuid.New(), name) }

func (s suite) put(t *testing.T, key string, body []byte, kind string) objects.Signed {
	t.Helper()
	put, err := s.PresignPut(t.Context(), key, int64(len(body)), kind, sum(body), time.Minute)
	require.NoError(t, err)
	resp, text := send(t, put.Method, put.URL, body, put.Headers)
	require.Less(t, resp.StatusCode, 300, text)
	return put
}

func (s suite) read(t *testing.T, key string) []byte {
	t.Helper()
	r, err := s.NewReader(t.Context(), key)
	require.NoError(t, err)
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	return b
}

func (s suite) single(t *testing.T) {
	body := append([]byte("%PDF-1.7\n"), noise(100_000)...)
	key := newKey("u1")
	s.put(t, key, body, "application/pdf")
	kind, err := s.Verify(t.Context(), key, int64(len(body)), sum(body))
	require.NoError(t, err)
	require.Equal(t, "application/pdf", kind)
	get, err := s.PresignGet(t.Context(), key, objects.Download{Filename: "Bài 1.pdf", Type: "application/pdf", TTL: time.Minute})
	require.NoError(t, err)
	resp, text := send(t, http.MethodGet, get.URL, nil, map[string]string{"Range": "bytes=100-199"})
	require.Equal(t, http.StatusPartialContent, resp.StatusCode)
	require.Equal(t, string(body[100:200]), text)
	require.Equal(t, `attachment; filename*=utf-8''B%C3%A0i%201.pdf`, resp.Header.Get("Content-Disposition"))
	require.Equal(t, "application/pdf", resp.Header.Get("Content-Type"))
	resp, _ = send(t, http.MethodPut, get.URL, body, nil)
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
	resp, _ = send(t, http.MethodGet, get.URL+"0", nil, nil)
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
}

func (s suite) refused(t *testing.T) {
	body := noise(1000)
	key := newKey("u1")
	put, err := s.PresignPut(t.Context(), key, 1000, "image/png", sum(body), time.Minute)
	require.NoError(t, err)
	other := bytes.Clone(body)
	other[7]++
	for name, sent := range map[string][]byte{"other bytes": other, "fewer": body[:999], "more": append(other, 0)} {
		resp, _ := send(t, put.Method, put.URL, sent, put.Headers)
		require.GreaterOrEqual(t, resp.StatusCode, 400, name)
	}
	_, err = s.Stat(t.Context(), key)
	require.True(t, apperr.IsKind(err, apperr.KindNotFound), "nothing is left behind")
}

func (s suite) moved(t *testing.T) {
	body := noise(1000)
	from, to := newKey("u1"), newKey("v1")
	put := s.put(t, from, body, "image/png")
	for range 2 {
		require.NoError(t, s.Move(t.Context(), from, to))
	}
	_, err := s.Stat(t.Context(), from)
	require.True(t, apperr.IsKind(err, apperr.KindNotFound))
	resp, _ := send(t, put.Method, put.URL, body, put.Headers)
	require.Less(t, resp.StatusCode, 300, "the address is still good, for its own key")
	require.NoError(t, s.Move(t.Context(), from, to))
	require.Equal(t, body, s.read(t, to))
	require.True(t, apperr.IsKind(s.Move(t.Context(), newKey("none"), newKey("none")), apperr.KindNotFound))
}

// sendParts sends the given parts of a body that is cut into MinPart bytes.
func (s suite) sendParts(t *testing.T, key, token string, body []byte, numbers ...int) {
	t.Helper()
	for _, n := range numbers {
		part := body[(n-1)*objects.MinPart : min(n*objects.MinPart, len(body))]
		put, err := s.PresignPart(t.Context(), key, token, n, int64(len(part)), time.Minute)
		require.NoError(t, err)
		resp, text := send(t, put.Method, put.URL, part, put.Headers)
		require.Less(t, resp.StatusCode, 300, text)
	}
}

func (s suite) pieces(t *testing.T) {
	ctx := t.Context()
	body := noise(2*objects.MinPart + 12_345)
	key := newKey("v1")
	token, err := s.StartParts(ctx, key, "video/mp4")
	require.NoError(t, err)
	parts, err := s.ListParts(ctx, key, token)
	require.NoError(t, err)
	require.Empty(t, parts)
	s.sendParts(t, key, token, body, 3, 1)

	put, err := s.PresignPart(ctx, key, token, 2, objects.MinPart, time.Minute)
	require.NoError(t, err)
	resp, _ := send(t, put.Method, put.URL, body[:objects.MinPart-1], put.Headers)
	require.GreaterOrEqual(t, resp.StatusCode, 400, "a part of another size")
	err = s.JoinParts(ctx, key, token, 3, "video/mp4")
	require.Equal(t, "upload_incomplete", apperr.Code(err))
	require.Equal(t, []int{2}, apperr.From(err).Details["missing_parts"])

	parts, err = s.ListParts(ctx, key, token)
	require.NoError(t, err)
	require.Equal(t, []objects.Part{{Number: 1, Size: objects.MinPart}, {Number: 3, Size: 12_345}}, parts)
	s.sendParts(t, key, token, body, 2, 1)
	for range 2 { // who was not answered asks again
		require.NoError(t, s.JoinParts(ctx, key, token, 3, "video/mp4"))
	}
	_, err = s.Verify(ctx, key, int64(len(body)), sum(body))
	require.NoError(t, err)
	parts, err = s.ListParts(ctx, key, token)
	if err != nil {
		require.True(t, apperr.IsKind(err, apperr.KindNotFound))
	}
	require.Empty(t, parts)
}

func (s suite) givenUp(t *testing.T) {
	ctx := t.Context()
	body := noise(objects.MinPart + 10)
	key := newKey("v1")
	token, err := s.StartParts(ctx, key, "video/mp4")
	require.NoError(t, err)
	s.sendParts(t, key, token, body, 1, 2)
	for range 2 {
		require.NoError(t, s.AbortParts(ctx, key, token))
	}
	var left []string
	require.NoError(t, s.List(ctx, key[:37], func(o objects.Info) error { left = append(left, o.Key); return nil }))
	require.Empty(t, left)
	require.Error(t, s.JoinParts(ctx, key, token, 2, "video/mp4"))
	_, err = s.PresignPart(ctx, key, token, 0, 1, time.Minute)
	require.True(t, apperr.IsKind(err, apperr.KindInvalid))
}

func (s suite) random(t *testing.T) {
	body := noise(700_000)
	key := newKey("v1")
	s.put(t, key, body, "application/zip")
	ctx, cancel := context.WithCancel(t.Context())
	r, err := s.Random(ctx, key)
	require.NoError(t, err)
	require.EqualValues(t, len(body), r.Size())
	all, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	require.NoError(t, err)
	require.Equal(t, body, all)
	for _, at := range []int64{0, 131_000, 699_000, 5} {
		part := make([]byte, 1000)
		n, err := r.ReadAt(part, at)
		if n < len(part) {
			require.ErrorIs(t, err, io.EOF)
		}
		require.Equal(t, body[at:at+int64(n)], part[:n])
	}
	cancel()
	_, err = r.ReadAt(make([]byte, 1), 0)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, r.Close())
}
