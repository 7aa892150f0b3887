package profile_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/profile"
	"lms/shared/contracts"
)

// The folder that an operator made who followed components/README.md: what it cannot
// do is said beforehand.
func TestAProfileOfOnesOwnIsUsedAndItsWeaknessesAreNamed(t *testing.T) {
	t.Parallel()
	r := check(t, profile.Options{Dir: "../chaos/testdata/mqtt"})
	require.Empty(t, of(r, profile.Refused))
	require.Len(t, r.Components, len(contracts.Topics())+len(contracts.BuildingBlocks()))
	for _, topic := range contracts.Topics() {
		for says, effect := range map[string]profile.Effect{
			"two replicas of a service have the same client id": profile.Feature,
			"in no particular order":                            profile.Reorders,
			"gets nothing that was published before":            profile.Feature,
			"comes again only at its next connection":           profile.Loses,
			"reaches its sidecar before that has subscribed":    profile.Loses,
			"gets nothing new until it connects anew":           profile.Loses,
			"few messages for a consumer that is away":          profile.Loses,
			"in the broker's memory unless it persists them":    profile.Loses,
			"is still sent when the connection is back":         profile.Repeats,
		} {
			expect(t, r, wrong{level: profile.Warning, effect: effect, component: topic.Component, says: says})
		}
	}
}
