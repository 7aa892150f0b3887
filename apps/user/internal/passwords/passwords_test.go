package passwords_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lms/apps/user/internal/passwords"
	"lms/shared/apperr"
)

func small() passwords.Params { return passwords.Params{Memory: 64, Time: 1, Threads: 1} }

func hasher(t testing.TB, p passwords.Params, slots int, wait time.Duration) *passwords.Hasher {
	t.Helper()
	h, err := passwords.New(p, slots, wait)
	require.NoError(t, err)
	return h
}

func TestParametersAreOWASPs(t *testing.T) {
	t.Parallel()
	h := hasher(t, passwords.Default(), 1, time.Second)
	hash, err := h.Hash(t.Context(), "a good long one")
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$"), hash)
	ok, upgrade, err := h.Verify(t.Context(), hash, "a good long one")
	require.NoError(t, err)
	require.True(t, ok)
	require.False(t, upgrade)
}

func TestOnlyTheSamePasswordMatches(t *testing.T) {
	t.Parallel()
	h := hasher(t, small(), 4, time.Second)
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b")
		hash, err := h.Hash(context.Background(), a)
		require.NoError(t, err)
		ok, _, err := h.Verify(context.Background(), hash, b)
		require.NoError(t, err)
		require.Equal(t, a == b, ok)
	})
}

func TestAnUnknownAccountIsNeverRight(t *testing.T) {
	t.Parallel()
	h := hasher(t, small(), 1, time.Second)
	for _, password := range []string{"", "anything at all"} {
		ok, upgrade, err := h.Verify(t.Context(), "", password)
		require.NoError(t, err)
		require.False(t, ok)
		require.False(t, upgrade)
	}
}

func TestHashesOfOtherParametersAreUpgraded(t *testing.T) {
	t.Parallel()
	old := hasher(t, small(), 1, time.Second)
	hash, err := old.Hash(t.Context(), "correct horse")
	require.NoError(t, err)
	now := hasher(t, passwords.Params{Memory: 128, Time: 2, Threads: 1}, 1, time.Second)
	ok, upgrade, err := now.Verify(t.Context(), hash, "correct horse")
	require.NoError(t, err)
	require.True(t, ok)
	require.True(t, upgrade)
	ok, upgrade, err = now.Verify(t.Context(), hash, "wrong")
	require.NoError(t, err)
	require.False(t, ok)
	require.False(t, upgrade, "a wrong password tells nothing")
}

func TestDamagedHashesAreRefused(t *testing.T) {
	t.Parallel()
	h := hasher(t, small(), 1, time.Second)
	for _, hash := range []string{
		"x", "$argon2i$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=18$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=99999999,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=64,t=1,p=1$AA$AAAAAAAAAAAAAAAAAAAAAA",
	} {
		_, _, err := h.Verify(t.Context(), hash, "p")
		require.True(t, apperr.IsKind(err, apperr.KindInternal), hash)
	}
}

func TestAFloodIsBoundedAndSentAway(t *testing.T) {
	t.Parallel()
	h := hasher(t, passwords.Params{Memory: 32 * 1024, Time: 3, Threads: 1}, 1, time.Millisecond)
	var wg sync.WaitGroup
	var mu sync.Mutex
	served, busy := 0, 0
	for range 20 {
		wg.Go(func() {
			_, err := h.Hash(context.Background(), "one of many")
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				served++
				return
			}
			if apperr.Code(err) == "busy" {
				busy++
			}
		})
	}
	wg.Wait()
	require.Equal(t, 20, served+busy)
	require.Positive(t, served)
	require.Positive(t, busy, "with one slot and a millisecond of patience, most of twenty must be sent away")
}

// ASVS 5.0 6.2.4: at least the 3,000 most common that the policy would let
// through, each of them refused.
func TestTheListOfCommonPasswordsIsLongEnough(t *testing.T) {
	t.Parallel()
	h := hasher(t, small(), 1, time.Second)
	f, err := os.Open("common-passwords.txt.gz")
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	r, err := gzip.NewReader(f)
	require.NoError(t, err)
	long := 0
	for lines := bufio.NewScanner(r); lines.Scan(); {
		if word := lines.Text(); utf8.RuneCountInString(word) >= 8 {
			require.True(t, h.Common(word), word)
			require.True(t, h.Common(strings.ToUpper(word)), word)
			long++
		}
	}
	require.Greater(t, long, 8000)
}

func TestCommonPasswords(t *testing.T) {
	t.Parallel()
	h := hasher(t, small(), 1, time.Second)
	for _, p := range []string{"password", "Password", "PASSWORD1", "12345678", "qwertyuiop", "iloveyou", "aaaaaaaa", "Sunshine2024!", "abcdefgh", "Passwort1", " trustno1 ", "Manchester2026!"} {
		require.True(t, h.Common(p), p)
	}
	for _, p := range []string{"mellow-otter-72-violin", "Zx9#kkq2Lm", "korrekt pferd batterie"} {
		require.False(t, h.Common(p), p)
	}
}
