// Package app wires auth.
package app

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"lms/apps/auth/internal/events"
	"lms/apps/auth/internal/httpapi"
	"lms/apps/auth/internal/keys"
	"lms/apps/auth/internal/oidc"
	"lms/apps/auth/internal/session"
	"lms/apps/auth/internal/token"
	"lms/apps/auth/internal/users"
	"lms/shared/apperr"
	"lms/shared/authn"
	"lms/shared/contracts/internalapi"
	"lms/shared/dapr"
	"lms/shared/record"
	"lms/shared/service"
)

// The names in the `secrets` block.
const (
	secretSealing         = "auth-sealing-key"
	secretSealingPrevious = "auth-sealing-key-previous"
	secretService         = "service-" // and the service's name
)

// How often a replica looks for keys that another one made. Twice the first and
// the cache life of the JWKS stay below the shortest lead.
const (
	keysPeek = 15 * time.Second // in the state block
	keysSync = time.Minute      // at the user service
)

// errStarting answers while the sealing secret is not known yet.
var errStarting = apperr.Unavailable("auth_starting", "Sign-in is starting. Try again.").After(time.Second)

// Build wires the service. The sealing secret comes through the sidecar, which
// may start later: until then every route answers 503.
func Build(_ context.Context, k *service.Kit) error {
	var cfg Config
	if err := k.LoadConfig(&cfg); err != nil {
		return err
	}
	if err := cfg.check(); err != nil {
		return err
	}
	providers, err := oidc.New(oidc.Options{Issuers: cfg.OIDCIssuers, Hosts: cfg.OIDCHosts, Now: k.Now})
	if err != nil {
		return fmt.Errorf("configuration: LMS_AUTH_OIDC_ISSUERS: %w", err)
	}

	var ready atomic.Pointer[built]
	core := func() (*built, error) {
		if b := ready.Load(); b != nil {
			return b, nil
		}
		return nil, errStarting
	}
	k.UseVerifier(authn.NewVerifier(authn.Config{
		Issuer: k.Config.Issuer, Now: k.Now,
		FetchJWKS: func(context.Context) ([]byte, error) {
			b, err := core()
			if err != nil {
				return nil, err
			}
			known, err := b.Keys.Known()
			if err != nil {
				return nil, err
			}
			return keys.JWKS(known)
		},
	}))
	k.UseTokens(token.NewOwnToken(func() (*token.Minter, error) {
		b, err := core()
		if err != nil {
			return nil, err
		}
		return b.minter, nil
	}, k.Now, cfg.ServiceTTL).Token)

	p := parts{
		config: cfg, store: sessionStore(k.Dapr), users: users.New(k.Dapr), providers: providers,
		secrets:  &serviceSecrets{read: k.Dapr.Secret, now: k.Now, kept: map[string]keptSecret{}},
		verifier: k.Verifier, policy: k.Authz, issuer: k.Config.Issuer, publicURL: strings.TrimSuffix(k.Config.PublicURL, "/"),
		now: k.Now, newID: k.NewID, log: k.Log,
	}
	httpapi.Mount(k.Web, httpapi.Options{
		PublicURL: p.publicURL, Issuer: p.issuer,
		Core: func() (*httpapi.Core, error) {
			b, err := core()
			if err != nil {
				return nil, err
			}
			return &b.Core, nil
		},
	})
	events.Mount(k.Web, func() (*session.Sessions, error) {
		b, err := core()
		if err != nil {
			return nil, err
		}
		return b.Sessions, nil
	})
	k.Requires(internalapi.SessionStore, "secrets")
	k.Ready("signing keys", true, func(context.Context) error {
		b, err := core()
		if err != nil {
			return err
		}
		return b.Keys.Ready()
	})
	k.Go("keys", func(ctx context.Context) error {
		b, err := begin(ctx, k, p)
		if err != nil {
			return err
		}
		b.Keys.Recall(ctx)
		ready.Store(b)
		return b.Keys.Run(ctx, keysPeek, keysSync)
	})
	return nil
}

// sessionStore is the `sessions` block, where auth keeps all that it keeps.
func sessionStore(c *dapr.Client) record.Store {
	return dapr.Records{
		Sidecar: c, Component: internalapi.SessionStore,
		Away: apperr.Unavailable("sessions_unavailable", "Sign-in is not possible at the moment. Try again."),
	}
}

// begin waits for the sealing secret and makes the core.
func begin(ctx context.Context, k *service.Kit, p parts) (*built, error) {
	reader := sealingReader{read: k.Dapr.Secret, log: k.Log}
	var told bool
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		secrets, err := reader.secrets(ctx, p.config)
		if err == nil {
			p.sealing = secrets
			return build(p)
		}
		if !told {
			k.Log.InfoContext(ctx, "waiting for the sealing secret", "error", err)
			told = true
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
	}
}
