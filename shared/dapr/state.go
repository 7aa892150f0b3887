package dapr

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	sdk "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"lms/shared/apperr"
)

// State is a value of a state store. A key that does not exist has no ETag and
// no value. A store may ignore the TTL: who depends on it keeps the end inside
// the value too.
type State struct {
	Value []byte
	ETag  string
}

// Exists says whether the key was there.
func (s State) Exists() bool { return s.ETag != "" || len(s.Value) > 0 }

// SaveOptions say under which condition a value is written.
type SaveOptions struct {
	// ETag: only if the stored one is still this.
	ETag string
	// FirstWrite without an ETag: only if the key does not exist.
	FirstWrite bool
	// TTL, rounded up to whole seconds; 0 keeps the value for good.
	TTL time.Duration
}

// GetState reads a key with strong consistency.
func (c *Client) GetState(ctx context.Context, store, key string) (State, error) {
	var s State
	err := c.grpcCall(ctx, "state", store, 3, func(ctx context.Context) error {
		item, err := c.sdk.GetStateWithConsistency(ctx, store, key, nil, sdk.StateConsistencyStrong)
		if err == nil {
			s = State{Value: item.Value, ETag: item.Etag}
		}
		return err
	})
	return s, err
}

// SaveState writes a key. When another writer was faster it is a conflict,
// `etag_mismatch`.
//
// Stores answer a failed first write differently, some with a plain error, and
// an answer may be lost on the way. So after any failed first write the key is
// read back: our own value there means that it was written, another that
// somebody else was faster. Competing writers must therefore write different
// values (put an id in).
func (c *Client) SaveState(ctx context.Context, store, key string, value []byte, o SaveOptions) error {
	meta := map[string]string{}
	if o.TTL > 0 {
		meta["ttlInSeconds"] = strconv.FormatInt(int64(math.Ceil(o.TTL.Seconds())), 10)
	}
	options := &sdk.StateOptions{Consistency: sdk.StateConsistencyStrong, Concurrency: sdk.StateConcurrencyLastWrite}
	item := &sdk.SetStateItem{Key: key, Value: value, Metadata: meta, Options: options}
	if o.ETag != "" || o.FirstWrite {
		options.Concurrency = sdk.StateConcurrencyFirstWrite
	}
	if o.ETag != "" {
		item.Etag = &sdk.ETag{Value: o.ETag}
	}
	err := c.grpcCall(ctx, "state", store, 1, func(ctx context.Context) error {
		return guarded(o.ETag, c.sdk.SaveBulkState(ctx, store, item))
	})
	if err == nil || !o.FirstWrite || o.ETag != "" || apperr.Code(err) == "etag_mismatch" {
		return err
	}
	stored, readErr := c.GetState(ctx, store, key)
	switch {
	case readErr != nil || !stored.Exists():
		return err
	case bytes.Equal(stored.Value, value):
		return nil
	}
	return mismatch(err)
}

// DeleteState removes a key; with an ETag only if the stored one is still this.
// A key that is not there is no error.
func (c *Client) DeleteState(ctx context.Context, store, key, etag string) error {
	return c.grpcCall(ctx, "state", store, 1, func(ctx context.Context) error {
		if etag == "" {
			return c.sdk.DeleteState(ctx, store, key, nil)
		}
		return guarded(etag, c.sdk.DeleteStateWithETag(ctx, store, key, &sdk.ETag{Value: etag}, nil,
			&sdk.StateOptions{Consistency: sdk.StateConsistencyStrong, Concurrency: sdk.StateConcurrencyFirstWrite}))
	})
}

// guarded makes a conflict of the two ways a sidecar says that an ETag is not
// the stored one: it differs, or is not even one of this store's form.
func guarded(etag string, err error) error {
	switch grpcCode(err) {
	case codes.Aborted:
		return mismatch(err)
	case codes.InvalidArgument: // also said of a store that does not exist
		if etag != "" && strings.Contains(strings.ToLower(err.Error()), "etag") {
			return mismatch(err)
		}
	}
	return err
}

func mismatch(cause error) *apperr.Error {
	return apperr.Conflict("etag_mismatch", "It was changed in the meantime.").With(cause)
}

// grpcCode is the status code of err, also below the SDK's wrapping.
func grpcCode(err error) codes.Code {
	var s interface{ GRPCStatus() *status.Status }
	if errors.As(err, &s) {
		return s.GRPCStatus().Code()
	}
	return codes.Unknown
}

// grpcError makes the kit's error of a failed call of the sidecar.
func grpcError(component string, err error) error {
	var known *apperr.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	}
	switch grpcCode(err) {
	case codes.Canceled:
		return context.Canceled
	case codes.DeadlineExceeded:
		return apperr.Unavailable("timeout", "It took too long. Try again.").With(err)
	case codes.Unavailable:
		return sidecarAway(err)
	}
	return apperr.Unavailable("component_failed", "The "+component+" component failed. Try again.").Detail("component", component).With(err)
}
