package objects

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	gopath "path"
	"strconv"
	"strings"
	"time"

	"lms/shared/apperr"
)

// MinPart is the least size of every part but the last, as S3 wants it; MaxParts
// is how many parts an object may have.
const (
	MinPart  = 5 << 20
	MaxParts = 10_000
)

// Part is a piece of an upload that is there.
type Part struct {
	Number int // from 1
	Size   int64
}

// S3 keeps parts itself, under the token that StartParts gives. Elsewhere a part
// is an object beside the one that they become.

func partPrefix(key string) string { return gopath.Dir(key) + "/parts-" + gopath.Base(key) + "/" }

func partKey(key string, number int) string { return partPrefix(key) + fmt.Sprintf("%05d", number) }

func checkParts(key string, number int) error {
	if number < 1 || number > MaxParts {
		return apperr.Invalid(apperr.Field{Path: "part", Code: "range", Message: "between 1 and 10,000"})
	}
	return checkKey(partKey(key, number))
}

// StartParts begins an upload in pieces of the object that key will be. The token
// belongs to all later calls; it is "" where the provider has none.
func (s *Store) StartParts(ctx context.Context, key, contentType string) (token string, err error) {
	if err := checkParts(key, 1); err != nil {
		return "", err
	}
	if s.s3 != nil {
		return s.s3.start(ctx, key, contentType)
	}
	return "", nil
}

// PresignPart signs the upload of one part of exactly size bytes.
func (s *Store) PresignPart(ctx context.Context, key, token string, number int, size int64, ttl time.Duration) (Signed, error) {
	if err := checkParts(key, number); err != nil {
		return Signed{}, err
	}
	if s.s3 == nil {
		return s.PresignPut(ctx, partKey(key, number), size, "application/octet-stream", "", ttl)
	}
	ttl, until := s.life(ttl)
	return s.s3.presignPart(ctx, key, token, number, size, ttl, until)
}

// ListParts are the parts that are there, by number. A token that the provider
// does not know any more is NotFound.
func (s *Store) ListParts(ctx context.Context, key, token string) ([]Part, error) {
	if s.s3 != nil {
		return s.s3.list(ctx, key, token)
	}
	parts := []Part{}
	prefix := partPrefix(key)
	err := s.List(ctx, prefix, func(o Info) error {
		n, err := strconv.Atoi(strings.TrimPrefix(o.Key, prefix))
		if err == nil && n >= 1 && n <= MaxParts {
			parts = append(parts, Part{Number: n, Size: o.Size})
		}
		return nil
	})
	return parts, err
}

// JoinParts makes the object of its parts 1 to count, in constant memory, and
// removes them. It may be repeated: if the object is there already, what is left
// of the parts goes. A part that is not there is a conflict, `upload_incomplete`.
func (s *Store) JoinParts(ctx context.Context, key, token string, count int, contentType string) error {
	if err := checkParts(key, count); err != nil {
		return err
	}
	switch _, err := s.Stat(ctx, key); {
	case err == nil:
		return s.AbortParts(ctx, key, token)
	case !apperr.IsKind(err, apperr.KindNotFound):
		return err
	}
	parts, err := s.ListParts(ctx, key, token)
	if err != nil {
		return err
	}
	if missing := gaps(parts, count); len(missing) > 0 {
		return Incomplete().Detail("missing_parts", missing[:min(len(missing), 100)])
	}
	switch {
	case s.s3 != nil:
		return s.s3.join(ctx, key, token, count)
	case s.root != nil:
		err = s.joinFiles(key, count)
	default:
		err = s.copyParts(ctx, key, count, contentType)
	}
	if err != nil {
		return err
	}
	return s.AbortParts(ctx, key, token)
}

// Incomplete says that an upload has not arrived as a whole.
func Incomplete() *apperr.Error {
	return apperr.Conflict("upload_incomplete", "The upload has not arrived as a whole. Send what is missing, then complete it.")
}

func gaps(parts []Part, count int) []int {
	there := make(map[int]bool, len(parts))
	for _, p := range parts {
		there[p.Number] = true
	}
	missing := []int{}
	for n := 1; n <= count; n++ {
		if !there[n] {
			missing = append(missing, n)
		}
	}
	return missing
}

