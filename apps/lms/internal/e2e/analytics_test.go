package e2e_test

import (
	"testing"

	"lms/apps/lms/internal/e2e"
	"lms/apps/lms/internal/system"
)

func TestAnalytics(t *testing.T) {
	t.Parallel()
	e2e.Reported(t, e2e.NewWorld(t, system.Start(t)))
}
