package app

import (
	"context"
	"errors"
	"io"
	"time"

	"lms/apps/user/internal/identity"
	"lms/shared/apperr"
	"lms/shared/objects"
)

// files implements identity.Files on the object store.
type files struct{ store *objects.Store }

var _ identity.Files = files{}

func (f files) there() error {
	if f.store == nil {
		return apperr.Unavailable("objects_unavailable", "This installation has no file store.")
	}
	return nil
}

// Put implements identity.Files.
func (f files) Put(ctx context.Context, key, mediaType string, content []byte) error {
	if err := f.there(); err != nil {
		return err
	}
	w, err := f.store.NewWriter(ctx, key, mediaType)
	if err != nil {
		return err
	}
	_, err = w.Write(content)
	return errors.Join(err, w.Close())
}

// Get implements identity.Files.
func (f files) Get(ctx context.Context, key string, limit int64) ([]byte, error) {
	if err := f.there(); err != nil {
		return nil, err
	}
	r, err := f.store.NewReader(ctx, key)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	if int64(len(raw)) > limit {
		return nil, apperr.New(apperr.KindTooLarge, "file_too_large", "The file is too large.")
	}
	return raw, nil
}

// Delete implements identity.Files.
func (f files) Delete(ctx context.Context, key string) error {
	if err := f.there(); err != nil {
		return err
	}
	return f.store.Delete(ctx, key)
}

// Link implements identity.Files.
func (f files) Link(ctx context.Context, key, filename, mediaType string) (string, error) {
	if err := f.there(); err != nil {
		return "", err
	}
	signed, err := f.store.PresignGet(ctx, key, objects.Download{Filename: filename, Type: mediaType, TTL: time.Minute})
	return signed.URL, err
}