// joinFiles appends the parts to a file beside the others, by the kernel where it
// can, and only then gives it its name.
func (s *Store) joinFiles(key string, count int) (err error) {
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
	for n := 1; n <= count && err == nil; n++ {
		err = s.appendFile(f, partKey(key, n))
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return failure(err)
	}
	return s.name(temp, key)
}

func (s *Store) appendFile(to io.Writer, key string) error {
	part, err := s.root.Open(key)
	if err != nil {
		return failure(err)
	}
	if _, err := io.Copy(to, part); err != nil {
		return errors.Join(failure(err), part.Close())
	}
	return failureOf(part.Close())
}

// name gives a finished file its key, durably.
func (s *Store) name(temp, key string) error {
	dir := gopath.Dir(key)
	if err := s.root.MkdirAll(dir, 0o700); err != nil {
		return failure(err)
	}
	if err := s.root.Rename(temp, key); err != nil {
		return failure(err)
	}
	return s.syncDir(dir)
}

func failureOf(err error) error {
	if err == nil {
		return nil
	}
	return failure(err)
}

func (s *Store) copyParts(ctx context.Context, key string, count int, contentType string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // a writer that is not closed writes nothing
	w, err := s.NewWriter(ctx, key, contentType)
	if err != nil {
		return err
	}
	for n := 1; n <= count; n++ {
		if err := s.copyPart(ctx, w, partKey(key, n)); err != nil {
			cancel()
			_ = w.Close() // it was just told to give up
			return err
		}
	}
	return failureOf(w.Close())
}

func (s *Store) copyPart(ctx context.Context, to io.Writer, key string) error {
	r, err := s.NewReader(ctx, key)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, r)
	return failureOf(errors.Join(err, r.Close()))
}

// AbortParts removes the parts; none is no error.
func (s *Store) AbortParts(ctx context.Context, key, token string) error {
	if s.s3 != nil {
		return s.s3.abort(ctx, key, token)
	}
	var keys []string
	err := s.List(ctx, partPrefix(key), func(o Info) error {
		keys = append(keys, o.Key)
		return nil
	})
	for _, k := range keys {
		err = errors.Join(err, s.Delete(ctx, k))
	}
	if s.root != nil && err == nil && len(keys) > 0 {
		// The empty folder is of no use; one in use again is not empty.
		_ = s.root.Remove(strings.TrimSuffix(partPrefix(key), "/"))
	}
	return err
}

// Move gives an object another key, out of reach of the address that it was
// uploaded by: what is verified then cannot be replaced. It may be repeated: an
// object that is at its new key already stays there.
func (s *Store) Move(ctx context.Context, from, to string) error {
	if err := errors.Join(checkKey(from), checkKey(to)); err != nil {
		return err
	}
	switch _, err := s.Stat(ctx, to); {
	case err == nil:
		return s.Delete(ctx, from)
	case !apperr.IsKind(err, apperr.KindNotFound):
		return err
	}
	if s.root != nil {
		if _, err := s.root.Stat(from); errors.Is(err, fs.ErrNotExist) {
			return apperr.NotFound("object")
		}
		return s.name(from, to)
	}
	if err := s.bucket.Copy(ctx, to, from, nil); err != nil {
		return failure(err)
	}
	return s.Delete(ctx, from)
}

// SweepUnfinished removes what uploads left behind that were begun before the given
// time and never came to an end: files that a process died under, and at S3 uploads
// in pieces.
func (s *Store) SweepUnfinished(ctx context.Context, before time.Time) error {
	if s.s3 != nil {
		return s.s3.sweep(ctx, before)
	}
	if s.root == nil {
		return nil
	}
	entries, err := fs.ReadDir(s.root.FS(), incoming)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return failure(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.ModTime().Before(before) {
			continue
		}
		if err = errors.Join(err, ignoreMissing(s.root.Remove(incoming+"/"+e.Name()))); err != nil {
			return failure(err)
		}
	}
	return nil
}
