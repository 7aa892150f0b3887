// Package localpg runs a PostgreSQL server of our own on this machine: for the
// one-machine installation and for tests. It never touches a system cluster,
// listens on loopback only, and asks every connection for a password.
package localpg

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"lms/shared/childproc"
	"lms/shared/freeport"
)

// Superuser owns the cluster. Services never connect as it.
const Superuser = "postgres"

// Options of a server. DataDir is required.
type Options struct {
	// DataDir holds the cluster, its passwords and its lock. It is made if
	// missing. Where the server has to run as another user who cannot reach
	// it, the data lie elsewhere and DataDir holds a pointer to them.
	DataDir string
	// CacheDir keeps fetched binaries; by default the user's cache folder.
	CacheDir string
	// LogFile takes the server's log; by default DataDir/postgres.log.
	LogFile string
	// Port on 127.0.0.1; 0 takes a free one.
	Port int
	// Durable keeps every commit through a crash of the machine. Without it
	// (tests) the server is faster, and an unclean end loses the cluster.
	Durable bool
	// TimeZone of the server; by default UTC.
	TimeZone string
	// MaxConnections is 250 unless set.
	MaxConnections int
	// ParentDeath is what the server gets when this process dies without
	// stopping it (Linux): SIGINT, a fast shutdown, unless set.
	ParentDeath syscall.Signal
	// Progress is told what takes long, in words for a person.
	Progress func(string)
}

func (o Options) withDefaults() Options {
	if o.TimeZone == "" {
		o.TimeZone = "UTC"
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = 250
	}
	if o.ParentDeath == 0 {
		o.ParentDeath = syscall.SIGINT
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	return o
}

// Server is a running cluster.
type Server struct {
	Port int
	PID  int
	// Version is the server's version as its program prints it.
	Version string
	// Home is where the data really lie.
	Home string

	proc      *childproc.Process // nil for a server that was attached to
	lock      *os.File
	mu        sync.Mutex
	passwords passwords
}

// Start runs the server and returns when it accepts connections. A server that
// a killed run left behind in the same folder is stopped first. Errors are
// sentences for the person at the terminal.
func Start(ctx context.Context, o Options) (*Server, error) {
	o = o.withDefaults()
	h, err := openHome(o.DataDir, o.Progress)
	if err != nil {
		return nil, err
	}
	lock, err := h.lock()
	if err != nil {
		return nil, err
	}
	s, err := h.start(ctx, o)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	s.lock = lock
	return s, nil
}

func (h home) start(ctx context.Context, o Options) (*Server, error) {
	if err := h.endStale(ctx, o.Progress); err != nil {
		return nil, err
	}
	bin, err := findFor(ctx, h, o)
	if err != nil {
		return nil, err
	}
	pw, err := h.loadPasswords()
	if err != nil {
		return nil, err
	}
	if err := h.initialise(ctx, bin, pw, o); err != nil {
		return nil, err
	}
	s := &Server{Home: h.dir, Version: bin.Version, passwords: pw}
	if err := s.run(ctx, h, bin, o); err != nil {
		return nil, err
	}
	return s, nil
}

// run starts the postmaster. Two things pass by themselves and are tried
// again: a port that was taken between choosing and listening, and the shared
// memory of a killed predecessor whose children are still ending.
func (s *Server) run(ctx context.Context, h home, bin Binaries, o Options) error {
	deadline := time.Now().Add(15 * time.Second)
	for {
		port := o.Port
		if port == 0 {
			var err error
			if port, err = freeport.One(); err != nil {
				return err
			}
		}
		proc, err := h.launch(ctx, bin, o, port)
		if err == nil {
			s.Port, s.PID, s.proc = port, proc.PID, proc
			return nil
		}
		again := errors.Is(err, errSharedMemory) || (errors.Is(err, errPortTaken) && o.Port == 0)
		if !again || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Attach finds the running server of a data folder without owning it: Stop
// leaves it alone.
func Attach(dataDir string) (*Server, error) {
	dir, err := locate(dataDir)
	if err != nil {
		return nil, err
	}
	h := home{dir: dir, origin: dataDir}
	pm, ok := h.postmaster()
	if !ok || pm.Port == 0 {
		return nil, fmt.Errorf("no PostgreSQL runs on %s", dataDir)
	}
	pw, err := h.loadPasswords()
	if err != nil {
		return nil, err
	}
	return &Server{Port: pm.Port, PID: pm.PID, Home: dir, passwords: pw}, nil
}

// DSN is the address of a database for a role whose password this server
// keeps: Superuser, OwnerRole(service) or ServiceRole(service).
func (s *Server) DSN(db, user string) string {
	s.mu.Lock()
	password := s.passwords.Roles[user]
	s.mu.Unlock()
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(user, password),
		Host: freeport.Address(s.Port), Path: "/" + db, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// ServiceDSN is the address with which a service works: data only.
func (s *Server) ServiceDSN(service string) string {
	return s.DSN(DatabaseName(service), ServiceRole(service))
}

// OwnerDSN is the address with which a service's database is migrated.
func (s *Server) OwnerDSN(service string) string {
	return s.DSN(DatabaseName(service), OwnerRole(service))
}

// Done is closed when the server has ended, by itself or by Stop. It is nil
// (blocks for ever) for a server that was attached to.
func (s *Server) Done() <-chan struct{} {
	if s.proc == nil {
		return nil
	}
	return s.proc.Done()
}

// Err says how a server of this process ended; nil for an orderly end and while
// it runs.
func (s *Server) Err() error {
	if s.proc == nil {
		return nil
	}
	return s.proc.Err()
}

// Identity of the postmaster.
func (s *Server) Identity() childproc.Identity {
	if s.proc != nil {
		return s.proc.Identity
	}
	id, err := childproc.Identify(s.PID)
	if err != nil {
		return childproc.Identity{PID: s.PID}
	}
	return id
}

// Stop ends the server: open transactions are rolled back, everything that was
// committed is written. It returns when the server has gone.
func (s *Server) Stop(ctx context.Context) error {
	if s.proc == nil {
		return nil
	}
	killed, err := s.proc.Stop(ctx, syscall.SIGINT, 20*time.Second)
	if err == nil && killed {
		err = errors.New("PostgreSQL did not stop in time and was killed; it recovers at the next start")
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
		s.lock = nil
	}
	return err
}

// DefaultCacheDir is where fetched binaries are kept.
func DefaultCacheDir() string {
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	return filepath.Join(base, "lms", "postgres")
}
