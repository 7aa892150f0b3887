package testcluster_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lms/shared/childproc"
	"lms/shared/localpg"
	"lms/shared/localpg/testcluster"
)

// user is another process that uses the cluster until its input is closed.
type user struct {
	cmd    *exec.Cmd
	server childproc.Identity
}

// TestUser is what the other processes run.
func TestUser(t *testing.T) {
	if os.Getenv("TESTCLUSTER_USER") == "" {
		return
	}
	var shared testcluster.Shared
	cluster, err := shared.Get()
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), cluster.DSN("postgres", localpg.Superuser))
	require.NoError(t, err)
	require.NoError(t, conn.Ping(t.Context()))
	_, _ = os.Stdout.WriteString("server " + strconv.Itoa(cluster.PID) + "\n")
	_, _ = os.Stdin.Read(make([]byte, 1)) // until it is closed
}

func join(t *testing.T, dir string) *user {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestUser$")
	cmd.Env = append(os.Environ(), "TESTCLUSTER_USER=1",
		testcluster.FolderVariable+"="+dir, testcluster.LingerVariable+"=200ms")
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = stdin.Close(); _ = cmd.Wait() }) // some are killed by the test
	buf := make([]byte, 4096)
	n, err := out.Read(buf)
	require.NoError(t, err)
	_, after, found := strings.Cut(string(buf[:n]), "server ")
	require.True(t, found, string(buf[:n]))
	pid, err := strconv.Atoi(strings.TrimSpace(after))
	require.NoError(t, err)
	id, err := childproc.Identify(pid)
	require.NoError(t, err)
	return &user{cmd: cmd, server: id}
}

func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "testcluster-") //nolint:usetesting // PostgreSQL's user may not enter t.TempDir
	if err != nil {
		dir, err = os.MkdirTemp("/tmp", "testcluster-") //nolint:usetesting // PostgreSQL's user may not enter t.TempDir
	}
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o711))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

func gone(t *testing.T, dir string, server childproc.Identity) {
	t.Helper()
	require.Eventually(t, func() bool { return !server.Alive() }, 15*time.Second, 20*time.Millisecond)
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(dir, "data"))
		return os.IsNotExist(err)
	}, 15*time.Second, 20*time.Millisecond, "the data go with the server")
}

func TestAllShareOneServerThatGoesAfterTheLast(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	users := make([]*user, 4)
	var wg sync.WaitGroup
	for i := range users {
		wg.Go(func() { users[i] = join(t, dir) })
	}
	wg.Wait()
	for _, u := range users {
		require.Equal(t, users[0].server, u.server)
	}
	for _, u := range users[1:] { // however they end
		require.NoError(t, u.cmd.Process.Kill())
	}
	late := join(t, dir)
	require.Equal(t, users[0].server, late.server)
	require.NoError(t, users[0].cmd.Process.Kill())
	require.True(t, late.server.Alive())
	require.NoError(t, late.cmd.Process.Signal(syscall.SIGKILL))
	gone(t, dir, late.server)

	again := join(t, dir)
	require.NotEqual(t, late.server, again.server)
	require.NoError(t, again.cmd.Process.Kill())
	gone(t, dir, again.server)
}

func TestServerGoesWithAKilledGuard(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	u := join(t, dir)
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(u.server.PID), "stat"))
	require.NoError(t, err)
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	guard, err := strconv.Atoi(fields[1])
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(guard, syscall.SIGKILL))
	require.Eventually(t, func() bool { return !u.server.Alive() }, 10*time.Second, 20*time.Millisecond)

	next := join(t, dir)
	require.NotEqual(t, u.server, next.server)
	require.NoError(t, next.cmd.Process.Kill())
	require.NoError(t, u.cmd.Process.Kill())
	gone(t, dir, next.server)
}
