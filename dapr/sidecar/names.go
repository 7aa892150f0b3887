package main

import (
	"context"
	"slices"

	"github.com/dapr/components-contrib/nameresolution"
	"github.com/dapr/components-contrib/nameresolution/sqlite"
	"github.com/dapr/kit/logger"
)

// drawsPerLookup bounds how often one lookup asks the table. The resolver gives
// one replica at random per query, so a list is made by drawing: with two
// replicas, eight draws miss one of them once in 128 lookups, and the next
// lookup corrects it.
const drawsPerLookup = 8

// cachedResolver makes the SQLite resolver a ResolverMulti. daprd caches only
// what such a resolver answers (20 s, dropped at once when a call fails as
// unavailable); without it each invocation costs a SQL query, a quarter of the
// calls per second.
type cachedResolver struct {
	nameresolution.Resolver
}

var _ nameresolution.ResolverMulti = (*cachedResolver)(nil)

func newSQLiteResolver(log logger.Logger) nameresolution.Resolver {
	return &cachedResolver{Resolver: sqlite.NewResolver(log)}
}

// ResolveIDMulti returns the addresses under which the app is registered now.
// The first draw's error is the answer's; a later draw that fails (the last
// replica left meanwhile) only ends the drawing.
func (r *cachedResolver) ResolveIDMulti(ctx context.Context, req nameresolution.ResolveRequest) (nameresolution.AddressList, error) {
	var found nameresolution.AddressList
	for range drawsPerLookup {
		address, err := r.ResolveID(ctx, req)
		if err != nil {
			if len(found) == 0 {
				return nil, err
			}
			return found, nil
		}
		if !slices.Contains(found, address) {
			found = append(found, address)
		}
	}
	return found, nil
}
