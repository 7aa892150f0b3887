package httpapi

import (
	"context"
	"encoding/json"
	"io"
	"net/http"

	"github.com/google/uuid"

	"lms/apps/auth/internal/session"
	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
	"lms/shared/web"
)

func (a *api) internalRoutes(r *web.Router) {
	op := func(method, path, id, summary string, access web.Access) web.Op {
		return web.Op{Method: method, Path: path, ID: id, Summary: summary, Tag: "internal", Access: access, MaxBody: small}
	}
	// No token is asked for: it is what the caller comes to get. The secret is
	// the proof.
	web.Register(r, op(http.MethodPost, internalapi.PathServiceTokens, "service-token", "A service's own token", web.System()), with(a, a.serviceToken))
	web.Register(r, op(http.MethodPost, internalapi.PathExchangeToken, "exchange-token", "An access token for a personal access token", web.Internal("gateway")), with(a, a.exchange))
	web.Register(r, op(http.MethodGet, internalapi.PathUserSessionsOf, "user-sessions", "Sessions of a person", web.Internal("user")), with(a, a.userSessions))
	web.Register(r, op(http.MethodDelete, internalapi.PathUserSessionsOf, "end-user-sessions", "End sessions of a person", web.Internal("user")), with(a, a.endUserSessions))
	rotate := op(http.MethodPost, internalapi.PathRotateKeys, "rotate-keys", "Make a new signing key", web.Internal(internalapi.OperatorApp))
	web.Register(r, rotate, with(a, a.rotateKeys))
}

type serviceTokenInput struct {
	Body internalapi.ServiceTokenRequest
}

// serviceToken answers a caller who already has a token, and so is none of the
// services that come for one, as if there were nothing here.
func (a *api) serviceToken(ctx context.Context, c *Core, in *serviceTokenInput) (*web.Resource[internalapi.ServiceToken], error) {
	if req := web.Request(ctx); req != nil && req.Header.Get("Authorization") != "" {
		return nil, apperr.NotFound("route")
	}
	t, err := c.SignIn.ServiceToken(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	return web.Res(t, 0), nil
}

type exchangeInput struct{ Body internalapi.ExchangeRequest }

func (a *api) exchange(ctx context.Context, c *Core, in *exchangeInput) (*web.Resource[internalapi.ExchangedToken], error) {
	t, err := c.SignIn.Exchange(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	return web.Res(t, 0), nil
}

func (a *api) userSessions(ctx context.Context, c *Core, in *web.ByID) (*web.Resource[internalapi.SessionList], error) {
	items, err := c.Sessions.List(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return web.Res(internalapi.SessionList{Items: items}, 0), nil
}

type endUserSessionsInput struct {
	ID        uuid.UUID `path:"id"`
	SessionID string    `query:"session_id" maxLength:"36"`
}

func (a *api) endUserSessions(ctx context.Context, c *Core, in *endUserSessionsInput) (*web.Resource[internalapi.EndSessionsReply], error) {
	n, err := endSessions(ctx, c.Sessions, in)
	if err != nil {
		return nil, err
	}
	return web.Res(internalapi.EndSessionsReply{Ended: n}, 0), nil
}

func endSessions(ctx context.Context, s *session.Sessions, in *endUserSessionsInput) (int, error) {
	if in.SessionID == "" {
		return s.EndAll(ctx, internalapi.EndSessions{UserID: in.ID, Reason: "by_administrator"})
	}
	id, err := uuid.Parse(in.SessionID)
	if err != nil {
		return 0, apperr.NotFound("session")
	}
	ended, err := s.End(ctx, in.ID, id)
	switch {
	case err != nil:
		return 0, err
	case !ended:
		return 0, apperr.NotFound("session")
	}
	return 1, nil
}

type rotateInput struct{ Body internalapi.RotateKeysRequest }

func (a *api) rotateKeys(ctx context.Context, c *Core, in *rotateInput) (*web.Resource[internalapi.RotateKeysReply], error) {
	reply, err := c.Keys.Rotate(ctx, in.Body.Compromised, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return web.Res(reply, 0), nil
}

func encode(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return apperr.Internal(err)
	}
	return nil
}
