package events

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestHundredthsRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := Hundredths(rapid.Int64Range(-1e12, 1e12).Draw(t, "hundredths"))
		raw, err := json.Marshal(in)
		require.NoError(t, err)
		var out Hundredths
		require.NoError(t, json.Unmarshal(raw, &out))
		require.Equal(t, in, out)
		var asNumber float64
		require.NoError(t, json.Unmarshal(raw, &asNumber), "a plain JSON number")
		require.InDelta(t, float64(in)/100, asNumber, 1e-6)
	})
}

func TestHundredthsRefusesWhatItCannotHold(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{`1.234`, `1e3`, `"1"`, `12345678901234567890`, `true`} {
		var h Hundredths
		require.Error(t, json.Unmarshal([]byte(raw), &h), raw)
	}
}

func TestCourseEventsCarryTheirSnapshot(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, d := range courseEvents() {
		require.False(t, seen[d.Type()], "declared twice: %s", d.Type())
		seen[d.Type()] = true
		require.NotEqual(t, "00000000-0000-0000-0000-000000000000", d.Example.AggregateID().String())
		raw, err := json.Marshal(d.Example)
		require.NoError(t, err)
		var fields map[string]any
		require.NoError(t, json.Unmarshal(raw, &fields))
		require.Contains(t, fields, "tenant_id", d.Type())
	}
	require.Len(t, seen, 12)
}
