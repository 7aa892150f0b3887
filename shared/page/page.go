// Package page is keyset paging: a cursor is the sort key of the last item
// seen, so that pages stay right while rows come and go.
package page

import (
	"bytes"
	"encoding/base64"
	"encoding/json"

	"lms/shared/apperr"
)

// Limits of a page, in items.
const (
	DefaultLimit = 50
	MaxLimit     = 200
)

// Request asks for one page. Limit outside 1..MaxLimit is put right by Size.
type Request struct {
	Limit  int
	Cursor string
	// OldestFirst asks for the order of time, in a list that otherwise has the newest
	// first and can be read both ways.
	OldestFirst bool
}

// Size is the number of items of the page: the default where none was asked
// for, never above MaxLimit.
func (r Request) Size() int {
	switch {
	case r.Limit <= 0:
		return DefaultLimit
	case r.Limit > MaxLimit:
		return MaxLimit
	}
	return r.Limit
}

// Page is one page; NextCursor is empty on the last.
type Page[T any] struct {
	Items      []T
	NextCursor string
}

// Cut makes a page of size from rows of which one more than size was asked
// for; key gives the cursor behind an item.
func Cut[T any](rows []T, size int, key func(T) string) Page[T] {
	if len(rows) <= size {
		return Page[T]{Items: rows}
	}
	rows = rows[:size]
	return Page[T]{Items: rows, NextCursor: key(rows[size-1])}
}

// Map turns each item of a page into another.
func Map[T, U any](p Page[T], f func(T) U) Page[U] {
	out := Page[U]{Items: make([]U, len(p.Items)), NextCursor: p.NextCursor}
	for i, item := range p.Items {
		out.Items[i] = f(item)
	}
	return out
}

// Encode makes an opaque cursor of the sort key's parts.
func Encode(parts ...any) string {
	b, err := json.Marshal(parts)
	if err != nil {
		// Only channels, functions and cycles fail to marshal: a programming error.
		panic("page: cursor part: " + err.Error())
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// Decode reads a cursor into pointers to its parts. It reports false for the
// empty cursor (the first page), and a 400 `bad_cursor` for anything that
// Encode did not make of such parts.
func Decode(cursor string, parts ...any) (bool, error) {
	if cursor == "" {
		return false, nil
	}
	bad := apperr.Malformed("bad_cursor", "The cursor is not one that this list gave.")
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return false, bad.With(err)
	}
	var values []json.RawMessage
	if err := json.Unmarshal(raw, &values); err != nil || len(values) != len(parts) {
		return false, bad.With(err)
	}
	for i, v := range values {
		d := json.NewDecoder(bytes.NewReader(v))
		if err := d.Decode(parts[i]); err != nil {
			return false, bad.With(err)
		}
	}
	return true, nil
}
