//go:build chaos && matrix

package chaos_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/chaos"
	"lms/apps/lms/internal/installation"
	"lms/apps/lms/internal/system"
	"lms/shared/contracts"
	"lms/shared/inbox"
)

// bystanderApp is an app id that the profiles do not know.
const bystanderApp = "bystander"

// bystander subscribes to every topic as the services do, with a sidecar of its
// own, and writes down what the broker brings: nothing is remembered, put in
// order or fetched.
type bystander struct {
	school *school
	plan   *installation.Plan
	svc    installation.Service
	since  time.Time

	mu      sync.Mutex
	brought []chaos.Delivery
	lag     []time.Duration // of one topic, while it is measured
	timing  bool
	slow    time.Duration

	daprd *exec.Cmd
	log   *os.File
}

// bystander starts one; it ends with the test.
func (s *school) bystander(t testing.TB) *bystander {
	t.Helper()
	b := &bystander{school: s, svc: installation.Service{Name: bystanderApp}, since: time.Now()}
	var err error
	b.plan, err = installation.NewPlan(installation.Home{Dir: s.Home}, system.Root(t), []installation.Service{b.svc}, strings.TrimPrefix(s.URL, "http://"), "info")
	require.NoError(t, err)
	s.join(t, b.plan)
	b.plan.Components = admitted(t, b.plan.Components, bystanderApp)

	r := chi.NewRouter()
	topics := []string{}
	for _, topic := range contracts.Topics() {
		topics = append(topics, topic.Name)
	}
	(&inbox.Subscriber{
		Topics: topics, Apply: b.take, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Unreadable: func(context.Context, []byte, error) error { return nil },
	}).Routes(r)
	ln, err := net.Listen("tcp", b.plan.AppAddress(b.svc))
	require.NoError(t, err)
	srv := &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = srv.Serve(ln) }() // until it is closed
	b.log, err = os.Create(installation.Home{Dir: s.Home}.Log(bystanderApp + "-sidecar"))
	require.NoError(t, err)
	b.start(t)
	t.Cleanup(func() {
		b.kill()
		_ = srv.Close()
		_ = b.log.Close()
	})
	return b
}

func (b *bystander) start(t testing.TB) {
	t.Helper()
	home := installation.Home{Dir: b.school.Home}
	b.daprd = exec.Command(home.Program("daprd"), b.plan.SidecarArgs(b.svc)...)
	b.daprd.Dir, b.daprd.Env, b.daprd.Stdout, b.daprd.Stderr = home.Run(), b.plan.SidecarEnv(b.svc), b.log, b.log
	require.NoError(t, b.daprd.Start())
	address := "127.0.0.1:" + strconv.Itoa(b.plan.Ports(bystanderApp).DaprHTTP)
	await(t, time.Minute, "the bystander's sidecar serves", func() bool {
		res, err := http.Get("http://" + address + "/v1.0/healthz")
		return err == nil && res.Body.Close() == nil && res.StatusCode < 300
	})
}

func (b *bystander) kill() {
	_ = b.daprd.Process.Kill()
	_ = b.daprd.Wait() // killed
}

// restart kills its sidecar in the middle of what that delivers.
func (b *bystander) restart(t testing.TB) {
	t.Helper()
	b.school.brokerUp(t)
	b.kill()
	b.start(t)
}

// take is the handler of all deliveries.
func (b *bystander) take(ctx context.Context, batch []inbox.Event) []error {
	now := time.Now()
	b.mu.Lock()
	slow := b.slow
	for _, e := range batch {
		b.brought = append(b.brought, chaos.Delivery{ID: e.ID.String(), Aggregate: e.AggregateID.String(), Seq: e.Seq})
		if b.timing {
			b.lag = append(b.lag, now.Sub(e.Time))
		}
	}
	b.mu.Unlock()
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
		}
	}
	return make([]error, len(batch))
}

// slowly has each delivery take so long from now on.
func (b *bystander) slowly(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.slow = d
}

// distinct is how many different events have come.
func (b *bystander) distinct() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	ids := map[string]bool{}
	for _, d := range b.brought {
		ids[d.ID] = true
	}
	return len(ids)
}
