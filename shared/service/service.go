// Package service is the life of a service: it reads the configuration, opens
// what the service stands on, lets it build itself, serves, and stops in order.
// A service's main is one line: service.Main("course", app.Build).
package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"lms/migrations"
	"lms/shared/authn"
	"lms/shared/clock"
	"lms/shared/config"
	"lms/shared/contracts"
	"lms/shared/contracts/internalapi"
	"lms/shared/dapr"
	"lms/shared/inbox"
	"lms/shared/jobs"
	"lms/shared/logging"
	"lms/shared/memory"
	"lms/shared/objects"
	"lms/shared/outbox"
	"lms/shared/pg"
	"lms/shared/policy"
	"lms/shared/telemetry"
	"lms/shared/web"
)

// Build wires a service: its own configuration, routes, handlers and loops. It
// must not wait for the sidecar or for other services, which may start later.
type Build func(ctx context.Context, k *Kit) error

// Main runs a service until it is told to stop by SIGINT or SIGTERM, and ends
// the process: 0 after an orderly stop, 1 with one sentence on standard error
// otherwise. A second signal ends it at once.
func Main(name string, build Build) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := Run(ctx, name, config.FromOS(), build); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// Run runs a service with the given environment until ctx ends, and then stops
// it in order. Logs go to standard output.
func Run(ctx context.Context, name string, env config.Env, build Build) error {
	return run(ctx, name, env, build, os.Stdout)
}

func run(ctx context.Context, name string, env config.Env, build Build, logs io.Writer) (err error) {
	began := time.Now()
	k, err := newKit(ctx, name, env, logs)
	if err != nil {
		return err
	}
	// Who connects before the service is built waits in the listener's queue.
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", k.Config.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	k.Addr = ln.Addr().String()
	defer func() { err = errors.Join(err, closed(ln.Close()), k.close(ctx)) }()
	if err := k.open(ctx); err != nil {
		return err
	}
	if err := build(ctx, k); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	if err := config.CheckUnknown(env, prefix+"_", k.known, addressed(name)); err != nil {
		return err
	}
	k.mount()
	k.Log.Info("serving", "address", k.Addr, "version", version(), "ms", time.Since(began).Milliseconds())
	k.Log.Debug("configuration", k.settings...)
	memory.Prefer(os.LookupEnv) // not for the start, whose garbage is not worth its room
	return k.serve(ctx, ln)
}

func closed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func newKit(ctx context.Context, name string, env config.Env, logs io.Writer) (*Kit, error) {
	cfg, err := loadConfig(env)
	if err != nil {
		return nil, err
	}
	known, err := config.Names(prefix, &cfg)
	if err != nil {
		return nil, err
	}
	log, err := logging.New(logs, logging.Options{Service: name, Level: cfg.LogLevel, Format: cfg.LogFormat})
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	tel, err := telemetry.New(ctx, telemetry.Options{Service: name, Environment: cfg.Environment, Export: cfg.OTLP != "", SampleRatio: cfg.TraceSample})
	if err != nil {
		return nil, err
	}
	k := &Kit{
		Name: name, Config: cfg, Log: log, Telemetry: tel, Metrics: tel.Metrics, Now: clock.Now, NewID: clock.NewID,
		env: env, known: known, settings: configAttrs(prefix, &cfg), draining: make(chan struct{}),
	}
	k.loops = &loops{log: log, metrics: tel.Metrics}
	k.ready = &readiness{draining: k.draining}
	if cfg.ClockFile != "" {
		if err := k.followClock(cfg.ClockFile); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// open makes the parts of the kit. Only the database is waited for.
func (k *Kit) open(ctx context.Context) (err error) {
	cfg := k.Config
	k.Dapr, err = dapr.New(dapr.Options{
		HTTP: cfg.DaprHTTPAddr, GRPC: cfg.DaprGRPCAddr, APIToken: cfg.DaprAPIToken,
		Token:    func(ctx context.Context) (string, error) { return k.tokens(ctx) },
		Rejected: func(token string) { k.forget(token) },
		Log:      k.Log, Metrics: k.Metrics, Tracer: k.Telemetry.Tracer, Propagator: k.Telemetry.Propagator,
	})
	if err != nil {
		return err
	}
	tokens := authn.NewServiceTokens(fetchToken(k.Dapr, k.Name, cfg.ServiceSecret), nil)
	k.tokens, k.forget = tokens.Token, tokens.Forget
	k.Verifier = k.newVerifier()
	k.standing = fetchStanding(k.Dapr)
	k.policy = policy.New(fetchSnapshot(k.Dapr), nil)
	k.Authz = k.policy
	k.Web = web.NewRouter(web.Options{
		Service: k.Name, Log: k.Log, Verifier: k.Verifier, Authz: k.Authz, AppToken: cfg.AppAPIToken,
		Metrics: k.Metrics, Tracer: k.Telemetry.Tracer, Propagator: k.Telemetry.Propagator,
	})
	if cfg.ObjectsURL != "" {
		if k.Objects, err = objects.Open(ctx, cfg.ObjectsURL, objects.Options{PublicURL: cfg.PublicURL, SigningKey: k.signingKey}); err != nil {
			return err
		}
	}
	if cfg.DatabaseURL == "" {
		return nil
	}
	return k.openDatabase(ctx)
}

// signingKeyName is the secret that signs links to local files.
const signingKeyName = "objects-signing-key"

func (k *Kit) signingKey(ctx context.Context) ([]byte, error) {
	secret, err := k.Dapr.Secret(ctx, signingKeyName)
	return []byte(secret), err
}

func (k *Kit) openDatabase(ctx context.Context) (err error) {
	k.DB, err = pg.Open(ctx, k.Config.DatabaseURL, pg.Options{Service: k.Name, MaxConns: k.Config.DatabaseMaxConns, Now: k.Now, NewID: k.NewID})
	if err != nil {
		return fmt.Errorf("configuration: LMS_DATABASE_URL: %w", err)
	}
	k.locks = &locks{config: k.DB.Pool.Config().ConnConfig}
	if err := k.checkSchema(ctx); err != nil {
		return err
	}
	k.Metrics.Register(telemetry.NewPoolCollector(k.DB.Pool.Stat))
	compose, err := composer(k.Config.MailFrom)
	if err != nil {
		return err
	}
	m := k.Metrics
	k.Outbox = outbox.New(outbox.Options{
		DB: k.DB, Transport: carrier{k.Dapr}, Compose: compose, Log: k.Log, Unkept: slices.Contains(k.Config.TestWithout, withoutOutbox),
		Metrics: outbox.Metrics{
			Published: func(n int) { m.OutboxSent("event", "ok", n) },
			CallDone: func(to, _ string, ok bool) {
				m.OutboxSent(kindOf(to), map[bool]string{true: "ok", false: "failed"}[ok], 1)
			},
			Parked: func(to, _ string) { m.OutboxSent(kindOf(to), "parked", 1) },
		},
	})
	k.Inbox = inbox.New(inbox.Options{
		DB: k.DB, Producers: carrier{k.Dapr}, Log: k.Log, Metrics: k.InboxMetrics(),
		Without: inbox.Without{
			Memory:   slices.Contains(k.Config.TestWithout, withoutInbox),
			Sequence: slices.Contains(k.Config.TestWithout, withoutSequence),
			Repair:   slices.Contains(k.Config.TestWithout, withoutRepair),
		},
	})
	k.Jobs = jobs.New(jobs.Options{DB: k.DB, Log: k.Log, Standing: func(ctx context.Context, id uuid.UUID) (internalapi.ActorStanding, error) {
		return k.standing(ctx, id)
	}})
	return nil
}

func kindOf(destination string) string {
	if destination == pg.MailDestination {
		return "mail"
	}
	return "call"
}

// checkSchema waits for a database that does not answer yet, and refuses one
// that does not fit.
func (k *Kit) checkSchema(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, k.Config.StartupTimeout)
	defer cancel()
	for told := false; ; {
		err := migrations.Check(ctx, k.DB.Pool, k.Name)
		if err == nil || !notThereYet(err) {
			return err
		}
		if !told {
			k.Log.Warn("waiting for the database", "error", err)
			told = true
		}
		sleep(ctx, 100*time.Millisecond)
		if ctx.Err() != nil {
			return fmt.Errorf("the database did not answer within %s: %w", k.Config.StartupTimeout, err)
		}
	}
}

func notThereYet(err error) bool {
	var refused *pgconn.ConnectError
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return pe.Code == "57P03" // it is starting up
	}
	return errors.As(err, &refused) || errors.Is(err, context.DeadlineExceeded)
}

