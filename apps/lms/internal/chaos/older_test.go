//go:build chaos

package chaos_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/builds"
	"lms/apps/lms/internal/installation"
	"lms/apps/lms/internal/system"
)

// upgradeFrom names the version that the upgrade begins with, as git knows it.
const upgradeFrom = "LMS_TEST_UPGRADE_FROM"

// migrationFiles are what makes a schema, as git's pathspec.
const migrationFiles = ":(glob)migrations/*/*.sql"

// version is one of the source tree that is older than the present one.
type version struct {
	commit, why string
	root        string // where its tree lies, once it is built
}

// older is the version that people run before this one: the newest release; where
// there is none yet, the newest version with an older schema, on whose data the
// programs of this one cannot run without a migration.
func older(t *testing.T) version {
	t.Helper()
	if name := os.Getenv(upgradeFrom); name != "" {
		commit, err := git(t, "rev-parse", "--verify", name+"^{commit}")
		require.NoError(t, err, "%s=%s is no version that this clone has", upgradeFrom, name)
		return version{commit: commit, why: "named by " + upgradeFrom}
	}
	if _, err := git(t, "rev-parse", "--verify", "HEAD"); err != nil {
		require.Fail(t, "there is no history here", "the version before is built from git's history: run this in a clone")
	}
	if tag, err := git(t, "describe", "--tags", "--abbrev=0", "--first-parent", "HEAD~1"); err == nil {
		commit, err := git(t, "rev-parse", tag+"^{commit}")
		require.NoError(t, err)
		return version{commit: commit, why: "the newest release, " + tag}
	}
	const why = "the newest version with an older schema"
	if changed, err := git(t, "status", "--porcelain", "--", migrationFiles); err == nil && changed != "" {
		commit, err := git(t, "rev-parse", "HEAD")
		require.NoError(t, err)
		return version{commit: commit, why: why}
	}
	changed, err := git(t, "log", "-1", "--first-parent", "--format=%H", "HEAD", "--", migrationFiles)
	require.NoError(t, err)
	commit, err := git(t, "rev-parse", "--verify", changed+"~1")
	if shallow, _ := git(t, "rev-parse", "--is-shallow-repository"); err != nil && shallow == "true" { // one that is not is whole
		require.Fail(t, "this clone is shallow and ends before the version to upgrade from",
			"git fetch --unshallow brings the rest; %s=<commit> names another version", upgradeFrom)
	}
	if err != nil {
		t.Skipf("the schema has not changed since the first commit: there is no older version to upgrade from (%s names one)", upgradeFrom)
	}
	return version{commit: commit, why: why}
}

// build lays the version's tree out and builds its programs, where the next run
// finds them: .lms/upgrade/<commit>, of one version at a time.
func (v *version) build(t *testing.T) {
	t.Helper()
	all := filepath.Join(system.Root(t), ".lms", "upgrade")
	v.root = filepath.Join(all, v.commit[:12])
	kept, err := filepath.Glob(filepath.Join(all, "*"))
	require.NoError(t, err)
	for _, dir := range kept {
		if dir != v.root {
			require.NoError(t, os.RemoveAll(dir))
		}
	}
	if _, err := os.Stat(v.root); err != nil {
		v.layOut(t)
	}
	// It lies within this clone, whose state says nothing of it.
	t.Setenv("GOFLAGS", strings.TrimSpace(os.Getenv("GOFLAGS")+" -buildvcs=false"))
	bin := filepath.Join(v.root, ".lms", "bin")
	require.NoError(t, os.MkdirAll(bin, 0o755))
	say := func(line string) { t.Log(line) }
	require.NoError(t, builds.Services(t.Context(), v.root, bin, installation.Names(installation.Present(v.root)), say))
	_, err = builds.Sidecar(t.Context(), v.root, bin, say)
	require.NoError(t, err)
}

func (v *version) layOut(t *testing.T) {
	t.Helper()
	tmp := v.root + ".new"
	require.NoError(t, os.MkdirAll(tmp, 0o755))
	tree := exec.Command("git", "archive", "--format=tar", v.commit)
	tree.Dir = system.Root(t)
	unpack := exec.Command("tar", "-x", "-C", tmp)
	var said, unpacked bytes.Buffer
	tree.Stderr, unpack.Stderr = &said, &unpacked
	var err error
	unpack.Stdin, err = tree.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, unpack.Start())
	require.NoError(t, tree.Run(), "%s", &said)
	require.NoError(t, unpack.Wait(), "%s", &unpacked)
	require.NoError(t, os.Rename(tmp, v.root))
}

func git(t testing.TB, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = system.Root(t)
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}
