package app

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/auth/internal/events"
	"lms/apps/auth/internal/httpapi"
	"lms/apps/auth/internal/keys"
	"lms/apps/auth/internal/oidc"
	"lms/apps/auth/internal/session"
	"lms/shared/authn"
	"lms/shared/authz"
	"lms/shared/clock"
	"lms/shared/config"
	"lms/shared/contracts/internalapi"
	"lms/shared/record/recordtest"
	"lms/shared/testkit"
	"lms/shared/web"
)

const (
	issuer    = "https://lms.test"
	userToken = "the secret of the user service"
)

var tenant = uuid.MustParse("0195f0c0-0000-7000-8000-000000000001")

type fixedSecrets map[string]string

func (f fixedSecrets) ServiceSecret(_ context.Context, name string) (string, error) {
	return f[name], nil
}

// installation is auth with its routes, on a store in memory and a double of
// the user service.
type installation struct {
	t      *testing.T
	clock  *clock.Manual
	store  *recordtest.Memory
	users  *directory
	core   *built
	router *web.Router
	*testkit.Client
}

type change func(*parts)

func newInstallation(t *testing.T, changes ...change) *installation {
	t.Helper()
	c := clock.NewManual(time.Now())
	in := &installation{t: t, clock: c, store: recordtest.New(t, c.Now), users: newDirectory(c)}
	in.core, in.router = in.replica(changes...)
	require.NoError(t, in.core.Keys.Sync(t.Context()))
	in.Client = testkit.Server(t, in.router, nil).
		With("Dapr-Caller-App-Id", "gateway").With("X-Forwarded-For", "192.0.2.10").With("User-Agent", "a test")
	return in
}

// replica is a process on the store and the user service of the installation.
func (in *installation) replica(changes ...change) (*built, *web.Router) {
	in.t.Helper()
	var cfg Config
	require.NoError(in.t, config.Env{}.Load("LMS_AUTH", &cfg))
	require.NoError(in.t, cfg.check())
	providers, err := oidc.New(oidc.Options{Now: in.clock.Now})
	require.NoError(in.t, err)
	var b *built
	verifier := authn.NewVerifier(authn.Config{Issuer: issuer, Now: in.clock.Now, FetchJWKS: func(context.Context) ([]byte, error) {
		return keys.JWKS(b.Keys.Published())
	}})
	policy := authz.Fixed{P: authz.NewPolicy(authz.Snapshot{
		Roles: authz.BuiltinRoles(), OrgUnits: []authz.OrgUnit{{ID: tenant, TenantID: tenant}},
	})}
	p := parts{
		config: cfg, sealing: [][]byte{[]byte("the sealing secret of an installation in a test")}, store: in.store, users: in.users, providers: providers,
		secrets: fixedSecrets{"user": userToken, "gateway": "the secret of the gateway", "lms": "the secret of the operator"}, verifier: verifier, policy: policy,
		issuer: issuer, publicURL: issuer, now: in.clock.Now, newID: clock.NewID, log: slog.New(slog.DiscardHandler),
	}
	for _, c := range changes {
		c(&p)
	}
	b, err = build(p)
	require.NoError(in.t, err)
	r := web.NewRouter(web.Options{Service: "auth", Verifier: verifier, Authz: policy})
	httpapi.Mount(r, httpapi.Options{PublicURL: issuer, Issuer: issuer, Core: func() (*httpapi.Core, error) { return &b.Core, nil }})
	events.Mount(r, func() (*session.Sessions, error) { return b.Sessions, nil })
	return b, r
}

// tokens are the answer to a sign-in.
type tokens struct {
	AccessToken        string    `json:"access_token"`
	TokenType          string    `json:"token_type"`
	ExpiresIn          int       `json:"expires_in"`
	RefreshToken       string    `json:"refresh_token"`
	SessionID          uuid.UUID `json:"session_id"`
	UserID             uuid.UUID `json:"user_id"`
	CSRFToken          string    `json:"csrf_token"`
	DeviceToken        string    `json:"device_token"`
	RecoveryCodesLeft  *int      `json:"recovery_codes_left"`
	MFARequired        bool      `json:"mfa_required"`
	Challenge          string    `json:"challenge"`
	ChallengeExpiresIn int       `json:"challenge_expires_in"`
}

func body(kv ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i].(string)] = kv[i+1] //nolint:forcetypeassert // tests write names
	}
	return m
}

func (in *installation) login(p person, more ...any) tokens {
	in.t.Helper()
	var out tokens
	in.POST("/api/v1/auth/login", body(append([]any{"email", p.Email, "password", p.password}, more...)...)).Expect(http.StatusOK).JSON(&out)
	return out
}

func (in *installation) as(t tokens) *testkit.Client { return in.WithToken(t.AccessToken) }

// service is a client with the own token of a service.
func (in *installation) service(name, secret string) *testkit.Client {
	in.t.Helper()
	var out internalapi.ServiceToken
	in.POST(internalapi.PathServiceTokens, body("service", name, "secret", secret)).Expect(http.StatusOK).JSON(&out)
	return in.WithToken(out.AccessToken)
}

// good says whether the gateway would let an access token in, by its contract.
func (in *installation) good(access string) bool {
	in.t.Helper()
	p, c, err := in.core.minter.Verifier.Verify(in.t.Context(), access)
	if err != nil {
		return false
	}
	doc := in.document(p.UserID)
	rec, err := doc.Live(p.SessionID, c.Epoch, in.clock.Now())
	if err != nil {
		return false
	}
	if rec.Actor == uuid.Nil {
		return true
	}
	_, err = in.document(rec.Actor).LiveSession(rec.ActorSession, in.clock.Now())
	return err == nil
}

func (in *installation) document(subject uuid.UUID) *internalapi.SessionDocument {
	in.t.Helper()
	e, err := in.store.Get(in.t.Context(), internalapi.SessionKey(subject))
	require.NoError(in.t, err)
	if len(e.Value) == 0 {
		return nil
	}
	var d internalapi.SessionDocument
	require.NoError(in.t, json.Unmarshal(e.Value, &d))
	return &d
}

func (in *installation) form(path string, kv ...string) *testkit.Response {
	in.t.Helper()
	v := url.Values{}
	for i := 0; i < len(kv); i += 2 {
		v.Add(kv[i], kv[i+1])
	}
	return in.With("Content-Type", "application/x-www-form-urlencoded").Do(http.MethodPost, path, v.Encode())
}
