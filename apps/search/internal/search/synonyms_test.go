package search_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/search/internal/search"
	"lms/shared/authz"
	"lms/shared/journal/acts"
	"lms/shared/record"
	"lms/shared/record/recordtest"
)

// What an older version of the program took for a word need be none any more.
func TestSynonymsWithoutAWordAreLeftOut(t *testing.T) {
	t.Parallel()
	store := recordtest.NewMemory(time.Now)
	_, err := record.Durable[search.Synonyms](store, time.Now, nil).Update(t.Context(), "synonyms", func(*search.Synonyms) (*search.Synonyms, error) {
		return &search.Synonyms{Groups: [][]string{{"!!", "car", "automobile"}}, Version: 3}, nil
	})
	require.NoError(t, err)
	s := search.NewSynonymStore(store, time.Now, acts.New(store, authz.Fixed{}, time.Now, uuid.New), slog.New(slog.DiscardHandler))
	require.NoError(t, s.Refresh(t.Context()))
}
