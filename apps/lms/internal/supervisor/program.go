package supervisor

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"lms/shared/childproc"
)

// Program is a Process.Start for an ordinary program: it gets SIGTERM and, when
// it does not end within Grace, SIGKILL.
type Program struct {
	Path    string
	Args    []string
	Env     []string
	Dir     string
	LogFile string
	Grace   time.Duration
	// Credential runs it as another user; nil keeps the caller's.
	Credential *syscall.Credential
}

// Start runs the program with its output appended to its log file.
func (p Program) Start(context.Context) (Child, error) {
	log, err := os.OpenFile(p.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open its log: %w", err)
	}
	defer func() { _ = log.Close() }() // the program has its own handle
	proc, err := childproc.Start(childproc.Spec{
		Path: p.Path, Args: p.Args, Env: p.Env, Dir: p.Dir, Output: log, ParentDeath: syscall.SIGTERM, Credential: p.Credential,
	})
	if err != nil {
		return nil, err
	}
	return program{proc, p.Grace}, nil
}

type program struct {
	proc  *childproc.Process
	grace time.Duration
}

func (p program) Identity() childproc.Identity { return p.proc.Identity }
func (p program) Done() <-chan struct{}        { return p.proc.Done() }

func (p program) Reason() string {
	if err := p.proc.Err(); err != nil {
		return err.Error()
	}
	return "exit code 0"
}

func (p program) Stop(ctx context.Context) error {
	killed, err := p.proc.Stop(ctx, syscall.SIGTERM, p.grace)
	if err == nil && killed {
		err = fmt.Errorf("process %d did not stop within %s and was killed", p.proc.PID, p.grace)
	}
	return err
}
