// Package app wires the gateway: the edge before the kit's own routes.
package app

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/propagation"

	"lms/apps/gateway/internal/edge"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/objects"
	"lms/shared/service"
)

// Build wires the gateway. It decides nothing by permission: services do, each
// for itself, so it needs no policy.
func Build(_ context.Context, k *service.Kit) error {
	var cfg edge.Config
	if err := k.LoadConfig(&cfg); err != nil {
		return err
	}
	k.UseAuthz(authz.Fixed{P: authz.NewPolicy(authz.Snapshot{})})
	k.Requires(internalapi.SessionStore)
	var files http.Handler
	if k.Objects != nil {
		files = objects.FileHandler(k.Objects)
	}
	var wrong error
	k.Web.Front(func(routes http.Handler) http.Handler {
		g, err := edge.New(edge.Options{
			Config: cfg, PublicURL: k.Config.PublicURL, Log: k.Log, Sidecar: k.Dapr, Verifier: k.Verifier, Objects: files, Now: k.Now,
			Propagate: func(ctx context.Context, h http.Header) {
				k.Telemetry.Propagator.Inject(ctx, propagation.HeaderCarrier(h))
			},
			Routes: routes, Draining: k.Draining(),
			Ready: map[string]func(context.Context) error{
				"sidecar":    k.Dapr.Healthy,
				"components": k.ComponentsLoaded(),
				"signing-keys": func(context.Context) error {
					if k.Verifier.Ready() {
						return nil
					}
					return apperr.Unavailable("keys_unavailable", "No signing key is known yet.")
				},
				"stopping": func(context.Context) error {
					select {
					case <-k.Draining():
						return apperr.Unavailable("stopping", "The gateway is stopping.")
					default:
						return nil
					}
				},
			},
		})
		wrong = err
		if err != nil {
			return routes
		}
		return g
	})
	return wrong
}
