package launch

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/infra"
)

func TestASwitchOfProfilesSaysWhatDoesNotTravel(t *testing.T) {
	t.Parallel()
	require.Empty(t, switched("", "kafka", false), "a new installation")
	require.Empty(t, switched("kafka", "kafka", true))
	said := strings.Join(switched("embedded", "kafka", true), "\n")
	for _, what := range []string{
		"profile kafka over the data of embedded", "undelivered messages do not travel", "`lms outbox drain` under embedded", "nothing committed is lost",
		"sessions do not travel", "in-app messages, preferences and mail that waits stay in the store of embedded", "the last hour is mailed, perhaps once more",
	} {
		require.Contains(t, said, what)
	}
	require.Contains(t, said, "databases, files and accounts are the same")
	require.Contains(t, strings.Join(switched("embedded", "kafka", false), "\n"), "files do not travel: they stay in the object store of embedded")
}

func TestFilesTravelBetweenProfilesThatKeepThemAlike(t *testing.T) {
	t.Parallel()
	const root = "../../../.."
	for switchTo, travels := range map[[2]string]bool{
		{"embedded", "redis"}: true, {"embedded", "kafka"}: false, {"kafka", "nats"}: false, {"gone", "redis"}: true, {"gone", "kafka"}: false,
	} {
		p, err := infra.FindProfile(root, switchTo[1])
		require.NoError(t, err)
		l := &launch{Options: Options{Root: root, Profile: p}}
		require.Equal(t, travels, l.filesTravel(switchTo[0]), "%v", switchTo)
	}
}
