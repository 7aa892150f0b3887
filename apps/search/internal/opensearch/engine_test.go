package opensearch_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/search/internal/enginetest"
	"lms/apps/search/internal/language"
	"lms/apps/search/internal/opensearch"
	"lms/apps/search/internal/search"
	"lms/shared/apperr"
	"lms/shared/contracts/events"
	"lms/shared/testkit/opensearchtest"
)

var shared opensearchtest.Shared //nolint:gochecknoglobals // one server for all tests

func TestMain(m *testing.M) { shared.Main(m) }

func open(t *testing.T) search.Engine {
	server := shared.Server(t)
	e, err := opensearch.New(opensearch.Options{Addresses: []string{server.Address}, Prefix: server.Prefix()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

func TestOpenSearchDoesWhatAnEngineDoes(t *testing.T) {
	t.Parallel()
	enginetest.Run(t, open)
}

func TestOpenSearchFindsWhatPeopleMean(t *testing.T) {
	t.Parallel()
	enginetest.Relevance(t, open, enginetest.Floor)
}

// What is told while the cluster does not answer is to be told again, and is found
// when it answers. It is no parallel test: it stops the server of all.
func TestTheIndexConvergesAfterAnOutage(t *testing.T) {
	e := open(t)
	indexer := search.Indexer{Engine: e, Maker: search.Maker{Languages: language.New()}}
	tell := func(ctx context.Context, seq int64, title string) error {
		raw, err := json.Marshal(events.CourseState{
			ID: uuid.MustParse("0197c0de-0000-7000-8000-000000000001"), Title: title, Status: events.CoursePublished, Visibility: events.VisibilityPublic,
		})
		require.NoError(t, err)
		return indexer.Apply(ctx, []search.Change{{Type: events.TypeCourseUpdated, Seq: seq, Data: raw}})[0]
	}
	require.NoError(t, tell(t.Context(), 1, "Before"))
	resume := shared.Server(t).Pause(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := tell(ctx, 2, "Meanwhile")
	resume()
	require.True(t, apperr.IsKind(err, apperr.KindUnavailable), "%v", err)
	require.NoError(t, tell(t.Context(), 2, "Meanwhile"))
	require.NoError(t, tell(t.Context(), 1, "Before"))
	require.NoError(t, e.(*opensearch.Engine).Refresh(t.Context()))
	res, err := e.Search(t.Context(), search.Request{Query: search.Term{Field: search.TitleWords, Value: "meanwhile", Score: 1}, Size: 1})
	require.NoError(t, err)
	require.Equal(t, 1, res.Total)
	require.Equal(t, int64(2), res.Hits[0].Version)
}
