package passwords_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/apps/user/internal/passwords"
)

// cheap keeps the tests fast; nothing about them depends on the cost.
var cheap = passwords.Params{MemoryKiB: 64, Passes: 1, Lanes: 1}

func TestAHashKnowsItsPasswordAndNoOther(t *testing.T) {
	t.Parallel()
	h, err := passwords.New(passwords.Default(), 2)
	require.NoError(t, err)
	hash, err := h.Hash(t.Context(), "correct horse")
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$"), hash)
	ok, upgrade, err := h.Verify(t.Context(), hash, "correct horse")
	require.NoError(t, err)
	require.True(t, ok)
	require.False(t, upgrade)
	ok, _, err = h.Verify(t.Context(), hash, "correct hors")
	require.NoError(t, err)
	require.False(t, ok)
}

func TestAHashOfOtherParametersIsUpgraded(t *testing.T) {
	t.Parallel()
	old, err := passwords.New(cheap, 1)
	require.NoError(t, err)
	hash, err := old.Hash(t.Context(), "correct horse")
	require.NoError(t, err)
	now, err := passwords.New(passwords.Params{MemoryKiB: 128, Passes: 1, Lanes: 1}, 1)
	require.NoError(t, err)
	ok, upgrade, err := now.Verify(t.Context(), hash, "correct horse")
	require.NoError(t, err)
	require.True(t, ok)
	require.True(t, upgrade)
}

func TestNobodyHasNoPassword(t *testing.T) {
	t.Parallel()
	h, err := passwords.New(cheap, 1)
	require.NoError(t, err)
	for _, p := range []string{"", "anything", string(make([]byte, 32))} {
		ok, upgrade, err := h.Verify(t.Context(), "", p)
		require.NoError(t, err)
		require.False(t, ok)
		require.False(t, upgrade)
	}
}

func TestADamagedHashIsAnError(t *testing.T) {
	t.Parallel()
	h, err := passwords.New(cheap, 1)
	require.NoError(t, err)
	for _, hash := range []string{
		"x", "$argon2i$v=19$m=64,t=1,p=1$AAAA$AAAA", "$argon2id$v=19$m=99999999,t=1,p=1$AAAA$AAAA", "$argon2id$v=19$m=64,t=0,p=1$AAAA$AAAA",
	} {
		_, _, err := h.Verify(t.Context(), hash, "p")
		require.Error(t, err, hash)
	}
}

func TestCommonPasswordsAreKnown(t *testing.T) {
	t.Parallel()
	h, err := passwords.New(cheap, 1)
	require.NoError(t, err)
	for _, p := range []string{"password", "PassWord", "12345678", "football", "iloveyou"} {
		require.True(t, h.Common(p), p)
	}
	require.False(t, h.Common("correct horse battery 7"))
}

func TestAFloodRunsNoMoreAtOnceThanItMay(t *testing.T) {
	t.Parallel()
	h, err := passwords.New(cheap, 2)
	require.NoError(t, err)
	var done atomic.Int64
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if _, err := h.Hash(context.WithoutCancel(t.Context()), "p"); err == nil {
				done.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 200, done.Load())

	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	block, err := passwords.New(passwords.Params{MemoryKiB: 64, Passes: 1, Lanes: 1}, 1)
	require.NoError(t, err)
	for range 50 { // a caller that has gone gets an error or its hash, never a hang
		_, _ = block.Hash(canceled, "p")
	}
}
