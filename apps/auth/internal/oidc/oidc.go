// Package oidc speaks OpenID Connect with identity providers: discovery, the
// authorization code with PKCE (S256), and the ID token. It speaks to hosts that
// the operator allows and to no other, whatever an administrator enters or a
// provider's discovery document says.
package oidc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"lms/apps/auth/internal/signin"
	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
)

// Limits of the conversation with a provider.
const (
	timeout      = 10 * time.Second // of one request
	maxAnswer    = 1 << 20
	discoveryAge = 10 * time.Minute
	maxProviders = 1000 // discovery documents in memory
)

// Providers is a signin.Providers.
type Providers struct {
	issuers []string
	hosts   []string
	client  *http.Client
	now     func() time.Time

	mu    sync.Mutex
	known map[string]known
}

type known struct {
	provider *oidc.Provider
	at       time.Time
}

// Options of New.
type Options struct {
	// Issuers that may be spoken to, exactly as they name themselves. "https"
	// only, but for loopback addresses.
	Issuers []string
	// Hosts that discovery documents may point to, besides each issuer's own:
	// "accounts.example.com" or "127.0.0.1:8081".
	Hosts []string
	Now   func() time.Time
	// Transport is for tests; the default has timeouts and no proxy.
	Transport http.RoundTripper
}

// New checks the options.
func New(o Options) (*Providers, error) {
	p := &Providers{issuers: o.Issuers, hosts: slices.Clone(o.Hosts), now: o.Now, known: map[string]known{}}
	for _, raw := range o.Issuers {
		u, err := url.Parse(raw)
		if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return nil, fmt.Errorf("issuer %q is no URL of an issuer", raw)
		}
		if u.Scheme != "https" && !loopback(u) {
			return nil, fmt.Errorf("issuer %q is not https", raw)
		}
		p.hosts = append(p.hosts, u.Host)
	}
	transport := o.Transport
	if transport == nil {
		transport = &http.Transport{
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: 5 * time.Second,
			ResponseHeaderTimeout: timeout, IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 4, MaxConnsPerHost: 32,
		}
	}
	p.client = &http.Client{
		Timeout:   timeout,
		Transport: fence{p, transport},
		// A redirect could lead to any address.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return p, nil
}

func loopback(u *url.URL) bool {
	h := u.Hostname()
	return u.Scheme == "http" && (h == "127.0.0.1" || h == "::1" || h == "localhost")
}

// fence refuses every request to a host that is not allowed, and cuts answers
// that are too long.
type fence struct {
	p    *Providers
	next http.RoundTripper
}

var errFenced = errors.New("the provider points to a host that is not allowed")

// RoundTrip implements http.RoundTripper.
func (f fence) RoundTrip(req *http.Request) (*http.Response, error) {
	if !f.p.mayAsk(req.URL) {
		return nil, fmt.Errorf("%w: %s", errFenced, req.URL.Host)
	}
	resp, err := f.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	return resp, nil
}

func (p *Providers) mayAsk(u *url.URL) bool {
	return (u.Scheme == "https" || loopback(u)) && u.User == nil && slices.Contains(p.hosts, u.Host)
}

// Allowed says whether an issuer may be spoken to.
func (p *Providers) Allowed(issuer string) bool { return slices.Contains(p.issuers, issuer) }

// Start is where the browser is sent.
func (p *Providers) Start(ctx context.Context, idp internalapi.IDPSecret, a signin.Authorization) (string, error) {
	config, _, err := p.config(ctx, idp, a)
	if err != nil {
		return "", err
	}
	target := config.AuthCodeURL(a.State, oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier))
	u, err := url.Parse(target)
	if err != nil || !p.mayAsk(u) {
		return "", unavailable(fmt.Errorf("%w: %s", errFenced, target))
	}
	return target, nil
}

func unavailable(cause error) error {
	return apperr.Unavailable("identity_provider_unavailable", "The identity provider cannot be reached at the moment. Try again.").With(cause)
}

func refused(cause error) error {
	return apperr.New(apperr.KindForbidden, "sso_refused", "The identity provider's answer was not accepted. Begin again.").With(cause)
}

