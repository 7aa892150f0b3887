package provider

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestSignatures(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	body := []byte(`{"id":"evt_1"}`)
	header := Sign([]string{"new"}, now, body)
	both := Sign([]string{"new", "old"}, now, body)
	require.Regexp(t, `^t=\d+,v1=[0-9a-f]{64}$`, header)
	_, unstamped, _ := strings.Cut(header, ",")

	for name, c := range map[string]struct {
		header  string
		body    string
		secrets []string
		at      time.Time
		want    error
	}{
		"good":                           {header, string(body), []string{"new"}, now, nil},
		"any active secret will do":      {header, string(body), []string{"newest", "new", "old"}, now, nil},
		"one who knows the old only":     {both, string(body), []string{"old"}, now, nil},
		"300 s old":                      {header, string(body), []string{"new"}, now.Add(Tolerance), nil},
		"301 s old":                      {header, string(body), []string{"new"}, now.Add(Tolerance + time.Second), ErrOldSignature},
		"301 s ahead":                    {header, string(body), []string{"new"}, now.Add(-Tolerance - time.Second), ErrOldSignature},
		"a retired secret":               {header, string(body), []string{"other"}, now, ErrBadSignature},
		"an empty secret":                {Sign([]string{""}, now, body), string(body), []string{""}, now, ErrBadSignature},
		"no secrets":                     {header, string(body), nil, now, ErrBadSignature},
		"another body":                   {header, string(body) + " ", []string{"new"}, now, ErrBadSignature},
		"another time":                   {strings.Replace(header, "t=1", "t=2", 1), string(body), []string{"new"}, now, ErrBadSignature},
		"two times":                      {"t=1," + header, string(body), []string{"new"}, now, ErrBadSignature},
		"no header":                      {"", string(body), []string{"new"}, now, ErrNoSignature},
		"no v1":                          {strings.Replace(header, "v1", "v0", 1), string(body), []string{"new"}, now, ErrBadSignature},
		"not hexadecimal":                {"t=1,v1=zz", string(body), []string{"new"}, now, ErrBadSignature},
		"no time":                        {unstamped, string(body), []string{"new"}, now, ErrBadSignature},
		"more signatures than one reads": {header + strings.Repeat(",v1=00", maxSignatures), string(body), []string{"new"}, now, ErrBadSignature},
		"a scheme of tomorrow":           {header + ",v2=abc", string(body), []string{"new"}, now, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.ErrorIs(t, Verify(c.header, []byte(c.body), c.secrets, c.at), c.want)
		})
	}
}

// TestNoOtherBytesPass: whatever is changed in a signed body is noticed.
func TestNoOtherBytesPass(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_780_000_000, 0)
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "body")
		header := Sign([]string{"s"}, now, body)
		require.NoError(t, Verify(header, body, []string{"s"}, now))
		i := rapid.IntRange(0, len(body)-1).Draw(t, "at")
		body[i] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		require.ErrorIs(t, Verify(header, body, []string{"s"}, now), ErrBadSignature)
	})
}
