package childproc_test

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/shared/childproc"
)

func sh(t *testing.T, script string, death syscall.Signal) (*childproc.Process, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	p, err := childproc.Start(childproc.Spec{
		Path: "/bin/sh", Args: []string{"-c", script}, Env: []string{"PATH=/bin:/usr/bin"},
		Output: &out, ParentDeath: death,
	})
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = p.Stop(t.Context(), syscall.SIGKILL, time.Second) })
	return p, &out
}

func TestProcessIsRecognisedByPidAndStart(t *testing.T) {
	t.Parallel()
	p, _ := sh(t, "exec sleep 60", 0)
	require.True(t, p.Alive())

	again, err := childproc.Identify(p.PID)
	require.NoError(t, err)
	require.Equal(t, p.Identity, again)

	reused := childproc.Identity{PID: p.PID, Start: "1"}
	require.False(t, reused.Alive(), "the same pid with another start is another process")
	require.ErrorIs(t, reused.Signal(syscall.SIGKILL), os.ErrProcessDone)
	require.True(t, p.Alive(), "and it was not signalled")

	killed, err := p.Stop(t.Context(), syscall.SIGTERM, 5*time.Second)
	require.NoError(t, err)
	require.False(t, killed)
	require.False(t, p.Alive())
	require.ErrorContains(t, p.Err(), "terminated")
}

func TestStopKillsWhatDoesNotListen(t *testing.T) {
	t.Parallel()
	p, out := sh(t, "trap '' TERM; echo up; while :; do sleep 0.05; done", 0)
	require.Eventually(t, func() bool { return childproc.TreeUsage(p.PID).RSS > 0 }, 5*time.Second, 10*time.Millisecond)
	require.Eventually(t, func() bool {
		raw, err := os.ReadFile("/proc/" + strconv.Itoa(p.PID) + "/status")
		if err != nil {
			return false
		}
		// What this process itself was told to ignore is inherited: only the bit counts.
		_, rest, _ := strings.Cut(string(raw), "SigIgn:\t")
		mask, _, _ := strings.Cut(rest, "\n")
		ignored, err := strconv.ParseUint(mask, 16, 64)
		return err == nil && ignored&(1<<(syscall.SIGTERM-1)) != 0
	}, 5*time.Second, 10*time.Millisecond, "the trap is set")

	killed, err := p.Stop(t.Context(), syscall.SIGTERM, 50*time.Millisecond)
	require.NoError(t, err)
	require.True(t, killed)
	require.Equal(t, "up\n", out.String())
}

func TestStartTellsWhatIsMissing(t *testing.T) {
	t.Parallel()
	_, err := childproc.Start(childproc.Spec{Path: "/nowhere/program"})
	require.ErrorContains(t, err, "/nowhere/program")
}

func TestEnvironmentIsNotInherited(t *testing.T) {
	t.Setenv("LEAKED_VARIABLE", "yes")
	p, out := sh(t, "echo \"[$LEAKED_VARIABLE]\"", 0)
	<-p.Done()
	require.NoError(t, p.Err())
	require.Equal(t, "[]\n", out.String())
}

// TestChildDiesWithItsParent runs this test binary once more as the parent and
// kills that.
func TestChildDiesWithItsParent(t *testing.T) {
	if os.Getenv("CHILDPROC_PARENT") == "1" {
		p, _ := sh(t, "exec sleep 60", syscall.SIGTERM)
		_, _ = os.Stdout.WriteString("child " + strconv.Itoa(p.PID) + "\n")
		<-p.Done()
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestChildDiesWithItsParent$")
	cmd.Env = append(os.Environ(), "CHILDPROC_PARENT=1")
	pipe, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())

	buf := make([]byte, 256)
	n, err := pipe.Read(buf)
	require.NoError(t, err)
	line := strings.Fields(string(buf[:n]))
	pid, err := strconv.Atoi(line[len(line)-1])
	require.NoError(t, err)
	child, err := childproc.Identify(pid)
	require.NoError(t, err)
	require.True(t, child.Alive())

	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait() // killed on purpose
	require.Eventually(t, func() bool { return !child.Alive() }, 5*time.Second, 10*time.Millisecond)
}

func TestTreeUsageCountsDescendants(t *testing.T) {
	t.Parallel()
	p, _ := sh(t, "sleep 60 & sleep 60 & wait", syscall.SIGKILL)
	require.Eventually(t, func() bool { return len(childproc.Tree(p.PID)) == 3 }, 5*time.Second, 10*time.Millisecond)
	tree := childproc.Tree(p.PID)
	require.Greater(t, childproc.TreeUsage(p.PID).RSS, childproc.Usage(p.PID).RSS)
	_, err := p.Stop(t.Context(), syscall.SIGKILL, time.Second)
	require.NoError(t, err)
	for _, pid := range tree[1:] { // orphans of the killed shell are ours to end
		if id, err := childproc.Identify(pid); err == nil {
			require.NoError(t, id.End(t.Context(), syscall.SIGTERM, time.Second))
		}
	}
}
