package edge

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/singleflight"

	"lms/shared/apperr"
	"lms/shared/authn"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/dapr"
)

// caller is who sends a request, as far as the gateway needs to know.
type caller struct {
	address   netip.Addr
	requestID string
	principal authz.Principal
	claims    authn.Claims
	token     string // what services get: the access token, or "" for nobody
	exchanged bool   // from a personal access token, so without a session
}

func (c *caller) anonymous() bool { return c.token == "" }

var (
	errBadToken     = apperr.Unauthenticated("invalid_token", "The access token is not valid.")
	errBasic        = apperr.Unauthenticated("invalid_token", "Basic authentication is taken at /oauth2 only. Send a Bearer token.")
	errSessionEnded = apperr.Unauthenticated("session_ended", "The session has ended. Sign in again.")
)

// identify finds out who calls: before anything else is done for a request.
func (g *Gateway) identify(r *http.Request, rt *Route, c *caller) error {
	values := r.Header["Authorization"]
	if len(values) == 0 || rt.Anonymous {
		return nil
	}
	if len(values) > 1 {
		return errBadToken
	}
	scheme, raw, _ := strings.Cut(values[0], " ")
	if strings.EqualFold(scheme, "Basic") {
		return errBasic
	}
	if !strings.EqualFold(scheme, "Bearer") || raw == "" {
		return errBadToken
	}
	if strings.HasPrefix(raw, internalapi.PersonalTokenPrefix) {
		token, err := g.personal.exchange(r.Context(), raw, internalapi.From{IP: c.address.String(), UserAgent: clip(r.UserAgent()), RequestID: c.requestID})
		if err != nil {
			return err
		}
		raw, c.exchanged = token, true
	}
	var err error
	if c.principal, c.claims, err = g.verifier.Verify(r.Context(), raw); err != nil {
		return err //nolint:wrapcheck // already an apperr
	}
	if c.principal.UserID == uuid.Nil {
		return errBadToken // a service's token has no business at the edge
	}
	if !c.exchanged {
		if err := g.sessions.check(r.Context(), c.principal, c.claims.Epoch); err != nil {
			return err
		}
	}
	c.token = raw
	return nil
}

func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), 256)], "") }

// personal exchanges personal access tokens for access tokens, which it keeps
// as long as auth allows: two seconds.
type personal struct {
	ask func(ctx context.Context, call dapr.Call) (int, error)
	now func() time.Time

	flight singleflight.Group
	mu     sync.Mutex
	kept   map[[32]byte]exchanged
}

type exchanged struct {
	token string
	err   error
	until time.Time
}

// keptFor is how long a verdict about a session or a token serves without
// being asked for again.
const keptFor = 2 * time.Second

func (p *personal) exchange(ctx context.Context, raw string, from internalapi.From) (string, error) {
	if len(raw) > 256 {
		return "", errBadToken
	}
	key := sha256.Sum256([]byte(raw))
	p.mu.Lock()
	e, ok := p.kept[key]
	p.mu.Unlock()
	if ok && p.now().Before(e.until) {
		return e.token, e.err
	}
	v, err, _ := p.flight.Do(string(key[:]), func() (any, error) {
		var out internalapi.ExchangedToken
		_, err := p.ask(context.WithoutCancel(ctx), dapr.Call{
			App: auth, Method: http.MethodPost, Path: internalapi.PathExchangeToken, Idempotent: true, Timeout: 2 * time.Second,
			Body: internalapi.ExchangeRequest{Token: raw, From: from}, Out: &out,
		})
		if err != nil && !apperr.IsKind(err, apperr.KindUnauthenticated) {
			return "", err // away, not refused: ask again next time
		}
		p.keep(key, exchanged{token: out.AccessToken, err: err, until: p.now().Add(keptFor)})
		return out.AccessToken, err
	})
	if err != nil {
		return "", err //nolint:wrapcheck // already an apperr
	}
	token, _ := v.(string)
	return token, nil
}

func (p *personal) keep(key [32]byte, e exchanged) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.kept) >= maxKept {
		now := p.now()
		for k, old := range p.kept {
			if !now.Before(old.until) || len(p.kept) >= maxKept {
				delete(p.kept, k)
			}
		}
	}
	p.kept[key] = e
}

// maxKept bounds each of the gateway's caches of verdicts, in entries.
const maxKept = 20_000

// translateBasic turns HTTP Basic credentials of an OAuth client into the form
// fields that mean the same (RFC 6749, 2.3.1): a sidecar reads a Basic header
// with the user name dapr-app-id as an order to call another app.
func translateBasic(r *http.Request) error {
	values := r.Header["Authorization"]
	if len(values) == 0 || !strings.HasPrefix(strings.ToLower(values[0]), "basic ") {
		return nil
	}
	id, secret, ok := r.BasicAuth()
	id, err1 := url.QueryUnescape(id)
	secret, err2 := url.QueryUnescape(secret)
	if !ok || len(values) > 1 || err1 != nil || err2 != nil || strings.EqualFold(id, "dapr-app-id") {
		return apperr.Unauthenticated("invalid_client", "The client's credentials cannot be read.")
	}
	if r.Method != http.MethodPost {
		return apperr.Malformed("invalid_request", "Client credentials belong into a POST.")
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return bodyError(err)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return apperr.Malformed("invalid_request", "The form cannot be read.").With(err)
	}
	if form.Has("client_secret") || form.Has("client_id") && form.Get("client_id") != id {
		return apperr.Malformed("invalid_request", "Send the client's credentials once.")
	}
	form.Set("client_id", id)
	form.Set("client_secret", secret)
	encoded := []byte(form.Encode())
	r.Header.Del("Authorization")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(encoded)), int64(len(encoded))
	return nil
}
