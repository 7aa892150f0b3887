// Package supervisor keeps a set of processes running: it starts them, starts
// them again when they end by themselves, stops them when told, and records
// what it started so that a later run can clean up after a killed one.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"lms/shared/childproc"
)

// Kind of a process.
type Kind string

// The kinds of processes of an installation.
const (
	KindService   Kind = "service"
	KindSidecar   Kind = "sidecar"
	KindAuthority Kind = "authority" // certifies the sidecars
	KindBroker    Kind = "broker"    // carries topics
	KindStore     Kind = "store"     // what else a profile stands on
	KindDatabase  Kind = "database"
)

// State of a process.
type State string

// The states of a process.
const (
	Starting State = "starting"
	Running  State = "running"
	Waiting  State = "waiting" // it ended by itself and is started again soon
	Stopping State = "stopping"
	Stopped  State = "stopped"
)

// Child is a started process.
type Child interface {
	Identity() childproc.Identity
	// Done is closed when it has ended.
	Done() <-chan struct{}
	// Reason says how it ended, for a log line.
	Reason() string
	// Stop ends it in its own orderly way and returns when it is gone.
	Stop(ctx context.Context) error
}

// Process says how one process is run.
type Process struct {
	Name    string // unique: "user", "user-sidecar", "broker", "postgres"
	Service string // the service it belongs to, or its own name
	Kind    Kind
	Ports   map[string]int // by what they are for: http, grpc, …
	LogFile string
	Start   func(ctx context.Context) (Child, error)
	// Ready is nil when the process serves; asked again until then. Without it
	// a process that was started is ready.
	Ready func(ctx context.Context) error
}

const (
	firstBackoff = 200 * time.Millisecond
	maxBackoff   = 10 * time.Second
	// settled is how long a process must run for its next end to count as the
	// first one again.
	settled = 30 * time.Second
)

// Supervisor runs processes. It is made by New; who starts processes
// also stops them.
type Supervisor struct {
	say     func(string) // one line for a person per event
	changed func([]Status)

	mu       sync.Mutex
	tasks    map[string]*task
	order    []string
	recordMu sync.Mutex
}

// New makes a supervisor. say gets one line per event, changed the state of all
// processes after each change; calls of changed do not overlap.
func New(say func(string), changed func([]Status)) *Supervisor {
	return &Supervisor{say: say, changed: changed, tasks: map[string]*task{}}
}

// task is one process through all its lives. Its goroutine is the only one
// that starts and stops children; others ask it by channels.
type task struct {
	spec   Process
	orders chan order
	ended  chan struct{} // the goroutine has returned
	mu     sync.Mutex
	status Status
	child  Child // nil between two lives
}

type order struct {
	restart bool // else stop
	done    chan error
	ctx     context.Context //nolint:containedctx // the order's own deadline travels with it
}

