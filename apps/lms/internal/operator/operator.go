// Package operator speaks to a running installation as the operator: through
// the gateway's sidecar, with a service token of its own, to the internal
// routes that every service keeps for it.
package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/authn"
	"lms/shared/contracts/internalapi"
	"lms/shared/dapr"
	"lms/shared/inbox"
	"lms/shared/outbox"
)

// Options say where the installation's sidecar is and how to prove who asks.
type Options struct {
	Sidecar  string // host:port of a sidecar's HTTP API
	APIToken string // DAPR_API_TOKEN
	Secret   string // the secret service-lms
}

// Operator is a client of the operator's routes.
type Operator struct{ dapr *dapr.Client }

const callTimeout = 20 * time.Second

// New makes a client; nothing is sent yet.
func New(o Options) (*Operator, error) {
	var op Operator
	tokens := authn.NewServiceTokens(func(ctx context.Context) (string, time.Time, error) {
		asked := time.Now()
		var t internalapi.ServiceToken
		_, err := op.dapr.Invoke(ctx, dapr.Call{
			App: "auth", Method: http.MethodPost, Path: internalapi.PathServiceTokens, Anonymous: true, Timeout: callTimeout,
			Body: internalapi.ServiceTokenRequest{Service: internalapi.OperatorApp, Secret: o.Secret}, Out: &t,
		})
		return t.AccessToken, asked.Add(time.Duration(t.ExpiresIn) * time.Second), err
	}, nil)
	c, err := dapr.New(dapr.Options{HTTP: o.Sidecar, GRPC: o.Sidecar, APIToken: o.APIToken, Token: tokens.Token, Rejected: tokens.Forget})
	if err != nil {
		return nil, fmt.Errorf("the gateway's sidecar: %w", err)
	}
	op.dapr = c
	return &op, nil
}

// Close ends its connections.
func (o *Operator) Close() { o.dapr.Close() }

// Bootstrap makes the first organisation and administrator, once.
func (o *Operator) Bootstrap(ctx context.Context, r internalapi.BootstrapRequest) (reply internalapi.BootstrapReply, err error) {
	err = o.call(ctx, "user", http.MethodPost, internalapi.PathBootstrap, nil, r, &reply)
	return reply, err
}

// Outbox reads the state of a service's outbox.
func (o *Operator) Outbox(ctx context.Context, service string) (s outbox.Status, err error) {
	err = o.call(ctx, service, http.MethodGet, internalapi.PathOutbox, nil, nil, &s)
	return s, err
}

// Unpark makes a parked call due again.
func (o *Operator) Unpark(ctx context.Context, service string, id uuid.UUID) error {
	return o.call(ctx, service, http.MethodPost, withID(internalapi.PathUnpark, id), nil, struct{}{}, nil)
}

type items[T any] struct {
	Items []T `json:"items"`
}

// DeadLetters lists a service's dead letters, the newest first.
func (o *Operator) DeadLetters(ctx context.Context, service string, limit int) ([]inbox.DeadLetter, error) {
	var out items[inbox.DeadLetter]
	err := o.call(ctx, service, http.MethodGet, internalapi.PathDeadLetters, url.Values{"limit": {strconv.Itoa(limit)}}, nil, &out)
	return out.Items, err
}

// Redrive gives a dead letter to its handler again.
func (o *Operator) Redrive(ctx context.Context, service string, id uuid.UUID) error {
	return o.call(ctx, service, http.MethodPost, withID(internalapi.PathRedrive, id), nil, struct{}{}, nil)
}

// Replay gives a handler its history since a time again.
func (o *Operator) Replay(ctx context.Context, service, handler string, since time.Time) (int, error) {
	var out internalapi.Replayed
	path := strings.Replace(internalapi.PathReplay, "{name}", url.PathEscape(handler), 1)
	err := o.call(ctx, service, http.MethodPost, path, url.Values{"since": {since.UTC().Format(time.RFC3339)}}, struct{}{}, &out)
	return out.Events, err
}

