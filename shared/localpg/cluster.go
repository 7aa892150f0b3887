package localpg

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"lms/shared/childproc"
)

var (
	errPortTaken    = errors.New("the port is taken")
	errSharedMemory = errors.New("processes of an earlier server are still ending")
)

// initialise makes the cluster unless it is there. It is built beside its
// place and renamed, so that an interrupted attempt is never taken for whole.
func (h home) initialise(ctx context.Context, bin Binaries, pw passwords, o Options) error {
	if h.major() != 0 {
		return nil
	}
	o.Progress("making a new database cluster with PostgreSQL " + bin.Version)
	fresh := h.cluster() + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("remove a half-made cluster: %w", err)
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return fmt.Errorf("make the cluster's folder: %w", err)
	}
	if err := h.user.own(fresh); err != nil {
		return err
	}
	pwFile := filepath.Join(h.dir, "initial-password")
	if err := os.WriteFile(pwFile, []byte(pw.Roles[Superuser]+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the first password: %w", err)
	}
	defer func() { _ = os.Remove(pwFile) }()
	if err := h.user.own(pwFile); err != nil {
		return err
	}
	ctype := "C.UTF-8"
	if runtime.GOOS == "darwin" {
		ctype = "en_US.UTF-8"
	}
	// Text sorts by code point, the same on every machine; letters are those
	// of Unicode.
	args := []string{
		"--pgdata", fresh, "--username", Superuser, "--pwfile", pwFile, "--auth", "scram-sha-256",
		"--encoding", "UTF8", "--locale", "C", "--lc-ctype", ctype,
	}
	if o.Durable {
		args = append(args, "--data-checksums")
	} else {
		args = append(args, "--no-sync")
	}
	var out bytes.Buffer
	if err := h.runTool(ctx, bin.program("initdb"), args, &out); err != nil {
		return fmt.Errorf("make the database cluster: %w: %s", err, explain(out.String()))
	}
	if err := os.Rename(fresh, h.cluster()); err != nil {
		return fmt.Errorf("put the database cluster in place: %w", err)
	}
	return nil
}

func (h home) runTool(ctx context.Context, path string, args []string, out *bytes.Buffer) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	p, err := childproc.Start(childproc.Spec{
		Path: path, Args: args, Env: h.env(), Dir: h.dir, Output: out,
		ParentDeath: syscall.SIGKILL, Credential: h.user.credential(),
	})
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
		return p.Err()
	case <-ctx.Done():
		_, err := p.Stop(context.WithoutCancel(ctx), syscall.SIGINT, 2*time.Second)
		return errors.Join(ctx.Err(), err)
	}
}

func (h home) env() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "HOME=" + h.dir}
}

// launch starts the postmaster and waits until it accepts connections.
func (h home) launch(ctx context.Context, bin Binaries, o Options, port int) (*childproc.Process, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute) // recovery after a crash takes its time
	defer cancel()
	logFile := o.LogFile
	if logFile == "" {
		logFile = filepath.Join(h.dir, "postgres.log")
	}
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the database's log: %w", err)
	}
	defer func() { _ = log.Close() }() // the server has its own handle
	before, err := log.Seek(0, 2)
	if err != nil {
		return nil, fmt.Errorf("open the database's log: %w", err)
	}
	p, err := childproc.Start(childproc.Spec{
		Path: bin.program("postgres"), Args: h.arguments(o, port), Env: h.env(), Dir: h.dir,
		Output: log, ParentDeath: o.ParentDeath, Credential: h.user.credential(),
	})
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if pm, ok := h.readPostmaster(); ok && pm.PID == p.PID && pm.Ready {
			return p, nil
		}
		select {
		case <-p.Done():
			return nil, startError(logFile, before, port)
		case <-ctx.Done():
			_, err := p.Stop(context.WithoutCancel(ctx), syscall.SIGQUIT, 5*time.Second)
			return nil, errors.Join(fmt.Errorf("PostgreSQL did not get ready: %w (its log is %s)", ctx.Err(), logFile), err)
		case <-tick.C:
		}
	}
}

