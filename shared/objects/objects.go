// Package objects keeps files: uploads, exports, certificates. Where is a URL:
// s3://, gs://, azblob://, or file:// for one machine. Bytes never cross a
// sidecar: clients send and fetch them by signed URLs, which the provider
// serves or, for file://, the gateway (FileHandler).
//
// Keys are <tenant>/<kind>/<id>/<name>, see Key: everything of a tenant or of
// one resource is a prefix. An object is never changed, a new version is a new
// name. The name "parts-<name>/00001", … beside an object is reserved for the
// parts of an upload in pieces.
package objects

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/gabriel-vasile/mimetype"
	"github.com/google/uuid"
	"gocloud.dev/blob"
	_ "gocloud.dev/blob/azureblob" // azblob://
	"gocloud.dev/blob/fileblob"
	_ "gocloud.dev/blob/gcsblob" // gs://
	_ "gocloud.dev/blob/memblob" // mem://, for tests: it cannot sign
	_ "gocloud.dev/blob/s3blob"  // s3://
	"gocloud.dev/gcerrors"

	"lms/shared/apperr"
)

// Limits.
const (
	MaxTTL     = 12 * time.Hour // of a signed URL
	defaultTTL = 10 * time.Minute
	maxKey     = 512
)

// Options of a store. PublicURL and SigningKey are needed for file:// only.
type Options struct {
	// PublicURL is the gateway's address: signed URLs start with
	// PublicURL + "/objects/".
	PublicURL string
	// SigningKey gives the key of the signatures, at least 32 bytes. It is asked
	// when first needed and every few minutes.
	SigningKey func(ctx context.Context) ([]byte, error)
	Now        func() time.Time
}

// Store is one bucket. It is safe for concurrent use.
type Store struct {
	o      Options
	scheme string
	bucket *blob.Bucket
	root   *os.Root // file:// only
	s3     *s3Parts // s3:// only

	mu      sync.Mutex
	key     []byte
	keyRead time.Time
}

