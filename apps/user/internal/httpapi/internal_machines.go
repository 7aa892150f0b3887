package httpapi

import (
	"context"
	"net/http"

	"lms/apps/user/internal/identity"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/web"
)

func (a *API) machineRoutes(r *web.Router) {
	post := func(path, id, summary string) web.Op { return forAuth(http.MethodPost, path, id, summary) }
	web.Register(r, post(internalapi.PathClientsList, "internal-list-clients", "Service accounts that the acting person may see"), a.listClients)
	web.Register(r, post(internalapi.PathClientsCreate, "internal-create-client", "Make a service account with its first secret"), a.createClient)
	web.Register(r, post(internalapi.PathClientsDelete, "internal-delete-client", "Delete a service account"), a.deleteClient)
	web.Register(r, post(internalapi.PathClientsSecret, "internal-add-client-secret", "Make a further secret"), a.addClientSecret)
	web.Register(r, post(internalapi.PathClientsGrants, "internal-set-client-grants", "Replace what a service account may do"), a.setClientGrants)
	web.Register(r, post(internalapi.PathClientsVerify, "internal-verify-client", "Check a service account's secret"), a.verifyClient)
	web.Register(r, post(internalapi.PathTokensList, "internal-list-tokens", "Personal access tokens of the acting person"), a.listTokens)
	web.Register(r, post(internalapi.PathTokensCreate, "internal-create-token", "Make a personal access token"), a.createToken)
	web.Register(r, post(internalapi.PathTokensDelete, "internal-delete-token", "Revoke a personal access token"), a.deleteToken)
	web.Register(r, post(internalapi.PathTokensVerify, "internal-verify-token", "Check a personal access token"), a.verifyToken)
}

func client(c identity.Client) internalapi.Client {
	out := internalapi.Client{
		ID: c.ID, TenantID: c.TenantID, OrgUnitID: c.OrgUnitID, Name: c.Name, Description: c.Description, Grants: c.Grants,
		Secrets: make([]internalapi.ClientSecretInfo, len(c.Secrets)), CreatedBy: c.CreatedBy, CreatedAt: c.CreatedAt, LastUsedAt: c.LastUsedAt, Epoch: c.Epoch,
	}
	if out.Grants == nil {
		out.Grants = []authz.Grant{}
	}
	for i, s := range c.Secrets {
		out.Secrets[i] = internalapi.ClientSecretInfo{ID: s.ID, Hint: s.Hint, CreatedAt: s.CreatedAt, ExpiresAt: s.ExpiresAt}
	}
	return out
}

type listInput struct{ Body internalapi.ListRequest }

func (a *API) listClients(ctx context.Context, in *listInput) (*web.Resource[internalapi.ClientPage], error) {
	ctx, p, err := a.acting(ctx, in.Body.Acting)
	if err != nil {
		return nil, err
	}
	found, err := a.Service.ListClients(ctx, p, wanted(in.Body.Limit, in.Body.Cursor))
	if err != nil {
		return nil, err
	}
	return web.Res(internalapi.ClientPage{Items: each(found.Items, client), NextCursor: found.NextCursor}, 0), nil
}

// each shows a list, never as null.
func each[S, T any](items []S, show func(S) T) []T {
	out := make([]T, len(items))
	for i, item := range items {
		out[i] = show(item)
	}
	return out
}

func withSecret(c identity.Client, secret string, err error) (*web.Resource[internalapi.ClientSecret], error) {
	if err != nil {
		return nil, err
	}
	return web.Res(internalapi.ClientSecret{Client: client(c), Secret: secret}, 0), nil
}

type clientCreateInput struct{ Body internalapi.ClientCreate }

func (a *API) createClient(ctx context.Context, in *clientCreateInput) (*web.Resource[internalapi.ClientSecret], error) {
	b := in.Body
	ctx, p, err := a.changing(ctx, b.Acting)
	if err != nil {
		return nil, err
	}
	return withSecret(a.Service.CreateClient(ctx, p, identity.NewClient{
		OrgUnitID: b.OrgUnitID, Name: b.Name, Description: b.Description, Grants: b.Grants, ExpiresAt: b.ExpiresAt,
	}))
}

type actingOnInput struct{ Body internalapi.ActingOn }

func (a *API) deleteClient(ctx context.Context, in *actingOnInput) (*web.Resource[internalapi.Done], error) {
	ctx, p, err := a.changing(ctx, in.Body.Acting)
	if err != nil {
		return nil, err
	}
	return done(a.Service.DeleteClient(ctx, p, in.Body.ID))
}

