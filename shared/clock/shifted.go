package clock

import (
	"sync/atomic"
	"time"
)

// Shifted is a clock that runs ahead of the machine's, so that what takes months can
// be watched. It never goes back: what was written must not lie in the future.
type Shifted struct{ ahead atomic.Int64 }

// Now is the machine's time and the shift, as Now.
func (s *Shifted) Now() time.Time {
	return time.Now().UTC().Add(time.Duration(s.ahead.Load())).Truncate(time.Microsecond)
}

// Ahead is how far ahead it is.
func (s *Shifted) Ahead() time.Duration { return time.Duration(s.ahead.Load()) }

// Shift sets how far ahead it is; a smaller shift than before is not taken.
func (s *Shifted) Shift(ahead time.Duration) bool {
	for {
		was := s.ahead.Load()
		if int64(ahead) <= was {
			return false
		}
		if s.ahead.CompareAndSwap(was, int64(ahead)) {
			return true
		}
	}
}
