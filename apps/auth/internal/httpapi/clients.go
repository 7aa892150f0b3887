package httpapi

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/web"
	"lms/shared/work"
)

// clientBody is a service account.
type clientBody struct {
	ID          uuid.UUID                      `json:"id" doc:"Also its client_id"`
	OrgUnitID   uuid.UUID                      `json:"org_unit_id"`
	Name        string                         `json:"name"`
	Description string                         `json:"description,omitempty"`
	Grants      []authz.Grant                  `json:"grants"`
	Secrets     []internalapi.ClientSecretInfo `json:"secrets"`
	CreatedBy   uuid.UUID                      `json:"created_by"`
	CreatedAt   time.Time                      `json:"created_at"`
	LastUsedAt  *time.Time                     `json:"last_used_at,omitempty"`
	Secret      string                         `json:"client_secret,omitempty" doc:"Shown once, when it is made"` // what creating answers
}

func showClient(c internalapi.Client) clientBody {
	b := clientBody{
		ID: c.ID, OrgUnitID: c.OrgUnitID, Name: c.Name, Description: c.Description, Grants: c.Grants, Secrets: c.Secrets,
		CreatedBy: c.CreatedBy, CreatedAt: c.CreatedAt, LastUsedAt: c.LastUsedAt,
	}
	if b.Grants == nil {
		b.Grants = []authz.Grant{}
	}
	if b.Secrets == nil {
		b.Secrets = []internalapi.ClientSecretInfo{}
	}
	return b
}

func showSecret(s internalapi.ClientSecret) clientBody {
	b := showClient(s.Client)
	b.Secret = s.Secret
	return b
}

type createClientInput struct {
	Body struct {
		OrgUnitID   uuid.UUID     `json:"org_unit_id"`
		Name        string        `json:"name" minLength:"1" maxLength:"200"`
		Description string        `json:"description,omitempty" maxLength:"2000"`
		Grants      []authz.Grant `json:"grants" maxItems:"50"`
		ExpiresAt   *time.Time    `json:"expires_at,omitempty" doc:"Of the secret"`
	}
}

type addSecretInput struct {
	ID   uuid.UUID `path:"id"`
	Body struct {
		ExpiresAt    *time.Time `json:"expires_at,omitempty"`
		RevokeOthers bool       `json:"revoke_others,omitempty" doc:"End the earlier secrets at once"`
	}
}

type setGrantsInput struct {
	ID   uuid.UUID `path:"id"`
	Body struct {
		Grants []authz.Grant `json:"grants" maxItems:"50"`
	}
}

func (a *api) clients(ctx context.Context, c *Core, in *web.Page) (*web.List[clientBody], error) {
	p, err := c.Account.Clients(ctx, work.ActorFrom(ctx), in.Request())
	if err != nil {
		return nil, err
	}
	return web.ListOf(p, showClient), nil
}

func (a *api) createClient(ctx context.Context, c *Core, in *createClientInput) (*web.Resource[clientBody], error) {
	b := in.Body
	made, err := c.Account.CreateClient(ctx, work.ActorFrom(ctx), internalapi.ClientCreate{
		OrgUnitID: b.OrgUnitID, Name: b.Name, Description: b.Description, Grants: b.Grants, ExpiresAt: b.ExpiresAt,
	})
	if err != nil {
		return nil, err
	}
	return web.Created(showSecret(made), 0, base+"/auth/clients/"+made.Client.ID.String()), nil
}

func (a *api) deleteClient(ctx context.Context, c *Core, in *web.ByID) (*web.Empty, error) {
	return nil, c.Account.DeleteClient(ctx, work.ActorFrom(ctx), in.ID)
}

func (a *api) addSecret(ctx context.Context, c *Core, in *addSecretInput) (*web.Resource[clientBody], error) {
	made, err := c.Account.AddSecret(ctx, work.ActorFrom(ctx), internalapi.ClientSecretCreate{
		ID: in.ID, ExpiresAt: in.Body.ExpiresAt, RevokeOthers: in.Body.RevokeOthers,
	})
	if err != nil {
		return nil, err
	}
	return web.Created(showSecret(made), 0, ""), nil
}

func (a *api) setGrants(ctx context.Context, c *Core, in *setGrantsInput) (*web.Resource[clientBody], error) {
	made, err := c.Account.SetGrants(ctx, work.ActorFrom(ctx), internalapi.ClientGrants{ID: in.ID, Grants: in.Body.Grants})
	if err != nil {
		return nil, err
	}
	return web.Res(showClient(made), 0), nil
}

// tokenBody is a personal access token.
type tokenBody struct {
	ID          uuid.UUID          `json:"id"`
	Name        string             `json:"name"`
	Permissions []authz.Permission `json:"permissions" doc:"Never more than the person holds at the moment of use"`
	Hint        string             `json:"hint" doc:"Its last characters"`
	CreatedAt   time.Time          `json:"created_at"`
	ExpiresAt   time.Time          `json:"expires_at"`
	LastUsedAt  *time.Time         `json:"last_used_at,omitempty"`
	Token       string             `json:"token,omitempty" doc:"Shown once, when it is made; send it as a Bearer token"`
}

func showToken(t internalapi.PersonalToken) tokenBody {
	b := tokenBody{ID: t.ID, Name: t.Name, Permissions: t.Permissions, Hint: t.Hint, CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt, LastUsedAt: t.LastUsedAt}
	if b.Permissions == nil {
		b.Permissions = []authz.Permission{}
	}
	return b
}

type createTokenInput struct {
	Body struct {
		Name        string             `json:"name" minLength:"1" maxLength:"100"`
		Permissions []authz.Permission `json:"permissions" minItems:"1" maxItems:"100"`
		ExpiresAt   time.Time          `json:"expires_at" doc:"At most a year from now"`
	}
}

func (a *api) tokens(ctx context.Context, c *Core, in *web.Page) (*web.List[tokenBody], error) {
	p, err := c.Account.Tokens(ctx, work.ActorFrom(ctx), in.Request())
	if err != nil {
		return nil, err
	}
	return web.ListOf(p, showToken), nil
}

func (a *api) createToken(ctx context.Context, c *Core, in *createTokenInput) (*web.Resource[tokenBody], error) {
	made, err := c.Account.CreateToken(ctx, work.ActorFrom(ctx), internalapi.TokenCreate{
		Name: in.Body.Name, Permissions: in.Body.Permissions, ExpiresAt: in.Body.ExpiresAt,
	})
	if err != nil {
		return nil, err
	}
	b := showToken(made.Token)
	b.Token = made.Secret
	return web.Created(b, 0, base+"/me/tokens/"+b.ID.String()), nil
}

func (a *api) deleteToken(ctx context.Context, c *Core, in *web.ByID) (*web.Empty, error) {
	return nil, c.Account.DeleteToken(ctx, work.ActorFrom(ctx), in.ID)
}