// mount adds the kit's own routes, checks and loops, once the service has
// registered its own.
func (k *Kit) mount() {
	k.Web.ServeOpenAPI()
	k.Web.Handle(http.MethodGet, "/healthz", web.System(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n") // the prober has gone: nobody is left to tell
	}))
	k.Web.Handle(http.MethodGet, "/readyz", web.System(), k.ready)
	k.Web.Handle(http.MethodGet, "/metrics", web.System(), k.Telemetry.Handler())
	if k.Config.Pprof {
		k.Web.Handle(http.MethodGet, "/debug/pprof/profile", web.System(), http.HandlerFunc(pprof.Profile))
		k.Web.Handle(http.MethodGet, "/debug/pprof/trace", web.System(), http.HandlerFunc(pprof.Trace))
		k.Web.Handle(http.MethodGet, "/debug/pprof/*", web.System(), http.HandlerFunc(pprof.Index))
	}
	k.Ready("sidecar", true, func(ctx context.Context) error {
		if err := k.Dapr.Healthy(ctx); err != nil {
			return fmt.Errorf("the sidecar is not ready; where it ends again and again, a component could not start, and its log names it: %w", err)
		}
		return nil
	})
	k.Requires(contracts.Components(k.Name)...)
	k.Ready("components", true, k.ComponentsLoaded())
	k.storesAnswer()
	k.Go("memory", func(ctx context.Context) error {
		memory.GiveBack(ctx, func(err error) { k.Log.Warn("memory is not given back", "error", err) })
		return nil
	})
	k.Go("signing keys", k.Verifier.Run)
	if k.policy != nil {
		k.Go("authorization snapshot", k.policy.Run)
		k.Ready("authorization snapshot", true, func(context.Context) error { return k.policy.Ready() })
	}
	if k.DB != nil {
		k.mountDatabase()
	} else if !k.routed("/dapr/subscribe") {
		// The sidecar asks every app; one without subscriptions says so.
		k.Web.Handle(http.MethodGet, "/dapr/subscribe", web.Sidecar(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, "[]") // as above
		}))
	}
}

// routed says whether the service has registered a path itself.
func (k *Kit) routed(path string) bool {
	return slices.ContainsFunc(k.Web.Routes(), func(r web.RouteInfo) bool { return r.Path == path })
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return info.Main.Version
}

// close ends everything that open began, in the opposite order.
func (k *Kit) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	var errs []error
	if k.DB != nil {
		k.locks.close(ctx)
		k.DB.Close()
	}
	if k.Objects != nil {
		errs = append(errs, k.Objects.Close())
	}
	if k.Dapr != nil {
		k.Dapr.Close()
	}
	if err := k.Telemetry.Shutdown(ctx); err != nil {
		// Traces that nobody collects are no reason to fail.
		k.Log.Warn("traces not sent", slog.Any("error", err))
	}
	return errors.Join(errs...)
}
