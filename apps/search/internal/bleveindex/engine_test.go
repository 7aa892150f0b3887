package bleveindex_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

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

// What is lost is made anew: the service begins with an empty index, and fills it.
func TestAnIndexThatIsGoneIsBegunAgain(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	e, err := bleveindex.Open(folder)
	require.NoError(t, err)
	next, err := e.Begin(t.Context(), "rules")
	require.NoError(t, err)
	require.NoError(t, next.Commit(t.Context()))
	require.NoError(t, e.Close())
	lost, err := filepath.Glob(filepath.Join(folder, "index-*"))
	require.NoError(t, err)
	require.Len(t, lost, 1, "the old one was removed")
	require.NoError(t, os.RemoveAll(lost[0]))

	e, err = bleveindex.Open(folder)
	require.NoError(t, err)
	filled, err := e.Filled(t.Context(), "rules")
	require.NoError(t, err)
	require.False(t, filled)
	require.NoError(t, e.Write(t.Context(), []search.Document{{ID: "course.1", Version: 1, Source: []byte(`{}`)}}))
	require.NoError(t, e.Close())

	e, err = bleveindex.Open(folder)
	require.NoError(t, err)
	known, err := e.Fetch(t.Context(), []string{"course.1"})
	require.NoError(t, err)
	require.Len(t, known, 1)
	require.NoError(t, e.Close())
}

// A second process is told so, instead of waiting for as long as the first one lives.
func TestAFolderBelongsToOne(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	e, err := bleveindex.Open(folder)
	require.NoError(t, err)
	second := make(chan error, 1)
	go func() {
		_, err := bleveindex.Open(folder)
		second <- err
	}()
	select {
	case err := <-second:
		require.ErrorContains(t, err, "in use")
	case <-time.After(time.Minute):
		require.Fail(t, "it waits")
	}
	require.NoError(t, e.Close())
}

func open(t *testing.T) search.Engine {
	e, err := bleveindex.Open(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}
