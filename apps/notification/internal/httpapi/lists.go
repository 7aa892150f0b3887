package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"lms/apps/notification/internal/notification"
	"lms/apps/notification/internal/person"
	"lms/shared/apperr"
	"lms/shared/once"
	"lms/shared/web"
)

// Notification is a message of the list as it is shown.
type Notification struct {
	ID        uuid.UUID  `json:"id"`
	Kind      string     `json:"kind"`
	Title     string     `json:"title"`
	Text      string     `json:"text,omitempty"`
	Link      string     `json:"link,omitempty"`
	CourseID  *uuid.UUID `json:"course_id,omitempty"`
	EventID   uuid.UUID  `json:"event_id"`
	CreatedAt time.Time  `json:"created_at"`
	ReadAt    *time.Time `json:"read_at"`
}

func optional(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

func shown(m person.Message) Notification {
	return Notification{
		ID: m.ID, Kind: m.Kind, Title: m.Title, Text: m.Text, Link: m.Link, CourseID: optional(m.CourseID), EventID: m.EventID, CreatedAt: m.At, ReadAt: m.ReadAt,
	}
}

type listInput struct {
	web.ByTime
	Unread   bool      `query:"unread" doc:"Only those that were not read"`
	Kind     string    `query:"kind" maxLength:"64"`
	CourseID uuid.UUID `query:"course_id"`
}

func (a *api) list(ctx context.Context, in *listInput) (*web.List[Notification], error) {
	p, version, err := a.Service.Messages(ctx, web.Actor(ctx), notification.Filter{Unread: in.Unread, Kind: in.Kind, CourseID: in.CourseID}, in.Request())
	out := web.ListOf(p, shown)
	out.ETag = web.ETag(version)
	return out, err
}

type unreadBody struct {
	Unread int `json:"unread"`
}

func (a *api) unread(ctx context.Context, _ *web.Empty) (*web.Resource[unreadBody], error) {
	n, version, err := a.Service.Unread(ctx, web.Actor(ctx))
	return web.Res(unreadBody{n}, version), err
}

// A message changes only by being read: its version is 1 before and 2 after.
func versionOf(m person.Message) int64 {
	if m.ReadAt != nil {
		return 2
	}
	return 1
}

func (a *api) get(ctx context.Context, in *web.ByID) (*web.Resource[Notification], error) {
	m, err := a.Service.Message(ctx, web.Actor(ctx), in.ID)
	return web.Res(shown(m), versionOf(m)), err
}

func (a *api) read(ctx context.Context, in *web.ByID) (*web.Resource[Notification], error) {
	m, err := a.Service.Read(ctx, web.Actor(ctx), in.ID)
	return web.Res(shown(m), versionOf(m)), err
}

type readAllInput struct {
	Body struct {
		UpTo *uuid.UUID `json:"up_to,omitempty" doc:"The newest that was seen: what came after it stays unread"`
	}
}

type readAllBody struct {
	Read int `json:"read"`
}

func (a *api) readAll(ctx context.Context, in *readAllInput) (*web.Resource[readAllBody], error) {
	out, _, err := once.Do(ctx, a.Once, func() (readAllBody, error) {
		upTo := uuid.Nil
		if in.Body.UpTo != nil {
			upTo = *in.Body.UpTo
		}
		n, err := a.Service.ReadAll(ctx, web.Actor(ctx), upTo)
		return readAllBody{n}, err
	})
	return web.Res(out, 0), err
}

func (a *api) remove(ctx context.Context, in *web.ByID) (*web.Empty, error) {
	return nil, a.Service.Delete(ctx, web.Actor(ctx), in.ID)
}

type streamInput struct {
	LastEventID string `header:"Last-Event-ID" maxLength:"20" doc:"Resume behind this event"`
	After       string `query:"last_event_id" maxLength:"20" doc:"The same, for a first connection"`
}

func (in *streamInput) after() (int64, error) {
	raw := in.LastEventID
	if raw == "" {
		raw = in.After
	}
	if raw == "" {
		return -1, nil
	}
	n, err := strconv.ParseInt(raw, 10, 64)
	if err != nil || n < 0 {
		return 0, apperr.Malformed("bad_event_id", "Last-Event-ID is not one that this stream gave.")
	}
	return n, nil
}

// writeWithin bounds one write to a stream: a client that takes nothing is cut off.
const writeWithin = 20 * time.Second

func (a *api) stream(ctx context.Context, in *streamInput, w http.ResponseWriter, _ *http.Request) error {
	after, err := in.after()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-a.Draining:
			cancel()
		case <-ctx.Done():
		}
	}()
	rc := http.NewResponseController(w)
	send := func(text string) error {
		if err := rc.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return fmt.Errorf("stream: %w", err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			return errGone
		}
		return rc.Flush()
	}
	started := false
	start := func() {
		if !started {
			started = true
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("X-Accel-Buffering", "no")
			w.WriteHeader(http.StatusOK)
		}
	}
	err = a.Service.Follow(ctx, web.Actor(ctx), after, func(n notification.News) error {
		start()
		text, err := eventsOf(n)
		if err != nil {
			return err
		}
		return send(text)
	}, func() error { start(); return send(": still here\n\n") })
	if errors.Is(err, errGone) {
		return nil // the client has hung up
	}
	return err
}

var errGone = errors.New("the client has gone")

func eventsOf(n notification.News) (string, error) {
	text := "retry: 3000\n"
	for _, m := range n.Messages {
		raw, err := json.Marshal(shown(m))
		if err != nil {
			return "", apperr.Internal(err)
		}
		text += fmt.Sprintf("id: %d\nevent: notification\ndata: %s\n\n", m.N, raw)
	}
	return text + fmt.Sprintf("id: %d\nevent: unread\ndata: {\"unread\":%d}\n\n", n.Last, n.Unread), nil
}
