package objects

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"lms/shared/apperr"
	"lms/shared/web"
)

// incoming is the folder of files that are still being received. No key starts
// with a dot.
const incoming = ".incoming"

// minRate is how fast a client must at least send or fetch, in bytes per
// second: a slower one holds a connection for no good.
const minRate = 32 << 10

// FileHandler serves the signed URLs of a file:// store under /objects/: PUT
// once announced, GET and HEAD with ranges. It streams: memory does not grow
// with the file. For other stores it answers 404.
func FileHandler(s *Store) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.serve(w, r); err != nil {
			web.WriteError(w, r, web.RequestID(r.Context()), err)
		}
	})
}

func (s *Store) serve(w http.ResponseWriter, r *http.Request) error {
	key, ok := strings.CutPrefix(r.URL.Path, path)
	if s.root == nil || !ok || !ValidKey(key) {
		return apperr.NotFound("object")
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return apperr.Malformed("bad_query", "The query string cannot be read.").With(err)
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if method != http.MethodGet && method != http.MethodPut {
		w.Header().Set("Allow", "GET, HEAD, PUT")
		return apperr.New(apperr.KindForbidden, "link_invalid", "The link is not for this method.")
	}
	if err := s.checkSignature(r, method, key, q); err != nil {
		return err
	}
	if method == http.MethodPut {
		return s.put(w, r, key, q)
	}
	return s.get(w, r, key, q)
}

func (s *Store) checkSignature(r *http.Request, method, key string, q url.Values) error {
	given := q.Get("signature")
	q.Del("signature")
	want, err := s.signature(r.Context(), method, key, q)
	if err != nil {
		return err
	}
	if !hmac.Equal([]byte(given), []byte(want)) {
		return apperr.New(apperr.KindForbidden, "link_invalid", "The link is not valid for this request.")
	}
	expires, err := strconv.ParseInt(q.Get("expires"), 10, 64)
	if err != nil || !s.o.Now().Before(time.Unix(expires, 0)) {
		return apperr.New(apperr.KindForbidden, "link_expired", "The link has expired. Ask for a new one.")
	}
	return nil
}

func (s *Store) put(w http.ResponseWriter, r *http.Request, key string, q url.Values) error {
	size, err := strconv.ParseInt(q.Get("size"), 10, 64)
	if err != nil {
		return apperr.Internal(fmt.Errorf("objects: signed size: %w", err))
	}
	if r.ContentLength < 0 {
		return apperr.New(apperr.KindMalformed, "length_required", "Send a Content-Length.")
	}
	if r.ContentLength != size {
		return apperr.Invalid(sizeMismatch(size, r.ContentLength))
	}
	if !sameType(r.Header.Get("Content-Type"), q.Get("type")) {
		return apperr.New(apperr.KindUnsupportedMedia, "content_type_mismatch", "Send the Content-Type that was announced, "+q.Get("type")+".")
	}
	if err := http.NewResponseController(w).SetReadDeadline(deadline(size)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return apperr.Internal(err)
	}
	if err := s.receive(key, r.Body, size, q.Get("sha256")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// deadline leaves a client time for size bytes. It is about the connection, so
// the real clock counts.
func deadline(size int64) time.Time {
	return time.Now().Add(time.Minute + time.Duration(size/minRate)*time.Second)
}

func sameType(got, want string) bool {
	g, _, err1 := mime.ParseMediaType(got)
	w, _, err2 := mime.ParseMediaType(want)
	return err1 == nil && err2 == nil && g == w
}

// receive writes a file beside the others, checks it, and only then gives it
// its name: a file under a key is whole, and survives a power cut.
func (s *Store) receive(key string, body io.Reader, size int64, sum string) (err error) {
	temp := incoming + "/" + rand.Text()
	if err := s.root.MkdirAll(incoming, 0o700); err != nil {
		return failure(err)
	}
	f, err := s.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return failure(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreMissing(s.root.Remove(temp)))
		}
	}()
	if err := s.fill(f, body, size, sum); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return failure(err)
	}
	return s.name(temp, key)
}

func (s *Store) fill(f *os.File, body io.Reader, size int64, sum string) error {
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), io.LimitReader(body, size+1))
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF) || n < size && err == nil:
		return apperr.Malformed("upload_incomplete", "The upload broke off. Send it again.").With(err)
	case err != nil:
		return apperr.Unavailable("upload_failed", "The upload could not be stored. Send it again.").With(err)
	case n != size:
		return apperr.Invalid(sizeMismatch(size, n))
	case !sameSum(h, sum):
		return apperr.Invalid(checksumMismatch)
	}
	if err := f.Sync(); err != nil {
		return failure(err)
	}
	return nil
}

// syncDir makes the new name durable.
func (s *Store) syncDir(dir string) error {
	d, err := s.root.Open(dir)
	if err != nil {
		return failure(err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return failure(err)
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (s *Store) get(w http.ResponseWriter, r *http.Request, key string, q url.Values) (err error) {
	f, err := s.root.Open(key)
	if errors.Is(err, fs.ErrNotExist) {
		return apperr.NotFound("object")
	}
	if err != nil {
		return failure(err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return failure(err)
	}
	if !info.Mode().IsRegular() {
		return apperr.NotFound("object")
	}
	if err := http.NewResponseController(w).SetWriteDeadline(deadline(info.Size())); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return apperr.Internal(err)
	}
	h := w.Header()
	h.Set("Content-Type", q.Get("type"))
	h.Set("Content-Disposition", q.Get("disposition"))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "private, no-transform")
	h.Set("ETag", fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()))
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	if q.Get("type") != "application/pdf" { // a sandbox would keep browsers from showing it
		h.Set("Content-Security-Policy", "default-src 'none'; media-src 'self'; img-src 'self'; style-src 'unsafe-inline'; sandbox")
	}
	http.ServeContent(w, r, "", info.ModTime(), f)
	return nil
}
