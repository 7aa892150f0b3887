// Command sidecar is the Dapr sidecar that every service runs beside it: daprd
// of the pinned version with exactly the components that the shipped profiles
// use. It accepts every flag of daprd and behaves like it.
//
// It exists because daprd cannot be installed from the module proxy (its go.mod
// has replace lines) and because the stock binary links some 120 components;
// the ones nobody configures are attack surface, build time and memory.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime/debug"

	"github.com/dapr/dapr/cmd/daprd/options"
	"github.com/dapr/dapr/pkg/buildinfo"
	"github.com/dapr/dapr/pkg/healthz"
	"github.com/dapr/dapr/pkg/metrics"
	"github.com/dapr/dapr/pkg/modes"
	"github.com/dapr/dapr/pkg/runtime"
	"github.com/dapr/dapr/pkg/runtime/registry"
	"github.com/dapr/dapr/pkg/security"
	"github.com/dapr/dapr/utils"
	"github.com/dapr/kit/concurrency"
	"github.com/dapr/kit/logger"
	"github.com/dapr/kit/signals"
	"go.opencensus.io/stats/view"
	"go.uber.org/automaxprocs/maxprocs"
)

// gcPercent is the garbage collector's target when the operator sets none.
//
// A sidecar allocates a fresh 32 KiB copy buffer per invocation, two thirds of
// all its bytes, while its live heap stays around 10 MB; at Go's default of 100
// it therefore collects all the time. Measured on two cores with 32 connections
// and a ready 1 KB answer: 400 gives 30 % more calls per second for about 20 MB
// of memory (GOGC=off with GOMEMLIMIT=128MiB gives 42 % for about 100 MB).
const gcPercent = 400

// version is the release of Dapr that this sidecar is built from. daprd gets it
// from the linker; here it belongs to go.mod, and a test compares the two.
const version = "1.18.0"

func main() {
	keepFilesPrivate()
	if len(os.Args) > 1 && os.Args[1] == sentryCommand {
		if err := certify(os.Args[2:]); err != nil {
			logger.NewLogger("dapr.sentry").Fatalf("Fatal error from the certificate authority: %s", err)
		}
		return
	}
	tuneCollector(os.LookupEnv, debug.SetGCPercent)
	// A container's CPU quota, not the machine's core count. An error leaves
	// the runtime's own choice, which is right everywhere else.
	_, _ = maxprocs.Set()

	log := logger.NewLogger("dapr.runtime")
	opts, err := options.New(os.Args[1:])
	if err != nil {
		log.Fatalf("Failed to parse flags: %v", err)
	}
	switch {
	case opts.RuntimeVersion:
		fmt.Println(version)
		return
	case opts.BuildInfo:
		fmt.Printf("Version: %s\nGit Commit: %s\nGit Version: %s\n", version, buildinfo.Commit(), buildinfo.GitVersion())
		return
	case opts.WaitCommand:
		runtime.WaitUntilDaprOutboundReady(opts.DaprHTTPPort)
		return
	}

	opts.Logger.SetAppID(opts.AppID)
	if err := logger.ApplyOptionsToLoggers(&opts.Logger); err != nil {
		log.Fatal(err)
	}
	log.Infof("Starting Dapr Runtime -- version %s", version)

	if err := serve(opts, log); err != nil {
		log.Fatalf("Fatal error from runtime: %s", err)
	}
	log.Info("Daprd shutdown gracefully")
}

// tuneCollector applies gcPercent unless the environment already says how the
// collector is to behave: GOGC and GOMEMLIMIT are the operator's.
func tuneCollector(lookup func(string) (string, bool), set func(int) int) {
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		if value, ok := lookup(name); ok && value != "" {
			return
		}
	}
	set(gcPercent)
}

// serve runs the runtime until a signal ends it. SIGHUP starts it anew with the
// same options, which is how daprd rereads Configuration and Resiliency.
func serve(opts *options.Options, log logger.Logger) error {
	ctx := signals.Context()
	restarts := signals.OnHUP(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case round, ok := <-restarts:
			if !ok {
				return nil
			}
			if err := runOnce(round, opts, log); err != nil {
				return err
			}
			if round.Err() == nil {
				return nil // ended by the shutdown API, not by a signal
			}
		}
	}
}

