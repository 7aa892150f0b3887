package grading

import "time"

// Dates are when an assignment can be worked on; nil bounds nothing.
type Dates struct {
	OpensAt  *time.Time
	DueAt    *time.Time
	CutoffAt *time.Time
	// Attempts is how often one may submit; nil is without limit.
	Attempts *int
	// LockAt closes it for everybody, also for whom an extension was given.
	LockAt *time.Time
}

// Extension is what an override of a person, a group or a cohort gives; nil says
// nothing about it.
type Extension struct {
	OpensAt  *time.Time
	DueAt    *time.Time
	CutoffAt *time.Time
	Attempts *int
	// Unlimited attempts.
	Unlimited bool
}

// Extended are the dates of a person to whom the extensions apply: of each date
// the most generous wins, an extension never takes anything away, and a due time
// beyond the cutoff moves the cutoff with it (rule 21).
func (d Dates) Extended(list ...Extension) Dates {
	for _, e := range list {
		d.OpensAt = sooner(d.OpensAt, e.OpensAt)
		d.DueAt = later(d.DueAt, e.DueAt)
		d.CutoffAt = later(later(d.CutoffAt, e.CutoffAt), e.DueAt)
		switch {
		case e.Unlimited:
			d.Attempts = nil
		case d.Attempts != nil && e.Attempts != nil && *e.Attempts > *d.Attempts:
			d.Attempts = e.Attempts
		}
	}
	return d
}

// later: a bound that is not there is the most generous.
func later(base, other *time.Time) *time.Time {
	if base == nil || other == nil || !other.After(*base) {
		return base
	}
	return other
}

func sooner(base, other *time.Time) *time.Time {
	if base == nil || other == nil || !other.Before(*base) {
		return base
	}
	return other
}

// Refusal says why nothing can be handed in now; Open is that one can.
type Refusal string

// What Dates say of a moment.
const (
	Open    Refusal = ""
	Locked  Refusal = "locked"
	NotOpen Refusal = "not_open"
	Closed  Refusal = "closed"
)

// At says whether work can be handed in at a moment, by the server's clock: from
// the opening to the cutoff, both included; from its time on a lock always blocks
// (rule 21).
func (d Dates) At(now time.Time) Refusal {
	switch {
	case d.LockAt != nil && !now.Before(*d.LockAt):
		return Locked
	case d.OpensAt != nil && now.Before(*d.OpensAt):
		return NotOpen
	case d.CutoffAt != nil && now.After(*d.CutoffAt):
		return Closed
	}
	return Open
}
