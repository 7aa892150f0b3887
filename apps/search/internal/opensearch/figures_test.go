//go:build bench

package opensearch_test

import (
	"testing"

	"lms/apps/search/internal/enginetest"
)

func TestFiguresOfOpenSearch(t *testing.T) { enginetest.Figures(t, open) }
