package service

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"lms/shared/authn"
	"lms/shared/authz"
	"lms/shared/config"
	"lms/shared/contracts/internalapi"
	"lms/shared/dapr"
	"lms/shared/inbox"
	"lms/shared/jobs"
	"lms/shared/objects"
	"lms/shared/outbox"
	"lms/shared/pg"
	"lms/shared/policy"
	"lms/shared/telemetry"
	"lms/shared/web"
)

// Kit is what a service is built from. DB, Outbox, Inbox and Jobs are nil
// without LMS_DATABASE_URL, Objects without LMS_OBJECTS_URL.
type Kit struct {
	Name      string // the app id
	Addr      string // where it listens; bound before Build
	Config    Config
	Log       *slog.Logger
	Telemetry *telemetry.Telemetry
	Metrics   *telemetry.Metrics
	Now       func() time.Time
	NewID     func() uuid.UUID
	DB        *pg.DB
	Dapr      *dapr.Client
	Authz     authz.Source
	Verifier  *authn.Verifier
	Outbox    *outbox.Outbox
	Inbox     *inbox.Inbox
	Jobs      *jobs.Runner
	Objects   *objects.Store
	Web       *web.Router

	env      config.Env
	known    []string // names of variables that were loaded
	settings []any    // for the log
	policy   *policy.Cache
	standing jobs.Standing
	tokens   dapr.TokenSource
	forget   func(token string)
	loops    *loops
	locks    *locks
	ready    *readiness
	draining chan struct{}

	recompute func(context.Context, internalapi.RecomputeRequest) (internalapi.RecomputeReply, error)
}

// LoadConfig loads the service's own settings, LMS_<SERVICE>_…, into a struct;
// see package config for its tags.
func (k *Kit) LoadConfig(into any) error {
	p := servicePrefix(k.Name)
	names, err := config.Names(p, into)
	if err != nil {
		return err
	}
	k.known = append(k.known, names...)
	if err := k.env.Load(p, into); err != nil {
		return err
	}
	k.settings = append(k.settings, configAttrs(p, into)...)
	return nil
}

// UseAuthz replaces the policy that is fetched from user: for user itself, and
// for tests.
func (k *Kit) UseAuthz(s authz.Source) {
	k.Authz, k.policy = s, nil
	k.Web.SetAuthz(s)
}

// UseStanding replaces what is asked of user about who asked for a job: for user
// itself.
func (k *Kit) UseStanding(s jobs.Standing) { k.standing = s }

// UseVerifier replaces the verifier with keys from auth: for auth itself, and
// for tests.
func (k *Kit) UseVerifier(v *authn.Verifier) {
	k.Verifier = v
	k.Web.SetVerifier(v)
}

// UseTokens replaces the service token from auth: for auth itself, and for
// tests.
func (k *Kit) UseTokens(s dapr.TokenSource) {
	k.tokens, k.forget = s, func(string) {}
}

// Draining is closed when the service begins to stop: long-lived answers
// (server-sent events) then end.
func (k *Kit) Draining() <-chan struct{} { return k.draining }

// Go runs fn in the background from the time the service serves until it stops,
// when ctx ends and fn is waited for. When fn fails or panics it is started
// again after a second; when it returns nil it is done.
func (k *Kit) Go(name string, fn func(ctx context.Context) error) { k.loops.add(name, fn) }

// Every runs fn again and again with a pause of d. With a database only one
// replica runs it at a time: the others skip the round.
func (k *Kit) Every(name string, d time.Duration, fn func(ctx context.Context) error) {
	if k.DB != nil {
		fn = k.alone(name, fn)
	}
	k.loops.add(name, k.loops.periodic(name, d, fn))
}

// Producers asks the services that publish for what a consumer missed: for a
// service without a database, which keeps its positions itself.
func (k *Kit) Producers() inbox.Producers { return carrier{k.Dapr} }

// InboxMetrics are the figures of an inbox that the service makes itself.
func (k *Kit) InboxMetrics() inbox.Metrics {
	m := k.Metrics
	return inbox.Metrics{
		Handled:    func(h string, n int) { m.Inbox(h, "applied", n) },
		Duplicates: func(h string, n int) { m.Inbox(h, "duplicate", n) },
		DeadLetter: func(h string) { m.Inbox(h, "dead", 1) },
		Repaired:   func(stream string, n int) { m.Inbox(stream, "repaired", n) },
		Lost:       func(stream string, n int) { m.Inbox(stream, "lost", n) },
		Latency:    m.InboxLag,
	}
}

// Recompute says how one page of what the service derived and stored is computed
// again, for `lms recompute`. Without it there is nothing to compute.
func (k *Kit) Recompute(fn func(context.Context, internalapi.RecomputeRequest) (internalapi.RecomputeReply, error)) {
	k.recompute = fn
}

// Ready adds a check to /readyz. A check that is not essential is reported, but
// keeps the service ready.
func (k *Kit) Ready(name string, essential bool, check func(ctx context.Context) error) {
	k.ready.add(name, essential, check)
}

// Requires names components that the sidecar must have loaded before the
// service is ready.
func (k *Kit) Requires(components ...string) {
	k.ready.components = append(k.ready.components, components...)
}

// ComponentsLoaded is the check of /readyz that names what the sidecar has not loaded,
// for a service that answers /readyz itself.
func (k *Kit) ComponentsLoaded() func(ctx context.Context) error {
	return k.ready.componentsLoaded(k.Dapr, k.Name)
}

var errNotBuilt = errors.New("the service has no database (LMS_DATABASE_URL is not set)")

// NeedsDatabase is an error if the service was started without one.
func (k *Kit) NeedsDatabase() error {
	if k.DB == nil {
		return errNotBuilt
	}
	return nil
}
