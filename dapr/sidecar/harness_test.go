package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
)

const (
	apiToken = "token-of-the-sidecar"
	appToken = "token-of-the-app"
	// patience bounds every wait for something that happens within
	// milliseconds on an idle machine.
	patience = 20 * time.Second
)

var errNotReady = errors.New("not ready")

// binary is the sidecar under test, built once for the run: the tests talk to
// the process that is shipped, with the files that are shipped.
var binary string

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	folder, err := os.MkdirTemp("", "sidecar")
	if err != nil {
		log.Print(err)
		return 1
	}
	defer os.RemoveAll(folder)
	binary = filepath.Join(folder, "daprd")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, ".")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		log.Printf("build the sidecar: %v", err)
		return 1
	}
	return m.Run()
}

// repository is the path of a file of the repository.
func repository(t testing.TB, parts ...string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(append([]string{"..", ".."}, parts...)...))
	require.NoError(t, err)
	return path
}

// installation is one LMS_HOME with its broker.
type installation struct {
	t       testing.TB
	home    string
	brokers string
}

type installationOptions struct {
	partitions int
}

func newInstallation(t testing.TB, opts installationOptions) *installation {
	t.Helper()
	if opts.partitions == 0 {
		opts.partitions = 4
	}
	broker, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.AllowAutoTopicCreation(),
		kfake.DefaultNumPartitions(opts.partitions),
	)
	require.NoError(t, err)
	t.Cleanup(broker.Close)

	home := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(home, "run"), 0o700))
	secrets, err := json.Marshal(map[string]string{"service-course": "s3cret"})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(home, "secrets.json"), secrets, 0o600))
	return &installation{t: t, home: home, brokers: strings.Join(broker.ListenAddrs(), ",")}
}

// sidecarOptions says how one sidecar differs from what `lms up` starts.
type sidecarOptions struct {
	app       http.Handler // nil: no app beside it
	appPort   int          // of an app that the test starts itself
	resources []string     // default: the embedded profile and dapr/
	asTheCLI  bool         // only the flags that `dapr run` can pass
}

type sidecar struct {
	t       testing.TB
	id      string
	http    int
	grpc    int
	private int
	metrics int // 0: no such port
	process *exec.Cmd
	started time.Time
	ready   time.Duration
	output  *lockedBuffer
	exited  chan struct{}
}

// start runs a sidecar and waits until it and its app are ready.
func (i *installation) start(id string, opts sidecarOptions) *sidecar {
	i.t.Helper()
	s := i.launch(id, opts)
	s.await("/v1.0/healthz")
	return s
}

