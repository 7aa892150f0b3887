package signin

import (
	"context"
	"crypto/hmac"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
)

// Providers speaks OpenID Connect.
type Providers interface {
	// Allowed says whether the operator lets an issuer be spoken to at all.
	Allowed(issuer string) bool
	// Start is where the browser is sent.
	Start(ctx context.Context, p internalapi.IDPSecret, a Authorization) (string, error)
	// Finish exchanges the code and verifies the ID token, its nonce included.
	Finish(ctx context.Context, p internalapi.IDPSecret, a Authorization, code string) (Identity, error)
}

// Authorization is one authorization request.
type Authorization struct{ State, Nonce, Verifier, RedirectURI string }

// Identity is what a provider vouches for.
type Identity struct {
	Subject, Email, Name, GivenName, FamilyName, Locale string
	EmailVerified                                       bool
}

// Flow is a sign-in that is under way at a provider. It works once, and only in
// the browser that began it.
type Flow struct {
	Provider uuid.UUID `json:"provider"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"`
	Browser  string    `json:"browser"` // hash of the browser's cookie
	ReturnTo string    `json:"return_to,omitempty"`
	LinkTo   uuid.UUID `json:"link_to"`
	Device   string    `json:"device,omitempty"`
	Ends     time.Time `json:"exp"`
}

// FlowEnds is when a flow ends.
func FlowEnds(f *Flow) time.Time { return f.Ends }

var (
	errFlow   = apperr.Malformed("sso_state_invalid", "The sign-in took too long or was begun elsewhere. Begin again.")
	errReturn = apperr.Invalid(apperr.Field{Path: "query.return_to", Code: "not_allowed", Message: "is not a page that may be returned to"})
)

// SSOStart is a wish to sign in at a provider.
type SSOStart struct {
	Provider uuid.UUID
	ReturnTo string // "" for an answer in JSON
	Device   string
	LinkTo   uuid.UUID // the signed-in person who links the account
}

// SSORedirect is where the browser goes, and the cookie that binds the flow to it.
type SSORedirect struct {
	URL     string
	Browser string
	Life    time.Duration
}

// StartSSO begins a sign-in at a provider. 404 for one that is not there or
// switched off, 422 for a page that may not be returned to.
func (s *Service) StartSSO(ctx context.Context, in SSOStart) (SSORedirect, error) {
	if !s.mayReturnTo(in.ReturnTo) {
		return SSORedirect{}, errReturn
	}
	p, err := s.provider(ctx, in.Provider)
	if err != nil {
		return SSORedirect{}, err
	}
	a := Authorization{State: secret(), Nonce: secret(), Verifier: secret(), RedirectURI: s.callback(in.Provider)}
	browser := secret()
	target, err := s.Providers.Start(ctx, p, a)
	if err != nil {
		return SSORedirect{}, err
	}
	err = s.Flows.Create(ctx, hashed("sso.", a.State), &Flow{
		Provider: in.Provider, Nonce: a.Nonce, Verifier: a.Verifier, Browser: hashed("", browser),
		ReturnTo: in.ReturnTo, LinkTo: in.LinkTo, Device: in.Device, Ends: s.Now().Add(s.Lives.Flow),
	})
	if err != nil {
		return SSORedirect{}, err
	}
	return SSORedirect{URL: target, Browser: browser, Life: s.Lives.Flow}, nil
}

func (s *Service) provider(ctx context.Context, id uuid.UUID) (internalapi.IDPSecret, error) {
	p, err := s.Users.Provider(ctx, id)
	if err != nil {
		return p, err
	}
	if !p.Provider.Enabled || !s.Providers.Allowed(p.Provider.Issuer) {
		return p, apperr.NotFound("identity provider")
	}
	return p, nil
}

func (s *Service) callback(id uuid.UUID) string {
	return strings.TrimSuffix(s.PublicURL, "/") + "/api/v1/auth/sso/" + id.String() + "/callback"
}

// mayReturnTo allows paths of our own, and pages of the configured origins. It
// refuses whatever a browser could read as another host.
func (s *Service) mayReturnTo(target string) bool {
	if target == "" {
		return true
	}
	if len(target) > 1024 || strings.ContainsAny(target, "\\\r\n\t ") {
		return false
	}
	u, err := url.Parse(target)
	if err != nil || u.User != nil || u.Fragment != "" {
		return false
	}
	if u.Scheme == "" && u.Host == "" {
		return strings.HasPrefix(target, "/") && !strings.HasPrefix(target, "//")
	}
	return slices.Contains(s.Origins, u.Scheme+"://"+u.Host)
}

// SSOReturn is a browser that comes back from a provider.
type SSOReturn struct {
	Provider    uuid.UUID
	State, Code string
	Error       string // of the provider, such as access_denied
	Browser     string // the cookie
	Caller      Caller
}

// SSOOutcome says how it went and where the browser goes on.
type SSOOutcome struct {
	Outcome
	ReturnTo string
	Linked   bool
}

// FinishSSO ends a sign-in at a provider. ReturnTo is set once the flow was
// found, also together with an error.
func (s *Service) FinishSSO(ctx context.Context, in SSOReturn) (SSOOutcome, error) {
	f, err := s.Flows.Get(ctx, hashed("sso.", in.State))
	if err != nil {
		return SSOOutcome{}, err
	}
	// Checked before it is taken: a link that somebody else was lured to does
	// not spoil the flow of the one who began it.
	if f == nil || f.Provider != in.Provider || !hmac.Equal([]byte(f.Browser), []byte(hashed("", in.Browser))) {
		return SSOOutcome{}, errFlow
	}
	if f, err = s.Flows.Take(ctx, hashed("sso.", in.State)); err != nil {
		return SSOOutcome{}, err
	}
	if f == nil {
		return SSOOutcome{}, errFlow
	}
	out := SSOOutcome{ReturnTo: f.ReturnTo, Linked: f.LinkTo != uuid.Nil}
	if in.Error != "" || in.Code == "" {
		return out, apperr.New(apperr.KindForbidden, "sso_denied", "The identity provider did not sign you in.").With(errors.New(in.Error))
	}
	out.Outcome, err = s.vouched(ctx, f, in)
	return out, err
}

func (s *Service) vouched(ctx context.Context, f *Flow, in SSOReturn) (Outcome, error) {
	p, err := s.provider(ctx, f.Provider)
	if err != nil {
		return Outcome{}, err
	}
	who, err := s.Providers.Finish(ctx, p, Authorization{
		State: in.State, Nonce: f.Nonce, Verifier: f.Verifier, RedirectURI: s.callback(f.Provider),
	}, in.Code)
	if err != nil {
		return Outcome{}, err
	}
	reply, err := s.Users.ResolveSSO(ctx, internalapi.SSORequest{
		ProviderID: f.Provider, Subject: who.Subject, Email: who.Email, EmailVerified: who.EmailVerified,
		Name: who.Name, GivenName: who.GivenName, FamilyName: who.FamilyName, Locale: who.Locale,
		LinkTo: f.LinkTo, Device: f.Device, From: in.Caller.from(),
	})
	if err != nil {
		return Outcome{}, err
	}
	if !reply.OK || reply.Subject == nil {
		return Outcome{}, refused(reply.Refusal)
	}
	if f.LinkTo != uuid.Nil {
		return Outcome{}, nil // linked; the person is signed in already
	}
	return s.proceed(ctx, proof{
		subject: *reply.Subject, method: "sso", device: f.Device, cookie: f.ReturnTo != "", caller: in.Caller,
	})
}