// Recompute lets a service compute its derived numbers again, to the end; page is
// told of each page of the answer.
func (o *Operator) Recompute(ctx context.Context, service string, repair bool, page func(internalapi.RecomputeReply)) error {
	in := internalapi.RecomputeRequest{Repair: repair}
	for {
		var out internalapi.RecomputeReply
		if err := o.call(ctx, service, http.MethodPost, internalapi.PathRecompute, nil, in, &out); err != nil {
			return err
		}
		page(out)
		if in.Cursor = out.NextCursor; in.Cursor == "" {
			return nil
		}
	}
}

// RotateKeys orders a new signing key.
func (o *Operator) RotateKeys(ctx context.Context, r internalapi.RotateKeysRequest) (reply internalapi.RotateKeysReply, err error) {
	err = o.call(ctx, "auth", http.MethodPost, internalapi.PathRotateKeys, nil, r, &reply)
	return reply, err
}

func withID(path string, id uuid.UUID) string { return strings.Replace(path, "{id}", id.String(), 1) }

func (o *Operator) call(ctx context.Context, app, method, path string, query url.Values, body, out any) error {
	_, err := o.dapr.Invoke(ctx, dapr.Call{
		App: app, Method: method, Path: path, Query: query, Body: body, Out: out, Timeout: callTimeout, Idempotent: method == http.MethodGet,
	})
	if err != nil {
		return fmt.Errorf("%s: %w", app, err)
	}
	return nil
}

// Event is a kept event with what orders it.
type Event struct {
	Time time.Time
	Raw  json.RawMessage
}

// ErrStop ends Tail without an error.
var ErrStop = errors.New("enough")

// Tail reads the events of a topic from the producer's kept outbox: those since
// a time in their order, then new ones as they are published, until ctx ends or
// fn returns ErrStop. Without follow it ends with what is there.
func (o *Operator) Tail(ctx context.Context, topic string, since time.Time, follow bool, fn func(Event) error) error {
	producer, _, ok := strings.Cut(topic, ".")
	if !ok {
		return fmt.Errorf("%q is no topic: topics are named like course.events", topic)
	}
	next := map[string]int64{}
	for {
		events, err := o.newEvents(ctx, producer, next)
		if err != nil {
			return err
		}
		for _, e := range events {
			if e.Time.Before(since) {
				continue
			}
			if err := fn(e); errors.Is(err, ErrStop) {
				return nil
			} else if err != nil {
				return err
			}
		}
		if !follow && len(events) == 0 {
			return nil
		}
		if len(events) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// newEvents reads what came since the last look, in the order of time. next is
// the number to read from, per stream.
func (o *Operator) newEvents(ctx context.Context, producer string, next map[string]int64) ([]Event, error) {
	var heads items[outbox.Head]
	if err := o.call(ctx, producer, http.MethodGet, internalapi.PathEventHeads, nil, nil, &heads); err != nil {
		return nil, err
	}
	var out []Event
	for _, h := range heads.Items {
		from := max(next[h.Stream], h.Oldest, 1)
		for from <= h.Head {
			var kept items[json.RawMessage]
			q := url.Values{"stream": {h.Stream}, "from": {fmt.Sprint(from)}, "to": {fmt.Sprint(h.Head)}, "limit": {"500"}}
			if err := o.call(ctx, producer, http.MethodGet, internalapi.PathEvents, q, nil, &kept); err != nil {
				return nil, err
			}
			if len(kept.Items) == 0 {
				break
			}
			for _, raw := range kept.Items {
				e, err := inbox.Parse(raw)
				if err != nil {
					return nil, err
				}
				out = append(out, Event{Time: e.Time, Raw: raw})
				from = e.N + 1
			}
		}
		next[h.Stream] = from
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Time.Before(out[j].Time) })
	return out, nil
}
