package opensearch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
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

// An index that was made for an older layout, and refuses what it does not know, takes
// documents and answers until it is made anew.
func TestAnIndexOfAnOlderLayoutGoesOn(t *testing.T) {
	t.Parallel()
	server := shared.Server(t)
	prefix := server.Prefix()
	keyword := map[string]any{"type": "keyword"}
	raw, err := json.Marshal(map[string]any{
		"aliases": map[string]any{prefix: map[string]any{"is_write_index": true}},
		"mappings": map[string]any{
			"dynamic": "strict", "_meta": map[string]any{"rules": "older"},
			"properties": map[string]any{search.KeyID: keyword, search.KeyType: keyword, "source": map[string]any{"type": "object", "enabled": false}},
		},
	})
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.Address+"/"+prefix+"-old", bytes.NewReader(raw))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode)

	e, err := opensearch.New(opensearch.Options{Addresses: []string{server.Address}, Prefix: prefix})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	require.NoError(t, e.Write(t.Context(), []search.Document{{
		ID: "course.1", Version: 3, Keys: map[string][]string{search.KeyID: {"course.1"}, search.KeyCategoryName: {"not known there"}}, Source: []byte(`{"title":"x"}`),
	}}))
	found, err := e.Search(t.Context(), search.Request{Query: search.In{Field: search.KeyID, Values: []string{"course.1"}}, Size: 1, Written: true})
	require.NoError(t, err)
	require.Equal(t, []search.Hit{{ID: "course.1", Version: 3, Sort: []string{"course.1"}, Source: []byte(`{"title":"x"}`)}}, found.Hits)
	filled, err := e.Filled(t.Context(), "older")
	require.NoError(t, err)
	require.True(t, filled)
}

// That an index takes the place of the old one is one step, of which the answer may be
// lost: the index stays though whoever made it heard of a failure.
func TestAnIndexThatTookItsPlaceStays(t *testing.T) {
	t.Parallel()
	server := shared.Server(t)
	to, err := url.Parse(server.Address)
	require.NoError(t, err)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ModifyResponse: func(r *http.Response) error {
			if r.Request.URL.Path == "/_aliases" {
				return errors.New("the connection is lost")
			}
			return nil
		},
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	between := httptest.NewServer(proxy)
	t.Cleanup(between.Close)
	e, err := opensearch.New(opensearch.Options{Addresses: []string{between.URL}, Prefix: server.Prefix()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	next, err := e.Begin(t.Context(), "rules")
	require.NoError(t, err)
	require.NoError(t, next.Write(t.Context(), []search.Document{{ID: "course.1", Version: 1, Source: []byte(`{}`)}}))
	if err := next.Commit(t.Context()); err != nil {
		require.NoError(t, next.Abort(t.Context())) // as search.Builder does
	}
	known, err := e.Fetch(t.Context(), []string{"course.1"})
	require.NoError(t, err)
	require.Contains(t, known, "course.1")
	filled, err := e.Filled(t.Context(), "rules")
	require.NoError(t, err)
	require.True(t, filled)
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
