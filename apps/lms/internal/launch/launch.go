// Package launch brings an installation up on this machine and down again:
// what starts beside what, what waits for what, and in which order all of it
// stops.
package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"lms/apps/lms/internal/builds"
	"lms/apps/lms/internal/follow"
	"lms/apps/lms/internal/infra"
	"lms/apps/lms/internal/installation"
	"lms/apps/lms/internal/supervisor"
	"lms/shared/childproc"
	"lms/shared/freeport"
	"lms/shared/localpg"
	"lms/shared/memory"
)

// Options of a launch.
type Options struct {
	Home     installation.Home
	Root     string // of the source tree
	Listen   string // public address
	LogLevel string
	Build    bool // the services, before they start
	Sidecars bool
	// Sidecar is the program that stands beside each service; "" is the one of
	// dapr/sidecar, which is built when it has to be.
	Sidecar string
	// MTLS: sidecars prove to each other who they are, and let in only whom the access
	// policies name.
	MTLS bool
	// Profile is the folder of components that the sidecars load.
	Profile infra.Profile
	// External: what the profile needs runs already, where the environment says.
	External bool
	// Program is this command; it carries the embedded broker and the mail server.
	Program string
	// BrokerDropShare of what the broker acknowledges is lost: for fault tests.
	BrokerDropShare float64
	// ReadyTimeout bounds the time to readiness; building is not counted.
	ReadyTimeout time.Duration
	Say          func(string) // progress, a line each
	// Bootstrap makes what a new installation begins with, once everything
	// serves and before it counts as ready; nil for nothing.
	Bootstrap func(ctx context.Context) error
}

// Ready tells that everything serves.
type Ready struct {
	Address string
	Took    time.Duration
	Pieces  []string // names of all processes
}

// launch is one life of an installation.
type launch struct {
	Options
	plan *installation.Plan
	sup  *supervisor.Supervisor
	db   *database
	// components of the profile that are started here, and the installation's
	// secrets, which their passwords are among.
	components []infra.Component
	sites      []infra.Site
	secrets    installation.Secrets

	mu     sync.Mutex
	record supervisor.Record
}

