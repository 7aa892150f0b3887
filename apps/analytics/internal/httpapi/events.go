package httpapi

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"lms/apps/analytics/internal/analytics"
	"lms/apps/analytics/internal/history"
	"lms/apps/analytics/internal/report"
	"lms/shared/web"
)

type eventsInput struct {
	web.Page
	Type     []string  `query:"type,explode" maxItems:"50" doc:"Types of events"`
	UserID   uuid.UUID `query:"user_id" doc:"The person that the event is about"`
	CourseID uuid.UUID `query:"course_id"`
	From     string    `query:"from" maxLength:"40" doc:"A time (RFC 3339) or a date"`
	To       string    `query:"to" maxLength:"40" doc:"A time (RFC 3339), not included, or a date, included"`
}

// Event is an event as it was kept, without what names a person.
type Event struct {
	ID          uuid.UUID       `json:"id"`
	Type        string          `json:"type"`
	Time        time.Time       `json:"time"`
	AggregateID uuid.UUID       `json:"aggregate_id"`
	Seq         int64           `json:"seq"`
	TenantID    uuid.UUID       `json:"tenant_id"`
	OrgUnitID   *uuid.UUID      `json:"org_unit_id,omitempty"`
	CourseID    *uuid.UUID      `json:"course_id,omitempty"`
	ActorID     *uuid.UUID      `json:"actor_id,omitempty"`
	UserID      *uuid.UUID      `json:"user_id,omitempty"`
	Data        json.RawMessage `json:"data"`
}

func showEvent(e history.Event) Event {
	return Event{
		ID: e.ID, Type: e.Type, Time: e.Time, AggregateID: e.AggregateID, Seq: e.Seq, TenantID: e.TenantID, OrgUnitID: given(e.OrgUnitID),
		CourseID: given(e.CourseID), ActorID: given(e.ActorID), UserID: given(e.UserID), Data: e.Data,
	}
}

func (a *API) events(ctx context.Context, in *eventsInput) (*web.List[Event], error) {
	from, to, err := report.Bounds(in.From, in.To, "UTC")
	if err != nil {
		return nil, err
	}
	p, err := a.Service.Events(ctx, web.Actor(ctx), analytics.EventFilter{Types: in.Type, UserID: given(in.UserID), From: from, To: to}, given(in.CourseID), in.Request())
	if err != nil {
		return nil, err
	}
	return web.ListOf(p, showEvent), nil
}
