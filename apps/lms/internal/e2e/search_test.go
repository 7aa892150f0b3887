package e2e_test

import (
	"testing"

	"lms/apps/lms/internal/e2e"
	"lms/apps/lms/internal/system"
)

// The same on OpenSearch, which lms up starts. It is no parallel test: it changes the
// environment.
func TestSearchOnOpenSearch(t *testing.T) {
	t.Setenv("LMS_SEARCH_ENGINE", "opensearch")
	e2e.Search(t, e2e.NewWorld(t, system.Start(t)))
}

func TestSearch(t *testing.T) {
	t.Parallel()
	e2e.Search(t, e2e.NewWorld(t, system.Start(t)))
}
