package opensearch_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"lms/apps/search/internal/enginetest"
	"lms/apps/search/internal/opensearch"
	"lms/apps/search/internal/search"
	"lms/shared/testkit/opensearchtest"
)

var shared opensearchtest.Shared //nolint:gochecknoglobals // one server for all tests

func TestMain(m *testing.M) { shared.Main(m) }

func TestOpenSearchDoesWhatAnEngineDoes(t *testing.T) {
	t.Parallel()
	server := shared.Server(t)
	enginetest.Run(t, func(t *testing.T) search.Engine {
		e, err := opensearch.New(opensearch.Options{Addresses: []string{server.Address}, Prefix: server.Prefix()})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, e.Close()) })
		return e
	})
}
