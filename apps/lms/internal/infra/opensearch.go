package infra

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"time"

	"lms/apps/lms/internal/supervisor"
	"lms/shared/localopensearch"
)

// Settings of the search service that lead to its engine.
const (
	searchEngine = "LMS_SEARCH_ENGINE"
	searchURLs   = "LMS_SEARCH_OPENSEARCH_URLS"
)

// openSearchURLs is the variable by which a profile's settings lead to it.
const openSearchURLs = "LMS_OPENSEARCH_URLS"

// SearchService is the service that asks the engine.
const SearchService = "search"

// TellsOpenSearch says whether the profile tells search where an OpenSearch is.
func (p Profile) TellsOpenSearch() bool { return p.tells(SearchService, searchURLs) }

// WantsOpenSearch says whether search was told by the caller to use OpenSearch, and
// not which.
func WantsOpenSearch() bool {
	return os.Getenv(searchEngine) == "opensearch" && os.Getenv(searchURLs) == ""
}

// SearchAt are the settings of the search service that lead to an OpenSearch at a
// site.
func SearchAt(s Site) map[string]string {
	return map[string]string{searchURLs: localopensearch.Address(s.Ports[0])}
}

// OpenSearch is the search engine as one node.
func OpenSearch() Component {
	return Component{
		Name: "opensearch", Kind: supervisor.KindStore, Variables: []string{openSearchURLs}, Ports: 1,
		values: func(s Site) map[string]string {
			return map[string]string{openSearchURLs: localopensearch.Address(s.Ports[0])}
		},
		processes: func(ctx context.Context, s Site) ([]supervisor.Process, error) {
			// What lies outside of the installation's folder is told apart by its name.
			data, err := localopensearch.Folder(s.data(), fmt.Sprintf("lms-opensearch-%x", sha256.Sum256([]byte(s.data())))[:24])
			if err != nil {
				return nil, err
			}
			spec, err := localopensearch.Command(ctx, localopensearch.Options{Data: data, Port: s.Ports[0], Say: s.Say})
			if err != nil {
				return nil, err
			}
			return []supervisor.Process{s.process(s.Name, "http", s.Ports[0], supervisor.Program{
				Path: spec.Path, Args: spec.Args, Env: spec.Env, Dir: spec.Dir, Credential: spec.Credential, Grace: 30 * time.Second,
			})}, nil
		},
	}
}