// runOnce runs one life of the runtime, between two SIGHUPs.
func runOnce(ctx context.Context, opts *options.Options, log logger.Logger) error {
	health := healthz.New()
	provider, err := security.New(ctx, security.Options{
		SentryAddress:           opts.SentryAddress,
		ControlPlaneTrustDomain: opts.ControlPlaneTrustDomain,
		ControlPlaneNamespace:   opts.ControlPlaneNamespace,
		TrustAnchors:            opts.TrustAnchors,
		AppID:                   opts.AppID,
		MTLSEnabled:             opts.EnableMTLS,
		Mode:                    modes.DaprMode(opts.Mode),
		Healthz:                 health,
		JwtAudiences:            opts.SentryRequestJwtAudiences,
	})
	if err != nil {
		return fmt.Errorf("set up security: %w", err)
	}
	contrib := logger.NewLogger("dapr.contrib")
	table := newNames(contrib)
	components := register(contrib, log, table)
	// Who is told to end first leaves the table of names, and goes on serving until
	// nobody calls it any more.
	staying, gone := context.WithCancel(context.WithoutCancel(ctx))
	defer gone()
	defer context.AfterFunc(ctx, func() {
		table.leave(staying, log)
		gone()
	})()

	return concurrency.NewRunnerManager(
		provider.Run,
		func(ctx context.Context) error { return giveBack(ctx, log) },
		func(ctx context.Context) error { return table.arrive(ctx, health.IsReady) },
		func(ctx context.Context) error {
			handler, err := provider.Handler(ctx)
			if err != nil {
				return fmt.Errorf("get the security handler: %w", err)
			}
			rt, err := runtime.FromConfig(ctx, config(opts, components, handler, listed{health, table}, log))
			if err != nil {
				return fmt.Errorf("configure the runtime: %w", err)
			}
			return rt.Run(ctx)
		},
	).Run(staying)
}

// listenAddress is where a port is opened that a flag says nothing about: daprd
// then listens on every interface. A sidecar whose own address (the variable
// DAPR_HOST_IP) is a loopback address can be reached by nobody else anyway, so
// it listens there alone. The Dapr CLI sets the variable and has no key for the
// flags.
func listenAddress(given, host string) string {
	everywhere := given == "" || given == "0.0.0.0"
	if ip := net.ParseIP(host); everywhere && ip != nil && ip.IsLoopback() {
		return host
	}
	return given
}

// config maps daprd's flags onto the runtime's configuration, field for field
// as daprd itself does but for listenAddress.
func config(o *options.Options, reg *registry.Options, sec security.Handler, health healthz.Healthz, log logger.Logger) *runtime.Config {
	return &runtime.Config{
		AppID:                         o.AppID,
		ActorsService:                 o.ActorsService,
		ActorsDisseminationTimeout:    o.ActorsDisseminationTimeout,
		RemindersService:              o.RemindersService,
		SchedulerAddress:              o.SchedulerAddress,
		SchedulerStreams:              o.SchedulerJobStreams,
		AllowedOrigins:                o.AllowedOrigins,
		ResourcesPath:                 o.ResourcesPath,
		ControlPlaneAddress:           o.ControlPlaneAddress,
		AppProtocol:                   o.AppProtocol,
		Mode:                          o.Mode,
		DaprHTTPPort:                  o.DaprHTTPPort,
		DaprInternalGRPCPort:          o.DaprInternalGRPCPort,
		DaprInternalGRPCListenAddress: listenAddress(o.DaprInternalGRPCListenAddress, os.Getenv(utils.HostIPEnvVar)),
		DaprAPIGRPCPort:               o.DaprAPIGRPCPort,
		DaprAPIListenAddresses:        o.DaprAPIListenAddresses,
		DaprPublicPort:                o.DaprPublicPort,
		DaprPublicListenAddress:       o.DaprPublicListenAddress,
		ApplicationPort:               o.AppPort,
		ProfilePort:                   o.ProfilePort,
		EnableProfiling:               o.EnableProfiling,
		AppMaxConcurrency:             o.AppMaxConcurrency,
		EnableMTLS:                    o.EnableMTLS,
		SentryAddress:                 o.SentryAddress,
		MaxRequestSize:                o.MaxRequestSize,
		ReadBufferSize:                o.ReadBufferSize,
		UnixDomainSocket:              o.UnixDomainSocket,
		DaprGracefulShutdownSeconds:   o.DaprGracefulShutdownSeconds,
		DaprBlockShutdownDuration:     o.DaprBlockShutdownDuration,
		DisableBuiltinK8sSecretStore:  o.DisableBuiltinK8sSecretStore,
		EnableAppHealthCheck:          o.EnableAppHealthCheck,
		AppHealthCheckPath:            o.AppHealthCheckPath,
		AppHealthProbeInterval:        o.AppHealthProbeInterval,
		AppHealthProbeTimeout:         o.AppHealthProbeTimeout,
		AppHealthThreshold:            o.AppHealthThreshold,
		AppChannelAddress:             o.AppChannelAddress,
		EnableAPILogging:              o.EnableAPILogging,
		Config:                        o.Config,
		DisableInitEndpoints:          o.DisableInitEndpoints,
		AppSSL:                        o.AppSSL,
		ComponentsPath:                o.ComponentsPath,
		Registry:                      reg,
		Security:                      sec,
		Healthz:                       health,
		Metrics: metrics.Options{
			Enabled:       o.Metrics.Enabled(),
			Log:           log,
			Port:          o.Metrics.Port(),
			Namespace:     metrics.DefaultMetricNamespace,
			Healthz:       health,
			ListenAddress: listenAddress(o.Metrics.ListenAddress(), os.Getenv(utils.HostIPEnvVar)),
			Meter:         view.NewMeter(),
		},
	}
}
