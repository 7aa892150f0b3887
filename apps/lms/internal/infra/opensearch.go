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

// WantsOpenSearch says whether search was told to use OpenSearch, and not which.
func WantsOpenSearch() bool {
	return os.Getenv(searchEngine) == "opensearch" && os.Getenv(searchURLs) == ""
}

// OpenSearch is the search engine as one node. Its values are settings of the search
// service: no component file leads to it.
func OpenSearch() Component {
	return Component{
		Name: "opensearch", Kind: supervisor.KindStore, Ports: 1,
		values: func(s Site) map[string]string {
			return map[string]string{searchURLs: localopensearch.Address(s.Ports[0])}
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
