package events

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLibraryEventsSayWhatAndWhere(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, d := range libraryEvents() {
		require.False(t, seen[d.Type()], "declared twice: %s", d.Type())
		seen[d.Type()] = true
		raw, err := json.Marshal(d.Example)
		require.NoError(t, err)
		var fields map[string]any
		require.NoError(t, json.Unmarshal(raw, &fields))
		for _, name := range []string{"tenant_id", "org_unit_id"} {
			require.Contains(t, fields, name, d.Type())
		}
		require.Equal(t, exampleContentID(1), d.Example.AggregateID(), d.Type())
	}
	require.Len(t, seen, 7)
}
