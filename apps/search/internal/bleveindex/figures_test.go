//go:build bench

package bleveindex_test

import (
	"testing"

	"lms/apps/search/internal/enginetest"
)

func TestFiguresOfBleve(t *testing.T) { enginetest.Figures(t, open) }
