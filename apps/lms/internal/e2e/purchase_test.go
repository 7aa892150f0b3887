package e2e_test

import (
	"testing"

	"lms/apps/lms/internal/e2e"
	"lms/apps/lms/internal/system"
)

func TestPurchase(t *testing.T) {
	t.Parallel()
	w := e2e.NewWorld(t, system.Start(t))
	e2e.Purchase(t, w, func(testing.TB, string) {})
	e2e.Renewal(t, w)
}
