package authn_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/shared/authn"
)

func TestAKeptKeySetIsBelievedFromItsWriterOnly(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	set := []byte(`{"keys":[]}`)
	sealed, err := authn.SealJWKS("own", at, set)
	require.NoError(t, err)

	got, err := authn.OpenJWKS("own", at.Add(59*time.Minute), sealed)
	require.NoError(t, err)
	require.Equal(t, set, got)

	foreign, err := authn.SealJWKS("another's", at, set)
	require.NoError(t, err)
	later, err := authn.SealJWKS("own", at.Add(time.Hour), set)
	require.NoError(t, err)
	flipped := append([]byte(nil), sealed...)
	flipped[len(flipped)/2] ^= 1
	for name, c := range map[string]struct {
		secret string
		sealed []byte
		now    time.Time
	}{
		"sealed with another secret": {"own", foreign, at},
		"changed":                    {"own", flipped, at},
		"never sealed":               {"own", set, at},
		"no JSON":                    {"own", []byte("x"), at},
		"no secret":                  {"", foreign, at},
		"older than any token":       {"own", sealed, at.Add(61 * time.Minute)},
		"from the future":            {"own", later, at},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := authn.OpenJWKS(c.secret, c.now, c.sealed)
			require.Error(t, err)
		})
	}
	_, err = authn.SealJWKS("", at, set)
	require.Error(t, err, "without a secret anybody could")
}
