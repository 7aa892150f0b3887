package e2e_test

import (
	"testing"

	"lms/apps/lms/internal/e2e"
	"lms/apps/lms/internal/system"
)

func TestPackages(t *testing.T) {
	t.Parallel()
	e2e.Packaged(t, e2e.NewWorld(t, system.Start(t)))
}
