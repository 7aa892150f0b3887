package cli

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"lms/apps/lms/internal/demo"
	"lms/apps/lms/internal/follow"
	"lms/apps/lms/internal/infra"
	"lms/apps/lms/internal/installation"
	"lms/apps/lms/internal/launch"
)

type upFlags struct {
	listen     string
	logLevel   string
	only       []string
	detach     bool
	noBuild    bool
	programs   string
	noLogs     bool
	noSidecars bool
	demo       string
	timeout    time.Duration
	dropShare  float64
	profile    string
	external   bool
	mtls       bool
	sidecar    string
}

func newUp(e *env) *cobra.Command {
	var f upFlags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start everything and follow the logs; Ctrl-C stops it",
		Long: `Starts PostgreSQL, what the profile stands on, and every service with its sidecar,
waits until the gateway serves, prints its address on standard output, and follows the logs
on standard error. Ctrl-C or SIGTERM stops everything in order.

A crashed process is started again. What a killed run left behind is stopped at
the next start.`,
		Example: "  lms up\n  lms up --listen 127.0.0.1:9000 --only user,course\n  lms up --detach\n  lms up --profile kafka",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.detach {
				return e.detach(cmd.Context(), f)
			}
			return e.up(cmd.Context(), f)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.listen, "listen", "127.0.0.1:8080", "address of the gateway; every other port is chosen")
	fl.StringVar(&f.profile, "profile", cmp.Or(os.Getenv("LMS_PROFILE"), infra.Embedded), "infrastructure: a folder of components/ by its name, or any other by its path")
	fl.BoolVar(&f.external, "external", false, "use products that run already, where the variables of components/README.md say")
	fl.BoolVar(&f.mtls, "mtls", os.Getenv("LMS_MTLS") == "true", "sidecars prove to each other who they are, and enforce who may call which route (dapr/README.md)")
	fl.StringVar(&f.sidecar, "sidecar", os.Getenv("LMS_SIDECAR"), "a daprd 1.18 to run instead of our own, as lms sidecar --full makes one")
	fl.StringVar(&f.logLevel, "log-level", "info", "of the services: debug, info, warn, error")
	fl.StringSliceVar(&f.only, "only", nil, "follow the logs of these services only, by commas")
	fl.BoolVar(&f.detach, "detach", false, "return when everything serves, and leave it running")
	fl.BoolVar(&f.noBuild, "no-build", false, "run the programs that are in the installation's bin folder")
	fl.StringVar(&f.programs, "bin", "", "run the programs of this folder as they are (implies --no-build)")
	fl.BoolVar(&f.noLogs, "no-logs", false, "do not follow the logs")
	fl.StringVar(&f.demo, "demo", "small", "organisation to make up at the first start: small, medium, large or none")
	fl.DurationVar(&f.timeout, "timeout", time.Minute, "give up when it does not serve within this time")
	fl.BoolVar(&f.noSidecars, "no-sidecars", false, "for tests of this command")
	fl.Float64Var(&f.dropShare, "broker-drop-share", 0, "for fault tests: share of what the broker acknowledges that it loses")
	for _, hidden := range []string{"no-sidecars", "broker-drop-share"} {
		if err := fl.MarkHidden(hidden); err != nil {
			panic(err) // the flags were defined above
		}
	}
	return cmd
}

