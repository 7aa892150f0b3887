package app

import (
	"errors"
	"fmt"
	"net/url"
)

// Engines.
const (
	engineBleve      = "bleve"
	engineOpenSearch = "opensearch"
)

// Config is what search is told besides the settings of every service.
type Config struct {
	Engine             string   `default:"bleve" desc:"bleve: in the process, one replica; opensearch: a cluster, any number of replicas"`
	Folder             string   `default:"search-index" desc:"where bleve keeps its files; what is lost with it is made anew"`
	OpenSearchURLs     []string `envconfig:"OPENSEARCH_URLS" desc:"addresses of the cluster, by commas: https://search.example:9200"`
	OpenSearchUser     string   `envconfig:"OPENSEARCH_USER" desc:"who signs in there; nobody if not set"`
	OpenSearchPassword string   `envconfig:"OPENSEARCH_PASSWORD" secret:"true" desc:"with which password; the secret search-opensearch-password if not set"`
	OpenSearchPrefix   string   `envconfig:"OPENSEARCH_PREFIX" default:"lms-search" desc:"how names of indexes begin"`
}

func (c Config) check() error {
	switch c.Engine {
	case engineBleve:
		if c.Folder == "" {
			return errors.New("configuration: LMS_SEARCH_FOLDER is empty")
		}
	case engineOpenSearch:
		if len(c.OpenSearchURLs) == 0 {
			return errors.New("configuration: LMS_SEARCH_ENGINE is opensearch, and LMS_SEARCH_OPENSEARCH_URLS is not set")
		}
		for _, text := range c.OpenSearchURLs {
			if u, err := url.Parse(text); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
				return fmt.Errorf("configuration: LMS_SEARCH_OPENSEARCH_URLS: %q is no address such as https://search.example:9200", text)
			}
		}
	default:
		return fmt.Errorf("configuration: LMS_SEARCH_ENGINE is %q: there are bleve and opensearch", c.Engine)
	}
	return nil
}
