package e2e_test

import (
	"testing"

	"lms/apps/lms/internal/e2e"
	"lms/apps/lms/internal/system"
)

func TestMedia(t *testing.T) {
	t.Parallel()
	e2e.Media(t, e2e.NewWorld(t, system.Start(t)))
}