// Run starts the installation, calls ready once all of it serves, and keeps it
// running until ctx ends. Then it stops everything in order. The error tells a
// person what went wrong and what to do.
func Run(ctx context.Context, o Options, ready func(Ready)) (err error) {
	began := time.Now()
	if err := o.Home.Prepare(); err != nil {
		return err
	}
	lock, err := supervisor.Lock(o.Home.LockFile())
	if err != nil {
		return alreadyRunning(o.Home, err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	// The broker's clean-up must be done even when Ctrl-C comes early.
	if err := supervisor.EndLeftovers(context.WithoutCancel(ctx), o.Home.StateFile(), o.Say); err != nil {
		return err
	}
	l, err := prepare(o)
	if err != nil {
		return err
	}
	// Orders are taken until the last process has stopped.
	control, stopControl := context.WithCancel(context.WithoutCancel(ctx))
	defer stopControl()
	var answered func() error
	if l.record.Control, answered, err = l.sup.ServeControl(control); err != nil {
		return err
	}
	l.record.Control.SidecarToken = l.plan.SidecarToken(installation.Gateway)
	l.record.StartedAt = began.UTC()
	l.save(l.sup.Status())

	err = l.up(ctx)
	if err == nil && o.Bootstrap != nil {
		err = o.Bootstrap(ctx)
	}
	if err == nil {
		err = l.Profile.Remember(l.Home.ProfileFile())
	}
	if err == nil {
		l.becameReady(began, ready)
		l.keep(ctx)
	} else if ctx.Err() != nil {
		err = nil // told to stop while it started: that is no failure
	}
	stopErr := l.down(context.WithoutCancel(ctx))
	stopControl()
	return errors.Join(err, stopErr, answered(), os.Remove(o.Home.StateFile()))
}

func prepare(o Options) (*launch, error) {
	services := installation.Present(o.Root)
	if len(services) == 0 {
		return nil, fmt.Errorf("there are no services in %s", filepath.Join(o.Root, "apps"))
	}
	plan, err := installation.NewPlan(o.Home, o.Root, services, o.Listen, o.LogLevel)
	if err != nil {
		return nil, err
	}
	if !freeport.Free(o.Listen) {
		return nil, fmt.Errorf("%s is in use by another program: stop it, or choose another address, such as --listen 127.0.0.1:8081", o.Listen)
	}
	secrets, err := o.Home.EnsureSecrets()
	if err != nil {
		return nil, err
	}
	me, err := childproc.Identify(os.Getpid())
	if err != nil {
		return nil, err
	}
	l := &launch{Options: o, plan: plan, record: supervisor.Record{Supervisor: me, Phase: supervisor.PhaseStarting, Address: plan.PublicURL(), Programs: o.Home.Bin()}}
	l.sup = supervisor.New(o.Say, l.save)
	l.db = &database{options: localpg.Options{
		DataDir: o.Home.Postgres(), LogFile: o.Home.Log(installation.Database), Port: plan.DatabasePort, Durable: true, Progress: o.Say,
	}}
	l.secrets = secrets
	if o.MTLS {
		if err := plan.UseMTLS(); err != nil {
			return nil, err
		}
	}
	if err := l.useProfile(); err != nil {
		return nil, err
	}
	return l, l.clearRun()
}

// clearRun removes what a former run left in the folder of names: a sidecar
// would call the addresses of that run for some seconds. Logs that have grown
// large start anew.
func (l *launch) clearRun() error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(filepath.Join(l.Home.Run(), "names.db"+suffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("clear the sidecars' names: %w", err)
		}
	}
	if l.Sidecars {
		if err := l.copyResources(); err != nil {
			return err
		}
	}
	logs, err := filepath.Glob(filepath.Join(l.Home.Logs(), "*.log"))
	if err != nil {
		return fmt.Errorf("list the logs: %w", err)
	}
	for _, log := range logs {
		if info, err := os.Stat(log); err == nil && info.Size() > restartLog {
			if err := os.Rename(log, log+".1"); err != nil {
				return fmt.Errorf("put an old log aside: %w", err)
			}
		}
	}
	return nil
}

func (l *launch) copyResources() error {
	raw, err := os.ReadFile(filepath.Join(l.Root, "dapr", resiliencyFile))
	if err != nil {
		return fmt.Errorf("settings of the sidecars: %w: check the source tree out whole", err)
	}
	if err := os.WriteFile(filepath.Join(l.Home.Resources(), resiliencyFile), raw, 0o600); err != nil {
		return fmt.Errorf("settings of the sidecars: %w", err)
	}
	return nil
}

const resiliencyFile = "resiliency.yaml"

// up starts everything, as much as possible side by side.
func (l *launch) up(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	built := make(chan struct{})
	g.Go(func() error {
		if err := l.build(gctx); err != nil {
			return err
		}
		close(built)
		return nil
	})
	migrated := make(chan struct{})
	g.Go(func() error { return l.startSidecars(gctx, migrated) })
	g.Go(func() error {
		if err := l.startDatabase(gctx); err != nil {
			return err
		}
		close(migrated)
		return nil
	})
	for _, s := range l.plan.Services {
		g.Go(func() error {
			if s.Database {
				if err := await(gctx, migrated); err != nil {
					return err
				}
			}
			if err := await(gctx, built); err != nil {
				return err
			}
			return l.startService(gctx, s)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return l.waitReady(ctx)
}

func await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l *launch) build(ctx context.Context) error {
	names := installation.Names(l.plan.Services)
	if l.Build {
		return builds.Services(ctx, l.Root, l.Home.Bin(), names, l.Say)
	}
	for _, n := range names {
		if !builds.Exists(l.Home.Program(n)) {
			return fmt.Errorf("%s was not built: go build -o %s/ ./apps/..., or start without --no-build", n, l.Home.Bin())
		}
	}
	return nil
}

// waitReady waits for the gateway, whose readiness covers what it needs, and
// for every other service.
func (l *launch) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.ReadyTimeout)
	defer cancel()
	g, gctx := errgroup.WithContext(ctx)
	for _, s := range l.plan.Services {
		g.Go(func() error { return l.sup.WaitReady(gctx, s.Name) })
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("the installation did not get ready within %s: %w%s", l.ReadyTimeout, err, l.lastWords())
	}
	return nil
}

// lastWords are the last lines of the logs of those that are not ready.
func (l *launch) lastWords() string {
	var b strings.Builder
	for _, st := range l.sup.Status() {
		if st.Crashes == 0 && st.State == supervisor.Running {
			continue
		}
		for _, line := range follow.LastLines(st.LogFile, 5) {
			fmt.Fprintf(&b, "\n  %s: %s", st.Name, line)
		}
	}
	return b.String()
}

func (l *launch) becameReady(began time.Time, ready func(Ready)) {
	now := time.Now()
	l.mu.Lock()
	l.record.Phase = supervisor.PhaseReady
	at := now.UTC()
	l.record.ReadyAt = &at
	l.mu.Unlock()
	l.save(l.sup.Status())
	ready(Ready{Address: l.plan.PublicURL(), Took: now.Sub(began), Pieces: l.sup.Names()})
}

// keep waits for the end, and keeps logs from filling the disk and this process
// from filling the memory.
func (l *launch) keep(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { memory.GiveBack(ctx, func(err error) { l.Say(err.Error()) }) })
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := trimLogs(l.Home.Logs()); err != nil {
				l.Say(err.Error())
			}
		}
	}
}

// down stops everything: who takes requests first, who keeps the data last.
func (l *launch) down(ctx context.Context) error {
	l.mu.Lock()
	l.record.Phase = supervisor.PhaseStopping
	l.mu.Unlock()
	l.save(l.sup.Status())
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	var others []string
	for _, n := range l.sup.OfKind(supervisor.KindService) {
		if n != installation.Gateway {
			others = append(others, n)
		}
	}
	var errs []error
	for _, step := range [][]string{
		{installation.Gateway},
		others, l.sup.OfKind(supervisor.KindSidecar), l.sup.OfKind(supervisor.KindAuthority),
		l.sup.OfKind(supervisor.KindBroker), l.sup.OfKind(supervisor.KindStore),
		{installation.Database},
	} {
		errs = append(errs, l.sup.Stop(ctx, step...))
	}
	return errors.Join(append(errs, l.db.close(ctx))...)
}

func (l *launch) save(processes []supervisor.Status) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.record.Processes = processes
	if err := supervisor.WriteRecord(l.Home.StateFile(), l.record); err != nil {
		l.Say(err.Error())
	}
}

func alreadyRunning(home installation.Home, err error) error {
	if !errors.Is(err, supervisor.ErrRunning) {
		return err
	}
	where := ""
	if r, readErr := supervisor.ReadRecord(home.StateFile()); readErr == nil {
		where = fmt.Sprintf(" as process %d at %s", r.Supervisor.PID, r.Address)
	}
	return fmt.Errorf("an installation in %s runs already%s: lms status shows it, lms down stops it, another %s makes a second one", home.Dir, where, installation.HomeVariable)
}
