package events

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPaymentEventsSayHowMuchForWhatAndWhere(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, d := range paymentEvents() {
		require.False(t, seen[d.Type()], "declared twice: %s", d.Type())
		seen[d.Type()] = true
		if d.State {
			continue
		}
		raw, err := json.Marshal(d.Example)
		require.NoError(t, err)
		var fields map[string]any
		require.NoError(t, json.Unmarshal(raw, &fields))
		for _, name := range []string{"amount", "tax", "currency", "plan_id", "course_id", "org_unit_id", "tenant_id", "user_id", "at"} {
			require.Contains(t, fields, name, d.Type())
		}
	}
	require.Len(t, seen, 25)
}
