package dapr

import (
	"context"
	"errors"
	"time"

	"lms/shared/apperr"
	"lms/shared/record"
)

// recordTimeout bounds one read or write of a record where nothing else is said.
const recordTimeout = 2 * time.Second

// States is what Records needs of *Client.
type States interface {
	GetState(ctx context.Context, store, key string) (State, error)
	SaveState(ctx context.Context, store, key string, value []byte, o SaveOptions) error
}

// Records is a record.Store in a state component.
type Records struct {
	// Sidecar is the way there, usually the *Client of the service.
	Sidecar States
	// Component is the name of the state component.
	Component string
	// Prefix begins every key. A component keeps the keys of all its services side
	// by side: two that use the same part of the kit, such as inbox/keyed, must
	// differ in it.
	Prefix string
	// Timeout bounds one read or write; 2 s if zero.
	Timeout time.Duration
	// Away is what callers are told when the component cannot be asked; of
	// KindUnavailable.
	Away *apperr.Error
}

var _ record.Store = Records{}

func (s Records) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.Timeout <= 0 {
		return context.WithTimeout(ctx, recordTimeout)
	}
	return context.WithTimeout(ctx, s.Timeout)
}

// Get implements record.Store.
func (s Records) Get(ctx context.Context, key string) (record.Entry, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	st, err := s.Sidecar.GetState(ctx, s.Component, s.Prefix+key)
	if err != nil {
		return record.Entry{}, s.away(err)
	}
	return record.Entry{Value: st.Value, ETag: st.ETag}, nil
}

// Put implements record.Store.
func (s Records) Put(ctx context.Context, key string, value []byte, w record.Write) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.away(s.Sidecar.SaveState(ctx, s.Component, s.Prefix+key, value,
		SaveOptions{ETag: w.ETag, FirstWrite: w.ETag == "", TTL: w.TTL}))
}

// away tells a lost race from a store that cannot be asked.
func (s Records) away(err error) error {
	switch {
	case err == nil:
		return nil
	case apperr.Code(err) == "etag_mismatch":
		return errors.Join(record.ErrConflict, err)
	case errors.Is(err, context.Canceled):
		return err
	}
	return s.Away.With(err)
}
