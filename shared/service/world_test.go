package service_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	pb "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"lms/shared/authz"
	"lms/shared/config"
	"lms/shared/contracts/internalapi"
	"lms/shared/service"
	"lms/shared/testkit"
)

// neighbours is a sidecar with auth and user behind it, and a broker that only
// remembers. It listens when told to.
type neighbours struct {
	pb.UnimplementedDaprServer
	t          *testing.T
	tokens     *testkit.Tokens
	http, grpc string // addresses
	components []string

	mu        sync.Mutex
	published [][]byte
	mails     [][]byte
	state     map[string][]byte
	authAway  bool
	stateLost string // why no state can be read; "" if it can
	away      string // why the broker takes nothing; "" if it does
}

func newNeighbours(t *testing.T) *neighbours {
	t.Helper()
	return &neighbours{t: t, tokens: testkit.NewTokens(t), http: freeAddr(t), grpc: freeAddr(t), components: []string{"events-course", "cache", "secrets"}, state: map[string][]byte{}}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, ln.Close()) }()
	return ln.Addr().String()
}

// start makes the sidecar listen.
func (n *neighbours) start() *neighbours {
	n.t.Helper()
	ln, err := net.Listen("tcp", n.http)
	require.NoError(n.t, err)
	srv := &httptest.Server{Listener: ln, Config: &http.Server{Handler: n, ReadHeaderTimeout: time.Second}}
	srv.Start()
	n.t.Cleanup(srv.Close)
	gl, err := net.Listen("tcp", n.grpc)
	require.NoError(n.t, err)
	gs := grpc.NewServer()
	pb.RegisterDaprServer(gs, n)
	go func() { _ = gs.Serve(gl) }()
	n.t.Cleanup(gs.Stop)
	return n
}

func (n *neighbours) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := func(v any) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("ETag", `"v1"`)
		_ = json.NewEncoder(w).Encode(v)
	}
	w.Header().Set("X-Request-Id", "of the app")
	switch r.Header.Get("dapr-app-id") + r.URL.Path {
	case "/v1.0/healthz":
		w.WriteHeader(http.StatusNoContent)
	case "/v1.0/metadata":
		var loaded []map[string]string
		for _, c := range n.components {
			loaded = append(loaded, map[string]string{"name": c})
		}
		answer(map[string]any{"components": loaded})
	case "auth" + internalapi.PathJWKS:
		if n.isAuthAway() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write(n.tokens.JWKS())
	case "auth" + internalapi.PathServiceTokens:
		answer(internalapi.ServiceToken{AccessToken: n.tokens.For(testkit.Service("course")), ExpiresIn: 3600})
	case "user" + internalapi.PathAuthzSnapshot:
		answer(authz.Snapshot{Version: "1"})
	default:
		http.NotFound(w, r)
	}
}

func (n *neighbours) BulkPublishEvent(_ context.Context, in *pb.BulkPublishRequest) (*pb.BulkPublishResponse, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.away != "" {
		return nil, status.Error(codes.Internal, n.away)
	}
	for _, e := range in.GetEntries() {
		n.published = append(n.published, e.GetEvent())
	}
	return &pb.BulkPublishResponse{}, nil
}

func (n *neighbours) InvokeBinding(_ context.Context, in *pb.InvokeBindingRequest) (*pb.InvokeBindingResponse, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mails = append(n.mails, in.GetData())
	return &pb.InvokeBindingResponse{}, nil
}

func (n *neighbours) GetSecret(context.Context, *pb.GetSecretRequest) (*pb.GetSecretResponse, error) {
	return &pb.GetSecretResponse{Data: map[string]string{"objects-signing-key": strings.Repeat("k", 32)}}, nil
}

func (n *neighbours) GetState(_ context.Context, in *pb.GetStateRequest) (*pb.GetStateResponse, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stateLost != "" {
		return nil, status.Error(codes.Internal, n.stateLost)
	}
	return &pb.GetStateResponse{Data: n.state[in.GetKey()]}, nil
}

func (n *neighbours) breakState(why string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stateLost = why
}

func (n *neighbours) breakBroker(why string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.away = why
}

func (n *neighbours) SaveState(_ context.Context, in *pb.SaveStateRequest) (*emptypb.Empty, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range in.GetStates() {
		n.state[s.GetKey()] = s.GetValue()
	}
	return &emptypb.Empty{}, nil
}

// kept is what lies in the store.
func (n *neighbours) kept() map[string][]byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.state)
}

// keep puts something into the store, as any other service can.
func (n *neighbours) keep(key string, value []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.state[key] = value
}

func (n *neighbours) isAuthAway() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.authAway
}

func (n *neighbours) setAuthAway() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.authAway = true
}

func (n *neighbours) events() [][]byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([][]byte(nil), n.published...)
}

func (n *neighbours) sent() [][]byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([][]byte(nil), n.mails...)
}

func (n *neighbours) env(more ...string) config.Env {
	_, hp, err := net.SplitHostPort(n.http)
	require.NoError(n.t, err)
	_, gp, err := net.SplitHostPort(n.grpc)
	require.NoError(n.t, err)
	env := config.Env{
		"LMS_LISTEN": "127.0.0.1:0", "LMS_ENVIRONMENT": "test", "LMS_ISSUER": testkit.Issuer, "LMS_SERVICE_SECRET": "s",
		"DAPR_HTTP_PORT": hp, "DAPR_GRPC_PORT": gp, "APP_API_TOKEN": "from-sidecar",
	}
	for i := 0; i+1 < len(more); i += 2 {
		env[more[i]] = more[i+1]
	}
	return env
}

// running is a service that was started.
type running struct {
	t    *testing.T
	addr string
	stop func() error // waits for the end
	logs *logs
}

type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func run(t *testing.T, env config.Env, build service.Build) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, logs: &logs{}}
	addr, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- service.RunTo(ctx, "course", env, func(ctx context.Context, k *service.Kit) error {
			defer func() { addr <- k.Addr }()
			return build(ctx, k)
		}, r.logs)
	}()
	r.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	select {
	case r.addr = <-addr:
	case err := <-ended:
		ended <- err
		require.NoError(t, err, r.logs.String())
	}
	t.Cleanup(func() { _ = r.stop() }) // a test that cares has stopped it itself
	return r
}

func (r *running) do(method, path, token string, body string, headers ...string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, "http://"+r.addr+path, strings.NewReader(body))
	require.NoError(r.t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { require.NoError(r.t, resp.Body.Close()) }()
	b, err := io.ReadAll(resp.Body)
	require.NoError(r.t, err)
	return resp.StatusCode, string(b)
}

func (r *running) get(path string) (int, string) { return r.do(http.MethodGet, path, "", "") }

func (r *running) waitReady() {
	r.t.Helper()
	require.Eventually(r.t, func() bool { s, _ := r.get("/readyz"); return s == http.StatusOK }, 10*time.Second, 50*time.Millisecond, "/readyz")
}

func itoa(n int) string { return strconv.Itoa(n) }
