package seal_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lms/apps/user/internal/seal"
	"lms/shared/apperr"
)

func box(secret string) *seal.Box {
	return &seal.Box{Secret: func(context.Context) (string, error) { return secret, nil }}
}

func TestOpensOnlyInItsPlaceWithItsKey(t *testing.T) {
	t.Parallel()
	a, b := box(strings.Repeat("ab", 32)), box(strings.Repeat("cd", 32))
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		sealed, err := a.Seal(plain, "totp:1")
		require.NoError(t, err)
		got, err := a.Open(sealed, "totp:1")
		require.NoError(t, err)
		require.Equal(t, string(plain), string(got))
		_, err = a.Open(sealed, "totp:2")
		require.Error(t, err)
		_, err = b.Open(sealed, "totp:1")
		require.Error(t, err)
		at := rapid.IntRange(0, len(sealed)-1).Draw(t, "at")
		sealed[at] ^= 1
		_, err = a.Open(sealed, "totp:1")
		require.Error(t, err)
	})
}

func TestNoKeyIsNotReadyRatherThanNoSeal(t *testing.T) {
	t.Parallel()
	for _, b := range []*seal.Box{
		box(""), box("abcd"), box("not hexadecimal"),
		{Secret: func(context.Context) (string, error) { return "", errors.New("no sidecar yet") }},
	} {
		_, err := b.Seal([]byte("x"), "here")
		require.True(t, apperr.IsKind(err, apperr.KindUnavailable))
	}
}
