package e2e_test

import (
	"testing"

	"lms/apps/lms/internal/e2e"
	"lms/apps/lms/internal/system"
)

func TestGradebook(t *testing.T) {
	t.Parallel()
	e2e.Graded(t, e2e.NewWorld(t, system.Start(t)), func(testing.TB, string) {})
}
