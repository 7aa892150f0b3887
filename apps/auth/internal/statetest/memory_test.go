package statetest_test

import (
	"testing"
	"time"

	"lms/apps/auth/internal/statetest"
	"lms/shared/clock"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(time.Now())
	suite(t, statetest.NewMemory(c.Now), func(d time.Duration) { c.Advance(d) })
}
