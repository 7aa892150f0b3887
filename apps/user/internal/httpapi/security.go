package httpapi

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"lms/apps/user/internal/identity"
	"lms/shared/apperr"
	"lms/shared/page"
	"lms/shared/web"
)

// Session is a live session of a person.
type Session struct {
	ID         uuid.UUID `json:"id"`
	Kind       string    `json:"kind,omitempty"`
	Method     string    `json:"method,omitempty" doc:"How the person signed in"`
	Device     string    `json:"device,omitempty"`
	IP         string    `json:"ip,omitempty"`
	UserAgent  string    `json:"user_agent,omitempty"`
	CreatedAt  time.Time `json:"created_at"`
	LastUsedAt time.Time `json:"last_used_at"`
	ExpiresAt  time.Time `json:"expires_at"`
}

func showSession(s identity.Session) Session { return Session(s) }

type listByIDInput struct {
	web.ByID
	web.Page
}

func (a *API) listSessions(ctx context.Context, in *listByIDInput) (*web.List[Session], error) {
	sessions, err := a.Service.ListSessions(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	p, err := cut(sessions, in.Page)
	return web.ListOf(p, showSession), err
}

func (a *API) endSessions(ctx context.Context, in *web.ByID) (*web.Empty, error) {
	return nil, a.Service.EndSessionsOf(ctx, web.Actor(ctx), in.ID)
}

func (a *API) removeMFA(ctx context.Context, in *web.ByID) (*web.Empty, error) {
	return nil, a.Service.RemoveMFA(ctx, web.Actor(ctx), in.ID)
}

func (a *API) sendReset(ctx context.Context, in *web.ByID) (*web.Empty, error) {
	return nil, a.Service.SendResetByAdmin(ctx, web.Actor(ctx), in.ID)
}

// AuditLine is one line of what happened to, and by, a person.
type AuditLine struct {
	ID             uuid.UUID      `json:"id"`
	At             time.Time      `json:"at"`
	Source         string         `json:"source" enum:"audit,security"`
	Action         string         `json:"action"`
	ActorID        *uuid.UUID     `json:"actor_id,omitempty"`
	ImpersonatorID *uuid.UUID     `json:"impersonator_id,omitempty" doc:"Who acted as actor_id"`
	Service        string         `json:"service,omitempty"`
	ResourceType   string         `json:"resource_type,omitempty"`
	ResourceID     *uuid.UUID     `json:"resource_id,omitempty"`
	IP             string         `json:"ip,omitempty"`
	UserAgent      string         `json:"user_agent,omitempty"`
	RequestID      string         `json:"request_id,omitempty"`
	Changes        map[string]any `json:"changes,omitempty"`
}

func showAuditLine(l identity.AuditLine) (AuditLine, error) {
	out := AuditLine{
		ID: l.ID, At: l.At, Source: l.Source, Action: l.Action, ActorID: l.ActorID, ImpersonatorID: l.ImpersonatorID, Service: l.Service,
		ResourceType: l.ResourceType, ResourceID: l.ResourceID, IP: l.IP, UserAgent: l.UserAgent, RequestID: l.RequestID,
	}
	if len(l.Changes) == 0 {
		return out, nil
	}
	if err := json.Unmarshal(l.Changes, &out.Changes); err != nil {
		return out, apperr.Internal(err)
	}
	return out, nil
}

func (a *API) userAudit(ctx context.Context, in *listByIDInput) (*web.List[AuditLine], error) {
	lines, err := a.Service.UserAudit(ctx, web.Actor(ctx), in.ID, in.Request())
	if err != nil {
		return nil, err
	}
	out := page.Page[AuditLine]{Items: make([]AuditLine, len(lines.Items)), NextCursor: lines.NextCursor}
	for i, l := range lines.Items {
		if out.Items[i], err = showAuditLine(l); err != nil {
			return nil, err
		}
	}
	return web.ListOf(out, func(l AuditLine) AuditLine { return l }), nil
}
