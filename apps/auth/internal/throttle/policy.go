// Package throttle slows down who guesses passwords, without locking out the
// person whose account is guessed at. Failures are counted per account and per
// address; after a few, each further try has to wait, longer each time. A device
// on which somebody has signed in before has a count of its own, so that its
// owner gets in while others guess. Counts are kept for known and unknown
// accounts alike.
package throttle

import "time"

// Rule says when a count makes wait.
type Rule struct {
	Free   int           // failures that cost nothing
	Step   time.Duration // the wait after the first further failure; doubles with each
	Max    time.Duration // the longest wait
	Forget time.Duration // a count without failures for so long is forgotten
}

// Count is the failures under one key. The next try is due at Next.
type Count struct {
	Failures int       `json:"failures"`
	Last     time.Time `json:"last"`
	Next     time.Time `json:"next"`
	Ends     time.Time `json:"exp"`
}

// CountEnds is when a count is forgotten.
func CountEnds(c *Count) time.Time { return c.Ends }

// wait is how long a caller must still wait, 0 if the next try is due.
func (c *Count) wait(now time.Time) time.Duration {
	if c == nil || !now.Before(c.Next) {
		return 0
	}
	return c.Next.Sub(now)
}

// after is the count with one more try, taken as failed until it is given back.
func (r Rule) after(c *Count, now time.Time) *Count {
	next := Count{}
	if c != nil {
		next = *c
	}
	next.Failures++
	next.Last = now
	next.Next = now.Add(r.delay(next.Failures))
	next.Ends = now.Add(max(r.Forget, r.delay(next.Failures)))
	return &next
}

// delay is the wait after n failures.
func (r Rule) delay(n int) time.Duration {
	over := n - r.Free
	if over <= 0 {
		return 0
	}
	if over > 30 {
		return r.Max
	}
	return min(r.Max, r.Step<<(over-1))
}

// less is the count with a try given back: it has succeeded.
func (r Rule) less(c *Count, now time.Time) *Count {
	if c == nil || c.Failures <= 1 {
		return nil
	}
	next := *c
	next.Failures--
	next.Next = next.Last.Add(r.delay(next.Failures))
	if next.Next.After(c.Next) {
		next.Next = c.Next
	}
	next.Ends = now.Add(r.Forget)
	return &next
}
