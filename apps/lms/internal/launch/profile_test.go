package launch

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestASwitchOfProfilesSaysWhatDoesNotTravel(t *testing.T) {
	t.Parallel()
	require.Empty(t, switched("", "kafka"), "a new installation")
	require.Empty(t, switched("kafka", "kafka"))
	said := strings.Join(switched("embedded", "kafka"), "\n")
	for _, what := range []string{
		"profile kafka over the data of embedded", "undelivered messages do not travel", "`lms outbox drain` under embedded", "nothing committed is lost",
		"sessions do not travel", "in-app messages, preferences and mail that waits stay in the store of embedded", "go out again",
	} {
		require.Contains(t, said, what)
	}
}
