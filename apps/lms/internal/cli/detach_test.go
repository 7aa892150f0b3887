package cli

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// The other process runs in the installation's folder: a profile of one's own has to
// be found from there.
func TestADetachedStartFindsAFolderOfOnesOwn(t *testing.T) {
	t.Parallel()
	whole, err := filepath.Abs("mine")
	require.NoError(t, err)
	for given, passed := range map[string]string{"./mine": whole, whole: whole, "kafka": "kafka"} {
		args, err := upFlags{profile: given}.detached("/home", "/root")
		require.NoError(t, err)
		require.Equal(t, passed, args[slices.Index(args, "--profile")+1])
	}
}
