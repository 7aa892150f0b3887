package bleveindex_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"lms/apps/search/internal/bleveindex"
	"lms/apps/search/internal/enginetest"
	"lms/apps/search/internal/search"
)

func TestBleveDoesWhatAnEngineDoes(t *testing.T) {
	t.Parallel()
	enginetest.Run(t, open)
}

func TestBleveFindsWhatPeopleMean(t *testing.T) {
	t.Parallel()
	enginetest.Relevance(t, open, enginetest.Floor)
}

func open(t *testing.T) search.Engine {
	e, err := bleveindex.Open(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}
