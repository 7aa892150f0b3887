// Package childproc starts child processes that cannot outlive their parent
// unnoticed, and recognises a process again after the parent was restarted.
//
// A process is identified by its pid together with its start time, so a pid
// that the kernel has given to another program is never signalled.
package childproc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Identity names one process for good: a pid alone is reused by the kernel.
type Identity struct {
	PID int `json:"pid"`
	// Start is the kernel's own start mark of the process, opaque; empty where
	// the platform does not tell.
	Start string `json:"start"`
}

// Identify returns the identity of a live process.
func Identify(pid int) (Identity, error) {
	start, err := startMark(pid)
	if err != nil {
		return Identity{}, fmt.Errorf("process %d: %w", pid, err)
	}
	return Identity{PID: pid, Start: start}, nil
}

// Alive says whether exactly this process still runs. A zombie does not.
func (id Identity) Alive() bool {
	if id.PID <= 1 {
		return false
	}
	start, err := startMark(id.PID)
	return err == nil && start == id.Start
}

// Signal sends a signal to exactly this process; a process that is gone is
// os.ErrProcessDone.
func (id Identity) Signal(sig syscall.Signal) error {
	if !id.Alive() {
		return os.ErrProcessDone
	}
	if err := syscall.Kill(id.PID, sig); err != nil {
		if errors.Is(err, syscall.ESRCH) {
			return os.ErrProcessDone
		}
		return fmt.Errorf("signal process %d: %w", id.PID, err)
	}
	return nil
}

// End asks the process to stop with sig, and kills it when it is still there
// after the grace period. It returns once the process is gone.
func (id Identity) End(ctx context.Context, sig syscall.Signal, grace time.Duration) error {
	if err := id.Signal(sig); err != nil {
		return ignoreDone(err)
	}
	if id.waitGone(ctx, grace) {
		return nil
	}
	if err := id.Signal(syscall.SIGKILL); err != nil {
		return ignoreDone(err)
	}
	if id.waitGone(ctx, 5*time.Second) {
		return nil
	}
	return fmt.Errorf("process %d does not end, not even when killed", id.PID)
}

func (id Identity) waitGone(ctx context.Context, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for id.Alive() {
		select {
		case <-ctx.Done():
			return !id.Alive()
		case <-tick.C:
		}
	}
	return true
}

func ignoreDone(err error) error {
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Spec says what to start.
type Spec struct {
	Path string
	Args []string // without the program's own name
	Env  []string // the whole environment; nothing is inherited
	Dir  string
	// Output takes stdout and stderr. An *os.File is handed over as it is, so
	// that the child writes without this process in between.
	Output io.Writer
	// ParentDeath is the signal that the child gets when this process dies
	// (Linux only; 0 for none).
	ParentDeath syscall.Signal
	// Credential runs the child as another user; nil keeps the caller's.
	Credential *syscall.Credential
	// Session detaches the child from the terminal and from this process's
	// session; otherwise it only gets a process group of its own, so that a
	// Ctrl-C at the terminal reaches this process alone.
	Session bool
}

// Process is a running child. It is waited for from its start on.
type Process struct {
	Identity
	StartedAt time.Time

	done chan struct{}
	mu   sync.Mutex
	err  error
}

// Start runs the child. The goroutine that starts it keeps its operating
// system thread until the child has ended: Linux sends the parent-death signal
// when the starting thread ends, not when the process does.
func Start(spec Spec) (*Process, error) {
	p := &Process{done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		cmd := spec.command()
		if err := cmd.Start(); err != nil {
			started <- fmt.Errorf("start %s: %w", spec.Path, err)
			return
		}
		p.StartedAt = time.Now()
		id, err := Identify(cmd.Process.Pid)
		if err != nil { // it is already gone: a mark that matches no process
			id = Identity{PID: cmd.Process.Pid, Start: "ended"}
		}
		p.Identity = id
		started <- nil
		p.setErr(cmd.Wait())
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

func (s Spec) command() *exec.Cmd {
	//nolint:noctx // a child outlives the call that starts it; Stop ends it
	cmd := exec.Command(s.Path, s.Args...)
	cmd.Env = s.Env
	if cmd.Env == nil {
		cmd.Env = []string{}
	}
	cmd.Dir = s.Dir
	cmd.Stdout, cmd.Stderr = s.Output, s.Output
	cmd.WaitDelay = time.Second // a grandchild may hold the output open for longer
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.Credential}
	if s.Session {
		cmd.SysProcAttr.Setsid = true
	} else {
		cmd.SysProcAttr.Setpgid = true
	}
	setParentDeath(cmd.SysProcAttr, s.ParentDeath)
	return cmd
}

func (p *Process) setErr(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

// Done is closed when the child has ended and was waited for.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says how the child ended; nil for exit code 0 and while it runs.
func (p *Process) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Stop asks the child to end with sig, kills it when it is still there after
// the grace period or when ctx ends, and returns when it was waited for.
// killed says that it had to be killed.
func (p *Process) Stop(ctx context.Context, sig syscall.Signal, grace time.Duration) (killed bool, err error) {
	if err := ignoreDone(p.Signal(sig)); err != nil {
		return false, err
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
		return false, nil
	case <-timer.C:
	case <-ctx.Done():
	}
	if err := ignoreDone(p.Signal(syscall.SIGKILL)); err != nil {
		return true, err
	}
	<-p.done
	return true, nil
}