// launch starts the process without waiting.
func (i *installation) launch(id string, opts sidecarOptions) *sidecar {
	i.t.Helper()
	if opts.resources == nil {
		opts.resources = []string{repository(i.t, "components", "embedded"), repository(i.t, "dapr")}
	}
	ports := freePorts(i.t, 3)
	s := &sidecar{t: i.t, id: id, http: ports[0], grpc: ports[1], private: ports[2], output: &lockedBuffer{}, exited: make(chan struct{})}
	args := []string{
		"--app-id", id,
		"--dapr-http-port", strconv.Itoa(s.http),
		"--dapr-grpc-port", strconv.Itoa(s.grpc),
		"--dapr-internal-grpc-port", strconv.Itoa(s.private),
		"--dapr-listen-addresses", "127.0.0.1",
		"--config", repository(i.t, "dapr", "config.yaml"),
	}
	if opts.asTheCLI {
		s.metrics = freePorts(i.t, 1)[0]
		args = append(args, "--metrics-port", strconv.Itoa(s.metrics), "--placement-host-address", "",
			"--scheduler-host-address", " ", "--app-max-concurrency", "-1", "--max-body-size", "4Mi",
			"--read-buffer-size", "4Ki", "--app-protocol", "http", "--profile-port", "0")
	} else {
		args = append(args, "--enable-metrics=false", "--disable-init-endpoints", "config",
			"--dapr-internal-grpc-listen-address", "127.0.0.1")
	}
	for _, folder := range opts.resources {
		args = append(args, "--resources-path", folder)
	}
	if opts.app != nil {
		app := httptest.NewServer(opts.app)
		i.t.Cleanup(app.Close)
		_, port, err := net.SplitHostPort(app.Listener.Addr().String())
		require.NoError(i.t, err)
		args = append(args, "--app-port", port, "--app-protocol", "http")
	} else if opts.appPort != 0 {
		args = append(args, "--app-port", strconv.Itoa(opts.appPort), "--app-protocol", "http")
	}
	s.process = exec.Command(binary, args...)
	s.process.Dir = filepath.Join(i.home, "run")
	s.process.Env = append(os.Environ(),
		"DAPR_HOST_IP=127.0.0.1",
		"DAPR_API_TOKEN="+apiToken,
		"APP_API_TOKEN="+appToken,
		"LMS_KAFKA_BROKERS="+i.brokers,
	)
	s.process.Stdout, s.process.Stderr = s.output, s.output
	s.started = time.Now()
	require.NoError(i.t, s.process.Start())
	go func() {
		defer close(s.exited)
		_ = s.process.Wait() // the exit code of a stopped sidecar says nothing
	}()
	i.t.Cleanup(func() {
		s.stop(syscall.SIGTERM)
		if i.t.Failed() {
			i.t.Logf("output of the sidecar of %s:\n%s", id, s.output.String())
		}
	})
	return s
}

// stop ends the process and waits for its end; a second call does nothing.
func (s *sidecar) stop(signal syscall.Signal) {
	select {
	case <-s.exited:
		return
	default:
	}
	_ = s.process.Process.Signal(signal) // it may have ended just now
	select {
	case <-s.exited:
	case <-time.After(patience):
		_ = s.process.Process.Kill()
		<-s.exited
	}
}

// await polls a health path until it answers 204.
func (s *sidecar) await(path string) {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		if err := s.healthy(path); err == nil {
			s.ready = time.Since(s.started)
			return
		}
		select {
		case <-s.exited:
			require.FailNow(s.t, "the sidecar of "+s.id+" ended", s.output.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
	require.FailNow(s.t, "the sidecar of "+s.id+" is not ready", s.output.String())
}

func (s *sidecar) healthy(path string) error {
	res, err := http.Get(s.url(path)) //nolint:noctx // bounded by await
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		return fmt.Errorf("%w: %s", errNotReady, res.Status)
	}
	return nil
}

func (s *sidecar) url(path string) string {
	return "http://127.0.0.1:" + strconv.Itoa(s.http) + path
}

// request is one call of a sidecar's API.
type request struct {
	method, path string
	body         any // JSON unless it is []byte
	header       map[string]string
	noToken      bool
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (s *sidecar) call(r request) answer {
	s.t.Helper()
	a, err := s.try(r)
	require.NoError(s.t, err)
	return a
}

func (s *sidecar) try(r request) (answer, error) {
	var body io.Reader
	switch b := r.body.(type) {
	case nil:
	case []byte:
		body = bytes.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			return answer{}, err
		}
		body = bytes.NewReader(raw)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.method, s.url(r.path), body)
	if err != nil {
		return answer{}, err
	}
	if !r.noToken {
		req.Header.Set("dapr-api-token", apiToken)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	return answer{status: res.StatusCode, header: res.Header, body: raw}, err
}

// freePorts returns ports that nobody listens on now.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	ports := make([]int, 0, n)
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer listener.Close() // all at the end, so that no port comes twice
		address, ok := listener.Addr().(*net.TCPAddr)
		require.True(t, ok)
		ports = append(ports, address.Port)
	}
	return ports
}

// lockedBuffer collects what a process writes while a test reads it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
