package launch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"lms/apps/lms/internal/builds"
	"lms/apps/lms/internal/installation"
	"lms/apps/lms/internal/supervisor"
	"lms/migrations"
	"lms/shared/childproc"
	"lms/shared/freeport"
	"lms/shared/localpg"
)

// How long each kind may take to stop before it is killed. A service drains
// within ten seconds of its own.
const (
	serviceGrace = 15 * time.Second
	sidecarGrace = 10 * time.Second
	brokerGrace  = 10 * time.Second
)

// startSidecars starts what the profile stands on, and then the sidecars.
func (l *launch) startSidecars(ctx context.Context, migrated <-chan struct{}) error {
	g, gctx := errgroup.WithContext(ctx)
	sidecar := l.Sidecar
	if l.Sidecars && (sidecar == "" || l.MTLS) { // our own carries the authority, too
		g.Go(func() error {
			own, err := builds.Sidecar(gctx, l.Root, l.Home.Bin(), l.Say)
			if err != nil {
				return err
			}
			sidecar = cmp.Or(sidecar, own)
			return l.startAuthority(gctx, own)
		})
	}
	g.Go(func() error { return l.startProfile(gctx, migrated) })
	if err := g.Wait(); err != nil || !l.Sidecars {
		return err
	}
	for i, s := range l.plan.Services {
		if err := l.startSidecar(ctx, s, sidecar); err != nil {
			return err
		}
		if i == 0 && l.Sidecar != "" {
			if err := l.awaitNames(ctx, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// awaitNames waits until the first sidecar has made the table of names. Ours tries
// again where several make it at once; Dapr's own goes on without, and then finds
// nobody.
func (l *launch) awaitNames(ctx context.Context, first installation.Service) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	url := l.plan.SidecarProbeURL(first) + "/outbound" // whether or not its service is there
	for {
		err := probe(ctx, url)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the first sidecar does not start: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// startAuthority starts what certifies the sidecars: they wait for it, since each asks
// for its certificate before anything else.
func (l *launch) startAuthority(ctx context.Context, program string) error {
	if !l.MTLS {
		return nil
	}
	args, err := l.plan.Authority.Args()
	if err != nil {
		return err
	}
	if err := l.sup.Start(ctx, supervisor.Process{
		Name: installation.Authority, Service: installation.Authority, Kind: supervisor.KindAuthority,
		Ports: map[string]int{"grpc": l.plan.AuthorityPort}, LogFile: l.Home.Log(installation.Authority),
		Start: supervisor.Program{
			Path: program, Args: args, Env: l.plan.AuthorityEnv(), Dir: l.Home.Run(),
			LogFile: l.Home.Log(installation.Authority), Grace: sidecarGrace,
		}.Start,
		Ready: func(ctx context.Context) error { return dial(ctx, l.plan.Authority.Address) },
	}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return l.sup.WaitReady(ctx, installation.Authority)
}

func (l *launch) startBroker(ctx context.Context) error {
	address := freeport.Address(l.plan.BrokerPort)
	args := []string{"broker", "--data-dir", filepath.Join(l.Home.Data(), "broker"), "--port", strconv.Itoa(l.plan.BrokerPort)}
	if l.BrokerDropShare > 0 {
		args = append(args, "--drop-share", strconv.FormatFloat(l.BrokerDropShare, 'g', -1, 64))
	}
	err := l.sup.Start(ctx, supervisor.Process{
		Name: installation.Broker, Service: installation.Broker, Kind: supervisor.KindBroker,
		Ports: map[string]int{"kafka": l.plan.BrokerPort}, LogFile: l.Home.Log(installation.Broker),
		Start: supervisor.Program{
			Path:    l.Program,
			Args:    args,
			Env:     []string{"PATH=" + os.Getenv("PATH"), "GOMEMLIMIT=256MiB", "GOCOVERDIR=" + os.Getenv("GOCOVERDIR")},
			Dir:     l.Home.Run(),
			LogFile: l.Home.Log(installation.Broker), Grace: brokerGrace,
		}.Start,
		Ready: func(ctx context.Context) error { return dial(ctx, address) },
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return l.sup.WaitReady(ctx, installation.Broker)
}

func (l *launch) startSidecar(ctx context.Context, s installation.Service, program string) error {
	ports := l.plan.Ports(s.Name)
	name := installation.Sidecar(s.Name)
	identity, err := l.plan.Identity(s)
	if err != nil {
		return err
	}
	open := map[string]int{"http": ports.DaprHTTP, "grpc": ports.DaprGRPC, "internal": ports.DaprInternal}
	if ports.DaprProfile != 0 {
		open["profile"] = ports.DaprProfile
	}
	return l.sup.Start(ctx, supervisor.Process{
		Name: name, Service: s.Name, Kind: supervisor.KindSidecar,
		Ports:   open,
		LogFile: l.Home.Log(name),
		Start: supervisor.Program{
			Path: program, Args: l.plan.SidecarArgs(s), Env: append(l.plan.SidecarEnv(s), identity...), Dir: l.Home.Run(),
			LogFile: l.Home.Log(name), Grace: sidecarGrace,
		}.Start,
		Ready: func(ctx context.Context) error { return probe(ctx, l.plan.SidecarProbeURL(s)) },
	})
}

func (l *launch) startService(ctx context.Context, s installation.Service) error {
	databaseURL := ""
	if s.Database {
		databaseURL = l.db.serviceDSN(s.Name)
	}
	return l.sup.Start(ctx, supervisor.Process{
		Name: s.Name, Service: s.Name, Kind: supervisor.KindService,
		Ports: map[string]int{"http": l.plan.Ports(s.Name).App}, LogFile: l.Home.Log(s.Name),
		Start: supervisor.Program{
			Path: l.Home.Program(s.Name), Env: l.plan.ServiceEnv(s, databaseURL), Dir: l.Home.Run(),
			LogFile: l.Home.Log(s.Name), Grace: serviceGrace,
		}.Start,
		Ready: func(ctx context.Context) error { return probe(ctx, l.plan.ProbeURL(s)) },
	})
}

// startDatabase starts the server and brings every database up to date.
func (l *launch) startDatabase(ctx context.Context) error {
	if err := l.sup.Start(ctx, supervisor.Process{
		Name: installation.Database, Service: installation.Database, Kind: supervisor.KindDatabase,
		Ports: map[string]int{"postgres": l.plan.DatabasePort}, LogFile: l.Home.Log(installation.Database),
		Start: l.db.start,
		Ready: func(ctx context.Context) error { return dial(ctx, freeport.Address(l.plan.DatabasePort)) },
	}); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, s := range installation.WithDatabase(l.plan.Services) {
		g.Go(func() error {
			server := l.db.server()
			if err := server.EnsureDatabase(gctx, s.Name); err != nil {
				return err
			}
			from, to, err := migrations.Up(gctx, server.OwnerDSN(s.Name), s.Name)
			if err == nil && from != to {
				l.Say(fmt.Sprintf("migrated %s from version %d to %d", localpg.DatabaseName(s.Name), from, to))
			}
			return err
		})
	}
	g.Go(func() error { return l.makeStateDatabase(gctx) })
	return g.Wait()
}

// database keeps the present life of the PostgreSQL server.
type database struct {
	options localpg.Options
	mu      sync.Mutex
	current *localpg.Server
}

func (d *database) server() *localpg.Server {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.current
}

func (d *database) serviceDSN(service string) string { return d.server().ServiceDSN(service) }

func (d *database) start(ctx context.Context) (supervisor.Child, error) {
	if err := d.close(ctx); err != nil { // of a server that was killed: it holds the folder's lock
		return nil, err
	}
	s, err := localpg.Start(ctx, d.options)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.current = s
	return databaseChild{s}, nil
}

func (d *database) close(ctx context.Context) error {
	if s := d.server(); s != nil {
		return s.Stop(ctx)
	}
	return nil
}

type databaseChild struct{ server *localpg.Server }

func (c databaseChild) Identity() childproc.Identity   { return c.server.Identity() }
func (c databaseChild) Done() <-chan struct{}          { return c.server.Done() }
func (c databaseChild) Stop(ctx context.Context) error { return c.server.Stop(ctx) }

func (c databaseChild) Reason() string {
	if err := c.server.Err(); err != nil {
		return err.Error()
	}
	return "exit code 0"
}

const probeTimeout = 2 * time.Second

func probe(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", url, err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }() // it was read as far as it is shown
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	if err != nil {
		return fmt.Errorf("%s answers %s", url, res.Status)
	}
	return fmt.Errorf("%s answers %s: %s", url, res.Status, body)
}

func dial(ctx context.Context, address string) error {
	var d net.Dialer
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

const (
	restartLog = 16 << 20 // a log larger than this is put aside at the next start
	cutLog     = 64 << 20 // and larger than this at once
)

// trimLogs copies logs that have grown too large aside and cuts them. Their
// writers append, so they go on at the new end.
func trimLogs(dir string) error {
	logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		return fmt.Errorf("list the logs: %w", err)
	}
	for _, log := range logs {
		info, err := os.Stat(log)
		if err != nil || info.Size() < cutLog {
			continue
		}
		if err := setAside(log); err != nil {
			return fmt.Errorf("cut the log %s: %w", log, err)
		}
	}
	return nil
}

func setAside(log string) error {
	in, err := os.Open(log)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // read-only
	out, err := os.OpenFile(log+".1", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return errors.Join(err, out.Close())
	}
	return errors.Join(out.Close(), os.Truncate(log, 0))
}
