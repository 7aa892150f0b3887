// Package opensearchtest gives tests a real OpenSearch, one for each process of tests.
package opensearchtest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/shared/childproc"
	"lms/shared/freeport"
	"lms/shared/localopensearch"
)

// Server is a running OpenSearch.
type Server struct {
	Address string

	indexes atomic.Int64
	process *childproc.Process
	data    string
}

// Shared is a server for all tests of a package: the first that asks starts it, and
// Main ends it.
type Shared struct {
	once   sync.Once
	server *Server
	err    error
}

// Server is the server; without one the test fails: what is not tried is not known to
// work.
func (s *Shared) Server(t testing.TB) *Server {
	t.Helper()
	s.once.Do(func() { s.server, s.err = start(t.Logf) })
	require.NoError(t, s.err, "OpenSearch")
	return s.server
}

// Main runs the tests of a package and ends what they have started.
func (s *Shared) Main(m *testing.M) {
	code := m.Run()
	if s.server != nil {
		if err := s.server.stop(); err != nil {
			fmt.Fprintln(os.Stderr, "end OpenSearch:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// Prefix is a name for indexes that nobody else has.
func (s *Server) Prefix() string { return fmt.Sprintf("test%d", s.indexes.Add(1)) }

const startLimit = 3 * time.Minute

func start(say func(string, ...any)) (*Server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	port, err := freeport.One()
	if err != nil {
		return nil, err
	}
	data, err := localopensearch.Folder(os.TempDir(), fmt.Sprintf("lms-opensearch-%d", port))
	if err != nil {
		return nil, err
	}
	s := &Server{Address: localopensearch.Address(port), data: data}
	var output bytes.Buffer
	spec, err := localopensearch.Command(ctx, localopensearch.Options{Data: data, Port: port, Output: &output, Say: func(line string) { say("%s", line) }})
	if err != nil {
		return nil, err
	}
	if s.process, err = childproc.Start(spec); err != nil {
		return nil, err
	}
	for end := time.Now().Add(startLimit); time.Now().Before(end); <-time.After(100 * time.Millisecond) {
		select {
		case <-s.process.Done():
			return nil, fmt.Errorf("it ended: %w\n%s", s.process.Err(), output.Bytes())
		default:
		}
		if s.answers() {
			return s, nil
		}
	}
	return nil, fmt.Errorf("it does not answer at %s: %w", s.Address, s.stop())
}

func (s *Server) answers() bool {
	client := http.Client{Timeout: 2 * time.Second}
	res, err := client.Get(s.Address + "/_cluster/health")
	if err != nil {
		return false
	}
	return res.Body.Close() == nil && res.StatusCode == http.StatusOK
}

func (s *Server) stop() error {
	if _, err := s.process.Stop(context.Background(), syscall.SIGKILL, 10*time.Second); err != nil {
		return err
	}
	return os.RemoveAll(s.data)
}

// Pause stops the server until resume is called: it is there and does not answer.
func (s *Server) Pause(t testing.TB) (resume func()) {
	t.Helper()
	require.NoError(t, s.process.Signal(syscall.SIGSTOP))
	return func() { require.NoError(t, s.process.Signal(syscall.SIGCONT)) }
}
