package dapr

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
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
	// FirstWrite without an ETag: only if the key does not exist. The value must
	// be a JSON object, see SaveState.
	FirstWrite bool
	// TTL, rounded up to whole seconds; 0 keeps the value for good.
	TTL time.Duration
}

// GetState reads a key with strong consistency.
func (c *Client) GetState(ctx context.Context, store, key string) (State, error) {
	s, err := c.readState(ctx, store, key)
	s.Value = unsigned(s.Value)
	return s, err
}

// readState is GetState with the signature that a first write left.
func (c *Client) readState(ctx context.Context, store, key string) (State, error) {
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
// Stores answer a refused first write differently, some with a plain error, and
// an answer may be lost on the way. So after any failed first write the key is
// read back. That the bytes are the same says nothing: two may begin a counter
// with the same 1. So a first write is signed with an id of its own, and only
// that one there means that it was ours. A value without it is somebody else's,
// unless the write may have been done and the value changed since: then nobody
// knows, and the failure is told as it was.
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
		return c.saveItem(ctx, store, item)
	}
	if !o.FirstWrite {
		return c.saveItem(ctx, store, item)
	}
	var id string
	var err error
	if item.Value, id, err = signed(value); err != nil {
		return err
	}
	if err = c.saveItem(ctx, store, item); err == nil || apperr.Code(err) == "etag_mismatch" {
		return err
	}
	stored, readErr := c.readState(ctx, store, key)
	switch {
	case readErr != nil || !stored.Exists():
		return err
	case signature(stored.Value) == id:
		return nil
	case apperr.Code(err) == "component_failed":
		return mismatch(err)
	}
	return err
}

func (c *Client) saveItem(ctx context.Context, store string, item *sdk.SetStateItem) error {
	var etag string
	if item.Etag != nil {
		etag = item.Etag.Value
	}
	return c.grpcCall(ctx, "state", store, 1, func(ctx context.Context) error {
		return guarded(etag, c.sdk.SaveBulkState(ctx, store, item))
	})
}

// A signature is a first field of the stored object, so that whoever reads the
// document by other means, or is of a release before it, finds a field that it
// does not know and goes on.
const (
	signatureStart = `{"_write":"`
	signatureLen   = 26 // of rand.Text
)

// signed adds an id of its own to a JSON object.
func signed(value []byte) (with []byte, id string, err error) {
	rest, ok := bytes.CutPrefix(value, []byte("{"))
	if !ok || !bytes.HasSuffix(value, []byte("}")) {
		return nil, "", apperr.Internal(fmt.Errorf("dapr: a first write is of a JSON object, not of %.20q", value))
	}
	id = rand.Text()
	with = make([]byte, 0, len(signatureStart)+signatureLen+2+len(rest))
	with = append(append(append(with, signatureStart...), id...), '"')
	if rest[0] != '}' {
		with = append(with, ',')
	}
	return append(with, rest...), id, nil
}

// signature is the id in a stored value, also where the store has written the
// JSON anew; "" for none.
func signature(stored []byte) string {
	var s struct {
		Write string `json:"_write"`
	}
	if json.Unmarshal(stored, &s) != nil {
		return "" // none of ours
	}
	return s.Write
}

// unsigned is a value as it was given to SaveState. A store that writes JSON anew
// leaves the field where it likes, and so it stays.
func unsigned(stored []byte) []byte {
	rest, ok := bytes.CutPrefix(stored, []byte(signatureStart))
	if !ok || len(rest) < signatureLen+2 || rest[signatureLen] != '"' {
		return stored
	}
	switch rest = rest[signatureLen+1:]; rest[0] {
	case ',':
		return append([]byte{'{'}, rest[1:]...)
	case '}':
		return append([]byte{'{'}, rest...)
	}
	return stored
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
