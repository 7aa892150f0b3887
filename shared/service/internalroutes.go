package service

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/contracts"
	"lms/shared/contracts/internalapi"
	"lms/shared/inbox"
	"lms/shared/outbox"
	"lms/shared/pg"
	"lms/shared/web"
	"lms/shared/work"
)

// maxCall is how large the body of a reliable call may be; what the sidecar
// lets through.
const maxCall = 4 << 20

type answer[T any] struct{ Body items[T] }

// internalRoutes mounts what other services, the sidecar and the operator's
// command call in every service with a database. Called after Build, when the
// handlers are known.
func (k *Kit) internalRoutes() {
	web.Raw(k.Web, web.Op{
		Method: http.MethodPost, Path: internalapi.PathCalls, ID: "receive-call", Summary: "Receive a reliable call",
		Access: web.AnyService(), MaxBody: maxCall, Timeout: callTimeout,
	}, k.receiveCall)
	k.eventRoutes()
	k.operatorRoutes()

	deliveries := chi.NewRouter()
	k.Inbox.Routes(deliveries)
	k.Web.Handle(http.MethodGet, "/dapr/subscribe", web.Sidecar(), deliveries)
	for _, topic := range k.Inbox.Topics() {
		k.Web.Handle(http.MethodPost, "/events/"+topic, web.Sidecar(), deliveries)
	}
}

func (k *Kit) receiveCall(w http.ResponseWriter, r *http.Request) error {
	var env outbox.CallEnvelope
	if err := json.NewDecoder(r.Body).Decode(&env); err != nil {
		return apperr.Malformed("call_unreadable", "The call cannot be read.").With(err)
	}
	reply, err := k.Inbox.ReceiveCall(r.Context(), web.PathParam(r, "name"), web.Actor(r.Context()).Service, env)
	if err != nil {
		return err
	}
	if len(reply) == 0 {
		reply = json.RawMessage("null")
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(reply)
	return err
}

type keptInput struct {
	Stream string `query:"stream" required:"true"`
	From   int64  `query:"from" minimum:"1" default:"1"`
	To     int64  `query:"to" default:"9007199254740991"`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"500"`
}

// consumers are the services that the table of topics lets consume this one's events.
func (k *Kit) consumers() (apps []string) {
	for _, app := range contracts.Services() {
		if contracts.MayConsume(app, k.Name+".events") {
			apps = append(apps, app)
		}
	}
	return apps
}

func (k *Kit) eventRoutes() {
	readers := web.Internal(internalapi.OperatorApp, k.consumers()...)
	web.Register(k.Web, web.Op{
		Method: http.MethodGet, Path: internalapi.PathEvents, ID: "kept-events", Summary: "Events that a consumer missed", Access: readers,
	}, func(ctx context.Context, in *keptInput) (*answer[json.RawMessage], error) {
		events, err := k.Outbox.Kept(ctx, in.Stream, in.From, in.To, in.Limit)
		return &answer[json.RawMessage]{items[json.RawMessage]{events}}, err
	})
	web.Register(k.Web, web.Op{
		Method: http.MethodGet, Path: internalapi.PathEventHeads, ID: "event-heads", Summary: "Where each stream stands", Access: readers,
	}, func(ctx context.Context, _ *web.Empty) (*answer[outbox.Head], error) {
		heads, err := k.Outbox.Heads(ctx)
		return &answer[outbox.Head]{items[outbox.Head]{heads}}, err
	})
}

type deadInput struct {
	Limit int `query:"limit" minimum:"1" maximum:"500" default:"100"`
}

type replayInput struct {
	Name  string    `path:"name"`
	Since time.Time `query:"since" required:"true"`
}

// operatorRoutes are what `lms outbox`, `lms dead-letters` and `lms replay` ask.
func (k *Kit) operatorRoutes() {
	op := func(method, path, id, summary string) web.Op {
		return web.Op{Method: method, Path: path, ID: id, Summary: summary, Access: web.Internal(internalapi.OperatorApp), Timeout: 10 * time.Minute}
	}
	read := func(ctx context.Context, fn func(ctx context.Context, u *pg.Unit) error) error {
		return k.DB.Read(ctx, work.AllTenants(), fn)
	}
	web.Register(k.Web, op(http.MethodGet, internalapi.PathOutbox, "outbox-status", "What waits in the outbox"),
		func(ctx context.Context, _ *web.Empty) (*web.Resource[outbox.Status], error) {
			var s outbox.Status
			err := read(ctx, func(ctx context.Context, u *pg.Unit) (err error) { s, err = outbox.ReadStatus(ctx, u); return err })
			return web.Res(s, 0), err
		})
	web.Register(k.Web, op(http.MethodPost, internalapi.PathUnpark, "unpark-call", "Make a parked call due again"),
		func(ctx context.Context, in *web.ByID) (*web.Empty, error) {
			return nil, k.DB.InTx(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
				return outbox.Unpark(ctx, u, in.ID, k.Now())
			})
		})
	web.Register(k.Web, op(http.MethodGet, internalapi.PathDeadLetters, "dead-letters", "Events that could not be applied"),
		func(ctx context.Context, in *deadInput) (*answer[inbox.DeadLetter], error) {
			var out answer[inbox.DeadLetter]
			err := read(ctx, func(ctx context.Context, u *pg.Unit) (err error) {
				out.Body.Items, err = inbox.DeadLetters(ctx, u, in.Limit)
				return err
			})
			return &out, err
		})
	web.Register(k.Web, op(http.MethodPost, internalapi.PathRedrive, "redrive", "Give a dead letter to its handler again"),
		func(ctx context.Context, in *web.ByID) (*web.Empty, error) { return nil, k.Inbox.Redrive(ctx, in.ID) })
	web.Register(k.Web, op(http.MethodPost, internalapi.PathReplay, "replay", "Give a handler its history again"),
		func(ctx context.Context, in *replayInput) (*web.Resource[internalapi.Replayed], error) {
			n, err := k.Inbox.Replay(ctx, in.Name, in.Since)
			return web.Res(internalapi.Replayed{Events: n}, 0), err
		})
	web.Register(k.Web, op(http.MethodPost, internalapi.PathRecompute, "recompute", "Compute what is derived again"),
		func(ctx context.Context, in *recomputeInput) (*web.Resource[internalapi.RecomputeReply], error) {
			out := internalapi.RecomputeReply{}
			if k.recompute != nil {
				var err error
				if out, err = k.recompute(ctx, in.Body); err != nil {
					return nil, err
				}
			}
			if out.Differences == nil {
				out.Differences = []internalapi.Difference{}
			}
			return web.Res(out, 0), nil
		})
}

type recomputeInput struct {
	Body internalapi.RecomputeRequest
}

// optionalID is a query parameter that may be absent.
func optionalID(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}
