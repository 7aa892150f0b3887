package inbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/pg"
	"lms/shared/work"
)

// Unreadable stands for the handler of what could not be read as an event.
const Unreadable = "unreadable"

// CodeLost is the code of a dead letter that stands for events that nobody has.
const CodeLost = "events_lost"

// DeadLetter is an event that a handler can never apply, with the reason.
type DeadLetter struct {
	ID         uuid.UUID       `json:"id"`
	Handler    string          `json:"handler"`
	EventID    *uuid.UUID      `json:"event_id,omitempty"`
	Event      json.RawMessage `json:"event,omitempty"`
	Payload    string          `json:"payload,omitempty"` // what could not be read as an event
	Code       string          `json:"code"`
	Reason     string          `json:"reason"`
	CreatedAt  time.Time       `json:"created_at"`
	Attempts   int             `json:"attempts"`
	RedrivenAt *time.Time      `json:"redriven_at,omitempty"`
}

const (
	burySQL = `
insert into dead_letter (id, handler, event_id, event, payload, code, reason, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (handler, event_id) do update set
  attempts = dead_letter.attempts + 1, code = excluded.code, reason = excluded.reason, redriven_at = null`
	listDeadSQL = `
select id, handler, event_id, event, payload, code, reason, created_at, attempts, redriven_at from dead_letter
where redriven_at is null order by created_at desc, id desc limit $1`
	getDeadSQL = `
select id, handler, event_id, event, payload, code, reason, created_at, attempts, redriven_at from dead_letter where id = $1`
	redrivenSQL  = `update dead_letter set redriven_at = $2 where id = $1`
	purgeDeadSQL = `delete from dead_letter where id in (select id from dead_letter where created_at < $1 limit $2)`
)

func (in *Inbox) bury(ctx context.Context, handler string, e Event, cause error) error {
	id := e.ID
	return in.insertDead(ctx, handler, &id, bytes.ToValidUTF8(e.raw, []byte("\uFFFD")), "", cause)
}

func (in *Inbox) insertDead(ctx context.Context, handler string, eventID *uuid.UUID, event []byte, payload string, cause error) error {
	in.o.Log.Error("event goes to the dead letters", "handler", handler, "event", eventID, "reason", cause)
	if f := in.o.Metrics.DeadLetter; f != nil {
		f(handler)
	}
	return in.o.DB.InTx(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		_, err := pg.Exec(ctx, u, burySQL, u.NewID(), handler, eventID, event, payload, apperr.Code(cause), pg.Text(cause.Error(), 2000), u.Now())
		return err
	})
}

// buryUnreadable keeps what is not a CloudEvent of ours; losing it would hide
// a broken producer. It is known by its bytes, since a batch that is delivered
// again brings it again.
func (in *Inbox) buryUnreadable(ctx context.Context, raw []byte, cause error) error {
	id := uuid.NewSHA1(uuid.NameSpaceOID, raw)
	return in.insertDead(ctx, Unreadable, &id, nil, pg.Text(string(raw), 64<<10), cause)
}

// DeadLetters lists those that were not redriven, the newest first.
func DeadLetters(ctx context.Context, q pg.Querier, limit int) ([]DeadLetter, error) {
	return pg.Many[DeadLetter](ctx, q, listDeadSQL, limit)
}

// ShowDeadLetter reads one.
func ShowDeadLetter(ctx context.Context, q pg.Querier, id uuid.UUID) (DeadLetter, error) {
	return pg.One[DeadLetter](ctx, q, "dead letter", getDeadSQL, id)
}

// Redrive gives a dead letter to its one handler again. If it fails for good
// once more it stays a dead letter, with the new reason.
func (in *Inbox) Redrive(ctx context.Context, id uuid.UUID) error {
	var d DeadLetter
	err := in.o.DB.Read(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) (err error) {
		d, err = ShowDeadLetter(ctx, u, id)
		return err
	})
	if err != nil {
		return err
	}
	h, ok := in.handler(d.Handler)
	if !ok || len(d.Event) == 0 {
		return apperr.Conflict("not_redrivable", "No handler can take it: "+d.Handler+".")
	}
	e, err := Parse(d.Event)
	if err != nil {
		return err
	}
	err = in.inTx(ctx, func(ctx context.Context, u *pg.Unit) error {
		if err := in.applyOne(ctx, u, h, []Event{e}); err != nil {
			return err
		}
		_, err := pg.Exec(ctx, u, redrivenSQL, id, u.Now())
		return err
	})
	if err == nil {
		return nil
	}
	if isPermanent(err) {
		err = errors.Join(err, in.bury(ctx, h.name, e, err))
	}
	return fmt.Errorf("redrive: %w", err)
}

func (in *Inbox) handler(name string) (handler, bool) {
	for _, h := range in.handlers {
		if h.name == name {
			return h, true
		}
	}
	return handler{}, false
}

// PurgeDeadLetters deletes dead letters after 30 days: they can hold personal
// data.
func (in *Inbox) PurgeDeadLetters(ctx context.Context) error {
	return in.o.DB.Purge(ctx, purgeDeadSQL, in.o.DB.Now().Add(-30*24*time.Hour))
}
