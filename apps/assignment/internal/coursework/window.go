package coursework

import (
	"time"

	"lms/shared/apperr"
)

// Window is when and how often one person, or one group, may hand in (rule 21).
type Window struct {
	Dates
	Attempts *int // nil: unlimited
}

// Effective is what overrides make of the assignment's own dates: the most generous
// of all that apply wins. The due time and the cutoff only move to later, the
// opening only to earlier; where there is none, none is the most generous. An
// extension of the due time beyond the cutoff moves the cutoff along. The lock is
// nobody's to move.
func Effective(a AssignmentFields, overrides []Override) Window {
	w := Window{Dates: a.Dates(), Attempts: a.Attempts}
	for _, o := range overrides {
		w.DueAt = latest(w.DueAt, o.DueAt)
		w.CutoffAt = latest(latest(w.CutoffAt, o.CutoffAt), o.DueAt)
		w.AvailableFrom = earliest(w.AvailableFrom, o.AvailableFrom)
		switch {
		case o.UnlimitedAttempts:
			w.Attempts = nil
		case w.Attempts != nil && o.Attempts != nil && *o.Attempts > *w.Attempts:
			w.Attempts = o.Attempts
		}
	}
	return w
}

// latest is the later of a bound and an override: no bound stays none.
func latest(bound, override *time.Time) *time.Time {
	if bound != nil && override != nil && override.After(*bound) {
		return override
	}
	return bound
}

func earliest(bound, override *time.Time) *time.Time {
	if bound != nil && override != nil && override.Before(*bound) {
		return override
	}
	return bound
}

// Codes of a window that is not open.
const (
	CodeNotOpen = "window_not_open"
	CodeClosed  = "window_closed"
	CodeLocked  = "assignment_locked"
)

// Open says whether work is taken at now, by the server's clock; nil is yes. It is
// open from AvailableFrom up to and at the cutoff; a lock closes it from its moment
// on, whatever else holds (rule 21).
func (w Window) Open(now time.Time) *apperr.Error {
	switch {
	case w.LockAt != nil && !now.Before(*w.LockAt):
		return apperr.Conflict(CodeLocked, "The assignment is locked: nothing is taken any more.").Detail("since", *w.LockAt)
	case w.AvailableFrom != nil && now.Before(*w.AvailableFrom):
		return apperr.Conflict(CodeNotOpen, "The assignment is not open yet.").Detail("from", *w.AvailableFrom)
	case w.CutoffAt != nil && now.After(*w.CutoffAt):
		return apperr.Conflict(CodeClosed, "The assignment is closed: the last moment has passed.").Detail("until", *w.CutoffAt)
	}
	return nil
}

// SecondsLate is how late a submission at a time is, in whole seconds, begun ones
// counted. Exactly at the due time is on time (rule 17).
func (w Window) SecondsLate(at time.Time) int64 {
	if w.DueAt == nil || !at.After(*w.DueAt) {
		return 0
	}
	late := at.Sub(*w.DueAt)
	return int64((late + time.Second - 1) / time.Second)
}

// AttemptsLeft is how many attempts are left after some were used; nil is any
// number.
func (w Window) AttemptsLeft(used int) *int {
	if w.Attempts == nil {
		return nil
	}
	left := max(*w.Attempts-used, 0)
	return &left
}
