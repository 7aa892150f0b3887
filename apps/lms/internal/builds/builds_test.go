package builds

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	file := filepath.Join(dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
}

func TestSidecarIsBuiltOncePerSource(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	root, bin := t.TempDir(), t.TempDir()
	t.Setenv("GOFLAGS", "-mod=mod")
	t.Setenv("GOCACHE", t.TempDir())
	write(t, root, "dapr/sidecar/go.mod", "module sidecar\n\ngo 1.26\n")
	write(t, root, "dapr/sidecar/main.go", "package main\n\nfunc main() {}\n")
	require.True(t, HasSidecar(root))
	say := func(string) {}

	first, err := Sidecar(t.Context(), root, bin, say)
	require.NoError(t, err)
	require.True(t, Exists(first))
	one, err := os.Stat(first)
	require.NoError(t, err)

	write(t, root, "dapr/sidecar/main_test.go", "package main\n")
	_, err = Sidecar(t.Context(), root, bin, say)
	require.NoError(t, err)
	two, err := os.Stat(first)
	require.NoError(t, err)
	require.True(t, os.SameFile(one, two), "a test is no reason to build")

	write(t, root, "dapr/sidecar/main.go", "package main\n\nfunc main() { println() }\n")
	_, built, err := SidecarBuilt(root)
	require.NoError(t, err)
	require.False(t, built)
	_, err = Sidecar(t.Context(), root, bin, say)
	require.NoError(t, err)
	three, err := os.Stat(first)
	require.NoError(t, err)
	require.False(t, os.SameFile(one, three))

	write(t, root, "dapr/sidecar/main.go", "package main\n\nfunc main() { wrong() }\n")
	_, err = Sidecar(t.Context(), root, bin, say)
	require.ErrorContains(t, err, "undefined: wrong")
	require.True(t, Exists(first), "the former one stays")
}

func TestFindRoot(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, "go.mod", "module lms\n\ngo 1.26\n")
	write(t, root, "dapr/sidecar/go.mod", "module lms/dapr/sidecar\n")
	found, err := FindRoot(filepath.Join(root, "dapr", "sidecar"))
	require.NoError(t, err)
	require.Equal(t, root, found)
	_, err = FindRoot(filepath.Dir(root))
	require.ErrorContains(t, err, "is not in the source tree")
}

func TestMissingGoIsExplained(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := Services(t.Context(), t.TempDir(), t.TempDir(), []string{"user"}, func(string) {})
	require.ErrorContains(t, err, "install Go")
}

func TestOutputSeparatesPackagesFromProblems(t *testing.T) {
	t.Parallel()
	var o output
	for _, part := range []string{"lms/shared/", "pg\n# lms/apps/user\napps/user/main.go:3:1: oh", " no\nstrings\n"} {
		_, err := o.Write([]byte(part))
		require.NoError(t, err)
	}
	require.EqualValues(t, 2, o.packages.Load())
	require.Equal(t, "# lms/apps/user\napps/user/main.go:3:1: oh no\n", o.problems.String())
	require.Contains(t, explain("x: write /tmp/y: no space left on device"), "make room")
}
