package edge_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/gateway/internal/edge"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/dapr"
	"lms/shared/testkit"
	"lms/shared/web"
)

// sidecar stands in for daprd: an HTTP server that plays the target app, and a
// map for the state store.
type sidecar struct {
	*dapr.Client
	mu     sync.Mutex
	seen   []seen
	answer func(app string, w http.ResponseWriter, r *http.Request)
	state  map[string][]byte
	reads  int
	broken error
}

type seen struct {
	app, method, path, query, body string
	header                         http.Header
}

func newSidecar(t *testing.T) *sidecar {
	t.Helper()
	s := &sidecar{state: map[string][]byte{}, answer: func(_ string, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"ok":true}`)
	}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	c, err := dapr.New(dapr.Options{
		HTTP: strings.TrimPrefix(server.URL, "http://"), GRPC: "127.0.0.1:1", APIToken: "sidecar-token",
		Token: func(context.Context) (string, error) { return "gateways-own-token", nil },
	})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	s.Client = c
	return s
}

func (s *sidecar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	app := r.Header.Get("Dapr-App-Id")
	s.mu.Lock()
	s.seen = append(s.seen, seen{app, r.Method, r.URL.EscapedPath(), r.URL.RawQuery, string(b), r.Header.Clone()})
	answer := s.answer
	s.mu.Unlock()
	w.Header().Set("X-Request-Id", "of the app")
	answer(app, w, r)
}

func (s *sidecar) answers(fn func(app string, w http.ResponseWriter, r *http.Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = fn
}

func (s *sidecar) calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen)
}

func (s *sidecar) last(t *testing.T) seen {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NotEmpty(t, s.seen, "nothing reached a service")
	return s.seen[len(s.seen)-1]
}

// GetState replaces the client's, which speaks gRPC.
func (s *sidecar) GetState(_ context.Context, store, key string) (dapr.State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.broken != nil {
		return dapr.State{}, s.broken
	}
	if store != internalapi.SessionStore || s.state[key] == nil {
		return dapr.State{}, nil
	}
	return dapr.State{Value: s.state[key], ETag: "1"}, nil
}

func (s *sidecar) setBroken(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = err
}

func (s *sidecar) readsOf() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

// signIn writes the session document of p, as auth would.
func (s *sidecar) signIn(t *testing.T, p authz.Principal, epoch int64, now time.Time, change ...func(*internalapi.SessionDocument)) {
	t.Helper()
	d := internalapi.SessionDocument{
		Subject: p.UserID, Epoch: epoch, ExpiresAt: now.Add(time.Hour),
		Sessions: []internalapi.SessionRecord{{ID: p.SessionID, Kind: internalapi.SessionLogin, ExpiresAt: now.Add(time.Hour), IdleExpiresAt: now.Add(time.Hour)}},
	}
	for _, c := range change {
		c(&d)
	}
	b, err := json.Marshal(d)
	require.NoError(t, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state[internalapi.SessionKey(p.UserID)] = b
}

func (s *sidecar) signOut(p authz.Principal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.state, internalapi.SessionKey(p.UserID))
}

// world is a gateway with its sidecar.
type world struct {
	*testkit.Client
	sidecar *sidecar
	tokens  *testkit.Tokens
	handler http.Handler
	now     func() time.Time
}

func defaults() edge.Config {
	return edge.Config{
		Services: []string{"user", "auth", "course", "enrollment"}, AddressRate: 100000, SignInRate: 100000, UserRate: 100000,
		InFlight: 64, Streams: 16, UserStreams: 3, Timeout: 5 * time.Second,
	}
}

func start(t *testing.T, changes ...func(*edge.Options)) *world {
	t.Helper()
	s, tokens := newSidecar(t), testkit.NewTokens(t)
	o := edge.Options{Config: defaults(), PublicURL: "https://lms.test", Sidecar: s, Verifier: tokens.Verifier(), Now: time.Now}
	for _, c := range changes {
		c(&o)
	}
	tokens.Now = o.Now
	if len(changes) > 0 {
		o.Verifier = tokens.Verifier()
	}
	g, err := edge.New(o)
	require.NoError(t, err)
	r := web.NewRouter(web.Options{Service: "gateway"})
	r.Front(func(http.Handler) http.Handler { return g })
	return &world{Client: testkit.Server(t, r, tokens), sidecar: s, tokens: tokens, handler: r, now: o.Now}
}

// user is a signed-in client.
func (w *world) user(t *testing.T) (*testkit.Client, authz.Principal) {
	t.Helper()
	p := testkit.User(uuid.New())
	w.sidecar.signIn(t, p, 1, w.now())
	return w.As(p), p
}

func reply(kind, body string, headers ...string) func(string, http.ResponseWriter, *http.Request) {
	return func(_ string, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Add(headers[i], headers[i+1])
		}
		if tag := w.Header().Get("ETag"); tag != "" && r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = io.WriteString(w, body)
	}
}
