// Package memory keeps what an idle process holds near what it needs.
package memory

import (
	"context"
	"fmt"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// GCPercent is the collector's target where the environment sets none (GOGC).
// The live heap of a service is some 8 MB, while a request allocates 50 to
// 100 KB: at Go's default of 100 it would collect several times a second under
// load, for the sake of 30 MB that GiveBack returns anyway when the load ends.
const GCPercent = 400

// Prefer makes the collector trade memory for time under load, unless the
// environment says how it is to behave. GOMEMLIMIT bounds it in any case.
func Prefer(lookup func(string) (string, bool)) {
	if v, ok := lookup("GOGC"); !ok || v == "" {
		debug.SetGCPercent(GCPercent)
	}
}

const (
	firstLook = 3 * time.Second // the start's own garbage
	lookEvery = 15 * time.Second
	// A process that allocates less than quiet between two looks is idle, in
	// bytes; for less than worth nothing is done.
	quiet = 8 << 20
	worth = 2 << 20
)

// GiveBack returns memory to the system while the process is idle, until ctx
// ends. Left to itself the collector keeps the pages of the busiest moment until
// it has run again, which takes minutes in a process that does nothing, and
// then keeps as much as the heap may grow to. And the system maps a program's
// pages in large pieces around each one that is needed, and all that its start
// needed for ever: they are given up whenever the process comes to rest. warn
// hears, once, that this does not work.
func GiveBack(ctx context.Context, warn func(error)) {
	var u usage
	u.look()
	unmap, rested := true, false
	next := time.NewTimer(firstLook)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		u.look()
		idle := u.since < quiet
		if idle && u.spare > worth {
			debug.FreeOSMemory()
		}
		if unmap && idle && !rested {
			if err := unmapProgram(); err != nil {
				warn(fmt.Errorf("pages of the program stay in memory: %w", err))
				unmap = false
			}
		}
		rested = idle
		next.Reset(lookEvery)
	}
}

// usage is how much a process has allocated since the last look, and how much
// of its heap it could do without, both in bytes.
type usage struct {
	since, spare uint64
	total        uint64
}

func (u *usage) look() {
	s := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(s)
	allocated, live, objects, free := s[0].Value.Uint64(), s[1].Value.Uint64(), s[2].Value.Uint64(), s[3].Value.Uint64()
	u.since, u.total = allocated-u.total, allocated
	u.spare = free
	if objects > live {
		u.spare += objects - live
	}
}
