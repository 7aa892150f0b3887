package localopensearch

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// The runtime of the wheel is one that OpenSearch can be started on: of the modules
// that its options name it lacks the one that is then left out.
func TestAMachineWithoutJavaFetchesOne(t *testing.T) {
	t.Parallel()
	java, err := fetchJava(t.Context(), func(line string) { t.Log(line) })
	require.NoError(t, err)
	out, err := exec.CommandContext(t.Context(), java, "-version").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), `version "25`)
	require.False(t, hasModule(t.Context(), java, vectors))
	require.True(t, hasModule(t.Context(), java, "java.base"))
	require.Equal(t, "-Xss1m\n", without("-Xss1m\n20-:--add-modules=jdk.incubator.vector\n", vectors))
}
