package objects

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/storage"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob"

	"lms/shared/apperr"
)

// Signed is a request that a client may make, exactly so, until ExpiresAt.
type Signed struct {
	Method    string            `json:"method"`
	URL       string            `json:"url"`
	Headers   map[string]string `json:"headers,omitempty"` // to be sent along
	ExpiresAt time.Time         `json:"expires_at"`
}

// Download says how a client gets an object.
type Download struct {
	Filename string // for Content-Disposition
	Type     string // application/octet-stream if empty
	// Inline shows the object in the browser, if its type can do no harm there;
	// else it is always saved.
	Inline bool
	TTL    time.Duration // 10 minutes if zero, at most 12 hours
}

// PresignPut signs an upload of exactly size bytes of a type with a SHA-256
// (hex). The file:// handler checks all of it; S3 binds size, type and
// checksum, GCS size and type, Azure nothing: so every upload is Verified
// before it is used.
func (s *Store) PresignPut(ctx context.Context, key string, size int64, contentType, sha256Hex string, ttl time.Duration) (Signed, error) {
	if err := checkKey(key); err != nil {
		return Signed{}, err
	}
	sum, err := hex.DecodeString(sha256Hex)
	if err != nil || len(sum) != 0 && len(sum) != sha256.Size {
		return Signed{}, apperr.Invalid(apperr.Field{Path: "sha256", Code: "invalid", Message: "64 hexadecimal digits"})
	}
	if size < 0 {
		return Signed{}, apperr.Invalid(apperr.Field{Path: "size", Code: "invalid", Message: "not negative"})
	}
	ttl, until := s.life(ttl)
	out := Signed{Method: http.MethodPut, ExpiresAt: until, Headers: map[string]string{"Content-Type": contentType}}
	if s.root != nil {
		q := url.Values{"size": {strconv.FormatInt(size, 10)}, "type": {contentType}}
		if sha256Hex != "" {
			q.Set("sha256", strings.ToLower(sha256Hex))
		}
		out.URL, err = s.signOwn(ctx, http.MethodPut, key, q, until)
		return out, err
	}
	o := &blob.SignedURLOptions{Method: http.MethodPut, Expiry: ttl}
	switch s.scheme {
	case "s3":
		if len(sum) > 0 {
			out.Headers["X-Amz-Checksum-Sha256"] = base64.StdEncoding.EncodeToString(sum)
		}
	case "gs":
		o.ContentType = contentType
		out.Headers["X-Goog-Content-Length-Range"] = fmt.Sprintf("%d,%d", size, size)
	case "azblob":
		out.Headers["X-Ms-Blob-Type"] = "BlockBlob"
	}
	o.BeforeSign = func(as func(any) bool) error {
		var put *s3.PutObjectInput
		var gs *storage.SignedURLOptions
		switch {
		case as(&put):
			put.ContentLength, put.ContentType = aws.Int64(size), aws.String(contentType)
			if len(sum) > 0 {
				put.ChecksumSHA256 = aws.String(out.Headers["X-Amz-Checksum-Sha256"])
			}
		case as(&gs):
			gs.Scheme = storage.SigningSchemeV4
			gs.Headers = []string{"x-goog-content-length-range:" + out.Headers["X-Goog-Content-Length-Range"]}
		}
		return nil
	}
	out.URL, err = s.signByProvider(ctx, key, o)
	return out, err
}

// PresignGet signs a download. It does not look whether the object is there.
func (s *Store) PresignGet(ctx context.Context, key string, d Download) (Signed, error) {
	if err := checkKey(key); err != nil {
		return Signed{}, err
	}
	if d.Type == "" {
		d.Type = "application/octet-stream"
	}
	disposition := d.disposition()
	ttl, until := s.life(d.TTL)
	out := Signed{Method: http.MethodGet, ExpiresAt: until}
	var err error
	if s.root != nil {
		out.URL, err = s.signOwn(ctx, http.MethodGet, key, url.Values{"type": {d.Type}, "disposition": {disposition}}, until)
		return out, err
	}
	out.URL, err = s.signByProvider(ctx, key, &blob.SignedURLOptions{Method: http.MethodGet, Expiry: ttl, BeforeSign: func(as func(any) bool) error {
		var get *s3.GetObjectInput
		var gs *storage.SignedURLOptions
		switch {
		case as(&get):
			get.ResponseContentDisposition, get.ResponseContentType = aws.String(disposition), aws.String(d.Type)
		case as(&gs):
			gs.Scheme = storage.SigningSchemeV4
			gs.QueryParameters = url.Values{"response-content-disposition": {disposition}, "response-content-type": {d.Type}}
		}
		return nil
	}})
	return out, err
}

func (s *Store) life(ttl time.Duration) (time.Duration, time.Time) {
	if ttl <= 0 {
		ttl = defaultTTL
	}
	ttl = min(ttl, MaxTTL)
	return ttl, s.o.Now().Add(ttl).UTC().Truncate(time.Second)
}

func (s *Store) signByProvider(ctx context.Context, key string, o *blob.SignedURLOptions) (string, error) {
	u, err := s.bucket.SignedURL(ctx, key, o)
	if err != nil {
		return "", failure(err)
	}
	return u, nil
}

// disposition is attachment for whatever a browser might execute.
func (d Download) disposition() string {
	how := "attachment"
	if d.Inline && harmless(d.Type) {
		how = "inline"
	}
	if d.Filename == "" {
		return how
	}
	// FormatMediaType writes RFC 2231 for names beyond ASCII, and nothing for a
	// name it cannot write.
	if v := mime.FormatMediaType(how, map[string]string{"filename": d.Filename}); v != "" {
		return v
	}
	return how
}

func harmless(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	switch kind {
	case "application/pdf", "text/plain", "image/png", "image/jpeg", "image/gif", "image/webp":
		return true
	}
	return strings.HasPrefix(kind, "video/") || strings.HasPrefix(kind, "audio/")
}

// path is where FileHandler is mounted.
const path = "/objects/"

// keyAge is how long a signing key is used before it is read again.
const keyAge = 5 * time.Minute

func (s *Store) signOwn(ctx context.Context, method, key string, q url.Values, until time.Time) (string, error) {
	q.Set("expires", strconv.FormatInt(until.Unix(), 10))
	sig, err := s.signature(ctx, method, key, q)
	if err != nil {
		return "", err
	}
	q.Set("signature", sig)
	return strings.TrimSuffix(s.o.PublicURL, "/") + path + key + "?" + q.Encode(), nil
}

// signature covers method, key and all parameters but itself. No key and no
// method contains a line feed, and Encode sorts.
func (s *Store) signature(ctx context.Context, method, key string, q url.Values) (string, error) {
	secret, err := s.signingKey(ctx)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(method + "\n" + key + "\n" + q.Encode()))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), nil
}

func (s *Store) signingKey(ctx context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key != nil && s.o.Now().Sub(s.keyRead) < keyAge {
		return s.key, nil
	}
	if s.o.SigningKey == nil {
		return nil, apperr.Internal(errors.New("objects: no signing key"))
	}
	key, err := s.o.SigningKey(ctx)
	switch {
	case err == nil && len(key) < 32:
		return nil, apperr.Internal(errors.New("objects: the signing key has less than 32 bytes"))
	case err != nil && s.key == nil:
		return nil, err
	case err == nil:
		s.key = key
	}
	s.keyRead = s.o.Now()
	return s.key, nil
}
