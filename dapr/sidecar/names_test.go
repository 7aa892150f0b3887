package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dapr/components-contrib/nameresolution"
	"github.com/dapr/components-contrib/nameresolution/sqlite"
	"github.com/dapr/kit/logger"
	"github.com/stretchr/testify/require"
)

// replicas is a resolver that gives the next of its addresses at each draw.
type replicas struct {
	nameresolution.Resolver
	addresses []string
	draws     int
	failAt    int // 0: never
	failure   error
}

func (r *replicas) ResolveID(context.Context, nameresolution.ResolveRequest) (string, error) {
	r.draws++
	if r.failAt != 0 && r.draws >= r.failAt {
		return "", r.failure
	}
	return r.addresses[r.draws%len(r.addresses)], nil
}

func TestResolverListsTheReplicas(t *testing.T) {
	t.Parallel()
	draw := func(r *replicas) ([]string, error) {
		return (&names{resolver: r}).draw(t.Context(), nameresolution.ResolveRequest{ID: "course"})
	}
	found, err := draw(&replicas{addresses: []string{"a:1", "b:2"}})
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"a:1", "b:2"}, found)

	found, err = draw(&replicas{addresses: []string{"a:1"}, failAt: 2, failure: sqlite.ErrNoHost})
	require.NoError(t, err)
	require.Equal(t, []string{"a:1"}, found)

	_, err = draw(&replicas{addresses: []string{"a:1"}, failAt: 1, failure: sqlite.ErrNoHost})
	require.ErrorIs(t, err, sqlite.ErrNoHost)
}

func TestNamesAreAskedForOnceASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := &replicas{addresses: []string{"a:1"}}
		n := &names{resolver: table}
		ask := func() (string, error) { return n.ResolveID(t.Context(), nameresolution.ResolveRequest{ID: "course"}) }
		for range 100 {
			address, err := ask()
			require.NoError(t, err)
			require.Equal(t, "a:1", address)
		}
		require.Equal(t, drawsPerLookup, table.draws)

		<-time.After(keepNames)
		table.addresses = []string{"b:2"}
		address, err := ask()
		require.NoError(t, err)
		require.Equal(t, "b:2", address)

		<-time.After(keepNames)
		table.failAt, table.failure = 1, errors.New("database is locked")
		address, err = ask()
		require.NoError(t, err, "a table that does not answer leaves what was known")
		require.Equal(t, "b:2", address)

		<-time.After(keepNames)
		table.failure = sqlite.ErrNoHost
		_, err = ask()
		require.ErrorIs(t, err, sqlite.ErrNoHost, "an app that is gone is gone")
		draws := table.draws
		_, err = ask()
		require.ErrorIs(t, err, sqlite.ErrNoHost)
		require.Equal(t, draws, table.draws, "who comes in the same moment need not ask")
		table.failAt = 0
		<-time.After(failFor)
		_, err = ask()
		require.NoError(t, err, "and found when it is there again")
	})
}

// Two who ask at once after a long pause both get what the table says now, although
// only one of them asks it; who asks for longer than they want to wait goes.
func TestWhoDoesNotAskGetsNoOldName(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := &slow{replicas: replicas{addresses: []string{"a:1"}}}
		n := &names{resolver: table}
		ask := func(ctx context.Context) (string, error) {
			return n.ResolveID(ctx, nameresolution.ResolveRequest{ID: "course"})
		}
		_, err := ask(t.Context())
		require.NoError(t, err)
		<-time.After(time.Hour)
		table.addresses, table.takes = []string{"b:2"}, 10*time.Millisecond
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				address, err := ask(t.Context())
				require.NoError(t, err)
				require.Equal(t, "b:2", address)
			})
		}
		impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		synctest.Wait()
		_, err = ask(impatient)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		both.Wait()
		require.Equal(t, 2*drawsPerLookup, table.draws)

		// What the table said counts from the question on.
		table.addresses = []string{"c:3"}
		<-time.After(keepNames - drawsPerLookup*table.takes)
		address, err := ask(t.Context())
		require.NoError(t, err)
		require.Equal(t, "c:3", address)
	})
}

// slow is a table that takes its time.
type slow struct {
	replicas
	takes time.Duration
}

func (s *slow) ResolveID(ctx context.Context, r nameresolution.ResolveRequest) (string, error) {
	<-time.After(s.takes)
	return s.replicas.ResolveID(ctx, r)
}

// roll is a resolver that notes under which names its sidecar stood there.
type roll struct {
	nameresolution.Resolver
	names *[]string
	alone bool
}

func (r roll) Init(_ context.Context, md nameresolution.Metadata) error {
	*r.names = append(*r.names, md.Instance.AppID)
	return nil
}

func (r roll) ResolveID(context.Context, nameresolution.ResolveRequest) (string, error) {
	if r.alone {
		return "own:1", nil
	}
	return "other:1", nil
}

func (roll) Close() error { return nil }

