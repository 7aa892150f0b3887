package freeport_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/shared/freeport"
)

func TestPickedPortsAreDifferentAndFree(t *testing.T) {
	t.Parallel()
	ports, err := freeport.Pick(40)
	require.NoError(t, err)
	seen := map[int]bool{}
	for _, p := range ports {
		require.False(t, seen[p])
		seen[p] = true
		l, err := net.Listen("tcp", freeport.Address(p))
		require.NoError(t, err)
		require.False(t, freeport.Free(freeport.Address(p)))
		require.NoError(t, l.Close())
	}
}
