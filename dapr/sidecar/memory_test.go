package main

import (
	"context"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dapr/kit/logger"
	"github.com/stretchr/testify/assert" // in a goroutine
	"github.com/stretchr/testify/require"
)

func TestAnIdleSidecarGivesMemoryBack(t *testing.T) {
	const garbage = 64 << 20
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	synctest.Test(t, func(t *testing.T) {
		for range garbage >> 20 {
			b := make([]byte, 1<<20)
			b[len(b)-1] = 1
		}
		require.Greater(t, read().spare, uint64(garbage)/2)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { assert.NoError(t, giveBack(ctx, logger.NewLogger("test"))) })
		<-time.After(firstLook + time.Millisecond)
		synctest.Wait()
		require.Less(t, read().spare, uint64(garbage)/4)
		cancel()
		wg.Wait()
	})
}

func TestASidecarGoesOnWithoutItsPages(t *testing.T) {
	before := strings.Repeat("constant ", 3)
	for range 20 {
		require.NoError(t, unmapProgram())
		require.Equal(t, before, strings.Repeat("constant ", 3))
	}
}
