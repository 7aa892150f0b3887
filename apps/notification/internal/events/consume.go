package events

import (
	"context"
	"slices"
	"time"

	"lms/apps/notification/internal/catalog"
	"lms/shared/contracts"
	"lms/shared/inbox"
	"lms/shared/inbox/keyed"
)

// Handler is the name of the one handler of all events.
const Handler = "notification"

// Applier handles events; an error of its own per event.
type Applier interface {
	Apply(ctx context.Context, batch []catalog.Event) []error
}

// gather is how long the sidecar may gather events. All that a batch tells one
// person is one write of that person's document, and nobody sees a message come a
// fifth of a second later.
const gather = 200 * time.Millisecond

// NewConsumer makes a consumer of all topics; o says where it keeps what. What
// happened longer than lookBack before the store came into use is Past: publishers
// keep their events for 30 days, an empty store makes the consumer read them all, and
// nobody is there any more who knows what of it was mailed.
func NewConsumer(a Applier, lookBack time.Duration, o keyed.Options) *keyed.Consumer {
	o.Handler, o.Gather = Handler, gather
	for _, t := range contracts.Topics() {
		o.Topics = append(o.Topics, t.Name)
	}
	var c *keyed.Consumer
	o.Apply = func(ctx context.Context, batch []inbox.Event) []error {
		began, err := c.Began(ctx)
		if err != nil {
			return slices.Repeat([]error{err}, len(batch))
		}
		events := make([]catalog.Event, len(batch))
		for i, e := range batch {
			events[i] = eventOf(e)
			events[i].Past = e.Time.Before(began.Add(-lookBack))
		}
		return a.Apply(ctx, events)
	}
	c = keyed.New(o)
	return c
}

func eventOf(e inbox.Event) catalog.Event {
	return catalog.Event{
		ID: e.ID, Type: e.Type, Time: e.Time, Seq: e.Seq, TenantID: e.TenantID, OrgUnitID: e.OrgUnitID, CourseID: e.CourseID, ActorID: e.ActorID,
		Data: e.Data, Raw: e.Raw(),
	}
}
