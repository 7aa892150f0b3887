package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/dapr/kit/logger"
)

const (
	firstLook = 3 * time.Second // the start's own garbage
	lookEvery = 15 * time.Second
	// A sidecar that allocates less than quiet between two looks is idle, in
	// bytes; for less than worth nothing is done.
	quiet = 8 << 20
	worth = 2 << 20
)

// giveBack returns memory to the system while the sidecar is idle, until ctx
// ends. With gcPercent its heap may grow to five times what lives in it before
// the collector runs, and keeps those pages: 40 MB that an idle sidecar has no
// use for. The program's own pages are given up too whenever it comes to rest:
// the system maps them in large pieces, and what only the start needed for ever.
func giveBack(ctx context.Context, log logger.Logger) error {
	before := read().allocated
	unmap, rested := true, false
	next := time.NewTimer(firstLook)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
		}
		now := read()
		idle := now.allocated-before < quiet
		if idle && now.spare > worth {
			debug.FreeOSMemory()
		}
		if unmap && idle && !rested {
			if err := unmapProgram(); err != nil {
				log.Warnf("Pages of the program stay in memory: %v", err)
				unmap = false
			}
		}
		rested = idle
		before = now.allocated
		next.Reset(lookEvery)
	}
}

// heap is how much was allocated since the start, and how much of the present
// heap nothing needs, both in bytes.
type heap struct{ allocated, spare uint64 }

func read() heap {
	s := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(s)
	h := heap{allocated: s[0].Value.Uint64(), spare: s[3].Value.Uint64()}
	if live, objects := s[1].Value.Uint64(), s[2].Value.Uint64(); objects > live {
		h.spare += objects - live
	}
	return h
}
