package pg

import (
	"context"
	"reflect"
	"strings"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/page"
)

// Sort is one order of a list, and the same turned round: two statements, whose last
// four parameters are whether it is the first page, the key and the id of the last row
// that was seen, and the limit.
type Sort[T any] struct {
	up, down string
	key      func(T) any
	kind     reflect.Type // of the key
}

// SortBy is an order by a key of the rows, and by their id where the keys are alike.
func SortBy[T, K any](up, down string, key func(T) K) Sort[T] {
	return Sort[T]{up: up, down: down, key: func(row T) any { return key(row) }, kind: reflect.TypeFor[K]()}
}

// Sorts are the orders of a list by name; "-" before a name turns it round.
type Sorts[T any] map[string]Sort[T]

// ListSorted reads a page of a list in one of its orders. args are the parameters
// before the last four. A cursor goes on in the order that it was made in, and in no
// other.
func ListSorted[T any](ctx context.Context, q Querier, sorts Sorts[T], name string, id func(T) uuid.UUID, p page.Request, args ...any) (page.Page[T], error) {
	var none page.Page[T]
	order, ok := sorts[strings.TrimPrefix(name, "-")]
	if !ok {
		return none, apperr.Invalid(apperr.Field{Path: "query.sort", Code: "enum", Message: "No such sort."})
	}
	sql := order.up
	if strings.HasPrefix(name, "-") {
		sql = order.down
	}
	var of string
	var last uuid.UUID
	key := reflect.New(order.kind)
	more, err := page.Decode(p.Cursor, &of, key.Interface(), &last)
	if err != nil {
		return none, err
	}
	if more && of != name {
		return none, apperr.Malformed("bad_cursor", "The cursor is of a list in another order.")
	}
	rows, err := Many[T](ctx, q, sql, append(args, !more, key.Elem().Interface(), last, p.Size()+1)...)
	if err != nil {
		return none, err
	}
	return page.Cut(rows, p.Size(), func(row T) string { return page.Encode(name, order.key(row), id(row)) }), nil
}
