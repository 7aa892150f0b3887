package users

import (
	"context"

	"lms/shared/contracts/internalapi"
)

// PasswordForgot asks for a reset mail, with equal work for unknown addresses.
func (c *Client) PasswordForgot(ctx context.Context, in internalapi.EmailRequest) error {
	return done(ctx, c, internalapi.PathPasswordForgot, in)
}

// PasswordReset sets a password by the token of a mail.
func (c *Client) PasswordReset(ctx context.Context, in internalapi.TokenPassword) (internalapi.AccountReply, error) {
	return post[internalapi.AccountReply](ctx, c, internalapi.PathPasswordReset, in, hashing)
}

// PasswordChange sets a password by the current one.
func (c *Client) PasswordChange(ctx context.Context, in internalapi.PasswordChange) error {
	return done(ctx, c, internalapi.PathPasswordChange, in, hashing)
}

// EmailVerify confirms an address by the token of a mail.
func (c *Client) EmailVerify(ctx context.Context, in internalapi.TokenRequest) (internalapi.AccountReply, error) {
	return post[internalapi.AccountReply](ctx, c, internalapi.PathEmailVerify, in)
}

// EmailResend asks for another confirmation mail.
func (c *Client) EmailResend(ctx context.Context, in internalapi.EmailRequest) error {
	return done(ctx, c, internalapi.PathEmailResend, in)
}

// AcceptInvitation makes an invited account active.
func (c *Client) AcceptInvitation(ctx context.Context, in internalapi.InvitationAccept) (internalapi.AccountReply, error) {
	return post[internalapi.AccountReply](ctx, c, internalapi.PathInvitationAccept, in, hashing)
}

// TOTPBegin makes the secret of a second factor.
func (c *Client) TOTPBegin(ctx context.Context, in internalapi.ActingRequest) (internalapi.TOTPSetup, error) {
	return post[internalapi.TOTPSetup](ctx, c, internalapi.PathTOTPBegin, in)
}

// TOTPConfirm switches the second factor on.
func (c *Client) TOTPConfirm(ctx context.Context, in internalapi.TOTPConfirm) (internalapi.RecoveryCodes, error) {
	return post[internalapi.RecoveryCodes](ctx, c, internalapi.PathTOTPConfirm, in, hashing)
}

// TOTPRemove switches the second factor off.
func (c *Client) TOTPRemove(ctx context.Context, in internalapi.PasswordProof) error {
	return done(ctx, c, internalapi.PathTOTPRemove, in, hashing)
}

// RecoveryCodes makes new recovery codes.
func (c *Client) RecoveryCodes(ctx context.Context, in internalapi.PasswordProof) (internalapi.RecoveryCodes, error) {
	return post[internalapi.RecoveryCodes](ctx, c, internalapi.PathRecoveryCodes, in, hashing)
}

// Clients lists service accounts.
func (c *Client) Clients(ctx context.Context, in internalapi.ListRequest) (internalapi.ClientPage, error) {
	return post[internalapi.ClientPage](ctx, c, internalapi.PathClientsList, in, again)
}

// CreateClient makes a service account with its first secret.
func (c *Client) CreateClient(ctx context.Context, in internalapi.ClientCreate) (internalapi.ClientSecret, error) {
	return post[internalapi.ClientSecret](ctx, c, internalapi.PathClientsCreate, in)
}

// DeleteClient removes a service account.
func (c *Client) DeleteClient(ctx context.Context, in internalapi.ActingOn) error {
	return done(ctx, c, internalapi.PathClientsDelete, in)
}

// AddClientSecret makes a further secret.
func (c *Client) AddClientSecret(ctx context.Context, in internalapi.ClientSecretCreate) (internalapi.ClientSecret, error) {
	return post[internalapi.ClientSecret](ctx, c, internalapi.PathClientsSecret, in)
}

// SetClientGrants replaces what a service account may do.
func (c *Client) SetClientGrants(ctx context.Context, in internalapi.ClientGrants) (internalapi.Client, error) {
	return post[internalapi.Client](ctx, c, internalapi.PathClientsGrants, in)
}

// Tokens lists the acting person's personal access tokens.
func (c *Client) Tokens(ctx context.Context, in internalapi.ListRequest) (internalapi.TokenPage, error) {
	return post[internalapi.TokenPage](ctx, c, internalapi.PathTokensList, in, again)
}

// CreateToken makes a personal access token.
func (c *Client) CreateToken(ctx context.Context, in internalapi.TokenCreate) (internalapi.TokenCreated, error) {
	return post[internalapi.TokenCreated](ctx, c, internalapi.PathTokensCreate, in)
}

// DeleteToken revokes a personal access token.
func (c *Client) DeleteToken(ctx context.Context, in internalapi.ActingOn) error {
	return done(ctx, c, internalapi.PathTokensDelete, in)
}

// ProviderList lists identity providers.
func (c *Client) ProviderList(ctx context.Context, in internalapi.ListRequest) (internalapi.IDPPage, error) {
	return post[internalapi.IDPPage](ctx, c, internalapi.PathIDPList, in, again)
}

// CreateProvider makes an identity provider.
func (c *Client) CreateProvider(ctx context.Context, in internalapi.IDPCreate) (internalapi.IdentityProvider, error) {
	return post[internalapi.IdentityProvider](ctx, c, internalapi.PathIDPCreate, in)
}

// UpdateProvider changes an identity provider.
func (c *Client) UpdateProvider(ctx context.Context, in internalapi.IDPUpdate) (internalapi.IdentityProvider, error) {
	return post[internalapi.IdentityProvider](ctx, c, internalapi.PathIDPUpdate, in)
}

// DeleteProvider removes an identity provider.
func (c *Client) DeleteProvider(ctx context.Context, in internalapi.ActingOn) error {
	return done(ctx, c, internalapi.PathIDPDelete, in)
}

// PublicProviders lists what a login page shows.
func (c *Client) PublicProviders(ctx context.Context) (internalapi.IDPPublicList, error) {
	return post[internalapi.IDPPublicList](ctx, c, internalapi.PathIDPPublic, internalapi.Empty{}, again)
}