// Start runs a process for the first time and looks after it from then on. An
// error means that it could not be started at all.
func (s *Supervisor) Start(ctx context.Context, p Process) error {
	t := &task{spec: p, orders: make(chan order), ended: make(chan struct{})}
	t.status = Status{Name: p.Name, Service: p.Service, Kind: p.Kind, Ports: p.Ports, State: Starting, LogFile: p.LogFile}
	s.mu.Lock()
	if _, taken := s.tasks[p.Name]; taken {
		s.mu.Unlock()
		return fmt.Errorf("%s runs already", p.Name)
	}
	s.tasks[p.Name] = t
	s.order = append(s.order, p.Name)
	s.mu.Unlock()
	child, err := p.Start(ctx)
	if err != nil {
		t.setState(Stopped)
		close(t.ended)
		s.record()
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	t.started(child)
	s.record()
	go s.look(t) //nolint:contextcheck // a task lives until it is told to stop, not as long as who started it
	return nil
}

// look is the life of a task.
func (s *Supervisor) look(t *task) {
	defer close(t.ended)
	backoff := firstBackoff
	for {
		select {
		case o := <-t.orders:
			if s.obey(t, o) {
				return
			}
			backoff = firstBackoff
		case <-t.current().Done():
			lived := time.Since(t.snapshot().StartedAt)
			if lived > settled {
				backoff = firstBackoff
			}
			reason := t.current().Reason()
			t.crashed(reason)
			s.record()
			s.say(fmt.Sprintf("%s ended by itself after %s (%s), starting it again in %s", t.spec.Name, round(lived), reason, backoff))
			if s.revive(t, &backoff) {
				return
			}
		}
	}
}

// revive waits and starts the process again until it runs; true when it was
// told to stop meanwhile.
func (s *Supervisor) revive(t *task, backoff *time.Duration) (stopped bool) {
	for {
		timer := time.NewTimer(*backoff)
		*backoff = min(*backoff*2, maxBackoff)
		select {
		case <-timer.C:
		case o := <-t.orders:
			timer.Stop()
			if !o.restart {
				t.setState(Stopped)
				s.record()
				o.done <- nil
				return true
			}
			o.done <- s.begin(o.ctx, t)
			if t.current() != nil {
				return false
			}
			continue
		}
		if err := s.begin(context.Background(), t); err == nil {
			return false
		}
	}
}

// begin starts the next life of a process.
func (s *Supervisor) begin(ctx context.Context, t *task) error {
	child, err := t.spec.Start(ctx)
	if err != nil {
		s.say(fmt.Sprintf("%s does not start: %v", t.spec.Name, err))
		t.crashed(err.Error())
		s.record()
		return err
	}
	t.started(child)
	s.record()
	return nil
}

// obey carries out an order while the process runs; true ends the task.
func (s *Supervisor) obey(t *task, o order) (ended bool) {
	t.setState(Stopping)
	s.record()
	err := t.current().Stop(o.ctx)
	if !o.restart {
		t.setState(Stopped)
		s.record()
		o.done <- err
		return true
	}
	t.count()
	if startErr := s.begin(o.ctx, t); startErr != nil {
		o.done <- errors.Join(err, startErr)
		backoff := firstBackoff
		return s.revive(t, &backoff)
	}
	o.done <- err
	return false
}

func (t *task) order(ctx context.Context, restart bool) error {
	o := order{restart: restart, done: make(chan error, 1), ctx: ctx}
	select {
	case t.orders <- o:
	case <-t.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s does not react: %w", t.spec.Name, ctx.Err())
	}
	return <-o.done
}

// Restart stops a process in its orderly way and starts it again.
func (s *Supervisor) Restart(ctx context.Context, name string) error {
	s.mu.Lock()
	t, ok := s.tasks[name]
	s.mu.Unlock()
	if !ok {
		return fmt.Errorf("there is no process %q; there are %v", name, s.Names())
	}
	select {
	case <-t.ended:
		return fmt.Errorf("%s was stopped for good", name)
	default:
	}
	return t.order(ctx, true)
}

// Stop ends the named processes side by side and returns when all are gone.
func (s *Supervisor) Stop(ctx context.Context, names ...string) error {
	var wg sync.WaitGroup
	errs := make([]error, len(names))
	for i, name := range names {
		s.mu.Lock()
		t := s.tasks[name]
		s.mu.Unlock()
		if t == nil {
			continue
		}
		wg.Go(func() { errs[i] = t.order(ctx, false) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Names of all processes in the order of their start.
func (s *Supervisor) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.order)
}

// OfKind are the names of the processes of one kind.
func (s *Supervisor) OfKind(kind Kind) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, n := range s.order {
		if s.tasks[n].spec.Kind == kind {
			names = append(names, n)
		}
	}
	return names
}

// Status is the present state of all processes.
func (s *Supervisor) Status() []Status {
	s.mu.Lock()
	tasks := make([]*task, 0, len(s.order))
	for _, n := range s.order {
		tasks = append(tasks, s.tasks[n])
	}
	s.mu.Unlock()
	out := make([]Status, len(tasks))
	for i, t := range tasks {
		out[i] = t.snapshot()
	}
	return out
}

// WaitReady asks a process until it serves. It gives up when ctx ends or when
// the process has ended by itself three times.
func (s *Supervisor) WaitReady(ctx context.Context, name string) error {
	s.mu.Lock()
	t := s.tasks[name]
	s.mu.Unlock()
	if t == nil {
		return fmt.Errorf("there is no process %q", name)
	}
	if t.spec.Ready == nil {
		return nil
	}
	crashes := t.snapshot().Crashes
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var last error // what it said itself, not that time ran out
	for {
		err := t.spec.Ready(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		if st := t.snapshot(); st.Crashes-crashes >= 3 {
			return fmt.Errorf("%s does not stay up (%s); its log is %s", name, st.LastExit, st.LogFile)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", name, last)
		}
	}
}

func (s *Supervisor) record() {
	s.recordMu.Lock()
	defer s.recordMu.Unlock()
	s.changed(s.Status())
}

func (t *task) current() Child {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.child
}

func (t *task) snapshot() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	st := t.status
	st.Ports = maps.Clone(st.Ports)
	return st
}

func (t *task) started(c Child) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.child = c
	t.status.Identity = c.Identity()
	t.status.State = Running
	t.status.StartedAt = time.Now().UTC()
}

func (t *task) crashed(reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.child = nil
	t.status.State = Waiting
	t.status.LastExit = reason
	t.status.Restarts++
	t.status.Crashes++
}

func (t *task) count() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status.Restarts++
}

func (t *task) setState(st State) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status.State = st
}

func round(d time.Duration) time.Duration {
	if d > time.Minute {
		return d.Round(time.Second)
	}
	return d.Round(10 * time.Millisecond)
}
