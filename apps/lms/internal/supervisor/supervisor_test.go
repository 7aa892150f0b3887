package supervisor_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/supervisor"
	"lms/shared/childproc"
)

// fake is a process that ends when the test says so.
type fake struct {
	pid  int
	done chan struct{}
	once sync.Once
}

func (f *fake) end()                         { f.once.Do(func() { close(f.done) }) }
func (f *fake) Identity() childproc.Identity { return childproc.Identity{PID: f.pid, Start: "x"} }
func (f *fake) Done() <-chan struct{}        { return f.done }
func (f *fake) Reason() string               { return "it was told to" }
func (f *fake) Stop(context.Context) error   { f.end(); return nil }

// stage starts fakes and records what happens.
type stage struct {
	mu       sync.Mutex
	lives    []*fake
	starts   int
	failures int // starts that fail from now on
	lines    []string
}

func (s *stage) process(name string, kind supervisor.Kind) supervisor.Process {
	return supervisor.Process{Name: name, Service: name, Kind: kind, Start: func(context.Context) (supervisor.Child, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.starts++
		if s.failures > 0 {
			s.failures--
			return nil, errors.New("no")
		}
		f := &fake{pid: 100000 + s.starts, done: make(chan struct{})}
		s.lives = append(s.lives, f)
		return f, nil
	}}
}

func (s *stage) say(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
}

func (s *stage) last() *fake {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lives[len(s.lives)-1]
}

func (s *stage) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.lives)
}

func newStage() (*stage, *supervisor.Supervisor) {
	s := &stage{}
	return s, supervisor.New(s.say, func([]supervisor.Status) {})
}

func TestEndedProcessIsStartedAgain(t *testing.T) {
	t.Parallel()
	st, sup := newStage()
	require.NoError(t, sup.Start(t.Context(), st.process("user", supervisor.KindService)))
	st.mu.Lock()
	st.failures = 1 // the next start fails once more
	st.mu.Unlock()
	st.last().end()
	require.Eventually(t, func() bool { return st.count() == 2 }, 5*time.Second, 5*time.Millisecond)
	require.Eventually(t, func() bool { return sup.Status()[0].State == supervisor.Running }, time.Second, time.Millisecond)
	got := sup.Status()[0]
	require.Equal(t, 2, got.Crashes, "the end and the failed start")
	require.Equal(t, st.last().pid, got.PID)
	require.NoError(t, sup.Stop(t.Context(), "user"))
	require.Equal(t, supervisor.Stopped, sup.Status()[0].State)
	require.Equal(t, 2, st.count(), "a stopped process stays stopped")
	require.ErrorContains(t, sup.Restart(t.Context(), "user"), "stopped for good")
}

func TestStopAndRestartWhileWaiting(t *testing.T) {
	t.Parallel()
	st, sup := newStage()
	require.NoError(t, sup.Start(t.Context(), st.process("a", supervisor.KindService)))
	st.mu.Lock()
	st.failures = 1 << 20
	st.mu.Unlock()
	st.last().end()
	require.Eventually(t, func() bool { return sup.Status()[0].Crashes > 2 }, 10*time.Second, 5*time.Millisecond)
	require.ErrorContains(t, sup.Restart(t.Context(), "a"), "no")
	st.mu.Lock()
	st.failures = 0
	st.mu.Unlock()
	require.NoError(t, sup.Restart(t.Context(), "a"), "a restart does not wait for the back-off")
	require.Equal(t, supervisor.Running, sup.Status()[0].State)
	require.NoError(t, sup.Restart(t.Context(), "a"))
	require.Equal(t, 3, st.count())

	st.mu.Lock()
	st.failures = 1 << 20
	st.mu.Unlock()
	st.last().end()
	require.Eventually(t, func() bool { return sup.Status()[0].State == supervisor.Waiting }, 5*time.Second, time.Millisecond)
	require.NoError(t, sup.Stop(t.Context(), "a"))
	require.Equal(t, supervisor.Stopped, sup.Status()[0].State)
}

func TestNamesAreUniqueAndKnown(t *testing.T) {
	t.Parallel()
	st, sup := newStage()
	require.NoError(t, sup.Start(t.Context(), st.process("a", supervisor.KindService)))
	require.ErrorContains(t, sup.Start(t.Context(), st.process("a", supervisor.KindService)), "runs already")
	require.ErrorContains(t, sup.Restart(t.Context(), "b"), `no process "b"; there are [a]`)
	require.NoError(t, sup.Stop(t.Context(), "b", "a"))
}

func TestWaitReadyTellsTheProcessesOwnWords(t *testing.T) {
	t.Parallel()
	st, sup := newStage()
	p := st.process("a", supervisor.KindService)
	p.Ready = func(ctx context.Context) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return errors.New("the database is away")
	}
	require.NoError(t, sup.Start(t.Context(), p))
	ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, sup.WaitReady(ctx, "a"), "the database is away")
	require.NoError(t, sup.Stop(t.Context(), "a"))
}

func TestOrdersNeedTheToken(t *testing.T) {
	t.Parallel()
	st, sup := newStage()
	require.NoError(t, sup.Start(t.Context(), st.process("a", supervisor.KindService)))
	ctx, cancel := context.WithCancel(t.Context())
	control, wait, err := sup.ServeControl(ctx)
	require.NoError(t, err)

	forged := control
	forged.Token = "guess"
	_, err = forged.RequestRestart(t.Context(), "a")
	require.Error(t, err)
	require.Equal(t, 1, st.count())

	got, err := control.RequestRestart(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, st.last().pid, got.PID)
	_, err = control.RequestRestart(t.Context(), "b")
	require.ErrorContains(t, err, `no process "b"`)
	cancel()
	require.NoError(t, wait())
	require.NoError(t, sup.Stop(t.Context(), "a"))
}

// TestLeftoversAreEndedByIdentity: a recorded pid that another process has now
// is not touched.
func TestLeftoversAreEndedByIdentity(t *testing.T) {
	t.Parallel()
	start := func() *childproc.Process {
		p, err := childproc.Start(childproc.Spec{Path: "/bin/sleep", Args: []string{"60"}})
		require.NoError(t, err)
		t.Cleanup(func() { _, _ = p.Stop(context.WithoutCancel(t.Context()), syscall.SIGKILL, time.Second) })
		return p
	}
	ours, stranger := start(), start()
	file := filepath.Join(t.TempDir(), "state.json")
	require.NoError(t, supervisor.WriteRecord(file, supervisor.Record{Processes: []supervisor.Status{
		{Name: "user", Kind: supervisor.KindService, Identity: ours.Identity},
		{Name: "course", Kind: supervisor.KindService, Identity: childproc.Identity{PID: stranger.PID, Start: "another time"}},
	}}))
	var said []string
	require.NoError(t, supervisor.EndLeftovers(t.Context(), file, func(s string) { said = append(said, s) }))
	require.False(t, ours.Alive())
	require.True(t, stranger.Alive())
	require.Equal(t, []string{"stopping 1 processes that an interrupted run left behind"}, said)
	_, err := os.Stat(file)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, supervisor.EndLeftovers(t.Context(), file, func(string) {}), "without a file there is nothing to do")
}

func TestOneHasTheInstallation(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "lock")
	first, err := supervisor.Lock(file)
	require.NoError(t, err)
	_, err = supervisor.Lock(file)
	require.ErrorIs(t, err, supervisor.ErrRunning)
	require.NoError(t, first.Close())
	again, err := supervisor.Lock(file)
	require.NoError(t, err)
	require.NoError(t, again.Close())
}
