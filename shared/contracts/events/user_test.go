package events

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUserEventsAreDeclaredOnceWithTheirTenant(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, d := range userEvents() {
		require.False(t, seen[d.Type()], "declared twice: %s", d.Type())
		require.True(t, strings.HasPrefix(d.Type(), "lms.user."), d.Type())
		require.Equal(t, TopicUser, d.Topic)
		seen[d.Type()] = true
		require.NotEqual(t, "00000000-0000-0000-0000-000000000000", d.Example.AggregateID().String())
		raw, err := json.Marshal(d.Example)
		require.NoError(t, err)
		var fields map[string]any
		require.NoError(t, json.Unmarshal(raw, &fields))
		require.Contains(t, fields, "tenant_id", d.Type())
	}
	require.Len(t, seen, 21)
}