func (e *env) up(ctx context.Context, f upFlags) error {
	root, err := e.root()
	if err != nil {
		return err
	}
	home, err := e.home()
	if err != nil {
		return err
	}
	if f.programs != "" {
		if home.Programs, err = filepath.Abs(f.programs); err != nil {
			return fmt.Errorf("--bin: %w", err)
		}
		f.noBuild = true
	}
	names, err := processNames(f.only)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	sidecar, err := f.otherSidecar(ctx)
	if err != nil {
		return err
	}
	profile := infra.Profile{Name: infra.Embedded}
	if !f.noSidecars { // they read it
		if profile, err = infra.FindProfile(root, f.profile); err != nil {
			return err
		}
		// What is started here is not there yet; what runs already is asked.
		if err := e.admitProfile(ctx, profile.Dir, f.external); err != nil {
			return err
		}
	}
	defer e.secondSignal(ctx)()
	logs := e.follower(home, names, f.noLogs)
	err = launch.Run(ctx, launch.Options{
		Home: home, Root: root, Listen: f.listen, LogLevel: f.logLevel, Build: !f.noBuild, Sidecars: !f.noSidecars, Sidecar: sidecar,
		Profile: profile, External: f.external, MTLS: f.mtls && !f.noSidecars, Program: self, BrokerDropShare: f.dropShare, ReadyTimeout: f.timeout, Say: e.say, Bootstrap: e.firstStart(home, f),
	}, func(r launch.Ready) {
		// The one line of result; a reader that is gone does not stop the system.
		_, _ = fmt.Fprintf(e.out, "LMS is ready at %s after %.1f s (%d processes; mail in %s)\n", r.Address, r.Took.Seconds(), len(r.Pieces), home.Mail())
		e.demo(ctx, home, r.Address, f.demo)
		logs.start() //nolint:contextcheck // it shows what is logged after the caller was told to stop
	})
	if logErr := logs.stop(); err == nil {
		err = logErr
	}
	if err == nil {
		e.say("everything has stopped")
	}
	return err
}

// firstStart makes what an installation begins with; without sidecars nothing
// can be called.
func (e *env) firstStart(home installation.Home, f upFlags) func(context.Context) error {
	if f.noSidecars {
		return nil
	}
	return func(ctx context.Context) error { return e.bootstrap(ctx, home) }
}

// demo loads the made-up organisation into a new installation and tells the
// accounts. A failure is told and leaves the installation running.
func (e *env) demo(ctx context.Context, home installation.Home, address, size string) {
	a, err := readAccounts(home)
	if err != nil {
		return // an installation without sidecars has none
	}
	if size != "none" && a.DemoPassword == "" {
		e.say("making up a demo organisation (--demo none leaves it out)")
		s, err := demo.SizeOf(size)
		if err == nil {
			_, err = e.seed(ctx, home, address, s, 1)
		}
		if err != nil {
			e.say("the demo organisation was not loaded: " + err.Error())
		}
		if a, err = readAccounts(home); err != nil {
			return
		}
	}
	e.say("accounts (passwords are in " + home.AccountsFile() + "):")
	e.say(fmt.Sprintf("  administrator  %-42s %s", a.AdminEmail, a.AdminPassword))
	for _, role := range slices.Sorted(maps.Keys(a.Demo)) {
		e.say(fmt.Sprintf("  %-14s %-42s %s", role, a.Demo[role], a.DemoPassword))
	}
}

// secondSignal ends this process at once when it is told to stop a second time.
// The children get their signal from the kernel, the next start cleans up.
func (e *env) secondSignal(ctx context.Context) (stop func()) {
	again := make(chan os.Signal, 1)
	done := make(chan struct{})
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		select {
		case <-done:
			return
		case <-ctx.Done():
		}
		e.say("stopping; once more ends it at once")
		signal.Notify(again, syscall.SIGINT, syscall.SIGTERM)
		select {
		case <-done:
		case <-again:
			e.say("ended at once; the next start cleans up")
			os.Exit(exitForced)
		}
	}()
	return func() {
		close(done)
		<-finished
		signal.Stop(again)
	}
}

// logFollower follows logs from readiness to the end of everything.
type logFollower struct {
	follower *follow.Follower
	cancel   context.CancelFunc
	done     chan error
}

func (e *env) follower(home installation.Home, names []string, off bool) *logFollower {
	if off {
		return &logFollower{}
	}
	sources := make([]follow.Source, len(names))
	for i, n := range names {
		sources[i] = follow.Source{Name: n, File: home.Log(n)}
	}
	f := &follow.Follower{Sources: sources, Out: follow.NewConsole(lineWriter{e}, names, colour(e.err))}
	f.FromEnd() // behind what former runs wrote
	return &logFollower{follower: f}
}

// lineWriter keeps log lines and progress from mixing within a line.
type lineWriter struct{ e *env }

func (w lineWriter) Write(p []byte) (int, error) {
	w.e.say(strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

func (l *logFollower) start() {
	if l.follower == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background()) // it shows the end too
	l.cancel, l.done = cancel, make(chan error, 1)
	go func() { l.done <- l.follower.Run(ctx) }()
}

func (l *logFollower) stop() error {
	if l.cancel == nil {
		return nil
	}
	l.cancel()
	return <-l.done
}
