package follow_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/follow"
)

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

func add(t *testing.T, file, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	_, err = f.WriteString(text)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func TestFollowShowsWholeLinesOfAllFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	user, course := filepath.Join(dir, "user.log"), filepath.Join(dir, "course.log")
	add(t, user, "before\n")
	var out lockedBuffer
	f := follow.Follower{
		Sources: []follow.Source{{Name: "user", File: user}, {Name: "course", File: course}},
		Out:     follow.NewConsole(&out, []string{"user", "course"}, false),
	}
	f.FromEnd()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()

	shows := func(want string) {
		require.Eventually(t, func() bool { return strings.Contains(out.String(), want) }, 5*time.Second, 10*time.Millisecond, want)
	}
	add(t, user, "half")
	add(t, course, "made later\n")
	shows("course | made later\n")
	require.NotContains(t, out.String(), "half")
	add(t, user, " line\n")
	shows("user   | half line\n")
	require.NoError(t, os.Truncate(user, 0))
	add(t, user, "x\n")
	shows("user   | x\n")
	add(t, user, "last\n")
	cancel()
	require.NoError(t, <-done)
	require.Contains(t, out.String(), "user   | last\n", "what came before the end is shown")
	require.NotContains(t, out.String(), "before")
}

func TestConsoleLines(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ in, want string }{
		"json":    {`{"time":"x","level":"info","msg":"hello","service":"user","n":12345678901234567890,"path":"/a b","deep":{"a":1}}`, `x INFO  hello n=12345678901234567890 path="/a b" deep={"a":1}`},
		"plain":   {"panic: oops", "panic: oops"},
		"broken":  {`{"time":`, `{"time":`},
		"escapes": {"a\x1b[31mred\x07", "a[31mred"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			require.NoError(t, follow.NewConsole(&out, []string{"s"}, false).Print("s", []byte(c.in)))
			require.Equal(t, "s | "+c.want+"\n", out.String())
		})
	}
}

func TestTailGivesTheLastLines(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "a.log")
	add(t, file, "1\n2\n3\n")
	require.Equal(t, []string{"2", "3"}, follow.LastLines(file, 2))
	require.Equal(t, []string{"1", "2", "3"}, follow.LastLines(file, 9))
	require.Empty(t, follow.LastLines(file+".none", 9))
	var out bytes.Buffer
	require.NoError(t, follow.Tail([]follow.Source{{Name: "a", File: file}, {Name: "b", File: file + ".none"}}, 1, follow.Raw{W: &out}))
	require.Equal(t, "3\n", out.String())
}