// Open opens the bucket of a URL. A folder that does not exist is made.
func Open(ctx context.Context, rawURL string, o Options) (*Store, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme == "" {
		return nil, errors.New("objects: the address of the object store is not a URL")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Store{o: o, scheme: u.Scheme}
	if u.Scheme != "file" {
		if s.bucket, err = blob.OpenBucket(ctx, rawURL); err != nil {
			return nil, fmt.Errorf("objects: %w", err)
		}
		var client *s3.Client
		if u.Scheme == "s3" && s.bucket.As(&client) {
			s.s3 = newS3Parts(client, u)
		}
		return s, nil
	}
	dir := filepath.FromSlash(u.Path)
	if u.Host == "." {
		dir = strings.TrimPrefix(dir, "/")
	}
	// Temporary files stay on the same disk, so that a rename is atomic. The
	// type of a file is part of its signed link, so no .attrs files are kept.
	s.bucket, err = fileblob.OpenBucket(dir, &fileblob.Options{CreateDir: true, DirFileMode: 0o700, NoTempDir: true, Metadata: fileblob.MetadataDontWrite})
	if err != nil {
		return nil, fmt.Errorf("objects: %w", err)
	}
	if s.root, err = os.OpenRoot(dir); err != nil {
		return nil, fmt.Errorf("objects: %w", err)
	}
	return s, nil
}

// Close ends all connections.
func (s *Store) Close() error {
	if s.root != nil {
		return errors.Join(s.bucket.Close(), s.root.Close())
	}
	return s.bucket.Close()
}

// Key is the key of an object of a resource.
func Key(tenant uuid.UUID, kind string, id uuid.UUID, name string) string {
	return tenant.String() + "/" + kind + "/" + id.String() + "/" + name
}

// segment is one part of a key: no dot in front, so no "..", and nothing that
// any provider would have to escape.
var segment = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]*$`)

// ValidKey says whether a key can be kept under every provider.
func ValidKey(key string) bool {
	if key == "" || len(key) > maxKey || strings.HasSuffix(key, ".attrs") {
		return false
	}
	for part := range strings.SplitSeq(key, "/") {
		if !segment.MatchString(part) {
			return false
		}
	}
	return true
}

func checkKey(key string) error {
	if !ValidKey(key) {
		return apperr.Malformed("bad_object_key", "This is no key of an object.")
	}
	return nil
}

// Info describes an object.
type Info struct {
	Key      string
	Size     int64
	Modified time.Time
}

// Stat describes one object; NotFound if there is none.
func (s *Store) Stat(ctx context.Context, key string) (Info, error) {
	if err := checkKey(key); err != nil {
		return Info{}, err
	}
	a, err := s.bucket.Attributes(ctx, key)
	if err != nil {
		return Info{}, failure(err)
	}
	return Info{Key: key, Size: a.Size, Modified: a.ModTime}, nil
}

// NewReader reads a whole object. The caller closes it.
func (s *Store) NewReader(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	r, err := s.bucket.NewReader(ctx, key, nil)
	if err != nil {
		return nil, failure(err)
	}
	return r, nil
}

// NewWriter writes an object, which appears when the writer is closed without
// an error. If ctx is cancelled before that, it never appears.
func (s *Store) NewWriter(ctx context.Context, key, contentType string) (io.WriteCloser, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	w, err := s.bucket.NewWriter(ctx, key, &blob.WriterOptions{ContentType: contentType})
	if err != nil {
		return nil, failure(err)
	}
	return w, nil
}

// Delete removes an object; one that is not there is no error.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if err := s.bucket.Delete(ctx, key); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return failure(err)
	}
	return nil
}

// List visits the objects whose keys start with prefix, in the order of their
// keys, until fn fails.
func (s *Store) List(ctx context.Context, prefix string, fn func(Info) error) error {
	it := s.bucket.List(&blob.ListOptions{Prefix: prefix})
	for {
		o, err := it.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return failure(err)
		}
		if !ValidKey(o.Key) { // a file still being written
			continue
		}
		if err := fn(Info{Key: o.Key, Size: o.Size, Modified: o.ModTime}); err != nil {
			return err
		}
	}
}

// Verify reads an uploaded object and checks that it has the size and the
// SHA-256 (hex; empty for unknown) that were announced. It returns the media
// type that the bytes themselves show, never what the client claimed. A
// difference is Invalid, with the code `size_mismatch` or `checksum_mismatch`.
func (s *Store) Verify(ctx context.Context, key string, size int64, sha256Hex string) (sniffed string, err error) {
	info, err := s.Stat(ctx, key)
	if err != nil {
		return "", err
	}
	if info.Size != size {
		return "", apperr.Invalid(sizeMismatch(size, info.Size))
	}
	r, err := s.NewReader(ctx, key)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	sum := sha256.New()
	head := &headWriter{}
	if _, err := io.Copy(io.MultiWriter(sum, head), r); err != nil {
		return "", failure(err)
	}
	if !sameSum(sum, sha256Hex) {
		return "", apperr.Invalid(checksumMismatch)
	}
	kind, _, err := mime.ParseMediaType(mimetype.Detect(head.b).String())
	if err != nil {
		return "", apperr.Internal(err)
	}
	return kind, nil
}

// headWriter keeps the first 64 KiB: enough for every signature, also those of
// office files.
type headWriter struct{ b []byte }

func (h *headWriter) Write(p []byte) (int, error) {
	h.b = append(h.b, p[:min(len(p), 64<<10-len(h.b))]...)
	return len(p), nil
}

func sameSum(h hash.Hash, want string) bool {
	return want == "" || strings.EqualFold(hex.EncodeToString(h.Sum(nil)), want)
}

func sizeMismatch(want, got int64) apperr.Field {
	return apperr.Field{Path: "size", Code: "size_mismatch", Message: fmt.Sprintf("announced %d bytes, got %d", want, got)}
}

var checksumMismatch = apperr.Field{Path: "sha256", Code: "checksum_mismatch", Message: "the bytes are not those that were announced"}

func failure(err error) error {
	switch gcerrors.Code(err) {
	case gcerrors.NotFound:
		return apperr.NotFound("object").With(err)
	case gcerrors.Canceled:
		return context.Canceled
	case gcerrors.InvalidArgument, gcerrors.Unimplemented:
		return apperr.Internal(fmt.Errorf("objects: %w", err))
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	return apperr.Unavailable("objects_unavailable", "The file store cannot be reached. Try again.").With(err)
}
