// Package infra starts the products behind a profile as processes of this
// machine: Apache Kafka, Redis, RabbitMQ, NATS, Mosquitto, a mail server. Each is
// fetched once, with a pinned version, into the user's cache, and runs on its
// own port with its own data folder; a service that the system runs is never
// touched. It is for developers and tests: in production somebody operates them.
package infra

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lms/apps/lms/internal/installation"
	"lms/apps/lms/internal/supervisor"
	"lms/shared/freeport"
)

// Site is where a component runs.
type Site struct {
	Name    string // of the component, its process and its data folder
	Home    installation.Home
	Root    string // of the source tree
	Program string // this command, which carries the mail server
	Ports   []int  // as many as the component asked for
	Secrets installation.Secrets
	Say     func(string)
}

func (s Site) data() string         { return filepath.Join(s.Home.Data(), s.Name) }
func (s Site) file(n string) string { return filepath.Join(s.data(), n) }
func (s Site) address(i int) string { return freeport.Address(s.Ports[i]) }
func (s Site) environment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.data()}
}

// Component is one product in one role.
type Component struct {
	Name string
	// Kind of its processes: a broker carries topics, a store anything else.
	Kind supervisor.Kind
	// Variables are those of the component files that lead to it.
	Variables []string
	// Ports is how many it needs.
	Ports int

	// processes fetches the product, writes its configuration and says what to
	// start, in this order.
	processes func(ctx context.Context, s Site) ([]supervisor.Process, error)
	// values are the variables' values.
	values func(s Site) map[string]string
	// prepare makes what a client expects to find; nil for nothing.
	prepare func(ctx context.Context, s Site) error
}

// readyLimit bounds the start of one component on a busy machine; fetching is
// not counted. OpenSearch was seen to take two minutes beside three others.
const readyLimit = 5 * time.Minute

// Values of the component's variables at a site.
func (c Component) Values(s Site) map[string]string { return c.values(s) }

// Start fetches the component where it is not in the cache, starts its processes
// under the supervisor and returns when clients can use it.
func (c Component) Start(ctx context.Context, sup *supervisor.Supervisor, s Site) error {
	if err := os.MkdirAll(s.data(), 0o700); err != nil {
		return fmt.Errorf("folder of %s: %w", c.Name, err)
	}
	processes, err := c.processes(ctx, s)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	for _, p := range processes {
		p.Kind = c.Kind
		if err := sup.Start(ctx, p); err != nil {
			return err
		}
		if err := sup.WaitReady(ctx, p.Name); err != nil {
			return err
		}
	}
	if c.prepare == nil {
		return nil
	}
	if err := c.prepare(ctx, s); err != nil {
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	return nil
}

// process is an ordinary program of a component that listens on its first port.
func (s Site) process(name, port string, number int, p supervisor.Program) supervisor.Process {
	p.LogFile = s.Home.Log(name)
	if p.Dir == "" {
		p.Dir = s.data()
	}
	address := freeport.Address(number)
	return supervisor.Process{
		Name: name, Service: name, Ports: map[string]int{port: number}, LogFile: p.LogFile,
		Start: p.Start,
		Ready: func(ctx context.Context) error { return dial(ctx, address) },
	}
}

func dial(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// configure writes a configuration file that may hold a password.
func (s Site) configure(name string, lines ...string) (string, error) {
	file := s.file(name)
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write its configuration: %w", err)
	}
	return file, nil
}
