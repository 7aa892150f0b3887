package events

import (
	"context"
	"maps"
	"slices"

	"lms/apps/search/internal/search"
	"lms/shared/inbox"
	"lms/shared/inbox/keyed"
)

// Handler is the name of the one handler of all events.
const Handler = "search"

// NewConsumer makes the consumer of what is indexed; o says where it keeps what.
func NewConsumer(x *search.Indexer, o keyed.Options) *keyed.Consumer {
	o.Handler, o.Topics = Handler, slices.Sorted(maps.Keys(search.Indexed()))
	o.Apply = func(ctx context.Context, batch []inbox.Event) []error {
		changes := make([]search.Change, len(batch))
		for i, e := range batch {
			changes[i] = search.Change{Type: e.Type, Seq: e.Seq, Data: e.Data}
		}
		return x.Apply(ctx, changes)
	}
	return keyed.New(o)
}