func TestASidecarIsFoundWhileItCanBeCalled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stood []string
		n := newNames(logger.NewLogger("test"))
		n.open = func() nameresolution.Resolver { return roll{names: &stood} }
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var ready atomic.Bool
		ready.Store(true) // nothing that it waits for is known yet
		go func() { _ = n.arrive(ctx, ready.Load) }()
		<-time.After(time.Second)
		synctest.Wait()
		require.Empty(t, stood)
		ready.Store(false)
		require.NoError(t, n.Init(ctx, nameresolution.Metadata{Instance: nameresolution.Instance{AppID: "course"}}))
		<-time.After(time.Second)
		synctest.Wait()
		require.Equal(t, []string{"course.starting"}, stood)
		ready.Store(true)
		<-time.After(time.Second)
		synctest.Wait()
		require.Equal(t, []string{"course.starting", "course"}, stood)
		began := time.Now()
		n.leave(ctx, logger.NewLogger("test"))
		require.Equal(t, forgotten, time.Since(began))
		require.Equal(t, []string{"course.starting", "course", "course.leaving"}, stood)
	})
}

// A replica that starts is called once its app listens, and not before: its
// sidecar is there for a while without it.
func TestNobodyIsSentToAReplicaThatStarts(t *testing.T) {
	t.Parallel()
	home := newInstallation(t, installationOptions{})
	var first, second atomic.Int64
	home.start("course", sidecarOptions{app: counting(&first)})
	gateway := home.start("gateway", sidecarOptions{})
	load := posts(gateway, "course")
	port := freePorts(t, 1)[0]
	starting := home.launch("course", sidecarOptions{appPort: port})
	starting.await("/v1.0/healthz/outbound")
	seen := first.Load()
	require.Eventually(t, func() bool { return first.Load() > seen+500 }, patience, time.Millisecond)
	<-time.After(2 * keepNames) // whoever knew it would call it by now
	require.Zero(t, load.failed.Load(), load.said())

	ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	require.NoError(t, err)
	srv := &http.Server{Handler: counting(&second)} //nolint:gosec // nobody else finds it
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close() })
	require.Eventually(t, func() bool { return second.Load() > 100 }, patience, time.Millisecond, "by now it is called")
	load.end()
	require.Zero(t, load.failed.Load(), load.said())
}

// A replica that is told to end takes no call with it, a POST neither: those who
// know its address go on being served until they have forgotten it.
func TestAReplicaLeavesWithoutAFailedCall(t *testing.T) {
	t.Parallel()
	home := newInstallation(t, installationOptions{})
	var stays, goes atomic.Int64
	home.start("course", sidecarOptions{app: counting(&stays)})
	leaving := home.start("course", sidecarOptions{app: counting(&goes)})
	gateway := home.start("gateway", sidecarOptions{})
	load := posts(gateway, "course")
	require.Eventually(t, func() bool { return stays.Load() > 200 && goes.Load() > 200 }, patience, time.Millisecond, "both are called")
	begin := time.Now()
	leaving.stop(syscall.SIGTERM)
	took := time.Since(begin)
	seen := stays.Load()
	require.Eventually(t, func() bool { return stays.Load() > seen+200 }, patience, time.Millisecond)
	load.end()
	t.Logf("%d calls, it left within %v", load.sent.Load(), took)
	require.Zero(t, load.failed.Load(), load.said())
	require.Less(t, took, 8*time.Second)
}

// The only replica ends at once: nobody else could take its calls.
func TestTheOnlyReplicaLeavesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stood []string
		n := newNames(logger.NewLogger("test"))
		n.leave(t.Context(), logger.NewLogger("test")) // names are not resolved by the table
		n.open = func() nameresolution.Resolver { return roll{names: &stood, alone: true} }
		require.NoError(t, n.Init(t.Context(), nameresolution.Metadata{Instance: nameresolution.Instance{AppID: "course", Address: "own", DaprInternalPort: 1}}))
		began := time.Now()
		n.leave(t.Context(), logger.NewLogger("test"))
		require.Zero(t, time.Since(began))
		require.Equal(t, []string{"course.starting"}, stood)
	})
}

func counting(calls *atomic.Int64) http.Handler {
	return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) })
}

// load is calls that go on until end.
type load struct {
	sent, failed atomic.Int64
	first        atomic.Pointer[string] // failure
	stop         chan struct{}
	lanes        sync.WaitGroup
}

func posts(from *sidecar, app string) *load {
	l := &load{stop: make(chan struct{})}
	for range 4 {
		l.lanes.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
				}
				got, err := from.try(request{method: http.MethodPost, path: "/v1.0/invoke/" + app + "/method/x", body: map[string]int{"n": 1}})
				l.sent.Add(1)
				if err != nil || got.status != http.StatusOK {
					l.failed.Add(1)
					said := string(got.body)
					l.first.CompareAndSwap(nil, &said)
				}
			}
		})
	}
	return l
}

// said is what the first call that failed was told.
func (l *load) said() string {
	if s := l.first.Load(); s != nil {
		return *s
	}
	return ""
}

func (l *load) end() {
	close(l.stop)
	l.lanes.Wait()
}
