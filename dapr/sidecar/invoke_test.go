package main

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestInvocationReachesTheAppWithItsToken(t *testing.T) {
	t.Parallel()
	home := newInstallation(t, installationOptions{})
	app := http.NewServeMux()
	app.HandleFunc("PATCH /api/v1/courses/{id}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v2"`)
		w.WriteHeader(http.StatusConflict)
		writeJSON(w, map[string]string{
			"id": r.PathValue("id"), "query": r.URL.RawQuery, "caller": r.Header.Get("dapr-caller-app-id"),
			"token": r.Header.Get("dapr-api-token"), "match": r.Header.Get("If-Match"),
		})
	})
	home.start("course", sidecarOptions{app: app})
	gateway := home.start("gateway", sidecarOptions{})

	got := gateway.call(request{
		method: http.MethodPatch, path: "/api/v1/courses/7?deep=1",
		body:   map[string]string{"title": "x"},
		header: map[string]string{"dapr-app-id": "course", "If-Match": `"v1"`},
	})
	require.Equal(t, http.StatusConflict, got.status, "the app's own status comes back")
	require.Equal(t, `"v2"`, got.header.Get("ETag"))
	var seen map[string]string
	require.NoError(t, json.Unmarshal(got.body, &seen))
	require.Equal(t, map[string]string{
		"id": "7", "query": "deep=1", "caller": "gateway", "token": appToken, "match": `"v1"`,
	}, seen)
}

func TestFailingCallIsMadeOnce(t *testing.T) {
	t.Parallel()
	for _, status := range []int{
		http.StatusBadRequest, http.StatusUnauthorized, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
	} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			home := newInstallation(t, installationOptions{})
			var calls atomic.Int32
			home.start("course", sidecarOptions{app: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				calls.Add(1)
				w.WriteHeader(status)
			})})
			gateway := home.start("gateway", sidecarOptions{})
			before := calls.Load() // the sidecar's own question for subscriptions
			got := gateway.call(request{method: http.MethodPost, path: "/v1.0/invoke/course/method/x", body: map[string]int{"n": 1}})
			require.Equal(t, status, got.status)
			require.Equal(t, before+1, calls.Load())
		})
	}
}

// The app dies in the middle of the call: it may have done the work, so nobody
// may send the call again.
func TestCallCutOffIsMadeOnce(t *testing.T) {
	t.Parallel()
	home := newInstallation(t, installationOptions{})
	var calls atomic.Int32
	app := http.NewServeMux()
	app.HandleFunc("POST /x", func(http.ResponseWriter, *http.Request) {
		calls.Add(1)
		panic(http.ErrAbortHandler)
	})
	home.start("course", sidecarOptions{app: app})
	gateway := home.start("gateway", sidecarOptions{})
	got := gateway.call(request{method: http.MethodPost, path: "/v1.0/invoke/course/method/x", body: map[string]int{"n": 1}})
	require.GreaterOrEqual(t, got.status, http.StatusInternalServerError)
	require.Equal(t, int32(1), calls.Load())
}

// A target that does not answer is where daprd repeats by itself: three times,
// one second apart. With our resiliency file it answers at once. The second
// half shows that the measure measures: without the file it takes the seconds.
func TestUnreachableTargetIsNotRetried(t *testing.T) {
	t.Parallel()
	const builtIn = 2500 * time.Millisecond
	for name, c := range map[string]struct {
		resources func(*testing.T) []string
		retried   bool
	}{
		"with the resiliency file":    {resources: func(*testing.T) []string { return nil }},
		"without the resiliency file": {resources: withoutResiliency, retried: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := newInstallation(t, installationOptions{})
			course := home.start("course", sidecarOptions{app: http.NotFoundHandler()})
			gateway := home.start("gateway", sidecarOptions{resources: c.resources(t)})
			call := request{method: http.MethodPost, path: "/v1.0/invoke/course/method/x", body: map[string]int{"n": 1}}
			require.Equal(t, http.StatusNotFound, gateway.call(call).status)

			course.stop(syscall.SIGKILL) // its row stays in the table for some seconds
			begin := time.Now()
			got := gateway.call(call)
			took := time.Since(begin)
			require.Equal(t, http.StatusInternalServerError, got.status, string(got.body))
			require.Contains(t, string(got.body), "ERR_DIRECT_INVOKE")
			if c.retried {
				require.Greater(t, took, builtIn)
			} else {
				require.Less(t, took, builtIn)
			}
		})
	}
}

// A sidecar that comes back elsewhere is found, although the address of the old
// one was known.
func TestMovedTargetIsFound(t *testing.T) {
	t.Parallel()
	home := newInstallation(t, installationOptions{})
	old := home.start("course", sidecarOptions{app: http.NotFoundHandler()})
	gateway := home.start("gateway", sidecarOptions{})
	call := request{method: http.MethodGet, path: "/v1.0/invoke/course/method/x"}
	require.Equal(t, http.StatusNotFound, gateway.call(call).status)
	old.stop(syscall.SIGTERM)

	home.start("course", sidecarOptions{app: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
	})})
	begin := time.Now()
	require.Eventually(t, func() bool { return gateway.call(call).status == http.StatusTeapot }, 5*time.Second, 10*time.Millisecond)
	t.Logf("found after %v", time.Since(begin))
}

func TestAPITokenIsRequired(t *testing.T) {
	t.Parallel()
	home := newInstallation(t, installationOptions{})
	s := home.start("gateway", sidecarOptions{})
	for _, path := range []string{"/v1.0/secrets/secrets/service-course", "/v1.0/state/cache/x", "/v1.0/metadata", "/v1.0/invoke/course/method/x"} {
		require.Equal(t, http.StatusUnauthorized, s.call(request{method: http.MethodGet, path: path, noToken: true}).status, path)
		wrong := s.call(request{method: http.MethodGet, path: path, noToken: true, header: map[string]string{"dapr-api-token": apiToken + "x"}})
		require.Equal(t, http.StatusUnauthorized, wrong.status, path)
	}
	require.Equal(t, http.StatusNoContent, s.call(request{method: http.MethodGet, path: "/v1.0/healthz", noToken: true}).status)
}

func TestOnlyTheAPIsInUseAreServed(t *testing.T) {
	t.Parallel()
	home := newInstallation(t, installationOptions{})
	s := home.start("gateway", sidecarOptions{})
	for _, r := range []request{
		{method: http.MethodPost, path: "/v1.0/shutdown"},
		{method: http.MethodGet, path: "/v1.0/actors/a/b/state/c"},
		{method: http.MethodPost, path: "/v1.0/jobs/x", body: map[string]string{}},
		{method: http.MethodPost, path: "/v1.0-alpha1/lock/x", body: map[string]string{}},
		{method: http.MethodPost, path: "/v1.0-alpha1/state/cache/query", body: map[string]string{}},
		{method: http.MethodGet, path: "/v1.0/workflows/dapr/x"},
	} {
		require.Equal(t, http.StatusNotFound, s.call(r).status, r.path)
	}
	require.Equal(t, http.StatusNoContent, s.call(request{method: http.MethodGet, path: "/v1.0/healthz"}).status, "it did not shut down")
}

// Nothing of a sidecar listens beyond the loopback interface: not the two APIs,
// not the sidecars' own port, and no port for metrics or profiles. The Dapr CLI
// cannot pass the flags for some of them and opens the metrics port.
func TestSidecarListensOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the check reads /proc")
	}
	for name, asTheCLI := range map[string]bool{"as lms up starts it": false, "as the Dapr CLI starts it": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := newInstallation(t, installationOptions{})
			s := home.start("course", sidecarOptions{app: http.NotFoundHandler(), asTheCLI: asTheCLI})
			ports := []int{s.http, s.grpc, s.private}
			if s.metrics != 0 {
				ports = append(ports, s.metrics)
			}
			var want []string
			for _, port := range ports {
				want = append(want, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
			}
			require.ElementsMatch(t, want, listeners(t, s.process.Process.Pid))
		})
	}
}

func TestListenAddress(t *testing.T) {
	t.Parallel()
	require.Equal(t, "127.0.0.1", listenAddress("", "127.0.0.1"))
	require.Equal(t, "127.0.0.1", listenAddress("0.0.0.0", "127.0.0.1"), "the default of the metrics port")
	require.Equal(t, "10.1.2.3", listenAddress("10.1.2.3", "127.0.0.1"), "what is asked for is done")
	require.Equal(t, "0.0.0.0", listenAddress("0.0.0.0", "10.1.2.3"))
	require.Empty(t, listenAddress("", "10.1.2.3"), "in a cluster the others must reach it")
	require.Empty(t, listenAddress("", ""))
	require.Empty(t, listenAddress("", "nonsense"))
}

func TestSidecarIsReadyAtOnce(t *testing.T) {
	t.Parallel()
	home := newInstallation(t, installationOptions{})
	s := home.launch("gateway", sidecarOptions{app: http.NotFoundHandler()})
	s.await("/v1.0/healthz/outbound")
	t.Logf("the app may call after %v", s.ready)
	s.await("/v1.0/healthz")
	t.Logf("ready after %v", s.ready)
	require.Less(t, s.ready, 5*time.Second)
}

func TestVersionIsTheOneInTheModule(t *testing.T) {
	t.Parallel()
	out, err := exec.Command(binary, "--version").Output()
	require.NoError(t, err)
	require.Equal(t, version, strings.TrimSpace(string(out)))
	module, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	require.Contains(t, string(module), "\tgithub.com/dapr/dapr v"+version+"\n")
}

func TestCollectorIsTunedUnlessTheOperatorDoes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env  map[string]string
		want int
	}{
		"nothing said":  {nil, gcPercent},
		"empty":         {map[string]string{"GOGC": ""}, gcPercent},
		"a percentage":  {map[string]string{"GOGC": "100"}, 0},
		"off":           {map[string]string{"GOGC": "off", "GOMEMLIMIT": "128MiB"}, 0},
		"a limit alone": {map[string]string{"GOMEMLIMIT": "128MiB"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := 0
			tuneCollector(func(key string) (string, bool) { value, ok := c.env[key]; return value, ok },
				func(percent int) int { set = percent; return 100 })
			require.Equal(t, c.want, set)
		})
	}
}

// withoutResiliency returns the profile without dapr/resiliency.yaml.
func withoutResiliency(t *testing.T) []string {
	t.Helper()
	return []string{repository(t, "components", "embedded")}
}

// listeners returns the addresses on which a process accepts TCP connections.
func listeners(t *testing.T, pid int) []string {
	t.Helper()
	sockets := map[string]bool{}
	folder := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	for _, entry := range entries {
		if target, err := os.Readlink(filepath.Join(folder, entry.Name())); err == nil {
			sockets[target] = true
		}
	}
	var found []string
	for _, table := range []string{"tcp", "tcp6"} {
		raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "net", table))
		require.NoError(t, err)
		for line := range strings.Lines(string(raw)) {
			field := strings.Fields(line)
			const local, state, inode, listen = 1, 3, 9, "0A"
			if len(field) > inode && field[state] == listen && sockets["socket:["+field[inode]+"]"] {
				found = append(found, readable(t, field[local]))
			}
		}
	}
	return found
}

// readable turns an address of /proc/net into host:port, where it is the IPv4
// loopback address; any other stays as it is and fails the comparison.
func readable(t *testing.T, address string) string {
	t.Helper()
	host, port, ok := strings.Cut(address, ":")
	require.True(t, ok)
	number, err := strconv.ParseUint(port, 16, 16)
	require.NoError(t, err)
	if host == "0100007F" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.FormatUint(number, 10))
}
