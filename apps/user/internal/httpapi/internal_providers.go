package httpapi

import (
	"context"
	"encoding/json"
	"net/http"

	"lms/apps/user/internal/identity"
	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
	"lms/shared/patch"
	"lms/shared/web"
)

func (a *API) providerRoutes(r *web.Router) {
	post := func(path, id, summary string) web.Op { return forAuth(http.MethodPost, path, id, summary) }
	web.Register(r, post(internalapi.PathIDPList, "internal-list-providers", "Identity providers that the acting person may see"), a.listProviders)
	web.Register(r, post(internalapi.PathIDPCreate, "internal-create-provider", "Make an identity provider"), a.createProvider)
	web.Register(r, post(internalapi.PathIDPUpdate, "internal-update-provider", "Change an identity provider"), a.updateProvider)
	web.Register(r, post(internalapi.PathIDPDelete, "internal-delete-provider", "Delete an identity provider"), a.deleteProvider)
	web.Register(r, post(internalapi.PathIDPPublic, "internal-public-providers", "What a login page shows"), a.publicProviders)
	web.Register(r, forAuth(http.MethodGet, internalapi.PathIDPSecret, "internal-provider-secret", "An enabled provider with its secret"), a.providerSecret)
	web.Register(r, forAuth(http.MethodGet, internalapi.PathSigningKeys, "internal-get-signing-keys", "auth's sealed keys"), a.getSigningKeys)
	web.Register(r, forAuth(http.MethodPut, internalapi.PathSigningKeys, "internal-put-signing-keys", "Replace auth's sealed keys"), a.putSigningKeys)
}

func provider(p identity.Provider) internalapi.IdentityProvider {
	return internalapi.IdentityProvider{
		ID: p.ID, TenantID: p.TenantID, OrgUnitID: p.OrgUnitID, Name: p.Name, Issuer: p.Issuer, ClientID: p.ClientID,
		Scopes: append([]string{}, p.Scopes...), Enabled: p.Enabled, CreateUsers: p.CreateUsers, LinkByEmail: p.LinkByEmail,
		AllowedDomains: append([]string{}, p.AllowedDomains...), CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt, Version: p.Version,
	}
}

func shownProvider(p identity.Provider, err error) (*web.Resource[internalapi.IdentityProvider], error) {
	if err != nil {
		return nil, err
	}
	return web.Res(provider(p), 0), nil
}

func (a *API) listProviders(ctx context.Context, in *listInput) (*web.Resource[internalapi.IDPPage], error) {
	ctx, p, err := a.acting(ctx, in.Body.Acting)
	if err != nil {
		return nil, err
	}
	found, err := a.Service.ListProviders(ctx, p, wanted(in.Body.Limit, in.Body.Cursor))
	if err != nil {
		return nil, err
	}
	return web.Res(internalapi.IDPPage{Items: each(found.Items, provider), NextCursor: found.NextCursor}, 0), nil
}

type idpCreateInput struct{ Body internalapi.IDPCreate }

func (a *API) createProvider(ctx context.Context, in *idpCreateInput) (*web.Resource[internalapi.IdentityProvider], error) {
	b := in.Body
	ctx, p, err := a.changing(ctx, b.Acting)
	if err != nil {
		return nil, err
	}
	return shownProvider(a.Service.CreateProvider(ctx, p, identity.NewProvider{
		OrgUnitID: b.OrgUnitID, Name: b.Name, Issuer: b.Issuer, ClientID: b.ClientID, ClientSecret: b.ClientSecret, Scopes: b.Scopes,
		Enabled: b.Enabled, CreateUsers: b.CreateUsers, LinkByEmail: b.LinkByEmail, AllowedDomains: b.AllowedDomains,
	}))
}

// set is a field of a patch that is there when the pointer is not nil.
func set[T any](v *T) patch.Field[T] {
	if v == nil {
		return patch.Field[T]{}
	}
	return patch.Of(*v)
}

type idpUpdateInput struct{ Body internalapi.IDPUpdate }

func (a *API) updateProvider(ctx context.Context, in *idpUpdateInput) (*web.Resource[internalapi.IdentityProvider], error) {
	b := in.Body
	ctx, p, err := a.changing(ctx, b.Acting)
	if err != nil {
		return nil, err
	}
	return shownProvider(a.Service.UpdateProvider(ctx, p, b.ID, b.Version, identity.ProviderPatch{
		Name: set(b.Name), ClientID: set(b.ClientID), ClientSecret: set(b.ClientSecret), Scopes: set(b.Scopes), Enabled: set(b.Enabled),
		CreateUsers: set(b.CreateUsers), LinkByEmail: set(b.LinkByEmail), AllowedDomains: set(b.AllowedDomains),
	}))
}

func (a *API) deleteProvider(ctx context.Context, in *actingOnInput) (*web.Resource[internalapi.Done], error) {
	ctx, p, err := a.changing(ctx, in.Body.Acting)
	if err != nil {
		return nil, err
	}
	return done(a.Service.DeleteProvider(ctx, p, in.Body.ID))
}

type emptyInput struct{ Body internalapi.Empty }

func (a *API) publicProviders(ctx context.Context, _ *emptyInput) (*web.Resource[internalapi.IDPPublicList], error) {
	found, err := a.Service.PublicProviders(ctx)
	if err != nil {
		return nil, err
	}
	return web.Res(internalapi.IDPPublicList{Items: each(found, func(p identity.Provider) internalapi.IDPPublic {
		return internalapi.IDPPublic{ID: p.ID, Name: p.Name}
	})}, 0), nil
}

func (a *API) providerSecret(ctx context.Context, in *web.ByID) (*web.Resource[internalapi.IDPSecret], error) {
	p, secret, err := a.Service.ProviderSecret(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return web.Res(internalapi.IDPSecret{Provider: provider(p), ClientSecret: secret}, 0), nil
}

func (a *API) getSigningKeys(ctx context.Context, _ *struct{}) (*web.Resource[internalapi.SigningKeys], error) {
	version, document, err := a.Service.SigningKeys(ctx)
	if err != nil {
		return nil, err
	}
	out := internalapi.SigningKeys{Version: version, Keys: []internalapi.SealedSigningKey{}}
	if version > 0 {
		if err := json.Unmarshal(document, &out.Keys); err != nil {
			return nil, apperr.Internal(err)
		}
	}
	return web.Res(out, 0), nil
}

type signingKeysInput struct{ Body internalapi.SigningKeys }

// putSigningKeys answers the set with its new version.
func (a *API) putSigningKeys(ctx context.Context, in *signingKeysInput) (*web.Resource[internalapi.SigningKeys], error) {
	document, err := json.Marshal(in.Body.Keys)
	if err != nil {
		return nil, apperr.Internal(err)
	}
	version, err := a.Service.PutSigningKeys(ctx, in.Body.Version, document)
	if err != nil {
		return nil, err
	}
	return web.Res(internalapi.SigningKeys{Version: version, Keys: in.Body.Keys}, 0), nil
}