func (p *Providers) config(ctx context.Context, idp internalapi.IDPSecret, a signin.Authorization) (*oauth2.Config, *oidc.Provider, error) {
	provider, err := p.discover(ctx, idp.Provider.Issuer)
	if err != nil {
		return nil, nil, unavailable(err)
	}
	scopes := idp.Provider.Scopes
	if len(scopes) == 0 {
		scopes = []string{"email", "profile"}
	}
	if !slices.Contains(scopes, oidc.ScopeOpenID) {
		scopes = append([]string{oidc.ScopeOpenID}, scopes...)
	}
	return &oauth2.Config{
		ClientID: idp.Provider.ClientID, ClientSecret: idp.ClientSecret, Endpoint: provider.Endpoint(),
		RedirectURL: a.RedirectURI, Scopes: scopes,
	}, provider, nil
}

// discover reads a provider's document, and again after ten minutes.
func (p *Providers) discover(ctx context.Context, issuer string) (*oidc.Provider, error) {
	if !p.Allowed(issuer) {
		return nil, fmt.Errorf("issuer %q is not allowed", issuer)
	}
	p.mu.Lock()
	k, ok := p.known[issuer]
	p.mu.Unlock()
	if ok && p.now().Sub(k.at) < discoveryAge {
		return k.provider, nil
	}
	// The provider keeps the client of this context for reading keys later, so
	// that the context must not end with the request.
	provider, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), p.client), issuer)
	if err != nil {
		if ok {
			return k.provider, nil // yesterday's document is better than none
		}
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.known) >= maxProviders {
		clear(p.known)
	}
	p.known[issuer] = known{provider, p.now()}
	return provider, nil
}

// claims of an ID token that sign-in uses.
type claims struct {
	Nonce         string `json:"nonce"`
	Email         string `json:"email"`
	EmailVerified flag   `json:"email_verified"`
	Name          string `json:"name"`
	GivenName     string `json:"given_name"`
	FamilyName    string `json:"family_name"`
	Locale        string `json:"locale"`
	AuthorizedFor string `json:"azp"`
}

// flag is a boolean that some providers write as a string.
type flag bool

// UnmarshalJSON implements json.Unmarshaler; anything but true is false.
func (f *flag) UnmarshalJSON(b []byte) error {
	*f = flag(strings.Trim(string(b), `"`) == "true")
	return nil
}

// algorithms of ID tokens: asymmetric ones only. With a symmetric one, or none,
// whoever knows the client's secret could make tokens.
var algorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.ES256, oidc.ES384, oidc.EdDSA}

// Finish exchanges the code and verifies the ID token: signature, issuer,
// audience, expiry and nonce.
func (p *Providers) Finish(ctx context.Context, idp internalapi.IDPSecret, a signin.Authorization, code string) (signin.Identity, error) {
	config, provider, err := p.config(ctx, idp, a)
	if err != nil {
		return signin.Identity{}, err
	}
	ctx = oidc.ClientContext(ctx, p.client)
	tokens, err := config.Exchange(ctx, code, oauth2.VerifierOption(a.Verifier))
	var answered *oauth2.RetrieveError
	if errors.As(err, &answered) && answered.Response != nil && answered.Response.StatusCode < http.StatusInternalServerError {
		return signin.Identity{}, refused(err)
	}
	if err != nil {
		return signin.Identity{}, unavailable(err)
	}
	raw, ok := tokens.Extra("id_token").(string)
	if !ok {
		return signin.Identity{}, refused(errors.New("no ID token"))
	}
	verifier := provider.VerifierContext(oidc.ClientContext(context.WithoutCancel(ctx), p.client), &oidc.Config{
		ClientID: idp.Provider.ClientID, SupportedSigningAlgs: algorithms, Now: p.now,
	})
	id, err := verifier.Verify(ctx, raw)
	if err != nil {
		return signin.Identity{}, refused(err)
	}
	var c claims
	if err := id.Claims(&c); err != nil {
		return signin.Identity{}, refused(err)
	}
	switch {
	case id.Nonce == "" || id.Nonce != a.Nonce:
		return signin.Identity{}, refused(errors.New("the nonce is not the one that was sent"))
	case len(id.Audience) > 1 && c.AuthorizedFor != idp.Provider.ClientID:
		return signin.Identity{}, refused(errors.New("the token was made for another client"))
	case id.Subject == "" || len(id.Subject) > 255:
		return signin.Identity{}, refused(errors.New("no subject"))
	}
	return signin.Identity{
		Subject: id.Subject, Email: c.Email, EmailVerified: bool(c.EmailVerified),
		Name: c.Name, GivenName: c.GivenName, FamilyName: c.FamilyName, Locale: c.Locale,
	}, nil
}
