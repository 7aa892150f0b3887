package recordtest_test

import (
	"testing"
	"time"

	"lms/shared/clock"
	"lms/shared/record/recordtest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(time.Now())
	suite(t, recordtest.NewMemory(c.Now), func(d time.Duration) { c.Advance(d) })
}
