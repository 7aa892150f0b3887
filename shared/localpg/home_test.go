package localpg

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestALockOutlivesItsReturn is what a child does to it that is just being started: it
// has a copy of the file until it becomes its own program.
func TestALockOutlivesItsReturn(t *testing.T) {
	t.Parallel()
	h := home{dir: t.TempDir()}
	first, err := h.lock()
	require.NoError(t, err)
	child, err := syscall.Dup(int(first.Fd()))
	require.NoError(t, err)
	require.NoError(t, first.Close())
	gone := make(chan error, 1)
	time.AfterFunc(50*time.Millisecond, func() { gone <- syscall.Close(child) })
	second, err := h.lock()
	require.NoError(t, err, "the lock was given back")
	require.NoError(t, <-gone)
	require.NoError(t, second.Close())
}
