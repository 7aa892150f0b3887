package keyed

import (
	"context"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"lms/shared/contracts/internalapi"
	"lms/shared/inbox"
	"lms/shared/web"
)

// MountDeliveries adds what the sidecar calls.
func (c *Consumer) MountDeliveries(r *web.Router) {
	deliveries := chi.NewRouter()
	c.Subscriber().Routes(deliveries)
	r.Handle(http.MethodGet, "/dapr/subscribe", web.Sidecar(), deliveries)
	for _, topic := range c.topics {
		r.Handle(http.MethodPost, inbox.RouteOf(topic), web.Sidecar(), deliveries)
	}
}

type deadInput struct {
	Limit int `query:"limit" minimum:"1" maximum:"500" default:"100"`
}

type deadAnswer struct {
	Body struct {
		Items []inbox.DeadLetter `json:"items"`
	}
}

type replayInput struct {
	Name  string    `path:"name"`
	Since time.Time `query:"since" required:"true"`
}

// MountOperator adds what `lms dead-letters` and `lms replay` ask. A nil consumer
// does for documents of the routes.
func (c *Consumer) MountOperator(r *web.Router) {
	op := func(method, path, id, summary string) web.Op {
		return web.Op{Method: method, Path: path, ID: id, Summary: summary, Access: web.Internal(internalapi.OperatorApp), Timeout: 10 * time.Minute}
	}
	web.Register(r, op(http.MethodGet, internalapi.PathDeadLetters, "dead-letters", "Events that could not be applied"),
		func(ctx context.Context, in *deadInput) (*deadAnswer, error) {
			var out deadAnswer
			var err error
			out.Body.Items, err = c.letters.List(ctx, in.Limit)
			return &out, err
		})
	web.Register(r, op(http.MethodPost, internalapi.PathRedrive, "redrive", "Give a dead letter to its handler again"),
		func(ctx context.Context, in *web.ByID) (*web.Empty, error) { return nil, c.Redrive(ctx, in.ID) })
	web.Register(r, op(http.MethodPost, internalapi.PathReplay, "replay", "Bring the handler what it lacks of its history"),
		func(ctx context.Context, in *replayInput) (*web.Resource[internalapi.Replayed], error) {
			n, err := c.Replay(ctx, in.Name, in.Since)
			return web.Res(internalapi.Replayed{Events: n}, 0), err
		})
}
