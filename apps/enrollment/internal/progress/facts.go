package progress

import (
	"time"

	"lms/shared/contracts/events"
)

// Facts are what happened between a learner and one subject.
type Facts struct {
	ViewedAt    *time.Time
	DoneAt      *time.Time
	SubmittedAt *time.Time // of a real attempt (rule 6)
	Watched     int        // percent of a recording seen, 0–100
	Score       *events.Hundredths
	Possible    *events.Hundredths
	GradedAt    *time.Time // of Score
	ExcusedAt   *time.Time // while excused (rule 4)
}

// Equal compares by value.
func (f Facts) Equal(o Facts) bool {
	return sameTime(f.ViewedAt, o.ViewedAt) && sameTime(f.DoneAt, o.DoneAt) &&
		sameTime(f.SubmittedAt, o.SubmittedAt) && f.Watched == o.Watched &&
		sameScore(f.Score, o.Score) && sameScore(f.Possible, o.Possible) &&
		sameTime(f.GradedAt, o.GradedAt) && sameTime(f.ExcusedAt, o.ExcusedAt)
}

// Empty says that nothing is known.
func (f Facts) Empty() bool { return f.Equal(Facts{}) }

func sameTime(a, b *time.Time) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(*b)
}

func sameScore(a, b *events.Hundredths) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// Met says whether the facts satisfy the requirement, and by what time: the
// criterion's own, never that of whoever looks (rule 12).
func (r Requirement) Met(f Facts) (time.Time, bool) {
	at, met := r.metByWork(f)
	if f.ExcusedAt != nil && r.Kind != "" && (!met || f.ExcusedAt.Before(at)) { // rule 4
		return *f.ExcusedAt, true
	}
	return at, met
}

func (r Requirement) metByWork(f Facts) (time.Time, bool) {
	var at *time.Time
	switch r.Kind {
	case events.RequireView:
		at = f.ViewedAt
	case events.RequireDone:
		at = f.DoneAt
	case events.RequireSubmit:
		at = f.SubmittedAt // rule 6: a grade without an attempt does not count
	case events.RequireMinScore:
		if r.reached(f) {
			at = f.GradedAt
		}
	}
	if at == nil {
		return time.Time{}, false
	}
	return *at, true
}

// reached compares exactly: score ÷ possible ≥ min ÷ 100, both sides multiplied
// out, so that no rounding decides (rule 3). Nothing possible reaches no percentage.
func (r Requirement) reached(f Facts) bool {
	if f.Score == nil || f.GradedAt == nil {
		return false
	}
	if r.Unit == events.ScorePoints {
		return *f.Score >= r.MinScore
	}
	if f.Possible == nil || *f.Possible <= 0 {
		return false
	}
	const whole = 100 * 100 // 100 percent, in hundredths
	return int64(*f.Score)*whole >= int64(r.MinScore)*int64(*f.Possible)
}

// evidentView is the time by which the subject must have been seen, since other
// work on it was done; nil is no evidence (rule 5).
func (f Facts) evidentView() *time.Time {
	return earlier(f.DoneAt, f.SubmittedAt)
}

func earlier(a, b *time.Time) *time.Time {
	switch {
	case a == nil:
		return b
	case b == nil || a.Before(*b):
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
