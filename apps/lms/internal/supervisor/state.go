package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"lms/shared/childproc"
)

// Status is one process as the state file records it.
type Status struct {
	Name    string `json:"name"`
	Service string `json:"service"`
	Kind    Kind   `json:"kind"`
	childproc.Identity
	Ports     map[string]int `json:"ports"`
	State     State          `json:"state"`
	Restarts  int            `json:"restarts"` // ordered ones included
	Crashes   int            `json:"crashes"`
	LastExit  string         `json:"last_exit,omitempty"`
	StartedAt time.Time      `json:"started_at"`
	LogFile   string         `json:"log_file"`
}

// Phase of a whole installation.
type Phase string

// The phases of an installation.
const (
	PhaseStarting Phase = "starting"
	PhaseReady    Phase = "ready"
	PhaseStopping Phase = "stopping"
)

// Control is where a running supervisor takes orders.
type Control struct {
	Address string `json:"address"`
	Token   string `json:"token"`
	// SidecarToken is what the gateway's sidecar asks for; the operator's
	// commands call services through it.
	SidecarToken string `json:"sidecar_token"`
}

// Record is the contents of the state file, which only its owner may read.
type Record struct {
	Supervisor childproc.Identity `json:"supervisor"`
	Phase      Phase              `json:"phase"`
	Address    string             `json:"address"`  // of the gateway
	Programs   string             `json:"programs"` // folder that they run from
	StartedAt  time.Time          `json:"started_at"`
	ReadyAt    *time.Time         `json:"ready_at,omitempty"`
	Control    Control            `json:"control"`
	Processes  []Status           `json:"processes"`
}

// ReadRecord reads a state file; fs.ErrNotExist when nothing was ever started
// or everything was stopped in order.
func ReadRecord(file string) (Record, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return Record{}, fmt.Errorf("read the state of the installation: %w", err)
	}
	var r Record
	if err := json.Unmarshal(raw, &r); err != nil {
		return Record{}, fmt.Errorf("%s is damaged: %w", file, err)
	}
	return r, nil
}

// WriteRecord replaces a state file in one step.
func WriteRecord(file string, r Record) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the state of the installation: %w", err)
	}
	if err := os.WriteFile(file+".new", append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the state of the installation: %w", err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return fmt.Errorf("write the state of the installation: %w", err)
	}
	return nil
}

// Leftovers are the recorded processes that still live. A pid that another
// program has now is none.
func (r Record) Leftovers() []Status {
	var live []Status
	for _, p := range r.Processes {
		if p.Alive() {
			live = append(live, p)
		}
	}
	return live
}

// EndLeftovers stops what a killed run left behind, in the order of an orderly
// stop, and removes its state file. The caller holds the installation's lock.
func EndLeftovers(ctx context.Context, file string, say func(string)) error {
	r, err := ReadRecord(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	left := r.Leftovers()
	if len(left) > 0 {
		say(fmt.Sprintf("stopping %d processes that an interrupted run left behind", len(left)))
	}
	for _, kind := range []Kind{KindService, KindSidecar, KindAuthority, KindBroker, KindStore, KindDatabase} {
		if err := endKind(ctx, left, kind); err != nil {
			return err
		}
	}
	if err := os.Remove(file); err != nil {
		return fmt.Errorf("remove the state of the interrupted run: %w", err)
	}
	return nil
}

func endKind(ctx context.Context, left []Status, kind Kind) error {
	sig, grace := syscall.SIGTERM, 5*time.Second
	if kind == KindDatabase {
		sig, grace = syscall.SIGINT, 15*time.Second // SIGTERM would wait for its clients
	}
	var wg sync.WaitGroup
	errs := make([]error, len(left))
	for i, p := range left {
		if p.Kind == kind {
			wg.Go(func() { errs[i] = p.End(ctx, sig, grace) })
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}