type clientSecretInput struct {
	Body internalapi.ClientSecretCreate
}

func (a *API) addClientSecret(ctx context.Context, in *clientSecretInput) (*web.Resource[internalapi.ClientSecret], error) {
	b := in.Body
	ctx, p, err := a.changing(ctx, b.Acting)
	if err != nil {
		return nil, err
	}
	return withSecret(a.Service.AddClientSecret(ctx, p, b.ID, b.ExpiresAt, b.RevokeOthers))
}

type clientGrantsInput struct{ Body internalapi.ClientGrants }

func (a *API) setClientGrants(ctx context.Context, in *clientGrantsInput) (*web.Resource[internalapi.Client], error) {
	ctx, p, err := a.changing(ctx, in.Body.Acting)
	if err != nil {
		return nil, err
	}
	c, err := a.Service.SetClientGrants(ctx, p, in.Body.ID, in.Body.Grants)
	if err != nil {
		return nil, err
	}
	return web.Res(client(c), 0), nil
}

type clientVerifyInput struct{ Body internalapi.ClientVerify }

func (a *API) verifyClient(ctx context.Context, in *clientVerifyInput) (*web.Resource[internalapi.ClientReply], error) {
	b := in.Body
	c, err := a.Service.VerifyClient(system(ctx, b.From), b.ClientID, b.Secret, fromOf(b.From))
	if err != nil {
		return nil, err
	}
	if c == nil {
		return web.Res(internalapi.ClientReply{Refusal: internalapi.RefusalInvalid}, 0), nil
	}
	shown := client(*c)
	return web.Res(internalapi.ClientReply{OK: true, Client: &shown}, 0), nil
}

func personalToken(t identity.PersonalToken) internalapi.PersonalToken {
	out := internalapi.PersonalToken{
		ID: t.ID, UserID: t.UserID, Name: t.Name, Permissions: t.Permissions, Hint: t.Hint, CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt, LastUsedAt: t.LastUsedAt,
	}
	if out.Permissions == nil {
		out.Permissions = []authz.Permission{}
	}
	return out
}

func (a *API) listTokens(ctx context.Context, in *listInput) (*web.Resource[internalapi.TokenPage], error) {
	ctx, p, err := a.acting(ctx, in.Body.Acting)
	if err != nil {
		return nil, err
	}
	found, err := a.Service.ListPersonalTokens(ctx, p, wanted(in.Body.Limit, in.Body.Cursor))
	if err != nil {
		return nil, err
	}
	return web.Res(internalapi.TokenPage{Items: each(found.Items, personalToken), NextCursor: found.NextCursor}, 0), nil
}

type tokenCreateInput struct{ Body internalapi.TokenCreate }

func (a *API) createToken(ctx context.Context, in *tokenCreateInput) (*web.Resource[internalapi.TokenCreated], error) {
	b := in.Body
	ctx, p, err := a.myself(ctx, b.Acting)
	if err != nil {
		return nil, err
	}
	t, secret, err := a.Service.CreatePersonalToken(ctx, p, b.Name, b.Permissions, b.ExpiresAt.UTC())
	if err != nil {
		return nil, err
	}
	return web.Res(internalapi.TokenCreated{Token: personalToken(t), Secret: secret}, 0), nil
}

func (a *API) deleteToken(ctx context.Context, in *actingOnInput) (*web.Resource[internalapi.Done], error) {
	ctx, p, err := a.myself(ctx, in.Body.Acting)
	if err != nil {
		return nil, err
	}
	return done(a.Service.RevokePersonalToken(ctx, p, in.Body.ID))
}

type tokenVerifyInput struct{ Body internalapi.TokenVerify }

// verifyToken answers the permissions as a list also when it is empty: a token
// without any is limited to none.
func (a *API) verifyToken(ctx context.Context, in *tokenVerifyInput) (*web.Resource[internalapi.TokenReply], error) {
	t, sub, err := a.Service.VerifyPersonalToken(system(ctx, in.Body.From), in.Body.Secret)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return web.Res(internalapi.TokenReply{Refusal: internalapi.RefusalInvalid}, 0), nil
	}
	return web.Res(internalapi.TokenReply{OK: true, TokenID: t.ID, Permissions: t.Permissions, ExpiresAt: t.ExpiresAt, Subject: subject(sub)}, 0), nil
}
