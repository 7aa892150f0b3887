// Package patch is RFC 7396 (JSON merge patch) for typed bodies: a field that
// is absent stays, null clears, a value sets.
package patch

import (
	"bytes"
	"encoding/json"
)

// Field is one member of a merge patch.
type Field[T any] struct {
	Set   bool // it was in the body, as null or as a value
	Null  bool
	Value T
}

// Of is a field that sets v.
func Of[T any](v T) Field[T] { return Field[T]{Set: true, Value: v} }

// UnmarshalJSON notes that the member was there.
func (f *Field[T]) UnmarshalJSON(b []byte) error {
	f.Set = true
	if bytes.Equal(bytes.TrimSpace(b), []byte("null")) {
		f.Null = true
		return nil
	}
	return json.Unmarshal(b, &f.Value)
}

// MarshalJSON writes the value, or null. Use `omitzero` to leave out what is
// not set.
func (f Field[T]) MarshalJSON() ([]byte, error) {
	if !f.Set || f.Null {
		return []byte("null"), nil
	}
	return json.Marshal(f.Value)
}

// Apply sets *dst if the field was there; null sets the zero value. It reports
// whether *dst was written.
func (f Field[T]) Apply(dst *T) bool {
	if !f.Set {
		return false
	}
	*dst = f.Value
	return true
}

// ApplyPtr is Apply for an optional value: null clears it.
func (f Field[T]) ApplyPtr(dst **T) bool {
	if !f.Set {
		return false
	}
	if f.Null {
		*dst = nil
		return true
	}
	v := f.Value
	*dst = &v
	return true
}
