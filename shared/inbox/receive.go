package inbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lms/shared/apperr"
	"lms/shared/outbox"
	"lms/shared/pg"
	"lms/shared/work"
)

// CallMeta says where a reliable call comes from.
type CallMeta struct {
	CallID   uuid.UUID
	Source   string // the calling service
	Key      string // its aggregate
	Seq      int64
	TenantID uuid.UUID
	Time     time.Time
	// Again says that the receiver runs for the second time, after what it had asked
	// for with After was done.
	Again bool
}

// after is a receiver's wish to have something done outside of its transaction.
type after struct{ do func(context.Context) error }

func (a *after) Error() string { return "something must be done before the call can be received" }

// After, returned by a receiver as its error, gives the receiver's transaction up, runs
// do outside of it and then the receiver once more, with CallMeta.Again: for what must
// not be waited for while rows are locked, such as another service's answer. An error of
// do is the call's. Only the first run of a receiver may return it.
func After(do func(context.Context) error) error { return &after{do} }

type receiver struct {
	name    string
	callers []string
	fn      func(ctx context.Context, u *pg.Unit, m CallMeta, data json.RawMessage) (json.RawMessage, error)
}

// Receive registers the receiver of a reliable call. callers may call it. Per
// (source, name, key) only what is newer is applied; a call that was applied
// already gets its kept reply again, an older one an empty reply.
func Receive[In, Out any](in *Inbox, name string, callers []string, fn func(ctx context.Context, u *pg.Unit, m CallMeta, body In) (Out, error)) {
	in.calls[name] = receiver{name: name, callers: callers, fn: func(ctx context.Context, u *pg.Unit, m CallMeta, data json.RawMessage) (json.RawMessage, error) {
		var body In
		if err := json.Unmarshal(data, &body); err != nil {
			return nil, apperr.Malformed("call_unreadable", "The call's body cannot be read.").With(err)
		}
		out, err := fn(ctx, u, m, body)
		if err != nil {
			return nil, err
		}
		reply, err := json.Marshal(out)
		if err != nil {
			return nil, fmt.Errorf("reply: %w", err)
		}
		return reply, nil
	}}
}

// CallNames are the registered calls with who may make them.
func (in *Inbox) CallNames() map[string][]string {
	out := map[string][]string{}
	for name, r := range in.calls {
		out[name] = r.callers
	}
	return out
}

const (
	callSeenSQL = `
insert into call_received (source, name, key, seq, call_id, received_at)
values ($1, $2, $3, $4, $5, $6)
on conflict (source, name, key) do update set seq = excluded.seq, call_id = excluded.call_id, reply = null, received_at = excluded.received_at
  where call_received.seq < excluded.seq
returning seq`
	callReplySQL = `update call_received set reply = $4 where source = $1 and name = $2 and key = $3`
	keptReplySQL = `select reply from call_received where source = $1 and name = $2 and key = $3 and call_id = $4`
)

// ReceiveCall takes one reliable call from caller, the service that the token
// names.
func (in *Inbox) ReceiveCall(ctx context.Context, name, caller string, env outbox.CallEnvelope) (json.RawMessage, error) {
	r, ok := in.calls[name]
	if !ok {
		// The caller may be newer: it repeats the call until this service is too.
		return nil, apperr.Unavailable("call_unknown", "This service does not know the call yet.")
	}
	if env.Source != caller || !slices.Contains(r.callers, caller) {
		return nil, apperr.Forbidden("This service may not make this call.")
	}
	m := CallMeta{CallID: env.CallID, Source: env.Source, Key: env.Key, Seq: env.Seq, TenantID: env.TenantID, Time: env.Time}
	reply, err := in.receive(ctx, r, m, env.Data)
	var first *after
	if !errors.As(err, &first) {
		return reply, err
	}
	if err := first.do(ctx); err != nil {
		return nil, err
	}
	m.Again = true
	return in.receive(ctx, r, m, env.Data)
}

// receive applies a call in one transaction, unless it was applied already.
func (in *Inbox) receive(ctx context.Context, r receiver, m CallMeta, data json.RawMessage) (reply json.RawMessage, err error) {
	err = in.o.DB.InTx(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		reply = nil
		var seq int64
		err := u.QueryRow(ctx, callSeenSQL, m.Source, r.name, m.Key, m.Seq, m.CallID, u.Now()).Scan(&seq)
		if errors.Is(err, pgx.ErrNoRows) {
			reply, err = keptReply(ctx, u, r.name, m)
			return err
		}
		if err != nil {
			return fmt.Errorf("call %s: %w", r.name, err)
		}
		ctx = work.WithCause(ctx, work.Cause{Correlation: m.CallID.String(), Causation: m.CallID.String()})
		if err := guard(func() error { reply, err = r.fn(ctx, u, m, data); return err }); err != nil {
			return err
		}
		_, err = pg.Exec(ctx, u, callReplySQL, m.Source, r.name, m.Key, []byte(reply))
		return err
	})
	return reply, err
}

func keptReply(ctx context.Context, u *pg.Unit, name string, m CallMeta) (json.RawMessage, error) {
	var kept []byte
	err := u.QueryRow(ctx, keptReplySQL, m.Source, name, m.Key, m.CallID).Scan(&kept)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil // a newer call of this key was applied: this one is stale
	}
	return kept, err
}
