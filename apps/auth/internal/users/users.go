// Package users asks the user service, which owns people, passwords, second
// factors, clients, personal access tokens, identity providers and the durable
// copy of the signing keys. The invoker adds auth's own
// service token.
package users

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/contracts/internalapi"
	"lms/shared/dapr"
)

// Invoker is what this package needs of *dapr.Client.
type Invoker interface {
	Invoke(ctx context.Context, call dapr.Call) (int, error)
}

// Client speaks to the user service.
type Client struct {
	invoker Invoker
}

// New makes the client.
func New(invoker Invoker) *Client { return &Client{invoker: invoker} }

const app = "user"

// Times that a call may take. Checking a password is slow on purpose, and may
// wait for its turn.
const (
	quick = 5 * time.Second
	slow  = 15 * time.Second
)

func (c *Client) call(ctx context.Context, call dapr.Call) error {
	call.App = app
	if call.Timeout == 0 {
		call.Timeout = quick
	}
	_, err := c.invoker.Invoke(ctx, call)
	return err
}

func post[Out any](ctx context.Context, c *Client, path string, in any, o ...func(*dapr.Call)) (out Out, err error) {
	call := dapr.Call{Method: http.MethodPost, Path: path, Body: in, Out: &out}
	for _, set := range o {
		set(&call)
	}
	err = c.call(ctx, call)
	return out, err
}

func done(ctx context.Context, c *Client, path string, in any, o ...func(*dapr.Call)) error {
	_, err := post[internalapi.Done](ctx, c, path, in, o...)
	return err
}

// again marks a call that may be sent twice without harm.
func again(call *dapr.Call) { call.Idempotent = true }

// hashing marks a call that computes a password hash.
func hashing(call *dapr.Call) { call.Timeout = slow }

func withID(path string, id uuid.UUID) string {
	return strings.Replace(path, "{id}", url.PathEscape(id.String()), 1)
}

// Subject reads status, grants and epoch of a person.
func (c *Client) Subject(ctx context.Context, id uuid.UUID) (out internalapi.LoginSubject, err error) {
	err = c.call(ctx, dapr.Call{Path: withID(internalapi.PathUserSubject, id), Out: &out})
	return out, err
}

// Report writes a line of the security audit; a repeated id counts once.
func (c *Client) Report(ctx context.Context, e internalapi.SecurityEvent) error {
	return done(ctx, c, internalapi.PathSecurityEvents, e, again)
}

// VerifyPassword checks an address and a password.
func (c *Client) VerifyPassword(ctx context.Context, in internalapi.CredentialsRequest) (internalapi.LoginReply, error) {
	return post[internalapi.LoginReply](ctx, c, internalapi.PathCredentialsVerify, in, hashing)
}

// VerifyCode checks a code of the second factor.
func (c *Client) VerifyCode(ctx context.Context, in internalapi.MFARequest) (internalapi.LoginReply, error) {
	return post[internalapi.LoginReply](ctx, c, internalapi.PathMFAVerify, in)
}

// VerifyClient checks a client's secret.
func (c *Client) VerifyClient(ctx context.Context, in internalapi.ClientVerify) (internalapi.ClientReply, error) {
	return post[internalapi.ClientReply](ctx, c, internalapi.PathClientsVerify, in, again)
}

// VerifyToken checks a personal access token.
func (c *Client) VerifyToken(ctx context.Context, in internalapi.TokenVerify) (internalapi.TokenReply, error) {
	return post[internalapi.TokenReply](ctx, c, internalapi.PathTokensVerify, in, again)
}

// Impersonate asks whether the acting person may act as another.
func (c *Client) Impersonate(ctx context.Context, in internalapi.ImpersonateRequest) (internalapi.LoginSubject, error) {
	return post[internalapi.LoginSubject](ctx, c, internalapi.PathImpersonate, in)
}

// ResolveSSO finds or makes the account that a provider vouches for.
func (c *Client) ResolveSSO(ctx context.Context, in internalapi.SSORequest) (internalapi.LoginReply, error) {
	return post[internalapi.LoginReply](ctx, c, internalapi.PathSSOResolve, in)
}

// Provider reads an enabled identity provider with its client secret.
func (c *Client) Provider(ctx context.Context, id uuid.UUID) (out internalapi.IDPSecret, err error) {
	err = c.call(ctx, dapr.Call{Path: withID(internalapi.PathIDPSecret, id), Out: &out})
	return out, err
}

// SigningKeys reads the sealed keys.
func (c *Client) SigningKeys(ctx context.Context) (out internalapi.SigningKeys, err error) {
	err = c.call(ctx, dapr.Call{Path: internalapi.PathSigningKeys, Out: &out})
	return out, err
}

// PutSigningKeys replaces the sealed keys; 409 when another replica was faster.
func (c *Client) PutSigningKeys(ctx context.Context, set internalapi.SigningKeys) error {
	return c.call(ctx, dapr.Call{Method: http.MethodPut, Path: internalapi.PathSigningKeys, Body: set})
}
