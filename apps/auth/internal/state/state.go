// Package state keeps the records of auth in the `cache` state component.
package state

import (
	"context"
	"errors"
	"time"

	"lms/apps/auth/internal/record"
	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
	"lms/shared/dapr"
)

// Sidecar is what this package needs of *dapr.Client.
type Sidecar interface {
	GetState(ctx context.Context, store, key string) (dapr.State, error)
	SaveState(ctx context.Context, store, key string, value []byte, o dapr.SaveOptions) error
}

// Store is a record.Store on the state block.
type Store struct {
	sidecar Sidecar
	timeout time.Duration
}

// New makes the store. timeout bounds one read or write, 2 s if zero.
func New(sidecar Sidecar, timeout time.Duration) *Store {
	if timeout <= 0 {
		timeout = 2 * time.Second
	}
	return &Store{sidecar: sidecar, timeout: timeout}
}

// Get implements record.Store.
func (s *Store) Get(ctx context.Context, key string) (record.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	st, err := s.sidecar.GetState(ctx, internalapi.SessionStore, key)
	if err != nil {
		return record.Entry{}, away(err)
	}
	return record.Entry{Value: st.Value, ETag: st.ETag}, nil
}

// Put implements record.Store.
func (s *Store) Put(ctx context.Context, key string, value []byte, w record.Write) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return away(s.sidecar.SaveState(ctx, internalapi.SessionStore, key, value,
		dapr.SaveOptions{ETag: w.ETag, FirstWrite: w.ETag == "", TTL: w.TTL}))
}

// away tells a lost race from a store that cannot be asked.
func away(err error) error {
	switch {
	case err == nil:
		return nil
	case apperr.Code(err) == "etag_mismatch":
		return errors.Join(record.ErrConflict, err)
	case errors.Is(err, context.Canceled):
		return err
	}
	return apperr.Unavailable("sessions_unavailable", "Sign-in is not possible at the moment. Try again.").With(err)
}
