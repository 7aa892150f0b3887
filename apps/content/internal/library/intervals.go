package library

import (
	"slices"
	"time"
)

// Interval is a part of a recording, in milliseconds from its beginning; To is not
// included.
type Interval struct{ From, To int64 }

// Length is how long it is.
func (i Interval) Length() int64 { return i.To - i.From }

// Intervals are in order and apart from each other.
type Intervals []Interval

// Length is how long they are together.
func (v Intervals) Length() (sum int64) {
	for _, i := range v {
		sum += i.Length()
	}
	return sum
}

// merged puts intervals into order and joins those that touch or overlap, or that
// leave less than gap between them.
func merged(all []Interval, gap int64) Intervals {
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, func(a, b Interval) int {
		switch {
		case a.From < b.From:
			return -1
		case a.From > b.From:
			return 1
		}
		return 0
	})
	var out Intervals
	for _, i := range sorted {
		if i.To <= i.From {
			continue
		}
		if n := len(out); n > 0 && i.From <= out[n-1].To+gap {
			out[n-1].To = max(out[n-1].To, i.To)
			continue
		}
		out = append(out, i)
	}
	return out
}

// Bounds of a report of what was watched.
const (
	// MaxIntervals of one report, and of what is kept of a person and a content:
	// where there are more, the smallest gaps are forgotten in the person's favour.
	MaxIntervals = 500
	// MaxRate is how fast a recording may be played.
	MaxRate = 4.0
	// grace is how much more than the clock allows is believed: what was buffered
	// and how late a report may be.
	grace = 5 * time.Second
	// seam is the gap between two intervals that is taken for none: players report
	// about every second.
	seam = 1000
	// maxRecording is what is believed where the length is not known.
	maxRecording = 24 * 3600 * 1000
)

// plausible are the intervals that a person can have watched: inside of the
// recording, and together no longer than the clock since the last report allows.
// They are taken in the given order until that time is used up.
func plausible(said []Interval, durationMS *int64, elapsed time.Duration, rate float64) []Interval {
	end := int64(maxRecording)
	if durationMS != nil {
		end = *durationMS
	}
	rate = min(max(rate, 0.1), MaxRate)
	left := int64(float64(max(elapsed, 0).Milliseconds())*rate) + grace.Milliseconds()
	var out []Interval
	for _, i := range said {
		i.From, i.To = max(0, i.From), min(i.To, end)
		if i.To <= i.From {
			continue
		}
		i.To = min(i.To, i.From+left)
		if left -= i.Length(); i.To > i.From {
			out = append(out, i)
		}
		if left <= 0 {
			break
		}
	}
	return out
}

// add joins new intervals to those that are known. What would be more than
// MaxIntervals closes its smallest gaps.
func (v Intervals) add(more []Interval) Intervals {
	out := merged(append(slices.Clone([]Interval(v)), more...), seam)
	for len(out) > MaxIntervals {
		at := 1
		for i := 2; i < len(out); i++ {
			if out[i].From-out[i-1].To < out[at].From-out[at-1].To {
				at = i
			}
		}
		out[at-1].To = out[at].To
		out = slices.Delete(out, at, at+1)
	}
	return out
}

// percent is how much of a recording the intervals cover, rounded down. What lacks
// less than a second at both ends together is all of it.
func (v Intervals) percent(durationMS int64) int {
	covered := v.Length()
	if covered >= durationMS-seam && covered > 0 {
		return 100
	}
	return int(covered * 100 / durationMS)
}

// flat is how intervals are kept: pairs of milliseconds.
func (v Intervals) flat() []int32 {
	out := make([]int32, 0, 2*len(v))
	for _, i := range v {
		out = append(out, int32(i.From), int32(i.To))
	}
	return out
}

// unflat reads what flat wrote.
func unflat(pairs []int32) Intervals {
	out := make(Intervals, 0, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, Interval{From: int64(pairs[i]), To: int64(pairs[i+1])})
	}
	return out
}
