package memory

import (
	"context"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert" // in a goroutine
	"github.com/stretchr/testify/require"
)

const garbage = 64 << 20 // bytes

// waste makes garbage and says how much the process could do without.
func waste() uint64 {
	for range garbage >> 20 {
		b := make([]byte, 1<<20)
		b[len(b)-1] = 1
	}
	var u usage
	u.look()
	return u.spare
}

func spare() uint64 {
	var u usage
	u.look()
	return u.spare
}

// The tests watch the heap of the whole process, so that they do not run side by
// side, and the collector does nothing by itself meanwhile.

func TestAnIdleProcessGivesBack(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	synctest.Test(t, func(t *testing.T) {
		require.Greater(t, waste(), uint64(garbage)/2)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { GiveBack(ctx, func(err error) { assert.NoError(t, err) }) })
		<-time.After(firstLook + time.Millisecond)
		synctest.Wait()
		require.Less(t, spare(), uint64(garbage)/4)
		cancel()
		wg.Wait()
	})
}

func TestABusyProcessKeepsWhatItUses(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { GiveBack(ctx, func(err error) { assert.NoError(t, err) }) })
		synctest.Wait() // it has looked once
		waste()
		<-time.After(firstLook + time.Millisecond)
		synctest.Wait()
		require.Greater(t, spare(), uint64(garbage)/2, "much was allocated: not idle")
		<-time.After(lookEvery)
		synctest.Wait()
		require.Less(t, spare(), uint64(garbage)/4, "nothing was allocated since")
		cancel()
		wg.Wait()
	})
}

func TestTheEnvironmentDecidesAboutTheCollector(t *testing.T) {
	was := debug.SetGCPercent(100)
	defer debug.SetGCPercent(was)
	Prefer(func(string) (string, bool) { return "50", true })
	require.Equal(t, 100, debug.SetGCPercent(100), "the runtime has read GOGC itself")
	Prefer(func(string) (string, bool) { return "", false })
	require.Equal(t, GCPercent, debug.SetGCPercent(100))
}

func TestAProgramGoesOnWithoutItsPages(t *testing.T) {
	before := strings.Repeat("constant ", 3)
	for range 20 {
		require.NoError(t, unmapProgram())
		require.Equal(t, before, strings.Repeat("constant ", 3))
		require.Positive(t, waste())
	}
}
