package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/dapr/dapr/cmd/sentry/options"
	"github.com/dapr/dapr/pkg/healthz"
	"github.com/dapr/dapr/pkg/modes"
	"github.com/dapr/dapr/pkg/sentry"
	sentryconfig "github.com/dapr/dapr/pkg/sentry/config"
	"github.com/dapr/kit/logger"
	"github.com/dapr/kit/signals"
)

// sentryCommand, as the first argument, makes this program Dapr's certificate
// authority instead of a sidecar. It is the same file so that both share its pages,
// and it takes sentry's own flags; those of its health and metrics servers do
// nothing, since both of them listen on every interface and have no key for that.
const sentryCommand = "sentry"

// errNotLocal: on Kubernetes Dapr brings its own.
var errNotLocal = errors.New("this certificate authority is for sidecars on one machine (--mode standalone)")

// certify runs the certificate authority until a signal ends it.
func certify(args []string) error {
	opts := options.New(args)
	if err := opts.Validate(); err != nil {
		return fmt.Errorf("flags: %w", err)
	}
	if err := logger.ApplyOptionsToLoggers(&opts.Logger); err != nil {
		return fmt.Errorf("logging: %w", err)
	}
	if sentryconfig.IsKubernetesHosted(modes.DaprMode(opts.Mode)) {
		return errNotLocal
	}
	// Without its file it would fall back to believing every caller.
	cfg, err := sentryconfig.FromConfigName(opts.ConfigName, opts.Mode)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	in := func(name string) string { return filepath.Join(opts.IssuerCredentialsPath, name) }
	cfg.IssuerCertPath, cfg.IssuerKeyPath, cfg.RootCertPath = in(opts.X509.IssuerCertFilename), in(opts.X509.IssuerKeyFilename), in(opts.X509.RootCAFilename)
	cfg.JWT.SigningKeyPath, cfg.JWT.JWKSPath = in(sentryconfig.DefaultJWTSigningKeyFilename), in(sentryconfig.DefaultJWKSFilename)
	cfg.TrustDomain, cfg.Port, cfg.ListenAddress = opts.TrustDomain, opts.Port, opts.ListenAddress

	ctx := signals.Context()
	authority, err := sentry.New(ctx, sentry.Options{Config: cfg, Healthz: healthz.New()})
	if err != nil {
		return err
	}
	return authority.Start(ctx)
}
