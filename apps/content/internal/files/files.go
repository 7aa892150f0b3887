// Package files is the library's way to the object store and into files.
package files

import (
	"context"
	"errors"
	"strings"
	"time"

	"lms/apps/content/internal/library"
	"lms/apps/content/internal/media"
	"lms/shared/apperr"
	"lms/shared/objects"
)

// lookLimit is how long reading what a file tells may take; what was not told by
// then is not known.
const lookLimit = 20 * time.Second

// Files implements library.Files on an object store; a nil store answers 503.
type Files struct{ Store *objects.Store }

var _ library.Files = Files{}

func link(s objects.Signed, err error) (library.Link, error) {
	return library.Link{Method: s.Method, URL: s.URL, Headers: s.Headers, ExpiresAt: s.ExpiresAt}, err
}

func (f Files) store() (*objects.Store, error) {
	if f.Store == nil {
		return nil, apperr.Unavailable("objects_unavailable", "Files cannot be kept at the moment.")
	}
	return f.Store, nil
}

// PresignPut implements library.Files.
func (f Files) PresignPut(ctx context.Context, key string, size int64, mediaType, sha256 string, life time.Duration) (library.Link, error) {
	s, err := f.store()
	if err != nil {
		return library.Link{}, err
	}
	return link(s.PresignPut(ctx, key, size, mediaType, sha256, life))
}

// PresignGet implements library.Files.
func (f Files) PresignGet(ctx context.Context, key, filename, mediaType string, inline bool, life time.Duration) (library.Link, error) {
	s, err := f.store()
	if err != nil {
		return library.Link{}, err
	}
	return link(s.PresignGet(ctx, key, objects.Download{Filename: filename, Type: mediaType, Inline: inline, TTL: life}))
}

// StartParts implements library.Files.
func (f Files) StartParts(ctx context.Context, key, mediaType string) (string, error) {
	s, err := f.store()
	if err != nil {
		return "", err
	}
	return s.StartParts(ctx, key, mediaType)
}

// PresignPart implements library.Files.
func (f Files) PresignPart(ctx context.Context, key, token string, number int, size int64, life time.Duration) (library.Link, error) {
	s, err := f.store()
	if err != nil {
		return library.Link{}, err
	}
	return link(s.PresignPart(ctx, key, token, number, size, life))
}

// ListParts implements library.Files.
func (f Files) ListParts(ctx context.Context, key, token string) (map[int]int64, error) {
	s, err := f.store()
	if err != nil {
		return nil, err
	}
	parts, err := s.ListParts(ctx, key, token)
	out := make(map[int]int64, len(parts))
	for _, p := range parts {
		out[p.Number] = p.Size
	}
	return out, err
}

// JoinParts implements library.Files.
func (f Files) JoinParts(ctx context.Context, key, token string, count int, mediaType string) error {
	s, err := f.store()
	if err != nil {
		return err
	}
	return s.JoinParts(ctx, key, token, count, mediaType)
}

// AbortParts implements library.Files.
func (f Files) AbortParts(ctx context.Context, key, token string) error {
	s, err := f.store()
	if err != nil {
		return err
	}
	return s.AbortParts(ctx, key, token)
}

// Has implements library.Files.
func (f Files) Has(ctx context.Context, key string) (bool, error) {
	s, err := f.store()
	if err != nil {
		return false, err
	}
	_, err = s.Stat(ctx, key)
	if apperr.IsKind(err, apperr.KindNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Move implements library.Files.
func (f Files) Move(ctx context.Context, from, to string) error {
	s, err := f.store()
	if err != nil {
		return err
	}
	return s.Move(ctx, from, to)
}

// Delete implements library.Files.
func (f Files) Delete(ctx context.Context, key string) error {
	s, err := f.store()
	if err != nil {
		return err
	}
	return s.Delete(ctx, key)
}

// Verify implements library.Files.
func (f Files) Verify(ctx context.Context, key string, size int64, sha256 string) (string, error) {
	s, err := f.store()
	if err != nil {
		return "", err
	}
	return s.Verify(ctx, key, size, sha256)
}

// Archive implements library.Files.
func (f Files) Archive(ctx context.Context, key string) (mediaType string, err error) {
	err = f.look(ctx, key, func(r *objects.Random) error {
		a, err := media.OpenArchive(r, r.Size())
		if errors.Is(err, media.ErrUnsafe) {
			return library.ErrUnsafeArchive
		}
		if err == nil {
			mediaType = a.MediaType
		}
		return err
	})
	return mediaType, err
}

// Look implements library.Files.
func (f Files) Look(ctx context.Context, key, mediaType string) (library.Found, error) {
	out := library.Found{MediaType: mediaType}
	err := f.look(ctx, key, func(r *objects.Random) error {
		out.Facts = library.Facts(media.Probe(r, r.Size(), mediaType))
		out.Text = media.Text(r, r.Size(), mediaType)
		return nil
	})
	return out, err
}

func (f Files) look(ctx context.Context, key string, fn func(*objects.Random) error) error {
	s, err := f.store()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	r, err := s.Random(ctx, key)
	if err != nil {
		return err
	}
	return errors.Join(fn(r), r.Close())
}

// Each implements library.Files. Keys are <tenant>/<kind>/<id>/<name>.
func (f Files) Each(ctx context.Context, kind string, before time.Time, fn func(key string) error) error {
	s, err := f.store()
	if err != nil {
		return err
	}
	return s.List(ctx, "", func(o objects.Info) error {
		parts := strings.SplitN(o.Key, "/", 3)
		if len(parts) < 3 || parts[1] != kind || !o.Modified.Before(before) {
			return nil
		}
		return fn(o.Key)
	})
}

// SweepUnfinished implements library.Files.
func (f Files) SweepUnfinished(ctx context.Context, before time.Time) error {
	s, err := f.store()
	if err != nil {
		return err
	}
	return s.SweepUnfinished(ctx, before)
}
