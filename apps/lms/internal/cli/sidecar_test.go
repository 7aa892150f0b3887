package cli

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Another daprd takes the place of ours if it is of the version that the services
// stand beside; any other is refused before anything starts.
func TestAnotherSidecarHasToBeOfOurVersion(t *testing.T) {
	t.Parallel()
	daprd := func(script string) string {
		path := filepath.Join(t.TempDir(), "daprd")
		require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
		return path
	}
	official := daprd(`[ "$1" = --version ] && echo 1.18.3`)
	path, err := upFlags{sidecar: official}.otherSidecar(t.Context())
	require.NoError(t, err)
	require.Equal(t, official, path)
	args, err := upFlags{sidecar: official, profile: "embedded"}.detached("/home", "/root")
	require.NoError(t, err)
	require.Equal(t, official, args[slices.Index(args, "--sidecar")+1])

	_, err = upFlags{sidecar: daprd("echo 1.17.0")}.otherSidecar(t.Context())
	require.ErrorContains(t, err, "is daprd 1.17.0, and the services stand beside 1.18")
	_, err = upFlags{sidecar: daprd("echo broken; exit 3")}.otherSidecar(t.Context())
	require.ErrorContains(t, err, "broken")
	_, err = upFlags{sidecar: filepath.Join(t.TempDir(), "nothing")}.otherSidecar(t.Context())
	require.ErrorContains(t, err, "--sidecar")
	path, err = upFlags{}.otherSidecar(t.Context())
	require.NoError(t, err)
	require.Empty(t, path)
}
