package inbox_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/inbox"
)

// What tests of the whole switch off must really be off, else they would show
// nothing.
func TestGuaranteesCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	aggregate := uuid.New()
	older, newer := event("a", aggregate, 1, 1, 10), event("a", aggregate, 2, 2, 20)
	run := func(without inbox.Without) (facts, states []int32) {
		f := setup(t, func(*inbox.Inbox) {})
		withEffects(t, f)
		f.in = inbox.New(inbox.Options{DB: f.db, Producers: f.p, Without: without})
		f.in.Fact("facts", topic, []string{"a"}, record("facts"))
		f.in.State("states", topic, []string{"a"}, record("states"))
		for _, raw := range [][]byte{newer, older, newer} {
			e, err := inbox.Parse(raw)
			require.NoError(t, err)
			require.Equal(t, []error{nil}, f.in.Apply(t.Context(), []inbox.Event{e}))
		}
		return effects(t, f, "facts"), effects(t, f, "states")
	}
	facts, states := run(inbox.Without{})
	require.Equal(t, []int32{10, 20}, facts)
	require.Equal(t, []int32{20}, states)
	facts, states = run(inbox.Without{Memory: true})
	require.Equal(t, []int32{10, 20, 20}, facts)
	require.Equal(t, []int32{20}, states)
	facts, states = run(inbox.Without{Sequence: true})
	require.Equal(t, []int32{10, 20}, facts)
	require.Equal(t, []int32{10, 20, 20}, states)
}