// arguments set everything on the command line, so that the cluster's own
// postgresql.conf stays as it was made and an upgrade of ours reaches old data.
func (h home) arguments(o Options, port int) []string {
	settings := []string{
		"listen_addresses=127.0.0.1", "port=" + strconv.Itoa(port), "unix_socket_directories=",
		"timezone=" + o.TimeZone, "log_timezone=UTC",
		"max_connections=" + strconv.Itoa(o.MaxConnections),
		"shared_buffers=32MB", "wal_buffers=4MB", "work_mem=8MB", "maintenance_work_mem=32MB", "jit=off", "huge_pages=off",
		"max_worker_processes=4", "max_parallel_workers=2", "max_parallel_workers_per_gather=0",
		"max_logical_replication_workers=0", "min_wal_size=64MB",
		"password_encryption=scram-sha-256", "logging_collector=off", "log_checkpoints=off",
		// Terse: the DETAIL of a violated constraint names the row's values,
		// and a log carries no personal data.
		"log_error_verbosity=terse", "log_line_prefix=%m [%p] %q%u@%d ",
	}
	if o.Durable {
		settings = append(settings, "fsync=on", "synchronous_commit=on", "full_page_writes=on", "max_wal_size=512MB",
			"wal_level=replica", "max_wal_senders=2", "max_replication_slots=2") // for Backup
	} else {
		settings = append(settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0",
			"max_wal_size=512MB", "checkpoint_timeout=30min", "autovacuum_naptime=5min")
	}
	args := []string{"-D", h.cluster()}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	return args
}

// postmaster is what PostgreSQL writes into postmaster.pid.
type postmaster struct {
	PID   int
	Port  int
	Ready bool
}

func (h home) readPostmaster() (postmaster, bool) {
	raw, err := os.ReadFile(filepath.Join(h.cluster(), "postmaster.pid"))
	if err != nil {
		return postmaster{}, false
	}
	var lines []string
	for s := bufio.NewScanner(bytes.NewReader(raw)); s.Scan(); {
		lines = append(lines, strings.TrimSpace(s.Text()))
	}
	if len(lines) < 4 {
		return postmaster{}, false
	}
	pid, errPID := strconv.Atoi(lines[0])
	port, errPort := strconv.Atoi(lines[3])
	if errPID != nil || errPort != nil || pid < 2 {
		return postmaster{}, false
	}
	return postmaster{PID: pid, Port: port, Ready: len(lines) >= 8 && lines[7] == "ready"}, true
}

// postmaster is the live server of this folder. The pid alone proves nothing:
// the process must work in this cluster's folder.
func (h home) postmaster() (postmaster, bool) {
	pm, ok := h.readPostmaster()
	if !ok {
		return postmaster{}, false
	}
	if _, err := childproc.Identify(pm.PID); err != nil {
		return postmaster{}, false
	}
	dir := childproc.WorkingDir(pm.PID)
	if dir == "" { // the platform does not tell: the program's name must do
		return pm, strings.Contains(filepath.Base(childproc.Executable(pm.PID)), "postgres")
	}
	real, err := filepath.EvalSymlinks(h.cluster())
	return pm, err == nil && real == dir
}

// endStale stops a server that a killed run left behind. The caller holds the
// folder's lock, so no living owner is robbed.
func (h home) endStale(ctx context.Context, progress func(string)) error {
	pm, ok := h.postmaster()
	if !ok {
		return nil
	}
	id, err := childproc.Identify(pm.PID)
	if errors.Is(err, os.ErrProcessDone) {
		return nil // it ended by itself meanwhile
	}
	if err != nil {
		return err
	}
	progress(fmt.Sprintf("stopping the PostgreSQL (process %d) that an interrupted run left behind", pm.PID))
	if err := id.End(ctx, syscall.SIGINT, 10*time.Second); err != nil {
		return fmt.Errorf("stop the PostgreSQL of an interrupted run: %w", err)
	}
	return nil
}

func startError(logFile string, offset int64, port int) error {
	raw, err := os.ReadFile(logFile)
	if err != nil || int64(len(raw)) < offset {
		return fmt.Errorf("PostgreSQL did not start; its log is %s", logFile)
	}
	text := string(raw[offset:])
	switch {
	case strings.Contains(text, "pre-existing shared memory"), strings.Contains(text, "lock file \"postmaster.pid\" already exists"):
		return fmt.Errorf("PostgreSQL did not start: %w", errSharedMemory)
	case strings.Contains(text, "could not bind"), strings.Contains(text, "could not create any TCP/IP sockets"):
		return fmt.Errorf("PostgreSQL cannot listen on 127.0.0.1:%d: %w", port, errPortTaken)
	}
	return fmt.Errorf("PostgreSQL did not start: %s (its log is %s)", explain(text), logFile)
}

// explain picks the line of PostgreSQL's output that a person needs.
func explain(text string) string {
	if strings.Contains(text, "No space left on device") {
		return "the disk is full: make room and start again"
	}
	last := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		for _, mark := range []string{"FATAL:", "PANIC:", "initdb: error:", "error while loading shared libraries"} {
			if i := strings.Index(line, mark); i >= 0 {
				return strings.TrimSpace(line[i:])
			}
		}
		if line != "" {
			last = line
		}
	}
	return last
}
